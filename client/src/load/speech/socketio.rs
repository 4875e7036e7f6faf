//! What every dialect over Socket.IO has in common: the packets of Engine.IO's revision 4 over a WebSocket, as clients of
//! 3.x and 4.x write them.

use rtc_protocol::dialect::socketio::Event;
use rtc_protocol::dialect::socketio::wire::Incoming;
use serde::Deserialize;

use super::{Heard, Stamp};

/// Where a client that begins with a WebSocket connects.
pub(super) const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// What a packet is to the dialect above.
#[derive(Debug)]
pub(super) enum Packet {
    /// An event of the dialect.
    Event(Event),
    /// All that needs no dialect to be understood.
    Understood(Heard),
}

/// Reads one packet. Whatever the transport itself asks for is answered into `out`.
pub(super) fn read(text: &str, out: &mut Vec<String>) -> Packet {
    if let Some(stamp) = Stamp::find(text) {
        return Packet::Understood(Heard::Said(stamp));
    }
    let understood = match (text.get(..1), text.get(1..)) {
        // Open: this client wants to be in the namespace `/`.
        (Some("0"), _) => {
            out.push("40".to_owned());
            Heard::Nothing
        }
        (Some("2"), _) => {
            out.push("3".to_owned());
            Heard::Nothing
        }
        (Some("4"), Some(packet)) => match Incoming::parse(packet) {
            Ok(Incoming::Event(event)) => return event_of(event),
            Ok(Incoming::Connect { .. }) => Heard::Welcome { resumed: false },
            Ok(Incoming::Ack) => acknowledged(packet),
            _ if packet.starts_with('4') => Heard::Refused("no namespace".to_owned()),
            _ => Heard::Nothing,
        },
        _ => Heard::Nothing,
    };
    Packet::Understood(understood)
}

/// A server's refusal, in the form that every dialect here has for it.
fn event_of(event: Event) -> Packet {
    #[derive(Deserialize)]
    struct Body {
        code: String,
    }
    if event.name != "error" {
        return Packet::Event(event);
    }
    let body = event.args.first().map(|arg| arg.to::<Body>());
    let code = body.and_then(Result::ok).map(|body| body.code);
    Packet::Understood(Heard::Refused(
        code.unwrap_or_else(|| "for no reason".to_owned()),
    ))
}

/// The answer to a request with a callback: one object, which says whether it was done.
fn acknowledged(packet: &str) -> Heard {
    #[derive(Deserialize)]
    struct Answer {
        ok: bool,
        code: Option<String>,
    }
    let json = packet.trim_start_matches(|c: char| c.is_ascii_digit());
    match serde_json::from_str::<[Answer; 1]>(json) {
        Ok([Answer { ok: false, code }]) => {
            Heard::Refused(code.unwrap_or_else(|| "for no reason".to_owned()))
        }
        _ => Heard::Nothing,
    }
}

/// Writes an event; the arguments are JSON.
pub(super) fn event(name: &str, args: &[&str]) -> String {
    numbered("", name, args)
}

/// Writes an event whose callback has this number.
pub(super) fn request(number: u64, name: &str, args: &[&str]) -> String {
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
