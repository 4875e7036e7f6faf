//! Whether what was expected is what was measured.

mod measure;
mod when;

use serde::Serialize;

use crate::expectation::Expectation;
use crate::record::{PeerRecord, Record};

use measure::{Window, measure, share_held};
pub use when::Stretch;

/// What came of one expectation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// What was expected.
    pub expectation: Expectation,
    /// Whether it held, of everybody it was expected of.
    pub held: bool,
    /// In words, one line.
    pub words: String,
    /// Of whom.
    pub findings: Vec<Finding>,
}

/// What was measured of one peer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Its name.
    pub peer: String,
    /// Whether the expectation held.
    pub held: bool,
    /// What was measured, in the unit of the quantity; nothing where nothing was.
    pub measured: Option<f64>,
    /// The share of the seconds in which it held, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// When it did not hold, the worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<Stretch>,
    /// In words.
    pub words: String,
}

/// Judges a call by what was expected of it.
#[must_use]
pub fn judge(record: &Record, expectations: &[Expectation]) -> Vec<Outcome> {
    expectations
        .iter()
        .map(|one| judge_one(record, one))
        .collect()
}

fn judge_one(record: &Record, expectation: &Expectation) -> Outcome {
    let meant = |peer: &&PeerRecord| match &expectation.peer {
        Some(name) => peer.name == *name,
        None => true,
    };
    let findings: Vec<Finding> = record
        .peers()
        .filter(meant)
        .map(|peer| find(record, peer, expectation))
        .collect();
    // What is expected of nobody would always hold.
    let held = !findings.is_empty() && findings.iter().all(|finding| finding.held);
    let words = match findings.iter().find(|finding| !finding.held) {
        Some(worst) => worst.words.clone(),
        None => match (findings.first(), &expectation.peer) {
            (Some(first), _) if findings.len() == 1 => first.words.clone(),
            (Some(_), _) => everybody(&findings),
            (None, Some(name)) => format!("nobody of the name {name} came"),
            (None, None) => "nobody else came".to_owned(),
        },
    };
    Outcome {
        expectation: expectation.clone(),
        held,
        words,
        findings,
    }
}

fn everybody(findings: &[Finding]) -> String {
    let each: Vec<&str> = findings.iter().map(|f| f.words.as_str()).collect();
    each.join("; ")
}

fn find(record: &Record, peer: &PeerRecord, expectation: &Expectation) -> Finding {
    let window = Window::new(record, peer, expectation);
    let measured = measure(peer, expectation, window);
    let share = expectation
        .share
        .and_then(|_| share_held(peer, expectation, window));
    let holds = |measured| expectation.comparison.holds(measured, expectation.asked);
    let held = match expectation.share {
        Some(asked) => share.is_some_and(|share| share + 1e-9 >= asked),
        None => measured.is_some_and(holds),
    };
    let when = if held {
        Vec::new()
    } else {
        when::stretches(peer, expectation, window)
    };
    let words = words(peer, expectation, measured, share, held, &when);
    Finding {
        peer: peer.name.clone(),
        held,
        measured,
        share,
        when,
        words,
    }
}

fn words(
    peer: &PeerRecord,
    expectation: &Expectation,
    measured: Option<f64>,
    share: Option<f64>,
    held: bool,
    when: &[Stretch],
) -> String {
    let name = &peer.name;
    let Some(measured) = measured else {
        let why = match peer.connected_at() {
            None => "no connection ever stood",
            Some(_) => "it was never measured",
        };
        return format!("{name}: {} is not known: {why}", expectation.name);
    };
    let unit = expectation.unit();
    let mut text = format!("{name}: {}", unit.tell(measured));
    if let Some(share) = share {
        text.push_str(&format!(
            ", in {:.1} % of the seconds as expected",
            share * 100.0
        ));
    }
    if !held {
        text.push_str(&format!(", expected {}", expectation.text));
        if let Some(worst) = when.first() {
            text.push_str(&format!("; worst {}", worst.words(unit)));
        }
    }
    text
}

#[cfg(test)]
mod tests;
