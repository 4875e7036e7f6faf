//! Where a device's thread leaves the newest picture and a source fetches it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::media::frame::Picture;

/// How long one fetch waits at most.
const PATIENCE: Duration = Duration::from_millis(500);

/// What became of a device's pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureStats {
    /// That the device gave.
    pub taken: u64,
    /// Replaced by a newer one before they were fetched.
    pub dropped: u64,
    /// That could not be read, such as half a JPEG.
    pub broken: u64,
}

impl CaptureStats {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            taken: self.taken + other.taken,
            dropped: self.dropped + other.dropped,
            broken: self.broken + other.broken,
        }
    }
}

/// A place for one picture: a newer one replaces what was not fetched in time, and is counted.
#[derive(Default)]
pub(super) struct Latest {
    slot: Mutex<Slot>,
    more: Condvar,
}

#[derive(Default)]
struct Slot {
    newest: Option<Picture>,
    failed: Option<String>,
    stats: CaptureStats,
}

impl Latest {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the device gave; nothing where it could not be read.
    pub(super) fn put(&self, picture: Option<Picture>) {
        let mut slot = self.lock();
        slot.stats.taken += 1;
        match picture {
            Some(picture) => {
                slot.stats.dropped += u64::from(slot.newest.replace(picture).is_some());
                self.more.notify_one();
            }
            None => slot.stats.broken += 1,
        }
    }

    /// The device gives no more; the first reason counts.
    pub(super) fn fail(&self, problem: String) {
        self.lock().failed.get_or_insert(problem);
        self.more.notify_all();
    }

    pub(super) fn stats(&self) -> CaptureStats {
        self.lock().stats
    }

    /// The newest picture as soon as there is one; none after half a second.
    ///
    /// # Errors
    /// Why the device gives no more.
    pub(super) fn fetch(&self) -> Result<Option<Picture>, String> {
        let deadline = Instant::now() + PATIENCE;
        let mut slot = self.lock();
        loop {
            if let Some(picture) = slot.newest.take() {
                return Ok(Some(picture));
            }
            if let Some(problem) = &slot.failed {
                return Err(problem.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let woken = self.more.wait_timeout(slot, left);
            slot = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Tells the fetcher when the device's thread ends for whatever reason, a panic in a driver's binding included.
pub(super) struct Ending(pub(super) Arc<Latest>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fail("its driver ended".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::clock::Timestamp;

    fn picture(at: u64) -> Option<Picture> {
        Some(Picture::black(2, 2, Timestamp::from_micros(at)))
    }

    #[test]
    fn the_newest_picture_is_fetched_and_the_rest_is_counted() {
        let latest = Latest::default();
        latest.put(picture(1));
        latest.put(None);
        latest.put(picture(2));
        assert_eq!(latest.fetch(), Ok(picture(2)));
        let expected = CaptureStats {
            taken: 3,
            dropped: 1,
            broken: 1,
        };
        assert_eq!(latest.stats(), expected);
    }

    #[test]
    fn the_first_reason_is_told_after_the_last_picture() {
        let latest = Arc::new(Latest::default());
        latest.put(picture(1));
        latest.fail("unplugged".to_owned());
        drop(Ending(Arc::clone(&latest)));
        assert_eq!(latest.fetch(), Ok(picture(1)));
        assert_eq!(latest.fetch(), Err("unplugged".to_owned()));
    }
}
