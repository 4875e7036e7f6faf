//! Clicks in a known tone: samples that the tone does not lead to, where it goes on before and after them.

use std::f64::consts::TAU;

use crate::media::frame::SAMPLE_RATE;

const RATE: f64 = SAMPLE_RATE as f64;

/// The sound to both sides of a click that must be there: 5 ms. What has none on one side is the edge of a gap.
const BESIDE: usize = SAMPLE_RATE as usize / 200;

/// What belongs to one click, and so is counted once: 10 ms.
const ONE: u64 = SAMPLE_RATE as u64 / 100;

/// A sample off by less than this share of the tone's amplitude is not heard as a click.
const LEAST: f64 = 0.3;

/// What a codec leaves is noise; a click stands out of it by so much.
const ABOVE_NOISE: f64 = 8.0;

/// To both sides the tone has at least this share of its usual power.
const PRESENT: f64 = 0.3;

/// A sine of frequency w has `x[n] = 2 cos(w) x[n-1] - x[n-2]`; what is off by more than noise is a click: a sample that is
/// wrong, samples that are missing, or ones that came twice.
pub(super) struct Clicks {
    turn: f64,
    /// The last samples: those before the one that is judged, it, and those after it.
    near: std::collections::VecDeque<f64>,
    /// Mean square of what is off, slowly followed.
    noise: f64,
    power: f64,
    seen: u64,
    /// Where the last click was.
    last: Option<u64>,
    count: u64,
}

impl Clicks {
    pub(super) fn new(hz: f64, amplitude: f64) -> Self {
        Self {
            turn: 2.0 * (TAU * hz.round().max(1.0) / RATE).cos(),
            near: std::collections::VecDeque::with_capacity(2 * BESIDE + 4),
            noise: 0.0,
            power: amplitude * amplitude / 2.0,
            seen: 0,
            last: None,
            count: 0,
        }
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn push(&mut self, samples: &[f64]) {
        for sample in samples {
            self.near.push_back(*sample);
            if self.near.len() < 2 * BESIDE + 3 {
                continue;
            }
            self.seen += 1;
            self.judge();
            self.near.pop_front();
        }
    }

    /// Judges the sample in the middle: two and [`BESIDE`] lie before it, [`BESIDE`] after it.
    fn judge(&mut self) {
        let at = BESIDE + 2;
        let off = self.near[at] - self.turn * self.near[at - 1] + self.near[at - 2];
        let square = off * off;
        let amplitude = (2.0 * self.power).sqrt();
        let bound = (LEAST * amplitude).max(ABOVE_NOISE * self.noise.sqrt());
        if square <= bound * bound {
            self.noise += (square - self.noise) / 4_800.0;
            self.power += (self.near[at] * self.near[at] - self.power) / 48_000.0;
            return;
        }
        let power = |from: usize| {
            let part = self.near.range(from..from + BESIDE);
            part.map(|sample| sample * sample).sum::<f64>() / BESIDE as f64
        };
        let least = PRESENT * self.power;
        if power(0) < least || power(at) < least {
            return;
        }
        if self.last.is_none_or(|last| self.seen - last > ONE) {
            self.count += 1;
        }
        self.last = Some(self.seen);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::media::capture::tone::render;
    use crate::media::clock::Timestamp;
    use crate::media::codec::opus::{Content, OpusDecoder, OpusEncoder};
    use crate::media::convert::with_channels;

    fn sine(hz: f64, count: usize) -> Vec<f64> {
        (0..count)
            .map(|index| 0.25 * (TAU * hz * index as f64 / RATE).sin())
            .collect()
    }

    fn clicks(hz: f64, samples: &[f64]) -> u64 {
        let mut clicks = Clicks::new(hz, 0.25);
        samples.chunks(480).for_each(|part| clicks.push(part));
        clicks.count()
    }

    #[test]
    fn a_tone_has_none_and_each_wrong_sample_is_one() {
        for hz in [200.0, 440.0, 660.0, 1_000.0, 3_000.0] {
            let clean = sine(hz, 96_000);
            assert_eq!(clicks(hz, &clean), 0, "{hz} Hz");
            let mut bad = clean.clone();
            for at in [10_000, 20_000, 40_111, 70_003] {
                bad[at] += 0.1;
            }
            assert_eq!(clicks(hz, &bad), 4, "{hz} Hz");
        }
    }

    #[test]
    fn missing_and_repeated_milliseconds_are_clicks_and_gaps_are_not() {
        let clean = sine(440.0, 96_000);
        let mut cut = clean.clone();
        cut.drain(30_000..30_048);
        assert_eq!(clicks(440.0, &cut), 1);
        let mut twice = clean.clone();
        twice.splice(30_000..30_000, clean[29_952..30_000].to_vec());
        assert_eq!(clicks(440.0, &twice), 1);
        let mut gap = clean;
        gap[30_000..31_000].fill(0.0);
        assert_eq!(clicks(440.0, &gap), 0);
    }

    #[test]
    fn a_codec_makes_none() {
        for (content, rate) in [(Content::Music, 64_000), (Content::Voice, 24_000)] {
            let mut encoder = OpusEncoder::new(1, content, rate).unwrap();
            let mut decoder = OpusDecoder::new(1).unwrap();
            let mut heard = Vec::new();
            for block in 0..300 {
                let at = Timestamp::from_micros(1_790_000_000_123_000)
                    + Duration::from_millis(20) * block;
                let packet = encoder.encode(&render(440, at)).unwrap();
                let sound = decoder.decode(&packet.data, at).unwrap();
                heard.extend(
                    with_channels(&sound, 1)
                        .iter()
                        .map(|sample| f64::from(*sample) / 32_768.0),
                );
            }
            // What comes before the decoder's first full block is its beginning.
            assert_eq!(clicks(440.0, &heard[4_800..]), 0, "{content:?} {rate}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_is_no_reason_to_fail(samples in proptest::collection::vec(-1.0..1.0, 0..3_000), hz in 0.0..24_000.0) {
            let _ = clicks(hz, &samples);
        }
    }
}
