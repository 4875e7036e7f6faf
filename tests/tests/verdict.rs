//! Calls that are held to something: a good one fulfils it, and each fault is found by what should find it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rtc_client::measure::marks::{self, Mark};
use rtc_client::media::capture::test_picture;
use rtc_client::media::clock::Timestamp;
use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::process::{Client, Ended, PATIENCE, binary};
use rtc_e2e::server::TestServer;
use serde_json::Value;

/// What a good call on one machine is, however busy that is.
const GOOD: [&str; 12] = [
    "connect<10s",
    "video.fps>=20 after 2s",
    "video.frames>=60",
    "video.freeze<350ms after 1s",
    "video.missing==0 after 1s",
    "video.repeated==0",
    "video.psnr>=28dB after 1s",
    "video.latency.median<120ms after 1s",
    "audio.gaps.total<=2 after 1s",
    "audio.frequency.median>=439Hz",
    "audio.frequency.median<=441Hz",
    "network.loss.max<=0.1%",
];

/// A call of eight seconds in which we expect all of [`GOOD`] of a far side that is started so.
async fn judged(far: &[&str], ours: &[&str]) -> Ended {
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = [
        "join",
        "court",
        "--headless",
        "--size",
        "320x180",
        "--server",
        &url,
    ];
    let mut far =
        Client::start(&[&common[..], &["--as", "far", "--until-alone"], far].concat()).unwrap();
    far.wait_for("joined", |_| true).await.unwrap();
    let expected: Vec<&str> = GOOD.iter().flat_map(|text| ["--expect", text]).collect();
    let near = Client::start(
        &[
            &common[..],
            &["--as", "near", "--duration", "8s"],
            &expected,
            ours,
        ]
        .concat(),
    );
    let (near, far) = tokio::join!(
        near.unwrap().ended(Duration::from_secs(8)),
        far.ended(Duration::from_secs(10))
    );
    far.unwrap();
    near.unwrap()
}

/// What did not hold.
fn broken(ended: &Ended) -> Vec<String> {
    let summary = ended.summary().unwrap();
    let all = summary["expectations"].as_array().unwrap().iter();
    let broken = all.filter(|one| one["held"] == false);
    broken
        .map(|one| one["expected"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_call_is_as_expected_and_its_reports_say_so() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (junit, page, figures, tap) = (at("a.xml"), at("a.html"), at("a.json"), at("a.tap"));
    let ended = judged(
        &[],
        &[
            "--junit", &junit, "--report", &page, "--report", &figures, "--report", &tap,
        ],
    )
    .await;
    assert_eq!(ended.code, Some(0), "{:#?}", ended.summary().unwrap());
    assert_eq!(broken(&ended), Vec::<String>::new());

    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(
        xml.contains(r#"tests="13""#) && xml.contains(r#"failures="0""#),
        "{xml}"
    );
    let json: Value = serde_json::from_str(&std::fs::read_to_string(&figures).unwrap()).unwrap();
    assert_eq!(json["held"], true);
    assert_eq!(json["expectations"].as_array().unwrap().len(), 12);
    let tap = std::fs::read_to_string(&tap).unwrap();
    assert_eq!(
        tap.lines().filter(|line| line.starts_with("ok ")).count(),
        13,
        "{tap}"
    );

    // The page is what a browser makes of it: charts with lines in them, and pictures that can be decoded.
    let browser = Browser::launch(&ChromeOptions::default()).await.unwrap();
    let shown = browser.open(&format!("file://{page}")).await.unwrap();
    shown
        .wait_for("document.querySelector('.verdict')", PATIENCE)
        .await
        .unwrap();
    let verdict = shown
        .eval("document.querySelector('.verdict').textContent")
        .await
        .unwrap();
    assert_eq!(verdict, "passed");
    let decoded = "[...document.images].length >= 2 && [...document.images].every((i) => i.naturalWidth === 320)";
    shown.wait_for(decoded, PATIENCE).await.unwrap();
    let drawn = "[...document.querySelectorAll('svg')].filter((s) => s.querySelector('polyline').getBBox().width > 300).length";
    let drawn = shown.eval(drawn).await.unwrap().as_u64().unwrap();
    assert!(drawn >= 5, "{drawn} charts");
    assert!(shown.complaints().is_empty(), "{:?}", shown.complaints());
}

/// Each fault, who should find it, and who must not complain of it.
#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_and_told() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let camera = folder.path().join("frozen.y4m");
    write_frozen_camera(&camera);
    let sound = folder.path().join("gap.wav");
    write_sound_with_a_gap(&sound);
    let from = |path: &Path| format!("file:{}", path.display());
    let (camera, sound) = (from(&camera), from(&sound));
    let frozen = ["--video", &camera, "--audio", &sound];
    let cases: [(&[&str], &[&str]); 5] = [
        (&["--audio", "tone:660"], &["audio.frequency.median<=441Hz"]),
        (
            &["--impair", "up:delay=150ms"],
            &["video.latency.median<120ms after 1s"],
        ),
        (
            &["--impair", "up:loss=0%;4s:loss=100%;4500ms:loss=0%"],
            &["video.freeze<350ms after 1s", "network.loss.max<=0.1%"],
        ),
        (
            &["--impair", "up:loss=1%,seed=5"],
            &["network.loss.max<=0.1%"],
        ),
        (
            &frozen,
            &[
                "video.repeated==0",
                "video.freeze<350ms after 1s",
                "audio.gaps.total<=2 after 1s",
            ],
        ),
    ];
    for (far, found) in cases {
        let ended = judged(far, &[]).await;
        let broken = broken(&ended);
        println!("{far:?}: {broken:#?}");
        assert_eq!(ended.code, Some(12), "{far:?}");
        for expected in found {
            assert!(
                broken.iter().any(|text| text == expected),
                "{far:?}: {expected}: {broken:?}"
            );
        }
        let outcome = ended.summary().unwrap()["outcome"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(outcome.contains("did not hold: far: "), "{outcome}");
    }
}

/// Eleven seconds of the test picture, which stands still from the fourth to the fifth.
fn write_frozen_camera(file: &Path) {
    let mut out = BufWriter::new(File::create(file).unwrap());
    writeln!(out, "YUV4MPEG2 W320 H180 F30:1 Ip A1:1 C420").unwrap();
    for picture in 0..330_u32 {
        let number = if (120..150).contains(&picture) {
            119
        } else {
            picture
        };
        let mut picture = test_picture::render(number, 320, 180);
        let at = Timestamp::from_micros(u64::from(number) * 1_000_000 / 30);
        marks::stamp(&mut picture, Mark { number, at });
        writeln!(out, "FRAME").unwrap();
        for plane in [&picture.y, &picture.u, &picture.v] {
            out.write_all(plane).unwrap();
        }
    }
    out.flush().unwrap();
}

/// A tone that is missing for a second, three times a tenth apart and once long.
fn write_sound_with_a_gap(file: &Path) {
    let silent = "volume=enable='between(t,3,3.1)+between(t,3.5,3.6)+between(t,4,5)':volume=0";
    let done = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:duration=11:sample_rate=48000",
        ])
        .args(["-af", silent])
        .arg(file)
        .status()
        .expect("ffmpeg: apt-get install ffmpeg");
    assert!(done.success());
}

#[test]
fn a_word_that_is_none_is_refused_before_the_call() {
    let refused = |arguments: &[&str]| {
        let output = Command::new(binary("rtc-client").unwrap())
            .args([
                "join",
                "court",
                "--headless",
                "--server",
                "http://127.0.0.1:9",
            ])
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, told) = refused(&["--expect", "video.fsp>=25"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("Did you mean video.fps?"), "{told}");
    let (code, told) = refused(&["--report", "out.pdf"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("out.pdf"), "{told}");
    let (code, told) = refused(&["--junit", "/no/such/folder/out.xml"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("/no/such/folder/out.xml"), "{told}");
}

#[test]
fn a_call_that_never_began_is_told_to_whoever_reads_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let junit = folder.path().join("out.xml");
    let output = Command::new(binary("rtc-client").unwrap())
        .args([
            "join",
            "court",
            "--headless",
            "--server",
            "http://127.0.0.1:9",
        ])
        .args(["--expect", "connect<2s", "--junit"])
        .arg(&junit)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(
        xml.contains(r#"tests="2""#) && xml.contains(r#"failures="2""#),
        "{xml}"
    );
}
