//! STUN and TURN (RFC 8489, RFC 8656), so that one binary is all that peers behind NATs need.
//!
//! - [`credentials`]: who may relay, and for how long
//! - [`handout`]: what peers are told of it
//! - [`policy`]: whom one may relay to
//! - `rules`: allocations, permissions and channels, as pure rules
//! - [`framing`]: messages out of a stream of bytes
//! - `sockets`: what carries all that
//!
//! Messages are read and written by the crates `stun-types` and `turn-types`.

pub mod credentials;
pub mod framing;
pub mod handout;
mod nonce;
pub mod policy;
mod rules;
mod sockets;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

pub use credentials::{Keys, Secret, User};
pub use handout::Handout;
pub use policy::Peers;
pub(crate) use sockets::{Bound, Turn};

/// What a relay is set up with.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// Where UDP and TCP are listened to.
    pub listen: Vec<SocketAddr>,
    /// Where TLS over TCP is, with the certificate of the pages.
    pub listen_tls: Vec<SocketAddr>,
    /// What clients are told to be known by; a name, by custom that of the site.
    pub realm: String,
    /// Whom it serves.
    pub keys: Keys,
    /// How long a credential of the welcome serves.
    pub credential_lifetime: Duration,
    /// Where the relay's own sockets are, one for each family.
    pub relay: Vec<IpAddr>,
    /// What the outside knows `relay` by, where a NAT is between: first for the first of its family.
    pub external: Vec<IpAddr>,
    /// Ports of relayed addresses.
    pub ports: RangeInclusive<u16>,
    /// Whom may be relayed to.
    pub peers: Peers,
    /// Allocations that one credential may have at once; in a cluster, at all servers together.
    pub per_user: usize,
    /// Allocations in all.
    pub allocations: usize,
    /// Bytes a second that one allocation may relay, both directions together; none is no limit.
    pub rate: Option<u32>,
    /// The host by which clients find it; none is the addresses it listens at.
    pub host: Option<String>,
}
