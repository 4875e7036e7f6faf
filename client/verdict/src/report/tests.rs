#![allow(clippy::unwrap_used)]
use super::*;
use crate::Expectation;
use crate::judge::judge;

const S: fn(u64) -> Duration = Duration::from_secs;

fn record() -> Record {
    let mut record = Record::default();
    let peer = record.peer("1", "<b>bob & \"co\"</b>", S(0));
    peer.connected(S(0));
    for at in 0..10 {
        if at != 4 {
            peer.add("video.frames", S(at), 30.0);
            peer.add("video.latency", S(at), 40.0 + at as f64);
        }
    }
    peer.note(S(4), "the connection is disconnected");
    record.end(S(10));
    record
}

fn with<T>(texts: &[&str], look: impl FnOnce(&Report<'_>) -> T) -> T {
    let expectations: Vec<Expectation> = texts.iter().map(|text| text.parse().unwrap()).collect();
    let record = record();
    let outcomes = judge(&record, &expectations);
    look(&Report {
        title: "rtc-client join foo".into(),
        facts: vec![("seed".into(), "7".into())],
        call_held: true,
        call_words: "time was up".into(),
        outcomes: &outcomes,
        record: &record,
        pictures: vec![SamplePicture {
            peer: "bob".into(),
            at: S(3),
            caption: "the <last> picture".into(),
            png: vec![1, 2, 3],
        }],
    })
}

const EXPECTED: [&str; 3] = ["video.fps>=29", "latency.p95<250ms", "audio.gaps==0"];

#[test]
fn junit_has_a_test_for_the_call_and_for_each_expectation() {
    let xml = with(&EXPECTED, |report| report.junit().unwrap());
    let read = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!((read.tests, read.failures, read.errors), (4, 2, 0));
    let suite = &read.test_suites[0];
    let names: Vec<&str> = suite.test_cases.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "the call",
            "video.fps>=29",
            "latency.p95<250ms",
            "audio.gaps==0"
        ]
    );
    assert!(xml.contains("&lt;b&gt;bob &amp; "), "{xml}");
}

#[test]
fn tap_has_a_line_for_each() {
    let tap = with(&EXPECTED, |report| report.tap());
    let lines: Vec<&str> = tap.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(
        lines,
        [
            "TAP version 14",
            "# rtc-client join foo",
            "1..4",
            "ok 1 - the call",
            "not ok 2 - video.fps>=29",
            "ok 3 - latency.p95<250ms",
            "not ok 4 - audio.gaps==0",
        ]
    );
}

#[test]
fn json_has_every_quantity_by_second() {
    let json = with(&EXPECTED, |report| report.json().unwrap());
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["held"], false);
    assert_eq!(read["expectations"][1]["held"], true);
    let frames = &read["peers"][0]["quantities"]["video.frames"]["bySecond"];
    assert_eq!(frames[3], 30.0);
    assert_eq!(frames[4], 0.0);
    let latency = &read["peers"][0]["quantities"]["video.latency"]["bySecond"];
    assert!(latency[4].is_null());
}

#[test]
fn the_page_holds_the_verdict_charts_and_pictures_and_runs_nothing() {
    let page = with(&EXPECTED, |report| report.html());
    assert!(page.contains("<p class=\"verdict\">failed</p>"));
    assert!(page.contains("2 of 4 as expected"));
    assert!(page.contains("Pictures a second") && page.contains("class=\"bad\""));
    assert!(page.contains("the connection is disconnected"));
    assert!(page.contains("data:image/png;base64,AQID"));
    assert!(!page.contains("<b>bob") && !page.contains("<script") && !page.contains("http://"));
    let page = with(&["latency.p95<250ms"], |report| report.html());
    assert!(page.contains("<p class=\"verdict\">passed</p>"));
}

#[test]
fn a_call_that_broke_fails_whatever_was_expected() {
    let held = with(&["latency.p95<250ms"], |report| {
        let mut broken = report.clone();
        broken.call_held = false;
        (report.held(), broken.held())
    });
    assert_eq!(held, (true, false));
}
