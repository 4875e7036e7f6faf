//! Calls that are encrypted end to end: clients and pages, with the same key, another, and none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::{Browser, ChromeOptions, MARKS_JS, Page, TONE_JS, fake};
use rtc_e2e::process::{Client, Ended, PATIENCE, decoded};
use rtc_e2e::server::TestServer;
use rtc_protocol::SUBPROTOCOL;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_util::task::AbortOnDropHandle;

const SECRET: &str = "correct horse battery";

/// The key that it makes in the room `sealed`, as docs/e2ee.md describes it.
const KEY: [u8; 32] = [
    0x85, 0x36, 0x74, 0x6d, 0x05, 0x66, 0x7f, 0x14, 0x07, 0x2e, 0xc7, 0x77, 0x42, 0x6f, 0x0e, 0x02,
    0xb1, 0xea, 0x6c, 0x86, 0x51, 0xae, 0x65, 0xa3, 0x9b, 0x94, 0x42, 0x4e, 0x7d, 0x44, 0xe2, 0xcc,
];

/// Pictures after which a call has been long enough for all that is counted here.
const ENOUGH: u64 = 90;

/// A client in the room, with more arguments and variables.
fn client(url: &str, name: &str, more: &[&str], variables: &[(&str, &str)]) -> Client {
    let mut all = vec![
        "join",
        "sealed",
        "--headless",
        "--server",
        url,
        "--as",
        name,
    ];
    all.extend(more);
    Client::start_with(&all, variables).unwrap()
}

fn peer<'a>(ended: &'a Ended, name: &str) -> &'a Value {
    let peers = ended.summary().unwrap()["peers"].as_array().unwrap();
    peers.iter().find(|p| p["name"] == name).unwrap()
}

/// Marks that may be smeared, as a real-time VP9 encoder does where Chromium's film begins again, encrypted or not.
fn smeared(codec: &str, read: u64) -> u64 {
    if codec == "vp9" { 2 + read / 15 } else { 0 }
}

fn saw_and_heard(peer: &Value, codec: &str, hz: f64) {
    let count = |what: &str| peer["marks"][what].as_u64().unwrap_or(0);
    let (read, unreadable) = (count("read"), count("unreadable"));
    assert!(read >= 60, "{peer:#}");
    assert!(unreadable <= smeared(codec, read), "{peer:#}");
    let heard = peer["tone"]["frequencyHz"].as_f64().unwrap();
    assert!((heard - hz).abs() < 2.0, "{peer:#}");
    assert!(peer["tone"]["purity"].as_f64().unwrap() > 0.9, "{peer:#}");
}

fn reasons(ended: &Ended) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let told = ended
        .events
        .iter()
        .filter(|e| e["event"] == "undecryptable");
    let mut all: Vec<_> = told
        .map(|e| (word(&e["kind"]), word(&e["reason"])))
        .collect();
    all.sort();
    all
}

/// Nothing was shown or played, that is said once of each sense, and the ending says so, too.
fn was_shut_out(ended: &Ended, reason: &str) {
    let both = ["audio", "video"].map(|kind| (kind.to_owned(), reason.to_owned()));
    assert_eq!(reasons(ended), both, "{ended:#?}");
    let first = ended.events.iter().find(|e| e["event"] == "first-frame");
    assert_eq!(first, None, "{ended:#?}");
    assert_eq!(ended.summary().unwrap()["peers"][0]["framesDecoded"], 0);
    assert_eq!(ended.code, Some(7), "{ended:#?}");
    let outcome = ended.summary().unwrap()["outcome"].as_str().unwrap();
    assert!(
        outcome.contains("decrypted") && outcome.contains("--e2ee"),
        "{outcome}"
    );
}

/// Hears every message of a call between clients and a server.
struct Eavesdropper {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl Eavesdropper {
    async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            let mut links = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                links.spawn(listen(stream, server, Arc::clone(&ears)));
            }
        });
        Self {
            port,
            heard,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

#[allow(clippy::result_large_err, reason = "the library's own signature")]
async fn listen(stream: tokio::net::TcpStream, server: u16, heard: Arc<Mutex<Vec<String>>>) {
    let protocol = HeaderValue::from_static(SUBPROTOCOL);
    let answer = |request: &Request, mut response: Response| {
        let asked = request.headers().get("sec-websocket-protocol");
        if let Some(asked) = asked {
            response
                .headers_mut()
                .insert("sec-websocket-protocol", asked.clone());
        }
        Ok(response)
    };
    let near = tokio_tungstenite::accept_hdr_async(stream, answer)
        .await
        .unwrap();
    let mut request = format!("ws://127.0.0.1:{server}/ws")
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    let (far, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let (mut to_near, mut from_near) = near.split();
    let (mut to_far, mut from_far) = far.split();
    let note = |message: &Message| {
        if let Message::Text(text) = message {
            heard.lock().unwrap().push(text.to_string());
        }
    };
    loop {
        let passed = tokio::select! {
            Some(Ok(message)) = from_near.next() => {
                note(&message);
                to_far.send(message).await
            }
            Some(Ok(message)) = from_far.next() => {
                note(&message);
                to_near.send(message).await
            }
            else => return,
        };
        if passed.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_with_one_passphrase_see_hear_and_record_each_other_and_the_server_learns_nothing()
 {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let ears = Eavesdropper::before(server.port()).await;
    let url = format!("http://127.0.0.1:{}", ears.port);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let film = folder.path().join("film.mkv");
    let from_file = ["--e2ee-file", file.to_str().unwrap(), "--until-alone"];
    let more = ["--audio", "tone:440", "--record", film.to_str().unwrap()];
    let mut alice = client(&url, "alice", &[&from_file[..], &more].concat(), &[]);
    alice.wait_for("joined", |_| true).await.unwrap();
    let more = ["--audio", "tone:660"];
    let mut bob = client(&url, "bob", &more, &[("RTC_E2EE", SECRET)]);
    for one in [&mut alice, &mut bob] {
        one.wait_for("stats", |e| decoded(e) >= ENOUGH)
            .await
            .unwrap();
    }
    bob.signal("INT").unwrap();
    let (alice, bob) = tokio::join!(alice.ended(Duration::ZERO), bob.ended(Duration::ZERO));
    let (alice, bob) = (alice.unwrap(), bob.unwrap());
    for ended in [&alice, &bob] {
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(reasons(ended), [], "{ended:#?}");
    }
    saw_and_heard(peer(&alice, "bob"), "vp8", 660.0);
    saw_and_heard(peer(&bob, "alice"), "vp8", 440.0);

    let heard = ears.heard.lock().unwrap().clone();
    assert!(heard.iter().any(|text| text.contains("a=x-sframe:1")));
    // The key that the passphrase makes, however it is written.
    let (hex, base64) = written(&KEY);
    for text in heard.iter() {
        for secret in [SECRET, "horse", &hex, &base64] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    // What is recorded is what was decrypted: it can be sent as a film, in clear, and its marks be read.
    let played = ["--video", &format!("file:{}", film.display()), "--loop"];
    let mut watch = client(&server.url(), "carol", &["--until-alone"], &[]);
    watch.wait_for("joined", |_| true).await.unwrap();
    let play = client(&server.url(), "dave", &played, &[]);
    watch
        .wait_for("stats", |e| decoded(e) >= ENOUGH)
        .await
        .unwrap();
    play.signal("INT").unwrap();
    let (watch, _) = tokio::join!(watch.ended(Duration::ZERO), play.ended(Duration::ZERO));
    let watch = watch.unwrap();
    let marks = &peer(&watch, "dave")["marks"];
    assert!(marks["read"].as_u64().unwrap_or(0) >= 60, "{watch:#?}");
}

fn written(key: &[u8]) -> (String, String) {
    use base64::Engine as _;
    let hex = key.iter().map(|byte| format!("{byte:02x}")).collect();
    (
        hex,
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(key),
    )
}

async fn pair(first: &[&str], second: &[&str]) -> (Ended, Ended) {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let mut alice = client(&url, "alice", &[first, &["--until-alone"]].concat(), &[]);
    alice.wait_for("joined", |_| true).await.unwrap();
    let bob = client(&url, "bob", &[second, &["--duration", "12s"]].concat(), &[]);
    let time = Duration::from_secs(12);
    let (alice, bob) = tokio::join!(alice.ended(time), bob.ended(time));
    (alice.unwrap(), bob.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_shuts_both_sides_out() {
    let key = format!("key:{}", "5a".repeat(32));
    let (alice, bob) = pair(&["--e2ee", SECRET], &["--e2ee", &key]).await;
    was_shut_out(&alice, "other-key");
    was_shut_out(&bob, "other-key");
    // What fails is counted where programs look.
    let counted = alice.events.iter().rev().find(|e| e["event"] == "stats");
    let report = counted.unwrap()["report"].as_object().unwrap().clone();
    let inbound = report.values().filter(|s| s["type"] == "inbound-rtp");
    let failed = |s: &Value| s["framesUndecryptable"].as_u64();
    assert!(inbound.clone().count() >= 2 && inbound.clone().all(|s| failed(s) > Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_side_without_a_key_shuts_both_sides_out() {
    let (alice, bob) = pair(&["--e2ee", SECRET], &[]).await;
    was_shut_out(&alice, "not-encrypted");
    was_shut_out(&bob, "no-key");
}

/// A Chromium whose camera shows marks and whose microphone gives 440 Hz, and a server.
struct Stage {
    _folder: tempfile::TempDir,
    server: TestServer,
    browser: Browser,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let camera = folder.path().join("camera.y4m");
        let microphone = folder.path().join("microphone.wav");
        fake::write_camera(&camera, (640, 360), 30, 90).unwrap();
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
            server: TestServer::start().await.unwrap(),
            browser,
        }
    }

    async fn page(&self, name: &str, hash: &str) -> Page {
        let port = self.server.port();
        let url =
            format!("http://localhost:{port}/sealed?name={name}&autojoin=1&processing=0{hash}");
        let page = self.browser.open(&url).await.unwrap();
        page.wait_for("rtc.phase === 'joined'", PATIENCE)
            .await
            .unwrap();
        page
    }
}

const WITH_SECRET: &str = "#e2ee=correct%20horse%20battery";

async fn page_sees_and_hears(page: &Page, peer: &str, codec: &str, hz: u32) {
    page.eval(MARKS_JS).await.unwrap();
    page.eval(TONE_JS).await.unwrap();
    let find = format!("rtc.peers.find(p => p.name === '{peer}')");
    let shown = format!("rtc.video({find}?.id)?.videoWidth > 0");
    page.wait_for(&shown, PATIENCE).await.unwrap();
    page.eval(&format!(
        "(() => {{ const stream = rtc.stream({find}.id); \
         globalThis.marks = rtcMarks.watch(stream.getVideoTracks()[0]); \
         globalThis.tone = rtcTone.watch(stream.getAudioTracks()[0], {hz}); }})()"
    ))
    .await
    .unwrap();
    page.wait_for(
        "marks.summary().read >= 60 && tone.summary().heardSeconds >= 2",
        PATIENCE,
    )
    .await
    .unwrap();
    let tone = page.eval("tone.summary()").await.unwrap();
    let heard = tone["hz"].as_f64().unwrap();
    assert!((heard - f64::from(hz)).abs() < 2.0, "{tone}");
    let count = async |what: &str| {
        let script = format!("marks.summary().{what}");
        page.eval(&script).await.unwrap().as_u64().unwrap()
    };
    let (unreadable, read) = (count("unreadable").await, count("read").await);
    assert!(unreadable <= smeared(codec, read), "{unreadable} of {read}");
}

async fn client_and_page(page_first: bool, codec: &str) {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let url = stage.server.url();
    let more = [
        "--audio",
        "tone:660",
        "--until-alone",
        "--e2ee",
        SECRET,
        "--codec",
        codec,
    ];
    let asked = format!("&codec={codec}{WITH_SECRET}");
    let (page, mut client) = if page_first {
        let page = stage.page("browser", &asked).await;
        (page, client(&url, "terminal", &more, &[]))
    } else {
        let mut client = client(&url, "terminal", &more, &[]);
        client.wait_for("joined", |_| true).await.unwrap();
        (stage.page("browser", &asked).await, client)
    };
    // Its sound and its picture, whichever comes first.
    for _ in 0..2 {
        client.wait_for("first-frame", |_| true).await.unwrap();
    }
    page_sees_and_hears(&page, "terminal", codec, 660).await;
    assert_eq!(page.eval("rtc.peers[0].locked.length").await.unwrap(), 0);
    let sealed = "!document.getElementById('sealed-state').hidden && rtc.encrypting";
    assert_eq!(page.eval(sealed).await.unwrap(), true);
    assert_eq!(page.complaints(), [], "{:#?}", page.messages());
    client
        .wait_for("stats", |e| decoded(e) >= ENOUGH)
        .await
        .unwrap();
    page.goto("about:blank").await.unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(reasons(&ended), [], "{ended:#?}");
    saw_and_heard(peer(&ended, "browser"), codec, 440.0);
    let mime = format!("video/{}", codec.to_uppercase());
    assert!(
        ended.events.iter().any(|e| e["codec"] == mime),
        "{ended:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_calls_a_page_with_the_same_passphrase() {
    client_and_page(true, "vp8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_calls_a_client_with_the_same_passphrase() {
    client_and_page(false, "vp8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_and_a_client_encrypt_vp9_as_well() {
    client_and_page(false, "vp9").await;
}

/// The page shows nothing of its only peer, plays nothing, and says why.
async fn page_says(page: &Page, words: &str) {
    let status = "document.querySelector('#tiles .tile .status')?.textContent";
    page.wait_for(&format!("{status} === '{words}'"), PATIENCE)
        .await
        .unwrap();
    let shown = "[!document.querySelector('#tiles .tile').matches('.no-picture'), \
        rtc.video(rtc.peers[0].id).getVideoPlaybackQuality().totalVideoFrames, \
        rtc.peers[0].figures?.audioLevel ?? 0].join()";
    assert_eq!(page.eval(shown).await.unwrap(), "false,0,0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_another_passphrase_or_none_is_shut_out_and_says_so() {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let url = stage.server.url();
    let more = ["--until-alone", "--e2ee", SECRET];
    for (hash, words, reason) in [
        (
            "#e2ee=another",
            "Encrypted with another passphrase",
            "other-key",
        ),
        (
            "",
            "Encrypted end to end, and you gave no passphrase",
            "not-encrypted",
        ),
    ] {
        let mut terminal = client(&url, "terminal", &more, &[]);
        terminal.wait_for("joined", |_| true).await.unwrap();
        let page = stage.page("browser", hash).await;
        for _ in 0..2 {
            let told = |e: &Value| e["reason"] == reason;
            terminal.wait_for("undecryptable", told).await.unwrap();
        }
        page_says(&page, words).await;
        page.goto("about:blank").await.unwrap();
        let ended = terminal.ended(Duration::ZERO).await.unwrap();
        was_shut_out(&ended, reason);
    }
    // The other way round: the page encrypts, the client does not.
    let mut terminal = client(&url, "terminal", &["--until-alone"], &[]);
    terminal.wait_for("joined", |_| true).await.unwrap();
    let page = stage.page("browser", WITH_SECRET).await;
    for _ in 0..2 {
        let told = |e: &Value| e["reason"] == "no-key";
        terminal.wait_for("undecryptable", told).await.unwrap();
    }
    page_says(&page, "Not encrypted end to end: neither shown nor played").await;
    page.goto("about:blank").await.unwrap();
    was_shut_out(&terminal.ended(Duration::ZERO).await.unwrap(), "no-key");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pages_with_one_passphrase_see_each_other_and_the_page_keeps_to_the_rfc() {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let ada = stage.page("Ada", WITH_SECRET).await;
    let grace = stage.page("Grace", WITH_SECRET).await;
    page_sees_and_hears(&ada, "Grace", "vp8", 440).await;
    page_sees_and_hears(&grace, "Ada", "vp8", 440).await;
    // RFC 9605, appendix C.3, the vector of cipher suite 5.
    let vector = r"(async () => {
        const { baseKey, Sealer, Opener } = await import('/_/sframe.js');
        const base = await baseKey(Uint8Array.from({ length: 16 }, (_, at) => at));
        const [metadata, plain] = ['IETF SFrame WG', 'draft-ietf-sframe-enc'].map((text) => new TextEncoder().encode(text));
        const sealed = (await new Sealer(base, 0x123n, 0x4567n).sealWith(metadata, plain)).subarray(metadata.length);
        const opener = new Opener(base);
        const opened = await opener.openWith(metadata, sealed);
        const again = await opener.openWith(metadata, sealed);
        const hex = Array.from(sealed, (byte) => byte.toString(16).padStart(2, '0')).join('');
        return [hex, new TextDecoder().decode(opened), again].join(' ');
    })()";
    assert_eq!(
        ada.eval(vector).await.unwrap(),
        "990123456794f509d36e9beacb0e261d99c7d1e972f1fed787d4049f17ca21353c1cc24d56ceabced279 \
         IETF SFrame WGdraft-ietf-sframe-enc "
    );
    for page in [&ada, &grace] {
        assert_eq!(page.complaints(), [], "{:#?}", page.messages());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_takes_a_passphrase_before_joining_and_refuses_half_a_key() {
    let _beside = beside_another().await;
    let stage = Stage::new().await;
    let port = stage.server.port();
    let url = format!("http://localhost:{port}/sealed?name=Ada");
    let page = stage.browser.open(&url).await.unwrap();
    let join = |secret: &str| {
        format!(
            "(() => {{ const field = document.getElementById('lobby-secret'); field.value = '{secret}'; \
             field.dispatchEvent(new Event('input')); document.getElementById('lobby-form').requestSubmit(); }})()"
        )
    };
    page.wait_for("!document.getElementById('lobby').hidden", PATIENCE)
        .await
        .unwrap();
    page.eval(&join("key:1234")).await.unwrap();
    let refused = "document.getElementById('lobby-secret-error').textContent.includes('64')";
    page.wait_for(refused, PATIENCE).await.unwrap();
    assert_eq!(page.eval("rtc.phase").await.unwrap(), "lobby");
    page.eval(&join(SECRET)).await.unwrap();
    page.wait_for("rtc.phase === 'joined' && rtc.encrypting", PATIENCE)
        .await
        .unwrap();
    // The address that the page gives to others has no passphrase in it.
    let shown = "document.getElementById('waiting-link').textContent + document.getElementById('waiting-command').textContent";
    let shown = page.eval(shown).await.unwrap();
    assert!(!shown.as_str().unwrap().contains("horse"), "{shown}");
    let mut terminal = client(
        &stage.server.url(),
        "terminal",
        &["--e2ee", SECRET, "--until-alone"],
        &[],
    );
    terminal.wait_for("first-frame", |_| true).await.unwrap();
    page.goto("about:blank").await.unwrap();
    let ended = terminal.ended(Duration::ZERO).await.unwrap();
    assert_eq!(reasons(&ended), [], "{ended:#?}");
}
