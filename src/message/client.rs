//! What a client says.

use schemars::JsonSchema;
use serde::Serialize;

use super::wire::Wire;
use super::{Kind, ParseError, RefuseCode, Rejected, Right};
use crate::id::{AuthToken, CallId, Name, PeerId, RoomId, Token};
use crate::limits;
use crate::raw::Raw;
use crate::signal::SignalWire;

/// One message from a client, with the request id it wants to be answered under.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClientFrame {
    /// Chosen by the client; answered by exactly one message with the same id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The message.
    #[serde(flatten)]
    pub message: ClientMessage,
}

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum Callee {
    /// The peer of this id.
    #[serde(rename = "to")]
    Peer(PeerId),
    /// Who registered this name; or else the one member of a room who goes by it.
    #[serde(rename = "name")]
    Name(Name),
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum ClientMessage {
    /// Must come first, once: who we are.
    Hello {
        /// The secret our id is derived from; the server makes one where it is absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        resume: Option<Token>,
        /// The last `seq` we have seen of this session.
        #[serde(skip_serializing_if = "Option::is_none")]
        last_seq: Option<u64>,
        /// The name we go by in every room, unless `join` says another.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<Name>,
        /// The room token, where the server asks for one.
        #[serde(skip_serializing_if = "Option::is_none")]
        auth: Option<AuthToken>,
        /// The program we are, for the server's log.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<String>,
    },
    /// Enters a room, and creates it when nobody is there.
    Join {
        /// Which.
        room: RoomId,
        /// The name we go by in it.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<Name>,
        /// How many may be in it; only counts from the creator, and never above the server's limit.
        #[serde(skip_serializing_if = "Option::is_none")]
        capacity: Option<u16>,
    },
    /// Leaves a room.
    Leave {
        /// Which.
        room: RoomId,
    },
    /// Sets up a connection with one member, or with all.
    Signal {
        /// The room both are in.
        room: RoomId,
        /// To whom; absent: to everybody else in the room.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<PeerId>,
        /// The signal, passed on as it is.
        #[schemars(with = "SignalWire")]
        signal: Raw,
    },
    /// Says something that only the application understands.
    Message {
        /// The room both are in.
        room: RoomId,
        /// To whom; absent: to everybody else in the room.
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<PeerId>,
        /// Any JSON, passed on as it is.
        data: Raw,
    },
    /// Takes a name that no other peer of the server has, to be called by it. Instead of the one had before.
    Register {
        /// Which.
        name: Name,
    },
    /// Calls a peer, by `to` or by `name`: exactly one of them.
    Ring {
        /// Whom, by id.
        #[serde(flatten)]
        whom: Callee,
        /// Where the call is to be, should it have to ring.
        room: RoomId,
    },
    /// Takes a call that rings here.
    Accept {
        /// Which.
        call: CallId,
    },
    /// Refuses a call that rings here.
    Refuse {
        /// Which.
        call: CallId,
        /// Why, for programs; `declined` where it is absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<RefuseCode>,
        /// Why, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Ends a call, or stops ringing.
    HangUp {
        /// Which.
        call: CallId,
    },
    /// Tells that a peer's sound or picture is off; for others' peers only as moderator.
    Mute {
        /// In which room.
        room: RoomId,
        /// Whose.
        peer: PeerId,
        /// Sound or picture.
        kind: Kind,
    },
    /// Tells that it is on again.
    Unmute {
        /// In which room.
        room: RoomId,
        /// Whose.
        peer: PeerId,
        /// Sound or picture.
        kind: Kind,
    },
    /// Puts a peer out of a room; only as moderator.
    Kick {
        /// Of which room.
        room: RoomId,
        /// Whom.
        peer: PeerId,
        /// Why, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Gives a peer a right; only as moderator.
    Grant {
        /// In which room.
        room: RoomId,
        /// Whom.
        peer: PeerId,
        /// Which.
        right: Right,
    },
    /// Says something to every peer of the server, in whatever room; only as administrator.
    Broadcast {
        /// Any JSON, passed on as it is.
        data: Raw,
    },
    /// Sends everybody who is in no call elsewhere, and lets nothing new begin; only as administrator.
    Drain {},
    /// Asks for a `pong` with the same `t`.
    Ping {
        /// Any number, a time of the client's own clock as a rule.
        t: f64,
    },
    /// Answers the server's `ping`.
    Pong {
        /// As the server sent it.
        t: f64,
    },
}

impl ClientFrame {
    /// Parses one frame; takes any text.
    pub fn parse(text: &str) -> Result<Self, Rejected> {
        let wire = Wire::parse(text).map_err(|error| Rejected { id: None, error })?;
        let id = wire.id;
        match ClientMessage::from_wire(wire) {
            Ok(message) => Ok(Self { id, message }),
            Err(error) => Err(Rejected { id, error }),
        }
    }

    /// Writes the frame as one JSON object.
    pub fn to_json(&self) -> String {
        // Strings, numbers and checked JSON: there is nothing in it that cannot be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<ClientMessage> for ClientFrame {
    fn from(message: ClientMessage) -> Self {
        Self { id: None, message }
    }
}

impl ClientMessage {
    fn from_wire(mut wire: Wire<'_>) -> Result<Self, ParseError> {
        Ok(match &*wire.kind {
            "hello" => Self::Hello {
                resume: wire.resume.as_deref().map(Token::new).transpose()?,
                last_seq: wire.last_seq,
                name: wire.maybe_name()?,
                auth: wire.auth.as_deref().map(AuthToken::new),
                agent: short_agent(wire.agent)?,
            },
            "join" => Self::Join {
                room: wire.room()?,
                name: wire.maybe_name()?,
                capacity: match wire.capacity {
                    Some(0) => {
                        return Err(ParseError::Range {
                            field: "capacity",
                            allowed: "at least 1",
                        });
                    }
                    capacity => capacity,
                },
            },
            "leave" => Self::Leave { room: wire.room()? },
            "signal" => Self::Signal {
                room: wire.room()?,
                to: wire.maybe_to()?,
                signal: wire.signal()?,
            },
            "message" => Self::Message {
                room: wire.room()?,
                to: wire.maybe_to()?,
                data: wire.data()?,
            },
            "register" => Self::Register { name: wire.name()? },
            "ring" => Self::Ring {
                whom: match (wire.maybe_to()?, wire.maybe_name()?) {
                    (Some(peer), None) => Callee::Peer(peer),
                    (None, Some(name)) => Callee::Name(name),
                    (None, None) => return Err(ParseError::Missing { field: "to" }),
                    (Some(_), Some(_)) => {
                        return Err(ParseError::Range {
                            field: "name",
                            allowed: "absent where `to` is given",
                        });
                    }
                },
                room: wire.room()?,
            },
            "accept" => Self::Accept { call: wire.call()? },
            "refuse" => Self::Refuse {
                call: wire.call()?,
                code: wire.refuse_code()?,
                reason: wire.reason()?,
            },
            "hang-up" => Self::HangUp { call: wire.call()? },
            "mute" => Self::Mute {
                room: wire.room()?,
                peer: wire.peer()?,
                kind: wire.kind()?,
            },
            "unmute" => Self::Unmute {
                room: wire.room()?,
                peer: wire.peer()?,
                kind: wire.kind()?,
            },
            "kick" => Self::Kick {
                room: wire.room()?,
                peer: wire.peer()?,
                reason: wire.reason()?,
            },
            "grant" => Self::Grant {
                room: wire.room()?,
                peer: wire.peer()?,
                right: wire.right()?,
            },
            "broadcast" => Self::Broadcast { data: wire.data()? },
            "drain" => Self::Drain {},
            "ping" => Self::Ping { t: wire.t()? },
            "pong" => Self::Pong { t: wire.t()? },
            other => return Err(ParseError::UnknownType(other.chars().take(64).collect())),
        })
    }
}

fn short_agent(agent: Option<String>) -> Result<Option<String>, ParseError> {
    match agent {
        Some(agent) if agent.chars().count() > limits::REASON_CHARS => Err(ParseError::Range {
            field: "agent",
            allowed: "at most 256 characters",
        }),
        agent => Ok(agent),
    }
}
