//! What the server says to a page of the book's kind: a channel of two, in which `message` and `response` go to and fro.
//!
//! The rules that it shares with [`super::codelab`] are in [`super::pair`].

use serde::{Deserialize, Serialize};

use super::pair::{Out, event, raw};
use crate::id::RoomId;
use crate::raw::Raw;

/// How a page wraps what it says, so that the server knows the channel. Other fields are not for anybody.
#[derive(Debug, Deserialize)]
pub(super) struct Wrapped {
    pub(super) channel: String,
    pub(super) message: Raw,
}

impl Wrapped {
    /// Reads it; none where it is something else, and so of a page of another kind.
    pub(super) fn read(word: &Raw) -> Option<Self> {
        if !word.get().starts_with('{') {
            return None;
        }
        word.to().ok()
    }
}

/// The page is the first in the channel.
pub(super) fn created(channel: &RoomId, out: &mut Out) {
    event("created", [raw(channel)], out);
}

/// The page is the second in the channel.
pub(super) fn joined(channel: &RoomId, out: &mut Out) {
    event("joined", [raw(channel)], out);
}

/// Somebody comes into the page's channel.
pub(super) fn joining(channel: &RoomId, out: &mut Out) {
    event("remotePeerJoining", [raw(channel)], out);
}

/// Somebody has come, in words.
pub(super) fn told_of_joining(channel: &RoomId, out: &mut Out) {
    let words = format!("somebody has joined channel {channel}");
    event("broadcast: joined", [raw(&words)], out);
}

/// The other one is gone; the page is to say `Ack`.
pub(super) fn bye(out: &mut Out) {
    event("Bye", [], out);
}

/// By which event something was said, as one page's translator tells the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    Message,
    Response,
    /// By a codelab page; only where its own words could be mistaken for one of these.
    Codelab,
}

impl By {
    pub(super) const fn event(self) -> &'static str {
        match self {
            Self::Message | Self::Codelab => "message",
            Self::Response => "response",
        }
    }
}

/// What goes between two pages' translators: what one page said, and by which event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Carried {
    pub(super) book: By,
    pub(super) data: Raw,
}

/// How all that is carried begins, and nothing else that a translator sends.
const CARRIED: &str = r#"{"book":"#;

impl Carried {
    /// Whether a text has to be carried, lest it be taken for something carried.
    pub(super) fn looks_like(text: &str) -> bool {
        text.starts_with(CARRIED)
    }

    /// Reads it; none where a codelab page's words came as they are.
    pub(super) fn read(data: &Raw) -> Option<Self> {
        if !Self::looks_like(data.get()) {
            return None;
        }
        data.to().ok()
    }
}
