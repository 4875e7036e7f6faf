//! Is that tone in this sound? Enough of signal processing to judge a device by ear.

use std::f64::consts::TAU;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// The strongest frequency between 50 and 2,000 Hz, to 1 Hz.
    pub hz: f64,
    /// The share of the sound's power at it, 0 to 1; less where it was interrupted.
    pub purity: f64,
    /// The share of stretches of 50 ms that are that tone and little else: a lost stretch breaks
    /// the phase, which costs `purity` much and this little.
    pub steady: f64,
    /// Root mean square, full scale being 1.
    pub level: f64,
}

/// A tone of `hz` at a quarter of full scale, mono.
#[must_use]
pub fn tone(hz: f64, rate: u32, frames: usize) -> Vec<i16> {
    (0..frames)
        .map(|n| ((TAU * hz * n as f64 / f64::from(rate)).sin() * 8_192.0) as i16)
        .collect()
}

/// Listens to one channel of interleaved sound.
#[must_use]
pub fn listen(samples: &[i16], channels: usize, channel: usize, rate: u32) -> Heard {
    let sound: Vec<f64> = samples
        .iter()
        .skip(channel)
        .step_by(channels)
        .map(|&s| f64::from(s) / 32_768.0)
        .collect();
    let power = sound.iter().map(|s| s * s).sum::<f64>() / sound.len().max(1) as f64;
    let coarse = strongest(&sound, rate, (50..=2_000).step_by(5));
    let fine = strongest(&sound, rate, coarse - 5..=coarse + 5);
    let share = if power > 0.0 {
        at(&sound, rate, f64::from(fine)) / power
    } else {
        0.0
    };
    Heard {
        hz: if power > 0.0 { f64::from(fine) } else { 0.0 },
        purity: share.min(1.0),
        steady: steady(&sound, rate, f64::from(fine)),
        level: power.sqrt(),
    }
}

fn steady(sound: &[f64], rate: u32, hz: f64) -> f64 {
    let stretches = sound.chunks_exact(rate as usize / 20);
    let count = stretches.len().max(1) as f64;
    let pure = stretches.filter(|stretch| {
        let power = stretch.iter().map(|s| s * s).sum::<f64>() / stretch.len() as f64;
        power > 1e-6 && at(stretch, rate, hz) / power > 0.9
    });
    pure.count() as f64 / count
}

fn strongest(sound: &[f64], rate: u32, candidates: impl Iterator<Item = u32>) -> u32 {
    // A fifth of a second tells 5 Hz apart well enough and is quick.
    let part = &sound[..sound.len().min(rate as usize / 5)];
    candidates
        .map(|hz| (hz, at(part, rate, f64::from(hz))))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map_or(0, |(hz, _)| hz)
}

/// Mean power at one frequency (Goertzel).
fn at(sound: &[f64], rate: u32, hz: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hz / f64::from(rate)).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for &sample in sound {
        (before, last) = (last, sample + coefficient * last - before);
    }
    let energy = last * last + before * before - coefficient * last * before;
    let count = sound.len().max(1) as f64;
    2.0 * energy / (count * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_told_from_another_and_from_silence() {
        let heard = listen(&tone(440.0, 48_000, 48_000), 1, 0, 48_000);
        assert!((heard.hz - 440.0).abs() <= 1.0, "{heard:?}");
        assert!(heard.purity > 0.99, "{heard:?}");
        assert_eq!(heard.steady, 1.0, "{heard:?}");
        assert!((heard.level - 0.177).abs() < 0.001, "{heard:?}");
        let silence = listen(&[0; 48_000], 1, 0, 48_000);
        assert_eq!((silence.hz, silence.purity, silence.level), (0.0, 0.0, 0.0));
        assert_eq!(silence.steady, 0.0);
    }

    #[test]
    fn an_interrupted_tone_is_less_pure() {
        let mut sound = tone(660.0, 48_000, 48_000);
        sound[20_000..30_000].fill(0);
        let heard = listen(&sound, 1, 0, 48_000);
        assert!((heard.hz - 660.0).abs() <= 1.0, "{heard:?}");
        assert!(heard.purity < 0.85, "{heard:?}");
        assert!((0.7..0.9).contains(&heard.steady), "{heard:?}");
    }

    #[test]
    fn lost_stretches_break_the_phase_and_cost_little_steadiness() {
        let whole = tone(440.0, 48_000, 96_000);
        let lost = whole.chunks(24_000).flat_map(|part| &part[..23_945]);
        let heard = listen(&lost.copied().collect::<Vec<_>>(), 1, 0, 48_000);
        assert!((heard.hz - 440.0).abs() <= 2.0, "{heard:?}");
        assert!(heard.purity < 0.8, "{heard:?}");
        assert!(heard.steady > 0.85, "{heard:?}");
    }

    #[test]
    fn noise_is_not_steady() {
        let noise: Vec<i16> = (0..48_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 17) as i16 - 16_384)
            .collect();
        assert!(listen(&noise, 1, 0, 48_000).steady < 0.2);
    }

    #[test]
    fn channels_are_told_apart() {
        let left = tone(440.0, 48_000, 24_000);
        let right = tone(660.0, 48_000, 24_000);
        let both: Vec<i16> = left
            .iter()
            .zip(&right)
            .flat_map(|(&l, &r)| [l, r])
            .collect();
        assert!((listen(&both, 2, 0, 48_000).hz - 440.0).abs() <= 1.0);
        assert!((listen(&both, 2, 1, 48_000).hz - 660.0).abs() <= 1.0);
    }
}
