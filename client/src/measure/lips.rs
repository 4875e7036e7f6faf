//! Whether picture and sound belong together when they are seen and heard.
//!
//! Marks tell when a picture was taken, the tone tells it of sound, both by one clock of the sender. So what the two
//! are late differs by nothing but what keeps them apart here, whatever that clock shows.

use crate::event::LipSyncSummary;
use crate::media::clock::Timestamp;

/// The tone tells time modulo a second, so more than half a second apart cannot be told.
const HALF: i64 = 500;

/// Compares how late pictures and sound are. Pure: time comes in.
#[derive(Debug)]
pub struct LipMeter {
    /// Of the pictures since the last second of sound: how late they were, together (microseconds), and how many.
    pictures: (i128, u32),
    /// How often sound was so many whole milliseconds after its picture, from -500 on.
    counts: Vec<u64>,
    measured: u64,
    latest: f64,
    worst: f64,
}

impl Default for LipMeter {
    fn default() -> Self {
        Self {
            pictures: (0, 0),
            counts: vec![0; 2 * HALF as usize + 1],
            measured: 0,
            latest: 0.0,
            worst: 0.0,
        }
    }
}

impl LipMeter {
    /// A picture taken at `taken` is seen at `now`.
    pub fn see(&mut self, now: Timestamp, taken: Timestamp) {
        self.pictures.0 += i128::from(now.as_micros()) - i128::from(taken.as_micros());
        self.pictures.1 += 1;
    }

    /// A second of sound was heard, so many microseconds modulo a second after it was taken. Gives how far it is behind its
    /// pictures, in milliseconds, where there were any.
    pub fn hear(&mut self, late: i64) -> Option<f64> {
        let (sum, seen) = std::mem::take(&mut self.pictures);
        if seen == 0 {
            return None;
        }
        let pictures = (sum / i128::from(seen)).rem_euclid(1_000_000) as i64;
        let apart = (late - pictures + HALF * 1_000).rem_euclid(1_000_000) - HALF * 1_000;
        self.measured += 1;
        self.latest = apart as f64 / 1_000.0;
        if self.latest.abs() > self.worst.abs() {
            self.worst = self.latest;
        }
        let slot = self.latest.round() as i64 + HALF;
        if let Some(count) = usize::try_from(slot)
            .ok()
            .and_then(|s| self.counts.get_mut(s))
        {
            *count += 1;
        }
        Some(self.latest)
    }

    /// What came of it; `None` where there were not both.
    #[must_use]
    pub fn summary(&self) -> Option<LipSyncSummary> {
        let half = self.measured.div_ceil(2);
        let mut counted = 0;
        let slot = self.counts.iter().position(|count| {
            counted += count;
            counted >= half.max(1)
        })?;
        Some(LipSyncSummary {
            measured: self.measured,
            latest_ms: self.latest,
            median_ms: (slot as i64 - HALF) as f64,
            worst_ms: self.worst,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::measure::marks::{Mark, stamp};
    use crate::measure::tone::ToneMeter;
    use crate::media::capture::test_picture;
    use crate::media::capture::tone;

    const TAKEN: Timestamp = Timestamp::from_micros(1_790_000_000_123_000);

    /// Ten seconds of test picture and tone from a source whose sound and pictures come so many ms late,
    /// measured as a call measures them, by a clock that is an hour ahead.
    fn measured(sound_late: u64, pictures_late: u64) -> LipSyncSummary {
        let ahead = Duration::from_secs(3_600);
        let (mut lips, mut tones) = (LipMeter::default(), ToneMeter::default());
        let mut number = 0;
        for block in 0..500_u64 {
            let now = TAKEN + Duration::from_millis(block * 20);
            if block % 2 == 0 {
                let mut picture = test_picture::render(number, 160, 90);
                stamp(&mut picture, Mark { number, at: now });
                let mark = crate::measure::marks::read(&picture).unwrap();
                number += 1;
                lips.see(now + ahead + Duration::from_millis(pictures_late), mark.at);
            }
            let heard = now + ahead + Duration::from_millis(sound_late);
            for late in tones.push(heard, &tone::render(440, now)) {
                lips.hear(late.as_micros() as i64);
            }
        }
        lips.summary().unwrap()
    }

    #[test]
    fn sound_that_is_100_ms_late_is_measured_as_100_ms() {
        for (sound, pictures, apart) in [
            (100, 0, 100.0),
            (120, 20, 100.0),
            (0, 100, -100.0),
            (40, 40, 0.0),
            (950, 1_010, -60.0),
        ] {
            let summary = measured(sound, pictures);
            assert!(summary.measured >= 8, "{summary:?}");
            for told in [summary.median_ms, summary.worst_ms, summary.latest_ms] {
                assert!(
                    (told - apart).abs() <= 1.0,
                    "{sound} {pictures}: {summary:?}"
                );
            }
        }
    }

    #[test]
    fn one_of_the_two_alone_tells_nothing() {
        let mut lips = LipMeter::default();
        lips.hear(5);
        lips.see(TAKEN, TAKEN);
        assert_eq!(lips.summary(), None);
    }

    #[test]
    fn the_median_is_not_moved_by_a_bad_second_and_the_worst_is() {
        let mut lips = LipMeter::default();
        for second in 0..9 {
            lips.see(TAKEN + Duration::from_millis(30), TAKEN);
            lips.hear(if second == 4 { 330_000 } else { 42_000 });
        }
        let summary = lips.summary().unwrap();
        assert!((summary.median_ms - 12.0).abs() < 0.5, "{summary:?}");
        assert!((summary.worst_ms - 300.0).abs() < 0.5, "{summary:?}");
        assert!((summary.latest_ms - 12.0).abs() < 0.5, "{summary:?}");
    }
}
