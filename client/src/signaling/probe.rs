//! A look at a server: whether it is there, whether it is ours, and what it hands out. It joins no room.

use std::io;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{AuthToken, ClientFrame, ClientMessage, IceServer, ServerFrame, ServerMessage};
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::address::ServerChoice;
use super::error::SignalingError;
use super::socket::{OpenError, Socket, open, unreachable};
use crate::trust::Trust;

/// Round trips that are taken.
const PINGS: u64 = 5;

/// What a look at a server gives.
#[derive(Clone, Debug)]
pub struct Probed {
    /// What it calls itself.
    pub server: String,
    /// STUN and TURN servers that it hands out.
    pub ice_servers: Vec<IceServer>,
    /// Until its name was an address.
    pub resolved: Duration,
    /// Until the WebSocket stood, TLS in it.
    pub opened: Duration,
    /// The shortest and the longest round trip.
    pub round_trip: (Duration, Duration),
}

/// Why there was nothing to see.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nobody listens at this machine's own address: a client would start a server there.
    #[error("no server runs at {0}; `rtc-client join` starts one there")]
    NoneHere(String),
    /// It cannot be reached, or is none of ours.
    #[error(transparent)]
    Signaling(#[from] SignalingError),
    /// It does not let us in.
    #[error("{server} refuses: {why}")]
    Refused {
        /// Which.
        server: String,
        /// In its words.
        why: String,
    },
    /// It says nothing, or nothing that makes sense.
    #[error("{server} takes the connection and then {why}; look at its log")]
    Mute {
        /// Which.
        server: String,
        /// What it does.
        why: String,
    },
}

/// Whether a server answers at all, giving each step `patience`.
///
/// # Errors
/// As [`ProbeError`] tells them apart.
pub async fn answers(
    server: &ServerChoice,
    trust: &Trust,
    patience: Duration,
) -> Result<(), ProbeError> {
    reach(server, trust, patience).await.map(drop)
}

async fn reach(
    server: &ServerChoice,
    trust: &Trust,
    patience: Duration,
) -> Result<Socket, ProbeError> {
    let address = server.address();
    match open(server, trust, patience).await {
        Ok(socket) => Ok(socket),
        Err(OpenError::Refused) if matches!(server, ServerChoice::Local { .. }) => {
            Err(ProbeError::NoneHere(address.to_string()))
        }
        Err(OpenError::Refused) => {
            let refused = io::ErrorKind::ConnectionRefused.into();
            Err(unreachable(&address, &refused).into())
        }
        Err(OpenError::Passing(error) | OpenError::Lasting(error)) => Err(error.into()),
    }
}

/// Looks at a server, giving each step `patience`.
///
/// # Errors
/// As [`ProbeError`] tells them apart.
pub async fn probe(
    server: &ServerChoice,
    trust: &Trust,
    auth: Option<AuthToken>,
    patience: Duration,
) -> Result<Probed, ProbeError> {
    let address = server.address();
    let began = Instant::now();
    if let ServerChoice::Given(_) = server {
        let (host, port) = address.host_and_port();
        // Whether it can be resolved is told, with the rest, by opening.
        let _ = timeout(patience, lookup_host((host, port))).await;
    }
    let resolved = began.elapsed();
    let began = Instant::now();
    let mut socket = reach(server, trust, patience).await?;
    let opened = began.elapsed();
    let mute = |why: &str| ProbeError::Mute {
        server: address.to_string(),
        why: why.to_owned(),
    };
    let talk = async {
        let hello = ClientMessage::Hello {
            resume: None,
            last_seq: None,
            name: None,
            auth,
            agent: Some(concat!("rtc-client-doctor/", env!("CARGO_PKG_VERSION")).to_owned()),
        };
        say(&mut socket, 1, hello).await.ok_or("closes it")?;
        let (name, ice_servers) = loop {
            match hear(&mut socket).await.ok_or("closes it")? {
                ServerMessage::Welcome {
                    server,
                    ice_servers,
                    ..
                } => break (server, ice_servers),
                ServerMessage::Error { message, .. } => return Ok(Err(message)),
                _ => {}
            }
        };
        let mut trips = Vec::new();
        for number in 0..PINGS {
            let sent = number as f64;
            let began = Instant::now();
            let ping = ClientMessage::Ping { t: sent };
            say(&mut socket, 2 + number, ping)
                .await
                .ok_or("closes it")?;
            loop {
                match hear(&mut socket).await.ok_or("closes it")? {
                    ServerMessage::Pong { t } if t.to_bits() == sent.to_bits() => break,
                    _ => {}
                }
            }
            trips.push(began.elapsed());
        }
        Ok::<_, &str>(Ok((name, ice_servers, trips)))
    };
    let told = match timeout(patience, talk).await {
        Ok(Ok(Ok(told))) => told,
        Ok(Ok(Err(why))) => {
            let server = address.to_string();
            return Err(ProbeError::Refused { server, why });
        }
        Ok(Err(why)) => return Err(mute(why)),
        Err(_) => return Err(mute("says nothing")),
    };
    let _ = timeout(patience, socket.close(None)).await;
    let (server, ice_servers, trips) = told;
    Ok(Probed {
        server,
        ice_servers,
        resolved,
        opened,
        round_trip: (
            trips.iter().min().copied().unwrap_or_default(),
            trips.iter().max().copied().unwrap_or_default(),
        ),
    })
}

async fn say(socket: &mut Socket, id: u64, message: ClientMessage) -> Option<()> {
    let id = Some(id);
    let text = ClientFrame { id, message }.to_json();
    socket.send(Message::text(text)).await.ok()
}

async fn hear(socket: &mut Socket) -> Option<ServerMessage> {
    loop {
        if let Message::Text(text) = socket.next().await?.ok()? {
            return Some(ServerFrame::parse(&text).ok()?.message);
        }
    }
}
