//! What one far peer sends, where it arrives.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::layout::Medium;
use super::open::Opener;
use super::watch::Watch;
use crate::event::Kind;

type Tell = Box<dyn Fn(Kind) + Send + Sync>;

/// What one far peer sends, decrypted where it arrives, with what became of it.
pub struct Incoming {
    inner: Mutex<(Opener, [Watch; 2])>,
    failed: [AtomicU64; 2],
    tell: Tell,
}

impl Incoming {
    /// `tell` is called when a stream turns out not to be for us; it must not block.
    #[must_use]
    pub fn new(opener: Opener, tell: Tell) -> Self {
        Self {
            inner: Mutex::new((opener, [Watch::default(); 2])),
            failed: Default::default(),
            tell,
        }
    }

    /// The frame in what was received; `None` where there is none that may be seen or heard.
    #[must_use]
    pub fn open(&self, medium: Medium, sealed: &[u8]) -> Option<Bytes> {
        let kind = match medium {
            Medium::Opus => Kind::Audio,
            Medium::Picture(_) => Kind::Video,
        };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (opener, watches) = &mut *inner;
        let watch = &mut watches[kind as usize];
        match opener.open(medium, sealed) {
            Ok(frame) => {
                watch.opened();
                Some(frame)
            }
            Err(error) => {
                let hopeless = watch.failed();
                drop(inner);
                tracing::debug!("a frame of {} bytes of {medium:?}: {error}", sealed.len());
                self.failed[kind as usize].fetch_add(1, Ordering::Relaxed);
                if hopeless {
                    (self.tell)(kind);
                }
                None
            }
        }
    }

    /// Frames that could not be decrypted so far.
    #[must_use]
    pub fn failed(&self, kind: Kind) -> u64 {
        self.failed[kind as usize].load(Ordering::Relaxed)
    }
}
