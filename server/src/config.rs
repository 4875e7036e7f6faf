//! Everything that a server can be told, checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rtc_protocol::{IceServer, Limits, limits};

use crate::access::Access;
use crate::cluster::ClusterConfig;
use crate::folder::Folder;
use crate::hub::HubConfig;
use crate::listener::Network;
use crate::tls::Tls;
use crate::transport::whip::WhipConfig;
use crate::turn::TurnConfig;

/// The port where nothing else is said.
pub const DEFAULT_PORT: u16 = 8080;

/// An office behind one address fits in; a single machine cannot take all places.
pub(crate) const CONNECTIONS_PER_ADDRESS: usize = 256;

/// Ten seconds' worth are more than an address may have at once, so that all of an office comes back after a restart.
pub(crate) const ARRIVALS_PER_ADDRESS: u32 = 30;

/// Ten peers that say all they may.
pub(crate) const RATE_PER_ADDRESS: u32 = 2_000;

/// A phone on a bad link sends its request within this.
pub(crate) const HEADER_TIME: Duration = Duration::from_secs(10);

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens; every one of them must be free.
    pub listen: Vec<SocketAddr>,
    /// Handed out to every peer.
    pub ice_servers: Vec<IceServer>,
    /// How long a connection may be there before it says hello.
    pub hello_timeout: Duration,
    /// How often peers are pinged; one that says nothing for two and a half times as long is closed.
    pub heartbeat: Duration,
    /// How long a lost session waits for its peer.
    pub resume_window: Duration,
    /// How long a call rings before the caller is told that nobody answers.
    pub ring: Duration,
    /// What peers are held to.
    pub limits: Limits,
    /// Messages in a row that cannot be understood before a peer is closed.
    pub bad_messages: u32,
    /// Bytes that may wait for one peer.
    pub queue_bytes: usize,
    /// Calls that may ring at one peer at once.
    pub ringing_calls: usize,
    /// Calls that one peer may have at once.
    pub calls_per_peer: usize,
    /// Members of a room where its maker says nothing.
    pub default_capacity: u16,
    /// The certificate; with it, every address speaks TLS.
    pub tls: Option<Tls>,
    /// What peers must show to be let in; nothing, unless it holds a key.
    pub access: Access,
    /// Peers on WebSockets at once.
    pub connections: usize,
    /// Connections beside those of peers on WebSockets: pages, polls, publishers, whoever looks after the server.
    pub connections_beside: usize,
    /// Connections of any kind from one address: one of IPv4, or a /64 of IPv6; in a cluster, at all servers together.
    pub connections_per_address: usize,
    /// Connections a second from one address in the long run; ten seconds' worth may come at once.
    pub arrivals_per_address: u32,
    /// Things a second that the peers of one address may say together; five seconds' worth at once.
    pub rate_per_address: u32,
    /// Things a second that one peer may say; five seconds' worth at once.
    pub rate: u32,
    /// Networks whose addresses are not held to what one address may do.
    pub exempt: Vec<Network>,
    /// For a request's line and headers to come. An idle connection that speaks HTTP is closed after it, too.
    pub header_time: Duration,
    /// Where peers are sent when the server goes: the address of another one.
    pub drain_url: Option<String>,
    /// Origins beside the server's own whose pages may connect; `*` for all.
    pub allow_origins: Vec<String>,
    /// A user's own pages, before the server's.
    pub root: Option<Folder>,
    /// What publishers and players by HTTP are held to.
    pub whip: WhipConfig,
    /// STUN and TURN.
    pub turn: Option<TurnConfig>,
    /// The other servers that this one is one with.
    pub cluster: Option<ClusterConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::new(
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                DEFAULT_PORT,
            )],
            ice_servers: Vec::new(),
            hello_timeout: Duration::from_millis(limits::HELLO_MS),
            heartbeat: Duration::from_millis(limits::HEARTBEAT_MS),
            resume_window: Duration::from_millis(limits::RESUME_WINDOW_MS),
            ring: Duration::from_millis(limits::RING_MS),
            limits: Limits {
                message_bytes: clip(limits::MESSAGE_BYTES),
                rooms_per_peer: clip(limits::ROOMS_PER_PEER),
                room_capacity: limits::ROOM_CAPACITY.into(),
                queue_messages: clip(limits::QUEUE_MESSAGES),
            },
            bad_messages: limits::BAD_MESSAGES,
            queue_bytes: limits::QUEUE_BYTES,
            ringing_calls: limits::RINGING_CALLS,
            calls_per_peer: limits::CALLS_PER_PEER,
            default_capacity: limits::DEFAULT_CAPACITY,
            tls: None,
            access: Access::default(),
            connections: 10_000,
            connections_beside: 1_000,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            arrivals_per_address: ARRIVALS_PER_ADDRESS,
            rate_per_address: RATE_PER_ADDRESS,
            rate: limits::RATE_PER_SECOND,
            exempt: Network::LOOPBACK.to_vec(),
            header_time: HEADER_TIME,
            drain_url: None,
            allow_origins: Vec::new(),
            root: None,
            whip: WhipConfig::default(),
            turn: None,
            cluster: None,
        }
    }
}

impl Config {
    /// For `localhost`: both of its addresses, as browsers try either first. A port of 0
    /// gives a free one, on IPv4 alone.
    #[must_use]
    pub fn localhost(port: u16) -> Self {
        let mut listen = vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)];
        let six = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
        // A machine may have no IPv6 at all; then there is nobody who would look there.
        let there = std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        if port != 0 && there {
            listen.push(six);
        }
        Self {
            listen,
            ..Self::default()
        }
    }

    pub(crate) fn hub(&self) -> HubConfig {
        HubConfig {
            open: self.access.is_open(),
            limits: self.limits,
            default_capacity: self.default_capacity,
            resume_window: self.resume_window,
            heartbeat: self.heartbeat,
            ice_servers: self.ice_servers.clone(),
            relay: None,
            ring: self.ring,
            ringing_calls: self.ringing_calls,
            calls_per_peer: self.calls_per_peer,
            // A resume puts all of it into the new connection's queue at once, where more must fit.
            backlog: self.limits.queue_messages as usize / 2,
            backlog_bytes: self.queue_bytes / 2,
            away_url: self.drain_url.clone(),
        }
    }
}

fn clip(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
