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

use std::io;
use std::time::{Duration, Instant};

use rand::Rng;
use rtc_transfer::frame::Status;
use rtc_transfer::{End, Id};

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

/// Whether somebody is there, and for how long nobody has been.
struct Company {
    met: bool,
    alone_since: Option<Instant>,
    wait: Option<Duration>,
    patience: Duration,
}

impl Company {
    /// Nobody yet.
    fn new(place: &args::Place) -> Self {
        Self {
            met: false,
            alone_since: None,
            wait: place.wait,
            patience: place.patience,
        }
    }

    fn came(&mut self) {
        (self.met, self.alone_since) = (true, None);
    }

    /// Nobody is there, from now on.
    fn alone(&mut self, now: Instant) {
        self.alone_since = Some(now);
    }

    /// Whether nobody came, or came back, for too long.
    fn too_late(&self, now: Instant) -> Result<(), (Ending, String)> {
        let Some(since) = self.alone_since else {
            return Ok(());
        };
        let (alone, patience) = (now.saturating_duration_since(since), self.patience);
        match self.wait {
            _ if self.met && alone >= patience => Err((
                Ending::Lost,
                format!("the far side did not come back within {patience:?} (--patience)"),
            )),
            Some(wait) if !self.met && alone >= wait => Err((
                Ending::NeverConnected,
                format!("nobody came within {wait:?} (--wait)"),
            )),
            _ => Ok(()),
        }
    }
}

/// What files came to: `missing` says of each that is not there why, and what that means for the exit code.
fn outcome<'a>(
    end: &End,
    missing: impl Iterator<Item = &'a str>,
    of: usize,
    ending: Ending,
) -> Result<(), (Ending, String)> {
    match end {
        End::Done => {
            let missing: Vec<&str> = missing.collect();
            let Some(first) = missing.first() else {
                return Ok(());
            };
            let count = missing.len();
            Err((
                ending,
                format!("{count} of {of} files are not there: {first}"),
            ))
        }
        End::Stopped(Status::Busy, words) => Err((Ending::Refused, words.clone())),
        End::Stopped(_, words) => Err((Ending::Incomplete, words.clone())),
        End::Broken(broken) => Err((Ending::Failed, broken.to_string())),
    }
}

fn no_signals(error: io::Error) -> (Ending, String) {
    let words = format!("the system gives no signals: {error}");
    (Ending::Failed, words)
}

fn no_thread(error: io::Error) -> (Ending, String) {
    (
        Ending::Failed,
        format!("the system gave no thread: {error}"),
    )
}

/// Words for a person who asked for none of them.
fn remark(words: &str) {
    tracing::info!("{words}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_never_came_and_who_does_not_come_back_are_waited_for_apart() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut company = Company {
            met: false,
            alone_since: None,
            wait: Some(5 * second),
            patience: 60 * second,
        };
        let ending = |company: &Company, after: u32| {
            let late = company.too_late(start + after * second);
            late.err().map(|(ending, _)| ending)
        };
        company.alone(start);
        assert_eq!(ending(&company, 4), None);
        assert_eq!(ending(&company, 5), Some(Ending::NeverConnected));
        company.came();
        assert_eq!(ending(&company, 500), None);
        company.alone(start);
        assert_eq!(ending(&company, 59), None);
        assert_eq!(ending(&company, 60), Some(Ending::Lost));
    }
}
