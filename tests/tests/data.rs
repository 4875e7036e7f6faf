//! Bytes and files over data channels, between real programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rtc_e2e::alone::beside_another;
use rtc_e2e::process::{Client, PATIENCE, binary};
use rtc_e2e::server::TestServer;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

/// `rtc-client` with all three of its streams.
fn client(arguments: &[&str], server: &TestServer) -> Child {
    Command::new(binary("rtc-client").unwrap())
        .args(arguments)
        .args(["--server", &server.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Bytes that no two places have alike.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(next).collect()
}

/// Its exit code and what it wrote.
async fn ended(child: Child) -> (Option<i32>, Vec<u8>, String) {
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("it ends in time").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), output.stdout, errors)
}

fn megabytes_of(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_carries_both_streams_to_their_ends() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut near = client(&["pipe", "both"], &server);
    let mut far = client(&["pipe", "both"], &server);
    let (there, back) = (bytes(3_000_000), bytes(500_001));

    // One end is told at once; the other stream goes on all the same.
    let mut stdin = near.stdin.take().unwrap();
    let sent = there.clone();
    let write = tokio::spawn(async move { stdin.write_all(&sent).await });
    let mut got = Vec::new();
    let mut stdout = far.stdout.take().unwrap();
    timeout(PATIENCE, stdout.read_to_end(&mut got))
        .await
        .expect("the end of the stream is told")
        .unwrap();
    assert!(got == there, "{} bytes of {}", got.len(), there.len());
    write.await.unwrap().unwrap();

    let mut stdin = far.stdin.take().unwrap();
    stdin.write_all(&back).await.unwrap();
    drop(stdin);
    let (code, got, errors) = ended(near).await;
    assert_eq!(code, Some(0), "{errors}");
    assert!(got == back, "{} bytes of {}", got.len(), back.len());
    let (code, _, errors) = ended(far).await;
    assert_eq!(code, Some(0), "{errors}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_far_side_that_does_not_read_stops_who_writes_in_little_memory() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut near = client(&["pipe", "slow"], &server);
    let mut far = client(&["pipe", "slow"], &server);
    let mut stdin = near.stdin.take().unwrap();
    let block = bytes(1 << 20);
    let mut written = 0;
    // A write that is not taken within three seconds is one that waits; but first the two have to find each other.
    let until = Instant::now() + PATIENCE;
    loop {
        match timeout(Duration::from_secs(3), stdin.write(&block)).await {
            Ok(wrote) => written += wrote.unwrap(),
            Err(_) if written > 1 << 20 || Instant::now() > until => break,
            Err(_) => {}
        }
        assert!(
            written < 64 << 20,
            "nobody reads, and {written} bytes were taken"
        );
    }
    let held = megabytes_of(near.id().unwrap()) + megabytes_of(far.id().unwrap());
    assert!(held < 200, "{held} MB in both processes");
    assert!(written > 1 << 20, "{written}");

    // It is read after all, and nothing is lost.
    drop(stdin);
    drop(far.stdin.take());
    let (code, got, errors) = ended(far).await;
    assert_eq!((code, got.len()), (Some(0), written), "{errors}");
    assert_eq!(ended(near).await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_ends_both_with_a_code_of_its_own() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut near = client(&["pipe", "gone"], &server);
    let mut far = client(&["pipe", "gone"], &server);
    let mut stdin = near.stdin.take().unwrap();
    let write = tokio::spawn(async move {
        let block = bytes(1 << 20);
        while stdin.write_all(&block).await.is_ok() {}
    });
    let mut stdout = far.stdout.take().unwrap();
    let mut first = [0; 1000];
    timeout(PATIENCE, stdout.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    drop(stdout);
    let (code, _, errors) = ended(far).await;
    assert_eq!(code, Some(13), "{errors}");
    let (code, _, errors) = ended(near).await;
    assert_eq!(code, Some(13), "{errors}");
    assert!(errors.contains("closed"), "{errors}");
    write.await.unwrap();
}

/// Waits until a program says this on its standard error.
async fn says(errors: &mut (impl AsyncBufReadExt + Unpin), words: &str) {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        let read = timeout(PATIENCE, errors.read_line(&mut line)).await;
        assert_ne!(read.expect("it is said").unwrap(), 0, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_the_other_end_is_away_is_refused_and_told_so() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let mut near = client(&["-v", "pipe", "third"], &server);
    let mut far = client(&["pipe", "third"], &server);
    let mut errors = BufReader::new(near.stderr.take().unwrap());
    // What arrived shows that both know each other.
    let mut stdin = near.stdin.take().unwrap();
    stdin.write_all(b"x").await.unwrap();
    let mut stdout = far.stdout.take().unwrap();
    let arrived = timeout(PATIENCE, stdout.read_u8()).await;
    assert_eq!(arrived.unwrap().unwrap(), b'x');
    far.kill().await.unwrap();
    says(&mut errors, "waiting for it").await;
    let (code, _, errors) = ended(client(&["pipe", "third"], &server)).await;
    assert_eq!(code, Some(5), "{errors}");
    assert!(errors.contains("two ends"), "{errors}");
    assert_eq!(near.try_wait().unwrap(), None, "it waits for its own");
}

fn put(folder: &Path, name: &str, content: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_arrive_whole_and_others_are_not_overwritten() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let (from, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let big = bytes(4_000_000);
    let files = [
        put(from.path(), "big", &big),
        put(from.path(), "empty", b""),
        put(from.path(), "mine", b"theirs"),
    ];
    put(into.path(), "mine", b"other!");
    let target = into.path().to_str().unwrap().to_owned();
    // Whoever comes first waits.
    let receive = client(&["receive", "files", "--into", &target, "--json"], &server);
    let mut arguments = vec!["send", "files"];
    arguments.extend(files.iter().map(String::as_str));
    let send = client(&arguments, &server);
    let (code, lines, errors) = ended(receive).await;
    assert_eq!(code, Some(13), "{errors}");
    let lines = String::from_utf8(lines).unwrap();
    let told: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["event"] == "file")
        .collect();
    let status = |at: usize| told[at]["status"].as_str().unwrap().to_owned();
    assert_eq!(
        [status(0), status(1), status(2)],
        ["done", "done", "exists"],
        "{lines}"
    );
    let (code, _, errors) = ended(send).await;
    assert_eq!(code, Some(13), "{errors}");
    assert!(errors.contains("--overwrite"), "{errors}");
    assert!(std::fs::read(into.path().join("big")).unwrap() == big);
    assert_eq!(std::fs::read(into.path().join("empty")).unwrap(), b"");
    assert_eq!(std::fs::read(into.path().join("mine")).unwrap(), b"other!");

    // A second time nothing is sent twice, and told to, it is overwritten.
    let again = [
        "receive",
        "files",
        "--into",
        &target,
        "--overwrite",
        "--quiet",
    ];
    let receive = client(&again, &server);
    let send = client(&arguments, &server);
    let (code, _, errors) = ended(receive).await;
    assert_eq!(code, Some(0), "{errors}");
    assert_eq!(ended(send).await.0, Some(0));
    assert_eq!(std::fs::read(into.path().join("mine")).unwrap(), b"theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_was_killed_goes_on_where_it_was() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let (from, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let content = bytes(12_000_000);
    let file = put(from.path(), "film", &content);
    let target = into.path().to_str().unwrap().to_owned();
    let part = into.path().join("film.part");
    let send = client(&["send", "again", &file, "--quiet"], &server);
    let arguments = ["receive", "again", "--into", &target, "--quiet"];
    // The one that is killed has a path that takes all of it in half a minute, however fast the machine is; the next has not.
    let slow = [&arguments[..], &["--impair", "down:rate=3mbit,queue=100ms"]].concat();
    let mut receive = client(&slow, &server);
    let length = || std::fs::metadata(&part).map_or(0, |part| part.len());
    timeout(PATIENCE, async {
        while length() < 500_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it comes");
    receive.kill().await.unwrap();
    assert!(length() >= 500_000 && length() < content.len() as u64);

    let receive = client(&arguments, &server);
    let (code, _, errors) = ended(receive).await;
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) = ended(send).await;
    assert_eq!(code, Some(0), "{errors}");
    assert!(std::fs::read(into.path().join("film")).unwrap() == content);
    // Neither the partial file nor what said whose it was.
    assert_eq!(std::fs::read_dir(into.path()).unwrap().count(), 1);
}

/// Gives a command and waits for its answer.
async fn ask(client: &mut Client, command: Value) -> Value {
    client.type_line(&command.to_string()).await.unwrap();
    let answered = client.wait_for("answer", |event| event["id"] == command["id"]);
    answered.await.unwrap()
}

/// Opens one of a number; gives what the call's events call it.
async fn open_negotiated(client: &mut Client, label: &str) -> Value {
    let command = json!({"id": 10, "do": "open-channel", "label": label, "negotiatedId": 300});
    let answer = ask(client, command).await;
    assert_eq!(answer["result"]["peers"], 1, "{answer}");
    let is_it = |event: &Value| event["event"] == "channel-opened" && event["label"] == label;
    if let Some(told) = client.events.iter().find(|event| is_it(event)) {
        return told["channel"].clone();
    }
    let told = client.wait_for("channel-opened", is_it).await.unwrap();
    told["channel"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_opened_and_spoken_on_by_command() {
    let _beside = beside_another().await;
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let start = |name: &str| {
        let common = [
            "join",
            "channels",
            "--headless",
            "--video",
            "none",
            "--audio",
            "none",
        ];
        let more = ["--control", "--server", &url, "--as", name];
        Client::start(&[&common[..], &more[..]].concat()).unwrap()
    };
    let (mut near, mut far) = (start("near"), start("far"));
    near.wait_for("connected", |_| true).await.unwrap();
    let open = json!({
        "id": 1, "do": "open-channel", "label": "game", "ordered": false, "maxRetransmits": 0, "protocol": "moves"
    });
    let answer = ask(&mut near, open).await;
    assert_eq!(answer["result"]["peers"], 1, "{answer}");
    // It may be told before the answer.
    let told = near
        .events
        .iter()
        .find(|event| event["event"] == "channel-opened");
    let ours = match told.cloned() {
        Some(told) => told,
        None => near.wait_for("channel-opened", |_| true).await.unwrap(),
    };
    let theirs = far.wait_for("channel-opened", |_| true).await.unwrap();
    assert_eq!(
        (&theirs["label"], &theirs["protocol"]),
        (&json!("game"), &json!("moves"))
    );

    let text = json!({"id": 2, "do": "send", "channel": ours["channel"], "text": "Grüße"});
    let answer = ask(&mut near, text).await;
    assert!(answer["result"]["bufferedAmount"].is_u64(), "{answer}");
    let heard = far.wait_for("channel-message", |_| true).await.unwrap();
    assert_eq!(heard["text"], "Grüße");
    ask(
        &mut far,
        json!({"id": 3, "do": "send", "channel": theirs["channel"], "data": "AP8="}),
    )
    .await;
    let heard = near.wait_for("channel-message", |_| true).await.unwrap();
    assert_eq!(heard["data"], "AP8=");

    let listed = ask(&mut near, json!({"id": 4, "do": "channels"})).await;
    assert_eq!(listed["result"][0]["label"], "game", "{listed}");
    for (command, words) in [
        (
            json!({"id": 5, "do": "send", "channel": 99, "text": ""}),
            "no open channel 99",
        ),
        (
            json!({"id": 6, "do": "send", "channel": 1}),
            "text, or data",
        ),
        (
            json!({"id": 7, "do": "open-channel", "label": "chat"}),
            "another",
        ),
        (
            json!({"id": 8, "do": "open-channel", "label": "x", "peer": "nobody"}),
            "nobody",
        ),
    ] {
        let answer = ask(&mut near, command).await;
        assert!(
            answer["error"].as_str().unwrap().contains(words),
            "{answer}"
        );
    }
    ask(
        &mut near,
        json!({"id": 9, "do": "close-channel", "channel": ours["channel"]}),
    )
    .await;
    let closed = far.wait_for("channel-closed", |_| true).await.unwrap();
    assert_eq!(closed["label"], "game");

    // Each opens its own end of one that they agreed on, under a label of its own: nothing is told on the wire.
    let (ours, theirs) = (
        open_negotiated(&mut near, "ours").await,
        open_negotiated(&mut far, "theirs").await,
    );
    ask(
        &mut near,
        json!({"id": 11, "do": "send", "channel": ours, "text": "agreed"}),
    )
    .await;
    let is_it = |event: &Value| event["text"] == "agreed";
    let heard = far.wait_for("channel-message", is_it).await.unwrap();
    assert_eq!(heard["channel"], theirs);
    drop((near.take_stdin(), far.take_stdin()));
    assert_eq!(near.ended(Duration::ZERO).await.unwrap().code, Some(0));
    assert_eq!(far.ended(Duration::ZERO).await.unwrap().code, Some(0));
}
