//! What goes from node to node of a session that moves.

use rtc_protocol::{CallId, Kind, Member, Name, PeerId, RoomId};
use serde::{Deserialize, Serialize};

use crate::cluster::NodeId;

/// All that moves of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baggage {
    pub(super) name: Option<Name>,
    pub(super) registered: Option<Name>,
    /// The number of the newest message.
    pub(super) seq: u64,
    /// What the peer has not had, the newest last.
    pub(super) lines: Vec<String>,
    pub(super) rooms: Vec<Carried>,
    pub(super) calls: Vec<CarriedCall>,
}

impl Baggage {
    /// About how many bytes it holds on to.
    pub(crate) fn weight(&self) -> usize {
        const MEMBER: usize = 256;
        let lines: usize = self.lines.iter().map(String::len).sum();
        let members: usize = self.rooms.iter().map(|room| room.members.len()).sum();
        lines + (members + self.calls.len()) * MEMBER
    }
}

/// A room of it, with everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Carried {
    pub(super) room: RoomId,
    pub(super) capacity: u16,
    pub(super) members: Vec<Sat>,
    pub(super) holds: Vec<(PeerId, Kind, PeerId)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Sat {
    pub(super) node: NodeId,
    pub(super) seat: u64,
    pub(super) member: Member,
}

/// A call of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::hub) struct CarriedCall {
    pub(in crate::hub) call: CallId,
    pub(in crate::hub) caller: PeerId,
    pub(in crate::hub) callee: PeerId,
    /// Where the other side is.
    pub(in crate::hub) node: NodeId,
    /// For how long it still rings.
    pub(in crate::hub) rings_ms: Option<u64>,
}
