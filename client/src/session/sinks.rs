//! Where far sound and recordings go; pictures go to the board, which views look at.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use super::StartError;
use crate::event::PeerRef;
use crate::media::frame::{EncodedPicture, EncodedSound, Sound, VideoCodec};
use crate::media::sink::record::{
    RecordHandle, RecordSink, Recorder, TrackId, TrackInfo, TrackKind,
};
use crate::media::sink::sound_file::{SoundFile, SoundFileInput};
use crate::media::sink::speaker::{Speaker, SpeakerInput};
use crate::media::voice::echo::EchoReference;
use crate::options::{CallOptions, SoundTo};

/// Errors of the recorder that wait to be told: each kind comes once.
const ERRORS: usize = 8;

/// Everything that is open for the whole call.
pub(super) struct Sinks {
    speaker: Option<Speaker>,
    /// That the loudspeaker is gone is told once, and that it is back.
    told: bool,
    sound_file: Option<SoundFile>,
    record: Option<RecordSink>,
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
        let record = match &options.record {
            None => None,
            Some(path) => Some(RecordSink::start(Recorder::create(path)?, move |error| {
                let _ = tell.try_send(format!("{error}. The call goes on"));
            })?),
        };
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
            name: who.name.clone(),
            speaker,
            sound_file: self.sound_file.as_ref().map(SoundFile::input),
            record: self.record.as_ref().map(RecordSink::handle),
            tracks: Vec::new(),
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
        let record = self.record.take().map(RecordSink::finish);
        match record {
            Some(Ok(counts)) if counts.dropped > 0 => notices.push(format!(
                "{} of {} frames were left out of the recording: the disk was too slow",
                counts.dropped, counts.given
            )),
            Some(Err(error)) => notices.push(error.to_string()),
            _ => {}
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
    name: String,
    speaker: Option<SpeakerInput>,
    sound_file: Option<SoundFileInput>,
    record: Option<RecordHandle>,
    /// Tracks of the recording, made when their first frame comes; `None` where the
    /// file does not take it, which was told then.
    tracks: Vec<(TrackKind, Option<TrackId>)>,
}

impl PeerSinks {
    pub(super) fn picture(&self, frame: &EncodedPicture) {
        let (record, track) = self.track(TrackKind::Video(frame.codec));
        if let (Some(record), Some(track)) = (record, track) {
            record.video(track, frame.clone());
        }
    }

    pub(super) fn packet(&self, packet: &EncodedSound) {
        let (record, track) = self.track(TrackKind::Audio { channels: 2 });
        if let (Some(record), Some(track)) = (record, track) {
            record.audio(track, packet.clone());
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
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The recording and this peer's track in it; the lock is not held while a frame waits.
    fn track(&self, kind: TrackKind) -> (Option<RecordHandle>, Option<TrackId>) {
        let mut places = self.lock();
        let Some(record) = places.record.clone() else {
            return (None, None);
        };
        if let Some((_, track)) = places.tracks.iter().find(|(known, _)| *known == kind) {
            return (Some(record), *track);
        }
        let info = TrackInfo {
            name: places.name.clone(),
            kind,
        };
        let track = record
            .add_track(info)
            .inspect_err(|error| tracing::warn!("{error}"))
            .ok();
        places.tracks.push((kind, track));
        (Some(record), track)
    }
}

/// What a `.webm` file holds beside Opus, so that nothing is negotiated that it refuses.
#[must_use]
pub(super) fn recordable(options: &CallOptions) -> Vec<VideoCodec> {
    let webm = options
        .record
        .as_ref()
        .is_some_and(|path| path.extension().is_some_and(|e| e == "webm"));
    let all = options.codecs.iter().copied();
    if webm {
        all.filter(|codec| *codec != VideoCodec::H264).collect()
    } else {
        all.collect()
    }
}
