//! Percentiles of durations in a few kilobytes, however many are counted.

use std::time::Duration;

/// Steps within each doubling; a percentile is off by 1/64 of itself at most.
const STEPS: u64 = 32;
/// Doublings of 32 microseconds: up to 19 hours, and what is above counts as that.
const DOUBLINGS: u64 = 31;

/// Counts durations by size.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; (STEPS * (DOUBLINGS + 1)) as usize],
            total: 0,
        }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn add(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let slot = slot(micros).min(self.counts.len() - 1);
        self.counts[slot] += 1;
        self.total += 1;
    }

    /// The duration that `share` (0 to 1) of all counted ones do not exceed; `None`
    /// where nothing was counted.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let rank = (share.clamp(0.0, 1.0) * self.total as f64).ceil().max(1.0) as u64;
        let mut counted = 0;
        let slot = self.counts.iter().position(|count| {
            counted += count;
            counted >= rank
        })?;
        Some(Duration::from_micros(middle(slot as u64)))
    }
}

/// Exact below 32, then 32 slots for each doubling.
fn slot(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let doubling = u64::from(micros.ilog2()) - u64::from(STEPS.ilog2());
    ((doubling + 1) * STEPS + (micros >> doubling) - STEPS) as usize
}

fn middle(slot: u64) -> u64 {
    if slot < STEPS {
        return slot;
    }
    let doubling = slot / STEPS - 1;
    ((slot % STEPS + STEPS) << doubling) + (1 << doubling) / 2
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_of_a_known_spread() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(0.5), None);
        for millis in 1..=100 {
            histogram.add(Duration::from_millis(millis));
        }
        for (share, millis) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let got = histogram.percentile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((got - millis).abs() <= millis / 60.0, "{share}: {got}");
        }
        histogram.add(Duration::MAX);
        assert!(histogram.percentile(1.0).unwrap() > Duration::from_secs(3600));
    }

    proptest! {
        #[test]
        fn a_percentile_is_off_by_a_sixtieth_at_most(micros in 0u64..60_000_000_000) {
            let got = middle(slot(micros) as u64);
            prop_assert!(got.abs_diff(micros) * 60 <= micros, "{} for {}", got, micros);
        }
    }
}
