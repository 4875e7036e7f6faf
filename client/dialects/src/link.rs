//! One connection of Socket.IO over a WebSocket: from its first packet to its namespace, and alive from then on. Pure.
//!
//! Which revision a server speaks is not always known before it speaks: servers of 2.x take a client that says `EIO=4`, too, and let
//! it into the namespace unasked. To ask them all the same would have us in it twice. So a server that does not show by its first
//! packet that it is of revision 4 is listened to for a moment.

use std::time::{Duration, Instant};

use rtc_protocol::Raw;
use rtc_protocol::dialect::socketio::Event;

use crate::engine::{self, EngineError, Handshake, Packet as Engine, Revision};
use crate::socketio::{self, Packet};

/// For how long a server may let us in unasked.
const LISTEN: Duration = Duration::from_millis(250);

/// What a packet meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// We may speak.
    Connected,
    /// The server says something.
    Event(Event),
    /// It answers a request.
    Ack {
        /// Which.
        number: u64,
        /// With what.
        args: Vec<Raw>,
    },
    /// Nothing for whoever is above.
    Nothing,
}

/// Why the connection is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It is a WebSocket, and no Socket.IO on it.
    #[error("{0}")]
    Nonsense(#[from] EngineError),
    /// We are not let in.
    #[error("it does not let us in: {0}")]
    Refused(String),
    /// The server ends it.
    #[error("the server closed the link")]
    Closed,
    /// Nothing comes any more.
    #[error("the server is silent")]
    Silent,
    /// It accepts and does not go on.
    #[error("it accepts connections and says nothing that Socket.IO begins with")]
    Mute,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its first packet has to come.
    Opening,
    /// It may let us in by itself until then.
    Listening(Instant),
    /// We have asked.
    Asked,
    Connected,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Link {
    asked: Revision,
    token: Option<String>,
    stage: Stage,
    /// Until when we have to be let in.
    until: Instant,
    handshake: Option<Handshake>,
    revision: Revision,
    heard: Instant,
    /// When we ping next, in revision 3.
    ping: Instant,
}

impl Link {
    /// A WebSocket stands, opened as of this revision; the server has `patience` to let us in.
    #[must_use]
    pub fn new(now: Instant, asked: Revision, token: Option<String>, patience: Duration) -> Self {
        Self {
            asked,
            token,
            stage: Stage::Opening,
            until: now + patience,
            handshake: None,
            revision: asked,
            heard: now,
            ping: now,
        }
    }

    /// Which revision it turned out to be.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Takes one text; what it asks for goes into `out`.
    ///
    /// # Errors
    /// When there is no point in this connection any more.
    pub fn hear(
        &mut self,
        now: Instant,
        text: &str,
        out: &mut Vec<String>,
    ) -> Result<Heard, LinkError> {
        self.heard = now;
        let message = match engine::read(text) {
            Ok(Engine::Open(handshake)) => {
                self.opened(now, handshake, out);
                return Ok(Heard::Nothing);
            }
            Ok(Engine::Ping(carried)) => {
                out.push(format!("3{carried}"));
                return Ok(Heard::Nothing);
            }
            Ok(Engine::Close) => return Err(LinkError::Closed),
            Ok(Engine::Pong | Engine::Idle) => return Ok(Heard::Nothing),
            Ok(Engine::Message(message)) => message,
            // A link that stood is not given up for one text that makes no sense.
            Err(_) if self.stage == Stage::Connected => return Ok(Heard::Nothing),
            Err(error) => return Err(error.into()),
        };
        if self.stage == Stage::Opening {
            return Err(LinkError::Nonsense(EngineError::Handshake));
        }
        Ok(match socketio::read(message) {
            Packet::Connected { named } if self.stage != Stage::Connected => {
                self.connected(now, named);
                Heard::Connected
            }
            Packet::Refused(words) => return Err(LinkError::Refused(words)),
            Packet::Disconnected => return Err(LinkError::Closed),
            Packet::Event(event) => Heard::Event(event),
            Packet::Ack { number, args } => Heard::Ack { number, args },
            Packet::Connected { .. } | Packet::Other => Heard::Nothing,
        })
    }

    fn opened(&mut self, now: Instant, handshake: Handshake, out: &mut Vec<String>) {
        if self.handshake.replace(handshake).is_some() {
            return;
        }
        self.stage = match self.asked {
            Revision::Four if handshake.is_four => {
                out.push(socketio::connect(self.token.as_deref()));
                Stage::Asked
            }
            Revision::Four => Stage::Listening(now + LISTEN),
            // Nobody asks in revision 3.
            Revision::Three => Stage::Asked,
        };
    }

    fn connected(&mut self, now: Instant, named: bool) {
        let unasked = matches!(self.stage, Stage::Listening(_));
        if unasked || !named {
            self.revision = Revision::Three;
        }
        self.stage = Stage::Connected;
        if let Some(handshake) = self.handshake {
            self.ping = now + handshake.interval;
        }
    }

    /// When [`Self::check`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match self.stage {
            Stage::Listening(until) => until.min(self.until),
            Stage::Opening | Stage::Asked => self.until,
            Stage::Connected => match self.revision {
                Revision::Three => self.ping.min(self.silent_at()),
                Revision::Four => self.silent_at(),
            },
        }
    }

    fn silent_at(&self) -> Instant {
        let pause = self.handshake.map(|times| times.interval + times.timeout);
        self.heard + pause.unwrap_or_default()
    }

    /// Does what it is time for.
    ///
    /// # Errors
    /// When the server is gone, or never was one.
    pub fn check(&mut self, now: Instant, out: &mut Vec<String>) -> Result<(), LinkError> {
        match self.stage {
            Stage::Opening | Stage::Asked | Stage::Listening(_) if now >= self.until => {
                return Err(LinkError::Mute);
            }
            Stage::Listening(until) if now >= until => {
                out.push(socketio::connect(self.token.as_deref()));
                self.stage = Stage::Asked;
            }
            Stage::Connected if now >= self.silent_at() => return Err(LinkError::Silent),
            Stage::Connected if self.revision == Revision::Three && now >= self.ping => {
                out.push("2".to_owned());
                if let Some(handshake) = self.handshake {
                    self.ping = now + handshake.interval;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Nothing was read for a while, since nobody could take more: the server's silence is not its own.
    pub const fn was_not_listening(&mut self, now: Instant) {
        self.heard = now;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);
    const FOUR: &str = r#"0{"sid":"a","pingInterval":25000,"pingTimeout":20000,"maxPayload":9}"#;
    const THREE: &str = r#"0{"sid":"a","pingInterval":25000,"pingTimeout":5000}"#;

    fn link(now: Instant) -> Link {
        Link::new(now, Revision::Four, None, PATIENCE)
    }

    fn hear(link: &mut Link, now: Instant, text: &str) -> (Result<Heard, LinkError>, Vec<String>) {
        let mut out = Vec::new();
        (link.hear(now, text, &mut out), out)
    }

    fn check(link: &mut Link, now: Instant) -> (Result<(), LinkError>, Vec<String>) {
        let mut out = Vec::new();
        (link.check(now, &mut out), out)
    }

    fn asked() -> Vec<String> {
        vec!["40".to_owned()]
    }

    #[test]
    fn a_server_of_revision_4_is_asked_at_once_and_answered_when_it_pings() {
        let now = Instant::now();
        let mut link = link(now);
        assert_eq!(hear(&mut link, now, FOUR), (Ok(Heard::Nothing), asked()));
        let connected = hear(&mut link, now, r#"40{"sid":"b"}"#);
        assert_eq!(connected, (Ok(Heard::Connected), vec![]));
        assert_eq!(link.revision(), Revision::Four);
        assert_eq!(link.deadline(), now + Duration::from_secs(45));
        let later = now + Duration::from_secs(25);
        let ping = hear(&mut link, later, "2");
        assert_eq!(ping, (Ok(Heard::Nothing), vec!["3".to_owned()]));
        let silent = later + Duration::from_secs(45);
        assert_eq!(check(&mut link, silent - LISTEN).0, Ok(()));
        assert_eq!(check(&mut link, silent).0, Err(LinkError::Silent));
    }

    #[test]
    fn an_older_one_of_revision_4_is_asked_after_a_moment() {
        let now = Instant::now();
        let mut link = link(now);
        assert_eq!(hear(&mut link, now, THREE), (Ok(Heard::Nothing), vec![]));
        assert_eq!(link.deadline(), now + LISTEN);
        assert_eq!(check(&mut link, now + LISTEN), (Ok(()), asked()));
        let connected = hear(&mut link, now + LISTEN, r#"40{"sid":"b"}"#);
        assert_eq!(connected.0, Ok(Heard::Connected));
        assert_eq!(link.revision(), Revision::Four);
    }

    #[test]
    fn a_server_of_revision_3_is_not_asked_and_gets_our_pings() {
        let now = Instant::now();
        let mut link = link(now);
        hear(&mut link, now, THREE).0.unwrap();
        assert_eq!(hear(&mut link, now, "40"), (Ok(Heard::Connected), vec![]));
        assert_eq!(link.revision(), Revision::Three);
        let due = now + Duration::from_secs(25);
        assert_eq!(link.deadline(), due);
        assert_eq!(check(&mut link, due), (Ok(()), vec!["2".to_owned()]));
        let soon = due + Duration::from_secs(1);
        assert_eq!(hear(&mut link, soon, "3"), (Ok(Heard::Nothing), vec![]));
        assert_eq!(link.deadline(), due + Duration::from_secs(25));
        let silent = soon + Duration::from_secs(30);
        assert_eq!(check(&mut link, silent).0, Err(LinkError::Silent));
    }

    #[test]
    fn who_says_that_it_is_of_revision_3_is_never_asked() {
        let now = Instant::now();
        let mut link = Link::new(now, Revision::Three, None, PATIENCE);
        assert_eq!(hear(&mut link, now, THREE), (Ok(Heard::Nothing), vec![]));
        assert_eq!(link.deadline(), now + PATIENCE);
        assert_eq!(hear(&mut link, now, "40").0, Ok(Heard::Connected));
    }

    #[test]
    fn a_token_goes_with_the_question() {
        let now = Instant::now();
        let mut link = Link::new(now, Revision::Four, Some("t".to_owned()), PATIENCE);
        let (_, out) = hear(&mut link, now, FOUR);
        assert_eq!(out, [r#"40{"token":"t"}"#]);
        let refused = hear(&mut link, now, r#"44{"message":"no"}"#).0;
        assert_eq!(refused, Err(LinkError::Refused("no".to_owned())));
    }

    #[test]
    fn what_is_no_socket_io_is_told_from_what_says_nothing() {
        let now = Instant::now();
        for text in ["hello", r#"{"type":"hello"}"#, "42[\"x\"]", "0{}"] {
            let heard = hear(&mut link(now), now, text).0;
            assert!(
                matches!(heard, Err(LinkError::Nonsense(_))),
                "{text}: {heard:?}"
            );
        }
        let mut mute = link(now);
        assert_eq!(check(&mut mute, now + PATIENCE).0, Err(LinkError::Mute));
        assert_eq!(hear(&mut mute, now, "1").0, Err(LinkError::Closed));
    }

    #[test]
    fn a_link_that_stands_survives_a_text_that_makes_no_sense() {
        let now = Instant::now();
        let mut link = link(now);
        hear(&mut link, now, FOUR).0.unwrap();
        hear(&mut link, now, r#"40{"sid":"b"}"#).0.unwrap();
        for text in ["", "x", "4", "42", "42{}", "451-[\"x\"]", "40", FOUR] {
            assert_eq!(
                hear(&mut link, now, text),
                (Ok(Heard::Nothing), vec![]),
                "{text}"
            );
        }
        assert_eq!(hear(&mut link, now, "41").0, Err(LinkError::Closed));
    }
}
