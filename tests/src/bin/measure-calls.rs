//! Measures real calls of real clients: time to the first picture, CPU, memory, delay.
//!
//! `cargo run --release -p rtc-e2e --bin measure-calls [CALLS] [SECONDS]` after
//! `cargo build --release --bins`; the clients are the binaries beside this one.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use rtc_e2e::browser::{Browser, ChromeOptions};
use rtc_e2e::process::Client;
use rtc_e2e::server::TestServer;
use serde_json::Value;

/// Clock ticks a second in `/proc/PID/stat`: 100 on every Linux since 2.6.
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1);
    let calls = numbers.next().map_or(Ok(20), |n| n.parse())?;
    let seconds: u64 = numbers.next().map_or(Ok(60), |n| n.parse())?;
    let mut out = std::io::stdout();
    let (connected, first) = between_clients(calls).await?;
    writeln!(
        out,
        "terminal to terminal, {calls} calls: connected {}, first picture {}",
        words(connected),
        words(first)
    )?;
    let first = to_chromium(calls.min(10)).await?;
    writeln!(
        out,
        "Chromium to terminal, {} calls: first picture {}",
        calls.min(10),
        words(first)
    )?;
    for size in ["640x360", "1280x720"] {
        writeln!(out, "{}", one_call(size, seconds).await?)?;
    }
    Ok(())
}

/// Median and the largest.
fn words(mut all: Vec<f64>) -> String {
    all.sort_by(f64::total_cmp);
    let median = all.get(all.len() / 2).copied().unwrap_or(f64::NAN);
    let last = all.last().copied().unwrap_or(f64::NAN);
    format!("median {median:.0} ms, at most {last:.0} ms")
}

async fn between_clients(calls: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let (mut connected, mut first) = (Vec::new(), Vec::new());
    for call in 0..calls {
        let server = TestServer::start().await?;
        let (url, room) = (server.url(), format!("call-{call}"));
        let join = ["join", &room, "--headless", "--server", &url];
        let mut there = Client::start(&join)?;
        there.wait_for("joined", |_| true).await?;
        let mut comes = Client::start(&join)?;
        connected.push(millis(&comes.wait_for("connected", |_| true).await?)?);
        first.push(millis(
            &comes
                .wait_for("first-frame", |e| e["kind"] == "video")
                .await?,
        )?);
    }
    Ok((connected, first))
}

async fn to_chromium(calls: usize) -> anyhow::Result<Vec<f64>> {
    let browser = Browser::launch(&ChromeOptions::default()).await?;
    let mut first = Vec::new();
    for call in 0..calls {
        let server = TestServer::start().await?;
        let url = server.url();
        let address = format!("http://localhost:{}/call-{call}?autojoin=1", server.port());
        let page = browser.open(&address).await?;
        page.wait_for(
            "rtc.phase === 'joined' && rtc.sending.video",
            rtc_e2e::process::PATIENCE,
        )
        .await?;
        let room = format!("call-{call}");
        let mut comes = Client::start(&["join", &room, "--headless", "--server", &url])?;
        first.push(millis(
            &comes
                .wait_for("first-frame", |e| e["kind"] == "video")
                .await?,
        )?);
        // A page that goes on calling would slow down the next.
        page.goto("about:blank").await?;
    }
    Ok(first)
}

fn millis(event: &Value) -> anyhow::Result<f64> {
    event["afterMs"].as_f64().context("no afterMs")
}

/// A call of this size at 30 pictures a second and 1.5 Mbit/s, VP8 and Opus, both ways.
async fn one_call(size: &str, seconds: u64) -> anyhow::Result<String> {
    let server = TestServer::start().await?;
    let (url, time) = (server.url(), format!("{}s", seconds + 10));
    let join = [
        "join",
        "long",
        "--headless",
        "--server",
        &url,
        "--size",
        size,
        "--duration",
        &time,
    ];
    let mut one = Client::start(&join)?;
    one.wait_for("joined", |_| true).await?;
    let two = Client::start(&join)?;
    one.wait_for("first-frame", |e| e["kind"] == "video")
        .await?;
    let pid = one.pid().context("it has ended")?;
    let before = cpu_seconds(pid)?;
    let duration = Duration::from_secs(seconds);
    tokio::time::sleep(duration).await;
    let used = cpu_seconds(pid)? - before;
    let memory = resident_mib(pid)?;
    let ended = one.ended(Duration::from_secs(20)).await?;
    two.ended(Duration::from_secs(20)).await?;
    let marks = ended.summary()?["peers"][0]["marks"].clone();
    Ok(format!(
        "{size}: {:.1} CPU s a minute for one peer, {memory:.0} MiB resident; delay median {:.1} ms, p99 {:.1} ms; {} pictures, {} missing, PSNR {:.1} dB",
        used * 60.0 / duration.as_secs_f64(),
        marks["latencyMsP50"].as_f64().unwrap_or(f64::NAN),
        marks["latencyMsP99"].as_f64().unwrap_or(f64::NAN),
        marks["read"],
        marks["missing"],
        marks["psnrDb"].as_f64().unwrap_or(f64::NAN),
    ))
}

/// User and system time of a process, proc(5).
fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after) = text.rsplit_once(')').context("no such form")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks = |i: usize| -> anyhow::Result<f64> {
        Ok(fields.get(i).context("too short")?.parse::<f64>()?)
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .context("no number")?
        .parse()?;
    Ok(kib / 1024.0)
}
