//! Labels: enums, so that nothing a peer says can make a new row.

use rtc_protocol::{Dialect, ErrorCode, LeaveReason, close};

/// One label of a metric.
pub(crate) trait Label: Copy + Send + Sync + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Its values; each stands at its own index.
    const ALL: &'static [Self];

    /// Where it stands in [`Label::ALL`].
    fn index(self) -> usize;

    /// Its text.
    fn text(self) -> &'static str;
}

macro_rules! labels {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal {
        $($(#[doc = $value_doc:literal])+ $value:ident = $text:literal,)*
    })*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[doc = $value_doc])+ $value,)*
        }

        impl Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$value),*];

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }
        }
    )*};
}

labels! {
    /// Why a greeted connection ended.
    CloseReason = "reason" {
        /// The peer closed it in order.
        Left = "left",
        /// The socket broke.
        Lost = "lost",
        /// The peer did not read what was sent to it.
        SlowReader = "slow-reader",
        /// The peer said nothing, heartbeats included.
        Silent = "silent",
        /// A message over the limit.
        TooLarge = "too-large",
        /// A frame against the rules of its transport, or text that is no UTF-8.
        Protocol = "protocol",
        /// Binary where text was due, or the like.
        Unsupported = "unsupported",
        /// Too many messages in a row that could not be understood.
        BadMessages = "bad-messages",
        /// Another connection took the session over.
        TakenOver = "taken-over",
        /// The server drains or stops.
        GoingAway = "going-away",
        /// The server had nothing more to say: a translator ended it, or a code that has no row.
        Ended = "ended",
        /// The connection's task was given up, as by the end of the server.
        Dropped = "dropped",
    }

    /// Why a connection's peer was never greeted.
    Refused = "reason" {
        /// As many connections as may be.
        Full = "full",
        /// A page of a site that may not connect.
        Origin = "origin",
        /// It asked for no dialect that is spoken here.
        Protocol = "protocol",
        /// Its first message was no greeting.
        HelloFirst = "hello-first",
        /// It said nothing in time.
        HelloTimeout = "hello-timeout",
        /// It said something that no message may be: binary, too large.
        BadMessage = "bad-message",
        /// It went before it said anything.
        Gone = "gone",
        /// The server drains or stops.
        GoingAway = "going-away",
        /// It showed no right to be here.
        Unauthorized = "unauthorized",
        /// Its address holds or opens as many as one may.
        Address = "address",
    }

    /// A limit that somebody ran into.
    Limit = "limit" {
        /// Connections at once.
        Connections = "connections",
        /// Connections of one address, at once or in a time.
        ConnectionsPerAddress = "connections-per-address",
        /// The size of a message.
        MessageBytes = "message-bytes",
        /// Messages of one peer in a time.
        Rate = "rate",
        /// Messages of one address in a time.
        RatePerAddress = "rate-per-address",
        /// Messages or bytes that wait for one peer.
        Queue = "queue",
        /// Rooms of one peer.
        RoomsPerPeer = "rooms-per-peer",
        /// Members of one room.
        RoomCapacity = "room-capacity",
        /// Calls that ring at or belong to one peer.
        Calls = "calls",
        /// The time for a greeting.
        HelloTime = "hello-time",
        /// The time without a word.
        Silence = "silence",
        /// Messages in a row that could not be understood.
        BadMessages = "bad-messages",
        /// What is kept for a resume.
        Backlog = "backlog",
        /// The time or size of a request's head or body.
        Http = "http",
    }

    /// How a session began.
    Begun = "how" {
        /// By a peer that was not here.
        New = "new",
        /// By a peer that ended its old one with the same words.
        Anew = "anew",
        /// By a peer that wanted its old one, which is gone or has said more than is kept.
        Missed = "missed",
        /// By coming from another node, whole.
        Moved = "moved",
    }

    /// How a call ended.
    CallEnd = "how" {
        /// The callee refused it.
        Refused = "refused",
        /// It rang for as long as a call may.
        NoAnswer = "no-answer",
        /// Either side hung up.
        HungUp = "hung-up",
        /// The session of either side ended.
        Gone = "gone",
    }
}

impl CloseReason {
    /// What a close code of the server tells.
    pub(crate) const fn of_code(code: u16) -> Self {
        match code {
            close::NORMAL => Self::Ended,
            close::GOING_AWAY => Self::GoingAway,
            close::PROTOCOL | close::NOT_UTF8 => Self::Protocol,
            close::UNSUPPORTED => Self::Unsupported,
            close::TOO_LARGE => Self::TooLarge,
            close::TAKEN_OVER => Self::TakenOver,
            close::SLOW_READER => Self::SlowReader,
            close::SILENT => Self::Silent,
            close::BAD_MESSAGES => Self::BadMessages,
            _ => Self::Ended,
        }
    }
}

/// The last one stands for what has no row yet.
fn find<L: Label + PartialEq>(label: L) -> usize {
    let at = L::ALL.iter().position(|one| *one == label);
    at.unwrap_or(L::ALL.len() - 1)
}

impl Label for Option<Dialect> {
    const NAME: &'static str = "dialect";
    const ALL: &'static [Self] = &[
        None,
        Some(Dialect::Codelab),
        Some(Dialect::Book),
        Some(Dialect::Login),
        Some(Dialect::Conference),
        Some(Dialect::Whip),
        Some(Dialect::Whep),
        Some(Dialect::Unknown),
    ];

    fn index(self) -> usize {
        find(self)
    }

    fn text(self) -> &'static str {
        self.map_or(rtc_protocol::SUBPROTOCOL, Dialect::as_str)
    }
}

impl Label for ErrorCode {
    const NAME: &'static str = "code";
    const ALL: &'static [Self] = &[
        Self::BadMessage,
        Self::TooLarge,
        Self::NotJoined,
        Self::NoSuchPeer,
        Self::NoSuchRoom,
        Self::RoomFull,
        Self::BadName,
        Self::AlreadyJoined,
        Self::NotAllowed,
        Self::RateLimited,
        Self::TooManyRooms,
        Self::Busy,
        Self::HelloFirst,
        Self::GoingAway,
        Self::TryLater,
        Self::NotAuthorized,
        Self::TokenMalformed,
        Self::TokenAlgorithm,
        Self::TokenSignature,
        Self::TokenClaims,
        Self::TokenNotYetValid,
        Self::TokenExpired,
        Self::Unknown,
    ];

    fn index(self) -> usize {
        find(self)
    }

    fn text(self) -> &'static str {
        self.as_str()
    }
}

impl Label for LeaveReason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[Self::Left, Self::Lost, Self::Kicked];

    fn index(self) -> usize {
        find(self)
    }

    fn text(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Lost => "lost",
            Self::Kicked => "kicked",
        }
    }
}
