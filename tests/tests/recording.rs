//! Recordings of real calls, checked by ffprobe, complete and after a kill.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::process::{Client, decoded};
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

/// A call that is recorded, as ffprobe sees it, and the seconds from alice's first picture or sound until bob had left.
async fn record(codec: &str, name: &str, kill: bool) -> (tempfile::TempDir, Value, f64) {
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
    ])
    .unwrap();
    bob.wait_for("first-frame", |_| true).await.unwrap();
    let first = alice.wait_for("first-frame", |_| true).await.unwrap();
    let pictures = if kill { 120 } else { 180 };
    alice
        .wait_for("stats", |e| decoded(e) >= pictures)
        .await
        .unwrap();
    let time = |event: &Value| event["time"].as_f64().unwrap();
    let mut lasted = f64::NAN;
    if kill {
        alice.signal("KILL").unwrap();
    } else {
        bob.signal("INT").unwrap();
        // Who writes into a pipe that nobody reads does not end.
        let (bob, left) = tokio::join!(
            bob.ended(Duration::ZERO),
            alice.wait_for("peer-left", |_| true)
        );
        assert_eq!(bob.unwrap().code, Some(0));
        lasted = time(&left.unwrap()) - time(&first);
        alice.signal("INT").unwrap();
    }
    let ended = alice.ended(Duration::ZERO).await.unwrap();
    if !kill {
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    let probed = probe(&path);
    (folder, probed, lasted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_holds_each_peers_picture_and_sound() {
    for (codec, name, word) in [
        ("vp8", "call.webm", "vp8"),
        ("vp9", "call.webm", "vp9"),
        ("av1", "call.webm", "av1"),
        ("h264", "call.mkv", "h264"),
        ("h264", "call.mp4", "h264"),
    ] {
        let (_folder, probed, lasted) = record(codec, name, false).await;
        let video = stream(&probed, "video");
        assert_eq!(video["codec_name"], word, "{probed:#}");
        let tag = if name.ends_with("mp4") {
            "handler_name"
        } else {
            "title"
        };
        assert_eq!(video["tags"][tag], "bob", "{probed:#}");
        assert!(frames(video) >= 150, "{probed:#}");
        let audio = stream(&probed, "audio");
        assert_eq!(audio["codec_name"], "opus", "{probed:#}");
        assert!(frames(audio) >= 200, "{probed:#}");
        let seconds: f64 = probed["format"]["duration"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        // As long as its pictures take, and no longer than the call.
        let shown = frames(video) as f64 / 30.0;
        assert!(
            seconds >= shown - 0.5 && seconds <= lasted + 1.5,
            "a call of {lasted} s: {probed:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_readable_after_a_kill() {
    for name in ["call.mkv", "call.mp4"] {
        let (_folder, probed, _) = record("vp8", name, true).await;
        assert!(frames(stream(&probed, "video")) >= 40, "{probed:#}");
        assert!(frames(stream(&probed, "audio")) >= 60, "{probed:#}");
    }
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
    let bob = Client::start(&["join", "full", "--headless", "--server", &url]).unwrap();
    let notice = alice
        .wait_for("notice", |e| {
            e["text"].as_str().is_some_and(|t| t.contains("call.mkv"))
        })
        .await;
    // Pictures go on to come.
    let mut seen = alice.wait_for("stats", |_| true).await;
    if let Ok(stats) = &seen {
        let before = decoded(stats);
        seen = alice.wait_for("stats", |e| decoded(e) > before).await;
    }
    bob.signal("INT").unwrap();
    let (bob, alice) = (
        bob.ended(Duration::ZERO).await,
        alice.ended(Duration::ZERO).await,
    );
    let probed = probe(&path);
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    notice.unwrap();
    seen.unwrap();
    assert_eq!(bob.unwrap().code, Some(0));
    assert_eq!(alice.unwrap().code, Some(0));
    assert!(frames(stream(&probed, "video")) >= 10, "{probed:#}");
}

/// What somebody sees and hears to whom a recording is played: the summary of that peer.
async fn played(path: &Path) -> Value {
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let file = format!("file:{}", path.display());
    let common = ["join", "cinema", "--headless", "--server", &url];
    let mut viewer = Client::start(&[&common[..], &["--until-alone"]].concat()).unwrap();
    viewer.wait_for("joined", |_| true).await.unwrap();
    let player = [&common[..], &["--video", &file, "--audio", &file]].concat();
    let player = Client::start(&[&player[..], &["--loop", "--duration", "9s"]].concat()).unwrap();
    let (player, viewer) = tokio::join!(
        player.ended(Duration::from_secs(9)),
        viewer.ended(Duration::from_secs(9))
    );
    player.unwrap();
    viewer.unwrap().summary().unwrap()["peers"][0].clone()
}

/// A call of nine seconds with bob over a path that shakes, recorded as asked.
async fn recorded(path: &Path, layout: &str, others: &[&str]) {
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = ["join", "film", "--headless", "--server", &url];
    let record = [
        "--record",
        path.to_str().unwrap(),
        "--record-layout",
        layout,
    ];
    let impair = [
        "--impair",
        "down:delay=40ms,jitter=30ms,seed=9",
        "--until-alone",
    ];
    let mut alice = Client::start(&[&common[..], &record, &impair].concat()).unwrap();
    alice.wait_for("joined", |_| true).await.unwrap();
    let mut ends = Vec::new();
    for name in others {
        let bob = Client::start(&[&common[..], &["--as", name, "--duration", "9s"]].concat());
        ends.push(bob.unwrap());
    }
    for bob in ends {
        bob.ended(Duration::from_secs(9)).await.unwrap();
    }
    let alice = alice.ended(Duration::ZERO).await.unwrap();
    assert_eq!(alice.code, Some(0), "{alice:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn picture_and_sound_are_together_in_a_recording_whatever_the_path_did() {
    let _alone = alone().await;
    for name in ["call.mkv", "call.mp4"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        recorded(&path, "tracks", &["bob"]).await;
        let seen = played(&path).await;
        let lips = &seen["lipSync"];
        assert!(lips["measured"].as_u64() >= Some(3), "{name}: {seen:#}");
        let apart = lips["medianMs"].as_f64().unwrap();
        assert!(apart.abs() <= 40.0, "{name}: {seen:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mixed_mp4_holds_one_picture_and_one_sound_of_all() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("call.mp4");
    recorded(&path, "mixed", &["bob", "eve"]).await;
    let probed = probe(&path);
    assert_eq!(probed["streams"].as_array().unwrap().len(), 2, "{probed:#}");
    let video = stream(&probed, "video");
    assert_eq!(
        (&video["width"], &video["height"]),
        (&1280.into(), &720.into())
    );
    assert_eq!(video["codec_name"], "h264");
    assert!(frames(video) >= 60, "{probed:#}");
    assert!(frames(stream(&probed, "audio")) >= 200, "{probed:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_has_a_file_of_their_own_where_asked() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    recorded(
        &folder.path().join("call.mp4"),
        "files",
        &["bob", "bob", "eve"],
    )
    .await;
    for name in ["call-bob.mp4", "call-bob-2.mp4", "call-eve.mp4"] {
        let probed = probe(&folder.path().join(name));
        assert!(frames(stream(&probed, "video")) >= 60, "{name}: {probed:#}");
        assert!(
            frames(stream(&probed, "audio")) >= 200,
            "{name}: {probed:#}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_goes_into_a_pipe_and_lines_beside_it() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("piped.mkv");
    let common = ["join", "pipe", "--headless", "--server", &url];
    let bob = Client::start(&[&common[..], &["--as", "bob"]].concat());
    let mut bob = bob.unwrap();
    bob.wait_for("joined", |_| true).await.unwrap();
    let alice = Command::new(rtc_e2e::process::binary("rtc-client").unwrap())
        .args(common)
        .args(["--plain", "--until-alone", "--record", "-"])
        .stdout(std::fs::File::create(&path).unwrap())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    bob.wait_for("stats", |e| decoded(e) >= 210).await.unwrap();
    bob.signal("INT").unwrap();
    bob.ended(Duration::ZERO).await.unwrap();
    let alice = tokio::task::spawn_blocking(|| alice.wait_with_output().unwrap());
    let alice = alice.await.unwrap();
    let lines = String::from_utf8_lossy(&alice.stderr);
    assert!(alice.status.success(), "{lines}");
    assert!(lines.contains("bob"), "{lines}");
    let probed = probe(&path);
    assert!(frames(stream(&probed, "video")) >= 60, "{probed:#}");
    assert!(frames(stream(&probed, "audio")) >= 200, "{probed:#}");
}
