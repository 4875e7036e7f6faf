//! TURN over TCP and TLS (RFC 8656, section 3.1), which the engine does not speak.
//!
//! The engine believes that such a server is one by UDP, at an address that nobody can have (RFC 7600, RFC 6666). A
//! socket of ours catches what goes there, carries it over a stream of its own, and gives what comes back as datagrams from
//! that address.
//!
//! - `url`: which servers are meant
//! - `stand_in`: what the engine is told in their place
//! - `framing`: datagrams into a stream and out of it, pure
//! - `socket`: the engine's socket that catches them
//! - `stream`: the task that carries them

pub(crate) mod framing;
mod socket;
mod stand_in;
mod stream;
mod url;

pub(super) use socket::TurnSocket;
pub(crate) use stand_in::StandIns;
pub(super) use stream::not_reached;
pub(crate) use url::{check, is_by_udp};
