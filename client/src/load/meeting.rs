//! One load of several processes: the one that was started starts the others, lets them begin each stretch together, and adds
//! them up. They speak by lines of JSON: a part on its standard output, the whole by an empty line on the part's standard input. A part
//! whose input ends has nobody to work for, and ends too.

use std::io::{BufRead, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::live::Seen;
use super::part::Part;
use super::peer::Trouble;
use super::process::Usage;
use super::tally::Tally;
use super::{Look, Outcome, Run};

/// Words of all parts that wait to be read; then they do.
const WORDS: usize = 1024;

/// What a part says.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Word {
    /// So far.
    Seen(Seen),
    /// It is where all have to be before it goes on, and holds so many bytes.
    Look { resident: u64 },
    /// It is done.
    Done { tally: Box<Tally>, seconds: f64 },
    /// It cannot go on.
    Trouble(String),
}

impl Word {
    /// As one line on standard output.
    pub(super) fn say(&self) -> Result<(), Trouble> {
        let wrong = |error: &dyn std::fmt::Display| {
            Trouble::Process(format!("the process of the whole load is gone: {error}"))
        };
        let mut line = serde_json::to_string(self).map_err(|error| wrong(&error))?;
        line.push('\n');
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| wrong(&error))
    }
}

/// A part's way to the whole.
#[derive(Clone, Debug)]
pub(super) struct Whole(Arc<Mutex<mpsc::Receiver<()>>>);

impl Whole {
    /// Starts to listen, by a thread that ends with the input, and the process with it.
    pub(super) fn listen() -> Self {
        let (go, told) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                if line.is_err() || go.blocking_send(()).is_err() {
                    break;
                }
            }
            std::process::exit(1);
        });
        Self(Arc::new(Mutex::new(told)))
    }

    /// Says where it is, and waits for the others.
    pub(super) async fn look(&self, resident: u64) -> Result<(), Trouble> {
        Word::Look { resident }.say()?;
        let told = self.0.lock().await.recv().await;
        told.ok_or_else(|| Trouble::Process("the process of the whole load is gone".to_owned()))
    }
}

/// What the whole knows of a part.
struct Known {
    input: ChildStdin,
    seen: Seen,
    /// What it holds, where it waits for the others.
    waits: Option<u64>,
    done: bool,
}

/// Starts the parts and adds up what they come to.
pub(super) async fn run(run: &Run) -> Result<Outcome, Trouble> {
    let (say, mut words) = mpsc::channel(WORDS);
    // Whatever happens here, they end with these.
    let mut listeners = JoinSet::new();
    let mut parts = Vec::new();
    for (index, part) in Part::all(run.plan.processes).enumerate() {
        let (child, input, output) = start(part)?;
        listeners.spawn(listen(index, child, output, say.clone()));
        parts.push(Known {
            input,
            seen: Seen::default(),
            waits: None,
            done: false,
        });
    }
    drop(say);
    let mut outcome = Outcome::default();
    while let Some((index, word)) = words.recv().await {
        match word {
            Some(Word::Seen(seen)) => {
                parts[index].seen = seen;
                run.live.set(parts.iter().map(|part| part.seen).sum());
            }
            Some(Word::Look { resident }) => {
                parts[index].waits = Some(resident);
                if parts.iter().all(|part| part.waits.is_some() || part.done) {
                    outcome.looks.push(together(run, &mut parts).await?);
                }
            }
            Some(Word::Done { tally, seconds }) => {
                outcome.tally.merge(&tally);
                let lasted = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                outcome.lasted = outcome.lasted.max(lasted);
                parts[index].done = true;
                if parts.iter().all(|part| part.done) {
                    return Ok(outcome);
                }
            }
            Some(Word::Trouble(why)) => return Err(Trouble::Process(why)),
            None if parts[index].done => {}
            None => {
                let of = parts.len();
                return Err(Trouble::Process(format!(
                    "process {} of {of} ended before it was done: was it killed for want of memory?",
                    index + 1
                )));
            }
        }
    }
    Err(Trouble::Process("all parts of the load ended".to_owned()))
}

/// All are at the same point: it is looked at, and they go on.
async fn together(run: &Run, parts: &mut [Known]) -> Result<Look, Trouble> {
    let look = Look {
        at: Instant::now(),
        server: run.servers()?,
        own: parts.iter_mut().filter_map(|part| part.waits.take()).sum(),
    };
    for part in parts.iter_mut().filter(|part| !part.done) {
        // One that is gone is heard of by its listener.
        let _ = part.input.write_all(b"\n").await;
    }
    Ok(look)
}

/// The same program with the same arguments, and which one it is.
fn start(part: Part) -> Result<(Child, ChildStdin, ChildStdout), Trouble> {
    let failed = |why: &dyn std::fmt::Display| {
        Trouble::Process(format!(
            "process {part} of the load cannot be started: {why}; ask for fewer --processes"
        ))
    };
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .args(["--part", &part.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error))?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (input, output) = pipes.ok_or_else(|| failed(&"it has no pipes"))?;
    Ok((child, input, output))
}

/// Hands on what a part says, and nothing when it has ended.
async fn listen(
    index: usize,
    mut child: Child,
    output: ChildStdout,
    say: mpsc::Sender<(usize, Option<Word>)>,
) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let word = serde_json::from_str(&line);
        let word = word.unwrap_or_else(|error| {
            Word::Trouble(format!("a part of the load makes no sense: {error}"))
        });
        if say.send((index, Some(word))).await.is_err() {
            return;
        }
    }
    let _ = child.wait().await;
    let _ = say.send((index, None)).await;
}

/// Bytes that this process holds, where the system tells.
pub(super) fn own_resident() -> u64 {
    Usage::of(std::process::id()).map_or(0, |usage| usage.resident)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_word_is_one_line_and_read_as_it_was_said() {
        for word in [
            Word::Look { resident: 5 },
            Word::Trouble("two\nlines".to_owned()),
            Word::Seen(Seen::default()),
            Word::Done {
                tally: Box::default(),
                seconds: 1.5,
            },
        ] {
            let text = serde_json::to_string(&word).unwrap();
            assert!(!text.contains('\n'));
            let read: Word = serde_json::from_str(&text).unwrap();
            assert_eq!(format!("{read:?}"), format!("{word:?}"));
        }
    }
}
