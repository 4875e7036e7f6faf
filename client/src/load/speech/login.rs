//! Login pages: plain WebSocket and JSON, where a name calls a name. The two of a room are called after it.

use serde::Deserialize;

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
        let name = &self.name;
        format!(r#"{{"type":"{kind}","{kind}":{word},"name":"{name}"}}"#)
    }
}

/// As much as matters of what a server says.
#[derive(Deserialize)]
struct Word<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    success: Option<bool>,
    code: Option<String>,
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
        out.push(format!(r#"{{"type":"login","name":"{room}-{own}"}}"#));
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
            let name = &self.name;
            out.push(format!(r#"{{"type":"leave","name":"{name}"}}"#));
        }
    }

    fn hear(&mut self, text: &str, out: &mut Vec<String>) -> Heard {
        if let Some(stamp) = Stamp::find(text) {
            return Heard::Said(stamp);
        }
        let Ok(Word {
            kind,
            success,
            code,
        }) = serde_json::from_str(text)
        else {
            return Heard::Nothing;
        };
        match (kind, success) {
            ("login", Some(true)) => Heard::Joined,
            ("login", _) | ("error" | "refuse", _) => {
                Heard::Refused(code.unwrap_or_else(|| kind.to_owned()))
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
