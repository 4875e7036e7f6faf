//! Two machines over a wire whose link breaks and comes back: what it says may be heard twice, as rtc.v1 allows. And over
//! one whose server dies: what the server had taken is lost, and the two meet again.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::super::{Negotiation, Signaling, Step};
use crate::peer::sdp;
use rtc_protocol::{Candidate, Description, SdpType, Signal};

/// Candidates of each ICE session.
const CANDIDATES: u32 = 3;

/// One direction: in order, and after a break again from what the far end has not acknowledged.
#[derive(Debug, Default)]
struct Wire {
    said: Vec<Signal>,
    delivered: usize,
    acknowledged: usize,
    down: bool,
}

impl Wire {
    fn deliver(&mut self, random: &mut StdRng) -> Option<Signal> {
        if self.down {
            return None;
        }
        let signal = self.said.get(self.delivered).cloned()?;
        self.delivered += 1;
        if random.random_bool(0.5) {
            self.acknowledged = random.random_range(self.acknowledged..=self.delivered);
        }
        Some(signal)
    }

    fn break_off(&mut self) {
        self.down = true;
        self.delivered = self.acknowledged;
    }

    /// The server dies with some of what it has taken.
    fn lose(&mut self, random: &mut StdRng) {
        let taken = random.random_range(self.delivered..=self.said.len());
        self.delivered = taken;
        self.acknowledged = self.acknowledged.max(taken);
    }

    fn is_empty(&self) -> bool {
        self.delivered == self.said.len()
    }
}

/// What one description said, as the model's engines know it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    fragment: String,
    /// How many wishes of its maker are in it.
    wishes: u32,
    /// Who made it, and which of its descriptions it is.
    name: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Stable,
    HaveLocalOffer,
    HaveRemoteOffer,
}

/// The signaling half of an engine: refuses what webrtc-pc section 4.4.1.5 refuses.
#[derive(Debug, Default)]
struct Engine {
    state: State,
    pending: Option<Said>,
    local: Option<Said>,
    remote: Option<Said>,
    /// The offer and the answer last agreed on.
    agreed: Option<(String, String)>,
    sessions: u32,
    descriptions: u32,
    /// By ICE session.
    candidates: BTreeMap<String, BTreeSet<String>>,
    /// Candidates that are still to be found, by session.
    to_find: Vec<(String, u32)>,
    last_offer: Option<Signal>,
    last_answer: Option<Signal>,
}

#[derive(Debug)]
struct Side {
    name: char,
    machine: Negotiation,
    engine: Engine,
    step: Option<Step>,
    wishes: u32,
    /// Sessions begun when a restart was last asked for.
    restart_after: Option<u32>,
    wire: Wire,
    again: u32,
    rollbacks: u32,
}

fn text(said: &Said, maker: char, number: u32) -> String {
    format!(
        "v=0\r\no=- {maker} {number} IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=x-wishes:{}\r\na=ice-ufrag:{}\r\n",
        said.wishes, said.fragment,
    )
}

fn read(text: &str) -> Said {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.expect("every description has it").to_owned()
    };
    Said {
        fragment: value("a=ice-ufrag:"),
        wishes: value("a=x-wishes:").parse().expect("a number"),
        name: sdp::version(text).expect("an o= line"),
    }
}

impl Side {
    fn new(name: char, polite: bool) -> Self {
        Self {
            name,
            machine: Negotiation::new(polite),
            engine: Engine::default(),
            step: None,
            wishes: 0,
            restart_after: None,
            wire: Wire::default(),
            again: 0,
            rollbacks: 0,
        }
    }

    fn want(&mut self, restart: bool) {
        self.wishes += 1;
        if restart {
            self.restart_after = Some(self.engine.sessions);
        }
        self.machine.want(restart);
    }

    fn describe(&mut self, restart: bool) -> (Said, String) {
        let engine = &mut self.engine;
        engine.descriptions += 1;
        let current = engine.local.as_ref().map(|local| local.fragment.clone());
        let fragment = match current.filter(|_| !restart) {
            Some(fragment) => fragment,
            None => {
                engine.sessions += 1;
                let fragment = format!("{}{}", self.name, engine.sessions);
                engine.to_find.push((fragment.clone(), CANDIDATES));
                fragment
            }
        };
        let said = Said {
            fragment,
            wishes: self.wishes,
            name: format!("{} {}", self.name, engine.descriptions),
        };
        let text = text(&said, self.name, engine.descriptions);
        (said, text)
    }

    fn say(&mut self, kind: SdpType, sdp: String) -> Signal {
        let signal = Signal::Description(Description { kind, sdp });
        self.wire.said.push(signal.clone());
        signal
    }

    /// The engine finds an address and trickles it, of a session just begun.
    fn find_candidate(&mut self) {
        let Some((fragment, left)) = self.engine.to_find.first_mut() else {
            return;
        };
        *left -= 1;
        let done = *left == 0;
        let signal = Signal::Candidate(Candidate {
            candidate: format!("candidate {left} of {fragment}"),
            username_fragment: Some(fragment.clone()),
            ..Candidate::default()
        });
        if done {
            self.engine.to_find.remove(0);
        }
        self.wire.said.push(signal);
    }

    fn perform(&mut self, step: Step) {
        let name = self.name;
        match step {
            Step::Offer { restart } => {
                assert_eq!(self.engine.state, State::Stable, "{name}");
                let (said, sdp) = self.describe(restart);
                self.machine.offered(&sdp);
                self.engine.state = State::HaveLocalOffer;
                self.engine.pending = Some(said);
                let signal = self.say(SdpType::Offer, sdp);
                self.engine.last_offer = Some(signal);
            }
            Step::OfferAgain => {
                assert_eq!(self.engine.state, State::HaveLocalOffer, "{name}");
                self.again += 1;
                let signal = self.engine.last_offer.clone().expect("an offer");
                self.wire.said.push(signal);
            }
            Step::Rollback => {
                assert_eq!(self.engine.state, State::HaveLocalOffer, "{name}");
                self.rollbacks += 1;
                self.engine.state = State::Stable;
                self.engine.pending = None;
            }
            Step::ApplyOffer(sdp) => {
                assert_eq!(self.engine.state, State::Stable, "{name}");
                self.engine.state = State::HaveRemoteOffer;
                self.engine.pending = Some(read(&sdp));
            }
            Step::Answer => self.answer(),
            Step::AnswerAgain => {
                self.again += 1;
                let signal = self.engine.last_answer.clone().expect("an answer");
                self.wire.said.push(signal);
            }
            Step::ApplyAnswer(sdp) => {
                assert_eq!(self.engine.state, State::HaveLocalOffer, "{name}");
                let offer = self.engine.pending.take().expect("an offer of ours");
                let told = sdp::answered(&sdp).expect("which offer it answers");
                assert_eq!(told, offer.name, "{name}: another's answer");
                let answer = read(&sdp);
                self.engine.state = State::Stable;
                self.engine.agreed = Some((offer.name.clone(), answer.name.clone()));
                self.engine.local = Some(offer);
                self.engine.remote = Some(answer);
            }
            Step::AddCandidate(candidate) => {
                let fragment = candidate.username_fragment.expect("one is given");
                let remote = match self.engine.state {
                    State::HaveRemoteOffer => &self.engine.pending,
                    _ => &self.engine.remote,
                };
                let known = remote.as_ref().is_some_and(|r| r.fragment == fragment);
                assert!(
                    known,
                    "{name}: {fragment} is not the far side's session: {remote:?}"
                );
                let all = self.engine.candidates.entry(fragment).or_default();
                all.insert(candidate.candidate);
            }
        }
        self.machine.done(true);
    }

    fn answer(&mut self) {
        assert_eq!(self.engine.state, State::HaveRemoteOffer, "{}", self.name);
        let offer = self.engine.pending.take().expect("an offer to answer");
        let before = self.engine.remote.as_ref();
        let restarts = before.is_some_and(|before| before.fragment != offer.fragment);
        let (said, sdp) = self.describe(restarts);
        let origin = format!("o=- {} IN IP4 0.0.0.0\r\n", offer.name);
        let sdp = sdp::answering(&sdp, &origin);
        self.engine.state = State::Stable;
        self.engine.agreed = Some((offer.name.clone(), said.name.clone()));
        self.engine.remote = Some(offer);
        self.engine.local = Some(said);
        let signal = self.say(SdpType::Answer, sdp);
        self.engine.last_answer = Some(signal);
    }

    fn act(&mut self) {
        match self.step.take() {
            Some(step) => self.perform(step),
            None => self.step = self.machine.next(),
        }
    }

    fn is_quiet(&self) -> bool {
        self.step.is_none()
            && self.machine.is_settled()
            && self.wire.is_empty()
            && self.engine.to_find.is_empty()
    }
}

/// The server dies, and both meet again at another.
fn meet_again(sides: &mut [Side; 2], random: &mut StdRng) {
    for side in sides {
        side.wire.lose(random);
        side.wire.break_off();
        side.machine.met_again();
    }
}

/// One seed to its end; gives how often something was said again and an offer taken back.
fn run(seed: u64, mut deaths: u32) -> (u32, u32) {
    const PATIENCE: u32 = 20_000;
    let mut random = StdRng::seed_from_u64(seed);
    let mut sides = [Side::new('A', true), Side::new('B', false)];
    let mut wants = random.random_range(1..10);
    let mut breaks = random.random_range(0..6);
    let mut rounds = 0;
    let candidates_are_lost = deaths > 0;
    while wants > 0 || !sides.iter().all(Side::is_quiet) {
        rounds += 1;
        assert!(
            rounds < PATIENCE,
            "seed {seed} never comes to rest: {sides:#?}"
        );
        let actor = random.random_range(0..2);
        match random.random_range(0..12) {
            0 if wants > 0 => {
                wants -= 1;
                let restart = random.random_bool(0.4);
                sides[actor].want(restart);
            }
            1 if breaks > 0 => {
                breaks -= 1;
                sides[actor].wire.break_off();
            }
            1 if deaths > 0 && random.random_bool(0.3) => {
                deaths -= 1;
                meet_again(&mut sides, &mut random);
            }
            2 => sides[actor].wire.down = false,
            3 => sides[actor].find_candidate(),
            4..8 => {
                if let Some(signal) = sides[1 - actor].wire.deliver(&mut random) {
                    assert!(sides[actor].machine.signal(signal));
                }
            }
            _ => sides[actor].act(),
        }
    }
    judge(seed, &sides, candidates_are_lost);
    let sum = |count: fn(&Side) -> u32| sides.iter().map(count).sum();
    (sum(|side| side.again), sum(|side| side.rollbacks))
}

fn judge(seed: u64, sides: &[Side; 2], candidates_are_lost: bool) {
    let [a, b] = sides;
    assert!(a.engine.agreed.is_some(), "seed {seed}");
    assert_eq!(a.engine.agreed, b.engine.agreed, "seed {seed}");
    for (near, far) in [(a, b), (b, a)] {
        assert_eq!(near.machine.signaling, Signaling::Stable, "seed {seed}");
        assert_eq!(near.engine.local, far.engine.remote, "seed {seed}");
        let local = near.engine.local.as_ref().expect("agreed");
        assert_eq!(
            local.wishes, near.wishes,
            "seed {seed}: a wish was not served"
        );
        if let Some(before) = near.restart_after {
            assert!(near.engine.sessions > before, "seed {seed}: no restart");
        }
        if candidates_are_lost {
            continue;
        }
        let known = far.engine.candidates.get(&local.fragment);
        let known = known.map_or(0, BTreeSet::len);
        assert_eq!(
            known, CANDIDATES as usize,
            "seed {seed}: candidates of {} are lost",
            near.name
        );
    }
}

#[test]
fn links_that_break_and_come_back_change_nothing_about_the_agreement() {
    let (mut again, mut rollbacks) = (0, 0);
    for seed in 0..3_000 {
        let (a, r) = run(seed, 0);
        again += a;
        rollbacks += r;
    }
    assert!(again > 100, "only {again} answers were said again");
    assert!(rollbacks > 500, "only {rollbacks} offers were taken back");
}

#[test]
fn servers_that_die_with_what_they_have_taken_leave_one_agreement() {
    let mut again = 0;
    for seed in 0..3_000 {
        let deaths = 1 + (seed % 3) as u32;
        again += run(seed, deaths).0;
    }
    assert!(again > 100, "only {again} descriptions were said again");
}
