//! The two threads behind our picture.
//!
//! The capture thread asks the source and puts raw pictures into a slot that keeps
//! the latest only; the encoder thread takes the newest, so a slow encoder shows as a
//! lower rate and never as delay. Frames that a file already encoded go out from the
//! capture thread, to the peers whose codec they are in.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::adapt::{Adaptation, Degradation, Limitation, Seen, Thinning};
use super::gop::Gop;
use super::targets::Targets;
use super::{PictureTarget, SourceEvent};
use crate::media::capture::{VideoItem, VideoSource};
use crate::media::clock::Timestamp;
use crate::media::codec::h264::{H264Encoder, Slices};
use crate::media::codec::vpx::VpxEncoder;
use crate::media::codec::{self, CodecError, EncoderConfig, VideoDecoder, VideoEncoder};
use crate::media::convert::{Rotation, rotate, scale};
use crate::media::frame::{EncodedPicture, Picture, VideoCodec};
use crate::media::layers::Scalability;
use crate::peer::VideoFormat;

/// While the camera is off, a black picture goes out this often (W3C mediacapture-main,
/// section 4.3.1: a disabled track renders black).
const BLACK_EVERY: Duration = Duration::from_secs(1);

/// How our picture is encoded.
#[derive(Clone, Copy, Debug)]
pub struct VideoSettings {
    /// Pictures a second to expect.
    pub fps: u32,
    /// Bits a second where no peer's path takes less.
    pub bitrate: u32,
    /// What is rather kept where not all can be sent.
    pub degradation: Degradation,
    /// How raw pictures are turned before they are encoded.
    pub rotation: Rotation,
    /// How pictures are layered, in codecs that have layers.
    pub scalability: Scalability,
}

/// What the threads have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoSendCounts {
    /// Raw pictures that the source gave.
    pub captured: u64,
    /// Pictures that our encoders encoded.
    pub encoded: u64,
    /// Pictures that a newer one replaced before the encoder came to them.
    pub skipped: u64,
    /// Frames that went out as the source encoded them.
    pub passed: u64,
}

type Hook<T> = Box<dyn FnMut(T) + Send>;

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    stop: AtomicBool,
    muted: AtomicBool,
    bitrate: AtomicU32,
    captured: AtomicU64,
    encoded: AtomicU64,
    skipped: AtomicU64,
    passed: AtomicU64,
}

struct State {
    /// The slot: taken by the encoder, replaced by the capture.
    fresh: Option<Arc<Picture>>,
    /// What was last encoded or is being encoded, for a key frame on demand.
    last: Option<Arc<Picture>>,
    targets: Targets,
    /// What each encoder suffers from.
    limitations: HashMap<VideoFormat, Limitation>,
}

/// Our picture on its way to every peer; ends with its threads when dropped.
pub struct VideoSend {
    shared: Arc<Shared>,
    scalability: Scalability,
    threads: Vec<JoinHandle<()>>,
}

impl VideoSend {
    /// Starts both threads.
    ///
    /// `preview` is given every raw picture, `tell` what the source has to say; both
    /// run on the capture thread and must not block.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        source: Box<dyn VideoSource>,
        settings: VideoSettings,
        preview: Hook<Arc<Picture>>,
        tell: Hook<SourceEvent>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                fresh: None,
                last: None,
                targets: Targets::default(),
                limitations: HashMap::new(),
            }),
            wake: Condvar::new(),
            stop: AtomicBool::new(false),
            muted: AtomicBool::new(false),
            bitrate: AtomicU32::new(settings.bitrate),
            captured: AtomicU64::new(0),
            encoded: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        });
        let mut send = Self {
            shared: Arc::clone(&shared),
            scalability: settings.scalability,
            threads: Vec::new(),
        };
        let capture = Arc::clone(&shared);
        send.threads.push(
            std::thread::Builder::new()
                .name("video-capture".into())
                .spawn(move || {
                    Capture::new(capture, settings.rotation, preview, tell).run(source);
                })?,
        );
        send.threads.push(
            std::thread::Builder::new()
                .name("video-encode".into())
                .spawn(move || encode_loop(&shared, settings))?,
        );
        Ok(send)
    }

    /// A peer is connected and takes pictures in `format`: it is sent a key frame at once.
    pub fn add(&self, peer: &str, format: VideoFormat, target: Arc<dyn PictureTarget>) {
        self.shared.lock().targets.add(peer, format, target);
        self.shared.wake.notify_all();
    }

    /// A peer is gone.
    pub fn remove(&self, peer: &str) {
        self.shared.lock().targets.remove(peer);
    }

    /// A peer asked for a key frame: it is made from the newest picture, without waiting for the next.
    pub fn want_key(&self, peer: &str) {
        self.shared.lock().targets.want_key(peer);
        self.shared.wake.notify_all();
    }

    /// What a peer's path takes, in bits a second; with nothing, no picture is encoded.
    pub fn limit(&self, peer: &str, bitrate: u32) {
        self.shared.lock().targets.limit(peer, bitrate);
    }

    /// Why a peer is not sent the whole picture, if it is not.
    #[must_use]
    pub fn limitation(&self, peer: &str) -> Limitation {
        let state = self.shared.lock();
        let format = state.targets.format(peer);
        format
            .and_then(|format| state.limitations.get(&format).copied())
            .unwrap_or_default()
    }

    /// How what a peer is sent is layered, where its codec has layers.
    #[must_use]
    pub fn scalability(&self, peer: &str) -> Option<Scalability> {
        let format = self.shared.lock().targets.format(peer)?;
        (format.codec == VideoCodec::Vp8).then_some(self.scalability)
    }

    /// Turns the camera off or on: off sends black.
    pub fn set_muted(&self, muted: bool) {
        self.shared.muted.store(muted, Ordering::Relaxed);
    }

    /// Sets the target where no peer's path takes less.
    pub fn set_bitrate(&self, bits_per_second: u32) {
        self.shared
            .bitrate
            .store(bits_per_second, Ordering::Relaxed);
    }

    /// What the threads have done so far.
    #[must_use]
    pub fn counts(&self) -> VideoSendCounts {
        VideoSendCounts {
            captured: self.shared.captured.load(Ordering::Relaxed),
            encoded: self.shared.encoded.load(Ordering::Relaxed),
            skipped: self.shared.skipped.load(Ordering::Relaxed),
            passed: self.shared.passed.load(Ordering::Relaxed),
        }
    }
}

impl Drop for VideoSend {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a video thread ended by a panic");
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn offer(&self, picture: Arc<Picture>) {
        if self.lock().fresh.replace(picture).is_some() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
        self.wake.notify_all();
    }
}

/// The capture thread's own things.
struct Capture {
    shared: Arc<Shared>,
    rotation: Rotation,
    preview: Hook<Arc<Picture>>,
    tell: Hook<SourceEvent>,
    gop: Gop,
    decoder: Option<(VideoCodec, Box<dyn VideoDecoder>)>,
    size: (u32, u32),
    last_black: Option<Timestamp>,
}

impl Capture {
    fn new(
        shared: Arc<Shared>,
        rotation: Rotation,
        preview: Hook<Arc<Picture>>,
        tell: Hook<SourceEvent>,
    ) -> Self {
        Self {
            shared,
            rotation,
            preview,
            tell,
            gop: Gop::default(),
            decoder: None,
            size: (640, 360),
            last_black: None,
        }
    }

    fn run(mut self, mut source: Box<dyn VideoSource>) {
        while !self.shared.stopped() {
            match source.next() {
                Ok(Some(VideoItem::Interrupted(why))) => {
                    (self.tell)(SourceEvent::Interrupted(why));
                }
                Ok(Some(VideoItem::Resumed(what))) => (self.tell)(SourceEvent::Resumed(what)),
                Ok(Some(item)) if self.shared.muted.load(Ordering::Relaxed) => self.black(&item),
                Ok(Some(VideoItem::Raw(picture))) => self.raw(picture),
                Ok(Some(VideoItem::Encoded(frame))) => self.encoded(frame),
                Ok(Some(VideoItem::Nothing)) => {}
                Ok(None) => return (self.tell)(SourceEvent::Ended),
                Err(error) => return (self.tell)(SourceEvent::Failed(error.to_string())),
            }
        }
    }

    fn raw(&mut self, picture: Picture) {
        let picture = rotate(picture, self.rotation);
        self.last_black = None;
        self.size = (picture.width, picture.height);
        self.shared.captured.fetch_add(1, Ordering::Relaxed);
        let picture = Arc::new(picture);
        (self.preview)(Arc::clone(&picture));
        self.shared.offer(picture);
    }

    fn encoded(&mut self, frame: EncodedPicture) {
        if self.last_black.take().is_some() {
            // Black came from our encoder; the file's own stream takes over at its next key frame.
            self.shared.lock().targets.leave_source();
        }
        self.gop.push(frame.clone());
        let left = self.shared.lock().targets.send_source(&frame);
        self.shared.passed.fetch_add(1, Ordering::Relaxed);
        if left {
            self.transcode(&frame);
        }
    }

    /// Decodes what a peer cannot follow, for our encoder.
    fn transcode(&mut self, frame: &EncodedPicture) {
        if self
            .decoder
            .as_ref()
            .is_none_or(|(codec, _)| *codec != frame.codec)
        {
            match codec::video_decoder(frame.codec) {
                Ok(decoder) => self.decoder = Some((frame.codec, decoder)),
                Err(error) => {
                    tracing::warn!("{error}");
                    return;
                }
            }
        }
        let Some((_, decoder)) = &mut self.decoder else {
            return;
        };
        let mut newest = None;
        for held in self.gop.catch_up() {
            match decoder.decode(&held.data) {
                Ok(Some(picture)) => newest = Some((picture, held.at)),
                Ok(None) => {}
                Err(error) => tracing::debug!("source frame: {error}"),
            }
        }
        if let Some((mut picture, at)) = newest {
            picture.at = at;
            self.raw(picture);
        }
    }

    fn black(&mut self, item: &VideoItem) {
        if let VideoItem::Encoded(frame) = item {
            self.gop.push(frame.clone());
        }
        let now = Timestamp::now();
        if self
            .last_black
            .is_some_and(|last| now.since(last) < BLACK_EVERY)
        {
            return;
        }
        if self.last_black.replace(now).is_none() {
            self.shared.lock().targets.leave_source();
        }
        let picture = Arc::new(Picture::black(self.size.0, self.size.1, now));
        (self.preview)(Arc::clone(&picture));
        self.shared.offer(picture);
    }
}

struct Encoder {
    inner: Box<dyn VideoEncoder>,
    bitrate: u32,
    adaptation: Adaptation,
    thinning: Thinning,
    /// The count of skipped pictures when it was last looked at.
    skipped: u64,
}

fn encode_loop(shared: &Shared, settings: VideoSettings) {
    let mut encoders: HashMap<VideoFormat, Encoder> = HashMap::new();
    while let Some((picture, fresh)) = wait_for_work(shared) {
        let demands = shared.lock().targets.encoders();
        encoders.retain(|format, _| demands.contains_key(format));
        for (format, demand) in demands {
            if demand.limit == Some(0) {
                if !fresh {
                    // The next picture answers whoever waits for a key frame.
                    shared.lock().last = None;
                }
                continue;
            }
            if !fresh && !demand.key {
                continue;
            }
            let general = shared.bitrate.load(Ordering::Relaxed);
            let work = Work {
                picture: &picture,
                key: demand.key,
                bitrate: demand.limit.map_or(general, |limit| limit.min(general)),
                skipped: shared.skipped.load(Ordering::Relaxed),
            };
            let encoded = encode_one(&mut encoders, format, &work, settings);
            let mut state = shared.lock();
            if let Some(encoder) = encoders.get(&format) {
                let limitation = encoder.adaptation.limitation();
                state.limitations.insert(format, limitation);
            }
            if let Some(encoded) = encoded {
                shared.encoded.fetch_add(1, Ordering::Relaxed);
                state.targets.send_encoded(format, &encoded);
            } else if !fresh {
                // An encoder that fails is not asked again before the next picture.
                state.last = None;
            }
        }
    }
}

/// The newest picture and whether it was not encoded before; `None` at the end.
fn wait_for_work(shared: &Shared) -> Option<(Arc<Picture>, bool)> {
    let mut state = shared.lock();
    loop {
        if shared.stopped() {
            return None;
        }
        if let Some(picture) = state.fresh.take() {
            state.last = Some(Arc::clone(&picture));
            return Some((picture, true));
        }
        let repeat = match (&state.last, state.targets.repeat_after()) {
            (Some(last), Some(after)) => {
                let age = Timestamp::now().since(last.at);
                if age >= after {
                    return Some((Arc::clone(last), false));
                }
                Some(after - age)
            }
            _ => None,
        };
        state = match repeat {
            Some(wait) => {
                let waited = shared.wake.wait_timeout(state, wait);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let woken = shared.wake.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}

fn open_encoder(
    format: VideoFormat,
    config: EncoderConfig,
    scalability: Scalability,
) -> Result<Box<dyn VideoEncoder>, CodecError> {
    match format {
        VideoFormat {
            codec: VideoCodec::Vp8,
            ..
        } => Ok(Box::new(VpxEncoder::layered(config, scalability)?)),
        VideoFormat {
            codec: VideoCodec::H264,
            max_nal_bytes: Some(most),
        } => {
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            Ok(Box::new(H264Encoder::new(config, Slices::Below(most))?))
        }
        VideoFormat { codec, .. } => codec::video_encoder(codec, config),
    }
}

/// What one encoder is to do now.
struct Work<'a> {
    picture: &'a Picture,
    key: bool,
    bitrate: u32,
    /// Pictures that were skipped so far.
    skipped: u64,
}

fn encode_one(
    encoders: &mut HashMap<VideoFormat, Encoder>,
    format: VideoFormat,
    work: &Work,
    settings: VideoSettings,
) -> Option<EncodedPicture> {
    if let Entry::Vacant(place) = encoders.entry(format) {
        let config = EncoderConfig {
            width: work.picture.width,
            height: work.picture.height,
            fps: settings.fps,
            bitrate: work.bitrate,
        };
        match open_encoder(format, config, settings.scalability) {
            Ok(inner) => place.insert(Encoder {
                inner,
                bitrate: work.bitrate,
                adaptation: Adaptation::new(settings.degradation),
                thinning: Thinning::default(),
                skipped: work.skipped,
            }),
            Err(error) => {
                tracing::error!("{error}");
                return None;
            }
        };
    }
    let encoder = encoders.get_mut(&format)?;
    if encoder.bitrate != work.bitrate {
        match encoder.inner.set_bitrate(work.bitrate) {
            Ok(()) => encoder.bitrate = work.bitrate,
            Err(error) => tracing::warn!("{error}"),
        }
    }
    let encoded = encoder.encode(work, settings.fps);
    encoded.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        encoders.remove(&format);
        None
    })
}

impl Encoder {
    /// Encodes as much of the picture as path and processor carry.
    fn encode(&mut self, work: &Work, fps: u32) -> Result<Option<EncodedPicture>, CodecError> {
        let plan = self.adaptation.plan();
        if !self.thinning.takes(plan.rate) && !work.key {
            return Ok(None);
        }
        let began = Timestamp::now();
        let whole = (work.picture.width, work.picture.height);
        let (width, height) = plan.size(whole);
        let encoded = if (width, height) == whole {
            self.inner.encode(work.picture, work.key)
        } else {
            let smaller = scale(work.picture, width, height);
            self.inner.encode(&smaller, work.key)
        };
        let now = Timestamp::now();
        let seen = Seen {
            took: now.since(began),
            bitrate: work.bitrate,
            size: whole,
            fps,
            dropped: work.skipped - self.skipped,
        };
        self.skipped = work.skipped;
        let next = self.adaptation.see(now, seen);
        if next != plan {
            let reason = self.adaptation.limitation().name();
            tracing::debug!(reason, ?next, "the picture's plan changes");
        }
        encoded
    }
}
