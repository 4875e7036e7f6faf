//! One peer asks another into a room: ring, accept, refuse, hang up.

use rtc_protocol::{CallId, ErrorCode, PeerId, RoomId, ServerMessage};

use super::{Effect, Hub, Refusal, Session};
use crate::metrics::CallEnd;

/// A call from the ring to the end.
#[derive(Debug)]
pub(super) struct Call {
    caller: PeerId,
    callee: PeerId,
    accepted: bool,
}

impl Call {
    pub(super) fn other(&self, peer: PeerId) -> Option<PeerId> {
        if peer == self.caller {
            Some(self.callee)
        } else if peer == self.callee {
            Some(self.caller)
        } else {
            None
        }
    }
}

impl Hub {
    pub(super) fn ring(
        &mut self,
        peer: PeerId,
        id: Option<u64>,
        to: PeerId,
        room: RoomId,
        out: &mut Vec<Effect>,
    ) {
        match self.may_ring(peer, to) {
            Err((code, message)) => {
                self.answer(peer, id, ServerMessage::Error { code, message }, out);
            }
            Ok(()) => {
                self.next_call += 1;
                // The caller's id makes it unlike any other server's.
                let text = format!("{}-{}", peer.as_str(), self.next_call);
                let Ok(call) = CallId::new(&text) else { return };
                let name = match self.sessions.get(&peer) {
                    Some(session) => session.name(peer),
                    None => return,
                };
                self.metrics.calls_rung.inc();
                self.calls.insert(
                    call.clone(),
                    Call {
                        caller: peer,
                        callee: to,
                        accepted: false,
                    },
                );
                let ring = ServerMessage::Ring {
                    call: call.clone(),
                    from: peer,
                    name,
                    room,
                };
                self.tell(to, ring, out);
                self.answer(peer, id, ServerMessage::Ringing { call }, out);
            }
        }
    }

    fn may_ring(&self, peer: PeerId, to: PeerId) -> Result<(), Refusal> {
        if peer == to
            || self
                .sessions
                .get(&to)
                .and_then(Session::connection)
                .is_none()
        {
            return Err((
                ErrorCode::NoSuchPeer,
                format!("nobody else called {to} is here"),
            ));
        }
        let ringing = self
            .calls
            .values()
            .filter(|call| call.callee == to && !call.accepted)
            .count();
        if ringing >= self.config.ringing_calls {
            return Err((
                ErrorCode::Busy,
                format!("{ringing} calls ring at {to} already; try again later"),
            ));
        }
        for (whose, one) in [("you", peer), ("the other side", to)] {
            let calls = self
                .calls
                .values()
                .filter(|call| call.other(one).is_some())
                .count();
            if calls >= self.config.calls_per_peer {
                return Err((
                    ErrorCode::Busy,
                    format!("{whose} has {calls} calls already, which is the most; hang up one"),
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
        let call = self
            .calls
            .get_mut(id)
            .filter(|call| call.callee == peer && !call.accepted)
            .ok_or_else(|| no_such_call(id))?;
        call.accepted = true;
        self.metrics.calls_accepted.inc();
        let caller = call.caller;
        self.tell(caller, ServerMessage::Accepted { call: id.clone() }, out);
        Ok(())
    }

    pub(super) fn refuse(
        &mut self,
        peer: PeerId,
        id: &CallId,
        reason: Option<String>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let caller = self
            .calls
            .get(id)
            .filter(|call| call.callee == peer && !call.accepted)
            .map(|call| call.caller)
            .ok_or_else(|| no_such_call(id))?;
        self.calls.remove(id);
        self.metrics.calls_ended.inc(CallEnd::Refused);
        let call = id.clone();
        self.tell(caller, ServerMessage::Refused { call, reason }, out);
        Ok(())
    }

    pub(super) fn hang_up(
        &mut self,
        peer: PeerId,
        id: &CallId,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let other = self
            .calls
            .get(id)
            .and_then(|call| call.other(peer))
            .ok_or_else(|| no_such_call(id))?;
        self.calls.remove(id);
        self.metrics.calls_ended.inc(CallEnd::HungUp);
        self.tell(other, ServerMessage::HungUp { call: id.clone() }, out);
        Ok(())
    }

    /// A peer is gone: its calls end for the other side.
    pub(super) fn end_calls(&mut self, peer: PeerId, out: &mut Vec<Effect>) {
        let ended: Vec<(CallId, PeerId)> = self
            .calls
            .iter()
            .filter_map(|(id, call)| Some((id.clone(), call.other(peer)?)))
            .collect();
        for (call, other) in ended {
            self.calls.remove(&call);
            self.metrics.calls_ended.inc(CallEnd::Gone);
            self.tell(other, ServerMessage::HungUp { call }, out);
        }
    }
}

fn no_such_call(id: &CallId) -> Refusal {
    (
        ErrorCode::NoSuchRoom,
        format!("there is no call {id} that you could answer or end"),
    )
}
