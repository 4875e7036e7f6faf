//! A page without a browser: a real socket.io-client of npm in a process of its own, see `web/client.js`.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::process::PATIENCE;

/// One client; killed when dropped.
#[derive(Debug)]
pub struct SocketIo {
    _child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Events that came while an answer was waited for.
    waiting: VecDeque<Value>,
    /// Answers that came while an event was.
    answers: VecDeque<Value>,
}

impl SocketIo {
    /// Connects with this major version of the client, by `websocket`, `polling`, or `both`.
    ///
    /// # Errors
    /// When the clients are not installed, or it does not connect.
    pub async fn connect(major: u8, transport: &str, url: &str) -> anyhow::Result<Self> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("web");
        if !folder.join("node_modules").is_dir() {
            bail!(
                "the clients are not there: run `npm ci` in {}",
                folder.display()
            );
        }
        let mut child = Command::new("node")
            .current_dir(folder)
            .args(["client.js", &major.to_string(), transport, url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("node does not start")?;
        let stdin = child.stdin.take().context("no standard input")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut client = Self {
            _child: child,
            stdin,
            stdout: BufReader::new(stdout).lines(),
            waiting: VecDeque::new(),
            answers: VecDeque::new(),
        };
        loop {
            let line = client.line().await?;
            match line[0].as_str() {
                Some("connect") => return Ok(client),
                Some("failed" | "disconnect") => bail!("it did not connect: {line}"),
                _ => {}
            }
        }
    }

    async fn line(&mut self) -> anyhow::Result<Value> {
        let line = timeout(PATIENCE, self.stdout.next_line())
            .await
            .context("nothing came in time")??;
        Ok(serde_json::from_str(&line.context("the client ended")?)?)
    }

    async fn tell(&mut self, what: &str, words: &Value) -> anyhow::Result<()> {
        let mut all = vec![json!(what)];
        all.extend(words.as_array().cloned().unwrap_or_default());
        let line = format!("{}\n", Value::from(all));
        self.stdin.write_all(line.as_bytes()).await?;
        Ok(())
    }

    /// Emits an event: `[name, arguments…]`.
    ///
    /// # Errors
    /// When the client has ended.
    pub async fn emit(&mut self, event: Value) -> anyhow::Result<()> {
        self.tell("emit", &event).await
    }

    /// Emits an event with a callback, and gives what it is called with first.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn ask(&mut self, event: Value) -> anyhow::Result<Value> {
        self.tell("ask", &event).await?;
        loop {
            if let Some(answer) = self.answers.pop_front() {
                return Ok(answer);
            }
            self.take().await?;
        }
    }

    /// The next event: `[name, arguments…]`.
    ///
    /// # Errors
    /// When none comes.
    pub async fn event(&mut self) -> anyhow::Result<Value> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            self.take().await?;
        }
    }

    async fn take(&mut self) -> anyhow::Result<()> {
        let mut line = self.line().await?;
        let Some(words) = line.as_array_mut().filter(|words| !words.is_empty()) else {
            bail!("the client wrote {line}");
        };
        match words.remove(0).as_str() {
            Some("event") => self.waiting.push_back(line),
            Some("answer") => self.answers.push_back(line[0].take()),
            Some("disconnect") => bail!("the connection has ended: {line}"),
            _ => {}
        }
        Ok(())
    }

    /// Closes the connection in order.
    ///
    /// # Errors
    /// When the client has ended.
    pub async fn close(&mut self) -> anyhow::Result<()> {
        self.tell("close", &json!([])).await
    }
}
