//! The newest picture and level of every peer, for whoever shows them.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::media::frame::Picture;

/// The slot of our own picture and level. No server gives this id: ids of peers are twenty characters.
pub const SELF: &str = "self";

/// Most slots kept; a far peer cannot make more than there are peers, this holds against mistakes.
const SLOTS: usize = 64;

/// Levels are kept in steps of this many dB, so that a steady sound does not cause redrawing.
const LEVEL_STEP: f32 = 3.0;

/// Shared latest-only slots: decoders put, screens and windows look. Cloning shares.
///
/// A picture that is never looked at is replaced by the next: nothing queues here.
#[derive(Clone, Debug, Default)]
pub struct PictureBoard {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Slots>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slots {
    version: u64,
    slots: BTreeMap<String, Slot>,
}

/// What is known of one peer right now.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// Its newest picture.
    pub picture: Option<Arc<Picture>>,
    /// How loud it is, in dB of full scale (0 is the loudest); in steps of 3 dB.
    pub level: Option<f32>,
}

/// All slots at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Grows with every change.
    pub version: u64,
    slots: BTreeMap<String, Slot>,
}

impl Snapshot {
    /// The newest picture of a peer.
    #[must_use]
    pub fn picture(&self, peer: &str) -> Option<&Arc<Picture>> {
        self.slots.get(peer)?.picture.as_ref()
    }

    /// The level of a peer, dB of full scale.
    #[must_use]
    pub fn level(&self, peer: &str) -> Option<f32> {
        self.slots.get(peer)?.level
    }
}

impl PictureBoard {
    /// Makes an empty board.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows a picture of a peer in place of the one before.
    pub fn put(&self, peer: &str, picture: Arc<Picture>) {
        self.change(peer, |slot| {
            slot.picture = Some(picture);
            true
        });
    }

    /// Takes the picture of a peer away (its camera went off).
    pub fn clear(&self, peer: &str) {
        self.change(peer, |slot| slot.picture.take().is_some());
    }

    /// Tells how loud a peer is, in dB of full scale.
    pub fn level(&self, peer: &str, dbfs: f32) {
        if dbfs.is_nan() {
            return;
        }
        let level = Some((dbfs.clamp(-96.0, 0.0) / LEVEL_STEP).round() * LEVEL_STEP);
        self.change(peer, |slot| {
            std::mem::replace(&mut slot.level, level) != level
        });
    }

    /// Forgets a peer that is gone.
    pub fn remove(&self, peer: &str) {
        let mut state = self.lock();
        if state.slots.remove(peer).is_some() {
            state.version += 1;
            self.shared.changed.notify_all();
        }
    }

    /// Gives everything as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            version: state.version,
            slots: state.slots.clone(),
        }
    }

    /// Grows with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lock().version
    }

    /// Counts as a change, so that who waits looks at what else it shows.
    pub fn touch(&self) {
        self.lock().version += 1;
        self.shared.changed.notify_all();
    }

    /// Waits until something has changed since `version`, or the time is over; gives the version then.
    #[must_use]
    pub fn wait(&self, version: u64, at_most: Duration) -> u64 {
        let deadline = Instant::now() + at_most;
        let mut state = self.lock();
        while state.version == version {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
        state.version
    }

    fn change(&self, peer: &str, change: impl FnOnce(&mut Slot) -> bool) {
        let mut state = self.lock();
        if !state.slots.contains_key(peer) {
            if state.slots.len() >= SLOTS {
                return;
            }
            state.slots.insert(peer.to_owned(), Slot::default());
        }
        if state.slots.get_mut(peer).is_some_and(change) {
            state.version += 1;
            self.shared.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        // Every change is one assignment, so the slots are whole even if a holder panicked.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::media::clock::Timestamp;

    fn picture(width: u32) -> Arc<Picture> {
        Arc::new(Picture::black(width, 2, Timestamp::default()))
    }

    #[test]
    fn only_the_newest_picture_is_kept() {
        let board = PictureBoard::new();
        board.put("bob", picture(2));
        board.put("bob", picture(4));
        assert_eq!(board.snapshot().picture("bob").unwrap().width, 4);
        board.remove("bob");
        assert!(board.snapshot().picture("bob").is_none());
    }

    #[test]
    fn a_level_that_sounds_the_same_is_no_change() {
        let board = PictureBoard::new();
        board.level("bob", -20.0);
        let version = board.version();
        board.level("bob", -20.4);
        assert_eq!(board.version(), version);
        board.level("bob", -40.0);
        assert_eq!(board.snapshot().level("bob"), Some(-39.0));
        assert_ne!(board.version(), version);
        board.level("bob", f32::NAN);
        assert_eq!(board.snapshot().level("bob"), Some(-39.0));
    }

    #[test]
    fn waiting_ends_with_a_change() {
        let board = PictureBoard::new();
        let version = board.version();
        let putter = board.clone();
        let thread = std::thread::spawn(move || putter.put("bob", picture(2)));
        assert_ne!(board.wait(version, Duration::from_secs(60)), version);
        thread.join().unwrap();
    }

    #[test]
    fn slots_are_bounded() {
        let board = PictureBoard::new();
        for id in 0..1000 {
            board.put(&id.to_string(), picture(2));
        }
        assert_eq!(board.snapshot().slots.len(), SLOTS);
    }
}
