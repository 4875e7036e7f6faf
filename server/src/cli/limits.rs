//! Flags of what peers and connections are held to; `docs/limits.md` tells what each is answered with.

use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use rtc_protocol::{Limits, limits};

use crate::transport::whip;
use crate::{Config, Network, WhipConfig, config};

/// See the module. Reasons for the defaults stand where those are defined.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitFlags {
    /// Peers on WebSockets at once; more are closed with 4005, or get HTTP 503.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_connections: usize,

    /// Connections of any kind from one address (of IPv6: from one /64), at all servers of a cluster; more get HTTP 429.
    #[arg(long, value_name = "N", default_value_t = config::CONNECTIONS_PER_ADDRESS)]
    max_per_address: usize,

    /// Network that --max-per-address does not hold for, as a proxy's; repeatable, or none.
    #[arg(long, value_name = "ADDR[/BITS]", default_value = "127.0.0.0/8,::1", value_delimiter = ',', value_parser = exempt)]
    exempt: Vec<Exempt>,

    /// Seconds for a request's headers to come; an idle connection is kept as long.
    #[arg(long, value_name = "SECONDS", default_value_t = config::HEADER_TIME.as_secs(), value_parser = clap::value_parser!(u64).range(1..=300))]
    header_timeout: u64,

    /// Seconds for a peer's first message to come; then it is closed with 4000.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::HELLO_MS / 1000, value_parser = clap::value_parser!(u64).range(1..=300))]
    hello_timeout: u64,

    /// Seconds between heartbeats; who is silent for two and a half of them is closed with 4003.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::HEARTBEAT_MS / 1000, value_parser = clap::value_parser!(u64).range(1..=600))]
    heartbeat: u64,

    /// Seconds that a lost peer's place is kept.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::RESUME_WINDOW_MS / 1000, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    resume_window: u64,

    /// Bytes of one message; a longer one is refused with too-large and its peer closed with 1009.
    #[arg(long, value_name = "BYTES", default_value_t = small(limits::MESSAGE_BYTES), value_parser = clap::value_parser!(u32).range(1_024..=262_144))]
    max_message: u32,

    /// Things a second that one peer may say, five seconds' worth at once; more are refused with rate-limited.
    #[arg(long, value_name = "N", default_value_t = limits::RATE_PER_SECOND, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,

    /// Things a second that the peers of one address may say together; five seconds' worth at once.
    #[arg(long, value_name = "N", default_value_t = config::RATE_PER_ADDRESS, value_parser = clap::value_parser!(u32).range(1..))]
    rate_per_address: u32,

    /// Connections a second from one address, ten seconds' worth at once; more get HTTP 429.
    #[arg(long, value_name = "N", default_value_t = config::ARRIVALS_PER_ADDRESS, value_parser = clap::value_parser!(u32).range(1..))]
    arrivals_per_address: u32,

    /// Messages in a row that cannot be understood before a peer is closed with 4004.
    #[arg(long, value_name = "N", default_value_t = limits::BAD_MESSAGES)]
    bad_messages: u32,

    /// Messages that may wait for one peer; who does not read is closed with 4002.
    #[arg(long, value_name = "N", default_value_t = small(limits::QUEUE_MESSAGES), value_parser = clap::value_parser!(u32).range(16..=65_536))]
    queue: u32,

    /// Bytes that may wait for one peer; at least twice the largest message.
    #[arg(long, value_name = "BYTES", default_value_t = limits::QUEUE_BYTES, value_parser = RangedU64ValueParser::<usize>::new().range(524_288..=1_073_741_824))]
    queue_bytes: usize,

    /// Rooms that one peer may be in; one more is refused with too-many-rooms.
    #[arg(long, value_name = "N", default_value_t = small(limits::ROOMS_PER_PEER), value_parser = clap::value_parser!(u32).range(1..))]
    rooms_per_peer: u32,

    /// Members of a room where its maker says nothing; one more is refused with room-full.
    #[arg(long, value_name = "N", default_value_t = limits::DEFAULT_CAPACITY, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_MEMBERS)))]
    room_capacity: u16,

    /// Members that a room's maker may ask for at most.
    #[arg(long, value_name = "N", default_value_t = limits::ROOM_CAPACITY, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_MEMBERS)))]
    max_room_capacity: u16,

    /// Seconds that a call rings before the caller is told that nobody answers.
    #[arg(long, value_name = "SECONDS", default_value_t = limits::RING_MS / 1000, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    ring_timeout: u64,

    /// Calls that may ring at one peer; the next caller is refused with busy.
    #[arg(long, value_name = "N", default_value_t = limits::RINGING_CALLS)]
    ringing_calls: usize,

    /// Calls, ringing or taken, that one peer may have; one more is refused with busy.
    #[arg(long, value_name = "N", default_value_t = limits::CALLS_PER_PEER)]
    calls_per_peer: usize,

    /// Publishers and players by HTTP (WHIP, WHEP) at once; more get HTTP 503.
    #[arg(long, value_name = "N", default_value_t = whip::SESSIONS)]
    whip_sessions: usize,

    /// Of them from one address (of IPv6: from one /64), at all servers of a cluster; more get HTTP 429.
    #[arg(long, value_name = "N", default_value_t = whip::SESSIONS_PER_ADDRESS)]
    whip_sessions_per_address: usize,
}

/// Everything said to a room is written to each of its members.
const MOST_MEMBERS: u16 = 1_024;

impl LimitFlags {
    /// The defaults with these limits.
    pub(super) fn config(self) -> Config {
        Config {
            connections: self.max_connections,
            connections_per_address: self.max_per_address,
            exempt: self.exempt.into_iter().filter_map(|one| one.0).collect(),
            header_time: Duration::from_secs(self.header_timeout),
            hello_timeout: Duration::from_secs(self.hello_timeout),
            heartbeat: Duration::from_secs(self.heartbeat),
            resume_window: Duration::from_secs(self.resume_window),
            limits: Limits {
                message_bytes: self.max_message,
                rooms_per_peer: self.rooms_per_peer,
                room_capacity: self.max_room_capacity.into(),
                queue_messages: self.queue,
            },
            default_capacity: self.room_capacity.min(self.max_room_capacity),
            rate: self.rate,
            rate_per_address: self.rate_per_address,
            arrivals_per_address: self.arrivals_per_address,
            bad_messages: self.bad_messages,
            queue_bytes: self.queue_bytes,
            ring: Duration::from_secs(self.ring_timeout),
            ringing_calls: self.ringing_calls,
            calls_per_peer: self.calls_per_peer,
            whip: WhipConfig {
                sessions: self.whip_sessions,
                sessions_per_address: self.whip_sessions_per_address,
                ..WhipConfig::default()
            },
            ..Config::default()
        }
    }
}

/// A default of the protocol, all of which are small.
const fn small(limit: usize) -> u32 {
    limit as u32
}

/// A network, or none at all.
#[derive(Clone, Debug)]
struct Exempt(Option<Network>);

fn exempt(text: &str) -> Result<Exempt, crate::listener::NetworkError> {
    match text {
        "none" => Ok(Exempt(None)),
        network => network.parse().map(|network| Exempt(Some(network))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn without_flags_the_limits_are_those_of_the_protocol() {
        let flags = Cli::try_parse_from(["rtc-server"]).unwrap().config();
        assert_eq!(format!("{flags:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn every_limit_has_a_flag() {
        let words = [
            ("--max-connections", "1"),
            ("--max-per-address", "2"),
            ("--exempt", "none"),
            ("--header-timeout", "3"),
            ("--hello-timeout", "4"),
            ("--heartbeat", "5"),
            ("--resume-window", "6"),
            ("--max-message", "2000"),
            ("--rate", "7"),
            ("--rate-per-address", "8"),
            ("--arrivals-per-address", "16"),
            ("--bad-messages", "9"),
            ("--queue", "20"),
            ("--queue-bytes", "600000"),
            ("--rooms-per-peer", "11"),
            ("--room-capacity", "12"),
            ("--max-room-capacity", "13"),
            ("--ring-timeout", "17"),
            ("--ringing-calls", "14"),
            ("--calls-per-peer", "15"),
            ("--whip-sessions", "18"),
            ("--whip-sessions-per-address", "19"),
        ];
        let words = words.iter().flat_map(|(flag, value)| [*flag, *value]);
        let cli = Cli::try_parse_from(std::iter::once("rtc-server").chain(words));
        let config = cli.unwrap().config();
        assert_eq!((config.connections, config.connections_per_address), (1, 2));
        assert!(config.exempt.is_empty());
        assert_eq!(config.header_time, Duration::from_secs(3));
        assert_eq!(config.hello_timeout, Duration::from_secs(4));
        assert_eq!(config.heartbeat, Duration::from_secs(5));
        assert_eq!(config.resume_window, Duration::from_secs(6));
        assert_eq!(config.limits.message_bytes, 2000);
        assert_eq!((config.rate, config.rate_per_address), (7, 8));
        assert_eq!((config.bad_messages, config.arrivals_per_address), (9, 16));
        assert_eq!(config.limits.queue_messages, 20);
        assert_eq!(config.queue_bytes, 600_000);
        assert_eq!(config.limits.rooms_per_peer, 11);
        assert_eq!(
            (config.default_capacity, config.limits.room_capacity),
            (12, 13)
        );
        assert_eq!(config.ring, Duration::from_secs(17));
        assert_eq!((config.ringing_calls, config.calls_per_peer), (14, 15));
        let whip = config.whip;
        assert_eq!((whip.sessions, whip.sessions_per_address), (18, 19));
    }
}
