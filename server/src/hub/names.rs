//! Who can be called by which name: names that sessions registered, and names that members of rooms go by.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use rtc_protocol::{Callee, ErrorCode, Name, PeerId, RoomId};

use super::{Hub, Refusal};

/// Both kinds of names. A look-up costs the same however many there are.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Each belongs to one session.
    registered: HashMap<Name, PeerId>,
    /// Any number of members may go by the same.
    members: HashMap<Name, Bearers>,
}

/// A member, and the room in which it goes by a name.
type Bearer = (PeerId, RoomId);

/// Who goes by one name. Nearly always that is one, and a tree for it would be larger than all else that is kept of it.
#[derive(Debug)]
enum Bearers {
    One(Bearer),
    Many(BTreeSet<Bearer>),
}

impl Bearers {
    fn add(&mut self, bearer: Bearer) {
        match self {
            Self::One(one) if *one == bearer => {}
            Self::One(one) => *self = Self::Many([one.clone(), bearer].into()),
            Self::Many(many) => drop(many.insert(bearer)),
        }
    }

    /// Whether nobody is left.
    fn remove(&mut self, bearer: &Bearer) -> bool {
        match self {
            Self::One(one) => one == bearer,
            Self::Many(many) => {
                many.remove(bearer);
                many.is_empty()
            }
        }
    }

    /// The first and the last in order, which may be the same.
    fn ends(&self) -> Option<(&Bearer, &Bearer)> {
        match self {
            Self::One(one) => Some((one, one)),
            Self::Many(many) => many.first().zip(many.last()),
        }
    }
}

/// Where a name leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// To a session that can be rung.
    Ring(PeerId),
    /// Into a room.
    Room(PeerId, RoomId),
}

impl Names {
    /// Whose name it is.
    pub(super) fn owner(&self, name: &Name) -> Option<PeerId> {
        self.registered.get(name).copied()
    }

    /// Gives a free name away, or the owner's own again; whether it could.
    pub(super) fn take(&mut self, name: &Name, peer: PeerId) -> bool {
        *self.registered.entry(name.clone()).or_insert(peer) == peer
    }

    /// Takes a name back from its owner.
    pub(super) fn give_back(&mut self, name: &Name, peer: PeerId) {
        if self.owner(name) == Some(peer) {
            self.registered.remove(name);
        }
    }

    /// All that sessions have.
    pub(super) fn registered(&self) -> impl Iterator<Item = &Name> {
        self.registered.keys()
    }

    /// A member goes by this name in this room from now on.
    pub(super) fn enters(&mut self, name: &Name, peer: PeerId, room: &RoomId) {
        let bearer = (peer, room.clone());
        match self.members.entry(name.clone()) {
            Entry::Occupied(mut bearers) => bearers.get_mut().add(bearer),
            Entry::Vacant(none) => drop(none.insert(Bearers::One(bearer))),
        }
    }

    /// It does so no more.
    pub(super) fn exits(&mut self, name: &Name, peer: PeerId, room: &RoomId) {
        let bearers = self.members.get_mut(name);
        if bearers.is_some_and(|bearers| bearers.remove(&(peer, room.clone()))) {
            self.members.remove(name);
        }
    }

    /// Where a name leads somebody else than its own bearer.
    fn lead(&self, name: &Name, caller: PeerId) -> Result<Lead, Refusal> {
        if let Some(peer) = self.owner(name) {
            return Ok(Lead::Ring(peer));
        }
        match self.members.get(name).and_then(Bearers::ends) {
            Some(((one, room), (other, _))) if one == other && *one != caller => {
                Ok(Lead::Room(*one, room.clone()))
            }
            Some(((one, _), (other, _))) if one != other => Err((
                ErrorCode::NoSuchPeer,
                format!("several peers go by the name {name:?}; call one of them by id"),
            )),
            _ => Err((
                ErrorCode::NoSuchPeer,
                format!("nobody else here goes by the name {:?}", name.as_str()),
            )),
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.registered.is_empty() && self.members.is_empty()
    }
}

/// When a request gets its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Now,
    /// By whoever it waits for.
    Later,
}

impl Hub {
    /// Gives a session the name it asks for, instead of the one that it has; in a cluster the broker is asked first.
    pub(super) fn register(
        &mut self,
        peer: PeerId,
        id: Option<u64>,
        name: Name,
    ) -> Result<Answered, Refusal> {
        let Some(session) = self.sessions.get_mut(&peer) else {
            return Ok(Answered::Now);
        };
        session.rights().register(&name, self.now)?;
        if self.names.owner(&name).is_some_and(|owner| owner != peer) {
            return Err(taken(&name));
        }
        if self.ask_name(peer, id, &name)? == Answered::Later {
            return Ok(Answered::Later);
        }
        self.names.take(&name, peer);
        self.wear(peer, name);
        Ok(Answered::Now)
    }

    /// A session goes by the name that it was given.
    pub(super) fn wear(&mut self, peer: PeerId, name: Name) {
        let session = self.sessions.get_mut(&peer);
        match session.and_then(|session| session.register(name.clone())) {
            Some(old) if old != name => self.give_name_back(old, peer),
            _ => {}
        }
    }

    /// A name is free again, everywhere.
    pub(super) fn give_name_back(&mut self, name: Name, peer: PeerId) {
        self.names.give_back(&name, peer);
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.unname(name, peer);
        }
    }

    /// Where a callee is to be found.
    pub(super) fn lead(&self, caller: PeerId, whom: Callee) -> Result<Lead, Refusal> {
        match whom {
            Callee::Peer(peer) => Ok(Lead::Ring(peer)),
            Callee::Name(name) => self.names.lead(&name, caller),
        }
    }
}

pub(super) fn taken(name: &Name) -> Refusal {
    (
        ErrorCode::NameTaken,
        format!(
            "another peer has the name {:?}; choose another one",
            name.as_str()
        ),
    )
}
