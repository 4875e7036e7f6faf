//! A tone in sound as it comes: pitch, purity, level, gaps, clicks, and how late it is.

use std::time::Duration;

use crate::media::clock::Timestamp;
use crate::media::convert::with_channels;
use crate::media::frame::Sound;

mod clicks;
mod follow;
pub mod seconds;
mod spectrum;
#[cfg(test)]
mod tests;

use clicks::Clicks;
use follow::Follower;
pub use spectrum::Peak;
use spectrum::Spectrum;

/// A tone has begun when a stretch of 170 ms has this share of its power in one place.
const BEGIN_PURITY: f64 = 0.5;

/// Quieter than this, in dB of full scale, is silence.
const SILENCE_DBFS: f64 = -60.0;

/// The least level that is told; digital silence has none.
const FLOOR_DBFS: f64 = -120.0;

/// Measures a tone. Until one has begun it measures whatever comes; from then on gaps
/// are counted, and nothing before the beginning weighs any more.
#[derive(Default)]
pub struct ToneMeter {
    spectrum: Spectrum,
    follower: Option<Follower>,
    clicks: Option<Clicks>,
    power: f64,
    samples: u64,
}

impl ToneMeter {
    /// Takes in sound whose first sample was heard at `now`. Gives the delays that became
    /// known, one for each second of an unbroken tone from
    /// [`Tone`](crate::media::capture::tone::Tone), each modulo a second.
    pub fn push(&mut self, now: Timestamp, sound: &Sound) -> Vec<Duration> {
        let samples: Vec<f64> = with_channels(sound, 1)
            .iter()
            .map(|&sample| f64::from(sample) / 32_768.0)
            .collect();
        self.power += samples.iter().map(|sample| sample * sample).sum::<f64>();
        self.samples += samples.len() as u64;
        if let Some(clicks) = &mut self.clicks {
            clicks.push(&samples);
        }
        let delays = match &mut self.follower {
            Some(follower) => follower.push(now, &samples),
            None => Vec::new(),
        };
        for window in self.spectrum.push(&samples) {
            if self.follower.is_some() || !begins(&window) {
                continue;
            }
            self.follower = Some(Follower::new(window.hz, window.amplitude()));
            self.clicks = Some(Clicks::new(window.hz, window.amplitude()));
            // What was heard up to here holds the silence before the tone.
            self.spectrum.restart_with(window);
            (self.power, self.samples) = (0.0, 0);
            break;
        }
        delays
    }

    /// The delays of seconds that had gaps or were stretched, to a few milliseconds; each is given once. None of
    /// them is among those that [`Self::push`] gives.
    pub fn rough(&mut self) -> Vec<Duration> {
        self.follower
            .as_mut()
            .map_or_else(Vec::new, Follower::rough)
    }

    /// How long gaps were that ended; each is given once.
    pub fn lengths(&mut self) -> Vec<Duration> {
        let follower = self.follower.as_mut();
        follower.map_or_else(Vec::new, Follower::lengths)
    }

    /// For how long the tone is missing now.
    #[must_use]
    pub fn standing(&self) -> Option<Duration> {
        self.follower.as_ref().and_then(Follower::standing)
    }

    /// Whether there was a tone, so that there can be gaps in it.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.follower.is_some()
    }

    /// The strongest frequency and its share of the power.
    #[must_use]
    pub fn peak(&self) -> Peak {
        self.spectrum.peak()
    }

    /// Stretches without the tone since it began. One of 5 ms is always found, one
    /// of 2.5 ms never; between the two it depends on where it lies.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.follower.as_ref().map_or(0, Follower::gaps)
    }

    /// Places where the tone is broken off and goes on at once, since it began.
    #[must_use]
    pub fn clicks(&self) -> u64 {
        self.clicks.as_ref().map_or(0, Clicks::count)
    }

    /// Root mean square in dB of full scale, since the tone began.
    #[must_use]
    pub fn level_dbfs(&self) -> f64 {
        match self.samples {
            // The tone began with the last sample heard.
            0 => self.spectrum.level_dbfs(),
            samples => (10.0 * (self.power / samples as f64).log10()).max(FLOOR_DBFS),
        }
    }
}

fn begins(window: &spectrum::Window) -> bool {
    window.level_dbfs() > SILENCE_DBFS && window.purity > BEGIN_PURITY
}
