//! What changes in a running call: sources, directions, calls that are held. Marks and tones tell what arrives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::{Browser, ChromeOptions, Page, fake, watch};
use rtc_e2e::process::{Client, PATIENCE};
use rtc_e2e::server::TestServer;
use serde_json::Value;

fn client(server: &TestServer, name: &str, more: &[&str]) -> Client {
    let url = server.url();
    let mut all = vec![
        "join",
        "change",
        "--headless",
        "--commands",
        "--size",
        "320x180",
        "--server",
        &url,
        "--as",
        name,
    ];
    all.extend(more);
    Client::start(&all).unwrap()
}

/// Pictures that were decoded of the other one so far, as the last report has it.
fn decoded(event: &Value) -> u64 {
    let report = event["report"].as_object().unwrap();
    let counts = report.values().map(|entry| &entry["framesDecoded"]);
    counts.filter_map(Value::as_u64).max().unwrap_or(0)
}

fn known(client: &Client) -> u64 {
    let last = client.events.iter().rfind(|e| e["event"] == "stats");
    last.map_or(0, decoded)
}

/// Pictures come, whatever came before.
async fn sees(client: &mut Client) {
    let before = known(client);
    client
        .wait_for("stats", |event| decoded(event) > before + 15)
        .await
        .unwrap();
}

/// No pictures come: two reports of equal counts.
async fn sees_nothing(client: &mut Client) {
    let mut before = u64::MAX;
    loop {
        let report = client.wait_for("stats", |_| true).await.unwrap();
        if decoded(&report) == before {
            return;
        }
        before = decoded(&report);
    }
}

async fn changed(client: &mut Client, line: &str, kind: &str, source: &str) {
    client.type_line(line).await.unwrap();
    let event = client
        .wait_for("source-changed", |event| event["kind"] == kind)
        .await
        .unwrap();
    assert_eq!(event["source"], source);
}

async fn ended(client: Client) -> Value {
    client.signal("INT").unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.summary().unwrap().clone()
}

async fn held(client: &mut Client, by: &str, held: bool) {
    client
        .wait_for("peer-held", |event| {
            event["peer"]["name"] == by && event["held"] == held
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_turned_on_and_off_and_on_again_in_the_call() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut ann = client(&server, "ann", &["--video", "none"]);
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(&server, "bob", &["--video", "none"]);
    for one in [&mut ann, &mut bob] {
        one.wait_for("first-frame", |e| e["kind"] == "audio")
            .await
            .unwrap();
    }
    for _ in 0..2 {
        changed(&mut ann, "/video test", "video", "test").await;
        sees(&mut bob).await;
        changed(&mut bob, "/video test", "video", "test").await;
        sees(&mut ann).await;
        changed(&mut ann, "/video none", "video", "none").await;
        sees_nothing(&mut bob).await;
        sees(&mut ann).await;
        changed(&mut bob, "/video none", "video", "none").await;
        sees_nothing(&mut ann).await;
    }
    let bob = ended(bob).await;
    assert!(
        bob["peers"][0]["marks"]["read"].as_u64().unwrap() > 20,
        "{bob:#}"
    );
    assert_eq!(bob["peers"][0]["marks"]["unreadable"], 0, "{bob:#}");
    ended(ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_between_clients_is_held_by_either_and_goes_on() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut ann = client(&server, "ann", &[]);
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(&server, "bob", &[]);
    for one in [&mut ann, &mut bob] {
        one.wait_for("first-frame", |e| e["kind"] == "video")
            .await
            .unwrap();
    }
    ann.type_line("/hold").await.unwrap();
    held(&mut ann, "ann", true).await;
    held(&mut bob, "ann", true).await;
    sees_nothing(&mut bob).await;
    sees_nothing(&mut ann).await;
    // Both hold, and one alone takes it up: nothing goes yet.
    bob.type_line("/hold").await.unwrap();
    held(&mut bob, "bob", true).await;
    ann.type_line("/unhold").await.unwrap();
    held(&mut ann, "ann", false).await;
    sees_nothing(&mut bob).await;
    bob.type_line("/unhold").await.unwrap();
    for one in [&mut ann, &mut bob] {
        sees(one).await;
    }
    for one in [ann, bob] {
        let summary = ended(one).await;
        let peer = &summary["peers"][0];
        assert_eq!(peer["marks"]["unreadable"], 0, "{peer:#}");
        let hz = peer["tone"]["frequencyHz"].as_f64().unwrap();
        assert!((hz - 440.0).abs() < 2.0, "{peer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_output_nobody_reads_is_told_and_stopped_as_any_other() {
    // More than a pipe holds (64 KiB), and both tell about the same.
    const FULL: usize = 100_000;
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut alice = client(&server, "alice", &[]);
    alice.wait_for("joined", |_| true).await.unwrap();
    let carol = client(&server, "carol", &[]);
    let mut bob = client(&server, "bob", &[]);
    for _ in 0..2 {
        bob.wait_for("first-frame", |e| e["kind"] == "video")
            .await
            .unwrap();
    }
    let mut told = 0;
    while told < FULL {
        told += bob
            .wait_for("stats", |_| true)
            .await
            .unwrap()
            .to_string()
            .len();
    }
    let hears = |held| move |event: &Value| event["held"] == held;
    alice.type_line("/hold").await.unwrap();
    bob.wait_for("peer-held", hears(true)).await.unwrap();
    alice.type_line("/unhold").await.unwrap();
    bob.wait_for("peer-held", hears(false)).await.unwrap();
    alice.signal("INT").unwrap();
    // What waited for its reader is not lost.
    let all = alice.ended(Duration::ZERO).await.unwrap();
    assert_eq!(all.code, Some(0), "{all:#?}");
    all.summary().unwrap();
    bob.wait_for("peer-left", |_| true).await.unwrap();
    // Where nobody reads at all, once is enough.
    carol.signal("INT").unwrap();
    assert_eq!(carol.ended_unread().await.unwrap(), Some(0));
    bob.wait_for("peer-left", |_| true).await.unwrap();
    ended(bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_taken_leaves_the_one_before() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut ann = client(&server, "ann", &[]);
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(&server, "bob", &[]);
    bob.wait_for("first-frame", |e| e["kind"] == "video")
        .await
        .unwrap();
    for (line, word) in [
        ("/video file:/nowhere.webm", "/nowhere.webm"),
        ("/video moon", "moon"),
        ("/video -", "pipe"),
        ("/audio tone:1", "50 to 12000"),
        ("/unshare", "/share"),
    ] {
        ann.type_line(line).await.unwrap();
        ann.wait_for("notice", |e| e["text"].as_str().unwrap().contains(word))
            .await
            .unwrap();
    }
    sees(&mut bob).await;
    ended(ann).await;
    ended(bob).await;
}

/// A room with a page in it whose camera shows marks and whose microphone gives 440 Hz.
async fn page(server: &TestServer, folder: &std::path::Path, more: &str) -> (Browser, Page) {
    let camera = folder.join("camera.y4m");
    let microphone = folder.join("microphone.wav");
    fake::write_camera(&camera, (640, 360), 30, 90).unwrap();
    fake::write_microphone(&microphone, 440, 10).unwrap();
    let browser = Browser::launch(&ChromeOptions {
        camera: Some(camera),
        microphone: Some(microphone),
        ..ChromeOptions::default()
    })
    .await
    .unwrap();
    let port = server.port();
    let url = format!("http://localhost:{port}/change?name=page&autojoin=1&processing=0{more}");
    let page = browser.open(&url).await.unwrap();
    page.wait_for("rtc.phase === 'joined'", PATIENCE)
        .await
        .unwrap();
    (browser, page)
}

async fn press(page: &Page, kind: &str) {
    let script = format!("document.querySelector('.bar [data-toggle={kind}]').click()");
    page.eval(&script).await.unwrap();
}

/// What the page's connection knows of what comes, to explain where nothing does.
async fn received(page: &Page) -> Value {
    let stats = "rtc.stats(rtc.peers[0].id).then(all => Object.values(all) \
        .filter(s => s.type === 'inbound-rtp') \
        .map(s => ({ kind: s.kind, ssrc: s.ssrc, packets: s.packetsReceived, decoded: s.framesDecoded, mid: s.mid })) \
        .concat(rtc.stream(rtc.peers[0].id).getTracks().map(t => ({ kind: t.kind, state: t.readyState, muted: t.muted }))))";
    page.eval(stats).await.unwrap_or_default()
}

async fn page_sees(page: &Page, hz: u32) {
    let watched = watch(page, "terminal", hz, PATIENCE).await;
    let (marks, tone) = match watched {
        Ok(watched) => watched,
        Err(error) => panic!("{error:#}\n{:#}", received(page).await),
    };
    assert_eq!(marks["unreadable"], 0, "{marks}");
    let heard = tone["hz"].as_f64().unwrap();
    assert!((heard - f64::from(hz)).abs() < 2.0, "{tone}");
    page.eval("Promise.all([marks.stop(), tone.stop()])")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_turns_its_picture_on_for_a_page_changes_its_tone_and_holds() {
    let _beside = beside_another().await;
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start().await.unwrap();
    let (_browser, page) = page(&server, folder.path(), "").await;
    let mut client = client(&server, "terminal", &["--video", "none"]);
    client
        .wait_for("first-frame", |e| e["kind"] == "video")
        .await
        .unwrap();
    changed(&mut client, "/video test", "video", "test").await;
    page_sees(&page, 440).await;
    changed(&mut client, "/audio tone:660", "audio", "tone:660").await;
    page_sees(&page, 660).await;
    sees(&mut client).await;
    client.type_line("/hold").await.unwrap();
    sees_nothing(&mut client).await;
    client.type_line("/unhold").await.unwrap();
    sees(&mut client).await;
    page_sees(&page, 660).await;
    changed(&mut client, "/video none", "video", "none").await;
    changed(&mut client, "/video test", "video", "test").await;
    page_sees(&page, 660).await;
    assert!(page.complaints().is_empty(), "{:?}", page.complaints());
    ended(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_turns_its_picture_on_for_a_client() {
    let _beside = beside_another().await;
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::start().await.unwrap();
    for first in [true, false] {
        let mut client = client(&server, "terminal", &[]);
        client.wait_for("joined", |_| true).await.unwrap();
        let (_browser, page) = page(&server, folder.path(), "&video=0").await;
        client
            .wait_for("first-frame", |e| e["kind"] == "audio")
            .await
            .unwrap();
        if first {
            client.type_line("/video none").await.unwrap();
        }
        for _ in 0..2 {
            press(&page, "video").await;
            sees(&mut client).await;
            press(&page, "video").await;
            sees_nothing(&mut client).await;
        }
        client.type_line("/video test").await.unwrap();
        page_sees(&page, 440).await;
        page.goto("about:blank").await.unwrap();
        client.wait_for("peer-left", |_| true).await.unwrap();
        ended(client).await;
    }
}
