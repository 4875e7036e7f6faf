//! The sockets of a relay: what clients come by, and one for each allocation.
//!
//! The rules stand behind a lock that is held for one datagram, never over an await. Datagrams are dropped where a socket
//! does not take them at once, as any router does; so is what a client on TCP does not read (`stream`).

mod ports;
mod stream;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::nonce::Nonces;
use super::rules::{Carrier, Counts, Ended, Id, Now, Opened, Output, Path, Port, Rules};
use super::{Handout, TurnConfig};
use crate::cluster::holdings::told::Key;
use crate::cluster::holdings::{Common, Holders};
use crate::listener::Places;
use crate::metrics::Metrics;
use crate::{BindError, listen};

/// What a datagram can carry.
const DATAGRAM: usize = 65_536;

/// How often allocations are looked at for their end, and counts are told.
const TICK: Duration = Duration::from_secs(1);

/// A relay that has its addresses and serves nobody yet.
#[derive(Debug)]
pub(crate) struct Bound {
    config: TurnConfig,
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    tls: Vec<TcpListener>,
}

impl Bound {
    /// Takes the addresses.
    pub(crate) async fn take(config: TurnConfig) -> Result<Self, BindError> {
        let failed = |address| move |source| BindError { address, source };
        let (mut udp, mut tcp, mut tls) = (Vec::new(), Vec::new(), Vec::new());
        for &address in &config.listen {
            let socket = listen(address).map_err(failed(address))?;
            // Where the system chooses the port, it is one for both.
            let same = socket.local_addr().map_err(failed(address))?;
            tcp.push(socket);
            udp.push(UdpSocket::bind(same).await.map_err(failed(same))?);
        }
        for &address in &config.listen_tls {
            tls.push(listen(address).map_err(failed(address))?);
        }
        Ok(Self {
            config,
            udp,
            tcp,
            tls,
        })
    }

    /// Where UDP and TCP are listened to.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.udp.iter().map(UdpSocket::local_addr);
        addresses.filter_map(Result::ok).collect()
    }

    /// Where TLS is.
    pub(crate) fn tls_addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.tls.iter().map(TcpListener::local_addr);
        addresses.filter_map(Result::ok).collect()
    }

    /// What peers are told of it.
    pub(crate) fn handout(&self) -> Handout {
        let reached = |all: Vec<SocketAddr>| -> Vec<SocketAddr> {
            let own = &self.config.relay;
            let outside = |ip: IpAddr| {
                let same = |one: &&IpAddr| one.is_ipv4() == ip.is_ipv4();
                let own = own.iter().find(same).copied();
                self.config.external.iter().find(same).copied().or(own)
            };
            let named = |address: SocketAddr| match outside(address.ip()) {
                Some(ip) if address.ip().is_unspecified() => SocketAddr::new(ip, address.port()),
                _ => address,
            };
            all.into_iter().map(named).collect()
        };
        let now = now();
        Handout::new(
            self.config.host.as_deref(),
            &reached(self.addresses()),
            &reached(self.tls_addresses()),
            (self.config.keys.clone(), self.config.credential_lifetime),
            (now.instant, now.unix),
        )
    }

    /// Serves from now on. None where the system has no randomness.
    pub(crate) fn start(
        self,
        tls: Option<TlsAcceptor>,
        places: &Arc<Places>,
        common: Option<Common>,
        metrics: Metrics,
    ) -> Option<Turn> {
        let per_user = self.config.per_user;
        let core = Arc::new(Core {
            relay: self.config.relay.clone(),
            external: self.config.external.clone(),
            ports: self.config.ports.clone(),
            rules: Mutex::new(Rules::new(self.config, Nonces::new()?)),
            sockets: Mutex::default(),
            kept: Mutex::default(),
        });
        if let Some(common) = &common {
            common.counts(per_user, &core);
        }
        let mut tasks = Vec::new();
        for socket in self.udp {
            tasks.push(tokio::spawn(datagrams(Arc::clone(&core), Arc::new(socket))));
        }
        for socket in self.tcp {
            let streams =
                stream::Streams::new(Arc::clone(&core), Carrier::Tcp, None, Arc::clone(places));
            tasks.push(tokio::spawn(streams.accept(socket)));
        }
        // Without a certificate nobody is served there, least of all in the clear.
        for (socket, tls) in self.tls.into_iter().zip(std::iter::repeat(tls)) {
            let Some(tls) = tls else { continue };
            let streams = stream::Streams::new(
                Arc::clone(&core),
                Carrier::Tls,
                Some(tls),
                Arc::clone(places),
            );
            tasks.push(tokio::spawn(streams.accept(socket)));
        }
        tasks.push(tokio::spawn(look(core, common, metrics)));
        Some(Turn {
            _tasks: tasks.into_iter().map(AbortOnDropHandle::new).collect(),
        })
    }
}

/// A relay that serves; ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// How a client is answered.
#[derive(Clone, Debug)]
enum Way {
    Udp(Arc<UdpSocket>, SocketAddr),
    /// The queue of its stream.
    Stream(mpsc::Sender<Vec<u8>>),
}

impl Way {
    fn send(&self, bytes: &[u8]) {
        // A full socket and a full queue drop, as a full router does.
        match self {
            Self::Udp(socket, client) => drop(socket.try_send_to(bytes, *client)),
            Self::Stream(queue) => drop(queue.try_send(bytes.to_vec())),
        }
    }
}

/// One allocation's socket, and the task that reads it.
#[derive(Debug)]
struct Relay {
    socket: Arc<UdpSocket>,
    _task: AbortOnDropHandle<()>,
}

/// What all tasks share.
#[derive(Debug)]
struct Core {
    relay: Vec<IpAddr>,
    external: Vec<IpAddr>,
    ports: std::ops::RangeInclusive<u16>,
    rules: Mutex<Rules>,
    sockets: Mutex<HashMap<Id, Relay>>,
    /// The second ports of pairs, by token.
    kept: Mutex<HashMap<u64, UdpSocket>>,
}

impl Core {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        locked(&self.rules)
    }

    /// A client said this: does what follows.
    fn said(self: &Arc<Self>, path: Path, way: &Way, bytes: &[u8]) {
        let output = self.rules().said(now(), path, bytes);
        match output {
            None => {}
            Some(Output::Answer(answer)) => way.send(&answer),
            Some(Output::Farewell(answer, id)) => {
                way.send(&answer);
                self.close(id);
            }
            Some(Output::Open { id, ipv6, port }) => {
                let opened = self.open(id, ipv6, port, way);
                let told = self.rules().opened(now(), id, opened);
                if let Some((_, answer)) = told {
                    way.send(&answer);
                }
            }
            Some(Output::Relay { id, to, data }) => {
                let socket = locked(&self.sockets)
                    .get(&id)
                    .map(|relay| Arc::clone(&relay.socket));
                if let (Some(socket), Some(data)) = (socket, bytes.get(data)) {
                    drop(socket.try_send_to(data, to));
                }
            }
        }
    }

    fn open(self: &Arc<Self>, id: Id, ipv6: bool, port: Port, way: &Way) -> Option<Opened> {
        let own = *self.relay.iter().find(|own| own.is_ipv6() == ipv6)?;
        let taken = match port {
            Port::Kept(token) => locked(&self.kept)
                .remove(&token)
                .map(|socket| (socket, None)),
            Port::Pair => ports::pair(own, &self.ports).map(|(one, two)| (one, Some(two))),
            Port::Even => ports::one(own, &self.ports, 2).map(|socket| (socket, None)),
            Port::Any => ports::one(own, &self.ports, 1).map(|socket| (socket, None)),
        };
        let Some((socket, second)) = taken else {
            tracing::warn!(
                "no port of {:?} is free at {own} for another allocation",
                self.ports
            );
            return None;
        };
        let local = socket.local_addr().ok()?;
        let outside = self
            .external
            .iter()
            .find(|outside| outside.is_ipv6() == ipv6);
        let relayed = SocketAddr::new(outside.copied().unwrap_or(own), local.port());
        let token = second.map(|second| {
            let token = rand::random();
            locked(&self.kept).insert(token, second);
            token
        });
        let socket = Arc::new(socket);
        let task = tokio::spawn(peers(
            Arc::downgrade(self),
            id,
            Arc::clone(&socket),
            way.clone(),
        ));
        let relay = Relay {
            socket,
            _task: AbortOnDropHandle::new(task),
        };
        locked(&self.sockets).insert(id, relay);
        Some(Opened { relayed, token })
    }

    fn close(&self, id: Id) {
        locked(&self.sockets).remove(&id);
    }

    /// A stream ended.
    fn gone(&self, path: Path) {
        let ended = self.rules().gone(path);
        if let Some(id) = ended {
            self.close(id);
        }
    }
}

/// Reads what clients send by UDP.
async fn datagrams(core: Arc<Core>, socket: Arc<UdpSocket>) {
    let Ok(server) = socket.local_addr() else {
        return;
    };
    let mut buffer = vec![0; DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, client)) => {
                let path = Path {
                    carrier: Carrier::Udp,
                    server,
                    client,
                };
                let way = Way::Udp(Arc::clone(&socket), client);
                core.said(path, &way, &buffer[..length]);
            }
            Err(error) => linger(&error).await,
        }
    }
}

/// Reads what peers send to one allocation.
///
/// It does not keep the core: that one keeps this task, and both are to end with the relay.
async fn peers(core: Weak<Core>, id: Id, socket: Arc<UdpSocket>, way: Way) {
    let mut buffer = vec![0; DATAGRAM];
    let mut out = Vec::new();
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, peer)) => {
                let Some(core) = core.upgrade() else {
                    return;
                };
                let path = core
                    .rules()
                    .heard(now(), id, peer, &buffer[..length], &mut out);
                if path.is_some() {
                    way.send(&out);
                }
            }
            Err(error) => linger(&error).await,
        }
    }
}

/// What a peer refused by ICMP shows as an error of the next read: no reason to stop. Others might come at once again.
async fn linger(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionRefused {
        tracing::debug!("a relay's socket: {error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Holders for Core {
    fn heaviest(&self, least: usize, most: usize) -> Vec<(Key, usize)> {
        self.rules().heaviest(least, most)
    }
}

/// Lets time pass for the rules, tells them what other servers of a cluster know, and tells their counts.
async fn look(core: Arc<Core>, common: Option<Common>, metrics: Metrics) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Counts::default();
    loop {
        ticks.tick().await;
        if let Some(common) = &common {
            let elsewhere = common.all_elsewhere();
            core.rules().elsewhere(elsewhere);
        }
        let (ended, counts) = {
            let mut rules = core.rules();
            (rules.tick(now()), rules.counts)
        };
        for ended in ended {
            match ended {
                Ended::Allocation(id) => core.close(id),
                Ended::Reservation(token) => drop(locked(&core.kept).remove(&token)),
            }
        }
        metrics
            .turn_allocations_opened
            .inc_by(counts.opened - told.opened);
        metrics
            .turn_allocations_ended
            .inc_by(counts.ended - told.ended);
        metrics
            .turn_requests_refused
            .inc_by(counts.refused - told.refused);
        metrics
            .turn_bytes_to_peers
            .inc_by(counts.bytes_out - told.bytes_out);
        metrics
            .turn_bytes_from_peers
            .inc_by(counts.bytes_in - told.bytes_in);
        metrics.turn_dropped.inc_by(counts.dropped - told.dropped);
        told = counts;
    }
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
