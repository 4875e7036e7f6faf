//! The server inside this process.

use std::io;

use rtc_server::{Config, Running, Server};

/// A server that ends with this client: in order by [`Self::stop`], at once when dropped.
#[derive(Debug)]
pub(super) struct Hosted {
    running: Running,
}

impl Hosted {
    /// Starts serving at this machine's loopback addresses; `AddrInUse` where somebody else does.
    pub(super) async fn start(port: u16) -> io::Result<Self> {
        let server = Server::bind(Config::localhost(port))
            .await
            .map_err(|error| error.source)?;
        Ok(Self {
            running: server.start(),
        })
    }

    /// Tells the guests to come back, which finds them a new host, and stops.
    pub(super) async fn stop(self) {
        self.running.shutdown().await;
    }
}
