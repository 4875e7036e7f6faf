//! What the server says to a codelab page: events of rooms of two, and the page's own words inside `message`.
//!
//! The rules that it shares with [`super::book`] are in [`super::pair`].

use std::net::Ipv4Addr;

use super::conference::data;
use super::pair::{Out, event, raw};
use crate::id::RoomId;
use crate::raw::Raw;
use crate::signal::{Description, SdpType, Signal};

/// What a page says when its camera is open, and what the page that makes the offer waits for.
pub(super) const READY: &str = "got user media";

/// What a page says when it hangs up, and what it is told when the other one is gone.
pub(super) const BYE: &str = "bye";

/// The page is the first in the room, and so the one that makes the offer.
pub(super) fn created(room: &RoomId, socket: &str, out: &mut Out) {
    event("created", [raw(room), raw(socket)], out);
}

/// The page is the second in the room.
pub(super) fn joined(room: &RoomId, socket: &str, out: &mut Out) {
    event("joined", [raw(room), raw(socket)], out);
}

/// Somebody comes to the page.
pub(super) fn join(room: &RoomId, out: &mut Out) {
    event("join", [raw(room)], out);
}

/// Both are there.
pub(super) fn ready(out: &mut Out) {
    event("ready", [], out);
}

/// One of the page's own words.
pub(super) fn word(word: &'static str, out: &mut Out) {
    event("message", [raw(word)], out);
}

/// Where the server can be reached, an event for each address.
pub(super) fn addresses(all: &[Ipv4Addr], out: &mut Out) {
    for address in all {
        event("ipaddr", [raw(&address.to_string())], out);
    }
}

/// A trace of what the server did, for the console of the page that caused it.
pub(super) fn log(words: &[&str], out: &mut Out) {
    let words: Vec<&str> = std::iter::once("rtc-server:")
        .chain(words.iter().copied())
        .collect();
    event("log", [raw(&words)], out);
}

/// What a page's word means to a peer that is no such page.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    /// It can take an offer, or make one.
    Ready,
    /// It hangs up.
    Bye,
    /// It sets up the connection.
    Signal(Signal),
    /// Only the application knows.
    Application,
}

impl Meaning {
    pub(super) fn of(word: &Raw) -> Self {
        if let Some(signal) = data::read(word) {
            return Self::Signal(signal);
        }
        Self::of_word(word)
    }

    /// As [`Meaning::of`], for words that set up no connection or need not be read.
    pub(super) fn of_word(word: &Raw) -> Self {
        match word.get() {
            text if is(text, READY) => Self::Ready,
            text if is(text, BYE) => Self::Bye,
            _ => Self::Application,
        }
    }
}

/// Whether a JSON text is this word, which needs no escapes.
fn is(json: &str, word: &str) -> bool {
    let inner = json
        .strip_prefix('"')
        .and_then(|json| json.strip_suffix('"'));
    inner == Some(word)
}

/// A description in the page's words; none for kinds that it has no word for.
pub(super) fn description(description: &Description) -> Option<Raw> {
    match description.kind {
        SdpType::Offer | SdpType::Answer => raw(description),
        SdpType::Pranswer | SdpType::Rollback => None,
    }
}

pub(super) use data::candidate_for_page as candidate;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::signal::Candidate;

    fn meaning(text: &str) -> Meaning {
        Meaning::of(&Raw::parse(text).unwrap())
    }

    #[test]
    fn words_of_the_page_are_understood() {
        assert_eq!(meaning(r#""got user media""#), Meaning::Ready);
        assert_eq!(meaning(r#""bye""#), Meaning::Bye);
        assert_eq!(meaning(r#""Bye""#), Meaning::Application);
        assert_eq!(meaning("null"), Meaning::Application);
        assert_eq!(meaning(r#"{"type":"candidate"}"#), Meaning::Application);
        let offer = Description {
            kind: SdpType::Offer,
            sdp: "v=0\r\n".into(),
        };
        let text = description(&offer).unwrap();
        assert_eq!(text.get(), r#"{"type":"offer","sdp":"v=0\r\n"}"#);
        let meant = Meaning::of(&text);
        assert_eq!(meant, Meaning::Signal(Signal::Description(offer)));
    }

    #[test]
    fn candidates_have_label_and_id() {
        let said = r#"{"type":"candidate","label":1,"id":"video","candidate":"candidate:1"}"#;
        let candidate = Candidate {
            candidate: "candidate:1".into(),
            sdp_mid: Some("video".into()),
            sdp_m_line_index: Some(1),
            username_fragment: None,
        };
        let meant = Meaning::Signal(Signal::Candidate(candidate.clone()));
        assert_eq!(meaning(said), meant);
        let back = super::candidate(&candidate).unwrap();
        let fields: serde_json::Value = back.to().unwrap();
        assert_eq!(fields["type"], "candidate");
        assert_eq!(fields["label"], 1);
        assert_eq!(fields["id"], "video");
        assert_eq!(fields["candidate"], "candidate:1");
    }
}
