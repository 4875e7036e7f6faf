//! One peer asks another into a room: ring, accept, refuse, hang up, no answer.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use rtc_protocol::{CallId, Callee, ErrorCode, PeerId, RefuseCode, RoomId, ServerMessage};

use super::cluster::{CarriedCall, Seek};
use super::drain::going_away;
use super::names::Lead;
use super::{Effect, Hub, Refusal, Session, Stage, millis};
use crate::cluster::{NodeId, Word};
use crate::metrics::CallEnd;

/// A call from the ring to the end.
#[derive(Debug)]
struct Call {
    caller: PeerId,
    callee: PeerId,
    /// Where the other side is, if that is another node.
    far: Option<Far>,
    /// Its place among those that ring; none once it is accepted.
    rings: Option<Rings>,
}

/// Another node that has one side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Far {
    pub(super) node: NodeId,
    /// It is the caller's, which times the call; otherwise that is this one.
    pub(super) home: bool,
    /// With which of its peer's turns it came there, so that what is said late of an earlier one is not followed.
    pub(super) turn: u64,
}

impl Far {
    pub(super) fn at(node: NodeId, home: bool) -> Self {
        let turn = 0;
        Self { node, home, turn }
    }
}

/// Until when a call rings, and its number.
type Rings = (Instant, u64);

impl Call {
    fn other(&self, peer: PeerId) -> Option<PeerId> {
        if peer == self.caller {
            Some(self.callee)
        } else if peer == self.callee {
            Some(self.caller)
        } else {
            None
        }
    }

    /// Whether the caller is here; a call counts there.
    fn home(&self) -> bool {
        !self.far.is_some_and(|far| far.home)
    }

    /// Those of its two sides that are here.
    fn here(&self) -> impl Iterator<Item = PeerId> {
        let callee = self.far.is_none_or(|far| far.home);
        let sides = [(self.caller, self.home()), (self.callee, callee)];
        sides.into_iter().filter(|side| side.1).map(|side| side.0)
    }
}

/// All calls, and whose they are. Nothing here looks at every call, but when a node has died.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: HashMap<CallId, Call>,
    /// Of peers here, which have few, as the configuration bounds them.
    of: HashMap<PeerId, Vec<CallId>>,
    /// Those that ring, the one that has rung longest first.
    ringing: BTreeMap<Rings, CallId>,
    next: u64,
}

impl Calls {
    /// A name for a call: the caller's id makes it unlike any other server's, and the node's unlike that of a node where the
    /// caller was before.
    pub(super) fn number(&mut self, caller: PeerId, node: Option<NodeId>) -> Option<CallId> {
        self.next += 1;
        let (caller, next) = (caller.as_str(), self.next);
        let text = match node {
            None => format!("{caller}-{next}"),
            Some(node) => format!("{caller}-{node}-{next}"),
        };
        CallId::new(&text).ok()
    }

    /// A call rings from now on.
    pub(super) fn begin(
        &mut self,
        id: CallId,
        (caller, callee): (PeerId, PeerId),
        far: Option<Far>,
        until: Instant,
    ) {
        // What is said twice begins once.
        self.finish(&id);
        self.next += 1;
        let rings = (until, self.next);
        let call = Call {
            caller,
            callee,
            far,
            rings: Some(rings),
        };
        for peer in call.here() {
            self.of.entry(peer).or_default().push(id.clone());
        }
        self.all.insert(id.clone(), call);
        self.ringing.insert(rings, id);
    }

    /// Whether the other side of this call is at that node.
    pub(super) fn rings_at(&self, id: &CallId, node: NodeId) -> bool {
        let far = self.all.get(id).and_then(|call| call.far);
        far.is_some_and(|far| far.node == node)
    }

    /// Calls whose other side is at such a node.
    pub(super) fn beyond(&self, there: impl Fn(NodeId) -> bool) -> Vec<CallId> {
        let all = self.all.iter();
        let far = all.filter(|(_, call)| call.far.is_some_and(|far| there(far.node)));
        far.map(|(id, _)| id.clone()).collect()
    }

    /// Who has a call here whose other side is at another node, where that is, and whether it rings.
    pub(super) fn stands(&self, id: &CallId) -> Option<(PeerId, NodeId, bool)> {
        let call = self.all.get(id)?;
        let far = call.far?;
        let own = call.here().next()?;
        Some((own, far.node, call.rings.is_some()))
    }

    /// Whether a peer has a call that rings or was taken.
    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.of.contains_key(&peer)
    }

    fn finish(&mut self, id: &CallId) -> Option<Call> {
        let call = self.all.remove(id)?;
        if let Some(rings) = &call.rings {
            self.ringing.remove(rings);
        }
        for peer in call.here() {
            if let Some(own) = self.of.get_mut(&peer) {
                own.retain(|one| one != id);
                if own.is_empty() {
                    self.of.remove(&peer);
                }
            }
        }
        Some(call)
    }

    pub(super) fn of(&self, peer: PeerId) -> &[CallId] {
        self.of.get(&peer).map_or(&[], Vec::as_slice)
    }

    /// How many ring at a peer.
    fn ringing_at(&self, peer: PeerId) -> usize {
        let own = self.of(peer).iter().filter_map(|id| self.all.get(id));
        own.filter(|call| call.callee == peer && call.rings.is_some())
            .count()
    }

    /// Takes out the next call that nobody answered in time.
    fn unanswered(&mut self, now: Instant) -> Option<(CallId, Call)> {
        let (_, id) = self
            .ringing
            .first_key_value()
            .filter(|((until, _), _)| *until <= now)?;
        let id = id.clone();
        self.finish(&id).map(|call| (id, call))
    }

    /// The call that rings at this peer.
    fn ringing(&self, peer: PeerId, id: &CallId) -> Result<&Call, Refusal> {
        let call = self.all.get(id);
        call.filter(|call| call.callee == peer && call.rings.is_some())
            .ok_or_else(|| no_such_call(id))
    }

    /// A call that rings at this peer is taken; gives the caller, and where that is.
    fn accept(&mut self, peer: PeerId, id: &CallId) -> Result<(PeerId, Option<Far>), Refusal> {
        let call = self.ringing(peer, id)?;
        let caller = (call.caller, call.far);
        self.taken(id);
        Ok(caller)
    }

    /// Gives up the calls of a peer that moves from one node to another; their other sides, if they are here, stay.
    pub(super) fn carry(
        &mut self,
        peer: PeerId,
        (me, to): (NodeId, NodeId),
        now: Instant,
    ) -> Vec<CarriedCall> {
        let mut carried = Vec::new();
        for id in self.of(peer).to_vec() {
            let Some(call) = self.finish(&id) else {
                continue;
            };
            let (caller, callee) = (call.caller, call.callee);
            let until = call.rings.map(|(until, _)| until);
            carried.push(CarriedCall {
                call: id.clone(),
                caller,
                callee,
                node: call.far.map_or(me, |far| far.node),
                rings_ms: until.map(|until| millis(until.saturating_duration_since(now))),
            });
            if call.far.is_none() {
                let home = caller == peer;
                let far = Far::at(to, home);
                self.begin(
                    id.clone(),
                    (caller, callee),
                    Some(far),
                    until.unwrap_or(now),
                );
                if until.is_none() {
                    self.taken(&id);
                }
            }
        }
        carried
    }

    /// A side of a call has come to the node of the other; gives whether the call was taken, if there is one.
    pub(super) fn meets(&mut self, id: &CallId, peer: PeerId) -> Option<bool> {
        let call = self.all.get_mut(id)?;
        let taken = call.rings.is_none();
        if call.far.take().is_some() {
            self.of.entry(peer).or_default().push(id.clone());
        }
        Some(taken)
    }

    /// Whether the other side of a call has come to where it is with a later turn than this, as far as both are known.
    pub(super) fn is_past(&self, id: &CallId, turn: u64) -> bool {
        let far = self.all.get(id).and_then(|call| call.far);
        turn != 0 && far.is_some_and(|far| turn < far.turn)
    }

    /// The other side of a call is at another node; gives whether the call was taken, and whether its caller is here, if
    /// there is one.
    pub(super) fn follow(&mut self, id: &CallId, to: NodeId, turn: u64) -> Option<(bool, bool)> {
        let call = self.all.get_mut(id)?;
        if let Some(far) = &mut call.far {
            far.node = to;
            far.turn = far.turn.max(turn);
        }
        Some((call.rings.is_none(), call.home()))
    }

    pub(super) fn taken(&mut self, id: &CallId) {
        let rings = self.all.get_mut(id).and_then(|call| call.rings.take());
        if let Some(rings) = rings {
            self.ringing.remove(&rings);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.of.is_empty() && self.ringing.is_empty()
    }

    /// A call that rings at this peer.
    #[cfg(test)]
    pub(super) fn ringing_now(&self, peer: PeerId) -> Option<CallId> {
        let mut own = self.of(peer).iter();
        own.find(|id| self.ringing(peer, id).is_ok()).cloned()
    }

    /// Every peer that has a call.
    #[cfg(test)]
    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.all.values().flat_map(Call::here)
    }
}

impl Hub {
    pub(super) fn ring(
        &mut self,
        peer: PeerId,
        id: Option<u64>,
        whom: Callee,
        room: RoomId,
        out: &mut Vec<Effect>,
    ) {
        let lead = self.lead(peer, whom.clone());
        let clustered = self.node().is_some();
        let answer = match lead {
            Ok(Lead::Ring(to)) if !clustered || to == peer || self.knows(to) => {
                self.ring_at(peer, to, room, out)
            }
            // Where somebody is, is for those who may go there.
            Ok(Lead::Room(who, room)) if !clustered => self
                .may_enter(peer, &room)
                .map(|()| ServerMessage::Found { peer: who, room }),
            Err(refusal) if !clustered => Err(refusal),
            elsewhere => {
                let may = self.may_enter(peer, &room);
                match may.and_then(|()| self.may_call(peer)) {
                    Ok(()) => {
                        let (met, refusal) = match elsewhere {
                            Ok(Lead::Room(who, room)) => (Some((who, room)), no_such_callee(who)),
                            Ok(Lead::Ring(to)) => (None, no_such_callee(to)),
                            Err(refusal) => (None, refusal),
                        };
                        let seek = Seek {
                            caller: peer,
                            id,
                            whom,
                            room,
                            met,
                            refusal,
                        };
                        return self.seek(seek, out);
                    }
                    Err(refusal) => Err(refusal),
                }
            }
        };
        let answer =
            answer.unwrap_or_else(|(code, message)| ServerMessage::Error { code, message });
        self.answer(peer, id, answer, out);
    }

    fn ring_at(
        &mut self,
        peer: PeerId,
        to: PeerId,
        room: RoomId,
        out: &mut Vec<Effect>,
    ) -> Result<ServerMessage, Refusal> {
        self.may_enter(peer, &room)?;
        self.may_call(peer)?;
        if peer == to {
            return Err(no_such_callee(to));
        }
        self.may_be_rung(to)?;
        let name = self
            .sessions
            .get(&peer)
            .map_or_else(|| peer.short_name(), |session| session.name(peer));
        let until = self.now + self.config.ring;
        let node = self.node();
        let call = self.calls.number(peer, node).ok_or_else(|| {
            let words = "the server has no number for another call";
            (ErrorCode::Busy, words.to_owned())
        })?;
        self.calls.begin(call.clone(), (peer, to), None, until);
        let ring = ServerMessage::Ring {
            call: call.clone(),
            from: peer,
            name,
            room,
        };
        self.metrics.calls_rung.inc();
        self.tell(to, ring, out);
        Ok(ServerMessage::Ringing { call })
    }

    /// Whether a peer's token would let it into a room.
    pub(super) fn may_enter(&self, peer: PeerId, room: &RoomId) -> Result<(), Refusal> {
        let session = self.sessions.get(&peer);
        session.map_or(Ok(()), |session| session.rights().join(room, self.now))
    }

    /// Whether a peer of ours may call somebody.
    fn may_call(&self, peer: PeerId) -> Result<(), Refusal> {
        if self.stage != Stage::Serving {
            return Err(going_away());
        }
        self.has_room("you have", peer, self.seeking(peer))
    }

    fn has_room(&self, whose: &str, peer: PeerId, more: usize) -> Result<(), Refusal> {
        let calls = self.calls.of(peer).len() + more;
        if calls < self.config.calls_per_peer {
            return Ok(());
        }
        Err((
            ErrorCode::Busy,
            format!("{whose} {calls} calls already, which is the most; hang up one"),
        ))
    }

    /// Whether another call may ring at a peer.
    pub(super) fn may_be_rung(&self, to: PeerId) -> Result<(), Refusal> {
        if self.stage != Stage::Serving {
            let words = format!("the server of {to} is about to stop; try again in a moment");
            return Err((ErrorCode::TryLater, words));
        }
        let there = |session: &Session| session.connection().is_some();
        if !self.session(to).is_some_and(there) {
            return Err(no_such_callee(to));
        }
        let ringing = self.calls.ringing_at(to);
        if ringing >= self.config.ringing_calls {
            return Err((
                ErrorCode::Busy,
                format!("{ringing} calls ring at {to} already; try again later"),
            ));
        }
        self.has_room("the other side has", to, 0)
    }

    /// Says something of a call to one side of it, wherever that is.
    fn tell_side(
        &mut self,
        to: PeerId,
        far: Option<Far>,
        message: ServerMessage,
        out: &mut Vec<Effect>,
    ) {
        let Some(Far { node, .. }) = far else {
            return self.tell(to, message, out);
        };
        let word = match message {
            ServerMessage::Accepted { call } => Word::Accepted { call },
            ServerMessage::HungUp { call } => Word::HungUp { call },
            ServerMessage::Refused { call, code, reason } => Word::Refused { call, code, reason },
            // Nothing else is said of calls.
            _ => return,
        };
        self.tell_node(node, word);
    }

    pub(super) fn accept(
        &mut self,
        peer: PeerId,
        id: &CallId,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let (caller, far) = self.calls.accept(peer, id)?;
        if far.is_none() {
            self.metrics.calls_accepted.inc();
        }
        let accepted = ServerMessage::Accepted { call: id.clone() };
        self.tell_side(caller, far, accepted, out);
        Ok(())
    }

    pub(super) fn refuse(
        &mut self,
        peer: PeerId,
        id: &CallId,
        code: Option<RefuseCode>,
        reason: Option<String>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let call = self.calls.ringing(peer, id)?;
        let (caller, far) = (call.caller, call.far);
        self.finish(id, CallEnd::Refused);
        let refused = ServerMessage::Refused {
            call: id.clone(),
            code: code.unwrap_or(RefuseCode::Declined),
            reason,
        };
        self.tell_side(caller, far, refused, out);
        Ok(())
    }

    pub(super) fn hang_up(
        &mut self,
        peer: PeerId,
        id: &CallId,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let call = self.calls.all.get(id);
        let (other, far) = call
            .filter(|call| call.here().any(|side| side == peer))
            .and_then(|call| Some((call.other(peer)?, call.far)))
            .ok_or_else(|| no_such_call(id))?;
        self.finish(id, CallEnd::HungUp);
        let over = ServerMessage::HungUp { call: id.clone() };
        self.tell_side(other, far, over, out);
        Ok(())
    }

    fn finish(&mut self, id: &CallId, how: CallEnd) -> Option<Call> {
        let call = self.calls.finish(id)?;
        if call.home() {
            self.metrics.calls_ended.inc(how);
        }
        Some(call)
    }

    /// A peer is gone: its calls end for the other side.
    pub(super) fn end_calls(&mut self, peer: PeerId, out: &mut Vec<Effect>) {
        for call in self.calls.of(peer).to_vec() {
            let ended = self.finish(&call, CallEnd::Gone);
            let other = ended.and_then(|call| Some((call.other(peer)?, call.far)));
            if let Some((other, far)) = other {
                self.tell_side(other, far, ServerMessage::HungUp { call }, out);
            }
        }
    }

    /// A node is gone: calls with its peers end for those here.
    pub(super) fn end_calls_with(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        for call in self.calls.beyond(|one| one == node) {
            self.is_over(&call, node, CallEnd::Gone, None, out);
        }
    }

    /// What has rung for too long, rings no more.
    pub(super) fn end_unanswered(&mut self, out: &mut Vec<Effect>) {
        while let Some((id, call)) = self.calls.unanswered(self.now) {
            if call.home() {
                self.metrics.calls_ended.inc(CallEnd::NoAnswer);
            }
            let refused = ServerMessage::Refused {
                call: id.clone(),
                code: RefuseCode::NoAnswer,
                reason: None,
            };
            let (there, here) = (call.far.filter(|far| far.home), call.far);
            self.tell_side(call.caller, there, refused, out);
            let over = ServerMessage::HungUp { call: id };
            self.tell_side(call.callee, here.filter(|far| !far.home), over, out);
        }
    }

    // --- said by the node of the other side ---

    /// The callee has taken a call.
    pub(super) fn is_accepted(&mut self, id: &CallId, by: NodeId, out: &mut Vec<Effect>) {
        let call = self.calls.all.get(id).filter(|call| call.home());
        let Some(call) = call.filter(|call| call.far.is_some_and(|far| far.node == by)) else {
            // It thought better of it, or nobody has answered for too long.
            return self.tell_node(by, Word::HungUp { call: id.clone() });
        };
        let caller = call.caller;
        if call.rings.is_none() {
            return;
        }
        self.calls.taken(id);
        self.metrics.calls_accepted.inc();
        self.tell(caller, ServerMessage::Accepted { call: id.clone() }, out);
    }

    /// A call has ended: refused with these words, or else hung up.
    pub(super) fn is_over(
        &mut self,
        id: &CallId,
        by: NodeId,
        how: CallEnd,
        refused: Option<(RefuseCode, Option<String>)>,
        out: &mut Vec<Effect>,
    ) {
        if !self.calls.rings_at(id, by) {
            return;
        }
        let Some(call) = self.finish(id, how) else {
            return;
        };
        let call_id = id.clone();
        let message = match refused {
            Some((code, reason)) => ServerMessage::Refused {
                call: call_id,
                code,
                reason,
            },
            None => ServerMessage::HungUp { call: call_id },
        };
        for peer in call.here().collect::<Vec<_>>() {
            self.tell(peer, message.clone(), out);
        }
    }
}

fn no_such_callee(to: PeerId) -> Refusal {
    (
        ErrorCode::NoSuchPeer,
        format!("nobody else called {to} is here"),
    )
}

fn no_such_call(id: &CallId) -> Refusal {
    (
        ErrorCode::NoSuchRoom,
        format!("there is no call {id} that you could answer or end"),
    )
}
