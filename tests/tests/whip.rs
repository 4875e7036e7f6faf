//! Real publishers and players by HTTP: GStreamer and Chromium, with `rtc-client` and the built-in page at the other end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Stdio;
use std::time::Duration;

use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::{Browser, ChromeOptions, Page, TONE_JS, fake};
use rtc_e2e::process::{Client, PATIENCE};
use rtc_e2e::server::TestServer;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const WHIP_JS: &str = include_str!("../peers/whip.js");

/// `tests/peers/gstreamer.py`, killed when dropped.
struct GStreamer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: Vec<Value>,
}

impl GStreamer {
    fn start(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/gstreamer.py");
        // Debian's own interpreter is the one that has Debian's bindings.
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
            said: Vec::new(),
        }
    }

    async fn wait_for(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = timeout(PATIENCE, async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let Ok(value) = serde_json::from_str::<Value>(&line) else {
                    continue;
                };
                self.said.push(value.clone());
                if value["event"] == event && wanted(&value) {
                    return value;
                }
            }
            panic!("GStreamer ended before {event}: {:#?}", self.said)
        });
        match found.await {
            Ok(value) => value,
            Err(_) => panic!("no {event} in {PATIENCE:?}: {:#?}", self.said),
        }
    }

    /// Ends the session and waits for the end.
    async fn stop(mut self) {
        drop(self.child.stdin.take());
        let deleted = self.wait_for("deleted", |_| true).await;
        assert_eq!(deleted["status"], 200);
        timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
    }

    fn vanish(mut self) {
        self.child.start_kill().unwrap();
    }
}

async fn client(server: &TestServer, more: &[&str]) -> Client {
    let url = server.url();
    let mut all = vec!["join", "studio", "--headless", "--server", &url];
    all.extend(more);
    let mut client = Client::start(&all).unwrap();
    client.wait_for("joined", |_| true).await.unwrap();
    client
}

/// Both kinds of media of the publisher arrive, and a second's worth of pictures more.
async fn sees_and_hears(client: &mut Client, codec: &str) {
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let first = client.wait_for("first-frame", |_| true).await.unwrap();
        if first["kind"] == "video" {
            assert_eq!(first["codec"], codec);
        }
        kinds.push(first["kind"].clone());
    }
    assert!(kinds.contains(&"video".into()) && kinds.contains(&"audio".into()));
    pictures(client, 60).await;
}

/// Waits until so many more pictures are decoded.
async fn pictures(client: &mut Client, more: u64) {
    let frames = |event: &Value| -> u64 {
        let report = event["report"].as_object().unwrap();
        let video = report
            .values()
            .filter(|s| s["type"] == "inbound-rtp" && s["kind"] == "video");
        video.filter_map(|s| s["framesDecoded"].as_u64()).sum()
    };
    let now = client.wait_for("stats", |_| true).await.unwrap();
    let goal = frames(&now) + more;
    client
        .wait_for("stats", |event| frames(event) >= goal)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_publishes_to_a_client_in_vp8() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut client = client(&server, &["--until-alone"]).await;
    let mut publisher = GStreamer::start(&["publish", &format!("{}/whip/studio", server.url())]);
    publisher.wait_for("answered", |_| true).await;
    sees_and_hears(&mut client, "video/VP8").await;
    publisher.stop().await;
    let left = client.wait_for("peer-left", |_| true).await.unwrap();
    assert_eq!(left["reason"], "left");
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let tone = &ended.summary().unwrap()["peers"][0]["tone"];
    assert!(
        (tone["frequencyHz"].as_f64().unwrap() - 440.0).abs() < 2.0,
        "{tone}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_trickles_to_a_client_in_h264() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut client = client(&server, &["--until-alone"]).await;
    let url = format!("{}/whip/studio", server.url());
    let mut publisher = GStreamer::start(&["publish", &url, "--trickle", "--codec", "h264"]);
    publisher
        .wait_for("trickled", |event| event["status"] == 204)
        .await;
    sees_and_hears(&mut client, "video/H264").await;
    publisher.stop().await;
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_vanishes_is_reported_by_its_partner() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut partner = client(&server, &["--as", "partner"]).await;
    let mut publisher = GStreamer::start(&["publish", &format!("{}/whip/studio", server.url())]);
    publisher.wait_for("answered", |_| true).await;
    let mut other = client(&server, &["--as", "other", "--until-alone"]).await;
    sees_and_hears(&mut partner, "video/VP8").await;
    publisher.vanish();
    let troubled = partner.wait_for("connection-troubled", |e| e["peer"]["name"] != "other");
    troubled.await.unwrap();
    let lost = partner.wait_for("peer-left", |_| true).await.unwrap();
    assert_eq!(lost["reason"], "lost");
    let told = other.wait_for("peer-left", |_| true).await.unwrap();
    assert_eq!(
        told["peer"]["id"], lost["peer"]["id"],
        "the server knows, too"
    );
    // Who was never the partner of the publisher is not blamed for having had no media of it.
    partner.signal("INT").unwrap();
    let ended = other.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_plays_what_a_client_sends() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut client = client(&server, &["--size", "320x240"]).await;
    let mut player = GStreamer::start(&["play", &format!("{}/whep/studio", server.url())]);
    let answered = player.wait_for("answered", |_| true).await;
    let answer = answered["sdp"].as_str().unwrap();
    assert_eq!(answer.matches("a=sendonly").count(), 2, "{answer}");
    let frames = player
        .wait_for("frames", |e| e["frames"].as_u64() >= Some(90))
        .await;
    assert_eq!(
        (&frames["width"], &frames["height"]),
        (&320.into(), &240.into())
    );
    player.stop().await;
    client.wait_for("peer-left", |_| true).await.unwrap();
}

/// A Chromium whose camera shows marks and whose microphone gives 440 Hz.
async fn browser(folder: &tempfile::TempDir) -> Browser {
    let camera = folder.path().join("camera.y4m");
    let microphone = folder.path().join("microphone.wav");
    fake::write_camera(&camera, (640, 360), 30, 90).unwrap();
    fake::write_microphone(&microphone, 440, 10).unwrap();
    Browser::launch(&ChromeOptions {
        camera: Some(camera),
        microphone: Some(microphone),
        ..ChromeOptions::default()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_publishes_to_the_built_in_page() {
    let _beside = beside_another().await;
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start().await.unwrap();
    let browser = browser(&folder).await;
    let port = server.port();
    let url = format!("http://localhost:{port}/studio?name=browser&autojoin=1&processing=0");
    let page = browser.open(&url).await.unwrap();
    page.wait_for("rtc.phase === 'joined'", PATIENCE)
        .await
        .unwrap();
    let mut publisher = GStreamer::start(&["publish", &format!("{}/whip/studio", server.url())]);
    publisher.wait_for("answered", |_| true).await;
    let find = "rtc.peers.find(p => p.name.startsWith('whip-'))";
    page.wait_for(
        &format!("rtc.video({find}?.id)?.getVideoPlaybackQuality().totalVideoFrames >= 90"),
        PATIENCE,
    )
    .await
    .unwrap();
    let size = page
        .eval(&format!(
            "[rtc.video({find}.id).videoWidth, rtc.video({find}.id).videoHeight].join('x')"
        ))
        .await
        .unwrap();
    assert_eq!(size, "640x360");
    page.eval(TONE_JS).await.unwrap();
    page.eval(&format!(
        "(() => {{ globalThis.tone = rtcTone.watch(rtc.stream({find}.id).getAudioTracks()[0], 440); }})()"
    ))
    .await
    .unwrap();
    page.wait_for("tone.summary().heardSeconds >= 2", PATIENCE)
        .await
        .unwrap();
    publisher.stop().await;
    page.wait_for("rtc.peers.length === 0", PATIENCE)
        .await
        .unwrap();
    assert_eq!(page.complaints(), []);
}

/// A page that speaks WHIP and WHEP by itself, beside the built-in one.
async fn outsider(browser: &Browser, server: &TestServer) -> Page {
    let url = format!("http://localhost:{}/", server.port());
    let page = browser.open(&url).await.unwrap();
    page.wait_for("document.readyState === 'complete'", PATIENCE)
        .await
        .unwrap();
    page.eval(WHIP_JS).await.unwrap();
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_publishes_to_a_client_and_restarts_ice() {
    let _beside = beside_another().await;
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start().await.unwrap();
    let mut client = client(&server, &["--until-alone"]).await;
    let browser = browser(&folder).await;
    let page = outsider(&browser, &server).await;
    let status = page
        .eval("rtcWhip.publish(location.origin + '/whip/studio?name=camera')")
        .await;
    assert_eq!(status.unwrap(), 201);
    sees_and_hears(&mut client, "video/VP8").await;
    let before = page.eval("rtcWhip.etag").await.unwrap();
    assert_eq!(page.eval("rtcWhip.restart()").await.unwrap(), 200);
    assert_ne!(page.eval("rtcWhip.etag").await.unwrap(), before);
    let pair = "rtcWhip.pc.getTransceivers()[0].sender.transport.iceTransport";
    page.wait_for(
        &format!(
            "{pair}.getSelectedCandidatePair()?.local.usernameFragment === \
             /a=ice-ufrag:(.*)/.exec(rtcWhip.pc.currentLocalDescription.sdp)[1].trim()"
        ),
        PATIENCE,
    )
    .await
    .unwrap();
    pictures(&mut client, 60).await;
    assert_eq!(page.eval("rtcWhip.stop()").await.unwrap(), 200);
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let peer = &ended.summary().unwrap()["peers"][0];
    assert_eq!(peer["name"], "camera");
    assert_eq!(peer["marks"]["unreadable"], 0, "{peer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_what_a_client_sends() {
    let _beside = beside_another().await;
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start().await.unwrap();
    let _client = client(&server, &["--as", "ann"]).await;
    let browser = browser(&folder).await;
    let page = outsider(&browser, &server).await;
    let status = page
        .eval("rtcWhip.play(location.origin + '/whep/studio?to=ann')")
        .await;
    assert_eq!(status.unwrap(), 201);
    page.wait_for(
        "rtcWhip.video.getVideoPlaybackQuality().totalVideoFrames >= 90",
        PATIENCE,
    )
    .await
    .unwrap();
    assert_eq!(page.eval("rtcWhip.stop()").await.unwrap(), 200);
}
