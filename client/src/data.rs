//! Bytes and files over data channels: `rtc-client pipe`, `send` and `receive` (docs/data.md). The rules are in `rtc-transfer`.
//!
//! - [`args`]: the command lines
//! - `line`: the channel to the far side, lost and found
//! - `pipe`: standard input and output; `send`, `receive`: files
//! - `said`: what waits to be said
//! - `disk`: the threads that read and write files

pub(crate) mod args;
mod disk;
mod line;
mod pipe;
mod receive;
mod said;
mod send;

use std::time::{Duration, Instant};

use rand::Rng;
use rtc_transfer::Id;
use rtc_transfer::frame::Status;

use crate::exit::Ending;
use crate::run::complain;

/// The rules are told of the time so often.
const TICK: Duration = Duration::from_millis(200);

/// Frames of `send` and `receive` that wait to be said. The window holds 35 blocks of a file, and all else is said one by one.
const SAID: usize = 256;

/// Runs what was asked for to its end.
fn hold<F>(task: F) -> Ending
where
    F: Future<Output = Result<(), (Ending, String)>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the system gave no threads: {error}"));
            return Ending::Failed;
        }
    };
    let ended = runtime.block_on(task);
    runtime.shutdown_timeout(Duration::from_millis(500));
    match ended {
        Ok(()) => Ending::Done,
        Err((ending, words)) => {
            complain(&words);
            ending
        }
    }
}

pub(crate) fn pipe(asked: args::Pipe) -> Ending {
    hold(pipe::run(asked))
}

pub(crate) fn send(asked: args::Send) -> Ending {
    hold(send::run(asked))
}

pub(crate) fn receive(asked: args::Receive) -> Ending {
    hold(receive::run(asked))
}

/// Who this program is.
fn random_id() -> Id {
    let mut id = [0; 16];
    rand::rng().fill(&mut id);
    id
}

/// What became of a file, in a word.
const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Done => "done",
        Status::Exists => "exists",
        Status::DiskFull => "disk-full",
        Status::Mismatch => "mismatch",
        Status::Failed | Status::Closed | Status::Busy | Status::Protocol => "failed",
    }
}

/// Whether nobody came, or came back, for too long.
fn too_late(
    met: bool,
    alone_since: Option<Instant>,
    now: Instant,
    wait: Option<Duration>,
    patience: Duration,
) -> Option<(Ending, String)> {
    let alone = now.saturating_duration_since(alone_since?);
    if met {
        (alone >= patience).then(|| {
            let words = format!("the far side did not come back within {patience:?} (--patience)");
            (Ending::Lost, words)
        })
    } else {
        let wait = wait.filter(|wait| alone >= *wait)?;
        let words = format!("nobody came within {wait:?} (--wait)");
        Some((Ending::NeverConnected, words))
    }
}

/// Words for a person who asked for none of them.
fn remark(words: &str) {
    tracing::info!("{words}");
}
