//! Keys of a telephone (DTMF, RFC 4733): between two clients, and with Chromium both ways.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions, fake};
use rtc_e2e::process::{Client, Ended, PATIENCE};
use rtc_e2e::server::TestServer;
use serde_json::Value;

fn client(url: &str, name: &str, more: &[&str]) -> Client {
    let mut all = vec![
        "join",
        "keys",
        "--headless",
        "--video",
        "none",
        "--as",
        name,
    ];
    all.extend(["--server", url]);
    all.extend(more);
    Client::start(&all).unwrap()
}

/// The keys that were heard, and how long the shortest and the longest of them were pressed.
fn heard(ended: &Ended) -> (String, f64, f64) {
    let keys = ended
        .events
        .iter()
        .filter(|e| e["event"] == "tone-received");
    let names = keys.clone().map(|e| e["tone"].as_str().unwrap()).collect();
    let millis = keys.map(|e| e["durationMs"].as_f64().unwrap());
    let bounds = |(low, high): (f64, f64), ms: f64| (low.min(ms), high.max(ms));
    let (shortest, longest) = millis.fold((f64::MAX, 0.0), bounds);
    (names, shortest, longest)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_heard_once_although_packets_are_lost() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let mut far = client(&url, "far", &["--until-alone"]);
    far.wait_for("joined", |_| true).await.unwrap();
    let lossy = ["--dtmf", "1,23*#aD1", "--impair", "up:loss=20%,seed=4"];
    let mut near = client(&url, "near", &lossy);
    for _ in 0.."123*#AD1".len() {
        far.wait_for("tone-received", |e| e["peer"]["name"] == "near")
            .await
            .unwrap();
    }
    near.wait_for("stats", |_| true).await.unwrap();
    near.signal("INT").unwrap();
    let far = far.ended(Duration::ZERO).await.unwrap();
    let (keys, shortest, longest) = heard(&far);
    assert_eq!(keys, "123*#AD1");
    assert!(shortest >= 20.0 && longest == 100.0, "{shortest} {longest}");
    let near = near.ended(Duration::ZERO).await.unwrap();
    assert_eq!((near.code, far.code), (Some(0), Some(0)), "{near:#?}");
}

/// The page's connections, and how loud it hears 1,209 Hz, which is in the keys 1, 4, 7 and *.
const WATCH: &str = r"(() => {
  globalThis.all = [];
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    if (!all.includes(this)) all.push(this);
    return set.call(this, description);
  };
  globalThis.dtmf = () => all.at(-1)?.getSenders().find((sender) => sender.track?.kind === 'audio')?.dtmf;
  globalThis.loudest = -200;
  globalThis.listen = (track) => {
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 });
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    const bins = new Float32Array(analyser.frequencyBinCount);
    const bin = Math.round((1209 * 4096) / context.sampleRate);
    setInterval(() => {
      analyser.getFloatFrequencyData(bins);
      loudest = Math.max(loudest, bins[bin]);
    }, 20);
  };
})()";

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_presses_keys_and_hears_ours() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let microphone = folder.path().join("microphone.wav");
    fake::write_microphone(&microphone, 440, 10).unwrap();
    let browser = Browser::launch(&ChromeOptions {
        microphone: Some(microphone),
        ..ChromeOptions::default()
    })
    .await
    .unwrap();
    let server = TestServer::start().await.unwrap();
    let port = server.port();
    let url = format!("http://localhost:{port}/keys?name=browser&autojoin=1&processing=0");
    let page = browser.open(&url).await.unwrap();
    page.wait_for("rtc.phase === 'joined'", PATIENCE)
        .await
        .unwrap();
    page.eval(WATCH).await.unwrap();
    let mut client = client(
        &server.url(),
        "terminal",
        &["--dtmf", ",,,,,111111111111", "--until-alone"],
    );
    client
        .wait_for("first-frame", |e| e["kind"] == "audio")
        .await
        .unwrap();
    let find = "rtc.peers.find(p => p.name === 'terminal')";
    page.wait_for(
        &format!("rtc.stream({find}.id).getAudioTracks().length"),
        PATIENCE,
    )
    .await
    .unwrap();
    page.eval(&format!(
        "listen(rtc.stream({find}.id).getAudioTracks()[0])"
    ))
    .await
    .unwrap();
    page.wait_for("dtmf()?.canInsertDTMF", PATIENCE)
        .await
        .unwrap();
    page.eval("dtmf().insertDTMF('159#', 200, 60)")
        .await
        .unwrap();
    for key in ["1", "5", "9", "#"] {
        let event = client.wait_for("tone-received", |_| true).await.unwrap();
        assert_eq!(event["tone"], key, "{event}");
        let millis = event["durationMs"].as_f64().unwrap();
        assert!((180.0..=260.0).contains(&millis), "{event}");
    }
    page.wait_for("loudest > -50", PATIENCE).await.unwrap();
    page.goto("about:blank").await.unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let complaint = |event: &&Value| event.to_string().contains("telephone keys");
    assert_eq!(ended.events.iter().find(complaint), None);
}
