//! A machine that sleeps and wakes up: its call comes back by itself. A stopped process stands for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::deployed::Deployed;
use rtc_e2e::process::{Client, PATIENCE};
use rtc_e2e::server::TestServer;
use serde_json::Value;
use tokio::time::sleep;

/// Longer than connections are waited for, and than the server waits for a word.
const SLEEP: Duration = Duration::from_secs(40);

fn client(server: &str, name: &str) -> Client {
    let all = [
        "join",
        "sleepy",
        "--headless",
        "--size",
        "320x180",
        "--server",
        server,
        "--as",
        name,
    ];
    Client::start(&all).unwrap()
}

fn decoded(event: &Value) -> u64 {
    let report = event["report"].as_object().unwrap();
    let counts = report.values().map(|entry| &entry["framesDecoded"]);
    counts.filter_map(Value::as_u64).max().unwrap_or(0)
}

/// More pictures come than a socket's buffer has kept from before.
async fn sees(client: &mut Client) {
    const KEPT: u64 = 150;
    let mut before = None;
    let mut seen = 0;
    while seen <= KEPT {
        let report = client.wait_for("stats", |_| true).await.unwrap();
        let now = decoded(&report);
        // A connection made anew counts from the beginning.
        seen += now.saturating_sub(before.replace(now).unwrap_or(now));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_between_clients_comes_back_when_one_of_them_wakes_up() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut awake = client(&server.url(), "awake");
    awake.wait_for("joined", |_| true).await.unwrap();
    let mut sleeper = client(&server.url(), "sleeper");
    for one in [&mut awake, &mut sleeper] {
        one.wait_for("first-frame", |e| e["kind"] == "video")
            .await
            .unwrap();
    }
    sleeper.signal("STOP").unwrap();
    awake
        .wait_for("connection-troubled", |_| true)
        .await
        .unwrap();
    sleep(SLEEP).await;
    sleeper.signal("CONT").unwrap();
    for one in [&mut awake, &mut sleeper] {
        sees(one).await;
    }
    for one in [sleeper, awake] {
        one.signal("INT").unwrap();
        let ended = one.ended(Duration::ZERO).await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_a_page_comes_back_when_the_client_wakes_up() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let url = format!(
        "http://localhost:{}/sleepy?name=page&autojoin=1",
        server.port()
    );
    let page = browser.open(&url).await.unwrap();
    page.wait_for("rtc.phase === 'joined' && rtc.sending.video", PATIENCE)
        .await
        .unwrap();
    let mut sleeper = client(&server.url(), "sleeper");
    sleeper
        .wait_for("first-frame", |e| e["kind"] == "video")
        .await
        .unwrap();
    sleeper.signal("STOP").unwrap();
    sleep(SLEEP).await;
    sleeper.signal("CONT").unwrap();
    page.wait_for(
        "rtc.peers.length === 1 && rtc.peers[0].state === 'connected'",
        PATIENCE,
    )
    .await
    .unwrap();
    let shown = "rtc.video(rtc.peers[0].id).getVideoPlaybackQuality().totalVideoFrames";
    page.eval(&format!("(globalThis.shown = {shown}, 1)"))
        .await
        .unwrap();
    page.wait_for(
        &format!("Math.abs({shown} - globalThis.shown) > 20"),
        PATIENCE,
    )
    .await
    .unwrap();
    sees(&mut sleeper).await;
    sleeper.signal("INT").unwrap();
    sleeper.ended(Duration::ZERO).await.unwrap();
}

/// Two that see each other, whose server is gone; the second takes commands. With the port that the server had.
async fn two_without_their_server() -> (Client, Client, u16) {
    let mut server = Deployed::start(&[]).await.unwrap();
    let port = server.port().unwrap();
    let url = server.url().to_owned();
    let mut one = client(&url, "one");
    one.wait_for("joined", |_| true).await.unwrap();
    let arguments = [
        "join",
        "sleepy",
        "--headless",
        "--commands",
        "--size",
        "320x180",
        "--server",
        &url,
        "--as",
        "other",
    ];
    let mut other = Client::start(&arguments).unwrap();
    for one in [&mut one, &mut other] {
        one.wait_for("first-frame", |e| e["kind"] == "video")
            .await
            .unwrap();
    }
    server.kill().await.unwrap();
    for one in [&mut one, &mut other] {
        one.wait_for("signaling-lost", |_| true).await.unwrap();
    }
    (one, other, port)
}

/// What the second negotiates meanwhile waits for the server, and is told then.
async fn held_until_the_server_is_back(one: &mut Client, other: &mut Client, port: u16) {
    other.type_line("/hold").await.unwrap();
    other.wait_for("peer-held", |_| true).await.unwrap();
    let _again = Deployed::start_at(port, &[]).await.unwrap();
    for one in [&mut *one, &mut *other] {
        one.wait_for("signaling-back", |_| true).await.unwrap();
    }
    one.wait_for("peer-held", |e| e["held"] == true)
        .await
        .unwrap();
    other.type_line("/unhold").await.unwrap();
    one.wait_for("peer-held", |e| e["held"] == false)
        .await
        .unwrap();
    for one in [one, other] {
        sees(one).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_for_a_minute_without_its_server_and_is_renegotiated_after_it() {
    let _beside = beside_another().await;
    let (mut one, mut other, port) = two_without_their_server().await;
    let minute = tokio::time::Instant::now() + Duration::from_secs(60);
    while tokio::time::Instant::now() < minute {
        for one in [&mut one, &mut other] {
            one.wait_for("stats", |_| true).await.unwrap();
        }
    }
    for one in [&mut one, &mut other] {
        sees(one).await;
    }
    held_until_the_server_is_back(&mut one, &mut other, port).await;
    for one in [other, one] {
        one.signal("INT").unwrap();
        let ended = one.ended(Duration::ZERO).await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let kinds = ended.events.iter().map(|e| e["event"].as_str().unwrap());
        assert_eq!(kinds.filter(|kind| *kind == "connected").count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_one_side_slept_without_a_server_goes_on_and_is_renegotiated_after_it() {
    let _beside = beside_another().await;
    for sleeper in [0, 1] {
        let (one, other, port) = two_without_their_server().await;
        let mut both = [one, other];
        both[sleeper].signal("STOP").unwrap();
        both[1 - sleeper]
            .wait_for("connection-troubled", |_| true)
            .await
            .unwrap();
        // Longer than a connection is left to itself where there is a server.
        sleep(Duration::from_secs(4)).await;
        both[sleeper].signal("CONT").unwrap();
        let [one, other] = &mut both;
        // It comes back by the way that both know, without anybody's help.
        for one in [&mut *one, &mut *other] {
            sees(one).await;
        }
        held_until_the_server_is_back(one, other, port).await;
        for one in both {
            one.signal("INT").unwrap();
            let ended = one.ended(Duration::ZERO).await.unwrap();
            assert_eq!(ended.code, Some(0), "{ended:#?}");
        }
    }
}
