//! A call at a real sound server that is restarted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rtc_e2e::alone::alone;
use rtc_e2e::process::Client;
use rtc_e2e::server::TestServer;
use rtc_e2e::sound::{RATE, SoundServer};
use rtc_e2e::tone::listen;
use serde_json::Value;

/// A client in a call, at the devices of this sound server.
fn at_the_devices(server: &TestServer, rig: &SoundServer, more: &[&str]) -> Client {
    let url = server.url();
    let mut arguments = vec![
        "join",
        "sound",
        "--headless",
        "--video",
        "none",
        "--as",
        "near",
    ];
    arguments.extend(["--server", &url, "--audio", "mic", "--speaker", "speaker"]);
    arguments.extend(more);
    let env: Vec<_> = rig
        .env()
        .into_iter()
        .map(|(name, value)| (name, value.into_string().unwrap()))
        .collect();
    let env: Vec<_> = env
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Client::start_with(&arguments, &env).unwrap()
}

/// One without devices.
fn far(server: &TestServer, audio: &str) -> Client {
    let url = server.url();
    let mut arguments = vec![
        "join",
        "sound",
        "--headless",
        "--video",
        "none",
        "--as",
        "far",
    ];
    arguments.extend(["--server", &url, "--audio", audio, "--loop"]);
    Client::start(&arguments).unwrap()
}

/// The figures about received sound in an event of statistics.
fn received(event: &Value) -> Option<&Value> {
    let report = event["report"].as_object()?;
    report
        .values()
        .find(|d| d["type"] == "inbound-rtp" && d["kind"] == "audio")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_the_sound_server_and_sound_comes_back_with_another() {
    let _alone = alone().await;
    let mut rig = SoundServer::start().unwrap();
    rig.speak(440.0).unwrap();
    let server = TestServer::start().await.unwrap();
    // A tone is noise to those who clean up a voice.
    let as_it_is = ["--stereo"];
    let mut near = at_the_devices(&server, &rig, &as_it_is);
    near.wait_for("joined", |_| true).await.unwrap();
    let mut far = far(&server, "tone:660");
    let loud = |event: &Value| received(event).is_some_and(|d| number(&d["audioLevel"]) > 0.05);
    let silent = |event: &Value| received(event).is_some_and(|d| number(&d["audioLevel"]) < 0.01);
    far.wait_for("stats", loud).await.unwrap();

    rig.die();
    let says = |words: &'static str| {
        move |event: &Value| {
            event["text"]
                .as_str()
                .is_some_and(|text| text.contains(words))
        }
    };
    near.wait_for("notice", says("when it is back"))
        .await
        .unwrap();
    far.wait_for("stats", silent).await.unwrap();

    rig.start_again().unwrap();
    rig.speak(440.0).unwrap();
    // Both devices.
    for _ in 0..2 {
        let back = |event: &Value| {
            let text = event["text"].as_str().unwrap_or_default();
            text.ends_with(" is back") && !text.contains("goes on")
        };
        near.wait_for("notice", back).await.unwrap();
    }
    far.wait_for("stats", loud).await.unwrap();
    let heard = |rig: &SoundServer| listen(&rig.hear(1.0).unwrap(), 2, 0, RATE);
    let mut last = heard(&rig);
    // The microphone's tone is on its own device.
    for _ in 0..15 {
        if (last.hz - 660.0).abs() <= 2.0 {
            return;
        }
        last = heard(&rig);
    }
    panic!("the others are not heard again: {last:?}");
}
