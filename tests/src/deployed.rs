//! The real `rtc-server` as a child process, as somebody deploys it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr};
use tokio::time::{sleep, timeout};

use crate::process::{PATIENCE, binary, command_in};

/// A running `rtc-server` on a free port of the loopback, killed when dropped.
#[derive(Debug)]
pub struct Deployed {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    url: String,
}

impl Deployed {
    /// Starts it with these arguments and waits until it listens.
    ///
    /// # Errors
    /// When the binary is missing, or ends at once.
    pub async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_at(0, arguments).await
    }

    /// As [`Deployed::start`], at this port, once nobody else has it.
    ///
    /// # Errors
    /// When the binary is missing, or ends at once, or the port is not free after [`PATIENCE`].
    pub async fn start_at(port: u16, arguments: &[&str]) -> anyhow::Result<Self> {
        free(port).await?;
        Self::start_in(None, &format!("127.0.0.1:{port}"), arguments).await
    }

    /// As [`Deployed::start`], at this address in a network namespace.
    ///
    /// # Errors
    /// When the binary is missing, or ends at once.
    pub async fn start_in(
        namespace: Option<&str>,
        listen: &str,
        arguments: &[&str],
    ) -> anyhow::Result<Self> {
        let mut child = command_in(namespace, binary("rtc-server")?)
            .args(["--listen", listen])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().context("no standard error")?;
        let mut server = Self {
            child,
            stderr: BufReader::new(stderr).lines(),
            url: String::new(),
        };
        let line = server.line_with("listening at ").await?;
        let url = line.trim_start_matches("listening at ");
        server.url = url.trim_end_matches('/').to_owned();
        Ok(server)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port.
    ///
    /// # Errors
    /// When it said none.
    pub fn port(&self) -> anyhow::Result<u16> {
        let port = self.url.rsplit(':').next().unwrap_or_default();
        port.parse().context("an address without a port")
    }

    /// Ends it without a word, as by `kill -9`.
    ///
    /// # Errors
    /// When it has ended by itself.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The next line on its standard error that holds these words.
    ///
    /// # Errors
    /// When it ends first, or after [`PATIENCE`].
    pub async fn line_with(&mut self, words: &str) -> anyhow::Result<String> {
        let mut seen = Vec::new();
        let found = async {
            while let Some(line) = self.stderr.next_line().await? {
                if line.contains(words) {
                    return Ok(line);
                }
                seen.push(line);
            }
            bail!("rtc-server ended before it said {words:?}")
        };
        match timeout(PATIENCE, found).await {
            Ok(found) => found.with_context(|| format!("it said {seen:#?}")),
            Err(_) => bail!("rtc-server did not say {words:?}, but {seen:#?}"),
        }
    }

    /// Sends it a signal, by its name.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.child.id().context("the server has ended")?;
        let status = std::process::Command::new("kill")
            .args([format!("-{name}"), pid.to_string()])
            .status()?;
        anyhow::ensure!(status.success(), "kill -{name} {pid} failed");
        Ok(())
    }

    /// Waits for the end; gives the exit code.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn ended(mut self) -> anyhow::Result<Option<i32>> {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        Ok(ended.context("rtc-server does not end")??.code())
    }
}

/// Waits until this port of the loopback can be had. One that a server has left is given to whoever asks for any port, and
/// a client that looks for the server may connect to itself there, for as long as its handshake takes.
async fn free(port: u16) -> anyhow::Result<()> {
    let bound = async {
        loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    sleep(Duration::from_millis(20)).await;
                }
                bound => return bound.map(drop),
            }
        }
    };
    let bound = timeout(PATIENCE, bound).await;
    Ok(bound.with_context(|| format!("port {port} stays in use"))??)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_port_is_waited_for_until_its_owner_is_gone() {
        let owner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = owner.local_addr().unwrap().port();
        let mut waiting = std::pin::pin!(free(port));
        let early = timeout(Duration::from_millis(50), &mut waiting).await;
        assert!(early.is_err(), "somebody has it");
        drop(owner);
        waiting.await.unwrap();
    }
}
