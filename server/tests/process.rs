//! The program itself: what it says, how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
#[cfg(unix)]
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Output, Stdio};
#[cfg(unix)]
use std::{io::Write, process::ChildStderr, time::Duration};

#[cfg(unix)]
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, client::IntoClientRequest};

/// Far more than anything here takes; only ever waited out by a failure.
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_secs(20);

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtc-server"));
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("RTC_SERVER_LISTEN");
    command
}

fn end(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = program(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn an_address_in_use_is_one_clear_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = end(&["--listen", &address]);
    assert_eq!(code, Some(1));
    assert!(stdout.is_empty());
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains(&address) && stderr.contains("--listen"),
        "{stderr}"
    );
}

#[test]
fn a_wrong_argument_is_exit_code_2() {
    for arguments in [
        &["--listen", "nowhere"][..],
        &["--ice-server", "x"],
        &["--room-capacity", "0"],
        &["--fly"],
    ] {
        let (code, _, stderr) = end(arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(stderr.contains(arguments[0]), "{stderr}");
    }
}

#[test]
fn regions_that_do_not_fit_together_are_exit_code_2_and_told_with_what_to_do() {
    const BOTH: &str = "eu=redis://:secret@h:1,us=redis://g:1";
    let all: [(&[&str], &str); 7] = [
        (&["--region", "asia", "--regions", BOTH], "asia=redis://"),
        (&["--region", "eu"], "--regions"),
        (&["--regions", BOTH], "--region "),
        (&["--region", "eu", "--cluster", "redis://h:1"], "--regions"),
        (
            &["--region", "eu", "--regions", BOTH, "--cluster=redis://h"],
            "--cluster",
        ),
        (&["--region", "EU", "--regions", BOTH], "a to z"),
        (
            &[
                "--region",
                "eu",
                "--regions",
                "eu=redis://h:1,us=redis://:secret@h:1",
            ],
            "the same broker, redis://h:1;",
        ),
    ];
    for (arguments, told) in all {
        let (code, stdout, stderr) = end(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty());
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
    }
    let right = ["--region", "eu", "--regions", BOTH, "config", "check"];
    assert_eq!(end(&right).0, Some(0));
}

#[test]
fn completions_and_the_manual_page_go_to_standard_output() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, stdout, _) = end(&["--completions", shell]);
        assert_eq!(code, Some(0));
        assert!(
            stdout.contains("--ice-server") || stdout.contains("ice-server"),
            "{shell}"
        );
    }
    let (code, stdout, _) = end(&["--man"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains(".TH rtc-server"));
}

#[test]
fn a_wrong_file_of_settings_is_told_with_its_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rtc-server.toml");
    std::fs::write(&path, "listen = \"127.0.0.1:0\"\nmax_connections = 1\n").unwrap();
    let path = path.to_str().unwrap();
    for arguments in [
        &["--config", path][..],
        &["--config", path, "config", "check"],
    ] {
        let (code, stdout, stderr) = end(arguments);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stdout.is_empty());
        let place = format!("rtc-server: {path}:2:1: ");
        assert!(stderr.starts_with(&place), "{stderr}");
        assert!(stderr.contains("is it max-connections?"), "{stderr}");
    }
    let (code, _, stderr) = end(&["--config", "/nowhere/at/all.toml"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("/nowhere/at/all.toml"), "{stderr}");
}

#[test]
fn settings_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rtc-server.toml");
    std::fs::write(&path, "room-capacity = 3\n").unwrap();
    let path = path.to_str().unwrap();
    let (code, stdout, _) = end(&["--config", path, "config", "check"]);
    assert_eq!(
        (code, stdout.as_str()),
        (Some(0), "the settings are right\n")
    );
    let shown = program(&["--config", path, "--rate", "5", "config", "show"])
        .env("RTC_SERVER_QUEUE", "70")
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = |key: &str| {
        let mut lines = shown.lines();
        let line = lines.find(|line| line.starts_with(key)).unwrap();
        let (value, source) = line.split_once("# ").unwrap();
        (value.trim().to_owned(), source.to_owned())
    };
    assert_eq!(
        line("room-capacity "),
        ("room-capacity = 3".into(), format!("{path}:1"))
    );
    assert_eq!(line("rate "), ("rate = 5".into(), "command line".into()));
    assert_eq!(
        line("queue "),
        ("queue = 70".into(), "RTC_SERVER_QUEUE".into())
    );
    assert_eq!(
        line("heartbeat "),
        ("heartbeat = 15".into(), "default".into())
    );
}

#[test]
fn a_wrong_variable_is_told_by_its_name() {
    let ended = program(&[])
        .env("RTC_SERVER_RATE", "fast")
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(
        told.contains("RTC_SERVER_RATE") && told.contains("fast"),
        "{told}"
    );
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_order() {
    for signal in ["TERM", "INT"] {
        let mut server = Running(program(&["--listen", "127.0.0.1:0"]).spawn().unwrap());
        let mut stderr = BufReader::new(server.0.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.starts_with("listening at http://127.0.0.1:"), "{line}");
        let pid = server.0.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
        assert_eq!(server.0.wait().unwrap().code(), Some(0), "{signal}");
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "nothing to complain about");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn it_lives_on_without_descriptors_and_says_so_once() {
    use std::io::Write;
    use std::net::TcpStream;
    let mut command = Command::new("sh");
    let script = "ulimit -n 32 && exec \"$0\" --listen 127.0.0.1:0";
    command.args(["-c", script, env!("CARGO_BIN_EXE_rtc-server")]);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command.env_remove("RTC_SERVER_LISTEN");
    let mut server = Running(command.spawn().unwrap());
    let mut stderr = BufReader::new(server.0.stderr.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        line
    };
    let listening = line();
    let address = listening.split('/').nth(2).unwrap();
    let crowd: Vec<_> = (0..64)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let complaint = line();
    assert!(complaint.contains("ulimit -n"), "{complaint}");
    drop(crowd);
    let recovered = line();
    assert!(recovered.contains("accepted again"), "once: {recovered}");
    let mut client = TcpStream::connect(address).unwrap();
    client
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A server that was started, and where it listens.
#[cfg(unix)]
fn serving(arguments: &[&str]) -> (Running, SocketAddr, BufReader<ChildStderr>) {
    let all = [&["--listen", "127.0.0.1:0"], arguments].concat();
    let mut server = Running(program(&all).spawn().unwrap());
    let mut stderr = BufReader::new(server.0.stderr.take().unwrap());
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it listens");
        if let Some(address) = line.trim().strip_prefix("listening at http://") {
            break address.trim_end_matches('/').parse().unwrap();
        }
    };
    (server, address, stderr)
}

#[cfg(unix)]
fn signal(server: &Running, name: &str) {
    let pid = server.0.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

/// A peer over a plain blocking socket.
#[cfg(unix)]
struct Peer(WebSocket<TcpStream>);

#[cfg(unix)]
impl Peer {
    /// Greeted, and in that room if there is one.
    fn new(address: SocketAddr, room: Option<&str>) -> Self {
        let mut peer = Self::connected(address);
        peer.say(r#"{"type":"hello"}"#);
        peer.wait_for("welcome");
        if let Some(room) = room {
            peer.say(&format!(r#"{{"id":1,"type":"join","room":"{room}"}}"#));
            peer.wait_for("joined");
        }
        peer
    }

    fn connected(address: SocketAddr) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "rtc.v1".parse().unwrap());
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(request, stream).unwrap();
        Self(socket)
    }

    fn say(&mut self, text: &str) {
        self.0.send(Message::Text(text.into())).unwrap();
    }

    /// The next message of that type; others are passed over.
    fn wait_for(&mut self, kind: &str) -> String {
        loop {
            let text = self.0.read().unwrap().into_text().unwrap().to_string();
            if text.contains(&format!("\"type\":\"{kind}\"")) {
                return text;
            }
        }
    }

    /// Reads to the end; gives the close code.
    fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.0.read() {
                Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(unix)]
fn status(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[cfg(unix)]
#[test]
fn a_sigterm_lets_calls_end_and_sends_everybody_else_elsewhere() {
    let (mut server, address, mut stderr) = serving(&["--drain-url", "https://other.example"]);
    assert!(status(address, "/readyz").contains("200"));
    let mut ann = Peer::new(address, Some("r"));
    let mut bob = Peer::new(address, Some("r"));
    let mut idle = Peer::new(address, None);
    signal(&server, "TERM");
    let told = idle.wait_for("go-away");
    assert!(told.contains(r#""url":"https://other.example""#), "{told}");
    assert_eq!(idle.close_code(), Some(1001));
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("draining: 2 peers"), "{line}");
    assert!(status(address, "/readyz").contains("503"));
    assert!(status(address, "/healthz").contains("200"));
    ann.say(r#"{"type":"message","room":"r","data":"still here"}"#);
    assert!(bob.wait_for("message").contains("still here"));
    let mut late = Peer::new(address, None);
    late.wait_for("go-away");
    // The call ends: its last member is sent elsewhere, and the server ends.
    ann.say(r#"{"type":"leave","room":"r"}"#);
    bob.wait_for("go-away");
    ann.wait_for("go-away");
    assert_eq!(bob.close_code(), Some(1001));
    assert_eq!(ann.close_code(), Some(1001));
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn an_administrators_drain_in_rtc_v1_ends_the_program_when_the_last_call_ends() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("admin.txt");
    std::fs::write(&token, "correct-horse-battery-staple").unwrap();
    let (mut server, address, mut stderr) = serving(&["--admin-token", token.to_str().unwrap()]);
    let mut ann = Peer::new(address, Some("r"));
    let _bob = Peer::new(address, Some("r"));
    let mut admin = Peer::connected(address);
    admin.say(r#"{"type":"hello","auth":"correct-horse-battery-staple"}"#);
    admin.wait_for("welcome");
    admin.say(r#"{"id":1,"type":"drain"}"#);
    admin.wait_for("ack");
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("draining: 2 peers"), "{line}");
    assert!(status(address, "/readyz").contains("503"));
    ann.say(r#"{"type":"leave","room":"r"}"#);
    ann.wait_for("go-away");
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn its_health_is_asked_by_tls_where_it_speaks_tls() {
    let arguments = ["--listen", "127.0.0.1:0", "--tls-self-signed"];
    let mut server = Running(program(&arguments).spawn().unwrap());
    let mut stderr = BufReader::new(server.0.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening at https://").unwrap();
    let listen = ["--listen", address.trim_end_matches('/')];
    let mut told = String::new();
    stderr.read_line(&mut told).unwrap();
    assert!(told.contains("--tls-fingerprint sha256:"), "{told}");
    let by_tls = [&listen[..], &["--tls-self-signed", "health"]].concat();
    assert_eq!(end(&by_tls).0, Some(0), "{}", end(&by_tls).2);
    let (code, _, words) = end(&[&listen[..], &["health"]].concat());
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains("307"), "{words}");
    drop(server);
    let (code, _, words) = end(&by_tls);
    assert_eq!(code, Some(1));
    assert!(words.contains("nobody answers"), "{words}");
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_calls_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT")] {
        let (mut server, address, mut stderr) = serving(&[]);
        let mut ann = Peer::new(address, Some("r"));
        let _bob = Peer::new(address, Some("r"));
        signal(&server, first);
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        assert!(line.starts_with("draining: "), "{line}");
        signal(&server, second);
        ann.wait_for("go-away");
        assert_eq!(ann.close_code(), Some(1001));
        assert_eq!(server.0.wait().unwrap().code(), Some(0));
    }
}

#[cfg(unix)]
#[test]
fn the_deadline_of_a_drain_ends_calls() {
    let (mut server, address, _stderr) = serving(&["--drain-deadline", "0"]);
    let mut ann = Peer::new(address, Some("r"));
    let _bob = Peer::new(address, Some("r"));
    signal(&server, "TERM");
    ann.wait_for("go-away");
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn nothing_that_peers_say_or_show_is_in_the_most_talkative_log() {
    let (mut server, address, mut stderr) = serving(&["-vvv"]);
    // Read on while it runs: it would wait for a full pipe.
    let reader = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).map(|_| log)
    });
    let mut ann = Peer::connected(address);
    ann.say(r#"{"type":"hello","auth":"token-of-ann"}"#);
    ann.wait_for("welcome");
    ann.say(r#"{"id":1,"type":"join","room":"secret-room","name":"Ann Example"}"#);
    ann.wait_for("joined");
    let mut bob = Peer::new(address, Some("secret-room"));
    bob.say(r#"{"type":"message","room":"secret-room","data":"between us"}"#);
    ann.wait_for("message");
    for _ in 0..2 {
        signal(&server, "TERM");
    }
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    let log = reader.join().unwrap().unwrap();
    assert!(log.contains("rtc.v1"), "connections are told: {log}");
    for secret in ["token-of-ann", "secret-room", "Ann Example", "between us"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn a_token_is_made_and_nothing_else_is_printed() {
    let folder = std::env::temp_dir().join(format!("rtc-server-token-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let secret = folder.join("secret.txt");
    std::fs::write(&secret, "0123456789abcdef0123456789abcdef\n").unwrap();
    let secret = secret.to_str().unwrap();
    let (code, stdout, stderr) = end(&["token", "--auth-secret", secret, "--room", "foo"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let token = stdout.strip_suffix('\n').unwrap();
    assert_eq!(token.split('.').count(), 3, "{token}");
    let short = folder.join("short.txt");
    std::fs::write(&short, "short").unwrap();
    let short = short.to_str().unwrap();
    for arguments in [
        &["token", "--room", "foo"][..],
        &["token", "--auth-secret", secret],
        &["token", "--auth-secret", short, "--room", "foo"],
        &["--auth-secret", short],
        &["--auth-public-key", secret],
        &["--auth-secret", "/no/such/file"],
        &["--admin-token", short],
    ] {
        let (code, stdout, stderr) = end(arguments);
        assert_eq!(
            (code, stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {stderr}"
        );
    }
    let (code, help, _) = end(&["token", "--help"]);
    assert_eq!(code, Some(0));
    assert!(help.contains("--right moderate"), "{help}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[cfg(unix)]
#[test]
fn health_tells_whether_the_server_is_alive() {
    let (server, address, _stderr) = serving(&[]);
    let listen = address.to_string();
    let (code, _, stderr) = end(&["--listen", &listen, "health"]);
    assert_eq!(code, Some(0), "{stderr}");
    drop(server);
    let (code, _, stderr) = end(&["--listen", &listen, "health"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&listen), "{stderr}");
}

/// The log of a server that one peer visited.
#[cfg(unix)]
fn log(arguments: &[&str]) -> String {
    let all = [&["--listen", "127.0.0.1:0", "-v"], arguments].concat();
    let mut server = Running(program(&all).spawn().unwrap());
    let mut stderr = BufReader::new(server.0.stderr.take().unwrap());
    let mut first = String::new();
    stderr.read_line(&mut first).unwrap();
    let url = first.split("http://").nth(1).unwrap();
    let address = url.split('/').next().unwrap().parse().unwrap();
    let mut peer = Peer::new(address, Some("r"));
    peer.0.close(None).unwrap();
    peer.close_code();
    signal(&server, "TERM");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
    first + &rest
}

#[cfg(unix)]
#[test]
fn a_connection_ends_with_one_line_that_does_not_tell_its_address() {
    let text = log(&["--log-format", "json"]);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ended = |line: &&serde_json::Value| line["message"] == "a connection ended";
    let ends: Vec<_> = lines.iter().filter(ended).collect();
    let [end] = &ends[..] else { panic!("{text}") };
    assert_eq!(end["dialect"], "rtc.v1");
    assert_eq!(end["reason"], "left");
    assert_eq!(end["received"], 1);
    assert_eq!(end["sent"], 2);
    assert!(end["seconds"].is_f64());
    let address = end["span"]["address"].as_str().unwrap();
    assert!(address.starts_with("redacted-"), "{address}");
    let shown = log(&["--log-addresses"]);
    let line = shown
        .lines()
        .find(|line| line.contains("a connection ended"));
    assert!(line.unwrap().contains("address=127.0.0.1"), "{shown}");
}
