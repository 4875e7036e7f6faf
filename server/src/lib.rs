//! WebRTC signaling as a library: what `rtc-server` runs and `rtc-client` embeds.
//!
//! - [`access`]: tokens, and the rights they give
//! - [`hub`]: rooms, sessions and calls as pure rules
//! - `switchboard`: where connections meet the hub, `seat` a peer's place there, `mailbox` what waits for it
//! - `connection`: one actor for each WebSocket, and `rtc.v1` over it
//! - `transport`: what carries the other dialects
//! - [`cluster`]: several servers as one, around a broker
//! - `listener`: connections accepted, counted and bounded
//! - `http`: the page, the WebSocket's door, health
//! - `folder`: files of a user's own pages
//! - `metrics`: what is counted, and how Prometheus reads it
//! - `settings`: where settings come from
//! - [`spans`]: what is traced, for who asks
//! - `transport`: what else peers come by: Socket.IO, and HTTP alone for publishers and players
//! - `tls`: certificates
//! - [`turn`]: STUN and TURN
//! - [`testing`]: servers for tests
//!
//! Invariants: the hub knows no socket, task or clock; every queue is bounded; a peer that
//! does not read is closed; every task ends with its [`Running`] server.

pub mod access;
pub mod cli;
pub mod cluster;
mod config;
mod connection;
mod folder;
mod handshake;
mod http;
pub mod hub;
mod listener;
mod mailbox;
mod metrics;
mod page;
#[cfg(test)]
mod published;
mod rate;
pub mod redact;
mod seat;
pub mod settings;
mod socket;
pub mod spans;
mod switchboard;
pub mod testing;
pub mod tls;
mod transport;
pub mod turn;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub use config::{Config, DEFAULT_PORT};
pub use folder::Folder;
pub use listener::{Network, NetworkError};
pub use transport::whip::WhipConfig;

use cluster::Membership;
use cluster::holdings::told::Kind;
use http::Shared;
use hub::HubConfig;
use listener::{Listener, Places, Rules};
use metrics::Metrics;
use rate::{Addresses, Rate, Rates};
use switchboard::Switchboard;
use tls::Tls;
use transport::socketio::{self, SocketIo};
use transport::whip::Sessions;
use turn::{Bound, Turn};

/// How often the progress of a drain is told.
const PROGRESS: Duration = Duration::from_secs(10);

/// Connections that wait to be accepted: when a network comes back, all its peers do at once, and whom the system turns
/// away here tries again after a whole second.
const BACKLOG: u32 = 4096;

/// How long connections may take to say goodbye at the end.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}: {source}")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// Why; `AddrInUse` where somebody else is there.
    #[source]
    pub source: std::io::Error,
}

/// A server that has its addresses and serves nobody yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    listeners: Vec<TcpListener>,
    turn: Option<Bound>,
}

impl Server {
    /// Takes the addresses.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let mut listeners = Vec::new();
        for &address in &config.listen {
            let listener = listen(address).map_err(|source| BindError { address, source })?;
            listeners.push(listener);
        }
        let turn = match config.turn.clone() {
            Some(turn) => Some(Bound::take(turn).await?),
            None => None,
        };
        Ok(Self {
            config,
            listeners,
            turn,
        })
    }

    /// Where it listens, with the ports that the system chose.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let addresses = self.listeners.iter().map(TcpListener::local_addr);
        addresses.filter_map(Result::ok).collect()
    }

    /// Where it relays by UDP and TCP, and where by TLS.
    #[must_use]
    pub fn turn_addrs(&self) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
        let turn = self.turn.as_ref();
        turn.map(|turn| (turn.addresses(), turn.tls_addresses()))
            .unwrap_or_default()
    }

    /// Serves from now on; needs a running tokio runtime.
    #[must_use]
    pub fn start(self) -> Running {
        let listening = self.local_addrs();
        let config = Arc::new(self.config);
        let hub = HubConfig {
            relay: self.turn.as_ref().map(Bound::handout),
            ..config.hub()
        };
        let metrics = Metrics::default();
        let (node, member) = config.cluster.as_ref().map(Membership::begin).unzip();
        let (switchboard, task) = Switchboard::new(hub, config.queue_bytes, metrics.clone(), node);
        let holdings = member.as_ref().map(|member| member.holdings().clone());
        let common = |kind| holdings.as_ref().map(|holdings| holdings.common(kind));
        let member = member.map(|member| tokio::spawn(member.drive(switchboard.clone())));
        let connections = TaskTracker::new();
        let rates = Rates {
            arrivals: Rate::of(
                config.arrivals_per_address,
                config.arrivals_per_address.saturating_mul(10),
            ),
            messages: Rate::bursting(config.rate_per_address),
        };
        let addresses = Addresses::new(rates, config.exempt.clone());
        let stop = CancellationToken::new();
        let socketio = SocketIo::new(
            switchboard.clone(),
            socketio::Rules {
                hello: config.hello_timeout,
                heartbeat: config.heartbeat,
                queue: config.limits.queue_messages as usize,
                message_bytes: config.limits.message_bytes,
                rate: Rate::bursting(config.rate),
            },
            config.access.clone(),
            connections.clone(),
            stop.child_token(),
        );
        let router = http::router(Shared {
            socketio,
            ports: listening.iter().map(SocketAddr::port).collect(),
            switchboard: switchboard.clone(),
            config: Arc::clone(&config),
            connections: connections.clone(),
            addresses: Arc::clone(&addresses),
            metrics: metrics.clone(),
            whip: Sessions::new(&config.whip, &config.exempt, common(Kind::Sessions)),
        });
        let places = Places::new(
            config.connections.saturating_add(config.connections_beside),
            config.connections_per_address,
            config.exempt.clone(),
            common(Kind::Connections),
        );
        let rules = Rules {
            header_time: config.header_time,
            heartbeat: config.heartbeat,
        };
        let listeners = self.listeners.into_iter().map(|socket| Listener {
            socket,
            router: router.clone(),
            rules,
            places: Arc::clone(&places),
            addresses: Arc::clone(&addresses),
            metrics: metrics.clone(),
            tls: config.tls.as_ref().map(Tls::acceptor),
            stop: stop.clone(),
        });
        let listeners = listeners
            .map(|listener| AbortOnDropHandle::new(tokio::spawn(listener.run())))
            .collect();
        let acceptor = config.tls.as_ref().map(Tls::acceptor);
        let turn = self.turn.and_then(|turn| {
            let common = common(Kind::Allocations);
            turn.start(acceptor, &places, common, metrics.clone())
        });
        let keep_up = config.tls.clone().map(|tls| tokio::spawn(tls.keep_up()));
        Running {
            _turn: turn,
            _keep_up: keep_up.map(AbortOnDropHandle::new),
            _member: member.map(AbortOnDropHandle::new),
            addresses: listening,
            switchboard,
            connections,
            _stop_at_the_end: stop.clone().drop_guard(),
            stop,
            listeners,
            _switchboard: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }
}

/// Takes one address.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A server that is started again finds its old connections still waiting out their time. (On Windows the option
    // means something else, and is not needed.)
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A server that serves; ends at once when dropped.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<SocketAddr>,
    switchboard: Switchboard,
    connections: TaskTracker,
    stop: CancellationToken,
    /// Ends what hangs on no handle of ours, when this is dropped.
    _stop_at_the_end: DropGuard,
    listeners: Vec<AbortOnDropHandle<()>>,
    _switchboard: AbortOnDropHandle<()>,
    _turn: Option<Turn>,
    /// Reads certificates again.
    _keep_up: Option<AbortOnDropHandle<()>>,
    /// Speaks with the other nodes of the cluster.
    _member: Option<AbortOnDropHandle<()>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns when a drain has begun: by [`Running::drain`], or by the administrator, over HTTP or in any dialect.
    pub async fn asked_to_drain(&self) {
        self.switchboard.draining().cancelled().await;
    }

    /// Sends everybody elsewhere who is in no call, takes nobody new, and returns when the last call has ended;
    /// `progress` is told how many peers are left, at first and every few seconds.
    pub async fn drain(&self, mut progress: impl FnMut(usize)) {
        let mut drained = pin!(self.switchboard.drain());
        let mut look = interval(PROGRESS);
        loop {
            tokio::select! {
                biased;
                () = &mut drained => return self.switchboard.said_all().await,
                _ = look.tick() => {
                    let left = self.switchboard.counts().sessions;
                    if left > 0 {
                        progress(left);
                    }
                }
            }
        }
    }

    /// Tells everybody, lets them go and ends; within seconds.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.switchboard.stop("the server stops");
        self.connections.close();
        let ended = async {
            for listener in self.listeners {
                let _ = listener.await;
            }
            self.connections.wait().await;
        };
        let _ = timeout(GOODBYE, ended).await;
    }
}
