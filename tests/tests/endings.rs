//! Every exit code, and bad days that end in one clear line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtc_client::peer::{Peer, PeerConfig, PeerEvent};
use rtc_client::signaling::{Signaling, SignalingEvent, SignalingOptions, Target};
use rtc_e2e::alone::beside_another;
use rtc_e2e::process::{Client, binary};
use rtc_e2e::server::TestServer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const SHORT: Duration = Duration::from_secs(10);

fn run(arguments: &[&str]) -> Output {
    Command::new(binary("rtc-client").unwrap())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// One line on standard error, which says what to do, and this exit code.
fn refused(arguments: &[&str], code: i32, words: &str) {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    if code != 2 {
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_wrong_command_line_is_2() {
    refused(&["join"], 2, "name a room");
    refused(&["join", "a/b"], 2, "room");
    refused(&["join", ".."], 2, "room");
    refused(&["join", "foo", "--video", "screensaver"], 2, "--video");
    refused(&["join", "foo", "--size", "huge"], 2, "--size");
    refused(&["join", "foo", "--server", "ftp://example.org"], 2, "ftp");
    refused(&["dance"], 2, "dance");
}

#[test]
fn help_and_the_texts_are_0() {
    for arguments in [
        &["--help"][..],
        &["join", "--help"],
        &["completions", "bash"],
        &["man"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stdout.len() > 500, "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_opened_is_1() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.webm");
    let text = folder.path().join("text.mkv");
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&text, "not a film at all, only words").unwrap();
    for file in [empty.as_path(), &text, &folder.path().join("missing.ivf")] {
        let source = format!("file:{}", file.display());
        let arguments = [
            "join",
            "foo",
            "--headless",
            "--server",
            "http://127.0.0.1:9",
            "--video",
            &source,
        ];
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        refused(&arguments, 1, &name);
    }
    let nowhere = folder.path().join("no/such/folder/call.mkv");
    refused(
        &[
            "join",
            "foo",
            "--headless",
            "--server",
            "http://127.0.0.1:9",
            "--record",
            nowhere.to_str().unwrap(),
        ],
        1,
        "call.mkv",
    );
}

#[test]
fn no_server_is_3() {
    // Port 9 is discard: nobody listens there on a test machine.
    refused(
        &[
            "join",
            "foo",
            "--headless",
            "--server",
            "http://127.0.0.1:9",
        ],
        3,
        "127.0.0.1:9",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_nonsense_is_3() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let nonsense = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n").await;
        }
    });
    let ended = Client::start(&["join", "foo", "--headless", "--server", &url])
        .unwrap()
        .ended(SHORT)
        .await
        .unwrap();
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    nonsense.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_room_is_4() {
    let server = TestServer::start().await.unwrap();
    let (mut socket, _) = raw(&server).await;
    say(&mut socket, r#"{"type":"hello","id":1}"#).await;
    say(
        &mut socket,
        r#"{"type":"join","id":2,"room":"tiny","capacity":1}"#,
    )
    .await;
    let ended = Client::start(&["join", "tiny", "--headless", "--server", &server.url()])
        .unwrap()
        .ended(SHORT)
        .await
        .unwrap();
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.stderr.contains("full"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn being_put_out_of_the_room_is_5() {
    let server = TestServer::start().await.unwrap();
    let (mut socket, _) = raw(&server).await;
    say(&mut socket, r#"{"type":"hello","id":1}"#).await;
    say(&mut socket, r#"{"type":"join","id":2,"room":"strict"}"#).await;
    let mut client =
        Client::start(&["join", "strict", "--headless", "--server", &server.url()]).unwrap();
    let joined = client.wait_for("joined", |_| true).await.unwrap();
    let id = joined["me"]["id"].as_str().unwrap();
    let kick = format!(r#"{{"type":"kick","id":3,"room":"strict","peer":"{id}","reason":"go"}}"#);
    socket.send(Message::text(kick)).await.unwrap();
    let ended = client.ended(SHORT).await.unwrap();
    assert_eq!(ended.code, Some(5), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_and_nobody_connected_are_6() {
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let alone = [
        "join",
        "empty",
        "--headless",
        "--server",
        &url,
        "--duration",
        "1s",
    ];
    let ended = Client::start(&alone).unwrap().ended(SHORT).await.unwrap();
    assert_eq!(ended.code, Some(6), "{ended:#?}");

    // Somebody who is in the room and never answers an offer.
    let (mut socket, _) = raw(&server).await;
    say(&mut socket, r#"{"type":"hello","id":1}"#).await;
    say(&mut socket, r#"{"type":"join","id":2,"room":"mute"}"#).await;
    let silent = [
        "join",
        "mute",
        "--headless",
        "--server",
        &url,
        "--duration",
        "3s",
    ];
    let ended = Client::start(&silent).unwrap().ended(SHORT).await.unwrap();
    assert_eq!(ended.code, Some(6), "{ended:#?}");
}

/// A peer that connects, promises picture and sound, and sends neither, until it is dropped.
async fn silent_peer(url: &str, room: &str) -> tokio::task::JoinHandle<()> {
    let (tell, mut server) = mpsc::channel(64);
    let target = Target::parse(room, Some(url)).unwrap();
    let signaling = Signaling::connect(SignalingOptions::new(target), tell)
        .await
        .unwrap();
    tokio::spawn(async move {
        let (tell, mut events) = mpsc::channel(64);
        let peer = Peer::start(PeerConfig::default(), tell).await.unwrap();
        let mut other = None;
        loop {
            tokio::select! {
                event = server.recv() => match event {
                    Some(SignalingEvent::Signal { from, signal }) => {
                        other = Some(from);
                        peer.handle_signal(signal).await;
                    }
                    Some(_) => {}
                    None => return,
                },
                event = events.recv() => match (event, other) {
                    (Some(PeerEvent::Signal(signal)), Some(to)) => {
                        signaling.signal(to, signal).await.unwrap();
                    }
                    (Some(_), _) => {}
                    (None, _) => return,
                },
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn promised_media_that_never_comes_is_7() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let silent = silent_peer(&url, "film").await;
    let arguments = [
        "join",
        "film",
        "--headless",
        "--server",
        &url,
        "--duration",
        "12s",
    ];
    let mut bob = Client::start(&arguments).unwrap();
    bob.wait_for("connected", |_| true).await.unwrap();
    let bob = bob.ended(SHORT).await.unwrap();
    assert_eq!(bob.code, Some(7), "{bob:#?}");
    silent.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_over_still_shows_its_last_picture_to_who_comes_later() {
    let _beside = beside_another().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.y4m");
    let mut y4m = b"YUV4MPEG2 W64 H64 F30:1 Ip A1:1 C420jpeg\nFRAME\n".to_vec();
    y4m.extend(vec![128; 64 * 64 * 3 / 2]);
    std::fs::write(&file, y4m).unwrap();
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let source = format!("file:{}", file.display());
    let mut alice = Client::start(&[
        "join",
        "film",
        "--headless",
        "--server",
        &url,
        "--video",
        &source,
        "--audio",
        "none",
    ])
    .unwrap();
    alice
        .wait_for("notice", |e| {
            e["text"].as_str().is_some_and(|t| t.contains("end"))
        })
        .await
        .unwrap();
    let bob = [
        "join",
        "film",
        "--headless",
        "--server",
        &url,
        "--duration",
        "12s",
    ];
    let bob = Client::start(&bob).unwrap().ended(SHORT).await.unwrap();
    assert_eq!(bob.code, Some(0), "{bob:#?}");
    assert_eq!(bob.summary().unwrap()["peers"][0]["frameWidth"], 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_other_end_dies_is_8() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let mut alice = Client::start(&[
        "join",
        "storm",
        "--headless",
        "--server",
        &url,
        "--duration",
        "50s",
        "--until-alone",
    ])
    .unwrap();
    alice.wait_for("joined", |_| true).await.unwrap();
    let mut bob = Client::start(&["join", "storm", "--headless", "--server", &url]).unwrap();
    bob.wait_for("first-frame", |_| true).await.unwrap();
    alice.wait_for("connected", |_| true).await.unwrap();
    bob.signal("KILL").unwrap();
    alice
        .wait_for("connection-troubled", |_| true)
        .await
        .unwrap();
    let ended = alice.ended(Duration::from_secs(50)).await.unwrap();
    assert_eq!(ended.code, Some(8), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_hangs_up_and_is_0() {
    let server = TestServer::start().await.unwrap();
    let mut client =
        Client::start(&["join", "bye", "--headless", "--server", &server.url()]).unwrap();
    client.wait_for("joined", |_| true).await.unwrap();
    client.signal("INT").unwrap();
    let ended = client.ended(SHORT).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.summary().unwrap()["exitCode"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_standard_output_hangs_up_quietly() {
    let server = TestServer::start().await.unwrap();
    let mut child = tokio::process::Command::new(binary("rtc-client").unwrap())
        .args([
            "join",
            "pipe",
            "--headless",
            "--plain",
            "--server",
            &server.url(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = tokio::time::timeout(SHORT * 3, child.wait_with_output())
        .await
        .expect("it ends")
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlives_broken_and_hostile_signals() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let mut alice = Client::start(&[
        "join",
        "siege",
        "--headless",
        "--server",
        &url,
        "--until-alone",
    ])
    .unwrap();
    let joined = alice.wait_for("joined", |_| true).await.unwrap();
    let target = joined["me"]["id"].as_str().unwrap().to_owned();
    let (mut socket, _) = raw(&server).await;
    say(&mut socket, r#"{"type":"hello","id":1}"#).await;
    say(&mut socket, r#"{"type":"join","id":2,"room":"siege"}"#).await;
    let many = "m=video 9 UDP/TLS/RTP/SAVPF 96\\r\\n".repeat(1_500);
    let signals = [
        r#"{"description":{"type":"offer","sdp":""}}"#.to_owned(),
        r#"{"description":{"type":"offer","sdp":"nonsense"}}"#.to_owned(),
        r#"{"description":{"type":"answer","sdp":"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"}}"#.to_owned(),
        format!(r#"{{"description":{{"type":"offer","sdp":"v=0\r\no=- 2 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{many}"}}}}"#),
        r#"{"candidate":{"candidate":"candidate:x","sdpMid":"99","usernameFragment":"no"}}"#.to_owned(),
        r#"{"candidate":null}"#.to_owned(),
        r#"{"dance":true}"#.to_owned(),
        "17".to_owned(),
    ];
    for signal in &signals {
        let text = format!(
            r#"{{"type":"signal","id":9,"room":"siege","to":"{target}","signal":{signal}}}"#
        );
        say(&mut socket, &text).await;
    }
    let bob = Client::start(&[
        "join",
        "siege",
        "--headless",
        "--server",
        &url,
        "--as",
        "bob",
    ])
    .unwrap();
    alice
        .wait_for("first-frame", |e| {
            e["peer"]["name"] == "bob" && e["kind"] == "video"
        })
        .await
        .unwrap();
    bob.signal("INT").unwrap();
    bob.ended(SHORT).await.unwrap();
    socket.close(None).await.unwrap();
    let ended = alice.ended(SHORT).await.unwrap();
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn raw(server: &TestServer) -> (Socket, ()) {
    let mut request = format!("ws://127.0.0.1:{}/ws", server.port())
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", "rtc.v1".parse().unwrap());
    let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    (socket, ())
}

/// Says one thing with an id and waits for its answer.
async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let id = serde_json::from_str::<serde_json::Value>(text).unwrap()["id"].clone();
    loop {
        let message = socket.next().await.unwrap().unwrap();
        let Ok(text) = message.to_text() else {
            continue;
        };
        if serde_json::from_str::<serde_json::Value>(text).is_ok_and(|v| v["id"] == id) {
            return;
        }
    }
}
