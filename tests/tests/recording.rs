//! Recordings of real calls, checked by ffprobe, complete and after a kill.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::process::Client;
use rtc_e2e::server::TestServer;
use serde_json::Value;

fn probe(path: &Path) -> Value {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_frames",
            "-show_streams",
            "-show_format",
            "-of",
            "json",
        ])
        .arg(path)
        .output()
        .expect("ffprobe is there: apt-get install ffmpeg");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stream<'a>(probed: &'a Value, kind: &str) -> &'a Value {
    probed["streams"]
        .as_array()
        .and_then(|all| all.iter().find(|s| s["codec_type"] == kind))
        .unwrap_or_else(|| panic!("no {kind} in {probed:#}"))
}

fn frames(stream: &Value) -> u64 {
    stream["nb_read_frames"].as_str().unwrap().parse().unwrap()
}

async fn record(codec: &str, name: &str, kill: bool) -> (tempfile::TempDir, Value) {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut alice = Client::start(&[
        "join",
        "film",
        "--headless",
        "--server",
        &url,
        "--codec",
        codec,
        "--record",
        path.to_str().unwrap(),
    ])
    .unwrap();
    alice.wait_for("joined", |_| true).await.unwrap();
    let mut bob = Client::start(&[
        "join",
        "film",
        "--headless",
        "--server",
        &url,
        "--codec",
        codec,
        "--as",
        "bob",
        "--duration",
        "6s",
    ])
    .unwrap();
    bob.wait_for("first-frame", |_| true).await.unwrap();
    if kill {
        // Four reports are four seconds of call.
        for _ in 0..4 {
            alice.wait_for("stats", |_| true).await.unwrap();
        }
        alice.signal("KILL").unwrap();
    } else {
        alice.wait_for("peer-left", |_| true).await.unwrap();
        alice.signal("INT").unwrap();
    }
    let ended = alice.ended(Duration::ZERO).await.unwrap();
    if !kill {
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    let probed = probe(&path);
    (folder, probed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_holds_each_peers_picture_and_sound() {
    for (codec, name, word) in [
        ("vp8", "call.webm", "vp8"),
        ("vp9", "call.webm", "vp9"),
        ("av1", "call.webm", "av1"),
        ("h264", "call.mkv", "h264"),
    ] {
        let (_folder, probed) = record(codec, name, false).await;
        let video = stream(&probed, "video");
        assert_eq!(video["codec_name"], word, "{probed:#}");
        assert_eq!(video["tags"]["title"], "bob", "{probed:#}");
        assert!(frames(video) >= 120, "{probed:#}");
        let audio = stream(&probed, "audio");
        assert_eq!(audio["codec_name"], "opus", "{probed:#}");
        assert!(frames(audio) >= 200, "{probed:#}");
        let seconds: f64 = probed["format"]["duration"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((4.5..7.5).contains(&seconds), "{probed:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_readable_after_a_kill() {
    let (_folder, probed) = record("vp8", "call.mkv", true).await;
    assert!(frames(stream(&probed, "video")) >= 40, "{probed:#}");
    assert!(frames(stream(&probed, "audio")) >= 60, "{probed:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_the_call_goes_on() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=400k", "tmpfs"])
        .arg(&disk)
        .status()
        .unwrap();
    assert!(mounted.success(), "a small disk needs root");
    let path = disk.join("call.mkv");
    let mut alice = Client::start(&[
        "join",
        "full",
        "--headless",
        "--server",
        &url,
        "--record",
        path.to_str().unwrap(),
        "--until-alone",
    ])
    .unwrap();
    alice.wait_for("joined", |_| true).await.unwrap();
    let bob = Client::start(&[
        "join",
        "full",
        "--headless",
        "--server",
        &url,
        "--duration",
        "9s",
    ])
    .unwrap();
    let notice = alice
        .wait_for("notice", |e| {
            e["text"].as_str().is_some_and(|t| t.contains("call.mkv"))
        })
        .await;
    let (bob, alice) = (
        bob.ended(Duration::from_secs(9)).await,
        alice.ended(Duration::ZERO).await,
    );
    let probed = probe(&path);
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    notice.unwrap();
    assert_eq!(bob.unwrap().code, Some(0));
    assert_eq!(alice.unwrap().code, Some(0));
    assert!(frames(stream(&probed, "video")) >= 10, "{probed:#}");
}
