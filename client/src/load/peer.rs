//! One peer over a WebSocket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::args::{Dialect, Plan};
use super::speech::{Heard, Side, Speech, Stamp, What, speech};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Small, as there are thousands: what goes over at once is written at once all the same.
const BUFFER: usize = 4096;

/// Why something failed. Short where it is counted: each text is a row of the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error(
        "no server answers at {server} ({why}); start one with `rtc-server`, or name another with --server"
    )]
    Nobody { server: String, why: String },
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("no WebSocket there: {0}")]
    Handshake(String),
    #[error("the server closed the link{0}")]
    Closed(String),
    #[error("refused: {0}")]
    Refused(String),
    #[error("nothing came in time: {0}")]
    Patience(&'static str),
    #[error("the place was lost: the server did not know the session any more")]
    Forgotten,
    #[error("{0}")]
    Process(String),
}

/// Where the server is, and how to get there.
#[derive(Clone)]
pub(super) struct Door {
    address: SocketAddr,
    base: String,
    connector: Connector,
    dialect: Dialect,
    sources: u8,
    connections: Arc<AtomicUsize>,
}

impl Door {
    /// Looks the server up, and whether it is there at all.
    pub(super) async fn find(plan: &Plan) -> Result<Self, Trouble> {
        let nobody = |why: String| Trouble::Nobody {
            server: plan.server.home_url(),
            why,
        };
        let connector = if plan.server.is_secure() {
            let config = plan.trust.config();
            Connector::Rustls(config.map_err(|error| nobody(error.to_string()))?)
        } else {
            Connector::Plain
        };
        let (host, port) = plan.server.host_and_port();
        let found = timeout(
            plan.patience,
            lookup_host((host.trim_matches(['[', ']']), port)),
        )
        .await;
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(nobody(error.to_string())),
            Err(_) => return Err(nobody("its name is not found in time".to_owned())),
        };
        let mut why = "its name has no address".to_owned();
        for address in found {
            match timeout(plan.patience, TcpStream::connect(address)).await {
                Ok(Ok(_)) if plan.sources > 1 && !address.ip().is_loopback() => {
                    return Err(nobody("--sources is for 127.0.0.1 alone".to_owned()));
                }
                Ok(Ok(_)) => {
                    return Ok(Self {
                        address,
                        base: plan.server.home_url(),
                        connector,
                        dialect: plan.dialect,
                        sources: plan.sources,
                        connections: Arc::default(),
                    });
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = "it does not answer".to_owned(),
            }
        }
        Err(nobody(why))
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = if self.sources > 1 && self.address.is_ipv4() {
            let number =
                self.connections.fetch_add(1, Ordering::Relaxed) % usize::from(self.sources);
            let last = u8::try_from(number + 1).unwrap_or(1);
            let socket = TcpSocket::new_v4()?;
            socket.bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0).into())?;
            socket.connect(self.address).await?
        } else {
            TcpStream::connect(self.address).await?
        };
        // Each message goes out by itself, as from a browser.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn request(&self, speech: &dyn Speech) -> Result<Request<()>, Trouble> {
        let wrong = |error: &dyn std::fmt::Display| Trouble::Handshake(error.to_string());
        // http becomes ws, and https wss.
        let above = self.base.strip_prefix("http").unwrap_or(&self.base);
        let url = format!("ws{}{}", above.trim_end_matches('/'), speech.path());
        let mut request = url.into_client_request().map_err(|error| wrong(&error))?;
        if let Some(name) = speech.subprotocol() {
            let name = HeaderValue::from_static(name);
            request.headers_mut().insert("Sec-WebSocket-Protocol", name);
        }
        Ok(request)
    }
}

/// See the module.
pub(super) struct Peer {
    socket: Socket,
    speech: Box<dyn Speech>,
    out: Vec<String>,
    /// What was refused last, for the report where nothing more comes.
    refused: Option<String>,
}

impl Peer {
    /// Connects and enters a room.
    pub(super) async fn open(door: &Door, room: &str, side: Side) -> Result<Self, Trouble> {
        let mut peer = Self::connect(door, speech(door.dialect, side)).await?;
        peer.enter(room).await?;
        Ok(peer)
    }

    async fn connect(door: &Door, speech: Box<dyn Speech>) -> Result<Self, Trouble> {
        let request = door.request(&*speech)?;
        let stream = door.connect().await;
        let stream = stream.map_err(|error| Trouble::Connect(error.kind().to_string()))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER);
        let connector = Some(door.connector.clone());
        let opened = client_async_tls_with_config(request, stream, Some(config), connector).await;
        let (socket, _) = opened.map_err(|error| Trouble::Handshake(error.to_string()))?;
        Ok(Self {
            socket,
            speech,
            out: Vec::new(),
            refused: None,
        })
    }

    async fn enter(&mut self, room: &str) -> Result<(), Trouble> {
        if self.speech.greet(&mut self.out) {
            self.send().await?;
            self.until(|heard| matches!(heard, Heard::Welcome { .. }))
                .await?;
        }
        self.speech.join(room, &mut self.out);
        self.send().await?;
        self.until(|heard| *heard == Heard::Joined).await?;
        Ok(())
    }

    /// Cuts the link without a word, as a lost network does, and gives what is needed to come back.
    pub(super) fn cut(self) -> Absent {
        Absent(self.speech)
    }

    /// Waits for something; a refusal on the way is the end.
    pub(super) async fn until(
        &mut self,
        wanted: impl Fn(&Heard) -> bool,
    ) -> Result<Heard, Trouble> {
        loop {
            match self.hear().await? {
                Heard::Refused(why) => return Err(Trouble::Refused(why)),
                heard if wanted(&heard) => return Ok(heard),
                _ => {}
            }
        }
    }

    /// The next thing that matters.
    pub(super) async fn hear(&mut self) -> Result<Heard, Trouble> {
        loop {
            let message = self.socket.next().await;
            match self.take(message).await? {
                Heard::Nothing => {}
                heard => return Ok(heard),
            }
        }
    }

    /// What is there already, without waiting.
    pub(super) async fn hear_now(&mut self) -> Result<Option<Heard>, Trouble> {
        while let Some(message) = self.socket.next().now_or_never() {
            match self.take(message).await? {
                Heard::Nothing => {}
                heard => return Ok(Some(heard)),
            }
        }
        Ok(None)
    }

    async fn take(&mut self, message: Option<Result<Message, WsError>>) -> Result<Heard, Trouble> {
        let text: Utf8Bytes = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                let why =
                    frame.map(|frame| format!(": {} {}", u16::from(frame.code), frame.reason));
                return Err(Trouble::Closed(why.unwrap_or_default()));
            }
            Some(Ok(_)) => return Ok(Heard::Nothing),
            Some(Err(error)) => return Err(Trouble::Closed(format!(": {error}"))),
            None => return Err(Trouble::Closed(String::new())),
        };
        let heard = self.speech.hear(&text, &mut self.out);
        if let Heard::Refused(why) = &heard {
            self.refused = Some(why.clone());
        }
        if !self.out.is_empty() {
            self.send().await?;
        }
        Ok(heard)
    }

    /// Whether the others in a room hear of a newcomer.
    pub(super) fn announces(&self) -> bool {
        self.speech.announces()
    }

    /// Begins a call, where nothing can be said outside of one; whether it did.
    pub(super) async fn call(&mut self) -> Result<bool, Trouble> {
        let needed = self.speech.call(&mut self.out);
        self.send().await?;
        Ok(needed)
    }

    /// Says one thing, in a packet of its own.
    pub(super) async fn say(&mut self, what: What, stamp: Stamp) -> Result<(), Trouble> {
        self.speech.say(what, stamp, &mut self.out);
        self.send().await
    }

    /// Says one thing with what is said next; goes out with [`Self::flush`] at the latest.
    pub(super) async fn feed(&mut self, what: What, stamp: Stamp) -> Result<(), Trouble> {
        self.speech.say(what, stamp, &mut self.out);
        for text in self.out.drain(..) {
            self.socket
                .feed(Message::text(text))
                .await
                .map_err(closed)?;
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), Trouble> {
        self.socket.flush().await.map_err(closed)
    }

    async fn send(&mut self) -> Result<(), Trouble> {
        for text in self.out.drain(..) {
            self.socket
                .feed(Message::text(text))
                .await
                .map_err(closed)?;
        }
        self.flush().await
    }

    /// Leaves the room and closes the link in order.
    pub(super) async fn leave(mut self) -> Result<(), Trouble> {
        self.speech.leave(&mut self.out);
        for text in self.out.drain(..) {
            self.socket
                .feed(Message::text(text))
                .await
                .map_err(closed)?;
        }
        match self.socket.close(None).await {
            Ok(()) | Err(WsError::ConnectionClosed | WsError::AlreadyClosed) => {}
            Err(error) => return Err(closed(error)),
        }
        loop {
            match self.socket.next().await {
                None | Some(Err(_)) => return Ok(()),
                Some(Ok(Message::Close(_))) => {}
                // What was on its way; a refusal of leaving is no proper end.
                Some(Ok(message)) => {
                    if let Message::Text(text) = message
                        && let Heard::Refused(why) = self.speech.hear(&text, &mut self.out)
                    {
                        return Err(Trouble::Refused(why));
                    }
                }
            }
        }
    }

    /// Why nothing more comes: what was refused last, else that the time is over.
    pub(super) async fn stalled(&mut self, what: &'static str) -> Trouble {
        while let Ok(Some(_)) = self.hear_now().await {}
        match self.refused.take() {
            Some(why) => Trouble::Refused(why),
            None => Trouble::Patience(what),
        }
    }
}

/// A peer whose link was cut.
pub(super) struct Absent(Box<dyn Speech>);

impl Absent {
    /// Comes back into the room: with its session where the dialect has such, else by joining again.
    pub(super) async fn back(self, door: &Door, room: &str) -> Result<Peer, Trouble> {
        let mut peer = Peer::connect(door, self.0).await?;
        if !peer.speech.resumes() {
            peer.enter(room).await?;
            return Ok(peer);
        }
        peer.speech.greet(&mut peer.out);
        peer.send().await?;
        let welcome = |heard: &Heard| matches!(heard, Heard::Welcome { .. });
        match peer.until(welcome).await? {
            Heard::Welcome { resumed: true } => Ok(peer),
            _ => Err(Trouble::Forgotten),
        }
    }
}

#[allow(clippy::needless_pass_by_value)]
fn closed(error: WsError) -> Trouble {
    Trouble::Closed(format!(": {error}"))
}

/// Gives a step no longer than this.
pub(super) async fn within<T>(
    patience: Duration,
    what: &'static str,
    step: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    timeout(patience, step)
        .await
        .unwrap_or(Err(Trouble::Patience(what)))
}
