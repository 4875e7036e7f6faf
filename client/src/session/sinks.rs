//! Where far sound and recordings go; pictures go to the board, which views look at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use super::StartError;
use super::recording::{PeerRecording, Recording};
use crate::event::PeerRef;
use crate::media::frame::{EncodedPicture, EncodedSound, Picture, Sound, VideoCodec};
use crate::media::sink::record::{FileKind, RecordHandle, TrackId, TrackKind};
use crate::media::sink::sound_file::{SoundFile, SoundFileInput};
use crate::media::sink::speaker::{Speaker, SpeakerInput};
use crate::media::voice::echo::EchoReference;
use crate::options::{CallOptions, RecordLayout, RecordTo, SoundTo};

/// Errors of the recorder that wait to be told: each kind comes once.
const ERRORS: usize = 8;

/// Everything that is open for the whole call.
pub(super) struct Sinks {
    speaker: Option<Speaker>,
    /// That the loudspeaker is gone is told once, and that it is back.
    told: bool,
    sound_file: Option<SoundFile>,
    record: Option<Recording>,
    record_errors: mpsc::Receiver<String>,
}

impl Sinks {
    /// Opens what was asked for. Blocks: devices take their time.
    ///
    /// # Errors
    /// When what was asked for by name cannot be opened. A default loudspeaker that is
    /// missing is told as a notice.
    pub(super) fn open(options: &CallOptions) -> Result<(Self, Vec<String>), StartError> {
        let mut notices = Vec::new();
        let (mut speaker, mut sound_file) = (None, None);
        match &options.speaker {
            SoundTo::None => {}
            SoundTo::File(path) => sound_file = Some(SoundFile::create(path)?),
            SoundTo::Speaker(which) => match Speaker::open(which.as_deref()) {
                Ok(open) => speaker = Some(open),
                Err(error) if !options.speaker_asked => {
                    notices.push(format!(
                        "{error}. The call goes on without hearing the others"
                    ));
                }
                Err(error) => return Err(error.into()),
            },
        }
        let (tell, record_errors) = mpsc::sync_channel(ERRORS);
        let record = options.record.as_ref();
        let record = record.map(|option| Recording::start(option, tell));
        let record = record.transpose()?;
        let sinks = Self {
            speaker,
            told: false,
            sound_file,
            record,
            record_errors,
        };
        Ok((sinks, notices))
    }

    /// What the loudspeaker plays, where there is one.
    pub(super) fn reference(&self) -> Option<EchoReference> {
        self.speaker.as_ref().map(Speaker::reference)
    }

    /// The places of one peer in all of them.
    pub(super) fn for_peer(&self, who: &PeerRef) -> PeerSinks {
        let speaker = self.speaker.as_ref().and_then(|speaker| {
            speaker
                .input(&who.id)
                .inspect_err(|error| tracing::warn!("{error}"))
                .ok()
        });
        PeerSinks(Arc::new(Mutex::new(Places {
            speaker,
            sound_file: self.sound_file.as_ref().map(SoundFile::input),
            record: self.record.as_ref().map(|record| record.for_peer(who)),
        })))
    }

    /// What a person should know since it was last asked.
    pub(super) fn notices(&mut self) -> Vec<String> {
        let mut notices: Vec<String> = self.record_errors.try_iter().collect();
        if let Some(speaker) = &self.speaker {
            let problem = speaker.problem();
            let told = std::mem::replace(&mut self.told, problem.is_some());
            match problem {
                Some(problem) if !told => notices.push(format!(
                    "{problem}. The call goes on without hearing the others until it is back"
                )),
                None if told => notices.push(format!("{} is back", speaker.describe())),
                _ => {}
            }
        }
        if let Some(problem) = self.sound_file.as_ref().and_then(SoundFile::problem) {
            notices.push(format!("{problem}. The call goes on"));
        }
        notices
    }

    /// Completes files and closes devices, and tells what went wrong with it. Blocks.
    pub(super) fn finish(mut self) -> Vec<String> {
        let mut notices = self.notices();
        if let Some(record) = self.record.take() {
            notices.extend(record.finish());
        }
        if let Some(Err(error)) = self.sound_file.take().map(SoundFile::finish) {
            notices.push(error.to_string());
        }
        notices
    }
}

/// One peer's places; cheap to clone.
#[derive(Clone)]
pub(super) struct PeerSinks(Arc<Mutex<Places>>);

struct Places {
    speaker: Option<SpeakerInput>,
    sound_file: Option<SoundFileInput>,
    record: Option<PeerRecording>,
}

impl PeerSinks {
    /// A frame as it came.
    pub(super) fn picture(&self, frame: &EncodedPicture) {
        let place = self.recorded(TrackKind::Video(frame.codec));
        if let Some((record, track)) = place {
            record.video(track, frame.clone());
        }
    }

    /// A packet of sound as it came.
    pub(super) fn packet(&self, packet: &EncodedSound) {
        let place = self.recorded(TrackKind::Audio { channels: 2 });
        if let Some((record, track)) = place {
            record.audio(track, packet.clone());
        }
    }

    /// A picture as it is shown.
    pub(super) fn shown(&self, picture: &Arc<Picture>) {
        if let Some(record) = &self.lock().record {
            record.shown(picture);
        }
    }

    pub(super) fn sound(&self, sound: &Sound) {
        let mut places = self.lock();
        if let Some(speaker) = &mut places.speaker {
            speaker.push(sound);
        }
        if let Some(file) = &mut places.sound_file {
            file.push(sound);
        }
        if let Some(record) = &places.record {
            record.heard(sound);
        }
    }

    /// How much later than given sound is heard.
    pub(super) fn latency(&self) -> Duration {
        let places = self.lock();
        let speaker = places.speaker.as_ref();
        speaker.map_or(Duration::ZERO, SpeakerInput::latency)
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recording and this peer's track in it; the lock is not held while a frame waits.
    fn recorded(&self, kind: TrackKind) -> Option<(RecordHandle, TrackId)> {
        self.lock().record.as_mut()?.track(kind)
    }
}

/// What a `.webm` file holds beside Opus, so that nothing is negotiated that it refuses.
#[must_use]
pub(super) fn recordable(options: &CallOptions) -> Vec<VideoCodec> {
    let webm = options.record.as_ref().is_some_and(|record| {
        let file = match &record.to {
            RecordTo::File(path) => FileKind::of(path),
            RecordTo::Stdout => None,
        };
        record.layout != RecordLayout::Mixed && file == Some(FileKind::Webm)
    });
    let all = options.codecs.iter().copied();
    if webm {
        all.filter(|codec| *codec != VideoCodec::H264).collect()
    } else {
        all.collect()
    }
}
