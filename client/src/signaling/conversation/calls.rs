//! Calls by name: ours, and those that ring here.

use std::time::Instant;

use rtc_protocol::{CallId, Callee, ClientMessage, ErrorCode, RefuseCode, RoomId, ServerMessage};

use super::super::Errand;
use super::super::error::SignalingError;
use super::super::event::SignalingEvent;
use super::{Conversation, Ending, Phase};

/// Calls that ring here at once; the server's own bound is lower.
const RUNG: usize = 16;

/// How far we are on our errand, over all links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A call has to be taken first, by us or by whom we call.
    NoCall,
    /// It is known which room to join.
    Bound,
    /// We have been in it.
    Inside,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Calls {
    stage: Stage,
    /// The call that we are in, or that rings at the other side.
    ours: Option<CallId>,
    /// Those that ring here, and where they lead.
    rung: Vec<(CallId, RoomId)>,
}

impl Calls {
    pub(super) const fn new(errand: &Errand) -> Self {
        Self {
            stage: match errand {
                Errand::Join => Stage::Bound,
                Errand::Call(_) | Errand::Wait(_) => Stage::NoCall,
            },
            ours: None,
            rung: Vec::new(),
        }
    }

    /// We are in the room.
    pub(super) const fn inside(&mut self) {
        self.stage = Stage::Inside;
    }

    fn take(&mut self, call: &CallId) -> Option<(CallId, RoomId)> {
        let at = self.rung.iter().position(|(rung, _)| rung == call)?;
        Some(self.rung.remove(at))
    }
}

impl Conversation {
    /// The server knows us: on to where we want to be. `kept` tells that it still has our place.
    pub(super) fn settle(&mut self, now: Instant, kept: bool) {
        match (&self.identity.errand, self.calls.stage) {
            (_, Stage::Inside) if kept => self.enter(true),
            (Errand::Wait(_), Stage::NoCall) if kept => self.lobby(true),
            (Errand::Wait(name), Stage::NoCall) => {
                let name = name.clone();
                self.ask_in(now, ClientMessage::Register { name });
            }
            (Errand::Call(name), Stage::NoCall) => {
                let (whom, room) = (Callee::Name(name.clone()), self.identity.room.clone());
                self.ask_in(now, ClientMessage::Ring { whom, room });
            }
            _ => self.join(now),
        }
    }

    /// Asks for what comes before the room.
    fn ask_in(&mut self, now: Instant, message: ClientMessage) {
        self.phase = Phase::Joining {
            until: now + self.patience,
        };
        self.ask(message);
    }

    /// Whether the name that we want to be called by is asked for.
    pub(super) fn is_registering(&self) -> bool {
        matches!(self.phase, Phase::Joining { .. })
            && matches!(self.identity.errand, Errand::Wait(_))
            && self.calls.stage == Stage::NoCall
    }

    /// We can be called from now on.
    pub(super) fn lobby(&mut self, resumed: bool) {
        self.phase = Phase::Lobby;
        self.place = Some(self.server.clone());
        self.request = None;
        if std::mem::replace(&mut self.was_inside, true) {
            if !resumed {
                // A server that does not know us has no calls for us either.
                for (call, _) in std::mem::take(&mut self.calls.rung) {
                    self.tell(SignalingEvent::HungUp { call });
                }
            }
            self.tell(SignalingEvent::Back { resumed });
        } else if let Errand::Wait(name) = &self.identity.errand {
            let name = name.clone();
            self.tell(SignalingEvent::Waiting { name });
        }
    }

    /// Takes a call that rings here, and follows it into its room.
    pub(in super::super) fn accept(&mut self, now: Instant, call: &CallId) {
        if self.phase != Phase::Lobby {
            // While the link is down nobody can be told, and the caller does not wait for ever.
            let call = call.clone();
            return self.tell(SignalingEvent::HungUp { call });
        }
        // A call that is not there has ended, and that was told.
        if let Some((call, room)) = self.calls.take(call) {
            self.identity.room = room;
            // In the room we were never before: entering it is no coming back.
            self.was_inside = false;
            self.calls.ours = Some(call.clone());
            self.calls.stage = Stage::Bound;
            let id = self.new_id();
            self.say(Some(id), ClientMessage::Accept { call });
            self.join(now);
        }
    }

    /// Does not take it.
    pub(in super::super) fn refuse(&mut self, call: &CallId, code: RefuseCode) {
        if let Some((call, _)) = self.calls.take(call)
            && self.is_settled()
        {
            self.say_refuse(call, code);
        }
    }

    fn say_refuse(&mut self, call: CallId, code: RefuseCode) {
        let (code, reason) = (Some(code), None);
        self.say(None, ClientMessage::Refuse { call, code, reason });
    }

    /// What the server says of calls.
    pub(super) fn of_calls(&mut self, now: Instant, answers_us: bool, message: ServerMessage) {
        use ServerMessage as M;
        let ours = |call: &CallId| self.calls.ours.as_ref() == Some(call);
        match message {
            M::Ringing { call } if answers_us => {
                self.calls.ours = Some(call);
                self.tell(SignalingEvent::Ringing);
                // It is joined while it rings: a callee whose page is translated may want our offer first.
                self.bound(now);
            }
            M::Found { room, .. } if answers_us => {
                self.identity.room = room;
                // It has its members and its capacity already.
                self.identity.capacity = None;
                self.bound(now);
            }
            M::Ring {
                call,
                from,
                name,
                room,
            } => {
                let waits = matches!(self.identity.errand, Errand::Wait(_));
                if !waits || self.calls.rung.len() >= RUNG {
                    return self.say_refuse(call, RefuseCode::Busy);
                }
                self.calls.rung.push((call.clone(), room));
                self.tell(SignalingEvent::Rung { call, from, name });
            }
            M::Accepted { call } if ours(&call) => self.tell(SignalingEvent::Accepted),
            M::Refused { call, code, reason } if ours(&call) => {
                self.tell(SignalingEvent::NotTaken { code, reason });
            }
            M::HungUp { call } => {
                self.calls.take(&call);
                self.tell(SignalingEvent::HungUp { call });
            }
            _ => {}
        }
    }

    fn bound(&mut self, now: Instant) {
        self.calls.stage = Stage::Bound;
        self.join(now);
    }

    /// What a refusal means that concerns a call; none where it concerns something else.
    pub(super) fn not_placed(
        &self,
        answers_us: bool,
        code: ErrorCode,
        message: &str,
    ) -> Option<Result<(), Ending>> {
        if !answers_us && self.calls.ours.is_some() {
            // The call ended while we took it: that is told by itself.
            return (code == ErrorCode::NoSuchRoom).then_some(Ok(()));
        }
        let Errand::Call(name) = &self.identity.errand else {
            return None;
        };
        if self.calls.stage != Stage::NoCall || !answers_us {
            return None;
        }
        let (name, why) = (name.clone(), message.to_owned());
        let error = match code {
            ErrorCode::NoSuchPeer => SignalingError::NoSuchPeer { name, why },
            ErrorCode::Busy => SignalingError::Busy { name, why },
            _ => return None,
        };
        Some(Err(Ending::Final(error)))
    }
}
