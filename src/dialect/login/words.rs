//! What a login page says and is told: one JSON object each. Pure text in, typed words out.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::brief::brief;
use crate::id::{Name, NameError};
use crate::limits;
use crate::message::IceServer;
use crate::raw::Raw;

/// What a page says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Said {
    /// It wants to be called by this name.
    Login(Result<Name, NameError>),
    /// It calls a name, or, in a call, negotiates anew.
    Offer {
        /// As its browser made it.
        offer: Raw,
        /// Whom.
        name: Name,
    },
    /// It takes the call.
    Answer {
        /// As its browser made it.
        answer: Raw,
        /// Whose.
        name: Option<Name>,
    },
    /// One more way to be reached.
    Candidate {
        /// As its browser made it.
        candidate: Raw,
        /// By whom.
        name: Option<Name>,
    },
    /// It will take the call; the answer follows.
    Accept {
        /// Whose.
        name: Option<Name>,
    },
    /// It does not take the call.
    Refuse {
        /// Whose.
        name: Option<Name>,
        /// Why, for people.
        message: Option<String>,
    },
    /// It ends the call.
    Leave {
        /// With whom.
        name: Option<Name>,
    },
}

/// What cannot be understood, in words for the page's author.
type Misread = String;

/// Every field that any message has; others are skipped, doubled ones refused.
#[derive(Default, Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    offer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    answer: Option<&'a RawValue>,
    /// `null` ends the candidates, and is not the same as nothing.
    #[serde(borrow, default, deserialize_with = "present")]
    candidate: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A JSON string; nothing else is one.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let text: Result<Text<'_>, _> = serde_json::from_str(raw.get());
    text.ok().map(|Text(text)| text)
}

impl Said {
    /// Reads one message; takes any text.
    ///
    /// # Errors
    /// With what the page is to be told where it makes no sense.
    pub fn parse(json: &str) -> Result<Self, String> {
        let answer = |words: Misread| {
            Word::Error {
                code: Code::BadMessage,
                message: &words,
                name: None,
            }
            .json()
        };
        Self::read(json).map_err(answer)
    }

    fn read(json: &str) -> Result<Self, Misread> {
        // An array would pass for an object whose fields have no names.
        if !json.trim_start().starts_with('{') {
            return Err("a message is one JSON object with a type, as {\"type\":\"login\",\"name\":\"ann\"}".into());
        }
        let wire: Wire<'_> = serde_json::from_str(json)
            .map_err(|error| format!("that is no JSON object: {}", brief(&error)))?;
        let kind = wire.kind.and_then(text).ok_or(
            "the message has no type; send one of login, offer, answer, candidate, accept, refuse and leave",
        )?;
        Ok(match &*kind {
            "login" => Self::Login(wire.login()?),
            "offer" => Self::Offer {
                offer: payload("offer", wire.offer)?,
                name: wire
                    .name()?
                    .ok_or("an offer needs the name of whom it is for")?,
            },
            "answer" => Self::Answer {
                answer: payload("answer", wire.answer)?,
                name: wire.name()?,
            },
            "candidate" => Self::Candidate {
                candidate: payload("candidate", wire.candidate)?,
                name: wire.name()?,
            },
            "accept" => Self::Accept { name: wire.name()? },
            "refuse" => Self::Refuse {
                name: wire.name()?,
                message: wire.words(),
            },
            "leave" => Self::Leave { name: wire.name()? },
            other => {
                let other: String = other.chars().take(64).collect();
                return Err(format!(
                    "the type {other:?} is not known here; send one of login, offer, answer, candidate, accept, refuse and leave"
                ));
            }
        })
    }
}

impl Wire<'_> {
    fn login(&self) -> Result<Result<Name, NameError>, Misread> {
        match self.name.map(text) {
            Some(Some(name)) => Ok(Name::new(&name)),
            // To the page a number is a name that it cannot have.
            Some(None) | None => Ok(Name::new("")),
        }
    }

    fn name(&self) -> Result<Option<Name>, Misread> {
        let Some(raw) = self.name.filter(|raw| raw.get() != "null") else {
            return Ok(None);
        };
        let name = text(raw).ok_or("the name must be a string")?;
        Name::new(&name)
            .map(Some)
            .map_err(|error| error.to_string())
    }

    fn words(&self) -> Option<String> {
        let words = self.message.and_then(text)?;
        Some(words.chars().take(limits::REASON_CHARS).collect())
    }
}

fn payload(field: &'static str, raw: Option<&RawValue>) -> Result<Raw, Misread> {
    let raw = raw.ok_or_else(|| format!("the field {field:?} is missing"))?;
    let raw = Raw::of(raw).map_err(|error| error.to_string())?;
    if raw.is_deeper_than(limits::NESTING) {
        return Err(format!(
            "the field {field:?} is nested deeper than {} levels",
            limits::NESTING
        ));
    }
    Ok(raw)
}

/// Why a page is not served. Stable: pages may compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// No JSON object of a known type with its fields.
    BadMessage,
    /// A name breaks the rule for names.
    BadName,
    /// Another peer has that name.
    NameTaken,
    /// Log in first.
    NotLoggedIn,
    /// Nobody else goes by that name, or several do.
    NoSuchUser,
    /// The callee is in a call.
    Busy,
    /// The page itself is in a call.
    InCall,
    /// There is no such call.
    NoCall,
    /// No offer waits for an answer.
    NoOffer,
    /// The callee's page can make calls and take none.
    CannotAnswer,
    /// The callee's room has no place left.
    RoomFull,
    /// The page may not do that here.
    NotAllowed,
    /// More candidates came before the callee than are kept.
    TooMany,
    /// A message over the size limit.
    TooLarge,
    /// Too many messages in too short a time.
    RateLimited,
    /// The server is about to stop.
    GoingAway,
    /// The callee does not want the call.
    Declined,
    /// The callee was called for as long as a call may ring.
    NoAnswer,
    /// Anything else that the server refused.
    Refused,
}

/// What a page is told.
#[derive(Debug, Serialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub(super) enum Word<'a> {
    Hello {
        server: &'a str,
        ice_servers: &'a [IceServer],
    },
    Login {
        success: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<&'a str>,
    },
    Offer {
        offer: &'a Raw,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a Name>,
    },
    Answer {
        answer: &'a Raw,
    },
    Candidate {
        candidate: &'a Raw,
    },
    Leave {},
    Ringing {
        name: &'a Name,
    },
    Accept {
        name: &'a Name,
    },
    Refuse {
        name: &'a Name,
        code: Code,
        message: &'a str,
    },
    Error {
        code: Code,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a Name>,
    },
}

impl Word<'_> {
    /// Writes it down.
    pub(super) fn json(&self) -> String {
        // Strings and checked JSON: there is nothing in it that cannot be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Writes it as what one page's translator passes on to another's.
    pub(super) fn raw(&self) -> Option<Raw> {
        Raw::of(self).ok()
    }
}

/// What another login page's translator passed on.
#[derive(Debug)]
pub(super) enum Passed {
    Offer(Raw),
    Answer(Raw),
    Candidate(Raw),
}

impl Passed {
    pub(super) fn read(data: &Raw) -> Option<Self> {
        let wire: Wire<'_> = data.to().ok()?;
        let own = |raw: Option<&RawValue>| raw.and_then(|raw| Raw::of(raw).ok());
        match &*wire.kind.and_then(text)? {
            "offer" => own(wire.offer).map(Self::Offer),
            "answer" => own(wire.answer).map(Self::Answer),
            "candidate" => own(wire.candidate).map(Self::Candidate),
            _ => None,
        }
    }
}
