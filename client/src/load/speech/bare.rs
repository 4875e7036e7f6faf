//! The bare relay that the server is compared with (`server/examples/bare_relay.rs`): the first text names the room, and
//! all others go to the other one in it, as they are, so they are given the same sizes as those of rtc.v1.

use super::{Heard, Speech, Stamp, What};

#[derive(Debug, Default)]
pub(super) struct Bare;

impl Speech for Bare {
    fn path(&self) -> &'static str {
        "/"
    }

    fn greet(&mut self, _: &mut Vec<String>) -> bool {
        false
    }

    fn join(&mut self, room: &str, out: &mut Vec<String>) {
        out.push(room.to_owned());
    }

    fn say(&mut self, what: What, stamp: Stamp, out: &mut Vec<String>) {
        let kind = match what {
            What::Offer => "offer",
            What::Answer => "answer",
            What::Candidate => "candidate",
            What::Small => "message",
        };
        let words = stamp.text(what);
        out.push(format!(
            r#"{{"type":"{kind}","room":"load","data":"{words}"}}"#
        ));
    }

    fn leave(&mut self, _: &mut Vec<String>) {}

    fn hear(&mut self, text: &str, _: &mut Vec<String>) -> Heard {
        match text {
            "joined" => Heard::Joined,
            "came" => Heard::Came,
            _ => Stamp::find(text).map_or(Heard::Nothing, Heard::Said),
        }
    }
}
