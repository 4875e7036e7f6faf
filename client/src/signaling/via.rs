//! The ways by which two peers can come to know of each other. A call has the same handle and the same events in each.

use rtc_protocol::{Name, NameError, RoomId};

use super::SignalingOptions;
use super::dialect::DialectOptions;
use super::whip::WhipOptions;

/// How a call is signaled.
#[derive(Clone, Debug)]
pub enum Via {
    /// By a server that speaks rtc.v1, in a room of many.
    Server(Box<SignalingOptions>),
    /// By a server that speaks a dialect of other signaling servers, in its rooms or by its names.
    Dialect(Box<DialectOptions>),
    /// By somebody's WHIP or WHEP service, with that service.
    Whip(Box<WhipOptions>),
    /// By text that people carry to and fro, with one other.
    Copied {
        /// Whether we offer, or wait for an offer.
        begins: Begins,
        /// What both sides call it.
        room: RoomId,
    },
    /// By a program of the user's, with one other.
    Program {
        /// As a shell takes it.
        command: String,
        /// What both sides call it.
        room: RoomId,
    },
}

/// Which side makes the first offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begins {
    /// Ours, unless the far side's offer comes first.
    Us,
    /// The far side.
    Them,
}

/// What a room without a server is called where nothing was said.
pub const DIRECT: &str = "direct";

/// A name for the far side; what cannot be one is shortened or replaced.
pub(super) fn far_name(text: &str) -> Result<Name, NameError> {
    let kept = text.chars().filter(|c| !c.is_control()).take(64);
    Name::new(&kept.collect::<String>()).or_else(|_| Name::new("other"))
}
