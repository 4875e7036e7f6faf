//! Power by frequency, summed over everything that was heard.

use std::f64::consts::TAU;
use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex};

use super::{FLOOR_DBFS, SILENCE_DBFS};
use crate::media::capture::tone::BEATS;
use crate::media::frame::SAMPLE_RATE;

/// Samples in a window: 170 ms, bins of 5.9 Hz.
const SIZE: usize = 8_192;

/// Bins to either side that belong to a peak: Hann's main lobe is two, and the tone's
/// own slow beat and a codec's ripple lie close by.
const REACH: usize = 3;

/// The strongest frequency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Peak {
    /// In Hz; 0 in silence.
    pub hz: f64,
    /// Its share of all power, 0 to 1.
    pub purity: f64,
}

/// One window's findings.
pub(super) struct Window {
    pub(super) hz: f64,
    pub(super) purity: f64,
    mean_square: f64,
    powers: Vec<f64>,
}

impl Window {
    pub(super) fn level_dbfs(&self) -> f64 {
        (10.0 * self.mean_square.log10()).max(FLOOR_DBFS)
    }

    /// Of a sine that has all its power.
    pub(super) fn amplitude(&self) -> f64 {
        (2.0 * self.mean_square * self.purity).sqrt()
    }
}

/// Sums the spectra of windows that follow each other.
pub(super) struct Spectrum {
    fft: Arc<dyn RealToComplex<f64>>,
    hann: Vec<f64>,
    waiting: Vec<f64>,
    powers: Vec<f64>,
    mean_squares: f64,
    windows: u64,
}

impl Default for Spectrum {
    fn default() -> Self {
        let hann = |index: usize| 0.5 - 0.5 * (TAU * index as f64 / SIZE as f64).cos();
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(SIZE),
            hann: (0..SIZE).map(hann).collect(),
            waiting: Vec::new(),
            powers: vec![0.0; SIZE / 2 + 1],
            mean_squares: 0.0,
            windows: 0,
        }
    }
}

impl Spectrum {
    /// Takes in samples; gives the windows that became full.
    pub(super) fn push(&mut self, samples: &[f64]) -> Vec<Window> {
        self.waiting.extend_from_slice(samples);
        let waiting = std::mem::take(&mut self.waiting);
        let mut full = waiting.chunks_exact(SIZE);
        let windows: Vec<Window> = full.by_ref().filter_map(|w| self.window(w)).collect();
        self.waiting = full.remainder().to_vec();
        windows
    }

    fn window(&mut self, samples: &[f64]) -> Option<Window> {
        let mean_square = samples.iter().map(|s| s * s).sum::<f64>() / SIZE as f64;
        let mut shaped: Vec<f64> = samples.iter().zip(&self.hann).map(|(s, h)| s * h).collect();
        let mut bins = self.fft.make_output_vec();
        // It fails only for slices of another length than planned.
        self.fft.process(&mut shaped, &mut bins).ok()?;
        let powers: Vec<f64> = bins.iter().map(|bin| bin.norm_sqr()).collect();
        self.add(&powers, mean_square);
        let peak = peak(&powers);
        Some(Window {
            hz: peak.hz,
            purity: peak.purity,
            mean_square,
            powers,
        })
    }

    fn add(&mut self, powers: &[f64], mean_square: f64) {
        for (sum, power) in self.powers.iter_mut().zip(powers) {
            *sum += power;
        }
        self.mean_squares += mean_square;
        self.windows += 1;
    }

    /// Forgets all but one window.
    pub(super) fn restart_with(&mut self, window: Window) {
        self.powers.fill(0.0);
        (self.mean_squares, self.windows) = (0.0, 0);
        self.add(&window.powers, window.mean_square);
    }

    /// Forgets everything, also what was not a full window yet.
    pub(super) fn restart(&mut self) {
        self.powers.fill(0.0);
        (self.mean_squares, self.windows) = (0.0, 0);
        self.waiting.clear();
    }

    pub(super) fn peak(&self) -> Peak {
        if self.level_dbfs() <= SILENCE_DBFS {
            return Peak::default();
        }
        peak(&self.powers)
    }

    /// What is heard near one frequency, in dB of full scale: of our tone with its beats, of others' nothing.
    pub(super) fn level_near(&self, hz: f64) -> f64 {
        let width = f64::from(SAMPLE_RATE) / SIZE as f64;
        let middle = (hz / width).round() as usize;
        // The beats are 25 Hz to both sides, and Hann's main lobe two bins more.
        let reach = (f64::from(BEATS[1]) / width).ceil() as usize + 2;
        let last = self.powers.len() - 1;
        let near = middle.saturating_sub(reach).max(2).min(last)..(middle + reach + 1).min(last);
        let total: f64 = self.powers[2..].iter().sum();
        if near.is_empty() || total <= 0.0 {
            return FLOOR_DBFS;
        }
        let share = self.powers[near].iter().sum::<f64>() / total;
        let mean = self.mean_squares / self.windows.max(1) as f64;
        (10.0 * (mean * share).log10()).max(FLOOR_DBFS)
    }

    pub(super) fn level_dbfs(&self) -> f64 {
        let mean = self.mean_squares / self.windows.max(1) as f64;
        (10.0 * mean.log10()).max(FLOOR_DBFS)
    }
}

/// Bin 0 is the offset of a cheap sound card and no sound.
fn peak(powers: &[f64]) -> Peak {
    let audible = powers.iter().enumerate().skip(2);
    let Some((top, _)) = audible.max_by(|a, b| a.1.total_cmp(b.1)) else {
        return Peak::default();
    };
    let total: f64 = powers[2..].iter().sum();
    if total <= 0.0 {
        return Peak::default();
    }
    let near = top.saturating_sub(REACH).max(2)..(top + REACH + 1).min(powers.len());
    Peak {
        hz: (top as f64 + offset(powers, top)) * f64::from(SAMPLE_RATE) / SIZE as f64,
        purity: powers[near].iter().sum::<f64>() / total,
    }
}

/// Where between the bins the top of the parabola through the logarithms lies.
fn offset(powers: &[f64], top: usize) -> f64 {
    let log = |bin: usize| powers.get(bin).copied().unwrap_or(0.0).max(1e-30).ln();
    let (left, middle, right) = (log(top - 1), log(top), log(top + 1));
    let bend = left - 2.0 * middle + right;
    if bend.abs() < 1e-12 {
        return 0.0;
    }
    (0.5 * (left - right) / bend).clamp(-0.5, 0.5)
}
