//! Calls across several servers that are one, while these come and go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions, Page, SOURCE_JS, fake, watch};
use rtc_e2e::cut::Wire;
use rtc_e2e::deployed::Deployed;
use rtc_e2e::process::{Client, PATIENCE};
use rtc_e2e::redis::Redis;
use rtc_e2e::sound::SoundServer;
use serde_json::Value;

const LEASE: &str = "5";

async fn node(broker: &Redis) -> Deployed {
    let url = broker.url();
    let arguments = ["--cluster", &url, "--cluster-lease", LEASE];
    let arguments = [&arguments[..], &["--drain-deadline", "60"]].concat();
    Deployed::start(&arguments).await.unwrap()
}

fn client(wire: &Wire, room: &str, name: &str) -> Client {
    let arguments = [
        "join",
        room,
        "--headless",
        "--as",
        name,
        "--server",
        &wire.url(),
    ];
    let picture = ["--size", "160x90", "--fps", "10", "--bitrate", "100k"];
    Client::start(&[&arguments[..], &picture].concat()).unwrap()
}

fn is_picture(event: &Value) -> bool {
    event["kind"] == "video"
}

/// Frames that were decoded, by the statistics that come next.
async fn decoded(client: &mut Client) -> u64 {
    let stats = client
        .wait_for("stats", |e| e["report"].is_object())
        .await
        .unwrap();
    let all = stats["report"].as_object().unwrap().values();
    all.filter(|s| s["type"] == "inbound-rtp" && s["kind"] == "video")
        .filter_map(|s| s["framesDecoded"].as_u64())
        .sum()
}

/// Its call has never broken: nobody went, nothing was connected anew, pictures come.
async fn is_in_its_call(client: &mut Client) {
    let before = decoded(client).await;
    while decoded(client).await <= before {}
    let count = |what: &str| {
        let all = client.events.iter();
        all.filter(|e| e["event"] == what).count()
    };
    assert_eq!(
        (count("connected"), count("peer-left")),
        (1, 0),
        "{:#?}",
        client.events
    );
}

async fn moves_on(client: &mut Client) {
    client.wait_for("signaling-lost", |_| true).await.unwrap();
    let back = client.wait_for("signaling-back", |_| true).await.unwrap();
    assert_eq!(back["resumed"], true, "its session went with it");
}

async fn ends(client: Client) {
    client.signal("INT").unwrap();
    assert_eq!(client.ended(Duration::ZERO).await.unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_across_two_servers_goes_on_when_one_of_them_drains() {
    let _alone = alone().await;
    let broker = Redis::start().await.unwrap();
    let (first, second) = (node(&broker).await, node(&broker).await);
    let near = Wire::to(first.port().unwrap()).await.unwrap();
    let far = Wire::to(second.port().unwrap()).await.unwrap();
    let mut ann = client(&near, "across", "ann");
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(&far, "across", "bob");
    for one in [&mut ann, &mut bob] {
        one.wait_for("first-frame", is_picture).await.unwrap();
    }
    near.leads_to(&[second.port().unwrap()]);
    first.signal("TERM").unwrap();
    moves_on(&mut ann).await;
    assert_eq!(first.ended().await.unwrap(), Some(0));
    for one in [&mut ann, &mut bob] {
        is_in_its_call(one).await;
    }
    // What is said of the room still comes to both.
    ends(ann).await;
    let left = bob.wait_for("peer-left", |_| true).await.unwrap();
    assert_eq!(left["reason"], "left");
    ends(bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_three_servers_breaks_no_call() {
    let _alone = alone().await;
    let broker = Redis::start().await.unwrap();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(node(&broker).await);
    }
    let ports = |nodes: &[Deployed]| -> Vec<u16> {
        nodes.iter().map(|node| node.port().unwrap()).collect()
    };
    // Each is before another server at first, as a balancer may have it.
    let mut wires = Vec::new();
    for port in ports(&nodes) {
        wires.push(Wire::to(port).await.unwrap());
    }
    let mut clients = Vec::new();
    for (at, (room, name)) in [
        ("one", "ann"),
        ("one", "bob"),
        ("two", "cyd"),
        ("two", "dan"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = client(&wires[at % 3], room, name);
        client.wait_for("joined", |_| true).await.unwrap();
        clients.push(client);
    }
    for client in &mut clients {
        client.wait_for("first-frame", is_picture).await.unwrap();
    }
    for turn in 0..3 {
        let old = nodes.remove(0);
        nodes.push(node(&broker).await);
        let all = ports(&nodes);
        for (at, wire) in wires.iter().enumerate() {
            let mut order = all.clone();
            order.rotate_left((at + turn) % all.len());
            wire.leads_to(&order);
        }
        old.signal("TERM").unwrap();
        assert_eq!(old.ended().await.unwrap(), Some(0));
        for client in &mut clients {
            is_in_its_call(client).await;
        }
    }
    // Nobody's session was begun anew on the way.
    for client in &clients {
        let back = client
            .events
            .iter()
            .filter(|e| e["event"] == "signaling-back");
        assert!(
            back.clone().count() > 0,
            "each was at a server that was restarted"
        );
        assert!(back.into_iter().all(|e| e["resumed"] == true));
    }
    for client in clients {
        ends(client).await;
    }
}

/// Nothing of its call was ever made anew: it shows and plays what the other one sends.
async fn sees_and_hears(page: &Page) {
    let (marks, tone) = watch(page, "terminal", 660, PATIENCE).await.unwrap();
    let most = 2 + marks["read"].as_u64().unwrap_or(0) / 15;
    assert!(marks["unreadable"].as_u64() <= Some(most), "{marks}");
    assert_eq!(marks["outOfOrder"], 0, "{marks}");
    assert!((tone["hz"].as_f64().unwrap() - 660.0).abs() < 2.0, "{tone}");
    assert!(tone["purity"].as_f64() > Some(0.9), "{tone}");
    page.eval("Promise.all([marks.stop(), tone.stop()])")
        .await
        .unwrap();
    let same = "globalThis.since ??= rtc.peers[0].timings.createdAt, since === rtc.peers[0].timings.createdAt";
    assert_eq!(page.eval(same).await.unwrap(), true, "no new connection");
}

/// A browser's page at one server calls a client at another, while its own drains, and while the broker is away.
async fn a_page_calls_on(page: Page) {
    let mut broker = Redis::start().await.unwrap();
    let (first, second, third) = (
        node(&broker).await,
        node(&broker).await,
        node(&broker).await,
    );
    let near = Wire::to(first.port().unwrap()).await.unwrap();
    let port = near.port();
    let url = format!("http://localhost:{port}/across?name=browser&autojoin=1&processing=0");
    page.goto(&url).await.unwrap();
    page.wait_for("rtc.phase === 'joined'", PATIENCE)
        .await
        .unwrap();
    let url = second.url();
    let line = format!(
        "join across --headless --as terminal --audio tone:660 --size 320x180 --fps 15 --until-alone --server {url}"
    );
    let mut client = Client::start(&line.split(' ').collect::<Vec<_>>()).unwrap();
    client.wait_for("first-frame", is_picture).await.unwrap();
    sees_and_hears(&page).await;
    near.leads_to(&[third.port().unwrap()]);
    first.signal("TERM").unwrap();
    assert_eq!(first.ended().await.unwrap(), Some(0));
    page.wait_for("rtc.link === 'open'", PATIENCE)
        .await
        .unwrap();
    tokio::join!(sees_and_hears(&page), is_in_its_call(&mut client));
    broker.kill().await.unwrap();
    tokio::join!(sees_and_hears(&page), is_in_its_call(&mut client));
    broker.come_back_empty().await.unwrap();
    is_in_its_call(&mut client).await;
    // What is said of the room comes from the third server to the second.
    page.goto("about:blank").await.unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let seen = &ended.summary().unwrap()["peers"][0];
    assert!(seen["marks"]["read"].as_u64() >= Some(60), "{seen:#}");
    let most = 2 + seen["marks"]["read"].as_u64().unwrap_or(0) / 15;
    assert!(
        seen["marks"]["unreadable"].as_u64() <= Some(most),
        "{seen:#}"
    );
    let tone = &seen["tone"];
    assert!(
        (tone["frequencyHz"].as_f64().unwrap() - 440.0).abs() < 2.0,
        "{seen:#}"
    );
    assert!(tone["purity"].as_f64() > Some(0.9), "{seen:#}");
}

/// Waits until the page was told that its server cannot tell whether there is a place, and tells so.
async fn was_put_off(page: &Page) {
    let told = "[...document.querySelectorAll('.toast')].find((toast) => toast.textContent.includes('asked again'))";
    page.wait_for(told, PATIENCE).await.unwrap();
    page.eval(&format!("{told}?.remove()")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_asks_for_its_place_until_the_broker_can_be_asked_and_keeps_its_call_meanwhile() {
    let _alone = alone().await;
    let mut broker = Redis::start().await.unwrap();
    let (mut first, second) = (node(&broker).await, node(&broker).await);
    let third = node(&broker).await;
    let near = Wire::to(first.port().unwrap()).await.unwrap();
    broker.kill().await.unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let page = browser.blank().await.unwrap();
    let port = near.port();
    let url = format!("http://localhost:{port}/across?name=browser&autojoin=1&processing=0");
    page.goto(&url).await.unwrap();
    was_put_off(&page).await;
    assert_eq!(page.eval("rtc.phase").await.unwrap(), "joining");
    broker.come_back_empty().await.unwrap();
    page.wait_for("rtc.phase === 'joined'", PATIENCE)
        .await
        .unwrap();
    let terminal = |node: &Deployed, name: &str| {
        let url = node.url();
        let line = format!(
            "join across --headless --as {name} --audio tone:660 --size 320x180 --fps 15 --server {url}"
        );
        Client::start(&line.split(' ').collect::<Vec<_>>()).unwrap()
    };
    let mut client = terminal(&second, "terminal");
    client.wait_for("first-frame", is_picture).await.unwrap();
    sees_and_hears(&page).await;
    // Its server dies while the broker is away: where it comes to, nobody knows it, and it cannot be given a place.
    broker.kill().await.unwrap();
    near.leads_to(&[third.port().unwrap()]);
    first.kill().await.unwrap();
    was_put_off(&page).await;
    sees_and_hears(&page).await;
    broker.come_back_empty().await.unwrap();
    // It has its place again: who comes later meets both.
    let mut late = terminal(&third, "late");
    for _ in 0..2 {
        late.wait_for("first-frame", is_picture).await.unwrap();
    }
    let same = "since === rtc.peers.find((peer) => peer.name === 'terminal').timings.createdAt";
    assert_eq!(page.eval(same).await.unwrap(), true, "no new connection");
    ends(late).await;
    ends(client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_calls_a_client_at_another_server_through_a_drain_and_a_brokers_death() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let camera = folder.path().join("camera.y4m");
    let microphone = folder.path().join("microphone.wav");
    fake::write_camera(&camera, (640, 360), 30, 90).unwrap();
    fake::write_microphone(&microphone, 440, 10).unwrap();
    let options = ChromeOptions {
        camera: Some(camera),
        microphone: Some(microphone),
        ..ChromeOptions::default()
    };
    let browser = Browser::launch(&options).await.unwrap();
    a_page_calls_on(browser.blank().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_calls_a_client_at_another_server_through_a_drain_and_a_brokers_death() {
    let _alone = alone().await;
    let sound = SoundServer::start().unwrap();
    let browser = Browser::firefox(sound.env()).await.unwrap();
    let page = browser.blank().await.unwrap();
    page.before_load(SOURCE_JS).await.unwrap();
    a_page_calls_on(page).await;
}
