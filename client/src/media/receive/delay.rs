//! How long sound has to wait so that late packets are in time. Pure.
//!
//! A packet's transit is its arrival minus its RTP time; the quickest of the last seconds is the base, and what
//! the others lag behind it is the network's jitter. Sound is played so long after its RTP time that 97 of a
//! hundred packets are there. As everything is counted from arrivals, a sender whose clock is faster or slower
//! than ours moves the moment with it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::media::clock::Timestamp;

/// Packets remembered: five seconds at 20 ms.
const WINDOW: usize = 250;

/// Added to the jitter: sound is taken in blocks of 10 ms, and our own threads are late at times.
const MARGIN: i64 = 15_000;

/// A conversation suffers more from a longer delay than from loss.
const LIMIT: i64 = 400_000;

/// How much earlier sound may be due with each packet: the delay grows at once and shrinks slowly.
const EARLIER: i64 = 1_000;

/// See the module. Times are microseconds.
#[derive(Debug, Default)]
pub struct PlayoutDelay {
    /// Oldest first.
    transits: VecDeque<i64>,
    /// The same, smallest first.
    sorted: Vec<i64>,
    offset: Option<i64>,
}

impl PlayoutDelay {
    /// Learns from a packet whose RTP time is `time`.
    pub fn observe(&mut self, arrived: Timestamp, time: i64) {
        let transit = micros(arrived) - time;
        if self.transits.len() == WINDOW
            && let Some(oldest) = self.transits.pop_front()
            && let Ok(at) = self.sorted.binary_search(&oldest)
        {
            self.sorted.remove(at);
        }
        self.transits.push_back(transit);
        let at = self.sorted.partition_point(|known| *known < transit);
        self.sorted.insert(at, transit);
        let late = self.sorted[(self.sorted.len() - 1) * 97 / 100];
        let wanted = late.min(self.sorted[0] + LIMIT - MARGIN) + MARGIN;
        self.offset = Some(match self.offset {
            None => wanted,
            Some(offset) => wanted.max(offset - EARLIER),
        });
    }

    /// From RTP time to the moment of playing; `None` before the first packet.
    #[must_use]
    pub fn offset(&self) -> Option<i64> {
        self.offset
    }

    /// From RTP time to the arrival of the quickest packet.
    #[must_use]
    pub fn base(&self) -> Option<i64> {
        self.sorted.first().copied()
    }

    /// How long the quickest packet waits.
    #[must_use]
    pub fn target(&self) -> Duration {
        let waits = self.offset.unwrap_or(0) - self.base().unwrap_or(0);
        Duration::from_micros(u64::try_from(waits).unwrap_or(0))
    }

    /// Begins anew: another source behind the same stream.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

pub(super) fn micros(at: Timestamp) -> i64 {
    i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(delay: &mut PlayoutDelay, packets: i64, arrival: impl Fn(i64) -> i64) -> Duration {
        for n in 0..packets {
            let at = 1_000_000_000 + arrival(n);
            delay.observe(Timestamp::from_micros(at as u64), n * 20_000);
        }
        delay.target()
    }

    #[test]
    fn a_steady_stream_waits_for_the_margin_alone() {
        let mut delay = PlayoutDelay::default();
        assert_eq!(
            after(&mut delay, 500, |n| n * 20_000),
            Duration::from_millis(15)
        );
    }

    #[test]
    fn jitter_is_waited_for_and_forgotten_when_it_ends() {
        let mut delay = PlayoutDelay::default();
        let late = |n: i64| n * 20_000 + if n < 300 && n % 3 == 0 { 45_000 } else { 0 };
        assert_eq!(after(&mut delay, 300, late), Duration::from_millis(60));
        let mut delay = PlayoutDelay::default();
        assert_eq!(after(&mut delay, 700, late), Duration::from_millis(15));
    }

    #[test]
    fn one_straggler_in_a_hundred_is_not_waited_for() {
        let mut delay = PlayoutDelay::default();
        let late = |n: i64| n * 20_000 + if n % 100 == 50 { 300_000 } else { 0 };
        assert!(after(&mut delay, 1_000, late) <= Duration::from_millis(16));
    }

    #[test]
    fn the_delay_has_a_limit() {
        let mut delay = PlayoutDelay::default();
        let late = |n: i64| n * 20_000 + (n % 2) * 3_000_000;
        assert_eq!(after(&mut delay, 1_000, late), Duration::from_millis(400));
    }

    #[test]
    fn a_sender_whose_clock_is_slow_moves_the_moment_and_not_the_delay() {
        let mut delay = PlayoutDelay::default();
        // 200 in a million for an hour: 720 ms in all.
        let target = after(&mut delay, 180_000, |n| n * 20_004);
        assert!((15..=17).contains(&target.as_millis()), "{target:?}");
        assert!(delay.offset().is_some_and(|at| at > 1_000_700_000));
    }
}
