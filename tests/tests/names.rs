//! Calls by name: between two `rtc-client`s, and with login pages in Chromium that know nothing of this server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::{Browser, ChromeOptions, Page};
use rtc_e2e::process::{Client, PATIENCE, decoded};
use rtc_e2e::server::TestServer;
use rtc_server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// `rtc-client` with nothing of the machine's devices.
fn client(server: &TestServer, command: &[&str]) -> Client {
    let url = server.url();
    let rest = ["--headless", "--server", &url];
    Client::start(&[command, &rest].concat()).unwrap()
}

/// A client that waits to be called.
async fn waiting(server: &TestServer, more: &[&str]) -> Client {
    let mut alice = client(server, &[&["join", "--as", "alice"], more].concat());
    alice
        .wait_for("waiting", |e| e["name"] == "alice")
        .await
        .unwrap();
    alice
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_calls_another_by_name_and_both_see_and_hear() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut alice = waiting(&server, &["--auto-answer", "--audio", "tone:440"]).await;
    let mut bob = client(
        &server,
        &["call", "alice", "--as", "bob", "--audio", "tone:660"],
    );
    alice
        .wait_for("rung", |e| e["peer"]["name"] == "bob")
        .await
        .unwrap();
    bob.wait_for("ringing", |e| e["name"] == "alice")
        .await
        .unwrap();
    bob.wait_for("accepted", |_| true).await.unwrap();
    // Somebody else finds her busy.
    let carol = client(&server, &["call", "alice", "--as", "carol"]);
    let carol = carol.ended(Duration::ZERO).await.unwrap();
    assert_eq!(carol.code, Some(9), "{carol:#?}");
    for one in [&mut alice, &mut bob] {
        one.wait_for("stats", |e| decoded(e) >= 90).await.unwrap();
    }
    bob.signal("INT").unwrap();
    let (alice, bob) = tokio::join!(alice.ended(Duration::ZERO), bob.ended(Duration::ZERO));
    for (ended, hz) in [(alice.unwrap(), 660.0), (bob.unwrap(), 440.0)] {
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let peer = ended.summary().unwrap()["peers"][0].clone();
        assert!(peer["framesDecoded"].as_u64().unwrap() > 30, "{peer:#}");
        let heard = peer["tone"]["frequencyHz"].as_f64().unwrap();
        assert!((heard - hz).abs() < 2.0, "{peer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_has_and_a_call_that_nobody_answers_have_endings_of_their_own() {
    let _beside = beside_another().await;
    let ring = Duration::from_secs(2);
    let config = Config {
        ring,
        ..Config::localhost(0)
    };
    let server = TestServer::start_with(config).await.unwrap();
    let nobody = client(&server, &["call", "constructor"])
        .ended(Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(nobody.code, Some(11), "{nobody:#?}");
    assert!(
        nobody.stderr.contains("join --as constructor"),
        "{}",
        nobody.stderr
    );
    let mut alice = waiting(&server, &[]).await;
    let taken = client(&server, &["join", "--as", "alice"])
        .ended(Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(taken.code, Some(5), "{taken:#?}");
    assert!(taken.stderr.contains("name-taken"), "{}", taken.stderr);
    let bob = client(&server, &["call", "alice", "--as", "bob"]);
    alice
        .wait_for("rung", |e| e["peer"]["name"] == "bob")
        .await
        .unwrap();
    let bob = bob.ended(ring).await.unwrap();
    assert_eq!(bob.code, Some(10), "{bob:#?}");
    alice.wait_for("ring-ended", |_| true).await.unwrap();
    alice.signal("INT").unwrap();
    assert_eq!(alice.ended(Duration::ZERO).await.unwrap().code, Some(0));
    // A caller that gives up stops the ringing, and she waits on.
    let server = TestServer::start().await.unwrap();
    let mut alice = waiting(&server, &[]).await;
    let carol = client(&server, &["call", "alice", "--as", "carol"]);
    alice
        .wait_for("rung", |e| e["peer"]["name"] == "carol")
        .await
        .unwrap();
    carol.signal("INT").unwrap();
    assert_eq!(carol.ended(Duration::ZERO).await.unwrap().code, Some(0));
    alice.wait_for("ring-ended", |_| true).await.unwrap();
    alice.signal("INT").unwrap();
    assert_eq!(alice.ended(Duration::ZERO).await.unwrap().code, Some(0));
}

/// The page as a stranger's server would give it out: from an address of its own.
struct Pages {
    browser: Browser,
    server: TestServer,
    origin: String,
}

impl Pages {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let page = include_str!("../pages/login.html");
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    page.len()
                );
                let _ = stream.write_all(format!("{head}{page}").as_bytes()).await;
            }
        });
        let config = Config {
            allow_origins: vec![origin.clone()],
            ..Config::localhost(0)
        };
        Self {
            browser: Browser::launch(&ChromeOptions::default()).await.unwrap(),
            server: TestServer::start_with(config).await.unwrap(),
            origin,
        }
    }

    /// A page that is logged in.
    async fn page(&self, name: &str) -> Page {
        let url = format!("{}/?port={}", self.origin, self.server.port());
        let page = self.browser.open(&url).await.unwrap();
        page.wait_for("conn.readyState === 1", PATIENCE)
            .await
            .unwrap();
        page.eval(&format!("login('{name}')")).await.unwrap();
        page.wait_for("loggedIn === true", PATIENCE).await.unwrap();
        page
    }
}

/// Pictures of the other side come, one after another.
async fn sees(page: &Page) {
    page.wait_for("framesDecoded().then(frames => frames > 20)", PATIENCE)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_login_pages_call_each_other() {
    let _beside = beside_another().await;
    let pages = Pages::new().await;
    let (ann, bob) = (pages.page("ann").await, pages.page("bob").await);
    let other = pages
        .browser
        .open(&format!("{}/?port={}", pages.origin, pages.server.port()))
        .await
        .unwrap();
    other
        .wait_for("conn.readyState === 1", PATIENCE)
        .await
        .unwrap();
    other.eval("login('ann')").await.unwrap();
    other
        .wait_for("loggedIn === false", PATIENCE)
        .await
        .unwrap();
    ann.eval("call('bob')").await.unwrap();
    sees(&ann).await;
    sees(&bob).await;
    bob.eval("hangUp()").await.unwrap();
    ann.wait_for("left === 1", PATIENCE).await.unwrap();
    // And again, the other way round.
    bob.eval("call('ann')").await.unwrap();
    sees(&bob).await;
    sees(&ann).await;
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_page_and_a_client_call_each_other() {
    let _beside = beside_another().await;
    let pages = Pages::new().await;
    let page = pages.page("bob").await;
    let alice = waiting(&pages.server, &["--auto-answer", "--duration", "60s"]).await;
    page.eval("call('alice')").await.unwrap();
    sees(&page).await;
    page.eval("hangUp()").await.unwrap();
    let alice = alice.ended(Duration::from_secs(5)).await.unwrap();
    assert_eq!(alice.code, Some(0), "{alice:#?}");
    let peer = alice.summary().unwrap()["peers"][0].clone();
    assert!(peer["framesDecoded"].as_u64().unwrap() > 0, "{peer:#}");
    // The other way: the page answers as it always does.
    let mut carol = client(
        &pages.server,
        &["call", "bob", "--as", "carol", "--duration", "60s"],
    );
    carol.wait_for("ringing", |_| true).await.unwrap();
    carol.wait_for("accepted", |_| true).await.unwrap();
    sees(&page).await;
    carol
        .wait_for("first-frame", |e| e["kind"] == "video")
        .await
        .unwrap();
    page.eval("hangUp()").await.unwrap();
    let carol = carol.ended(Duration::from_secs(5)).await.unwrap();
    assert_eq!(carol.code, Some(0), "{carol:#?}");
    page.wait_for("heard.every(word => word.type !== 'error')", PATIENCE)
        .await
        .unwrap();
}
