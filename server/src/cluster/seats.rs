//! What the nodes of a cluster share: who has a seat in which room, which nodes live, whose a name is.
//!
//! [`Request`] and [`Answer`] are what can be asked of it, [`Ledger`] its rules, pure on `(now, request)`: they are what the
//! broker in memory is, and what `seats.lua` says again for Redis. One suite of tests holds both to the same.
//!
//! A seat is held for a lease and must be renewed by its node. The ledger itself may forget everything; it says since when
//! it remembers (`born`), and gives no seat away before every node has had time to say what it holds. The same is so when
//! it has heard of no node for half a lease: what ran out meanwhile is held all the same, and nobody could renew it.

use std::collections::{BTreeMap, HashMap};

use rtc_protocol::{Member, Name, PeerId, RoomId};
use serde::{Deserialize, Serialize};

use super::words::NodeId;

/// What part of a lease after its birth the ledger waits with new seats: longer than nodes take to renew all of theirs, as
/// one shard of a broker may forget alone, which is seen only when something in it is renewed.
pub(super) const GRACE: u64 = 2;

/// One member's seat, as its node tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its number: the order of the members, and what makes it unlike all others of the peer.
    pub seat: u64,
    /// Which of the peer's hellos it belongs to.
    pub turn: u64,
    /// The peer, as others see it.
    #[serde(with = "as_text")]
    pub member: Member,
}

/// One seat, and which node holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seat {
    /// The node.
    pub node: NodeId,
    /// The seat.
    #[serde(flatten)]
    pub held: Held,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Request {
    /// Give this peer a seat, if one is free.
    Claim(Claim),
    /// It has left its seat.
    Release {
        /// In which room.
        #[serde(skip)]
        room: RoomId,
        /// Who.
        peer: PeerId,
        /// Which seat; another one of the peer stays.
        seat: u64,
    },
    /// This is all that I hold in a room; for another lease.
    Sync(Sync),
    /// Give this peer no seat for a while.
    PutOut {
        /// In which room.
        #[serde(skip)]
        room: RoomId,
        /// Whom.
        peer: PeerId,
        /// For how long.
        ms: u64,
    },
    /// I live; who else does?
    Beat {
        /// Who lives.
        node: NodeId,
        /// For how long at least.
        lease: u64,
        /// Sessions that it has.
        peers: u64,
        /// Who holds much at it, as it tells the others; see [`Told`](super::holdings::told::Told).
        #[serde(skip_serializing_if = "Option::is_none")]
        held: Option<String>,
    },
    /// A number higher than all that this peer was ever given; it is to be at this node from now on.
    Turn {
        /// Who.
        #[serde(skip)]
        peer: PeerId,
        /// Where it says hello.
        node: NodeId,
    },
    /// A peer is at this node, unless it has said hello elsewhere since.
    Here {
        /// Who.
        #[serde(skip)]
        peer: PeerId,
        /// Where.
        node: NodeId,
        /// Which of its hellos it was.
        turn: u64,
    },
    /// It is so no more.
    Gone {
        /// Who.
        #[serde(skip)]
        peer: PeerId,
        /// Where it was.
        node: NodeId,
    },
    /// Where is this peer?
    Where {
        /// Who.
        #[serde(skip)]
        peer: PeerId,
    },
    /// A name is to be this peer's alone, for a lease.
    Name {
        /// The name.
        #[serde(skip)]
        name: Name,
        /// Whose.
        peer: PeerId,
        /// Where it is.
        node: NodeId,
        /// For how long.
        lease: u64,
        /// It does not have it yet.
        fresh: bool,
    },
    /// It gives the name back.
    Unname {
        /// The name.
        #[serde(skip)]
        name: Name,
        /// Whose it was.
        peer: PeerId,
        /// Where that was.
        node: NodeId,
    },
    /// Whose is this name?
    Whose {
        /// The name.
        #[serde(skip)]
        name: Name,
    },
}

/// A wish for a seat.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// In which room.
    #[serde(skip)]
    pub room: RoomId,
    /// By which node.
    pub node: NodeId,
    /// Which of the peer's hellos it belongs to.
    pub turn: u64,
    /// For how long, until it is renewed.
    pub lease: u64,
    /// Members that the room may have, if it is new.
    pub capacity: u16,
    /// Who it is.
    pub peer: PeerId,
    /// The same, as others see it.
    #[serde(with = "as_text")]
    pub member: Member,
}

/// What a node holds in a room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sync {
    /// Which room.
    #[serde(skip)]
    pub room: RoomId,
    /// Which node.
    pub node: NodeId,
    /// For how long.
    pub lease: u64,
    /// Members that the room may have, if nobody remembers.
    pub capacity: u16,
    /// Its members there.
    pub seats: BTreeMap<PeerId, Held>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    /// The seat is given.
    Seated {
        /// Its number.
        seat: u64,
        /// How many may be in.
        capacity: u16,
        /// The room was empty.
        first: bool,
        /// Everybody else there.
        #[serde(default)]
        others: BTreeMap<PeerId, Seat>,
    },
    /// None is free.
    Full {
        /// Of how many.
        capacity: u16,
    },
    /// Not this peer, for so long.
    Out {
        /// Milliseconds.
        ms: u64,
    },
    /// The peer has said hello elsewhere since.
    Superseded,
    /// The ledger was born only just now: ask again then.
    Wait {
        /// Milliseconds.
        ms: u64,
    },
    /// The seat is free again.
    Released {
        /// Nodes that still hold some in the room.
        #[serde(default)]
        nodes: Vec<NodeId>,
    },
    /// The node's seats are as it said.
    Synced {
        /// How many may be in.
        capacity: u16,
        /// Whether every node has had time to say what it holds.
        settled: bool,
        /// Those who have lost their seat to somebody who was given it meanwhile.
        #[serde(default)]
        lost: Vec<PeerId>,
        /// Those who have said hello elsewhere since.
        #[serde(default)]
        superseded: Vec<PeerId>,
        /// Everybody of other nodes.
        #[serde(default)]
        others: BTreeMap<PeerId, Seat>,
    },
    /// It is noted.
    Done,
    /// These nodes live.
    Alive {
        /// With their sessions.
        nodes: BTreeMap<NodeId, u64>,
        /// Since when the ledger remembers.
        born: u64,
        /// What those told of their holders that have not been silent for a while since.
        #[serde(default)]
        held: BTreeMap<NodeId, String>,
    },
    /// The number.
    Turn {
        /// See [`Request::Turn`].
        turn: u64,
        /// Where the peer was before, as far as that is known.
        #[serde(default)]
        before: Option<NodeId>,
    },
    /// The name is this peer's; or this is where the peer is.
    Taken {
        /// Whose.
        peer: PeerId,
        /// Where it is.
        node: NodeId,
    },
    /// The name is nobody's, or nobody knows where the peer is.
    Nobody,
}

/// A member as text inside of JSON: the broker passes it on as it is.
mod as_text {
    use rtc_protocol::Member;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        member: &Member,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(member).map_err(S::Error::custom)?;
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Member, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        serde_json::from_str(&text).map_err(D::Error::custom)
    }
}

#[derive(Debug)]
struct Kept {
    seat: Seat,
    until: u64,
}

#[derive(Debug)]
struct Alive {
    until: u64,
    peers: u64,
    held: Option<String>,
    /// Until when that counts: peers of a node that is silent are coming back elsewhere.
    counts: u64,
}

#[derive(Debug)]
struct Room {
    capacity: u16,
    last: u64,
    seats: BTreeMap<PeerId, Kept>,
    out: HashMap<PeerId, u64>,
}

impl Room {
    fn new(capacity: u16) -> Self {
        Self {
            capacity,
            last: 0,
            seats: BTreeMap::new(),
            out: HashMap::new(),
        }
    }

    fn others(&self, but: impl Fn(&PeerId, &Seat) -> bool) -> BTreeMap<PeerId, Seat> {
        let others = self
            .seats
            .iter()
            .filter(|(peer, kept)| !but(peer, &kept.seat));
        others
            .map(|(peer, kept)| (*peer, kept.seat.clone()))
            .collect()
    }
}

/// The rules, with all that is remembered; time is milliseconds of the ledger's own clock.
#[derive(Debug)]
pub struct Ledger {
    born: u64,
    /// When a node last said that it lives, and its lease.
    beaten: Option<(u64, u64)>,
    rooms: HashMap<RoomId, Room>,
    nodes: BTreeMap<NodeId, Alive>,
    names: HashMap<Name, (PeerId, NodeId, u64)>,
    peers: HashMap<PeerId, (u64, Option<NodeId>)>,
    turn: u64,
    /// The last number that was given to a seat. No two of one room have the same, even where it was empty for less than a
    /// millisecond: what is said late of the one before is not taken as about this one.
    numbered: u64,
}

impl Ledger {
    /// One that remembers nothing.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self {
            born: now,
            beaten: None,
            rooms: HashMap::new(),
            nodes: BTreeMap::new(),
            names: HashMap::new(),
            peers: HashMap::new(),
            turn: 0,
            numbered: 0,
        }
    }

    /// Does what is asked, in one step.
    pub fn ask(&mut self, now: u64, request: Request) -> Answer {
        let silent = |(at, lease): &mut (u64, u64)| now.saturating_sub(*at) > *lease / GRACE;
        if self.beaten.take_if(silent).is_some() {
            self.born = now;
        }
        match request {
            Request::Claim(claim) => self.claim(now, claim),
            Request::Release { room, peer, seat } => self.release(now, &room, peer, seat),
            Request::Sync(sync) => self.sync(now, sync),
            Request::PutOut { room, peer, ms } => {
                if let Some(room) = self.room(now, &room) {
                    room.out.insert(peer, now + ms);
                }
                Answer::Done
            }
            Request::Beat {
                node,
                lease,
                peers,
                held,
            } => {
                let alive = Alive {
                    until: now + lease,
                    peers,
                    held,
                    counts: now + lease / GRACE,
                };
                self.beat(now, node, lease, alive)
            }
            Request::Turn { peer, node } => {
                // Another region's broker may have given it one whose clock is ahead.
                let known = self.peers.get(&peer).map_or(0, |(turn, _)| *turn);
                self.turn = (self.turn.max(known) + 1).max(now);
                let before = self.peers.insert(peer, (self.turn, Some(node)));
                Answer::Turn {
                    turn: self.turn,
                    before: before.and_then(|(_, node)| node),
                }
            }
            Request::Here { peer, node, turn } => {
                let known = self.peers.entry(peer).or_insert((turn, None));
                if known.0 <= turn {
                    *known = (turn, Some(node));
                }
                Answer::Done
            }
            Request::Gone { peer, node } => {
                if let Some((_, at)) = self.peers.get_mut(&peer) {
                    at.take_if(|at| *at == node);
                }
                Answer::Done
            }
            Request::Where { peer } => match self.peers.get(&peer) {
                Some((_, Some(node))) => Answer::Taken { peer, node: *node },
                _ => Answer::Nobody,
            },
            Request::Name {
                name,
                peer,
                node,
                lease,
                fresh,
            } => {
                let since = now.saturating_sub(self.born);
                if fresh && since < lease / GRACE {
                    let ms = lease / GRACE - since;
                    return Answer::Wait { ms };
                }
                match self.owner(now, &name) {
                    Some((owner, at)) if owner != peer => Answer::Taken {
                        peer: owner,
                        node: at,
                    },
                    _ => {
                        self.names.insert(name, (peer, node, now + lease));
                        Answer::Done
                    }
                }
            }
            Request::Unname { name, peer, node } => {
                if self.owner(now, &name) == Some((peer, node)) {
                    self.names.remove(&name);
                }
                Answer::Done
            }
            Request::Whose { name } => match self.owner(now, &name) {
                Some((peer, node)) => Answer::Taken { peer, node },
                None => Answer::Nobody,
            },
        }
    }

    fn beat(&mut self, now: u64, node: NodeId, lease: u64, alive: Alive) -> Answer {
        self.beaten = Some((now, lease));
        self.nodes.retain(|_, alive| alive.until > now);
        self.nodes.insert(node, alive);
        let counts = self.nodes.iter().filter(|(_, alive)| alive.counts > now);
        let held = counts.filter_map(|(node, alive)| Some((*node, alive.held.clone()?)));
        let alive = self.nodes.iter().map(|(node, alive)| (*node, alive.peers));
        Answer::Alive {
            nodes: alive.collect(),
            born: self.born,
            held: held.collect(),
        }
    }

    fn owner(&self, now: u64, name: &Name) -> Option<(PeerId, NodeId)> {
        let known = self.names.get(name).filter(|(.., until)| *until > now);
        known.map(|(peer, node, _)| (*peer, *node))
    }

    /// A room with somebody in it.
    fn room(&mut self, now: u64, room: &RoomId) -> Option<&mut Room> {
        let inside = self.rooms.get_mut(room)?;
        inside.seats.retain(|_, kept| kept.until > now);
        if inside.seats.is_empty() {
            self.rooms.remove(room);
            return None;
        }
        self.rooms.get_mut(room)
    }

    fn claim(&mut self, now: u64, claim: Claim) -> Answer {
        let since = now.saturating_sub(self.born);
        if since < claim.lease / GRACE {
            return Answer::Wait {
                ms: claim.lease / GRACE - since,
            };
        }
        self.room(now, &claim.room);
        let room = self
            .rooms
            .entry(claim.room)
            .or_insert_with(|| Room::new(claim.capacity));
        if let Some(until) = room.out.get(&claim.peer).filter(|until| **until > now) {
            return Answer::Out { ms: until - now };
        }
        let own = room.seats.get(&claim.peer);
        if own.is_some_and(|own| own.seat.held.turn > claim.turn) {
            return Answer::Superseded;
        }
        let others = room.others(|peer, _| *peer == claim.peer);
        if others.len() >= usize::from(room.capacity) {
            return Answer::Full {
                capacity: room.capacity,
            };
        }
        self.numbered = (self.numbered + 1).max(now);
        room.last = (room.last + 1).max(self.numbered);
        let seat = room.last;
        let kept = Kept {
            seat: Seat {
                node: claim.node,
                held: Held {
                    seat,
                    turn: claim.turn,
                    member: claim.member,
                },
            },
            until: now + claim.lease,
        };
        room.seats.insert(claim.peer, kept);
        Answer::Seated {
            seat,
            capacity: room.capacity,
            first: others.is_empty(),
            others,
        }
    }

    fn release(&mut self, now: u64, room: &RoomId, peer: PeerId, seat: u64) -> Answer {
        let mut nodes = Vec::new();
        if let Some(inside) = self.room(now, room) {
            let own = inside.seats.get(&peer);
            if own.is_some_and(|own| own.seat.held.seat == seat) {
                inside.seats.remove(&peer);
            }
            nodes = inside.seats.values().map(|kept| kept.seat.node).collect();
            nodes.sort_unstable();
            nodes.dedup();
        }
        if nodes.is_empty() {
            self.rooms.remove(room);
        }
        Answer::Released { nodes }
    }

    fn sync(&mut self, now: u64, sync: Sync) -> Answer {
        let settled = now.saturating_sub(self.born) >= sync.lease;
        self.room(now, &sync.room);
        let room = self
            .rooms
            .entry(sync.room.clone())
            .or_insert_with(|| Room::new(sync.capacity));
        let (mut lost, mut superseded) = (Vec::new(), Vec::new());
        for (peer, held) in sync.seats {
            match room.seats.get(&peer).map(|kept| &kept.seat) {
                Some(known)
                    if known.held.turn > held.turn
                        || (known.node != sync.node && known.held.turn == held.turn) =>
                {
                    superseded.push(peer);
                    continue;
                }
                None if room.seats.len() >= usize::from(room.capacity) => {
                    lost.push(peer);
                    continue;
                }
                _ => {}
            }
            room.last = room.last.max(held.seat);
            let kept = Kept {
                seat: Seat {
                    node: sync.node,
                    held,
                },
                until: now + sync.lease,
            };
            room.seats.insert(peer, kept);
        }
        let answer = Answer::Synced {
            capacity: room.capacity,
            settled,
            lost,
            superseded,
            others: room.others(|_, seat| seat.node == sync.node),
        };
        self.room(now, &sync.room);
        answer
    }
}
