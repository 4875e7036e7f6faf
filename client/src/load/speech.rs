//! How peers of each dialect say things: texts out, texts in. Pure; a dialect is a file here.
//!
//! What peers say to each other carries a [`Stamp`] inside its text, which every server passes on as it is, so the time
//! on the way is measured the same in all of them, and without parsing.

mod bare;
mod conference;
mod login;
mod native;
mod pair;
mod socketio;
#[cfg(test)]
mod tests;
mod words;

use super::args::Dialect;

/// Bytes of an offer's and an answer's SDP.
const DESCRIPTION: usize = 3000;
/// Bytes of a candidate's line.
const CANDIDATE: usize = 150;
/// Bytes of a small message.
const SMALL: usize = 64;

/// What one peer says to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Offer,
    Answer,
    Candidate,
    /// Any application's words.
    Small,
}

impl What {
    const fn bytes(self) -> usize {
        match self {
            Self::Offer | Self::Answer => DESCRIPTION,
            Self::Candidate => CANDIDATE,
            Self::Small => SMALL,
        }
    }
}

/// Which one of a room a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Who is there before the other one; it makes the call, where there is one.
    First,
    Second,
}

/// When something was due, in microseconds since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(pub(super) u64);

/// What comes before the number; in nothing else that servers say.
const MARK: &str = "load-stamp:";
const DIGITS: usize = 16;

impl Stamp {
    /// The text of something, as long as such a thing is.
    fn text(self, what: What) -> String {
        let mut text = String::with_capacity(what.bytes());
        text.push_str(MARK);
        text.push_str(&format!("{:0DIGITS$x}", self.0));
        let filler = what.bytes().saturating_sub(text.len());
        text.extend(std::iter::repeat_n('x', filler));
        text
    }

    /// Looks for the mark anywhere in a message.
    fn find(text: &str) -> Option<Self> {
        let digits = text.get(text.find(MARK)? + MARK.len()..)?.get(..DIGITS)?;
        u64::from_str_radix(digits, 16).ok().map(Self)
    }
}

/// What a text from the server means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The greeting is over; what was missed follows where the session is still the old one.
    Welcome { resumed: bool },
    /// This peer is in the room.
    Joined,
    /// The other came into it.
    Came,
    /// The other said something.
    Said(Stamp),
    /// A request was refused.
    Refused(String),
    /// Nothing that matters here.
    Nothing,
}

/// One peer's side of the conversation with a server. `out` takes the texts that are to be sent.
pub(super) trait Speech: Send {
    /// The WebSocket's path and query.
    fn path(&self) -> &'static str;

    /// The WebSocket's subprotocol, if it has one.
    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    /// Whether the session outlives its link: then greeting on a second link is enough to be back in the room.
    fn resumes(&self) -> bool {
        false
    }

    /// The first words on a link; whether a [`Heard::Welcome`] must have come before anything else is said.
    fn greet(&mut self, out: &mut Vec<String>) -> bool;

    fn join(&mut self, room: &str, out: &mut Vec<String>);

    /// Whether who is in the room hears that another [`Heard::Came`].
    fn announces(&self) -> bool {
        true
    }

    /// Begins a call, where nothing can be said outside of one; whether it did. Then both hear that the other
    /// [`Heard::Came`].
    fn call(&mut self, _: &mut Vec<String>) -> bool {
        false
    }

    fn say(&mut self, what: What, stamp: Stamp, out: &mut Vec<String>);

    fn leave(&mut self, out: &mut Vec<String>);

    fn hear(&mut self, text: &str, out: &mut Vec<String>) -> Heard;
}

/// A new peer.
pub(super) fn speech(dialect: Dialect, side: Side) -> Box<dyn Speech> {
    match dialect {
        Dialect::Native => Box::new(native::Native::new(rand::random())),
        Dialect::Codelab => Box::new(pair::Pair::new(pair::Kind::Codelab)),
        Dialect::Book => Box::new(pair::Pair::new(pair::Kind::Book)),
        Dialect::Login => Box::new(login::Login::new(side)),
        Dialect::Conference => Box::new(conference::Conference::default()),
        Dialect::Bare => Box::new(bare::Bare),
    }
}
