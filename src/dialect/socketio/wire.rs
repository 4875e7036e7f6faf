//! The text form of Socket.IO packets, revisions 4 (clients 1.x and 2.x) and 5 (3.x and 4.x), without attachments.
//!
//! A packet is a digit, the namespace where it is not `/`, the number of an acknowledgement, and JSON.

use std::fmt::Write as _;

use super::{Emit, Event};
use crate::brief::brief;
use crate::id::AuthToken;
use crate::limits;
use crate::raw::Raw;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// It wants to be in a namespace.
    Connect {
        /// Which; `/` is the only one that there is.
        namespace: String,
        /// The token that it shows (`auth: { token }` of clients of 3.x and 4.x).
        token: Option<AuthToken>,
    },
    /// It goes.
    Disconnect,
    /// It says something.
    Event(Event),
    /// It acknowledges something, which nobody here asks for.
    Ack,
    /// Something in a namespace that it cannot be in.
    Elsewhere,
}

/// A text that is no packet, or one that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// A digit that no packet of a client begins with.
    #[error("this is no Socket.IO packet; use a Socket.IO client")]
    Kind,
    /// Attachments.
    #[error("attachments are not taken; send JSON alone")]
    Binary,
    /// JSON that is none.
    #[error("the packet cannot be read ({0}); send an array that begins with the event's name")]
    Json(String),
    /// An event without a name, or one that is no text.
    #[error(
        "an event begins with its name, a text of 1 to {} bytes",
        limits::EVENT_NAME_BYTES
    )]
    Name,
    /// More arguments than anybody has.
    #[error("an event has at most {} arguments", limits::EVENT_ARGS)]
    Args,
    /// An argument nested too deeply.
    #[error(
        "an argument is nested deeper than {} levels; make it flatter",
        limits::NESTING
    )]
    TooDeep,
}

impl Incoming {
    /// Reads one packet; takes any text.
    pub fn parse(text: &str) -> Result<Self, PacketError> {
        let mut chars = text.chars();
        let kind = chars.next();
        let rest = chars.as_str();
        match kind {
            Some('5' | '6') => return Err(PacketError::Binary),
            Some('0'..='3') => {}
            _ => return Err(PacketError::Kind),
        }
        let (namespace, rest) = split_namespace(rest);
        match kind {
            Some('0') => Ok(Self::Connect {
                namespace: namespace.to_owned(),
                token: shown(rest),
            }),
            _ if namespace != "/" => Ok(Self::Elsewhere),
            Some('1') => Ok(Self::Disconnect),
            Some('3') => Ok(Self::Ack),
            _ => {
                let (ack, json) = split_number(rest);
                let mut args = arguments(json)?;
                if args.is_empty() {
                    return Err(PacketError::Name);
                }
                let name: String = args.remove(0).to().map_err(|_| PacketError::Name)?;
                if name.is_empty() || name.len() > limits::EVENT_NAME_BYTES {
                    return Err(PacketError::Name);
                }
                Ok(Self::Event(Event { name, args, ack }))
            }
        }
    }
}

/// A namespace begins with a slash and ends at the first comma, or at the end where nothing follows; what comes after a
/// question mark is a query, which clients of 1.x and 2.x add.
fn split_namespace(text: &str) -> (&str, &str) {
    if !text.starts_with('/') {
        return ("/", text);
    }
    let (namespace, rest) = text.split_once(',').unwrap_or((text, ""));
    let path = namespace.split('?').next().unwrap_or_default();
    (path, rest)
}

/// The number in front of the JSON. One that is too large to be anybody's counts as none.
fn split_number(text: &str) -> (Option<u64>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    (number.parse().ok(), rest)
}

fn arguments(json: &str) -> Result<Vec<Raw>, PacketError> {
    let args: Vec<Raw> =
        serde_json::from_str(json).map_err(|error| PacketError::Json(brief(&error)))?;
    if args.len() > limits::EVENT_ARGS + 1 {
        return Err(PacketError::Args);
    }
    if args.iter().any(|arg| arg.is_deeper_than(limits::NESTING)) {
        return Err(PacketError::TooDeep);
    }
    Ok(args)
}

impl Emit {
    /// Writes the packet, in the namespace `/`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (name, args) = match self {
            Self::Event { name, args } => (Some(name), args),
            Self::Ack { args, .. } => (None, args),
        };
        let bytes: usize = args.iter().map(|arg| arg.get().len() + 1).sum();
        let mut text = String::with_capacity(bytes + name.map_or(0, |name| name.len()) + 24);
        match self {
            Self::Event { .. } => text.push('2'),
            Self::Ack { ack, .. } => {
                let _ = write!(text, "3{ack}");
            }
        }
        text.push('[');
        if let Some(name) = name {
            // A text can always be written.
            text.push_str(&serde_json::to_string(name).unwrap_or_default());
        }
        for (index, arg) in args.iter().enumerate() {
            if index > 0 || name.is_some() {
                text.push(',');
            }
            text.push_str(arg.get());
        }
        text.push(']');
        text
    }
}

/// The token of what a page shows when it connects; a page may show anything.
fn shown(json: &str) -> Option<AuthToken> {
    #[derive(serde::Deserialize)]
    struct Shown {
        token: String,
    }
    let shown: Shown = serde_json::from_str(json).ok()?;
    Some(AuthToken::new(&shown.token))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    fn raw(text: &str) -> Raw {
        Raw::parse(text).unwrap()
    }

    fn event(text: &str) -> Event {
        match Incoming::parse(text) {
            Ok(Incoming::Event(event)) => event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_keeps_its_arguments_as_they_were_written() {
        let event = event(r#"2["message",{"b" : 1e3,"a":"\u00e9"},null]"#);
        assert_eq!(event.name, "message");
        assert_eq!(event.args[0].get(), r#"{"b" : 1e3,"a":"\u00e9"}"#);
        assert_eq!(event.args[1].get(), "null");
        assert_eq!(event.ack, None);
    }

    #[test]
    fn acknowledgements_have_their_number() {
        assert_eq!(event(r#"212["join","foo"]"#).ack, Some(12));
        assert_eq!(Incoming::parse("37[1]"), Ok(Incoming::Ack));
        let args = vec![raw("1"), raw("null")];
        assert_eq!(Emit::Ack { ack: 7, args }.to_text(), "37[1,null]");
        let args = Vec::new();
        assert_eq!(Emit::Ack { ack: 0, args }.to_text(), "30[]");
    }

    #[test]
    fn there_is_one_namespace() {
        let connect = |namespace: &str| {
            Ok(Incoming::Connect {
                namespace: namespace.into(),
                token: None,
            })
        };
        let shown = Incoming::parse(r#"0{"token":"a.b.c","x":[]}"#).unwrap();
        let Incoming::Connect { token, .. } = shown else {
            panic!("{shown:?}")
        };
        assert_eq!(token.unwrap().secret(), "a.b.c");
        assert_eq!(Incoming::parse("0"), connect("/"));
        assert_eq!(Incoming::parse(r#"0{"token":1}"#), connect("/"));
        assert_eq!(Incoming::parse("0/?a=b"), connect("/"));
        assert_eq!(Incoming::parse("0/admin,{}"), connect("/admin"));
        assert_eq!(Incoming::parse("0/admin"), connect("/admin"));
        assert_eq!(Incoming::parse("1/admin"), Ok(Incoming::Elsewhere));
        assert_eq!(Incoming::parse(r#"2/admin,["a"]"#), Ok(Incoming::Elsewhere));
        assert_eq!(Incoming::parse("1"), Ok(Incoming::Disconnect));
    }

    #[test]
    fn what_is_no_event_is_refused_with_its_reason() {
        for (text, error) in [
            ("", PacketError::Kind),
            ("é", PacketError::Kind),
            ("4[1]", PacketError::Kind),
            ("9", PacketError::Kind),
            (
                r#"51-["a",{"_placeholder":true,"num":0}]"#,
                PacketError::Binary,
            ),
            ("2[]", PacketError::Name),
            ("2[1]", PacketError::Name),
            (r#"2[""]"#, PacketError::Name),
            (r#"2[{"toString":1}]"#, PacketError::Name),
        ] {
            assert_eq!(Incoming::parse(text), Err(error), "{text}");
        }
        for text in ["2", "2{}", "2[", r#"2"a""#, "2[\"a\"]x", "2[\"\u{0}\"]"] {
            let read = Incoming::parse(text);
            assert!(matches!(read, Err(PacketError::Json(_))), "{text} {read:?}");
        }
        let long = format!(r#"2["{}"]"#, "a".repeat(limits::EVENT_NAME_BYTES + 1));
        assert_eq!(Incoming::parse(&long), Err(PacketError::Name));
        let many = format!(r#"2["a"{}]"#, ",1".repeat(limits::EVENT_ARGS + 1));
        assert_eq!(Incoming::parse(&many), Err(PacketError::Args));
        let deep = format!(r#"2["a",{}{}]"#, "[".repeat(65), "]".repeat(65));
        assert_eq!(Incoming::parse(&deep), Err(PacketError::TooDeep));
        let abyss = format!(r#"2["a",{}"#, "[".repeat(60_000));
        assert!(Incoming::parse(&abyss).is_err());
    }

    fn any_raw() -> impl Strategy<Value = Raw> {
        prop_oneof![
            any::<String>().prop_map(|text| Raw::of(&text).unwrap()),
            any::<i64>().prop_map(|number| Raw::of(&number).unwrap()),
            prop::collection::btree_map(any::<String>(), any::<String>(), 0..4)
                .prop_map(|map| Raw::of(&map).unwrap()),
            Just(raw("null")),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            name in ".{1,20}",
            args in prop::collection::vec(any_raw(), 0..5),
        ) {
            let text = Emit::event(name.clone(), args.clone()).to_text();
            let read = Incoming::parse(&text);
            prop_assert_eq!(read, Ok(Incoming::Event(Event { name, args, ack: None })));
        }

        #[test]
        fn no_text_is_too_much(text in any::<String>(), digit in 0..10u8) {
            let _ = Incoming::parse(&text);
            let _ = Incoming::parse(&format!("{digit}{text}"));
            let _ = Incoming::parse(&format!("{digit}[{text}]"));
        }
    }
}
