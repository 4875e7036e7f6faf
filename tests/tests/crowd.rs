//! Crowds of real calls from one program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::Stdio;
use std::time::Duration;

use rtc_e2e::alone::alone;
use rtc_e2e::process::{PATIENCE, binary};
use rtc_e2e::server::TestServer;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

/// Its exit code, its figures, and what it said beside them.
async fn load(server: &TestServer, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = Command::new(binary("rtc-client").unwrap())
        .args([
            "load",
            "calls",
            "--json",
            "--size",
            "320x180",
            "--bitrate",
            "200k",
        ])
        .args(["--server", &server.url()])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE + Duration::from_secs(15), output).await;
    let output = output.expect("it ends in time").unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let figures = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), figures, errors)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_calls_from_one_program_carry_every_frame_as_it_was_sent() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let arguments = [
        "--rooms",
        "10",
        "--duration",
        "10s",
        "--expect",
        "connect<20s",
    ];
    let (code, figures, errors) = load(&server, &arguments).await;
    assert_eq!(code, Some(0), "{errors} {figures:#}");
    assert_eq!(figures["calls"]["connected"], 10, "{figures:#}");
    assert_eq!(figures["calls"]["silent"], 0, "{figures:#}");
    assert_eq!(figures["frames"]["wrong"], 0, "{figures:#}");
    assert!(
        figures["frames"]["exact"].as_u64().unwrap() > 2000,
        "{figures:#}"
    );
    // One of them after the other was decoded and judged.
    assert!(
        figures["sampled"]["pictures"].as_u64().unwrap() > 0,
        "{figures:#}"
    );
    assert_eq!(figures["sampled"]["unreadable"], 0, "{figures:#}");
    assert!(
        figures["sampled"]["psnrDb"].as_f64().unwrap() > 25.0,
        "{figures:#}"
    );
    assert_eq!(figures["sampled"]["offTone"], 0, "{figures:#}");
    assert!(figures["expectations"][0]["held"].as_bool().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_whose_packets_are_lost_is_not_as_expected() {
    let _alone = alone().await;
    let server = TestServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("a.xml");
    let arguments = [
        "--rooms",
        "4",
        "--duration",
        "8s",
        "--impair",
        "loss=5%,seed=3",
        "--expect",
        "loss<1%",
        "--junit",
        report.to_str().unwrap(),
    ];
    let (code, figures, errors) = load(&server, &arguments).await;
    assert_eq!(code, Some(12), "{errors} {figures:#}");
    let loss = figures["packets"]["loss"].as_f64().unwrap();
    assert!((0.02..0.12).contains(&loss), "{figures:#}");
    // Most of what was lost of pictures was asked for again.
    assert!(
        figures["packets"]["repaired"].as_u64().unwrap() > 0,
        "{figures:#}"
    );
    assert_eq!(figures["frames"]["wrong"], 0, "{figures:#}");
    assert!(std::fs::read_to_string(report).unwrap().contains("failure"));
}
