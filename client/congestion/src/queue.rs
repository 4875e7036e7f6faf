//! How long packets wait on the way, beyond the shortest time that any took lately.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Moment, millis};

/// The shortest of so long counts, kept in parts.
const PARTS: usize = 10;
const PART: Duration = Duration::from_secs(3);
/// Share of the old in the smoothed delay.
const SMOOTHING: f64 = 0.9;

/// See the module. Both clocks may differ by anything: only differences count.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// When each part began, and the shortest time in it, in milliseconds.
    shortest: VecDeque<(Moment, f64)>,
    smoothed: Option<f64>,
}

impl Queue {
    pub(crate) fn see(&mut self, left: Moment, arrived: Moment) {
        let took = millis(arrived) - millis(left);
        match self.shortest.back_mut() {
            Some((began, shortest)) if left.saturating_sub(*began) < PART => {
                *shortest = shortest.min(took);
            }
            _ => {
                self.shortest.push_back((left, took));
                if self.shortest.len() > PARTS {
                    self.shortest.pop_front();
                }
            }
        }
        let known = self.smoothed.unwrap_or(took);
        self.smoothed = Some(SMOOTHING * known + (1.0 - SMOOTHING) * took);
    }

    /// Milliseconds that packets wait now.
    pub(crate) fn waits(&self) -> Option<f64> {
        let shortest = self.shortest.iter().map(|(_, took)| *took);
        Some(self.smoothed? - shortest.reduce(f64::min)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_wait_is_what_goes_beyond_the_shortest_of_half_a_minute() {
        let mut queue = Queue::default();
        assert_eq!(queue.waits(), None);
        let mut waits = Vec::new();
        for n in 0..1_000 {
            let took = if (100..600).contains(&n) { 80 } else { 50 };
            let left = Duration::from_millis(100 * n);
            queue.see(left, left + Duration::from_millis(took));
            waits.push(queue.waits().unwrap());
        }
        assert!(waits[90] < 1.0);
        assert!((29.0..31.0).contains(&waits[200]), "{}", waits[200]);
        assert!(
            waits[599] < 1.0,
            "for half a minute nothing was faster: {}",
            waits[599]
        );
        assert!(waits[900] < 1.0);
    }
}
