//! By a program of the user's: JSON lines on its standard input and output. What it does with them is its own business.
//!
//! `line` has the words, pure. The program is ours: it is started by us, its standard error goes through, and it ends with us. Its own
//! end is the end of signaling: before there is a call that is a failure, later the call goes on without.

pub(crate) mod line;

use std::process::{ExitStatus, Stdio};

use rtc_protocol::{RoomId, Signal};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Process};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::error::SignalingError;
use super::event::SignalingEvent;
use super::link::Command;
use super::pair::{GOODBYE, Owner, Pair, Turn};
use super::terms::Terms;
use super::via::far_name;
use line::{LONGEST, LineError, Word};

/// As in a room: what the program carries, it carries both ways at any time.
pub(super) const TERMS: Terms = Terms {
    pair: true,
    ..Terms::ROOM
};

/// Lines from the program that wait; it waits, too, then.
const INBOX: usize = 16;

/// Lines for the program that wait. A program that takes none while so many come is given up: nobody would know what was lost.
const OUTBOX: usize = 1024;

/// Why a program carries no signals, or none any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The system does not start it.
    #[error("the program {command:?} of --signaling cannot be started: {why}; check the command")]
    Start {
        /// As it was given.
        command: String,
        /// What the system said.
        why: String,
    },
    /// It ended before the two sides had anything to do with each other.
    #[error(
        "the program {command:?} of --signaling ended ({how}) before an offer was answered; what it wrote to standard error may say why"
    )]
    Ended {
        /// As it was given.
        command: String,
        /// Its exit status.
        how: String,
    },
    /// It says that it cannot.
    #[error("the program {command:?} of --signaling says: {why}")]
    Says {
        /// As it was given.
        command: String,
        /// Its words.
        why: String,
    },
    /// It takes nothing.
    #[error(
        "the program {command:?} of --signaling reads nothing: {OUTBOX} lines wait for it; it has to read its standard input"
    )]
    Deaf {
        /// As it was given.
        command: String,
    },
}

impl From<ProgramError> for SignalingError {
    fn from(error: ProgramError) -> Self {
        Self::Program(error)
    }
}

/// All that the task owns.
pub(super) struct Door {
    command: String,
    child: Group,
    /// Lines to it; gone when it takes no more.
    outbox: Option<mpsc::Sender<String>>,
    inbox: mpsc::Receiver<Result<String, LineError>>,
    _writer: AbortOnDropHandle<()>,
    _reader: AbortOnDropHandle<()>,
    /// Descriptions of ours and theirs have gone by.
    exchanged: [bool; 2],
    pair: Pair,
    owner: Owner,
}

impl Door {
    pub(super) fn open(
        command: String,
        room: &RoomId,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<SignalingEvent>,
    ) -> Result<Self, SignalingError> {
        let failed = |why: String| ProgramError::Start {
            command: command.clone(),
            why,
        };
        let mut child = shell(&command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("it has no standard input or output".to_owned()).into());
        };
        let (outbox, lines) = mpsc::channel(OUTBOX);
        let (heard, inbox) = mpsc::channel(INBOX);
        let name = far_name("other").map_err(|_| SignalingError::Ended)?;
        let mut pair = Pair::new(room, &name);
        pair.welcome(Vec::new());
        Ok(Self {
            command,
            child: Group(child),
            outbox: Some(outbox),
            inbox,
            _writer: AbortOnDropHandle::new(tokio::spawn(write(input, lines))),
            _reader: AbortOnDropHandle::new(tokio::spawn(read(output, heard))),
            exchanged: [false; 2],
            pair,
            owner: Owner::new(commands, events),
        })
    }

    pub(super) const fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Carries signals until our owner leaves.
    pub(super) async fn run(mut self) {
        // Who of the two begins is the program's to say; until then there is nobody.
        self.pair.joined(false);
        let over = loop {
            let listening = !self.pair.is_full();
            tokio::select! {
                turn = self.owner.turn(&mut self.pair, None) => match turn {
                    Turn::Command(Command::Signal(_, signal)) => {
                        if let Err(error) = self.say(signal) {
                            break Err(error);
                        }
                    }
                    Turn::Command(_) | Turn::Told | Turn::Time => {}
                    Turn::Leave(done) => break Ok(done),
                },
                line = self.inbox.recv(), if listening => match line {
                    Some(line) => if let Err(error) = self.hear(line) {
                        break Err(error);
                    },
                    None => break Err(self.ended().await),
                },
            }
        };
        let done = match over {
            Ok(done) => done,
            Err(over) => {
                let fatal = match over {
                    Over::Failed(error) => Some(error.into()),
                    // Media go from peer to peer: a call that stands needs no signaling to go on.
                    Over::Gone(reason) => {
                        self.pair.tell(SignalingEvent::Lost { reason });
                        None
                    }
                };
                self.owner.end(&mut self.pair, fatal).await
            }
        };
        self.say_goodbye().await;
        if let Some(done) = done {
            done.send(()).ok();
        }
    }

    fn say(&mut self, signal: Signal) -> Result<(), Over> {
        self.exchanged[0] |= matches!(signal, Signal::Description(_));
        let Some(text) = line::write(&Word::Signal(signal)) else {
            return Ok(());
        };
        self.write(text)
    }

    fn write(&mut self, text: String) -> Result<(), Over> {
        let Some(outbox) = &self.outbox else {
            return Ok(());
        };
        match outbox.try_send(text) {
            Ok(()) => Ok(()),
            // It closed its input; its output may still say something, or end.
            Err(mpsc::error::TrySendError::Closed(_)) => {
                self.outbox = None;
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(_)) => Err(Over::Failed(ProgramError::Deaf {
                command: self.command.clone(),
            })),
        }
    }

    fn hear(&mut self, line: Result<String, LineError>) -> Result<(), Over> {
        match line.and_then(|line| line::read(&line)) {
            Ok(None) => {}
            Ok(Some(Word::Begin)) => self.pair.joined(true),
            Ok(Some(Word::Signal(signal))) => {
                self.exchanged[1] |= matches!(signal, Signal::Description(_));
                self.pair.heard(signal);
            }
            Ok(Some(Word::Bye)) => self.pair.left(),
            Ok(Some(Word::Error(why))) => {
                let command = self.command.clone();
                return Err(Over::Failed(ProgramError::Says { command, why }));
            }
            Err(error) => {
                let why = error.to_string();
                let text =
                    format!("the program of --signaling wrote a line that makes no sense: {why}");
                self.pair.tell(SignalingEvent::Notice { text });
                if let Some(text) = line::write(&Word::Error(why)) {
                    self.write(text)?;
                }
            }
        }
        Ok(())
    }

    /// It says no more: waits for its end.
    async fn ended(&mut self) -> Over {
        let status = timeout(GOODBYE, self.child.0.wait()).await;
        let how = match status {
            Ok(Ok(status)) => words(status),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it closed its standard output".to_owned(),
        };
        if self.exchanged == [true; 2] {
            return Over::Gone(format!("the program of --signaling ended ({how})"));
        }
        let command = self.command.clone();
        Over::Failed(ProgramError::Ended { command, how })
    }

    /// Says so, closes its input, and gives it a moment to end by itself.
    async fn say_goodbye(&mut self) {
        if let Some(text) = line::write(&Word::Bye) {
            let _ = self.write(text);
        }
        self.outbox = None;
        if timeout(GOODBYE / 3, self.child.0.wait()).await.is_err() {
            tracing::debug!("the program of --signaling does not end by itself");
            self.child.kill();
            let _ = timeout(GOODBYE / 3, self.child.0.wait()).await;
        }
    }
}

/// Why it is over.
enum Over {
    Failed(ProgramError),
    Gone(String),
}

fn words(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}

/// The program and what it started, ended together.
struct Group(Child);

impl Group {
    fn kill(&mut self) {
        // One that was waited for has no number any more, and what it started may go on as it likes.
        let Some(id) = self.0.id() else { return };
        #[cfg(unix)]
        if let Some(group) = i32::try_from(id)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let signal = rustix::process::Signal::KILL;
            if let Err(error) = rustix::process::kill_process_group(group, signal) {
                tracing::debug!("the program of --signaling cannot be ended: {error}");
            }
        }
        #[cfg(not(unix))]
        if let Err(error) = self.0.start_kill() {
            tracing::debug!("the program of --signaling ({id}) cannot be ended: {error}");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The system's shell, so that quotes and variables mean what they mean there.
fn shell(command: &str) -> Process {
    #[cfg(unix)]
    {
        let mut process = Process::new("/bin/sh");
        process.args(["-c", command]);
        // Ctrl-C is for us, and we tell the program; what it started ends with it.
        process.process_group(0);
        process
    }
    #[cfg(not(unix))]
    {
        let mut process = Process::new("cmd");
        process.args(["/C", command]);
        process
    }
}

async fn write(mut input: ChildStdin, mut lines: mpsc::Receiver<String>) {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        if let Err(error) = input.write_all(line.as_bytes()).await {
            return tracing::debug!("the program of --signaling takes nothing: {error}");
        }
    }
}

/// Gives lines as they come, and what is too long as an error in its place.
async fn read(output: ChildStdout, heard: mpsc::Sender<Result<String, LineError>>) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    let mut skipping = false;
    loop {
        bytes.clear();
        let most = LONGEST as u64 + 1;
        match (&mut output).take(most).read_until(b'\n', &mut bytes).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => return tracing::debug!("the program of --signaling: {error}"),
        }
        let whole = bytes.ends_with(b"\n") || bytes.len() <= LONGEST;
        let line = match (whole, skipping) {
            (true, false) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            // The end of one that was too long.
            (true, true) => {
                skipping = false;
                continue;
            }
            (false, true) => continue,
            (false, false) => {
                skipping = true;
                Err(LineError::TooLong)
            }
        };
        if heard.send(line).await.is_err() {
            return;
        }
    }
}
