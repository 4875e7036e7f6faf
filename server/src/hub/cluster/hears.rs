//! What another node says, done here: the same rules, and the members here are told.

use std::time::Instant;

use rtc_protocol::{
    Callee, Kind, LeaveReason, Member, PeerId, Right, Role, RoomId, ServerMessage, close,
};

use super::super::decisions::Hold;
use super::super::room::Place;
use super::super::{Effect, Finding, Hub, Line, Session};
use crate::cluster::seats::Seat;
use crate::cluster::{NodeId, Word};
use crate::metrics::CallEnd;

impl Hub {
    /// Another node says something.
    pub fn hear(&mut self, now: Instant, from: NodeId, word: Word, out: &mut Vec<Effect>) {
        self.now = now;
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.says_on(from, &word);
        }
        let room = match &word {
            Word::Joined { room, .. }
            | Word::Left { room, .. }
            | Word::Muted { room, .. }
            | Word::Granted { room, .. }
            | Word::Kick { room, .. }
            | Word::Deliver { room, .. }
            | Word::Nobody { room } => Some(room.clone()),
            _ => None,
        };
        if let Some(room) = room.filter(|room| !self.rooms.contains_key(room)) {
            return self.of_no_room(from, room, word);
        }
        match word {
            Word::Joined {
                room, seat, member, ..
            } => {
                let peer = member.peer;
                let held = crate::cluster::seats::Held {
                    seat,
                    turn: 0,
                    member,
                };
                self.is_there(&room, peer, Seat { node: from, held }, out);
            }
            Word::Left {
                room,
                peer,
                seat,
                reason,
            } => {
                let now = self.now;
                let Some(inside) = self.rooms.get_mut(&room) else {
                    return;
                };
                inside.departed(peer, seat);
                if reason == LeaveReason::Kicked {
                    inside.decisions.put_out(peer, now);
                }
                let known = inside.place(peer);
                if known.is_some_and(|place| place.node.is_some() && place.seat == seat) {
                    self.goes_elsewhere(peer, &room, reason, out);
                }
            }
            Word::Muted {
                room,
                peer,
                by,
                kind,
                on,
            } => self.is_muted(&room, peer, by, kind, on, out),
            Word::Granted { room, peer, by } => {
                let inside = self.rooms.get_mut(&room);
                // It may be said twice, when the peer moves.
                let fresh = inside.filter(|inside| !inside.moderates(peer));
                if fresh.is_some_and(|inside| inside.promote(peer)) {
                    self.tell_granted(&room, peer, by, out);
                    self.has_changed(peer, &room);
                }
            }
            Word::Kick {
                room,
                peer,
                by,
                reason,
            } => self.is_kicked(&room, peer, by, reason, out),
            Word::Deliver { room, to, line } => self.deliver(from, &room, to, &line, out),
            Word::Nobody { room } => {
                let there = self.rooms.get(&room).map(|inside| inside.at(from));
                for peer in there.unwrap_or_default() {
                    self.goes_elsewhere(peer, &room, LeaveReason::Lost, out);
                }
            }
            Word::Broadcast { line, number } => {
                let Some(line) = Line::written(&line) else {
                    return;
                };
                let told = self.tell_all(&line, out);
                if let Some(number) = number {
                    let finding = Finding {
                        told,
                        ..Finding::default()
                    };
                    self.tell_node(from, Word::Surveyed { number, finding });
                }
            }
            Word::Survey {
                number,
                after,
                limit,
            } => self.is_surveyed(from, number, after.as_deref(), limit),
            Word::Surveyed { number, finding } => self.finds(from, number, finding, out),
            Word::Mine { peer, turn } => self.is_anothers(peer, turn, out),
            Word::Ring {
                call,
                from: caller,
                name,
                peer,
                called,
                room,
            } => {
                let whom = match (peer, called) {
                    (Some(peer), _) => Callee::Peer(peer),
                    (None, Some(name)) => Callee::Name(name),
                    (None, None) => return,
                };
                self.is_rung(from, call, (caller, name), whom, room, out);
            }
            Word::Rang { call, peer } => self.rings_there(from, call, peer, out),
            Word::Met { call, peer, room } => self.is_met_there(from, &call, (peer, room), out),
            Word::NotRung {
                call,
                code,
                message,
            } => self.does_not_ring(from, &call, (code, message), out),
            Word::Accepted { call } => self.is_accepted(&call, from, out),
            Word::Refused { call, code, reason } => {
                let refused = Some((code, reason));
                self.is_over(&call, from, CallEnd::Refused, refused, out);
            }
            Word::HungUp { call } => self.is_over(&call, from, CallEnd::HungUp, None, out),
            Word::CallMoved { call, rings, turn } => {
                self.call_has_moved(call, (from, turn), rings, out);
            }
            Word::CallWent { call, node } => self.call_went(call, from, node),
            Word::CallsWithMe => self.is_asked_for_calls(from),
            Word::Yield { peer, turn, last } => {
                self.is_asked_to_yield(from, peer, turn, last, out);
            }
            Word::Yielded {
                peer,
                turn,
                session,
            } => self.is_yielded(from, peer, turn, session.map(|one| *one), out),
            // Said by a later version.
            Word::Unknown => {}
        }
    }

    /// Something about a room that nobody here is in: who is about to be will hear it, others need not hear more.
    fn of_no_room(&mut self, from: NodeId, room: RoomId, word: Word) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let word = match word {
            Word::Deliver { room, to, line } => {
                let to = cluster.pass_on(&room, to, &line);
                if to.is_empty() {
                    return;
                }
                Word::Deliver { room, to, line }
            }
            word => word,
        };
        // Who was in it here, and has gone on, is not to be taken for lost by those who have not heard yet where to.
        let moved = cluster.moved.has_room(&room);
        let answers = !moved && matches!(word, Word::Joined { .. } | Word::Deliver { .. });
        if !cluster.keep_early(&room, from, word) && answers {
            cluster.say(from, Word::Nobody { room });
        }
    }

    /// A member of another node is in a room.
    pub(super) fn is_there(
        &mut self,
        room: &RoomId,
        peer: PeerId,
        seat: Seat,
        out: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let cut_off = |one: &super::Cluster| one.is_cut_off(seat.node);
        if self.cluster.as_deref().is_some_and(cut_off) {
            // The broker of the room's home is reached there and here; who is there is not.
            return;
        }
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        let Seat { node, held } = seat;
        if held.member.peer != peer || inside.has_departed(peer, held.seat) {
            return;
        }
        if let Some(known) = inside.place_mut(peer) {
            if known.node.is_none() {
                // Ours; which of both is right, the broker knows.
                return;
            }
            if known.seat >= held.seat {
                if known.seat == held.seat {
                    known.node = Some(node);
                }
                return;
            }
            // It left and came back, and the first half of that is still on its way.
            self.goes_elsewhere(peer, room, LeaveReason::Left, out);
        }
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        let place = Place {
            peer,
            seat: held.seat,
            node: Some(node),
            since: now,
            differs: false,
        };
        inside.seat(held.member.clone(), place);
        let came = ServerMessage::PeerJoined {
            room: room.clone(),
            member: held.member,
        };
        self.tell_room(room, Some(peer), came, out);
    }

    /// A member of another node is not in a room any more.
    pub(in crate::hub) fn goes_elsewhere(
        &mut self,
        peer: PeerId,
        room: &RoomId,
        reason: LeaveReason,
        out: &mut Vec<Effect>,
    ) {
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        // Only who said so has left for good: who was not heard of for long may come back to its seat.
        let heir = inside.exit(peer);
        if !inside.deserted() {
            self.after_exit(peer, room, reason, heir, out);
        }
    }

    fn is_muted(
        &mut self,
        room: &RoomId,
        peer: PeerId,
        by: PeerId,
        kind: Kind,
        on: bool,
        out: &mut Vec<Effect>,
    ) {
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        if !inside.has(peer) {
            return;
        }
        let as_held = by == peer && on || inside.decisions.holds(peer, kind) == on;
        if inside.muted(peer, kind) == on && as_held {
            // It may be said twice, when the peer moves.
            return;
        }
        match (by == peer, on) {
            (false, true) => inside.decisions.hold(Hold { peer, kind, by }),
            (_, false) => inside.decisions.free(peer, kind),
            (true, true) => {}
        }
        inside.mute(peer, kind, on);
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.decides(peer, room, (by, kind, on));
        }
        self.tell_muted(room, peer, by, kind, on, out);
        self.has_changed(peer, room);
    }

    pub(super) fn tell_muted(
        &mut self,
        room: &RoomId,
        peer: PeerId,
        by: PeerId,
        kind: Kind,
        on: bool,
        out: &mut Vec<Effect>,
    ) {
        let room_id = room.clone();
        let message = if on {
            ServerMessage::Muted {
                room: room_id,
                peer,
                kind,
                by,
            }
        } else {
            ServerMessage::Unmuted {
                room: room_id,
                peer,
                kind,
                by,
            }
        };
        self.tell_room(room, Some(by), message, out);
    }

    pub(super) fn tell_granted(
        &mut self,
        room: &RoomId,
        peer: PeerId,
        by: PeerId,
        out: &mut Vec<Effect>,
    ) {
        let granted = ServerMessage::Granted {
            room: room.clone(),
            peer,
            right: Right::Moderator,
            by,
        };
        self.tell_room(room, None, granted, out);
    }

    fn is_kicked(
        &mut self,
        room: &RoomId,
        peer: PeerId,
        by: PeerId,
        reason: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        let ours = inside.place(peer).is_some_and(|place| place.node.is_none());
        if !ours {
            return;
        }
        inside.decisions.put_out(peer, now);
        self.remove(peer, room, LeaveReason::Kicked, out);
        let kicked = ServerMessage::Kicked {
            room: room.clone(),
            by,
            reason,
        };
        self.tell(peer, kicked, out);
    }

    fn deliver(
        &mut self,
        from: NodeId,
        room: &RoomId,
        to: Vec<PeerId>,
        line: &str,
        out: &mut Vec<Effect>,
    ) {
        for peer in to {
            let place = self.rooms.get(room).and_then(|inside| inside.place(peer));
            let moved = self.cluster.as_deref().and_then(|one| one.moved.to(peer));
            match place.map(|place| place.node) {
                Some(None) => self.tell_written(peer, line, out),
                // It has moved, which who says this did not know yet; be it to that one's own node.
                Some(Some(node)) if node != from || moved == Some(node) => {
                    let word = Word::Deliver {
                        room: room.clone(),
                        to: vec![peer],
                        line: line.to_owned(),
                    };
                    if let Some(cluster) = self.cluster.as_deref_mut() {
                        cluster.say(node, word);
                    }
                }
                _ => {}
            }
        }
    }

    fn tell_written(&mut self, peer: PeerId, line: &str, out: &mut Vec<Effect>) {
        if let Some(line) = Line::written(line) {
            self.tell_line(peer, &line, out);
        }
    }

    /// A peer of ours has said hello at another node since: its session here is over.
    pub(in crate::hub) fn is_elsewhere(&mut self, peer: PeerId, out: &mut Vec<Effect>) {
        let connection = self.session(peer).and_then(Session::connection);
        if let Some(connection) = connection {
            out.push(Effect::Close(connection, close::TAKEN_OVER, "taken over"));
        }
        self.end(peer, LeaveReason::Left, out);
    }

    /// What another node says that a member of its is, where it is not what is known here.
    pub(super) fn becomes(&mut self, room: &RoomId, member: Member, out: &mut Vec<Effect>) {
        let Some(known) = self
            .rooms
            .get_mut(room)
            .and_then(|one| one.member_mut(member.peer))
        else {
            return;
        };
        let before = std::mem::replace(known, member.clone());
        let peer = member.peer;
        for kind in [Kind::Audio, Kind::Video] {
            let (was, is) = (before.muted.contains(&kind), member.muted.contains(&kind));
            if was != is {
                self.tell_muted(room, peer, peer, kind, is, out);
            }
        }
        if (before.role, member.role) == (Role::Member, Role::Moderator) {
            self.tell_granted(room, peer, peer, out);
        }
    }
}
