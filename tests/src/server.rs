//! A server of the test's own, on a free port.

use anyhow::Context;
use rtc_server::{Config, Running, Server};

/// A running server inside the test; it ends when dropped.
#[derive(Debug)]
pub struct TestServer {
    port: u16,
    running: Running,
}

impl TestServer {
    /// Starts on a free port of the loopback.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(Config::localhost(0)).await
    }

    /// Starts as configured; the first address counts.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn start_with(config: Config) -> anyhow::Result<Self> {
        let server = Server::bind(config).await?;
        let running = server.start();
        let port = running.local_addrs().first().context("no address")?.port();
        Ok(Self { port, running })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.running.shutdown().await;
    }
}
