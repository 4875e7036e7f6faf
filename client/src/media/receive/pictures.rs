//! When pictures are decoded and shown. Pure: time and frames come in.
//!
//! A picture is shown so long after its RTP time as [`PlayoutDelay`] says, so that
//! pictures follow each other as they were taken and not as they came. It is decoded just before: frames wait
//! encoded, where they are small. What comes later than that is shown at once.

use std::collections::VecDeque;
use std::time::Duration;

use super::delay::{PICTURES, PlayoutDelay};
use super::timeline::Timeline;
use crate::media::clock::Timestamp;

/// Ticks of the RTP clock of pictures in a second (RFC 3551, section 5).
pub const CLOCK_RATE: u32 = 90_000;

/// Over so many pictures decoding is timed.
const DECODED: usize = 64;

/// A decoder that needs longer than this needs a smaller picture and not more time.
const SLOWEST: Duration = Duration::from_millis(60);

/// A frame whose turn was so long ago waits behind a decoder that is too slow.
const BEHIND: Duration = Duration::from_millis(500);

/// When a frame has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// To be decoded.
    pub decode: Timestamp,
    /// To be shown.
    pub show: Timestamp,
}

/// What became of frames between their first packet and the decoder, by the names of W3C webrtc-stats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BufferCounts {
    /// `jitterBufferEmittedCount`
    pub emitted: u64,
    /// `jitterBufferDelay`: that all emitted frames waited, together.
    pub delay: Duration,
    /// `jitterBufferTargetDelay`: the same, had each waited as long as was aimed at.
    pub target: Duration,
    /// `jitterBufferMinimumDelay`: the same, had none waited for the sound.
    pub minimum: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct PicturePlayout {
    line: Timeline,
    delay: PlayoutDelay,
    /// How long the last pictures took to decode, oldest first.
    decoded: VecDeque<Duration>,
    /// How long pictures wait for their sound.
    wait: Duration,
    counts: BufferCounts,
}

impl Default for PicturePlayout {
    fn default() -> Self {
        Self {
            line: Timeline::new(CLOCK_RATE),
            delay: PlayoutDelay::new(PICTURES),
            decoded: VecDeque::new(),
            wait: Duration::ZERO,
            counts: BufferCounts::default(),
        }
    }
}

impl PicturePlayout {
    /// A frame was whole at `whole`; in their order.
    pub fn push(&mut self, whole: Timestamp, timestamp: u32) {
        let place = self.line.observe(whole, timestamp);
        if place.anew {
            self.delay.reset();
        }
        self.delay.observe(whole, self.line.micros(place.time));
    }

    /// When a frame is shown if it does not wait for its sound, microseconds; `None` before the first.
    #[must_use]
    pub fn shown(&self, timestamp: u32) -> Option<i64> {
        let time = self.line.micros(self.line.extend(timestamp));
        Some(time + self.delay.offset()? + micros_of(self.decoding()))
    }

    /// How long pictures are to wait for their sound.
    pub const fn wait(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// When a frame that was whole at `whole` has its turn. Whatever its time stamp says, it waits no longer than
    /// the jitter and the sound allow.
    #[must_use]
    pub fn turn(&self, whole: Timestamp, timestamp: u32) -> Turn {
        let decoding = self.decoding();
        let latest = whole + self.delay.target() + self.wait + decoding;
        let show = self.shown(timestamp).map_or(whole, |shown| {
            Timestamp::from_micros(u64::try_from(shown + micros_of(self.wait)).unwrap_or(0))
        });
        let show = show.min(latest);
        Turn {
            decode: show - decoding,
            show,
        }
    }

    /// Whether a frame's turn was so long ago that the decoder does not keep up.
    #[must_use]
    pub fn is_behind(now: Timestamp, whole: Timestamp, turn: Turn) -> bool {
        now.since(turn.decode.max(whole)) > BEHIND
    }

    /// A frame whose first packet came at `arrived` is handed to the decoder.
    pub fn emitted(&mut self, now: Timestamp, arrived: Timestamp) {
        let minimum = self.delay.target();
        self.counts.emitted += 1;
        self.counts.delay += now.since(arrived);
        self.counts.minimum += minimum;
        self.counts.target += minimum + self.wait;
    }

    /// Decoding took so long.
    pub fn decoded(&mut self, took: Duration) {
        if self.decoded.len() == DECODED {
            self.decoded.pop_front();
        }
        self.decoded.push_back(took);
    }

    /// How long decoding takes, nine times out of ten.
    fn decoding(&self) -> Duration {
        let mut sorted: Vec<_> = self.decoded.iter().copied().collect();
        sorted.sort_unstable();
        let most = sorted.get(sorted.len().saturating_sub(1) * 9 / 10);
        most.copied().unwrap_or_default().min(SLOWEST)
    }

    /// What became of the frames so far.
    #[must_use]
    pub const fn counts(&self) -> BufferCounts {
        self.counts
    }
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::receive::freeze::{FreezeMeter, Freezes};
    use proptest::prelude::*;

    const DECODING: Duration = Duration::from_millis(4);

    /// The same luck every time, 0 to 1.
    fn luck(n: u64) -> f64 {
        let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 40) as f64 / (1 << 24) as f64
    }

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + micros)
    }

    /// What was seen of frames at 30 a second; frame `n` is stamped and travels as told.
    struct Seen {
        /// From capture to eye, in the order of the frames.
        late: Vec<Duration>,
        smooth: Freezes,
        playout: PicturePlayout,
    }

    fn watch(frames: u64, stamp: impl Fn(u64) -> u32, travels: impl Fn(u64) -> u64) -> Seen {
        let mut playout = PicturePlayout::default();
        let mut meter = FreezeMeter::default();
        let (mut whole, mut free, mut late) = (at(0), at(0), Vec::new());
        for n in 0..frames {
            let taken = n * 100_000 / 3;
            // Frames are whole in their order.
            whole = whole.max(at(taken + travels(n)));
            playout.push(whole, stamp(n));
            let turn = playout.turn(whole, stamp(n));
            let begin = turn.decode.max(whole).max(free);
            playout.emitted(begin, whole);
            playout.decoded(DECODING);
            let shown = turn.show.max(begin + DECODING);
            free = shown;
            if n > 150 {
                meter.see(shown);
            }
            late.push(shown.since(at(taken)));
        }
        Seen {
            late,
            smooth: meter.freezes(),
            playout,
        }
    }

    fn steady(n: u64) -> u32 {
        (u32::MAX - 30_000).wrapping_add((n * 3_000) as u32)
    }

    /// Mean deviation from an even 33 ms.
    fn uneven(seen: &Seen) -> f64 {
        let frames = (seen.late.len() - 152) as f64;
        let mean = seen.smooth.inter_frame.as_secs_f64() / frames;
        (seen.smooth.inter_frame_squared / frames - mean * mean).sqrt() * 1e3
    }

    #[test]
    fn on_a_good_network_pictures_are_shown_as_they_come() {
        let seen = watch(600, steady, |n| 10_000 + (luck(n) * 3_000.0) as u64);
        let mean = seen.late.iter().sum::<Duration>() / 600;
        // On the way 11.5 ms, decoding 4 ms.
        assert!(mean < Duration::from_micros(16_500), "{mean:?}");
        assert!(seen.playout.counts().target < Duration::from_millis(60));
    }

    #[test]
    fn jitter_does_not_reach_the_eye() {
        let seen = watch(3_000, steady, |n| 10_000 + (luck(n) * 30_000.0) as u64);
        // They come 9 ms from an even distance.
        assert!(uneven(&seen) < 3.0, "{} ms", uneven(&seen));
        assert_eq!(seen.smooth.count, 0);
        let latest = seen.late[200..].iter().max().copied();
        assert!(latest <= Some(Duration::from_millis(46)), "{latest:?}");
        let counts = seen.playout.counts();
        assert_eq!(counts.emitted, 3_000);
        let target = counts.target.as_secs_f64() / 3_000.0;
        assert!((0.018..0.030).contains(&target), "{target}");
        assert_eq!(counts.target, counts.minimum, "nothing waited for sound");
    }

    #[test]
    fn a_time_stamp_that_is_set_neither_stops_nor_delays_pictures_for_long() {
        for leap in [
            -40_000_000_i64,
            -450_000,
            -90_000,
            90_000,
            450_000,
            40_000_000,
        ] {
            let stamp = |n: u64| {
                let leapt = if n < 300 { 0 } else { leap };
                steady(n).wrapping_add(leapt as u32)
            };
            let seen = watch(900, stamp, |_| 10_000);
            let worst = seen.late.iter().max().copied();
            assert!(
                worst < Some(Duration::from_millis(450)),
                "{leap}: {worst:?}"
            );
            let end = seen.late.last().copied();
            assert!(end < Some(Duration::from_millis(20)), "{leap}: {end:?}");
        }
    }

    #[test]
    fn pictures_wait_for_their_sound_and_it_is_counted() {
        let mut playout = PicturePlayout::default();
        playout.push(at(0), 0);
        playout.wait(Duration::from_millis(120));
        let turn = playout.turn(at(0), 0);
        assert_eq!(turn.show, at(120_000));
        playout.emitted(turn.decode, at(0));
        let counts = playout.counts();
        assert_eq!(counts.target, Duration::from_millis(120));
        assert_eq!(counts.minimum, Duration::ZERO);
        assert_eq!(counts.delay, Duration::from_millis(120));
    }

    #[test]
    fn a_decoder_that_does_not_keep_up_is_found_out() {
        let playout = PicturePlayout::default();
        let turn = playout.turn(at(0), 0);
        assert!(!PicturePlayout::is_behind(at(500_000), at(0), turn));
        assert!(PicturePlayout::is_behind(at(500_001), at(0), turn));
        // One that the network held up is not behind.
        assert!(!PicturePlayout::is_behind(at(900_000), at(890_000), turn));
    }

    proptest! {
        #[test]
        fn no_frame_waits_longer_than_jitter_and_sound_allow(
            frames in proptest::collection::vec((any::<u32>(), any::<u16>()), 1..200),
        ) {
            let mut playout = PicturePlayout::default();
            playout.wait(Duration::from_secs(1));
            let mut now = 0;
            for (stamp, later) in frames {
                now += u64::from(later);
                playout.push(at(now), stamp);
                let turn = playout.turn(at(now), stamp);
                prop_assert!(turn.decode <= turn.show);
                prop_assert!(turn.show <= at(now) + Duration::from_millis(1_400));
            }
        }
    }
}
