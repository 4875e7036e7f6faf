//! Sound of any rate to any other, as it comes.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use super::ConvertError;

/// Rates that a device may have, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Changes the rate of interleaved sound, one stretch after the other.
///
/// It works on blocks of about 5 ms and delays by half of one; what does not fill a
/// block waits for the next call.
pub struct Resampler {
    channels: usize,
    describe: (u32, u32),
    /// None where the rates are the same.
    library: Option<Fft<f32>>,
    waiting: Vec<f32>,
    out: Vec<f32>,
}

impl Resampler {
    /// Makes a resampler `from` Hz `to` Hz of 1 to 32 channels.
    ///
    /// # Errors
    /// When a rate is outside 4,000 to 384,000 Hz, or there are no or too many channels.
    pub fn new(from: u32, to: u32, channels: u16) -> Result<Self, ConvertError> {
        let refuse = |problem: String| ConvertError::Rate {
            from,
            to,
            channels,
            problem,
        };
        if !(1..=32).contains(&channels) {
            return Err(refuse("1 to 32 channels can be".into()));
        }
        if !RATES.contains(&from) || !RATES.contains(&to) {
            return Err(refuse("4,000 to 384,000 Hz can be".into()));
        }
        let channels = usize::from(channels);
        let block = (from / 200).max(1) as usize;
        let library = (from != to)
            .then(|| Fft::new(from as usize, to as usize, block, channels, FixedSync::Both))
            .transpose()
            .map_err(|e| refuse(e.to_string()))?;
        let room = library.as_ref().map_or(0, |fft| fft.output_frames_max());
        Ok(Self {
            channels,
            describe: (from, to),
            library,
            waiting: Vec::new(),
            out: vec![0.0; room * channels],
        })
    }

    /// Samples of one channel by which the result lags, at the new rate, to within two.
    #[must_use]
    pub fn delay(&self) -> usize {
        self.library.as_ref().map_or(0, |fft| fft.output_delay())
    }

    /// Takes in samples and gives those that are ready, interleaved alike.
    ///
    /// # Errors
    /// When the library fails, which would be a defect.
    pub fn push(&mut self, samples: &[i16]) -> Result<Vec<i16>, ConvertError> {
        let Some(library) = &mut self.library else {
            return Ok(samples.to_vec());
        };
        let scaled = samples.iter().map(|&sample| f32::from(sample) / 32_768.0);
        self.waiting.extend(scaled);
        let mut ready = Vec::new();
        let mut taken = 0;
        loop {
            let frames = library.input_frames_next();
            let block = taken..taken + frames * self.channels;
            let Some(block) = self.waiting.get(block) else {
                break;
            };
            taken += block.len();
            let written = run(library, block, &mut self.out, self.channels).map_err(|problem| {
                ConvertError::Rate {
                    from: self.describe.0,
                    to: self.describe.1,
                    channels: self.channels as u16,
                    problem,
                }
            })?;
            let out = self.out.iter().take(written * self.channels);
            ready.extend(out.map(|value| (value * 32_768.0).round() as i16));
        }
        self.waiting.drain(..taken);
        Ok(ready)
    }
}

fn run(
    library: &mut Fft<f32>,
    block: &[f32],
    out: &mut [f32],
    channels: usize,
) -> Result<usize, String> {
    let room = out.len() / channels;
    let input = InterleavedSlice::new(block, channels, block.len() / channels)
        .map_err(|e| e.to_string())?;
    let mut output = InterleavedSlice::new_mut(out, channels, room).map_err(|e| e.to_string())?;
    let (_, written) = library
        .process_into_buffer(&input, &mut output, None)
        .map_err(|e| e.to_string())?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::f64::consts::TAU;

    use super::*;

    fn sine(hz: f64, rate: u32, frames: usize, channels: usize) -> Vec<i16> {
        (0..frames)
            .flat_map(|i| {
                let value = 10_000.0 * (TAU * hz * i as f64 / f64::from(rate)).sin();
                std::iter::repeat_n(value.round() as i16, channels)
            })
            .collect()
    }

    #[test]
    fn a_tone_of_every_usual_rate_comes_out_as_the_same_tone() {
        for (from, to) in [
            (44_100, 48_000),
            (48_000, 44_100),
            (16_000, 48_000),
            (8_000, 48_000),
            (96_000, 48_000),
            (48_000, 16_000),
            (22_050, 48_000),
        ] {
            for channels in [1, 2] {
                let mut resampler = Resampler::new(from, to, channels).unwrap();
                let given = sine(440.0, from, from as usize, usize::from(channels));
                // In uneven pieces, as devices give them.
                let mut seen = Vec::new();
                for piece in given.chunks(333 * usize::from(channels)) {
                    seen.extend(resampler.push(piece).unwrap());
                }
                let delay = resampler.delay();
                assert!(
                    delay as u32 * 1000 / to <= 10,
                    "{from} to {to}: {delay} late"
                );
                let frames = seen.len() / usize::from(channels);
                assert!(
                    frames + to as usize / 50 > to as usize,
                    "{from} to {to}: {frames}"
                );
                let first: Vec<i16> = seen
                    .iter()
                    .step_by(usize::from(channels))
                    .copied()
                    .collect();
                let want = sine(440.0, to, frames, 1);
                // Two samples of delay are 1,152 at most; another pitch drifts away.
                let checked = delay + 500..frames - 500;
                for index in checked {
                    let off = i32::from(first[index]) - i32::from(want[index - delay]);
                    assert!(
                        off.abs() < 1_200,
                        "{from} to {to} x{channels}: sample {index} off by {off}"
                    );
                }
                if channels == 2 {
                    assert!(seen.chunks(2).all(|pair| pair[0] == pair[1]));
                }
            }
        }
    }

    #[test]
    fn the_same_rate_passes_untouched() {
        let mut resampler = Resampler::new(48_000, 48_000, 2).unwrap();
        assert_eq!(resampler.push(&[1, 2, 3, 4]).unwrap(), [1, 2, 3, 4]);
        assert_eq!(resampler.delay(), 0);
    }

    #[test]
    fn loud_sound_is_cut_off_and_does_not_wrap() {
        let mut resampler = Resampler::new(44_100, 48_000, 1).unwrap();
        let square: Vec<i16> = (0..44_100)
            .map(|i| if i / 50 % 2 == 0 { i16::MAX } else { i16::MIN })
            .collect();
        let seen = resampler.push(&square).unwrap();
        // Overshoot of a band-limited edge is cut at full scale: neighbours of a peak
        // have its sign.
        assert!(seen.windows(3).all(|w| w[1].unsigned_abs() < 32_700
            || w[0].signum() == w[1].signum()
            || w[2].signum() == w[1].signum()));
    }

    #[test]
    fn absurd_rates_are_refused() {
        for (from, to, channels) in [
            (0, 48_000, 1),
            (48_000, 0, 1),
            (48_000, 44_100, 0),
            (48_000, 44_100, 33),
            (u32::MAX, 48_000, 1),
        ] {
            assert!(Resampler::new(from, to, channels).is_err());
        }
    }
}
