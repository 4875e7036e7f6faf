//! `rtc-client` and real Chromium in one room, each checking the other's moving picture and tone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions, Page, fake, watch};
use rtc_e2e::process::{Client, PATIENCE, decoded};
use rtc_e2e::server::TestServer;
use serde_json::Value;

struct Stage {
    folder: tempfile::TempDir,
    server: TestServer,
    browser: Browser,
}

impl Stage {
    /// A Chromium whose camera shows marks and whose microphone gives 440 Hz.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let camera = folder.path().join("camera.y4m");
        let microphone = folder.path().join("microphone.wav");
        fake::write_camera(&camera, (640, 360), 30, 90).unwrap();
        fake::write_microphone(&microphone, 440, 10).unwrap();
        let browser = Browser::launch(&ChromeOptions {
            camera: Some(camera),
            microphone: Some(microphone),
            ..ChromeOptions::default()
        })
        .await
        .unwrap();
        Self {
            folder,
            server: TestServer::start().await.unwrap(),
            browser,
        }
    }

    async fn page(&self, name: &str, more: &str) -> Page {
        let port = self.server.port();
        let url =
            format!("http://localhost:{port}/mixed?name={name}&autojoin=1&processing=0{more}");
        let page = self.browser.open(&url).await.unwrap();
        page.wait_for("rtc.phase === 'joined'", PATIENCE)
            .await
            .unwrap();
        page
    }

    fn client(&self, more: &[&str]) -> Client {
        let url = self.server.url();
        let mut all = vec![
            "join",
            "mixed",
            "--headless",
            "--server",
            &url,
            "--audio",
            "tone:660",
        ];
        all.extend(more);
        Client::start(&all).unwrap()
    }
}

/// A real-time encoder of VP9 or AV1 may leave parts of a picture as they were in the one before, as
/// where the film begins again: the mark is not beyond doubt then. Others do so never.
fn few_are_smeared(marks: &Value, mime: &str) {
    let most = match mime {
        "video/VP9" | "video/AV1" => 2 + marks["read"].as_u64().unwrap_or(0) / 15,
        _ => 0,
    };
    assert!(marks["unreadable"].as_u64() <= Some(most), "{marks}");
}

fn page_saw_and_heard((marks, tone): &(Value, Value), hz: f64, mime: &str) {
    few_are_smeared(marks, mime);
    assert_eq!(marks["outOfOrder"], 0, "{marks}");
    let latency = marks["latencyMsP50"].as_f64().unwrap();
    assert!((0.0..2_000.0).contains(&latency), "{marks}");
    assert!((tone["hz"].as_f64().unwrap() - hz).abs() < 2.0, "{tone}");
    assert!(tone["purity"].as_f64().unwrap() > 0.9, "{tone}");
}

fn client_saw_and_heard(summary: &Value, peer: &str, mime: &str) {
    let peer = summary["peers"]
        .as_array()
        .and_then(|all| all.iter().find(|p| p["name"] == peer))
        .unwrap_or_else(|| panic!("no {peer} in {summary:#}"));
    let marks = &peer["marks"];
    assert!(marks["read"].as_u64().unwrap_or(0) >= 60, "{peer:#}");
    // The browser's camera is a short film in a loop: its numbers begin again. Chromium encodes AV1 at libaom's fastest,
    // which leaves small cells as they were in up to half of the pictures.
    if mime == "video/AV1" {
        assert!(
            marks["unreadable"].as_u64() <= marks["read"].as_u64(),
            "{marks}"
        );
        assert!(marks["psnrDbMin"].as_f64() > Some(30.0), "{marks}");
    } else {
        few_are_smeared(marks, mime);
    }
    let tone = &peer["tone"];
    let hz = tone["frequencyHz"].as_f64().unwrap();
    assert!((hz - 440.0).abs() < 2.0, "{peer:#}");
    assert!(tone["purity"].as_f64().unwrap() > 0.9, "{peer:#}");
}

async fn both_ways(codec: &str, page_codec: &str, browser_first: bool) {
    let _alone = alone().await;
    let stage = Stage::new().await;
    let arguments = ["--codec", codec, "--until-alone", "--as", "terminal"];
    let (page, mut client) = if browser_first {
        let page = stage.page("browser", page_codec).await;
        (page, stage.client(&arguments))
    } else {
        let mut client = stage.client(&arguments);
        client.wait_for("joined", |_| true).await.unwrap();
        (stage.page("browser", page_codec).await, client)
    };
    let first = client
        .wait_for("first-frame", |e| e["kind"] == "video")
        .await
        .unwrap();
    let mime = match codec.split(',').next() {
        Some("h264") => "video/H264",
        Some("vp9") => "video/VP9",
        Some("av1") => "video/AV1",
        _ => "video/VP8",
    };
    assert_eq!(first["codec"], mime);
    let seen = watch(&page, "terminal", 660, PATIENCE).await.unwrap();
    page_saw_and_heard(&seen, 660.0, mime);
    // Enough of the browser's pictures to judge them: up to half of AV1's marks cannot be read.
    client
        .wait_for("stats", |e| decoded(e) >= 180)
        .await
        .unwrap();
    page.goto("about:blank").await.unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    client_saw_and_heard(ended.summary().unwrap(), "browser", mime);
    drop(stage.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_calls_a_browser_in_vp8() {
    both_ways("vp8,h264", "", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_calls_a_client_in_vp8() {
    both_ways("vp8,h264", "", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_and_a_browser_call_each_other_in_h264() {
    both_ways("h264", "&codec=h264", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_calls_a_browser_in_vp9() {
    both_ways("vp9,vp8", "&codec=vp9", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_calls_a_client_in_vp9() {
    both_ways("vp9,vp8", "&codec=vp9", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_calls_a_browser_in_av1() {
    both_ways("av1,vp8", "&codec=av1", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_calls_a_client_in_av1() {
    both_ways("av1,vp8", "&codec=av1", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_and_a_browser_make_a_mesh() {
    let _alone = alone().await;
    let stage = Stage::new().await;
    let page = stage.page("browser", "").await;
    let small = ["--size", "320x180", "--bitrate", "300k", "--until-alone"];
    let mut one = stage.client(&[&small[..], &["--as", "one"]].concat());
    one.wait_for("joined", |_| true).await.unwrap();
    let mut two = stage.client(&[&small[..], &["--as", "two"]].concat());
    for client in [&mut one, &mut two] {
        for _ in 0..2 {
            client
                .wait_for("first-frame", |e| e["kind"] == "video")
                .await
                .unwrap();
        }
    }
    for peer in ["one", "two"] {
        let seen = watch(&page, peer, 660, PATIENCE).await.unwrap();
        page_saw_and_heard(&seen, 660.0, "video/VP8");
        page.eval("Promise.all([marks.stop(), tone.stop()])")
            .await
            .unwrap();
    }
    for client in [&mut one, &mut two] {
        client
            .wait_for("stats", |e| {
                e["peer"]["name"] == "browser" && decoded(e) >= 90
            })
            .await
            .unwrap();
    }
    page.goto("about:blank").await.unwrap();
    two.wait_for("peer-left", |e| e["peer"]["name"] == "browser")
        .await
        .unwrap();
    two.signal("INT").unwrap();
    let two = two.ended(Duration::ZERO).await.unwrap();
    let one = one.ended(Duration::ZERO).await.unwrap();
    for client in [&one, &two] {
        assert_eq!(client.code, Some(0), "{client:#?}");
        client_saw_and_heard(client.summary().unwrap(), "browser", "video/VP8");
    }
}
