//! Servers for tests: a free port on loopback, short times.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket};
use axum::routing::get;
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::handshake::{Handshake, sized};
use crate::socket::{closed_by_peer, fault, goodbye};
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

/// A server that says back whatever it is told, with the handshake, the limits and the manners of the real one: for suites
/// of WebSocket cases, which ask for echoes. Runs until it is dropped.
///
/// # Errors
/// When the machine does not give that address.
pub async fn echo(
    address: SocketAddr,
    message_bytes: usize,
) -> std::io::Result<(SocketAddr, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let serve = move |Handshake(upgrade): Handshake| async move {
        sized(upgrade, message_bytes).on_upgrade(say_back)
    };
    let router = Router::new().route("/", get(serve));
    let task = tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    });
    Ok((address, AbortOnDropHandle::new(task)))
}

async fn say_back(mut socket: WebSocket) {
    loop {
        match socket.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            Some(Ok(Message::Close(_))) => return closed_by_peer(&mut socket).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Err(error)) => {
                if let Some(reason) = fault(&error) {
                    goodbye(&mut socket, reason).await;
                }
                return;
            }
            None => return,
        }
    }
}
