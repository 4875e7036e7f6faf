//! Crowds: real calls by the dozen from one process, `rtc-client load calls`.
//!
//! Peers are light: they join a real room at a real server and connect as any peer does, but what they send was encoded once,
//! before the first call, and what they receive is not decoded but compared with that, byte by byte, behind the depacketizer. That is
//! more than decoding shows, for a hundredth of its cost. Now and then a stretch of one of them is decoded and judged all the same.
//!
//! - `args`: the command line
//! - `prepared`: what everybody sends
//! - `check`: whether it came, pure
//! - `clock`: the tasks that hand frames to all peers when they are due
//! - `peer`: one light peer
//! - `sample`: the thread that decodes a stretch of one peer after the other
//! - `pairs`: which connections stood, and whether anything came, pure
//! - `figures`: what came of it
//!
//! Delay is from the handing of a frame to a peer that sends until its last packet is taken from the connection that receives:
//! encoder, jitter buffer and decoder are not in it.

pub(super) mod args;
mod check;
mod clock;
mod figures;
mod pairs;
mod peer;
mod prepared;
mod sample;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rtc_verdict::Record;
use rtc_verdict::judge::judge;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep_until, timeout};

use super::process::{Usage, allow_files};
use crate::exit::Ending;
use crate::net::Impairment;
use crate::quit::Quit;
use crate::signaling::probe::answers;
use crate::signaling::{ServerAddress, ServerChoice};
use args::{Calls, Plan};
use check::{Counts, Sent};
use clock::Clock;
use figures::{Crowd, Figures};
use peer::{Light, Shared};
use prepared::Prepared;
use sample::Judge;

/// Beside the sockets of its link and of its connection a peer may have one for mDNS or a relay.
const SOCKETS: u64 = 6;

/// News of all peers that wait; then they do.
const NEWS: usize = 1024;

/// Whoever has not left by then is cut off.
const GOODBYE: Duration = Duration::from_secs(5);

/// How often it is looked at what came: the finest time of an expectation.
const LOOK: Duration = Duration::from_secs(1);

/// Does what was asked for and prints the figures.
pub(crate) fn run(asked: Calls) -> Result<(), (Ending, String)> {
    let plan = Plan::new(asked).map_err(|words| (Ending::Usage, words))?;
    let peers = u64::from(plan.rooms) * u64::from(plan.peers);
    allow_files(peers * SOCKETS).map_err(|words| (Ending::Failed, words))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| {
        (
            Ending::Failed,
            format!("the system gave no threads: {error}"),
        )
    })?;
    let ended = runtime.block_on(hold(plan));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn hold(plan: Plan) -> Result<(), (Ending, String)> {
    let failed = |words: String| (Ending::Failed, words);
    let mut quit =
        Quit::listen().map_err(|error| failed(format!("the system gives no signals: {error}")))?;
    let reports = plan.reports().map_err(failed)?;
    let asked = tokio::select! {
        asked = ask(&plan) => asked,
        () = quit.asked() => Err((Ending::NoServer, format!("{} had not answered yet", plan.server))),
    };
    if let Err((ending, words)) = asked {
        let record = Record::default();
        let outcomes = judge(&record, &plan.verdict.expectations);
        let report = Figures::report(&plan, &record, &outcomes, (ending, &words));
        reports
            .write(&report)
            .map_err(|error| failed(error.to_string()))?;
        return Err((ending, words));
    }
    let media = plan.media.clone();
    let prepared = tokio::task::spawn_blocking(move || Prepared::new(&media)).await;
    let prepared = prepared
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(format!("the media could not be prepared: {error}")))?;
    let prepared = Arc::new(prepared);
    let judge_of = Judge::start(Arc::clone(&prepared))
        .map_err(|error| failed(format!("the system gave no thread: {error}")))?;
    let count = (plan.rooms * plan.peers) as usize;
    let shared = Arc::new(Shared {
        pictures_sent: std::array::from_fn(|_| Sent::new(plan.media.fps)),
        sounds_sent: std::array::from_fn(|_| Sent::new(prepared::PACKETS)),
        prepared,
        counts: (0..count).map(|_| Counts::default()).collect(),
        sample: AtomicUsize::new(0),
        judged: judge_of.sender(),
        impairment: (!plan.impairment_is_empty())
            .then(|| Impairment::new(&plan.impairment, Instant::now())),
        going: AtomicBool::new(true),
        patience: plan.patience,
        mark: rand::random(),
        links: AtomicU64::new(1),
        plan: plan.clone(),
    });
    let usage = || Usage::of(std::process::id()).unwrap_or_default();
    let before = usage();
    let clock = Clock::start(&shared);
    let (tell, mut news) = mpsc::channel(NEWS);
    let mut crowd = Crowd::new(count);
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    let ramp = ramp(&plan);
    let whole = ramp + plan.duration;
    let mut next_room = 0_u32;
    let mut look = interval(LOOK);
    look.tick().await;
    let bar = std::io::stderr().is_terminal() && !plan.quiet;
    // The figures of processor and memory are those of the time when all rooms are there.
    let mut steady = None;
    let ended_by_person = loop {
        let due = started + ramp.mul_f64(f64::from(next_room) / f64::from(plan.rooms.max(1)));
        tokio::select! {
            () = sleep_until(due.into()), if next_room < plan.rooms => {
                for place in 0..plan.peers {
                    let number = (next_room * plan.peers + place) as usize;
                    let light = Light::new(number, next_room, Arc::clone(&shared), tell.clone());
                    tasks.spawn(light.run(clock.clone()));
                }
                next_room += 1;
                if next_room == plan.rooms {
                    steady = Some((Instant::now(), usage()));
                }
            }
            Some(told) = news.recv() => crowd.hear(told, started.elapsed()),
            _ = look.tick() => {
                crowd.look(&shared.counts, started.elapsed());
                if bar {
                    let _ = write!(std::io::stderr(), "\r\x1b[K{}", crowd.line(&plan, started.elapsed()));
                }
                if started.elapsed() >= whole {
                    break false;
                }
            }
            () = quit.asked() => break true,
        }
    };
    if bar {
        let _ = writeln!(std::io::stderr());
    }
    let lasted = started.elapsed();
    while let Ok(told) = news.try_recv() {
        crowd.hear(told, lasted);
    }
    let (since, at_first) = steady.unwrap_or((started, before));
    let used = (since.elapsed(), at_first, usage());
    crowd.end(&shared.counts, lasted);
    shared.going.store(false, Ordering::Relaxed);
    clock.stop();
    let leaving = async { while tasks.join_next().await.is_some() {} };
    let _ = timeout(GOODBYE, leaving).await;
    tasks.shutdown().await;
    // News that nobody reads would hold whoever tells them.
    drop(news);
    drop(shared);
    let sampled = tokio::task::spawn_blocking(move || judge_of.end()).await;
    let sampled = sampled.unwrap_or_default();

    let outcomes = judge(crowd.record(), &plan.verdict.expectations);
    let figures = Figures::new(&plan, &crowd, &outcomes, (before, used), sampled, lasted)
        .behind(&clock.late());
    let (ending, words) = figures.ending(ended_by_person);
    let report = Figures::report(&plan, crowd.record(), &outcomes, (ending, &words));
    let written = reports.write(&report);
    let text = if plan.json {
        figures.to_json()
    } else {
        figures.to_table()
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(failed(format!(
                "standard output cannot be written: {error}"
            )));
        }
        _ => {}
    }
    written.map_err(|error| failed(error.to_string()))?;
    match ending {
        Ending::Done => Ok(()),
        ending => Err((ending, words)),
    }
}

/// Looks for the server once, before hundreds do who would all come to be peers that never connected.
async fn ask(plan: &Plan) -> Result<(), (Ending, String)> {
    let server = ServerAddress::parse(&plan.server);
    let server = server.map_err(|error| (Ending::Usage, format!("--server: {error}")))?;
    answers(&ServerChoice::Given(server), &plan.trust, plan.patience)
        .await
        .map_err(|error| (Ending::NoServer, error.to_string()))
}

/// For how long rooms are opened.
fn ramp(plan: &Plan) -> Duration {
    Duration::from_secs_f64(f64::from(plan.rooms) / plan.ramp)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn no_server_is_told_before_the_first_call() {
        // A port that nobody listens at any more.
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .map(|address| address.port());
        let server = format!("http://127.0.0.1:{}", port.unwrap());
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("a.xml");
        let arguments = [
            "--server",
            &server,
            "--expect",
            "connect<5s",
            "--junit",
            report.to_str().unwrap(),
        ];
        let ended = hold(Plan::of(&arguments).unwrap()).await;
        assert_eq!(ended.unwrap_err().0, Ending::NoServer);
        // The call's test, and the expectation's.
        let report = std::fs::read_to_string(report).unwrap();
        assert_eq!(report.matches("<failure").count(), 2, "{report}");
    }
}
