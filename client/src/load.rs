//! Load on a signaling server, and honest figures about it: `rtc-client load signaling`. Whole calls: [`crowd`].
//!
//! - [`args`]: the command line and what it means
//! - `schedule`: when things are due, pure; `pacer`: the thread that says so when they are
//! - `tally`: what was done and how long it took, pure
//! - `speech`: how peers of each dialect say things, pure
//! - `peer`: one peer over a WebSocket
//! - `calls`, `relay`, `idle`, `reconnect`: what is asked of the server
//! - `process`: the server's processor time and memory, our own file descriptors
//! - `report`: the figures, for people and for programs
//!
//! Latency counts from when something was due, not from when it was sent: a generator that waits for a slow server
//! would otherwise leave out just those requests that the server was slowest with (coordinated omission).

pub(crate) mod args;
mod calls;
pub(crate) mod crowd;
mod idle;
mod pacer;
mod peer;
pub(crate) mod process;
mod reconnect;
mod relay;
mod report;
mod schedule;
mod speech;
mod tally;

use std::io::Write;
use std::time::{Duration, Instant};

use crate::exit::Ending;

use args::{Plan, Signaling, Workload};
use peer::{Door, Trouble};
use process::Usage;
use report::Report;
use tally::Tally;

/// What the workloads share.
#[derive(Clone)]
struct Run {
    plan: Plan,
    door: Door,
    /// Times in messages count from here.
    start: Instant,
    /// In the names of this run's rooms: a server keeps the places of a run that ended without a word.
    mark: u32,
}

/// What a workload gives.
struct Outcome {
    tally: Tally,
    /// How long the part took that was measured.
    lasted: Duration,
    /// The server's use of the machine while it did.
    usage: Option<(Usage, Usage)>,
}

/// Does what was asked for and prints the figures; the ending, and words for people where it is no good one.
pub(crate) fn run(asked: Signaling) -> Result<(), (Ending, String)> {
    let plan = Plan::new(asked).map_err(|words| (Ending::Usage, words))?;
    process::allow_files(plan.sockets()).map_err(|words| (Ending::Failed, words))?;
    // One thread: where the generator is put on one core, it is one, and its figures are those of one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            (
                Ending::Failed,
                format!("the system gave no threads: {error}"),
            )
        })?;
    let report = runtime.block_on(measure(plan)).map_err(|trouble| {
        let ending = match trouble {
            Trouble::Nobody { .. } => Ending::NoServer,
            _ => Ending::Failed,
        };
        (ending, trouble.to_string())
    })?;
    print(&report).map_err(|error| {
        let words = format!("standard output cannot be written: {error}");
        (Ending::Failed, words)
    })?;
    match report.complaint() {
        None => Ok(()),
        Some(words) => Err((Ending::Failed, words)),
    }
}

async fn measure(plan: Plan) -> Result<Report, Trouble> {
    let door = Door::find(&plan).await?;
    let run = Run {
        plan,
        door,
        start: Instant::now(),
        mark: rand::random(),
    };
    let outcome = match run.plan.workload {
        Workload::Call => calls::run(&run).await?,
        Workload::Relay => relay::run(&run).await?,
        Workload::Idle => idle::run(&run).await?,
        Workload::Reconnect => reconnect::run(&run).await?,
    };
    Ok(Report::new(&run.plan, &outcome))
}

impl Run {
    /// What the server has used by now, where its process is known.
    fn usage(&self) -> Result<Option<Usage>, Trouble> {
        self.plan.server_pid.map(Usage::of).transpose()
    }

    /// The name of one of this run's rooms.
    fn room(&self, number: &str) -> String {
        format!("load-{:08x}-{number}", self.mark)
    }

    /// Microseconds since the start.
    fn micros(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.start);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// The time that stands in a message.
    fn time_of(&self, micros: u64) -> Instant {
        self.start + Duration::from_micros(micros)
    }
}

fn usage_between(before: Option<Usage>, after: Option<Usage>) -> Option<(Usage, Usage)> {
    before.zip(after)
}

fn print(report: &Report) -> std::io::Result<()> {
    let text = if report.json() {
        report.to_json()
    } else {
        report.to_table()
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
