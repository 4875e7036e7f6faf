//! Rooms, sessions and calls as rules: `(now, input)` in, effects out. No socket, task or clock.
//!
//! A session is a peer that said hello; it outlives its connection by the resume window.
//! Everything that a session must not miss is numbered and kept for a while, so that a
//! resumed one is told what it missed, in order.

mod agenda;
mod call;
mod cluster;
mod config;
mod decisions;
mod drain;
mod greeting;
mod line;
mod moderation;
mod names;
mod report;
mod room;
mod session;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rtc_protocol::{
    ClientFrame, ClientMessage, ErrorCode, IceServer, LeaveReason, Name, PeerId, Right, RoomId,
    ServerMessage, close,
};

pub(crate) use cluster::HANDOVER;
pub use cluster::{Baggage, Cluster, Finding, Leaving, Survey, Wish};
pub use config::HubConfig;
pub use greeting::{Greeting, Pass};
pub use line::Line;
pub use report::RoomReport;

use crate::access::{Denied, Rights};
use crate::metrics::{Begun, Limit, Metrics};
use agenda::Agenda;
use call::Calls;
use cluster::NewMember;
use names::{Answered, Names};
use room::{Room, Standing};
use session::{Keep, Session, Terms};

/// Heartbeats after which what was said on a live connection has arrived: a connection that is silent for two and a
/// half of them is closed, which is seen at the next beat.
const DELIVERED_BEATS: u32 = 4;

/// One connection, for as long as it lasts; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// What is to be done for a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this.
    Send(ConnectionId, Line),
    /// Close it, after what was sent before.
    Close(ConnectionId, u16, &'static str),
    /// Whoever waits under this number for a session of another node need not any more.
    Arrived(u64),
}

/// Counts of what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounts {
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Rooms with somebody in them.
    pub rooms: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    /// As the last input said it.
    now: Instant,
    /// Boxed: a map has twice as many places as entries, now and then.
    sessions: HashMap<PeerId, Box<Session>>,
    /// Which of them have to be looked at, and when.
    agenda: Agenda,
    rooms: HashMap<RoomId, Room>,
    calls: Calls,
    names: Names,
    stage: Stage,
    /// What there is of other nodes; none on a server that stands alone.
    cluster: Option<Box<Cluster>>,
    /// Only ever written: no rule reads it.
    metrics: Metrics,
}

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    Draining,
    Stopping,
}

/// Where something that was said has got to.
enum Relayed {
    /// Into the queues of those it is for.
    Here,
    /// To another node, which is to say that it has it.
    OnItsWay,
}

/// Why a request was refused.
type Refusal = (ErrorCode, String);

impl Hub {
    /// An empty one.
    #[must_use]
    pub fn new(config: HubConfig, now: Instant) -> Self {
        Self {
            config,
            now,
            sessions: HashMap::new(),
            agenda: Agenda::default(),
            rooms: HashMap::new(),
            calls: Calls::default(),
            names: Names::default(),
            stage: Stage::Serving,
            cluster: None,
            metrics: Metrics::default(),
        }
    }

    /// Counts what happens there.
    #[must_use]
    pub(crate) fn counting(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// As one node of a cluster.
    #[must_use]
    pub fn clustered(mut self, cluster: Cluster) -> Self {
        self.cluster = Some(Box::new(cluster));
        self
    }

    /// Those that everybody is told, and the relay's.
    fn ice_servers(&self, peer: &PeerId) -> Vec<IceServer> {
        let mut servers = self.config.ice_servers.clone();
        let relay = self.config.relay.as_ref();
        servers.extend(
            relay
                .into_iter()
                .flat_map(|relay| relay.servers(self.now, peer)),
        );
        servers
    }

    /// Counts of what is there.
    #[must_use]
    pub fn counts(&self) -> HubCounts {
        HubCounts {
            sessions: self.sessions.len(),
            rooms: self.rooms.len(),
        }
    }

    fn session(&self, peer: PeerId) -> Option<&Session> {
        self.sessions.get(&peer).map(Box::as_ref)
    }

    /// A connection said hello: a new session, or an old one's new connection.
    ///
    /// # Errors
    /// When it showed nothing that lets it in; then nothing has changed.
    pub fn hello(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        greeting: Greeting,
        out: &mut Vec<Effect>,
    ) -> Result<PeerId, Denied> {
        let Greeting {
            id,
            token,
            returns,
            last_seq,
            name,
            dialect,
            pass,
        } = greeting;
        self.now = now;
        let peer = token.peer_id();
        let stands = |session: &Session| last_seq.is_some_and(|last| session.can_resume(last));
        let rights = match pass {
            Pass::Good(rights) => Some(rights),
            Pass::Unchecked if self.config.open => Some(Rights::open()),
            Pass::Unchecked => Some(Rights::none()),
            Pass::ResumeOnly(_) if self.session(peer).is_some_and(stands) => None,
            Pass::ResumeOnly(denied) => return Err(denied),
        };
        let superseded = self.arrives(peer, returns, out);
        let known = self.sessions.contains_key(&peer);
        let resumed = match (self.sessions.get_mut(&peer), last_seq) {
            (Some(session), Some(last)) if session.can_resume(last) => {
                if let Some(old) = session.connect(connection) {
                    out.push(Effect::Close(old, close::TAKEN_OVER, "taken over"));
                }
                true
            }
            (Some(session), last) => {
                if let Some(old) = session.disconnect(now) {
                    out.push(Effect::Close(old, close::TAKEN_OVER, "taken over"));
                }
                // Without a number the same peer begins anew: its page was loaded again, its program restarted. With
                // one, more was said to it than is kept.
                let reason = match last {
                    None => LeaveReason::Left,
                    Some(_) => LeaveReason::Lost,
                };
                let turn = self.turn_of(peer);
                self.end(peer, reason, out);
                self.keep_turn(peer, turn);
                false
            }
            (None, _) => false,
        };
        if resumed {
            self.metrics.sessions_resumed.inc();
        } else {
            let begun = match (last_seq, known) {
                (Some(_), _) => Begun::Missed,
                (None, true) => Begun::Anew,
                (None, false) => Begun::New,
            };
            if (last_seq.is_some(), known) == (true, true) {
                self.metrics.limits_hit.inc(Limit::Backlog);
            }
            self.metrics.sessions_begun.inc(begun);
            let session = Session::new(connection, name, dialect);
            self.sessions.insert(peer, Box::new(session));
        }
        if let (Some(rights), Some(session)) = (rights, self.sessions.get_mut(&peer)) {
            // Those of the newest token count, also where they are less; rooms it is in it stays in.
            session.entitle(rights);
        }
        let welcome = ServerMessage::Welcome {
            peer,
            resume: token,
            resumed,
            resume_window_ms: millis(self.config.resume_window),
            heartbeat_ms: millis(self.config.heartbeat),
            ice_servers: self.ice_servers(&peer),
            limits: self.config.limits,
            server: concat!("rtc-server/", env!("CARGO_PKG_VERSION")).into(),
        };
        out.push(Effect::Send(connection, Line::new(id, welcome)));
        self.look_again(peer);
        if let (true, Some(session)) = (resumed, self.sessions.get(&peer)) {
            let missed = session.after(last_seq.unwrap_or(0));
            out.extend(missed.map(|line| Effect::Send(connection, line.clone())));
        }
        let stays = match self.stage {
            Stage::Serving => true,
            Stage::Draining => resumed && self.busy(peer) && !self.moves(peer),
            Stage::Stopping => false,
        };
        if superseded {
            self.is_elsewhere(peer, out);
        } else if !stays {
            self.send_on(peer, None, out);
        }
        Ok(peer)
    }

    /// A peer said something after its hello.
    pub fn say(&mut self, now: Instant, peer: PeerId, frame: ClientFrame, out: &mut Vec<Effect>) {
        self.now = now;
        let ClientFrame { id, message } = frame;
        let done = match message {
            ClientMessage::Hello { .. } => Err((
                ErrorCode::HelloFirst,
                "hello comes first, and only once a connection".into(),
            )),
            ClientMessage::Join {
                room,
                name,
                capacity,
            } => return self.join(peer, id, room, name, capacity, out),
            ClientMessage::Leave { room } => return self.leave(peer, id, room, out),
            ClientMessage::Signal { room, to, signal } => {
                let message = ServerMessage::Signal {
                    room: room.clone(),
                    from: peer,
                    signal,
                };
                match self.relay(peer, &room, to, id, message, out) {
                    // Answered when the other node has it.
                    Ok(Relayed::OnItsWay) => return,
                    done => done.map(drop),
                }
            }
            ClientMessage::Message { room, to, data } => {
                let message = ServerMessage::Message {
                    room: room.clone(),
                    from: peer,
                    data,
                };
                match self.relay(peer, &room, to, id, message, out) {
                    Ok(Relayed::OnItsWay) => return,
                    done => done.map(drop),
                }
            }
            ClientMessage::Register { name } => match self.register(peer, id, name) {
                Ok(Answered::Later) => return,
                done => done.map(drop),
            },
            ClientMessage::Ring { whom, room } => return self.ring(peer, id, whom, room, out),
            ClientMessage::Accept { call } => self.accept(peer, &call, out),
            ClientMessage::Refuse { call, code, reason } => {
                self.refuse(peer, &call, code, reason, out)
            }
            ClientMessage::HangUp { call } => self.hang_up(peer, &call, out),
            ClientMessage::Mute {
                room,
                peer: whose,
                kind,
            } => self.mute(peer, room, whose, kind, true, out),
            ClientMessage::Unmute {
                room,
                peer: whose,
                kind,
            } => self.mute(peer, room, whose, kind, false, out),
            ClientMessage::Kick {
                room,
                peer: whom,
                reason,
            } => self.kick(peer, &room, whom, reason, out),
            ClientMessage::Grant {
                room,
                peer: whom,
                right,
            } => self.grant(peer, room, whom, right, out),
            ClientMessage::Broadcast { data } => self.broadcast(peer, data, out),
            ClientMessage::Drain {} => match self.administrates(peer) {
                Ok(()) => {
                    // Who asks may be sent away itself, and hears that it is done before.
                    if id.is_some() {
                        self.answer(peer, id, ServerMessage::Ack {}, out);
                    }
                    return self.drain(out);
                }
                Err(refusal) => Err(refusal),
            },
            // Heartbeats belong to the connection and end there.
            _ => Ok(()),
        };
        match (done, id) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => self.answer(peer, id, ServerMessage::Ack {}, out),
            (Err((code, message)), _) => {
                self.answer(peer, id, ServerMessage::Error { code, message }, out);
            }
        }
    }

    /// A connection is gone. `clean` tells that the peer closed it in order: then it has left.
    pub fn gone(
        &mut self,
        now: Instant,
        peer: PeerId,
        connection: ConnectionId,
        clean: bool,
        out: &mut Vec<Effect>,
    ) {
        self.now = now;
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        if session.connection() != Some(connection) {
            return;
        }
        session.disconnect(now);
        if clean {
            self.end(peer, LeaveReason::Left, out);
        } else {
            self.look_again(peer);
        }
    }

    /// Ends the sessions whose resume window has passed and the calls that nobody answers, and forgets what has been
    /// delivered.
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.now = now;
        self.end_unanswered(out);
        self.end_seeking(out);
        self.end_arriving(out);
        self.tell_calls();
        self.end_surveys(out);
        while let Some((when, peer)) = self.agenda.due(now) {
            let terms = self.terms();
            let Some(session) = self.sessions.get_mut(&peer) else {
                continue;
            };
            if !session.looked_at(when) {
                continue;
            }
            if session.lost(now, terms) {
                self.end(peer, LeaveReason::Lost, out);
            } else {
                session.forget_delivered(now, terms);
                self.look_again(peer);
            }
        }
        self.send_idle_away(out);
    }

    fn terms(&self) -> Terms {
        Terms {
            window: self.config.resume_window,
            delivered: self.config.heartbeat * DELIVERED_BEATS,
        }
    }

    /// Sees to it that a session is looked at when something of it is over.
    fn look_again(&mut self, peer: PeerId) {
        let terms = self.terms();
        let session = self.sessions.get_mut(&peer);
        if let Some(when) = session.and_then(|session| session.promise_a_look(terms)) {
            self.agenda.at(when, peer);
        }
    }

    // --- saying ---

    /// Says something to a peer; numbered and kept, so that it is not missed.
    fn tell(&mut self, peer: PeerId, message: ServerMessage, out: &mut Vec<Effect>) {
        self.tell_line(peer, &Line::new(None, message), out);
    }

    fn tell_line(&mut self, peer: PeerId, line: &Line, out: &mut Vec<Effect>) {
        let keep = Keep {
            messages: self.config.backlog,
            bytes: self.config.backlog_bytes,
        };
        let terms = self.terms();
        if let Some(session) = self.sessions.get_mut(&peer) {
            let line = session.number(self.now, line, keep);
            if let Some(when) = session.promise_a_look(terms) {
                self.agenda.at(when, peer);
            }
            if let Some(connection) = session.connection() {
                out.push(Effect::Send(connection, line));
            }
        }
    }

    /// Answers a request; what makes sense only on this connection is not kept.
    fn answer(
        &mut self,
        peer: PeerId,
        id: Option<u64>,
        message: ServerMessage,
        out: &mut Vec<Effect>,
    ) {
        if let ServerMessage::Error { code, .. } = &message {
            self.metrics.refused(*code);
        }
        let sequenced = message.is_sequenced();
        let line = Line::new(id, message);
        if sequenced {
            return self.tell_line(peer, &line, out);
        }
        let connection = self.session(peer).and_then(Session::connection);
        if let Some(connection) = connection {
            out.push(Effect::Send(connection, line));
        }
    }

    fn tell_room(
        &mut self,
        room: &RoomId,
        except: Option<PeerId>,
        message: ServerMessage,
        out: &mut Vec<Effect>,
    ) {
        let Some(members) = self.rooms.get(room).map(Room::peers) else {
            return;
        };
        let line = Line::new(None, message);
        for peer in members.into_iter().filter(|peer| Some(*peer) != except) {
            self.tell_line(peer, &line, out);
        }
    }

    fn relay(
        &mut self,
        from: PeerId,
        room: &RoomId,
        to: Option<PeerId>,
        id: Option<u64>,
        message: ServerMessage,
        out: &mut Vec<Effect>,
    ) -> Result<Relayed, Refusal> {
        let inside = self.inside(from, room)?;
        match to {
            None => {
                let nodes = inside.nodes();
                if !nodes.is_empty() {
                    self.relay_to_all_elsewhere(from, room, nodes, &message);
                }
                self.tell_room(room, Some(from), message, out);
            }
            Some(to) if inside.has(to) && to != from => match inside.node_of(to) {
                None => self.tell(to, message, out),
                Some(node) => {
                    self.relay_elsewhere(from, id, room, to, node, message);
                    return Ok(Relayed::OnItsWay);
                }
            },
            Some(to) => {
                return Err((
                    ErrorCode::NoSuchPeer,
                    format!("there is no other peer {to} in room {room}"),
                ));
            }
        }
        Ok(Relayed::Here)
    }

    fn inside(&self, peer: PeerId, room: &RoomId) -> Result<&Room, Refusal> {
        self.rooms
            .get(room)
            .filter(|inside| inside.has(peer))
            .ok_or_else(|| {
                (
                    ErrorCode::NotJoined,
                    format!("you are not in room {room}; join it first"),
                )
            })
    }

    // --- rooms ---

    fn join(
        &mut self,
        peer: PeerId,
        id: Option<u64>,
        room: RoomId,
        name: Option<Name>,
        capacity: Option<u16>,
        out: &mut Vec<Effect>,
    ) {
        if self.was_brought(peer, id, &room, out) {
            return;
        }
        if let Err((code, message)) = self.may_join(peer, &room) {
            return self.answer(peer, id, ServerMessage::Error { code, message }, out);
        }
        let most = u16::try_from(self.config.limits.room_capacity).unwrap_or(u16::MAX);
        let capacity = capacity
            .unwrap_or(self.config.default_capacity)
            .clamp(1, most);
        let Some(session) = self.sessions.get_mut(&peer) else {
            return;
        };
        let rights = session.rights().clone();
        let name = match rights.name() {
            Some(name) => name.clone(),
            None => name.unwrap_or_else(|| session.name(peer)),
        };
        let dialect = session.dialect();
        if self.cluster.is_some() {
            let member = NewMember {
                peer,
                name,
                dialect,
                standing: Standing::of(&rights, &room),
            };
            return self.claim(id, room, member, capacity, out);
        }
        session.enter(room.clone());
        let inside = self.rooms.entry(room.clone()).or_insert_with(|| {
            self.metrics.rooms_opened.inc();
            Room::new(room.clone(), capacity, self.now)
        });
        self.metrics.room_joins.inc();
        let members = inside.members();
        self.names.enters(&name, peer, &room);
        let member = inside.enter(peer, name, dialect, &Standing::of(&rights, &room));
        let muted = member.muted.clone();
        let held = inside.decisions.held(peer);
        let joined = ServerMessage::Joined {
            room: room.clone(),
            peer,
            role: member.role,
            capacity: inside.capacity(),
            members,
        };
        self.answer(peer, id, joined, out);
        for kind in muted {
            // By its token, or by a moderator before it left and came back.
            let hold = held.iter().find(|hold| hold.kind == kind);
            let muted = ServerMessage::Muted {
                room: room.clone(),
                peer,
                kind,
                by: hold.map_or(peer, |hold| hold.by),
            };
            self.tell(peer, muted, out);
        }
        let came = ServerMessage::PeerJoined {
            room: room.clone(),
            member,
        };
        self.tell_room(&room, Some(peer), came, out);
    }

    /// Answers a peer that asks for a room in which it is, as its session came from another node; whether that is so.
    fn was_brought(
        &mut self,
        peer: PeerId,
        id: Option<u64>,
        room: &RoomId,
        out: &mut Vec<Effect>,
    ) -> bool {
        let session = self.sessions.get_mut(&peer);
        if !session.is_some_and(|session| session.asks_again(room)) {
            return false;
        }
        let Some(inside) = self.rooms.get(room) else {
            return false;
        };
        let mut members = inside.members();
        let Some(own) = members.iter().position(|one| one.peer == peer) else {
            return false;
        };
        let own = members.remove(own);
        let joined = ServerMessage::Joined {
            room: room.clone(),
            peer,
            role: own.role,
            capacity: inside.capacity(),
            members,
        };
        self.answer(peer, id, joined, out);
        true
    }

    fn may_join(&self, peer: PeerId, room: &RoomId) -> Result<(), Refusal> {
        // Who took a call may enter the room that it is to be in.
        let in_progress = self.rooms.contains_key(room) || self.calls.has(peer);
        let clustered = self.cluster.as_deref();
        if self.stage != Stage::Serving && !in_progress {
            return Err(drain::going_away());
        }
        let Some(session) = self.sessions.get(&peer) else {
            return Ok(());
        };
        session.rights().join(room, self.now)?;
        let claimed = clustered.map_or(0, |cluster| cluster.claims_of(peer).count());
        let rooms = session.rooms_entered() + claimed;
        if clustered.is_some_and(|cluster| cluster.claims(peer, room)) {
            return Err((
                ErrorCode::AlreadyJoined,
                format!("you are about to be in room {room} already"),
            ));
        }
        if let Some(inside) = self.rooms.get(room) {
            if inside.has(peer) && inside.node_of(peer).is_none() {
                return Err((
                    ErrorCode::AlreadyJoined,
                    format!("you are in room {room} already"),
                ));
            }
            if let Some(rest) = inside.decisions.waits(peer, self.now) {
                return Err((
                    ErrorCode::NotAllowed,
                    format!(
                        "a moderator put you out of room {room}; it lets you in again in {} s",
                        rest.as_secs() + 1
                    ),
                ));
            }
            // In a cluster the broker knows it better.
            if clustered.is_none() && inside.full() {
                return Err((
                    ErrorCode::RoomFull,
                    format!("room {room} has its {} members", inside.capacity()),
                ));
            }
        }
        if rooms >= self.config.limits.rooms_per_peer as usize {
            return Err((
                ErrorCode::TooManyRooms,
                format!("you are in {rooms} rooms, which is the most; leave one first"),
            ));
        }
        Ok(())
    }

    fn leave(&mut self, peer: PeerId, id: Option<u64>, room: RoomId, out: &mut Vec<Effect>) {
        if self.abandon(peer, &room) {
            return self.answer(peer, id, ServerMessage::Left { room }, out);
        }
        if let Err((code, message)) = self.inside(peer, &room).map(drop) {
            return self.answer(peer, id, ServerMessage::Error { code, message }, out);
        }
        self.remove(peer, &room, LeaveReason::Left, out);
        self.answer(peer, id, ServerMessage::Left { room }, out);
    }

    fn remove(&mut self, peer: PeerId, room: &RoomId, reason: LeaveReason, out: &mut Vec<Effect>) {
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.exit(room);
        }
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        if let Some(name) = inside.name(peer) {
            self.names.exits(name, peer, room);
        }
        let place = inside.place(peer).copied();
        let heir = inside.exit(peer);
        self.metrics.room_leaves.inc(reason);
        if let Some(place) = place {
            self.release(place, room, reason);
        }
        self.after_exit(peer, room, reason, heir, out);
    }

    /// Tells who is left in a room that a member went out, and who moderates from now on.
    fn after_exit(
        &mut self,
        peer: PeerId,
        room: &RoomId,
        reason: LeaveReason,
        heir: Option<PeerId>,
        out: &mut Vec<Effect>,
    ) {
        if self.rooms.get(room).is_none_or(Room::deserted) {
            self.rooms.remove(room);
            self.metrics.rooms_closed.inc();
            return;
        }
        let room = room.clone();
        let left = ServerMessage::PeerLeft {
            room: room.clone(),
            peer,
            reason,
        };
        self.tell_room(&room, None, left, out);
        if let Some(heir) = heir {
            // Somebody must be able to put others out: who has been there longest.
            let granted = ServerMessage::Granted {
                room: room.clone(),
                peer: heir,
                right: Right::Moderator,
                by: peer,
            };
            self.tell_room(&room, None, granted, out);
            self.has_changed(heir, &room);
        }
    }

    fn end(&mut self, peer: PeerId, reason: LeaveReason, out: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get(&peer) else {
            return;
        };
        for room in session.rooms() {
            self.remove(peer, &room, reason, out);
        }
        self.abandon_all(peer);
        self.is_gone(peer);
        self.end_calls(peer, out);
        let session = self.sessions.remove(&peer);
        if let Some(name) = session.as_ref().and_then(|one| one.registered()) {
            self.give_name_back(name.clone(), peer);
        }
        self.metrics.sessions_ended.inc(reason);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
