//! What was done, and how long it took after it was due. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::order::Came;

/// Digits of each duration that are kept.
const DIGITS: u8 = 3;

/// Durations in microseconds; made with the first one, as many a tally has none.
///
/// Between processes: each value that was there, and how often.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub(super) struct Latency(Option<Histogram<u64>>);

impl From<Vec<(u64, u64)>> for Latency {
    fn from(all: Vec<(u64, u64)>) -> Self {
        let mut latency = Self::default();
        for (micros, times) in all {
            latency.note(micros, times);
        }
        latency
    }
}

impl From<Latency> for Vec<(u64, u64)> {
    fn from(latency: Latency) -> Self {
        let all = latency.0.iter().flat_map(Histogram::iter_recorded);
        all.map(|one| (one.value_iterated_to(), one.count_at_value()))
            .collect()
    }
}

impl Latency {
    /// From when it was due, however late it was begun.
    pub(super) fn record(&mut self, due: Instant, done: Instant) {
        self.add(done.saturating_duration_since(due));
    }

    pub(super) fn add(&mut self, took: Duration) {
        self.note(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), 1);
    }

    fn note(&mut self, micros: u64, times: u64) {
        if self.0.is_none() {
            self.0 = Histogram::new(DIGITS).ok();
        }
        if let Some(histogram) = &mut self.0 {
            // It grows by itself, to more than any run can last.
            let _ = histogram.record_n(micros.max(1), times);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, None) => {}
            (None, Some(other)) => self.0 = Some(other.clone()),
            // Both have the same digits and grow by themselves: nothing is lost.
            (Some(own), Some(other)) => drop(own.add(other)),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// In milliseconds; `share` from 0 to 1.
    pub(super) fn at(&self, share: f64) -> f64 {
        let micros = self.0.as_ref().map(|all| all.value_at_quantile(share));
        millis(micros.unwrap_or(0))
    }

    /// In milliseconds.
    pub(super) fn max(&self) -> f64 {
        millis(self.0.as_ref().map_or(0, Histogram::max))
    }
}

#[allow(clippy::cast_precision_loss)]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// What one part of the load, or all of it, came to.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Tally {
    /// Calls, or peers where there are none, that were begun.
    pub(super) begun: u64,
    /// Of them, those that came to their proper end.
    pub(super) done: u64,
    /// Why the others did not.
    pub(super) failures: BTreeMap<String, u64>,
    /// Messages that peers sent to each other.
    pub(super) sent: u64,
    /// Of them, those that arrived.
    pub(super) heard: u64,
    /// Of these, those that did after one that was said later.
    pub(super) late: u64,
    /// What arrived once more.
    pub(super) again: u64,
    /// Rooms that were counted: who is in them.
    pub(super) rooms: u64,
    /// Of them, those with just their members, as each of these was told.
    pub(super) exact: u64,
    /// Calls, or returns of cut peers.
    pub(super) whole: Latency,
    /// Single messages.
    pub(super) message: Latency,
    /// How late this program itself was with what was due.
    pub(super) own_delay: Latency,
}

impl Tally {
    /// Counts one that was begun and failed.
    pub(super) fn fail(&mut self, why: &str) {
        *self.failures.entry(why.to_owned()).or_default() += 1;
    }

    /// Counts one that was heard.
    pub(super) fn came(&mut self, came: Came) {
        match came {
            Came::InTurn => self.heard += 1,
            Came::Late => {
                self.heard += 1;
                self.late += 1;
            }
            Came::Again => self.again += 1,
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.begun += other.begun;
        self.done += other.done;
        self.sent += other.sent;
        self.heard += other.heard;
        self.late += other.late;
        self.again += other.again;
        self.rooms += other.rooms;
        self.exact += other.exact;
        for (why, count) in &other.failures {
            *self.failures.entry(why.clone()).or_default() += count;
        }
        self.whole.merge(&other.whole);
        self.message.merge(&other.message);
        self.own_delay.merge(&other.own_delay);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_stall_counts_for_all_that_was_due_in_it() {
        let start = Instant::now();
        let mut latency = Latency::default();
        // 100 a second for two seconds; the server answers at once, and not at all in the second one.
        for due in crate::load::schedule::Schedule::new(100.0, Some(200), None) {
            let stalled = due >= Duration::from_secs(1);
            let done = if stalled { Duration::from_secs(2) } else { due };
            latency.record(start + due, start + done);
        }
        assert_eq!(latency.count(), 200);
        assert!(latency.at(0.5) < 11.0);
        assert!(
            (480.0..520.0).contains(&latency.at(0.75)),
            "{}",
            latency.at(0.75)
        );
        assert!((999.0..1002.0).contains(&latency.max()));
    }

    #[test]
    fn parts_add_up() {
        let mut whole = Tally::default();
        for (done, why) in [(3, "slow"), (4, "slow"), (5, "gone")] {
            let mut part = Tally {
                begun: done + 1,
                done,
                sent: 10,
                heard: 9,
                ..Tally::default()
            };
            part.fail(why);
            part.message.add(Duration::from_millis(done));
            whole.merge(&part);
        }
        assert_eq!((whole.begun, whole.done), (15, 12));
        assert_eq!(whole.failures.values().sum::<u64>(), 3);
        assert_eq!((whole.sent, whole.heard), (30, 27));
        assert_eq!(whole.failures["slow"], 2);
        assert_eq!(whole.message.count(), 3);
    }

    #[test]
    fn nothing_is_lost_between_processes() {
        let mut tally = Tally::default();
        tally.fail("slow");
        for came in [Came::InTurn, Came::Late, Came::Again] {
            tally.came(came);
        }
        for millis in [1, 1, 20, 3_000, 7_200_000] {
            tally.whole.add(Duration::from_millis(millis));
        }
        let text = serde_json::to_string(&tally).unwrap();
        let read: Tally = serde_json::from_str(&text).unwrap();
        assert_eq!((read.heard, read.late, read.again), (2, 1, 1));
        assert_eq!(read.failures, tally.failures);
        assert_eq!(read.whole.count(), 5);
        assert_eq!(read.message.count(), 0);
        for share in [0.0, 0.3, 0.5, 0.9, 1.0] {
            let (read, own) = (read.whole.at(share), tally.whole.at(share));
            assert!((read / own - 1.0).abs() < 0.002, "{share}: {read} of {own}");
        }
    }

    #[test]
    fn what_took_longer_than_an_hour_is_still_counted() {
        let mut latency = Latency::default();
        latency.add(Duration::from_secs(7200));
        assert!(latency.max() > 7_190_000.0);
    }
}
