#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::f64::consts::TAU;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::media::capture::tone::render;

const START: Timestamp = Timestamp::from_micros(1_790_000_000_700_000);

fn sound(samples: &[f64]) -> Sound {
    Sound {
        samples: samples
            .iter()
            .map(|s| (s * 32_767.0).round() as i16)
            .collect(),
        channels: 1,
        at: Timestamp::default(),
    }
}

fn sine(hz: f64, amplitude: f64, count: usize) -> Vec<f64> {
    (0..count)
        .map(|i| amplitude * (TAU * hz * i as f64 / 48_000.0).sin())
        .collect()
}

/// Feeds samples in blocks of 10 ms.
fn meter(samples: &[f64]) -> ToneMeter {
    let mut meter = ToneMeter::default();
    for block in samples.chunks(480) {
        meter.push(Timestamp::default(), &sound(block));
    }
    meter
}

#[test]
fn pitch_purity_and_level_of_a_known_sine() {
    for hz in [200.0, 439.4, 440.0, 660.0, 997.3, 4_000.0, 12_345.0] {
        let meter = meter(&sine(hz, 0.5, 96_000));
        let peak = meter.peak();
        assert!((peak.hz - hz).abs() < 0.3, "{hz}: {peak:?}");
        assert!(peak.purity > 0.999, "{hz}: {peak:?}");
        // Half of full scale is -6.02 dB, a sine's root mean square 3.01 below.
        assert!(
            (meter.level_dbfs() + 9.03).abs() < 0.05,
            "{}",
            meter.level_dbfs()
        );
        assert_eq!(meter.gaps(), 0, "{hz}");
    }
}

#[test]
fn purity_is_the_share_of_the_power() {
    let mix: Vec<f64> = sine(440.0, 0.4, 96_000)
        .iter()
        .zip(sine(1_200.0, 0.2, 96_000))
        .map(|(a, b)| a + b)
        .collect();
    let peak = meter(&mix).peak();
    assert!(
        (peak.hz - 440.0).abs() < 0.3 && (peak.purity - 0.8).abs() < 0.005,
        "{peak:?}"
    );
}

#[test]
fn the_generated_tone_is_pure() {
    let mut meter = ToneMeter::default();
    for block in 0..100 {
        let at = START + Duration::from_millis(20) * block;
        meter.push(at, &render(440, at));
    }
    let peak = meter.peak();
    assert!(
        (peak.hz - 440.0).abs() < 0.3 && peak.purity > 0.98,
        "{peak:?}"
    );
}

#[test]
fn every_gap_of_five_milliseconds_is_found_and_none_of_half_that() {
    for hz in [440.0, 660.0, 1_000.0] {
        for shift in (0..120).step_by(7) {
            for (length, gaps) in [(60, 0), (120, 0), (240, 1), (300, 1), (960, 1), (4_800, 1)] {
                let mut samples = sine(hz, 0.25, 48_000);
                samples[20_000 + shift..20_000 + shift + length].fill(0.0);
                assert_eq!(
                    meter(&samples).gaps(),
                    gaps,
                    "{hz} Hz, {length} samples at {shift}"
                );
            }
        }
    }
}

#[test]
fn gaps_are_counted_one_by_one_and_silence_before_the_tone_is_none() {
    let mut samples = vec![0.0; 30_000];
    samples.extend(sine(440.0, 0.25, 96_000));
    for gap in 0..4 {
        let from = 60_000 + gap * 9_600;
        samples[from..from + 960].fill(0.0);
    }
    assert_eq!(meter(&samples).gaps(), 4);
    // The end of the tone is one gap, however long.
    samples.extend(vec![0.0; 48_000]);
    assert_eq!(meter(&samples).gaps(), 5);
}

#[test]
fn the_length_of_a_gap_is_told_when_it_ends_and_while_it_stands() {
    for length in [480, 4_800, 48_000] {
        let mut samples = sine(440.0, 0.25, 144_000);
        samples[40_000..40_000 + length].fill(0.0);
        let mut meter = meter(&samples);
        let told = meter.lengths();
        let [told] = told[..] else { panic!("{told:?}") };
        let off = told.as_secs_f64() - length as f64 / 48_000.0;
        assert!(off.abs() < 0.003, "{told:?} for {length} samples");
        assert_eq!((meter.lengths().len(), meter.standing()), (0, None));
        meter.push(Timestamp::default(), &sound(&vec![0.0; 24_000]));
        let standing = meter.standing().unwrap().as_secs_f64();
        assert!((standing - 0.5).abs() < 0.01, "{standing}");
    }
}

#[test]
fn noise_is_no_tone() {
    let mut random = StdRng::seed_from_u64(5);
    let noise: Vec<f64> = (0..96_000)
        .map(|_| random.random_range(-0.5..0.5))
        .collect();
    let meter = meter(&noise);
    assert!(meter.peak().purity < 0.1, "{:?}", meter.peak());
    assert_eq!(meter.gaps(), 0);
}

#[test]
fn a_tone_under_noise_still_tells_its_time() {
    let mut random = StdRng::seed_from_u64(6);
    let mut meter = ToneMeter::default();
    let mut delays = Vec::new();
    for block in 0..250 {
        let at = START + Duration::from_millis(20) * block;
        let mut sound = render(440, at);
        for sample in &mut sound.samples {
            *sample += random.random_range(-800..800);
        }
        delays.extend(meter.push(at + Duration::from_millis(150), &sound));
    }
    assert!(delays.len() >= 3, "{delays:?}");
    assert!(
        delays.iter().all(|d| d.as_micros().abs_diff(150_000) < 100),
        "{delays:?}"
    );
}

#[test]
fn a_tone_that_jumps_in_time_tells_none_for_that_second() {
    let mut meter = ToneMeter::default();
    let mut delays = Vec::new();
    for block in 0..300u32 {
        // A quarter second is cut out in the middle.
        let cut = Duration::from_millis(if block < 150 { 0 } else { 251 });
        let heard = START + Duration::from_millis(20) * block;
        delays.extend(meter.push(
            heard + Duration::from_millis(400),
            &render(440, heard + cut),
        ));
    }
    let millis: Vec<u128> = delays
        .iter()
        .map(|d| (d.as_micros() + 500) / 1000)
        .collect();
    assert!(millis.iter().all(|d| [400, 149].contains(d)), "{millis:?}");
    assert!(millis.contains(&400) && millis.contains(&149), "{millis:?}");
}

#[test]
fn a_tone_with_gaps_tells_its_time_roughly() {
    for (gap, cut) in [(960, 0), (0, 7), (480, 3)] {
        let mut meter = ToneMeter::default();
        let (mut exact, mut rough) = (Vec::new(), Vec::new());
        let mut skipped = Duration::ZERO;
        for block in 0..500u32 {
            let heard = START + Duration::from_millis(20) * block;
            let mut sound = render(440, heard + skipped);
            if block % 20 == 7 {
                // Silence, and a sender that is heard a little earlier from here on.
                sound.samples[..gap].fill(0);
                skipped += Duration::from_millis(cut);
            }
            let late = Duration::from_millis(400);
            exact.extend(meter.push(heard + late, &sound));
            rough.extend(meter.rough().into_iter().map(|told| (told, late - skipped)));
        }
        assert!(exact.len() + rough.len() >= 7, "{exact:?} {rough:?}");
        for (told, truth) in rough {
            let off = told.as_micros().abs_diff(truth.as_micros());
            assert!(off < 20_000, "{gap} {cut}: {told:?} for {truth:?}");
        }
    }
}

#[test]
fn a_plain_sine_tells_no_time() {
    let samples = sine(440.0, 0.25, 240_000);
    let mut meter = ToneMeter::default();
    for block in samples.chunks(960) {
        assert!(meter.push(START, &sound(block)).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn every_delay_below_a_second_is_told(start in 0u64..1_000_000, late in 0u64..1_000_000, hz in prop::sample::select(vec![300u32, 440, 660])) {
        let mut meter = ToneMeter::default();
        let mut delays = Vec::new();
        for block in 0..120u64 {
            let at = Timestamp::from_micros(1_790_000_000_000_000 + start + block * 20_000);
            delays.extend(meter.push(at + Duration::from_micros(late), &render(hz, at)));
        }
        prop_assert!(!delays.is_empty());
        for delay in delays {
            let off = (delay.as_micros() as i64 - late as i64).rem_euclid(1_000_000);
            prop_assert!(!(60..=999_940).contains(&off), "{} for {}", delay.as_micros(), late);
        }
    }

    #[test]
    fn any_sound_can_be_measured(samples in prop::collection::vec(any::<i16>(), 0..20_000), channels in 1u16..3) {
        let mut meter = ToneMeter::default();
        meter.push(START, &Sound { samples, channels, at: START });
        let peak = meter.peak();
        prop_assert!((0.0..=1.000_001).contains(&peak.purity) && (0.0..=24_000.0).contains(&peak.hz));
        prop_assert!((-120.0..=0.0).contains(&meter.level_dbfs()));
    }
}
