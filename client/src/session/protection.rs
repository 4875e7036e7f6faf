//! End-to-end encryption in a call: what seals our streams, what opens the others'.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::far::MediaNews;
use crate::e2ee::{Incoming, Medium, Opener, RoomKey, RoomSecret, SealError, Sealer};
use crate::event::Undecryptable;
use crate::media::frame::{EncodedPicture, EncodedSound};
use crate::media::send::{PictureTarget, SoundTarget};
use crate::peer::{LocalAudio, LocalVideo};

/// The key of the room that we are in, and what encrypts with it.
#[derive(Clone)]
pub(super) struct Protection {
    room: String,
    key: RoomKey,
    pictures: Arc<Sealer>,
    sounds: Arc<Sealer>,
}

impl Protection {
    /// Derives a room's key, which is slow on purpose, away from the call's task.
    pub(super) async fn derive(secret: &RoomSecret, room: &str) -> Result<Self, SealError> {
        let (secret, name) = (secret.clone(), room.to_owned());
        let derived = tokio::task::spawn_blocking(move || secret.key(&name));
        let key = derived
            .await
            .map_err(|error| SealError::Cipher(error.to_string()))?;
        Ok(Self {
            room: room.to_owned(),
            pictures: Arc::new(Sealer::new(&key)?),
            sounds: Arc::new(Sealer::new(&key)?),
            key,
        })
    }

    /// Whether it is this room's.
    pub(super) fn is_of(&self, room: &str) -> bool {
        self.room == room
    }

    /// What takes our pictures for one peer.
    pub(super) fn pictures(&self, to: LocalVideo) -> Arc<dyn PictureTarget> {
        let sealer = Arc::clone(&self.pictures);
        Arc::new(SealedPictures { sealer, to })
    }

    /// What takes our sound for one peer.
    pub(super) fn sounds(&self, to: LocalAudio) -> Arc<dyn SoundTarget> {
        let sealer = Arc::clone(&self.sounds);
        Arc::new(SealedSounds { sealer, to })
    }
}

/// What opens a peer's streams; none where they are taken as they come: we have no key, and it does not say that it
/// encrypts. With a key nothing else is taken; without one, what says that it is encrypted would be noise.
pub(super) fn incoming(
    protection: Option<&Protection>,
    encrypted: bool,
    peer: &str,
    news: mpsc::Sender<MediaNews>,
) -> Option<Arc<Incoming>> {
    let key = protection.map(|protection| protection.key.clone());
    if key.is_none() && !encrypted {
        return None;
    }
    let peer = peer.to_owned();
    Some(Arc::new(Incoming::new(
        Opener::new(key),
        Box::new(move |kind| {
            let peer = peer.clone();
            let _ = news.try_send(MediaNews::Undecryptable { peer, kind });
        }),
    )))
}

/// Why a peer's streams are not decrypted, as far as anybody can tell.
pub(super) const fn why(have_key: bool, encrypted: bool) -> Undecryptable {
    match (have_key, encrypted) {
        (false, _) => Undecryptable::NoKey,
        (true, true) => Undecryptable::OtherKey,
        (true, false) => Undecryptable::NotEncrypted,
    }
}

struct SealedPictures {
    sealer: Arc<Sealer>,
    to: LocalVideo,
}

impl PictureTarget for SealedPictures {
    fn send(&self, picture: &EncodedPicture) {
        match self
            .sealer
            .seal(Medium::Picture(picture.codec), &picture.data)
        {
            Ok(data) => self.to.send(EncodedPicture {
                data,
                ..picture.clone()
            }),
            Err(error) => tracing::warn!("a picture is not sent: {error}"),
        }
    }
}

struct SealedSounds {
    sealer: Arc<Sealer>,
    to: LocalAudio,
}

impl SoundTarget for SealedSounds {
    fn send(&self, sound: &EncodedSound) {
        match self.sealer.seal(Medium::Opus, &sound.data) {
            Ok(data) => self.to.send(EncodedSound {
                data,
                ..sound.clone()
            }),
            Err(error) => tracing::warn!("a sound is not sent: {error}"),
        }
    }
}
