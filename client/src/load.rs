//! Load on a signaling server, and honest figures about it: `rtc-client load signaling`. Whole calls: [`crowd`].
//!
//! - [`args`]: the command line and what it means
//! - `schedule`: when things are due, pure; `pacer`: the thread that says so when they are
//! - `tally`: what was done and how long it took, pure
//! - `speech`: how peers of each dialect say things, pure
//! - `peer`: one peer over a WebSocket
//! - `calls`, `relay`, `idle`, `reconnect`, `rooms`: what is asked of the server
//! - `order`: whether what was said came once and in order, pure
//! - `part`, `meeting`: one load of several processes
//! - `live`: what is told while it runs
//! - `process`: the server's processor time and memory, our own file descriptors
//! - `report`, `page`: the figures, for people and for programs
//!
//! Latency counts from when something was due, not from when it was sent: a generator that waits for a slow server
//! would otherwise leave out just those requests that the server was slowest with (coordinated omission).

pub(crate) mod args;
mod calls;
pub(crate) mod crowd;
mod idle;
mod live;
mod meeting;
mod order;
mod pacer;
mod page;
mod part;
mod peer;
pub(crate) mod process;
mod reconnect;
mod relay;
mod report;
mod rooms;
mod schedule;
mod speech;
mod tally;

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use crate::exit::Ending;
use crate::options::verdict::ReportForm;
use crate::session::reports::Reports;

use args::{Plan, Signaling, Workload};
use live::{Live, View};
use meeting::{Whole, Word};
use peer::{Door, Trouble};
use process::Usage;
use report::Report;
use tally::Tally;

/// How often it is told what there is.
const TOLD: Duration = Duration::from_secs(1);

/// What the workloads share.
#[derive(Clone)]
struct Run {
    plan: Arc<Plan>,
    door: Door,
    /// Times in messages count from here.
    start: Instant,
    /// In the names of this run's rooms: a server keeps the places of a run that ended without a word.
    mark: u32,
    live: Live,
    /// Where this is one process of several.
    whole: Option<Whole>,
}

/// What is seen at one point of a run.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    /// The servers' processes, together, where they are known.
    server: Option<Usage>,
    /// Bytes that the load itself holds, in all its processes.
    own: u64,
}

/// What a workload gives.
#[derive(Default)]
struct Outcome {
    tally: Tally,
    /// How long the part took that was measured.
    lasted: Duration,
    /// Before and behind that part; of `rooms` also between, when all were full.
    looks: Vec<Look>,
}

/// Does what was asked for and prints the figures; the ending, and words for people where it is no good one.
pub(crate) fn run(asked: Signaling) -> Result<(), (Ending, String)> {
    let failed = |words: String| (Ending::Failed, words);
    let plan = Plan::new(asked).map_err(|words| (Ending::Usage, words))?;
    if plan.processes == 1 {
        process::allow_files(plan.sockets()).map_err(failed)?;
    }
    let asked = plan.report.iter().filter(|_| plan.part.is_none());
    let asked: Vec<_> = asked.map(|path| (ReportForm::Html, path.clone())).collect();
    let reports = Reports::open(&asked).map_err(|error| failed(error.to_string()))?;
    // One thread: where the generator is put on one core, it is one, and its figures are those of one.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("the system gave no threads: {error}")))?;
    if plan.part.is_some() {
        return runtime.block_on(as_part(plan));
    }
    let report = runtime.block_on(measure(plan)).map_err(|trouble| {
        let ending = match trouble {
            Trouble::Nobody { .. } => Ending::NoServer,
            _ => Ending::Failed,
        };
        (ending, trouble.to_string())
    })?;
    let printed = print(&report);
    let written = reports.write_by(|_| Ok(page::page(&report)));
    printed.map_err(|error| failed(format!("standard output cannot be written: {error}")))?;
    written.map_err(|error| failed(error.to_string()))?;
    match report.complaint() {
        None => Ok(()),
        Some(words) => Err((Ending::Failed, words)),
    }
}

async fn measure(plan: Plan) -> Result<Report, Trouble> {
    let mut view = View::new(plan.workload);
    let terminal = std::io::stderr().is_terminal();
    let run = Run::new(plan, None).await?;
    let outcome = watched(&run, |after| {
        if terminal {
            let line = view.line(run.live.seen(), after);
            let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        }
        Ok(())
    })
    .await;
    if terminal {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    Ok(Report::new(&run.plan, &outcome?))
}

/// One of several processes: what it comes to goes to the one that started it, and so does what went wrong.
async fn as_part(plan: Plan) -> Result<(), (Ending, String)> {
    let whole = Whole::listen();
    let done = async {
        let run = Run::new(plan, Some(whole)).await?;
        watched(&run, |_| Word::Seen(run.live.seen()).say()).await
    };
    let word = match done.await {
        Ok(outcome) => Word::Done {
            tally: Box::new(outcome.tally),
            seconds: outcome.lasted.as_secs_f64(),
        },
        Err(trouble) => Word::Trouble(trouble.to_string()),
    };
    word.say()
        .map_err(|error| (Ending::Failed, error.to_string()))
}

/// Does what is asked of the server, and tells now and then how far it is.
async fn watched(
    run: &Run,
    mut tell: impl FnMut(Duration) -> Result<(), Trouble>,
) -> Result<Outcome, Trouble> {
    let work = async {
        if run.plan.processes > 1 {
            return meeting::run(run).await;
        }
        match run.plan.workload {
            Workload::Call => calls::run(run).await,
            Workload::Relay => relay::run(run).await,
            Workload::Idle => idle::run(run).await,
            Workload::Reconnect => reconnect::run(run).await,
            Workload::Rooms => rooms::run(run).await,
        }
    };
    let mut work = std::pin::pin!(work);
    let mut tick = interval(TOLD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tokio::select! {
            outcome = &mut work => {
                tell(run.start.elapsed())?;
                return outcome;
            }
            _ = tick.tick() => tell(run.start.elapsed())?,
        }
    }
}

impl Run {
    async fn new(plan: Plan, whole: Option<Whole>) -> Result<Self, Trouble> {
        Ok(Self {
            door: Door::find(&plan).await?,
            plan: Arc::new(plan),
            start: Instant::now(),
            mark: rand::random(),
            live: Live::default(),
            whole,
        })
    }

    /// What the servers have used by now, where their processes are known.
    fn servers(&self) -> Result<Option<Usage>, Trouble> {
        let mut all: Option<Usage> = None;
        for pid in &self.plan.server_pid {
            all = Some(all.unwrap_or_default() + Usage::of(*pid)?);
        }
        Ok(all)
    }

    /// Looks at all processes; where this is one of several, when all are at this point.
    async fn look(&self) -> Result<Look, Trouble> {
        let own = meeting::own_resident();
        let server = match &self.whole {
            None => self.servers()?,
            // It is looked at by the whole.
            Some(whole) => {
                whole.look(own).await?;
                None
            }
        };
        Ok(Look {
            at: Instant::now(),
            server,
            own,
        })
    }

    /// From when on things are due that are so many seconds apart: several processes take turns.
    fn begin(&self, apart: f64) -> Instant {
        let phase = self.plan.part.map_or(0.0, part::Part::phase);
        let behind = Duration::try_from_secs_f64(phase * apart).unwrap_or_default();
        Instant::now() + behind
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
