//! One peer over a WebSocket, and where it connects to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use rtc_protocol::PeerId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::args::{Dialect, Plan, Workload};
use super::speech::{Heard, Side, Speech, Stamp, What, speech};
use crate::signaling::ServerAddress;

/// TCP, or TLS over it: boxed, as what TLS needs would be in every peer otherwise.
trait Link: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

type Socket = WebSocketStream<Box<dyn Link>>;

/// Of a peer that talks: what goes over at once is read at once.
const BUSY: usize = 4096;

/// Of one that mostly waits, of which there may be a million: it grows with what comes.
const WAITING: usize = 256;

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

/// Where the servers are, and how to get there.
#[derive(Clone)]
pub(super) struct Door {
    nodes: Arc<[Node]>,
    tls: Option<Arc<ClientConfig>>,
    dialect: Dialect,
    same_node: bool,
    buffer: usize,
    sources: u32,
    connections: Arc<AtomicU32>,
}

/// One server.
struct Node {
    address: SocketAddr,
    /// Without brackets.
    host: String,
    /// `ws://…` or `wss://…`, up to where a dialect's path begins.
    base: String,
}

/// Looks a server up, and whether it is there at all.
async fn look_up(server: &ServerAddress, plan: &Plan) -> Result<Node, Trouble> {
    let nobody = |why: String| Trouble::Nobody {
        server: server.home_url(),
        why,
    };
    let (host, port) = server.host_and_port();
    let found = timeout(plan.patience, lookup_host((host, port))).await;
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
                // http becomes ws, and https wss.
                let home = server.home_url();
                let above = home.strip_prefix("http").unwrap_or(&home);
                return Ok(Node {
                    address,
                    host: host.to_owned(),
                    base: format!("ws{}", above.trim_end_matches('/')),
                });
            }
            Ok(Err(error)) => why = error.to_string(),
            Err(_) => why = "it does not answer".to_owned(),
        }
    }
    Err(nobody(why))
}

impl Door {
    /// Looks all servers up.
    pub(super) async fn find(plan: &Plan) -> Result<Self, Trouble> {
        let mut nodes = Vec::with_capacity(plan.nodes.len());
        for server in &plan.nodes {
            nodes.push(look_up(server, plan).await?);
        }
        let secure = plan.nodes.iter().any(ServerAddress::is_secure);
        let tls = secure.then(|| plan.trust.config()).transpose();
        let tls = tls.map_err(|error| Trouble::Handshake(error.to_string()))?;
        let busy = matches!(plan.workload, Workload::Call | Workload::Relay);
        // No two processes begin at the same source address.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let first = plan
            .part
            .map_or(0, |part| (part.phase() * f64::from(plan.sources)) as u32);
        Ok(Self {
            nodes: nodes.into(),
            tls,
            dialect: plan.dialect,
            same_node: plan.same_node,
            buffer: if busy { BUSY } else { WAITING },
            sources: plan.sources,
            connections: Arc::new(AtomicU32::new(first)),
        })
    }

    /// At which of the nodes a peer of a room is: the peers of one go to one after the other, and so do the rooms.
    fn place(&self, room: u64, side: Side) -> usize {
        let next = u64::from(!self.same_node && side == Side::Second);
        let count = self.nodes.len().max(1) as u64;
        usize::try_from((room + next) % count).unwrap_or_default()
    }

    async fn tcp(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = if self.sources > 1 && address.is_ipv4() {
            let number = self.connections.fetch_add(1, Ordering::Relaxed) % self.sources;
            let source = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number);
            let socket = TcpSocket::new_v4()?;
            socket.bind((IpAddr::V4(source), 0).into())?;
            socket.connect(address).await?
        } else {
            TcpStream::connect(address).await?
        };
        // Each message goes out by itself, as from a browser.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn link(&self, node: &Node) -> Result<Box<dyn Link>, Trouble> {
        let stream = self.tcp(node.address).await;
        let stream = stream.map_err(|error| Trouble::Connect(error.kind().to_string()))?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let wrong = |error: &dyn std::fmt::Display| Trouble::Handshake(error.to_string());
        let name = ServerName::try_from(node.host.clone()).map_err(|error| wrong(&error))?;
        let secured = TlsConnector::from(Arc::clone(tls)).connect(name, stream);
        let secured = secured.await.map_err(|error| wrong(&error))?;
        Ok(Box::new(secured))
    }
}

fn request(node: &Node, speech: &dyn Speech) -> Result<Request<()>, Trouble> {
    let url = format!("{}{}", node.base, speech.path());
    let request = url.into_client_request();
    let mut request = request.map_err(|error| Trouble::Handshake(error.to_string()))?;
    if let Some(name) = speech.subprotocol() {
        let name = HeaderValue::from_static(name);
        request.headers_mut().insert("Sec-WebSocket-Protocol", name);
    }
    Ok(request)
}

/// See the module.
pub(super) struct Peer {
    socket: Socket,
    speech: Box<dyn Speech>,
    /// At which node it is.
    place: usize,
    out: Vec<String>,
    /// What was refused last, for the report where nothing more comes.
    refused: Option<String>,
}

impl Peer {
    /// Connects to the node whose turn it is and enters a room; `number` is the room's.
    pub(super) async fn open(
        door: &Door,
        room: &str,
        number: u64,
        side: Side,
    ) -> Result<Self, Trouble> {
        let place = door.place(number, side);
        let mut peer = Self::connect(door, place, speech(door.dialect, side)).await?;
        peer.enter(room).await?;
        Ok(peer)
    }

    async fn connect(door: &Door, place: usize, speech: Box<dyn Speech>) -> Result<Self, Trouble> {
        let node = &door.nodes[place];
        let request = request(node, &*speech)?;
        let link = door.link(node).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(door.buffer)
            .write_buffer_size(door.buffer);
        let opened = client_async_with_config(request, link, Some(config)).await;
        let (mut socket, _) = opened.map_err(|error| Trouble::Handshake(error.to_string()))?;
        if door.buffer == WAITING && speech.speaks_first() {
            // The library goes on with the 4 KiB that it read the handshake's answer into. There is nothing in them, as the
            // server does not speak first; only a reason to close at once, where there is one, is lost with them.
            let link = socket.into_inner();
            socket = WebSocketStream::from_raw_socket(link, Role::Client, Some(config)).await;
        }
        Ok(Self {
            socket,
            speech,
            place,
            out: Vec::new(),
            refused: None,
        })
    }

    /// Who it is to the others, where the dialect tells.
    pub(super) fn own(&self) -> Option<PeerId> {
        self.speech.own()
    }

    /// Whether it was told of just this one in its room.
    pub(super) fn is_alone_with(&self, other: &Self) -> bool {
        match (self.speech.others(), other.own()) {
            (Some([only]), Some(other)) => *only == other,
            _ => false,
        }
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
        Absent(self.place, self.speech)
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
            // Nothing large lives while it waits: there may be a million of these.
            let message = self.socket.next().await;
            let heard = self.take(message)?;
            if !self.out.is_empty() {
                self.send().await?;
            }
            if heard != Heard::Nothing {
                return Ok(heard);
            }
        }
    }

    /// What is there already, without waiting.
    pub(super) async fn hear_now(&mut self) -> Result<Option<Heard>, Trouble> {
        while let Some(message) = self.socket.next().now_or_never() {
            let heard = self.take(message)?;
            if !self.out.is_empty() {
                self.send().await?;
            }
            if heard != Heard::Nothing {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    /// What a message means; what it asks for waits to be sent.
    fn take(&mut self, message: Option<Result<Message, WsError>>) -> Result<Heard, Trouble> {
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
        for text in std::mem::take(&mut self.out) {
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
pub(super) struct Absent(usize, Box<dyn Speech>);

impl Absent {
    /// Comes back into the room, at the same node: with its session where the dialect has such, else by joining again.
    pub(super) async fn back(self, door: &Door, room: &str) -> Result<Peer, Trouble> {
        let mut peer = Peer::connect(door, self.0, self.1).await?;
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
