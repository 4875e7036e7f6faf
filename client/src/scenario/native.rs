//! One of ours: a process of this same program, told what to do by its control interface.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rtc_scenario::action::NativeAction;
use rtc_scenario::{Native, Seen};
use rtc_verdict::record::Told;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::player::Surroundings;
use crate::exit::Ending;
use crate::load::process::processor_of;
use crate::media::clock::Timestamp;

/// A join is waited for so long: one whose server is far away takes seconds.
const JOIN: Duration = Duration::from_secs(30);

/// A command is answered at once, but a busy machine may take its time.
const ANSWER: Duration = Duration::from_secs(15);

/// A call that is hung up writes its record; then it is over.
const GOODBYE: Duration = Duration::from_secs(20);

/// Commands that may wait for their answers at a time; more are refused.
const WAITING: usize = 64;

/// How much of what it complained of is told.
const LAST_WORDS: usize = 600;

/// A peer of ours, in the call or not.
pub(super) struct NativePlayer {
    peer: usize,
    name: String,
    native: Native,
    around: Surroundings,
    times: u32,
    running: Option<Running>,
    seen: Seen,
    /// What became of each time it was in the call.
    words: Vec<String>,
    /// Processor time, and over how long.
    used: (Duration, Duration),
}

/// A process that is in the call.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    record: PathBuf,
    stderr: PathBuf,
    since: Instant,
    next: u64,
    heard: Arc<Heard>,
    joined: watch::Receiver<bool>,
    _reader: AbortOnDropHandle<()>,
}

/// What the reader of a process's lines hands over.
#[derive(Default)]
struct Heard {
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Value>>>,
    /// The summary's words.
    outcome: Mutex<Option<String>>,
}

impl NativePlayer {
    pub(super) fn new(peer: usize, native: Native, around: Surroundings) -> Self {
        let name = around
            .setting
            .scenario
            .peers
            .get(peer)
            .map(|peer| peer.name.clone());
        Self {
            peer,
            name: name.unwrap_or_default(),
            native,
            around,
            times: 0,
            running: None,
            seen: Seen {
                held: true,
                ..Seen::default()
            },
            words: Vec::new(),
            used: (Duration::ZERO, Duration::ZERO),
        }
    }

    /// Joins, after having left where it is there already.
    pub(super) async fn join(&mut self, began: Timestamp) -> Result<Timestamp, String> {
        if self.running.is_some() {
            self.leave(began).await?;
        }
        let times = self.times + 1;
        let at = Timestamp::now();
        let file = |ending: &str| {
            self.around
                .folder
                .join(format!("{}.{times}.{ending}", self.name))
        };
        // One of a run before would be taken for this one's.
        let _ = std::fs::remove_file(file("record"));
        let arguments = self
            .around
            .setting
            .arguments(self.peer, &self.native, &self.around.server);
        let running = Running::start(&arguments, &file("jsonl"), file("stderr"), file("record"));
        let running = self
            .running
            .insert(running.map_err(|error| format!("it cannot be started: {error}"))?);
        self.times = times;
        running.joined().await.map(|()| at)
    }

    pub(super) async fn command(&mut self, action: &NativeAction) -> Result<Timestamp, String> {
        let impair = self.around.setting.impair(self.peer, &self.native.impair);
        let mut command = action.command(&self.native.video, &impair);
        // What is lost by chance is lost by the scenario's.
        if let NativeAction::Impair(spec) = action {
            command["spec"] = self.around.setting.impair(self.peer, spec).into();
        }
        let running = self.running.as_mut().ok_or("it is not in the call")?;
        running.ask(command).await?;
        Ok(Timestamp::now())
    }

    /// Leaves because a step says so: who does that early has seen enough, and is not asked what came of the call.
    pub(super) async fn leave(&mut self, began: Timestamp) -> Result<Timestamp, String> {
        self.end(false, began).await
    }

    /// Hangs up, and takes in what it measured and, where it is `judged`, what came of the call.
    async fn end(&mut self, judged: bool, began: Timestamp) -> Result<Timestamp, String> {
        let mut running = self.running.take().ok_or("it is not in the call")?;
        self.count(&running);
        let by_itself = running.is_over();
        running.hang_up(judged).await;
        let ended = timeout(GOODBYE, running.child.wait()).await;
        let at = Timestamp::now();
        let status = match ended {
            Ok(Ok(status)) => {
                if status.code().is_none() {
                    self.broke(format!("it was ended from outside ({status})"), None);
                }
                Ended {
                    code: status.code(),
                    by_itself,
                }
            }
            _ => {
                let _ = running.child.kill().await;
                self.broke(
                    format!("it did not end within {GOODBYE:?} of hanging up"),
                    None,
                );
                Ended::default()
            }
        };
        self.take(&running, status, began);
        Ok(at)
    }

    /// Ends it as a crash would; what it measured is lost with it.
    pub(super) async fn crash(&mut self, began: Timestamp) -> Result<Timestamp, String> {
        if self.running.as_mut().is_some_and(Running::is_over) {
            self.end(false, began).await?;
            return Err("it had ended by itself".into());
        }
        let mut running = self.running.take().ok_or("it is not in the call")?;
        self.count(&running);
        running
            .child
            .kill()
            .await
            .map_err(|error| format!("it cannot be killed: {error}"))?;
        self.words.push("killed, as asked".into());
        Ok(Timestamp::now())
    }

    pub(super) async fn finish(mut self, began: Timestamp) -> Seen {
        if self.running.is_some() {
            let _ = self.end(true, began).await;
        }
        if self.times == 0 {
            self.broke("it never joined".into(), None);
        }
        self.seen.words = self.words.join("; ");
        let (used, over) = self.used;
        if !over.is_zero() && !used.is_zero() {
            self.seen.processor = Some(used.as_secs_f64() / over.as_secs_f64());
        }
        self.seen
    }

    fn broke(&mut self, words: String, code: Option<u8>) {
        self.seen.held = false;
        self.seen.code = self.seen.code.or(code);
        self.words.push(words);
    }

    fn count(&mut self, running: &Running) {
        if let Some(used) = running.child.id().and_then(processor_of) {
            self.used.0 += used;
            self.used.1 += running.since.elapsed();
        }
    }

    /// What a process that has ended left behind.
    fn take(&mut self, running: &Running, ended: Ended, began: Timestamp) {
        let outcome = lock(&running.heard.outcome).take();
        let read = std::fs::read_to_string(&running.record).map_err(|error| error.to_string());
        let told = read.and_then(|text| Told::from_json(&text).map_err(|error| error.to_string()));
        let crashes = self.around.setting.scenario.crashes();
        match told {
            Ok(told) => {
                let later = told
                    .record
                    .began()
                    .saturating_sub(Duration::from_micros(began.as_micros()));
                let shifted = told.pictures.into_iter().map(|mut picture| {
                    picture.at += later;
                    picture
                });
                self.seen.pictures.extend(shifted);
                self.seen
                    .record
                    .absorb(&format!("{}/", self.times), told.record, later);
                match ended.judged(told.words, crashes) {
                    Ok(words) => self.words.push(words),
                    Err((words, code)) => self.broke(words, code),
                }
            }
            Err(error) => {
                let words = outcome.unwrap_or_else(|| last_words(&running.stderr));
                let words = if words.is_empty() {
                    format!("its record cannot be read: {error}")
                } else {
                    words
                };
                // Without a record nothing is known of the call: it is never a good end.
                match ended.judged(words, false) {
                    Ok(words) => self.broke(words, None),
                    Err((words, code)) => self.broke(words, code),
                }
            }
        }
    }
}

/// How a process of ours ended.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    /// Unknown of one that was ended from outside, which has been told by then.
    code: Option<i32>,
    /// Nobody had told it to.
    by_itself: bool,
}

impl Ended {
    /// The words for a call that came to a good end, or those for a bad one with its code. That others are lost is a part of a scenario
    /// that `crashes` them.
    fn judged(self, words: String, crashes: bool) -> Result<String, (String, Option<u8>)> {
        let Some(code) = self.code.filter(|code| *code != 0) else {
            return Ok(words);
        };
        let known = u8::try_from(code).ok();
        if self.by_itself {
            let words = format!("it ended by itself with exit code {code}: {words}");
            return Err((words, known));
        }
        if crashes && known == Some(Ending::Lost.code()) {
            return Ok(format!("{words}, in a scenario with a crash"));
        }
        Err((format!("exit code {code}: {words}"), known))
    }
}

impl Running {
    fn start(
        arguments: &[String],
        events: &Path,
        stderr: PathBuf,
        record: PathBuf,
    ) -> std::io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .arg("--report")
            .arg(&record)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&stderr)?)
            .kill_on_drop(true)
            .spawn()?;
        let events = File::create(events)?;
        let heard = Arc::new(Heard::default());
        let (joined, is_joined) = watch::channel(false);
        let stdout = child.stdout.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        let reader = read(stdout, events, Arc::clone(&heard), joined);
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            record,
            stderr,
            since: Instant::now(),
            next: 0,
            heard,
            joined: is_joined,
            _reader: AbortOnDropHandle::new(tokio::spawn(reader)),
        })
    }

    async fn joined(&mut self) -> Result<(), String> {
        let joined = timeout(JOIN, self.joined.wait_for(|joined| *joined)).await;
        // What it gives is a lock.
        match joined.map(|seen| seen.map(drop)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => {
                let _ = timeout(GOODBYE, self.child.wait()).await;
                let words = last_words(&self.stderr);
                Err(format!("it ended before it had joined: {words}"))
            }
            Err(_) => Err(format!("it did not join within {JOIN:?}")),
        }
    }

    async fn ask(&mut self, mut command: Value) -> Result<(), String> {
        self.next += 1;
        command["id"] = self.next.into();
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = lock(&self.heard.waiting);
            if waiting.len() >= WAITING {
                return Err(format!("{WAITING} commands wait for their answers"));
            }
            waiting.insert(self.next, tell);
        }
        self.write(&command)
            .await
            .map_err(|error| format!("it takes no commands: {error}"))?;
        match timeout(ANSWER, told).await {
            Ok(Ok(answer)) => match answer["error"].as_str() {
                Some(error) => Err(error.to_owned()),
                None => Ok(()),
            },
            Ok(Err(_)) => Err("it ended before it answered".into()),
            Err(_) => Err(format!("it did not answer within {ANSWER:?}")),
        }
    }

    /// Whether it has ended, though nobody has told it to.
    fn is_over(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// One that is gone needs no telling; the end of its input says the same.
    async fn hang_up(&mut self, judged: bool) {
        let _ = self
            .write(&json!({ "do": "hang-up", "judged": judged }))
            .await;
    }

    async fn write(&mut self, command: &Value) -> std::io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(std::io::ErrorKind::BrokenPipe)?;
        stdin.write_all(format!("{command}\n").as_bytes()).await?;
        stdin.flush().await
    }
}

/// Keeps every line and hands over what somebody waits for, until the process closes its output.
async fn read(
    stdout: ChildStdout,
    mut events: File,
    heard: Arc<Heard>,
    joined: watch::Sender<bool>,
) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // A disk that is full costs the artefact, not the call.
        let _ = writeln!(events, "{line}");
        let Ok(event) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        match event["event"].as_str() {
            Some("joined") => {
                let _ = joined.send(true);
            }
            Some("answer") => {
                let waiting = event["id"]
                    .as_u64()
                    .and_then(|id| lock(&heard.waiting).remove(&id));
                if let Some(tell) = waiting {
                    let _ = tell.send(event);
                }
            }
            Some("summary") => {
                *lock(&heard.outcome) = event["outcome"].as_str().map(str::to_owned);
            }
            _ => {}
        }
    }
    // Nobody will be answered any more.
    lock(&heard.waiting).clear();
}

/// The end of what it complained of, on one line.
fn last_words(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join(" ");
    let skipped = text.chars().count().saturating_sub(LAST_WORDS);
    text.chars().skip(skipped).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn judged(
        code: Option<i32>,
        by_itself: bool,
        crashes: bool,
    ) -> Result<String, (String, Option<u8>)> {
        Ended { code, by_itself }.judged("so it was".into(), crashes)
    }

    #[test]
    fn a_call_fails_with_the_exit_code_it_came_to() {
        assert_eq!(judged(Some(0), false, false), Ok("so it was".into()));
        let (words, code) = judged(Some(6), false, true).unwrap_err();
        assert_eq!((words.as_str(), code), ("exit code 6: so it was", Some(6)));
        // One of nobody's has no place among ours, and is told all the same.
        let (words, code) = judged(Some(-7), false, false).unwrap_err();
        assert!(words.contains("-7") && code.is_none(), "{words}");
    }

    #[test]
    fn who_ended_before_being_told_to_fails_whatever_was_asked_for() {
        let (words, code) = judged(Some(8), true, true).unwrap_err();
        assert!(
            words.starts_with("it ended by itself with exit code 8"),
            "{words}"
        );
        assert_eq!(code, Some(8));
    }

    #[test]
    fn who_lost_somebody_to_a_crash_of_the_scenario_is_not_blamed() {
        assert!(judged(Some(8), false, true).is_ok());
        assert!(judged(Some(8), false, false).is_err());
    }
}
