//! Where far sound and recordings go; pictures go to the board, which views look at.

use std::sync::{Arc, Mutex, PoisonError};

use crate::event::PeerRef;
use crate::media::capture::SourceError;
use crate::media::frame::{EncodedPicture, EncodedSound, Sound};
use crate::media::sink::speaker::{Speaker, SpeakerInput};
use crate::options::{CallOptions, SoundTo};

/// Everything that is open for the whole call.
pub(super) struct Sinks {
    speaker: Option<Speaker>,
    /// What was already told, so that it is told once.
    told: bool,
}

impl Sinks {
    /// Opens what was asked for. Blocks: devices take their time.
    ///
    /// # Errors
    /// When what was asked for by name cannot be opened. A default loudspeaker that is
    /// missing is told as a notice.
    pub(super) fn open(options: &CallOptions) -> Result<(Self, Vec<String>), SourceError> {
        let mut notices = Vec::new();
        let speaker = match &options.speaker {
            SoundTo::None | SoundTo::File(_) => None,
            SoundTo::Speaker(which) => match Speaker::open(which.as_deref()) {
                Ok(speaker) => Some(speaker),
                Err(error) if !options.speaker_asked => {
                    notices.push(format!(
                        "{error}. The call goes on without hearing the others"
                    ));
                    None
                }
                Err(error) => return Err(error),
            },
        };
        let sinks = Self {
            speaker,
            told: false,
        };
        Ok((sinks, notices))
    }

    /// The places of one peer in all of them.
    pub(super) fn for_peer(&self, who: &PeerRef) -> PeerSinks {
        let speaker = self.speaker.as_ref().and_then(|speaker| {
            speaker
                .input(&who.id)
                .inspect_err(|error| tracing::warn!("{error}"))
                .ok()
        });
        PeerSinks {
            speaker: Arc::new(Mutex::new(speaker)),
        }
    }

    /// What a person should know since it was last asked.
    pub(super) fn notices(&mut self) -> Vec<String> {
        let mut notices = Vec::new();
        if let Some(problem) = self.speaker.as_ref().and_then(Speaker::problem)
            && !std::mem::replace(&mut self.told, true)
        {
            notices.push(format!(
                "{problem}. The call goes on without hearing the others"
            ));
        }
        notices
    }

    /// Completes files and closes devices. Blocks for a moment.
    pub(super) fn finish(self) -> Vec<String> {
        Vec::new()
    }
}

/// One peer's places.
#[derive(Clone)]
pub(super) struct PeerSinks {
    speaker: Arc<Mutex<Option<SpeakerInput>>>,
}

impl PeerSinks {
    pub(super) fn encoded_picture(&self, _frame: &EncodedPicture, _size: Option<(u32, u32)>) {}

    pub(super) fn encoded_sound(&self, _packet: &EncodedSound) {}

    pub(super) fn sound(&self, sound: &Sound) {
        let mut speaker = self.speaker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(speaker) = speaker.as_mut() {
            speaker.push(sound);
        }
    }
}
