//! A `redis-server` of one's own, for servers that are one.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::process::PATIENCE;

/// Nobody else's, so that no other broker is taken for this one.
const PASSWORD: &str = "of-the-tests-of-rtc-client";

/// Keeps nothing on disk; killed when dropped.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Redis {
    /// Starts it on a free port of the loopback.
    ///
    /// # Errors
    /// When it is not installed, or does not answer.
    pub async fn start() -> anyhow::Result<Self> {
        let started = async {
            loop {
                let free = TcpListener::bind("127.0.0.1:0").await?;
                let port = free.local_addr()?.port();
                drop(free);
                let folder = tempfile::tempdir()?;
                if let Some(child) = attempt(port, &folder).await? {
                    return Ok(Self {
                        child,
                        port,
                        folder,
                    });
                }
            }
        };
        timeout(PATIENCE, started)
            .await
            .context("redis-server does not answer")?
    }

    /// Ends it as by `kill -9`; what it knew is gone.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The same address again, where nothing is known.
    ///
    /// # Errors
    /// When somebody else has it, or nothing answers there.
    pub async fn come_back_empty(&mut self) -> anyhow::Result<()> {
        let started = async {
            loop {
                if let Some(child) = attempt(self.port, &self.folder).await? {
                    self.child = child;
                    return Ok(());
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, started)
            .await
            .context("redis-server does not come back")?
    }

    /// For `--cluster`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }
}

/// None when somebody else has the port.
async fn attempt(port: u16, folder: &TempDir) -> anyhow::Result<Option<Child>> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--requirepass", PASSWORD, "--save", ""])
        .args(["--appendonly", "no", "--dir"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("redis-server is needed: scripts/setup test installs it")?;
    while child.try_wait()?.is_none() {
        if answers(port).await.is_some() {
            return Ok(Some(child));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}

async fn answers(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let auth = format!("AUTH {PASSWORD}\r\n");
    stream.write_all(auth.as_bytes()).await.ok()?;
    let mut answer = [0; 3];
    let read = stream.read_exact(&mut answer);
    timeout(Duration::from_secs(1), read).await.ok()?.ok()?;
    (&answer == b"+OK").then_some(())
}
