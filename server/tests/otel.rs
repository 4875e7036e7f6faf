//! Traces, as a collector of OpenTelemetry gets them.
#![cfg(all(unix, feature = "otel"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio_tungstenite::tungstenite::{self, Message, WebSocket, client::IntoClientRequest};

/// Far more than anything here takes; only ever waited out by a failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One request to the collector: its head and its body.
fn take(stream: TcpStream) -> (String, Vec<u8>) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1).unwrap();
    let length = length.split('\r').next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.get_mut().write_all(answer).unwrap();
    (head, body)
}

/// In a room named so.
fn join(address: &str, room: &str) -> WebSocket<TcpStream> {
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut socket, _) = tungstenite::client(request, stream).unwrap();
    let join = format!(r#"{{"id":1,"type":"join","room":"{room}","name":"Ann Example"}}"#);
    for text in [r#"{"type":"hello"}"#, &join] {
        socket.send(Message::Text(text.into())).unwrap();
    }
    while !socket.read().unwrap().to_text().unwrap().contains("joined") {}
    socket
}

#[test]
fn a_collector_gets_connections_and_calls_and_no_name_of_anybody() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let (batches, came) = mpsc::channel();
    thread::spawn(move || {
        for stream in collector.incoming() {
            if batches.send(take(stream.unwrap())).is_err() {
                return;
            }
        }
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtc-server"));
    command.args(["--listen", "127.0.0.1:0", "--otlp-endpoint", &endpoint]);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut server = Running(command.spawn().unwrap());
    let mut stderr = BufReader::new(server.0.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening at http://").unwrap();
    let address = address.trim_end_matches('/');
    let (ann, mut bob) = (join(address, "secret-room"), join(address, "secret-room"));
    drop(ann);
    bob.close(None).unwrap();
    while bob.read().is_ok() {}
    let pid = server.0.id().to_string();
    // Twice: the one that was cut off may still come back.
    for _ in 0..2 {
        let sent = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(sent.unwrap().success());
    }
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    // What was left is sent at the end.
    let wanted = [
        "rtc-server",
        "connection",
        "rtc.dialect",
        "rtc.v1",
        "rtc.reason",
        "left",
        "call",
        "rtc.room",
        "redacted-",
        "rtc.members",
    ];
    let mut all = String::new();
    while !wanted.iter().all(|words| all.contains(words)) {
        let more = came.recv_timeout(PATIENCE);
        let (head, body) = more.unwrap_or_else(|_| panic!("{wanted:?} in {all}"));
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("application/x-protobuf"), "{head}");
        all.push_str(&String::from_utf8_lossy(&body));
    }
    for secret in ["secret-room", "Ann Example", "127.0.0.1"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}
