#![allow(clippy::unwrap_used, clippy::panic)]
use rtc_verdict::judge::judge;
use rtc_verdict::record::Record;

use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

fn run() -> Run {
    let mut record = Record::default();
    let peer = record.peer("1", "bob", S(0));
    peer.connected(S(0));
    for picture in 0..60 {
        peer.add("video.frames", S(picture) / 10, 1.0);
    }
    record.end(S(6));
    let outcome = judge(&record, &["video.fps>=25".parse().unwrap()])
        .pop()
        .unwrap();
    let test = |name: &str, held, outcome| Test {
        name: name.into(),
        peer: "ann".into(),
        kind: "expectation",
        step: None,
        held,
        words: "in <words> & # more".into(),
        outcome,
    };
    Run {
        scenes: vec![
            Scene {
                name: "two <b>talk</b>".into(),
                facts: vec![("seed".into(), "7".into())],
                lasted: S(6),
                peers: vec![ShownPeer {
                    name: "ann".into(),
                    kind: "rtc-client".into(),
                    seen: Seen {
                        record,
                        ..Seen::default()
                    },
                }],
                steps: vec![ShownStep {
                    number: 1,
                    at: S(3),
                    peer: "ann".into(),
                    text: "mute audio".into(),
                    ..ShownStep::default()
                }],
                tests: vec![
                    test("ann: connect<2s", true, None),
                    test("ann: video.fps>=25", false, Some(outcome)),
                ],
                trouble: None,
            },
            Scene {
                name: "none".into(),
                trouble: Some("there is no Chromium".into()),
                ..Scene::default()
            },
        ],
    }
}

#[test]
fn junit_names_what_failed_and_what_could_not_be_run() {
    let xml = run().junit().unwrap();
    for part in [
        r#"tests="3""#,
        r#"failures="1""#,
        r#"errors="1""#,
        r#"name="ann: video.fps&gt;=25""#,
        "there is no Chromium",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
}

#[test]
fn tap_has_a_subtest_for_each_scenario() {
    let tap = run().tap();
    for line in [
        "1..2",
        "# Subtest: none",
        "    not ok 2 - ann: video.fps>=25",
        "not ok 1 - two <b>talk</b>",
        "    not ok 1 - the scenario",
    ] {
        assert!(tap.lines().any(|one| one == line), "{line}: {tap}");
    }
}

#[test]
fn the_page_has_failures_first_marks_in_its_charts_and_runs_nothing() {
    let page = run().html();
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    assert!(at("Not as expected") < at("As expected"));
    assert!(page.contains("<g class=\"mark\">") && page.contains("ann: mute audio"));
    assert!(
        page.contains("two &lt;b&gt;talk")
            && !page.contains("<b>talk")
            && !page.contains("<script")
    );
    assert!(page.contains("class=\"bad\""), "the bad seconds are shaded");
}

#[test]
fn json_has_every_peer_second_by_second() {
    let json: serde_json::Value = serde_json::from_str(&run().json().unwrap()).unwrap();
    assert_eq!(json["held"], false);
    let sees = &json["scenarios"][0]["peers"][0]["sees"][0];
    assert_eq!(
        sees["quantities"]["video.frames"]["bySecond"]
            .as_array()
            .unwrap()
            .len(),
        6
    );
    assert_eq!(json["scenarios"][1]["trouble"], "there is no Chromium");
}

#[test]
fn what_tested_nothing_did_not_hold() {
    assert!(!Run::default().held() && !Scene::default().held());
}
