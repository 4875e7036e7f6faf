//! Calls between hosts behind NATs of every kind, each by the way that it should go, and one whose network changes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::deployed::Deployed;
use rtc_e2e::nat::{Host, Internet, Nat, SERVER, TLS_PORT};
use rtc_e2e::process::{Client, PATIENCE};
use serde_json::Value;

/// By what a client reaches the other one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// Nobody is between but NATs.
    Straight,
    /// By a relay of ours (`udp`, `tcp` or `tls`), or only of the far side's.
    Relayed(Option<String>),
}

/// The two candidates that a client's statistics say are in use, ours first.
fn candidates(event: &Value) -> Option<[Option<&Value>; 2]> {
    let report = event["report"].as_object()?;
    let transport = report.values().find(|s| s["type"] == "transport")?;
    let pair = report.get(transport["selectedCandidatePairId"].as_str()?)?;
    let candidate = |key: &str| pair[key].as_str().and_then(|id| report.get(id));
    Some(["localCandidateId", "remoteCandidateId"].map(candidate))
}

/// The way that they are of.
fn way(event: &Value) -> Option<Way> {
    let [local, remote] = candidates(event)?;
    let is_relay = |one: Option<&Value>| one.is_some_and(|one| one["candidateType"] == "relay");
    Some(if is_relay(local) {
        let by = local.and_then(|local| local["relayProtocol"].as_str());
        Way::Relayed(by.map(str::to_owned))
    } else if is_relay(remote) {
        Way::Relayed(None)
    } else {
        Way::Straight
    })
}

fn is_picture(event: &Value) -> bool {
    event["kind"] == "video"
}

/// The server in the public network, and its fingerprint.
async fn server_with(internet: &Internet, flags: &[&str]) -> (Deployed, String) {
    let listen = format!("{SERVER}:8080");
    let all = [&["--tls-self-signed"], flags].concat();
    let mut server = Deployed::start_in(Some(&internet.public()), &listen, &all)
        .await
        .unwrap();
    let line = server.line_with("--tls-fingerprint ").await.unwrap();
    let print = line.rsplit(' ').next().unwrap().to_owned();
    (server, print)
}

/// One that is a relay, too.
async fn server(internet: &Internet) -> (Deployed, String) {
    let (turn, turns) = (format!("{SERVER}:3478"), format!("{SERVER}:{TLS_PORT}"));
    let flags = [
        "--turn",
        &turn,
        "--turn-tls",
        &turns,
        "--turn-allow-peer",
        "203.0.113.0/24",
    ];
    server_with(internet, &flags).await
}

fn client(host: &Host, (server, print): &(Deployed, String), name: &str, more: &[&str]) -> Client {
    let mut all = vec![
        "join",
        "nat",
        "--headless",
        "--size",
        "320x180",
        "--server",
        server.url(),
        "--tls-fingerprint",
        print,
        "--as",
        name,
    ];
    all.extend(more);
    Client::start_in(Some(&host.namespace), &all, &[]).unwrap()
}

/// A call between two hosts behind such NATs, where the server relays for them; the ways that both say they go by.
async fn call(nats: [Nat; 2]) -> [Way; 2] {
    let internet = Internet::new().unwrap();
    let server = server(&internet).await;
    between(nats, internet, &server, &[]).await
}

/// One where nobody relays, and somebody tells them their addresses.
async fn call_without_a_relay(nats: [Nat; 2]) {
    call_by_addresses_alone(nats, &[]).await;
}

async fn call_by_addresses_alone(nats: [Nat; 2], more: &[&str]) {
    let internet = Internet::new().unwrap();
    let server = server_with(&internet, &[]).await;
    let (listen, turn) = (format!("{SERVER}:8081"), format!("{SERVER}:3478"));
    let told = ["--turn", &turn];
    let _stun = Deployed::start_in(Some(&internet.public()), &listen, &told)
        .await
        .unwrap();
    let stun = format!("stun:{turn}");
    let flags = [&["--ice-server", &stun], more].concat();
    between(nats, internet, &server, &flags).await;
}

async fn between(
    nats: [Nat; 2],
    mut internet: Internet,
    server: &(Deployed, String),
    more: &[&str],
) -> [Way; 2] {
    let [a, b] = nats.map(|nat| internet.host(nat).unwrap());
    let mut ann = client(&a, server, "ann", &[&["--until-alone"], more].concat());
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(&b, server, "bob", more);
    for one in [&mut ann, &mut bob] {
        one.wait_for("first-frame", is_picture).await.unwrap();
    }
    let mut ways = Vec::new();
    for one in [&mut ann, &mut bob] {
        let event = one
            .wait_for("stats", |event| way(event).is_some())
            .await
            .unwrap();
        ways.extend(way(&event));
    }
    bob.signal("INT").unwrap();
    for one in [bob, ann] {
        let ended = one.ended(PATIENCE).await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
    ways.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_public_addresses_meet_there() {
    let _alone = alone().await;
    let internet = Internet::new().unwrap();
    let server = server_with(&internet, &[]).await;
    between([Nat::None, Nat::None], internet, &server, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_uses_the_family_the_interface_and_the_ports_that_it_is_told() {
    let _alone = alone().await;
    let mut internet = Internet::new().unwrap();
    let server = server_with(&internet, &[]).await;
    let [a, b] = [Nat::None, Nat::None].map(|nat| internet.host(nat).unwrap());
    let told = ["--ipv6", "--ports", "50000-50009", "--interface", "eth0"];
    let mut ann = client(
        &a,
        &server,
        "ann",
        &[&["--until-alone"], &told[..]].concat(),
    );
    ann.wait_for("joined", |_| true).await.unwrap();
    let bob = client(&b, &server, "bob", &[]);
    let event = ann
        .wait_for("stats", |event| way(event).is_some())
        .await
        .unwrap();
    let local = candidates(&event).unwrap()[0].unwrap();
    assert_eq!(local["address"], "2001:db8:113::1", "{local:#}");
    let port = local["port"].as_u64().unwrap();
    assert!((50_000..50_010).contains(&port), "{local:#}");
    bob.signal("INT").unwrap();
    for one in [bob, ann] {
        assert_eq!(one.ended(PATIENCE).await.unwrap().code, Some(0));
    }
    // What is not there is named, with what is.
    let wrong = client(&a, &server, "ann", &["--interface", "eth7"]);
    let ended = wrong.ended(PATIENCE).await.unwrap();
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains("eth0 (203.0.113.11, 2001:db8:113::1)"),
        "{ended:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_host_is_found_by_its_name_in_its_own_network() {
    let _alone = alone().await;
    let mut internet = Internet::new().unwrap();
    // Without a server for STUN there is no other way to it but its name.
    let server = server_with(&internet, &[]).await;
    let [a, b] = [Nat::None, Nat::None].map(|nat| internet.host(nat).unwrap());
    let mut ann = client(&a, &server, "ann", &["--mdns", "--until-alone"]);
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(&b, &server, "bob", &["--mdns"]);
    for one in [&mut ann, &mut bob] {
        one.wait_for("first-frame", is_picture).await.unwrap();
    }
    bob.signal("INT").unwrap();
    for one in [bob, ann] {
        assert_eq!(one.ended(PATIENCE).await.unwrap().code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_that_keep_their_mapping_are_gone_through() {
    let _alone = alone().await;
    for nats in [
        [Nat::FullCone, Nat::FullCone],
        [Nat::AddressRestricted, Nat::FullCone],
        [Nat::PortRestricted, Nat::PortRestricted],
        [Nat::PortRestricted, Nat::AddressRestricted],
        [Nat::Symmetric, Nat::FullCone],
        [Nat::Symmetric, Nat::AddressRestricted],
    ] {
        call_without_a_relay(nats).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_for_all_connections_goes_through_nats_and_by_relays_like_any_other() {
    let _alone = alone().await;
    let one_port = ["--udp-port", "40000"];
    call_by_addresses_alone([Nat::PortRestricted, Nat::PortRestricted], &one_port).await;
    let internet = Internet::new().unwrap();
    let server = server(&internet).await;
    let ways = between([Nat::Symmetric; 2], internet, &server, &one_port).await;
    let relayed = ways.iter().any(|way| matches!(way, Way::Relayed(_)));
    assert!(relayed, "{ways:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_host_is_reached_from_behind_any_nat() {
    let _alone = alone().await;
    for nat in [Nat::PortRestricted, Nat::Symmetric] {
        call_without_a_relay([Nat::None, nat]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_that_do_not_are_relayed_around() {
    let _alone = alone().await;
    for nats in [
        [Nat::Symmetric, Nat::Symmetric],
        [Nat::Symmetric, Nat::PortRestricted],
    ] {
        // The side whose relay it is always knows; to the other one it may be just an address that it heard from.
        let ways = call(nats).await;
        let relayed = ways.iter().any(|way| matches!(way, Way::Relayed(_)));
        assert!(relayed, "{nats:?}: {ways:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_udp_is_blocked_the_relay_is_reached_by_tcp_or_tls() {
    let _alone = alone().await;
    for (nat, protocols) in [
        (Nat::TcpOnly, &["tcp", "tls"][..]),
        (Nat::TlsOnly, &["tls"]),
    ] {
        let ways = call([nat, Nat::PortRestricted]).await;
        let Way::Relayed(Some(by)) = &ways[0] else {
            panic!("{nat:?}: {ways:?}");
        };
        assert!(protocols.contains(&by.as_str()), "{nat:?}: {ways:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_udp_is_blocked_and_nobody_relays_a_public_host_is_reached_by_tcp() {
    let _alone = alone().await;
    let mut internet = Internet::new().unwrap();
    let server = server_with(&internet, &[]).await;
    let blocked = internet.host(Nat::TcpOnly).unwrap();
    let public = internet.host(Nat::None).unwrap();
    let mut ann = client(
        &public,
        &server,
        "ann",
        &["--ice-tcp", "--ports", "50000-50009", "--until-alone"],
    );
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(&blocked, &server, "bob", &["--ice-tcp"]);
    for one in [&mut ann, &mut bob] {
        one.wait_for("first-frame", is_picture).await.unwrap();
    }
    bob.signal("INT").unwrap();
    for one in [bob, ann] {
        assert_eq!(one.ended(PATIENCE).await.unwrap().code, Some(0));
    }
}

/// Pictures that a client has decoded so far.
fn decoded(event: &Value) -> u64 {
    let all = event["report"]
        .as_object()
        .into_iter()
        .flat_map(|all| all.values());
    let mut streams = all.filter(|s| s["type"] == "inbound-rtp" && s["kind"] == "video");
    streams
        .next()
        .and_then(|s| s["framesDecoded"].as_u64())
        .unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_a_browser_goes_on_when_the_client_moves_to_another_network() {
    let _alone = alone().await;
    let mut internet = Internet::new().unwrap();
    internet.join().unwrap();
    let server = server(&internet).await;
    let host = internet.host(Nat::None).unwrap();
    let browser = Browser::launch(&ChromeOptions {
        flags: vec!["--ignore-certificate-errors".to_owned()],
        ..ChromeOptions::default()
    })
    .await
    .unwrap();
    let url = format!("{}/nat?name=page&autojoin=1", server.0.url());
    let page = browser.open(&url).await.unwrap();
    page.wait_for("rtc.phase === 'joined' && rtc.sending.video", PATIENCE)
        .await
        .unwrap();
    let mut ann = client(&host, &server, "ann", &[]);
    ann.wait_for("first-frame", is_picture).await.unwrap();
    page.wait_for("rtc.video(rtc.peers[0].id)?.videoWidth > 0", PATIENCE)
        .await
        .unwrap();

    let address = internet.move_to_another_address(&host).unwrap();
    ann.wait_for("notice", |event| {
        event["text"].as_str().unwrap().contains(&address)
    })
    .await
    .unwrap();
    // Here the picture of the page goes on, by the new address.
    let before = ann
        .wait_for("stats", |event| way(event).is_some())
        .await
        .unwrap();
    let before = decoded(&before);
    ann.wait_for("stats", |event| decoded(event) > before + 60)
        .await
        .unwrap();
    // And there that of the client.
    page.eval(
        "globalThis.then = rtc.video(rtc.peers[0].id).getVideoPlaybackQuality().totalVideoFrames",
    )
    .await
    .unwrap();
    page.wait_for(
        "rtc.video(rtc.peers[0].id).getVideoPlaybackQuality().totalVideoFrames > then + 60",
        PATIENCE,
    )
    .await
    .unwrap();
    ann.signal("INT").unwrap();
    let ended = ann.ended(PATIENCE).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        ended.summary().unwrap()["peers"].as_array().unwrap().len(),
        1
    );
}
