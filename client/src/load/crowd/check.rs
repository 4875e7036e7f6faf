//! Whether what was sent is what comes, without decoding it. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
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
    /// Frames that came so late that nobody knows any more when they were sent: their delay counts as [`REMEMBERED`].
    pub(super) late: u64,
}

/// What one peer received.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) video: Mutex<Heard>,
    pub(super) audio: Mutex<Heard>,
}

/// Of frames of the last so many seconds it is known when they were sent.
pub(super) const REMEMBERED: Duration = Duration::from_secs(30);

/// When the frames of one phase were handed out: rows of them, one after the other, counted from the first.
#[derive(Debug)]
pub(super) struct Sent {
    most: usize,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    times: VecDeque<Timestamp>,
    /// How many there ever were.
    count: u64,
}

/// How long one took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Took {
    Time(Duration),
    /// It was sent too long ago.
    Long,
    /// It has not been sent yet.
    Never,
}

impl Sent {
    /// For a phase that sends at this rate.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            most: REMEMBERED.as_secs() as usize * rate as usize,
            log: Mutex::default(),
        }
    }

    /// The next one is handed out.
    pub(super) fn note(&self, at: Timestamp) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.times.len() == self.most {
            log.times.pop_front();
        }
        log.times.push_back(at);
        log.count += 1;
    }

    /// The newest one that stands there in its row.
    fn newest(&self, number: usize, row: usize) -> Option<u64> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, row) = (log.count.checked_sub(1)?, row.max(1) as u64);
        let back = (last % row + row - number as u64 % row) % row;
        last.checked_sub(back)
    }

    fn took(&self, count: u64, arrived: Timestamp) -> Took {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if count >= log.count {
            return Took::Never;
        }
        let place = (count + log.times.len() as u64).checked_sub(log.count);
        let at = place.and_then(|place| log.times.get(usize::try_from(place).ok()?));
        match at {
            None => Took::Long,
            Some(at) if *at > arrived => Took::Never,
            Some(at) => Took::Time(arrived.since(*at)),
        }
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
    /// The newest frame that came: which of all that were ever sent, and its time stamp.
    last: Option<(u64, u32)>,
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
        let likely = self.last.map_or(0, |(last, _)| {
            (place(last, row.len()) + 1) % row.len().max(1)
        });
        let found = row.find(&data, likely);
        match found {
            None => heard.wrong += 1,
            Some(found) => {
                heard.exact += 1;
                let distance = self.distance(found, timestamp, row.len());
                let (count, took) = self.which(found, distance, row.len(), sent, arrived);
                match took {
                    Took::Time(delay) => heard.delays.push(delay.as_secs_f64() * 1e3),
                    Took::Long => {
                        heard.late += 1;
                        heard.delays.push(REMEMBERED.as_secs_f64() * 1e3);
                    }
                    Took::Never => {}
                }
                // One that comes late was counted as missing.
                match (distance, self.last) {
                    (Some(distance), _) if distance <= 0 => {
                        heard.missing = heard.missing.saturating_sub(1);
                    }
                    (_, last) => {
                        let last = last.map_or(count, |(last, _)| last);
                        heard.missing += count.saturating_sub(last).saturating_sub(1);
                        self.last = Some((count, timestamp));
                    }
                }
            }
        }
        Some(Frame {
            number: found,
            data,
        })
    }

    /// How many frames behind the last one this was sent; none, or fewer, where it was sent before that. Where it is in the row tells
    /// it but for whole rows, and those the time tells: only roughly, as who is behind sends many at one time.
    #[allow(clippy::cast_possible_wrap)]
    fn distance(&self, number: usize, timestamp: u32, all: usize) -> Option<i64> {
        let (last, then) = self.last?;
        let all = all.max(1);
        let passed = i64::from(timestamp.wrapping_sub(then) as i32);
        let step = ((number + all - place(last, all)) % all) as i64;
        let row = i64::from(SECONDS) * if self.video { 90_000 } else { 48_000 };
        let rows = (passed - step * row / all as i64 + row / 2).div_euclid(row);
        Some(step + rows * all as i64)
    }

    /// Which of all that were sent one is, and how long it took. The rows look alike, so it is counted on from the one before; the
    /// first is taken for the newest that can be it, and where that was a row too new, which shows by what comes before it is sent,
    /// all are counted from a row before.
    fn which(
        &self,
        found: usize,
        distance: Option<i64>,
        row: usize,
        sent: &Sent,
        arrived: Timestamp,
    ) -> (u64, Took) {
        let all = row.max(1);
        let mut count = match (self.last, distance) {
            (Some((last, _)), Some(distance)) => last.saturating_add_signed(distance),
            _ => sent.newest(found, all).unwrap_or(0),
        };
        loop {
            let took = sent.took(count, arrived);
            match count.checked_sub(all as u64) {
                Some(before) if took == Took::Never => count = before,
                _ => return (count, took),
            }
        }
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

/// Where one stands in its row.
fn place(count: u64, row: usize) -> usize {
    usize::try_from(count % row.max(1) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    /// A second of sounds sent every 20 ms in a row of ten, `taken` after so long each; gives the delays and how many came late.
    fn delays(taken: &[(u64, Duration)]) -> (Vec<f64>, u64) {
        let mut row = Row::default();
        for number in 0..10_u8 {
            row.push(Bytes::from(vec![number]), true);
        }
        let (sent, start) = (Sent::new(50), Timestamp::from_micros(1 << 50));
        let mut heard = Heard::default();
        let mut check = Check::new(false);
        let at = |count: u64| start + MS(20) * u32::try_from(count).unwrap_or(0);
        let mut noted = 0;
        for (count, delay) in taken {
            let arrived = at(*count) + *delay;
            while at(noted) <= arrived {
                sent.note(at(noted));
                noted += 1;
            }
            let packet = Packet {
                sequence: *count as u16,
                // A row lasts two seconds for who counts by time.
                timestamp: (*count * 9_600) as u32,
                marker: false,
                payload: Bytes::from(vec![(*count % 10) as u8]),
                arrived,
            };
            check.take(packet, &row, &sent, &mut heard);
        }
        (heard.delays, heard.late)
    }

    #[test]
    fn a_delay_of_more_than_a_row_is_told_as_what_it_is() {
        let (told, late) = delays(&[(0, MS(50)), (1, MS(150)), (2, MS(450)), (3, MS(7_000))]);
        assert_eq!((told, late), (vec![50.0, 150.0, 450.0, 7_000.0], 0));
    }

    #[test]
    fn sounds_that_are_handed_out_together_are_neither_missing_nor_late() {
        let mut row = Row::default();
        for number in 0..10_u8 {
            row.push(Bytes::from(vec![number]), true);
        }
        let (sent, mut heard) = (Sent::new(50), Heard::default());
        let (mut check, at) = (Check::new(false), Timestamp::from_micros(1 << 50));
        for number in 0..25_u8 {
            // The first of them in time, and the rest after a pause of most of a row.
            let (at, ticks) = match number {
                0 => (at, 0),
                _ => (at + MS(1_600), 76_800),
            };
            sent.note(at);
            let packet = Packet {
                sequence: u16::from(number),
                timestamp: ticks,
                marker: false,
                payload: Bytes::from(vec![number % 10]),
                arrived: at + MS(1),
            };
            check.take(packet, &row, &sent, &mut heard);
        }
        assert_eq!((heard.missing, heard.late), (0, 0));
        assert_eq!(heard.delays, [1.0; 25]);
    }

    #[test]
    fn what_comes_after_all_memory_counts_as_late() {
        let (told, late) = delays(&[(0, MS(50)), (1, MS(40_000))]);
        assert_eq!((told, late), (vec![50.0, 30_000.0], 1));
    }

    #[test]
    fn a_first_one_that_was_late_is_found_out_by_what_is_sooner() {
        // A row lasts 200 ms here: 250 ms are taken for 50 ms, until 20 ms could be none.
        let (told, _) = delays(&[(0, MS(250)), (1, MS(230)), (2, MS(20)), (3, MS(250))]);
        assert_eq!(told[2..], [20.0, 250.0]);
    }

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
        check.last = Some((38, 80 * TICKS));
        let distance = |number: usize, frames: u32| check.distance(number, frames * TICKS, 10);
        assert_eq!(distance(9, 81), Some(1));
        assert_eq!(distance(1, 83), Some(3));
        assert_eq!(distance(7, 89), Some(9), "nearly a whole row");
        assert_eq!(distance(8, 90), Some(10), "a whole row");
        assert_eq!(distance(1, 113), Some(33), "and more");
        assert_eq!(distance(7, 79), Some(-1));
        assert_eq!(distance(8, 80), Some(0));
        // Who is behind hands out several at one time.
        assert_eq!(distance(9, 80), Some(1));
        assert_eq!(distance(1, 80), Some(3));
    }
}
