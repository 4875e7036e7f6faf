//! Calls over bad paths, and the path as a hop of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::deployed::Deployed;
use rtc_e2e::process::{Client, Ended, PATIENCE, binary, decoded};
use rtc_e2e::server::TestServer;
use serde_json::Value;

/// Two clients in a room until each has seen enough; the first one's network is as asked.
async fn call(impair: &str) -> (Ended, Ended) {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = ["join", "path", "--headless", "--server", &url];
    let impaired = [&common[..], &["--until-alone", "--impair", impair]].concat();
    let mut a = Client::start(&impaired).unwrap();
    a.wait_for("joined", |_| true).await.unwrap();
    let mut b = Client::start(&common).unwrap();
    for one in [&mut a, &mut b] {
        one.wait_for("stats", |e| decoded(e) >= 120).await.unwrap();
    }
    b.signal("INT").unwrap();
    let (a, b) = tokio::join!(a.ended(Duration::ZERO), b.ended(Duration::ZERO));
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
    // An encoder that gets no time leaves pictures out; what is delayed is not lost.
    let count = |what: &str| far[what].as_u64().unwrap();
    assert!(count("missing") * 3 <= count("read"), "{far:#}");
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

/// UDP ports that a process has open, but for that of mDNS.
#[cfg(target_os = "linux")]
fn open_ports(pid: u32) -> std::collections::BTreeSet<u16> {
    let sockets: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?;
            Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let tables =
        ["udp", "udp6"].map(|name| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")));
    let lines = tables
        .iter()
        .flatten()
        .flat_map(|table| table.lines().skip(1));
    lines
        .filter_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            sockets.iter().find(|inode| *inode == words[9])?;
            u16::from_str_radix(words[1].rsplit(':').next()?, 16).ok()
        })
        .filter(|port| *port != 5353)
        .collect()
}

/// Ports of the candidates of hosts of one side that these statistics tell of.
fn host_ports(report: &Value, side: &str) -> Vec<u64> {
    let all = report.as_object().into_iter().flat_map(|all| all.values());
    all.filter(|s| s["type"] == side && s["candidateType"] == "host")
        .filter_map(|s| s["port"].as_u64())
        .collect()
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn all_connections_of_a_client_use_the_one_port_that_it_was_given() {
    let _alone = alone().await;
    let port = UdpSocket::bind("0.0.0.0:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = Deployed::start(&[]).await.unwrap();
    let typed = port.to_string();
    let common = [
        "join",
        "ports",
        "--headless",
        "--size",
        "320x180",
        "--server",
        server.url(),
    ];
    let given = ["--udp-port", &typed, "--as", "ann"];
    let mut ann = Client::start(&[&common[..], &given].concat()).unwrap();
    ann.wait_for("joined", |_| true).await.unwrap();
    let second = Client::start(&[&common[..], &given].concat())
        .unwrap()
        .ended(PATIENCE)
        .await
        .unwrap();
    assert_eq!(second.code, Some(1), "{second:#?}");
    assert!(
        second
            .stderr
            .contains(&format!("--udp-port {port}: the port cannot be opened at")),
        "{second:#?}"
    );
    let mut bob =
        Client::start(&[&common[..], &["--as", "bob", "--until-alone"]].concat()).unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let url = format!(
        "http://localhost:{}/ports?name=page&autojoin=1",
        server.port().unwrap()
    );
    let page = browser.open(&url).await.unwrap();
    let mut awaited = 4;
    while awaited > 0 {
        ann.wait_for("first-frame", |_| true).await.unwrap();
        awaited -= 1;
    }
    let tells = |event: &Value, name: &str, side: &str| {
        event["peer"]["name"] == name && !host_ports(&event["report"], side).is_empty()
    };
    for name in ["bob", "page"] {
        ann.wait_for("stats", |e| tells(e, name, "local-candidate"))
            .await
            .unwrap();
    }
    bob.wait_for("stats", |e| tells(e, "ann", "remote-candidate"))
        .await
        .unwrap();
    page.wait_for(
        "rtc.peers.length === 2 && rtc.peers.every(p => rtc.video(p.id)?.videoWidth > 0)",
        PATIENCE,
    )
    .await
    .unwrap();
    let told = ann.events.iter().filter(|e| e["event"] == "stats");
    let told: Vec<_> = told
        .flat_map(|e| host_ports(&e["report"], "local-candidate"))
        .collect();
    assert!(
        !told.is_empty() && told.iter().all(|p| *p == u64::from(port)),
        "{told:?}"
    );
    let heard = bob
        .events
        .iter()
        .filter(|e| e["event"] == "stats" && e["peer"]["name"] == "ann");
    let heard: Vec<_> = heard
        .flat_map(|e| host_ports(&e["report"], "remote-candidate"))
        .collect();
    assert!(
        !heard.is_empty() && heard.iter().all(|p| *p == u64::from(port)),
        "{heard:?}"
    );
    let report = page.eval("(async () => Object.assign({}, await rtc.stats(rtc.peers.find(p => p.name === 'ann').id)))()").await.unwrap();
    let heard = host_ports(&report, "remote-candidate");
    assert!(
        !heard.is_empty() && heard.iter().all(|p| *p == u64::from(port)),
        "{report:#}"
    );
    assert_eq!(open_ports(ann.pid().unwrap()), [port].into());
    assert!(open_ports(bob.pid().unwrap()).len() >= 2);
    ann.signal("INT").unwrap();
    drop(page);
    let ended = ann.ended(PATIENCE).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// The two candidates that a client's statistics say are in use, ours first.
fn candidates(event: &Value) -> Option<[&Value; 2]> {
    let report = event["report"].as_object()?;
    let transport = report.values().find(|s| s["type"] == "transport")?;
    let pair = report.get(transport["selectedCandidatePairId"].as_str()?)?;
    let candidate = |key: &str| pair[key].as_str().and_then(|id| report.get(id));
    Some([
        candidate("localCandidateId")?,
        candidate("remoteCandidateId")?,
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_met_by_tcp_where_nothing_gets_through_by_udp() {
    let _alone = alone().await;
    let server = Deployed::start(&[]).await.unwrap();
    let common = [
        "join",
        "tcp",
        "--headless",
        "--size",
        "320x180",
        "--server",
        server.url(),
    ];
    let flags = ["--ice-tcp", "--impair", "loss=100%", "--until-alone"];
    let mut ann = Client::start(&[&common[..], &flags].concat()).unwrap();
    ann.wait_for("joined", |_| true).await.unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let url = format!(
        "http://localhost:{}/tcp?name=page&autojoin=1",
        server.port().unwrap()
    );
    let page = browser.open(&url).await.unwrap();
    ann.wait_for("first-frame", |e| e["kind"] == "video")
        .await
        .unwrap();
    page.wait_for("rtc.video(rtc.peers[0].id)?.videoWidth > 0", PATIENCE)
        .await
        .unwrap();
    let event = ann
        .wait_for("stats", |e| candidates(e).is_some())
        .await
        .unwrap();
    let [local, _] = candidates(&event).unwrap();
    assert_eq!(local["protocol"], "tcp", "{event:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_and_a_page_that_both_hide_their_addresses_meet() {
    let _alone = alone().await;
    let server = Deployed::start(&[]).await.unwrap();
    let common = [
        "join",
        "hidden",
        "--headless",
        "--size",
        "320x180",
        "--server",
        server.url(),
    ];
    let mut ann = Client::start(&[&common[..], &["--mdns", "--until-alone"]].concat()).unwrap();
    ann.wait_for("joined", |_| true).await.unwrap();
    let options = ChromeOptions {
        without_permission: true,
        ..ChromeOptions::default()
    };
    let browser = Browser::launch(&options).await.unwrap();
    let url = format!(
        "http://localhost:{}/hidden?name=page&autojoin=1&audio=0&video=0",
        server.port().unwrap()
    );
    let page = browser.open(&url).await.unwrap();
    page.wait_for(
        "rtc.peers.length === 1 && rtc.video(rtc.peers[0].id)?.videoWidth > 0",
        PATIENCE,
    )
    .await
    .unwrap();
    let told = page.eval("(async () => Object.values(await rtc.stats(rtc.peers[0].id)).filter(s => s.type === 'remote-candidate').map(s => s.address))()").await.unwrap();
    let told: Vec<_> = told
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    // What it learnt from checks, and what it resolved, has no address in the statistics of a page that may not know it.
    assert!(
        told.iter()
            .all(|address| address.is_empty() || address.ends_with(".local")),
        "{told:?}"
    );
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
