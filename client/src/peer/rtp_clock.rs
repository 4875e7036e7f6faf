//! RTP time of what we send, and NTP time beside it: both told from the process's one clock.

use std::time::Duration;

use crate::media::clock::Timestamp;

/// Seconds from 1900, where NTP begins, to 1970 (RFC 5905, section 6).
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// RTP time of a capture time: a clock with a random start (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct RtpClock {
    hz: u64,
    offset: u32,
    start: Timestamp,
}

impl RtpClock {
    pub(super) fn new(hz: u64) -> Self {
        Self {
            hz,
            offset: rand::random(),
            start: Timestamp::now() - Duration::from_secs(60),
        }
    }

    /// The RTP timestamp of a moment; wraps.
    pub(super) fn at(self, moment: Timestamp) -> u32 {
        let micros = moment.since(self.start).as_micros();
        let ticks = micros * u128::from(self.hz) / 1_000_000;
        #[expect(clippy::cast_possible_truncation, reason = "RTP time wraps")]
        self.offset.wrapping_add(ticks as u32)
    }
}

/// A moment in the 64 bits of NTP: seconds and their 32 binary places.
pub(super) fn ntp(moment: Timestamp) -> u64 {
    let micros = moment.as_micros();
    let seconds = (micros / 1_000_000).wrapping_add(NTP_TO_UNIX) & 0xffff_ffff;
    // Up, so that the way back ends at the same microsecond.
    let places = ((micros % 1_000_000) << 32).div_ceil(1_000_000);
    seconds << 32 | places
}

/// Microseconds since 1970 of a time of NTP, with the era that began in 2036 for small ones (RFC 2030, section 3).
pub(super) fn unix_micros(ntp: u64) -> i64 {
    let seconds = ntp >> 32;
    let era = if seconds >> 31 == 0 { 1_u64 << 32 } else { 0 };
    let micros = ((ntp & 0xffff_ffff) * 1_000_000) >> 32;
    let seconds = (seconds + era) as i64 - NTP_TO_UNIX as i64;
    seconds * 1_000_000 + micros as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rtp_time_follows_capture_time() {
        let clock = RtpClock::new(90_000);
        let start = Timestamp::now();
        let first = clock.at(start);
        for (millis, ticks) in [(0, 0), (10, 900), (33, 2970), (1000, 90_000)] {
            let later = clock.at(start + Duration::from_millis(millis));
            // Whole ticks: the fraction of the first one may add one.
            let passed = later.wrapping_sub(first);
            assert!(
                (ticks..=ticks + 1).contains(&passed),
                "{millis} ms: {passed}"
            );
        }
    }

    #[test]
    fn rtp_time_wraps_after_half_a_day() {
        let clock = RtpClock::new(90_000);
        let start = Timestamp::now();
        let period = Duration::from_micros((1_u64 << 32) * 100 / 9);
        let passed = clock
            .at(start + period)
            .wrapping_sub(clock.at(start))
            .cast_signed();
        assert!((-1..=1).contains(&passed), "{passed}");
    }

    #[test]
    fn the_second_era_of_ntp_is_known() {
        // 7 February 2036, 06:28:16 (RFC 2030, section 3).
        assert_eq!(unix_micros(0), 2_085_978_496_000_000);
        assert_eq!(unix_micros(u64::MAX) / 1_000_000, 2_085_978_495);
    }

    proptest! {
        #[test]
        fn a_moment_survives_the_way_to_ntp_and_back(
            micros in 1_u64 << 50..4_000_000_000_000_000,
        ) {
            prop_assert_eq!(unix_micros(ntp(Timestamp::from_micros(micros))), micros as i64);
        }

        #[test]
        fn no_time_of_ntp_is_too_strange(ntp in proptest::num::u64::ANY) {
            let micros = unix_micros(ntp);
            prop_assert!((0..10_000_000_000_000_000).contains(&(micros + 2_208_988_800_000_000)));
        }
    }
}
