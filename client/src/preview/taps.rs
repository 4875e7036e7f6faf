//! The threads that ask the sources: what comes is shown, counted and let go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::meter::{LevelMeter, PictureMeter};
use crate::media::capture::{AudioItem, AudioSource, CaptureStats, VideoItem, VideoSource};
use crate::media::clock::Timestamp;
use crate::media::codec::opus::OpusDecoder;
use crate::media::codec::{self, VideoDecoder};
use crate::media::frame::{EncodedPicture, Picture, VideoCodec};
use crate::media::send::audio::level_dbfs;
use crate::output::PictureBoard;
use crate::output::board::SELF;

/// What is known of both sources; the threads write, the edge reads.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) pictures: PictureMeter,
    pub(super) stats: CaptureStats,
    pub(super) video: String,
    pub(super) sound: LevelMeter,
    pub(super) audio: String,
}

/// Both threads; they end when it is dropped.
pub(super) struct Taps {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Taps {
    /// Starts them. What goes wrong is told through `notices`, which drops what nobody takes.
    pub(super) fn start(
        video: Option<Box<dyn VideoSource>>,
        audio: Option<Box<dyn AudioSource>>,
        board: &PictureBoard,
        notices: &mpsc::Sender<String>,
    ) -> std::io::Result<Self> {
        let mut taps = Self {
            seen: Arc::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        if let Some(source) = video {
            let tap = taps.tap(board, notices);
            let thread = std::thread::Builder::new().name("preview-video".into());
            taps.threads
                .push(thread.spawn(move || tap.pictures(source))?);
        }
        if let Some(source) = audio {
            let tap = taps.tap(board, notices);
            let thread = std::thread::Builder::new().name("preview-audio".into());
            taps.threads.push(thread.spawn(move || tap.sounds(source))?);
        }
        Ok(taps)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tap(&self, board: &PictureBoard, notices: &mpsc::Sender<String>) -> Tap {
        Tap {
            seen: Arc::clone(&self.seen),
            stop: Arc::clone(&self.stop),
            board: board.clone(),
            notices: notices.clone(),
        }
    }
}

impl Drop for Taps {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a preview's thread ended by a panic");
            }
        }
    }
}

/// One thread's things.
struct Tap {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    board: PictureBoard,
    notices: mpsc::Sender<String>,
}

impl Tap {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, text: String) {
        let _ = self.notices.try_send(text);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn pictures(self, mut source: Box<dyn VideoSource>) {
        let mut decoder = None;
        while !self.stopped() {
            let picture = match source.next() {
                Ok(Some(VideoItem::Raw(picture))) => Some(picture),
                Ok(Some(VideoItem::Encoded(frame))) => decode(&mut decoder, &frame),
                Ok(Some(VideoItem::Nothing)) => None,
                Ok(Some(VideoItem::Interrupted(why))) => {
                    self.tell(why);
                    None
                }
                Ok(Some(VideoItem::Resumed(what))) => {
                    self.tell(format!("{what} is back"));
                    None
                }
                Ok(None) => return self.tell(format!("{} has come to its end", source.describe())),
                Err(error) => return self.tell(error.to_string()),
            };
            let mut seen = self.seen();
            seen.stats = source.stats();
            seen.video = source.describe();
            if let Some(picture) = picture {
                seen.pictures
                    .see(Timestamp::now(), (picture.width, picture.height));
                drop(seen);
                self.board.put(SELF, Arc::new(picture));
            }
        }
    }

    fn sounds(self, mut source: Box<dyn AudioSource>) {
        let mut decoder: Option<OpusDecoder> = None;
        while !self.stopped() {
            let sound = match source.next() {
                Ok(Some(AudioItem::Raw(sound))) => Some(sound),
                Ok(Some(AudioItem::Encoded(packet))) => {
                    if decoder.is_none() {
                        decoder = OpusDecoder::new(2).ok();
                    }
                    decoder
                        .as_mut()
                        .and_then(|decoder| decoder.decode(&packet.data, packet.at).ok())
                }
                Ok(Some(AudioItem::Nothing)) => None,
                Ok(Some(AudioItem::Interrupted(why))) => {
                    self.tell(why);
                    None
                }
                Ok(Some(AudioItem::Resumed(what))) => {
                    self.tell(format!("{what} is back"));
                    None
                }
                Ok(None) => return self.tell(format!("{} has come to its end", source.describe())),
                Err(error) => return self.tell(error.to_string()),
            };
            let mut seen = self.seen();
            seen.audio = source.describe();
            if let Some(sound) = sound {
                let level = level_dbfs(&sound.samples);
                seen.sound.hear(level);
                drop(seen);
                self.board.level(SELF, level);
            }
        }
    }
}

/// What a coded picture shows, where it can be told.
fn decode(
    decoder: &mut Option<(VideoCodec, Box<dyn VideoDecoder>)>,
    frame: &EncodedPicture,
) -> Option<Picture> {
    if decoder
        .as_ref()
        .is_none_or(|(codec, _)| *codec != frame.codec)
    {
        let fresh = codec::video_decoder(frame.codec)
            .inspect_err(|error| tracing::warn!("{error}"))
            .ok()?;
        *decoder = Some((frame.codec, fresh));
    }
    let (_, decoder) = decoder.as_mut()?;
    decoder
        .decode(&frame.data)
        .inspect_err(|error| tracing::debug!("source frame: {error}"))
        .ok()?
}
