//! Pages of unlike dialects, written as their tutorials' readers would, in real Chromium: who calls whom, with real media.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::{Browser, ChromeOptions, MARKS_JS, Page, TONE_JS, fake};
use rtc_e2e::process::{Client, PATIENCE, decoded};
use rtc_e2e::server::TestServer;
use rtc_server::{Config, Folder};
use serde_json::Value;

struct Stage {
    _folder: tempfile::TempDir,
    server: TestServer,
    browser: Browser,
}

impl Stage {
    /// A Chromium whose camera shows marks and whose microphone gives 440 Hz, and a server of the pages beside this test.
    async fn new() -> Self {
        let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("pages");
        let config = Config {
            root: Some(Folder::new(&pages).unwrap()),
            ..Config::localhost(0)
        };
        let folder = tempfile::tempdir().unwrap();
        let camera = folder.path().join("camera.y4m");
        let microphone = folder.path().join("microphone.wav");
        fake::write_camera(&camera, (640, 360), 15, 45).unwrap();
        fake::write_microphone(&microphone, 440, 10).unwrap();
        let browser = Browser::launch(&ChromeOptions {
            camera: Some(camera),
            microphone: Some(microphone),
            ..ChromeOptions::default()
        })
        .await
        .unwrap();
        Self {
            _folder: folder,
            server: TestServer::start_with(config).await.unwrap(),
            browser,
        }
    }

    /// Opens one of the pages in the server's folder.
    async fn page(&self, dialect: &str, query: &str) -> Page {
        let port = self.server.port();
        let url = format!("http://localhost:{port}/{dialect}/?{query}");
        self.browser.open(&url).await.unwrap()
    }

    /// Opens a page for two, and waits until it is in the room.
    async fn one_of_two(&self, dialect: &str) -> Page {
        let page = self.page(dialect, "room=r").await;
        page.wait_for("page.inside", PATIENCE).await.unwrap();
        page
    }

    async fn conference(&self, name: &str) -> Page {
        let page = self
            .page("conference", &format!("room=r&name={name}"))
            .await;
        page.wait_for("page.me", PATIENCE).await.unwrap();
        page
    }

    fn client(&self, more: &[&str]) -> Client {
        let url = self.server.url();
        let mut all = vec!["join", "r", "--headless", "--server", &url];
        all.extend(["--audio", "tone:660", "--size", "320x180"]);
        all.extend(more);
        Client::start(&all).unwrap()
    }
}

/// Watches what a page gets of somebody until there is enough of it, and checks that it is what was sent.
async fn sees_and_hears(page: &Page, who: &str, hz: u32) {
    page.eval(MARKS_JS).await.unwrap();
    page.eval(TONE_JS).await.unwrap();
    let there = format!(
        "page.stateOf('{who}') === 'connected' && page.streamOf('{who}')?.getTracks().length === 2"
    );
    page.wait_for(&there, PATIENCE).await.unwrap();
    page.eval(&format!(
        "(() => {{ const stream = page.streamOf('{who}'); \
         globalThis.marks = rtcMarks.watch(stream.getVideoTracks()[0]); \
         globalThis.tone = rtcTone.watch(stream.getAudioTracks()[0], {hz}); }})()"
    ))
    .await
    .unwrap();
    let enough = "marks.summary().read >= 15 && tone.summary().heardSeconds >= 3";
    page.wait_for(enough, PATIENCE).await.unwrap();
    let tone = page.eval("tone.summary()").await.unwrap();
    let heard = tone["hz"].as_f64().unwrap();
    assert!((heard - f64::from(hz)).abs() < 2.0, "{tone}");
    page.eval("Promise.all([marks.stop(), tone.stop()])")
        .await
        .unwrap();
}

fn client_saw_and_heard(summary: &Value, peer: &str) {
    let peers = summary["peers"].as_array();
    let peer = peers
        .and_then(|all| all.iter().find(|p| p["name"] == peer))
        .unwrap_or_else(|| panic!("no {peer} in {summary:#}"));
    assert!(
        peer["marks"]["read"].as_u64().unwrap_or(0) >= 15,
        "{peer:#}"
    );
    let hz = peer["tone"]["frequencyHz"].as_f64().unwrap();
    assert!((hz - 440.0).abs() < 3.0, "{peer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn three_conference_pages_see_each_other() {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let ann = stage.conference("Ann").await;
    let bob = stage.conference("Bob").await;
    let carl = stage.conference("Carl").await;
    for (page, others) in [
        (&ann, ["Bob", "Carl"]),
        (&bob, ["Ann", "Carl"]),
        (&carl, ["Ann", "Bob"]),
    ] {
        for other in others {
            sees_and_hears(page, other, 440).await;
        }
    }
    carl.goto("about:blank").await.unwrap();
    for page in [&ann, &bob] {
        page.wait_for("page.users.length === 1", PATIENCE)
            .await
            .unwrap();
    }
    for page in [&ann, &bob] {
        assert_eq!(page.complaints(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conference_page_and_a_client_call_each_other_whoever_comes_first() {
    let _beside = beside_another().await;
    for page_first in [true, false] {
        let stage = Stage::new().await;
        let arguments = ["--as", "terminal", "--until-alone"];
        let (page, mut client) = if page_first {
            let page = stage.conference("Ann").await;
            (page, stage.client(&arguments))
        } else {
            let mut client = stage.client(&arguments);
            client.wait_for("joined", |_| true).await.unwrap();
            (stage.conference("Ann").await, client)
        };
        sees_and_hears(&page, "terminal", 660).await;
        client
            .wait_for("stats", |event| decoded(event) >= 30)
            .await
            .unwrap();
        page.goto("about:blank").await.unwrap();
        let ended = client.ended(Duration::ZERO).await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        client_saw_and_heard(ended.summary().unwrap(), "Ann");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_a_moderator_muted_sends_silence_until_it_is_lifted() {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let page = stage.conference("Ann").await;
    let mut client = stage.client(&["--as", "terminal"]);
    sees_and_hears(&page, "terminal", 660).await;
    let ask = |event: &str| {
        format!(
            "new Promise(done => page.socket.emit('{event}', 'r', page.idOf('terminal'), 'audio', done)).then(a => a.ok)"
        )
    };
    assert_eq!(page.eval(&ask("mute")).await.unwrap(), true);
    let own = |muted: bool| {
        move |e: &Value| {
            e["peer"]["name"] == "terminal" && e["kind"] == "audio" && e["muted"] == muted
        }
    };
    client.wait_for("peer-muted", own(true)).await.unwrap();
    // What comes now is silence: the loudest sample of a second.
    page.eval(
        "globalThis.loudness = async () => { \
           const context = new AudioContext(); await context.resume(); \
           const node = new AnalyserNode(context, { fftSize: 32768 }); \
           context.createMediaStreamSource(new MediaStream(page.streamOf('terminal').getAudioTracks())).connect(node); \
           await new Promise(done => setTimeout(done, 1500)); \
           const all = new Float32Array(node.fftSize); node.getFloatTimeDomainData(all); await context.close(); \
           return Math.max(...all.map(Math.abs)); }",
    )
    .await
    .unwrap();
    page.wait_for("loudness().then(most => most < 0.001)", PATIENCE)
        .await
        .unwrap();
    assert_eq!(page.eval(&ask("unmute")).await.unwrap(), true);
    client.wait_for("peer-muted", own(false)).await.unwrap();
    page.wait_for("loudness().then(most => most > 0.05)", PATIENCE)
        .await
        .unwrap();
    // And one that is put out ends, and says why.
    page.eval("page.socket.emit('kick', 'r', page.idOf('terminal'), 'noise'), true")
        .await
        .unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_ne!(ended.code, Some(0), "{ended:#?}");
    page.wait_for("page.users.length === 0", PATIENCE)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_page_calls_a_conference_page_by_its_name() {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let bob = stage.conference("bob").await;
    let alice = stage.page("login", "name=alice&call=bob").await;
    sees_and_hears(&alice, "bob", 440).await;
    sees_and_hears(&bob, "alice", 440).await;
    alice.eval("page.hangUp(), true").await.unwrap();
    bob.wait_for("page.users.length === 0", PATIENCE)
        .await
        .unwrap();
    assert_eq!(alice.eval("page.errors.length").await.unwrap(), 0);
    assert_eq!(bob.complaints(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_codelab_pages_see_each_other_and_a_third_is_told_that_the_room_is_full() {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let first = stage.one_of_two("codelab").await;
    let second = stage.one_of_two("codelab").await;
    for page in [&first, &second] {
        sees_and_hears(page, "", 440).await;
    }
    let third = stage.page("codelab", "room=r").await;
    third.wait_for("page.full", PATIENCE).await.unwrap();
    // The place of one who goes is free at once.
    second.goto("about:blank").await.unwrap();
    first
        .wait_for("page.stateOf() === null", PATIENCE)
        .await
        .unwrap();
    assert_eq!(first.complaints(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_book_pages_see_each_other_until_one_says_bye() {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let first = stage.one_of_two("book").await;
    let second = stage.one_of_two("book").await;
    for page in [&first, &second] {
        sees_and_hears(page, "", 440).await;
    }
    second.eval("page.bye(), true").await.unwrap();
    first.wait_for("page.ended", PATIENCE).await.unwrap();
    for page in [&first, &second] {
        assert_eq!(page.complaints(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_for_two_and_a_client_call_each_other_whoever_comes_first() {
    let _beside = beside_another().await;
    for (dialect, page_first) in [
        ("codelab", true),
        ("codelab", false),
        ("book", true),
        ("book", false),
    ] {
        let stage = Stage::new().await;
        let arguments = ["--as", "terminal", "--until-alone"];
        let (page, mut client) = if page_first {
            let page = stage.one_of_two(dialect).await;
            (page, stage.client(&arguments))
        } else {
            let mut client = stage.client(&arguments);
            client.wait_for("joined", |_| true).await.unwrap();
            (stage.one_of_two(dialect).await, client)
        };
        sees_and_hears(&page, "", 660).await;
        client
            .wait_for("first-frame", |e| e["kind"] == "video")
            .await
            .unwrap();
        client
            .wait_for("stats", |event| decoded(event) >= 30)
            .await
            .unwrap();
        page.goto("about:blank").await.unwrap();
        let ended = client.ended(Duration::ZERO).await.unwrap();
        assert_eq!(ended.code, Some(0), "{dialect} {page_first}: {ended:#?}");
        let summary = ended.summary().unwrap();
        assert_eq!(summary["peers"][0]["connected"], true, "{summary:#}");
        assert!(
            summary["peers"][0]["marks"]["read"].as_u64().unwrap_or(0) >= 15,
            "{dialect} {page_first}: {summary:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_the_dialect_of_a_page_calls_it_whoever_comes_first() {
    let _beside = beside_another().await;
    for (dialect, page_first) in [
        ("codelab", true),
        ("codelab", false),
        ("book", true),
        ("book", false),
        ("conference", true),
        ("conference", false),
    ] {
        let stage = Stage::new().await;
        let arguments = ["--as", "terminal", "--until-alone", "--signaling", dialect];
        let open = async || match dialect {
            "conference" => stage.conference("Ann").await,
            _ => stage.one_of_two(dialect).await,
        };
        let (page, mut client) = if page_first {
            let page = open().await;
            (page, stage.client(&arguments))
        } else {
            let mut client = stage.client(&arguments);
            client.wait_for("joined", |_| true).await.unwrap();
            (open().await, client)
        };
        let (who, named) = match dialect {
            "conference" => ("terminal", "Ann"),
            _ => ("", "other"),
        };
        sees_and_hears(&page, who, 660).await;
        client
            .wait_for("stats", |event| decoded(event) >= 30)
            .await
            .unwrap();
        page.goto("about:blank").await.unwrap();
        let ended = client.ended(Duration::ZERO).await.unwrap();
        assert_eq!(ended.code, Some(0), "{dialect} {page_first}: {ended:#?}");
        client_saw_and_heard(ended.summary().unwrap(), named);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_login_pages_call_each_other_by_name() {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let bob = stage.page("login", "name=bob").await;
    bob.wait_for("page.loggedIn", PATIENCE).await.unwrap();
    let alice = stage.page("login", "name=alice&call=bob").await;
    for page in [&alice, &bob] {
        sees_and_hears(page, "", 440).await;
    }
    alice.eval("page.hangUp(), true").await.unwrap();
    bob.wait_for("page.stateOf() === null", PATIENCE)
        .await
        .unwrap();
    for page in [&alice, &bob] {
        assert_eq!(page.eval("page.errors.length").await.unwrap(), 0);
    }
}
