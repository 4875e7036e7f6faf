//! How long sound and pictures have to wait so that late ones are in time. Pure.
//!
//! A packet's transit is its arrival minus its RTP time; the quickest of the last seconds is the base, and what
//! the others lag behind it is the network's jitter. Sound is played so long after its RTP time that 97 of a
//! hundred packets are there; pictures are shown so that 95 of a hundred are. As everything is counted from
//! arrivals, a sender whose clock is faster or slower than ours moves the moment with it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::media::clock::Timestamp;

/// How a delay follows the jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Packets (frames) remembered.
    window: usize,
    /// So many of a hundred are waited for.
    share: usize,
    /// Added to what is waited, microseconds; below nothing nothing is waited.
    margin: i64,
    /// The most that is waited, microseconds.
    limit: i64,
    /// How much earlier the next may be due than this one, microseconds: the delay grows at once and shrinks slowly ...
    earlier: i64,
    /// ... by this part of what is too much, where that is more.
    part: i64,
}

/// For packets of sound: five seconds at 20 ms. Sound is taken in blocks of 10 ms, and our own threads are late at
/// times, hence the margin. A conversation suffers more from a longer delay than from loss, hence the limit. It is
/// stretched where it is played earlier or later, so that goes slowly.
pub const SOUND: Rule = Rule {
    window: 250,
    share: 97,
    margin: 15_000,
    limit: 400_000,
    earlier: 1_000,
    part: i64::MAX,
};

/// For pictures: five seconds at 30 a second. Nobody sees that one comes five milliseconds late, a third of what
/// a screen shows it for, so that much is not waited for: on a good network pictures are shown as they come. A late
/// picture is still shown, so fewer are waited for.
pub const PICTURES: Rule = Rule {
    window: 150,
    share: 95,
    margin: -5_000,
    limit: 400_000,
    earlier: 500,
    part: 8,
};

/// See the module. Times are microseconds.
#[derive(Debug)]
pub struct PlayoutDelay {
    rule: Rule,
    /// Oldest first.
    transits: VecDeque<i64>,
    /// The same, smallest first.
    sorted: Vec<i64>,
    offset: Option<i64>,
}

impl PlayoutDelay {
    /// Knows nothing before the first packet.
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self {
            rule,
            transits: VecDeque::new(),
            sorted: Vec::new(),
            offset: None,
        }
    }

    /// Learns from a packet whose RTP time is `time`.
    pub fn observe(&mut self, arrived: Timestamp, time: i64) {
        let transit = micros(arrived) - time;
        if self.transits.len() == self.rule.window
            && let Some(oldest) = self.transits.pop_front()
            && let Ok(at) = self.sorted.binary_search(&oldest)
        {
            self.sorted.remove(at);
        }
        self.transits.push_back(transit);
        let at = self.sorted.partition_point(|known| *known < transit);
        self.sorted.insert(at, transit);
        let (base, most) = (self.sorted[0], self.sorted[0] + self.rule.limit);
        let late = self.sorted[(self.sorted.len() - 1) * self.rule.share / 100];
        let wanted = late.saturating_add(self.rule.margin).clamp(base, most);
        self.offset = Some(match self.offset {
            None => wanted,
            Some(offset) => {
                let step = ((offset - wanted) / self.rule.part).max(self.rule.earlier);
                wanted.max(offset - step).min(most)
            }
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
        *self = Self::new(self.rule);
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
        let mut delay = PlayoutDelay::new(SOUND);
        assert_eq!(
            after(&mut delay, 500, |n| n * 20_000),
            Duration::from_millis(15)
        );
    }

    #[test]
    fn jitter_is_waited_for_and_forgotten_when_it_ends() {
        let mut delay = PlayoutDelay::new(SOUND);
        let late = |n: i64| n * 20_000 + if n < 300 && n % 3 == 0 { 45_000 } else { 0 };
        assert_eq!(after(&mut delay, 300, late), Duration::from_millis(60));
        let mut delay = PlayoutDelay::new(SOUND);
        assert_eq!(after(&mut delay, 700, late), Duration::from_millis(15));
    }

    #[test]
    fn one_straggler_in_a_hundred_is_not_waited_for() {
        let mut delay = PlayoutDelay::new(SOUND);
        let late = |n: i64| n * 20_000 + if n % 100 == 50 { 300_000 } else { 0 };
        assert!(after(&mut delay, 1_000, late) <= Duration::from_millis(16));
    }

    #[test]
    fn the_delay_has_a_limit() {
        let mut delay = PlayoutDelay::new(SOUND);
        let late = |n: i64| n * 20_000 + (n % 2) * 3_000_000;
        assert_eq!(after(&mut delay, 1_000, late), Duration::from_millis(400));
    }

    #[test]
    fn pictures_on_a_good_network_do_not_wait() {
        let mut delay = PlayoutDelay::new(PICTURES);
        let waits = after(&mut delay, 500, |n| n * 20_000 + n % 5 * 1_200);
        assert_eq!(waits, Duration::ZERO);
    }

    #[test]
    fn pictures_wait_for_the_jitter_less_what_nobody_sees() {
        let mut delay = PlayoutDelay::new(PICTURES);
        let late = |n: i64| n * 20_000 + if n < 300 { n % 11 * 3_000 } else { 0 };
        assert_eq!(after(&mut delay, 300, late), Duration::from_millis(25));
        let mut delay = PlayoutDelay::new(PICTURES);
        assert_eq!(after(&mut delay, 600, late), Duration::ZERO);
    }

    #[test]
    fn a_first_picture_that_came_late_is_soon_forgotten() {
        let mut delay = PlayoutDelay::new(PICTURES);
        let late = |n: i64| n * 20_000 + if n == 0 { 200_000 } else { 0 };
        assert!(after(&mut delay, 30, late) < Duration::from_millis(6));
    }

    #[test]
    fn a_sender_whose_clock_is_slow_moves_the_moment_and_not_the_delay() {
        let mut delay = PlayoutDelay::new(SOUND);
        // 200 in a million for an hour: 720 ms in all.
        let target = after(&mut delay, 180_000, |n| n * 20_004);
        assert!((15..=17).contains(&target.as_millis()), "{target:?}");
        assert!(delay.offset().is_some_and(|at| at > 1_000_700_000));
    }
}
