//! Keys on their way from the handle to the task that sends sound.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::media::tones::{MOST, Step};

/// Keys that were not begun yet: [`MOST`], what is more is refused as a whole.
#[derive(Debug, Default)]
pub(super) struct Dial {
    steps: Mutex<Vec<Step>>,
    filled: Notify,
}

impl Dial {
    fn lock(&self) -> MutexGuard<'_, Vec<Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds keys; tells whether they found place.
    pub(super) fn add(&self, steps: &[Step]) -> bool {
        let mut waiting = self.lock();
        let fits = waiting.len() + steps.len() <= MOST;
        if fits {
            waiting.extend_from_slice(steps);
            self.filled.notify_one();
        }
        fits
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// What was dialled since it was last asked.
    pub(super) async fn next(&self) -> Vec<Step> {
        loop {
            let steps = std::mem::take(&mut *self.lock());
            if !steps.is_empty() {
                return steps;
            }
            self.filled.notified().await;
        }
    }
}
