//! A stream's RTP time on its sender's wall clock, and that on ours. Pure.

use std::collections::VecDeque;

use crate::peer::SenderReport;

/// Reports remembered. The middle one of what they tell is believed: one that is nonsense changes nothing, and a
/// clock that was set is believed with the third.
const REPORTS: usize = 5;

/// RTP time stamps on the sender's wall clock, as its reports tell it.
#[derive(Debug)]
pub struct SenderClock {
    rate: i64,
    reports: VecDeque<SenderReport>,
    /// An RTP time stamp and its moment, microseconds since 1970.
    fix: Option<(u32, i64)>,
    heard: u64,
}

impl SenderClock {
    /// For a clock of `rate` ticks a second.
    #[must_use]
    pub const fn new(rate: u32) -> Self {
        Self {
            rate: rate as i64,
            reports: VecDeque::new(),
            fix: None,
            heard: 0,
        }
    }

    /// Takes a report; the same one again tells nothing.
    pub fn hear(&mut self, report: SenderReport) {
        if self.heard == report.number {
            return;
        }
        self.heard = report.number;
        if self.reports.len() == REPORTS {
            self.reports.pop_front();
        }
        self.reports.push_back(report);
        let mut told: Vec<i64> = self
            .reports
            .iter()
            .map(|known| known.wall + self.micros(report.timestamp, known.timestamp))
            .collect();
        told.sort_unstable();
        // Of two the newer would not be known; the earlier one is as good.
        self.fix = Some((report.timestamp, told[(told.len() - 1) / 2]));
    }

    /// Another source: what was reported of the one before tells nothing.
    pub fn forget(&mut self) {
        self.reports.clear();
        self.fix = None;
    }

    /// The moment of an RTP time stamp; `None` before the first report.
    #[must_use]
    pub fn wall(&self, timestamp: u32) -> Option<i64> {
        let (known, wall) = self.fix?;
        Some(wall + self.micros(timestamp, known))
    }

    fn micros(&self, timestamp: u32, since: u32) -> i64 {
        i64::from(timestamp.wrapping_sub(since) as i32) * 1_000_000 / self.rate
    }
}

/// How fast the sender's time is moved on ours: a millisecond a second, ten times what clocks drift.
const SLOWNESS: i64 = 1_000;
/// A clock so far off was set.
const SET: i64 = 1_000_000;

/// The sender's wall clock on ours: one offset for all its streams, so that what was taken at once stays together in a recording,
/// moved slowly towards what arrivals show, so that several peers stay together as well.
#[derive(Debug, Default)]
pub struct OurTime {
    offset: Option<i64>,
    moved: i64,
}

impl OurTime {
    /// Our time of a moment of the sender's clock, of which arrivals tell `arrival`. The offset only follows a stream that
    /// `follows`: another one's arrivals are late in another way.
    pub fn at(&mut self, now: i64, wall: i64, arrival: i64, follows: bool) -> i64 {
        let seen = arrival - wall;
        let offset = match self.offset {
            Some(offset) if (seen - offset).abs() <= SET => {
                if !follows {
                    return wall + offset;
                }
                // What is less than a step is kept for the next time.
                let most = (now - self.moved).clamp(0, SET) / SLOWNESS;
                if most == 0 {
                    return wall + offset;
                }
                offset + (seen - offset).clamp(-most, most)
            }
            _ => seen,
        };
        self.offset = Some(offset);
        self.moved = now;
        wall + offset
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const BEGIN: i64 = 1_790_000_000_000_000;

    fn report(number: u64, timestamp: u32, wall: i64) -> SenderReport {
        SenderReport {
            wall,
            timestamp,
            number,
        }
    }

    /// Report `n`, one a second, of a clock that is `ahead` ahead.
    fn honest(n: u64, ahead: i64) -> SenderReport {
        let timestamp = (u32::MAX - 200_000).wrapping_add((n * 90_000) as u32);
        report(n, timestamp, BEGIN + n as i64 * 1_000_000 + ahead)
    }

    #[test]
    fn time_stamps_are_found_on_the_senders_clock_across_the_wrap() {
        let mut clock = SenderClock::new(90_000);
        assert_eq!(clock.wall(5), None);
        for n in 1..6 {
            clock.hear(honest(n, 0));
            let later = honest(n, 0).timestamp.wrapping_add(45_000);
            assert_eq!(clock.wall(later), Some(honest(n, 0).wall + 500_000));
        }
    }

    #[test]
    fn one_report_of_nonsense_changes_nothing() {
        for nonsense in [i64::MIN / 4, -3_600_000_000, 70_000, 86_400_000_000] {
            let mut clock = SenderClock::new(90_000);
            for n in 1..20 {
                clock.hear(honest(n, if n == 7 { nonsense } else { 0 }));
                assert_eq!(clock.wall(honest(n, 0).timestamp), Some(honest(n, 0).wall));
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_is_believed_with_the_third_report() {
        for set in [-86_400_000_000, 2_000_000] {
            let mut clock = SenderClock::new(90_000);
            for n in 1..20 {
                let ahead = if n < 10 { 0 } else { set };
                clock.hear(honest(n, ahead));
                let believed = clock.wall(honest(n, 0).timestamp).unwrap() - honest(n, 0).wall;
                assert_eq!(believed, if n < 12 { 0 } else { set }, "{n}");
            }
        }
    }

    #[test]
    fn a_report_that_is_looked_up_again_counts_once() {
        let mut clock = SenderClock::new(90_000);
        clock.hear(honest(1, 0));
        clock.hear(honest(2, 0));
        for _ in 0..10 {
            clock.hear(honest(3, 500_000));
        }
        assert_eq!(clock.wall(honest(3, 0).timestamp), Some(honest(3, 0).wall));
    }

    #[test]
    fn our_time_follows_a_drifting_sender_and_jumps_with_one_that_was_set() {
        let mut ours = OurTime::default();
        let drift = |n: i64| n * 20_000 + n * 2;
        for n in 0..180_000 {
            let now = BEGIN + n * 20_000;
            let at = ours.at(now, drift(n), now - 30_000, true);
            assert!((at - (now - 30_000)).abs() < 1_500, "{n}: {}", at - now);
        }
        let now = BEGIN + 3_600_000_000;
        assert_eq!(ours.at(now, 0, now, false), now);
    }

    proptest! {
        #[test]
        fn no_report_is_too_strange(
            reports in proptest::collection::vec(any::<(u32, u64)>(), 0..50),
            timestamp: u32,
        ) {
            let mut clock = SenderClock::new(48_000);
            let mut ours = OurTime::default();
            for (n, (stamp, ntp)) in reports.into_iter().enumerate() {
                let wall = (ntp >> 12) as i64 - 2_208_988_800_000_000;
                clock.hear(report(n as u64, stamp, wall));
                let told = clock.wall(timestamp);
                ours.at(BEGIN, told.unwrap_or(0), BEGIN, n % 2 == 0);
            }
        }
    }
}
