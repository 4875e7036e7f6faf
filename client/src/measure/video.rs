//! What the marks in received pictures tell about a call.

use super::histogram::Histogram;
use super::marks;
use super::quality::{psnr_luma, ssim_luma};
use crate::event::MarksSummary;
use crate::media::capture::test_picture::render;
use crate::media::clock::Timestamp;
use crate::media::frame::Picture;

/// One picture in so many is compared with the known one, which costs more than
/// reading its mark.
const COMPARE_EVERY: u64 = 10;

/// How far behind the newest number it is still known which ones were seen.
const MEMORY: u32 = 1024;

/// What one picture told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    /// When it was taken, where it has a mark.
    pub taken: Option<Timestamp>,
    /// Its number, where it has a mark.
    pub number: Option<u32>,
    /// Whether its number is one that was not seen before.
    pub is_new: bool,
    /// It came after a later one.
    pub late: bool,
    /// How many more are missing now than before it: fewer where it was missed.
    pub missing: i64,
    /// Against the known picture, where it was compared: PSNR in dB and SSIM.
    pub quality: Option<(f64, f64)>,
}

/// Counts and times pictures by their marks. Pure: time comes in.
#[derive(Debug, Default)]
pub struct VideoMeter {
    read: u64,
    unreadable: u64,
    repeated: u64,
    out_of_order: u64,
    numbers: Option<Numbers>,
    latency: Histogram,
    compared: u64,
    psnr_sum: f64,
    psnr_min: f64,
}

impl VideoMeter {
    /// Takes in a picture that was shown, or would have been, at `now`.
    pub fn see(&mut self, now: Timestamp, picture: &Picture) -> Look {
        let Some(mark) = marks::read(picture) else {
            self.unreadable += 1;
            return Look::default();
        };
        self.latency.add(now.since(mark.at));
        let quality = if self.read.is_multiple_of(COMPARE_EVERY) {
            self.compare(mark.number, picture)
        } else {
            None
        };
        self.read += 1;
        let before = self.missing();
        let order = match &mut self.numbers {
            None => {
                self.numbers = Some(Numbers::new(mark.number));
                Order::Next
            }
            Some(numbers) => numbers.take(mark.number),
        };
        match order {
            Order::Next => {}
            Order::Late => self.out_of_order += 1,
            Order::Again => self.repeated += 1,
        }
        Look {
            taken: Some(mark.at),
            number: Some(mark.number),
            is_new: order != Order::Again,
            late: order == Order::Late,
            missing: self.missing() - before,
            quality,
        }
    }

    fn missing(&self) -> i64 {
        let missing = self.numbers.as_ref().map_or(0, Numbers::missing);
        i64::try_from(missing).unwrap_or(i64::MAX)
    }

    /// What came of it so far; `None` until a mark was read.
    #[must_use]
    pub fn summary(&self) -> Option<MarksSummary> {
        let numbers = self.numbers.as_ref()?;
        let millis = |share| {
            let at = self.latency.percentile(share).unwrap_or_default();
            at.as_secs_f64() * 1000.0
        };
        Some(MarksSummary {
            read: self.read,
            unreadable: self.unreadable,
            missing: numbers.missing(),
            repeated: self.repeated,
            out_of_order: self.out_of_order,
            latency_ms_p50: millis(0.5),
            latency_ms_p95: millis(0.95),
            latency_ms_p99: millis(0.99),
            psnr_db: self.psnr_sum / self.compared.max(1) as f64,
            psnr_db_min: self.psnr_min,
        })
    }

    /// Where the sender's picture was scaled on its way the known picture is drawn at
    /// the size received, so that scaling counts as a loss of quality.
    fn compare(&mut self, number: u32, picture: &Picture) -> Option<(f64, f64)> {
        let known = render(number, picture.width, picture.height);
        let skip = marks::band_height(picture.height);
        let db = psnr_luma(&known, picture, skip)?;
        self.psnr_min = if self.compared == 0 {
            db
        } else {
            self.psnr_min.min(db)
        };
        self.psnr_sum += db;
        self.compared += 1;
        Some((db, ssim_luma(&known, picture, skip).unwrap_or_default()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Next,
    Late,
    Again,
}

/// Which numbers came, exact for the newest [`MEMORY`] of them.
#[derive(Debug)]
struct Numbers {
    first: u32,
    newest: u32,
    distinct: u64,
    seen: Vec<bool>,
}

impl Numbers {
    fn new(number: u32) -> Self {
        let mut seen = vec![false; MEMORY as usize];
        seen[(number % MEMORY) as usize] = true;
        Self {
            first: number,
            newest: number,
            distinct: 1,
            seen,
        }
    }

    fn take(&mut self, number: u32) -> Order {
        if number > self.newest {
            for skipped in self.newest + 1..=number.min(self.newest.saturating_add(MEMORY)) {
                self.seen[(skipped % MEMORY) as usize] = false;
            }
            self.newest = number;
            self.seen[(number % MEMORY) as usize] = true;
            self.distinct += 1;
            return Order::Next;
        }
        if self.newest - number >= MEMORY {
            // Too long ago to know whether it came before: it is not counted as found.
            return Order::Late;
        }
        let seen = &mut self.seen[(number % MEMORY) as usize];
        if std::mem::replace(seen, true) {
            return Order::Again;
        }
        self.first = self.first.min(number);
        self.distinct += 1;
        Order::Late
    }

    fn missing(&self) -> u64 {
        (u64::from(self.newest - self.first) + 1).saturating_sub(self.distinct)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::time::Duration;

    use super::*;
    use crate::measure::marks::{Mark, stamp};
    use crate::measure::quality::IDENTICAL_DB;

    const TAKEN: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

    fn marked(number: u32) -> Picture {
        let mut picture = render(number, 160, 90);
        stamp(&mut picture, Mark { number, at: TAKEN });
        picture
    }

    fn after(numbers: &[u32]) -> MarksSummary {
        let mut meter = VideoMeter::default();
        for &number in numbers {
            meter.see(TAKEN + Duration::from_millis(40), &marked(number));
        }
        meter.summary().unwrap()
    }

    #[test]
    fn lost_repeated_and_late_numbers_are_told_apart() {
        let summary = after(&[10, 11, 13, 12, 13, 16, 16]);
        assert_eq!(summary.read, 7);
        assert_eq!(summary.out_of_order, 1, "12");
        assert_eq!(summary.repeated, 2, "13 and 16");
        assert_eq!(summary.missing, 2, "14 and 15");
    }

    #[test]
    fn an_unbroken_row_has_nothing_to_complain_of() {
        let numbers: Vec<u32> = (5..100).collect();
        let summary = after(&numbers);
        let complaints = (summary.missing, summary.repeated, summary.out_of_order);
        assert_eq!((complaints, summary.unreadable), ((0, 0, 0), 0));
        assert!((summary.psnr_db - IDENTICAL_DB).abs() < 1e-9);
        assert!((summary.psnr_db_min - IDENTICAL_DB).abs() < 1e-9);
        assert!((summary.latency_ms_p50 - 40.0).abs() < 0.7, "{summary:?}");
        assert!((summary.latency_ms_p99 - 40.0).abs() < 0.7, "{summary:?}");
    }

    #[test]
    fn numbers_far_apart_are_counted() {
        let summary = after(&[0, u32::MAX, u32::MAX - 1, 3]);
        assert_eq!(summary.missing, u64::from(u32::MAX) - 2);
        assert_eq!(summary.out_of_order, 2);
    }

    #[test]
    fn a_number_before_the_first_widens_the_row() {
        let summary = after(&[5, 3]);
        assert_eq!((summary.missing, summary.out_of_order), (1, 1));
    }

    #[test]
    fn pictures_without_a_mark_are_counted_apart() {
        let mut meter = VideoMeter::default();
        meter.see(TAKEN, &render(1, 160, 90));
        assert_eq!(meter.summary(), None);
        meter.see(TAKEN, &marked(1));
        assert_eq!(meter.summary().unwrap().unreadable, 1);
    }

    #[test]
    fn the_worst_picture_is_kept() {
        let mut meter = VideoMeter::default();
        for number in 0..21 {
            let mut picture = marked(number);
            if number == 10 {
                picture
                    .y
                    .iter_mut()
                    .skip(160 * 12)
                    .for_each(|luma| *luma ^= 1);
            }
            meter.see(TAKEN, &picture);
        }
        let summary = meter.summary().unwrap();
        assert!(
            (summary.psnr_db_min - 48.130_803_608_679).abs() < 1e-6,
            "{summary:?}"
        );
        let mean = (IDENTICAL_DB * 2.0 + 48.130_803_608_679) / 3.0;
        assert!((summary.psnr_db - mean).abs() < 1e-6, "{summary:?}");
    }
}
