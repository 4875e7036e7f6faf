//! Pages of a conference over Socket.IO. Joining and leaving are asked for with a callback, as such pages do.

use super::socketio::{self, Packet, event, request};
use super::words::{quoted, word};
use super::{Heard, Speech, Stamp, What};

#[derive(Debug, Default)]
pub(super) struct Conference {
    /// As JSON.
    room: String,
    requests: u64,
}

impl Conference {
    fn request(&mut self, name: &str, args: &[&str]) -> String {
        self.requests += 1;
        request(self.requests, name, args)
    }
}

impl Speech for Conference {
    fn path(&self) -> &'static str {
        socketio::PATH
    }

    fn greet(&mut self, _: &mut Vec<String>) -> bool {
        // The server speaks first.
        true
    }

    fn join(&mut self, room: &str, out: &mut Vec<String>) {
        self.room = quoted(room);
        let room = self.room.clone();
        out.push(self.request("join", &[&room, r#""load""#]));
    }

    fn say(&mut self, what: What, stamp: Stamp, out: &mut Vec<String>) {
        out.push(event("message", &[&self.room, &word(what, stamp)]));
    }

    fn leave(&mut self, out: &mut Vec<String>) {
        let room = std::mem::take(&mut self.room);
        out.push(self.request("leave", &[&room]));
    }

    fn hear(&mut self, text: &str, out: &mut Vec<String>) -> Heard {
        let event = match socketio::read(text, out) {
            Packet::Event(event) => event,
            Packet::Understood(heard) => return heard,
        };
        match event.name.as_str() {
            "joined" => Heard::Joined,
            "otherjoin" => Heard::Came,
            "full" => Heard::Refused("full".to_owned()),
            _ => Heard::Nothing,
        }
    }
}
