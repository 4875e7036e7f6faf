//! Calls by name: whom we call, and who calls us.

use rtc_protocol::{CallId, Name, PeerId, RefuseCode};

use super::super::outcome::How;
use super::Call;
use crate::event::{Event, PeerRef};
use crate::options::Purpose;

/// Where we are with it.
#[derive(Debug)]
pub(super) enum Phone {
    /// In a room, or in the one call there is: whoever else calls finds us busy.
    Engaged,
    /// We call this name; `taken` once it takes the call.
    Calling { name: Name, taken: bool },
    /// We can be called.
    Waiting {
        /// Calls are taken without being asked.
        auto_answer: bool,
        /// The one that rings.
        rung: Option<(CallId, PeerRef)>,
    },
}

impl Phone {
    pub(super) fn new(purpose: &Purpose) -> Self {
        match purpose {
            Purpose::Room(_) => Self::Engaged,
            Purpose::Call(name) => Self::Calling {
                name: name.clone(),
                taken: false,
            },
            Purpose::Wait { auto_answer, .. } => Self::Waiting {
                auto_answer: *auto_answer,
                rung: None,
            },
        }
    }
}

impl Call {
    /// Somebody calls us.
    pub(super) async fn rung(&mut self, call: CallId, from: PeerId, name: &Name) {
        let peer = PeerRef {
            id: from.to_string(),
            name: name.to_string(),
        };
        match &mut self.phone {
            Phone::Waiting { auto_answer, rung } if rung.is_none() => {
                let at_once = *auto_answer;
                *rung = Some((call, peer.clone()));
                self.tell(Event::Rung { peer });
                if at_once {
                    self.answer().await;
                }
            }
            _ => {
                self.refuse(call, RefuseCode::Busy).await;
                self.notice(format!("{name} called, and was told that you are busy"));
            }
        }
    }

    /// Takes the call that rings.
    pub(super) async fn answer(&mut self) {
        let Phone::Waiting { rung, .. } = &mut self.phone else {
            return;
        };
        let Some((call, _)) = rung.take() else {
            return self.notice("no call rings here");
        };
        self.phone = Phone::Engaged;
        self.taken = Some(call.clone());
        if let Err(error) = self.signaling.accept(call).await {
            tracing::debug!("a call cannot be taken: {error}");
        }
    }

    /// Does not take it.
    pub(super) async fn decline(&mut self) {
        let Phone::Waiting { rung, .. } = &mut self.phone else {
            return;
        };
        match rung.take() {
            Some((call, _)) => self.refuse(call, RefuseCode::Declined).await,
            None => self.notice("no call rings here"),
        }
    }

    async fn refuse(&mut self, call: CallId, code: RefuseCode) {
        if let Err(error) = self.signaling.refuse(call, code).await {
            tracing::debug!("a call cannot be refused: {error}");
        }
    }

    /// It rings at the other side.
    pub(super) fn rings(&self) {
        if let Phone::Calling { name, .. } = &self.phone {
            let name = name.to_string();
            self.tell(Event::Ringing { name });
        }
    }

    /// The other side takes our call.
    pub(super) fn accepted(&mut self) {
        if let Phone::Calling { name, taken } = &mut self.phone {
            *taken = true;
            let name = name.to_string();
            self.tell(Event::Accepted { name });
        }
    }

    /// The other side does not take our call.
    pub(super) fn not_taken(&self, code: RefuseCode, reason: Option<String>) -> Option<How> {
        let Phone::Calling { name, .. } = &self.phone else {
            return None;
        };
        let words = match (code, reason) {
            (RefuseCode::Busy, _) => format!("{name} is busy"),
            (RefuseCode::NoAnswer, _) => format!("{name} did not answer"),
            (_, Some(reason)) => format!("{name} declined: {reason}"),
            (_, None) => format!("{name} declined"),
        };
        Some(How::NotTaken(code, words))
    }

    /// The other side of a call has ended it.
    pub(super) fn hung_up(&mut self, call: &CallId) -> Option<How> {
        match &mut self.phone {
            Phone::Waiting { rung, .. } => {
                let ended = rung.take_if(|(rung, _)| rung == call);
                if let Some((_, peer)) = ended {
                    self.tell(Event::RingEnded { peer });
                }
                None
            }
            Phone::Calling { taken: true, .. } => Some(How::Over),
            Phone::Calling { name, .. } => {
                let words = format!("{name} has gone before it answered");
                Some(How::NotTaken(RefuseCode::NoAnswer, words))
            }
            Phone::Engaged if self.taken.as_ref() == Some(call) => Some(How::Over),
            Phone::Engaged => None,
        }
    }
}
