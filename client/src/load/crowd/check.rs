//! Whether what was sent is what comes, without decoding it. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;

use super::prepared::{Row, SECONDS};
use crate::measure::histogram::Histogram;
use crate::media::clock::Timestamp;
use crate::media::frame::VideoCodec;
use crate::media::receive::depacketize::{Pieces, glimpse};

/// Frames that wait for a packet of theirs; of more, the oldest is given up.
const WAITING: usize = 32;

/// Sequence numbers behind the newest of which it is known whether they came.
const MEMORY: usize = 1024;

/// What one peer received, of one sense, from all others.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// Packets that came in their turn, and of them those that carry media.
    pub(super) packets: u64,
    /// Numbers that were passed over, and those that came after all.
    pub(super) lost: u64,
    pub(super) repaired: u64,
    pub(super) bytes: u64,
    /// Frames that are those that were sent, byte by byte.
    pub(super) exact: u64,
    /// Frames that are none of those.
    pub(super) wrong: u64,
    /// Frames that were sent between those that came, and never did.
    pub(super) missing: u64,
    /// Delays since the last look, milliseconds.
    pub(super) delays: Vec<f64>,
}

/// What one peer received.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) video: Mutex<Heard>,
    pub(super) audio: Mutex<Heard>,
    /// When each of the prepared frames was handed out last, microseconds.
    pub(super) pictures_sent: Sent,
    pub(super) sounds_sent: Sent,
}

/// When each frame of a row was sent last.
#[derive(Debug, Default)]
pub(super) struct Sent(Mutex<Vec<Timestamp>>);

impl Sent {
    pub(super) fn note(&self, number: usize, at: Timestamp) {
        let mut all = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if all.len() <= number {
            all.resize(number + 1, Timestamp::default());
        }
        all[number] = at;
    }

    fn since(&self, number: usize, now: Timestamp) -> Option<Duration> {
        let all = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let at = all.get(number).filter(|at| **at != Timestamp::default())?;
        Some(now.since(*at))
    }
}

/// Delays of all, for percentiles.
pub(super) type Delays = Histogram;

/// Follows sequence numbers: what is passed over is lost where it comes, and repaired where it comes after all.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    newest: Option<u64>,
    came: VecDeque<u64>,
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A new one, after so many that were passed over.
    Next(u64),
    /// One that was passed over.
    Repaired,
    /// One that came before.
    Again,
}

impl Sequence {
    pub(super) fn take(&mut self, sequence: u16) -> (u64, Turn) {
        let Some(newest) = self.newest else {
            let first = (1 << 16) + u64::from(sequence);
            self.newest = Some(first);
            self.remember(first);
            return (first, Turn::Next(0));
        };
        // The nearest number that ends so.
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
        let step = sequence.wrapping_sub(newest as u16) as i16;
        let number = newest.saturating_add_signed(i64::from(step));
        if step > 0 {
            self.newest = Some(number);
            self.remember(number);
            return (number, Turn::Next(number - newest - 1));
        }
        if self.came.contains(&number) {
            return (number, Turn::Again);
        }
        self.remember(number);
        (number, Turn::Repaired)
    }

    fn remember(&mut self, number: u64) {
        self.came.push_back(number);
        if self.came.len() > MEMORY {
            self.came.pop_front();
        }
    }
}

/// A packet, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload: Bytes,
    pub(super) arrived: Timestamp,
}

/// A frame that came whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its number among the prepared ones, where it is one of them.
    pub(super) number: Option<usize>,
    pub(super) data: Vec<u8>,
}

/// One stream of pictures or of sounds.
#[derive(Debug)]
pub(super) struct Check {
    video: bool,
    sequence: Sequence,
    waiting: BTreeMap<u32, Parts>,
    /// The newest frame that came: its place in the row, and its time stamp.
    last: Option<(usize, u32)>,
}

#[derive(Debug, Default)]
struct Parts {
    packets: BTreeMap<u64, Bytes>,
    first: Option<u64>,
    last: Option<u64>,
}

impl Check {
    pub(super) fn new(video: bool) -> Self {
        Self {
            video,
            sequence: Sequence::default(),
            waiting: BTreeMap::new(),
            last: None,
        }
    }

    /// Takes a packet; gives the frame that is whole with it.
    pub(super) fn take(
        &mut self,
        packet: Packet,
        row: &Row,
        sent: &Sent,
        heard: &mut Heard,
    ) -> Option<Frame> {
        let (number, turn) = self.sequence.take(packet.sequence);
        match turn {
            Turn::Again => return None,
            Turn::Next(passed) => heard.lost += passed,
            Turn::Repaired => heard.repaired += 1,
        }
        heard.packets += 1;
        heard.bytes += packet.payload.len() as u64;
        // What only probes the path carries nothing.
        if packet.payload.is_empty() {
            return None;
        }
        let (arrived, timestamp) = (packet.arrived, packet.timestamp);
        let data = if self.video {
            self.piece(number, packet)?
        } else {
            packet.payload.to_vec()
        };
        let likely = self
            .last
            .map_or(0, |(last, _)| (last + 1) % row.len().max(1));
        let found = row.find(&data, likely);
        match found {
            None => heard.wrong += 1,
            Some(found) => {
                heard.exact += 1;
                if let Some(delay) = sent.since(found, arrived) {
                    heard.delays.push(delay.as_secs_f64() * 1e3);
                }
                // One that comes late was counted as missing.
                match self.ahead(found, timestamp, row.len()) {
                    Some(passed) => {
                        heard.missing += passed;
                        self.last = Some((found, timestamp));
                    }
                    None => heard.missing = heard.missing.saturating_sub(1),
                }
            }
        }
        Some(Frame {
            number: found,
            data,
        })
    }

    /// How many were passed over between the last one and this; nothing where this is before it. Where it is in the row tells
    /// it but for whole rows, and those the time tells.
    #[allow(clippy::cast_possible_wrap)]
    fn ahead(&self, number: usize, timestamp: u32, all: usize) -> Option<u64> {
        let Some((last, then)) = self.last else {
            return Some(0);
        };
        let passed = u64::try_from(timestamp.wrapping_sub(then) as i32).unwrap_or(0);
        if passed == 0 || all == 0 {
            return None;
        }
        let step = match (number + all - last) % all {
            0 => all,
            step => step,
        } as u64;
        let all = all as u64;
        let row = u64::from(SECONDS) * if self.video { 90_000 } else { 48_000 };
        let rows = (passed + row / 2).saturating_sub(step * row / all) / row;
        Some(step - 1 + rows * all)
    }

    fn piece(&mut self, number: u64, packet: Packet) -> Option<Vec<u8>> {
        let starts = glimpse(VideoCodec::Vp8, &packet.payload).is_ok_and(|seen| seen.starts_frame);
        let parts = self.waiting.entry(packet.timestamp).or_default();
        if starts {
            parts.first = Some(number);
        }
        if packet.marker {
            parts.last = Some(number);
        }
        parts.packets.insert(number, packet.payload);
        let (first, last) = (parts.first?, parts.last?);
        let whole = last >= first && parts.packets.len() as u64 == last - first + 1;
        if !whole {
            self.forget();
            return None;
        }
        let parts = self.waiting.remove(&packet.timestamp)?;
        let mut pieces = Pieces::new(VideoCodec::Vp8);
        for payload in parts.packets.values() {
            pieces.push(payload).ok()?;
        }
        self.forget();
        pieces.finish().ok()
    }

    fn forget(&mut self) {
        while self.waiting.len() > WAITING {
            // By their packets, since time stamps wrap.
            let oldest = self
                .waiting
                .iter()
                .min_by_key(|(_, parts)| parts.packets.keys().next().copied())
                .map(|(timestamp, _)| *timestamp);
            let Some(oldest) = oldest else { return };
            self.waiting.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_is_lost_and_repaired_where_it_comes() {
        let mut sequence = Sequence::default();
        let turns: Vec<Turn> = [65_534_u16, 65_535, 2, 1, 1, 0, 3]
            .into_iter()
            .map(|number| sequence.take(number).1)
            .collect();
        assert_eq!(
            turns,
            [
                Turn::Next(0),
                Turn::Next(0),
                Turn::Next(2),
                Turn::Repaired,
                Turn::Again,
                Turn::Repaired,
                Turn::Next(0)
            ]
        );
    }

    #[test]
    fn frames_that_never_come_are_missed_also_over_the_end_of_the_row() {
        let mut check = Check::new(false);
        // A row of two seconds in ten frames.
        const TICKS: u32 = 9_600;
        check.last = Some((8, 80 * TICKS));
        let ahead = |number: usize, frames: u32| check.ahead(number, frames * TICKS, 10);
        assert_eq!(ahead(9, 81), Some(0));
        assert_eq!(ahead(1, 83), Some(2));
        assert_eq!(ahead(7, 89), Some(8), "nearly a whole row");
        assert_eq!(ahead(8, 90), Some(9), "a whole row");
        assert_eq!(ahead(1, 113), Some(32), "and more");
        assert_eq!(ahead(7, 79), None);
        assert_eq!(ahead(8, 80), None);
    }
}
