//! A long call of two clients over a path that shakes, watched: does memory grow, do picture and sound drift apart?
//!
//! `scripts/soak [MINUTES]` builds what it needs and runs it.

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use rtc_e2e::process::Client;
use rtc_e2e::server::TestServer;
use rtc_e2e::soak::{Verdict, Watched, judge};
use serde_json::Value;

/// The path between the two.
const PATH: &str = "delay=30ms,jitter=20ms,loss=0.5%,seed=11";

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let minutes: f64 = match std::env::args().nth(1) {
        None => 10.0,
        Some(typed) => typed
            .parse()
            .ok()
            .filter(|minutes| (0.5..=10_000.0).contains(minutes))
            .with_context(|| format!("{typed:?}: write how many minutes, 0.5 or more"))?,
    };
    let seconds = minutes * 60.0;
    let server = TestServer::start().await?;
    let url = server.url();
    let common = ["join", "soak", "--headless", "--server", &url];
    let mut impaired = Client::start(&[&common[..], &["--impair", PATH]].concat())?;
    impaired.wait_for("joined", |_| true).await?;
    let mut plain = Client::start(&common)?;
    let (near, far) = tokio::try_join!(watch(&mut impaired, seconds), watch(&mut plain, seconds),)?;
    let mut out = std::io::stdout();
    let mut faults = 0;
    for (name, client, mut watched) in [("impaired", impaired, near), ("plain", plain, far)] {
        client.signal("INT")?;
        let ended = client.ended(Duration::ZERO).await?;
        marks(&ended.summary()?["peers"][0]["marks"], &mut watched);
        let verdict = judge(seconds, &watched);
        writeln!(out, "{name}: {}", words(&verdict, &watched))?;
        for fault in &verdict.faults {
            writeln!(out, "{name}: FAILED: {fault}")?;
        }
        faults += verdict.faults.len();
    }
    writeln!(
        out,
        "soak of {minutes} minutes over {PATH}: {faults} faults"
    )?;
    Ok(if faults == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Looks at a client each second, with its statistics.
async fn watch(client: &mut Client, seconds: f64) -> anyhow::Result<Watched> {
    let pid = client.pid().context("the client has ended")?;
    let mut watched = Watched::default();
    let mut measured = 0;
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < seconds {
        let stats = client.wait_for("stats", |_| true).await?;
        // What was said before is not needed any more.
        client.events.clear();
        let at = begin.elapsed().as_secs_f64();
        watched.memory.push((at, memory(pid)?));
        let lips = &stats["lipSync"];
        let times = lips["measured"].as_u64().unwrap_or(0);
        if times > measured
            && let Some(apart) = lips["latestMs"].as_f64()
        {
            measured = times;
            watched.apart.push((at, apart));
        }
    }
    Ok(watched)
}

/// What a process holds that is its own, KiB: pages of its files come and go with the machine's memory.
fn memory(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .context("the system tells no RssAnon")?;
    let kib = line.trim().trim_end_matches("kB").trim();
    Ok(kib.parse()?)
}

fn marks(told: &Value, watched: &mut Watched) {
    let number = |key: &str| told[key].as_u64().unwrap_or(0);
    watched.read = number("read");
    watched.unreadable = number("unreadable");
    watched.missing = number("missing");
}

fn words(verdict: &Verdict, watched: &Watched) -> String {
    let memory = watched.memory.last().map_or(0.0, |(_, kib)| *kib);
    format!(
        "memory {:.1} MiB at the end, {:+.0} KiB a minute, {:+.0} KiB after warming up; sound {:+.0} ms from its picture, {:+.0} ms at worst; marks: {} read, {} not, {} missing",
        memory / 1024.0,
        verdict.slope,
        verdict.growth,
        verdict.apart_median,
        verdict.apart_worst,
        watched.read,
        watched.unreadable,
        watched.missing
    )
}
