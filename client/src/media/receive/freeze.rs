//! When moving pictures stood still, as W3C webrtc-stats counts it (`RTCInboundRtpStreamStats.freezeCount`). Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::media::clock::Timestamp;

/// Over so many pictures the usual distance is taken.
const WINDOW: usize = 30;

/// Of fewer nothing is usual yet; browsers take as many.
const FEWEST: usize = 5;

/// A distance this much longer than the usual one is a freeze, if it is also three times as long.
const NOTICED: Duration = Duration::from_millis(150);

/// What stood still so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Freezes {
    /// `freezeCount`
    pub count: u64,
    /// `totalFreezesDuration`
    pub total: Duration,
    /// `totalInterFrameDelay`
    pub inter_frame: Duration,
    /// `totalSquaredInterFrameDelay`, in square seconds.
    pub inter_frame_squared: f64,
}

/// Watches pictures as they are shown.
#[derive(Debug, Default)]
pub struct FreezeMeter {
    last: Option<Timestamp>,
    distances: VecDeque<Duration>,
    sum: Duration,
    freezes: Freezes,
}

impl FreezeMeter {
    /// A picture is shown. Gives how far it is from the one before, and whether that was a freeze.
    pub fn see(&mut self, now: Timestamp) -> Option<(Duration, bool)> {
        let last = self.last.replace(now)?;
        let distance = now.since(last);
        self.freezes.inter_frame += distance;
        self.freezes.inter_frame_squared += distance.as_secs_f64().powi(2);
        let frozen = self.is_freeze(distance);
        if frozen {
            self.freezes.count += 1;
            self.freezes.total += distance;
        }
        if self.distances.len() == WINDOW {
            self.sum -= self.distances.pop_front().unwrap_or_default();
        }
        self.distances.push_back(distance);
        self.sum += distance;
        Some((distance, frozen))
    }

    /// For how long the picture has stood still by now, if it is a freeze already: of the last one nobody sees the end.
    #[must_use]
    pub fn standing(&self, now: Timestamp) -> Option<Duration> {
        let distance = now.since(self.last?);
        self.is_freeze(distance).then_some(distance)
    }

    fn is_freeze(&self, distance: Duration) -> bool {
        if self.distances.len() < FEWEST {
            return false;
        }
        let usual = self.sum / self.distances.len() as u32;
        distance > (usual * 3).max(usual + NOTICED)
    }

    /// What stood still so far.
    #[must_use]
    pub const fn freezes(&self) -> Freezes {
        self.freezes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(distances: impl IntoIterator<Item = u64>) -> Freezes {
        let mut meter = FreezeMeter::default();
        let mut now = 1_000_000;
        meter.see(Timestamp::from_micros(now));
        for distance in distances {
            now += distance * 1_000;
            meter.see(Timestamp::from_micros(now));
        }
        meter.freezes()
    }

    #[test]
    fn a_gap_of_thrice_the_usual_and_150_ms_more_is_a_freeze() {
        let steady = || std::iter::repeat_n(33, 60);
        assert_eq!(watch(steady().chain([183]).chain(steady())).count, 0);
        let frozen = watch(steady().chain([184]).chain(steady()).chain([500]));
        assert_eq!(
            (frozen.count, frozen.total),
            (2, Duration::from_millis(684))
        );
    }

    #[test]
    fn slow_pictures_are_no_freeze() {
        assert_eq!(watch(std::iter::repeat_n(1_000, 100)).count, 0);
        let three = std::iter::repeat_n(1_000, 40).chain([2_900, 3_200]);
        assert_eq!(watch(three).count, 1);
    }

    #[test]
    fn a_picture_that_never_moves_again_is_a_freeze_without_an_end() {
        let mut meter = FreezeMeter::default();
        for picture in 0..10 {
            meter.see(Timestamp::from_micros(1_000_000 + picture * 33_000));
        }
        let last = Timestamp::from_micros(1_000_000 + 9 * 33_000);
        assert_eq!(meter.standing(last + Duration::from_millis(150)), None);
        let still = Duration::from_millis(900);
        assert_eq!(meter.standing(last + still), Some(still));
    }

    #[test]
    fn nothing_is_judged_before_the_usual_is_known() {
        assert_eq!(watch([33, 33, 2_000]).count, 0);
        assert_eq!(
            watch([33, 33, 2_000]).inter_frame,
            Duration::from_millis(2_066)
        );
    }
}
