//! How much arrived, by the feedback.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Moment, rate};

/// What is kept at most.
const KEPT: Duration = Duration::from_secs(1);
const PACKETS: usize = 4_096;
/// Fewer tell nothing, or little where it is urgent.
const FEWEST: usize = 8;
const FEWEST_OF_ALL: usize = 4;
/// A shorter time tells nothing.
const SHORTEST: f64 = 0.06;
/// Where it is urgent, this long is looked at.
const URGENT: Duration = Duration::from_millis(100);

/// What arrived lately.
#[derive(Debug, Default)]
pub(crate) struct Throughput {
    /// Arrivals by the receiver's clock, with bytes; in order.
    arrived: VecDeque<(Moment, usize)>,
}

impl Throughput {
    pub(crate) fn see(&mut self, arrived: Moment, bytes: usize) {
        // Packets are reported as they left; few overtake another.
        let place = self
            .arrived
            .iter()
            .rposition(|(at, _)| *at <= arrived)
            .map_or(0, |before| before + 1);
        self.arrived.insert(place, (arrived, bytes));
        let newest = self.arrived.back().map_or(arrived, |(at, _)| *at);
        while self.arrived.len() > PACKETS
            || self
                .arrived
                .front()
                .is_some_and(|(at, _)| newest.saturating_sub(*at) > KEPT)
        {
            self.arrived.pop_front();
        }
    }

    /// Bits a second over the newest `window`, if enough came in it.
    pub(crate) fn within(&self, window: Duration) -> Option<f64> {
        self.over(window, FEWEST)
    }

    /// The same over the shortest time that tells anything.
    pub(crate) fn urgent(&self) -> Option<f64> {
        self.over(URGENT, FEWEST_OF_ALL)
    }

    fn over(&self, window: Duration, fewest: usize) -> Option<f64> {
        let newest = self.arrived.back()?.0;
        let since = newest.saturating_sub(window);
        let from = self.arrived.partition_point(|(at, _)| *at < since);
        let oldest = self.arrived.get(from)?.0;
        let count = self.arrived.len() - from;
        let seconds = newest.saturating_sub(oldest).as_secs_f64();
        if count < fewest || seconds < SHORTEST {
            return None;
        }
        // The first came through before the time began.
        let bytes: usize = self.arrived.range(from + 1..).map(|(_, b)| b).sum();
        Some(rate(bytes as f64, seconds))
    }

    pub(crate) fn clear(&mut self) {
        self.arrived.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bits_a_second_of_what_arrived_last() {
        let mut throughput = Throughput::default();
        for n in 0..100 {
            throughput.see(Duration::from_millis(n * 10), 1_250);
        }
        let bits = throughput.within(Duration::from_millis(500)).unwrap();
        assert!((bits - 1_000_000.0).abs() < 1.0, "{bits}");
    }

    #[test]
    fn little_tells_nothing() {
        let mut throughput = Throughput::default();
        assert_eq!(throughput.within(KEPT), None);
        for n in 0..7 {
            throughput.see(Duration::from_millis(n * 10), 1_250);
        }
        assert_eq!(throughput.within(KEPT), None);
    }
}
