//! The microphone and the loudspeaker, on a real sound server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rtc_e2e::sound::{RATE, SoundServer, env};
use rtc_e2e::tone::listen;
use serde_json::Value;

/// A running `device-probe`; killed when dropped.
struct Probe {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Probe {
    fn start(args: &[&str], env: Vec<(&'static str, std::ffi::OsString)>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_device-probe"))
            .args(args)
            .envs(env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> Value {
        let line = self.lines.next().expect("the probe ended without a word");
        serde_json::from_str(&line.unwrap()).unwrap()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_tone_spoken_into_the_microphone_arrives() {
    let mut server = SoundServer::start().unwrap();
    server.speak(440.0).unwrap();
    let mut probe = Probe::start(&["listen", "2"], server.env());
    let opened = probe.line();
    assert!(
        opened["opened"].as_str().unwrap().contains("48000 Hz"),
        "{opened}"
    );
    let heard = probe.line();
    assert!(
        (heard["hz"].as_f64().unwrap() - 440.0).abs() <= 2.0,
        "{heard}"
    );
    assert!(heard["steady"].as_f64().unwrap() > 0.5, "{heard}");
    assert!(heard["level"].as_f64().unwrap() > 0.08, "{heard}");
    assert_eq!(heard["uneven"], 0, "{heard}");
    assert_eq!(heard["stepsBack"], 0, "{heard}");
    assert_eq!(heard["blocks"], 125, "{heard}");
    assert!(heard["closeMs"].as_f64().unwrap() < 1_500.0, "{heard}");
}

#[test]
fn two_peers_halves_are_heard_as_one_tone_from_the_loudspeaker() {
    let server = SoundServer::start().unwrap();
    let mut probe = Probe::start(&["play", "660", "30"], server.env());
    let opened = probe.line();
    assert!(opened["opened"].is_string(), "{opened}");
    // Starting takes a moment on a busy machine: hear until the tone is there.
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let heard = listen(&server.hear(1.0).unwrap(), 2, 0, RATE);
        if (heard.hz - 660.0).abs() <= 2.0 && heard.steady > 0.9 {
            // Both halves: one alone has a level of 0.088.
            assert!((heard.level - 0.177).abs() < 0.02, "{heard:?}");
            break;
        }
        assert!(Instant::now() < deadline, "{heard:?}");
    }
}

#[test]
fn a_device_is_chosen_by_a_part_of_its_name_and_a_wrong_name_lists_the_right_ones() {
    let server = SoundServer::start().unwrap();
    let mut probe = Probe::start(&["list"], server.env());
    let list = probe.line();
    let speakers = list["speakers"].as_array().unwrap();
    let default = speakers.iter().find(|d| d["default"] == true).unwrap();
    assert_eq!(default["id"], "spk", "{list}");
    assert!(
        list["microphones"]
            .as_array()
            .unwrap()
            .iter()
            .any(|d| d["id"] == "micsrc" && d["default"] == true),
        "{list}"
    );
    let mut probe = Probe::start(&["listen", "0.1", "micsrc"], server.env());
    assert!(probe.line()["opened"].is_string());
    let mut probe = Probe::start(&["play", "440", "0.1", "parrot"], server.env());
    let error = probe.line()["error"].as_str().unwrap().to_owned();
    assert!(
        error.starts_with("no loudspeaker found matching \"parrot\"; there is 0 \""),
        "{error}"
    );
    assert!(error.contains("--speaker none"), "{error}");
}

#[test]
fn without_a_sound_server_and_a_card_there_is_a_clear_error_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // An empty ALSA configuration hides the cards of a machine that has some.
    let empty = dir.path().join("asound.conf");
    std::fs::write(&empty, "").unwrap();
    for (args, kind, way_out) in [
        (["listen", "1"].as_slice(), "microphone", "--audio none"),
        (&["play", "440", "1"], "loudspeaker", "--speaker none"),
    ] {
        let mut env = env(dir.path());
        env.push(("ALSA_CONFIG_PATH", empty.clone().into()));
        let mut probe = Probe::start(args, env);
        let told = probe.line();
        let error = told["error"].as_str().unwrap();
        assert!(error.starts_with(&format!("no {kind} found")), "{error}");
        assert!(error.contains(way_out), "{error}");
        assert!(told["afterMs"].as_f64().unwrap() < 2_000.0, "{told}");
        assert!(!probe.child.wait().unwrap().success());
    }
}

#[test]
fn a_dying_sound_server_ends_both_with_an_error() {
    let mut server = SoundServer::start().unwrap();
    server.speak(440.0).unwrap();
    let mut listening = Probe::start(&["listen", "600"], server.env());
    let mut playing = Probe::start(&["play", "660", "600"], server.env());
    assert!(listening.line()["opened"].is_string());
    assert!(playing.line()["opened"].is_string());
    server.die();
    let died = Instant::now();
    for (probe, kind) in [
        (&mut listening, "microphone"),
        (&mut playing, "loudspeaker"),
    ] {
        let told = probe.line();
        let error = told["error"].as_str().unwrap();
        assert!(error.starts_with(&format!("{kind} \"")), "{error}");
        assert!(error.contains("see that the sound server runs"), "{error}");
        assert!(!probe.child.wait().unwrap().success());
    }
    assert!(died.elapsed() < Duration::from_secs(10));
}

#[test]
fn opening_and_closing_leaves_no_thread_and_no_file_behind() {
    let mut server = SoundServer::start().unwrap();
    server.speak(440.0).unwrap();
    let mut probe = Probe::start(&["reopen", "12"], server.env());
    let left = probe.line();
    assert!(left["threadsMore"].as_i64().unwrap() <= 0, "{left}");
    assert!(left["filesMore"].as_i64().unwrap() <= 0, "{left}");
}
