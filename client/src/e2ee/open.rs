//! Decrypting what comes in. Nothing that is not authentic ever leaves here.

use std::collections::VecDeque;

use bytes::Bytes;
use sframe::error::SframeError;
use sframe::frame::EncryptedFrameView;
use sframe::frame::validation::{ReplayAttackProtection, Tolerance};
use sframe::key::DecryptionKey;

use super::key::RoomKey;
use super::layout::Medium;
use super::seal::SUITE;

/// Key ids of one peer that are remembered: two streams, before and after its page was loaded again, and some more.
/// The one that was not heard for longest is forgotten.
const KEYS: usize = 8;

/// How far behind the newest number a frame may come (RFC 9605, section 9.3): a picture whose packet is sent again
/// comes late, and a mesh of sixteen uses sixteen numbers a picture.
const WINDOW: usize = 1024;

/// Why a frame is not decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// We have no key.
    #[error("there is no key to decrypt it with")]
    NoKey,
    /// It is not encrypted, or not whole.
    #[error("it is no encrypted frame")]
    NotSealed,
    /// It was encrypted with another key, or changed on its way.
    #[error("the key does not fit, or it was changed on its way")]
    Refused,
    /// It came before, or is too old to tell.
    #[error("it came before, or far too late")]
    Replayed,
}

struct Known {
    key: DecryptionKey,
    seen: ReplayAttackProtection,
}

/// Decrypts the frames of one far peer, over all its streams and connections.
pub struct Opener {
    room: Option<RoomKey>,
    /// Heard latest first.
    known: VecDeque<Known>,
}

impl Opener {
    /// For a room's key; without one it refuses everything.
    #[must_use]
    pub const fn new(room: Option<RoomKey>) -> Self {
        Self {
            room,
            known: VecDeque::new(),
        }
    }

    /// The frame in what was received.
    ///
    /// # Errors
    /// When it is not authentic.
    pub fn open(&mut self, medium: Medium, sealed: &[u8]) -> Result<Bytes, OpenError> {
        let room = self.room.as_ref().ok_or(OpenError::NoKey)?;
        let clear = medium.clear_bytes(sealed).ok_or(OpenError::NotSealed)?;
        let (clear, rest) = sealed.split_at(clear);
        let frame = EncryptedFrameView::try_with_meta_data(rest, clear)
            .map_err(|_| OpenError::NotSealed)?;
        let id = frame.header().key_id();
        let at = self.known.iter().position(|known| known.key.key_id() == id);
        // A stranger's key id is remembered only once a frame proved it.
        let mut known = match at.and_then(|at| self.known.remove(at)) {
            Some(known) => known,
            None => Known::derive(room, id)?,
        };
        let mut opened = Vec::new();
        let result = frame.validated_decrypt_into(&known.key, &mut opened, &mut known.seen);
        let refused = result.err().map(|error| match error {
            SframeError::FrameValidationFailed(_) => OpenError::Replayed,
            _ => OpenError::Refused,
        });
        match refused {
            None => {
                self.known.truncate(KEYS - 1);
                self.known.push_front(known);
                Ok(opened.into())
            }
            Some(error) => {
                if let Some(at) = at {
                    self.known.insert(at, known);
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
impl Opener {
    pub(super) fn remembered(&self) -> usize {
        self.known.len()
    }
}

impl Known {
    fn derive(room: &RoomKey, id: u64) -> Result<Self, OpenError> {
        let key = DecryptionKey::derive_from(SUITE, id, room.bytes());
        let window = Tolerance::try_new(WINDOW).map_err(|_| OpenError::Refused)?;
        Ok(Self {
            key: key.map_err(|_| OpenError::Refused)?,
            seen: ReplayAttackProtection::new(id, window),
        })
    }
}
