//! rtc.v1.

use rtc_protocol::{
    Candidate, ClientFrame, ClientMessage, Description, PeerId, Raw, RoomId, SUBPROTOCOL, SdpType,
    ServerFrame, ServerMessage, Signal, Token, WEBSOCKET_PATH,
};

use super::{Heard, Speech, Stamp, What};

#[derive(Debug)]
pub(super) struct Native {
    token: Token,
    /// The newest numbered message that came.
    last_seq: Option<u64>,
    greeted: bool,
    room: Option<RoomId>,
    others: Vec<PeerId>,
}

impl Native {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self {
            token: Token::from_random(secret),
            last_seq: None,
            greeted: false,
            room: None,
            others: Vec::new(),
        }
    }
}

impl Speech for Native {
    fn path(&self) -> &'static str {
        WEBSOCKET_PATH
    }

    fn subprotocol(&self) -> Option<&'static str> {
        Some(SUBPROTOCOL)
    }

    fn resumes(&self) -> bool {
        true
    }

    fn speaks_first(&self) -> bool {
        true
    }

    fn own(&self) -> Option<PeerId> {
        Some(self.token.peer_id())
    }

    fn others(&self) -> Option<&[PeerId]> {
        Some(&self.others)
    }

    fn greet(&mut self, out: &mut Vec<String>) -> bool {
        // On a second link the session goes on, from its beginning where nothing numbered came.
        let last_seq = self.greeted.then(|| self.last_seq.unwrap_or(0));
        self.greeted = true;
        out.push(text(ClientMessage::Hello {
            resume: Some(self.token.clone()),
            last_seq,
            name: None,
            agent: Some("rtc-client load".to_owned()),
            auth: None,
        }));
        false
    }

    fn join(&mut self, room: &str, out: &mut Vec<String>) {
        let Ok(room) = RoomId::new(room) else { return };
        self.room = Some(room.clone());
        out.push(text(ClientMessage::Join {
            room,
            name: None,
            capacity: None,
        }));
    }

    fn say(&mut self, what: What, stamp: Stamp, out: &mut Vec<String>) {
        let Some(room) = self.room.clone() else {
            return;
        };
        let words = stamp.text(what);
        let signal = match what {
            What::Offer => description(SdpType::Offer, words),
            What::Answer => description(SdpType::Answer, words),
            What::Candidate => Signal::Candidate(Candidate {
                candidate: words,
                sdp_mid: Some("0".to_owned()),
                ..Candidate::default()
            }),
            What::Small => {
                if let Ok(data) = Raw::of(&words) {
                    out.push(text(ClientMessage::Message {
                        room,
                        to: None,
                        data,
                    }));
                }
                return;
            }
        };
        let Ok(signal) = signal.to_raw() else { return };
        out.push(text(ClientMessage::Signal {
            room,
            to: None,
            signal,
        }));
    }

    fn leave(&mut self, out: &mut Vec<String>) {
        if let Some(room) = self.room.take() {
            out.push(text(ClientMessage::Leave { room }));
        }
    }

    fn hear(&mut self, line: &str, out: &mut Vec<String>) -> Heard {
        if let Some(stamp) = Stamp::find(line) {
            return Heard::Said(stamp);
        }
        let Ok(frame) = ServerFrame::parse(line) else {
            return Heard::Nothing;
        };
        self.last_seq = frame.seq.or(self.last_seq);
        match frame.message {
            ServerMessage::Welcome { resumed, .. } => Heard::Welcome { resumed },
            ServerMessage::Joined { members, .. } => {
                self.others = members.into_iter().map(|member| member.peer).collect();
                Heard::Joined
            }
            ServerMessage::PeerJoined { member, .. } => {
                // One that comes twice is in there twice, which is wrong and shall be seen.
                self.others.push(member.peer);
                Heard::Came
            }
            ServerMessage::PeerLeft { peer, .. } => {
                self.others.retain(|other| *other != peer);
                Heard::Nothing
            }
            ServerMessage::Kicked { .. } => Heard::Refused("kicked".to_owned()),
            ServerMessage::Ping { t, .. } => {
                out.push(text(ClientMessage::Pong { t }));
                Heard::Nothing
            }
            ServerMessage::Error { code, message } => {
                // The words hold names of rooms and peers; the code is what can be counted.
                tracing::debug!("refused: {message}");
                Heard::Refused(code.as_str().to_owned())
            }
            ServerMessage::GoAway { reason, .. } => Heard::Refused(reason),
            _ => Heard::Nothing,
        }
    }
}

fn description(kind: SdpType, sdp: String) -> Signal {
    Signal::Description(Description { kind, sdp })
}

fn text(message: ClientMessage) -> String {
    ClientFrame::from(message).to_json()
}
