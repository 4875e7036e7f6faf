//! Clients as peers at servers of other dialects; the server is ours, which speaks them, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rtc_e2e::alone::beside_another;
use rtc_e2e::process::{Client, Ended, PATIENCE};
use rtc_e2e::server::TestServer;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What a call has to show on a busy machine: pictures in order, the tone, no more.
const GOOD: [&str; 6] = [
    "--expect",
    "connect<10s",
    "--expect",
    "video.fps>=10 after 4s",
    "--expect",
    "audio.level>-30dBFS after 4s",
];

/// A client without devices at that server.
fn client(server: &TestServer, what: &[&str], more: &[&str]) -> Client {
    client_at(&server.url(), what, more)
}

fn client_at(url: &str, what: &[&str], more: &[&str]) -> Client {
    let always = ["--headless", "--size", "320x180", "--server", url];
    let all = [what, &always, more].concat();
    Client::start(&all).unwrap()
}

/// Picture and sound of everybody else came as they were sent.
fn saw_and_heard(ended: &Ended, others: usize) {
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let peers = ended.summary().unwrap()["peers"].as_array().unwrap();
    assert_eq!(peers.len(), others, "{peers:#?}");
    for peer in peers {
        assert!(peer["marks"]["read"].as_u64() >= Some(30), "{peer:#}");
        assert_eq!(peer["marks"]["outOfOrder"], 0, "{peer:#}");
        let hz = peer["tone"]["frequencyHz"].as_f64().unwrap();
        assert!((hz - 440.0).abs() < 2.0, "{peer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_see_and_hear_each_other_in_each_dialect_with_rooms() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    for dialect in ["codelab", "book", "conference"] {
        let what = ["join", dialect, "--signaling", dialect];
        let mut first = client(&server, &what, &[&["--until-alone"][..], &GOOD].concat());
        first.wait_for("joined", |_| true).await.unwrap();
        let second = client(&server, &what, &[&["--duration", "8s"][..], &GOOD].concat());
        saw_and_heard(&second.ended(Duration::from_secs(8)).await.unwrap(), 1);
        saw_and_heard(&first.ended(Duration::ZERO).await.unwrap(), 1);
    }
}

/// A tutorial's server on the real Socket.IO, which ends with us.
async fn codelab_server(major: &str) -> (Child, String) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("web");
    let missing = "run `npm ci` in tests/web";
    assert!(
        folder.join("node_modules/socket.io-2").is_dir(),
        "{missing}"
    );
    let mut child = Command::new("node")
        .current_dir(folder)
        .args(["codelab-server.js", major])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = timeout(PATIENCE, lines.next_line()).await.unwrap();
    let port = port.unwrap().expect("it says its port");
    (child, format!("http://127.0.0.1:{port}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_meet_at_servers_on_the_real_socket_io_of_both_revisions() {
    let _beside = beside_another().await;
    for major in ["2", "4"] {
        let (_server, url) = codelab_server(major).await;
        let what = ["join", "foo", "--signaling", "codelab"];
        let more = [&["--until-alone"][..], &GOOD].concat();
        let mut first = client_at(&url, &what, &more);
        first.wait_for("joined", |_| true).await.unwrap();
        let more = [&["--duration", "8s"][..], &GOOD].concat();
        let mut second = client_at(&url, &what, &more);
        second.wait_for("joined", |_| true).await.unwrap();
        let third = client_at(&url, &what, &["--duration", "8s"]);
        assert_eq!(third.ended(Duration::ZERO).await.unwrap().code, Some(4));
        saw_and_heard(&second.ended(Duration::from_secs(8)).await.unwrap(), 1);
        saw_and_heard(&first.ended(Duration::ZERO).await.unwrap(), 1);
        // No names are called there.
        let login = ["join", "--as", "bob", "--signaling", "login"];
        let ended = client_at(&url, &login, &[])
            .ended(Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(ended.code, Some(3), "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_dialect_and_one_of_our_own_see_and_hear_each_other_whoever_comes_first() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    for dialect in ["codelab", "book", "conference"] {
        for ours_first in [true, false] {
            let room = format!("{dialect}-{ours_first}");
            let ours = ["join", &room];
            let theirs = ["join", &room, "--signaling", dialect];
            let (one, other) = match ours_first {
                true => (&ours[..], &theirs[..]),
                false => (&theirs[..], &ours[..]),
            };
            let mut first = client(&server, one, &[&["--until-alone"][..], &GOOD].concat());
            first.wait_for("joined", |_| true).await.unwrap();
            let second = client(&server, other, &[&["--duration", "8s"][..], &GOOD].concat());
            saw_and_heard(&second.ended(Duration::from_secs(8)).await.unwrap(), 1);
            saw_and_heard(&first.ended(Duration::ZERO).await.unwrap(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_clients_of_a_conference_are_each_connected_with_each() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let what = ["join", "three", "--signaling", "conference"];
    let mut all = Vec::new();
    for name in ["ann", "bob", "carl"] {
        let more = ["--as", name, "--duration", "14s", "--fps", "15"];
        let mut one = client(&server, &what, &more);
        one.wait_for("joined", |_| true).await.unwrap();
        all.push(one);
    }
    for one in all {
        saw_and_heard(&one.ended(Duration::from_secs(14)).await.unwrap(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_called_and_hung_up_on() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let waits = [
        "join",
        "--as",
        "bob",
        "--auto-answer",
        "--signaling",
        "login",
    ];
    let mut bob = client(&server, &waits, &GOOD);
    bob.wait_for("waiting", |_| true).await.unwrap();
    let calls = ["call", "bob", "--as", "ann", "--signaling", "login"];
    let mut ann = client(
        &server,
        &calls,
        &[&["--duration", "8s"][..], &GOOD].concat(),
    );
    ann.wait_for("accepted", |_| true).await.unwrap();
    saw_and_heard(&ann.ended(Duration::from_secs(8)).await.unwrap(), 1);
    saw_and_heard(&bob.ended(Duration::ZERO).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_why_and_ends_with_its_own_code() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let codelab = ["join", "full", "--signaling", "codelab"];
    let mut inside = Vec::new();
    for _ in 0..2 {
        let mut one = client(&server, &codelab, &[]);
        one.wait_for("joined", |_| true).await.unwrap();
        inside.push(one);
    }
    let waits = ["join", "--as", "bob", "--signaling", "login"];
    let mut bob = client(&server, &waits, &[]);
    bob.wait_for("waiting", |_| true).await.unwrap();
    let elsewhere = format!("{}/nothing", server.url());
    for (what, at, code, words) in [
        (&codelab[..], None, 4, "is full"),
        (&waits[..], None, 5, "choose another one with --as"),
        (
            &["call", "eve", "--as", "ann", "--signaling", "login"][..],
            None,
            11,
            "eve",
        ),
        (&codelab[..], Some(&elsewhere), 3, "does not speak codelab"),
    ] {
        let mut more = vec!["--duration", "20s"];
        if let Some(at) = at {
            more.extend(["--server", at.as_str()]);
        }
        let url = server.url();
        let mut all = [what, &["--headless"]].concat();
        if at.is_none() {
            all.extend(["--server", &url]);
        }
        let ended = Client::start(&[&all[..], &more].concat())
            .unwrap()
            .ended(Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(ended.code, Some(code), "{what:?}: {ended:#?}");
        let said = format!("{:#?}{}", ended.events, ended.stderr);
        assert!(said.contains(words), "{what:?}: {said}");
    }
}
