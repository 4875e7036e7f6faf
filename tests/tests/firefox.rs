//! `rtc-client` and real Firefox in one room, each checking the other's moving picture and tone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, Page, SOURCE_JS, watch};
use rtc_e2e::process::{Client, PATIENCE, decoded};
use rtc_e2e::server::TestServer;
use rtc_e2e::sound::SoundServer;
use serde_json::Value;

async fn page(browser: &Browser, server: &TestServer, more: &str) -> Page {
    let page = browser.blank().await.unwrap();
    page.before_load(SOURCE_JS).await.unwrap();
    let port = server.port();
    let url = format!("http://localhost:{port}/mixed?name=firefox&autojoin=1&processing=0{more}");
    page.goto(&url).await.unwrap();
    page.wait_for("rtc.phase === 'joined'", PATIENCE)
        .await
        .unwrap();
    page
}

fn client(server: &TestServer, codecs: &str) -> Client {
    let url = server.url();
    let line = format!(
        "join mixed --headless --as terminal --audio tone:660 --until-alone --codec {codecs} --server {url}"
    );
    Client::start(&line.split(' ').collect::<Vec<_>>()).unwrap()
}

async fn both_ways(codec: &str, firefox_first: bool) {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let sound = SoundServer::start().unwrap();
    let firefox = Browser::firefox(sound.env()).await.unwrap();
    let wanted = format!("&codec={codec}");
    let (page, mut client) = if firefox_first {
        let page = page(&firefox, &server, &wanted).await;
        (page, client(&server, codec))
    } else {
        let mut client = client(&server, codec);
        client.wait_for("joined", |_| true).await.unwrap();
        (page(&firefox, &server, &wanted).await, client)
    };
    let first = client
        .wait_for("first-frame", |e| e["kind"] == "video")
        .await
        .unwrap();
    let mime = format!("video/{}", codec.to_uppercase());
    assert_eq!(first["codec"], mime);
    let (marks, tone) = watch(&page, "terminal", 660, PATIENCE).await.unwrap();
    few_are_smeared(&marks);
    assert_eq!(marks["outOfOrder"], 0, "{marks}");
    let latency = marks["latencyMsP50"].as_f64().unwrap();
    assert!((0.0..2_000.0).contains(&latency), "{marks}");
    is_tone(&tone, &tone["hz"], 660.0);
    // Enough of the browser's pictures to judge them.
    client
        .wait_for("stats", |e| decoded(e) >= 100)
        .await
        .unwrap();
    page.goto("about:blank").await.unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let seen = &ended.summary().unwrap()["peers"][0];
    // It draws its marks no faster than it encodes them.
    assert!(seen["marks"]["read"].as_u64() >= Some(30), "{seen:#}");
    assert_eq!(seen["marks"]["outOfOrder"], 0, "{seen:#}");
    if codec == "av1" {
        // Its encoder is libaom at the fastest, as Chromium's.
        let (read, smeared) = (&seen["marks"]["read"], &seen["marks"]["unreadable"]);
        assert!(smeared.as_u64() <= read.as_u64(), "{seen:#}");
    } else {
        few_are_smeared(&seen["marks"]);
    }
    is_tone(&seen["tone"], &seen["tone"]["frequencyHz"], 440.0);
}

/// As with other browsers: an encoder that is short of time may leave parts of a picture as they were.
fn few_are_smeared(marks: &Value) {
    let most = 2 + marks["read"].as_u64().unwrap_or(0) / 15;
    assert!(marks["unreadable"].as_u64() <= Some(most), "{marks:#}");
}

fn is_tone(tone: &Value, hz: &Value, wanted: f64) {
    assert!((hz.as_f64().unwrap() - wanted).abs() < 2.0, "{tone:#}");
    assert!(tone["purity"].as_f64() > Some(0.9), "{tone:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_calls_firefox_in_vp8() {
    both_ways("vp8", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_calls_a_client_in_vp8() {
    both_ways("vp8", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_calls_firefox_in_vp9() {
    both_ways("vp9", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_calls_a_client_in_av1() {
    both_ways("av1", false).await;
}
