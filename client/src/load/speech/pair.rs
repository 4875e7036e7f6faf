//! Pages that hold a room of two over Socket.IO: the codelab's and the book's.

use super::socketio::{self, Packet, event};
use super::words::{quoted, word};
use super::{Heard, Speech, Stamp, What};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Codelab,
    Book,
}

#[derive(Debug)]
pub(super) struct Pair {
    kind: Kind,
    /// As JSON.
    room: String,
}

impl Pair {
    pub(super) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            room: String::new(),
        }
    }
}

impl Speech for Pair {
    fn path(&self) -> &'static str {
        socketio::PATH
    }

    fn greet(&mut self, _: &mut Vec<String>) -> bool {
        // The server speaks first.
        true
    }

    fn join(&mut self, room: &str, out: &mut Vec<String>) {
        self.room = quoted(room);
        out.push(event("create or join", &[&self.room]));
    }

    fn say(&mut self, what: What, stamp: Stamp, out: &mut Vec<String>) {
        let word = word(what, stamp);
        out.push(match self.kind {
            Kind::Codelab => event("message", &[&word]),
            Kind::Book => {
                let by = match what {
                    What::Answer => "response",
                    _ => "message",
                };
                let room = &self.room;
                event(by, &[&format!(r#"{{"channel":{room},"message":{word}}}"#)])
            }
        });
    }

    fn leave(&mut self, out: &mut Vec<String>) {
        let goodbye = match self.kind {
            Kind::Codelab => "bye",
            Kind::Book => "Bye",
        };
        out.push(event(goodbye, &[&self.room]));
    }

    fn hear(&mut self, text: &str, out: &mut Vec<String>) -> Heard {
        let event = match socketio::read(text, out) {
            Packet::Event(event) => event,
            Packet::Understood(heard) => return heard,
        };
        // Until the server knows which kind of page this is, it says things in the words of both.
        match (event.name.as_str(), self.kind) {
            ("created" | "joined", _) => Heard::Joined,
            ("join", Kind::Codelab) | ("remotePeerJoining", Kind::Book) => Heard::Came,
            ("full", _) => Heard::Refused("full".to_owned()),
            _ => Heard::Nothing,
        }
    }
}
