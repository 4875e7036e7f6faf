//! A far peer's sound: one task that drains, waits for each packet's turn, and decodes it.
//!
//! Decoding 20 ms of Opus takes less than a tenth of a millisecond, so it needs no thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;

use super::jitter::opus_duration;
pub use super::playout::AudioCounts;
use super::playout::{CHANNELS, Decode, Next, Playout};
use super::sync::{Side, StreamClock};
use crate::e2ee::{Incoming, Medium};
use crate::media::clock::Timestamp;
use crate::media::codec::CodecError;
use crate::media::codec::opus::OpusDecoder;
use crate::media::frame::{EncodedSound, SAMPLE_RATE, Sound};
use crate::media::red;
use crate::media::tones::receive::{Heard, ToneReceiver};
use crate::peer::{RemoteCodec, RemoteTrack, RtpPacket, SenderReports};

/// What comes out of a decoder was taken so much earlier than its packet's time stamp says: encoders look ahead, and count that only
/// in files (RFC 7845, section 4.2). libopus, which nearly everybody uses, by 312 samples, microseconds.
const LOOK_AHEAD: i64 = 6_500;

/// What is done with a far peer's sound; must not block.
pub trait SoundSink: Send {
    /// A packet as it came, each once; in order of arrival.
    fn encoded(&mut self, packet: &EncodedSound);
    /// Decoded sound, in order and without gaps while the stream lasts.
    fn sound(&mut self, sound: &Sound);
    /// The far side pressed a key of a telephone.
    fn tone(&mut self, heard: Heard);
    /// How much later than given what is given now will be heard.
    fn latency(&self) -> Duration {
        Duration::ZERO
    }
}

/// Receives until dropped or until the track ends.
pub struct AudioReceive {
    counts: Arc<Mutex<AudioCounts>>,
    _task: AbortOnDropHandle<()>,
}

impl AudioReceive {
    /// Starts on a track, whose packets `opener` decrypts where there is one, and which is played in time with the
    /// rest of `side`; needs a running tokio runtime.
    ///
    /// # Errors
    /// When the decoder does not start.
    pub fn start(
        track: RemoteTrack,
        opener: Option<Arc<Incoming>>,
        side: Side,
        sink: Box<dyn SoundSink>,
    ) -> Result<Self, CodecError> {
        let counts = Arc::new(Mutex::new(AudioCounts::default()));
        let player = Player {
            playout: Playout::new(OpusDecoder::new(CHANNELS as u16)?),
            tones: ToneReceiver::default(),
            clock: StreamClock::new(SAMPLE_RATE, side),
            reports: track.reports.clone(),
            heard_later: 0,
            counts: Arc::clone(&counts),
            opener,
            sink,
        };
        Ok(Self {
            counts,
            _task: AbortOnDropHandle::new(tokio::spawn(player.run(track))),
        })
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn counts(&self) -> AudioCounts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decode for OpusDecoder {
    fn packet(&mut self, packet: &[u8]) -> Result<Vec<i16>, CodecError> {
        Ok(self.decode(packet, Timestamp::default())?.samples)
    }

    fn recover(&mut self, next: &[u8], lost: Duration) -> Result<Vec<i16>, CodecError> {
        Ok(self.decode_fec(next, lost, Timestamp::default())?.samples)
    }

    fn conceal(&mut self, lost: Duration) -> Result<Vec<i16>, CodecError> {
        Ok(Self::conceal(self, lost, Timestamp::default())?.samples)
    }
}

struct Player {
    playout: Playout<OpusDecoder>,
    tones: ToneReceiver,
    clock: StreamClock,
    reports: SenderReports,
    /// How much later than given to the sink sound is heard, smoothed, microseconds.
    heard_later: i64,
    counts: Arc<Mutex<AudioCounts>>,
    opener: Option<Arc<Incoming>>,
    sink: Box<dyn SoundSink>,
}

impl Player {
    async fn run(mut self, mut track: RemoteTrack) {
        loop {
            let keys = self.tones.due().map(|due| due.since(Timestamp::now()));
            let due = self.play().into_iter().chain(keys).min();
            let sleep = async {
                match due {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                packet = track.rtp.recv() => {
                    let Some(packet) = packet else { return };
                    match track.codec(packet.payload_type) {
                        Some(RemoteCodec::Opus { .. }) => self.packet(packet),
                        Some(RemoteCodec::Red) => self.several(packet, &track),
                        Some(RemoteCodec::Tones { clock }) => self.key(&packet, *clock),
                        _ => {}
                    }
                }
                () = sleep => {}
            }
            if let Some(heard) = self.tones.tick(Timestamp::now()) {
                self.sink.tone(heard);
            }
        }
    }

    fn key(&mut self, packet: &RtpPacket, clock: u32) {
        let heard = self.tones.push(
            packet.arrived,
            packet.timestamp,
            packet.marker,
            &packet.payload,
            clock,
        );
        for heard in heard {
            self.sink.tone(heard);
        }
    }

    /// A packet that carries earlier ones again (RFC 2198).
    fn several(&mut self, mut packet: RtpPacket, track: &RemoteTrack) {
        let Some(mut blocks) = red::parse(&packet.payload) else {
            return;
        };
        blocks.retain(|block| {
            let opus = matches!(
                track.codec(block.payload_type),
                Some(RemoteCodec::Opus { .. })
            );
            opus && !block.payload.is_empty()
        });
        for block in blocks {
            if block.age == 0 {
                packet.payload = block.payload;
                return self.packet(packet);
            }
            if self.opener.is_some() {
                // Encrypted, it would count as a replay; and we ask for none.
                continue;
            }
            let timestamp = packet.timestamp.wrapping_sub(block.age);
            let payload = block.payload.clone();
            if self.playout.push_again(packet.arrived, timestamp, payload) {
                self.tell(packet.arrived, timestamp, &block.payload);
            }
        }
    }

    fn packet(&mut self, mut packet: RtpPacket) {
        if let Some(opener) = &self.opener {
            // What cannot be decrypted was never there: nothing of it is played, and nothing stands in for it.
            match opener.open(Medium::Opus, &packet.payload) {
                Some(payload) => packet.payload = payload,
                None => return,
            }
        }
        let (arrived, timestamp) = (packet.arrived, packet.timestamp);
        self.clock
            .observe(arrived, timestamp, self.reports.newest());
        if !self.playout.has(timestamp) {
            self.tell(arrived, timestamp, &packet.payload);
        }
        self.playout.push(arrived, timestamp, packet.payload);
        // A device takes what waits for it in pieces, so that it goes up and down.
        let latency = i64::try_from(self.sink.latency().as_micros()).unwrap_or(0);
        self.heard_later += (latency - self.heard_later) / 32;
        let wait = self.playout.newest().and_then(|(newest, played)| {
            self.clock
                .wait(arrived, newest, played + LOOK_AHEAD + self.heard_later)
        });
        if let Some(wait) = wait {
            self.playout.wait(wait);
        }
    }

    /// Hands a packet on as it came.
    fn tell(&mut self, arrived: Timestamp, timestamp: u32, payload: &Bytes) {
        if let (Some(ticks), Some(at)) =
            (opus_duration(payload), self.clock.taken(arrived, timestamp))
        {
            self.sink.encoded(&EncodedSound {
                level: None,
                data: payload.clone(),
                duration: Duration::from_micros(ticks * 125 / 6),
                at,
            });
        }
    }

    /// Plays what is due; gives how long to wait for the next, `None` for the next packet.
    fn play(&mut self) -> Option<Duration> {
        let wait = loop {
            let now = Timestamp::now();
            match self.playout.next(now) {
                Next::Block(samples) => self.sink.sound(&Sound {
                    samples,
                    channels: CHANNELS as u16,
                    at: now,
                }),
                Next::Wait(until) => break Some(until.since(now)),
                Next::Idle => break None,
            }
        };
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = self.playout.counts();
        wait
    }
}
