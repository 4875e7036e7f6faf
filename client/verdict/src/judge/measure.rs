//! From the values of a quantity to one number.

use std::time::Duration;

use crate::expectation::{Expectation, Statistic};
use crate::quantity::{self, Kind};
use crate::record::{PeerRecord, Record, Series};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// The part of the call that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: Duration,
    pub(super) to: Duration,
}

impl Window {
    pub(super) fn new(record: &Record, peer: &PeerRecord, expectation: &Expectation) -> Self {
        let begin = peer.begin();
        let from = begin + expectation.after;
        let end = record.end_of(peer);
        let to = expectation
            .until
            .map_or(end, |until| end.min(begin + until));
        Self { from, to }
    }

    /// Its whole seconds.
    pub(super) fn seconds(self) -> impl Iterator<Item = Duration> {
        let whole = self.to.saturating_sub(self.from).as_secs();
        (0..whole).map(move |second| self.from + SECOND * second as u32)
    }
}

/// What is to be compared; nothing where nothing was measured.
pub(super) fn measure(peer: &PeerRecord, expectation: &Expectation, window: Window) -> Option<f64> {
    let series = peer.get(&expectation.name);
    let statistic = expectation.statistic;
    let values = values(peer, expectation, window);
    // Of what is told only when it happens silence tells nothing: that it did not happen needs evidence.
    if expectation.quantity.zero_with.is_some() && values.as_ref().is_none_or(Vec::is_empty) {
        return none_is_zero(peer, expectation, window);
    }
    match expectation.quantity.kind {
        Kind::Once => Some(series?.samples().next()?.value),
        Kind::Samples => of(statistic, values?),
        // A counter that was told, though not in this part of the call, did not grow in it.
        Kind::Tally | Kind::Counter if statistic == Statistic::Total => values
            .filter(|_| window.from < window.to)
            .map(|values| values.iter().sum()),
        Kind::Tally | Kind::Counter => of(statistic, by_second(series?, window)),
        Kind::Rate(tally) => of(statistic, by_second(peer.get(tally)?, window)),
    }
}

/// The values of that part; nothing where none was ever measured.
fn values(peer: &PeerRecord, expectation: &Expectation, window: Window) -> Option<Vec<f64>> {
    let samples = peer.measured(&expectation.name, window.from, window.to)?;
    Some(samples.into_iter().map(|sample| sample.value).collect())
}

/// That nothing of a kind happened is known only where it could have.
fn none_is_zero(peer: &PeerRecord, expectation: &Expectation, window: Window) -> Option<f64> {
    let name = expectation.quantity.zero_with?;
    let could = match quantity::find(name)?.kind {
        // What happens once may have happened before this part of the call.
        Kind::Once => peer.connected_at().is_some(),
        _ => peer
            .get(name)?
            .within(window.from, window.to)
            .next()
            .is_some(),
    };
    (could && window.from < window.to).then_some(0.0)
}

/// What adds up in each whole second.
pub(super) fn by_second(series: &Series, window: Window) -> Vec<f64> {
    window
        .seconds()
        .map(|from| series.within(from, from + SECOND).map(|s| s.value).sum())
        .collect()
}

/// The same for each whole second alone; nothing where a second has no value.
pub(super) fn each_second(
    peer: &PeerRecord,
    expectation: &Expectation,
    window: Window,
) -> Vec<(Duration, Option<f64>)> {
    let one = |from: Duration| {
        let second = Window {
            from,
            to: from + SECOND,
        };
        match expectation.quantity.kind {
            Kind::Once => None,
            _ => measure(peer, expectation, second),
        }
    };
    window.seconds().map(|from| (from, one(from))).collect()
}

/// In which share of the seconds it holds that have a value.
pub(super) fn share_held(
    peer: &PeerRecord,
    expectation: &Expectation,
    window: Window,
) -> Option<f64> {
    let values = each_second(peer, expectation, window);
    let values: Vec<f64> = values.into_iter().filter_map(|(_, value)| value).collect();
    let held = values
        .iter()
        .filter(|value| expectation.comparison.holds(**value, expectation.asked))
        .count();
    (!values.is_empty()).then(|| held as f64 / values.len() as f64)
}

/// A statistic of some values; nothing of none.
pub(super) fn of(statistic: Statistic, mut values: Vec<f64>) -> Option<f64> {
    if statistic == Statistic::Count {
        return Some(values.len() as f64);
    }
    let last = *values.last()?;
    let sum: f64 = values.iter().sum();
    Some(match statistic {
        Statistic::Min => values.into_iter().fold(f64::INFINITY, f64::min),
        Statistic::Max => values.into_iter().fold(f64::NEG_INFINITY, f64::max),
        Statistic::Mean => sum / values.len() as f64,
        Statistic::Percentile(percent) => {
            values.sort_unstable_by(f64::total_cmp);
            // 99.9 is no binary fraction, and its product with a thousand should still be 999.
            let rank = percent * values.len() as f64 / 100.0 - 1e-9;
            let rank = rank.ceil().max(1.0) as usize;
            values[rank.min(values.len()) - 1]
        }
        Statistic::Total => sum,
        Statistic::Count => return None,
        Statistic::Last | Statistic::Value => last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_a_known_row() {
        let row = || (1..=100).map(f64::from).collect::<Vec<_>>();
        for (statistic, value) in [
            (Statistic::Min, 1.0),
            (Statistic::Max, 100.0),
            (Statistic::Mean, 50.5),
            (Statistic::Percentile(0.0), 1.0),
            (Statistic::Percentile(50.0), 50.0),
            (Statistic::Percentile(95.0), 95.0),
            (Statistic::Percentile(99.9), 100.0),
            (Statistic::Percentile(100.0), 100.0),
            (Statistic::Total, 5_050.0),
            (Statistic::Count, 100.0),
            (Statistic::Last, 100.0),
        ] {
            assert_eq!(of(statistic, row()), Some(value), "{statistic}");
        }
        assert_eq!(of(Statistic::Mean, Vec::new()), None);
        assert_eq!(of(Statistic::Count, Vec::new()), Some(0.0));
    }
}
