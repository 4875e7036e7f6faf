//! Pitch, purity and level of each second of sound by itself, so that a fault of a moment is not lost in the whole.

use super::spectrum::Spectrum;
use crate::media::capture::tone::LEVEL_DBFS;
use crate::media::convert::with_channels;
use crate::media::frame::{SAMPLE_RATE, Sound};

/// What one second was like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SecondOfSound {
    /// The strongest frequency in Hz; 0 in silence.
    pub hz: f64,
    /// Its share of all power, 0 to 1.
    pub purity: f64,
    /// Root mean square in dB of full scale.
    pub level_dbfs: f64,
    /// How loud our own tone is in it beside what we send, in dB; only where we send one.
    pub echo_db: Option<f64>,
}

/// Cuts sound into seconds. Pure.
#[derive(Default)]
pub struct Seconds {
    spectrum: Spectrum,
    samples: usize,
}

impl Seconds {
    /// Takes in sound; gives the seconds that became full. `own` is the tone that we send, in Hz.
    pub fn push(&mut self, sound: &Sound, own: Option<u32>) -> Vec<SecondOfSound> {
        const SECOND: usize = SAMPLE_RATE as usize;
        let mono = with_channels(sound, 1);
        let mut rest: &[i16] = &mono;
        let mut full = Vec::new();
        while self.samples + rest.len() >= SECOND {
            let (now, later) = rest.split_at(SECOND - self.samples);
            self.add(now);
            full.push(SecondOfSound {
                hz: self.spectrum.peak().hz,
                purity: self.spectrum.peak().purity,
                level_dbfs: self.spectrum.level_dbfs(),
                echo_db: own.map(|hz| self.spectrum.level_near(f64::from(hz)) - LEVEL_DBFS),
            });
            self.spectrum.restart();
            self.samples = 0;
            rest = later;
        }
        self.add(rest);
        full
    }

    fn add(&mut self, samples: &[i16]) {
        let scaled: Vec<f64> = samples.iter().map(|&s| f64::from(s) / 32_768.0).collect();
        self.spectrum.push(&scaled);
        self.samples += samples.len();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::media::capture::tone::render;
    use crate::media::clock::Timestamp;

    #[test]
    fn each_second_is_told_by_itself() {
        let mut seconds = Seconds::default();
        let mut told = Vec::new();
        for block in 0..150_u64 {
            let at = Timestamp::from_micros(1_790_000_000_000_000 + block * 20_000);
            let mut sound = render(if block < 50 { 440 } else { 660 }, at);
            if block >= 100 {
                sound.samples.fill(0);
            }
            told.extend(seconds.push(&sound, None));
        }
        assert_eq!(told.len(), 3);
        assert!((told[0].hz - 440.0).abs() < 1.0, "{told:?}");
        assert!((told[1].hz - 660.0).abs() < 1.0, "{told:?}");
        assert!(
            told[1].purity > 0.9 && told[1].level_dbfs > -20.0,
            "{told:?}"
        );
        assert!(told[2].hz == 0.0 && told[2].level_dbfs < -100.0, "{told:?}");
    }

    #[test]
    fn sound_in_one_piece_is_cut_too() {
        let sound = Sound {
            samples: vec![0; 2 * 48_000 * 2 + 10],
            channels: 2,
            at: Timestamp::default(),
        };
        assert_eq!(Seconds::default().push(&sound, None).len(), 2);
    }

    #[test]
    fn our_own_tone_is_found_beneath_the_other_sides_at_its_true_level() {
        for quieter in [10.0_f64, 30.0, 50.0] {
            let mut seconds = Seconds::default();
            let mut told = Vec::new();
            for block in 0..150_u64 {
                let at = Timestamp::from_micros(1_790_000_000_000_000 + block * 20_000);
                let mut sound = render(660, at);
                let factor = 10.0_f64.powf(-quieter / 20.0);
                for (theirs, ours) in sound.samples.iter_mut().zip(render(440, at).samples) {
                    *theirs += (f64::from(ours) * factor).round() as i16;
                }
                told.extend(seconds.push(&sound, Some(440)));
            }
            for second in told {
                let echo = second.echo_db.unwrap();
                assert!((echo + quieter).abs() < 0.5, "{quieter}: {echo}");
            }
        }
    }

    #[test]
    fn without_an_echo_hardly_anything_is_found() {
        let mut seconds = Seconds::default();
        for block in 0..100_u64 {
            let at = Timestamp::from_micros(1_790_000_000_000_000 + block * 20_000);
            for second in seconds.push(&render(660, at), Some(440)) {
                assert!(second.echo_db.unwrap() < -70.0, "{second:?}");
            }
        }
    }
}
