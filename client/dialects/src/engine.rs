//! Packets of Engine.IO over a WebSocket, revisions 3 (servers of Socket.IO 1.x and 2.x) and 4 (3.x and 4.x). Pure.
//!
//! A packet is a digit and what belongs to it, one in each text. What is carried is a packet of [`super::socketio`].

use std::time::Duration;

use serde::Deserialize;

/// What a client says that it speaks, as `EIO` of the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// The client sends the pings.
    Three,
    /// The server sends them, and a client asks to be let into a namespace.
    Four,
}

impl Revision {
    /// Where a client that begins with a WebSocket connects: path and query.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Three => "/socket.io/?EIO=3&transport=websocket",
            Self::Four => "/socket.io/?EIO=4&transport=websocket",
        }
    }
}

/// One packet of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The first one.
    Open(Handshake),
    /// The last one.
    Close,
    /// To be answered with what it carries.
    Ping(&'a str),
    /// Answers a ping.
    Pong,
    /// A packet of Socket.IO.
    Message(&'a str),
    /// What is of no use on a WebSocket: the end of a transport's probe, and nothing at all.
    Idle,
}

/// What a server says of its heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// From one ping to the next.
    pub interval: Duration,
    /// How late an answer may be.
    pub timeout: Duration,
    /// It says how large a packet may be, which no server of revision 3 does.
    pub is_four: bool,
}

/// A text that is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The first character is none that a packet begins with.
    #[error("it sends what is no packet of Engine.IO")]
    Kind,
    /// The first packet without its times.
    #[error("its first packet cannot be read")]
    Handshake,
}

/// Servers that say less would have us do nothing but ping.
const SHORTEST: u64 = 100;

/// A silence as long as that is an end in any case.
const LONGEST: u64 = 3_600_000;

/// Reads one packet; takes any text.
///
/// # Errors
/// When it is none.
pub fn read(text: &str) -> Result<Packet<'_>, EngineError> {
    let mut chars = text.chars();
    let kind = chars.next();
    let rest = chars.as_str();
    Ok(match kind {
        Some('0') => Packet::Open(handshake(rest)?),
        Some('1') => Packet::Close,
        Some('2') => Packet::Ping(rest),
        Some('3') => Packet::Pong,
        Some('4') => Packet::Message(rest),
        Some('5' | '6') => Packet::Idle,
        _ => return Err(EngineError::Kind),
    })
}

fn handshake(json: &str) -> Result<Handshake, EngineError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Open {
        // Some servers count in fractions.
        ping_interval: f64,
        ping_timeout: f64,
        max_payload: Option<f64>,
    }
    let open: Open = serde_json::from_str(json).map_err(|_| EngineError::Handshake)?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let time = |millis: f64| Duration::from_millis((millis as u64).clamp(SHORTEST, LONGEST));
    Ok(Handshake {
        interval: time(open.ping_interval),
        timeout: time(open.ping_timeout),
        is_four: open.max_payload.is_some(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_packet_tells_the_heartbeat_and_the_revision() {
        let four = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1e6}"#;
        let (interval, timeout) = (Duration::from_secs(25), Duration::from_secs(20));
        let handshake = Handshake {
            interval,
            timeout,
            is_four: true,
        };
        assert_eq!(read(four), Ok(Packet::Open(handshake)));
        let three = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;
        let is_four = false;
        assert_eq!(
            read(three),
            Ok(Packet::Open(Handshake {
                is_four,
                ..handshake
            }))
        );
    }

    #[test]
    fn times_that_make_no_sense_are_brought_within_reason() {
        let odd = r#"0{"pingInterval":-1,"pingTimeout":1e300}"#;
        let Ok(Packet::Open(handshake)) = read(odd) else {
            unreachable!("{odd} is a first packet")
        };
        assert_eq!(handshake.interval, Duration::from_millis(SHORTEST));
        assert_eq!(handshake.timeout, Duration::from_millis(LONGEST));
    }

    #[test]
    fn each_digit_is_a_packet_and_nothing_else_is() {
        assert_eq!(read("1"), Ok(Packet::Close));
        assert_eq!(read("2probe"), Ok(Packet::Ping("probe")));
        assert_eq!(read("3"), Ok(Packet::Pong));
        assert_eq!(read("42[]"), Ok(Packet::Message("2[]")));
        assert_eq!(read("6"), Ok(Packet::Idle));
        for bad in ["", "7", "é", "{}", "hello"] {
            assert_eq!(read(bad), Err(EngineError::Kind), "{bad}");
        }
        for bad in ["0", "0{}", "0[]", r#"0{"pingInterval":"1"}"#] {
            assert_eq!(read(bad), Err(EngineError::Handshake), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,80}") {
            let _ = read(&text);
            let _ = read(&format!("0{text}"));
        }
    }
}
