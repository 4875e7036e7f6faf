//! Encrypting what goes out.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sframe::CipherSuite;
use sframe::frame::{MediaFrameView, SingleUseCounter};
use sframe::key::EncryptionKey;

use super::key::RoomKey;
use super::layout::Medium;

/// `AES_256_GCM_SHA512_128` (RFC 9605, section 4.5).
pub(super) const SUITE: CipherSuite = CipherSuite::AesGcm256Sha512;

/// Why a frame does not go out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It has no place for what stays in clear.
    #[error("a frame of {bytes} bytes of {medium:?} cannot be encrypted")]
    Frame {
        /// Of what.
        medium: Medium,
        /// How long.
        bytes: usize,
    },
    /// The numbers are used up.
    #[error("2^64 frames were encrypted; join again for another key")]
    UsedUp,
    /// The library refused.
    #[error("a frame was not encrypted: {0}")]
    Cipher(String),
}

/// Encrypts the frames of one of our streams, for any number of peers.
///
/// No two sealers have the same key, as each has a key id of its own, which goes into the derivation of its key and
/// of its nonces (RFC 9605, section 4.4.2); and none uses a number twice. So no two frames share key and nonce.
pub struct Sealer {
    key: EncryptionKey,
    next: AtomicU64,
}

impl Sealer {
    /// A sealer with a new random key id.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub fn new(room: &RoomKey) -> Result<Self, SealError> {
        Self::with_id(room, rand::random())
    }

    /// A sealer with this key id, which nobody else may have under the same key.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub fn with_id(room: &RoomKey, id: u64) -> Result<Self, SealError> {
        let key = EncryptionKey::derive_from(SUITE, id, room.bytes());
        Ok(Self {
            key: key.map_err(|error| SealError::Cipher(error.to_string()))?,
            next: AtomicU64::new(0),
        })
    }

    /// What is sent instead of a frame: its clear bytes, the header, the ciphertext, the tag.
    ///
    /// # Errors
    /// When it cannot be encrypted; it must not be sent then.
    pub fn seal(&self, medium: Medium, frame: &[u8]) -> Result<Bytes, SealError> {
        let clear = medium.clear_bytes(frame).ok_or(SealError::Frame {
            medium,
            bytes: frame.len(),
        })?;
        let step = |number: u64| number.checked_add(1);
        let taken = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        let mut number = SingleUseCounter::new(taken.map_err(|_| SealError::UsedUp)?);
        let cipher = |error: sframe::error::SframeError| SealError::Cipher(error.to_string());
        let (clear, secret) = frame.split_at(clear);
        let mut sealed = Vec::new();
        MediaFrameView::try_with_meta_data(&mut number, secret, clear)
            .map_err(cipher)?
            .encrypt_into(&self.key, &mut sealed)
            .map_err(cipher)?;
        Ok(sealed.into())
    }
}
