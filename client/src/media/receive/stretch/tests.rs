#![allow(clippy::unwrap_used)]

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

const RATE: f64 = SAMPLE_RATE as f64;

/// Both channels the same, the right one at half the level.
fn stereo(mono: impl Iterator<Item = f64>) -> Vec<i16> {
    mono.flat_map(|sample| [sample as i16, (sample / 2.0) as i16])
        .collect()
}

fn tone(hz: f64, frames: usize) -> Vec<i16> {
    stereo((0..frames).map(|n| 12_000.0 * (TAU * hz * n as f64 / RATE).sin()))
}

/// Pulses of a gliding pitch through two resonances, as a voice is made, with pauses between words.
fn speech(frames: usize) -> Vec<i16> {
    let (mut phase, mut states) = (0.0, [[0.0_f64; 2]; 2]);
    let voice = (0..frames).map(move |n| {
        let time = n as f64 / RATE;
        phase += (120.0 + 30.0 * (TAU * 0.7 * time).sin()) / RATE;
        let mut sample = 0.0;
        if phase >= 1.0 {
            phase -= 1.0;
            sample = 9_000.0;
        }
        for (state, (hz, width)) in states.iter_mut().zip([(600.0, 80.0), (1_400.0, 120.0)]) {
            let radius = (-TAU / 2.0 * width / RATE).exp();
            let next = sample * (1.0 - radius) * 4.0
                + 2.0 * radius * (TAU * hz / RATE).cos() * state[0]
                - radius * radius * state[1];
            *state = [next, state[0]];
            sample = next;
        }
        let word = (TAU * 2.0 * time).sin().max(0.0);
        (sample * 3.0 * word).clamp(-30_000.0, 30_000.0)
    });
    stereo(voice)
}

/// Feeds packets of 20 ms and changes each by at most 15 ms until so many frames have gone or come.
fn stretched(sound: &[i16], longer: bool, asked: usize) -> (Vec<i16>, usize) {
    let (mut out, mut changed) = (Vec::new(), 0);
    for packet in sound.chunks(960 * 2) {
        let mut packet = packet.to_vec();
        let most = asked - changed;
        changed += if longer {
            lengthen(&mut packet, 2, most, 0.9)
        } else {
            shorten(&mut packet, 2, most, 0.9)
        };
        out.extend(packet);
    }
    (out, changed)
}

fn left(sound: &[i16]) -> Vec<f64> {
    sound
        .chunks_exact(2)
        .map(|frame| f64::from(frame[0]))
        .collect()
}

fn largest_step(sound: &[i16]) -> f64 {
    let left = left(sound);
    left.windows(2)
        .map(|two| (two[1] - two[0]).abs())
        .fold(0.0, f64::max)
}

/// By counting how often the wave rises through zero.
fn pitch(sound: &[i16]) -> f64 {
    let left = left(sound);
    let rises: Vec<usize> = (1..left.len())
        .filter(|&n| left[n - 1] < 0.0 && left[n] >= 0.0)
        .collect();
    let (first, last) = (rises[0], rises[rises.len() - 1]);
    (rises.len() - 1) as f64 * RATE / (last - first) as f64
}

#[test]
fn a_tone_keeps_its_pitch_and_gets_the_length_that_was_asked() {
    for hz in [110.0, 440.0, 1_000.0, 3_100.0] {
        let sound = tone(hz, 48_000 * 5);
        for longer in [false, true] {
            let asked = 24_000;
            let (out, changed) = stretched(&sound, longer, asked);
            // What is left over is less than the shortest stretch, or one period of a low voice.
            assert!(asked - changed < LONGEST, "{hz} Hz: {changed} of {asked}");
            let frames = if longer {
                sound.len() / 2 + changed
            } else {
                sound.len() / 2 - changed
            };
            assert_eq!(out.len() / 2, frames);
            assert!(
                (pitch(&out) - hz).abs() < hz * 0.004,
                "{hz} Hz: {}",
                pitch(&out)
            );
        }
    }
}

#[test]
fn the_chamber_a_stays_within_two_hertz() {
    let sound = tone(440.0, 48_000 * 5);
    for longer in [false, true] {
        let (out, _) = stretched(&sound, longer, 48_000);
        assert!((pitch(&out) - 440.0).abs() < 2.0, "{}", pitch(&out));
    }
}

#[test]
fn no_seam_has_a_step_that_the_sound_itself_has_not() {
    for (name, sound) in [
        ("tone", tone(440.0, 48_000 * 5)),
        ("speech", speech(48_000 * 5)),
    ] {
        for longer in [false, true] {
            let (out, changed) = stretched(&sound, longer, 24_000);
            assert!(changed > 12_000, "{name}: {changed}");
            let (own, now) = (largest_step(&sound), largest_step(&out));
            assert!(
                now <= own * 1.02 + 2.0,
                "{name}: {now} where the sound has {own}"
            );
        }
    }
}

#[test]
fn speech_keeps_its_loudness() {
    let sound = speech(48_000 * 5);
    let power = |sound: &[i16]| {
        let left = left(sound);
        left.iter().map(|s| s * s).sum::<f64>() / left.len() as f64
    };
    for longer in [false, true] {
        let (out, _) = stretched(&sound, longer, 24_000);
        let change = 10.0 * (power(&out) / power(&sound)).log10();
        assert!(change.abs() < 1.0, "{change} dB");
    }
}

#[test]
fn the_channels_stay_in_step() {
    for longer in [false, true] {
        let (out, _) = stretched(&speech(48_000), longer, 4_800);
        assert!(
            out.chunks_exact(2)
                .all(|frame| (frame[0] / 2 - frame[1]).abs() <= 1)
        );
    }
}

#[test]
fn silence_gives_way_by_the_whole_stretch() {
    let mut silence = vec![0; 960 * 2];
    assert_eq!(shorten(&mut silence, 2, 10_000, 0.9), LONGEST);
    assert_eq!(
        lengthen(&mut silence, 2, 10_000, 0.9),
        0,
        "too short by now"
    );
}

#[test]
fn what_is_not_like_itself_is_left_alone() {
    // One blow in the middle of a packet of noise.
    let mut seed = 1_u32;
    let noise = (0..960).map(|n| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from((seed >> 16) as i16) * if n > 300 { 0.5 } else { 0.05 }
    });
    let before = stereo(noise);
    let mut after = before.clone();
    assert_eq!(shorten(&mut after, 2, 10_000, 0.9), 0);
    assert_eq!(lengthen(&mut after, 2, 10_000, 0.9), 0);
    assert_eq!(before, after);
}

proptest! {
    #[test]
    fn any_sound_is_survived_and_what_is_told_is_true(
        mut sound in proptest::collection::vec(any::<i16>(), 0..4_000),
        channels in 1_usize..3,
        most in 0_usize..2_000,
        likeness in -1.0_f64..1.0,
    ) {
        let before = sound.len();
        let gone = shorten(&mut sound, channels, most, likeness);
        prop_assert!(gone <= most.min(LONGEST));
        prop_assert_eq!(sound.len(), before - gone * channels);
        let before = sound.len();
        let come = lengthen(&mut sound, channels, most, likeness);
        prop_assert!(come <= most.min(LONGEST));
        prop_assert_eq!(sound.len(), before + come * channels);
    }
}
