//! RTP packets into whole frames, in order, and never a broken one. Pure.
//!
//! Packets may come late, twice or not at all. A frame goes out once every packet
//! from the end of the one before it is there. A hole is left to retransmission
//! (RFC 4588) for a while; then the assembler asks for a key frame and goes on there.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::depacketize::{Glimpse, Pieces, glimpse};
use crate::media::clock::Timestamp;
use crate::media::frame::VideoCodec;

/// Packets held at most; more than that waiting behind one hole is a broken stream.
/// At 1,200 bytes each this is 2.4 MB, four seconds at 5 Mbit/s.
const CAPACITY: usize = 2048;

/// How long a hole may wait for its retransmission on a short path.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// And at most: a picture that stands still for longer is better begun anew.
const LONGEST_PATIENCE: Duration = Duration::from_secs(2);

/// After a silence as long as this nobody asks for what is missing since: the path was dead, and swallowed what would take as long again.
pub const OUTAGE: Duration = Duration::from_secs(1);

/// How long a hole waits for its retransmission: for so many questions, each of which takes a round trip. A key frame takes one as well,
/// then as long as a dozen pictures, and is lost more easily.
#[must_use]
pub fn repair_patience(round_trip: Option<Duration>) -> Duration {
    const QUESTIONS: u32 = 10;
    let patience = round_trip.map_or(PATIENCE, |round_trip| round_trip * QUESTIONS);
    patience.clamp(PATIENCE, LONGEST_PATIENCE)
}

/// How long an asked key frame may take before it is asked for again; half as long again after each question ...
const KEY_FRAME_RETRY: Duration = Duration::from_millis(300);
/// ... up to this: who sends none is not asked three times a second for ever.
const KEY_FRAME_RETRY_LONGEST: Duration = Duration::from_secs(3);

/// A frame bigger than this is not assembled: no encoder of a call makes one.
const FRAME_LIMIT: usize = 4 << 20;

/// One packet, as far as assembling needs it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP time stamp.
    pub timestamp: u32,
    /// RTP marker bit: the last packet of its frame.
    pub marker: bool,
    /// RTP payload.
    pub payload: Bytes,
}

/// A whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The bitstream, H.264 in Annex B form, VP9's layers as one superframe.
    pub data: Bytes,
    /// Whether decoding can start here.
    pub key: bool,
    /// RTP time stamp.
    pub timestamp: u32,
    /// When the first of its packets came.
    pub arrived: Timestamp,
}

/// What the assembler wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Decode this.
    Frame(Frame),
    /// Ask the sender for a key frame (PLI, RFC 4585).
    WantKeyFrame,
}

struct Held {
    arrived: Timestamp,
    timestamp: u32,
    marker: bool,
    payload: Bytes,
    glimpse: Glimpse,
}

/// See the module.
pub struct Assembler {
    codec: VideoCodec,
    held: BTreeMap<u64, Held>,
    /// Highest sequence number seen, extended (RFC 3711, section 3.3.1).
    newest: Option<u64>,
    /// First packet of the next frame; `None` while waiting for a key frame.
    next: Option<u64>,
    /// What the beginning of the frame before it said.
    before: Glimpse,
    hole_since: Option<Timestamp>,
    /// How long it may wait.
    patience: Duration,
    /// When the newest packet came.
    heard: Option<Timestamp>,
    /// When the beginning of a key frame came that is not whole yet.
    arriving_since: Option<Timestamp>,
    asked: Option<Timestamp>,
    /// How long the next question waits for its answer.
    retry: Duration,
    /// When the decoder refused a frame, lately.
    refused: Option<Timestamp>,
    /// Since when nothing can be decoded though packets come.
    stuck_since: Option<Timestamp>,
}

impl Assembler {
    /// Waits for the first key frame of `codec`.
    #[must_use]
    pub fn new(codec: VideoCodec) -> Self {
        Self {
            codec,
            held: BTreeMap::new(),
            newest: None,
            next: None,
            before: Glimpse::default(),
            hole_since: None,
            patience: PATIENCE,
            heard: None,
            arriving_since: None,
            asked: None,
            retry: KEY_FRAME_RETRY,
            refused: None,
            stuck_since: None,
        }
    }

    /// Takes one packet; gives what is whole now.
    pub fn push(&mut self, now: Timestamp, packet: Packet) -> Vec<Output> {
        // Padding for probing carries no payload and still counts in the sequence.
        let seen = if packet.payload.is_empty() {
            Ok(Glimpse::default())
        } else {
            glimpse(self.codec, &packet.payload)
        };
        let newest = self.newest;
        let index = self.extend(packet.sequence);
        if newest.is_none_or(|newest| index > newest) {
            let since = self.heard.replace(now);
            let silent = since.is_some_and(|since| now.since(since) >= OUTAGE);
            if silent && newest.is_some_and(|newest| index > newest + 1) {
                self.next = None;
            }
        }
        if let Ok(glimpse) = seen
            && self.next.is_none_or(|next| index >= next)
        {
            self.held.insert(
                index,
                Held {
                    arrived: now,
                    timestamp: packet.timestamp,
                    marker: packet.marker,
                    payload: packet.payload,
                    glimpse,
                },
            );
        }
        if self.held.len() > CAPACITY {
            self.held.clear();
            self.next = None;
        }
        self.advance(now)
    }

    /// How long something takes to the sender and back.
    pub fn told_round_trip(&mut self, round_trip: Option<Duration>) {
        self.patience = repair_patience(round_trip);
    }

    /// Lets time pass where no packet comes: a hole grows old, a request is repeated.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Output> {
        self.advance(now)
    }

    /// The decoder could not use a frame: nothing but a key frame helps.
    pub fn broken(&mut self, now: Timestamp) -> Vec<Output> {
        self.next = None;
        self.refused = Some(now);
        self.advance(now)
    }

    /// How long it has waited for a key frame by now.
    #[must_use]
    pub fn stuck(&self, now: Timestamp) -> Duration {
        self.stuck_since
            .map_or(Duration::ZERO, |since| now.since(since))
    }

    fn extend(&mut self, sequence: u16) -> u64 {
        let Some(newest) = self.newest else {
            // Room below, for packets that were overtaken by the first one.
            let index = (1 << 32) | u64::from(sequence);
            self.newest = Some(index);
            return index;
        };
        let ahead = sequence.wrapping_sub((newest & 0xffff) as u16) as i16;
        let index = newest.saturating_add_signed(i64::from(ahead));
        self.newest = Some(newest.max(index));
        index
    }

    fn advance(&mut self, now: Timestamp) -> Vec<Output> {
        let mut out = Vec::new();
        loop {
            if let Some(frame) = self.take_next() {
                self.hole_since = None;
                out.extend(frame.map(Output::Frame));
            } else if !self.jump_to_key_frame(now) {
                break;
            }
        }
        let answered = self
            .asked
            .is_none_or(|asked| now.since(asked) >= self.retry);
        if self.next.is_some() || self.newest.is_none() {
            self.arriving_since = None;
            // Key frames that the decoder refuses are not asked for as fast as they come.
            let well = |refused: Timestamp| now.since(refused) >= self.retry;
            if self.refused.is_none_or(well) {
                self.asked = None;
                self.retry = KEY_FRAME_RETRY;
                self.refused = None;
                self.stuck_since = None;
            }
            return out;
        }
        self.stuck_since.get_or_insert(now);
        if answered && !self.key_frame_arrives(now) {
            if self.asked.is_some() {
                self.retry = (self.retry * 3 / 2).min(KEY_FRAME_RETRY_LONGEST);
            }
            self.asked = Some(now);
            out.push(Output::WantKeyFrame);
        }
        out
    }

    /// Whether a key frame has begun and its rest may still come: the first one of every
    /// stream takes many packets, and asking for it again costs the sender a second one.
    fn key_frame_arrives(&mut self, now: Timestamp) -> bool {
        let begun = self
            .held
            .values()
            .any(|held| held.glimpse.key && held.glimpse.starts_frame);
        if !begun {
            self.arriving_since = None;
            return false;
        }
        let since = *self.arriving_since.get_or_insert(now);
        now.since(since) < self.patience
    }

    /// The next frame if it is whole: `Some(None)` where its packets hold no frame.
    fn take_next(&mut self) -> Option<Option<Frame>> {
        let start = self.after_repairs(self.next?);
        let end = self.whole_from(start)?;
        let mut key = false;
        let mut pieces = Pieces::new(self.codec);
        let mut timestamp = 0;
        let mut arrived = None;
        let mut fits = true;
        for index in start..=end {
            let Some(held) = self.held.remove(&index) else {
                continue;
            };
            key |= held.glimpse.key;
            timestamp = held.timestamp;
            if held.glimpse.starts_frame {
                self.before = held.glimpse;
            }
            arrived =
                Some(arrived.map_or(held.arrived, |first: Timestamp| first.min(held.arrived)));
            if !held.payload.is_empty() && fits {
                fits = pieces.push(&held.payload).is_ok() && pieces.size() < FRAME_LIMIT;
            }
        }
        self.next = Some(end + 1);
        let Some(data) = pieces.finish().ok().filter(|_| fits) else {
            self.next = None;
            return Some(None);
        };
        Some((!data.is_empty()).then(|| Frame {
            data: data.into(),
            key,
            timestamp,
            arrived: arrived.unwrap_or_default(),
        }))
    }

    /// Where the next frame begins: at `next`, or behind a hole that holds none, as the frame behind it is the one after the frame before. What was
    /// lost there were repair packets, and nobody sends those again.
    fn after_repairs(&self, next: u64) -> u64 {
        let mut pictures = self
            .held
            .range(next..)
            .filter(|(_, held)| !held.payload.is_empty());
        match pictures.next() {
            Some((&index, held))
                if index > next
                    && held.glimpse.starts_frame
                    && held.glimpse.follows(&self.before) =>
            {
                index
            }
            _ => next,
        }
    }

    /// The last packet of the frame that begins at `start`, if nothing is missing up to it.
    fn whole_from(&self, start: u64) -> Option<u64> {
        let timestamp = self.held.get(&start)?.timestamp;
        for (expected, (&index, held)) in (start..).zip(self.held.range(start..)) {
            if index != expected {
                return None;
            }
            if held.timestamp != timestamp {
                // The marker is missing from the sender; the new time stamp says the same.
                return Some(index - 1);
            }
            if held.marker {
                return Some(index);
            }
        }
        None
    }

    /// Gives up on a hole: at once where a later key frame is whole, else when its time is over ([`repair_patience`]).
    fn jump_to_key_frame(&mut self, now: Timestamp) -> bool {
        let stuck = match self.next {
            None => true,
            Some(next) => self.newest.is_some_and(|newest| {
                !self.held.contains_key(&next) && newest >= next || self.has_hole_after(next)
            }),
        };
        if !stuck {
            self.hole_since = None;
            return false;
        }
        let from = self.next.map_or(0, |next| next + 1);
        let candidate = self
            .held
            .range(from..)
            .find(|(index, held)| {
                held.glimpse.key && held.glimpse.starts_frame && self.whole_from(**index).is_some()
            })
            .map(|(index, _)| *index);
        if let Some(index) = candidate {
            self.held = self.held.split_off(&index);
            self.next = Some(index);
            return true;
        }
        if self.next.is_some() {
            let since = *self.hole_since.get_or_insert(now);
            if now.since(since) >= self.patience {
                self.next = None;
                self.hole_since = None;
            }
        }
        false
    }

    fn has_hole_after(&self, next: u64) -> bool {
        (next..)
            .zip(self.held.range(next..))
            .any(|(expected, (&index, _))| index != expected)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + ms * 1000)
    }

    /// A VP8 packet: descriptor, then a frame tag that says key or not, then a number.
    fn vp8(sequence: u16, frame: u32, first: bool, last: bool, key: bool) -> Packet {
        let start = if first { 0x10 } else { 0 };
        Packet {
            sequence,
            timestamp: frame * 3000,
            marker: last,
            payload: Bytes::from(vec![start, u8::from(!key), sequence as u8]),
        }
    }

    fn frames(outputs: Vec<Output>) -> Vec<u32> {
        outputs
            .into_iter()
            .filter_map(|o| match o {
                Output::Frame(f) => Some(f.timestamp / 3000),
                Output::WantKeyFrame => None,
            })
            .collect()
    }

    #[test]
    fn a_frame_goes_out_with_its_last_packet() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        assert!(frames(a.push(at(0), vp8(1, 0, true, false, true))).is_empty());
        let out = a.push(at(0), vp8(2, 0, false, true, true));
        assert_eq!(
            out,
            [Output::Frame(Frame {
                data: Bytes::from_static(&[0, 1, 0, 2]),
                key: true,
                timestamp: 0,
                arrived: at(0),
            })]
        );
    }

    #[test]
    fn nothing_is_decoded_before_a_key_frame_and_one_is_asked_for() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        assert_eq!(
            a.push(at(0), vp8(1, 0, true, true, false)),
            [Output::WantKeyFrame]
        );
        assert_eq!(a.push(at(10), vp8(2, 1, true, true, false)), []);
        assert_eq!(
            a.push(at(400), vp8(3, 2, true, true, false)),
            [Output::WantKeyFrame],
            "asked again"
        );
        assert_eq!(frames(a.push(at(410), vp8(4, 3, true, true, true))), [3]);
    }

    /// How often a key frame is asked for in a minute of pictures, of which `refuses` says what the decoder does not take.
    /// And whether it was stuck in the end.
    fn asked_in_a_minute(key: impl Fn(u64) -> bool, refuses: bool) -> (usize, bool) {
        let mut a = Assembler::new(VideoCodec::Vp8);
        let mut asked = 0;
        for n in 0..1_800_u64 {
            let now = at(n * 33);
            let out = a.push(now, vp8(n as u16, n as u32, true, true, key(n)));
            let frame = out.iter().any(|o| matches!(o, Output::Frame(_)));
            asked += out.iter().filter(|o| **o == Output::WantKeyFrame).count();
            if frame && refuses {
                let out = a.broken(now);
                asked += out.iter().filter(|o| **o == Output::WantKeyFrame).count();
            }
        }
        (asked, a.stuck(at(59_400)) > Duration::from_secs(58))
    }

    #[test]
    fn who_never_sends_a_key_frame_is_asked_less_and_less_and_for_ever() {
        let (asked, stuck) = asked_in_a_minute(|_| false, false);
        assert!(stuck && (20..=30).contains(&asked), "{asked}");
        assert_eq!(asked_in_a_minute(|n| n == 0, false), (0, false));
    }

    #[test]
    fn key_frames_that_the_decoder_refuses_are_not_asked_for_as_fast_as_they_come() {
        let (asked, stuck) = asked_in_a_minute(|_| true, true);
        assert!(stuck && (15..=30).contains(&asked), "{asked}");
    }

    #[test]
    fn a_key_frame_that_is_still_arriving_is_not_asked_for() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        assert_eq!(a.push(at(0), vp8(1, 0, true, false, true)), []);
        assert_eq!(a.push(at(5), vp8(2, 0, false, false, true)), []);
        assert_eq!(frames(a.push(at(90), vp8(3, 0, false, true, true))), [0]);
    }

    #[test]
    fn a_key_frame_that_never_becomes_whole_is_asked_for_again() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        assert_eq!(a.push(at(0), vp8(1, 0, true, false, true)), []);
        assert_eq!(a.push(at(40), vp8(3, 0, false, true, true)), []);
        assert_eq!(a.tick(at(200)), []);
        assert_eq!(a.tick(at(250)), [Output::WantKeyFrame]);
        assert_eq!(a.push(at(260), vp8(4, 1, true, false, true)), []);
        assert_eq!(a.tick(at(550)), [Output::WantKeyFrame]);
    }

    #[test]
    fn a_retransmitted_packet_fills_its_hole() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        assert_eq!(frames(a.push(at(0), vp8(1, 0, true, true, true))), [0]);
        assert!(frames(a.push(at(33), vp8(3, 2, true, true, false))).is_empty());
        assert_eq!(frames(a.push(at(60), vp8(2, 1, true, true, false))), [1, 2]);
    }

    #[test]
    fn a_hole_that_stays_ends_in_a_key_frame_request() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        a.push(at(0), vp8(1, 0, true, true, true));
        assert_eq!(a.push(at(33), vp8(3, 2, true, true, false)), []);
        assert_eq!(a.tick(at(200)), []);
        assert_eq!(a.tick(at(290)), [Output::WantKeyFrame]);
        assert_eq!(frames(a.push(at(320), vp8(4, 3, true, true, true))), [3]);
        assert_eq!(frames(a.push(at(350), vp8(5, 4, true, true, false))), [4]);
    }

    #[test]
    fn on_a_long_path_a_hole_waits_as_long_as_its_repair_may_take() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        a.push(at(0), vp8(1, 0, true, true, true));
        a.told_round_trip(Some(Duration::from_millis(120)));
        a.push(at(10), vp8(3, 2, true, true, false));
        assert_eq!(a.tick(at(1_209)), []);
        assert_eq!(a.tick(at(1_210)), [Output::WantKeyFrame]);
    }

    #[test]
    fn what_an_outage_swallowed_is_not_waited_for() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        a.push(at(0), vp8(1, 0, true, true, true));
        assert_eq!(
            a.push(at(1_000), vp8(9, 8, true, true, false)),
            [Output::WantKeyFrame]
        );
        // A stream that only rested goes on.
        let mut a = Assembler::new(VideoCodec::Vp8);
        a.push(at(0), vp8(1, 0, true, true, true));
        assert_eq!(frames(a.push(at(5_000), vp8(2, 1, true, true, false))), [1]);
    }

    /// As `vp8`, with a picture's number of 7 bits.
    fn numbered(sequence: u16, picture: u8, first: bool, last: bool, key: bool) -> Packet {
        let start = if first { 0x90 } else { 0x80 };
        Packet {
            payload: Bytes::from(vec![start, 0x80, picture, u8::from(!key), 7]),
            ..vp8(sequence, picture.into(), first, last, key)
        }
    }

    #[test]
    fn a_lost_repair_packet_is_no_hole() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        assert_eq!(
            frames(a.push(at(0), numbered(1, 127, true, true, true))),
            [127]
        );
        // 2 and 4 were repair packets and did not come; 3 was one and did.
        let mut repair = numbered(3, 127, false, false, false);
        repair.payload = Bytes::new();
        assert!(frames(a.push(at(5), repair)).is_empty());
        assert!(frames(a.push(at(33), numbered(5, 0, true, false, false))).is_empty());
        assert_eq!(
            frames(a.push(at(34), numbered(6, 0, false, true, false))),
            [0]
        );
        // A hole within a picture, or before one that is not the next, stays one.
        assert!(frames(a.push(at(66), numbered(8, 1, false, true, false))).is_empty());
        assert!(frames(a.push(at(99), numbered(9, 2, true, true, false))).is_empty());
        assert_eq!(
            frames(a.push(at(110), numbered(7, 1, true, false, false))),
            [1, 2]
        );
    }

    #[test]
    fn a_whole_key_frame_behind_a_hole_is_taken_at_once() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        a.push(at(0), vp8(1, 0, true, true, true));
        a.push(at(33), vp8(3, 2, true, true, false));
        assert_eq!(frames(a.push(at(40), vp8(4, 3, true, true, true))), [3]);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        assert_eq!(frames(a.push(at(0), vp8(65535, 0, true, true, true))), [0]);
        assert_eq!(frames(a.push(at(33), vp8(0, 1, true, true, false))), [1]);
    }

    #[test]
    fn a_broken_frame_is_followed_by_nothing_but_a_key_frame() {
        let mut a = Assembler::new(VideoCodec::Vp8);
        a.push(at(0), vp8(1, 0, true, true, true));
        assert_eq!(a.broken(at(1)), [Output::WantKeyFrame]);
        assert_eq!(frames(a.push(at(33), vp8(2, 1, true, true, false))), [0; 0]);
        assert_eq!(frames(a.push(at(66), vp8(3, 2, true, true, true))), [2]);
    }

    proptest! {
        /// Whatever the order, with every packet arriving in the end all frames come out once, in order.
        #[test]
        fn shuffled_packets_give_every_frame_in_order(
            sizes in proptest::collection::vec(1u16..5, 1..20),
            start in any::<u16>(),
            swaps in proptest::collection::vec((0usize..60, 1usize..6), 0..40),
        ) {
            let mut packets = Vec::new();
            let mut sequence = start;
            for (frame, &size) in sizes.iter().enumerate() {
                for part in 0..size {
                    packets.push(vp8(sequence, frame as u32, part == 0, part + 1 == size, frame == 0));
                    sequence = sequence.wrapping_add(1);
                }
            }
            let count = packets.len();
            for (from, by) in swaps {
                // The first packet stays first: what was sent before it is unknown to the receiver.
                let (a, b) = (1 + from % count, 1 + (from + by) % count);
                if a < count && b < count { packets.swap(a, b); }
            }
            let mut assembler = Assembler::new(VideoCodec::Vp8);
            let mut got = Vec::new();
            for packet in packets {
                got.extend(frames(assembler.push(at(0), packet)));
            }
            prop_assert_eq!(got, (0..sizes.len() as u32).collect::<Vec<_>>());
        }

        #[test]
        fn arbitrary_packets_never_hang_or_panic(
            packets in proptest::collection::vec((any::<u16>(), any::<u32>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..8)), 0..200),
        ) {
            for codec in [VideoCodec::Vp8, VideoCodec::H264, VideoCodec::Vp9, VideoCodec::Av1] {
                let mut assembler = Assembler::new(codec);
                for (i, (sequence, timestamp, marker, payload)) in packets.iter().enumerate() {
                    assembler.push(at(i as u64), Packet {
                        sequence: *sequence, timestamp: *timestamp, marker: *marker, payload: payload.clone().into(),
                    });
                }
                prop_assert!(assembler.held.len() <= CAPACITY);
            }
        }
    }
}
