//! Sessions that move: a peer that comes back at another node than the one that has its session, which gives it up whole.
//!
//! The broker gives each hello of a peer a turn, and says where the peer was before; that node is asked to yield, and sends
//! all that there is of the session: what was not delivered, rooms, name, calls. From then on it passes on what still comes for
//! the peer. Where two nodes ask, each has another turn and is told of the one before it, so the session goes on from one to
//! the other, and the later one has it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rtc_protocol::{Kind, LeaveReason, Member, PeerId, RoomId, ServerMessage, close};

use super::super::call::Far;
use super::super::decisions::Hold;
use super::super::room::Place;
use super::super::{ConnectionId, Effect, Hub, Line, Room, Session};
use super::baggage::{Baggage, Carried, CarriedCall, Sat};
use super::claims::Leaving;
use super::{Cluster, Wish};
use crate::cluster::seats::{Answer, Held, Request, Seat};
use crate::cluster::{NodeId, Word};

/// How long a peer's hello waits for its session: many times what it takes, and short for a node that has just died.
pub(crate) const HANDOVER: Duration = Duration::from_secs(2);

/// Unmutings of one peer that are kept while it is on its way, for seconds.
const FREED: usize = 16;

/// The turn of a peer that came back while the broker could not say which of its hellos that was: lower than all others.
const UNKNOWN: u64 = 0;

/// A peer whose session is on its way here.
#[derive(Debug)]
pub(super) struct Arriving {
    turn: u64,
    /// Nodes that have not answered.
    asked: BTreeSet<NodeId>,
    /// Those that may have it all the same, and hear of it when it is here.
    told: Vec<NodeId>,
    /// Who waits to say hello.
    waiters: Vec<u64>,
    /// It has said hello at yet another node since.
    superseded: bool,
    until: Instant,
    /// What it was unmuted of by others since, which nobody could tell it; the last few.
    freed: Vec<Freed>,
}

/// Somebody was unmuted while it was on its way.
#[derive(Debug)]
struct Freed {
    room: RoomId,
    kind: Kind,
    by: PeerId,
}

impl Cluster {
    /// Passes on what came for peers that were in a room here and have moved; gives those of whom nothing is known.
    pub(super) fn pass_on(&mut self, room: &RoomId, to: Vec<PeerId>, line: &str) -> Vec<PeerId> {
        let (moved, rest): (Vec<_>, Vec<_>) = to
            .into_iter()
            .partition(|peer| self.moved.to(*peer).is_some());
        for peer in moved {
            if let Some(node) = self.moved.to(peer) {
                let word = Word::Deliver {
                    room: room.clone(),
                    to: vec![peer],
                    line: line.to_owned(),
                };
                self.say(node, word);
            }
        }
        rest
    }

    /// Says on to a peer's new node what was decided of it by somebody who may not know yet that it has moved.
    pub(super) fn says_on(&mut self, from: NodeId, word: &Word) {
        let (peer, by_its_node) = match word {
            Word::Kick { peer, .. } => (*peer, true),
            // Facts: whoever says them knows them.
            Word::Muted { peer, .. } | Word::Granted { peer, .. } => (*peer, false),
            _ => return,
        };
        if let Some(node) = self.moved.to(peer)
            && (by_its_node || node != from)
        {
            self.say(node, word.clone());
        }
    }

    /// Somebody muted or unmuted a peer that may be on its way here: where it was, that may not have come in time.
    pub(in crate::hub) fn decides(
        &mut self,
        peer: PeerId,
        room: &RoomId,
        (by, kind, on): (PeerId, Kind, bool),
    ) {
        let Some(arriving) = self.arriving.get_mut(&peer).filter(|_| by != peer) else {
            return;
        };
        let freed = &mut arriving.freed;
        freed.retain(|one| (&one.room, one.kind) != (room, kind));
        if !on {
            if freed.len() >= FREED {
                freed.remove(0);
            }
            let room = room.clone();
            freed.push(Freed { room, kind, by });
        }
    }

    /// Whether there is a node to which a peer that is sent on comes, session and all: another one of this region, whose
    /// balancer leads there; of others only where it is told an address.
    pub(in crate::hub) fn has_others(&self, sent_to_address: bool) -> bool {
        let own = self.regions.own();
        let comes = |node| sent_to_address || self.regions.of(node) == Some(own);
        self.nodes.alive().into_iter().any(comes)
    }
}

impl Hub {
    /// A peer that is not known here comes back, with a turn that the broker gave it, from that node as far as is known;
    /// `waiter` is told by [`Effect::Arrived`] when it may say hello. False: it need not wait.
    pub fn fetch(
        &mut self,
        now: Instant,
        peer: PeerId,
        (turn, before): (u64, Option<NodeId>),
        last: Option<u64>,
        waiter: u64,
    ) -> bool {
        self.now = now;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return false;
        };
        if let Some(arriving) = cluster.arriving.get_mut(&peer) {
            // Another connection of it waits already: whoever says hello last has it.
            let waits = !arriving.asked.is_empty();
            if waits {
                arriving.waiters.push(waiter);
            }
            return waits;
        }
        let there = |node: &NodeId| *node != cluster.me && cluster.may_live(*node);
        let asked: Vec<NodeId> = match (last, before.filter(there)) {
            // It begins anew: where it was, that is over. Should nobody have noted where, it ends there when its seats are
            // renewed; so many say hello for the first time that all nodes are not told each time.
            (None, there) => {
                cluster.say_each(there, &Word::Mine { peer, turn });
                Vec::new()
            }
            (Some(_), Some(node)) => vec![node],
            // The broker's memory of it is gone, or its node is.
            (Some(_), None) => cluster.nodes.alive(),
        };
        let waits = !asked.is_empty();
        let arriving = Arriving {
            turn,
            asked: asked.iter().copied().collect(),
            told: asked.clone(),
            waiters: waits.then_some(waiter).into_iter().collect(),
            superseded: false,
            until: now + HANDOVER,
            freed: Vec::new(),
        };
        cluster.arriving.insert(peer, arriving);
        let last = last.unwrap_or(0);
        cluster.say_each(asked, &Word::Yield { peer, turn, last });
        waits
    }

    /// What a hello has to be told of the way its peer came, before it is done: that is over now. Gives whether it has said
    /// hello elsewhere meanwhile.
    pub(in crate::hub) fn arrives(
        &mut self,
        peer: PeerId,
        returns: bool,
        out: &mut Vec<Effect>,
    ) -> bool {
        let me = self.node();
        let known = self.knows(peer);
        let (Some(cluster), Some(node)) = (self.cluster.as_deref_mut(), me) else {
            return false;
        };
        // It is here again: nothing is to be sent after it.
        cluster.moved.peers.remove(&peer);
        let Some(arriving) = cluster.arriving.remove(&peer) else {
            if !known {
                if returns {
                    // The broker could not be asked.
                    cluster.turns.insert(peer, UNKNOWN);
                }
                let turn = cluster.turn(peer);
                cluster
                    .wishes
                    .push(Wish::Ask(Request::Here { peer, node, turn }));
            }
            return false;
        };
        // Who still waits need not: there is nothing to wait for any more.
        out.extend(arriving.waiters.into_iter().map(Effect::Arrived));
        cluster.turns.insert(peer, arriving.turn);
        if cluster.regions.are_several() {
            // Only one of the two brokers that are to know it may have been asked.
            let turn = arriving.turn;
            let here = Request::Here { peer, node, turn };
            cluster.wishes.push(Wish::Ask(here));
        }
        if let Some((to, turn, _)) = cluster.onward.remove(&peer) {
            let session = None;
            cluster.say(
                to,
                Word::Yielded {
                    peer,
                    turn,
                    session,
                },
            );
        }
        if !known {
            // Wherever it was, it is not there any more.
            let turn = arriving.turn;
            // What was noted where is not all that there was, where a region was cut off.
            let told = if !arriving.told.is_empty() && cluster.regions.are_several() {
                cluster.nodes.alive()
            } else {
                arriving.told
            };
            cluster.say_each(told, &Word::Mine { peer, turn });
        }
        arriving.superseded
    }

    /// Which of its hellos a peer's session began with, where that is known: to be kept while it begins anew.
    pub(in crate::hub) fn turn_of(&self, peer: PeerId) -> Option<u64> {
        let turns = self.cluster.as_deref().map(|cluster| &cluster.turns);
        turns.and_then(|turns| turns.get(&peer).copied())
    }

    pub(in crate::hub) fn keep_turn(&mut self, peer: PeerId, turn: Option<u64>) {
        if let (Some(cluster), Some(turn)) = (self.cluster.as_deref_mut(), turn) {
            cluster.turns.insert(peer, turn);
        }
    }

    /// The broker has a newer session of a peer than the one here. Where that one's turn could not be asked for, it is
    /// asked for now, as its hello may well have been the last; gives whether that is so.
    pub(super) fn asks_for_its_turn(&mut self, peer: PeerId) -> bool {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return false;
        };
        let asks = cluster.turns.get(&peer) == Some(&UNKNOWN);
        if asks {
            cluster.wishes.push(Wish::Turn(peer));
        }
        asks
    }

    /// The broker has answered which of its hellos a peer's was.
    pub fn turned(&mut self, now: Instant, peer: PeerId, answer: &Answer) {
        self.now = now;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        // Its session may have ended since, or have come to have another turn.
        let known = cluster
            .turns
            .get_mut(&peer)
            .filter(|turn| **turn == UNKNOWN);
        if let (Answer::Turn { turn, .. }, Some(known)) = (answer, known) {
            let turn = *turn;
            *known = turn;
            let alive = cluster.nodes.alive();
            cluster.say_each(alive, &Word::Mine { peer, turn });
            if cluster.regions.are_several() {
                // Its home gave the turn; who looks for it in this region asks the broker here.
                let node = cluster.me;
                let here = Request::Here { peer, node, turn };
                cluster.wishes.push(Wish::Ask(here));
            }
            let rooms = self.session(peer).map(Session::rooms);
            for room in rooms.unwrap_or_default() {
                let inside = self.rooms.get_mut(&room);
                if let Some(place) = inside.and_then(|inside| inside.place_mut(peer)) {
                    place.since = now;
                }
            }
        }
    }

    /// Nobody waits for longer than it should for a node that does not answer.
    pub(in crate::hub) fn end_arriving(&mut self, out: &mut Vec<Effect>) {
        let now = self.now;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        cluster.arriving.retain(|_, arriving| {
            if now < arriving.until {
                return true;
            }
            // Who was told so says hello at once, unless its connection has broken meanwhile.
            let waited = !arriving.waiters.is_empty();
            out.extend(arriving.waiters.drain(..).map(Effect::Arrived));
            arriving.asked.clear();
            arriving.until = now + HANDOVER;
            waited
        });
        let arriving = &cluster.arriving;
        cluster.onward.retain(|peer, _| arriving.contains_key(peer));
        let rest = cluster.lease * 2;
        let apart = !cluster.cut.is_empty();
        cluster.moved.forget(now, rest, apart);
    }

    /// Another node wants a session that may be here.
    pub(super) fn is_asked_to_yield(
        &mut self,
        to: NodeId,
        peer: PeerId,
        turn: u64,
        last: u64,
        out: &mut Vec<Effect>,
    ) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let newer = cluster.turn(peer) < turn;
        if let Some(arriving) = cluster
            .arriving
            .get_mut(&peer)
            .filter(|one| one.turn < turn)
        {
            arriving.superseded = true;
            if !arriving.asked.is_empty() {
                // It is passed on when it comes, or when nobody has it.
                cluster.onward.insert(peer, (to, turn, last));
                return;
            }
        }
        let resumable = self
            .session(peer)
            .filter(|one| one.dialect().is_none())
            .map(|one| one.can_resume(last));
        let session = match resumable {
            Some(true) if newer => {
                self.goes_to_another_region(peer, to, turn);
                self.pack(peer, to, last, out).map(Box::new)
            }
            Some(_) if newer => {
                // More was said to it than is kept.
                self.close_session(peer, out);
                self.end(peer, LeaveReason::Lost, out);
                None
            }
            _ => None,
        };
        self.tell_node(
            to,
            Word::Yielded {
                peer,
                turn,
                session,
            },
        );
    }

    /// Another node has a peer, with this turn.
    pub(super) fn is_anothers(&mut self, peer: PeerId, turn: u64, out: &mut Vec<Effect>) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let arriving = cluster.arriving.get_mut(&peer);
        if let Some(arriving) = arriving.filter(|one| one.turn < turn) {
            // What is on its way here ends when it comes.
            arriving.superseded = true;
        }
        if cluster.turn(peer) < turn {
            self.is_elsewhere(peer, out);
        }
    }

    fn close_session(&self, peer: PeerId, out: &mut Vec<Effect>) {
        let connection = self.session(peer).and_then(Session::connection);
        out.extend(connection.map(|connection: ConnectionId| {
            Effect::Close(connection, close::TAKEN_OVER, "taken over")
        }));
    }

    /// The broker of this region knows where a peer has gone to, should it come back here.
    fn goes_to_another_region(&mut self, peer: PeerId, node: NodeId, turn: u64) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        if cluster.regions.of(node) != Some(cluster.regions.own()) {
            let there = Request::Here { peer, node, turn };
            cluster.wishes.push(Wish::Ask(there));
        }
    }

    /// Gives a session up, whole: nobody else is told anything.
    fn pack(
        &mut self,
        peer: PeerId,
        to: NodeId,
        last: u64,
        out: &mut Vec<Effect>,
    ) -> Option<Baggage> {
        let me = self.node()?;
        let now = self.now;
        self.close_session(peer, out);
        let session = self.sessions.get(&peer)?;
        let lines = session.after(last).map(Line::unnumbered).collect();
        let registered = session.registered().cloned();
        let mut baggage = Baggage {
            name: session.own_name().cloned(),
            registered: registered.clone(),
            seq: session.seq(),
            lines,
            rooms: Vec::new(),
            calls: Vec::new(),
        };
        for room in session.rooms() {
            let Some(inside) = self.rooms.get_mut(&room) else {
                continue;
            };
            let members = inside.seated().map(|(member, place)| Sat {
                node: place.node.unwrap_or(me),
                seat: place.seat,
                member: member.clone(),
            });
            baggage.rooms.push(Carried {
                capacity: inside.capacity(),
                members: members.collect(),
                holds: inside.decisions.all_held(),
                room: room.clone(),
            });
            if let Some(name) = inside.name(peer) {
                self.names.exits(name, peer, &room);
            }
            if let Some(place) = inside.place_mut(peer) {
                place.node = Some(to);
                place.since = now;
            }
            if inside.deserted() {
                self.rooms.remove(&room);
                self.metrics.rooms_closed.inc();
                if let Some(cluster) = self.cluster.as_deref_mut() {
                    cluster.moved.rooms.insert(room, now);
                }
            }
        }
        baggage.calls = self.calls.carry(peer, (me, to), now);
        if let Some(name) = registered {
            self.names.give_back(&name, peer);
        }
        self.abandon_all(peer);
        self.sessions.remove(&peer);
        self.metrics.sessions_ended.inc(LeaveReason::Left);
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.moved.peers.insert(peer, (to, now));
            for carried in &baggage.calls {
                cluster.moved.take_call(carried.call.clone(), to, now);
            }
        }
        Some(baggage)
    }

    /// Another node has given up a session, or has none.
    pub(super) fn is_yielded(
        &mut self,
        from: NodeId,
        peer: PeerId,
        turn: u64,
        session: Option<Baggage>,
        out: &mut Vec<Effect>,
    ) {
        let known = self.knows(peer);
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let arriving = cluster.arriving.get_mut(&peer);
        let arriving = arriving.filter(|arriving| arriving.turn == turn);
        let came = session.is_some();
        if let Some(arriving) = arriving {
            arriving.asked.remove(&from);
            if came {
                arriving.asked.clear();
            }
            if arriving.asked.is_empty() {
                out.extend(arriving.waiters.drain(..).map(Effect::Arrived));
                arriving.until = self.now + HANDOVER;
            }
        }
        let waits = cluster
            .arriving
            .get(&peer)
            .is_some_and(|arriving| !arriving.asked.is_empty());
        match session {
            Some(baggage) if known => self.unpack_nothing(peer, baggage),
            Some(baggage) => self.unpack(from, peer, turn, baggage, out),
            None => {}
        }
        let cluster = self.cluster.as_deref_mut();
        if let (false, Some((to, turn, last))) =
            (waits, cluster.and_then(|one| one.onward.remove(&peer)))
        {
            self.is_asked_to_yield(to, peer, turn, last, out);
        }
        let cluster = self.cluster.as_deref();
        let arriving = cluster.and_then(|one| one.arriving.get(&peer));
        if came && !known && arriving.is_some_and(|one| one.superseded) {
            self.is_elsewhere(peer, out);
        }
    }

    /// A session that came too late: its peer has begun anew here. Its seats are given up.
    fn unpack_nothing(&mut self, peer: PeerId, baggage: Baggage) {
        for carried in baggage.rooms {
            let inside = self.rooms.get(&carried.room);
            if inside.is_some_and(|inside| inside.has(peer) && inside.node_of(peer).is_none()) {
                continue;
            }
            let Some(own) = carried.members.iter().find(|one| one.member.peer == peer) else {
                continue;
            };
            let leaving = Leaving {
                room: carried.room,
                peer,
                seat: own.seat,
                reason: LeaveReason::Left,
                told: Vec::new(),
            };
            if let Some(cluster) = self.cluster.as_deref_mut() {
                cluster.wishes.push(Wish::Release(leaving));
            }
        }
        for carried in baggage.calls {
            let call = carried.call;
            self.tell_node(carried.node, Word::HungUp { call });
        }
    }

    /// A session is here from now on, and waits for its peer as one whose link is lost.
    fn unpack(
        &mut self,
        from: NodeId,
        peer: PeerId,
        turn: u64,
        baggage: Baggage,
        out: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let Baggage {
            name,
            registered,
            seq,
            lines,
            rooms,
            calls,
        } = baggage;
        let lines: Vec<Line> = lines
            .iter()
            .filter_map(|text| Line::written(text))
            .collect();
        // Before it can be told of them, as it knows them.
        let me = self.node();
        for Carried { room, members, .. } in &rooms {
            let others = members.iter().filter(|one| one.member.peer != peer);
            for one in others.filter(|one| Some(one.node) != me) {
                self.hears_of(room, one.clone(), out);
            }
        }
        self.sessions
            .insert(peer, Box::new(Session::carried(now, name, seq, lines)));
        self.metrics
            .sessions_begun
            .inc(crate::metrics::Begun::Moved);
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.turns.insert(peer, turn);
            cluster.moved.peers.remove(&peer);
        }
        for carried in rooms {
            self.moves_in(peer, carried, out);
        }
        if let Some(name) = registered {
            self.brings_name(peer, name);
        }
        for carried in calls {
            self.brings_call(from, (peer, turn), carried, out);
        }
        self.look_again(peer);
    }

    /// Somebody is in a room that is known here, of whom what was said may still be on its way.
    fn hears_of(&mut self, room: &RoomId, one: Sat, out: &mut Vec<Effect>) {
        let Sat { node, seat, member } = one;
        let (peer, turn) = (member.peer, 0);
        let inside = self.rooms.get(room);
        if inside.is_some_and(|inside| !inside.has(peer)) {
            let held = Held { seat, turn, member };
            self.is_there(room, peer, Seat { node, held }, out);
        }
    }

    /// A room that a peer is in, and its seat there, come with it.
    fn moves_in(&mut self, peer: PeerId, carried: Carried, out: &mut Vec<Effect>) {
        let now = self.now;
        let Some(cluster) = self.cluster.as_deref() else {
            return;
        };
        let me = cluster.me;
        let Carried {
            room,
            capacity,
            members,
            holds,
        } = carried;
        let Some(own) = members.iter().find(|one| one.member.peer == peer).cloned() else {
            return;
        };
        let known: BTreeSet<PeerId> = members.iter().map(|one| one.member.peer).collect();
        if !self.rooms.contains_key(&room) {
            self.metrics.rooms_opened.inc();
            let mut inside = Room::new(room.clone(), capacity, now);
            for (peer, kind, by) in holds {
                inside.decisions.hold(Hold { peer, kind, by });
            }
            // Who cannot be reached from here may have been from where it comes.
            let there = |node| node != me && !cluster.is_cut_off(node);
            for one in members.into_iter().filter(|one| there(one.node)) {
                let place = Place {
                    peer: one.member.peer,
                    seat: one.seat,
                    node: Some(one.node),
                    since: now,
                    differs: false,
                };
                inside.seat(one.member, place);
            }
            self.rooms.insert(room.clone(), inside);
        } else {
            self.hears_of(
                &room,
                Sat {
                    node: me,
                    ..own.clone()
                },
                out,
            );
        }
        let Some(inside) = self.rooms.get_mut(&room) else {
            return;
        };
        let Some(place) = inside.place_mut(peer) else {
            return;
        };
        place.node = None;
        place.since = now;
        let nodes = inside.nodes();
        let capacity = inside.capacity();
        // Decided here while it was on its way: where it was, nobody could tell it.
        let held = inside.decisions.held(peer).into_iter();
        let news: Vec<Hold> = held
            .filter(|hold| inside.muted(peer, hold.kind))
            .filter(|hold| !own.member.muted.contains(&hold.kind))
            .collect();
        let members = inside.members();
        let arriving = self
            .cluster
            .as_ref()
            .and_then(|one| one.arriving.get(&peer));
        let freed = arriving.into_iter().flat_map(|one| &one.freed);
        let freed: Vec<(Kind, PeerId)> = freed
            .filter(|one| one.room == room && own.member.muted.contains(&one.kind))
            .filter(|one| !inside.muted(peer, one.kind))
            .map(|one| (one.kind, one.by))
            .collect();
        self.names.enters(&own.member.name, peer, &room);
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.enter(room.clone());
            session.comes_with(room.clone());
        }
        self.tell_difference(peer, &room, known, members, out);
        for Hold { kind, by, .. } in news {
            let room = room.clone();
            let muted = ServerMessage::Muted {
                room,
                peer,
                kind,
                by,
            };
            self.tell(peer, muted, out);
        }
        for (kind, by) in freed {
            let room = room.clone();
            let unmuted = ServerMessage::Unmuted {
                room,
                peer,
                kind,
                by,
            };
            self.tell(peer, unmuted, out);
        }
        if let Some(cluster) = self.cluster.as_deref_mut() {
            let word = Word::Joined {
                room: room.clone(),
                seat: own.seat,
                capacity,
                member: own.member,
            };
            cluster.say_each(nodes, &word);
            cluster.wishes.push(Wish::Sync(room));
        }
    }

    /// Tells a peer who is in a room as it is known here, and was not where it comes from, or the other way round.
    fn tell_difference(
        &mut self,
        peer: PeerId,
        room: &RoomId,
        mut known: BTreeSet<PeerId>,
        members: Vec<Member>,
        out: &mut Vec<Effect>,
    ) {
        for member in members {
            if !known.remove(&member.peer) {
                let room = room.clone();
                self.tell(peer, ServerMessage::PeerJoined { room, member }, out);
            }
        }
        for gone in known {
            let left = ServerMessage::PeerLeft {
                room: room.clone(),
                peer: gone,
                reason: LeaveReason::Lost,
            };
            self.tell(peer, left, out);
        }
    }

    /// A call that a peer has comes with it.
    fn brings_call(
        &mut self,
        from: NodeId,
        (peer, turn): (PeerId, u64),
        carried: CarriedCall,
        out: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let CarriedCall {
            call,
            caller,
            callee,
            node,
            rings_ms,
        } = carried;
        let rings = rings_ms.map(|ms| now + Duration::from_millis(ms));
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.moved.call_is_back(&call);
        }
        if Some(node) == self.node() {
            // The other side is here.
            match self.calls.meets(&call, peer) {
                None => self.tell(peer, ServerMessage::HungUp { call }, out),
                // It was taken while its caller was on its way.
                Some(true) if rings.is_some() && caller == peer => {
                    self.metrics.calls_accepted.inc();
                    self.tell(peer, ServerMessage::Accepted { call }, out);
                }
                Some(_) => {}
            }
            return;
        }
        let home = callee == peer;
        let far = Far::at(node, home);
        self.calls.begin(
            call.clone(),
            (caller, callee),
            Some(far),
            rings.unwrap_or(now),
        );
        if rings.is_none() {
            self.calls.taken(&call);
        }
        if node != from {
            let rings = rings.is_some();
            self.tell_node(node, Word::CallMoved { call, rings, turn });
        }
    }
}
