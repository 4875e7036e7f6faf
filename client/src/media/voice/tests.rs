#![allow(clippy::unwrap_used)]

use super::*;
use crate::measure::speech::Speech;
use crate::media::capture::{AudioItem, AudioSource, SourceError};
use crate::media::clock::Timestamp;
use crate::media::frame::Sound;

const SECOND: usize = SAMPLE_RATE as usize;

/// From the loudspeaker into the microphone: 60 ms and a quarter of the level.
fn echo(far: &[i16]) -> Vec<i16> {
    let delay = SECOND * 60 / 1_000;
    let late = std::iter::repeat_n(0, delay).chain(far.iter().copied());
    late.take(far.len()).map(|s| s / 4).collect()
}

fn power(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    sum / samples.len() as f64
}

fn db(more: &[i16], less: &[i16]) -> f64 {
    10.0 * (power(more) / power(less).max(1e-3)).log10()
}

fn sum(a: &[i16], b: &[i16]) -> Vec<i16> {
    a.iter().zip(b).map(|(a, b)| a.saturating_add(*b)).collect()
}

const ECHO_ONLY: VoiceSettings = VoiceSettings {
    echo_cancellation: true,
    ..VoiceSettings::NOTHING
};

/// What leaves the processing of a microphone of so many channels, the first of them.
fn processed(settings: VoiceSettings, far: &[i16], near: &[i16], channels: u16) -> Vec<i16> {
    let mut processor = VoiceProcessor::new(settings, channels);
    let wide = |mono: &[i16], channels: u16| -> Vec<i16> {
        mono.iter()
            .flat_map(|s| std::iter::repeat_n(*s, channels.into()))
            .collect()
    };
    let mut out = Vec::new();
    for (far, near) in far.chunks_exact(BLOCK).zip(near.chunks_exact(BLOCK)) {
        processor.far(&wide(far, 2), SAMPLE_RATE, 2);
        let mut block = wide(near, channels);
        processor.near(&mut block, Duration::from_millis(60));
        out.extend(block.iter().step_by(channels.into()));
    }
    out
}

#[test]
fn the_far_voice_is_taken_out_of_the_microphone() {
    let far: Vec<i16> = Speech::new(120.0, 2.0, 1).take(SECOND * 8).collect();
    let echo = echo(&far);
    for channels in [1, 2] {
        let out = processed(ECHO_ONLY, &far, &echo, channels);
        let erle = db(&echo[SECOND * 3..], &out[SECOND * 3..]);
        assert!(erle >= 20.0, "{channels} channels: {erle} dB");
    }
}

#[test]
fn who_speaks_at_the_same_time_is_kept() {
    let far: Vec<i16> = Speech::new(120.0, 2.0, 1).take(SECOND * 10).collect();
    let mut near: Vec<i16> = Speech::new(205.0, 1.7, 2).take(SECOND * 10).collect();
    // Only the far one speaks at first.
    near[..SECOND * 5].fill(0);
    let out = processed(ECHO_ONLY, &far, &sum(&echo(&far), &near), 1);
    let kept = db(&out[SECOND * 5..], &near[SECOND * 5..]);
    assert!(kept.abs() < 3.0, "{kept} dB");
}

#[test]
fn noise_is_made_softer_and_a_soft_voice_louder() {
    let mut seed = 7_u32;
    let noise: Vec<i16> = (0..SECOND * 6)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((seed >> 16) as i16) / 200
        })
        .collect();
    let silence = vec![0; noise.len()];
    let noise_only = VoiceSettings {
        noise_suppression: true,
        ..VoiceSettings::NOTHING
    };
    let out = processed(noise_only, &silence, &noise, 1);
    let less = db(&noise[SECOND * 3..], &out[SECOND * 3..]);
    assert!(less > 10.0, "{less} dB");

    let soft: Vec<i16> = Speech::new(160.0, 2.0, 3)
        .take(SECOND * 10)
        .map(|s| s / 20)
        .collect();
    let silence = vec![0; soft.len()];
    let gain_only = VoiceSettings {
        auto_gain_control: true,
        ..VoiceSettings::NOTHING
    };
    let out = processed(gain_only, &silence, &soft, 1);
    let more = db(&out[SECOND * 5..], &soft[SECOND * 5..]);
    assert!(more > 6.0, "{more} dB");
}

/// A microphone that gives blocks of any length.
struct Blocks(std::vec::IntoIter<Vec<i16>>, u64);

impl AudioSource for Blocks {
    fn next(&mut self) -> Result<Option<AudioItem>, SourceError> {
        let at = Timestamp::from_micros(1_000_000 + self.1 * 1_000_000 / u64::from(SAMPLE_RATE));
        Ok(self.0.next().map(|samples| {
            self.1 += samples.len() as u64;
            AudioItem::Raw(Sound {
                samples,
                channels: 1,
                at,
            })
        }))
    }
    fn describe(&self) -> String {
        "blocks".into()
    }
}

#[test]
fn a_source_behind_the_processing_keeps_its_time_and_loses_nothing() {
    let blocks: Vec<Vec<i16>> = [960, 700, 100, 960, 1_160, 480]
        .map(|n| vec![1_000; n])
        .into();
    let mut source = Processed::new(
        Box::new(Blocks(blocks.into_iter(), 0)),
        VoiceSettings::SPEECH,
        None,
    );
    let mut frames = 0;
    while let Some(item) = source.next().unwrap() {
        if let AudioItem::Raw(sound) = item {
            let expected = 1_000_000 + frames * 1_000_000 / u64::from(SAMPLE_RATE);
            assert!(
                sound.at.as_micros().abs_diff(expected) <= 2,
                "{:?} {expected}",
                sound.at
            );
            assert_eq!(sound.samples.len() % BLOCK, 0);
            frames += sound.samples.len() as u64;
        }
    }
    assert_eq!(frames, 4_320);
}
