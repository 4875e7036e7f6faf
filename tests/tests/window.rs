//! `--display window` on a real X server: looked at, and closed as a person closes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rtc_client::measure::marks;
use rtc_client::media::frame::Picture;
use rtc_client::output::scale::fit_inside;
use rtc_e2e::alone::alone;
use rtc_e2e::display::{Display, part};
use rtc_e2e::process::{Client, PATIENCE, binary};
use rtc_e2e::server::TestServer;

/// How far apart the probe's peers count.
const APART: u32 = 1_000_000;

/// Our own picture's place among the numbers.
const OWN: u32 = 9;

/// Rows under a tile's picture: the name's strip and the level's bar.
const UNDER: u32 = 26;

/// The mark in a tile of a grid of two by two.
fn mark(shown: &Picture, place: u32) -> Option<u32> {
    let (width, height) = (shown.width / 2, shown.height / 2);
    let space = (width, height - UNDER);
    let size = fit_inside((640, 360), space);
    let left = place % 2 * width + (width - size.0) / 2;
    let top = place / 2 * height + (space.1 - size.1) / 2;
    marks::read(&part(shown, (left, top), size)).map(|mark| mark.number)
}

/// Whether our own picture lies in the corner.
fn own(shown: &Picture) -> bool {
    let size = (shown.width / 5, shown.height / 5);
    let corner = (shown.width - size.0, shown.height - size.1 - UNDER);
    marks::read(&part(shown, corner, size)).is_some_and(|mark| mark.number / APART == OWN)
}

/// Whether something is written in a tile's strip.
fn named(shown: &Picture, place: u32) -> bool {
    let (width, height) = (shown.width / 2, shown.height / 2);
    let corner = (place % 2 * width, (place / 2 + 1) * height - UNDER);
    let strip = part(shown, corner, (120, 20));
    strip.y.iter().filter(|luma| **luma > 120).count() > 20
}

/// Does what a person does with keyboard and mouse; there is no window manager that helps.
fn by_hand(display: &Display, words: &[&str]) {
    let run = Command::new("xdotool")
        .args(words)
        .env("DISPLAY", &display.name)
        .status()
        .expect("xdotool is there: apt-get install xdotool");
    assert!(run.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn four_peers_stand_in_a_grid_each_in_its_tile_with_its_name() {
    let _alone = alone().await;
    let display = Display::start((1280, 720)).unwrap();
    let mut probe = Command::new(binary("window-probe").unwrap())
        .arg("4")
        .env("DISPLAY", &display.name)
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(probe.stdout.take().unwrap()).lines();
    // It is shown, and a second of it has passed.
    told.next().expect("the window is drawn").unwrap();
    let eye = display.look().unwrap();
    let (window, title) = eye.window().unwrap().expect("a window");
    assert!(title.starts_with("grid: Zo"), "{title}");
    // By the time that the pictures have moved on it knows that it has the keyboard.
    by_hand(&display, &["windowfocus", "--sync", &window.to_string()]);

    let until = Instant::now() + PATIENCE;
    let mut first: [Option<u32>; 4] = [None; 4];
    let mut later = [false; 4];
    while later != [true; 4] {
        let shown = eye.picture(window).unwrap();
        for place in 0..4 {
            let Some(number) = mark(&shown, place) else {
                continue;
            };
            assert_eq!(number / APART, place, "another's picture");
            assert!(named(&shown, place), "no name under {place}");
            let first = first[place as usize].get_or_insert(number);
            later[place as usize] |= number >= *first + 15;
        }
        assert!(Instant::now() < until, "{first:?}, {later:?}");
        std::thread::sleep(Duration::from_millis(30));
    }
    // A key hides our own picture and shows it again.
    let wait = |wanted: bool| {
        while own(&eye.picture(window).unwrap()) != wanted {
            assert!(Instant::now() < until, "the own picture: not {wanted}");
            std::thread::sleep(Duration::from_millis(30));
        }
    };
    wait(true);
    for shown in [false, true] {
        by_hand(&display, &["key", "p"]);
        wait(shown);
    }
    drop(probe.stdin.take());
    let drawn: Vec<String> = told.map_while(Result::ok).collect();
    assert!(probe.wait().unwrap().success());
    println!("drawn in each second: {}", drawn.join(" "));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_window_hangs_up() {
    let _alone = alone().await;
    let display = Display::start((1280, 720)).unwrap();
    let server = TestServer::start().await.unwrap();
    let url = server.url();
    let common = [
        "join",
        "pane",
        "--headless",
        "--server",
        &url,
        "--size",
        "320x180",
    ];
    let mut viewer = common.to_vec();
    viewer.extend(["--display", "window"]);
    let mut viewer = Client::start_with(&viewer, &[("DISPLAY", &display.name)]).unwrap();
    viewer.wait_for("joined", |_| true).await.unwrap();
    let robot = Client::start(&common).unwrap();
    viewer
        .wait_for("first-frame", |e| e["kind"] == "video")
        .await
        .unwrap();
    let eye = display.look().unwrap();
    let (window, _) = eye.window().unwrap().expect("a window");
    eye.close(window).unwrap();
    let ended = viewer.ended(Duration::ZERO).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.summary().unwrap()["outcome"], "hung up");
    robot.signal("INT").unwrap();
    robot.ended(Duration::ZERO).await.unwrap();
}
