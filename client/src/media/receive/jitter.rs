//! When which Opus packet is to be played, and what stands in for a missing one. Pure.
//!
//! Every packet's transit (arrival minus its RTP time) is compared with the quickest
//! of the last seconds; what the others lag behind it is the network's jitter, and
//! the playout delay is the 95th percentile of it plus a margin. The delay grows at once and
//! shrinks slowly, a packet's length at a time, where sound is quietest to change:
//! at a loss or by leaving out one packet in silence.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::media::clock::Timestamp;
use crate::media::frame::SAMPLE_RATE;

/// Packets remembered for the delay: five seconds at 20 ms.
const WINDOW: usize = 250;

/// Packets held at most: two seconds at 20 ms; beyond that the oldest go.
const CAPACITY: usize = 100;

/// Added to the measured jitter, for our own threads' lateness.
const MARGIN: Duration = Duration::from_millis(10);

/// The delay never exceeds this: a conversation suffers more from delay than from loss.
const DELAY_LIMIT: Duration = Duration::from_millis(400);

/// Concealment fades to silence anyway; after this long the stream counts as paused.
const CONCEAL_LIMIT: Duration = Duration::from_millis(200);

/// What to play next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Play {
    /// Decode this packet.
    Packet(Bytes),
    /// The packet is lost, but the one after it carries its likeness (RFC 6716, section 2.1.7).
    Recover {
        /// The packet after the lost one.
        next: Bytes,
        /// How long the lost one lasted.
        duration: Duration,
    },
    /// Nothing is known: let the decoder conceal this long.
    Conceal(Duration),
    /// Nothing is due before this moment.
    Wait(Timestamp),
    /// The stream has paused; ask again when a packet comes.
    Paused,
}

/// See the module.
#[derive(Default)]
pub struct AudioJitter {
    held: BTreeMap<u64, Held>,
    /// Last packet's extended RTP time.
    newest: Option<u64>,
    /// RTP time of what is played next.
    cursor: Option<u64>,
    /// Transits in microseconds, oldest first.
    transits: VecDeque<i64>,
    delay: i64,
    concealed: Duration,
    counts: AudioCounts,
}

struct Held {
    payload: Bytes,
    duration: u64,
}

/// What became of the packets; the names are those of W3C webrtc-stats where it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioCounts {
    /// Packets played.
    pub played: u64,
    /// Losses that the following packet's redundancy filled.
    pub recovered: u64,
    /// Losses that the decoder concealed (`concealmentEvents` counts runs, this counts packets).
    pub concealed: u64,
    /// Packets that came after their turn (`packetsDiscarded`).
    pub late: u64,
}

impl AudioJitter {
    /// Takes a packet as it arrives.
    pub fn push(&mut self, now: Timestamp, timestamp: u32, payload: Bytes) {
        let Some(duration) = opus_duration(&payload) else {
            return;
        };
        let time = self.extend(timestamp);
        self.observe(now, time);
        match self.cursor {
            Some(cursor) if time + duration <= cursor => {
                self.counts.late += 1;
                return;
            }
            Some(_) => {}
            None => self.cursor = Some(time),
        }
        self.held.insert(time, Held { payload, duration });
        while self.held.len() > CAPACITY {
            self.held.pop_first();
        }
        // A stream that comes back after a pause begins anew where it is.
        if self.concealed >= CONCEAL_LIMIT || self.held.len() == CAPACITY {
            self.cursor = self.held.first_key_value().map(|(time, _)| *time);
            self.concealed = Duration::ZERO;
        }
    }

    /// What to play now. Call again at once after anything but `Wait` and `Paused`.
    pub fn pull(&mut self, now: Timestamp) -> Play {
        let (Some(cursor), Some(base)) = (self.cursor, self.transits.iter().min().copied()) else {
            return Play::Paused;
        };
        let due = rtp_micros(cursor) + base + self.delay;
        let due = Timestamp::from_micros(u64::try_from(due).unwrap_or(0));
        if due > now {
            return Play::Wait(due);
        }
        if let Some((time, held)) = self.take_due(cursor) {
            self.cursor = Some(time + held.duration);
            self.concealed = Duration::ZERO;
            self.counts.played += 1;
            return Play::Packet(held.payload);
        }
        let next = self
            .held
            .first_key_value()
            .map(|(time, held)| (*time, held.payload.clone(), held.duration));
        match next {
            Some((time, payload, duration)) if time == cursor + duration => {
                self.cursor = Some(time);
                self.counts.recovered += 1;
                Play::Recover {
                    next: payload,
                    duration: rtp_duration(duration),
                }
            }
            Some((time, _, duration)) => {
                // Never past the packet that we do have.
                let step = duration.min(time - cursor);
                self.conceal(cursor, step)
            }
            None if self.concealed >= CONCEAL_LIMIT => Play::Paused,
            None => self.conceal(cursor, u64::from(SAMPLE_RATE) / 50),
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

    /// The present playout delay.
    #[must_use]
    pub fn delay(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.delay).unwrap_or(0))
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn counts(&self) -> AudioCounts {
        self.counts
    }

    fn conceal(&mut self, cursor: u64, step: u64) -> Play {
        self.cursor = Some(cursor + step);
        self.concealed += rtp_duration(step);
        self.counts.concealed += 1;
        Play::Conceal(rtp_duration(step))
    }

    fn extend(&mut self, timestamp: u32) -> u64 {
        let time = match self.newest {
            None => (1 << 33) | u64::from(timestamp),
            Some(newest) => {
                let ahead = timestamp.wrapping_sub((newest & 0xffff_ffff) as u32) as i32;
                newest.saturating_add_signed(i64::from(ahead))
            }
        };
        let newest = self.newest.unwrap_or(time);
        // A jump of more than ten seconds is a new source behind the same stream.
        if time.abs_diff(newest) > 10 * u64::from(SAMPLE_RATE) {
            self.held.clear();
            self.transits.clear();
            self.cursor = None;
            self.newest = Some(time);
        } else {
            self.newest = Some(newest.max(time));
        }
        time
    }

    fn observe(&mut self, now: Timestamp, time: u64) {
        let arrived = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        if self.transits.len() == WINDOW {
            self.transits.pop_front();
        }
        self.transits.push_back(arrived - rtp_micros(time));
        let mut sorted: Vec<i64> = self.transits.iter().copied().collect();
        sorted.sort_unstable();
        let lag = sorted[(sorted.len() - 1) * 95 / 100] - sorted[0];
        let margin = i64::try_from(MARGIN.as_micros()).unwrap_or(0);
        let limit = i64::try_from(DELAY_LIMIT.as_micros()).unwrap_or(i64::MAX);
        let target = (lag + margin).min(limit);
        // Up at once; down by at most 1 ms a packet, which no ear hears.
        self.delay = target.max(self.delay - 1_000);
    }
}

fn rtp_micros(time: u64) -> i64 {
    i64::try_from(time * 125 / 6).unwrap_or(i64::MAX)
}

fn rtp_duration(ticks: u64) -> Duration {
    Duration::from_micros(ticks * 125 / 6)
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A 20 ms CELT packet that carries a number.
    fn packet(n: u8) -> Bytes {
        Bytes::copy_from_slice(&[31 << 3, n])
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_micros(10_000_000 + ms * 1000)
    }

    /// Plays everything that is due at each millisecond up to `until`.
    fn play(jitter: &mut AudioJitter, arrivals: &[(u64, u32)], until: u64) -> Vec<(u64, Play)> {
        let mut played = Vec::new();
        for ms in 0..until {
            for (_, n) in arrivals.iter().filter(|(when, _)| *when == ms) {
                jitter.push(at(ms), n * 960, packet(*n as u8));
            }
            loop {
                match jitter.pull(at(ms)) {
                    Play::Wait(_) | Play::Paused => break,
                    other => played.push((ms, other)),
                }
            }
        }
        played
    }

    #[test]
    fn a_steady_stream_is_played_whole_and_nearly_at_once() {
        let arrivals: Vec<_> = (0..100).map(|n| (u64::from(n) * 20, n)).collect();
        let mut jitter = AudioJitter::default();
        let played = play(&mut jitter, &arrivals, 2_000);
        assert_eq!(jitter.counts().played, 100);
        assert_eq!(jitter.counts().concealed, 0);
        assert!(
            played
                .iter()
                .enumerate()
                .all(|(n, (ms, _))| *ms == n as u64 * 20 + 10)
        );
    }

    #[test]
    fn one_lost_packet_is_recovered_from_the_next() {
        let arrivals: Vec<_> = (0..10)
            .filter(|n| *n != 5)
            // The sixth comes 5 ms early enough to be there when the fifth is due.
            .map(|n| (if n == 6 { 109 } else { u64::from(n) * 20 }, n))
            .collect();
        let mut jitter = AudioJitter::default();
        let played = play(&mut jitter, &arrivals, 205);
        assert!(played.iter().any(|(_, p)| *p
            == Play::Recover {
                next: packet(6),
                duration: Duration::from_millis(20)
            }));
        assert_eq!(jitter.counts().recovered, 1);
    }

    #[test]
    fn a_packet_wholly_within_the_one_before_it_counts_as_late() {
        let mut jitter = AudioJitter::default();
        // Sixty milliseconds in one packet, and one whose twenty lie within them.
        jitter.push(at(0), 0, Bytes::from_static(&[31 << 3 | 3, 3]));
        jitter.push(at(0), 960, packet(1));
        jitter.push(at(20), 2880, packet(2));
        let mut played = 0;
        for ms in 0..100 {
            while let Play::Packet(_) = jitter.pull(at(ms)) {
                played += 1;
            }
        }
        assert_eq!((played, jitter.counts().late), (2, 1));
    }

    #[test]
    fn jitter_grows_the_delay_until_nothing_is_late() {
        // Every third packet 45 ms late.
        let arrivals: Vec<_> = (0..200u32)
            .map(|n| (u64::from(n) * 20 + if n % 3 == 0 { 45 } else { 0 }, n))
            .collect();
        let mut jitter = AudioJitter::default();
        play(&mut jitter, &arrivals, 1_000);
        let early = jitter.counts();
        assert!(jitter.delay() >= Duration::from_millis(50));
        let mut rest: Vec<_> = arrivals;
        rest.retain(|(when, _)| *when >= 1_000);
        let mut concealed_later = 0;
        for ms in 1_000..4_100 {
            for (_, n) in rest.iter().filter(|(when, _)| *when == ms) {
                jitter.push(at(ms), n * 960, packet(*n as u8));
            }
            while !matches!(jitter.pull(at(ms)), Play::Wait(_) | Play::Paused) {}
            if ms == 4_000 {
                concealed_later = jitter.counts().concealed - early.concealed;
            }
        }
        assert_eq!(concealed_later, 0, "{early:?} then {:?}", jitter.counts());
    }

    #[test]
    fn a_stream_that_ends_is_concealed_for_a_while_and_then_paused() {
        let mut jitter = AudioJitter::default();
        let played = play(&mut jitter, &[(0, 0), (20, 1)], 1_000);
        let concealed = played
            .iter()
            .filter(|(_, p)| matches!(p, Play::Conceal(_)))
            .count();
        assert_eq!(concealed, 10);
        assert_eq!(jitter.pull(at(1_000)), Play::Paused);
    }

    #[test]
    fn a_stream_that_comes_back_is_played_from_where_it_is() {
        let mut jitter = AudioJitter::default();
        play(&mut jitter, &[(0, 0)], 900);
        jitter.push(at(900), 45 * 960, packet(45));
        assert!(matches!(jitter.pull(at(960)), Play::Packet(_)));
    }

    #[test]
    fn durations_come_from_the_toc_byte() {
        assert_eq!(opus_duration(&[31 << 3]), Some(960));
        assert_eq!(opus_duration(&[0]), Some(480));
        assert_eq!(opus_duration(&[(3 << 3) | 3, 2]), Some(5760));
        assert_eq!(
            opus_duration(&[(3 << 3) | 3, 3]),
            None,
            "longer than 120 ms"
        );
        assert_eq!(opus_duration(&[]), None);
    }

    #[test]
    fn a_first_packet_whose_run_in_is_not_counted_is_played_whole_as_those_after_it() {
        let mut jitter = AudioJitter::default();
        let run_in = 312;
        let mut played = Vec::new();
        for n in 0..50_u32 {
            let time = (n * 960).saturating_sub(run_in);
            jitter.push(at(u64::from(n) * 20), time, packet(n as u8));
            for ms in 0..20 {
                while let play @ (Play::Packet(_) | Play::Conceal(_) | Play::Recover { .. }) =
                    jitter.pull(at(u64::from(n) * 20 + ms))
                {
                    played.push(play);
                }
            }
        }
        let whole: Vec<Play> = (0..50).map(|n| Play::Packet(packet(n))).collect();
        assert!(played.len() >= 48, "{}", played.len());
        assert_eq!(played, whole[..played.len()]);
        assert_eq!(jitter.counts().late, 0);
    }

    /// Mostly a stream as senders make it, with times that overlap, leave gaps, come again or leap.
    fn timestamp_steps() -> impl Strategy<Value = u32> {
        prop_oneof![
            8 => Just(960),
            4 => (-6_000_i32..6_000).prop_map(|step| step as u32),
            1 => any::<u32>(),
        ]
    }

    proptest! {
        #[test]
        fn any_arrivals_are_survived_and_every_packet_is_counted_once(
            input in proptest::collection::vec((0u64..60_000, timestamp_steps(), proptest::collection::vec(any::<u8>(), 0..4)), 0..300),
        ) {
            let mut jitter = AudioJitter::default();
            let mut now = 0;
            let mut timestamp = 0_u32;
            let mut valid = 0;
            for (wait, step, payload) in input {
                now += wait;
                timestamp = timestamp.wrapping_add(step);
                let now = Timestamp::from_micros(1_000_000_000_000 + now);
                valid += u64::from(opus_duration(&payload).is_some());
                jitter.push(now, timestamp, payload.into());
                let mut pulls = 0;
                while !matches!(jitter.pull(now), Play::Wait(_) | Play::Paused) {
                    pulls += 1;
                    prop_assert!(pulls < 10_000);
                }
                prop_assert!(jitter.held.len() <= CAPACITY);
                let counts = jitter.counts();
                prop_assert!(counts.played + counts.late <= valid);
            }
        }
    }
}
