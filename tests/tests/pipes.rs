//! What other programs write, sent into a call through standard input and FIFOs; judged at the far side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::fake;
use rtc_e2e::process::{Client, Ended};
use rtc_e2e::server::TestServer;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

const SIZE: (u32, u32) = (320, 180);

/// Pictures of the clip: five seconds.
const PICTURES: u32 = 150;

/// The test picture as ffmpeg gives it to others; `arguments` say as what.
fn clip(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let marked = folder.join("marked.y4m");
    if !marked.exists() {
        fake::write_camera(&marked, SIZE, 30, PICTURES).unwrap();
    }
    let path = folder.join(name);
    let run = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&marked)
        .args(arguments)
        .arg(&path)
        .output()
        .expect("ffmpeg is there: apt-get install ffmpeg");
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    path
}

/// A call in which one side sends what `bytes` are and the other looks; gives what each told.
async fn call(bytes: Vec<u8>, source: &[&str]) -> (Ended, Ended) {
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = ["join", "pipe", "--headless", "--server", &url];
    let mut viewer = Client::start(&common).unwrap();
    viewer.wait_for("joined", |_| true).await.unwrap();
    let mut arguments = common.to_vec();
    arguments.extend(source);
    let mut sender = Client::start(&arguments).unwrap();
    sender.wait_for("connected", |_| true).await.unwrap();
    let mut stdin = sender.take_stdin().unwrap();
    let writer = tokio::spawn(async move {
        // Nonsense is not read to its end.
        let _ = stdin.write_all(&bytes).await;
    });
    sender
        .wait_for("notice", |e| {
            e["text"].as_str().unwrap().contains("standard input")
        })
        .await
        .unwrap();
    writer.await.unwrap();
    // The call goes on without it.
    sender.wait_for("stats", |_| true).await.unwrap();
    for client in [&sender, &viewer] {
        client.signal("INT").unwrap();
    }
    let limit = Duration::from_secs(20);
    (
        sender.ended(limit).await.unwrap(),
        viewer.ended(limit).await.unwrap(),
    )
}

fn notices(ended: &Ended) -> Vec<&str> {
    let notices = ended.events.iter().filter(|e| e["event"] == "notice");
    notices.filter_map(|e| e["text"].as_str()).collect()
}

/// What the far side saw is the clip, and nearly all of it.
fn judge(ended: &Ended, least: u64) -> Value {
    let marks = ended.summary().unwrap()["peers"][0]["marks"].clone();
    let read = marks["read"].as_u64().unwrap();
    assert!(read >= least, "{marks:#}");
    assert_eq!(marks["outOfOrder"], 0, "{marks:#}");
    assert!(marks["psnrDb"].as_f64().unwrap() > 30.0, "{marks:#}");
    marks
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_pictures_of_ffmpeg_arrive_through_standard_input() {
    let _beside = beside_another().await;
    let folder = tempfile::tempdir().unwrap();
    let raw = clip(
        folder.path(),
        "raw.yuv",
        &["-f", "rawvideo", "-pix_fmt", "yuv420p"],
    );
    let source = [
        "--video", "-", "--format", "yuv420p", "--size", "320x180", "--fps", "30",
    ];
    let (sender, viewer) = call(std::fs::read(raw).unwrap(), &source).await;
    assert_eq!((sender.code, viewer.code), (Some(0), Some(0)));
    // A busy machine leaves pictures out; it does not repeat or mix them.
    judge(&viewer, u64::from(PICTURES) / 3);
    assert!(
        notices(&sender)
            .iter()
            .any(|n| n.contains("closed by who wrote into it")),
        "{:?}",
        notices(&sender)
    );
}

/// Sends coded pictures; the far side sees all of them, or nearly.
async fn coded(name: &str, codec: &str, arguments: &[&str]) {
    let _beside = beside_another().await;
    let folder = tempfile::tempdir().unwrap();
    let stream = clip(folder.path(), name, arguments);
    let (_, viewer) = call(
        std::fs::read(stream).unwrap(),
        &["--video", "-", "--codec", codec],
    )
    .await;
    let marks = judge(&viewer, u64::from(PICTURES) - 20);
    assert!(marks["missing"].as_u64().unwrap() < 10, "{marks:#}");
    let seen = |event: &&Value| event["event"] == "first-frame" && event["kind"] == "video";
    let first = viewer.events.iter().find(seen).unwrap();
    assert_eq!(
        first["codec"].as_str().unwrap().to_lowercase(),
        format!("video/{codec}")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn coded_pictures_arrive_from_ivf() {
    let vp8 = [
        "-c:v",
        "libvpx",
        "-deadline",
        "realtime",
        "-b:v",
        "1M",
        "-g",
        "15",
    ];
    coded("clip.ivf", "vp8", &vp8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coded_pictures_arrive_from_a_bare_h264_stream() {
    let h264 = [
        "-c:v",
        "libx264",
        "-profile:v",
        "baseline",
        "-tune",
        "zerolatency",
        "-g",
        "15",
        "-f",
        "h264",
    ];
    coded("clip.h264", "h264", &h264).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_told_and_the_call_goes_on() {
    let _beside = beside_another().await;
    let nonsense = b"this is not the format that you are looking for".repeat(10_000);
    let (sender, viewer) = call(nonsense, &["--video", "-"]).await;
    assert_eq!((sender.code, viewer.code), (Some(0), Some(0)));
    let told = notices(&sender);
    assert!(
        told.iter()
            .any(|n| n.contains("of an unknown kind") && n.contains("goes on")),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sound_arrives_through_standard_input() {
    let _beside = beside_another().await;
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("tone.wav");
    fake::write_microphone(&wav, 660, 4).unwrap();
    let samples = std::fs::read(wav).unwrap().split_off(44);
    let source = ["--audio", "-", "--audio-format", "s16le"];
    let (_, viewer) = call(samples, &source).await;
    let tone = &viewer.summary().unwrap()["peers"][0]["tone"];
    let hz = tone["frequencyHz"].as_f64().unwrap();
    assert!((hz - 660.0).abs() < 2.0, "{tone:#}");
}
