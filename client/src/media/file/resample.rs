//! Any rate to 48 kHz, without the converter's delay.

use super::input::Problem;
use crate::media::convert::{ConvertError, Resampler};
use crate::media::frame::SAMPLE_RATE;

/// Converts a stream of interleaved samples to 48 kHz; at 48 kHz it passes them on unchanged.
pub(super) struct ToSampleRate {
    resampler: Resampler,
    channels: usize,
    /// Samples still to be left out: the converter's delay.
    skip: usize,
    taken: u64,
    given: u64,
    rate: u32,
}

impl From<ConvertError> for Problem {
    fn from(error: ConvertError) -> Self {
        Self::unsupported(format!("has sound that cannot be converted: {error}"))
    }
}

impl ToSampleRate {
    pub(super) fn new(rate: u32, channels: u16) -> Result<Self, Problem> {
        let resampler = Resampler::new(rate, SAMPLE_RATE, channels)?;
        let channels = usize::from(channels);
        Ok(Self {
            skip: resampler.delay() * channels,
            resampler,
            channels,
            taken: 0,
            given: 0,
            rate,
        })
    }

    /// Takes samples and adds what they give to `out`.
    pub(super) fn push(
        &mut self,
        samples: &[i16],
        out: &mut impl Extend<i16>,
    ) -> Result<(), Problem> {
        self.taken += (samples.len() / self.channels) as u64;
        let converted = self.resampler.push(samples)?;
        self.give(&converted, out);
        Ok(())
    }

    /// Gives what is still inside, so that as much time comes out as went in.
    pub(super) fn finish(&mut self, out: &mut impl Extend<i16>) -> Result<(), Problem> {
        let wanted = (self.taken * u64::from(SAMPLE_RATE)).div_ceil(u64::from(self.rate));
        // 20 ms at a time.
        let silence = vec![0; (self.rate / 50).max(1) as usize * self.channels];
        while self.given < wanted {
            let converted = self.resampler.push(&silence)?;
            let after = self.skip.min(converted.len());
            let left = usize::try_from(wanted - self.given).unwrap_or(usize::MAX);
            let most = after.saturating_add(left.saturating_mul(self.channels));
            self.give(&converted[..most.min(converted.len())], out);
        }
        Ok(())
    }

    fn give(&mut self, converted: &[i16], out: &mut impl Extend<i16>) {
        let left_out = self.skip.min(converted.len());
        self.skip -= left_out;
        let rest = &converted[left_out..];
        self.given += (rest.len() / self.channels) as u64;
        out.extend(rest.iter().copied());
    }
}
