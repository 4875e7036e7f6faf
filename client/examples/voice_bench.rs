//! What the processing of a microphone costs and how much echo it takes out:
//! `cargo run --release -p rtc-client --example voice_bench`.

use std::time::{Duration, Instant};

use rtc_client::measure::speech::Speech;
use rtc_client::media::frame::SAMPLE_RATE;
use rtc_client::media::voice::{BLOCK, VoiceProcessor, VoiceSettings};

const SECONDS: usize = 20;

fn main() {
    let second = SAMPLE_RATE as usize;
    let far: Vec<i16> = Speech::new(120.0, 2.0, 1).take(second * SECONDS).collect();
    let delay = std::iter::repeat_n(0, second * 60 / 1_000);
    let echo: Vec<i16> = delay
        .chain(far.iter().map(|s| s / 4))
        .take(far.len())
        .collect();
    let echo_only = VoiceSettings {
        echo_cancellation: true,
        ..VoiceSettings::NOTHING
    };
    for (name, settings) in [
        ("echo cancellation", echo_only),
        ("everything", VoiceSettings::SPEECH),
    ] {
        for channels in [1_u16, 2] {
            let (out, spent) = run(settings, channels, &far, &echo);
            let erle = |from: usize, to: usize| {
                let range = from * second..to * second;
                10.0 * (power(&echo[range.clone()]) / power(&out[range]).max(1e-3)).log10()
            };
            let blocks = (far.len() / BLOCK) as f64;
            println!(
                "{name}, {channels} channels: {:.3} ms a block of 10 ms; ERLE second 1 {:.0} dB, 2 and 3 {:.0} dB, from 3 on {:.0} dB",
                spent.as_secs_f64() * 1e3 / blocks,
                erle(0, 1),
                erle(1, 3),
                erle(3, SECONDS),
            );
        }
    }
}

/// The first channel of what comes out, and how long it took.
fn run(settings: VoiceSettings, channels: u16, far: &[i16], near: &[i16]) -> (Vec<i16>, Duration) {
    let mut processor = VoiceProcessor::new(settings, channels);
    let mut out = Vec::with_capacity(near.len());
    let mut spent = Duration::ZERO;
    for (far, near) in far.chunks_exact(BLOCK).zip(near.chunks_exact(BLOCK)) {
        let far: Vec<i16> = far.iter().flat_map(|s| [*s; 2]).collect();
        let wide = |s: &i16| std::iter::repeat_n(*s, channels.into());
        let mut block: Vec<i16> = near.iter().flat_map(wide).collect();
        let started = Instant::now();
        processor.far(&far, SAMPLE_RATE, 2);
        processor.near(&mut block, Duration::from_millis(60));
        spent += started.elapsed();
        out.extend(block.iter().step_by(channels.into()));
    }
    (out, spent)
}

fn power(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    sum / samples.len() as f64
}
