//! Tests somebody's page: opens it in Chromium, joins its room, and says whether picture and sound come as they should.
//!
//! ```sh
//! rtc-server &
//! cargo run --example judge_page -- http://localhost:8080 http://localhost:8080/{room}?autojoin
//! ```

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rtc_client::event::Event;

/// What a page in a browser on this machine has to keep.
const EXPECTED: [&str; 4] = [
    "connect<10s",
    "video.first<15s",
    "video.fps>=5 after 3s",
    "audio.seconds>=3",
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut typed = std::env::args().skip(1);
    let (Some(server), Some(page)) = (typed.next(), typed.next()) else {
        bail!("judge_page SERVER PAGE, where {{room}} in PAGE stands for the room");
    };
    // A room that nobody else is in.
    let room = format!("judged-{}", std::process::id());
    let mut call = rtc_client::join(&room)
        .server(&server)
        .named("judge")
        .flag("--duration", "60s");
    for expected in EXPECTED {
        call = call.expect(expected);
    }
    let mut call = call.start().await?;
    let profile = tempfile::tempdir()?;
    let browser = Browser::open(&page.replace("{room}", &room), profile.path())?;
    call.wait_for(|event| matches!(event, Event::FirstFrame { .. }))
        .await
        .context("the page shows nothing")?;
    call.run_for(Duration::from_secs(8)).await;
    let summary = call.hang_up().await;
    drop(browser);
    for one in &summary.expectations {
        let held = if one.held { "ok  " } else { "FAIL" };
        println!("{held} {}: {}", one.expected, one.words);
    }
    std::process::exit(i32::from(summary.exit_code));
}

/// A browser that closes with its owner.
struct Browser(Child);

impl Browser {
    fn open(page: &str, profile: &std::path::Path) -> anyhow::Result<Self> {
        let program = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
        let browser = Command::new(&program)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--no-first-run",
                "--disable-gpu",
            ])
            .args([
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ])
            .args(["--autoplay-policy=no-user-gesture-required"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(page)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{program} does not start; CHROMIUM names another one"))?;
        Ok(Self(browser))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
