//! What every dialect over Socket.IO has in common, as clients of 3.x and 4.x say it. Heartbeats are answered without a clock.

use rtc_dialects::engine::{self, Packet as Engine, Revision};
use rtc_dialects::socketio::{self, Packet as Message, Said};
use rtc_protocol::dialect::socketio::Event;

use super::{Heard, Stamp};

/// Where a client that begins with a WebSocket connects.
pub(super) const PATH: &str = Revision::Four.path();

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
    let understood = match engine::read(text) {
        Ok(Engine::Open(_)) => {
            out.push(socketio::connect(None));
            Heard::Nothing
        }
        Ok(Engine::Ping(carried)) => {
            out.push(format!("3{carried}"));
            Heard::Nothing
        }
        Ok(Engine::Message(packet)) => match socketio::read(packet) {
            Message::Event(event) => return event_of(event),
            Message::Connected { .. } => Heard::Welcome { resumed: false },
            Message::Ack { args, .. } => match Said::read(&args) {
                said if said.ok == Some(false) => refused(said),
                _ => Heard::Nothing,
            },
            Message::Refused(_) => Heard::Refused("no namespace".to_owned()),
            Message::Disconnected | Message::Other => Heard::Nothing,
        },
        _ => Heard::Nothing,
    };
    Packet::Understood(understood)
}

/// A server's refusal, in the form that every dialect here has for it.
fn event_of(event: Event) -> Packet {
    if event.name != "error" {
        return Packet::Event(event);
    }
    Packet::Understood(refused(Said::read(&event.args)))
}

fn refused(said: Said) -> Heard {
    Heard::Refused(said.code.unwrap_or_else(|| "for no reason".to_owned()))
}
