//! One room as its page sees it: who is there, who has been told of, and whose connection stands where.

use std::collections::BTreeMap;

use crate::id::PeerId;
use crate::limits;
use crate::message::{Dialect, Kind, Member};
use crate::signal::Candidate;

/// Another member of the room.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) member: Member,
    pub(super) stage: Stage,
    /// Whether the page has the description that this member's candidates belong to.
    pub(super) described: bool,
    /// Candidates that came before it; at most [`limits::HELD_CANDIDATES`], later ones are dropped.
    held: Vec<Candidate>,
}

/// How far page and member are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The page has not been told of the member: it would offer at once, and the member is not ready to be offered to.
    Hidden,
    /// The page has been told that the member came, which makes it offer.
    Asked,
    /// One of them has offered, or the member was there before the page and is asked for an offer.
    Met,
}

impl Other {
    fn new(member: Member, stage: Stage) -> Self {
        Self {
            member,
            stage,
            described: false,
            held: Vec::new(),
        }
    }

    /// Whether its words go through as they are.
    pub(super) fn is_conference(&self) -> bool {
        self.member.dialect == Some(Dialect::Conference)
    }

    /// Whether it comes with an offer in hand, and never waits for one.
    pub(super) fn is_caller(&self) -> bool {
        matches!(
            self.member.dialect,
            Some(Dialect::Login | Dialect::Whip | Dialect::Whep)
        )
    }

    pub(super) fn hold(&mut self, candidate: Candidate) {
        if self.held.len() < limits::HELD_CANDIDATES {
            self.held.push(candidate);
        }
    }

    pub(super) fn take_held(&mut self) -> Vec<Candidate> {
        std::mem::take(&mut self.held)
    }

    /// A new connection is to be made: what was said about the last one is void.
    pub(super) fn renew(&mut self, stage: Stage) {
        self.stage = stage;
        self.described = false;
        self.held.clear();
    }

    pub(super) fn mute(&mut self, kind: Kind, muted: bool) {
        self.member.muted.retain(|known| *known != kind);
        if muted {
            self.member.muted.push(kind);
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inside {
    pub(super) others: BTreeMap<PeerId, Other>,
    /// The foreign member whose offer the page has and has not answered.
    pub(super) offered: Option<PeerId>,
    /// The foreign member that the page exchanged a description with last.
    pub(super) partner: Option<PeerId>,
}

/// Whom a description or candidate without an addressee is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// This member, which is of another dialect.
    One(PeerId),
    /// The conference pages, as if nobody else were there.
    Pages,
    /// It could be for several, and a description can be for one only.
    Unclear,
}

impl Inside {
    pub(super) fn of(members: Vec<Member>) -> Self {
        let mut inside = Self::default();
        for member in members {
            inside.enter(member, Stage::Met);
        }
        inside
    }

    pub(super) fn enter(&mut self, member: Member, stage: Stage) {
        self.others.insert(member.peer, Other::new(member, stage));
    }

    pub(super) fn exit(&mut self, peer: PeerId) -> Option<Other> {
        for kept in [&mut self.offered, &mut self.partner] {
            if *kept == Some(peer) {
                *kept = None;
            }
        }
        self.others.remove(&peer)
    }

    /// Whether all the others are conference pages.
    pub(super) fn pages_only(&self) -> bool {
        self.others.values().all(Other::is_conference)
    }

    /// The conference pages among the others.
    pub(super) fn pages(&self) -> impl Iterator<Item = PeerId> {
        let pages = self
            .others
            .iter()
            .filter(|(_, other)| other.is_conference());
        pages.map(|(peer, _)| *peer)
    }

    /// The only one of a kind.
    fn only(&self, fits: impl Fn(&Other) -> bool) -> Option<PeerId> {
        let mut fitting = self.others.iter().filter(|(_, other)| fits(other));
        match (fitting.next(), fitting.next()) {
            (Some((peer, _)), None) => Some(*peer),
            _ => None,
        }
    }

    /// Whom an offer without an addressee is for: who the page was asked to call, or the only one there.
    pub(super) fn meant_by_offer(&self) -> Meant {
        self.asked()
            .map_or_else(|| self.meant_otherwise(), Meant::One)
    }

    /// Whom an answer without an addressee is for: whose offer it has.
    pub(super) fn meant_by_answer(&self) -> Meant {
        self.offered
            .map_or_else(|| self.meant_otherwise(), Meant::One)
    }

    /// Whom a candidate without an addressee is for: whom the descriptions were exchanged with.
    pub(super) fn meant_by_candidate(&self) -> Meant {
        self.partner
            .or_else(|| self.asked())
            .map_or_else(|| self.meant_otherwise(), Meant::One)
    }

    fn asked(&self) -> Option<PeerId> {
        self.only(|other| !other.is_conference() && other.stage == Stage::Asked)
    }

    fn meant_otherwise(&self) -> Meant {
        match self.only(|_| true) {
            Some(peer) => Meant::One(peer),
            None if self.pages().next().is_some() => Meant::Pages,
            None => Meant::Unclear,
        }
    }
}
