//! What came of it: one test for each peer's call, each step, each expectation.

use std::time::Duration;

use rtc_verdict::judge::{Outcome, judge as judge_record};
use rtc_verdict::quantity::Kind as Measure;
use rtc_verdict::record::Record;
use rtc_verdict::report::SamplePicture;
use serde::Serialize;

use crate::expected::{Expected, Observer};
use crate::plan::Plan;
use crate::scenario::Scenario;

/// What one peer saw, its times counted from the scenario's beginning.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What it measured of the others.
    pub record: Record,
    /// Some of what it received.
    pub pictures: Vec<SamplePicture>,
    /// Whether each of its calls came to a good end.
    pub held: bool,
    /// What came of them, in words.
    pub words: String,
    /// What its page complained of.
    pub complaints: Vec<String>,
    /// Mean share of one processor core that it took; unknown on some systems.
    pub processor: Option<f64>,
    /// The exit code of the call that came to a bad end.
    pub code: Option<u8>,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// By its place in the plan.
    pub deed: usize,
    /// When it was, from the scenario's beginning on.
    pub at: Duration,
    /// Why it could not be.
    pub trouble: Option<String>,
}

/// One test and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Test {
    /// What it goes by.
    pub name: String,
    /// Who is tested.
    pub peer: String,
    /// What kind of test: `call`, `step`, `expectation`, `console`.
    pub kind: &'static str,
    /// The number of the step, from 1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Whether it is as it should be.
    pub held: bool,
    /// In words.
    pub words: String,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Judges all of it. `seen` has one of each peer, in the file's order.
#[must_use]
pub fn judge(scenario: &Scenario, plan: &Plan, seen: &[Seen], done: &[Done]) -> Vec<Test> {
    let mut tests = Vec::new();
    for (peer, seen) in scenario.peers.iter().zip(seen) {
        tests.push(Test {
            name: format!("{}: the call", peer.name),
            peer: peer.name.clone(),
            kind: "call",
            step: None,
            held: seen.held,
            words: seen.words.clone(),
            outcome: None,
        });
        if let crate::Kind::Browser(browser) = &peer.kind
            && browser.strict
        {
            tests.push(Test {
                name: format!("{}: the page complains of nothing", peer.name),
                peer: peer.name.clone(),
                kind: "console",
                step: None,
                held: seen.complaints.is_empty(),
                words: seen
                    .complaints
                    .first()
                    .cloned()
                    .unwrap_or_else(|| "nothing".into()),
                outcome: None,
            });
        }
        for expected in &peer.expect {
            let outcomes = judge_record(&seen.record, std::slice::from_ref(&expected.expectation));
            tests.extend(
                outcomes
                    .into_iter()
                    .map(|outcome| test(&peer.name, None, expected, outcome)),
            );
        }
    }
    for (number, step) in scenario.steps.iter().enumerate() {
        let began = began(plan, done, number);
        let who = scenario
            .peers
            .get(step.peer)
            .map_or("", |peer| peer.name.as_str());
        if !step.text.is_empty() {
            let trouble = trouble(plan, done, number);
            tests.push(Test {
                name: format!("step {}: {who}: {}", number + 1, step.text),
                peer: who.to_owned(),
                kind: "step",
                step: Some(number + 1),
                held: trouble.is_none() && began.is_some(),
                words: trouble.unwrap_or_else(|| match began {
                    Some(at) => format!("done at {:.1} s", at.as_secs_f64()),
                    None => "it was never done".into(),
                }),
                outcome: None,
            });
        }
        for expected in &step.expect {
            let observers = scenario
                .peers
                .iter()
                .enumerate()
                .filter(|(at, peer)| match &expected.observer {
                    Observer::Own => *at == step.peer,
                    Observer::Peer(name) => peer.name == *name,
                    Observer::All => true,
                });
            for (at, observer) in observers {
                let Some(seen) = seen.get(at) else { continue };
                let window = began.map(|from| (from, until(plan, done, number, expected, from)));
                let outcome = of_step(&seen.record, expected, window);
                tests.push(test(&observer.name, Some(number + 1), expected, outcome));
            }
        }
    }
    tests
}

fn test(peer: &str, step: Option<usize>, expected: &Expected, outcome: Outcome) -> Test {
    let text = &expected.text;
    let name = match (step, &expected.observer) {
        (None, _) => format!("{peer}: {text}"),
        (Some(step), Observer::Own) => format!("step {step}: {peer}: {text}"),
        (Some(step), Observer::Peer(_)) => format!("step {step}: {text}"),
        (Some(step), Observer::All) => format!("step {step}: {peer} of {text}"),
    };
    Test {
        name,
        peer: peer.to_owned(),
        kind: "expectation",
        step,
        held: outcome.held,
        words: outcome.words.clone(),
        outcome: Some(outcome),
    }
}

/// When a step was done.
fn began(plan: &Plan, done: &[Done], step: usize) -> Option<Duration> {
    deeds_of(plan, done, step)
        .find(|(_, ends)| !ends)
        .map(|(done, _)| done.at)
}

fn trouble(plan: &Plan, done: &[Done], step: usize) -> Option<String> {
    deeds_of(plan, done, step).find_map(|(done, _)| done.trouble.clone())
}

fn deeds_of<'a>(
    plan: &'a Plan,
    done: &'a [Done],
    step: usize,
) -> impl Iterator<Item = (&'a Done, bool)> {
    done.iter().filter_map(move |one| {
        let deed = plan
            .deeds
            .get(one.deed)
            .filter(|deed| deed.step == Some(step))?;
        Some((one, deed.ends))
    })
}

/// A step's expectation counts until the next step is done, unless it says itself how long.
fn until(plan: &Plan, done: &[Done], step: usize, expected: &Expected, from: Duration) -> Duration {
    if let Some(within) = expected.within {
        return from + within;
    }
    if let Some(until) = expected.expectation.until {
        return from + until;
    }
    let next = done.iter().filter(|one| one.at > from).filter(|one| {
        let deed = plan.deeds.get(one.deed);
        deed.is_some_and(|deed| !deed.ends && deed.step.is_some_and(|other| other != step))
    });
    next.map(|one| one.at).min().unwrap_or(plan.duration)
}

fn of_step(record: &Record, expected: &Expected, window: Option<(Duration, Duration)>) -> Outcome {
    let expectation = std::slice::from_ref(&expected.expectation);
    let of = |from, to| judge_record(&record.part(from, to), expectation).pop();
    let none = |words: &str| Outcome {
        expectation: expected.expectation.clone(),
        held: false,
        words: words.to_owned(),
        findings: Vec::new(),
    };
    let Some((from, to)) = window else {
        return none("the step was never done");
    };
    if to > record.duration() + Duration::from_secs(1) && expected.within.is_some() {
        let known = record.duration().as_secs_f64();
        return none(&format!(
            "the call was over after {known:.1} s, before the time within which it was expected; let it last longer"
        ));
    }
    let once = expected.expectation.quantity.kind == Measure::Once;
    if expected.within.is_none() || once {
        return of(from, to).unwrap_or_else(|| none("nothing was measured"));
    }
    // The first second in which it holds, looked for in steps of a quarter.
    let mut at = from;
    let mut last = None;
    while at + Duration::from_secs(1) <= to {
        let outcome = of(at, at + Duration::from_secs(1));
        if let Some(mut held) = outcome.clone().filter(|outcome| outcome.held) {
            let after = (at + Duration::from_secs(1) - from).as_secs_f64();
            held.words = format!("after {after:.1} s: {}", held.words);
            return held;
        }
        last = outcome;
        at += Duration::from_millis(250);
    }
    last.unwrap_or_else(|| none("nothing was measured"))
}

#[cfg(test)]
mod tests;
