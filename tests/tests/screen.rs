//! A screen shown in a call: a real X server, and a recording of what the far side saw.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rtc_e2e::alone::alone;
use rtc_e2e::display::Display;
use rtc_e2e::process::{Client, binary};
use rtc_e2e::server::TestServer;
use serde_json::Value;

const SIZE: (usize, usize) = (800, 600);

/// Paints the left half of a display in one colour and the right half in another.
fn paint(display: &Display, folder: &Path, left: [u8; 3], right: [u8; 3]) {
    let (width, height) = SIZE;
    let mut picture = format!("P6 {width} {height} 255\n").into_bytes();
    let row = [left.repeat(width / 2), right.repeat(width / 2)].concat();
    picture.extend(row.repeat(height));
    let path = folder.join("wallpaper.ppm");
    std::fs::write(&path, picture).unwrap();
    // Its exit code says nothing: what is seen at the far side is what counts.
    Command::new("display")
        .args(["-window", "root"])
        .arg(&path)
        .env("DISPLAY", &display.name)
        .stderr(Stdio::null())
        .status()
        .expect("display is there: apt-get install imagemagick");
}

/// The last picture of a recording and its size.
fn last_picture(path: &Path) -> ((usize, usize), Vec<u8>) {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-f", "image2pipe", "-c:v", "ppm", "-"])
        .output()
        .expect("ffmpeg is there: apt-get install ffmpeg");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let all = output.stdout;
    let header = |bytes: &[u8]| -> Option<((usize, usize), usize)> {
        let mut lines = bytes.splitn(4, |&b| b == b'\n');
        (lines.next()? == b"P6").then_some(())?;
        let size = std::str::from_utf8(lines.next()?).ok()?;
        let (width, height) = size.split_once(' ')?;
        let depth = lines.next()?;
        let begin = 3 + size.len() + 1 + depth.len() + 1;
        Some(((width.parse().ok()?, height.parse().ok()?), begin))
    };
    let (size, begin) = header(&all).expect("a picture");
    let one = begin + 3 * size.0 * size.1;
    let last = &all[all.len() - one..];
    (size, last[begin..].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_far_side_sees_what_is_on_the_screen() {
    let _alone = alone().await;
    let display = Display::start(SIZE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    paint(&display, folder.path(), [255, 0, 0], [0, 0, 255]);
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let film = folder.path().join("seen.mkv");
    let common = ["join", "desk", "--headless", "--server", &url];
    let mut viewer = common.to_vec();
    viewer.extend(["--record", film.to_str().unwrap()]);
    let mut viewer = Client::start(&viewer).unwrap();
    viewer.wait_for("joined", |_| true).await.unwrap();
    let mut shower = common.to_vec();
    shower.extend(["--video", "screen", "--bitrate", "3m"]);
    let shower = Client::start_with(&shower, &[("DISPLAY", &display.name)]).unwrap();
    viewer
        .wait_for("first-frame", |e| e["kind"] == "video")
        .await
        .unwrap();
    viewer.wait_for("stats", |_| true).await.unwrap();
    // What changes on it is seen, too.
    paint(&display, folder.path(), [0, 128, 0], [255, 255, 255]);
    let painted = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    viewer
        .wait_for("stats", |e| {
            e["time"].as_f64().unwrap() >= painted.as_secs_f64() + 2.0
        })
        .await
        .unwrap();
    for client in [&shower, &viewer] {
        client.signal("INT").unwrap();
    }
    let limit = Duration::from_secs(20);
    shower.ended(limit).await.unwrap();
    viewer.ended(limit).await.unwrap();

    let (size, pixels) = last_picture(&film);
    assert_eq!(size, SIZE);
    for (column, colour) in [(100, [0, 128, 0]), (700, [255, 255, 255])] {
        let at = 3 * (100 * size.0 + column);
        let is = &pixels[at..at + 3];
        let off = is
            .iter()
            .zip(colour)
            .map(|(is, should)| is.abs_diff(should));
        assert!(off.max() <= Some(12), "{is:?} where {colour:?} was shown");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_that_is_shared_in_a_call_is_seen_in_place_of_the_picture() {
    let _alone = alone().await;
    let display = Display::start(SIZE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    paint(&display, folder.path(), [255, 0, 0], [0, 0, 255]);
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let film = folder.path().join("seen.mkv");
    let common = ["join", "desk", "--headless", "--server", &url];
    let seen = ["--record", film.to_str().unwrap()];
    let mut viewer = Client::start(&[&common[..], &seen].concat()).unwrap();
    viewer.wait_for("joined", |_| true).await.unwrap();
    let shower = [&common[..], &["--commands", "--bitrate", "3m"]].concat();
    let mut shower = Client::start_with(&shower, &[("DISPLAY", &display.name)]).unwrap();
    let width = |event: &Value| {
        let all = event["report"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.values());
        let mut all = all.filter(|s| s["type"] == "inbound-rtp" && s["kind"] == "video");
        all.next().and_then(|s| s["frameWidth"].as_u64())
    };
    viewer
        .wait_for("stats", |e| width(e) == Some(640))
        .await
        .unwrap();
    shower.type_line("/share").await.unwrap();
    viewer
        .wait_for("stats", |e| width(e) == Some(800))
        .await
        .unwrap();
    viewer.wait_for("stats", |_| true).await.unwrap();
    for client in [&shower, &viewer] {
        client.signal("INT").unwrap();
    }
    let limit = Duration::from_secs(20);
    shower.ended(limit).await.unwrap();
    viewer.ended(limit).await.unwrap();

    // Drawn at the size that the film began with.
    let ((width, height), pixels) = last_picture(&film);
    for (column, colour) in [(width / 8, [255, 0, 0]), (width * 7 / 8, [0, 0, 255])] {
        let at = 3 * (height / 2 * width + column);
        let is = &pixels[at..at + 3];
        let off = is
            .iter()
            .zip(colour)
            .map(|(is, should): (&u8, u8)| is.abs_diff(should));
        assert!(off.max() <= Some(12), "{is:?} where {colour:?} was shown");
    }
}

#[test]
fn the_list_of_devices_has_the_screen_and_a_wrong_one_is_told_with_the_choices() {
    let display = Display::start(SIZE).unwrap();
    let client = binary("rtc-client").unwrap();
    let list = |arguments: &[&str]| {
        let run = Command::new(&client)
            .args(arguments)
            .env("DISPLAY", &display.name)
            .output()
            .unwrap();
        assert!(run.status.success(), "{run:?}");
        String::from_utf8(run.stdout).unwrap()
    };
    let told: Value = serde_json::from_str(&list(&["devices", "--json"])).unwrap();
    let screen = &told["screens"][0];
    assert_eq!(
        (&screen["width"], &screen["height"]),
        (&800.into(), &600.into()),
        "{told:#}"
    );
    assert_eq!(screen["default"], true);
    assert!(list(&["devices"]).contains("800x600 at 0,0"));

    let wrong = Command::new(&client)
        .args(["join", "desk", "--headless", "--video", "screen:parrot"])
        .env("DISPLAY", &display.name)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(1), "{words}");
    assert!(
        words.contains("no screen found matching \"parrot\"; there is 0 \""),
        "{words}"
    );
}
