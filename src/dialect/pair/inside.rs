//! A page's room, and who else is in it.

use std::collections::VecDeque;

use crate::id::{PeerId, RoomId};
use crate::limits;
use crate::message::{Dialect, Member};
use crate::signal::Candidate;

/// The page's place in a room.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) room: RoomId,
    /// Whether the page takes itself for the one that makes the offer.
    pub(super) creator: bool,
    /// Whether the page has said that it can take part in a call.
    pub(super) ready: bool,
    /// Whether somebody was there before and is gone.
    pub(super) was_called: bool,
    /// The one that the page's call is with.
    pub(super) partner: Option<Partner>,
    /// Who is there besides, in a room that is for more than two; the server's capacity bounds them.
    pub(super) others: Vec<Partner>,
}

impl Inside {
    pub(super) const fn new(room: RoomId, creator: bool, partner: Option<Partner>) -> Self {
        Self {
            room,
            creator,
            ready: false,
            was_called: false,
            partner,
            others: Vec::new(),
        }
    }
}

/// Another member of the page's room.
#[derive(Debug)]
pub(super) struct Partner {
    pub(super) peer: PeerId,
    pub(super) dialect: Option<Dialect>,
    pub(super) member: Member,
    /// Whether the page has sent a description, and so has a connection.
    pub(super) offered: bool,
    /// Whether the page was sent one, without which it has no use for candidates.
    pub(super) described: bool,
    pub(super) held: VecDeque<Candidate>,
    /// Whether it said goodbye in a word.
    pub(super) said_bye: bool,
}

impl Partner {
    pub(super) const fn new(member: Member) -> Self {
        Self {
            peer: member.peer,
            dialect: member.dialect,
            member,
            offered: false,
            described: false,
            held: VecDeque::new(),
            said_bye: false,
        }
    }

    /// Whether it is a page of this kind, too.
    pub(super) const fn is_pair(&self) -> bool {
        matches!(self.dialect, Some(Dialect::Codelab | Dialect::Book))
    }

    /// Whether it comes with an offer of its own and never waits for one.
    pub(super) const fn is_caller(&self) -> bool {
        matches!(
            self.dialect,
            Some(Dialect::Login | Dialect::Whip | Dialect::Whep)
        )
    }

    /// Keeps a candidate until the page has the description that it belongs to; the oldest goes when there are too many.
    pub(super) fn hold(&mut self, candidate: Candidate) {
        if self.held.len() >= limits::HELD_CANDIDATES {
            self.held.pop_front();
        }
        self.held.push_back(candidate);
    }
}
