//! Sockets under the engine: what happens to datagrams between the engine and the wire.

mod arrived;
pub mod change;
mod consent;
mod handshake;
pub mod hidden;
pub mod impair;
mod impaired;
pub mod interfaces;
pub mod relay;
pub mod shared;
pub(crate) mod turn;

use std::future::Future;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime,
    TokioRuntime,
};

use consent::ConsentSocket;
use handshake::ImpatientSocket;
pub use impair::Impairment;
use impaired::ImpairedSocket;
use shared::Member;
use turn::{StandIns, TurnSocket, not_reached};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long the engine's driver sleeps at most while it hurries.
const NAP: Duration = Duration::from_millis(2);

/// While it is set, the engine's driver takes short naps only. It does not look for what
/// its own steps have given it to send before it sleeps, so a DTLS or SCTP handshake
/// would wait for the next timer of something else: up to 200 ms a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hurry(Arc<AtomicBool>);

impl Hurry {
    /// From the driver's next sleep on.
    pub(crate) fn set(&self, hurried: bool) {
        self.0.store(hurried, Ordering::Relaxed);
    }

    fn nap(&self, duration: Duration) -> Duration {
        if self.0.load(Ordering::Relaxed) {
            duration.min(NAP)
        } else {
            duration
        }
    }
}

/// Tokio for the engine, with a driver that can be hurried, sockets that are impatient while
/// DTLS shakes hands, streams to TURN servers and, where asked, an impaired path before all that.
#[derive(Debug)]
pub(crate) struct EngineRuntime {
    pub(crate) hurry: Hurry,
    pub(crate) impairment: Option<Impairment>,
    /// Servers that the engine cannot reach by itself.
    pub(crate) stand_ins: Arc<StandIns>,
    /// One port for all connections, where that was asked for.
    pub(crate) shared: Option<Arc<Member>>,
    /// There are TURN servers that the engine reaches by itself.
    pub(crate) turn_by_udp: bool,
    /// What people should know of the sockets; what does not fit is left out.
    pub(crate) troubles: mpsc::Sender<String>,
}

impl Runtime for EngineRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        TokioRuntime.spawn(future)
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let bound = socket.local_addr()?;
        let own = match &self.shared {
            // The one for mDNS is bound to no address.
            Some(shared) if !bound.ip().is_unspecified() => {
                shared.socket(socket, self.turn_by_udp)?
            }
            _ => TokioRuntime.wrap_udp_socket(socket)?,
        };
        let wire = Arc::new(TurnSocket::new(
            own,
            Arc::clone(&self.stand_ins),
            self.troubles.clone(),
        ));
        let path: Arc<dyn AsyncUdpSocket> = match &self.impairment {
            Some(impairment) => Arc::new(ImpairedSocket::new(wire, impairment.clone())),
            None => wire,
        };
        let path = Arc::new(ConsentSocket::new(path));
        Ok(Arc::new(ImpatientSocket::new(path)))
    }

    fn wrap_tcp_listener(&self, listener: TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote_addr: SocketAddr,
    ) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        TokioRuntime.connect_tcp(remote_addr)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        if let Some((server, places)) = self.stand_ins.resolve(host) {
            return Box::pin(async move {
                // Only the families that it has itself: over another there is no way to it.
                let place = (server.host.as_str(), server.port);
                let real: Vec<_> = match tokio::net::lookup_host(place).await {
                    Ok(real) => real.collect(),
                    Err(error) => {
                        let _ = self.troubles.try_send(not_reached(&server, &error));
                        return Err(error);
                    }
                };
                let has = |place: &SocketAddr| real.iter().any(|r| r.is_ipv4() == place.is_ipv4());
                Ok(places.into_iter().filter(has).collect())
            });
        }
        match bare_ipv6(host) {
            Some(address) => Box::pin(std::future::ready(Ok(vec![address]))),
            None => TokioRuntime.resolve_host(host),
        }
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        TokioRuntime.sleep(self.hurry.nap(duration))
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn yield_now(&self) -> Boxed<'static, ()> {
        TokioRuntime.yield_now()
    }
}

/// An IPv6 address and a port as the engine writes those of TURN servers: without brackets.
fn bare_ipv6(host: &str) -> Option<SocketAddr> {
    let (ip, port) = host.rsplit_once(':')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    Some(SocketAddr::from((ip, port.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_needs_no_brackets() {
        let address = "[2001:db8::5]:3478".parse().ok();
        assert_eq!(bare_ipv6("2001:db8::5:3478"), address);
        for other in ["192.0.2.1:3478", "example.org:3478", "[::1]:3478", "::1"] {
            assert_eq!(bare_ipv6(other), None, "{other}");
        }
    }

    #[test]
    fn a_hurried_driver_takes_short_naps_only() {
        let hurry = Hurry::default();
        let long = Duration::from_secs(2);
        assert_eq!(hurry.nap(long), long);
        hurry.set(true);
        assert_eq!(hurry.nap(long), NAP);
        assert_eq!(
            hurry.nap(Duration::from_micros(5)),
            Duration::from_micros(5)
        );
        hurry.set(false);
        assert_eq!(hurry.nap(long), long);
    }
}
