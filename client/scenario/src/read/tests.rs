#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::action::Sense;

const WHOLE: &str = r##"
name = "two people talk"
room = "ci-{run}"
seed = 7
duration = "20s"

[[peer]]
name = "ann"
impair = "delay=20ms"
expect = ["connect<2s", "video.fps>=25 after 2s"]

[[peer]]
name = "bob"
kind = "chromium"
join = "1s"
url = "{server}/{room}?name={peer}"
ready = "rtc.phase === 'joined'"
do = { mute = "app.mute()" }
expect = "video.latency.p95<400ms"

[[step]]
at = "5s"
peer = "ann"
do = "network lost"
for = "2s"
expect = ["all: video.fps>=20 within 8s"]

[[step]]
at = "12s..13s"
peer = "bob"
do = "mute"
"##;

fn wrong(text: &str) -> String {
    let faults = read(text, "x").unwrap_err();
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn a_whole_file_is_read() {
    let read = read(WHOLE, "x").unwrap();
    assert_eq!((read.name.as_str(), read.seed), ("two people talk", 7));
    assert_eq!(read.server, ServerFrom::Start { root: None });
    assert_eq!(read.peers.len(), 2);
    assert_eq!(read.peers[1].join, Some(Duration::from_secs(1)));
    assert_eq!(read.steps[0].lasting, Some(Duration::from_secs(2)));
    assert_eq!(read.steps[1].at.1, Some(Duration::from_secs(13)));
    assert_eq!(read.peers[0].expect.len(), 2);
}

#[test]
fn without_a_duration_it_lasts_a_little_longer_than_its_last_step() {
    let text = WHOLE.replace("duration = \"20s\"", "");
    assert_eq!(read(&text, "x").unwrap().duration, Duration::from_secs(18));
    let short = WHOLE.replace("20s", "6s");
    assert!(wrong(&short).contains("something is to happen at 13s"));
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_may_be_meant() {
    for (from, to, told) in [
        (
            "seed = 7",
            "sed = 7",
            "line 4, column 1: the scenario has no key sed; is it seed?",
        ),
        (
            "impair =",
            "impare =",
            "a peer has no key impare; is it impair?",
        ),
        ("\"network lost\"", "\"netwrok lost\"", "is it \"network\"?"),
        (
            "connect<2s",
            "conect<2s",
            "line 10, column 11: \"conect\" is not measured. Did you mean connect?",
        ),
        (
            "peer = \"ann\"",
            "peer = \"anna\"",
            "there is no peer \"anna\"; is it \"ann\"?",
        ),
        ("at = \"5s\"", "at = \"5\"", "has no unit"),
        (
            "at = \"5s\"",
            "at = 5",
            "at is a text in quotes, and this is of type integer",
        ),
        (
            "for = \"2s\"",
            "fro = \"2s\"",
            "a step has no key fro; is it for?",
        ),
        (
            "all: video.fps",
            "tom: video.fps",
            "there is no peer \"tom\" to measure it",
        ),
        (
            "all: video.fps>=20",
            "all: video.psnr>=30dB",
            "video.psnr cannot be measured in a browser",
        ),
        ("\"chromium\"", "\"chrome\"", "is it \"chromium\"?"),
        ("{run}", "{rum}", "{rum} stands for nothing"),
        ("url =", "uri =", "a peer needs url"),
        (
            "name = \"bob\"",
            "name = \"ann\"",
            "there is a peer \"ann\" already",
        ),
        (
            "impair = \"delay=20ms\"",
            "video = \"none\"",
            "nobody of kind rtc-client with video \"test\"",
        ),
        ("\"connect<2s\"", "\"bob: connect<2s\"", "that is for steps"),
        ("12s..13s", "13s..12s", "the first time is the earlier one"),
        ("room =", "room ", "line 3"),
    ] {
        assert!(WHOLE.contains(from), "{from}");
        let error = wrong(&WHOLE.replacen(from, to, 1));
        assert!(error.contains(told), "{to}: {error}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_from_the_top() {
    let error = wrong(&WHOLE.replace("seed", "sed").replace("ready", "redy"));
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(
        lines[0].starts_with("line 4") && lines[1].contains("is it ready?"),
        "{error}"
    );
}

#[test]
fn who_waits_expects_it_within_a_time() {
    let text = WHOLE.replace("\"network lost\"", "\"wait video.fps>=25\"");
    let step = &read(&text, "x").unwrap().steps[0];
    assert_eq!(step.action, Action::Nothing);
    assert_eq!(step.lasting, None);
    assert_eq!(step.expect[1].within, Some(Duration::from_secs(2)));
}

#[test]
fn what_does_not_last_has_no_for() {
    let text = WHOLE.replace("\"network lost\"", "\"chat hello\"");
    assert!(wrong(&text).contains("does not last"));
    let text = WHOLE.replace("\"network lost\"", "\"mute audio\"");
    let step = &read(&text, "x").unwrap().steps[0];
    assert_eq!(
        step.action.undone(),
        Some(Action::Native(crate::action::NativeAction::Unmute(
            Sense::Audio
        )))
    );
}

#[test]
fn a_file_without_peers_is_none() {
    assert!(wrong("name = \"x\"").contains("1 to 16 [[peer]]"));
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in "(\\[\\[(peer|step)\\]\\]\n)?([a-z]{1,6} ?= ?(\"\\PC{0,8}\"|[0-9]|\\[\\])\n){0,4}\\PC{0,40}") {
        let _ = read(&text, "x");
    }

    /// Any line left out or doubled is read or refused, never more.
    #[test]
    fn no_file_with_a_line_too_many_or_too_few_is_too_strange(line in 0_usize..40, double in any::<bool>()) {
        let mut lines: Vec<&str> = WHOLE.lines().collect();
        if line < lines.len() {
            if double {
                lines.insert(line, lines[line]);
            } else {
                lines.remove(line);
            }
        }
        let _ = read(&lines.join("\n"), "x");
    }
}
