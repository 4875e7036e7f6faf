//! What is done with one far peer's picture and sound: shown, heard, measured, recorded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::sinks::{PeerSinks, Sinks};
use super::verdict::{Measured, Standing};
use crate::event::{Kind, LipSyncSummary, MarksSummary, PeerRef, ToneSummary};
use crate::measure::audio::AudioMeter;
use crate::measure::lips::LipMeter;
use crate::measure::video::VideoMeter;
use crate::media::clock::Timestamp;
use crate::media::frame::{EncodedPicture, EncodedSound, Picture, Sound, VideoCodec};
use crate::media::receive::audio::SoundSink;
use crate::media::receive::freeze::FreezeMeter;
use crate::media::receive::video::PictureSink;
use crate::media::send::SourceEvent;
use crate::media::send::audio::level_dbfs;
use crate::media::tones::receive::Heard;
use crate::output::PictureBoard;

/// News from the threads behind sources and sinks. They never wait for the session:
/// what does not fit is dropped, and nothing of it is told twice.
#[derive(Debug)]
pub(super) enum MediaNews {
    /// A first picture or sound of a peer.
    First {
        peer: String,
        kind: Kind,
        codec: &'static str,
    },
    /// A stream of a peer cannot be decrypted.
    Undecryptable { peer: String, kind: Kind },
    /// A peer pressed a key of a telephone.
    Tone { peer: String, heard: Heard },
    /// One of our sources has something to say.
    Source(Kind, SourceEvent),
}

/// One far peer's media, over all connections to it.
pub(super) struct FarMedia {
    who: PeerRef,
    board: PictureBoard,
    sinks: PeerSinks,
    seen: Arc<Mutex<Meters>>,
    news: mpsc::Sender<MediaNews>,
    measured: Measured,
}

#[derive(Default)]
struct Meters {
    video: VideoMeter,
    audio: AudioMeter,
    lips: LipMeter,
    /// Of pictures that are not the one before once more.
    moves: FreezeMeter,
    frames: u64,
    size: (u32, u32),
    first_picture: bool,
    first_sound: bool,
}

/// What was seen and heard of a peer.
pub(super) struct Seen {
    pub(super) frames_decoded: u64,
    pub(super) frame_width: u32,
    pub(super) frame_height: u32,
    pub(super) marks: Option<MarksSummary>,
    pub(super) tone: Option<ToneSummary>,
    pub(super) lip_sync: Option<LipSyncSummary>,
}

impl FarMedia {
    pub(super) fn new(
        who: PeerRef,
        board: PictureBoard,
        sinks: &Sinks,
        news: mpsc::Sender<MediaNews>,
        measured: Measured,
    ) -> Self {
        Self {
            sinks: sinks.for_peer(&who),
            who,
            board,
            seen: Arc::default(),
            news,
            measured,
        }
    }

    /// For a new track of pictures.
    pub(super) fn pictures(&self) -> Box<dyn PictureSink> {
        Box::new(Pictures {
            who: self.who.clone(),
            measured: self.measured.clone(),
            board: self.board.clone(),
            sinks: self.sinks.clone(),
            seen: Arc::clone(&self.seen),
            news: self.news.clone(),
        })
    }

    /// For a new track of sound.
    pub(super) fn sounds(&self) -> Box<dyn SoundSink> {
        Box::new(Sounds {
            who: self.who.clone(),
            measured: self.measured.clone(),
            board: self.board.clone(),
            sinks: self.sinks.clone(),
            seen: Arc::clone(&self.seen),
            news: self.news.clone(),
        })
    }

    /// Nothing of it comes any more: if its picture stands still by now, or its tone is missing, that is told.
    pub(super) fn still(&self) {
        self.measured
            .still(&self.who, self.standing(Timestamp::now()));
    }

    /// What stands still of it and may go on.
    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        let meters = lock(&self.seen);
        Standing {
            picture: meters.moves.standing(now),
            tone: meters.audio.standing(),
        }
    }

    pub(super) fn seen(&self) -> Seen {
        let meters = lock(&self.seen);
        Seen {
            frames_decoded: meters.frames,
            frame_width: meters.size.0,
            frame_height: meters.size.1,
            marks: meters.video.summary(),
            tone: meters.audio.summary(),
            lip_sync: meters.lips.summary(),
        }
    }
}

fn lock(meters: &Mutex<Meters>) -> MutexGuard<'_, Meters> {
    meters.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Pictures {
    who: PeerRef,
    measured: Measured,
    board: PictureBoard,
    sinks: PeerSinks,
    seen: Arc<Mutex<Meters>>,
    news: mpsc::Sender<MediaNews>,
}

impl PictureSink for Pictures {
    fn encoded(&mut self, frame: &EncodedPicture) {
        self.sinks.picture(frame);
    }

    fn picture(&mut self, picture: &Arc<Picture>, codec: VideoCodec) {
        let now = Timestamp::now();
        self.board.put(&self.who.id, Arc::clone(picture));
        self.sinks.shown(picture);
        let mut meters = lock(&self.seen);
        if !std::mem::replace(&mut meters.first_picture, true) {
            let _ = self.news.try_send(MediaNews::First {
                peer: self.who.id.clone(),
                kind: Kind::Video,
                codec: codec.mime_type(),
            });
        }
        meters.frames += 1;
        meters.size = (picture.width, picture.height);
        let look = meters.video.see(now, picture);
        if let Some(taken) = look.taken {
            meters.lips.see(now, taken);
        }
        // What has no mark may be new or not; it was sent, so it is taken for new.
        let is_new = look.is_new || look.taken.is_none();
        let moved = is_new.then(|| meters.moves.see(now)).flatten();
        drop(meters);
        self.measured.picture(now, &self.who, picture, &look, moved);
    }
}

struct Sounds {
    who: PeerRef,
    measured: Measured,
    board: PictureBoard,
    sinks: PeerSinks,
    seen: Arc<Mutex<Meters>>,
    news: mpsc::Sender<MediaNews>,
}

impl SoundSink for Sounds {
    fn encoded(&mut self, packet: &EncodedSound) {
        self.sinks.packet(packet);
    }

    fn sound(&mut self, sound: &Sound) {
        let latency = self.sinks.latency();
        self.sinks.sound(sound);
        self.board.level(&self.who.id, level_dbfs(&sound.samples));
        let mut meters = lock(&self.seen);
        if !std::mem::replace(&mut meters.first_sound, true) {
            let _ = self.news.try_send(MediaNews::First {
                peer: self.who.id.clone(),
                kind: Kind::Audio,
                codec: "audio/opus",
            });
        }
        let heard = sound.at + latency;
        let told = meters.audio.hear(heard, sound, self.measured.own_tone());
        for late in told.late.iter().chain(&told.roughly) {
            let late = i64::try_from(late.as_micros()).unwrap_or(0);
            if let Some(apart) = meters.lips.hear(late) {
                self.measured.lips(heard, &self.who, apart);
            }
        }
        drop(meters);
        self.measured.sound(heard, &self.who, sound, &told);
    }

    fn latency(&self) -> Duration {
        self.sinks.latency()
    }

    fn tone(&mut self, heard: Heard) {
        let peer = self.who.id.clone();
        let _ = self.news.try_send(MediaNews::Tone { peer, heard });
    }
}
