//! Servers for tests: a free port on loopback, short times.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::{BindError, Config, Running, Server};

/// What tests are served with: times in which a test can wait for the end of something.
#[must_use]
pub fn config() -> Config {
    Config {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        heartbeat: Duration::from_secs(2),
        resume_window: Duration::from_secs(1),
        ..Config::default()
    }
}

/// A server on a free port, and that port's address.
///
/// # Errors
/// When the machine gives no port.
pub async fn start(config: Config) -> Result<(Running, SocketAddr), BindError> {
    let listen = config.listen.first().copied();
    let server = Server::bind(config).await?;
    let nowhere = || BindError {
        address: listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        source: std::io::ErrorKind::AddrNotAvailable.into(),
    };
    let address = server.local_addrs().first().copied().ok_or_else(nowhere)?;
    Ok((server.start(), address))
}
