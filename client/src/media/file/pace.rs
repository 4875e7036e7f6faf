//! When an item of a file is due: an absolute schedule, shared by the tracks of a clip.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::media::clock::Timestamp;

/// How long a source may sleep in one call, so that a hang-up never waits for a file.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// Being later than this (a suspended machine, a stopped process) moves the whole
/// schedule instead of sending everything missed in one burst.
const TOO_LATE: Duration = Duration::from_secs(1);

/// The moment at which the beginning of a file is played.
///
/// Clones share it: sources with clones of one anchor stay in step, whichever is
/// asked first. The default starts with the first item that is asked for.
#[derive(Clone, Debug, Default)]
pub struct Anchor(Arc<AtomicU64>);

impl Anchor {
    /// A start that is already known.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(start.as_micros())))
    }

    /// The start; it is `now` if there was none yet.
    pub(super) fn start(&self, now: Timestamp) -> Timestamp {
        match self
            .0
            .compare_exchange(0, now.as_micros(), Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => now,
            Err(start) => Timestamp::from_micros(start),
        }
    }

    /// Moves the start by `late`, unless another source has moved it since `start` was read.
    fn postpone(&self, start: Timestamp, late: Duration) {
        let to = (start + late).as_micros();
        // Losing the race means that the schedule has just been moved: nothing is left to do.
        let _ = self
            .0
            .compare_exchange(start.as_micros(), to, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// What to do about the next item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Give it, with this time stamp.
    Give(Timestamp),
    /// Sleep this long, at most [`LONGEST_SLEEP`], and look again.
    Sleep(Duration),
}

/// Decides about an item that lies `time` after the beginning.
pub(super) fn step(anchor: &Anchor, time: Duration, now: Timestamp) -> Step {
    let start = anchor.start(now);
    let due = start + time;
    if now < due {
        return Step::Sleep(due.since(now).min(LONGEST_SLEEP));
    }
    let late = now.since(due);
    if late > TOO_LATE {
        anchor.postpone(start, late);
        return Step::Give(anchor.start(now) + time);
    }
    Step::Give(due)
}

/// The clock a source sleeps by; virtual in tests.
pub(super) trait Sleeper: Send {
    fn now(&self) -> Timestamp;
    fn sleep(&mut self, time: Duration);
}

/// The clock of the process.
pub(super) struct RealTime;

impl Sleeper for RealTime {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn items_keep_an_absolute_schedule_however_late_each_is_asked_for() {
        let start = Timestamp::from_micros(1_000_000);
        let anchor = Anchor::default();
        assert_eq!(step(&anchor, ms(0), start), Step::Give(start));
        let late = start + ms(47);
        assert_eq!(step(&anchor, ms(40), late), Step::Give(start + ms(40)));
        assert_eq!(step(&anchor, ms(80), late), Step::Sleep(ms(33)));
    }

    #[test]
    fn a_long_wait_is_cut_into_short_sleeps() {
        let anchor = Anchor::at(Timestamp::from_micros(5_000_000));
        let step = step(&anchor, ms(0), Timestamp::from_micros(1_000_000));
        assert_eq!(step, Step::Sleep(LONGEST_SLEEP));
    }

    #[test]
    fn after_a_suspension_both_tracks_go_on_together_from_where_they_were() {
        let start = Timestamp::from_micros(1_000_000);
        let (video, audio) = {
            let anchor = Anchor::at(start);
            (anchor.clone(), anchor)
        };
        let woken = start + ms(10_000);
        assert_eq!(step(&video, ms(400), woken), Step::Give(woken));
        // The other track is not moved a second time.
        let audio_at = step(&audio, ms(400), woken + ms(1));
        assert_eq!(audio_at, Step::Give(woken));
        assert_eq!(step(&video, ms(500), woken), Step::Sleep(ms(100)));
    }
}
