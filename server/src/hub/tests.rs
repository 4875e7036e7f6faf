//! The hub's rules on virtual time, seen through the messages that peers get.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;

use proptest::prelude::*;
use rtc_protocol::{Callee, Kind, Limits, Raw, Role, ServerFrame, Token};

mod access;
mod books;
mod calls;
mod cluster;
mod drain;
mod model;
mod moderation;
mod report;
mod resume;
mod rooms;

use super::*;
use ServerMessage as M;
use calls::{call, name};

/// A hub, peers named by a letter, and what each connection was sent and not yet looked at.
struct World {
    hub: Hub,
    now: Instant,
    next: u64,
    sent: HashMap<ConnectionId, Vec<ServerFrame>>,
    closed: HashMap<ConnectionId, u16>,
    /// Who needs to wait for a session of another node no more.
    arrived: std::collections::HashSet<u64>,
    links: HashMap<char, ConnectionId>,
}

fn config() -> HubConfig {
    HubConfig {
        open: true,
        limits: Limits {
            message_bytes: 65_536,
            rooms_per_peer: 2,
            room_capacity: 4,
            queue_messages: 512,
        },
        default_capacity: 3,
        resume_window: Duration::from_secs(30),
        heartbeat: Duration::from_secs(15),
        ice_servers: Vec::new(),
        relay: None,
        ring: Duration::from_secs(60),
        ringing_calls: 2,
        calls_per_peer: 4,
        backlog: 8,
        backlog_bytes: 4096,
        away_url: None,
    }
}

fn token(who: char) -> Token {
    Token::new(&who.to_string().repeat(24)).unwrap()
}

fn id(who: char) -> PeerId {
    token(who).peer_id()
}

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            hub: Hub::new(config(), now),
            now,
            next: 0,
            sent: HashMap::new(),
            closed: HashMap::new(),
            arrived: std::collections::HashSet::new(),
            links: HashMap::new(),
        }
    }

    /// A world with these peers, all of them in room `r`, nothing unread.
    fn with(peers: &str) -> Self {
        let mut world = Self::new();
        for who in peers.chars() {
            world.hello(who, None);
            world.join(who, "r");
        }
        world.read_all();
        world
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, line) => {
                    let frame = ServerFrame::parse(&line.text()).unwrap();
                    self.sent.entry(to).or_default().push(frame);
                }
                Effect::Close(link, code, _) => {
                    self.closed.insert(link, code);
                }
                Effect::Arrived(waiter) => drop(self.arrived.insert(waiter)),
            }
        }
    }

    fn hello(&mut self, who: char, last: Option<u64>) -> ConnectionId {
        self.hello_with(who, last, Pass::Unchecked).unwrap()
    }

    fn hello_with(
        &mut self,
        who: char,
        last: Option<u64>,
        pass: Pass,
    ) -> Result<ConnectionId, Denied> {
        self.next += 1;
        let link = ConnectionId(self.next);
        let mut out = Vec::new();
        let name = Some(Name::new(&who.to_string()).unwrap());
        let greeting = Greeting {
            dialect: None,
            pass,
            id: Some(1),
            token: token(who),
            returns: last.is_some(),
            last_seq: last,
            name,
        };
        let known = self.hub.hello(self.now, link, greeting, &mut out);
        if known.is_ok() {
            self.links.insert(who, link);
        }
        self.perform(out);
        assert_eq!(known?, id(who));
        Ok(link)
    }

    fn say(&mut self, who: char, message: ClientMessage) {
        let mut out = Vec::new();
        let frame = ClientFrame {
            id: Some(7),
            message,
        };
        self.hub.say(self.now, id(who), frame, &mut out);
        self.perform(out);
    }

    fn join(&mut self, who: char, name: &str) {
        self.join_with(who, name, None);
    }

    fn join_with(&mut self, who: char, name: &str, capacity: Option<u16>) {
        let (room, name) = (room(name), None);
        self.say(
            who,
            ClientMessage::Join {
                room,
                name,
                capacity,
            },
        );
    }

    fn signal(&mut self, who: char, to: Option<char>, text: &str) {
        let signal = Raw::parse(text).unwrap();
        let (room, to) = (room("r"), to.map(id));
        self.say(who, ClientMessage::Signal { room, to, signal });
    }

    fn gone(&mut self, who: char, clean: bool) {
        let mut out = Vec::new();
        let link = self.links[&who];
        self.hub.gone(self.now, id(who), link, clean, &mut out);
        self.perform(out);
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        let mut out = Vec::new();
        self.hub.tick(self.now, &mut out);
        self.perform(out);
    }

    fn frames(&mut self, who: char) -> Vec<ServerFrame> {
        self.sent.remove(&self.links[&who]).unwrap_or_default()
    }

    fn read(&mut self, who: char) -> Vec<M> {
        self.frames(who).into_iter().map(|f| f.message).collect()
    }

    fn read_all(&mut self) {
        self.sent.clear();
    }

    /// The code of the one error that this peer was answered with.
    fn refusal(&mut self, who: char) -> ErrorCode {
        match self.frames(who).as_slice() {
            [
                ServerFrame {
                    seq: None,
                    id: Some(7),
                    message: M::Error { code, .. },
                },
            ] => *code,
            other => panic!("not one error: {other:?}"),
        }
    }
}
