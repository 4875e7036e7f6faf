//! Sound that is sent twice (RED, RFC 2198): between two clients over a path that loses packets, and with Chromium.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions, TONE_JS, fake};
use rtc_e2e::process::{Client, Ended, PATIENCE};
use rtc_e2e::server::TestServer;
use serde_json::Value;

/// Somebody speaks for ten seconds over a path that loses every tenth packet, and is recorded.
async fn spoken(redundancy: &str, record: &Path) -> Ended {
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = ["join", "red", "--headless", "--size", "320x180", "--server"];
    let mut far = Client::start(
        &[
            &common[..],
            &[&url, "--as", "far", "--until-alone"],
            &["--record", record.to_str().unwrap()],
        ]
        .concat(),
    )
    .unwrap();
    far.wait_for("joined", |_| true).await.unwrap();
    let near = Client::start(
        &[
            &common[..],
            &[&url, "--as", "near", "--duration", "10s"],
            &["--audio-red", redundancy, "--impair", "up:loss=10%,seed=3"],
        ]
        .concat(),
    )
    .unwrap();
    let (near, far) = tokio::join!(
        near.ended(Duration::from_secs(10)),
        far.ended(Duration::from_secs(12))
    );
    assert_eq!(near.unwrap().code, Some(0));
    far.unwrap()
}

/// The share of what was played that stood in for something lost.
fn concealed(ended: &Ended) -> f64 {
    let reports = ended.events.iter().filter(|e| e["event"] == "stats");
    let last = reports
        .filter_map(|event| {
            let all = event["report"].as_object()?;
            all.values()
                .find(|d| d["type"] == "inbound-rtp" && d["kind"] == "audio")
        })
        .next_back()
        .unwrap();
    let number = |name: &str| last[name].as_f64().unwrap();
    number("concealedSamples") / number("totalSamplesReceived")
}

/// Packets in a second of a recording.
fn packets(record: &Path) -> f64 {
    let output = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-select_streams", "a:0"])
        .args(["-show_entries", "stream=nb_read_packets:format=duration"])
        .args(["-of", "json"])
        .arg(record)
        .output()
        .expect("ffprobe: apt-get install ffmpeg");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| -> f64 { value.as_str().unwrap().parse().unwrap() };
    number(&told["streams"][0]["nb_read_packets"]) / number(&told["format"]["duration"])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_twice_is_concealed_less_and_recorded_more() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let [once, twice] = ["once.mkv", "twice.mkv"].map(|name| folder.path().join(name));
    let plain = spoken("off", &once).await;
    let red = spoken("on", &twice).await;
    let shares = (concealed(&plain), concealed(&red));
    let recorded = (packets(&once), packets(&twice));
    println!("concealed: {shares:?}, recorded: {recorded:?}");
    assert!(shares.1 < shares.0 / 2.0, "{shares:?} {recorded:?}");
    assert!(recorded.1 > recorded.0, "{shares:?} {recorded:?}");
}

/// The page's connections, and what the newest says of the sound on its way.
const WATCH: &str = r"(() => {
  globalThis.all = [];
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    if (!all.includes(this)) all.push(this);
    return set.call(this, description);
  };
  globalThis.inbound = async () => {
    const stats = [...(await all.at(-1).getStats()).values()];
    return stats.find((s) => s.type === 'inbound-rtp' && s.kind === 'audio');
  };
  // Bytes of a packet, over the next second.
  globalThis.size = async () => {
    const before = await inbound();
    await new Promise((done) => setTimeout(done, 1000));
    const now = await inbound();
    return (now.bytesReceived - before.bytesReceived) / (now.packetsReceived - before.packetsReceived);
  };
  globalThis.codec = async (type) => {
    const stats = [...(await all.at(-1).getStats()).values()];
    const stream = stats.find((s) => s.type === type && s.kind === 'audio');
    return stats.find((s) => s.id === stream?.codecId)?.mimeType;
  };
})()";

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_takes_it_and_sends_none_unasked() {
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
    let page = browser
        .open(&format!(
            "http://localhost:{port}/red?name=browser&autojoin=1&processing=0"
        ))
        .await
        .unwrap();
    page.wait_for("rtc.phase === 'joined'", PATIENCE)
        .await
        .unwrap();
    page.eval(WATCH).await.unwrap();
    let url = server.url();
    let mut client = Client::start(&[
        "join",
        "red",
        "--headless",
        "--server",
        &url,
        "--as",
        "terminal",
        "--audio",
        "tone:660",
        "--audio-red",
        "on",
        "--until-alone",
    ])
    .unwrap();
    client
        .wait_for("first-frame", |e| e["kind"] == "audio")
        .await
        .unwrap();
    // It tells the codec inside of what it receives; a packet of 20 ms at 32 kbit/s has 80 bytes once.
    page.wait_for("size().then((bytes) => bytes > 130)", PATIENCE)
        .await
        .unwrap();
    assert_eq!(
        page.eval("codec('outbound-rtp')").await.unwrap(),
        "audio/opus"
    );
    // The browser hears us...
    page.eval(TONE_JS).await.unwrap();
    let find = "rtc.peers.find(p => p.name === 'terminal')";
    page.eval(&format!(
        "globalThis.tone = rtcTone.watch(rtc.stream({find}.id).getAudioTracks()[0], 660)"
    ))
    .await
    .unwrap();
    page.wait_for("tone.summary().heardSeconds >= 3", PATIENCE)
        .await
        .unwrap();
    let heard = page.eval("tone.summary()").await.unwrap();
    assert!(heard["purity"].as_f64().unwrap() > 0.9, "{heard}");
    page.goto("about:blank").await.unwrap();
    // ... and we the browser.
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let tone: &Value = &ended.summary().unwrap()["peers"][0]["tone"];
    let hz = tone["frequencyHz"].as_f64().unwrap();
    assert!((hz - 440.0).abs() < 2.0, "{tone:#}");
    assert!(tone["purity"].as_f64().unwrap() > 0.9, "{tone:#}");
    // A busy browser is late; that it is heard, its tone says.
    assert!(concealed(&ended) < 0.25, "{}", concealed(&ended));
}
