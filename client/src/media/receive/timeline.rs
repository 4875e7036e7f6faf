//! 32-bit RTP time stamps on a line without end, and where that line begins anew. Pure.

use super::delay::micros;
use crate::media::clock::Timestamp;

/// A leap of more seconds than this is a new source behind the same stream, at once.
const LEAP: u64 = 10;

/// A smaller leap shows in the transit, arrival less RTP time, which the network alone seldom changes by this much,
/// microseconds ...
const STRANGE: i64 = 1_000_000;
/// ... and never in a way that packets go on agreeing with each other within this ...
const AGREE: i64 = 200_000;
/// ... for this long: what a network held up comes at once.
const CONFIRMED: i64 = 150_000;

/// See the module.
#[derive(Debug)]
pub struct Timeline {
    rate: u64,
    newest: Option<u64>,
    transit: i64,
    /// A transit unlike what was usual, and since when.
    strange: Option<(i64, i64)>,
}

/// Where a packet lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its time, in ticks.
    pub time: u64,
    /// Nothing that came before has to do with it: another source, or a clock that was set.
    pub anew: bool,
}

impl Timeline {
    /// For a clock of `rate` ticks a second.
    #[must_use]
    pub const fn new(rate: u32) -> Self {
        Self {
            rate: rate as u64,
            newest: None,
            transit: 0,
            strange: None,
        }
    }

    /// Takes a packet that arrived.
    pub fn observe(&mut self, arrived: Timestamp, timestamp: u32) -> Place {
        let time = self.extend(timestamp);
        let transit = micros(arrived).saturating_sub(self.micros(time));
        let Some(newest) = self.newest else {
            return self.begin(arrived, time, false);
        };
        if time.abs_diff(newest) > self.rate * LEAP || self.is_confirmed(arrived, transit) {
            return self.begin(arrived, time, true);
        }
        self.newest = Some(newest.max(time));
        Place { time, anew: false }
    }

    /// The place of a time stamp, nearest to the newest packet.
    #[must_use]
    pub fn extend(&self, timestamp: u32) -> u64 {
        match self.newest {
            // Room below, for packets that were overtaken by the first one.
            None => (1 << 33) | u64::from(timestamp),
            Some(newest) => {
                let ahead = timestamp.wrapping_sub((newest & 0xffff_ffff) as u32) as i32;
                newest.saturating_add_signed(i64::from(ahead))
            }
        }
    }

    /// Whether a time is near enough to the newest one to be of the same source.
    #[must_use]
    pub fn reaches(&self, time: u64) -> bool {
        self.newest
            .is_some_and(|newest| time.abs_diff(newest) <= self.rate * LEAP)
    }

    /// A time in microseconds.
    #[must_use]
    pub fn micros(&self, time: u64) -> i64 {
        i64::try_from(u128::from(time) * 1_000_000 / u128::from(self.rate)).unwrap_or(i64::MAX)
    }

    /// The newest time; `None` before the first packet.
    #[must_use]
    pub const fn newest(&self) -> Option<u64> {
        self.newest
    }

    fn begin(&mut self, arrived: Timestamp, time: u64, anew: bool) -> Place {
        // Room below again, or a source that starts early would meet the end of the line.
        let time = if anew { time | 1 << 33 } else { time };
        *self = Self {
            rate: self.rate,
            newest: Some(time),
            transit: micros(arrived).saturating_sub(self.micros(time)),
            strange: None,
        };
        Place { time, anew }
    }

    fn is_confirmed(&mut self, arrived: Timestamp, transit: i64) -> bool {
        if (transit - self.transit).abs() < STRANGE {
            // As usual, and the usual moves along with clocks that drift.
            self.transit += (transit - self.transit) / 16;
            self.strange = None;
            return false;
        }
        let now = micros(arrived);
        match self.strange {
            Some((like, since)) if (transit - like).abs() < AGREE => now - since >= CONFIRMED,
            _ => {
                self.strange = Some((transit, now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + ms * 1_000)
    }

    /// Frame `n` of 20 ms, as it is stamped by a clock that is `ahead` ms ahead.
    fn stamp(n: u64, ahead: i64) -> u32 {
        (n as i64 * 960 + ahead * 48) as u32
    }

    /// At which of these frames the line began anew.
    fn begun(ahead: impl Fn(u64) -> i64, arrives: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut line = Timeline::new(48_000);
        let new = |n: &u64| line.observe(at(arrives(*n)), stamp(*n, ahead(*n))).anew;
        (0..500).filter(new).collect()
    }

    #[test]
    fn a_wrap_is_no_leap() {
        let mut line = Timeline::new(90_000);
        let first = line.observe(at(0), u32::MAX - 1_499).time;
        let second = line.observe(at(33), 1_500);
        assert_eq!((second.time - first, second.anew), (3_000, false));
    }

    #[test]
    fn a_clock_that_was_set_begins_anew_once() {
        for ahead in [-5_000, -1_100, 1_100, 5_000] {
            let set = |n| if n < 100 { 0 } else { ahead };
            assert_eq!(begun(set, |n| n * 20), [108], "{ahead} ms");
        }
        for ahead in [-3_600_000, 3_600_000] {
            let set = |n| if n < 100 { 0 } else { ahead };
            assert_eq!(begun(set, |n| n * 20), [100], "{ahead} ms");
        }
    }

    #[test]
    fn a_network_that_stood_still_or_shakes_is_no_new_source() {
        let stalled = |n| {
            if (100..250).contains(&n) {
                5_000
            } else {
                n * 20
            }
        };
        assert_eq!(begun(|_| 0, stalled), [0; 0]);
        assert_eq!(begun(|_| 0, |n| n * 20 + n % 7 * 300), [0; 0]);
    }

    #[test]
    fn a_sender_whose_clock_is_fast_for_hours_is_no_new_source() {
        let mut line = Timeline::new(48_000);
        for n in 0..720_000_u64 {
            // 500 in a million: seven seconds in four hours.
            let arrives = Timestamp::from_micros(1_000_000_000 + n * 20_010);
            assert!(!line.observe(arrives, stamp(n, 0)).anew);
        }
    }

    proptest! {
        #[test]
        fn no_time_stamp_is_too_strange(stamps in proptest::collection::vec(any::<(u32, u16)>(), 0..300)) {
            let mut line = Timeline::new(90_000);
            let mut now = 0;
            for (stamp, later) in stamps {
                now += u64::from(later);
                let place = line.observe(at(now), stamp);
                prop_assert_eq!(place.time & 0xffff_ffff, u64::from(stamp));
                prop_assert!(line.newest().unwrap() >= place.time);
                prop_assert!(line.micros(place.time) > 0);
            }
        }
    }
}
