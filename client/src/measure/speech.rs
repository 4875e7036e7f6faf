//! A made-up voice, the same every time: for trying what only works on speech.

use std::f64::consts::TAU;

use crate::media::frame::SAMPLE_RATE;

const RATE: f64 = SAMPLE_RATE as f64;

/// Where a mouth resonates, and how wide, in Hz; a new shape with each word.
const MOUTHS: [[(f64, f64); 3]; 4] = [
    [(700.0, 90.0), (1_200.0, 110.0), (2_600.0, 160.0)],
    [(300.0, 60.0), (2_300.0, 120.0), (3_000.0, 170.0)],
    [(500.0, 80.0), (1_700.0, 110.0), (2_500.0, 160.0)],
    [(350.0, 60.0), (800.0, 90.0), (2_400.0, 160.0)],
];

/// Pulses of a gliding pitch and a little breath through three resonances, in words with pauses between them.
/// Gives samples of 16 bits at 48 kHz for ever.
#[derive(Clone, Debug)]
pub struct Speech {
    pitch: f64,
    words_a_second: f64,
    sample: u64,
    phase: f64,
    seed: u64,
    resonances: [[f64; 2]; 3],
}

impl Speech {
    /// A voice of about this pitch in Hz; `seed` makes it say something else.
    #[must_use]
    pub fn new(pitch: f64, words_a_second: f64, seed: u64) -> Self {
        Self {
            pitch,
            words_a_second,
            sample: 0,
            phase: 0.0,
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            resonances: [[0.0; 2]; 3],
        }
    }

    fn breath(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 40) as f64 / f64::from(1 << 23) - 1.0
    }
}

impl Iterator for Speech {
    type Item = i16;

    fn next(&mut self) -> Option<i16> {
        let time = self.sample as f64 / RATE;
        self.sample += 1;
        let glide = 1.0 + 0.2 * (TAU * 0.7 * time).sin() + 0.05 * (TAU * 3.1 * time).sin();
        self.phase += self.pitch * glide / RATE;
        let mut sound = 60.0 * self.breath();
        if self.phase >= 1.0 {
            self.phase -= 1.0;
            sound += 9_000.0;
        }
        let word = time * self.words_a_second;
        let mouth = MOUTHS[(word as u64 ^ self.seed_of_word(word)) as usize % MOUTHS.len()];
        for (state, (hz, width)) in self.resonances.iter_mut().zip(mouth) {
            let radius = (-TAU / 2.0 * width / RATE).exp();
            let next = sound * (1.0 - radius) * 4.0
                + 2.0 * radius * (TAU * hz / RATE).cos() * state[0]
                - radius * radius * state[1];
            *state = [next, state[0]];
            sound = next;
        }
        let loud = (TAU / 2.0 * word.fract() * 1.4).sin().max(0.0);
        let sample = (sound * 3.0 * loud).clamp(-30_000.0, 30_000.0);
        Some(sample as i16)
    }
}

impl Speech {
    /// The pitch tells voices apart, so that two do not say the same.
    fn seed_of_word(&self, word: f64) -> u64 {
        (word as u64).wrapping_mul(self.pitch as u64) >> 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_words_and_pauses_and_is_neither_too_soft_nor_too_loud() {
        for pitch in [110.0, 210.0] {
            let said: Vec<i16> = Speech::new(pitch, 2.0, 1).take(48_000 * 4).collect();
            let loudness = |block: &[i16]| {
                let power: f64 = block.iter().map(|s| f64::from(*s).powi(2)).sum();
                (power / block.len() as f64).sqrt()
            };
            let blocks: Vec<f64> = said.chunks(480).map(loudness).collect();
            let loudest = blocks.iter().copied().fold(0.0, f64::max);
            assert!((2_000.0..16_000.0).contains(&loudest), "{loudest}");
            let pauses = blocks.iter().filter(|l| **l < loudest / 30.0).count();
            assert!((40..250).contains(&pauses), "{pauses}");
        }
    }
}
