//! Calls over bad paths, and the path as a hop of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::deployed::Deployed;
use rtc_e2e::process::{Client, Ended, PATIENCE, binary};
use rtc_e2e::server::TestServer;
use serde_json::Value;

/// Two clients in a room for six seconds; the first one's network is as asked.
async fn call(impair: &str) -> (Ended, Ended) {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = ["join", "path", "--headless", "--server", &url];
    let impaired = [&common[..], &["--until-alone", "--impair", impair]].concat();
    let mut a = Client::start(&impaired).unwrap();
    a.wait_for("joined", |_| true).await.unwrap();
    let b = Client::start(&[&common[..], &["--duration", "6s"]].concat()).unwrap();
    let within = Duration::from_secs(10);
    let (a, b) = tokio::join!(a.ended(within), b.ended(within));
    (a.unwrap(), b.unwrap())
}

fn marks(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.summary().unwrap()["peers"][0]["marks"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_on_the_way_out_shows_at_the_far_side_alone() {
    let (a, b) = call("up:delay=150ms").await;
    let (near, far) = (marks(&a), marks(&b));
    let latency = |marks: &Value| marks["latencyMsP50"].as_f64().unwrap();
    assert!(latency(&far) >= 150.0, "{far:#}");
    assert!(latency(&near) < latency(&far), "{near:#} {far:#}");
    assert_eq!(far["missing"], 0, "{far:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_packets_never_make_a_broken_picture() {
    let (a, b) = call("loss=3%,delay=10ms,seed=5").await;
    for marks in [marks(&a), marks(&b)] {
        assert!(marks["read"].as_u64().unwrap() >= 60, "{marks:#}");
        assert_eq!(marks["unreadable"], 0, "{marks:#}");
        assert!(marks["psnrDbMin"].as_f64().unwrap() > 25.0, "{marks:#}");
    }
}

#[test]
fn a_hop_says_at_its_end_what_became_of_every_datagram() {
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    far.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let to = far.local_addr().unwrap().to_string();
    let mut hop = Command::new(binary("rtc-client").unwrap())
        .args(["impair", "--listen", "127.0.0.1:0", "--to", &to])
        .args(["--impair", "up:loss=20%,seed=9", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(hop.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let listening = next();
    let near = UdpSocket::bind("127.0.0.1:0").unwrap();
    near.connect(listening["address"].as_str().unwrap())
        .unwrap();
    // Without a delay they come in order; the marks at the end are sent until one of them gets through.
    for number in 0..200_u8 {
        near.send(&[number]).unwrap();
    }
    let mut buffer = [0; 10];
    let mut got = 0;
    let mut sent = 200;
    loop {
        near.send(&[255]).unwrap();
        sent += 1;
        let (_, from) = far.recv_from(&mut buffer).unwrap();
        if buffer[0] == 255 {
            far.send_to(b"back", from).unwrap();
            got += 1;
            break;
        }
        got += 1;
    }
    near.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    assert_eq!(near.recv(&mut buffer).unwrap(), 4);
    let pid = hop.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let summary = next();
    let up = |key: &str| summary["up"][key].as_u64().unwrap();
    assert!(got <= up("passed") && up("seen") <= sent, "{summary:#}");
    assert_eq!(up("seen"), up("passed") + up("lost") + up("overflowed"));
    let share = up("lost") as f64 / up("seen") as f64;
    assert!((0.1..0.3).contains(&share), "{summary:#}");
    assert_eq!(summary["down"]["passed"], 1, "{summary:#}");
    assert!(hop.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pages_by_way_of_a_turn_hop_have_its_path() {
    let _alone = alone().await;
    let mut hop = Command::new(binary("rtc-client").unwrap())
        .args([
            "impair",
            "--turn",
            "127.0.0.1:0",
            "--turn-user",
            "ann:secret",
        ])
        .args(["--impair", "delay=150ms,seed=9", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(hop.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let listening = next();
    let url = listening["urls"][0].as_str().unwrap();
    let server = Deployed::start(&["--ice-server", &format!("{url},ann,secret")])
        .await
        .unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let open = async |name: &str, more: &str| {
        let address = format!(
            "http://localhost:{}/hop?name={name}&autojoin=1{more}",
            server.port().unwrap()
        );
        let page = browser.open(&address).await.unwrap();
        page.wait_for("rtc.phase === 'joined' && rtc.sending.video", PATIENCE)
            .await
            .unwrap();
        page
    };
    let far = open("far", "").await;
    let near = open("near", "&relay=1").await;
    for page in [&far, &near] {
        page.wait_for("rtc.video(rtc.peers[0].id)?.videoWidth > 0", PATIENCE)
            .await
            .unwrap();
    }
    let pair = near
        .eval(
            "(async () => { const all = Object.values(await rtc.stats(rtc.peers[0].id)); \
             const transport = all.find(s => s.type === 'transport'); \
             const pair = all.find(s => s.id === transport.selectedCandidatePairId); \
             const local = all.find(s => s.id === pair.localCandidateId); \
             return { local: local.candidateType, roundTrip: pair.currentRoundTripTime }; })()",
        )
        .await
        .unwrap();
    assert_eq!(pair["local"], "relay", "{pair}");
    assert!(pair["roundTrip"].as_f64().unwrap() >= 0.3, "{pair}");
    let pid = hop.id().to_string();
    let asked = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(asked.success());
    let summary = next();
    for way in ["up", "down"] {
        assert!(summary[way]["passed"].as_u64().unwrap() > 30, "{summary:#}");
    }
    assert!(hop.wait().unwrap().success());
}

#[test]
fn an_impairment_that_makes_no_sense_is_refused_with_the_nearest_word() {
    let output = Command::new(binary("rtc-client").unwrap())
        .args(["join", "x", "--headless", "--impair", "los=5%"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("did you mean loss?"), "{error}");
}
