//! A call whose media are encrypted end to end: its key, its targets, what it says of itself.

use std::sync::Arc;

use super::super::promise::marked;
use super::super::protection::{Protection, incoming, why};
use super::Call;
use crate::e2ee::{Incoming, SealError};
use crate::event::{Event, Kind};
use crate::media::send::{PictureTarget, SoundTarget};
use crate::peer::{LocalAudio, LocalVideo, Signal};

impl Call {
    /// Makes the key of the room that we are in, where there is to be one.
    pub(super) async fn protect(&mut self) -> Result<(), SealError> {
        let Some(secret) = &self.options.e2ee else {
            return Ok(());
        };
        let made = self.protection.as_ref();
        if !made.is_some_and(|protection| protection.is_of(&self.room)) {
            self.protection = Some(Protection::derive(secret, &self.room).await?);
        }
        Ok(())
    }

    /// What takes our pictures for a peer; none as long as they would go out in clear against our will.
    pub(super) fn picture_target(&self, to: LocalVideo) -> Option<Arc<dyn PictureTarget>> {
        match (&self.protection, &self.options.e2ee) {
            (Some(protection), _) => Some(protection.pictures(to)),
            (None, None) => Some(Arc::new(to)),
            (None, Some(_)) => None,
        }
    }

    /// As [`Call::picture_target`], for sound.
    pub(super) fn sound_target(&self, to: LocalAudio) -> Option<Arc<dyn SoundTarget>> {
        match (&self.protection, &self.options.e2ee) {
            (Some(protection), _) => Some(protection.sounds(to)),
            (None, None) => Some(Arc::new(to)),
            (None, Some(_)) => None,
        }
    }

    /// A signal of ours, which says that we encrypt where we do.
    pub(super) fn marked(&self, signal: Signal) -> Signal {
        match signal {
            Signal::Description(mut description) if self.options.e2ee.is_some() => {
                description.sdp = marked(&description.sdp);
                Signal::Description(description)
            }
            signal => signal,
        }
    }

    /// What decrypts a peer's streams, the same for all of them.
    pub(super) fn opener_of(&mut self, id: &str) -> Option<Arc<Incoming>> {
        let far = self.far.get_mut(id)?;
        if far.incoming.is_none() {
            let news = self.media.0.clone();
            let encrypted = far.promised.encrypted;
            far.incoming = incoming(self.protection.as_ref(), encrypted, id, news);
        }
        far.incoming.clone()
    }

    /// A stream of a peer turned out not to be for us.
    pub(super) fn undecryptable(&mut self, id: &str, kind: Kind) {
        let Some(far) = self.far.get_mut(id) else {
            return;
        };
        let reason = why(self.options.e2ee.is_some(), far.promised.encrypted);
        far.undecryptable = Some(reason);
        let peer = far.who.clone();
        self.tell(Event::Undecryptable { peer, kind, reason });
    }
}
