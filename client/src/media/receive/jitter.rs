//! Which Opus packet is to be decoded next, and what stands in for a missing one. Pure.
//!
//! A packet that is late holds the sound up: what is concealed meanwhile is no progress, so the packet is still
//! played when it comes. Where later packets are there already, the missing one is lost, and what was concealed
//! so far counts as part of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::delay::{PlayoutDelay, SOUND};
use super::timeline::Timeline;
use crate::media::clock::Timestamp;
use crate::media::frame::SAMPLE_RATE;

/// Packets held at most: five seconds at 20 ms, for sound may wait a second for its picture; beyond that the oldest go.
const CAPACITY: usize = 250;

/// How long nothing may come before the stream counts as paused: five times what Opus leaves out between the
/// packets of a silence (RFC 6716, section 2.1.9).
const PAUSE: u64 = 2 * SAMPLE_RATE as u64;

/// What is concealed at once, in ticks.
const STEP: u64 = SAMPLE_RATE as u64 / 100;

/// The least that a decoder conceals, in ticks (RFC 6716, section 2): 2.5 ms.
const LEAST: u64 = SAMPLE_RATE as u64 / 400;

/// Packets that are known to have been played: those that may come again.
const REMEMBERED: usize = 32;

/// What to decode next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// Decode this packet.
    Packet {
        /// As it came.
        payload: Bytes,
        /// When it came.
        arrived: Timestamp,
    },
    /// The packet is lost, but the one after it carries its likeness (RFC 6716, section 2.1.7).
    Recover {
        /// The packet after the lost one.
        next: Bytes,
        /// How long the lost one lasted.
        duration: Duration,
    },
    /// This long is lost: let the decoder conceal it.
    Conceal(Duration),
    /// Nothing has come that could be played: let the decoder go on by this long.
    Starved(Duration),
    /// The stream has paused; ask again when a packet has come.
    Paused,
}

/// See the module.
#[derive(Debug)]
pub struct AudioJitter {
    held: BTreeMap<u64, Held>,
    line: Timeline,
    /// RTP time of what is decoded next.
    cursor: Option<u64>,
    /// RTP times of the packets played last.
    played: VecDeque<u64>,
    /// Ticks that were concealed since the cursor moved last.
    starved: u64,
    delay: PlayoutDelay,
    counts: PacketCounts,
}

#[derive(Debug)]
struct Held {
    payload: Bytes,
    duration: u64,
    arrived: Timestamp,
}

/// What became of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketCounts {
    /// Packets played.
    pub played: u64,
    /// Losses that the following packet's redundancy filled.
    pub recovered: u64,
    /// Packets that came after their turn, or so many at once that the oldest were left out (`packetsDiscarded`).
    pub late: u64,
}

impl Default for AudioJitter {
    fn default() -> Self {
        Self {
            held: BTreeMap::new(),
            line: Timeline::new(SAMPLE_RATE),
            cursor: None,
            played: VecDeque::new(),
            starved: 0,
            delay: PlayoutDelay::new(SOUND),
            counts: PacketCounts::default(),
        }
    }
}

impl AudioJitter {
    /// Takes a packet as it arrives.
    pub fn push(&mut self, now: Timestamp, timestamp: u32, payload: Bytes) {
        let Some(duration) = opus_duration(&payload) else {
            return;
        };
        let place = self.line.observe(now, timestamp);
        if place.anew {
            // What was to be played before has nothing to do with what comes.
            self.held.clear();
            self.played.clear();
            self.delay.reset();
            self.cursor = None;
            self.starved = 0;
        }
        let time = place.time;
        self.delay.observe(now, rtp_micros(time));
        // A loss that this packet recovers came with it.
        let before = time.checked_sub(duration).filter(|_| recovers(&payload));
        if let Some(before) = before
            && self.cursor.is_some()
            && !self.held.contains_key(&before)
            && !self.played.contains(&before)
        {
            self.delay.observe(now, rtp_micros(before));
        }
        let held = Held {
            payload,
            duration,
            arrived: now,
        };
        match self.cursor {
            Some(cursor) if time + duration <= cursor => {
                self.counts.late += 1;
                return;
            }
            Some(_) => {}
            None => self.cursor = Some(time),
        }
        if self.held.insert(time, held).is_some() {
            // The same packet twice, or a longer one in its place.
            self.counts.late += 1;
        }
        while self.held.len() > CAPACITY {
            self.held.pop_first();
            self.counts.late += 1;
        }
        // A stream that comes back after a pause begins anew where it is.
        if self.starved >= PAUSE || self.held.len() == CAPACITY {
            self.cursor = self.held.first_key_value().map(|(time, _)| *time);
            self.starved = 0;
        }
    }

    /// Takes a packet that came again, with a later one: of use only where it did not come before. Then it counts as
    /// late as it is, so that from now on sound waits for such ones. Tells whether it is to be played.
    pub fn push_again(&mut self, now: Timestamp, timestamp: u32, payload: Bytes) -> bool {
        let (Some(duration), Some(cursor)) = (opus_duration(&payload), self.cursor) else {
            return false;
        };
        // Before the first packet there is nothing to miss.
        if self.has(timestamp) || self.played.is_empty() {
            return false;
        }
        let time = self.line.extend(timestamp);
        // Of another life of the sender.
        if !self.line.reaches(time) {
            return false;
        }
        self.delay.observe(now, rtp_micros(time));
        let missing = time + duration > cursor && self.held.len() < CAPACITY;
        if missing {
            let held = Held {
                payload,
                duration,
                arrived: now,
            };
            self.held.insert(time, held);
        }
        missing
    }

    /// Whether the packet of this time has come, as far as that is remembered.
    #[must_use]
    pub fn has(&self, timestamp: u32) -> bool {
        let time = self.line.extend(timestamp);
        self.held.contains_key(&time) || self.played.contains(&time)
    }

    /// What to decode now.
    pub fn pull(&mut self) -> Play {
        let Some(mut cursor) = self.cursor else {
            return Play::Paused;
        };
        if let Some((time, held)) = self.take_due(cursor) {
            return self.play(time, held);
        }
        let Some((&time, next)) = self.held.first_key_value() else {
            if self.starved >= PAUSE {
                return Play::Paused;
            }
            self.starved += STEP;
            return Play::Starved(rtp_duration(STEP));
        };
        let duration = next.duration;
        // What was concealed while nothing was known stands for what is known to be lost now, but the last
        // packet of it is recovered as a whole if any of it is still to be heard.
        let lost = time - cursor;
        let concealed = self.starved.min(lost);
        if concealed < lost && lost - concealed <= duration && recovers(&next.payload) {
            let lasts = lost.min(duration) / LEAST * LEAST;
            if lasts >= LEAST {
                let next = next.payload.clone();
                (self.cursor, self.starved) = (Some(time), 0);
                self.counts.recovered += 1;
                return Play::Recover {
                    next,
                    duration: rtp_duration(lasts),
                };
            }
        }
        cursor += concealed;
        self.starved = 0;
        // Never past the packet that we do have, nor past what it may recover.
        let spared = if recovers(&next.payload) { duration } else { 0 };
        let left = time - cursor;
        let step = left
            .saturating_sub(spared)
            .max(left.min(LEAST))
            .min(STEP * 2)
            / LEAST
            * LEAST;
        if step < LEAST {
            // Nobody hears so short a gap.
            self.cursor = Some(time);
            return match self.held.pop_first() {
                Some((time, held)) => self.play(time, held),
                None => Play::Paused,
            };
        }
        self.cursor = Some(cursor + step);
        Play::Conceal(rtp_duration(step))
    }

    fn play(&mut self, time: u64, held: Held) -> Play {
        self.cursor = Some(time + held.duration);
        self.starved = 0;
        self.counts.played += 1;
        if self.played.len() == REMEMBERED {
            self.played.pop_front();
        }
        self.played.push_back(time);
        Play::Packet {
            payload: held.payload,
            arrived: held.arrived,
        }
    }

    /// The packet that is to be played at the cursor. It may begin before it, as senders' times may overlap: an encoder's
    /// first packet holds a run-in (RFC 7845, section 4.2) that some, as GStreamer, do not count.
    fn take_due(&mut self, cursor: u64) -> Option<(u64, Held)> {
        while let Some(first) = self.held.first_entry() {
            let time = *first.key();
            if time > cursor {
                return None;
            }
            let held = first.remove();
            if time + held.duration > cursor {
                return Some((time, held));
            }
            // A longer one that began earlier held its time, too.
            self.counts.late += 1;
        }
        None
    }

    /// Leaves out what should have been played before `moment`, as far as there is something after it.
    pub fn skip_to(&mut self, moment: i64) {
        while self.held.len() > 1
            && let Some(first) = self.held.first_entry()
            && rtp_micros(*first.key() + first.get().duration) <= moment
        {
            first.remove();
            self.counts.late += 1;
        }
        if let (Some(cursor), Some((&time, _))) = (self.cursor, self.held.first_key_value()) {
            self.cursor = Some(cursor.max(time));
            self.starved = 0;
        }
    }

    /// Whether anything is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// RTP time of what is decoded next, in microseconds.
    #[must_use]
    pub fn position(&self) -> Option<i64> {
        self.cursor.map(rtp_micros)
    }

    /// When sound is to be played.
    #[must_use]
    pub const fn delay(&self) -> &PlayoutDelay {
        &self.delay
    }

    /// The newest packet's RTP time and when it is to be played; `None` before the first.
    #[must_use]
    pub fn newest(&self) -> Option<(u32, i64)> {
        let newest = self.line.newest()?;
        Some((
            (newest & 0xffff_ffff) as u32,
            rtp_micros(newest) + self.delay.offset()?,
        ))
    }

    /// What became of the packets so far.
    #[must_use]
    pub const fn counts(&self) -> PacketCounts {
        self.counts
    }
}

fn rtp_micros(time: u64) -> i64 {
    i64::try_from(time * 125 / 6).unwrap_or(i64::MAX)
}

fn rtp_duration(ticks: u64) -> Duration {
    Duration::from_micros(ticks * 125 / 6)
}

/// Whether a packet carries the likeness of the one before it: a flag in front of what SILK coded
/// (RFC 6716, section 4.2.3 and 4.2.4).
#[must_use]
pub fn recovers(packet: &[u8]) -> bool {
    let (Some(toc), Some(head)) = (packet.first(), packet.get(1)) else {
        return false;
    };
    let config = toc >> 3;
    // CELT has none, and with frames of several lengths in a packet the flag is elsewhere.
    if config >= 16 || toc & 3 > 1 {
        return false;
    }
    // SILK codes 40 and 60 ms as frames of 20 ms, each with a flag of its own for activity.
    let frames = match (config, config % 4) {
        (0..=11, 2) => 2,
        (0..=11, 3) => 3,
        _ => 1,
    };
    let stereo = toc & 4 != 0;
    let middle = head >> (7 - frames) & 1;
    let side = if stereo {
        head >> (6 - 2 * frames) & 1
    } else {
        0
    };
    middle | side == 1
}

/// How many 48 kHz ticks a packet lasts; `None` where it is no Opus packet.
/// RFC 6716, section 3.1 (the TOC byte) and section 3.2 (frame packing).
#[must_use]
pub fn opus_duration(packet: &[u8]) -> Option<u64> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        silk @ 0..=11 => [480, 960, 1920, 2880][usize::from(silk % 4)],
        hybrid @ 12..=15 => [480, 960][usize::from(hybrid % 2)],
        celt => [120, 240, 480, 960][usize::from(celt % 4)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 0x3f),
    };
    let total = frame * count;
    // RFC 6716, section 3.4, R5: 120 ms at most.
    (total > 0 && total <= 5760).then_some(total)
}

#[cfg(test)]
mod tests;
