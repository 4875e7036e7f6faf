//! Calls by way of our relay: native peers, browsers, and coturn's own client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::{Browser, ChromeOptions, Page};
use rtc_e2e::coturn::Coturn;
use rtc_e2e::deployed::Deployed;
use rtc_e2e::process::{Client, PATIENCE, decoded};
use serde_json::Value;
use tokio::process::Command;

const PEERS: [&str; 2] = ["--turn-allow-peer", "127.0.0.0/8"];

/// A server that relays at a port of the system's choice, and that port.
async fn relay(more: &[&str]) -> (Deployed, u16) {
    let mut all = vec!["--turn", "127.0.0.1:0"];
    all.extend(PEERS);
    all.extend(more);
    let mut server = Deployed::start(&all).await.unwrap();
    let line = server.line_with("relaying at turn:").await.unwrap();
    let port = line.rsplit(':').next().unwrap().parse().unwrap();
    (server, port)
}

fn client(server: &Deployed, name: &str, more: &[&str]) -> Client {
    let mut all = vec![
        "join",
        "relayed",
        "--headless",
        "--relay-only",
        "--size",
        "320x180",
        "--server",
        server.url(),
        "--as",
        name,
    ];
    all.extend(more);
    Client::start(&all).unwrap()
}

fn is_picture(event: &Value) -> bool {
    event["kind"] == "video"
}

/// What the pair that was chosen is made of.
async fn pair(page: &Page) -> Value {
    page.eval(
        "(async () => { const all = Object.values(await rtc.stats(rtc.peers[0].id)); \
         const transport = all.find(s => s.type === 'transport'); \
         const pair = all.find(s => s.id === transport.selectedCandidatePairId); \
         const local = all.find(s => s.id === pair.localCandidateId); \
         return { local: local.candidateType, by: local.relayProtocol }; })()",
    )
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_that_may_only_relay_see_each_other() {
    let _beside = beside_another().await;
    let (server, _) = relay(&[]).await;
    let mut ann = client(&server, "ann", &["--until-alone"]);
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(&server, "bob", &[]);
    for one in [&mut ann, &mut bob] {
        one.wait_for("stats", |e| decoded(e) > 60).await.unwrap();
    }
    bob.signal("INT").unwrap();
    for one in [bob, ann] {
        let ended = one.ended(PATIENCE).await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let peer = &ended.summary().unwrap()["peers"][0];
        // An encoder that gets no time leaves pictures out.
        let count = |what: &str| peer["marks"][what].as_u64().unwrap();
        assert!(count("missing") * 3 <= count("read"), "{peer:#}");
        assert!(peer["framesDecoded"].as_u64().unwrap() > 60, "{peer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_relay_who_may_only_relay_never_connects() {
    let _beside = beside_another().await;
    let server = Deployed::start(&[]).await.unwrap();
    let mut ann = client(&server, "ann", &["--duration", "5s"]);
    ann.wait_for("joined", |_| true).await.unwrap();
    let bob = client(&server, "bob", &["--duration", "4s"]);
    assert_eq!(bob.ended(PATIENCE).await.unwrap().code, Some(6));
    assert_eq!(ann.ended(PATIENCE).await.unwrap().code, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_may_only_relay_and_a_client_see_each_other() {
    let _beside = beside_another().await;
    let (server, _) = relay(&[]).await;
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let address = format!(
        "http://localhost:{}/relayed?name=page&autojoin=1&relay=1",
        server.port().unwrap()
    );
    let page = browser.open(&address).await.unwrap();
    page.wait_for("rtc.phase === 'joined' && rtc.sending.video", PATIENCE)
        .await
        .unwrap();
    let mut ann = client(&server, "ann", &["--duration", "6s"]);
    ann.wait_for("first-frame", is_picture).await.unwrap();
    page.wait_for("rtc.video(rtc.peers[0].id)?.videoWidth > 0", PATIENCE)
        .await
        .unwrap();
    assert_eq!(pair(&page).await["local"], "relay");
    assert_eq!(ann.ended(PATIENCE).await.unwrap().code, Some(0));
}

/// coturn's test client, which relays to itself: 2 clients with 4 times 40 messages.
async fn coturn(port: u16, flags: &[&str]) -> String {
    let port = port.to_string();
    let mut all = vec![
        "-u", "ann", "-w", "secret", "-p", &port, "-y", "-n", "40", "-m", "4",
    ];
    all.extend(flags);
    all.push("127.0.0.1");
    let run = Command::new("turnutils_uclient").args(all).output();
    let run = tokio::time::timeout(PATIENCE, run).await.unwrap();
    let run = run.expect("turnutils_uclient: run `apt-get install coturn`");
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn coturns_own_client_loses_nothing() {
    let _beside = beside_another().await;
    let (mut server, port) = relay(&[
        "--turn-user",
        "ann:secret",
        "--turn-tls",
        "127.0.0.1:0",
        "--tls-self-signed",
    ])
    .await;
    let line = server.line_with("relaying at turns:").await.unwrap();
    let tls: u16 = line.rsplit(':').next().unwrap().parse().unwrap();
    for (port, flags) in [
        (port, &["-c"][..]),   // channels, by UDP
        (port, &[]),           // with a pair of ports, one of them reserved
        (port, &["-s", "-c"]), // Send and Data indications
        (port, &["-t", "-c"]),
        (tls, &["-t", "-S", "-c"]),
    ] {
        let said = coturn(port, flags).await;
        assert!(
            said.contains("Total lost packets 0 (0.000000%)"),
            "{flags:?}: {said}"
        );
        assert!(
            said.contains("tot_send_msgs=160, tot_recv_msgs=160"),
            "{flags:?}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_relays_to_what_lies_behind_the_server() {
    let mut server = Deployed::start(&["--turn", "127.0.0.1:0", "--turn-user", "ann:secret"])
        .await
        .unwrap();
    let line = server.line_with("relaying at turn:").await.unwrap();
    let port = line.rsplit(':').next().unwrap().parse().unwrap();
    let said = coturn(port, &["-c"]).await;
    assert!(said.contains("403"), "{said}");
}

/// What a client says of the candidate of its own that is in use: its type, and by what its relay is reached.
fn in_use(event: &Value) -> Option<(&str, &str)> {
    let report = &event["report"];
    let of = |kind: &'static str| {
        let all = report.as_object().into_iter().flat_map(|all| all.values());
        all.filter(move |s| s["type"] == kind)
    };
    let pair = &of("transport").next()?["selectedCandidatePairId"];
    let pair = of("candidate-pair").find(|s| s["id"] == *pair)?;
    let local = of("local-candidate").find(|s| s["id"] == pair["localCandidateId"])?;
    Some((
        local["candidateType"].as_str()?,
        local["relayProtocol"].as_str()?,
    ))
}

/// Two clients in a room, by way of a TURN server alone, which is reached by `protocol`.
async fn relayed(server: &Deployed, more: &[&str], protocol: &str) {
    let mut ann = client(server, "ann", &[&["--until-alone"], more].concat());
    ann.wait_for("joined", |_| true).await.unwrap();
    let mut bob = client(server, "bob", more);
    ann.wait_for("first-frame", is_picture).await.unwrap();
    for one in [&mut ann, &mut bob] {
        one.wait_for("stats", |event| in_use(event) == Some(("relay", protocol)))
            .await
            .unwrap();
    }
    bob.signal("INT").unwrap();
    for one in [bob, ann] {
        let ended = one.ended(PATIENCE).await.unwrap();
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        let peer = &ended.summary().unwrap()["peers"][0];
        assert_eq!(peer["marks"]["unreadable"], 0, "{peer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_reach_our_relay_by_tcp() {
    let _beside = beside_another().await;
    let (_relay, port) = relay(&["--turn-user", "ann:secret"]).await;
    let server = Deployed::start(&[]).await.unwrap();
    let turn = format!("turn:127.0.0.1:{port}?transport=tcp,ann,secret");
    relayed(&server, &["--ice-server", &turn], "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_reach_our_relay_by_tls_and_know_it_by_its_fingerprint() {
    let _beside = beside_another().await;
    let flags = ["--tls-self-signed", "--turn-tls", "127.0.0.1:0"];
    let mut server = Deployed::start(&[&flags[..], &PEERS].concat())
        .await
        .unwrap();
    let line = server.line_with("--tls-fingerprint ").await.unwrap();
    let print = line.rsplit(' ').next().unwrap();
    relayed(&server, &["--tls-fingerprint", print], "tls").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coturn_relays_for_clients_by_udp_tcp_and_tls() {
    let _beside = beside_another().await;
    let turn = Coturn::start().await.unwrap();
    let server = Deployed::start(&[]).await.unwrap();
    let authority = turn.certificate().display().to_string();
    for (url, protocol) in [
        (format!("turn:127.0.0.1:{}", turn.plain), "udp"),
        (
            format!("turn:127.0.0.1:{}?transport=tcp", turn.plain),
            "tcp",
        ),
        (format!("turns:127.0.0.1:{}", turn.tls), "tls"),
    ] {
        let turn = format!("{url},ann,secret");
        let flags = ["--ice-server", &turn, "--tls-ca", &authority];
        relayed(&server, &flags, protocol).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_not_believed_is_told_of_and_not_used() {
    let _beside = beside_another().await;
    let turn = Coturn::start().await.unwrap();
    let server = Deployed::start(&[]).await.unwrap();
    let turn = format!("turns:127.0.0.1:{},ann,secret", turn.tls);
    let flags = ["--ice-server", &turn, "--duration", "8s"];
    let mut ann = client(&server, "ann", &flags);
    ann.wait_for("joined", |_| true).await.unwrap();
    let _bob = client(&server, "bob", &flags);
    let is_told = |event: &Value| {
        let text = event["text"].as_str().unwrap_or_default();
        text.contains("is not believed") && text.contains("--tls-ca")
    };
    ann.wait_for("notice", is_told).await.unwrap();
    assert_eq!(ann.ended(PATIENCE).await.unwrap().code, Some(6));
}
