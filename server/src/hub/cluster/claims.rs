//! How a peer gets a seat in a room of the cluster, and gives it up.

use std::time::Instant;

use rtc_protocol::{
    Dialect, ErrorCode, LeaveReason, Member, Name, PeerId, Role, RoomId, ServerMessage,
};

use super::super::room::{Place, Room, Standing};
use super::super::{Effect, Hub, Refusal};
use super::{Cluster, Wish};
use crate::cluster::seats::{Answer, Claim, Request};
use crate::cluster::{NodeId, Word};

/// Words about a room that are kept until somebody here is in it; what is over it, renewing mends.
const EARLY: usize = 1_024;

/// Bytes of them.
const EARLY_BYTES: usize = 1 << 20;

/// Somebody who wants to be in a room.
#[derive(Clone, Debug)]
pub(in crate::hub) struct NewMember {
    pub(in crate::hub) peer: PeerId,
    pub(in crate::hub) name: Name,
    pub(in crate::hub) dialect: Option<Dialect>,
    pub(in crate::hub) standing: Standing,
}

/// A claim that the broker has not answered.
#[derive(Debug)]
pub(super) struct Pending {
    number: u64,
    room: RoomId,
    /// The request's id.
    id: Option<u64>,
    member: NewMember,
}

/// What is kept for those who are about to enter a room that is not known here.
#[derive(Debug, Default)]
pub(super) struct Early {
    claims: usize,
    words: Vec<(NodeId, Word)>,
    bytes: usize,
}

/// A seat that was given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// In which room.
    pub room: RoomId,
    /// By whom.
    pub peer: PeerId,
    /// Which.
    pub seat: u64,
    /// Why.
    pub reason: LeaveReason,
    /// Nodes that know it already.
    pub told: Vec<NodeId>,
}

impl Cluster {
    /// The rooms that a peer is about to enter.
    pub(in crate::hub) fn claims_of(&self, peer: PeerId) -> impl Iterator<Item = &RoomId> {
        let own = self.pending.get(&peer).into_iter().flatten();
        own.map(|pending| &pending.room)
    }

    pub(in crate::hub) fn claims(&self, peer: PeerId, room: &RoomId) -> bool {
        self.claims_of(peer).any(|one| one == room)
    }

    /// Takes out a claim of a peer.
    fn take(&mut self, peer: PeerId, which: impl Fn(&Pending) -> bool) -> Option<Pending> {
        let own = self.pending.get_mut(&peer)?;
        let at = own.iter().position(which)?;
        let pending = own.swap_remove(at);
        if own.is_empty() {
            self.pending.remove(&peer);
        }
        Some(pending)
    }

    /// A claim is answered. Gives what was said early of the room to the first who is in; all others heard it, or will, as
    /// the room is known from then on.
    fn over(&mut self, room: &RoomId, inside: bool) -> Vec<(NodeId, Word)> {
        let Some(early) = self.early.get_mut(room) else {
            return Vec::new();
        };
        early.claims -= 1;
        let words = if inside {
            early.bytes = 0;
            std::mem::take(&mut early.words)
        } else {
            Vec::new()
        };
        if early.claims == 0 {
            self.early.remove(room);
        }
        words
    }

    /// Keeps what was said of a room that somebody is about to enter; whether anybody is.
    pub(super) fn keep_early(&mut self, room: &RoomId, from: NodeId, word: Word) -> bool {
        let Some(early) = self.early.get_mut(room) else {
            return false;
        };
        let bytes = early.bytes + word.weight();
        if early.words.len() < EARLY && bytes <= EARLY_BYTES {
            early.bytes = bytes;
            early.words.push((from, word));
        }
        true
    }
}

impl Hub {
    /// Asks the broker for a seat.
    pub(in crate::hub) fn claim(
        &mut self,
        id: Option<u64>,
        room: RoomId,
        member: NewMember,
        capacity: u16,
        _out: &mut Vec<Effect>,
    ) {
        let known = self.rooms.get(&room);
        let shown = match known {
            Some(inside) => as_member(inside, &member, false),
            None => as_member(&Room::new(room.clone(), capacity, self.now), &member, false),
        };
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        cluster.number += 1;
        let number = cluster.number;
        let claim = Claim {
            room: room.clone(),
            node: cluster.me,
            turn: cluster.turn(member.peer),
            lease: cluster.lease(),
            capacity,
            peer: member.peer,
            member: shown,
        };
        cluster.early.entry(room.clone()).or_default().claims += 1;
        let pending = Pending {
            number,
            room,
            id,
            member,
        };
        let own = cluster.pending.entry(pending.member.peer);
        own.or_default().push(pending);
        cluster.wishes.push(Wish::Claim(number, Box::new(claim)));
    }

    /// The broker has answered a claim; none when it cannot be reached.
    pub fn claimed(
        &mut self,
        now: Instant,
        number: u64,
        claim: &Claim,
        answer: Option<Answer>,
        out: &mut Vec<Effect>,
    ) {
        self.now = now;
        let room = &claim.room;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let pending = cluster.take(claim.peer, |one| one.number == number);
        let here = self.rooms.get(room).and_then(|one| one.place(claim.peer));
        let comes = here.is_some_and(|place| place.node.is_none());
        let comes = comes || cluster.claims(claim.peer, room);
        let seated = matches!(answer, Some(Answer::Seated { .. }));
        let early = cluster.over(room, pending.is_some() && seated);
        let Some(pending) = pending else {
            // It thought better of it, or is gone.
            if seated && comes {
                // And came again: answers may overtake each other, so this seat may have taken the place of its later one.
                cluster.wishes.push(Wish::Sync(room.clone()));
            } else if let Some(Answer::Seated { seat, others, .. }) = answer {
                let mut told: Vec<NodeId> = others.values().map(|seat| seat.node).collect();
                told.sort_unstable();
                told.dedup();
                cluster.wishes.push(Wish::Release(Leaving {
                    room: room.clone(),
                    peer: claim.peer,
                    seat,
                    reason: LeaveReason::Left,
                    told,
                }));
            }
            return;
        };
        let peer = claim.peer;
        match answer {
            Some(Answer::Seated {
                seat,
                capacity,
                first,
                others,
            }) => {
                let others: Vec<_> = others.into_iter().collect();
                self.take_seat(pending, room, (seat, capacity, first), others, out);
                for (from, word) in early {
                    self.hear(now, from, word, out);
                }
            }
            answer => {
                let (code, message) = refusal(room, answer.as_ref());
                // Where its turn was asked for meanwhile, this is no answer to that one.
                let asked = self.turn_of(peer).unwrap_or_default() == claim.turn;
                if answer == Some(Answer::Superseded) && asked && !self.asks_for_its_turn(peer) {
                    return self.is_elsewhere(peer, out);
                }
                self.answer(
                    peer,
                    pending.id,
                    ServerMessage::Error { code, message },
                    out,
                );
            }
        }
    }

    fn take_seat(
        &mut self,
        pending: Pending,
        room: &RoomId,
        (seat, capacity, first): (u64, u16, bool),
        others: Vec<(PeerId, crate::cluster::seats::Seat)>,
        out: &mut Vec<Effect>,
    ) {
        let Pending { id, member, .. } = pending;
        let peer = member.peer;
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        session.enter(room.clone());
        if self.rooms.get(room).is_some_and(|inside| inside.has(peer)) {
            // It was on another node before, which has not said so.
            self.goes_elsewhere(peer, room, LeaveReason::Lost, out);
        }
        let me = self.cluster.as_deref().map(|cluster| cluster.me);
        let metrics = &self.metrics;
        let inside = self.rooms.entry(room.clone()).or_insert_with(|| {
            metrics.rooms_opened.inc();
            Room::new(room.clone(), capacity, now)
        });
        inside.set_capacity(capacity);
        for (other, known) in others {
            if Some(known.node) != me {
                self.is_there(room, other, known, out);
            }
        }
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        let members = inside.members();
        let newcomer = as_member(inside, &member, first && members.is_empty());
        let held = inside.decisions.held(peer);
        let place = Place {
            peer,
            seat,
            node: None,
            since: now,
            differs: false,
        };
        inside.seat(newcomer.clone(), place);
        let nodes = inside.nodes();
        self.metrics.room_joins.inc();
        self.names.enters(&member.name, peer, room);
        let muted = newcomer.muted.clone();
        let joined = ServerMessage::Joined {
            room: room.clone(),
            peer,
            role: newcomer.role,
            capacity,
            members,
        };
        self.answer(peer, id, joined, out);
        for kind in muted {
            let hold = held.iter().find(|hold| hold.kind == kind);
            let muted = ServerMessage::Muted {
                room: room.clone(),
                peer,
                kind,
                by: hold.map_or(peer, |hold| hold.by),
            };
            self.tell(peer, muted, out);
        }
        let changed = newcomer.role == Role::Moderator;
        let word = Word::Joined {
            room: room.clone(),
            seat,
            capacity,
            member: newcomer.clone(),
        };
        let came = ServerMessage::PeerJoined {
            room: room.clone(),
            member: newcomer,
        };
        self.tell_room(room, Some(peer), came, out);
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.say_each(nodes, &word);
            if changed {
                // The broker was told that it is a plain member.
                cluster.wishes.push(Wish::Sync(room.clone()));
            }
        }
    }

    /// Gives up a claim; whether there was one.
    pub(in crate::hub) fn abandon(&mut self, peer: PeerId, room: &RoomId) -> bool {
        let cluster = self.cluster.as_deref_mut();
        cluster.is_some_and(|cluster| cluster.take(peer, |one| one.room == *room).is_some())
    }

    /// Gives up all claims of a peer whose session ends.
    pub(in crate::hub) fn abandon_all(&mut self, peer: PeerId) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        cluster.turns.remove(&peer);
        cluster.pending.remove(&peer);
        cluster.naming.retain(|_, one| one.peer != peer);
        cluster.seeking.retain(|_, one| one.caller != peer);
    }

    /// A peer is not here any more.
    pub(in crate::hub) fn is_gone(&mut self, peer: PeerId) {
        if let Some(cluster) = self.cluster.as_deref_mut() {
            let node = cluster.me;
            cluster.wishes.push(Wish::Ask(Request::Gone { peer, node }));
        }
    }

    /// A member of ours has left its seat.
    pub(in crate::hub) fn release(&mut self, place: Place, room: &RoomId, reason: LeaveReason) {
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        inside.departed(place.peer, place.seat);
        let told = inside.nodes();
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let word = Word::Left {
            room: room.clone(),
            peer: place.peer,
            seat: place.seat,
            reason,
        };
        cluster.say_each(told.iter().copied(), &word);
        cluster.wishes.push(Wish::Release(Leaving {
            room: room.clone(),
            peer: place.peer,
            seat: place.seat,
            reason,
            told,
        }));
    }

    /// The broker has noted that a seat is free, and said which nodes hold others there.
    pub fn released(&mut self, leaving: Leaving, nodes: Vec<NodeId>) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let Leaving {
            room,
            peer,
            seat,
            reason,
            told,
        } = leaving;
        let word = Word::Left {
            room,
            peer,
            seat,
            reason,
        };
        let me = cluster.me;
        // Those who came in between the last that we heard of them and this.
        let rest = nodes
            .into_iter()
            .filter(|node| *node != me && !told.contains(node));
        cluster.say_each(rest, &word);
    }

    /// Whoever was put out is not to get in by another node.
    pub(in crate::hub) fn keep_out(&mut self, peer: PeerId, room: &RoomId) {
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.wishes.push(Wish::Ask(Request::PutOut {
                room: room.clone(),
                peer,
                ms: rtc_protocol::limits::PUT_OUT_MS,
            }));
        }
    }
}

fn as_member(inside: &Room, member: &NewMember, first: bool) -> Member {
    let (name, dialect) = (member.name.clone(), member.dialect);
    inside.newcomer(member.peer, name, dialect, &member.standing, first)
}

fn refusal(room: &RoomId, answer: Option<&Answer>) -> Refusal {
    match answer {
        Some(Answer::Full { capacity }) => (
            ErrorCode::RoomFull,
            format!("room {room} has its {capacity} members"),
        ),
        Some(Answer::Out { ms }) => (
            ErrorCode::NotAllowed,
            format!(
                "a moderator put you out of room {room}; it lets you in again in {} s",
                ms / 1000 + 1
            ),
        ),
        _ => (
            ErrorCode::TryLater,
            format!(
                "whether room {room} has a place cannot be found out just now; try again in a few seconds"
            ),
        ),
    }
}
