//! A known tone followed closely: where it is missing, and what time it tells.

use std::f64::consts::TAU;
use std::time::Duration;

use realfft::num_complex::Complex64;

use crate::media::capture::tone::{BEAT_DEPTH, BEATS};
use crate::media::clock::Timestamp;
use crate::media::frame::SAMPLE_RATE;

const RATE: f64 = SAMPLE_RATE as f64;

/// Without the tone for so long is a gap: 5 ms.
const GAP: usize = SAMPLE_RATE as usize / 200;

/// A window has the tone if it has this share of its usual amplitude.
const PRESENT: f64 = 0.3;

/// The two beats tell times that differ by this at most, in seconds: more, and the quick one may have been taken
/// for the one before or after it.
const AGREE: f64 = 0.012;

/// Measures amplitude and phase of one frequency in short windows, each a quarter of a
/// window after the one before.
pub(super) struct Follower {
    hz: f64,
    /// Cosine and sine of the frequency over a window, from phase 0.
    basis: Vec<(f64, f64)>,
    /// Inverse of the basis' products with itself: cosine-cosine, mixed, sine-sine.
    inverse: (f64, f64, f64),
    hop: usize,
    usual: f64,
    waiting: Vec<f64>,
    missing: usize,
    gaps: u64,
    /// Gaps that ended, and were not fetched yet.
    lengths: Vec<Duration>,
    second: Second,
    rough: Vec<Duration>,
}

impl Follower {
    pub(super) fn new(hz: f64, amplitude: f64) -> Self {
        // The sender's is a whole number; the estimate is off by a few tenths at most.
        let hz = hz.round().max(1.0);
        // Windows of at least 2.5 ms and one period.
        let hop = (GAP / 8).max((RATE / hz / 4.0).ceil() as usize);
        let basis: Vec<(f64, f64)> = (0..4 * hop)
            .map(|index| (TAU * hz * index as f64 / RATE).sin_cos())
            .map(|(sin, cos)| (cos, sin))
            .collect();
        let sum = |f: fn(&(f64, f64)) -> f64| basis.iter().map(f).sum::<f64>();
        let (cc, cs, ss) = (sum(|b| b.0 * b.0), sum(|b| b.0 * b.1), sum(|b| b.1 * b.1));
        let determinant = (cc * ss - cs * cs).max(1e-9);
        Self {
            hz,
            inverse: (ss / determinant, -cs / determinant, cc / determinant),
            basis,
            hop,
            usual: amplitude,
            waiting: Vec::new(),
            missing: 0,
            gaps: 0,
            lengths: Vec::new(),
            second: Second::default(),
            rough: Vec::new(),
        }
    }

    pub(super) fn gaps(&self) -> u64 {
        self.gaps
    }

    /// The delays of seconds that had gaps or were stretched, to a few milliseconds; each is given once.
    pub(super) fn rough(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.rough)
    }

    /// The lengths of gaps that ended; each is given once.
    pub(super) fn lengths(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.lengths)
    }

    /// How long the gap is that has not ended.
    pub(super) fn standing(&self) -> Option<Duration> {
        (self.missing >= self.enough()).then(|| self.length())
    }

    pub(super) fn push(&mut self, now: Timestamp, samples: &[f64]) -> Vec<Duration> {
        self.second.note(now, self.waiting.len());
        self.waiting.extend_from_slice(samples);
        let waiting = std::mem::take(&mut self.waiting);
        let mut delays = Vec::new();
        let mut from = 0;
        while let Some(window) = waiting.get(from..from + self.basis.len()) {
            let tone = self.fit(window);
            self.judge(tone.norm());
            let missing = (self.missing > 0).then_some(self.usual);
            self.second.add(self.hz, tone, self.hop, missing);
            if self.second.position >= SAMPLE_RATE as usize {
                match self.second.told(self.hz) {
                    Some(told) => delays.push(self.second.late(told)),
                    None => self
                        .rough
                        .extend(self.second.roughly().map(|told| self.second.late(told))),
                }
                self.second = self.second.next();
            }
            from += self.hop;
        }
        self.waiting = waiting[from.min(waiting.len())..].to_vec();
        delays
    }

    /// The tone in the window by least squares: `re * sin + im * cos`, so that its
    /// argument is the phase of a sine at the window's first sample.
    fn fit(&self, window: &[f64]) -> Complex64 {
        let (mut c, mut s) = (0.0, 0.0);
        for (sample, (cos, sin)) in window.iter().zip(&self.basis) {
            c += sample * cos;
            s += sample * sin;
        }
        let (cc, cs, ss) = self.inverse;
        Complex64::new(cs * c + ss * s, cc * c + cs * s)
    }

    fn judge(&mut self, amplitude: f64) {
        let enough = self.enough();
        if amplitude >= PRESENT * self.usual {
            if self.missing >= enough {
                self.lengths.push(self.length());
            }
            self.missing = 0;
            self.usual += (amplitude - self.usual) / 256.0;
            return;
        }
        self.missing += 1;
        if self.missing == enough {
            self.gaps += 1;
        }
    }

    /// So many windows a gap of that length holds wholly, wherever it lies.
    fn enough(&self) -> usize {
        (GAP.saturating_sub(self.basis.len()) / self.hop).max(1)
    }

    /// Of the gap that stands: a window that misses the tone lies mostly in it.
    fn length(&self) -> Duration {
        let samples = self.missing * self.hop + self.basis.len() / 2;
        Duration::from_secs_f64(samples as f64 / RATE)
    }
}

/// A second of the tone, in which both slow beats come out even.
#[derive(Default)]
struct Second {
    /// Samples since its first.
    position: usize,
    /// Windows without the tone.
    lost: usize,
    amplitudes: f64,
    beats: [Complex64; BEATS.len()],
    tone: Complex64,
    /// For each stretch heard: when its first sample was, less that sample's place in
    /// microseconds. Their mean is when the second began.
    starts: Vec<i128>,
    windows: usize,
}

impl Second {
    /// Notes that the sample `ahead` of the next window's first was heard at `now`.
    fn note(&mut self, now: Timestamp, ahead: usize) {
        let place = (self.position + ahead) as i128 * 1_000_000 / i128::from(SAMPLE_RATE);
        self.starts.push(i128::from(now.as_micros()) - place);
    }

    /// Takes a window, with the usual amplitude where the tone is `missing`: silence would look like a beat.
    fn add(&mut self, hz: f64, tone: Complex64, hop: usize, missing: Option<f64>) {
        let at = self.position as f64 / RATE;
        // The window's amplitude is that of its middle, two hops after its first sample.
        let middle = at + 2.0 * hop as f64 / RATE;
        let amplitude = missing.unwrap_or_else(|| tone.norm());
        self.amplitudes += amplitude;
        for (sum, beat) in self.beats.iter_mut().zip(BEATS) {
            *sum += Complex64::from_polar(amplitude, -TAU * f64::from(beat) * middle);
        }
        self.tone += tone * Complex64::from_polar(1.0, -TAU * hz * at);
        self.lost += usize::from(missing.is_some());
        self.windows += 1;
        self.position += hop;
    }

    /// The one that follows. Where stretches are longer than a second the next begins
    /// with none noted, and goes on from this one's start.
    fn next(&self) -> Self {
        let passed = self.position as i128 * 1_000_000 / i128::from(SAMPLE_RATE);
        Self {
            starts: self
                .starts
                .last()
                .map(|start| start + passed)
                .into_iter()
                .collect(),
            ..Self::default()
        }
    }

    /// How much later than `told` the second was heard, modulo a second.
    fn late(&self, told: f64) -> Duration {
        let heard = self.starts.iter().sum::<i128>() / self.starts.len().max(1) as i128;
        let late = heard - (told * 1e6).round() as i128;
        Duration::from_micros(late.rem_euclid(1_000_000) as u64)
    }

    /// Which part of a second it was taken at, in seconds; `None` where it does not have
    /// the beats of our tone. Each finer wave settles what the one before leaves open.
    fn told(&self, hz: f64) -> Option<f64> {
        if self.lost > 0 || !self.has_beats() {
            return None;
        }
        // A tone that slips in phase adds up to less than its amplitudes do.
        if self.tone.norm() < 0.9 * self.amplitudes {
            return None;
        }
        let waves = self.beats.iter().zip(BEATS.map(f64::from));
        let told = waves.fold(0.5, |near, (beat, hz)| nearest(near, beat.arg(), hz));
        Some(nearest(told, self.tone.arg(), hz))
    }

    /// As [`Self::told`], by the beats alone, which survive a gap or a stretch that the tone's own phase does not;
    /// `None` where much is missing, or the two beats tell different times.
    fn roughly(&self) -> Option<f64> {
        if self.lost * 10 > self.windows || !self.has_beats() {
            return None;
        }
        let [slow, quick] = BEATS.map(f64::from);
        let near = nearest(0.5, self.beats[0].arg(), slow);
        let told = nearest(near, self.beats[1].arg(), quick);
        ((told - near).abs() < AGREE).then_some(told)
    }

    fn has_beats(&self) -> bool {
        let deep = |beat: &Complex64| {
            let depth = 2.0 * beat.norm() / self.amplitudes;
            (BEAT_DEPTH / 2.0..BEAT_DEPTH * 2.0).contains(&depth)
        };
        self.amplitudes > 0.0 && self.beats.iter().all(deep)
    }
}

/// The time closest to `near` at which a wave of `hz` has this phase.
fn nearest(near: f64, phase: f64, hz: f64) -> f64 {
    let time = phase / TAU / hz;
    time + ((near - time) * hz).round() / hz
}
