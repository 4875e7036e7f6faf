//! The server inside this process.

use std::io;

/// A server that ends with this client.
#[derive(Debug)]
pub(super) struct Hosted;

impl Hosted {
    /// Starts listening on this machine's loopback addresses.
    pub(super) async fn start(_port: u16) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Tells the guests, and stops.
    pub(super) async fn stop(self) {}
}
