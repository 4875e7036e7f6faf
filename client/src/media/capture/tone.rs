//! A tone that tells the time at which it was taken.

use std::f64::consts::TAU;
use std::thread;
use std::time::{Duration, Instant};

use super::{AudioItem, AudioSource, SourceError};
use crate::media::clock::Timestamp;
use crate::media::frame::{SAMPLE_RATE, Sound};

/// Samples in a block of 20 ms.
const BLOCK: u64 = SAMPLE_RATE as u64 / 50;
const BLOCK_TIME: Duration = Duration::from_millis(20);

/// Peak of the unmodulated tone: 12 dB below full scale.
const PEAK: f64 = 8_192.0;

/// The level that it has, root mean square in dB of full scale: a sine's, 12 dB below full scale, and 0.06 dB for its beats.
pub(crate) const LEVEL_DBFS: f64 = -14.99;

/// How deep each of the two slow beats cuts, as a share of the tone's amplitude. Its
/// two side tones take 0.7 % of the power, so the tone stays pure to the ear.
pub(crate) const BEAT_DEPTH: f64 = 0.12;

/// The slow beats, in Hz: the first tells which part of a second it is, the second
/// which part of 40 ms, and the tone itself which part of its own period.
pub(crate) const BEATS: [u32; 2] = [1, 25];

/// Later than this and blocks are left out, as a microphone's would be.
const PATIENCE: Duration = Duration::from_millis(200);

/// Gives a tone in blocks of 20 ms, each when its last sample would have been taken.
///
/// The sample taken at `t` seconds after the Unix epoch is
/// `8192 * (1 + 0.12 cos(2 pi t) + 0.12 cos(2 pi 25 t)) * sin(2 pi hz t)`, so that who
/// knows `hz` can tell from a second of sound when it was taken, modulo a second.
pub struct Tone {
    hz: u32,
    start: Option<(Instant, Timestamp)>,
    block: u64,
}

impl Tone {
    /// Makes a tone of so many Hz; above 20,000 it is cut to that.
    #[must_use]
    pub fn new(hz: u32) -> Self {
        Self {
            hz: hz.clamp(1, 20_000),
            start: None,
            block: 0,
        }
    }

    /// The block due next, and how long after the start that is.
    fn schedule(&mut self, running: Duration) -> Duration {
        let due = BLOCK_TIME * u32::try_from(self.block + 1).unwrap_or(u32::MAX);
        if running.saturating_sub(due) <= PATIENCE {
            return due;
        }
        self.block = (running.as_micros() / BLOCK_TIME.as_micros()) as u64;
        BLOCK_TIME * u32::try_from(self.block + 1).unwrap_or(u32::MAX)
    }
}

impl AudioSource for Tone {
    fn next(&mut self) -> Result<Option<AudioItem>, SourceError> {
        let (start, at) = *self.start.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Timestamp::at(now))
        });
        let due = self.schedule(start.elapsed());
        thread::sleep(due.saturating_sub(start.elapsed()));
        let at = at + BLOCK_TIME * u32::try_from(self.block).unwrap_or(u32::MAX);
        self.block += 1;
        Ok(Some(AudioItem::Raw(render(self.hz, at))))
    }

    fn describe(&self) -> String {
        format!("tone of {} Hz", self.hz)
    }
}

/// The 20 ms of tone taken from `at` on.
#[must_use]
pub fn render(hz: u32, at: Timestamp) -> Sound {
    // Within its second, for a double has no room for a tone's phase since 1970; all
    // rates are whole numbers of Hz, so every second is like every other.
    let second = (at.as_micros() % 1_000_000) as f64 / 1_000_000.0;
    let samples = (0..BLOCK)
        .map(|index| {
            let t = second + index as f64 / f64::from(SAMPLE_RATE);
            let beats: f64 = BEATS
                .iter()
                .map(|&beat| BEAT_DEPTH * (TAU * f64::from(beat) * t).cos())
                .sum();
            (PEAK * (1.0 + beats) * (TAU * f64::from(hz) * t).sin()).round() as i16
        })
        .collect();
    Sound {
        samples,
        channels: 1,
        at,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_sample_is_what_its_time_says() {
        let sound = render(1_000, Timestamp::from_micros(1_790_000_000_250_000));
        assert_eq!((sound.samples.len(), sound.channels), (960, 1));
        // t = 0.25 s: cos(pi/2) = 0; cos(12.5 pi) = 0. A quarter period is 12 samples.
        let t = 0.25 + 12.0 / 48_000.0;
        let beats = 0.12 * (TAU * t).cos() + 0.12 * (TAU * 25.0 * t).cos();
        assert_eq!(sound.samples[0], 0);
        assert_eq!(sound.samples[12], (8_192.0 * (1.0 + beats)).round() as i16);
    }

    #[test]
    fn blocks_join_without_a_seam_and_seconds_too() {
        let at = Timestamp::from_micros(1_790_000_000_980_000);
        let (a, b) = (render(440, at), render(440, at + BLOCK_TIME));
        let joined = [&a.samples[950..], &b.samples[..10]].concat();
        // 440 Hz at 9,000 moves by 520 a sample at most.
        assert!(
            joined.windows(2).all(|w| w[0].abs_diff(w[1]) < 600),
            "{joined:?}"
        );
    }

    #[test]
    fn lateness_never_adds_up_and_long_sleep_leaves_blocks_out() {
        let mut tone = Tone::new(440);
        assert_eq!(tone.schedule(Duration::ZERO), BLOCK_TIME);
        tone.block = 10;
        assert_eq!(
            tone.schedule(Duration::from_millis(350)),
            Duration::from_millis(220)
        );
        assert_eq!(tone.block, 10, "the backlog is given at once");
        assert_eq!(
            tone.schedule(Duration::from_millis(5_010)),
            Duration::from_millis(5_020)
        );
        assert_eq!(tone.block, 250);
    }

    #[test]
    fn blocks_follow_each_other_on_the_clock() {
        let mut tone = Tone::new(440);
        let mut last: Option<Sound> = None;
        for _ in 0..4 {
            let Ok(Some(AudioItem::Raw(sound))) = tone.next() else {
                panic!("no sound")
            };
            assert!(
                Timestamp::now() >= sound.at + BLOCK_TIME,
                "not before it was taken"
            );
            if let Some(last) = last {
                assert_eq!(sound.at, last.at + BLOCK_TIME);
            }
            last = Some(sound);
        }
    }
}
