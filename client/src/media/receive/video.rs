//! A far peer's picture: one task that drains and assembles, one thread that decodes.
//!
//! The task never waits for the decoder: when the decode queue is full, or the decoder behind, what is
//! missing is made good by a key frame, and the pictures in between are counted as dropped.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::assemble::{Assembler, Output, Packet};
use super::freeze::{FreezeMeter, Freezes};
use super::pictures::{BufferCounts, CLOCK_RATE, PicturePlayout};
use super::sync::{Side, StreamClock};
use super::told::Told;
use crate::e2ee::Incoming;
use crate::media::clock::Timestamp;
use crate::media::convert::{Colours, Rotation};
use crate::media::frame::{EncodedPicture, Picture, VideoCodec};
use crate::peer::{KeyFrameRequest, RemoteCodec, RemoteTrack, RtpPacket, SenderReports};

mod decode;
use decode::{Coded, Decode, Stop};

/// Frames that wait for their turn: what may be waited for jitter and sound, at 60 a second.
const DECODE_QUEUE: usize = 96;

/// How often a stream without packets is looked after.
const TICK: Duration = Duration::from_millis(50);

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
    /// For how many milliseconds no key frame has come that is needed.
    pub stuck_ms: AtomicU64,
    /// When pictures stood still, and what became of frames before the decoder.
    figures: Mutex<(Freezes, BufferCounts)>,
}

impl VideoCounts {
    fn figures(&self) -> std::sync::MutexGuard<'_, (Freezes, BufferCounts)> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receives until dropped or until the track ends.
pub struct VideoReceive {
    counts: Arc<VideoCounts>,
    task: Option<AbortOnDropHandle<()>>,
    frames: SyncSender<Option<Coded>>,
    decoder: Option<JoinHandle<()>>,
    stop: Arc<Stop>,
}

impl VideoReceive {
    /// Starts on a track, whose frames `opener` decrypts where there is one, and which is shown in time with the rest
    /// of `side`; needs a running tokio runtime.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        track: RemoteTrack,
        opener: Option<Arc<Incoming>>,
        side: Side,
        sink: Box<dyn PictureSink>,
    ) -> std::io::Result<Self> {
        let counts = Arc::new(VideoCounts::default());
        let stop = Arc::new(Stop::default());
        let broken = Arc::new(AtomicBool::new(false));
        let (frames, queue) = sync_channel(DECODE_QUEUE);
        let decode = Decode {
            counts: Arc::clone(&counts),
            broken: Arc::clone(&broken),
            stop: Arc::clone(&stop),
            sink,
            opener,
            whole: false,
            needs_key: false,
            decoder: None,
            shown: FreezeMeter::default(),
            playout: PicturePlayout::default(),
            clock: StreamClock::new(CLOCK_RATE, side),
            reports: track.reports.clone(),
        };
        let decoder = std::thread::Builder::new()
            .name("video-decode".into())
            .spawn(move || decode.run(&queue))?;
        let drain = Drain {
            key_frame: track.key_frame.clone(),
            counts: Arc::clone(&counts),
            broken,
            frames: frames.clone(),
            reports: track.reports.clone(),
            assembler: None,
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
        self.counts.figures().0
    }

    /// What became of frames before the decoder.
    #[must_use]
    pub fn buffer(&self) -> BufferCounts {
        self.counts.figures().1
    }
}

impl Drop for VideoReceive {
    fn drop(&mut self) {
        self.stop.now();
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

struct Drain {
    key_frame: KeyFrameRequest,
    counts: Arc<VideoCounts>,
    broken: Arc<AtomicBool>,
    /// `None` ends the decoder.
    frames: SyncSender<Option<Coded>>,
    reports: SenderReports,
    assembler: Option<(VideoCodec, Assembler)>,
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
        let stuck = u64::try_from(assembler.stuck(now).as_millis()).unwrap_or(u64::MAX);
        self.counts.stuck_ms.store(stuck, Ordering::Relaxed);
        let codec = *codec;
        assembler.told_round_trip(self.reports.round_trip());
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
                    let rotation = self.orientations.of(frame.timestamp);
                    let colours = self.colours.of(frame.timestamp);
                    let coded = Coded {
                        codec,
                        frame,
                        whole: now,
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
