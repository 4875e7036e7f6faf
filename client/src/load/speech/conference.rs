//! Pages of a conference over Socket.IO. Joining and leaving are asked for with a callback, as such pages do.

use rtc_dialects::conference;

use super::socketio::{self, Packet};
use super::words::word;
use super::{Heard, Speech, Stamp, What};

#[derive(Debug, Default)]
pub(super) struct Conference {
    room: String,
    requests: u64,
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
        self.room = room.to_owned();
        self.requests += 1;
        out.push(conference::join(self.requests, room, "load"));
    }

    fn say(&mut self, what: What, stamp: Stamp, out: &mut Vec<String>) {
        out.push(conference::message(&self.room, &word(what, stamp), None));
    }

    fn leave(&mut self, out: &mut Vec<String>) {
        let room = std::mem::take(&mut self.room);
        self.requests += 1;
        out.push(conference::leave(self.requests, &room));
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
