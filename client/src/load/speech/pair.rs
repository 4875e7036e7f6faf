//! Pages that hold a room of two over Socket.IO: the codelab's and the book's.

pub(super) use rtc_dialects::pair::Kind;
use rtc_dialects::socketio::{event, quoted};

use super::socketio::{self, Packet};
use super::words::word;
use super::{Heard, Speech, Stamp, What};

#[derive(Debug)]
pub(super) struct Pair {
    kind: Kind,
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
        self.room = room.to_owned();
        out.push(self.kind.join(room));
    }

    fn say(&mut self, what: What, stamp: Stamp, out: &mut Vec<String>) {
        let answers = what == What::Answer;
        out.push(self.kind.say(&self.room, &word(what, stamp), answers));
    }

    fn leave(&mut self, out: &mut Vec<String>) {
        out.push(match self.kind {
            // Frees the place at once, before the link is closed.
            Kind::Codelab => event("bye", &[&quoted(&self.room)]),
            Kind::Book => self.kind.leave(&self.room),
        });
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
