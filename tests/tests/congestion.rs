//! Calls over a path that carries less than the picture wants: what is sent follows it. The rules themselves are
//! proved on virtual time in `client/congestion`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::process::{Client, Ended, PATIENCE};
use rtc_e2e::server::TestServer;
use serde_json::Value;

/// Two clients in a room for so many seconds; the first one's network is as asked.
async fn call(impair: &str, lasts: u64, more: &[&str]) -> (Ended, Ended) {
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = [&["join", "path", "--headless", "--server", &url], more].concat();
    let impaired = [&common[..], &["--until-alone", "--impair", impair]].concat();
    let mut a = Client::start(&impaired).unwrap();
    a.wait_for("joined", |_| true).await.unwrap();
    let duration = format!("{lasts}s");
    let b = Client::start(&[&common[..], &["--duration", &duration]].concat()).unwrap();
    let within = Duration::from_secs(lasts + 20);
    let (a, b) = tokio::join!(a.ended(within), b.ended(within));
    (a.unwrap(), b.unwrap())
}

/// The dictionaries of a type in each report of statistics, with the time of the report.
fn statistics<'a>(ended: &'a Ended, kind: &str) -> Vec<(f64, &'a Value)> {
    let reports = ended
        .events
        .iter()
        .filter(|event| event["event"] == "stats");
    reports
        .flat_map(|event| {
            let time = event["time"].as_f64().unwrap();
            let report = event["report"].as_object().unwrap();
            report.values().map(move |value| (time, value))
        })
        .filter(|(_, value)| value["type"] == kind)
        .collect()
}

/// What the path was thought to carry, in each report.
fn available(ended: &Ended) -> Vec<(f64, f64)> {
    statistics(ended, "candidate-pair")
        .into_iter()
        .filter_map(|(time, pair)| Some((time, pair["availableOutgoingBitrate"].as_f64()?)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_of_half_a_megabit_is_not_flooded() {
    let _alone = alone().await;
    let (a, b) = call("up:rate=500kbit,queue=300ms,delay=20ms,seed=7", 14, &[]).await;
    let told = available(&a);
    let (_, last) = told.last().unwrap();
    assert!((200e3..650e3).contains(last), "{told:?}");
    let marks = &b.summary().unwrap()["peers"][0]["marks"];
    // The whole queue and the jitter buffer at the worst; flooded, nearly nothing would come whole.
    assert!(marks["latencyMsP50"].as_f64().unwrap() < 450.0, "{marks:#}");
    assert!(marks["read"].as_u64().unwrap() >= 100, "{marks:#}");
    let pictures = statistics(&b, "inbound-rtp");
    let (_, last) = pictures
        .iter()
        .rfind(|(_, of)| of["kind"] == "video")
        .unwrap();
    let lost = last["packetsLost"].as_i64().unwrap();
    let received = last["packetsReceived"].as_i64().unwrap();
    assert!(lost * 10 < received, "{last:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_carries_everything_is_used_at_once() {
    let _alone = alone().await;
    let (a, _) = call("up:delay=20ms,seed=7", 8, &[]).await;
    let told = available(&a);
    let (first, _) = told.first().unwrap();
    let soon = told.iter().find(|(_, bits)| *bits >= 1.5e6);
    assert!(soon.is_some_and(|(time, _)| time - first < 5.0), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn random_loss_is_no_reason_to_send_less() {
    let _alone = alone().await;
    let (a, b) = call("up:loss=10%,delay=20ms,seed=7", 14, &[]).await;
    let told = available(&a);
    let (_, last) = told.last().unwrap();
    assert!(*last >= 1e6, "{told:?}");
    let marks = &b.summary().unwrap()["peers"][0]["marks"];
    assert_eq!(marks["unreadable"], 0, "{marks:#}");
}

/// For how many seconds pictures stood still until each report.
fn frozen(ended: &Ended) -> Vec<(f64, f64)> {
    let pictures = statistics(ended, "inbound-rtp").into_iter();
    let pictures = pictures.filter(|(_, of)| of["kind"] == "video");
    pictures
        .map(|(time, of)| (time, of["totalFreezesDuration"].as_f64().unwrap()))
        .collect()
}

/// All of them together.
fn frozen_in_all(ended: &Ended) -> f64 {
    frozen(ended).last().unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_shrinks_to_a_fifth_hardly_stops_the_picture() {
    let _alone = alone().await;
    let path = "up:rate=2.5mbit,queue=200ms,delay=20ms,seed=7;8s:rate=500kbit";
    let (a, b) = call(path, 13, &["--codec", "vp8", "--bitrate", "2500000"]).await;
    let told = available(&a);
    let most = told.iter().map(|(_, bits)| *bits).fold(0.0, f64::max);
    let (_, last) = told.last().unwrap();
    assert!(most >= 1.2e6 && *last <= 650e3, "{told:?}");
    // The way back carries everything: what stands still there does so because of the machine, and does so on the way there.
    let (total, machine) = (frozen_in_all(&b), frozen_in_all(&a));
    assert!(
        total <= 1.0 + machine,
        "{total} s, {machine} s of the machine: {told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_the_picture_goes_on_at_once() {
    let _alone = alone().await;
    let path = "rate=2.5mbit,queue=200ms,delay=20ms,seed=7;7s:loss=100%;9s:loss=0";
    let (a, b) = call(path, 13, &["--codec", "vp8", "--bitrate", "2500000"]).await;
    let told = available(&a);
    let (_, last) = told.last().unwrap();
    assert!(*last >= 1e6, "{told:?}");
    // Before the cut the path carries everything: what stands still then does so because of the machine, in half of the time.
    let stood = frozen(&b);
    let (began, _) = stood.first().unwrap();
    let before = stood.iter().rfind(|(time, _)| time - began < 4.0);
    let machine = before.unwrap().1;
    let cut = frozen_in_all(&b) - machine;
    assert!(
        (1.7..2.8 + 2.0 * machine).contains(&cut),
        "{cut} s, {machine} s of the machine before: {stood:?} {told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_tells_us_what_its_path_carries() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let port = server.port();
    let page = browser
        .open(&format!(
            "http://localhost:{port}/mixed?name=far&autojoin=1&processing=0"
        ))
        .await
        .unwrap();
    page.wait_for("rtc.phase === 'joined'", PATIENCE)
        .await
        .unwrap();
    let url = server.url();
    let client = Client::start(&[
        "join",
        "mixed",
        "--headless",
        "--server",
        &url,
        "--duration",
        "12s",
        "--impair",
        "up:rate=600kbit,queue=300ms,delay=20ms,seed=7",
    ])
    .unwrap();
    let ended = client.ended(Duration::from_secs(32)).await.unwrap();
    let told = available(&ended);
    let (_, last) = told.last().unwrap();
    assert!((250e3..780e3).contains(last), "{told:?}");
}
