//! Loudness of a packet and whether somebody speaks in it, as RFC 6464 has it. Pure.

use crate::media::frame::SoundLevel;

/// This much above the noise is a voice.
const ABOVE_NOISE: f32 = 9.0;

/// Softer than this is never one.
const SOFTEST: f32 = -65.0;

/// How fast the noise is thought to grow while it is louder, in dB a packet of 20 ms: 3 dB a second.
const GROWTH: f32 = 0.06;

/// Packets for which a voice goes on after it was heard last: ends of words are soft.
const HANGOVER: u32 = 10;

/// Follows the noise behind a voice.
#[derive(Debug)]
pub struct Activity {
    noise: f32,
    hangover: u32,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            noise: -40.0,
            hangover: 0,
        }
    }
}

impl Activity {
    /// Takes in a packet of this root mean square in dB of full scale.
    pub fn hear(&mut self, dbfs: f32) -> SoundLevel {
        self.noise = if dbfs < self.noise {
            dbfs.max(-127.0)
        } else {
            self.noise + GROWTH
        };
        let voice = dbfs > SOFTEST && dbfs > self.noise + ABOVE_NOISE;
        self.hangover = if voice {
            HANGOVER
        } else {
            self.hangover.saturating_sub(1)
        };
        SoundLevel {
            dbov: (-dbfs).round().clamp(0.0, 127.0) as u8,
            voice: self.hangover > 0 && dbfs > -127.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voice_above_noise_is_one_and_the_noise_is_none() {
        let mut activity = Activity::default();
        for _ in 0..100 {
            activity.hear(-55.0);
        }
        assert!(!activity.hear(-55.0).voice);
        let spoken = activity.hear(-20.4);
        assert_eq!((spoken.dbov, spoken.voice), (20, true));
        assert!(activity.hear(-50.0).voice, "the end of a word");
        let after = (0..20).map(|_| activity.hear(-55.0)).last();
        assert_eq!(after.map(|level| level.voice), Some(false));
    }

    #[test]
    fn real_silence_is_127_and_no_voice_at_once() {
        let mut activity = Activity::default();
        activity.hear(-10.0);
        let muted = activity.hear(-127.0);
        assert_eq!((muted.dbov, muted.voice), (127, false));
    }

    #[test]
    fn noise_that_grew_is_noise_after_a_while() {
        let mut activity = Activity::default();
        for _ in 0..50 {
            activity.hear(-60.0);
        }
        assert!(activity.hear(-40.0).voice);
        let later = (0..600).map(|_| activity.hear(-40.0)).last();
        assert_eq!(later.map(|level| level.voice), Some(false));
    }
}
