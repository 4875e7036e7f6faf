//! Who is in a room, and who may do what there.

mod places;

use std::time::Instant;

use rtc_protocol::{Dialect, Kind, Member, Name, PeerId, Role, RoomId};

use crate::access::Rights;
use crate::metrics::Label;
use crate::spans::Call;

/// What a member may do from its first moment on, by its token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    moderates: bool,
    publishes: bool,
}

impl Standing {
    pub(super) fn of(rights: &Rights, room: &RoomId) -> Self {
        Self {
            moderates: rights.moderate(room),
            publishes: rights.publish(),
        }
    }
}

use super::decisions::Decisions;
pub(super) use places::Place;

/// One room; its members in the order in which they came.
#[derive(Debug)]
pub(super) struct Room {
    id: RoomId,
    capacity: u16,
    /// When the first one came.
    since: Instant,
    members: Vec<Member>,
    /// Where each of them is, in a cluster.
    places: Vec<Place>,
    /// Who has left which seat lately, in a cluster.
    departed: Vec<(PeerId, u64)>,
    /// While there are two or more.
    call: Option<Call>,
    /// What its moderators have decided, also about peers that are gone.
    pub(super) decisions: Decisions,
}

impl Room {
    pub(super) fn new(id: RoomId, capacity: u16, since: Instant) -> Self {
        Self {
            id,
            capacity,
            since,
            members: Vec::new(),
            places: Vec::new(),
            departed: Vec::new(),
            call: None,
            decisions: Decisions::default(),
        }
    }

    pub(super) const fn capacity(&self) -> u16 {
        self.capacity
    }

    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn full(&self) -> bool {
        self.members.len() >= usize::from(self.capacity)
    }

    pub(super) fn count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn members(&self) -> Vec<Member> {
        self.members.clone()
    }

    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.members.iter().map(|member| member.peer).collect()
    }

    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.members.iter().any(|member| member.peer == peer)
    }

    pub(super) fn moderates(&self, peer: PeerId) -> bool {
        self.member(peer)
            .is_some_and(|member| member.role == Role::Moderator)
    }

    /// The first one in moderates.
    pub(super) fn enter(
        &mut self,
        peer: PeerId,
        name: Name,
        dialect: Option<Dialect>,
        standing: &Standing,
    ) -> Member {
        let member = self.newcomer(peer, name, dialect, standing, self.members.is_empty());
        if self.members.is_empty() {
            // Most rooms are of two.
            self.members.reserve_exact(2);
        }
        self.members.push(member.clone());
        self.trace();
        member
    }

    /// What somebody is to be in here.
    pub(super) fn newcomer(
        &self,
        peer: PeerId,
        name: Name,
        dialect: Option<Dialect>,
        standing: &Standing,
        first: bool,
    ) -> Member {
        let role = if first || standing.moderates {
            Role::Moderator
        } else {
            Role::Member
        };
        let held = self.decisions.held(peer);
        Member {
            peer,
            name,
            role,
            muted: if standing.publishes {
                held.iter().map(|hold| hold.kind).collect()
            } else {
                vec![Kind::Audio, Kind::Video]
            },
            dialect,
        }
    }

    /// A call is what two or more hold.
    fn trace(&mut self) {
        if self.members.len() < 2 {
            return;
        }
        let call = self.call.get_or_insert_with(|| Call::begun(&self.id));
        call.held(self.members.iter().map(|member| member.dialect.text()));
    }

    /// The name that a member goes by here.
    pub(super) fn name(&self, peer: PeerId) -> Option<&Name> {
        self.member(peer).map(|member| &member.name)
    }

    /// Takes a member out; gives who moderates from now on, where nobody did.
    pub(super) fn exit(&mut self, peer: PeerId) -> Option<PeerId> {
        self.members.retain(|member| member.peer != peer);
        self.places.retain(|place| place.peer != peer);
        if self.members.len() < 2 {
            self.call = None;
        }
        if self.members.iter().any(|m| m.role == Role::Moderator) {
            return None;
        }
        let heir = self.members.first_mut()?;
        heir.role = Role::Moderator;
        Some(heir.peer)
    }

    /// Whether there was such a member.
    pub(super) fn promote(&mut self, peer: PeerId) -> bool {
        let member = self.members.iter_mut().find(|member| member.peer == peer);
        member.is_some_and(|member| {
            member.role = Role::Moderator;
            true
        })
    }

    /// Whether there was such a member.
    pub(super) fn mute(&mut self, peer: PeerId, kind: Kind, muted: bool) -> bool {
        let member = self.members.iter_mut().find(|member| member.peer == peer);
        member.is_some_and(|member| {
            member.muted.retain(|known| *known != kind);
            if muted {
                member.muted.push(kind);
            }
            true
        })
    }

    pub(super) fn muted(&self, peer: PeerId, kind: Kind) -> bool {
        self.member(peer)
            .is_some_and(|member| member.muted.contains(&kind))
    }

    fn member(&self, peer: PeerId) -> Option<&Member> {
        self.members.iter().find(|member| member.peer == peer)
    }
}
