//! Calls without a room: somebody's WHIP and WHEP service, text that people carry, a program of the user's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Stdio;
use std::time::Duration;

use rtc_e2e::alone::beside_another;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::process::{Client, Ended, PATIENCE};
use rtc_e2e::server::TestServer;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What a call has to show on a busy machine: the test picture's marks in order, the tone, no more.
const GOOD: [&str; 8] = [
    "--expect",
    "connect<10s",
    "--expect",
    "video.fps>=10 after 4s",
    "--expect",
    "video.repeated==0",
    "--expect",
    "audio.level>-30dBFS after 4s",
];

async fn client(arguments: &[&str], more: &[&str]) -> Client {
    let all: Vec<&str> = arguments.iter().chain(more).copied().collect();
    Client::start(&all).unwrap()
}

async fn member(server: &TestServer, more: &[&str]) -> Client {
    let url = server.url();
    let arguments = ["join", "studio", "--headless", "--server", &url];
    let mut member = client(&arguments, more).await;
    member.wait_for("joined", |_| true).await.unwrap();
    member
}

/// Picture and sound of the other side came as they were sent.
fn saw_and_heard(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let peer = &ended.summary().unwrap()["peers"][0];
    assert!(peer["marks"]["read"].as_u64() >= Some(30), "{peer:#}");
    assert_eq!(peer["marks"]["outOfOrder"], 0, "{peer:#}");
    let hz = peer["tone"]["frequencyHz"].as_f64().unwrap();
    assert!((hz - 440.0).abs() < 2.0, "{peer:#}");
}

/// Its own connection stood; what it sent is the other side's to judge.
fn done(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        ended.summary().unwrap()["peers"][0]["connected"],
        true,
        "{ended:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_publishes_to_a_room_by_http_and_leaves_it_in_order() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut member = member(&server, &[&["--until-alone"][..], &GOOD].concat()).await;
    let url = format!("{}/whip/studio?name=camera", server.url());
    let publisher = client(
        &[
            "publish",
            &url,
            "--headless",
            "--duration",
            "8s",
            "--expect",
            "connect<10s",
        ],
        &[],
    )
    .await;
    let came = member.wait_for("peer-joined", |_| true).await.unwrap();
    assert_eq!(came["peer"]["name"], "camera");
    let published = publisher.ended(Duration::from_secs(8)).await.unwrap();
    done(&published);
    let summary = published.summary().unwrap();
    assert_eq!(
        summary["peers"][0]["framesDecoded"], 0,
        "a publisher takes nothing: {summary:#}"
    );
    let left = member.wait_for("peer-left", |_| true).await.unwrap();
    assert_eq!(left["reason"], "left", "DELETE was sent");
    saw_and_heard(&member.ended(Duration::ZERO).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_is_interrupted_ends_its_session() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut member = member(&server, &[]).await;
    let url = format!("{}/whip/studio", server.url());
    let mut publisher = client(&["publish", &url, "--headless"], &[]).await;
    publisher.wait_for("connected", |_| true).await.unwrap();
    publisher.signal("INT").unwrap();
    let left = member.wait_for("peer-left", |_| true).await.unwrap();
    assert_eq!(left["reason"], "left");
    done(&publisher.ended(Duration::ZERO).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_plays_what_a_member_sends_by_http() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut member = member(&server, &[]).await;
    let url = format!("{}/whep/studio", server.url());
    let arguments = ["play", &url, "--headless", "--duration", "8s"];
    let player = client(&arguments, &GOOD).await;
    saw_and_heard(&player.ended(Duration::from_secs(8)).await.unwrap());
    let left = member.wait_for("peer-left", |_| true).await.unwrap();
    assert_eq!(left["reason"], "left");
}

/// `tests/peers/whip_server.py`, which ends with its input.
struct Endpoint {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Endpoint {
    async fn start(arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/whip_server.py");
        // Debian's own interpreter is the one that has Debian's bindings.
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut endpoint = Self {
            _child: child,
            lines,
            url: String::new(),
        };
        let listening = endpoint.wait_for("listening", |_| true).await;
        endpoint.url = listening["url"].as_str().unwrap().to_owned();
        endpoint
    }

    async fn wait_for(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                let said: Value = serde_json::from_str(&line).unwrap();
                if said["event"] == event && wanted(&said) {
                    return said;
                }
            }
            panic!("GStreamer ended before {event}")
        };
        timeout(PATIENCE, looking).await.expect(event)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamer_takes_what_a_client_publishes_where_it_was_redirected_to() {
    let _beside = beside_another().await;
    let mut endpoint = Endpoint::start(&["--token", "sesame"]).await;
    let url = format!("{}/moved", endpoint.url);
    let mut publisher = client(&["publish", &url, "--headless", "--token", "sesame"], &[]).await;
    let offer = endpoint.wait_for("offer", |_| true).await;
    assert_eq!(offer["type"], "application/sdp");
    let sdp = offer["sdp"].as_str().unwrap();
    assert_eq!(sdp.matches("a=sendonly").count(), 2, "{sdp}");
    assert!(!sdp.contains("m=application"), "{sdp}");
    assert!(sdp.contains("a=candidate:"), "{sdp}");
    endpoint
        .wait_for("state", |said| said["state"] == "connected")
        .await;
    endpoint
        .wait_for("frames", |said| said["frames"].as_u64() >= Some(60))
        .await;
    publisher.wait_for("connected", |_| true).await.unwrap();
    publisher.signal("TERM").unwrap();
    let deleted = endpoint.wait_for("deleted", |_| true).await;
    assert_eq!(
        (&deleted["path"], &deleted["known"]),
        (&"/sessions/1".into(), &true.into())
    );
    done(&publisher.ended(Duration::ZERO).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_token_or_the_wrong_address_is_told_what_to_do() {
    let _beside = beside_another().await;
    let endpoint = Endpoint::start(&["--token", "sesame"]).await;
    for (path, token, code, words) in [
        (
            "/whip/live",
            "wrong",
            5,
            "this endpoint wants its token; give the token that it wants with --token",
        ),
        (
            "/whip/other",
            "sesame",
            3,
            "no such stream; there is no WHIP endpoint",
        ),
    ] {
        let url = format!("{}{path}", endpoint.url);
        let arguments = [
            "publish",
            &url,
            "--headless",
            "--duration",
            "20s",
            "--token",
            token,
        ];
        let ended = client(&arguments, &[])
            .await
            .ended(Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        let outcome = ended.summary().unwrap()["outcome"].as_str().unwrap();
        assert!(outcome.contains(words), "{outcome}");
    }
}

/// Gives every request the same answer, and the methods that came.
async fn canned(
    answer: &'static str,
) -> (String, JoinHandle<()>, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/whip", listener.local_addr().unwrap());
    let (tell, asked) = tokio::sync::mpsc::channel(16);
    let task = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 65_536];
            let mut length = 0;
            loop {
                length += stream.read(&mut request[length..]).await.unwrap();
                let text = String::from_utf8_lossy(&request[..length]).to_lowercase();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    continue;
                };
                let wanted = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= wanted.map_or(0, |wanted| wanted.parse().unwrap()) {
                    break;
                }
            }
            let text = String::from_utf8_lossy(&request[..length]);
            let line = text.lines().next().unwrap().to_owned();
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.ok();
            tell.send(line).await.ok();
        }
    });
    (url, task, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_gives_no_answer_or_is_too_busy_is_reported_in_its_words() {
    let _beside = beside_another().await;
    let page = "HTTP/1.1 201 Created\r\nContent-Type: text/html\r\nLocation: /session\r\nContent-Length: 6\r\n\r\n<html>";
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Type: application/problem+json\r\nContent-Length: 24\r\n\r\n{\"detail\":\"no ingests!\"}";
    for (answer, code, words) in [
        (page, 3, "201 Created and no SDP (Content-Type: text/html)"),
        (busy, 5, "no ingests!; try again in 7 s"),
    ] {
        let (url, task, mut asked) = canned(answer).await;
        let arguments = ["play", &url, "--headless", "--duration", "20s"];
        let ended = client(&arguments, &[])
            .await
            .ended(Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(ended.code, Some(code), "{ended:#?}");
        let outcome = ended.summary().unwrap()["outcome"].as_str().unwrap();
        assert!(outcome.contains(words), "{outcome}");
        assert_eq!(asked.recv().await.unwrap(), "OPTIONS /whip HTTP/1.1");
        assert_eq!(asked.recv().await.unwrap(), "POST /whip HTTP/1.1");
        if code == 3 {
            assert_eq!(asked.recv().await.unwrap(), "DELETE /session HTTP/1.1");
        }
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_is_exit_code_3() {
    let _beside = beside_another().await;
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{closed}/whip/a");
    let ended = client(&["publish", &url, "--headless"], &[]).await;
    let ended = ended.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(
        ended.stderr.contains("nobody listens there"),
        "{}",
        ended.stderr
    );
}

/// The line that this one gives out.
async fn copied(client: &mut Client, kind: &str) -> String {
    let copy = client.wait_for("copy", |_| true).await.unwrap();
    assert_eq!(copy["kind"], kind);
    let text = copy["text"].as_str().unwrap().to_owned();
    assert!(
        !text.contains('\n') && text.contains("a=candidate:"),
        "{text}"
    );
    text
}

const COPIED: [&str; 5] = ["join", "--headless", "--signaling", "stdio", "--duration"];

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_are_connected_by_text_that_somebody_carries() {
    let _beside = beside_another().await;
    for other in ["stdio:answer", "stdio"] {
        let mut ann = client(&COPIED, &[&["10s"][..], &GOOD].concat()).await;
        let mut bob = client(&["join", "--headless", "--signaling", other], &GOOD).await;
        let offer = copied(&mut ann, "offer").await;
        if other == "stdio" {
            // It offered in vain, and answers.
            copied(&mut bob, "offer").await;
        }
        for (nonsense, words) in [
            ("hello", "no offer and no answer"),
            (r#"{"type":"offer","sdp":"x"}"#, "no SDP"),
        ] {
            bob.type_line(nonsense).await.unwrap();
            let told = |event: &Value| event["text"].as_str().unwrap().contains(words);
            bob.wait_for("notice", told).await.unwrap();
        }
        bob.type_line(&offer).await.unwrap();
        let answer = copied(&mut bob, "answer").await;
        bob.type_line(&offer).await.unwrap();
        let told = |event: &Value| event["text"].as_str().unwrap().contains("any more");
        bob.wait_for("notice", told).await.unwrap();
        ann.type_line(&offer).await.unwrap();
        let told = |event: &Value| event["text"].as_str().unwrap().contains("made here");
        ann.wait_for("notice", told).await.unwrap();
        // A mail program broke the line.
        let (first, second) = answer.split_at(answer.len() / 2);
        ann.type_line(first).await.unwrap();
        ann.type_line(second).await.unwrap();
        ann.wait_for("connected", |_| true).await.unwrap();
        bob.wait_for("first-frame", |event| event["kind"] == "video")
            .await
            .unwrap();
        saw_and_heard(&ann.ended(Duration::from_secs(10)).await.unwrap());
        bob.signal("INT").unwrap();
        saw_and_heard(&bob.ended(Duration::ZERO).await.unwrap());
    }
}

/// What a page needs for it, and no more.
const PAGE: &str = r"
globalThis.answer = async text => {
  const pc = globalThis.pc = new RTCPeerConnection();
  const video = globalThis.video = document.createElement('video');
  video.muted = true;
  pc.ontrack = event => { video.srcObject = event.streams[0]; video.play(); };
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  await pc.setRemoteDescription(JSON.parse(text));
  stream.getTracks().forEach(track => pc.addTrack(track, stream));
  await pc.setLocalDescription();
  await new Promise(done => {
    const look = () => pc.iceGatheringState === 'complete' && done();
    pc.onicegatheringstatechange = look;
    look();
  });
  return JSON.stringify(pc.localDescription);
};";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_answers_an_offer_that_is_pasted_into_it() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    // Any page of a secure origin will do.
    let page = browser
        .open(&format!("http://localhost:{}/", server.port()))
        .await
        .unwrap();
    page.wait_for("document.readyState === 'complete'", PATIENCE)
        .await
        .unwrap();
    page.eval(PAGE).await.unwrap();
    let mut client = client(&COPIED, &["12s", "--expect", "video.fps>=5 after 4s"]).await;
    let offer = copied(&mut client, "offer").await;
    let pasted = serde_json::to_string(&offer).unwrap();
    let answer = page.eval(&format!("answer({pasted})")).await.unwrap();
    client.type_line(answer.as_str().unwrap()).await.unwrap();
    client.wait_for("connected", |_| true).await.unwrap();
    page.wait_for(
        "video.getVideoPlaybackQuality().totalVideoFrames >= 60",
        PATIENCE,
    )
    .await
    .unwrap();
    let ended = client.ended(Duration::from_secs(12)).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let peer = &ended.summary().unwrap()["peers"][0];
    assert!(peer["framesDecoded"].as_u64() >= Some(30), "{peer:#}");
}

fn relay(port: u16, more: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/relay.py");
    format!("exec:python3 '{script}' {port} {more}")
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_are_connected_by_programs_that_carry_lines() {
    let _beside = beside_another().await;
    let how = relay(free_port().await, "");
    let call = ["join", "foo", "--headless", "--signaling", &how];
    let mut ann = client(&call, &[&["--duration", "10s"][..], &GOOD].concat()).await;
    let mut bob = client(&call, &GOOD).await;
    ann.wait_for("connected", |_| true).await.unwrap();
    bob.wait_for("connected", |_| true).await.unwrap();
    let ann = ann.ended(Duration::from_secs(10)).await.unwrap();
    saw_and_heard(&ann);
    assert!(
        ann.stderr.contains("relay: "),
        "its standard error goes through: {}",
        ann.stderr
    );
    // `bye` came, or the end of the program: the other side is gone.
    saw_and_heard(&bob.ended(Duration::ZERO).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_stands_outlives_its_program() {
    let _beside = beside_another().await;
    let how = relay(free_port().await, "--until-answer");
    let call = [
        "join",
        "--headless",
        "--signaling",
        &how,
        "--duration",
        "9s",
    ];
    let mut ann = client(&call, &GOOD).await;
    let bob = client(&call, &GOOD).await;
    let lost = ann.wait_for("signaling-lost", |_| true).await.unwrap();
    assert!(
        lost["reason"].as_str().unwrap().contains("exit status 0"),
        "{lost}"
    );
    saw_and_heard(&ann.ended(Duration::from_secs(9)).await.unwrap());
    saw_and_heard(&bob.ended(Duration::from_secs(9)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_is_reported_in_its_words() {
    let _beside = beside_another().await;
    for (command, code, words) in [
        (
            "exec:exit 7",
            3,
            "ended (exit status 7) before an offer was answered",
        ),
        ("exec:no-such-program", 3, "ended (exit status 127)"),
        (
            r#"exec:echo '{"error":"nobody is there"}'; sleep 60"#,
            5,
            "says: nobody is there",
        ),
    ] {
        let arguments = [
            "join",
            "--headless",
            "--signaling",
            command,
            "--duration",
            "20s",
        ];
        let ended = client(&arguments, &[])
            .await
            .ended(Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(ended.code, Some(code), "{command}: {ended:#?}");
        let outcome = ended.summary().unwrap()["outcome"].as_str().unwrap();
        assert!(outcome.contains(words), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_no_signal_is_told_of_on_both_sides() {
    let _beside = beside_another().await;
    let command = r#"exec:echo hello; read -r line; echo "heard: $line" >&2; cat >/dev/null"#;
    let mut client = client(&["join", "--headless", "--signaling", command], &[]).await;
    let told = |event: &Value| {
        event["text"]
            .as_str()
            .unwrap()
            .contains("description, candidate, bye")
    };
    client.wait_for("notice", told).await.unwrap();
    client.signal("INT").unwrap();
    let ended = client.ended(Duration::ZERO).await.unwrap();
    assert!(
        ended.stderr.contains(r#"heard: {"error":"#),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}
