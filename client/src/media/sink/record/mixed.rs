//! A whole call as one picture and one sound: everybody's pictures in a grid, everybody's sound in a mix.
//!
//! One thread plays the part of a screen, another that of a loudspeaker; what they would show and sound is encoded
//! and recorded. Both are given what views and loudspeakers are given, so it is as much in step as they are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{FileKind, RecordCounts, RecordError, RecordHandle, RecordSink, Recorder};
use super::{TrackInfo, TrackKind};
use crate::media::clock::Timestamp;
use crate::media::codec::opus::{Content, OpusEncoder};
use crate::media::codec::{self, CodecError, EncoderConfig, VideoEncoder};
use crate::media::convert::with_channels;
use crate::media::frame::{Picture, SAMPLE_RATE, Sound, VideoCodec};
use crate::media::sink::speaker::mixer::{InputId, Mixer, TARGET_MS};

mod grid;
use grid::Grid;

/// What the grid measures.
const SIZE: (u32, u32) = (1280, 720);
/// Pictures a second of it.
const FPS: u32 = 25;
/// A key frame this often, to which players can jump.
const KEY_EVERY: Duration = Duration::from_secs(4);
/// Bits a second.
const VIDEO_BITRATE: u32 = 2_000_000;
const AUDIO_BITRATE: u32 = 96_000;
/// What is taken out of the mix at once.
const PERIOD: Duration = Duration::from_millis(20);
/// What is mixed is stereo.
const CHANNELS: u16 = 2;
/// A thread that is later than this does not make up for it.
const STALL: Duration = Duration::from_millis(500);

/// Why a mixed recording does not start.
#[derive(Debug, thiserror::Error)]
pub enum MixedError {
    /// An encoder does not.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The file takes no such track.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The system gives no thread.
    #[error("no thread for the recording: {0}; end other programs")]
    Thread(#[from] std::io::Error),
}

/// A running recording; ends when finished or dropped.
pub struct MixedRecord {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    sink: Option<RecordSink>,
}

struct Shared {
    mixer: Mutex<Mixer>,
    /// The newest picture of everybody, in the order of their coming.
    pictures: Mutex<BTreeMap<u64, Option<Arc<Picture>>>>,
    stop: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MixedRecord {
    /// Starts the threads. `on_error` is told each error of the file once.
    ///
    /// # Errors
    /// When an encoder or a thread does not start.
    pub fn start(
        recorder: Recorder,
        on_error: impl FnMut(RecordError) + Send + 'static,
    ) -> Result<Self, MixedError> {
        // What most players take in that kind of file.
        let codec = match recorder.kind {
            FileKind::Mp4 => VideoCodec::H264,
            FileKind::Mkv | FileKind::Webm => VideoCodec::Vp8,
        };
        let sink = RecordSink::start(recorder, on_error)?;
        let shared = Arc::new(Shared {
            mixer: Mutex::new(Mixer::new(SAMPLE_RATE)),
            pictures: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let mut mixed = Self {
            shared: Arc::clone(&shared),
            threads: Vec::new(),
            sink: None,
        };
        let (sounds, pictures) = (sink.handle(), sink.handle());
        mixed.sink = Some(sink);
        let encoder = OpusEncoder::new(CHANNELS, Content::Music, AUDIO_BITRATE)?;
        let config = EncoderConfig {
            width: SIZE.0,
            height: SIZE.1,
            fps: FPS,
            bitrate: VIDEO_BITRATE,
        };
        let video = codec::video_encoder(codec, config)?;
        let ears = Arc::clone(&shared);
        mixed.threads.push(
            std::thread::Builder::new()
                .name("record-sound".into())
                .spawn(move || record_sound(&ears, encoder, &sounds))?,
        );
        mixed.threads.push(
            std::thread::Builder::new()
                .name("record-grid".into())
                .spawn(move || record_pictures(&shared, video, codec, &pictures))?,
        );
        Ok(mixed)
    }

    /// A place in the grid and in the mix; it is given up by dropping it.
    #[must_use]
    pub fn input(&self) -> MixedInput {
        let mut pictures = lock(&self.shared.pictures);
        let place = pictures.keys().next_back().map_or(0, |last| last + 1);
        pictures.insert(place, None);
        MixedInput {
            place,
            voice: lock(&self.shared.mixer).add(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Completes the file.
    ///
    /// # Errors
    /// When it could not be written; what was recorded is kept.
    pub fn finish(mut self) -> Result<RecordCounts, RecordError> {
        self.end();
        self.sink
            .take()
            .map_or(Ok(RecordCounts::default()), RecordSink::finish)
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the recording ended by a panic");
            }
        }
    }
}

impl Drop for MixedRecord {
    fn drop(&mut self) {
        self.end();
    }
}

/// One peer's place.
pub struct MixedInput {
    place: u64,
    voice: InputId,
    shared: Arc<Shared>,
}

impl MixedInput {
    /// Shows a picture in place of the one before.
    pub fn picture(&self, picture: &Arc<Picture>) {
        if let Some(shown) = lock(&self.shared.pictures).get_mut(&self.place) {
            *shown = Some(Arc::clone(picture));
        }
    }

    /// Adds sound; never waits.
    pub fn sound(&self, sound: &Sound) {
        let stereo = with_channels(sound, CHANNELS);
        lock(&self.shared.mixer).push(self.voice, &stereo);
    }
}

impl Drop for MixedInput {
    fn drop(&mut self) {
        lock(&self.shared.pictures).remove(&self.place);
        lock(&self.shared.mixer).remove(self.voice);
    }
}

/// Ticks on an absolute schedule.
struct Ticks {
    next: Instant,
    every: Duration,
}

impl Ticks {
    fn new(every: Duration) -> Self {
        Self {
            next: Instant::now() + every,
            every,
        }
    }

    /// Sleeps until the next tick, and tells when that was.
    fn wait(&mut self) -> Instant {
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
        let tick = self.next;
        self.next += self.every;
        if self.next.elapsed() > STALL {
            self.next = Instant::now();
        }
        tick
    }
}

fn record_sound(shared: &Shared, mut encoder: OpusEncoder, record: &RecordHandle) {
    let info = TrackInfo {
        name: "everybody".to_owned(),
        kind: TrackKind::Audio { channels: 2 },
    };
    let Ok(track) = record.add_track(info) else {
        return;
    };
    let frames = SAMPLE_RATE as usize * PERIOD.as_millis() as usize / 1000;
    let mut ticks = Ticks::new(PERIOD);
    // How much earlier than its tick what comes out of the mix was heard, smoothed, microseconds.
    let mut earlier = TARGET_MS as i64 * 1_000;
    while !shared.stop.load(Ordering::Relaxed) {
        let tick = ticks.wait();
        let mut sound = Sound {
            samples: vec![0; frames * usize::from(CHANNELS)],
            channels: CHANNELS,
            at: Timestamp::default(),
        };
        let mut mixer = lock(&shared.mixer);
        if let Some(waiting) = mixer.longest() {
            let waited = (waiting as u64 * 1_000_000 / u64::from(SAMPLE_RATE)) as i64;
            let late = i64::try_from(tick.elapsed().as_micros()).unwrap_or(0);
            earlier += (waited - late - earlier) / 16;
        }
        mixer.fill(&mut sound.samples);
        drop(mixer);
        sound.at = Timestamp::at(tick) - Duration::from_micros(earlier.max(0).unsigned_abs());
        match encoder.encode(&sound) {
            Ok(packet) => {
                record.audio(track, packet);
            }
            Err(error) => tracing::warn!("{error}"),
        }
    }
}

fn record_pictures(
    shared: &Shared,
    mut encoder: Box<dyn VideoEncoder>,
    codec: VideoCodec,
    record: &RecordHandle,
) {
    let info = TrackInfo {
        name: "everybody".to_owned(),
        kind: TrackKind::Video(codec),
    };
    let Ok(track) = record.add_track(info) else {
        return;
    };
    let mut grid = Grid::new(SIZE);
    let mut ticks = Ticks::new(Duration::from_secs(1) / FPS);
    let mut key_at: Option<Instant> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let tick = ticks.wait();
        let pictures: Vec<_> = lock(&shared.pictures).values().cloned().collect();
        // They came since the tick before, half of that ago on average; and what is drawn late shows what is there then.
        let at = Timestamp::now() - ticks.every / 2;
        let picture = grid.draw(&pictures, at);
        let key = key_at.is_none_or(|last| tick.saturating_duration_since(last) >= KEY_EVERY);
        match encoder.encode(picture, key) {
            Ok(Some(mut frame)) => {
                if frame.key {
                    key_at = Some(tick);
                }
                frame.at = at;
                record.video(track, frame);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!("{error}"),
        }
    }
}
