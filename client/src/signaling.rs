//! How two peers come to know of each other: by a server, which a client starts where there is none, or by other [ways](Via).
//!
//! [`Signaling`] is a handle to one task that holds the link. The rules are pure and lie apart: [`address`] reads what
//! was typed, `conversation` knows what is said when, `outbox` keeps what cannot be said now, `backoff` draws the
//! waits. `socket` opens one link, `host` runs the server of this machine, `link` brings them together. The ways without a room are
//! doors of their own behind the same handle and the same events: `whip` by HTTP, `copied` by text that people carry, `program` by
//! a program of the user's; what the three have in common is in `pair`, and [`Terms`] says what each allows.
//!
//! - A lost link is mended by the task itself, for as long as the handle lives; whether a call without signaling is
//!   still worth holding is its owner's judgement. Ids stay, since they are derived from a secret that stays.
//! - What is said while the link is down is kept (256 messages, the oldest candidates go first) and said afterwards. A
//!   message that was on its way when the link broke is said again, so it may arrive twice.
//! - Commands and events pass through bounded queues. When the owner does not take its events, the task stops
//!   reading from the server, and goes on taking commands, so the two never wait for each other.

pub mod address;
mod backoff;
mod conversation;
pub(crate) mod copied;
mod dialect;
mod error;
mod event;
mod gather;
mod host;
pub(crate) mod http;
mod link;
mod outbox;
mod pair;
pub mod probe;
pub(crate) mod program;
mod socket;
mod terms;
#[cfg(test)]
mod tests;
mod via;
pub(crate) mod whip;

use std::time::Duration;

use rtc_protocol::{AuthToken, CallId, Kind, Name, PeerId, Raw, RefuseCode, RoomId, Signal, Token};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

pub use address::{AddressError, ServerAddress, ServerChoice, Target};
pub use dialect::DialectOptions;
pub use error::{ErrorKind, SignalingError};
pub use event::SignalingEvent;
pub use http::HttpError;
pub use program::ProgramError;
pub use rtc_dialects::Dialect;
pub use rtc_protocol::Member;
pub use terms::Terms;
pub use via::{Begins, DIRECT, Via};
pub use whip::WhipOptions;
pub use whip::refusal::Refusal;

use conversation::{Conversation, Identity};
use host::Door;
use link::{Command, Link};

use crate::trust::Trust;

/// Commands on their way to the task; it takes them at any time, so the queue is short.
const COMMANDS: usize = 64;

/// What we are there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// To be in the target's room.
    Join,
    /// To call a name into the target's room; or to meet who goes by it where it is.
    Call(Name),
    /// To be called by this name, into whichever room the caller says. The target's room counts for nothing.
    Wait(Name),
}

/// What the signaling needs to know.
#[derive(Debug, Clone)]
pub struct SignalingOptions {
    /// Which room, at which server.
    pub target: Target,
    /// What we are there for.
    pub errand: Errand,
    /// The name we go by.
    pub name: Option<Name>,
    /// How many may be in the room, should we be the first in it.
    pub capacity: Option<u16>,
    /// The program we are, for the server's log.
    pub agent: String,
    /// The secret that our id is derived from; a new one where it is absent.
    pub token: Option<Token>,
    /// The room token, where the server asks for one.
    pub auth: Option<AuthToken>,
    /// Which servers are believed.
    pub trust: Trust,
    /// How long the server may take for each step: to accept, to upgrade, to welcome, to let in.
    pub patience: Duration,
    /// Decides the waits between tries; drawn where it is absent.
    pub seed: Option<u64>,
}

impl SignalingOptions {
    /// Everything but the target at its default.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            errand: Errand::Join,
            name: None,
            capacity: None,
            agent: concat!("rtc-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            token: None,
            auth: None,
            trust: Trust::default(),
            patience: Duration::from_secs(5),
            seed: None,
        }
    }
}

/// A place in a room: the handle to the task that holds it.
///
/// Dropping it cuts the link; the server then takes us for lost. [`Self::leave`] says goodbye.
#[derive(Debug)]
pub struct Signaling {
    id: PeerId,
    room: RoomId,
    terms: Terms,
    commands: mpsc::Sender<Command>,
    /// Ends the task when the handle goes.
    _task: AbortOnDropHandle<()>,
}

impl Signaling {
    /// Opens a way to the far side, whichever it is; `events` gets all that happens.
    ///
    /// # Errors
    /// When there is no such way.
    pub async fn open(
        via: Via,
        events: mpsc::Sender<SignalingEvent>,
    ) -> Result<Self, SignalingError> {
        let (commands, taken) = mpsc::channel(COMMANDS);
        let (pair, terms, task) = match via {
            Via::Server(options) => return Self::connect(*options, events).await,
            Via::Dialect(options) => {
                let terms = options.terms();
                let door = dialect::Door::open(*options, taken, events).await?;
                ((door.me(), door.room()), terms, tokio::spawn(door.run()))
            }
            Via::Whip(options) => {
                let terms = options.terms();
                let door = whip::Door::open(*options, taken, events).await?;
                (
                    (door.pair().me(), door.pair().room().clone()),
                    terms,
                    tokio::spawn(door.run()),
                )
            }
            Via::Copied { begins, room } => {
                let door = copied::Door::open(begins, &room, taken, events)?;
                (
                    (door.pair().me(), room),
                    copied::TERMS,
                    tokio::spawn(door.run()),
                )
            }
            Via::Program { command, room } => {
                let door = program::Door::open(command, &room, taken, events)?;
                (
                    (door.pair().me(), room),
                    program::TERMS,
                    tokio::spawn(door.run()),
                )
            }
        };
        let (id, room) = pair;
        Ok(Self {
            id,
            room,
            terms,
            commands,
            _task: AbortOnDropHandle::new(task),
        })
    }

    /// Connects, joins the room, and stays there; or waits to be called. `events` gets all that happens,
    /// [`SignalingEvent::Joined`] included.
    pub async fn connect(
        options: SignalingOptions,
        events: mpsc::Sender<SignalingEvent>,
    ) -> Result<Self, SignalingError> {
        let token = options
            .token
            .unwrap_or_else(|| Token::from_random(rand::random()));
        let identity = Identity {
            room: options.target.room,
            errand: options.errand,
            name: options.name,
            capacity: options.capacity,
            agent: options.agent,
            token,
            auth: options.auth,
        };
        let server = options.target.server;
        let seed = options.seed.unwrap_or_else(rand::random);
        let conversation = Conversation::new(identity, server.address(), options.patience);
        let (commands, taken) = mpsc::channel(COMMANDS);
        let (joined, inside) = oneshot::channel();
        let link = Link::new(
            Door::new(server, options.trust, options.patience),
            seed,
            conversation,
            taken,
            events,
            joined,
        );
        let task = AbortOnDropHandle::new(tokio::spawn(link.run()));
        let (id, room) = inside.await.unwrap_or(Err(SignalingError::Ended))?;
        Ok(Self {
            id,
            room,
            terms: Terms::ROOM,
            commands,
            _task: task,
        })
    }

    /// Who we are; the same after every reconnect.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Where we are.
    pub fn room(&self) -> &RoomId {
        &self.room
    }

    /// What can be agreed on this way.
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// Tells a peer how to connect.
    pub async fn signal(&self, to: PeerId, signal: Signal) -> Result<(), SignalingError> {
        self.command(Command::Signal(to, signal)).await
    }

    /// Tells a peer, or everybody in the room, something that only the application understands.
    pub async fn message(&self, to: Option<PeerId>, data: Raw) -> Result<(), SignalingError> {
        self.command(Command::Message(to, data)).await
    }

    /// Tells everybody that our own sound or picture is off or on.
    pub async fn mute(&self, kind: Kind, muted: bool) -> Result<(), SignalingError> {
        self.command(Command::Mute(kind, muted)).await
    }

    /// Puts a peer out of the room; only as moderator.
    pub async fn kick(&self, peer: PeerId, reason: Option<String>) -> Result<(), SignalingError> {
        self.command(Command::Kick(peer, reason)).await
    }

    /// Takes a line that the far side gave out, where signals are [copied](Via::Copied); elsewhere nothing happens.
    pub async fn paste(&self, text: String) -> Result<(), SignalingError> {
        self.command(Command::Paste(text)).await
    }

    /// Takes a call that rings here; its room is joined next.
    pub async fn accept(&self, call: CallId) -> Result<(), SignalingError> {
        self.command(Command::Accept(call)).await
    }

    /// Does not take it.
    pub async fn refuse(&self, call: CallId, code: RefuseCode) -> Result<(), SignalingError> {
        self.command(Command::Refuse(call, code)).await
    }

    /// Starts the link over: the network is another, and what the link goes by may be gone without a word. Nothing that was
    /// said is lost.
    pub async fn anew(&self) {
        // A link that has ended is not started over.
        self.command(Command::Anew).await.ok();
    }

    /// Leaves the room, closes the link, and stops the server if it is ours; done within four seconds.
    ///
    /// Everything said before is said first. Afterwards every command answers [`SignalingError::Ended`].
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        if self.commands.send(Command::Leave(done)).await.is_ok() {
            // An error means that the task had ended already.
            left.await.ok();
        }
    }

    async fn command(&self, command: Command) -> Result<(), SignalingError> {
        self.commands
            .send(command)
            .await
            .map_err(|_| SignalingError::Ended)
    }
}
