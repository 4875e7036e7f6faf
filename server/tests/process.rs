//! The program itself: what it says, how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

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
