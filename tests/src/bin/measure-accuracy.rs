//! How exact the measures of a call are: what was made to be so beside what was measured, and what measuring costs.
//!
//! `measure-accuracy [SECONDS]`; see `scripts/measure-verdicts accuracy`.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{StreamExt, stream};
use rtc_client::measure::audio::AudioMeter;
use rtc_client::measure::marks::{self, Mark};
use rtc_client::measure::video::VideoMeter;
use rtc_client::media::capture::test_picture;
use rtc_client::media::clock::Timestamp;
use rtc_client::media::frame::{SAMPLE_RATE, Sound};
use rtc_e2e::trial::{faults, ffmpeg_sound, judged};

/// Calls at a time.
const LANES: usize = 2;

/// Something that is known, and what has to say so.
struct Truth {
    name: &'static str,
    /// The flags of the far side that make it so.
    far: Vec<String>,
    /// The quantity, as an expectation that always holds.
    asked: &'static str,
    /// What it is, in the quantity's unit; of one that is told beside a plain call what it is more than there.
    is: f64,
    beside: bool,
    unit: &'static str,
}

fn truths(folder: &Path) -> anyhow::Result<Vec<Truth>> {
    let prepared = faults(folder, 7)?;
    let far = |name: &str| {
        let fault = prepared.iter().find(|fault| fault.name == name);
        anyhow::Ok(fault.context("no such fault")?.far.clone())
    };
    let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect();
    let clicks = folder.join("clicks.wav");
    // One wrong stretch of five samples each half second, from 2.25 s to 6.75 s: ten of them.
    let graph = "aevalsrc=0.25*sin(2*PI*440*t)+0.6*between(mod(t\\,0.5)\\,0.25\\,0.2501)*between(t\\,2\\,7):d=11:s=48000";
    ffmpeg_sound(graph, &clicks)?;
    let echo = folder.join("echo.wav");
    // We send our tone with a peak of a quarter; this is 26 dB less.
    let graph = "aevalsrc=0.25*sin(2*PI*660*t)+0.0125*sin(2*PI*440*t):d=11:s=48000";
    ffmpeg_sound(graph, &echo)?;
    let file = |path: &Path| format!("file:{}", path.display());
    let truth = |name, far, asked, is, unit| Truth {
        name,
        far,
        asked,
        is,
        beside: false,
        unit,
    };
    let more = |name, far, asked, is, unit| Truth {
        beside: true,
        ..truth(name, far, asked, is, unit)
    };
    let hz = |hz| flags(&["--audio", hz]);
    let impaired = |spec| flags(&["--impair", spec]);
    Ok(vec![
        truth(
            "tone of 440 Hz",
            hz("tone:440"),
            "audio.frequency.median>=0Hz",
            440.0,
            "Hz",
        ),
        truth(
            "tone of 660 Hz",
            hz("tone:660"),
            "audio.frequency.median>=0Hz",
            660.0,
            "Hz",
        ),
        truth(
            "its level",
            hz("tone:440"),
            "audio.level.median>=-100dBFS",
            -14.99,
            "dBFS",
        ),
        truth(
            "a second of silence",
            far("a second of sound missing")?,
            "audio.silence.max>=0ms after 1s",
            1000.0,
            "ms",
        ),
        truth(
            "ten clicks",
            hz(&file(&clicks)),
            "audio.clicks>=0 after 1s",
            10.0,
            "",
        ),
        truth(
            "echo of our tone",
            hz(&file(&echo)),
            "audio.echo.median>=-100dB after 1s",
            -26.0,
            "dB",
        ),
        truth(
            "30 pictures a second",
            flags(&[]),
            "video.fps.median>=0 after 2s",
            30.0,
            "/s",
        ),
        truth(
            "the same picture 31 times",
            far("a frozen camera")?,
            "video.repeated>=0",
            30.0,
            "",
        ),
        truth(
            "and how long it stands",
            far("a frozen camera")?,
            "video.freeze.max>=0ms after 1s",
            1033.3,
            "ms",
        ),
        truth(
            "a picture that stands for 10",
            far("a picture that stands for 300 ms")?,
            "video.freeze.max>=0ms after 1s",
            333.3,
            "ms",
        ),
        more(
            "50 ms more on the way here",
            impaired("up:delay=50ms"),
            "video.latency.median>=0ms after 2s",
            50.0,
            "ms",
        ),
        more(
            "150 ms more",
            impaired("up:delay=150ms"),
            "video.latency.median>=0ms after 2s",
            150.0,
            "ms",
        ),
        more(
            "50 ms more, of sound",
            impaired("up:delay=50ms"),
            "audio.latency.median>=0ms after 2s",
            50.0,
            "ms",
        ),
        more(
            "50 ms more both ways",
            impaired("delay=50ms"),
            "network.rtt.median>=0ms after 2s",
            100.0,
            "ms",
        ),
        truth(
            "1 % of packets lost",
            impaired("up:loss=1%,seed=7"),
            "network.loss>=0%",
            1.0,
            "%",
        ),
        truth(
            "5 % of packets lost",
            impaired("up:loss=5%,seed=7"),
            "network.loss>=0%",
            5.0,
            "%",
        ),
        truth(
            "20 % of packets lost",
            impaired("up:loss=20%,seed=7"),
            "network.loss>=0%",
            20.0,
            "%",
        ),
    ])
}

/// What was measured of the far side.
async fn measured(seconds: u64, far: &[String], asked: &str) -> anyhow::Result<f64> {
    let ended = judged(seconds, far, &["--expect", asked]).await?;
    let all = ended.summary()?["expectations"].as_array();
    let all = all.context("no expectations")?;
    let one = all.iter().find(|one| one["expected"] == asked);
    let value = one.and_then(|one| one["measured"][0][1].as_f64());
    value.with_context(|| format!("'{asked}' was not measured: {all:?}"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let seconds = std::env::args().nth(1).map_or(Ok(9), |text| text.parse());
    let seconds: u64 = seconds.context("SECONDS")?;
    let folder = tempfile::tempdir()?;
    let mut rows = stream::iter(truths(folder.path())?)
        .map(|truth| async move {
            let mut value = measured(seconds, &truth.far, truth.asked).await?;
            if truth.beside {
                value -= measured(seconds, &[], truth.asked).await?;
            }
            anyhow::Ok((truth, value))
        })
        .buffered(LANES);
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| what was made to be so | by | is | measured | off by |\n| --- | --- | --- | --- | --- |"
    )?;
    while let Some(row) = rows.next().await {
        let (truth, mut value) = row?;
        if truth.unit == "%" {
            value *= 100.0;
        }
        let (is, unit) = (truth.is, truth.unit);
        let quantity = truth.asked.split(">=").next().unwrap_or_default();
        writeln!(
            out,
            "| {} | `{quantity}` | {is} {unit} | {value:.2} {unit} | {:.2} {unit} |",
            truth.name,
            value - is
        )?;
    }
    writeln!(out, "\n{}", costs()).map_err(Into::into)
}

/// What looking and listening take of a core, in this build.
fn costs() -> String {
    const PICTURES: u32 = 120;
    let mut words = Vec::new();
    for (width, height) in [(640, 360), (1280, 720)] {
        let pictures: Vec<_> = (0..PICTURES)
            .map(|number| {
                let mut picture = test_picture::render(number, width, height);
                let at = Timestamp::from_micros(u64::from(number) * 33_333);
                marks::stamp(&mut picture, Mark { number, at });
                (at, picture)
            })
            .collect();
        let mut meter = VideoMeter::default();
        let start = Instant::now();
        for (at, picture) in &pictures {
            meter.see(*at, picture);
        }
        let share = start.elapsed().as_secs_f64() / f64::from(PICTURES) * 30.0;
        words.push(format!(
            "{width}x{height} at 30 pictures a second {:.2} %",
            share * 100.0
        ));
    }
    let mut meter = AudioMeter::default();
    let start = Instant::now();
    for block in 0..500 {
        let at = Timestamp::default() + Duration::from_millis(block * 20);
        let sample = |n: u64| {
            let t = (block * 960 + n) as f64 / f64::from(SAMPLE_RATE);
            #[allow(clippy::cast_possible_truncation)]
            let sample = (8192.0 * (std::f64::consts::TAU * 440.0 * t).sin()) as i16;
            sample
        };
        let sound = Sound {
            samples: (0..960).map(sample).collect(),
            channels: 1,
            at,
        };
        meter.hear(at, &sound, Some(440));
    }
    // Ten seconds of it; the making of the sound is in it.
    let share = start.elapsed().as_secs_f64() / 10.0;
    words.push(format!("sound {:.2} %", share * 100.0));
    format!("Measuring takes of a core: {}.", words.join(", "))
}
