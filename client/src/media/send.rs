//! From a source to the far peers: capture thread, encoder thread, one hand-over per peer.

pub mod activity;
pub mod adapt;
pub mod audio;
pub mod gop;
pub mod redundancy;
pub mod targets;
pub mod video;
pub mod wishes;

use super::frame::{EncodedPicture, EncodedSound};

/// Takes encoded pictures for one peer; must not block.
pub trait PictureTarget: Send + Sync {
    /// Queues one picture for sending.
    fn send(&self, picture: &EncodedPicture);
}

/// Takes encoded sound for one peer; must not block.
pub trait SoundTarget: Send + Sync {
    /// Queues one packet for sending.
    fn send(&self, sound: &EncodedSound);
}

/// What a source has to tell while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// A file came to its end.
    Ended,
    /// A device or file failed; why and what to do.
    Failed(String),
    /// A device is gone for now; why and what to do.
    Interrupted(String),
    /// It is back; which it is.
    Resumed(String),
}

impl PictureTarget for crate::peer::LocalVideo {
    fn send(&self, picture: &EncodedPicture) {
        Self::send(self, picture.clone());
    }
}

impl SoundTarget for crate::peer::LocalAudio {
    fn send(&self, sound: &EncodedSound) {
        Self::send(self, sound.clone());
    }
}
