//! What the rules are set up with.

use std::time::Duration;

use rtc_protocol::{IceServer, Limits};

use crate::turn::Handout;

/// What the hub is set up with.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Whether peers get in that show no token.
    pub open: bool,
    /// Told to peers, and kept.
    pub limits: Limits,
    /// Members of a room where its maker says nothing.
    pub default_capacity: u16,
    /// How long a session without a connection is kept.
    pub resume_window: Duration,
    /// Told to peers.
    pub heartbeat: Duration,
    /// Handed out in the welcome.
    pub ice_servers: Vec<IceServer>,
    /// As those, made for each peer.
    pub relay: Option<Handout>,
    /// How long a call rings.
    pub ring: Duration,
    /// Calls that may ring at one peer.
    pub ringing_calls: usize,
    /// Calls that one peer may have in all.
    pub calls_per_peer: usize,
    /// Numbered messages kept for one session's resume.
    pub backlog: usize,
    /// Bytes of them.
    pub backlog_bytes: usize,
    /// Where peers are sent when the server goes.
    pub away_url: Option<String>,
}
