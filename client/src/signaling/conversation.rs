//! What is said on the link and when, as a pure machine: time and text go in, text and events come out.
//!
//! One conversation outlives many links. Each link begins with `hello`; the server then either still has our place
//! and sends what we missed, or we join again under the same id.

mod calls;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use rtc_protocol::{
    AuthToken, ClientFrame, ClientMessage, ErrorCode, Kind, Limits, Name, ParseError, PeerId, Raw,
    RoomId, ServerFrame, ServerMessage, Signal, Token,
};

use super::Errand;
use super::address::ServerAddress;
use super::error::SignalingError;
use super::event::SignalingEvent;
use super::outbox::{Content, End, Outbox};
use calls::Calls;

/// Heartbeats of silence after which the server counts as dead: two may be late, none is two and a half late.
const SILENT_BEATS: f64 = 2.5;

/// A heartbeat outside of this range is not believed, so that no server makes us deaf or frantic.
const HEARTBEAT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));

/// Frames in a row that cannot be understood before the link is given up.
const NONSENSE_FRAMES: u32 = 32;

/// A server that sends us away may want us back that late at most.
const LONGEST_AWAY: Duration = Duration::from_secs(60);

/// Who we are and where we want to be.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) room: RoomId,
    pub(super) errand: Errand,
    pub(super) name: Option<Name>,
    pub(super) capacity: Option<u16>,
    pub(super) agent: String,
    pub(super) token: Token,
    pub(super) auth: Option<AuthToken>,
}

/// Why a link is of no use any more.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ending {
    /// Try again.
    Broken(String),
    /// Trying again would not help.
    Final(SignalingError),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// There is no link.
    Down,
    /// `hello` is out; the server has until then to answer.
    Greeting { until: Instant },
    /// `join` is out, or what comes before it; the server has until then to answer.
    Joining { until: Instant },
    /// Waiting to be called.
    Lobby,
    /// In the room.
    Inside,
    /// Put out, or gone on purpose.
    Outside,
}

/// One peer's talk with its server.
#[derive(Debug)]
pub(super) struct Conversation {
    identity: Identity,
    /// Where we began, and where we are.
    home: ServerAddress,
    server: ServerAddress,
    /// The server that let us in last: another one may know us, too, and have no place for us.
    place: Option<ServerAddress>,
    patience: Duration,
    phase: Phase,
    me: PeerId,
    /// The last `seq` that was handled.
    last_seq: u64,
    /// Whether the room, or the lobby, has ever let us in.
    was_inside: bool,
    calls: Calls,
    limits: Option<Limits>,
    heartbeat: Duration,
    heard: Option<Instant>,
    nonsense: u32,
    /// How this link ends, as far as is known.
    end: End,
    next_id: u64,
    request: Option<u64>,
    control: VecDeque<String>,
    outbox: Outbox,
    /// The others in the room, as far as this server knows.
    present: HashSet<PeerId>,
    /// What we have muted or unmuted, to be told again to a server that may not know.
    muted: BTreeMap<Kind, bool>,
    /// What a moderator has muted, and we may not unmute.
    held: BTreeSet<Kind>,
    events: VecDeque<SignalingEvent>,
    /// Where the server sent us.
    elsewhere: Option<ServerAddress>,
    /// How long it wants us to stay away, so that not all come back at once.
    away: Duration,
}

impl Conversation {
    /// Prepares to talk to `server`, giving it `patience` for each answer.
    pub(super) fn new(identity: Identity, server: ServerAddress, patience: Duration) -> Self {
        Self {
            me: identity.token.peer_id(),
            calls: Calls::new(&identity.errand),
            identity,
            home: server.clone(),
            server,
            place: None,
            patience,
            phase: Phase::Down,
            last_seq: 0,
            was_inside: false,
            limits: None,
            heartbeat: HEARTBEAT.1,
            heard: None,
            nonsense: 0,
            end: End::Broke,
            next_id: 1,
            request: None,
            control: VecDeque::new(),
            outbox: Outbox::default(),
            present: HashSet::new(),
            muted: BTreeMap::new(),
            held: BTreeSet::new(),
            events: VecDeque::new(),
            elsewhere: None,
            away: Duration::ZERO,
        }
    }

    /// Takes how long the server that sent us away wants us to wait before we come back, or go where it sent us.
    pub(super) fn take_away(&mut self) -> Duration {
        std::mem::take(&mut self.away)
    }

    /// Takes the address of another server that this one sent us to.
    pub(super) fn take_elsewhere(&mut self) -> Option<ServerAddress> {
        self.elsewhere.take()
    }

    /// From now on this is about that server.
    pub(super) fn moved_to(&mut self, server: ServerAddress) {
        if server != self.server {
            // Each server counts by itself.
            self.last_seq = 0;
            self.server = server;
        }
    }

    /// Our secrets are said there, too, so the way there must be as safe as the one here.
    fn may_follow(&self, url: &str) -> Option<ServerAddress> {
        match ServerAddress::parse(url) {
            Ok(there) if there.keeps_secrets_like(&self.server) => Some(there),
            Ok(there) => {
                tracing::warn!("the server sends us to {there}, which is not encrypted; we stay");
                None
            }
            Err(error) => {
                tracing::warn!("the server sends us to no server: {error}");
                None
            }
        }
    }

    /// Begins a new link with `hello`.
    pub(super) fn link_up(&mut self, now: Instant) {
        let hello = ClientMessage::Hello {
            resume: Some(self.identity.token.clone()),
            last_seq: self.was_inside.then_some(self.last_seq),
            name: self.identity.name.clone(),
            auth: self.identity.auth.clone(),
            agent: Some(self.identity.agent.clone()),
        };
        self.heard = Some(now);
        self.phase = Phase::Greeting {
            until: now + self.patience,
        };
        self.ask(hello);
    }

    /// The server closes the link, and not because it ends itself.
    pub(super) const fn closed_by_server(&mut self) {
        self.end = End::Closed;
    }

    /// Puts back what was under way on a link that is gone.
    pub(super) fn link_down(&mut self, reason: &str) {
        self.control.clear();
        self.request = None;
        self.heard = None;
        self.nonsense = 0;
        let end = std::mem::replace(&mut self.end, End::Broke);
        self.outbox.link_lost(end);
        if matches!(self.phase, Phase::Inside | Phase::Lobby) {
            self.tell(SignalingEvent::Lost {
                reason: reason.to_owned(),
            });
        }
        if self.phase != Phase::Outside {
            self.phase = Phase::Down;
        }
    }

    /// Handles one message of the server.
    pub(super) fn receive(&mut self, now: Instant, text: &str) -> Result<(), Ending> {
        self.heard = Some(now);
        let frame = match ServerFrame::parse(text) {
            Ok(frame) => frame,
            // Words of a later version are not for us.
            Err(rejected) if matches!(rejected.error, ParseError::UnknownType(_)) => return Ok(()),
            Err(rejected) => return self.not_understood(&rejected.error),
        };
        self.nonsense = 0;
        if let Some(seq) = frame.seq {
            if seq <= self.last_seq {
                return Ok(());
            }
            self.last_seq = seq;
        }
        if let Some(id) = frame.id {
            self.outbox.answered(id);
        }
        self.understand(now, frame)
    }

    /// Tells a peer, or all of them, how to connect.
    pub(super) fn signal(&mut self, to: Option<PeerId>, signal: Signal) {
        let id = self.new_id();
        self.outbox.push(id, to, Content::Signal(signal));
    }

    /// Tells a peer, or all of them, something of the application.
    pub(super) fn message(&mut self, to: Option<PeerId>, data: Raw) {
        let id = self.new_id();
        self.outbox.push(id, to, Content::Message(data));
    }

    /// Tells that our own sound or picture is off or on.
    pub(super) fn mute(&mut self, kind: Kind, muted: bool) {
        self.muted.insert(kind, muted);
        if self.phase == Phase::Inside {
            self.announce(kind, muted);
        }
    }

    /// Puts a peer out; only told to a server that is there, since later it would hit somebody by surprise.
    pub(super) fn kick(&mut self, peer: PeerId, reason: Option<String>) {
        if self.phase == Phase::Inside {
            let room = self.identity.room.clone();
            let message = ClientMessage::Kick { room, peer, reason };
            let id = self.new_id();
            self.say(Some(id), message);
        } else {
            self.tell(SignalingEvent::Refused {
                code: ErrorCode::NotJoined,
                message: "nobody can be put out while the link is down; try again when it is back"
                    .to_owned(),
            });
        }
    }

    /// Leaves the room; returns whether there is anybody to tell.
    pub(super) fn leave(&mut self, now: Instant) -> bool {
        let inside = self.phase == Phase::Inside;
        self.phase = Phase::Outside;
        self.heard = Some(now);
        if inside {
            self.ask(ClientMessage::Leave {
                room: self.identity.room.clone(),
            });
        }
        inside
    }

    /// Gives the next text to write on the link.
    pub(super) fn next_text(&mut self) -> Option<String> {
        if let Some(text) = self.control.pop_front() {
            return Some(text);
        }
        while self.phase == Phase::Inside {
            let frame = self.outbox.next(&self.identity.room, &self.present)?;
            let text = frame.to_json();
            let limit = self.limits.map_or(usize::MAX, |l| l.message_bytes as usize);
            if text.len() <= limit {
                return Some(text);
            }
            // The server would close the link over it.
            self.outbox.answered(frame.id.unwrap_or_default());
            self.tell(SignalingEvent::Refused {
                code: ErrorCode::TooLarge,
                message: format!(
                    "a message of {} bytes is over the server's limit of {limit}; send less at once",
                    text.len()
                ),
            });
        }
        None
    }

    /// Whether [`Self::next_text`] would give anything.
    pub(super) fn has_text(&self) -> bool {
        !self.control.is_empty()
            || (self.phase == Phase::Inside && self.outbox.has_next(&self.present))
    }

    /// Gives the next thing to tell our owner.
    pub(super) fn next_event(&mut self) -> Option<SignalingEvent> {
        self.events.pop_front()
    }

    /// How many things there are to tell our owner.
    pub(super) fn events(&self) -> usize {
        self.events.len()
    }

    /// When [`Self::check`] has to be asked again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Greeting { until } | Phase::Joining { until } => Some(until),
            Phase::Inside | Phase::Lobby | Phase::Outside => self
                .heard
                .map(|heard| heard + self.heartbeat.mul_f64(SILENT_BEATS)),
            Phase::Down => None,
        }
    }

    /// Tells whether the server has been silent for too long.
    pub(super) fn check(&self, now: Instant) -> Result<(), Ending> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        let why = match self.phase {
            Phase::Greeting { .. } => "it does not answer our hello",
            Phase::Joining { .. } => "it does not let us in, nor says why",
            _ => "the server has gone silent",
        };
        if self.was_inside {
            Err(Ending::Broken(why.to_owned()))
        } else {
            Err(self.nonsensical(why))
        }
    }

    /// Forgives the silence of a time in which we did not listen ourselves.
    pub(super) fn was_not_listening(&mut self, now: Instant) {
        self.heard = self.heard.map(|_| now);
    }

    /// Who we are.
    pub(super) fn me(&self) -> PeerId {
        self.me
    }

    /// Whom we talk to.
    pub(super) fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// Whether we are where we want to be: in the room, or waiting to be called.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Inside | Phase::Lobby)
    }

    /// Which room we are in, or are to be in.
    pub(super) fn room(&self) -> &RoomId {
        &self.identity.room
    }

    /// Whether we are out of the room for good.
    pub(super) fn is_outside(&self) -> bool {
        self.phase == Phase::Outside
    }

    /// Whether the room has ever let us in.
    pub(super) fn was_inside(&self) -> bool {
        self.was_inside
    }

    /// Whether the answer to `leave`, the last thing we asked, is still to come.
    pub(super) fn is_leaving(&self) -> bool {
        self.phase == Phase::Outside && self.request.is_some()
    }

    fn understand(&mut self, now: Instant, frame: ServerFrame) -> Result<(), Ending> {
        use ServerMessage as M;
        let answers_us = frame.id.is_some() && frame.id == self.request;
        let here = |room: &RoomId| *room == self.identity.room;
        match frame.message {
            M::Welcome {
                peer,
                resumed,
                heartbeat_ms,
                ice_servers,
                limits,
                server,
                ..
            } if matches!(self.phase, Phase::Greeting { .. }) => {
                self.me = peer;
                self.limits = Some(limits);
                self.heartbeat =
                    Duration::from_millis(heartbeat_ms).clamp(HEARTBEAT.0, HEARTBEAT.1);
                if !resumed {
                    self.last_seq = 0;
                }
                self.tell(SignalingEvent::Welcome {
                    me: peer,
                    ice_servers,
                    limits,
                    server,
                });
                let placed_here = self.place.as_ref() == Some(&self.server);
                self.settle(now, resumed && self.was_inside && placed_here);
            }
            M::Joined {
                room,
                peer,
                role,
                capacity,
                members,
            } if here(&room) && matches!(self.phase, Phase::Joining { .. }) => {
                self.me = peer;
                // Should we be the first at a new server, the room stays as large as it was.
                self.identity.capacity = Some(capacity);
                self.present = members.iter().map(|member| member.peer).collect();
                // A room that remembers says so next.
                self.held.clear();
                self.enter(false);
                self.calls.inside();
                self.tell(SignalingEvent::Joined {
                    room: room.clone(),
                    me: peer,
                    role,
                    capacity,
                    members,
                    url: self.server.page_url(&self.identity.room),
                });
            }
            M::Ack {} if answers_us && self.is_registering() => self.lobby(false),
            M::Left { .. } | M::Ack {} if answers_us => self.request = None,
            M::PeerJoined { room, member } if here(&room) => {
                self.present.insert(member.peer);
                self.tell(SignalingEvent::PeerJoined { member });
            }
            M::PeerLeft { room, peer, reason } if here(&room) => {
                self.present.remove(&peer);
                self.outbox.forget(peer);
                self.tell(SignalingEvent::PeerLeft { peer, reason });
            }
            M::Signal { room, from, signal } if here(&room) => {
                self.tell(match Signal::from_raw(&signal) {
                    Ok(signal) => SignalingEvent::Signal { from, signal },
                    Err(error) => SignalingEvent::BadSignal {
                        from,
                        why: error.to_string(),
                    },
                });
            }
            M::Message { room, from, data } if here(&room) => {
                self.tell(SignalingEvent::Message { from, data });
            }
            M::Muted {
                room,
                peer,
                kind,
                by,
            } if here(&room) => self.muted_by(peer, kind, by, true),
            M::Unmuted {
                room,
                peer,
                kind,
                by,
            } if here(&room) => self.muted_by(peer, kind, by, false),
            M::Broadcast { data } => self.tell(SignalingEvent::Broadcast { data }),
            M::Granted { room, peer, by, .. } if here(&room) => {
                self.tell(SignalingEvent::Granted { peer, by });
            }
            M::Kicked { room, by, reason } if here(&room) => {
                self.phase = Phase::Outside;
                self.tell(SignalingEvent::Kicked { by, reason });
            }
            M::GoAway {
                reason,
                reconnect_ms,
                url,
            } => {
                let away = Duration::from_millis(reconnect_ms.unwrap_or_default());
                self.away = away.min(LONGEST_AWAY);
                self.elsewhere = url.and_then(|url| self.may_follow(&url));
                self.tell(SignalingEvent::GoAway { reason });
            }
            M::Ping { t, .. } => self.say(None, ClientMessage::Pong { t }),
            M::Error { code, message } => return self.refused(answers_us, code, message),
            // Calls; or other rooms, and answers to what was asked on an earlier link.
            other => self.of_calls(now, answers_us, other),
        }
        Ok(())
    }

    fn muted_by(&mut self, peer: PeerId, kind: Kind, by: PeerId, muted: bool) {
        // The server does not echo our own mutes: this is a moderator's, or our token's.
        if peer == self.me {
            if muted {
                self.held.insert(kind);
            } else {
                self.held.remove(&kind);
            }
        }
        self.tell(SignalingEvent::Muted {
            peer,
            kind,
            muted,
            by,
        });
    }

    fn refused(
        &mut self,
        answers_us: bool,
        code: ErrorCode,
        message: String,
    ) -> Result<(), Ending> {
        if let Some(ending) = self.not_placed(answers_us, code, &message) {
            return ending;
        }
        let sent_here = self.was_inside && self.server != self.home;
        match self.phase {
            Phase::Greeting { .. } | Phase::Joining { .. } => match code {
                ErrorCode::GoingAway
                | ErrorCode::Busy
                | ErrorCode::RateLimited
                | ErrorCode::TryLater => Err(Ending::Broken(format!(
                    "the server does not take us now: {message}"
                ))),
                // An earlier link's join was heard after all; its answer comes with what we missed.
                ErrorCode::AlreadyJoined => Ok(()),
                // We did not choose this server: our call stands, and those who sent us here may take us back.
                _ if sent_here => Err(Ending::Broken(format!(
                    "the server that we were sent to does not take us: {message}"
                ))),
                ErrorCode::RoomFull => Err(Ending::Final(SignalingError::RoomFull {
                    room: self.identity.room.clone(),
                })),
                _ => Err(Ending::Final(SignalingError::Refused { code, message })),
            },
            Phase::Outside => {
                if answers_us {
                    self.request = None;
                }
                Ok(())
            }
            Phase::Inside | Phase::Lobby | Phase::Down => {
                // Who has left meanwhile cannot be told anything; that it left is told anyway.
                if !matches!(code, ErrorCode::NoSuchPeer | ErrorCode::AlreadyJoined) {
                    self.tell(SignalingEvent::Refused { code, message });
                }
                Ok(())
            }
        }
    }

    fn not_understood(&mut self, error: &ParseError) -> Result<(), Ending> {
        if matches!(self.phase, Phase::Greeting { .. }) && !self.was_inside {
            return Err(self.nonsensical(&error.to_string()));
        }
        tracing::warn!(%error, "skipped a message of the server");
        self.nonsense += 1;
        if self.nonsense >= NONSENSE_FRAMES {
            return Err(Ending::Broken("the server speaks nonsense".to_owned()));
        }
        Ok(())
    }

    fn nonsensical(&self, why: &str) -> Ending {
        Ending::Final(SignalingError::Nonsense {
            server: self.server.to_string(),
            why: why.to_owned(),
        })
    }

    fn join(&mut self, now: Instant) {
        self.phase = Phase::Joining {
            until: now + self.patience,
        };
        self.ask(ClientMessage::Join {
            room: self.identity.room.clone(),
            name: self.identity.name.clone(),
            capacity: self.identity.capacity,
        });
    }

    /// We are in the room: what the server may not know is told.
    fn enter(&mut self, resumed: bool) {
        self.phase = Phase::Inside;
        self.request = None;
        if self.was_inside {
            self.tell(SignalingEvent::Back { resumed });
        }
        self.was_inside = true;
        self.place = Some(self.server.clone());
        for (kind, muted) in self.muted.clone() {
            // A new place in the room starts with nothing muted; what a moderator muted is not ours to unmute.
            if muted || (resumed && !self.held.contains(&kind)) {
                self.announce(kind, muted);
            }
        }
        let messages = self.outbox.take_dropped();
        if messages > 0 {
            self.tell(SignalingEvent::Dropped { messages });
        }
    }

    fn announce(&mut self, kind: Kind, muted: bool) {
        let (room, peer) = (self.identity.room.clone(), self.me);
        self.say(
            None,
            if muted {
                ClientMessage::Mute { room, peer, kind }
            } else {
                ClientMessage::Unmute { room, peer, kind }
            },
        );
    }

    /// Says something whose answer we wait for.
    fn ask(&mut self, message: ClientMessage) {
        let id = self.new_id();
        self.request = Some(id);
        self.say(Some(id), message);
    }

    fn say(&mut self, id: Option<u64>, message: ClientMessage) {
        self.control
            .push_back(ClientFrame { id, message }.to_json());
    }

    /// Adds to what there is to tell our owner.
    pub(super) fn tell(&mut self, event: SignalingEvent) {
        self.events.push_back(event);
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
