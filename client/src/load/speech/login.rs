//! Login pages: plain WebSocket and JSON, where a name calls a name. The two of a room are called after it.

use rtc_dialects::login::{self, Told};

use super::words::word;
use super::{Heard, Side, Speech, Stamp, What};

#[derive(Debug)]
pub(super) struct Login {
    side: Side,
    /// Of the other one.
    name: String,
}

impl Login {
    pub(super) const fn new(side: Side) -> Self {
        Self {
            side,
            name: String::new(),
        }
    }

    fn carry(&self, kind: &str, word: &str) -> String {
        login::carry(kind, word, &self.name)
    }
}

impl Speech for Login {
    fn path(&self) -> &'static str {
        "/"
    }

    fn greet(&mut self, _: &mut Vec<String>) -> bool {
        false
    }

    fn join(&mut self, room: &str, out: &mut Vec<String>) {
        let (own, other) = match self.side {
            Side::First => (1, 2),
            Side::Second => (2, 1),
        };
        self.name = format!("{room}-{other}");
        out.push(login::login(&format!("{room}-{own}")));
    }

    fn announces(&self) -> bool {
        false
    }

    fn call(&mut self, out: &mut Vec<String>) -> bool {
        out.push(self.carry("offer", r#"{"type":"offer","sdp":""}"#));
        true
    }

    fn say(&mut self, what: What, stamp: Stamp, out: &mut Vec<String>) {
        let kind = match what {
            What::Offer => "offer",
            What::Answer => "answer",
            What::Candidate | What::Small => "candidate",
        };
        out.push(self.carry(kind, &word(what, stamp)));
    }

    fn leave(&mut self, out: &mut Vec<String>) {
        // One hangs up, and the call is over for the other one, too.
        if self.side == Side::First {
            out.push(login::leave(&self.name));
        }
    }

    fn hear(&mut self, text: &str, out: &mut Vec<String>) -> Heard {
        if let Some(stamp) = Stamp::find(text) {
            return Heard::Said(stamp);
        }
        let Some(told) = Told::read(text) else {
            return Heard::Nothing;
        };
        match (told.kind.as_str(), told.success) {
            ("login", Some(true)) => Heard::Joined,
            ("login", _) | ("error" | "refuse", _) => {
                Heard::Refused(told.code.unwrap_or(told.kind))
            }
            // Without a stamp it is the one that begins a call that nobody measures.
            ("offer", _) => {
                out.push(self.carry("answer", r#"{"type":"answer","sdp":""}"#));
                Heard::Came
            }
            ("answer", _) => Heard::Came,
            _ => Heard::Nothing,
        }
    }
}
