//! Calls that are held to something: a good one fulfils it, and each fault is found by what should find it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use futures_util::{StreamExt, stream};
use rtc_client::measure::quality::{psnr_luma, ssim_luma};
use rtc_client::media::capture::test_picture;
use rtc_client::media::frame::Picture;
use rtc_e2e::alone::alone;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::process::{PATIENCE, binary};
use rtc_e2e::server::TestServer;
use rtc_e2e::trial::{GOOD, broken, faults, ffmpeg_sound, judged};
use serde_json::Value;

/// No flags.
const NONE: &[&str] = &[];

#[tokio::test(flavor = "multi_thread")]
async fn a_good_call_is_as_expected_and_its_reports_say_so() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (junit, page, figures, tap) = (at("a.xml"), at("a.html"), at("a.json"), at("a.tap"));
    let ended = judged(
        8,
        NONE,
        &[
            "--junit", &junit, "--report", &page, "--report", &figures, "--report", &tap,
        ],
    )
    .await
    .unwrap();
    assert_eq!(ended.code, Some(0), "{:#?}", ended.summary().unwrap());
    assert_eq!(broken(&ended).unwrap(), Vec::<String>::new());

    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(
        xml.contains(r#"tests="14""#) && xml.contains(r#"failures="0""#),
        "{xml}"
    );
    let json: Value = serde_json::from_str(&std::fs::read_to_string(&figures).unwrap()).unwrap();
    assert_eq!(json["held"], true);
    assert_eq!(json["expectations"].as_array().unwrap().len(), GOOD.len());
    let tap = std::fs::read_to_string(&tap).unwrap();
    assert_eq!(
        tap.lines().filter(|line| line.starts_with("ok ")).count(),
        GOOD.len() + 1,
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

/// VMAF by an ffmpeg that has it: a good picture has a high one, and one at a fifth of the rate it needs a lower one.
#[tokio::test(flavor = "multi_thread")]
async fn the_vmaf_of_a_good_picture_is_higher_than_that_of_a_poor_one() {
    let _alone = alone().await;
    let ffmpeg = tool("ffmpeg").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json").display().to_string();
    let mut means = Vec::new();
    for rate in ["1500k", "60k"] {
        let ours = [
            "--ffmpeg",
            &ffmpeg,
            "--expect",
            "video.vmaf>=0 after 2s",
            "--report",
            &file,
        ];
        let ended = judged(8, &["--bitrate", rate], &ours).await.unwrap();
        let summary = ended.summary().unwrap();
        let all = summary["expectations"].as_array().unwrap();
        let vmaf = all
            .iter()
            .find(|one| one["expected"] == "video.vmaf>=0 after 2s")
            .unwrap();
        assert_eq!(vmaf["held"], true, "{vmaf:#}");
        let json: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let peer = &json["peers"][0]["quantities"]["video.vmaf"];
        println!("{rate}: {vmaf} {peer}");
        means.push(vmaf["measured"].clone());
    }
    let mean = |value: &Value| -> f64 {
        let told = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        told.split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .find_map(|n| n.parse().ok())
            .unwrap()
    };
    let (good, poor) = (mean(&means[0]), mean(&means[1]));
    assert!(good > 95.0 && poor < good - 2.0, "{good} and {poor}");
}

/// One picture as Y4M.
fn y4m(picture: &Picture) -> Vec<u8> {
    let head = format!(
        "YUV4MPEG2 W{} H{} F30:1 Ip A1:1 C420jpeg\nFRAME\n",
        picture.width, picture.height
    );
    [head.as_bytes(), &picture.y, &picture.u, &picture.v].concat()
}

/// What ffmpeg's filter `name` says of two files, after `key` of the luma.
fn by_ffmpeg(name: &str, key: &str, one: &Path, other: &Path) -> f64 {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-i"])
        .arg(one)
        .arg("-i")
        .arg(other)
        .args(["-lavfi", name, "-f", "null", "-"])
        .output()
        .expect("ffmpeg: run scripts/setup test");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let told = words.split(key).nth(1).expect("a figure");
    let figure: String = told
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    figure.parse().expect("a number")
}

#[test]
fn the_quality_of_a_picture_is_the_one_that_ffmpeg_tells() {
    let folder = tempfile::tempdir().unwrap();
    let clean = test_picture::render(7, 640, 360);
    let [before, after] = ["before.y4m", "after.y4m"].map(|name| folder.path().join(name));
    std::fs::write(&before, y4m(&clean)).unwrap();
    for spoil in [
        "noise=c0s=12:c0_seed=7",
        "gblur=sigma=1.5",
        "noise=c0s=60:c0_seed=7",
    ] {
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-i"])
            .arg(&before)
            .args(["-vf", spoil])
            .arg(&after)
            .status()
            .expect("ffmpeg: run scripts/setup test");
        assert!(made.success(), "{spoil}");
        let bytes = std::fs::read(&after).unwrap();
        let frame = bytes.windows(6).position(|six| six == b"FRAME\n").unwrap() + 6;
        let mut spoilt = clean.clone();
        spoilt.y = bytes[frame..frame + clean.y.len()].to_vec();
        let ours = psnr_luma(&clean, &spoilt, 0).unwrap();
        let theirs = by_ffmpeg("psnr", "PSNR y:", &before, &after);
        assert!((ours - theirs).abs() < 0.01, "{spoil}: {ours} {theirs} dB");
        let ours = ssim_luma(&clean, &spoilt, 0).unwrap();
        let theirs = by_ffmpeg("ssim", "SSIM Y:", &before, &after);
        assert!((ours - theirs).abs() < 0.001, "{spoil}: {ours} {theirs}");
        println!("{spoil}: {ours} {theirs}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ffmpeg_that_cannot_tell_it_is_refused_before_the_call() {
    let server = TestServer::start().await.unwrap();
    for (ffmpeg, why) in [
        ("/no/such/ffmpeg", "cannot be run"),
        ("true", "without libvmaf"),
    ] {
        let refused = Command::new(binary("rtc-client").unwrap())
            .args([
                "join",
                "court",
                "--headless",
                "--server",
                &server.url(),
                "--ffmpeg",
                ffmpeg,
            ])
            .args(["--expect", "video.vmaf>=80"])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{told}");
        assert!(told.contains(why) && told.contains("--ffmpeg"), "{told}");
    }
}

/// Sound with a known fault: clicks, an echo of ours, or no tone at all.
#[tokio::test(flavor = "multi_thread")]
async fn clicks_and_echoes_are_found_and_silence_is_no_tone_without_gaps() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, graph: &str| {
        let file = folder.path().join(name);
        ffmpeg_sound(graph, &file).unwrap();
        format!("file:{}", file.display())
    };
    let tone = |hz: u32| format!("sine=frequency={hz}:duration=11:sample_rate=48000,volume=2");
    // Four samples that are none of the tone's, half a second apart.
    let clicks = make(
        "clicks.wav",
        "aevalsrc=0.25*sin(2*PI*440*t)+0.6*between(mod(t\\,0.5)\\,0.25\\,0.2501):d=11:s=48000",
    );
    // Ours, 26 dB quieter than we send it, under a tone of their own.
    let echo = make(
        "echo.wav",
        "aevalsrc=0.25*sin(2*PI*660*t)+0.0125*sin(2*PI*440*t):d=11:s=48000",
    );
    let silent = make("silent.wav", "anullsrc=r=48000:cl=mono:d=11");
    let clean = make("clean.wav", &tone(660));
    let expected = [
        "audio.clicks==0 after 1s",
        "audio.echo.max<=-40dB after 1s",
        "audio.silence<300ms after 1s",
    ];
    let ours: Vec<&str> = expected
        .iter()
        .flat_map(|text| ["--expect", text])
        .collect();
    let cases = [
        (&clicks, &["audio.clicks==0 after 1s"][..]),
        (&echo, &["audio.echo.max<=-40dB after 1s"]),
        (
            &silent,
            &["audio.clicks==0 after 1s", "audio.silence<300ms after 1s"],
        ),
        (&clean, &[]),
    ];
    let calls = cases.iter().map(|(sound, _)| {
        let (sound, ours) = ((*sound).clone(), &ours);
        async move { judged(8, &["--audio", &sound], ours).await.unwrap() }
    });
    // Two at a time are four clients.
    let ended: Vec<_> = stream::iter(calls).buffered(2).collect().await;
    for ((sound, found), ended) in cases.into_iter().zip(ended) {
        let broken = broken(&ended).unwrap();
        println!("{sound}: {broken:#?}");
        for text in expected {
            // With a tone like ours, or in its place, what comes back cannot be told from what they send.
            if sound == &clicks && text.contains("echo") {
                continue;
            }
            let is = broken.iter().any(|one| one == text);
            assert_eq!(is, found.contains(&text), "{sound}: {text}: {broken:?}");
        }
        if sound == &echo {
            let summary = ended.summary().unwrap();
            let all = summary["expectations"].as_array().unwrap();
            let told = all
                .iter()
                .find(|one| one["expected"] == expected[1])
                .unwrap();
            println!("{told:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_and_told() {
    let _alone = alone().await;
    let folder = tempfile::tempdir().unwrap();
    for fault in faults(folder.path(), 5).unwrap() {
        let ended = judged(9, &fault.far, &[]).await.unwrap();
        let broken = broken(&ended).unwrap();
        println!("{}: {broken:#?}", fault.name);
        assert_eq!(ended.code, Some(12), "{}", fault.name);
        for expected in fault.found {
            let found = broken.iter().any(|text| text == expected);
            assert!(found, "{}: {expected}: {broken:?}", fault.name);
        }
        let outcome = ended.summary().unwrap()["outcome"].to_string();
        assert!(outcome.contains("did not hold: far: "), "{outcome}");
    }
}

/// A program that `scripts/setup test` brought.
fn tool(name: &str) -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/tools/bin")
        .join(name);
    assert!(path.exists(), "{}: run scripts/setup test", path.display());
    path
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
