//! Against a server as it is deployed: by TLS, and one that sends its peers to another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::deployed::Deployed;
use rtc_e2e::process::{Client, PATIENCE, decoded};
use serde_json::Value;

/// A server with a certificate of its own, and the fingerprint that it says.
async fn by_tls() -> (Deployed, String) {
    let mut server = Deployed::start(&["--tls-self-signed"]).await.unwrap();
    let line = server.line_with("--tls-fingerprint ").await.unwrap();
    let print = line.rsplit(' ').next().unwrap().to_owned();
    assert!(server.url().starts_with("https://"), "{}", server.url());
    (server, print)
}

fn client(server: &str, name: &str, more: &[&str], environment: &[(&str, &str)]) -> Client {
    let mut all = vec![
        "join",
        "deployed",
        "--headless",
        "--size",
        "320x180",
        "--bitrate",
        "300k",
        "--server",
        server,
        "--as",
        name,
    ];
    all.extend(more);
    Client::start_with(&all, environment).unwrap()
}

fn is_picture(event: &Value) -> bool {
    event["kind"] == "video"
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_call_each_other_through_a_server_known_by_its_fingerprint() {
    let _alone = alone().await;
    let (server, print) = by_tls().await;
    let (url, pin) = (server.url(), ["--tls-fingerprint", &print, "--until-alone"]);
    let mut ann = client(url, "ann", &pin, &[]);
    ann.wait_for("joined", |e| e["url"].as_str().unwrap().starts_with(url))
        .await
        .unwrap();
    let others = format!("sha256:{},{print}", "00".repeat(32));
    let variable = [("RTC_CLIENT_TLS_FINGERPRINT", others.as_str())];
    let mut bob = client(&url.replace("https", "wss"), "bob", &[], &variable);
    for one in [&mut ann, &mut bob] {
        one.wait_for("first-frame", is_picture).await.unwrap();
    }
    bob.signal("INT").unwrap();
    assert_eq!(bob.ended(Duration::ZERO).await.unwrap().code, Some(0));
    assert_eq!(ann.ended(Duration::ZERO).await.unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_prove_who_it_is_is_exit_code_3_and_says_what_to_do() {
    let (server, print) = by_tls().await;
    let other = format!("sha256:{}", "00".repeat(32));
    for (flags, words) in [
        (vec!["--tls-fingerprint", &other], "another fingerprint"),
        (vec![], "--tls-fingerprint"),
    ] {
        let ended = client(server.url(), "ann", &flags, &[]);
        let ended = ended.ended(Duration::ZERO).await.unwrap();
        assert_eq!(ended.code, Some(3), "{ended:#?}");
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert!(ended.stderr.contains(&print), "{}", ended.stderr);
    }
    for flags in [
        ["--tls-fingerprint", "sha256:1234"],
        ["--tls-ca", "/no/such/file.pem"],
    ] {
        let ended = client(server.url(), "ann", &flags, &[]);
        let ended = ended.ended(Duration::ZERO).await.unwrap();
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr.contains(flags[1]), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_and_a_page_call_each_other_by_tls() {
    let _alone = alone().await;
    let (server, print) = by_tls().await;
    let flags = vec!["--ignore-certificate-errors".to_owned()];
    let options = ChromeOptions {
        flags,
        ..ChromeOptions::default()
    };
    let browser = Browser::launch(&options).await.unwrap();
    let url = format!("{}/deployed?name=page&autojoin=1", server.url());
    let page = browser.open(&url).await.unwrap();
    page.wait_for("rtc.phase === 'joined'", PATIENCE)
        .await
        .unwrap();
    let pin = ["--tls-fingerprint", &print, "--until-alone"];
    let mut ann = client(server.url(), "ann", &pin, &[]);
    ann.wait_for("first-frame", is_picture).await.unwrap();
    page.wait_for(
        "rtc.peers[0]?.state === 'connected' && rtc.video(rtc.peers[0].id)?.videoWidth === 320",
        PATIENCE,
    )
    .await
    .unwrap();
    page.goto("about:blank").await.unwrap();
    assert_eq!(ann.ended(Duration::ZERO).await.unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_and_meets_again_at_the_server_that_a_drain_sends_it_to() {
    let _alone = alone().await;
    let second = Deployed::start(&[]).await.unwrap();
    let drained = ["--drain-url", second.url(), "--drain-deadline", "1"];
    let mut first = Deployed::start(&drained).await.unwrap();
    let mut ann = client(first.url(), "ann", &["--until-alone"], &[]);
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(first.url(), "bob", &[], &[]);
    for one in [&mut ann, &mut bob] {
        one.wait_for("first-frame", is_picture).await.unwrap();
    }
    first.signal("TERM").unwrap();
    first.line_with("draining: 2 peers").await.unwrap();
    for one in [&mut ann, &mut bob] {
        one.wait_for("signaling-lost", |_| true).await.unwrap();
        let back = one.wait_for("signaling-back", |_| true).await.unwrap();
        assert_eq!(back["resumed"], false, "the second server knew nobody");
    }
    assert_eq!(first.ended().await.unwrap(), Some(0));
    // The picture went on through the same connection.
    let before = ann.wait_for("stats", |_| true).await.unwrap();
    let before = decoded(&before);
    ann.wait_for("stats", |e| decoded(e) > before)
        .await
        .unwrap();
    let connections = |client: &Client| {
        let new = client.events.iter().filter(|e| e["event"] == "connected");
        new.count()
    };
    assert_eq!((connections(&ann), connections(&bob)), (1, 1));
    // Whoever comes now finds both there, and hears them leave.
    let mut eve = client(second.url(), "eve", &[], &[]);
    let joined = eve.wait_for("joined", |_| true).await.unwrap();
    assert_eq!(joined["peers"].as_array().unwrap().len(), 2, "{joined}");
    for leaving in [eve, bob] {
        leaving.signal("INT").unwrap();
        assert_eq!(leaving.ended(Duration::ZERO).await.unwrap().code, Some(0));
    }
    assert_eq!(ann.ended(Duration::ZERO).await.unwrap().code, Some(0));
}
