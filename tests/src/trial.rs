//! Calls that are held to something, good ones and ones with a known fault: what verdicts are tested and measured with.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use rtc_client::measure::marks::{self, Mark};
use rtc_client::media::capture::test_picture;
use rtc_client::media::clock::Timestamp;

use crate::process::{Client, Ended};
use crate::server::TestServer;

/// What a good call on one machine is, however busy that is.
pub const GOOD: [&str; 13] = [
    "connect<10s",
    "video.fps>=20 after 2s",
    "video.frames>=60",
    FREEZE,
    "video.missing<=10 after 1s",
    REPEATED,
    PSNR,
    LATENCY,
    "audio.gaps.total<=4 after 1s",
    SILENCE,
    "audio.frequency.median>=439Hz",
    FREQUENCY,
    LOSS,
];

const FREEZE: &str = "video.freeze<300ms after 1s";
const REPEATED: &str = "video.repeated==0";
const PSNR: &str = "video.psnr>=28dB after 1s";
const LATENCY: &str = "video.latency.median<120ms after 1s";
const SILENCE: &str = "audio.silence<250ms after 1s";
const FREQUENCY: &str = "audio.frequency.median<=441Hz";
const LOSS: &str = "network.loss.max<=0.1%";

/// Something wrong with a call, and what has to find it.
#[derive(Clone, Debug)]
pub struct Fault {
    /// In words.
    pub name: &'static str,
    /// The flags of the far side that make it.
    pub far: Vec<String>,
    /// Of [`GOOD`], what must not hold.
    pub found: Vec<&'static str>,
}

/// One of each kind; `seed` decides which packets are lost. What does not last begins after six seconds of the far side's
/// time, when also on a busy machine there is a call to judge. The files that they need are put into `folder`.
///
/// # Errors
/// When a file cannot be written, or ffmpeg is missing.
pub fn faults(folder: &Path, seed: u64) -> anyhow::Result<Vec<Fault>> {
    let source = |name: &str, write: &dyn Fn(&Path) -> anyhow::Result<()>| {
        let path = folder.join(name);
        if !path.exists() {
            write(&path)?;
        }
        anyhow::Ok(format!("file:{}", path.display()))
    };
    let frozen = source("frozen.y4m", &|file| {
        write_camera(
            file,
            |n| if (195..225).contains(&n) { 194 } else { n },
            false,
        )
    })?;
    let stutter = source("stutter.y4m", &|file| {
        write_camera(
            file,
            |n| if (195..204).contains(&n) { 194 } else { n },
            false,
        )
    })?;
    let swapped = source("swapped.y4m", &|file| write_camera(file, |n| n, true))?;
    let gap = source("gap.wav", &|file| write_sound(file, "between(t,6,7)"))?;
    let fault = |name, far: &[&str], found: &[&'static str]| Fault {
        name,
        far: far.iter().map(|flag| (*flag).to_owned()).collect(),
        found: found.to_vec(),
    };
    Ok(vec![
        fault(
            "1 % of the packets lost",
            &["--impair", &format!("up:loss=1%,seed={seed}")],
            &[LOSS],
        ),
        fault(
            "a picture that stands for 300 ms",
            &["--video", &stutter],
            &[FREEZE, REPEATED],
        ),
        fault(
            "a network that is gone for 400 ms",
            &["--impair", "up:loss=0%;6500ms:loss=100%;6900ms:loss=0%"],
            &[FREEZE, LOSS],
        ),
        fault(
            "150 ms more delay",
            &["--impair", "up:delay=150ms"],
            &[LATENCY],
        ),
        fault("a second of sound missing", &["--audio", &gap], &[SILENCE]),
        fault("another tone", &["--audio", "tone:660"], &[FREQUENCY]),
        fault("swapped fields", &["--video", &swapped], &[PSNR]),
        fault(
            "a frozen camera",
            &["--video", &frozen],
            &[FREEZE, REPEATED],
        ),
    ])
}

/// A call of `seconds` in which we expect all of [`GOOD`], and what `ours` says, of a far side that is started so.
///
/// # Errors
/// When there was no call.
pub async fn judged<T: AsRef<str>>(
    seconds: u64,
    far: &[T],
    ours: &[&str],
) -> anyhow::Result<Ended> {
    let server = TestServer::start().await?;
    let url = server.url();
    let common = [
        "join",
        "court",
        "--headless",
        "--size",
        "320x180",
        "--server",
        &url,
    ];
    let flags: Vec<&str> = far.iter().map(AsRef::as_ref).collect();
    let mut far =
        Client::start(&[&common[..], &["--as", "far", "--until-alone"], &flags].concat())?;
    far.wait_for("joined", |_| true).await?;
    let expected: Vec<&str> = GOOD.iter().flat_map(|text| ["--expect", text]).collect();
    let duration = format!("{seconds}s");
    let flags = ["--as", "near", "--duration", &duration];
    let near = Client::start(&[&common[..], &flags, &expected, ours].concat())?;
    let time = Duration::from_secs(seconds);
    let (near, far) = tokio::join!(near.ended(time), far.ended(time + Duration::from_secs(2)));
    far?;
    near
}

/// What did not hold.
///
/// # Errors
/// When there is no verdict.
pub fn broken(ended: &Ended) -> anyhow::Result<Vec<String>> {
    let all = ended.summary()?["expectations"]
        .as_array()
        .context("no expectations")?;
    let broken = all.iter().filter(|one| one["held"] == false);
    let words = broken.map(|one| one["expected"].as_str().map(str::to_owned));
    words
        .collect::<Option<_>>()
        .context("an expectation without words")
}

/// Fourteen seconds of the test picture, of which `shown` says which; with its `fields` swapped, odd rows are even ones.
fn write_camera(file: &Path, shown: impl Fn(u32) -> u32, fields: bool) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    writeln!(out, "YUV4MPEG2 W320 H180 F30:1 Ip A1:1 C420")?;
    for number in (0..420).map(shown) {
        let mut picture = test_picture::render(number, 320, 180);
        let at = Timestamp::from_micros(u64::from(number) * 1_000_000 / 30);
        marks::stamp(&mut picture, Mark { number, at });
        if fields {
            for rows in picture.y.chunks_exact_mut(2 * 320) {
                let (even, odd) = rows.split_at_mut(320);
                even.swap_with_slice(odd);
            }
        }
        writeln!(out, "FRAME")?;
        for plane in [&picture.y, &picture.u, &picture.v] {
            out.write_all(plane)?;
        }
    }
    Ok(out.flush()?)
}

/// Fourteen seconds of the tone, silent where ffmpeg finds that `when` holds.
fn write_sound(file: &Path, when: &str) -> anyhow::Result<()> {
    let silent = format!("volume=enable='{when}':volume=0");
    ffmpeg_sound(
        &format!("sine=frequency=440:duration=14:sample_rate=48000,{silent}"),
        file,
    )
}

/// What ffmpeg makes of this graph.
///
/// # Errors
/// When it is missing, or does not understand it.
pub fn ffmpeg_sound(graph: &str, file: &Path) -> anyhow::Result<()> {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", graph])
        .arg(file)
        .status()
        .context("ffmpeg: run scripts/setup test")?;
    ensure!(made.success(), "ffmpeg does not make {graph}");
    Ok(())
}
