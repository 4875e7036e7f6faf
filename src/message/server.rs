//! What a server says.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::wire::{Wire, WireMember, need};
use super::{
    ErrorCode, IceServer, Kind, LeaveReason, Limits, Member, ParseError, RefuseCode, Rejected,
    Right, Role,
};
use crate::id::{CallId, Name, PeerId, RoomId, Token};
use crate::raw::Raw;
use crate::signal::SignalWire;

/// Bytes of a message that is passed on, beside the room's name and the text itself, both numbers at their longest.
const PASSED_ON_BESIDE: usize = 128;

/// One message from a server.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ServerFrame {
    /// Counts from 1 in each session the messages that are sent again after a lost link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The request this is the answer to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The message.
    #[serde(flatten)]
    pub message: ServerMessage,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum ServerMessage {
    /// The answer to `hello`.
    Welcome {
        /// Who the client is.
        peer: PeerId,
        /// The secret to come back with.
        resume: Token,
        /// Whether the session is still the old one, its rooms included.
        resumed: bool,
        /// How long a lost session is kept.
        resume_window_ms: u64,
        /// How often the server sends `ping`; a client that hears nothing for twice as long may reconnect.
        heartbeat_ms: u64,
        /// STUN and TURN servers to use.
        ice_servers: Vec<IceServer>,
        /// What the server allows.
        limits: Limits,
        /// The program and version that serves.
        server: String,
    },
    /// The client is in the room.
    Joined {
        /// Which.
        room: RoomId,
        /// The client itself.
        peer: PeerId,
        /// What it may do there.
        role: Role,
        /// How many may be in it.
        capacity: u16,
        /// The others already inside.
        members: Vec<Member>,
    },
    /// The client is out of the room.
    Left {
        /// Which.
        room: RoomId,
    },
    /// Somebody came.
    PeerJoined {
        /// Into which room.
        room: RoomId,
        /// Who.
        member: Member,
    },
    /// Somebody went.
    PeerLeft {
        /// Out of which room.
        room: RoomId,
        /// Who.
        peer: PeerId,
        /// Why.
        reason: LeaveReason,
    },
    /// A member sets up a connection.
    Signal {
        /// In which room.
        room: RoomId,
        /// Who; stamped by the server.
        from: PeerId,
        /// The signal as it was sent.
        #[schemars(with = "SignalWire")]
        signal: Raw,
    },
    /// A member says something that only the application understands.
    Message {
        /// In which room.
        room: RoomId,
        /// Who; stamped by the server.
        from: PeerId,
        /// The JSON as it was sent.
        data: Raw,
    },
    /// Somebody asks the client into a room.
    Ring {
        /// The call.
        call: CallId,
        /// Who.
        from: PeerId,
        /// The name it goes by.
        name: Name,
        /// Where the call is to be.
        room: RoomId,
    },
    /// The answer to `ring`: it rings there.
    Ringing {
        /// The call.
        call: CallId,
    },
    /// The answer to `ring` by name where nobody has to be rung: who goes by that name is in a room, and is met there.
    Found {
        /// Who.
        peer: PeerId,
        /// Which room; to be joined next.
        room: RoomId,
    },
    /// The callee takes the call.
    Accepted {
        /// Which.
        call: CallId,
    },
    /// The callee refuses the call, or does not answer.
    Refused {
        /// Which.
        call: CallId,
        /// Why, for programs.
        code: RefuseCode,
        /// Why, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The other side ended the call, or is gone, or it rang here for too long.
    HungUp {
        /// Which.
        call: CallId,
    },
    /// A member's sound or picture is off.
    Muted {
        /// In which room.
        room: RoomId,
        /// Whose.
        peer: PeerId,
        /// Sound or picture.
        kind: Kind,
        /// Who did it.
        by: PeerId,
    },
    /// It is on again.
    Unmuted {
        /// In which room.
        room: RoomId,
        /// Whose.
        peer: PeerId,
        /// Sound or picture.
        kind: Kind,
        /// Who did it.
        by: PeerId,
    },
    /// The client was put out of a room.
    Kicked {
        /// Which.
        room: RoomId,
        /// By whom.
        by: PeerId,
        /// Why, for people.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A member got a right.
    Granted {
        /// In which room.
        room: RoomId,
        /// Who.
        peer: PeerId,
        /// Which right.
        right: Right,
        /// From whom.
        by: PeerId,
    },
    /// The administrator says something to every peer of the server.
    Broadcast {
        /// The JSON as it was sent.
        data: Raw,
    },
    /// The server will close this connection.
    GoAway {
        /// Why, for people.
        reason: String,
        /// When to come back.
        #[serde(skip_serializing_if = "Option::is_none")]
        reconnect_ms: Option<u64>,
        /// Where to come back, if elsewhere.
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// The heartbeat; to be answered with `pong`.
    Ping {
        /// To be sent back.
        t: f64,
        /// The round trip of the last heartbeat.
        #[serde(skip_serializing_if = "Option::is_none")]
        rtt_ms: Option<f64>,
    },
    /// The answer to the client's `ping`.
    Pong {
        /// As the client sent it.
        t: f64,
    },
    /// The request was done, and there is nothing more to say about it.
    Ack {},
    /// The request was refused, and changed nothing.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: String,
    },
}

impl ServerFrame {
    /// Parses one frame; takes any text. Clients skip frames that are refused with [`ParseError::UnknownType`].
    pub fn parse(text: &str) -> Result<Self, Rejected> {
        let wire = Wire::parse(text).map_err(|error| Rejected { id: None, error })?;
        let (id, seq) = (wire.id, wire.seq);
        match ServerMessage::from_wire(wire) {
            Ok(message) => Ok(Self { seq, id, message }),
            Err(error) => Err(Rejected { id, error }),
        }
    }

    /// Writes the frame as one JSON object.
    pub fn to_json(&self) -> String {
        // What is passed on is by far the most of what a server says, and is put together from texts that are there.
        match &self.message {
            ServerMessage::Signal { room, from, signal } => {
                self.passed_on("signal", room, *from, "signal", signal)
            }
            ServerMessage::Message { room, from, data } => {
                self.passed_on("message", room, *from, "data", data)
            }
            _ => self.written(),
        }
    }

    fn passed_on(
        &self,
        kind: &str,
        room: &RoomId,
        from: PeerId,
        field: &str,
        text: &Raw,
    ) -> String {
        // Names hold no control characters; these two are all else that JSON strings escape.
        if room.as_str().contains(['"', '\\']) {
            return self.written();
        }
        let text = text.get();
        let mut json = String::with_capacity(text.len() + room.as_str().len() + PASSED_ON_BESIDE);
        json.push('{');
        for (name, number) in [("seq", self.seq), ("id", self.id)] {
            if let Some(number) = number {
                // Writing into a String cannot fail.
                let _ = write!(json, "\"{name}\":{number},");
            }
        }
        for part in [
            "\"type\":\"",
            kind,
            "\",\"room\":\"",
            room.as_str(),
            "\",\"from\":\"",
            from.as_str(),
            "\",\"",
            field,
            "\":",
            text,
            "}",
        ] {
            json.push_str(part);
        }
        json
    }

    fn written(&self) -> String {
        // Strings, numbers and checked JSON: there is nothing in it that cannot be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl From<ServerMessage> for ServerFrame {
    fn from(message: ServerMessage) -> Self {
        Self {
            seq: None,
            id: None,
            message,
        }
    }
}

impl ServerMessage {
    /// Tells whether the message gets a `seq`, and so is sent again after a resume.
    ///
    /// Answers that only make sense on the link they were asked on do not.
    pub fn is_sequenced(&self) -> bool {
        !matches!(
            self,
            Self::Welcome { .. }
                | Self::GoAway { .. }
                | Self::Ping { .. }
                | Self::Pong { .. }
                | Self::Ack {}
                | Self::Error { .. }
        )
    }

    fn from_wire(mut wire: Wire<'_>) -> Result<Self, ParseError> {
        Ok(match &*wire.kind {
            "welcome" => Self::Welcome {
                peer: wire.peer()?,
                resume: Token::new(need("resume", wire.resume.as_deref())?)?,
                resumed: need("resumed", wire.resumed)?,
                resume_window_ms: need("resumeWindowMs", wire.resume_window_ms)?,
                heartbeat_ms: need("heartbeatMs", wire.heartbeat_ms)?,
                ice_servers: wire.ice_servers.take().unwrap_or_default(),
                limits: need("limits", wire.limits)?,
                server: wire.server.take().unwrap_or_default(),
            },
            "joined" => Self::Joined {
                room: wire.room()?,
                peer: wire.peer()?,
                role: wire.role()?,
                capacity: need("capacity", wire.capacity)?,
                members: need("members", wire.members.take())?
                    .into_iter()
                    .map(WireMember::check)
                    .collect::<Result<_, _>>()?,
            },
            "left" => Self::Left { room: wire.room()? },
            "peer-joined" => Self::PeerJoined {
                room: wire.room()?,
                member: need("member", wire.member.take())?.check()?,
            },
            "peer-left" => Self::PeerLeft {
                room: wire.room()?,
                peer: wire.peer()?,
                reason: wire.leave_reason()?,
            },
            "signal" => Self::Signal {
                room: wire.room()?,
                from: wire.from()?,
                signal: wire.signal()?,
            },
            "message" => Self::Message {
                room: wire.room()?,
                from: wire.from()?,
                data: wire.data()?,
            },
            "ring" => Self::Ring {
                call: wire.call()?,
                from: wire.from()?,
                name: wire.name()?,
                room: wire.room()?,
            },
            "ringing" => Self::Ringing { call: wire.call()? },
            "found" => Self::Found {
                peer: wire.peer()?,
                room: wire.room()?,
            },
            "accepted" => Self::Accepted { call: wire.call()? },
            "refused" => Self::Refused {
                call: wire.call()?,
                code: wire.refuse_code()?.unwrap_or(RefuseCode::Declined),
                reason: wire.reason()?,
            },
            "hung-up" => Self::HungUp { call: wire.call()? },
            "muted" => Self::Muted {
                room: wire.room()?,
                peer: wire.peer()?,
                kind: wire.kind()?,
                by: wire.by()?,
            },
            "unmuted" => Self::Unmuted {
                room: wire.room()?,
                peer: wire.peer()?,
                kind: wire.kind()?,
                by: wire.by()?,
            },
            "kicked" => Self::Kicked {
                room: wire.room()?,
                by: wire.by()?,
                reason: wire.reason()?,
            },
            "granted" => Self::Granted {
                room: wire.room()?,
                peer: wire.peer()?,
                right: wire.right()?,
                by: wire.by()?,
            },
            "broadcast" => Self::Broadcast { data: wire.data()? },
            "go-away" => Self::GoAway {
                reason: wire.reason()?.unwrap_or_default(),
                reconnect_ms: wire.reconnect_ms,
                url: wire.url.take(),
            },
            "ping" => Self::Ping {
                t: wire.t()?,
                rtt_ms: wire.rtt_ms,
            },
            "pong" => Self::Pong { t: wire.t()? },
            "ack" => Self::Ack {},
            "error" => Self::Error {
                code: wire.error_code()?,
                message: wire.message.take().unwrap_or_default(),
            },
            other => return Err(ParseError::UnknownType(other.chars().take(64).collect())),
        })
    }
}
