//! The flat form that both directions are parsed through.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::value::{Error as Unread, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer};

use super::{
    Dialect, ErrorCode, IceServer, Kind, LeaveReason, Limits, Member, ParseError, RefuseCode,
    Right, Role,
};
use crate::brief::brief;
use crate::id::{CallId, Name, PeerId, RoomId};
use crate::limits;
use crate::raw::Raw;

/// Every field that any message has. Unknown fields are skipped, doubled ones refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wire<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    pub(super) id: Option<u64>,
    pub(super) seq: Option<u64>,
    #[serde(borrow)]
    room: Option<Text<'a>>,
    #[serde(borrow)]
    to: Option<Text<'a>>,
    #[serde(borrow)]
    from: Option<Text<'a>>,
    #[serde(borrow)]
    peer: Option<Text<'a>>,
    #[serde(borrow)]
    by: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    call: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) resume: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) auth: Option<Text<'a>>,
    pub(super) agent: Option<String>,
    pub(super) server: Option<String>,
    pub(super) message: Option<String>,
    pub(super) url: Option<String>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    pub(super) last_seq: Option<u64>,
    pub(super) capacity: Option<u16>,
    #[serde(rename = "kind")]
    sense: Option<Kind>,
    right: Option<Right>,
    role: Option<Role>,
    #[serde(default, deserialize_with = "present")]
    signal: Option<Raw>,
    #[serde(default, deserialize_with = "present")]
    data: Option<Raw>,
    t: Option<f64>,
    pub(super) rtt_ms: Option<f64>,
    pub(super) resumed: Option<bool>,
    pub(super) resume_window_ms: Option<u64>,
    pub(super) heartbeat_ms: Option<u64>,
    pub(super) reconnect_ms: Option<u64>,
    pub(super) ice_servers: Option<Vec<IceServer>>,
    pub(super) limits: Option<Limits>,
    pub(super) members: Option<Vec<WireMember<'a>>>,
    pub(super) member: Option<WireMember<'a>>,
    #[serde(borrow)]
    code: Option<Text<'a>>,
}

/// A string, borrowed from the message where nothing in it is escaped; an optional `Cow` alone is always copied.
pub(super) struct Text<'a>(Cow<'a, str>);

impl<'a, 'de: 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Words).map(Self)
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A payload of `null` is a payload, not an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Raw>, D::Error> {
    Raw::deserialize(deserializer).map(Some)
}

/// The unchecked form of [`Member`].
#[derive(Deserialize)]
pub(super) struct WireMember<'a> {
    #[serde(borrow)]
    peer: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    role: Role,
    #[serde(default)]
    muted: Vec<Kind>,
    dialect: Option<Dialect>,
}

impl WireMember<'_> {
    pub(super) fn check(self) -> Result<Member, ParseError> {
        Ok(Member {
            peer: PeerId::new(&self.peer)?,
            name: Name::new(&self.name)?,
            role: self.role,
            muted: self.muted,
            dialect: self.dialect,
        })
    }
}

/// Names the field in the error when it is absent.
pub(super) fn need<T>(field: &'static str, value: Option<T>) -> Result<T, ParseError> {
    value.ok_or(ParseError::Missing { field })
}

impl<'a> Wire<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, ParseError> {
        serde_json::from_str(text).map_err(|error| ParseError::Json(brief(&error)))
    }

    pub(super) fn room(&self) -> Result<RoomId, ParseError> {
        Ok(RoomId::new(need("room", self.room.as_deref())?)?)
    }

    pub(super) fn maybe_to(&self) -> Result<Option<PeerId>, ParseError> {
        Ok(self.to.as_deref().map(PeerId::new).transpose()?)
    }

    pub(super) fn from(&self) -> Result<PeerId, ParseError> {
        Ok(PeerId::new(need("from", self.from.as_deref())?)?)
    }

    pub(super) fn peer(&self) -> Result<PeerId, ParseError> {
        Ok(PeerId::new(need("peer", self.peer.as_deref())?)?)
    }

    pub(super) fn by(&self) -> Result<PeerId, ParseError> {
        Ok(PeerId::new(need("by", self.by.as_deref())?)?)
    }

    pub(super) fn call(&self) -> Result<CallId, ParseError> {
        Ok(CallId::new(need("call", self.call.as_deref())?)?)
    }

    pub(super) fn name(&self) -> Result<Name, ParseError> {
        Ok(Name::new(need("name", self.name.as_deref())?)?)
    }

    pub(super) fn maybe_name(&self) -> Result<Option<Name>, ParseError> {
        Ok(self.name.as_deref().map(Name::new).transpose()?)
    }

    pub(super) fn reason(&self) -> Result<Option<String>, ParseError> {
        match &self.reason {
            Some(reason) if reason.chars().count() > limits::REASON_CHARS => {
                Err(ParseError::Range {
                    field: "reason",
                    allowed: "at most 256 characters",
                })
            }
            reason => Ok(reason.as_deref().map(str::to_owned)),
        }
    }

    pub(super) fn leave_reason(&self) -> Result<LeaveReason, ParseError> {
        match need("reason", self.reason.as_deref())? {
            "left" => Ok(LeaveReason::Left),
            "kicked" => Ok(LeaveReason::Kicked),
            // A reason of a later version is still a peer that is gone.
            _ => Ok(LeaveReason::Lost),
        }
    }

    pub(super) fn error_code(&self) -> Result<ErrorCode, ParseError> {
        word(need("code", self.code.as_deref())?)
    }

    pub(super) fn refuse_code(&self) -> Result<Option<RefuseCode>, ParseError> {
        self.code.as_deref().map(word).transpose()
    }

    pub(super) fn kind(&self) -> Result<Kind, ParseError> {
        need("kind", self.sense)
    }

    pub(super) fn right(&self) -> Result<Right, ParseError> {
        need("right", self.right)
    }

    pub(super) fn role(&self) -> Result<Role, ParseError> {
        need("role", self.role)
    }

    pub(super) fn t(&self) -> Result<f64, ParseError> {
        need("t", self.t)
    }

    pub(super) fn signal(&mut self) -> Result<Raw, ParseError> {
        shallow("signal", self.signal.take())
    }

    pub(super) fn data(&mut self) -> Result<Raw, ParseError> {
        shallow("data", self.data.take())
    }
}

/// One of the words of an enum; words of a later version have a place in it.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, ParseError> {
    let text: StrDeserializer<'_, Unread> = text.into_deserializer();
    T::deserialize(text).map_err(|error| ParseError::Json(brief(&error)))
}

fn shallow(field: &'static str, raw: Option<Raw>) -> Result<Raw, ParseError> {
    let raw = need(field, raw)?;
    if raw.is_deeper_than(limits::NESTING) {
        return Err(ParseError::TooDeep { field });
    }
    Ok(raw)
}
