#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use super::*;

/// Gives a tone of 400 Hz, of which 20 ms are whole periods, and silence for what is lost.
struct Tone(Vec<i16>);

impl Tone {
    fn new() -> Self {
        let wave = |n: usize| (12_000.0 * (std::f64::consts::TAU * n as f64 / 120.0).sin()) as i16;
        Self((0..960).flat_map(|n| [wave(n); CHANNELS]).collect())
    }
}

impl Decode for Tone {
    fn packet(&mut self, _: &[u8]) -> Result<Vec<i16>, CodecError> {
        Ok(self.0.clone())
    }
    fn recover(&mut self, _: &[u8], lost: Duration) -> Result<Vec<i16>, CodecError> {
        self.conceal(lost)
    }
    fn conceal(&mut self, lost: Duration) -> Result<Vec<i16>, CodecError> {
        Ok(vec![0; lost.as_micros() as usize * 48 / 1_000 * CHANNELS])
    }
}

/// A call on virtual time.
struct Call {
    playout: Playout<Tone>,
    now: u64,
    /// Packets on their way, by arrival and number.
    coming: BTreeMap<(u64, u64), ()>,
    sent: u64,
    /// The RTP time of packet `n`.
    stamp: Box<dyn Fn(u64) -> u32>,
    /// Longest and shortest wait of a sample behind the quickest packet, microseconds.
    waits: (i64, i64),
}

const START: u64 = 1_000_000_000;

impl Call {
    fn new() -> Self {
        Self {
            playout: Playout::new(Tone::new()),
            now: 0,
            coming: BTreeMap::new(),
            sent: 0,
            stamp: Box::new(|n| (n * 960) as u32),
            waits: (i64::MIN, i64::MAX),
        }
    }

    /// Runs until `until` (seconds). Packet `n` leaves at `n * every` microseconds and arrives `travels(n)` later;
    /// `None` is lost.
    fn run(&mut self, until: f64, every: f64, travels: impl Fn(u64) -> Option<u64>) {
        let until = (until * 1e6) as u64;
        while self.now < until {
            // A millisecond at a time, and packets at their own moments.
            self.now += 1_000;
            while (self.sent as f64 * every) as u64 <= self.now {
                let left = (self.sent as f64 * every) as u64;
                if let Some(on_the_way) = travels(self.sent) {
                    self.coming.insert((left + on_the_way, self.sent), ());
                }
                self.sent += 1;
            }
            while let Some(first) = self.coming.first_entry()
                && first.key().0 <= self.now
            {
                let ((arrived, n), ()) = first.remove_entry();
                let at = Timestamp::from_micros(START + arrived);
                self.playout
                    .push(at, (self.stamp)(n), Bytes::from_static(&[31 << 3, 1]));
            }
            let now = Timestamp::from_micros(START + self.now);
            while let Next::Block(block) = self.playout.next(now) {
                assert_eq!(block.len(), BLOCK * CHANNELS);
                let behind = self.playout.behind(micros(now));
                let target = self.playout.jitter.delay().target().as_micros() as i64;
                if let Some(behind) = behind {
                    self.waits = (
                        self.waits.0.max(behind + target),
                        self.waits.1.min(behind + target),
                    );
                }
            }
        }
    }

    fn forget_waits(&mut self) -> AudioCounts {
        self.waits = (i64::MIN, i64::MAX);
        self.playout.counts()
    }
}

/// The same luck every time, 0 to 1.
fn luck(n: u64) -> f64 {
    let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 40) as f64 / (1 << 24) as f64
}

fn jitter(ms: f64) -> impl Fn(u64) -> Option<u64> {
    move |n| Some(30_000 + (luck(n) * ms * 1e3) as u64)
}

#[test]
fn a_steady_stream_is_played_whole_and_nearly_at_once() {
    let mut call = Call::new();
    call.run(20.0, 20_000.0, |_| Some(30_000));
    let counts = call.playout.counts();
    assert_eq!(
        (counts.concealed, counts.inserted, counts.removed),
        (0, 0, 0),
        "{counts:?}"
    );
    assert!(call.waits.0 <= 26_000, "{:?}", call.waits);
    assert!(
        (counts.samples as f64 / 48_000.0 - 19.95).abs() < 0.03,
        "{counts:?}"
    );
    // A tone of this level has this power.
    let level = 12_000.0 / 32_768.0 / 2_f64.sqrt();
    assert!((counts.level - level).abs() < 0.001, "{counts:?}");
    assert!(
        (counts.energy - level * level * 19.95).abs() < 0.01,
        "{counts:?}"
    );
}

#[test]
fn the_delay_follows_the_jitter_up_and_down_and_nothing_is_lost_by_it() {
    let mut call = Call::new();
    call.run(20.0, 20_000.0, |_| Some(30_000));
    call.run(60.0, 20_000.0, jitter(60.0));
    let grown = call.forget_waits();
    assert!(grown.inserted > 0, "{grown:?}");
    call.run(120.0, 20_000.0, jitter(60.0));
    let later = call.playout.counts();
    // Three of a hundred may be later than what is waited for; they hold the sound up for as long.
    let concealed = (later.concealed - grown.concealed) as f64 / (60.0 * 48_000.0);
    assert!(concealed < 0.005, "{concealed}");
    assert!(call.waits.0 < 130_000, "{:?}", call.waits);
    call.run(135.0, 20_000.0, |_| Some(30_000));
    let shrunk = call.forget_waits();
    assert!(shrunk.removed > grown.removed, "{shrunk:?}");
    call.run(150.0, 20_000.0, |_| Some(30_000));
    assert!(call.waits.0 < 30_000, "{:?}", call.waits);
    // Of three thousand that overtook each other.
    assert!(shrunk.packets.late < 20, "{shrunk:?}");
}

#[test]
fn an_hour_with_a_sender_whose_clock_differs_neither_runs_dry_nor_lags() {
    for drift in [-200e-6, 200e-6] {
        let mut call = Call::new();
        call.run(10.0, 20_000.0 * (1.0 + drift), jitter(5.0));
        let begun = call.forget_waits();
        call.run(3_600.0, 20_000.0 * (1.0 + drift), jitter(5.0));
        let counts = call.playout.counts();
        assert_eq!(counts.concealed, begun.concealed, "{counts:?}");
        assert_eq!(counts.packets.late, 0, "{counts:?}");
        assert!(
            call.waits.0 < 50_000 && call.waits.1 > 0,
            "{:?}",
            call.waits
        );
        // 200 in a million of an hour.
        let gained = counts.inserted as f64 - counts.removed as f64;
        assert!(
            (gained - drift * 3_590.0 * 48_000.0).abs() < 2_000.0,
            "{drift}: {counts:?}"
        );
    }
}

#[test]
fn a_burst_of_losses_fades_and_the_sound_comes_back_in_time() {
    let mut call = Call::new();
    let burst = |n: u64| (!(500..530).contains(&n)).then_some(30_000);
    call.run(20.0, 20_000.0, burst);
    let counts = call.playout.counts();
    assert_eq!(counts.concealment_events, 1, "{counts:?}");
    let concealed = counts.concealed as f64 / 48.0;
    assert!((590.0..=620.0).contains(&concealed), "{concealed} ms");
    let silent = counts.silent_concealed as f64 / 48.0;
    assert!((390.0..=420.0).contains(&silent), "{silent} ms");
    call.forget_waits();
    call.run(25.0, 20_000.0, burst);
    assert!(call.waits.0 < 40_000, "{:?}", call.waits);
}

#[test]
fn a_network_that_stood_still_is_caught_up_with() {
    let mut call = Call::new();
    // Everything of one second arrives at its end.
    let stall = |n: u64| {
        let left = n * 20_000;
        Some(if (500..550).contains(&n) {
            11_030_000 - left
        } else {
            30_000
        })
    };
    call.run(30.0, 20_000.0, stall);
    let counts = call.forget_waits();
    assert!(
        counts.packets.late > 0,
        "the oldest are left out: {counts:?}"
    );
    call.run(35.0, 20_000.0, stall);
    assert!(call.waits.0 < 60_000, "{:?}", call.waits);
}

#[test]
fn time_stamps_that_leap_or_wrap_silence_nobody_for_long() {
    for leap_ms in [-40_000_i64, -5_000, -1_200, -300, 300, 1_200, 5_000, 40_000] {
        let mut call = Call::new();
        call.stamp = Box::new(move |n| {
            let leapt = if n < 500 { 0 } else { leap_ms * 48 };
            (n as i64 * 960 + leapt - 300_000) as u32
        });
        call.run(10.0, 20_000.0, |_| Some(30_000));
        let before = call.playout.counts();
        call.run(14.0, 20_000.0, |_| Some(30_000));
        let after = call.playout.counts();
        let played = (after.emitted - before.emitted) as f64 / 48_000.0;
        assert!(played > 3.3, "{leap_ms} ms: {played} s of 4 were heard");
        // A small leap looks like jitter, which is forgotten after five seconds.
        call.run(20.0, 20_000.0, |_| Some(30_000));
        call.forget_waits();
        call.run(24.0, 20_000.0, |_| Some(30_000));
        let healed = call.playout.counts();
        assert!(call.waits.0 <= 70_000, "{leap_ms} ms: {:?}", call.waits);
        let played = (healed.emitted - after.emitted) as f64 / 48_000.0;
        assert!(played > 9.8, "{leap_ms} ms: {played} s of 10 were heard");
    }
}

#[test]
fn sound_waits_for_its_picture_and_catches_up_again() {
    let mut call = Call::new();
    call.run(5.0, 20_000.0, |_| Some(30_000));
    let begun = call.forget_waits();
    // As slowly as the rule of lip sync lets it.
    for tenth in 0..80_u64 {
        let waits = if tenth < 10 { tenth * 10 } else { 100 };
        call.playout.wait(Duration::from_millis(waits));
        call.run(5.1 + tenth as f64 / 10.0, 20_000.0, |_| Some(30_000));
    }
    let waiting = call.playout.counts();
    assert!(waiting.inserted > 48 * 80, "{waiting:?}");
    assert_eq!(
        waiting.concealed, begun.concealed,
        "stretched, not silenced"
    );
    let behind = call
        .playout
        .behind(micros(Timestamp::from_micros(START + call.now)));
    assert!(behind.is_some_and(|b| b.abs() < 15_000), "{behind:?}");
    call.playout.wait(Duration::ZERO);
    call.run(25.0, 20_000.0, |_| Some(30_000));
    assert!(call.playout.counts().removed > 48 * 80);
}

#[test]
fn a_thread_that_stood_still_does_not_play_everything_at_once() {
    let mut playout = Playout::new(Tone::new());
    let at = |ms: u64| Timestamp::from_micros(START + ms * 1_000);
    for n in 0..100 {
        playout.push(
            at(n * 20),
            (n * 960) as u32,
            Bytes::from_static(&[31 << 3, 1]),
        );
    }
    assert!(matches!(playout.next(at(2_000)), Next::Block(_)));
    let blocks = std::iter::repeat_with(|| playout.next(at(3_000)))
        .take_while(|next| matches!(next, Next::Block(_)));
    assert_eq!(blocks.count(), 1);
}

#[test]
fn a_stream_that_stops_is_idle_and_one_that_comes_back_is_played() {
    let mut call = Call::new();
    let gap = |n: u64| (!(100..400).contains(&n)).then_some(30_000);
    call.run(7.9, 20_000.0, gap);
    assert_eq!(
        call.playout.next(Timestamp::from_micros(START + 7_900_000)),
        Next::Idle
    );
    let before = call.playout.counts();
    assert!(before.samples < 48_000 * 45 / 10, "{before:?}");
    assert!(before.level == 0.0, "{before:?}");
    call.run(10.0, 20_000.0, gap);
    let after = call.playout.counts();
    assert_eq!(after.concealed, before.concealed);
    assert!(after.samples > before.samples + 48_000);
}

#[test]
fn opus_itself_fades_to_silence_and_comes_back() {
    use crate::media::capture::tone::render;
    use crate::media::codec::opus::{Content, OpusDecoder, OpusEncoder};

    let mut encoder = OpusEncoder::new(1, Content::Voice, 32_000).unwrap();
    let mut playout = Playout::new(OpusDecoder::new(2).unwrap());
    let mut loudness = Vec::new();
    for ms in 0..4_000_u64 {
        let at = Timestamp::from_micros(START + ms * 1_000);
        if ms % 20 == 0 {
            let packet = encoder.encode(&render(440, at)).unwrap();
            if !(1_000..2_000).contains(&ms) {
                playout.push(at, (ms * 48) as u32, packet.data);
            }
        }
        while let Next::Block(block) = playout.next(at) {
            let peak = block.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
            loudness.push((ms, peak));
        }
    }
    let loudest = |from: u64, to: u64| {
        let there = loudness.iter().filter(|(ms, _)| (from..to).contains(ms));
        there.map(|(_, peak)| *peak).max().unwrap_or(0)
    };
    assert!(loudest(500, 1_000) > 4_000);
    assert_eq!(loudest(1_900, 2_000), 0, "a tone does not hum on");
    assert!(loudest(2_500, 4_000) > 4_000);
}
