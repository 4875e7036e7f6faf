//! Uses the devices of its environment through the client's library and tells what it found,
//! one JSON object a line. Run by the device tests under a sound server of their own, and by the
//! rig inside a virtual machine.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rtc_client::media::capture::camera::{Camera, CameraWish};
use rtc_client::media::capture::microphone::Microphone;
use rtc_client::media::capture::{AudioItem, AudioSource, VideoItem, VideoSource};
use rtc_client::media::clock::Timestamp;
use rtc_client::media::convert::to_rgb;
use rtc_client::media::devices::inventory::Inventory;
use rtc_client::media::frame::{Picture, SAMPLE_RATE, Sound};
use rtc_client::media::sink::speaker::Speaker;
use rtc_e2e::tone::{listen, tone};
use serde_json::json;

const USAGE: &str = "device-probe list | watch FRAMES WIDTH HEIGHT FPS | listen SECONDS [WHICH] | play HZ SECONDS [WHICH] | reopen TIMES | spoil | tone HZ SECONDS | judge FILE";

fn main() {
    let started = Instant::now();
    if let Err(error) = run() {
        println!(
            "{}",
            json!({"error": format!("{error:#}"), "afterMs": ms(started)})
        );
        std::process::exit(1);
    }
}

fn run() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["list"] => println!("{}", serde_json::to_string(&Inventory::take())?),
        ["listen", seconds] => hear(seconds.parse()?, None)?,
        ["listen", seconds, which] => hear(seconds.parse()?, Some(which))?,
        ["play", hz, seconds] => play(hz.parse()?, seconds.parse()?, None)?,
        ["play", hz, seconds, which] => play(hz.parse()?, seconds.parse()?, Some(which))?,
        ["watch", frames, width, height, fps] => watch(
            frames.parse()?,
            CameraWish {
                width: width.parse()?,
                height: height.parse()?,
                fps: fps.parse()?,
            },
        )?,
        ["tone", hz, seconds] => write_tone(hz.parse()?, seconds.parse()?)?,
        #[cfg(target_os = "linux")]
        ["spoil"] => spoil()?,
        ["judge", path] => judge(path)?,
        ["reopen", times] => reopen(times.parse()?)?,
        _ => bail!("{USAGE}"),
    }
    Ok(())
}

/// Takes pictures; the first is not judged, it may be old.
fn watch(frames: u64, wish: CameraWish) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut camera = Camera::open(None, wish)?;
    println!(
        "{}",
        json!({"opened": camera.describe(), "afterMs": ms(started)})
    );
    let mut distinct = HashSet::new();
    let (mut first, mut first_ms, mut last) = (None, None, None);
    let (mut steps_back, mut odd) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(30 + frames);
    while (distinct.len() as u64) < frames && Instant::now() < deadline {
        let VideoItem::Raw(picture) = camera.next()?.context("the camera ended")? else {
            continue;
        };
        first_ms.get_or_insert_with(|| ms(started));
        let chroma = picture.chroma_stride() * picture.chroma_rows();
        let whole = (picture.width * picture.height) as usize == picture.y.len()
            && [picture.u.len(), picture.v.len()] == [chroma; 2]
            && (picture.width, picture.height) == camera.size();
        odd += usize::from(!whole);
        first.get_or_insert(picture.at);
        steps_back += usize::from(last.as_ref().is_some_and(|l: &Picture| l.at >= picture.at));
        let mut hasher = std::hash::DefaultHasher::new();
        picture.y.hash(&mut hasher);
        distinct.insert(hasher.finish());
        last = Some(picture);
    }
    let stats = camera.stats();
    let closing = Instant::now();
    drop(camera);
    let close_ms = ms(closing);
    let (first, last) = first.zip(last).context("no picture came")?;
    let span = last.at.since(first).as_secs_f64();
    println!(
        "{}",
        json!({
            "taken": stats.taken, "dropped": stats.dropped, "broken": stats.broken,
            "distinct": distinct.len(), "odd": odd, "stepsBack": steps_back,
            // Dropped ones are within the span too.
            "fps": (stats.taken.saturating_sub(1)) as f64 / span.max(1e-9),
            "bars": bars(&last)?, "firstMs": first_ms, "closeMs": close_ms,
        })
    );
    Ok(())
}

/// The colours of eight upright bars, taken where no caption lies over them.
fn bars(picture: &Picture) -> anyhow::Result<Vec<[u8; 3]>> {
    let rgb = to_rgb(picture)?;
    let (width, row) = (picture.width as usize, picture.height as usize * 7 / 8);
    let middles = (0..8).map(|bar| width * (2 * bar + 1) / 16);
    Ok(middles
        .map(|column| {
            let at = 3 * (row * width + column);
            [rgb[at], rgb[at + 1], rgb[at + 2]]
        })
        .collect())
}

/// Hears the microphone; the first half second, in which everything starts, is not judged.
fn hear(seconds: f64, which: Option<&str>) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut microphone = Microphone::open(which)?;
    println!(
        "{}",
        json!({"opened": microphone.describe(), "afterMs": ms(started)})
    );
    let mut sound = Vec::new();
    let (mut channels, mut blocks, mut uneven) = (1, 0, 0);
    let mut first_ms = None;
    let mut next: Option<Timestamp> = None;
    let (mut steps_back, mut age_us) = (0, 0);
    let wanted = (seconds + 0.5) * f64::from(SAMPLE_RATE);
    let deadline = Instant::now() + Duration::from_secs_f64(seconds * 5.0 + 20.0);
    while (sound.len() as f64) < wanted * f64::from(channels) {
        if Instant::now() > deadline {
            bail!("heard only {} samples", sound.len());
        }
        match microphone.next()?.context("the microphone ended")? {
            AudioItem::Raw(block) => {
                first_ms.get_or_insert_with(|| ms(started));
                channels = block.channels;
                blocks += 1;
                uneven += usize::from(block.duration() != Duration::from_millis(20));
                steps_back += usize::from(
                    next.is_some_and(|next| block.at + Duration::from_millis(1) < next),
                );
                next = Some(block.at + block.duration());
                age_us = Timestamp::now().since(block.at).as_micros();
                sound.extend(block.samples);
            }
            AudioItem::Nothing => {}
            AudioItem::Encoded(_) => bail!("a microphone does not encode"),
            AudioItem::Interrupted(why) => bail!(why),
            AudioItem::Resumed(_) => {}
        }
    }
    let judged = &sound[SAMPLE_RATE as usize / 2 * usize::from(channels)..];
    let heard = listen(judged, usize::from(channels), 0, SAMPLE_RATE);
    let dropped = microphone.dropped();
    let closing = Instant::now();
    drop(microphone);
    println!(
        "{}",
        json!({
            "hz": heard.hz, "purity": heard.purity, "steady": heard.steady, "level": heard.level,
            "blocks": blocks, "uneven": uneven, "stepsBack": steps_back, "channels": channels,
            "dropped": dropped, "lastAgeMs": age_us as f64 / 1_000.0,
            "firstMs": first_ms, "closeMs": ms(closing),
        })
    );
    Ok(())
}

/// Plays a tone as two far peers, each half of it, in pushes of 20 ms.
fn play(hz: f64, seconds: f64, which: Option<&str>) -> anyhow::Result<()> {
    let started = Instant::now();
    let speaker = Speaker::open(which)?;
    println!(
        "{}",
        json!({"opened": speaker.describe(), "afterMs": ms(started)})
    );
    let mut inputs = [speaker.input("a")?, speaker.input("b")?];
    let samples = tone(hz, SAMPLE_RATE, (seconds * f64::from(SAMPLE_RATE)) as usize);
    let begin = Instant::now();
    for (n, block) in samples.chunks(SAMPLE_RATE as usize / 50).enumerate() {
        let due = begin + Duration::from_millis(20) * n as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let sound = Sound {
            samples: block.iter().map(|s| s / 2).collect(),
            channels: 1,
            at: Timestamp::now(),
        };
        inputs.iter_mut().for_each(|input| input.push(&sound));
        if let Some(problem) = speaker.problem() {
            return Err(problem.into());
        }
    }
    let stats = inputs[0].stats();
    let closing = Instant::now();
    drop(speaker);
    println!(
        "{}",
        json!({
            "pushed": stats.pushed, "played": stats.played, "dropped": stats.dropped,
            "buffered": stats.buffered, "underflows": stats.underflows, "closeMs": ms(closing),
        })
    );
    Ok(())
}

/// Opens and closes both again and again, and counts what is left behind.
fn reopen(times: usize) -> anyhow::Result<()> {
    let (mut threads, mut files) = (0, 0);
    for n in 0..times {
        let mut microphone = Microphone::open(None)?;
        let speaker = Speaker::open(None)?;
        microphone.next()?;
        drop((microphone, speaker));
        if n == 0 {
            (threads, files) = (count("task")?, count("fd")?);
        }
    }
    // What ends by itself, such as the sound library's connection, gets a moment.
    let deadline = Instant::now() + Duration::from_secs(5);
    while (count("task")? > threads || count("fd")? > files) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    println!(
        "{}",
        json!({
            "threadsMore": count("task")? as i64 - threads as i64,
            "filesMore": count("fd")? as i64 - files as i64,
        })
    );
    Ok(())
}

/// Leaves the first camera as another program may: in an odd format, at half a picture more than 12 a second.
#[cfg(target_os = "linux")]
fn spoil() -> anyhow::Result<()> {
    use v4l::video::Capture;
    let camera = v4l::Device::new(0)?;
    let odd = v4l::Format::new(1280, 720, v4l::FourCC::new(b"UYVY"));
    camera.set_format(&odd)?;
    let interval = v4l::Fraction::new(2, 25);
    camera.set_params(&v4l::video::capture::Parameters::new(interval))?;
    println!("{} {}", camera.format()?, camera.params()?);
    Ok(())
}

/// Writes a tone as raw samples, mono.
fn write_tone(hz: f64, seconds: usize) -> anyhow::Result<()> {
    let samples = tone(hz, SAMPLE_RATE, SAMPLE_RATE as usize * seconds);
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    std::io::stdout().write_all(&bytes)?;
    Ok(())
}

/// Hears raw samples in stereo.
fn judge(path: &str) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).with_context(|| path.to_owned())?;
    let samples: Vec<i16> = bytes
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    let heard = listen(&samples, 2, 0, SAMPLE_RATE);
    println!(
        "{}",
        json!({
            "hz": heard.hz, "purity": heard.purity, "steady": heard.steady, "level": heard.level,
            "frames": samples.len() / 2,
        })
    );
    Ok(())
}

fn count(what: &str) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/self/{what}"))?.count())
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_micros() as f64 / 1_000.0
}
