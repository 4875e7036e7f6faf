//! Who offers, who answers, and what is no use any more. Pure.

use std::collections::VecDeque;
use std::time::Instant;

use rtc_protocol::{Description, SdpType, Signal};

use super::super::gather::Gathering;
use super::super::via::Begins;
use super::text::{Pasted, write};

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The far side said this.
    Signal(Signal),
    /// This is to be carried to the far side.
    Copy(SdpType, String),
    /// What was pasted cannot be used.
    Useless(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Our offer is being made, or out.
    Offering,
    /// Theirs has to come.
    Waiting,
    /// Theirs came; our answer is being made, or out.
    Answering,
    /// Their answer came.
    Answered,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Talk {
    stage: Stage,
    pasted: Pasted,
    gathering: Option<Gathering>,
    /// The last one that was given away.
    before: Option<Gathering>,
    /// The offer that we gave away.
    ours: Option<String>,
    told: VecDeque<Told>,
}

impl Talk {
    /// Begins.
    pub(crate) const fn new(begins: Begins) -> Self {
        Self {
            stage: match begins {
                Begins::Us => Stage::Offering,
                Begins::Them => Stage::Waiting,
            },
            pasted: Pasted::new(),
            gathering: None,
            before: None,
            ours: None,
            told: VecDeque::new(),
        }
    }

    /// Takes what our side says.
    pub(crate) fn signal(&mut self, now: Instant, signal: Signal) {
        match signal {
            Signal::Description(ours) => {
                let expected = match self.stage {
                    Stage::Offering => ours.kind == SdpType::Offer && self.ours.is_none(),
                    Stage::Answering => ours.kind == SdpType::Answer,
                    Stage::Waiting | Stage::Answered => false,
                };
                // Nobody carries a second exchange.
                if expected {
                    self.gathering = Some(Gathering::after(now, ours, self.before.as_ref()));
                }
            }
            Signal::Candidate(candidate) => {
                if let Some(gathering) = &mut self.gathering {
                    gathering.candidate(candidate);
                }
            }
            Signal::EndOfCandidates => {
                if let Some(gathering) = &mut self.gathering {
                    gathering.end();
                }
            }
            Signal::Restart => {}
        }
        self.check(now);
    }

    /// When to look again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.gathering.as_ref().map(Gathering::until)
    }

    /// Gives away what has waited for candidates for long enough.
    pub(crate) fn check(&mut self, now: Instant) {
        let Some(gathering) = self.gathering.take_if(|g| g.is_ready(now)) else {
            return;
        };
        let kind = gathering.kind();
        let sdp = gathering.text();
        if kind == SdpType::Offer {
            self.ours = Some(sdp.clone());
        }
        self.before = Some(gathering);
        let text = write(&Description { kind, sdp });
        self.told.push_back(Told::Copy(kind, text));
    }

    /// Takes a line that was pasted.
    pub(crate) fn paste(&mut self, line: &str) {
        match self.pasted.line(line) {
            None => {}
            Some(Err(error)) => self.useless(error.to_string()),
            Some(Ok(theirs)) => self.hear(theirs),
        }
    }

    /// What came of it.
    pub(crate) fn next_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    fn hear(&mut self, theirs: Description) {
        let offer = theirs.kind == SdpType::Offer;
        if offer && self.ours.as_ref() == Some(&theirs.sdp) {
            return self.useless(
                "this is the offer that was made here: give it to the other side, and paste the answer that it gives",
            );
        }
        match (self.stage, offer) {
            // Whose offer is pasted first has it answered; ours is taken back.
            (Stage::Offering | Stage::Waiting, true) => {
                self.before = self.gathering.take().or(self.before.take());
                self.stage = Stage::Answering;
                self.told.push_back(Told::Signal(Signal::Description(theirs)));
            }
            (Stage::Offering, false) if self.ours.is_some() => {
                self.stage = Stage::Answered;
                self.told.push_back(Told::Signal(Signal::Description(theirs)));
            }
            (Stage::Offering | Stage::Waiting, false) => self.useless(
                "this is an answer, and there was no offer of ours yet that it could answer; paste the other side's offer",
            ),
            (Stage::Answering, false) => self.useless(
                "this answers an offer that was given up when the other side's was pasted; only one of the two pastes an offer: start both again",
            ),
            (Stage::Answering | Stage::Answered, true) => self.useless(
                "an offer is of no use any more: there was one, and its answer; for another connection start again",
            ),
            (Stage::Answered, false) => {
                self.useless("the answer is there already; a second one changes nothing");
            }
        }
    }

    fn useless(&mut self, why: impl Into<String>) {
        self.told.push_back(Told::Useless(why.into()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use rtc_protocol::Candidate;

    use super::*;

    fn description(kind: SdpType, id: &str) -> Description {
        let line = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host";
        let sdp = format!("v=0\r\no=- {id} 1 IN IP4 0.0.0.0\r\nm=audio 9 X 0\r\n{line}\r\n");
        Description { kind, sdp }
    }

    fn theirs(kind: SdpType) -> String {
        write(&description(kind, "2"))
    }

    fn say(talk: &mut Talk, kind: SdpType) -> String {
        let now = Instant::now();
        talk.signal(now, Signal::Description(description(kind, "1")));
        assert_eq!(talk.next_told(), None, "candidates are waited for");
        talk.signal(now, Signal::Candidate(Candidate::default()));
        talk.signal(now, Signal::EndOfCandidates);
        let Some(Told::Copy(told, text)) = talk.next_told() else {
            panic!("nothing to copy");
        };
        assert_eq!(told, kind);
        text
    }

    fn hear(talk: &mut Talk, text: &str) -> Told {
        talk.paste(text);
        talk.next_told().unwrap()
    }

    fn useless(talk: &mut Talk, text: &str) -> String {
        match hear(talk, text) {
            Told::Useless(why) => why,
            told => panic!("{told:?}"),
        }
    }

    #[test]
    fn an_offer_goes_out_and_its_answer_comes_in_once() {
        let mut talk = Talk::new(Begins::Us);
        assert!(useless(&mut talk, &theirs(SdpType::Answer)).contains("no offer of ours yet"));
        let ours = say(&mut talk, SdpType::Offer);
        assert!(useless(&mut talk, &ours).contains("made here"));
        assert!(matches!(
            hear(&mut talk, &theirs(SdpType::Answer)),
            Told::Signal(_)
        ));
        assert!(useless(&mut talk, &theirs(SdpType::Answer)).contains("already"));
        assert!(useless(&mut talk, &theirs(SdpType::Offer)).contains("any more"));
    }

    #[test]
    fn who_waits_answers_and_so_does_who_offered_in_vain() {
        for begins in [Begins::Us, Begins::Them] {
            let mut talk = Talk::new(begins);
            if begins == Begins::Us {
                say(&mut talk, SdpType::Offer);
            }
            assert!(matches!(
                hear(&mut talk, &theirs(SdpType::Offer)),
                Told::Signal(_)
            ));
            say(&mut talk, SdpType::Answer);
            assert!(useless(&mut talk, &theirs(SdpType::Answer)).contains("only one of the two"));
            assert!(useless(&mut talk, &theirs(SdpType::Offer)).contains("any more"));
        }
    }

    #[test]
    fn what_is_negotiated_later_is_told_to_nobody() {
        let mut talk = Talk::new(Begins::Us);
        say(&mut talk, SdpType::Offer);
        let now = Instant::now();
        talk.signal(now, Signal::Description(description(SdpType::Offer, "1")));
        assert_eq!((talk.next_told(), talk.deadline()), (None, None));
    }

    #[test]
    fn who_does_not_say_that_there_are_no_more_candidates_is_not_waited_for() {
        let mut talk = Talk::new(Begins::Us);
        talk.signal(
            Instant::now(),
            Signal::Description(description(SdpType::Offer, "1")),
        );
        talk.check(talk.deadline().unwrap());
        assert!(matches!(talk.next_told(), Some(Told::Copy(..))));
    }
}
