//! What the engine tells: connections that come and go, and what they say; read, and put into the page's inbox.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use engineioxide::handler::EngineIoHandler;
use engineioxide::socket::Sid;
use engineioxide::{DisconnectReason, ProtocolVersion, Socket, Str};
use rtc_protocol::dialect::socketio::wire::Incoming;
use rtc_protocol::dialect::socketio::{Event, Setting};
use rtc_protocol::{AuthToken, ErrorCode};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::addresses::Addresses;
use super::page::{Page, Rules};
use super::tether::Tether;
use crate::access::Access;
use crate::metrics::CloseReason;
use crate::rate::Share;
use crate::switchboard::Switchboard;

/// Packets that were read and wait for the page's actor, beside what a page may say at once. One that says more in a
/// single request is ended. Bytes are bounded by the [`Tether`].
const INBOX: usize = 24;

/// What a page said, with its size on the wire.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) bytes: usize,
    pub(super) said: Said,
}

#[derive(Debug)]
pub(super) enum Said {
    /// It wants to be in a namespace.
    Connect(String, Option<AuthToken>),
    /// It says something.
    Event(Event),
    /// It goes.
    Disconnect,
    /// Nothing that can be taken.
    Bad(Option<Event>, ErrorCode, String),
    /// Nothing for us.
    Nothing,
}

/// What the engine keeps for us with each connection.
#[derive(Debug, Default)]
pub(super) struct Data(OnceLock<Link>);

#[derive(Debug)]
struct Link {
    /// Boxed: the channel has places for dozens, from its beginning on.
    inbox: mpsc::Sender<Box<Inbound>>,
    tether: Arc<Tether>,
    ended: Ended,
}

/// Told when the engine has ended a connection, and why.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    token: CancellationToken,
    reason: Arc<OnceLock<CloseReason>>,
}

impl Ended {
    pub(super) async fn wait(&self) -> CloseReason {
        self.token.cancelled().await;
        self.reason.get().copied().unwrap_or(CloseReason::Lost)
    }

    fn tell(&self, reason: CloseReason) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }
}

/// Who comes, as the request that opens a connection carries it.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    pub(super) tether: Arc<Tether>,
    /// What its address may say, where that is bounded.
    pub(super) share: Option<Arc<Share>>,
    /// The token in its address, as clients of 1.x and 2.x show one (`query`).
    pub(super) token: Option<AuthToken>,
}

/// A connection of Engine.IO.
pub(super) type Connection = Socket<Data>;

/// See the module.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) switchboard: Switchboard,
    pub(super) rules: Rules,
    pub(super) access: Access,
    /// The actors of pages; each counts as a connection of the server.
    pub(super) pages: TaskTracker,
    pub(super) stop: CancellationToken,
    addresses: Addresses,
    /// By id, for the requests that belong to a connection: polls, and the one that turns it into a WebSocket.
    tethers: Mutex<HashMap<Sid, Arc<Tether>>>,
}

impl Handler {
    pub(super) fn new(
        switchboard: Switchboard,
        rules: Rules,
        access: Access,
        pages: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            switchboard,
            rules,
            access,
            pages,
            stop,
            addresses: Addresses::default(),
            tethers: Mutex::default(),
        }
    }

    /// The tether of a connection that is there.
    pub(super) fn tether(&self, sid: Sid) -> Option<Arc<Tether>> {
        self.tethers().get(&sid).cloned()
    }

    fn tethers(&self) -> MutexGuard<'_, HashMap<Sid, Arc<Tether>>> {
        self.tethers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, text: &str) -> Said {
        let most = self.rules.message_bytes as usize;
        if text.len() > most {
            let words = format!("a message may have {most} bytes at most; send less at once");
            return Said::Bad(None, ErrorCode::TooLarge, words);
        }
        match Incoming::parse(text) {
            Ok(Incoming::Connect { namespace, token }) => Said::Connect(namespace, token),
            Ok(Incoming::Event(event)) => Said::Event(event),
            Ok(Incoming::Disconnect) => Said::Disconnect,
            Ok(Incoming::Ack | Incoming::Elsewhere) => Said::Nothing,
            Err(error) => Said::Bad(None, ErrorCode::BadMessage, error.to_string()),
        }
    }

    fn put(socket: &Connection, bytes: usize, said: Said) {
        let Some(link) = socket.data.0.get() else {
            return;
        };
        link.tether.read(bytes);
        if link
            .inbox
            .try_send(Box::new(Inbound { bytes, said }))
            .is_err()
        {
            link.tether.took(bytes);
            // More at once than anybody has to say, or the actor has ended.
            link.ended.tell(CloseReason::BadMessages);
        }
    }

    pub(super) fn addresses(&self) -> Arc<[Ipv4Addr]> {
        self.addresses.get()
    }
}

impl EngineIoHandler for Handler {
    type Data = Data;

    fn on_connect(self: Arc<Self>, socket: Arc<Connection>) {
        let Some(guest) = socket.req_parts.extensions.get::<Guest>().cloned() else {
            tracing::error!("a Socket.IO connection that did not come through its door");
            return socket.close(DisconnectReason::ClosingServer);
        };
        let tether = Arc::clone(&guest.tether);
        self.tethers().insert(socket.id, Arc::clone(&tether));
        let (inbox, said) = mpsc::channel(INBOX + self.rules.rate.burst() as usize);
        let ended = Ended::default();
        let link = Link {
            inbox,
            tether,
            ended: ended.clone(),
        };
        // Set once: a connection connects once.
        let _ = socket.data.0.set(link);
        let setting = Setting {
            socket: socket.id.to_string(),
            addresses: self.addresses(),
        };
        let page = Page::new(socket, guest, said, ended, setting, &self);
        let stop = self.stop.clone();
        self.pages.spawn(page.run(stop));
    }

    fn on_disconnect(&self, socket: Arc<Connection>, reason: DisconnectReason) {
        self.tethers().remove(&socket.id);
        if let Some(link) = socket.data.0.get() {
            link.ended.tell(match reason {
                _ if link.tether.stalled() => CloseReason::SlowReader,
                DisconnectReason::TransportClose => CloseReason::Left,
                DisconnectReason::TransportError => CloseReason::Lost,
                DisconnectReason::HeartbeatTimeout => CloseReason::Silent,
                DisconnectReason::PacketParsingError
                | DisconnectReason::MultipleHttpPollingError => CloseReason::Protocol,
                DisconnectReason::ClosingServer => CloseReason::Ended,
            });
        }
    }

    fn on_message(self: &Arc<Self>, text: Str, socket: Arc<Connection>) {
        let said = self.read(&text);
        Self::put(&socket, text.len(), said);
    }

    fn on_binary(self: &Arc<Self>, data: Bytes, socket: Arc<Connection>) {
        // Announced by a packet of text, which was refused, or by nothing.
        let words = "attachments are not taken; send JSON alone".to_owned();
        Self::put(
            &socket,
            data.len(),
            Said::Bad(None, ErrorCode::BadMessage, words),
        );
    }
}

/// Whether the client is of Socket.IO 1.x or 2.x.
pub(super) const fn is_old(socket: &Connection) -> bool {
    matches!(socket.protocol, ProtocolVersion::V3)
}
