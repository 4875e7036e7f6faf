//! Pages of the codelab's and the book's kind, by the Socket.IO clients of npm: 1.x, 2.x and 4.x, by websocket, by
//! polling, and by what begins with one and goes on with the other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use rtc_server::{Config, Running, testing};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Far more than anything here takes; only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(30);

const CLIENTS: [(&str, &str); 9] = [
    ("1", "websocket"),
    ("1", "polling"),
    ("1", "both"),
    ("2", "websocket"),
    ("2", "polling"),
    ("2", "both"),
    ("4", "websocket"),
    ("4", "polling"),
    ("4", "both"),
];

async fn server() -> (Running, SocketAddr) {
    let config = Config {
        heartbeat: Duration::from_secs(15),
        ..testing::config()
    };
    testing::start(config).await.unwrap()
}

/// A client in a process of its own, which ends with it.
struct Page {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Page {
    async fn open(address: SocketAddr, (major, transport): (&str, &str)) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/web/client.js");
        let mut child = Command::new("node")
            .args([script, major, transport, &format!("http://{address}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node is not there: run `scripts/setup test`");
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut page = Self {
            input: child.stdin.take().unwrap(),
            output,
            _child: child,
        };
        page.until(|said| said[0] == "connect").await;
        page
    }

    async fn say(&mut self, words: Value) {
        let line = format!("{words}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
    }

    async fn emit(&mut self, words: Value) {
        let mut all = vec![json!("emit")];
        all.extend(words.as_array().unwrap().iter().cloned());
        self.say(Value::Array(all)).await;
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = timeout(PATIENCE, async {
            loop {
                let line = self.output.next_line().await.unwrap();
                let line = line.expect("the client ended: run `scripts/setup test`");
                let said: Value = serde_json::from_str(&line).unwrap();
                if wanted(&said) {
                    return said;
                }
            }
        });
        found.await.expect("nothing of the kind was said")
    }

    /// The next event that is no trace for the console.
    async fn next(&mut self) -> Value {
        let said = self
            .until(|said| said[0] == "disconnect" || (said[0] == "event" && said[1] != "log"))
            .await;
        match said[0].as_str() {
            Some("event") => Value::Array(said.as_array().unwrap()[1..].to_vec()),
            _ => said,
        }
    }

    async fn expect(&mut self, wanted: Value) {
        assert_eq!(self.next().await, wanted);
    }

    /// Nothing was said to the page that it has not been asked about: an answer of its own comes next.
    async fn heard_nothing(&mut self) {
        self.emit(json!(["no such event"])).await;
        let answer = self.next().await;
        assert_eq!(answer[0], "error", "{answer}");
        assert_eq!(answer[1]["code"], "bad-message");
    }

    async fn create_or_join(&mut self, room: &str) -> Value {
        self.emit(json!(["create or join", room])).await;
        self.next().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_holds_a_codelab_conversation() {
    let (_server, address) = server().await;
    for (index, client) in CLIENTS.into_iter().enumerate() {
        let room = format!("room-{index}");
        let mut one = Page::open(address, client).await;
        let created = one.create_or_join(&room).await;
        assert_eq!(created[0], "created", "{client:?}");
        assert_eq!(created[1], room.as_str());
        assert!(created[2].is_string());
        // What only such a page says: now the server knows its kind.
        one.emit(json!(["message", "got user media"])).await;

        let mut two = Page::open(address, client).await;
        let joined = two.create_or_join(&room).await;
        assert_eq!(joined[0], "joined", "{client:?}");
        assert_eq!(joined[1], room.as_str());
        two.expect(json!(["ready"])).await;
        one.expect(json!(["join", room])).await;
        one.expect(json!(["ready"])).await;

        let mut three = Page::open(address, client).await;
        assert_eq!(three.create_or_join(&room).await, json!(["full", room]));

        let offer = json!({"type": "offer", "sdp": "v=0\r\n\u{e9}"});
        one.emit(json!(["message", offer])).await;
        two.expect(json!(["message", offer])).await;
        let candidate =
            json!({"type": "candidate", "label": 0, "id": "0", "candidate": "candidate:1"});
        two.emit(json!(["message", candidate])).await;
        one.expect(json!(["message", candidate])).await;
        three.emit(json!(["message", "from outside"])).await;
        assert_eq!(three.next().await[1]["code"], "not-joined");
        three.heard_nothing().await;
        one.heard_nothing().await;

        two.emit(json!(["bye", room])).await;
        one.expect(json!(["message", "bye"])).await;
        assert_eq!(three.create_or_join(&room).await[0], "joined");
        drop(three);
        drop(one);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_holds_a_conversation_of_the_book() {
    let (_server, address) = server().await;
    for (index, client) in CLIENTS.into_iter().enumerate() {
        let channel = format!("channel-{index}");
        let mut one = Page::open(address, client).await;
        assert_eq!(one.create_or_join(&channel).await[0], "created");
        let mut two = Page::open(address, client).await;
        assert_eq!(two.create_or_join(&channel).await[0], "joined");
        two.expect(json!(["ready"])).await;
        // Nobody knows yet what kind of page it is: it is told in the words of both.
        one.expect(json!(["join", channel])).await;
        one.expect(json!(["remotePeerJoining", channel])).await;
        assert_eq!(one.next().await[0], "broadcast: joined");
        one.expect(json!(["ready"])).await;
        let mut three = Page::open(address, client).await;
        assert_eq!(
            three.create_or_join(&channel).await,
            json!(["full", channel])
        );

        let said = |words: &str| json!({"channel": channel, "message": words});
        two.emit(json!(["message", said("hello")])).await;
        one.expect(json!(["message", "hello"])).await;
        one.emit(json!(["response", said("hello yourself")])).await;
        two.expect(json!(["response", "hello yourself"])).await;
        three.heard_nothing().await;
        two.emit(json!(["Bye", channel])).await;
        assert_eq!(two.next().await[0], "disconnect", "{client:?}");
        one.expect(json!(["Bye"])).await;
        one.emit(json!(["Ack"])).await;
        assert_eq!(one.next().await[0], "disconnect", "{client:?}");
        let mut next = Page::open(address, client).await;
        assert_eq!(next.create_or_join(&channel).await[0], "created");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_those_of_this_machine_and_loopback_is_none() {
    let (_server, address) = server().await;
    let mut page = Page::open(address, ("4", "websocket")).await;
    page.emit(json!(["ipaddr"])).await;
    page.emit(json!(["no such event"])).await;
    loop {
        let said = page.next().await;
        if said[0] == "error" {
            return;
        }
        assert_eq!(said[0], "ipaddr");
        let one: Ipv4Addr = said[1].as_str().unwrap().parse().unwrap();
        assert!(!one.is_loopback());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_answered_and_changes_nothing() {
    let (_server, address) = server().await;
    let mut page = Page::open(address, ("4", "websocket")).await;
    page.emit(json!(["nonsense", 1])).await;
    assert_eq!(page.next().await[1]["code"], "bad-message");
    for name in [
        json!(1),
        json!(null),
        json!({"toString": 1}),
        json!(""),
        json!("a/b"),
    ] {
        page.emit(json!(["create or join", name])).await;
        assert_eq!(page.next().await[1]["code"], "bad-name", "{name}");
    }
    for name in ["__proto__", "constructor"] {
        assert_eq!(page.create_or_join(name).await[0], "created");
        page.emit(json!(["create or join", name])).await;
        assert_eq!(page.next().await[1]["code"], "already-joined");
        page.emit(json!(["create or join", "another"])).await;
        assert_eq!(page.next().await[1]["code"], "already-joined");
        page.emit(json!(["bye"])).await;
    }
    page.emit(json!(["message", "x".repeat(70_000)])).await;
    assert_eq!(page.next().await[1]["code"], "too-large");
    page.heard_nothing().await;
    page.emit(json!(["message", "x".repeat(5_000_000)])).await;
    assert_eq!(page.next().await[0], "disconnect");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_for_browsers_comes_with_the_server() {
    let (_server, address) = server().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /socket.io/socket.io.js HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.200}");
    assert!(answer.contains("etag: \""));
    assert!(answer.contains("text/javascript"));
    assert!(answer.contains("Socket.IO v4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_says_first_is_counted_too() {
    let (_server, address) = server().await;
    for client in [("4", "websocket"), ("4", "polling")] {
        let mut page = Page::open(address, client).await;
        let room = "x".repeat(100);
        assert_eq!(page.create_or_join(&room).await[0], "created");
        drop(page);
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let line = |line: &str| {
        let counted = line.strip_prefix("rtc_bytes_received_total{dialect=\"codelab\"} ");
        counted.and_then(|bytes| bytes.parse::<u32>().ok())
    };
    assert!(text.lines().find_map(line) > Some(200), "{text}");
}
