//! The near end of sent media: handles for encoder threads, and the queues behind them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::dial::Dial;
use super::event::Counter;
use crate::media::frame::{EncodedPicture, EncodedSound};
use crate::media::tones::Step;

/// Pictures that wait to be sent. When they are more, all are dropped, and so is
/// every picture until the next key frame: what is left of a group is of no use.
const PICTURES: usize = 64;

/// Sounds that wait to be sent: about a second; the oldest is dropped.
const SOUNDS: usize = 50;

/// Takes encoded pictures from an encoder thread; cheap to clone, never blocks.
#[derive(Clone, Debug, Default)]
pub struct LocalVideo {
    queue: Arc<Queue<EncodedPicture>>,
}

/// Takes encoded sound from an encoder thread; cheap to clone, never blocks.
#[derive(Clone, Debug, Default)]
pub struct LocalAudio {
    queue: Arc<Queue<EncodedSound>>,
    redundant: Arc<AtomicBool>,
    dial: Arc<Dial>,
}

#[derive(Debug)]
struct Queue<T> {
    inner: Mutex<Inner<T>>,
    filled: Notify,
    dropped: Counter,
}

#[derive(Debug)]
struct Inner<T> {
    items: VecDeque<T>,
    open: bool,
    /// Pictures only: nothing is of use before a key frame.
    needs_key: bool,
    /// Pictures only: the need was not yet told.
    key_wanted: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                items: VecDeque::new(),
                open: false,
                needs_key: true,
                key_wanted: false,
            }),
            filled: Notify::new(),
            dropped: Counter::default(),
        }
    }
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_open(&self, open: bool) {
        let mut inner = self.lock();
        inner.open = open;
        inner.needs_key = true;
        inner.items.clear();
    }

    async fn next(&self) -> T {
        loop {
            if let Some(item) = self.lock().items.pop_front() {
                return item;
            }
            self.filled.notified().await;
        }
    }
}

impl LocalVideo {
    /// Queues a picture to be packetized and sent. While the connection does not stand,
    /// pictures go nowhere; when it stands, a key frame is asked for.
    pub fn send(&self, picture: EncodedPicture) {
        let mut inner = self.queue.lock();
        if !inner.open {
            return;
        }
        if inner.needs_key && !picture.key {
            self.queue.dropped.increment();
            return;
        }
        if inner.items.len() >= PICTURES {
            for _ in inner.items.drain(..) {
                self.queue.dropped.increment();
            }
            if !picture.key {
                self.queue.dropped.increment();
                inner.needs_key = true;
                inner.key_wanted = true;
                drop(inner);
                self.queue.filled.notify_one();
                return;
            }
        }
        inner.needs_key = false;
        inner.items.push_back(picture);
        drop(inner);
        self.queue.filled.notify_one();
    }

    /// Pictures dropped because sending was slower than encoding.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.get()
    }

    pub(super) fn set_open(&self, open: bool) {
        self.queue.set_open(open);
    }

    /// The next picture to send, or `None` when instead a key frame is wanted.
    pub(super) async fn next(&self) -> Option<EncodedPicture> {
        loop {
            {
                let mut inner = self.queue.lock();
                if std::mem::take(&mut inner.key_wanted) {
                    return None;
                }
                if let Some(picture) = inner.items.pop_front() {
                    return Some(picture);
                }
            }
            self.queue.filled.notified().await;
        }
    }
}

impl LocalAudio {
    /// Queues a sound to be sent. While the connection does not stand, it goes nowhere.
    pub fn send(&self, sound: EncodedSound) {
        let mut inner = self.queue.lock();
        if !inner.open {
            return;
        }
        if inner.items.len() >= SOUNDS {
            inner.items.pop_front();
            self.queue.dropped.increment();
        }
        inner.items.push_back(sound);
        drop(inner);
        self.queue.filled.notify_one();
    }

    /// Sounds dropped because sending was slower than encoding.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.get()
    }

    pub(super) fn set_open(&self, open: bool) {
        self.dial.clear();
        self.queue.set_open(open);
    }

    /// Presses the keys of a telephone, one after the other, behind those that are not pressed yet (RFC 4733). Tells
    /// whether they found place.
    #[must_use]
    pub fn dial(&self, steps: &[Step]) -> bool {
        self.dial.add(steps)
    }

    pub(super) async fn dialled(&self) -> Vec<Step> {
        self.dial.next().await
    }

    /// Whether each packet carries the one before it again, where the far side takes that (RED, RFC 2198).
    pub fn set_redundant(&self, redundant: bool) {
        self.redundant.store(redundant, Ordering::Relaxed);
    }

    pub(super) fn redundant(&self) -> bool {
        self.redundant.load(Ordering::Relaxed)
    }

    pub(super) async fn next(&self) -> EncodedSound {
        self.queue.next().await
    }
}

#[cfg(test)]
mod tests;
