//! One WebSocket to a server: opened within a bounded time, with a typed reason where that fails.

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rtc_protocol::SUBPROTOCOL;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error as WsError, ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::address::{ServerAddress, ServerChoice};
use super::error::SignalingError;
use crate::trust::{Distrust, Trust};

/// A link to the server.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// Its half that takes texts.
pub(super) type Sink = SplitSink<Socket, Message>;
/// Its half that gives them.
pub(super) type Stream = SplitStream<Socket>;

/// How long the server may take to close.
const CLOSING: Duration = Duration::from_secs(1);

/// The largest message taken from a server: a member list and a replay of nothing but offers stay far below.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// Why there is no link.
#[derive(Debug)]
pub(super) enum OpenError {
    /// Nobody listens there.
    Refused,
    /// Trying again may help.
    Passing(SignalingError),
    /// Trying again would not help.
    Lasting(SignalingError),
}

/// Why there is no link, before what answered instead of a WebSocket is judged.
#[derive(Debug)]
pub(super) enum DialError {
    /// Nobody answers, or too late.
    Open(OpenError),
    /// Somebody does.
    Upgrade(WsError),
}

/// Connects to `server`, giving each step `patience`.
pub(super) async fn open(
    server: &ServerChoice,
    trust: &Trust,
    patience: Duration,
) -> Result<Socket, OpenError> {
    let address = server.address();
    let url = address.socket_url();
    let dialled = dial(server, &url, Some(SUBPROTOCOL), trust, patience).await;
    dialled.map_err(|error| match error {
        DialError::Open(error) => error,
        DialError::Upgrade(error) => not_upgraded(&address, &error),
    })
}

/// Connects to `server` and asks for a WebSocket at `url` there, giving each step `patience`.
pub(super) async fn dial(
    server: &ServerChoice,
    url: &str,
    subprotocol: Option<&'static str>,
    trust: &Trust,
    patience: Duration,
) -> Result<Socket, DialError> {
    let address = server.address();
    let stream = match server {
        ServerChoice::Local { port } => connect(&address, &local_addresses(*port), patience).await,
        ServerChoice::Given(_) => {
            let (host, port) = address.host_and_port();
            let found = timeout(patience, lookup_host((host, port)))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            match found {
                Ok(found) => connect(&address, &found.collect::<Vec<_>>(), patience).await,
                Err(error) => Err(OpenError::Passing(unfound(&address, &error))),
            }
        }
    };
    let stream = stream.map_err(DialError::Open)?;
    let upgraded = upgrade(&address, url, subprotocol, trust, stream);
    match timeout(patience, upgraded).await {
        Ok(upgraded) => upgraded.map_err(DialError::Upgrade),
        Err(_) => Err(DialError::Open(OpenError::Passing(nonsense(
            &address,
            "it accepts connections but does not answer",
        )))),
    }
}

/// The addresses at which this machine's own server is looked for, the deciding one first.
pub(super) fn local_addresses(port: u16) -> [SocketAddr; 2] {
    [
        (Ipv4Addr::LOCALHOST, port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ]
}

/// Connects to the first of `candidates` that answers.
async fn connect(
    address: &ServerAddress,
    candidates: &[SocketAddr],
    patience: Duration,
) -> Result<TcpStream, OpenError> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for candidate in candidates {
        match timeout(patience, TcpStream::connect(candidate)).await {
            Ok(Ok(stream)) => {
                // Signals are small and wait for nothing.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot switch Nagle's algorithm off");
                }
                return Ok(stream);
            }
            // A refusal says more than what an address family that is not there says.
            Ok(Err(error)) if last.kind() != io::ErrorKind::ConnectionRefused => last = error,
            Ok(Err(_)) => {}
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(if last.kind() == io::ErrorKind::ConnectionRefused {
        OpenError::Refused
    } else {
        OpenError::Passing(unreachable(address, &last))
    })
}

async fn upgrade(
    address: &ServerAddress,
    url: &str,
    subprotocol: Option<&'static str>,
    trust: &Trust,
    stream: TcpStream,
) -> Result<Socket, WsError> {
    let mut request = url.into_client_request()?;
    if let Some(name) = subprotocol {
        let name = HeaderValue::from_static(name);
        request.headers_mut().insert("Sec-WebSocket-Protocol", name);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    let connector = if address.is_secure() {
        Connector::Rustls(trust.config().map_err(io::Error::other)?)
    } else {
        Connector::Plain
    };
    let opened = client_async_tls_with_config(request, stream, Some(config), Some(connector));
    let (socket, _) = opened.await?;
    Ok(socket)
}

/// Waits until the next text can be handed over; where there is none, until those before it are on their way.
pub(super) async fn writable(sink: &mut Sink, has_text: bool) -> Result<(), WsError> {
    poll_fn(|cx| match has_text {
        true => sink.poll_ready_unpin(cx),
        false => sink.poll_flush_unpin(cx),
    })
    .await
}

/// Closes the WebSocket as RFC 6455 section 7.1.1 asks: our close frame, then theirs.
pub(super) async fn close_properly(sink: &mut Sink, stream: &mut Stream) {
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "left".into(),
    };
    let closing = async {
        sink.send(Message::Close(Some(frame))).await?;
        while let Some(message) = stream.next().await {
            message?;
        }
        Ok::<(), WsError>(())
    };
    match timeout(CLOSING, closing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the link broke while closing"),
        Err(_) => tracing::debug!("the server does not close the link"),
    }
}

/// Sorts what came instead of a WebSocket.
pub(super) fn not_upgraded(address: &ServerAddress, error: &WsError) -> OpenError {
    match error {
        WsError::Http(response) => {
            let status = response.status();
            match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    OpenError::Lasting(SignalingError::Barred {
                        server: address.to_string(),
                        why: format!("HTTP status {status}"),
                    })
                }
                StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT => OpenError::Passing(SignalingError::NoServer {
                    server: address.to_string(),
                    why: format!("it answers with HTTP status {status}"),
                    next: "try again later",
                }),
                _ if status.is_redirection() => {
                    let to = response
                        .headers()
                        .get("location")
                        .and_then(|to| to.to_str().ok())
                        .unwrap_or("nowhere");
                    OpenError::Lasting(nonsense(address, &format!("it sends us on to {to}")))
                }
                _ => OpenError::Lasting(nonsense(
                    address,
                    &format!("it answers with HTTP status {status}"),
                )),
            }
        }
        WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(
            SubProtocolError::NoSubProtocol | SubProtocolError::InvalidSubProtocol,
        )) => OpenError::Lasting(nonsense(
            address,
            "it is a WebSocket server of another kind",
        )),
        WsError::Protocol(ProtocolError::HandshakeIncomplete)
        | WsError::ConnectionClosed
        | WsError::AlreadyClosed => OpenError::Passing(nonsense(address, "it closes at once")),
        WsError::Io(error) => broken_off(address, error),
        other => OpenError::Lasting(nonsense(address, &other.to_string())),
    }
}

/// Sorts how the connection ended: the library hands errors of TLS out as invalid data.
fn broken_off(address: &ServerAddress, error: &io::Error) -> OpenError {
    let server = address.to_string();
    if let Some(why) = Distrust::in_error(error) {
        let why = why.to_string();
        return OpenError::Lasting(SignalingError::Untrusted { server, why });
    }
    if error.kind() == io::ErrorKind::InvalidData {
        return OpenError::Lasting(SignalingError::NoServer {
            server,
            why: format!("no secure connection: {error}"),
            next: "use http: if the server has no certificate",
        });
    }
    OpenError::Passing(nonsense(address, &format!("it closes at once ({error})")))
}

/// Nobody there, in the words for people.
pub(super) fn unreachable(address: &ServerAddress, error: &io::Error) -> SignalingError {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    };
    SignalingError::NoServer {
        server: address.to_string(),
        why,
        next: "start one with `rtc-server`, or check the URL",
    }
}

fn unfound(address: &ServerAddress, error: &io::Error) -> SignalingError {
    SignalingError::NoServer {
        server: address.to_string(),
        why: format!("its name cannot be resolved ({error})"),
        next: "check the URL and the network",
    }
}

fn nonsense(address: &ServerAddress, why: &str) -> SignalingError {
    SignalingError::Nonsense {
        server: address.to_string(),
        why: why.to_owned(),
    }
}
