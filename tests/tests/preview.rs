//! `rtc-client preview`: what sources give, as programs read it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Output, Stdio};

use rtc_e2e::alone::alone;
use rtc_e2e::process::binary;
use serde_json::Value;

fn preview(arguments: &[&str]) -> (Output, Vec<Value>) {
    let output = Command::new(binary("rtc-client").unwrap())
        .args(["preview", "--json"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let events = events.collect();
    (output, events)
}

#[tokio::test]
async fn what_the_sources_give_is_told_every_second() {
    let _alone = alone().await;
    let (output, events) = preview(&[
        "--video",
        "test",
        "--size",
        "320x180",
        "--audio",
        "tone",
        "--duration",
        "3500ms",
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(events.len() >= 3, "{events:#?}");
    let last = &events[events.len() - 1];
    assert_eq!(last["event"], "preview");
    let (video, audio) = (&last["video"], &last["audio"]);
    assert_eq!(
        (&video["width"], &video["height"]),
        (&320.into(), &180.into())
    );
    assert!(video["frames"].as_u64().unwrap() > 10, "{last:#}");
    assert!(video["fps"].as_f64().unwrap() > 1.0, "{last:#}");
    assert!(
        video["source"]
            .as_str()
            .unwrap()
            .starts_with("test picture"),
        "{last:#}"
    );
    // A sine at a quarter of full scale, softly beating.
    let level = audio["levelDbfs"].as_f64().unwrap();
    assert!((-18.0..-12.0).contains(&level), "{last:#}");
    assert!(audio["peakDbfs"].as_f64().unwrap() >= level, "{last:#}");
}

#[tokio::test]
async fn a_source_that_is_not_there_and_one_that_gives_nothing_have_their_codes() {
    let _alone = alone().await;
    let (output, _) = preview(&["--video", "camera:parrot", "--audio", "tone"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("no camera found"), "{words}");

    // Nobody writes: standard input is at its end at once.
    let (output, events) = preview(&["--video", "-", "--audio", "none"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let told = events
        .iter()
        .find(|e| e["event"] == "notice")
        .expect("a notice");
    assert!(
        told["text"]
            .as_str()
            .unwrap()
            .contains("nothing was written"),
        "{told}"
    );

    let (output, _) = preview(&["--video", "none", "--audio", "none"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
