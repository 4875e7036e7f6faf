//! What each kind of packet takes of the path, and how long packets waited.

use std::collections::HashMap;
use std::time::Duration;

use rtc_congestion::{Demands, Moment};

/// Seconds over which rates are averaged.
const OVER: f64 = 1.0;
/// What sound takes before any was sent: Opus at 32 kbit/s in packets of 20 ms with all headers.
const SOUND: f64 = 65_000.0;
/// Share of headers before any picture was sent.
const OVERHEAD: f64 = 0.07;
/// An encoder makes nothing of less.
const LEAST_PICTURE: f64 = 50_000.0;

/// Bits a second, fading.
#[derive(Debug, Default)]
struct Rate {
    bits: f64,
    at: Moment,
}

impl Rate {
    fn now(&self, now: Moment) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.bits * (-passed / OVER).exp()
    }

    fn add(&mut self, now: Moment, bytes: usize) {
        self.bits = self.now(now) + bytes as f64 * 8.0 / OVER;
        self.at = now;
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Meter {
    sound: Rate,
    again: Rate,
    payload: Rate,
    picture: Rate,
    sounds: bool,
    delays: HashMap<u32, Duration>,
}

impl Meter {
    pub(super) fn sound(&mut self, now: Moment, bytes: usize) {
        self.sounds = true;
        self.sound.add(now, bytes);
    }

    pub(super) fn again(&mut self, now: Moment, bytes: usize) {
        self.again.add(now, bytes);
    }

    pub(super) fn picture(&mut self, now: Moment, payload: usize, bytes: usize) {
        self.payload.add(now, payload);
        self.picture.add(now, bytes);
    }

    pub(super) fn waited(&mut self, stream: u32, so_long: Duration) {
        *self.delays.entry(stream).or_default() += so_long;
    }

    /// What pictures take, in bits a second.
    pub(super) fn pictures(&self, now: Moment) -> f64 {
        self.picture.now(now)
    }

    /// How long the packets of each stream waited, all in all.
    pub(super) const fn delays(&self) -> &HashMap<u32, Duration> {
        &self.delays
    }

    /// What is asked of a path that carries so much.
    pub(super) fn demands(&self, now: Moment, path: f64, waiting: f64) -> Demands {
        let picture = self.picture.now(now);
        let overhead = if picture > 1_000.0 {
            1.0 - self.payload.now(now) / picture
        } else {
            OVERHEAD
        };
        let sound = if self.sounds {
            self.sound.now(now)
        } else {
            SOUND.min(path / 4.0)
        };
        Demands {
            path,
            sound,
            again: self.again.now(now),
            data: 0.0,
            overhead,
            least_picture: LEAST_PICTURE,
            waiting,
        }
    }
}
