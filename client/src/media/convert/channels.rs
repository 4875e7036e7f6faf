//! Mono and stereo.

use std::borrow::Cow;

use crate::media::frame::Sound;

/// The samples of `sound` as `channels` channels: one is doubled, two are averaged.
/// Where nothing is to be done nothing is copied.
#[must_use]
pub fn with_channels(sound: &Sound, channels: u16) -> Cow<'_, [i16]> {
    match (sound.channels, channels) {
        (1, 2) => Cow::Owned(sound.samples.iter().flat_map(|&s| [s, s]).collect()),
        (2, 1) => Cow::Owned(sound.samples.chunks_exact(2).map(average).collect()),
        _ => Cow::Borrowed(&sound.samples),
    }
}

/// Halves before the sum could overflow, rounding towards minus infinity.
fn average(pair: &[i16]) -> i16 {
    ((i32::from(pair[0]) + i32::from(pair[1])) >> 1) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::clock::Timestamp;

    fn sound(samples: &[i16], channels: u16) -> Sound {
        Sound {
            samples: samples.to_vec(),
            channels,
            at: Timestamp::default(),
        }
    }

    #[test]
    fn mono_is_doubled_and_stereo_averaged() {
        assert_eq!(*with_channels(&sound(&[1, -2], 1), 2), [1, 1, -2, -2]);
        assert_eq!(
            *with_channels(
                &sound(&[i16::MAX, i16::MAX, 10, -20, i16::MIN, i16::MIN], 2),
                1
            ),
            [i16::MAX, -5, i16::MIN]
        );
    }

    #[test]
    fn what_fits_is_not_copied() {
        assert!(matches!(
            with_channels(&sound(&[1, 2], 2), 2),
            Cow::Borrowed([1, 2])
        ));
    }
}
