//! One peer asks another into a room: ring, accept, refuse, hang up, no answer.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use rtc_protocol::{CallId, Callee, ErrorCode, PeerId, RefuseCode, RoomId, ServerMessage};

use super::drain::going_away;
use super::names::Lead;
use super::{Effect, Hub, Refusal, Session, Stage};
use crate::metrics::CallEnd;

/// A call from the ring to the end.
#[derive(Debug)]
struct Call {
    caller: PeerId,
    callee: PeerId,
    /// Its place among those that ring; none once it is accepted.
    rings: Option<Rings>,
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
}

/// All calls, and whose they are. Nothing here looks at every call.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: HashMap<CallId, Call>,
    /// A peer has few, as the configuration bounds them.
    of: HashMap<PeerId, Vec<CallId>>,
    /// Those that ring, the one that has rung longest first.
    ringing: BTreeMap<Rings, CallId>,
    next: u64,
}

impl Calls {
    fn begin(&mut self, caller: PeerId, callee: PeerId, until: Instant) -> Option<CallId> {
        self.next += 1;
        // The caller's id makes it unlike any other server's.
        let id = CallId::new(&format!("{}-{}", caller.as_str(), self.next)).ok()?;
        let rings = (until, self.next);
        let call = Call {
            caller,
            callee,
            rings: Some(rings),
        };
        self.all.insert(id.clone(), call);
        for peer in [caller, callee] {
            self.of.entry(peer).or_default().push(id.clone());
        }
        self.ringing.insert(rings, id.clone());
        Some(id)
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
        for peer in [call.caller, call.callee] {
            if let Some(own) = self.of.get_mut(&peer) {
                own.retain(|one| one != id);
                if own.is_empty() {
                    self.of.remove(&peer);
                }
            }
        }
        Some(call)
    }

    fn of(&self, peer: PeerId) -> &[CallId] {
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

    /// A call that rings at this peer is taken; gives the caller.
    fn accept(&mut self, peer: PeerId, id: &CallId) -> Result<PeerId, Refusal> {
        let caller = self.ringing(peer, id)?.caller;
        let rings = self.all.get_mut(id).and_then(|call| call.rings.take());
        if let Some(rings) = rings {
            self.ringing.remove(&rings);
        }
        Ok(caller)
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
        self.all
            .values()
            .flat_map(|call| [call.caller, call.callee])
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
        let lead = self.lead(peer, whom);
        let answer = match lead {
            Ok(Lead::Ring(to)) => self.ring_at(peer, to, room, out),
            // Where somebody is, is for those who may go there.
            Ok(Lead::Room(who, room)) => self
                .may_enter(peer, &room)
                .map(|()| ServerMessage::Found { peer: who, room }),
            Err(refusal) => Err(refusal),
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
        self.may_ring(peer, to)?;
        let name = self
            .sessions
            .get(&peer)
            .map_or_else(|| peer.short_name(), |session| session.name(peer));
        let until = self.now + self.config.ring;
        let call = self.calls.begin(peer, to, until).ok_or_else(|| {
            let words = "the server has no number for another call";
            (ErrorCode::Busy, words.to_owned())
        })?;
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
    fn may_enter(&self, peer: PeerId, room: &RoomId) -> Result<(), Refusal> {
        let session = self.sessions.get(&peer);
        session.map_or(Ok(()), |session| session.rights().join(room, self.now))
    }

    fn may_ring(&self, peer: PeerId, to: PeerId) -> Result<(), Refusal> {
        if self.stage != Stage::Serving {
            return Err(going_away());
        }
        let there = |session: &Session| session.connection().is_some();
        if peer == to || !self.session(to).is_some_and(there) {
            return Err((
                ErrorCode::NoSuchPeer,
                format!("nobody else called {to} is here"),
            ));
        }
        let ringing = self.calls.ringing_at(to);
        if ringing >= self.config.ringing_calls {
            return Err((
                ErrorCode::Busy,
                format!("{ringing} calls ring at {to} already; try again later"),
            ));
        }
        for (whose, one) in [("you have", peer), ("the other side has", to)] {
            let calls = self.calls.of(one).len();
            if calls >= self.config.calls_per_peer {
                return Err((
                    ErrorCode::Busy,
                    format!("{whose} {calls} calls already, which is the most; hang up one"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn accept(
        &mut self,
        peer: PeerId,
        id: &CallId,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let caller = self.calls.accept(peer, id)?;
        self.metrics.calls_accepted.inc();
        self.tell(caller, ServerMessage::Accepted { call: id.clone() }, out);
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
        let caller = self.calls.ringing(peer, id)?.caller;
        self.calls.finish(id);
        self.metrics.calls_ended.inc(CallEnd::Refused);
        let refused = ServerMessage::Refused {
            call: id.clone(),
            code: code.unwrap_or(RefuseCode::Declined),
            reason,
        };
        self.tell(caller, refused, out);
        Ok(())
    }

    pub(super) fn hang_up(
        &mut self,
        peer: PeerId,
        id: &CallId,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let call = self.calls.all.get(id);
        let other = call
            .and_then(|call| call.other(peer))
            .ok_or_else(|| no_such_call(id))?;
        self.calls.finish(id);
        self.metrics.calls_ended.inc(CallEnd::HungUp);
        self.tell(other, ServerMessage::HungUp { call: id.clone() }, out);
        Ok(())
    }

    /// A peer is gone: its calls end for the other side.
    pub(super) fn end_calls(&mut self, peer: PeerId, out: &mut Vec<Effect>) {
        for call in self.calls.of(peer).to_vec() {
            let other = self.calls.finish(&call).and_then(|call| call.other(peer));
            if let Some(other) = other {
                self.metrics.calls_ended.inc(CallEnd::Gone);
                self.tell(other, ServerMessage::HungUp { call }, out);
            }
        }
    }

    /// What has rung for too long, rings no more.
    pub(super) fn end_unanswered(&mut self, out: &mut Vec<Effect>) {
        while let Some((id, call)) = self.calls.unanswered(self.now) {
            self.metrics.calls_ended.inc(CallEnd::NoAnswer);
            let refused = ServerMessage::Refused {
                call: id.clone(),
                code: RefuseCode::NoAnswer,
                reason: None,
            };
            self.tell(call.caller, refused, out);
            self.tell(call.callee, ServerMessage::HungUp { call: id }, out);
        }
    }
}

fn no_such_call(id: &CallId) -> Refusal {
    (
        ErrorCode::NoSuchRoom,
        format!("there is no call {id} that you could answer or end"),
    )
}
