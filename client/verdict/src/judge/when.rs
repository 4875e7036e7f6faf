//! When it was not as expected, and what the network did then.

use std::time::Duration;

use serde::Serialize;

use super::measure::{SECOND, Window, each_second};
use crate::expectation::{Comparison, Expectation};
use crate::quantity::Kind;
use crate::record::PeerRecord;
use crate::unit::Unit;

/// Stretches that are told of one expectation.
const STRETCHES: usize = 5;

/// Notes that are told of one stretch.
const NOTES: usize = 4;

/// Seconds in a row in which it was not as expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stretch {
    /// Seconds since the beginning of the call.
    pub from: f64,
    /// Likewise, and no more a part of it.
    pub to: f64,
    /// The worst second's value.
    pub worst: f64,
    /// What the network did then, in words; empty where nothing is known.
    pub network: String,
}

impl Stretch {
    pub(super) fn words(&self, unit: Unit) -> String {
        let mut text = format!(
            "from {:.1} s to {:.1} s of the call ({})",
            self.from,
            self.to,
            unit.tell(self.worst)
        );
        if !self.network.is_empty() {
            text.push_str(&format!(", when {}", self.network));
        }
        text
    }
}

/// The worst stretches, the worst first.
pub(super) fn stretches(
    peer: &PeerRecord,
    expectation: &Expectation,
    window: Window,
) -> Vec<Stretch> {
    let mut found: Vec<(Duration, Duration, f64)> = Vec::new();
    for (from, value) in each_second(peer, expectation, window) {
        let Some(value) = value.filter(|value| is_bad(expectation, *value)) else {
            continue;
        };
        match found.last_mut() {
            Some((_, to, worst)) if *to == from => {
                *to = from + SECOND;
                *worst = worse(expectation, *worst, value);
            }
            _ => found.push((from, from + SECOND, value)),
        }
    }
    let badness = |value: f64| match expectation.comparison {
        Comparison::More | Comparison::AtLeast => -value,
        Comparison::Equal => (value - expectation.asked).abs(),
        _ => value,
    };
    found.sort_by(|a, b| badness(b.2).total_cmp(&badness(a.2)));
    found.truncate(STRETCHES);
    found
        .into_iter()
        .map(|(from, to, worst)| Stretch {
            from: from.as_secs_f64(),
            to: to.as_secs_f64(),
            worst,
            network: network(peer, from, to),
        })
        .collect()
}

/// Whether a second has a part in what is wrong. Of what adds up each second in which some of it happened has.
fn is_bad(expectation: &Expectation, value: f64) -> bool {
    match expectation.quantity.kind {
        Kind::Tally | Kind::Counter => match expectation.comparison {
            Comparison::Less | Comparison::AtMost | Comparison::Equal => value > 0.0,
            _ => false,
        },
        _ => !expectation.comparison.holds(value, expectation.asked),
    }
}

fn worse(expectation: &Expectation, a: f64, b: f64) -> f64 {
    match expectation.comparison {
        Comparison::More | Comparison::AtLeast => a.min(b),
        Comparison::Equal if (a - expectation.asked).abs() > (b - expectation.asked).abs() => a,
        Comparison::Equal => b,
        _ => a.max(b),
    }
}

/// Figures are told a second late, and what happens shows a moment after.
fn network(peer: &PeerRecord, from: Duration, to: Duration) -> String {
    let (from, to) = (from.saturating_sub(SECOND), to + SECOND);
    let values = |name: &str| -> Vec<f64> {
        let series = peer.get(name);
        let within = series.map(|s| s.within(from, to).map(|v| v.value).collect());
        within.unwrap_or_default()
    };
    let highest = |name| values(name).into_iter().reduce(f64::max);
    let lowest = |name| values(name).into_iter().reduce(f64::min);
    let mut parts = Vec::new();
    if let Some(loss) = highest("network.loss") {
        parts.push(format!(
            "up to {} of packets were lost",
            Unit::Share.tell(loss)
        ));
    }
    if let Some(rtt) = highest("network.rtt") {
        parts.push(format!("the round trip was up to {}", Unit::Time.tell(rtt)));
    }
    if let Some(rate) = lowest("network.received") {
        parts.push(format!("as little as {} came", Unit::Bitrate.tell(rate)));
    }
    let notes = peer
        .notes()
        .iter()
        .filter(|(at, _)| (from..to).contains(at));
    parts.extend(notes.take(NOTES).map(|(at, text)| {
        let at = at.as_secs_f64();
        format!("at {at:.1} s: {text}")
    }));
    parts.join(", ")
}
