//! The frames of `rtc.v1`: typed on both sides, one JSON object each, parsed in one pass.
//!
//! Parsing goes through a flat structure of optional fields (`wire`), not through serde's tagged enums: those buffer
//! the whole message as a tree, and cannot carry `Raw` text.

mod client;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use client::{Callee, ClientFrame, ClientMessage};
pub use server::{ServerFrame, ServerMessage};

use crate::id::{Name, NameError, PeerId};

/// Which sense is muted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// May mute, kick and grant; the creator of a room is one.
    Moderator,
    /// May mute itself.
    Member,
}

/// What a moderator can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// To be a moderator too.
    Moderator,
}

/// Why a member is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeaveReason {
    /// It said so, or closed its socket properly.
    Left,
    /// Its link broke, and it did not come back within the resume window.
    Lost,
    /// A moderator put it out.
    Kicked,
}

/// Why a request was refused. Stable: programs may compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// No JSON object of a known type with its fields.
    BadMessage,
    /// Over the size limit of `welcome.limits.messageBytes`.
    TooLarge,
    /// The sender is not in that room.
    NotJoined,
    /// The addressee is not there.
    NoSuchPeer,
    /// That room, or that call, does not exist.
    NoSuchRoom,
    /// The room holds as many members as it may.
    RoomFull,
    /// A name breaks the rule for names.
    BadName,
    /// The sender is in that room already.
    AlreadyJoined,
    /// The sender lacks the right.
    NotAllowed,
    /// Too many messages in too short a time.
    RateLimited,
    /// The sender is in as many rooms as it may be.
    TooManyRooms,
    /// As many calls ring at the callee as may.
    Busy,
    /// Another peer has that name.
    NameTaken,
    /// The first message must be `hello`, and only the first.
    HelloFirst,
    /// The server shuts down.
    GoingAway,
    /// What the servers of a cluster share cannot be reached just now; the same request may succeed in a few seconds.
    TryLater,
    /// A token is needed, and there is none.
    NotAuthorized,
    /// The token is no JWT, or too long.
    TokenMalformed,
    /// The token is signed in a way that the server does not accept.
    TokenAlgorithm,
    /// The token's signature is wrong.
    TokenSignature,
    /// The token says something that makes no sense.
    TokenClaims,
    /// The token is not valid yet.
    TokenNotYetValid,
    /// The token has expired.
    TokenExpired,
    /// A code of a later version.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// Returns the code as it stands in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadMessage => "bad-message",
            Self::TooLarge => "too-large",
            Self::NotJoined => "not-joined",
            Self::NoSuchPeer => "no-such-peer",
            Self::NoSuchRoom => "no-such-room",
            Self::RoomFull => "room-full",
            Self::BadName => "bad-name",
            Self::AlreadyJoined => "already-joined",
            Self::NotAllowed => "not-allowed",
            Self::RateLimited => "rate-limited",
            Self::TooManyRooms => "too-many-rooms",
            Self::Busy => "busy",
            Self::NameTaken => "name-taken",
            Self::HelloFirst => "hello-first",
            Self::GoingAway => "going-away",
            Self::TryLater => "try-later",
            Self::NotAuthorized => "not-authorized",
            Self::TokenMalformed => "token-malformed",
            Self::TokenAlgorithm => "token-algorithm",
            Self::TokenSignature => "token-signature",
            Self::TokenClaims => "token-claims",
            Self::TokenNotYetValid => "token-not-yet-valid",
            Self::TokenExpired => "token-expired",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a call was not taken. Stable: programs may compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RefuseCode {
    /// The callee does not want it.
    Declined,
    /// The callee is in a call, or another rings there.
    Busy,
    /// It rang for as long as the server lets it.
    NoAnswer,
    /// A code of a later version.
    #[serde(other)]
    Unknown,
}

impl RefuseCode {
    /// Returns the code as it stands in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Unknown => "unknown",
        }
    }
}

/// A STUN or TURN server, as W3C's `RTCIceServer` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IceServer {
    /// Its URLs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// Who to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// What the server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Bytes of one message.
    pub message_bytes: u32,
    /// Rooms that one peer may be in.
    pub rooms_per_peer: u32,
    /// The highest capacity of a room.
    pub room_capacity: u32,
    /// Messages that wait for one peer before it counts as a slow reader.
    pub queue_messages: u32,
}

/// A member of a room, as the others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Who.
    pub peer: PeerId,
    /// The name it goes by; the start of the id where it gave none.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// What it, or a moderator, has muted.
    pub muted: Vec<Kind>,
    /// How it speaks with the server, where that is not `rtc.v1`.
    ///
    /// The server translates for it, and sees to who offers: a native peer makes an offer to such a member only when a
    /// `restart` signal asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
}

/// A dialect that the server translates to and from `rtc.v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Dialect {
    /// Socket.IO pages of the codelab's kind: `create or join` and `message`.
    Codelab,
    /// Socket.IO pages with a channel of two: `create or join`, `message`, `response`, `Bye`.
    Book,
    /// WebSocket pages where a name calls a name.
    Login,
    /// Socket.IO pages with rooms of many and acknowledgements.
    Conference,
    /// A publisher by HTTP (RFC 9725).
    Whip,
    /// A player by HTTP.
    Whep,
    /// One of a later version.
    #[serde(other)]
    Unknown,
}

impl Dialect {
    /// Returns the dialect's name as it stands in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Codelab => "codelab",
            Self::Book => "book",
            Self::Login => "login",
            Self::Conference => "conference",
            Self::Whip => "whip",
            Self::Whep => "whep",
            Self::Unknown => "unknown",
        }
    }
}

/// A message that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// No JSON object, or a field of the wrong kind.
    #[error("the message cannot be read: {0}; send one JSON object as rtc.v1 documents it")]
    Json(String),
    /// A `type` that nobody knows.
    #[error("the message type {0:?} is not known in rtc.v1; check its spelling")]
    UnknownType(String),
    /// A field that this type needs.
    #[error("the field {field:?} is missing; a message of this type needs it")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field whose value is out of range.
    #[error("the field {field:?} is out of range; it must be {allowed}")]
    Range {
        /// Its name.
        field: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A name that breaks the rule.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A payload nested too deeply.
    #[error(
        "the field {field:?} is nested deeper than {} levels; make it flatter",
        crate::limits::NESTING
    )]
    TooDeep {
        /// Its name.
        field: &'static str,
    },
}

impl ParseError {
    /// Returns the code that the sender is answered with.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Name(_) => ErrorCode::BadName,
            _ => ErrorCode::BadMessage,
        }
    }
}

/// A message that was refused, and the request id it is to be answered with, where that could still be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Rejected {
    /// The request id.
    pub id: Option<u64>,
    /// What is wrong.
    pub error: ParseError,
}
