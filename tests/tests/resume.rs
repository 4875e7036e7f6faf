//! Sockets that break under a call: it goes on, who comes back is the same one, nothing is lost, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_client::signaling::{Signaling, SignalingEvent, SignalingOptions, Target};
use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::{Browser, ChromeOptions, Page};
use rtc_e2e::cut::Wire;
use rtc_e2e::deployed::Deployed;
use rtc_e2e::process::{Client, PATIENCE};
use rtc_e2e::server::TestServer;
use rtc_protocol::Raw;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// `rtc-client` with nothing of the machine's devices, and a small picture.
fn client(server: &str, what: &[&str]) -> Client {
    let rest = ["--headless", "--server", server, "--size", "320x180"];
    Client::start(&[what, &rest].concat()).unwrap()
}

fn seen<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let of_kind = |event: &&Value| event["event"] == kind;
    events.iter().filter(of_kind).collect()
}

/// Ends a client as a person would, and gives what it said; the call must have been a good one.
async fn ended(client: Client) -> Vec<Value> {
    client.signal("INT").unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    let summary = ended.summary().unwrap();
    assert_eq!(ended.code, Some(0), "{summary:#}\n{}", ended.stderr);
    ended.events
}

/// Pictures of the other side come, whatever came before.
async fn sees(client: &mut Client) {
    let decoded = |event: &Value| {
        let report = event["report"].as_object().unwrap();
        let counts = report.values().map(|entry| &entry["framesDecoded"]);
        counts.filter_map(Value::as_u64).max().unwrap_or(0)
    };
    // What waits unread is of the time before.
    let first = client.events.iter().rfind(|e| e["event"] == "stats");
    let first = first.map_or(0, decoded);
    client
        .wait_for("stats", |event| decoded(event) > first + 10)
        .await
        .unwrap();
}

/// Neither the media's connection nor the other's place in the room was ever in doubt.
fn undisturbed(events: &[Value]) {
    assert_eq!(seen(events, "connected").len(), 1, "{events:#?}");
    assert_eq!(seen(events, "connection-troubled").len(), 0, "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_link_is_cut_ten_times_stays_in_its_call_and_the_other_notices_nothing() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let wire = Wire::to(server.port()).await.unwrap();
    let mut cut = client(&wire.url(), &["join", "cut", "--as", "Cut"]);
    let me = cut.wait_for("joined", |_| true).await.unwrap()["me"]["id"].clone();
    let mut whole = client(&server.url(), &["join", "cut", "--as", "Whole"]);
    cut.wait_for("connected", |_| true).await.unwrap();
    whole
        .wait_for("connected", |event| event["peer"]["id"] == me)
        .await
        .unwrap();
    for _ in 0..10 {
        wire.cut();
        cut.wait_for("signaling-lost", |_| true).await.unwrap();
        let back = cut.wait_for("signaling-back", |_| true).await.unwrap();
        assert_eq!(back["resumed"], true);
    }
    sees(&mut whole).await;
    let whole = ended(whole).await;
    assert_eq!(seen(&whole, "peer-left").len(), 0, "{whole:#?}");
    assert_eq!(seen(&whole, "signaling-lost").len(), 0);
    undisturbed(&whole);
    // The goodbye of the other came through a link that was cut ten times.
    let left = cut.wait_for("peer-left", |_| true).await.unwrap();
    assert_eq!(left["reason"], "left");
    let cut = ended(cut).await;
    assert_eq!(seen(&cut, "signaling-lost").len(), 10);
    assert_eq!(seen(&cut, "joined").len(), 1, "its id never changed");
    assert_eq!(seen(&cut, "peer-joined").len(), 1, "nobody came twice");
    undisturbed(&cut);
}

/// The client's own signaling in a room, without a call.
struct Talker {
    signaling: Signaling,
    events: mpsc::Receiver<SignalingEvent>,
}

impl Talker {
    async fn at(server: &str) -> Self {
        let (tell, events) = mpsc::channel(1_024);
        let target = Target::parse("talk", Some(server)).unwrap();
        let signaling = Signaling::connect(SignalingOptions::new(target), tell)
            .await
            .unwrap();
        Self { signaling, events }
    }

    async fn talk(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let data = Raw::of(&number).unwrap();
            self.signaling.message(None, data).await.unwrap();
        }
    }

    async fn next(&mut self) -> SignalingEvent {
        let next = timeout(PATIENCE, self.events.recv()).await;
        next.expect("something happens").expect("it lives")
    }

    /// Waits for an event; messages that come before it are kept.
    async fn until(&mut self, heard: &mut Vec<u32>, wanted: impl Fn(&SignalingEvent) -> bool) {
        loop {
            match self.next().await {
                SignalingEvent::Message { data, .. } => heard.push(data.to().unwrap()),
                event if wanted(&event) => return,
                SignalingEvent::PeerLeft { .. } => panic!("somebody left"),
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_while_a_client_s_link_is_cut_arrives_in_order() {
    const ROUNDS: u32 = 8;
    const EACH: u32 = 20;
    let server = TestServer::start().await.unwrap();
    let wire = Wire::to(server.port()).await.unwrap();
    let mut cut = Talker::at(&wire.url()).await;
    let mut whole = Talker::at(&server.url()).await;
    let me = cut.signaling.id();
    let mut heard = Vec::new();
    for round in 0..ROUNDS {
        let said = round * EACH..(round + 1) * EACH;
        wire.sever();
        // Both speak into the silence.
        whole.talk(said.clone()).await;
        cut.talk(said).await;
        let lost = |event: &_| matches!(event, SignalingEvent::Lost { .. });
        cut.until(&mut heard, lost).await;
        wire.mend();
        let back = |event: &_| matches!(event, SignalingEvent::Back { resumed: true });
        cut.until(&mut heard, back).await;
    }
    let all: Vec<u32> = (0..ROUNDS * EACH).collect();
    while heard.len() < all.len() {
        if let SignalingEvent::Message { data, .. } = cut.next().await {
            heard.push(data.to().unwrap());
        }
    }
    assert_eq!(heard, all, "in order, and once");
    // What was on its way when the socket broke may be said twice, and never out of order.
    let mut told: Vec<u32> = Vec::new();
    while told.len() < all.len() {
        match whole.next().await {
            SignalingEvent::Message { from, data } => {
                assert_eq!(from, me, "the same one all the time");
                let number = data.to().unwrap();
                if !told.contains(&number) {
                    told.push(number);
                }
            }
            SignalingEvent::PeerLeft { .. } | SignalingEvent::PeerJoined { .. } => {
                panic!("the other notices something")
            }
            _ => {}
        }
    }
    assert_eq!(told, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_without_its_server_and_finds_the_one_that_is_started_anew() {
    let _beside = beside_another().await;
    let mut server = Deployed::start(&[]).await.unwrap();
    let port = server.port().unwrap();
    let mut one = client(server.url(), &["join", "cut", "--as", "One"]);
    one.wait_for("joined", |_| true).await.unwrap();
    let mut other = client(server.url(), &["join", "cut", "--as", "Other"]);
    for client in [&mut one, &mut other] {
        client.wait_for("connected", |_| true).await.unwrap();
    }
    server.kill().await.unwrap();
    for client in [&mut one, &mut other] {
        client.wait_for("signaling-lost", |_| true).await.unwrap();
    }
    // There is no server, and pictures come all the same.
    for client in [&mut one, &mut other] {
        sees(client).await;
    }
    let _again = Deployed::start_at(port, &[]).await.unwrap();
    for client in [&mut one, &mut other] {
        let back = client.wait_for("signaling-back", |_| true).await.unwrap();
        assert_eq!(back["resumed"], false, "it knows nobody any more");
        sees(client).await;
    }
    let other = ended(other).await;
    // The new server tells of the end, so both are in its room.
    one.wait_for("peer-left", |event| event["reason"] == "left")
        .await
        .unwrap();
    let one = ended(one).await;
    for events in [one, other] {
        undisturbed(&events);
        let joined = seen(&events, "joined");
        let ids: Vec<_> = joined.iter().map(|event| &event["me"]["id"]).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_rings_while_both_links_are_cut_is_taken_afterwards() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let wire = Wire::to(server.port()).await.unwrap();
    let mut alice = client(&wire.url(), &["join", "--as", "alice"]);
    alice.wait_for("waiting", |_| true).await.unwrap();
    let mut bob = client(&wire.url(), &["call", "alice", "--as", "bob"]);
    alice.wait_for("rung", |_| true).await.unwrap();
    bob.wait_for("ringing", |_| true).await.unwrap();
    wire.sever();
    for client in [&mut alice, &mut bob] {
        client.wait_for("signaling-lost", |_| true).await.unwrap();
    }
    wire.mend();
    for client in [&mut alice, &mut bob] {
        let back = client.wait_for("signaling-back", |_| true).await.unwrap();
        assert_eq!(back["resumed"], true);
    }
    alice.type_line("a").await.unwrap();
    bob.wait_for("accepted", |_| true).await.unwrap();
    for client in [&mut alice, &mut bob] {
        client.wait_for("connected", |_| true).await.unwrap();
        sees(client).await;
    }
    let bob = ended(bob).await;
    undisturbed(&bob);
    let alice = alice.ended(Duration::ZERO).await.unwrap();
    assert_eq!(alice.code, Some(0), "{alice:#?}");
    assert_eq!(seen(&alice.events, "ring-ended").len(), 0, "{alice:#?}");
    undisturbed(&alice.events);
}

async fn page(browser: &Browser, port: u16, name: &str) -> Page {
    let url = format!("http://localhost:{port}/cut?name={name}&autojoin=1");
    let page = browser.open(&url).await.unwrap();
    wait(&page, "rtc.phase === 'joined'").await;
    page
}

async fn wait(page: &Page, condition: &str) -> Value {
    page.wait_for(condition, PATIENCE).await.unwrap()
}

async fn press(page: &Page, kind: &str) {
    let script = format!("document.querySelector('.bar [data-toggle={kind}]').click()");
    page.eval(&script).await.unwrap();
}

/// The page's own signaling without its call: counts what it hears and says numbers.
const TALKER: &str = r"(async (me) => {
    const { Signaling, newToken } = await import('/_/signaling.js');
    const signaling = new Signaling({ url: `ws://${location.host}/ws`, session: { token: newToken(), lastSeq: 0 } });
    globalThis.heard = [];
    globalThis.others = [];
    globalThis.links = [];
    signaling.addEventListener('state', ({ detail }) => links.push(detail));
    signaling.addEventListener('message', ({ detail }) => {
        if (detail.type === 'message') heard.push(detail.data);
        else others.push(detail.type);
    });
    await signaling.connect();
    await signaling.request({ type: 'join', room: 'talk', name: me });
    globalThis.talk = (from, to) => {
        for (let n = from; n < to; n += 1) signaling.request({ type: 'message', room: 'talk', data: n }).catch(() => {});
    };
    globalThis.link = () => signaling.state;
})";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_misses_nothing_that_was_said_while_its_socket_was_cut() {
    const ROUNDS: u32 = 8;
    const EACH: u32 = 20;
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let wire = Wire::to(server.port()).await.unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let mut pages = Vec::new();
    for (port, name) in [(server.port(), "Whole"), (wire.port(), "Cut")] {
        let url = format!("http://localhost:{port}/");
        let page = browser.open(&url).await.unwrap();
        wait(&page, "document.readyState === 'complete'").await;
        page.eval(&format!("{TALKER}('{name}')")).await.unwrap();
        pages.push(page);
    }
    let [whole, cut] = &pages[..] else { panic!() };
    for round in 0..ROUNDS {
        let (from, to) = (round * EACH, (round + 1) * EACH);
        wire.sever();
        // Both speak into the silence.
        whole.eval(&format!("talk({from}, {to})")).await.unwrap();
        cut.eval(&format!("talk({from}, {to})")).await.unwrap();
        wait(cut, "link() !== 'open'").await;
        wire.mend();
        wait(cut, "link() === 'open'").await;
    }
    let all = ROUNDS * EACH;
    for page in &pages {
        wait(page, &format!("new Set(heard).size === {all}")).await;
    }
    let expected: Vec<u32> = (0..all).collect();
    assert_eq!(
        cut.eval("heard").await.unwrap(),
        json!(expected),
        "in order, and once"
    );
    // What was on its way when the socket broke may be said twice, and never out of order.
    let in_order = "heard.filter((n, at) => heard.indexOf(n) === at)";
    assert_eq!(whole.eval(in_order).await.unwrap(), json!(expected));
    assert_eq!(
        whole.eval("others").await.unwrap(),
        json!(["peer-joined"]),
        "it noticed nothing"
    );
    assert_eq!(whole.eval("links.includes('lost')").await.unwrap(), false);
}

const MET: &str = "rtc.peers.length === 1 && rtc.peers[0].state === 'connected'";

/// Remembers the one connection that a page has.
async fn remember(page: &Page) {
    wait(page, MET).await;
    let script = "(globalThis.peer = rtc.peers[0].id, globalThis.stream = rtc.stream(peer), \
        globalThis.since = rtc.peers[0].timings.createdAt, 1)";
    page.eval(script).await.unwrap();
}

/// It is still the same, and pictures come.
async fn same_as_ever(page: &Page) {
    wait(page, MET).await;
    let same = "rtc.peers[0].id === peer && rtc.stream(peer) === stream && rtc.peers[0].timings.createdAt === since";
    assert_eq!(page.eval(same).await.unwrap(), true, "no new connection");
    page.eval("(globalThis.shown = rtc.video(peer).getVideoPlaybackQuality().totalVideoFrames, 1)")
        .await
        .unwrap();
    let moves = "rtc.video(peer).getVideoPlaybackQuality().totalVideoFrames > shown + 10";
    wait(page, moves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_call_is_cut_again_and_again_and_the_call_stands() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let wire = Wire::to(server.port()).await.unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let whole = page(&browser, server.port(), "Whole").await;
    let cut = page(&browser, wire.port(), "Cut").await;
    for page in [&whole, &cut] {
        remember(page).await;
    }
    let me = cut.eval("rtc.me").await.unwrap();
    for round in 0..5 {
        wire.sever();
        wait(&cut, "rtc.link !== 'open'").await;
        let muted = round % 2 == 0;
        press(&whole, "audio").await;
        press(&cut, "video").await;
        wire.mend();
        let told = |kind| format!("rtc.peers[0].muted.includes('{kind}') === {muted}");
        wait(&cut, &told("audio")).await;
        wait(&whole, &told("video")).await;
    }
    assert_eq!(cut.eval("rtc.me").await.unwrap(), me);
    // The fifth round left the picture off.
    press(&cut, "video").await;
    for page in [&whole, &cut] {
        same_as_ever(page).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_in_a_call_find_the_server_that_is_started_anew() {
    let _beside = beside_another().await;
    let mut server = Deployed::start(&[]).await.unwrap();
    let port = server.port().unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let one = page(&browser, port, "One").await;
    let other = page(&browser, port, "Other").await;
    for page in [&one, &other] {
        remember(page).await;
    }
    server.kill().await.unwrap();
    for page in [&one, &other] {
        wait(page, "rtc.link !== 'open'").await;
        same_as_ever(page).await;
    }
    let _again = Deployed::start_at(port, &[]).await.unwrap();
    for page in [&one, &other] {
        wait(page, "rtc.link === 'open' && rtc.phase === 'joined'").await;
    }
    press(&one, "audio").await;
    wait(&other, "rtc.peers[0].muted.includes('audio')").await;
    for page in [&one, &other] {
        same_as_ever(page).await;
    }
}
