//! `rtc-client doctor`: what works is found to work, and what does not is told with what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::coturn::Coturn;
use rtc_e2e::deployed::Deployed;
use rtc_e2e::process::{PATIENCE, binary};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// The exit code, and the event.
async fn doctor(arguments: &[&str]) -> (Option<i32>, Value) {
    let run = Command::new(binary("rtc-client").unwrap())
        .args(["doctor", "--json", "--no-devices"])
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let run = timeout(PATIENCE + Duration::from_secs(10), run).await;
    let run = run.expect("half a minute is the most").unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let event = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text} {:?}", run.stderr));
    (run.status.code(), event)
}

/// What one check says; `word` is part of its target.
fn found<'a>(event: &'a Value, check: &str, word: &str) -> &'a Value {
    let all = event["findings"].as_array().unwrap();
    all.iter()
        .find(|finding| {
            finding["check"] == check && finding["target"].as_str().unwrap_or("").contains(word)
        })
        .unwrap_or_else(|| panic!("no {check} of {word} in {event:#}"))
}

fn advises(event: &Value, words: &str) -> bool {
    let all = event["advice"].as_array().unwrap();
    all.iter()
        .any(|line| line.as_str().unwrap().contains(words))
}

/// A server that relays also to this machine, and the port that it relays at.
async fn relay(more: &[&str]) -> (Deployed, u16) {
    let mut all = vec![
        "--turn",
        "127.0.0.1:0",
        "--turn-allow-peer",
        "127.0.0.0/8",
        "--turn-user",
        "ann:secret",
    ];
    all.extend(more);
    let mut server = Deployed::start(&all).await.unwrap();
    let line = server.line_with("relaying at turn:").await.unwrap();
    let port = line.rsplit(':').next().unwrap().parse().unwrap();
    (server, port)
}

/// A port of UDP that nobody answers at: it is held, and silent.
fn silent() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_a_server_with_a_relay_offers_is_found_to_work() {
    let _alone = alone().await;
    // No users of its own: the welcome hands out credentials.
    let turn = ["--turn", "127.0.0.1:0", "--turn-allow-peer", "127.0.0.0/8"];
    let server = Deployed::start(&turn).await.unwrap();
    let (code, event) = doctor(&["--server", server.url()]).await;
    assert_eq!(code, Some(0), "{event:#}");
    assert_eq!(event["exitCode"], 0);
    for (check, word) in [
        ("signaling", "127.0.0.1"),
        ("stun", "stun:"),
        ("turn", "turn:127.0.0.1"),
        ("turn", "transport=tcp"),
        ("mtu", ""),
        ("nat", ""),
        ("codecs", ""),
    ] {
        assert_eq!(
            found(&event, check, word)["health"],
            "ok",
            "{check} {event:#}"
        );
    }
    let text = found(&event, "turn", "transport=tcp")["text"].as_str();
    assert!(text.unwrap().contains("comes back"), "{event:#}");
    assert!(found(&event, "mtu", "")["figures"]["bytes"].as_f64() >= Some(1232.0));
    // This machine may be busy: three answers of fifty that it was late to read are a path that delays. Most come all the
    // same, and at once.
    let path = found(&event, "path", "");
    let figure = |name: &str| path["figures"][name].as_f64().unwrap();
    assert!(
        figure("lossPercent") <= 20.0 && figure("roundTripMs") <= 300.0,
        "{event:#}"
    );
    let all = event["advice"].as_array().unwrap();
    if path["health"] == "warning" {
        let only = all.len() == 1 && advises(&event, "the path loses or delays packets");
        assert!(only, "{event:#}");
    } else {
        assert_eq!(path["health"], "ok", "{event:#}");
        assert!(all.is_empty(), "{event:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_tried_with_the_certificate_s_proof() {
    let _alone = alone().await;
    let tls = ["--turn-tls", "127.0.0.1:0", "--tls-self-signed"];
    let (mut server, _) = relay(&tls).await;
    let line = server.line_with("relaying at turns:").await.unwrap();
    let port = line.rsplit(':').next().unwrap();
    let turns = format!("turns:127.0.0.1:{port},ann,secret");
    let (code, event) = doctor(&["--server", server.url(), "--ice-server", &turns]).await;
    assert_eq!(
        code,
        Some(3),
        "nobody vouches for the certificate: {event:#}"
    );
    let why = found(&event, "signaling", "")["text"].as_str().unwrap();
    let print = why.split("its fingerprint is ").nth(1).unwrap();
    let print = print.split(')').next().unwrap();
    assert_eq!(found(&event, "turn", "turns:")["health"], "failed");
    let trusting = [
        "--server",
        server.url(),
        "--ice-server",
        &turns,
        "--tls-fingerprint",
        print,
    ];
    let (code, event) = doctor(&trusting).await;
    assert_eq!(code, Some(0), "{event:#}");
    assert_eq!(found(&event, "turn", "turns:")["health"], "ok", "{event:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_udp_is_cut_calls_go_by_tcp_and_the_advice_says_so() {
    let _alone = alone().await;
    let (server, port) = relay(&[]).await;
    let (_held, dead) = silent();
    let plain = Deployed::start(&[]).await.unwrap();
    let stun = format!("stun:127.0.0.1:{dead}");
    let tcp = format!("turn:127.0.0.1:{port}?transport=tcp,ann,secret");
    let arguments = [
        "--server",
        plain.url(),
        "--ice-server",
        &stun,
        "--ice-server",
        &tcp,
    ];
    let (code, event) = doctor(&arguments).await;
    assert_eq!(code, Some(0), "{event:#}");
    assert_eq!(found(&event, "stun", "stun:")["health"], "failed");
    assert_eq!(found(&event, "turn", "tcp")["health"], "ok", "{event:#}");
    assert!(advises(&event, "UDP is blocked"), "{event:#}");
    // And where there is nothing beside it, there is no way at all.
    let (code, event) = doctor(&arguments[..4]).await;
    assert_eq!(code, Some(6), "{event:#}");
    assert!(advises(&event, "--turn-tls"), "{event:#}");
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_a_stranger_and_a_wrong_credential_are_told_apart() {
    let _alone = alone().await;
    let (server, port) = relay(&[]).await;
    let (code, event) = doctor(&["--server", "http://127.0.0.1:1"]).await;
    assert_eq!(code, Some(3), "{event:#}");
    assert_eq!(found(&event, "signaling", "")["health"], "failed");
    assert!(advises(&event, "rtc-server"), "{event:#}");
    let wrong = format!("turn:127.0.0.1:{port},ann,wrong");
    let (code, event) = doctor(&["--server", server.url(), "--ice-server", &wrong]).await;
    assert_eq!(code, Some(5), "{event:#}");
    assert_eq!(found(&event, "turn", "turn:")["health"], "failed");
    assert!(advises(&event, "credential"), "{event:#}");
    // Who must not relay to itself still relays.
    let stranger = Deployed::start(&["--turn", "127.0.0.1:0"]).await.unwrap();
    let (code, event) = doctor(&["--server", stranger.url()]).await;
    assert_eq!(code, Some(0), "{event:#}");
    assert_eq!(found(&event, "turn", "turn:")["health"], "warning");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_for_people_have_no_colours_in_a_pipe() {
    let server = Deployed::start(&[]).await.unwrap();
    let run = Command::new(binary("rtc-client").unwrap())
        .args(["doctor", "--server", server.url()])
        .stdin(Stdio::null())
        .output();
    let run = timeout(PATIENCE + Duration::from_secs(10), run)
        .await
        .unwrap()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(0), "{text}");
    assert!(text.starts_with("ok      signaling"), "{text}");
    assert!(
        text.contains("-> no STUN or TURN server is known"),
        "{text}"
    );
    assert!(!text.contains('\x1b') && run.stderr.is_empty(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn coturn_is_found_to_work() {
    let _alone = alone().await;
    let coturn = Coturn::start().await.unwrap();
    let port = coturn.plain;
    let server = Deployed::start(&[]).await.unwrap();
    let stun = format!("stun:127.0.0.1:{port}");
    let udp = format!("turn:127.0.0.1:{port},ann,secret");
    let tcp = format!("turn:127.0.0.1:{port}?transport=tcp,ann,secret");
    let mut arguments = vec!["--server", server.url()];
    for url in [&stun, &udp, &tcp] {
        arguments.extend(["--ice-server", url]);
    }
    let (code, event) = doctor(&arguments).await;
    assert_eq!(code, Some(0), "{event:#}");
    assert_eq!(found(&event, "stun", "stun:")["health"], "ok", "{event:#}");
    for word in ["turn:127", "transport=tcp"] {
        assert_eq!(found(&event, "turn", word)["health"], "ok", "{event:#}");
    }
}
