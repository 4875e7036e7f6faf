//! A UDP hop of its own behind an impaired path: between any two programs that speak UDP.
//!
//! Every source that is heard at the listening address gets a socket of its own towards the
//! far address, as a NAT does; what comes back to that socket goes to the source.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::impair::queue::OnTheWay;
use super::impair::{Direction, Impairment};

/// Sources at once; a new one beyond them takes the place of the one silent for longest.
const SOURCES: usize = 256;

/// A source that said nothing for so long, and heard nothing, is forgotten (RFC 4787, REQ-5).
const IDLE: Duration = Duration::from_secs(120);

/// Datagrams from the far side that wait for the relay; more are dropped, as the system does.
const BACK: usize = 1_024;

/// The largest datagram there is.
const LARGEST: usize = 65_536;

/// A relay that has its address.
#[derive(Debug)]
pub struct Relay {
    near: Arc<UdpSocket>,
    far: SocketAddr,
    impairment: Impairment,
    sources: HashMap<SocketAddr, Source>,
    back: (mpsc::Sender<Back>, mpsc::Receiver<Back>),
}

#[derive(Debug)]
struct Source {
    socket: Arc<UdpSocket>,
    heard: Instant,
    _reader: AbortOnDropHandle<()>,
}

/// Something for a source.
#[derive(Debug)]
struct Back {
    source: SocketAddr,
    datagram: Vec<u8>,
}

enum Carried {
    Up(Arc<UdpSocket>, Vec<u8>),
    Down(SocketAddr, Vec<u8>),
}

impl Relay {
    /// Listens at `near` and passes on to `far`.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(
        near: SocketAddr,
        far: SocketAddr,
        impairment: Impairment,
    ) -> io::Result<Self> {
        Ok(Self {
            near: Arc::new(UdpSocket::bind(near).await?),
            far,
            impairment,
            sources: HashMap::new(),
            back: mpsc::channel(BACK),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.near.local_addr()
    }

    /// Relays until dropped.
    ///
    /// # Errors
    /// When the socket cannot be read any more.
    pub async fn run(mut self) -> io::Result<()> {
        let near = Arc::clone(&self.near);
        let began = self.impairment.began();
        let mut way: OnTheWay<Carried> = OnTheWay::new();
        let mut buffer = vec![0; LARGEST];
        let mut sweep = interval(IDLE / 4);
        loop {
            let due = way.due();
            let (direction, carried, bytes) = tokio::select! {
                received = near.recv_from(&mut buffer) => match received {
                    Ok((bytes, source)) => {
                        let Some(socket) = self.towards(source).await else { continue };
                        (Direction::Up, Carried::Up(socket, buffer[..bytes].to_vec()), bytes)
                    }
                    Err(error) if passing(&error) => continue,
                    Err(error) => return Err(error),
                },
                Some(Back { source, datagram }) = self.back.1.recv() => {
                    let bytes = datagram.len();
                    if let Some(known) = self.sources.get_mut(&source) {
                        known.heard = Instant::now();
                    }
                    (Direction::Down, Carried::Down(source, datagram), bytes)
                }
                () = async {
                    match due {
                        Some(due) => sleep_until(due.into()).await,
                        None => std::future::pending().await,
                    }
                } => {
                    while let Some(carried) = way.pop(Instant::now()) {
                        self.deliver(carried).await;
                    }
                    continue;
                }
                _ = sweep.tick() => {
                    self.sources.retain(|_, source| source.heard.elapsed() < IDLE);
                    continue;
                }
            };
            let now = Instant::now();
            for at in self.impairment.fate(direction, now, bytes).arrivals() {
                let copy = match &carried {
                    Carried::Up(socket, datagram) => {
                        Carried::Up(Arc::clone(socket), datagram.clone())
                    }
                    Carried::Down(source, datagram) => Carried::Down(*source, datagram.clone()),
                };
                if began + at <= now && way.due().is_none() {
                    self.deliver(copy).await;
                } else {
                    way.push(began + at, bytes, copy);
                }
            }
        }
    }

    /// The socket of a source, made where there is none.
    async fn towards(&mut self, source: SocketAddr) -> Option<Arc<UdpSocket>> {
        if let Some(known) = self.sources.get_mut(&source) {
            known.heard = Instant::now();
            return Some(Arc::clone(&known.socket));
        }
        if self.sources.len() >= SOURCES {
            let quiet = self
                .sources
                .iter()
                .min_by_key(|(_, s)| s.heard)
                .map(|(a, _)| *a);
            self.sources.remove(&quiet?);
        }
        let any = match self.far {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = match connected(any, self.far).await {
            Ok(socket) => Arc::new(socket),
            Err(error) => {
                tracing::warn!("no socket towards {}: {error}", self.far);
                return None;
            }
        };
        let reader = tokio::spawn(read_back(source, Arc::clone(&socket), self.back.0.clone()));
        let heard = Instant::now();
        self.sources.insert(
            source,
            Source {
                socket: Arc::clone(&socket),
                heard,
                _reader: AbortOnDropHandle::new(reader),
            },
        );
        Some(socket)
    }

    async fn deliver(&self, carried: Carried) {
        // What cannot be sent is lost, as on any network.
        let _ = match carried {
            Carried::Up(socket, datagram) => socket.send(&datagram).await,
            Carried::Down(source, datagram) => self.near.send_to(&datagram, source).await,
        };
    }
}

async fn connected(any: SocketAddr, far: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(any).await?;
    socket.connect(far).await?;
    Ok(socket)
}

async fn read_back(source: SocketAddr, socket: Arc<UdpSocket>, back: mpsc::Sender<Back>) {
    let mut buffer = vec![0; LARGEST];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(bytes) => {
                let datagram = buffer[..bytes].to_vec();
                let _ = back.try_send(Back { source, datagram });
            }
            Err(error) if passing(&error) => {}
            Err(_) => return,
        }
    }
}

/// Tells what is about one far address (an ICMP answer) from what ends a socket.
fn passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::impair::Spec;
    use super::*;

    const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    async fn relay(spec: &str, far: SocketAddr) -> (SocketAddr, Impairment, AbortOnDropHandle<()>) {
        let spec = Spec::parse(spec, |_| Ok(String::new())).unwrap();
        let path = Impairment::new(&spec, Instant::now());
        let relay = Relay::bind(LOOPBACK.into(), far, path.clone())
            .await
            .unwrap();
        let address = relay.local_addr().unwrap();
        let task = tokio::spawn(async move { relay.run().await.unwrap() });
        (address, path, AbortOnDropHandle::new(task))
    }

    /// Answers everything with itself.
    async fn echo() -> (SocketAddr, AbortOnDropHandle<()>) {
        let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = [0; 2_000];
            loop {
                let (n, from) = socket.recv_from(&mut buffer).await.unwrap();
                socket.send_to(&buffer[..n], from).await.unwrap();
            }
        });
        (address, AbortOnDropHandle::new(task))
    }

    async fn receive(socket: &UdpSocket) -> Vec<u8> {
        let mut buffer = [0; 2_000];
        let wait = Duration::from_secs(20);
        let n = tokio::time::timeout(wait, socket.recv(&mut buffer));
        let n = n.await.unwrap().unwrap();
        buffer[..n].to_vec()
    }

    #[tokio::test]
    async fn each_source_gets_its_own_answers_back_later() {
        let (far, _echo) = echo().await;
        let (near, _, _relay) = relay("delay=30ms", far).await;
        let mut sources = Vec::new();
        for name in [b"a", b"b"] {
            let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
            socket.connect(near).await.unwrap();
            socket.send(name).await.unwrap();
            sources.push((name, socket, Instant::now()));
        }
        for (name, socket, sent) in sources {
            assert_eq!(receive(&socket).await, name);
            assert!(sent.elapsed() >= Duration::from_millis(60));
        }
    }

    #[tokio::test]
    async fn what_is_lost_is_counted_for_its_direction() {
        let (far, _echo) = echo().await;
        let (near, path, _relay) = relay("down:loss=50%,seed=3", far).await;
        let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
        socket.connect(near).await.unwrap();
        // One at a time, so that nobody's buffer takes part.
        let mut answered = 0;
        for number in 0..100_u8 {
            socket.send(&[number]).await.unwrap();
            let seen = u64::from(number) + 1;
            while path.counts(Direction::Down).seen < seen {
                tokio::task::yield_now().await;
            }
            let lost = path.counts(Direction::Down).lost;
            if seen - lost > answered {
                answered += 1;
                assert_eq!(receive(&socket).await, [number]);
            }
        }
        assert_eq!(path.counts(Direction::Up).passed, 100);
        let down = path.counts(Direction::Down);
        assert_eq!(down.passed, answered);
        assert!((30..70).contains(&down.lost), "{down:?}");
    }
}
