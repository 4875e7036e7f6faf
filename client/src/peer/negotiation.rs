//! Who offers, who answers and who gives way, as a pure machine: perfect negotiation
//! of W3C webrtc-pc section 10.7 with the operations chain of section 4.4.1.2 inside.
//!
//! Inputs may come at any time; [`Negotiation::next`] hands out one step at a time to
//! be performed on the engine, and [`Negotiation::done`] takes its outcome. So
//! "making an offer" and "setting a remote answer" are simply the step in progress.
//!
//! A signaling link that comes back says again what may not have arrived, so every signal may be heard twice, in order.
//! [`heard`] tells what a description heard again still means, and our answers name the offer that they answer.

mod heard;

use std::collections::VecDeque;

use heard::{Heard, Offer};

use rtc_protocol::{Candidate, Description, SdpType, Signal};

/// Candidates that wait for the description they belong to; the oldest is dropped.
const WAITING_CANDIDATES: usize = 256;

/// Signals that wait for a step to end; a peer that sends more is not listened to.
const WAITING_SIGNALS: usize = 1024;

/// One operation on the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make an offer, set it and send it.
    Offer {
        /// With new ICE credentials.
        restart: bool,
    },
    /// Send our open offer again: it may not have arrived, nor its answer.
    OfferAgain,
    /// Take back our own offer: the far side's goes first.
    Rollback,
    /// Set the far side's offer.
    ApplyOffer(String),
    /// Answer the offer just set, set the answer and send it.
    Answer,
    /// Send the last answer again: it may not have arrived.
    AnswerAgain,
    /// Set the far side's answer.
    ApplyAnswer(String),
    /// Try an address.
    AddCandidate(Candidate),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signaling {
    Stable,
    HaveLocalOffer,
    HaveRemoteOffer,
}

/// The state of one negotiation.
#[derive(Debug)]
pub(super) struct Negotiation {
    polite: bool,
    signaling: Signaling,
    /// Whether an offer should be made as soon as signaling is stable.
    wanted: bool,
    /// Whether that offer restarts ICE.
    restart: bool,
    /// The offer in flight restarts ICE; kept for the case that it is taken back.
    restart_in_flight: bool,
    ignoring: bool,
    inbox: VecDeque<Signal>,
    plan: VecDeque<Step>,
    current: Option<Step>,
    /// ICE username fragments of the far side's applied description.
    remote: Option<Vec<String>>,
    candidates: VecDeque<Candidate>,
    heard: Heard,
    /// Which offer of ours is open.
    open: Option<String>,
    /// Whether it is to be sent again.
    repeat: bool,
}

impl Negotiation {
    pub(super) fn new(polite: bool) -> Self {
        Self {
            polite,
            signaling: Signaling::Stable,
            wanted: false,
            restart: false,
            restart_in_flight: false,
            ignoring: false,
            inbox: VecDeque::new(),
            plan: VecDeque::new(),
            current: None,
            remote: None,
            candidates: VecDeque::new(),
            heard: Heard::default(),
            open: None,
            repeat: false,
        }
    }

    /// Asks for an offer when the time comes (`negotiationneeded`).
    pub(super) fn want(&mut self, restart: bool) {
        self.wanted = true;
        self.restart |= restart;
    }

    /// Both sides met again at a server that knows nothing of what was under way: an offer that is open may never have
    /// arrived. Roles stay as they are, as the news may be one side's alone.
    pub(super) fn met_again(&mut self) {
        self.repeat = true;
    }

    /// Offers though that was the other side's to do, which takes an offer of a session that is new to it as one that does
    /// not give way.
    pub(super) fn offer_in_its_place(&mut self) {
        self.polite = true;
        self.want(false);
    }

    /// Takes what the far side said. False where it said so much that it was not heard.
    pub(super) fn signal(&mut self, signal: Signal) -> bool {
        if self.inbox.len() >= WAITING_SIGNALS {
            return false;
        }
        self.inbox.push_back(signal);
        true
    }

    /// Whether no exchange is open and nothing waits.
    #[cfg(test)]
    pub(super) fn is_settled(&self) -> bool {
        self.signaling == Signaling::Stable
            && !self.wanted
            && !self.repeat
            && self.current.is_none()
            && self.plan.is_empty()
            && self.inbox.is_empty()
    }

    /// The next operation to perform, if any; the one before must be done.
    pub(super) fn next(&mut self) -> Option<Step> {
        debug_assert!(self.current.is_none(), "the step before is not done");
        while self.plan.is_empty() {
            if let Some(signal) = self.inbox.pop_front() {
                self.hear(signal);
            } else if std::mem::take(&mut self.repeat) {
                if self.signaling == Signaling::HaveLocalOffer {
                    self.plan.push_back(Step::OfferAgain);
                }
            } else if self.wanted && self.signaling == Signaling::Stable {
                self.wanted = false;
                self.restart_in_flight = std::mem::take(&mut self.restart);
                self.plan.push_back(Step::Offer {
                    restart: self.restart_in_flight,
                });
            } else {
                return None;
            }
        }
        self.current = self.plan.pop_front();
        self.current.clone()
    }

    /// Tells the text of the offer just made.
    pub(super) fn offered(&mut self, sdp: &str) {
        self.open = super::sdp::version(sdp);
    }

    /// Takes the outcome of the step that [`next`](Self::next) gave.
    pub(super) fn done(&mut self, succeeded: bool) {
        let Some(step) = self.current.take() else {
            return;
        };
        match (step, succeeded) {
            (Step::Offer { .. }, true) => self.signaling = Signaling::HaveLocalOffer,
            (Step::Rollback, true) => {
                self.signaling = Signaling::Stable;
                // What the offer was for is still to be negotiated (webrtc-pc 4.7.3).
                self.want(self.restart_in_flight);
            }
            (Step::ApplyOffer(sdp), true) => {
                self.signaling = Signaling::HaveRemoteOffer;
                self.plan.push_back(Step::Answer);
                self.described(&sdp);
            }
            (Step::Answer, true) => {
                self.signaling = Signaling::Stable;
                self.heard.answered();
            }
            (Step::ApplyAnswer(sdp), true) => {
                self.signaling = Signaling::Stable;
                self.heard.agreed(&sdp);
                self.described(&sdp);
            }
            // An answer that cannot be set leaves our offer open: another may come.
            (
                Step::Offer { .. }
                | Step::OfferAgain
                | Step::ApplyAnswer(_)
                | Step::AddCandidate(_)
                | Step::AnswerAgain,
                _,
            ) => {}
            (Step::Rollback, false) => self.plan.clear(),
            (Step::ApplyOffer(_), false) => self.plan.clear(),
            (Step::Answer, false) => self.signaling = Signaling::Stable,
        }
    }

    fn hear(&mut self, signal: Signal) {
        match signal {
            Signal::Description(Description {
                kind: SdpType::Offer,
                sdp,
            }) => {
                let collision = self.signaling != Signaling::Stable;
                let ignored = collision && !self.polite;
                let step = match self.heard.offer(&sdp, ignored) {
                    Offer::New => Step::ApplyOffer(sdp),
                    Offer::Answered => Step::AnswerAgain,
                    Offer::Void => return,
                };
                self.ignoring = ignored;
                if ignored {
                    return;
                }
                if collision {
                    self.plan.push_back(Step::Rollback);
                }
                self.plan.push_back(step);
            }
            Signal::Description(Description {
                kind: SdpType::Answer,
                sdp,
            }) => {
                // An answer to an offer taken back answers nothing, and neither does one that was set before.
                let told = super::sdp::answered(&sdp);
                let other = told.is_some() && self.open.is_some() && told != self.open;
                let waits = self.signaling == Signaling::HaveLocalOffer;
                if waits && !other && !self.heard.is_old_answer(&sdp) {
                    self.ignoring = false;
                    self.plan.push_back(Step::ApplyAnswer(sdp));
                }
            }
            // A side takes back its own offer by itself, and waits for the real answer.
            Signal::Description(_) => {}
            Signal::Candidate(candidate) => {
                if self.belongs(&candidate) {
                    self.plan.push_back(Step::AddCandidate(candidate));
                } else {
                    if self.candidates.len() >= WAITING_CANDIDATES {
                        self.candidates.pop_front();
                    }
                    self.candidates.push_back(candidate);
                }
            }
            Signal::EndOfCandidates => {}
            Signal::Restart => self.want(true),
        }
    }

    /// Whether a candidate is of the session that the far side's description opened.
    fn belongs(&self, candidate: &Candidate) -> bool {
        let Some(fragments) = &self.remote else {
            return false;
        };
        match ufrag_of(candidate) {
            Some(fragment) => fragments.iter().any(|known| known == fragment),
            None => !self.ignoring,
        }
    }

    fn described(&mut self, sdp: &str) {
        self.remote = Some(super::sdp::username_fragments(sdp));
        for candidate in std::mem::take(&mut self.candidates) {
            if self.belongs(&candidate) {
                self.plan.push_back(Step::AddCandidate(candidate));
            } else if ufrag_of(&candidate).is_some() {
                self.candidates.push_back(candidate);
            }
        }
    }
}

/// The ICE session that a candidate names, in its field or in its attribute
/// (RFC 8839 section 5.1 allows the extension `ufrag`).
fn ufrag_of(candidate: &Candidate) -> Option<&str> {
    candidate
        .username_fragment
        .as_deref()
        .or_else(|| {
            let mut words = candidate.candidate.split_ascii_whitespace();
            words.find(|word| *word == "ufrag")?;
            words.next()
        })
        .filter(|fragment| !fragment.is_empty())
}

#[cfg(test)]
mod tests;
