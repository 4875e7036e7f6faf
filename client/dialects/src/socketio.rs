//! Packets of Socket.IO as a server sends them and as clients of 1.x to 4.x write them, in the namespace `/`, without attachments.
//! Pure.

use rtc_protocol::Raw;
use rtc_protocol::dialect::socketio::Event;
use rtc_protocol::dialect::socketio::wire::Incoming;
use serde::Deserialize;

/// Characters of a server's words that are kept.
const WORDS: usize = 300;

/// One packet of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// We are in the namespace.
    Connected {
        /// It says who we are there, which servers of revision 4 alone do.
        named: bool,
    },
    /// We are not let in, or no more, with the server's words.
    Refused(String),
    /// It says something.
    Event(Event),
    /// It answers a request.
    Ack {
        /// Which.
        number: u64,
        /// What a page's callback would be called with.
        args: Vec<Raw>,
    },
    /// It puts us out.
    Disconnected,
    /// Nothing that matters here, or nothing that can be read.
    Other,
}

/// Reads what an Engine.IO message carries; takes any text.
#[must_use]
pub fn read(text: &str) -> Packet {
    match text.as_bytes().first() {
        Some(b'3') => return ack(&text[1..]),
        // Errors, of which the server's side reads none.
        Some(b'4') => return Packet::Refused(words(&text[1..])),
        _ => {}
    }
    match Incoming::parse(text) {
        Ok(Incoming::Connect { namespace, .. }) if namespace == "/" => Packet::Connected {
            named: is_named(&text[1..]),
        },
        Ok(Incoming::Event(event)) => Packet::Event(event),
        Ok(Incoming::Disconnect) => Packet::Disconnected,
        Ok(_) | Err(_) => Packet::Other,
    }
}

fn is_named(json: &str) -> bool {
    let json = json.strip_prefix("/,").unwrap_or(json);
    serde_json::from_str::<serde_json::Value>(json).is_ok_and(|told| told["sid"].is_string())
}

fn ack(text: &str) -> Packet {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, json) = text.split_at(digits);
    match (number.parse(), serde_json::from_str(json)) {
        (Ok(number), Ok(args)) => Packet::Ack { number, args },
        _ => Packet::Other,
    }
}

/// A text, or the `message` of an object: what servers of the two revisions say.
fn words(json: &str) -> String {
    #[derive(Deserialize)]
    struct Object {
        message: String,
    }
    let json = json.strip_prefix("/,").unwrap_or(json);
    let words = serde_json::from_str::<Object>(json)
        .map(|object| object.message)
        .or_else(|_| serde_json::from_str(json));
    let words = words.unwrap_or_else(|_| json.to_owned());
    words.chars().take(WORDS).collect()
}

/// Asks to be let in, in revision 4; with the token that pages give as `auth: { token }`.
#[must_use]
pub fn connect(token: Option<&str>) -> String {
    match token {
        Some(token) => format!("40{}", serde_json::json!({ "token": token })),
        None => "40".to_owned(),
    }
}

/// Writes an event with its Engine.IO packet around it; the arguments are JSON, the name needs no escapes.
#[must_use]
pub fn event(name: &'static str, args: &[&str]) -> String {
    numbered("", name, args)
}

/// Writes an event whose callback has this number.
#[must_use]
pub fn request(number: u64, name: &'static str, args: &[&str]) -> String {
    numbered(&number.to_string(), name, args)
}

fn numbered(number: &str, name: &str, args: &[&str]) -> String {
    let bytes: usize = args.iter().map(|arg| arg.len() + 1).sum();
    let mut text = String::with_capacity(bytes + number.len() + name.len() + 8);
    for part in ["42", number, "[\"", name, "\""] {
        text.push_str(part);
    }
    for arg in args {
        text.push(',');
        text.push_str(arg);
    }
    text.push(']');
    text
}

/// A server's refusal as its events and answers say it; anything at all may stand there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// Whether it was done, in an answer.
    #[serde(default)]
    pub ok: Option<bool>,
    /// Why not, for programs.
    #[serde(default)]
    pub code: Option<String>,
    /// Why not, for people.
    #[serde(default)]
    pub message: Option<String>,
}

impl Said {
    /// Reads the first argument; nothing where it says nothing of that.
    #[must_use]
    pub fn read(args: &[Raw]) -> Self {
        let first = args.first().filter(|arg| arg.get().starts_with('{'));
        let mut said: Self = first.and_then(|arg| arg.to().ok()).unwrap_or_default();
        if let Some(words) = &mut said.message {
            *words = words.chars().take(WORDS).collect();
        }
        said
    }
}

/// A text as JSON.
#[must_use]
pub fn quoted(text: &str) -> String {
    // A text can always be written.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_revisions_let_us_in_and_keep_us_out() {
        assert_eq!(read(r#"0{"sid":"x"}"#), Packet::Connected { named: true });
        assert_eq!(read("0"), Packet::Connected { named: false });
        assert_eq!(read("0/,"), Packet::Connected { named: false });
        let refused = |words: &str| Packet::Refused(words.to_owned());
        assert_eq!(read(r#"4"no""#), refused("no"));
        assert_eq!(read(r#"4{"message":"no token"}"#), refused("no token"));
        assert_eq!(read("1"), Packet::Disconnected);
        assert_eq!(read("0/chat,{}"), Packet::Other);
    }

    #[test]
    fn answers_have_their_number_and_arguments() {
        let Packet::Ack { number, args } = read(r#"312[{"ok":false,"code":"room-full"},1]"#) else {
            unreachable!("it is an answer")
        };
        assert_eq!((number, args.len()), (12, 2));
        let said = Said::read(&args);
        assert_eq!(
            (said.ok, said.code.as_deref()),
            (Some(false), Some("room-full"))
        );
        assert_eq!(read("3[]"), Packet::Other);
        assert_eq!(Said::read(&[Raw::parse("[1]").unwrap()]), Said::default());
    }

    #[test]
    fn what_is_written_is_what_a_server_reads() {
        let text = request(7, "join", &[&quoted("a\"b"), "null"]);
        assert_eq!(text, r#"427["join","a\"b",null]"#);
        let Ok(Incoming::Event(event)) = Incoming::parse(&text[1..]) else {
            unreachable!("it is an event")
        };
        assert_eq!((event.name.as_str(), event.ack), ("join", Some(7)));
        assert_eq!(connect(Some("a\"")), r#"40{"token":"a\""}"#);
        assert_eq!(super::event("bye", &[]), r#"42["bye"]"#);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[0-6]?.{0,80}") {
            let _ = read(&text);
        }

        #[test]
        fn every_event_comes_back(text in ".{0,40}", number in any::<u32>()) {
            let written = request(number.into(), "message", &[&quoted(&text)]);
            let Packet::Event(event) = read(&written[1..]) else { panic!("{written}") };
            prop_assert_eq!(event.ack, Some(number.into()));
            prop_assert_eq!(event.args[0].to::<String>().unwrap(), text);
        }
    }
}
