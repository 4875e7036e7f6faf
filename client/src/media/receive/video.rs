//! A far peer's picture: one task that drains and assembles, one thread that decodes.
//!
//! The task never waits for the decoder: when the decode queue is full, what is
//! missing is made good by a key frame, and the pictures in between are counted as dropped.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::assemble::{Assembler, Frame, Output, Packet};
use super::clock::MediaClock;
use super::freeze::{FreezeMeter, Freezes};
use super::told::Told;
use crate::e2ee::{Incoming, Medium};
use crate::media::clock::Timestamp;
use crate::media::codec::{self, VideoDecoder};
use crate::media::convert::{Colours, Rotation, rotate, to_ours};
use crate::media::frame::{EncodedPicture, Picture, VideoCodec};
use crate::peer::{KeyFrameRequest, RemoteCodec, RemoteTrack, RtpPacket};

/// Frames that wait for the decoder: half a second at 30 a second.
const DECODE_QUEUE: usize = 16;

/// How often a stream without packets is looked after.
const TICK: Duration = Duration::from_millis(50);

/// Ticks of the RTP clock of pictures in a second (RFC 3551, section 5).
const CLOCK_RATE: u32 = 90_000;

/// What is done with a far peer's pictures; runs on the decoder thread.
pub trait PictureSink: Send {
    /// A frame as it came.
    fn encoded(&mut self, frame: &EncodedPicture);
    /// A decoded picture.
    fn picture(&mut self, picture: &Arc<Picture>, codec: VideoCodec);
}

/// What became of the frames.
#[derive(Debug, Default)]
pub struct VideoCounts {
    /// `framesDecoded`
    pub decoded: AtomicU64,
    /// `framesDropped`: assembled, but the decoder was behind.
    pub dropped: AtomicU64,
    /// Frames that the decoder refused.
    pub refused: AtomicU64,
    /// `frameWidth`
    pub width: AtomicU32,
    /// `frameHeight`
    pub height: AtomicU32,
    /// Key frames asked for (`pliCount` counts those that left).
    pub key_frames_asked: AtomicU64,
    /// When pictures stood still.
    freezes: Mutex<Freezes>,
}

/// Receives until dropped or until the track ends.
pub struct VideoReceive {
    counts: Arc<VideoCounts>,
    task: Option<AbortOnDropHandle<()>>,
    frames: SyncSender<Option<Coded>>,
    decoder: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl VideoReceive {
    /// Starts on a track, whose frames `opener` decrypts where there is one; needs a running tokio runtime.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        track: RemoteTrack,
        opener: Option<Arc<Incoming>>,
        sink: Box<dyn PictureSink>,
    ) -> std::io::Result<Self> {
        let counts = Arc::new(VideoCounts::default());
        let stop = Arc::new(AtomicBool::new(false));
        let broken = Arc::new(AtomicBool::new(false));
        let (frames, queue) = sync_channel(DECODE_QUEUE);
        let decode = Decode {
            counts: Arc::clone(&counts),
            broken: Arc::clone(&broken),
            stop: Arc::clone(&stop),
            sink,
            opener,
            whole: false,
            decoder: None,
            shown: FreezeMeter::default(),
        };
        let decoder = std::thread::Builder::new()
            .name("video-decode".into())
            .spawn(move || decode.run(&queue))?;
        let drain = Drain {
            key_frame: track.key_frame.clone(),
            counts: Arc::clone(&counts),
            broken,
            frames: frames.clone(),
            assembler: None,
            clock: MediaClock::new(CLOCK_RATE),
            orientations: Told::default(),
            colours: Told::default(),
        };
        Ok(Self {
            counts,
            frames,
            task: Some(AbortOnDropHandle::new(tokio::spawn(drain.run(track)))),
            decoder: Some(decoder),
            stop,
        })
    }

    /// What became of the frames so far.
    #[must_use]
    pub fn counts(&self) -> &VideoCounts {
        &self.counts
    }

    /// When its pictures stood still.
    #[must_use]
    pub fn freezes(&self) -> Freezes {
        let freezes = self.counts.freezes.lock();
        *freezes.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for VideoReceive {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task = None;
        // Wakes an idle decoder; with a full queue it looks at `stop` by itself.
        let _ = self.frames.try_send(None);
        if let Some(decoder) = self.decoder.take()
            && decoder.join().is_err()
        {
            tracing::error!("the decoder thread ended by a panic");
        }
    }
}

struct Coded {
    codec: VideoCodec,
    frame: Frame,
    at: Timestamp,
    rotation: Rotation,
    /// What the sender says that they mean.
    colours: Option<Colours>,
}

struct Drain {
    key_frame: KeyFrameRequest,
    counts: Arc<VideoCounts>,
    broken: Arc<AtomicBool>,
    /// `None` ends the decoder.
    frames: SyncSender<Option<Coded>>,
    assembler: Option<(VideoCodec, Assembler)>,
    clock: MediaClock,
    orientations: Told<Rotation>,
    colours: Told<Option<Colours>>,
}

impl Drain {
    async fn run(mut self, mut track: RemoteTrack) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                packet = track.rtp.recv() => {
                    let Some(packet) = packet else { return };
                    if let Some(RemoteCodec::Video(codec)) = track.codec(packet.payload_type) {
                        self.packet(*codec, packet);
                    }
                }
                _ = tick.tick() => self.tick(),
            }
        }
    }

    fn packet(&mut self, codec: VideoCodec, packet: RtpPacket) {
        if self.assembler.as_ref().is_none_or(|(c, _)| *c != codec) {
            self.assembler = Some((codec, Assembler::new(codec)));
        }
        let Some((_, assembler)) = &mut self.assembler else {
            return;
        };
        let arrived = packet.arrived;
        self.clock.observe(arrived, packet.timestamp);
        if let Some(rotation) = packet.rotation {
            self.orientations.note(packet.timestamp, rotation);
        }
        if packet.colours.is_some() {
            self.colours.note(packet.timestamp, packet.colours);
        }
        let mut outputs = Vec::new();
        if self.broken.swap(false, Ordering::Relaxed) {
            outputs = assembler.broken(arrived);
        }
        outputs.extend(assembler.push(
            arrived,
            Packet {
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                marker: packet.marker,
                payload: packet.payload,
            },
        ));
        self.act(codec, outputs, arrived);
    }

    fn tick(&mut self) {
        let now = Timestamp::now();
        let Some((codec, assembler)) = &mut self.assembler else {
            return;
        };
        let codec = *codec;
        let outputs = if self.broken.swap(false, Ordering::Relaxed) {
            assembler.broken(now)
        } else {
            assembler.tick(now)
        };
        self.act(codec, outputs, now);
    }

    fn act(&mut self, codec: VideoCodec, outputs: Vec<Output>, now: Timestamp) {
        for output in outputs {
            match output {
                Output::WantKeyFrame => self.ask(),
                Output::Frame(frame) => {
                    let at = self.clock.at(frame.timestamp).unwrap_or(now);
                    let rotation = self.orientations.of(frame.timestamp);
                    let colours = self.colours.of(frame.timestamp);
                    let coded = Coded {
                        codec,
                        frame,
                        at,
                        rotation,
                        colours,
                    };
                    match self.frames.try_send(Some(coded)) {
                        Ok(()) => {}
                        Err(TrySendError::Full(_)) => {
                            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                            self.broken.store(true, Ordering::Relaxed);
                        }
                        Err(TrySendError::Disconnected(_)) => return,
                    }
                }
            }
        }
    }

    fn ask(&self) {
        self.counts.key_frames_asked.fetch_add(1, Ordering::Relaxed);
        self.key_frame.ask();
    }
}

struct Decode {
    counts: Arc<VideoCounts>,
    broken: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    sink: Box<dyn PictureSink>,
    opener: Option<Arc<Incoming>>,
    /// Where frames are decrypted: all of them since a key frame were.
    whole: bool,
    decoder: Option<(VideoCodec, Box<dyn VideoDecoder>)>,
    shown: FreezeMeter,
}

impl Decode {
    fn run(mut self, queue: &Receiver<Option<Coded>>) {
        while let Ok(Some(coded)) = queue.recv() {
            let Coded {
                codec,
                frame,
                at,
                rotation,
                colours,
            } = coded;
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let Some(frame) = self.open(codec, frame) else {
                continue;
            };
            let picture = self.decode(codec, &frame);
            self.sink.encoded(&EncodedPicture {
                codec,
                data: frame.data,
                key: frame.key,
                at,
                layer: None,
            });
            if let Some(mut picture) = picture {
                // Where the frames themselves say it, the decoder has seen to it.
                let silent = |(_, decoder): &(_, Box<dyn VideoDecoder>)| !decoder.knows_colours();
                if let Some(colours) = colours.filter(|_| self.decoder.as_ref().is_some_and(silent))
                {
                    to_ours(&mut picture, colours);
                }
                let picture = rotate(picture, rotation);
                self.counts.decoded.fetch_add(1, Ordering::Relaxed);
                self.counts.width.store(picture.width, Ordering::Relaxed);
                self.counts.height.store(picture.height, Ordering::Relaxed);
                self.shown.see(Timestamp::now());
                let freezes = self.counts.freezes.lock();
                *freezes.unwrap_or_else(PoisonError::into_inner) = self.shown.freezes();
                self.sink.picture(&Arc::new(picture), codec);
            }
        }
    }

    /// Decrypts a frame. After one that cannot be, nothing but a key frame is of use; none is asked for as long as
    /// there never was any: with another key it would not be one either.
    fn open(&mut self, codec: VideoCodec, frame: Frame) -> Option<Frame> {
        let Some(opener) = &self.opener else {
            return Some(frame);
        };
        let opened = opener.open(Medium::Picture(codec), &frame.data);
        let usable = opened.is_some() && (frame.key || self.whole);
        if !usable && (opened.is_some() || std::mem::take(&mut self.whole)) {
            self.broken.store(true, Ordering::Relaxed);
        }
        self.whole |= usable;
        let data = opened.filter(|_| usable)?;
        Some(Frame { data, ..frame })
    }

    fn decode(&mut self, codec: VideoCodec, frame: &Frame) -> Option<Picture> {
        if self.decoder.as_ref().is_none_or(|(c, _)| *c != codec) {
            match codec::video_decoder(codec) {
                Ok(decoder) => self.decoder = Some((codec, decoder)),
                Err(error) => {
                    tracing::error!("{error}");
                    return None;
                }
            }
        }
        let (_, decoder) = self.decoder.as_mut()?;
        match decoder.decode(&frame.data) {
            Ok(picture) => picture,
            Err(error) => {
                tracing::debug!("{error}");
                self.counts.refused.fetch_add(1, Ordering::Relaxed);
                self.broken.store(true, Ordering::Relaxed);
                None
            }
        }
    }
}
