//! The real binaries as child processes, and what they say as events.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::FutureExt;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout};

/// How long any single thing may take on a busy machine before a test calls it a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where cargo put a binary of the workspace: above a test's own folder, beside a program.
///
/// # Errors
/// When it was not built.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let mut folder = test.parent().context("the test has no folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("the test has no folder")?;
    }
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        bail!(
            "{} is not there: run `cargo build --workspace --bins` first",
            path.display()
        );
    }
    Ok(path)
}

/// A command that runs in a network namespace, if one is named.
pub(crate) fn command_in(namespace: Option<&str>, program: PathBuf) -> Command {
    let Some(namespace) = namespace else {
        return Command::new(program);
    };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

/// A running `rtc-client … --json`, killed when dropped.
#[derive(Debug)]
pub struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Option<ChildStderr>,
    /// Everything said so far.
    pub events: Vec<Value>,
    /// Said, and not yet looked at by `wait_for`.
    unread: VecDeque<Value>,
    arguments: String,
}

/// How a client ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// All its events.
    pub events: Vec<Value>,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Pictures of a peer that were decoded, as a `stats` event says.
#[must_use]
pub fn decoded(stats: &Value) -> u64 {
    let report = stats["report"].as_object().into_iter().flatten();
    let received = report.filter(|(_, one)| one["type"] == "inbound-rtp");
    received
        .filter_map(|(_, one)| one["framesDecoded"].as_u64())
        .sum()
}

impl Ended {
    /// The `summary` event.
    ///
    /// # Errors
    /// When there was none.
    pub fn summary(&self) -> anyhow::Result<&Value> {
        self.events
            .iter()
            .find(|event| event["event"] == "summary")
            .with_context(|| format!("no summary among\n{}{}", told(&self.events), self.stderr))
    }
}

/// A line for each event, as somebody reads them who looks for what went wrong: reports are long, and told every second.
fn told(events: &[Value]) -> String {
    let mut lines = String::new();
    for event in events.iter().filter(|event| event["event"] != "stats") {
        lines.push_str(&format!("  {event}\n"));
    }
    lines
}

/// A test that fails tells what each of its clients said.
impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut waits = 0;
            while waits < 20 {
                match self.stdout.next_line().now_or_never() {
                    Some(Ok(Some(line))) => drop(self.take(&line)),
                    Some(_) => break,
                    None => {
                        waits += 1;
                        std::thread::sleep(Duration::from_millis(10));
                    }
                }
            }
            eprintln!("rtc-client {}:\n{}", self.arguments, told(&self.events));
        }
    }
}

impl Client {
    /// Starts `rtc-client` with `--json` and these arguments.
    ///
    /// # Errors
    /// When the binary is missing.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(arguments, &[])
    }

    /// As [`Client::start`], with variables added to the environment.
    ///
    /// # Errors
    /// When the binary is missing.
    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_in(None, arguments, environment)
    }

    /// As [`Client::start_with`], in a network namespace.
    ///
    /// # Errors
    /// When the binary is missing.
    pub fn start_in(
        namespace: Option<&str>,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut child = command_in(namespace, binary("rtc-client")?)
            .args(arguments)
            .arg("--json")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        Ok(Self {
            stdin: child.stdin.take(),
            stderr: child.stderr.take(),
            child,
            stdout: BufReader::new(stdout).lines(),
            events: Vec::new(),
            unread: VecDeque::new(),
            arguments: arguments.join(" "),
        })
    }

    /// The process's number.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the next event of this kind that `wanted` likes.
    ///
    /// # Errors
    /// When the client ends first, or after [`PATIENCE`].
    pub async fn wait_for(
        &mut self,
        kind: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let until = Instant::now() + PATIENCE;
        loop {
            while let Some(event) = self.unread.pop_front() {
                if event["event"] == kind && wanted(&event) {
                    return Ok(event);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            match timeout(left, self.stdout.next_line()).await {
                Ok(Ok(Some(line))) => self.take(&line)?,
                Ok(Ok(None)) => {
                    let errors = self.errors().await;
                    bail!(
                        "rtc-client {} ended before {kind}:\n{}{errors}",
                        self.arguments,
                        told(&self.events)
                    )
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {
                    self.child.start_kill()?;
                    let errors = self.errors().await;
                    bail!(
                        "rtc-client {}: no {kind} in {PATIENCE:?}:\n{}{errors}",
                        self.arguments,
                        told(&self.events)
                    )
                }
            }
        }
    }

    /// Types a line on its standard input.
    ///
    /// # Errors
    /// When the process is gone.
    pub async fn type_line(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("the client has ended")?;
        stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(stdin.flush().await?)
    }

    /// Its standard input, to write into and to close.
    pub const fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Sends a signal, by its name: `INT`, `TERM`, `KILL`.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.id().context("the client has ended")?;
        let status = std::process::Command::new("kill")
            .args([format!("-{name}"), pid.to_string()])
            .status()?;
        anyhow::ensure!(status.success(), "kill -{name} {pid} failed");
        Ok(())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not end within its `--duration` and [`PATIENCE`].
    pub async fn ended(mut self, duration: Duration) -> anyhow::Result<Ended> {
        let all = async {
            while let Some(line) = self.stdout.next_line().await? {
                self.take(&line)?;
            }
            anyhow::Ok(self.child.wait().await?)
        };
        let Ok(status) = timeout(duration + PATIENCE, all).await else {
            self.child.start_kill()?;
            bail!(
                "rtc-client {} does not end:\n{}",
                self.arguments,
                told(&self.events)
            );
        };
        Ok(Ended {
            code: status?.code(),
            stderr: self.errors().await,
            events: std::mem::take(&mut self.events),
        })
    }

    /// Waits for the end while nobody reads what is said; gives the exit code.
    ///
    /// # Errors
    /// When it does not end within [`PATIENCE`].
    pub async fn ended_unread(mut self) -> anyhow::Result<Option<i32>> {
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => Ok(status?.code()),
            Err(_) => bail!("rtc-client {} does not end unread", self.arguments),
        }
    }

    fn take(&mut self, line: &str) -> anyhow::Result<()> {
        let event: Value =
            serde_json::from_str(line).with_context(|| format!("no JSON: {line:?}"))?;
        self.events.push(event.clone());
        self.unread.push_back(event);
        Ok(())
    }

    async fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut stderr) = self.stderr.take() {
            let _ = timeout(Duration::from_secs(5), stderr.read_to_string(&mut text)).await;
        }
        text
    }
}
