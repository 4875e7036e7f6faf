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

use rtc_protocol::PeerId;

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

/// What is known of a message by whoever hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// When it was due, in microseconds since the start of the run.
    pub(super) due: u64,
    /// Which of all that its sender says in this room it is, counted from 0.
    pub(super) number: u32,
}

/// What comes before the numbers; in nothing else that servers say.
const MARK: &str = "load-stamp:";
const DUE: usize = 16;
const NUMBER: usize = 8;

impl Stamp {
    /// The text of something, as long as such a thing is.
    fn text(self, what: What) -> String {
        let mut text = String::with_capacity(what.bytes());
        text.push_str(MARK);
        text.push_str(&format!("{:0DUE$x}{:0NUMBER$x}", self.due, self.number));
        let filler = what.bytes().saturating_sub(text.len());
        text.extend(std::iter::repeat_n('x', filler));
        text
    }

    /// Looks for the mark anywhere in a message.
    fn find(text: &str) -> Option<Self> {
        let digits = text.get(text.find(MARK)? + MARK.len()..)?;
        let (due, rest) = digits.split_at_checked(DUE)?;
        Some(Self {
            due: u64::from_str_radix(due, 16).ok()?,
            number: u32::from_str_radix(rest.get(..NUMBER)?, 16).ok()?,
        })
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

    /// Who this peer is to the others, where the dialect tells.
    fn own(&self) -> Option<PeerId> {
        None
    }

    /// Who else is in the room, by all that this peer was told; where the dialect tells.
    fn others(&self) -> Option<&[PeerId]> {
        None
    }

    /// Whether the server says nothing before this peer has.
    fn speaks_first(&self) -> bool {
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
