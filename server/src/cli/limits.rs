//! Flags of what peers are held to; `docs/limits.md` tells what each is answered with.

use std::time::Duration;

use clap::{Args, value_parser};
use rtc_protocol::limits as default;

use crate::{Config, config};

/// What peers are held to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct Limits {
    /// Bytes of one message; at most half of what may wait for one peer.
    #[arg(long, value_name = "BYTES", default_value_t = small(default::MESSAGE_BYTES), value_parser = value_parser!(u32).range(1_024..=262_144))]
    max_message: u32,

    /// Things a second that one peer may say; five seconds' worth may come at once.
    #[arg(long, value_name = "N", default_value_t = default::RATE_PER_SECOND, value_parser = value_parser!(u32).range(1..))]
    rate: u32,

    /// Things a second that the peers of one address may say together; five seconds' worth at once.
    #[arg(long, value_name = "N", default_value_t = config::RATE_PER_ADDRESS, value_parser = value_parser!(u32).range(1..))]
    rate_per_address: u32,

    /// Connections a second from one address; ten seconds' worth may come at once.
    #[arg(long, value_name = "N", default_value_t = config::ARRIVALS_PER_ADDRESS, value_parser = value_parser!(u32).range(1..))]
    arrivals_per_address: u32,

    /// Rooms that one peer may be in.
    #[arg(long, value_name = "N", default_value_t = small(default::ROOMS_PER_PEER), value_parser = value_parser!(u32).range(1..))]
    rooms_per_peer: u32,

    /// Messages that may wait for one peer before it is closed as a slow reader.
    #[arg(long, value_name = "N", default_value_t = small(default::QUEUE_MESSAGES), value_parser = value_parser!(u32).range(16..=65_536))]
    queue: u32,

    /// Seconds for the first message of a connection to come.
    #[arg(long, value_name = "SECONDS", default_value_t = default::HELLO_MS / 1_000, value_parser = value_parser!(u64).range(1..=300))]
    hello_timeout: u64,

    /// Seconds between heartbeats; who is silent for two and a half of them is closed.
    #[arg(long, value_name = "SECONDS", default_value_t = default::HEARTBEAT_MS / 1_000, value_parser = value_parser!(u64).range(1..=300))]
    heartbeat: u64,
}

impl Limits {
    pub(super) fn apply(self, mut config: Config) -> Config {
        config.limits.message_bytes = self.max_message;
        config.limits.rooms_per_peer = self.rooms_per_peer;
        config.limits.queue_messages = self.queue;
        config.rate = self.rate;
        config.rate_per_address = self.rate_per_address;
        config.arrivals_per_address = self.arrivals_per_address;
        config.hello_timeout = Duration::from_secs(self.hello_timeout);
        config.heartbeat = Duration::from_secs(self.heartbeat);
        config
    }
}

fn small(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
