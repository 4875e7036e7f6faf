//! The report as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::{Report, ReportError};
use crate::judge::Outcome;
use crate::quantity::{self, Kind};
use crate::record::{PeerRecord, Series};
use crate::unit::Unit;

/// Version of this form; raised when a member changes its meaning or goes.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Form<'a> {
    v: u32,
    title: &'a str,
    facts: BTreeMap<&'a str, &'a str>,
    held: bool,
    seconds: f64,
    call: Call<'a>,
    expectations: &'a [Outcome],
    peers: Vec<Peer<'a>>,
}

#[derive(Serialize)]
struct Call<'a> {
    held: bool,
    words: &'a str,
}

/// A peer with every quantity second by second.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer<'a> {
    name: &'a str,
    connected_at: Option<f64>,
    notes: Vec<Note<'a>>,
    quantities: BTreeMap<&'a str, Quantity>,
}

#[derive(Serialize)]
struct Note<'a> {
    at: f64,
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Quantity {
    unit: Unit,
    /// Whether the seconds hold sums; means otherwise.
    sums: bool,
    values: usize,
    #[serde(skip_serializing_if = "is_none")]
    forgotten: u64,
    by_second: Vec<Option<f64>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

pub(super) fn write(report: &Report<'_>) -> Result<String, ReportError> {
    let facts = report.facts.iter();
    let form = Form {
        v: VERSION,
        title: &report.title,
        facts: facts.map(|(n, v)| (n.as_str(), v.as_str())).collect(),
        held: report.held(),
        seconds: report.record.duration().as_secs_f64(),
        call: Call {
            held: report.call_held,
            words: &report.call_words,
        },
        expectations: report.outcomes,
        peers: report
            .record
            .peers()
            .map(|one| peer(one, report.record.duration()))
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&form)?)
}

/// A peer with every quantity second by second.
#[must_use]
pub fn peer(peer: &PeerRecord, end: Duration) -> Peer<'_> {
    Peer {
        name: &peer.name,
        connected_at: peer.connected_at().map(|at| at.as_secs_f64()),
        notes: peer
            .notes()
            .iter()
            .map(|(at, text)| Note {
                at: at.as_secs_f64(),
                text,
            })
            .collect(),
        quantities: peer
            .all()
            .filter_map(|(name, series)| {
                let known = quantity::find(name)?;
                let sums = matches!(known.kind, Kind::Tally | Kind::Counter);
                let quantity = Quantity {
                    unit: known.unit,
                    sums,
                    values: series.samples().count(),
                    forgotten: series.dropped(),
                    by_second: by_second(series, sums, end),
                };
                Some((name, quantity))
            })
            .collect(),
    }
}

/// What a quantity was in each second of the call, the last and unfinished one included.
pub(super) fn by_second(series: &Series, sums: bool, end: Duration) -> Vec<Option<f64>> {
    let seconds = end.as_secs() + u64::from(end.subsec_nanos() > 0);
    let second = |second: u64| {
        let from = Duration::from_secs(second);
        let within = series.within(from, from + Duration::from_secs(1));
        let (count, sum) = within.fold((0_u32, 0.0), |(n, sum), s| (n + 1, sum + s.value));
        match (count, sums) {
            (0, false) => None,
            (_, true) => Some(sum),
            (count, false) => Some(sum / f64::from(count)),
        }
    };
    (0..seconds).map(second).collect()
}
