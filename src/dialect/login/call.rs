//! The one call that a page can be in.

use crate::id::{CallId, Name, PeerId, RoomId};
use crate::message::Dialect;
use crate::raw::Raw;

/// Candidates and descriptions that wait for the other side: an offer and the candidates of a machine with many addresses.
pub(super) const HELD: usize = 64;

/// Bytes of them: one message of the largest size and as much again.
pub(super) const HELD_BYTES: usize = 2 * crate::limits::MESSAGE_BYTES;

/// What a page says to the other side.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Talk {
    Offer(Raw),
    Answer(Raw),
    Candidate(Raw),
}

impl Talk {
    fn bytes(&self) -> usize {
        match self {
            Self::Offer(raw) | Self::Answer(raw) | Self::Candidate(raw) => raw.get().len(),
        }
    }
}

/// Where the call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Our page called: the request of that number is not answered yet.
    Asking(u64),
    /// Our page called, and it rings there or is met there.
    Calling,
    /// It rings here.
    Called,
    /// Both have taken it.
    Taken,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) stage: Stage,
    /// The server's name for it; none where nobody had to be rung.
    pub(super) id: Option<CallId>,
    pub(super) room: RoomId,
    /// The request to enter that room.
    pub(super) joining: Option<u64>,
    /// What our page calls the other side.
    pub(super) who: Name,
    /// Whom exactly; none where whoever comes into the room is meant, as only the callee knows its name.
    pub(super) whom: Option<PeerId>,
    /// The other side, once it is in the room.
    pub(super) other: Option<Other>,
    /// Said by our page before the other side was there.
    held: Vec<Talk>,
    held_bytes: usize,
    /// Candidates of the other side that came before the description they belong to.
    pub(super) early: Vec<Raw>,
    /// Our page has a description of the other side.
    pub(super) described: bool,
    /// Our page was given an offer and has not answered it.
    pub(super) owes_answer: bool,
    /// Our page made an offer that is not answered.
    pub(super) offered: bool,
    /// Our page knows that there is a call.
    pub(super) shown: bool,
}

/// The far side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Other {
    pub(super) peer: PeerId,
    /// Another login page: its words are passed on as they are.
    pub(super) alike: bool,
}

impl Other {
    pub(super) fn new(peer: PeerId, dialect: Option<Dialect>) -> Self {
        Self {
            peer,
            alike: dialect == Some(Dialect::Login),
        }
    }
}

impl Call {
    fn new(stage: Stage, room: RoomId, who: Name) -> Self {
        Self {
            stage,
            id: None,
            room,
            joining: None,
            who,
            whom: None,
            other: None,
            held: Vec::new(),
            held_bytes: 0,
            early: Vec::new(),
            described: false,
            owes_answer: false,
            offered: false,
            shown: false,
        }
    }

    /// Our page calls a name.
    pub(super) fn outgoing(request: u64, room: RoomId, who: Name) -> Self {
        Self {
            shown: true,
            ..Self::new(Stage::Asking(request), room, who)
        }
    }

    /// Somebody calls our page.
    pub(super) fn incoming(id: CallId, room: RoomId, who: Name, whom: PeerId) -> Self {
        Self {
            id: Some(id),
            whom: Some(whom),
            ..Self::new(Stage::Called, room, who)
        }
    }

    /// Whether that call is this one.
    pub(super) fn is(&self, id: &CallId) -> bool {
        self.id.as_ref() == Some(id)
    }

    /// Whether that peer is the far side, and in the call's room.
    pub(super) fn is_with(&self, room: &RoomId, peer: PeerId) -> bool {
        *room == self.room && self.other.is_some_and(|other| other.peer == peer)
    }

    /// Keeps what the other side is not there for; whether there was room.
    pub(super) fn hold(&mut self, talk: Talk) -> bool {
        let bytes = self.held_bytes + talk.bytes();
        let fits = self.held.len() < HELD && bytes <= HELD_BYTES;
        if fits {
            self.held_bytes = bytes;
            self.held.push(talk);
        }
        fits
    }

    /// Gives what was kept, in order.
    pub(super) fn take_held(&mut self) -> Vec<Talk> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }
}
