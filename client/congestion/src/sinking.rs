//! Whether the path suddenly carries far less than is sent: packets arrive much further apart than they left.
//!
//! The slope of the delay tells the same, but later, for it has to be sure of little things too.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Moment, millis, rate};

/// What arrived within this is looked at, if it is so many packets.
const WINDOW: Duration = Duration::from_millis(70);
const PACKETS: usize = 64;
const FEWEST: usize = 4;
/// Their distance has grown by so many milliseconds, and to so many times what it was.
const GREW: f64 = 30.0;
const TIMES: f64 = 2.0;

/// A gap of this share of the time is a stall.
const STALL: f64 = 0.6;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sinking {
    /// When each left and arrived, and its bytes.
    seen: VecDeque<(Moment, Moment, usize)>,
}

impl Sinking {
    /// A packet arrived, in the order of departure.
    pub(crate) fn see(&mut self, left: Moment, arrived: Moment, bytes: usize) {
        self.seen.push_back((left, arrived, bytes));
        while self.seen.len() > PACKETS
            || self
                .seen
                .front()
                .is_some_and(|(_, at, _)| arrived.saturating_sub(*at) > WINDOW)
        {
            self.seen.pop_front();
        }
    }

    /// What the path carries now, bits a second, where that is far less than was sent.
    pub(crate) fn to(&self) -> Option<f64> {
        let (first, last) = (self.seen.front()?, self.seen.back()?);
        let left = millis(last.0) - millis(first.0);
        let arrived = millis(last.1) - millis(first.1);
        let arrivals = self.seen.iter().map(|seen| millis(seen.1));
        let gaps = arrivals.clone().skip(1).zip(arrivals).map(|(b, a)| b - a);
        // One long gap is a stall, of the path or of who listens.
        let evenly = gaps.fold(0.0, f64::max) < arrived * STALL;
        let grew = arrived - left > GREW && arrived > left * TIMES;
        let sinks = self.seen.len() >= FEWEST && grew && evenly;
        let bytes: usize = self.seen.iter().skip(1).map(|seen| seen.2).sum();
        sinks.then(|| rate(bytes as f64, arrived / 1000.0))
    }

    pub(crate) fn clear(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Packets that leave and arrive so many milliseconds apart.
    fn seen(packets: u64, left: u64, arrived: u64) -> Option<f64> {
        let mut sinking = Sinking::default();
        for n in 0..packets {
            let ms = |of: u64| Duration::from_millis(1_000 + n * of);
            sinking.see(ms(left), ms(arrived), 1_250);
        }
        sinking.to()
    }

    #[test]
    fn packets_that_arrive_far_apart_tell_how_little_the_path_carries() {
        let to = seen(6, 4, 20).unwrap();
        assert!((to - 500_000.0).abs() < 1.0, "{to}");
        assert_eq!(seen(3, 4, 20), None, "too few");
        assert_eq!(seen(50, 4, 4), None);
        assert_eq!(seen(50, 4, 6), None, "that is for the slope to find");
        assert_eq!(seen(50, 20, 4), None);
    }

    #[test]
    fn a_stall_is_no_slower_path() {
        let mut sinking = Sinking::default();
        let ms = |of: u64| Duration::from_millis(1_000 + of);
        for (left, arrived) in [(0, 20), (4, 24), (8, 80), (12, 80), (16, 81)] {
            sinking.see(ms(left), ms(arrived), 1_250);
        }
        assert_eq!(sinking.to(), None);
    }
}
