#![allow(clippy::expect_used, clippy::panic)]

mod model;

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Negotiation, Step};
use rtc_protocol::{Candidate, Description, SdpType, Signal};

/// The signaling half of an engine: refuses every operation that webrtc-pc refuses.
#[derive(Debug, Default)]
struct Engine {
    local_offer: Option<String>,
    remote_offer: Option<String>,
    /// The exchange last completed, as `offer/answer`.
    agreed: Option<String>,
    /// The fragment of the remote description in force.
    remote: Option<String>,
    sessions: u32,
    offers: u32,
    candidates: Vec<String>,
}

#[derive(Debug)]
struct Side {
    name: &'static str,
    machine: Negotiation,
    engine: Engine,
    wire: VecDeque<Signal>,
    step: Option<Step>,
}

fn description(kind: SdpType, text: &str, fragment: &str) -> Signal {
    Signal::Description(Description {
        kind,
        sdp: format!("{text}\r\na=ice-ufrag:{fragment}\r\n"),
    })
}

fn first_line(sdp: &str) -> String {
    sdp.lines().next().unwrap_or_default().to_owned()
}

impl Side {
    fn new(name: &'static str, polite: bool) -> Self {
        Self {
            name,
            machine: Negotiation::new(polite),
            engine: Engine::default(),
            wire: VecDeque::new(),
            step: None,
        }
    }

    fn fragment(&self) -> String {
        format!("{}{}", self.name, self.engine.sessions)
    }

    fn say(&mut self, kind: SdpType, text: &str) {
        let fragment = self.fragment();
        self.wire.push_back(description(kind, text, &fragment));
        self.wire.push_back(Signal::Candidate(Candidate {
            candidate: format!("candidate of {fragment}"),
            username_fragment: Some(fragment),
            ..Candidate::default()
        }));
    }

    /// Performs the step in progress and reports its outcome.
    fn finish(&mut self) {
        let Some(step) = self.step.take() else { return };
        let name = self.name;
        let engine = &mut self.engine;
        match step {
            Step::Offer { restart } => {
                assert!(engine.local_offer.is_none() && engine.remote_offer.is_none());
                engine.offers += 1;
                engine.sessions += u32::from(restart || engine.sessions == 0);
                let text = format!("offer {name} {}", engine.offers);
                engine.local_offer = Some(text.clone());
                self.say(SdpType::Offer, &text);
            }
            Step::Rollback => {
                assert!(
                    engine.local_offer.take().is_some(),
                    "{name}: nothing to take back"
                );
            }
            Step::ApplyOffer(sdp) => {
                assert!(engine.local_offer.is_none() && engine.remote_offer.is_none());
                engine.remote_offer = Some(first_line(&sdp));
                engine.remote = super::super::sdp::username_fragments(&sdp).pop();
            }
            Step::Answer => {
                let offer = engine.remote_offer.take().expect("an offer to answer");
                engine.sessions += u32::from(engine.sessions == 0);
                let text = format!("answer to {offer}");
                engine.agreed = Some(offer);
                self.say(SdpType::Answer, &text);
            }
            Step::OfferAgain | Step::AnswerAgain => {
                panic!("{name}: nothing is heard twice on this wire")
            }
            Step::ApplyAnswer(sdp) => {
                let offer = engine.local_offer.take().expect("an offer that was made");
                assert_eq!(first_line(&sdp), format!("answer to {offer}"), "{name}");
                engine.agreed = Some(offer);
                engine.remote = super::super::sdp::username_fragments(&sdp).pop();
            }
            Step::AddCandidate(candidate) => {
                assert_eq!(candidate.username_fragment, engine.remote, "{name}");
                engine.candidates.push(candidate.candidate);
            }
        }
        self.machine.done(true);
    }

    fn act(&mut self) -> bool {
        if self.step.is_some() {
            self.finish();
            return true;
        }
        self.step = self.machine.next();
        self.step.is_some()
    }
}

#[test]
fn any_interleaving_of_two_peers_ends_in_one_agreement() {
    let mut glares = 0;
    for seed in 0..5_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut sides = [Side::new("a", true), Side::new("b", false)];
        let mut wants = random.random_range(1..8);
        loop {
            let actor = random.random_range(0..2);
            match random.random_range(0..6) {
                0 if wants > 0 => {
                    wants -= 1;
                    let restart = random.random_bool(0.3);
                    sides[actor].machine.want(restart);
                }
                1 if wants > 0 && random.random_bool(0.1) => {
                    wants -= 1;
                    sides[actor].wire.push_back(Signal::Restart);
                }
                2 | 3 => {
                    if let Some(signal) = sides[1 - actor].wire.pop_front() {
                        assert!(sides[actor].machine.signal(signal));
                    }
                }
                _ => {
                    let before = matches!(sides[actor].step, Some(Step::Rollback));
                    sides[actor].act();
                    glares += u32::from(before);
                }
            }
            let quiet = wants == 0
                && sides.iter().all(|side| {
                    side.wire.is_empty() && side.step.is_none() && side.machine.is_settled()
                });
            if quiet {
                break;
            }
        }
        let [a, b] = &sides;
        assert!(a.engine.agreed.is_some(), "seed {seed}");
        assert_eq!(a.engine.agreed, b.engine.agreed, "seed {seed}");
        assert_eq!(a.engine.remote, Some(b.fragment()), "seed {seed}");
        assert_eq!(b.engine.remote, Some(a.fragment()), "seed {seed}");
        for (side, far) in [(a, b), (b, a)] {
            let wanted = format!("candidate of {}", far.fragment());
            assert!(side.engine.candidates.contains(&wanted), "seed {seed}");
        }
    }
    assert!(glares > 1_000, "only {glares} glares were tried");
}

fn candidate(fragment: Option<&str>) -> Candidate {
    Candidate {
        candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned(),
        username_fragment: fragment.map(str::to_owned),
        ..Candidate::default()
    }
}

/// All steps until the machine rests, each done with the same outcome.
fn steps(machine: &mut Negotiation, outcome: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(step) = machine.next() {
        steps.push(step);
        machine.done(outcome);
    }
    steps
}

#[test]
fn early_candidates_wait_for_their_description() {
    let mut machine = Negotiation::new(true);
    machine.signal(Signal::Candidate(candidate(Some("x"))));
    machine.signal(Signal::Candidate(candidate(None)));
    machine.signal(Signal::Candidate(candidate(Some("y"))));
    assert_eq!(steps(&mut machine, true), []);
    machine.signal(description(SdpType::Offer, "offer", "x"));
    let steps = steps(&mut machine, true);
    assert!(matches!(steps[0], Step::ApplyOffer(_)));
    assert_eq!(
        steps[1..],
        [
            Step::Answer,
            Step::AddCandidate(candidate(Some("x"))),
            Step::AddCandidate(candidate(None)),
        ]
    );
}

#[test]
fn the_session_of_a_candidate_may_stand_in_its_attribute() {
    let mut machine = Negotiation::new(true);
    machine.signal(description(SdpType::Offer, "offer", "x"));
    steps(&mut machine, true);
    let mut other = candidate(None);
    other
        .candidate
        .push_str(" generation 0 ufrag y network-id 1");
    machine.signal(Signal::Candidate(other));
    let mut same = candidate(None);
    same.candidate
        .push_str(" generation 0 ufrag x network-id 1");
    machine.signal(Signal::Candidate(same.clone()));
    assert_eq!(steps(&mut machine, true), [Step::AddCandidate(same)]);
}

#[test]
fn the_impolite_peer_ignores_an_offer_that_crosses_its_own() {
    let mut machine = Negotiation::new(false);
    machine.want(false);
    assert_eq!(steps(&mut machine, true), [Step::Offer { restart: false }]);
    machine.signal(description(SdpType::Offer, "offer", "x"));
    machine.signal(Signal::Candidate(candidate(None)));
    assert_eq!(steps(&mut machine, true), []);
    machine.signal(description(SdpType::Answer, "answer", "y"));
    let steps = steps(&mut machine, true);
    assert!(matches!(steps[0], Step::ApplyAnswer(_)));
}

#[test]
fn the_polite_peer_gives_way_and_offers_again() {
    let mut machine = Negotiation::new(true);
    machine.want(true);
    assert_eq!(steps(&mut machine, true), [Step::Offer { restart: true }]);
    machine.signal(description(SdpType::Offer, "offer", "x"));
    let steps = steps(&mut machine, true);
    assert_eq!(steps[0], Step::Rollback);
    assert!(matches!(steps[1], Step::ApplyOffer(_)));
    assert_eq!(steps[2..], [Step::Answer, Step::Offer { restart: true }]);
}

#[test]
fn an_answer_to_nothing_is_not_heard() {
    let mut machine = Negotiation::new(true);
    machine.signal(description(SdpType::Answer, "answer", "x"));
    assert_eq!(steps(&mut machine, true), []);
    assert!(machine.is_settled());
}

#[test]
fn a_refused_offer_leaves_the_machine_ready_for_a_good_one() {
    let mut machine = Negotiation::new(false);
    machine.signal(description(SdpType::Offer, "bad", "x"));
    assert_eq!(steps(&mut machine, false).len(), 1);
    assert!(machine.is_settled());
    machine.signal(description(SdpType::Offer, "good", "x"));
    assert_eq!(steps(&mut machine, true).len(), 2);
}

#[test]
fn a_refused_answer_leaves_our_offer_open_for_a_good_one() {
    let mut machine = Negotiation::new(false);
    machine.want(false);
    steps(&mut machine, true);
    machine.signal(description(SdpType::Answer, "bad", "x"));
    assert_eq!(steps(&mut machine, false).len(), 1);
    machine.signal(description(SdpType::Answer, "good", "x"));
    assert!(matches!(
        steps(&mut machine, true)[..],
        [Step::ApplyAnswer(_)]
    ));
    assert!(machine.is_settled());
}

#[test]
fn an_open_offer_is_said_again_where_both_meet_again_and_an_agreed_one_is_not() {
    let mut machine = Negotiation::new(false);
    machine.met_again();
    assert_eq!(steps(&mut machine, true), []);
    machine.want(false);
    steps(&mut machine, true);
    machine.met_again();
    assert_eq!(steps(&mut machine, true), [Step::OfferAgain]);
    machine.signal(description(SdpType::Answer, "answer", "x"));
    steps(&mut machine, true);
    machine.met_again();
    assert_eq!(steps(&mut machine, true), []);
}

#[test]
fn who_offers_in_the_others_place_gives_way_to_it() {
    let mut machine = Negotiation::new(false);
    machine.offer_in_its_place();
    assert_eq!(steps(&mut machine, true), [Step::Offer { restart: false }]);
    machine.signal(description(SdpType::Offer, "offer", "x"));
    assert_eq!(steps(&mut machine, true)[0], Step::Rollback);
}

#[test]
fn a_flood_of_signals_is_cut_off() {
    let mut machine = Negotiation::new(false);
    let heard = (0..100_000)
        .filter(|_| machine.signal(Signal::Candidate(candidate(Some("x")))))
        .count();
    assert_eq!(heard, super::WAITING_SIGNALS);
    assert_eq!(steps(&mut machine, true), []);
    assert_eq!(machine.candidates.len(), super::WAITING_CANDIDATES);
}
