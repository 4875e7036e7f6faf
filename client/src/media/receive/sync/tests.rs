//! The clocks, the delays and the rule together, on virtual time.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::media::receive::delay::{PICTURES, PlayoutDelay, SOUND};
use crate::media::receive::timeline::Timeline;

/// The same luck every time, 0 to 1.
fn luck(n: u64) -> f64 {
    let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 40) as f64 / (1 << 24) as f64
}

/// One stream of a sender, and its receiver.
struct Stream {
    rate: f64,
    /// Between two packets, microseconds.
    every: f64,
    /// What the sender's clock behind it gains, per microsecond.
    drift: f64,
    line: Timeline,
    delay: PlayoutDelay,
    clock: StreamClock,
    wait: i64,
    sent: u64,
    reported: u64,
    coming: BTreeMap<(u64, u64), u64>,
    /// How much later than taken it is shown, and recorded, at last.
    shown: Option<i64>,
    recorded: Option<i64>,
}

impl Stream {
    fn new(sync: &PeerSync, kind: Kind, drift: f64) -> Self {
        let (rate, every, rule) = match kind {
            Kind::Audio => (48_000, 20_000.0, SOUND),
            Kind::Video => (90_000, 100_000.0 / 3.0, PICTURES),
        };
        Self {
            rate: f64::from(rate),
            every,
            drift,
            line: Timeline::new(rate),
            delay: PlayoutDelay::new(rule),
            clock: StreamClock::new(rate, sync.side(kind)),
            wait: 0,
            sent: 0,
            reported: 0,
            coming: BTreeMap::new(),
            shown: None,
            recorded: None,
        }
    }

    /// The RTP time stamp of a moment.
    fn stamp(&self, moment: u64) -> u32 {
        let ticks = moment as f64 * (1.0 + self.drift) * self.rate / 1e6;
        (ticks as u64).wrapping_add(u64::from(u32::MAX) - 300_000) as u32
    }

    /// Lets time pass. The sender's wall clock is `wall(moment)`; packet `n` travels `travels(n)`.
    fn run(&mut self, now: u64, travels: &impl Fn(u64) -> u64, wall: &impl Fn(u64) -> i64) {
        while (self.sent as f64 * self.every) as u64 <= now {
            let taken = (self.sent as f64 * self.every) as u64;
            self.coming
                .insert((taken + travels(self.sent), self.sent), taken);
            self.sent += 1;
        }
        while let Some(first) = self.coming.first_entry()
            && first.key().0 <= now
        {
            let ((arrived, _), taken) = first.remove_entry();
            // A report a second, from the second one on.
            self.reported = arrived / 1_000_000;
            let report = (self.reported > 0).then(|| SenderReport {
                wall: wall(self.reported * 1_000_000),
                timestamp: self.stamp(self.reported * 1_000_000),
                number: self.reported,
            });
            self.packet(arrived, taken, report);
        }
    }

    fn packet(&mut self, arrived: u64, taken: u64, report: Option<SenderReport>) {
        let at = Timestamp::from_micros(START + arrived);
        let stamp = self.stamp(taken);
        let place = self.line.observe(at, stamp);
        if place.anew {
            self.delay.reset();
        }
        let time = self.line.micros(place.time);
        self.delay.observe(at, time);
        self.clock.observe(at, stamp, report);
        let alone = time + self.delay.offset().unwrap();
        if let Some(wait) = self.clock.wait(at, stamp, alone) {
            self.wait = wait.as_micros() as i64;
        }
        let moment = (START + taken) as i64;
        self.shown = Some(alone + self.wait - moment);
        self.recorded = Some(micros(self.clock.taken(at, stamp).unwrap()) - moment);
    }
}

const START: u64 = 1_790_000_000_000_000;

struct Call {
    sound: Stream,
    pictures: Stream,
    now: u64,
}

/// How far apart picture and sound were at most: shown, and in a recording.
#[derive(Debug, Default)]
struct Apart {
    shown: i64,
    recorded: i64,
}

impl Call {
    fn new(sound_drift: f64, picture_drift: f64) -> Self {
        let sync = PeerSync::default();
        Self {
            sound: Stream::new(&sync, Kind::Audio, sound_drift),
            pictures: Stream::new(&sync, Kind::Video, picture_drift),
            now: 0,
        }
    }

    fn run(
        &mut self,
        until: u64,
        sound: impl Fn(u64) -> u64,
        pictures: impl Fn(u64) -> u64,
        wall: impl Fn(u64) -> i64,
    ) -> Apart {
        let mut apart = Apart::default();
        while self.now < until * 1_000_000 {
            self.now += 10_000;
            self.sound.run(self.now, &sound, &wall);
            self.pictures.run(self.now, &pictures, &wall);
            let both = |of: fn(&Stream) -> Option<i64>| {
                Some((of(&self.sound)? - of(&self.pictures)?).abs())
            };
            apart.shown = apart.shown.max(both(|s| s.shown).unwrap_or(0));
            apart.recorded = apart.recorded.max(both(|s| s.recorded).unwrap_or(0));
        }
        apart
    }
}

/// A wall clock that is years off, as clocks of devices are.
fn off(moment: u64) -> i64 {
    moment as i64 - 400_000_000_000_000
}

fn jitter(base: u64, most: f64, seed: u64) -> impl Fn(u64) -> u64 {
    move |n| base + (luck(n * 2 + seed) * most) as u64
}

#[test]
fn an_hour_with_clocks_that_drift_apart_and_a_network_that_shakes_stays_together() {
    // Pictures and sound are stamped by clocks 200 in a million apart: 720 ms in an hour.
    let mut call = Call::new(-100e-6, 100e-6);
    let (sound, pictures) = (jitter(30_000, 30_000.0, 0), jitter(55_000, 40_000.0, 1));
    call.run(15, &sound, &pictures, off);
    let apart = call.run(3_600, &sound, &pictures, off);
    assert!(apart.shown < 40_000, "{apart:?}");
    assert!(apart.recorded < 5_000, "{apart:?}");
}

#[test]
fn sound_that_takes_another_way_is_made_good() {
    for (sound, pictures) in [(250_000, 30_000), (30_000, 250_000)] {
        let mut call = Call::new(0.0, 0.0);
        let before = call.run(1, |_| sound, |_| pictures, off);
        assert!(before.shown > 200_000, "{before:?}");
        call.run(6, |_| sound, |_| pictures, off);
        let after = call.run(60, |_| sound, |_| pictures, off);
        assert!(after.shown < 26_000, "{after:?}");
        assert!(after.recorded < 2_000, "{after:?}");
    }
}

#[test]
fn a_senders_clock_that_is_set_moves_nothing_that_is_seen() {
    for set in [-7_200_000_000, 3_000_000, 86_400_000_000] {
        let mut call = Call::new(0.0, 0.0);
        let wall = move |moment: u64| off(moment) + if moment >= 20_000_000 { set } else { 0 };
        call.run(10, |_| 30_000, |_| 90_000, wall);
        let apart = call.run(60, |_| 30_000, |_| 90_000, wall);
        assert!(apart.shown < 40_000, "{set}: {apart:?}");
        // Between the third report about the one stream and that about the other, arrivals have to do.
        assert!(apart.recorded < 65_000, "{set}: {apart:?}");
        let apart = call.run(120, |_| 30_000, |_| 90_000, wall);
        assert!(apart.recorded < 2_000, "{set}: {apart:?}");
    }
}

#[test]
fn reports_that_make_no_sense_delay_nobody_for_long() {
    let mut call = Call::new(0.0, 0.0);
    let nonsense = |moment: u64| (luck(moment) * 1e15) as i64;
    call.run(120, |_| 30_000, |_| 60_000, nonsense);
    assert!(call.sound.wait <= rule::LIMIT && call.pictures.wait <= rule::LIMIT);
    let apart = call.run(150, |_| 30_000, |_| 60_000, off);
    assert!(apart.shown <= 1_100_000, "{apart:?}");
    let apart = call.run(180, |_| 30_000, |_| 60_000, off);
    assert!(apart.shown < 26_000, "{apart:?}");
}

#[test]
fn without_reports_nothing_waits() {
    let sync = PeerSync::default();
    let mut clock = StreamClock::new(48_000, sync.side(Kind::Audio));
    let at = Timestamp::from_micros(START);
    assert_eq!(clock.taken(at, 0), None);
    clock.observe(at, 0, None);
    assert_eq!(clock.wait(at, 0, micros(at)), None);
    assert_eq!(clock.taken(at, 0), Some(at));
    assert_eq!(sync.playout(at, Kind::Audio), None);
}

#[test]
fn a_stream_that_was_replaced_is_not_waited_for() {
    let sync = PeerSync::default();
    let (old, new) = (sync.side(Kind::Video), sync.side(Kind::Video));
    let sound = sync.side(Kind::Audio);
    let mut wait = Duration::ZERO;
    for n in 0..500 {
        let now = Timestamp::from_micros(START + n * 20_000);
        assert_eq!(old.tell(now, 900_000), Duration::ZERO);
        new.tell(now, 130_000);
        wait = sound.tell(now, 30_000);
    }
    assert!((89..=90).contains(&wait.as_millis()), "{wait:?}");
}
