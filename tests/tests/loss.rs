//! Repair packets: what one side sends, the other uses, ours and Chromium's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::process::{Client, PATIENCE};
use rtc_e2e::server::TestServer;
use serde_json::Value;

const PATH: &str = "loss=10%,delay=100ms,seed=7";

fn client(server: &TestServer, more: &[&str]) -> Client {
    let url = server.url();
    let common = [
        "join",
        "lossy",
        "--headless",
        "--codec",
        "vp8",
        "--fec",
        "on",
    ];
    Client::start(&[&common[..], &["--server", &url], more].concat()).unwrap()
}

/// Of pictures that come: repair packets, and those that were of no use.
fn repairs(stats: &Value) -> (u64, u64) {
    let report = stats["report"].as_object().unwrap();
    let pictures = report
        .values()
        .find(|s| s["type"] == "inbound-rtp" && s["kind"] == "video");
    let count = |key: &str| pictures.and_then(|s| s[key].as_u64()).unwrap_or(0);
    (count("fecPacketsReceived"), count("fecPacketsDiscarded"))
}

fn some_helped(stats: &Value) -> bool {
    let (received, discarded) = repairs(stats);
    received > discarded + 5
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_repair_what_the_path_loses() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let mut one = client(&server, &["--until-alone", "--impair", PATH]);
    one.wait_for("joined", |_| true).await.unwrap();
    let mut two = client(&server, &[]);
    one.wait_for("stats", some_helped).await.unwrap();
    two.wait_for("stats", some_helped).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_and_a_client_repair_what_the_path_loses() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let address = format!(
        "http://localhost:{}/lossy?name=page&autojoin=1&processing=0",
        server.port()
    );
    let page = browser.open(&address).await.unwrap();
    page.wait_for("rtc.phase === 'joined' && rtc.sending.video", PATIENCE)
        .await
        .unwrap();
    let mut ours = client(&server, &["--impair", PATH]);
    ours.wait_for("connected", |_| true).await.unwrap();
    ours.wait_for("stats", some_helped).await.unwrap();
    // Chromium does not tell what repair packets brought it; with packets that it cannot read it would show nothing for long.
    page.wait_for(
        "rtc.stats(rtc.peers[0].id).then(all => Object.values(all).some(s => \
         s.type === 'inbound-rtp' && s.kind === 'video' && s.framesDecoded > 150))",
        PATIENCE,
    )
    .await
    .unwrap();
}
