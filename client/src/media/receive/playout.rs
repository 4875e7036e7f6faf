//! From packets to 10 ms of sound every 10 ms. Pure: time and packets come in.
//!
//! Sound is played as [`PlayoutDelay`](super::delay::PlayoutDelay) says. Where it is behind that, it is made a little
//! shorter, where it is ahead, a little longer, so that neither a change of the jitter nor a sender whose clock
//! differs from ours is heard.

use std::time::Duration;

use bytes::Bytes;

use super::delay::micros;
use super::jitter::{AudioJitter, Play};
use super::stretch::{lengthen, shorten};
use crate::media::clock::Timestamp;
use crate::media::codec::CodecError;
use crate::media::frame::SAMPLE_RATE;

mod counts;
pub use counts::AudioCounts;
use counts::Counting;

/// Opus decodes mono and stereo alike into what is asked (RFC 7587, section 3.4).
pub const CHANNELS: usize = 2;

/// Frames of a block.
const BLOCK: usize = SAMPLE_RATE as usize / 100;

/// Microseconds of a block.
const BLOCK_MICROS: i64 = 10_000;

/// When the thread that asks for blocks is later than this, they are not made up for at once.
const STALL: i64 = 200_000;

/// So far behind, packets are left out: shortening would take seconds.
const SKIP: i64 = 300_000;

/// Concealment that has lasted this long has faded to the noise that was behind the voice.
const FADED: Duration = Duration::from_millis(200);

/// Who leaves out silence sends a packet every 400 ms. Beyond that even the noise goes, or a tone would hum on:
/// from here on, and within [`FADE_LASTS`].
const FADE_FROM: Duration = Duration::from_millis(500);
const FADE_LASTS: Duration = Duration::from_millis(300);

/// From this much behind or ahead, what is less like itself is good enough to be changed.
const URGENT: i64 = 80_000;

/// What turns packets into samples, [`CHANNELS`] interleaved.
pub trait Decode: Send {
    /// Decodes a packet.
    ///
    /// # Errors
    /// When it is broken.
    fn packet(&mut self, packet: &[u8]) -> Result<Vec<i16>, CodecError>;
    /// Recovers the packet before `next` from it.
    ///
    /// # Errors
    /// When it is broken.
    fn recover(&mut self, next: &[u8], lost: Duration) -> Result<Vec<i16>, CodecError>;
    /// Goes on with what was heard last, fading.
    ///
    /// # Errors
    /// When the decoder fails.
    fn conceal(&mut self, lost: Duration) -> Result<Vec<i16>, CodecError>;
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Play this block of 10 ms, and ask again.
    Block(Vec<i16>),
    /// Ask again then, or when a packet has come.
    Wait(Timestamp),
    /// Ask again when a packet has come.
    Idle,
}

/// See the module.
pub struct Playout<D> {
    jitter: AudioJitter,
    decoder: D,
    /// Decoded, not yet played.
    pending: Vec<i16>,
    /// When the next block is due; `None` before the first and in a pause.
    due: Option<i64>,
    /// Since when sound is behind or ahead.
    astray: Option<i64>,
    /// How long nothing but concealment was heard.
    concealed: Duration,
    /// How long sound waits for its picture.
    wait: Duration,
    counting: Counting,
}

impl<D: Decode> Playout<D> {
    /// Nothing is played before the first packet.
    pub fn new(decoder: D) -> Self {
        Self {
            jitter: AudioJitter::default(),
            decoder,
            pending: Vec::new(),
            due: None,
            astray: None,
            concealed: Duration::ZERO,
            wait: Duration::ZERO,
            counting: Counting::default(),
        }
    }

    /// Takes a packet as it arrives.
    pub fn push(&mut self, now: Timestamp, timestamp: u32, payload: Bytes) {
        self.jitter.push(now, timestamp, payload);
    }

    /// Takes a packet that came again, with a later one; tells whether it is to be played.
    pub fn push_again(&mut self, now: Timestamp, timestamp: u32, payload: Bytes) -> bool {
        self.jitter.push_again(now, timestamp, payload)
    }

    /// Whether the packet of this time has come, as far as that is remembered.
    #[must_use]
    pub fn has(&self, timestamp: u32) -> bool {
        self.jitter.has(timestamp)
    }

    /// How long sound is to wait for its picture.
    pub const fn wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// The newest packet's RTP time and when it is played if it does not wait for its picture; `None` before the first.
    #[must_use]
    pub fn newest(&self) -> Option<(u32, i64)> {
        self.jitter.newest()
    }

    /// From RTP time to the moment of playing.
    fn offset(&self) -> Option<i64> {
        let wait = i64::try_from(self.wait.as_micros()).unwrap_or(0);
        Some(self.jitter.delay().offset()? + wait)
    }

    /// What to play at `now`.
    pub fn next(&mut self, now: Timestamp) -> Next {
        let now = micros(now);
        let due = match self.due {
            Some(due) if now - due > STALL => now,
            Some(due) => due,
            None => {
                let (Some(position), Some(offset), false) = (
                    self.jitter.position(),
                    self.offset(),
                    self.jitter.is_empty(),
                ) else {
                    return Next::Idle;
                };
                // Where it could have begun earlier it begins now, and is shortened.
                (position + offset).max(now - BLOCK_MICROS)
            }
        };
        if due > now {
            return Next::Wait(Timestamp::from_micros(u64::try_from(due).unwrap_or(0)));
        }
        while self.pending.len() < BLOCK * CHANNELS {
            if !self.more(due) {
                self.pending.clear();
                self.due = None;
                self.counting.pause();
                return Next::Idle;
            }
        }
        let rest = self.pending.split_off(BLOCK * CHANNELS);
        let block = std::mem::replace(&mut self.pending, rest);
        self.due = Some(due + BLOCK_MICROS);
        self.counting.block(&block);
        Next::Block(block)
    }

    /// Decodes what comes next; false where nothing comes.
    fn more(&mut self, due: i64) -> bool {
        if self.behind(due).is_some_and(|behind| behind > SKIP)
            && let Some(offset) = self.offset()
        {
            self.jitter.skip_to(due - offset);
        }
        let play = self.jitter.pull();
        let decoded = match &play {
            Play::Packet { payload, .. } => self.decoder.packet(payload),
            Play::Recover { next, duration } => self.decoder.recover(next, *duration),
            Play::Conceal(duration) | Play::Starved(duration) => self.decoder.conceal(*duration),
            Play::Paused => return false,
        };
        let mut samples = decoded.unwrap_or_else(|error| {
            tracing::debug!("{error}");
            // Silence for what could not be decoded; its length is not known where the packet is broken.
            vec![0; BLOCK * CHANNELS]
        });
        let frames = samples.len() / CHANNELS;
        if matches!(play, Play::Conceal(_) | Play::Starved(_)) {
            fade(&mut samples, self.concealed);
        }
        self.pending.extend(samples);
        match play {
            Play::Packet { arrived, .. } => {
                self.concealed = Duration::ZERO;
                let target = self.jitter.delay().target();
                self.counting
                    .played(frames, due - micros(arrived), target, self.wait);
                self.keep_pace(due);
            }
            Play::Recover { .. } => {
                self.concealed = Duration::ZERO;
                self.counting.recovered();
            }
            Play::Conceal(duration) | Play::Starved(duration) => {
                self.concealed += duration;
                self.counting.concealed(frames, self.concealed > FADED);
            }
            Play::Paused => {}
        }
        true
    }

    /// Makes what is about to be played shorter or longer where it is due.
    fn keep_pace(&mut self, due: i64) {
        let (Some(behind), target) = (self.behind(due), self.jitter.delay().target()) else {
            return;
        };
        let target = i64::try_from(target.as_micros()).unwrap_or(0);
        let (latest, earliest) = ((target / 4).max(10_000), -5_000);
        if (earliest..=latest).contains(&behind) {
            self.astray = None;
            return;
        }
        let since = *self.astray.get_or_insert(due);
        let likeness = likeness(due - since, behind.abs() >= URGENT);
        let most = usize::try_from(behind.abs() * i64::from(SAMPLE_RATE) / 1_000_000).unwrap_or(0);
        if behind > 0 {
            let gone = shorten(&mut self.pending, CHANNELS, most, likeness);
            self.counting.removed(gone);
        } else {
            let come = lengthen(&mut self.pending, CHANNELS, most, likeness);
            self.counting.inserted(come);
        }
    }

    /// How much later than it should the next sample is played.
    fn behind(&self, due: i64) -> Option<i64> {
        let pending = (self.pending.len() / CHANNELS) as i64 * 1_000_000 / i64::from(SAMPLE_RATE);
        Some(due - (self.jitter.position()? - pending) - self.offset()?)
    }

    /// What became of packets and samples so far.
    #[must_use]
    pub fn counts(&self) -> AudioCounts {
        self.counting.so_far(self.jitter.counts())
    }
}

/// Makes what is concealed softer, the longer it lasts already.
fn fade(samples: &mut [i16], concealed: Duration) {
    let over = concealed.saturating_sub(FADE_FROM).as_secs_f64();
    if over == 0.0 {
        return;
    }
    for (frame, samples) in samples.chunks_exact_mut(CHANNELS).enumerate() {
        let passed = over + frame as f64 / f64::from(SAMPLE_RATE);
        let gain = (1.0 - passed / FADE_LASTS.as_secs_f64()).max(0.0);
        for sample in samples {
            *sample = (f64::from(*sample) * gain) as i16;
        }
    }
}

/// How much like itself sound must be to be changed, after so many microseconds of waiting for a better place.
fn likeness(waited: i64, urgent: bool) -> f64 {
    const AT_FIRST: f64 = 0.9;
    if urgent {
        return 0.5;
    }
    // By a third each second; after three anything does.
    AT_FIRST - waited as f64 / 3_000_000.0 * (AT_FIRST + 1.0)
}

#[cfg(test)]
mod tests;
