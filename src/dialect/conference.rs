//! Conference pages: rooms of many over Socket.IO, an acknowledgement for every request, a list of members that each
//! page keeps from what it is sent.
//!
//! Pages among themselves hear each other's `data` as it was written. Towards members of other dialects a description
//! or candidate in it becomes a native signal, and back. The page inside a room offers when it is told `otherjoin`; so a
//! member that is not ready to be offered to is announced late, and one that wants an offer again is announced anew.

pub mod data;
mod inside;
mod requests;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::socketio::{Emit, Event, SocketIoTranslator};
use super::{Step, Translator};
use crate::id::{CallId, Name, PeerId, RoomId};
use crate::limits;
use crate::message::{
    ClientFrame, ClientMessage, Dialect, ErrorCode, Kind, LeaveReason, Member, Role, ServerFrame,
    ServerMessage,
};
use crate::raw::Raw;
use crate::signal::{Description, SdpType, Signal};

use inside::{Inside, Stage};
use requests::{Request, Waiting};

type Out = Vec<Step<Emit>>;

/// One page's translator; see the module.
#[derive(Debug, Default)]
pub struct Conference {
    me: Option<PeerId>,
    /// The largest room that the server allows, which is what a page gets that makes one.
    capacity: Option<u16>,
    rooms: BTreeMap<RoomId, Inside>,
    /// What the room core was asked and has not answered; at most [`limits::OPEN_REQUESTS`].
    open: HashMap<u64, Waiting>,
    last_request: u64,
}

/// A member as pages are told of it.
#[derive(Serialize)]
struct Entry<'a> {
    id: PeerId,
    name: &'a Name,
    role: Role,
    muted: &'a [Kind],
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<Dialect>,
}

impl<'a> From<&'a Member> for Entry<'a> {
    fn from(member: &'a Member) -> Self {
        Self {
            id: member.peer,
            name: &member.name,
            role: member.role,
            muted: &member.muted,
            dialect: member.dialect,
        }
    }
}

/// What a page is told when the server is about to close its connection.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Drain {
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl Translator for Conference {
    type Said = Event;
    type Page = Emit;

    fn said(&mut self, said: Event, out: &mut Out) {
        let Event { name, args, ack } = said;
        let asked = Request::read(&name, args).and_then(|request| {
            if self.open.len() >= limits::OPEN_REQUESTS {
                let words = "too many requests wait for their answers; wait for some of them";
                return Err((ErrorCode::RateLimited, words.to_owned()));
            }
            Ok(request)
        });
        let waiting = Waiting::of(&name, ack);
        match asked {
            Ok(request) => self.request(request, waiting, out),
            Err((code, words)) => waiting.refuse(code, &words, out),
        }
    }

    fn heard(&mut self, frame: ServerFrame, out: &mut Out) {
        use ServerMessage as M;
        let waiting = frame.id.and_then(|id| self.open.remove(&id));
        match frame.message {
            M::Welcome { peer, limits, .. } => {
                self.me = Some(peer);
                self.capacity = u16::try_from(limits.room_capacity).ok();
            }
            M::Joined {
                room,
                peer,
                members,
                ..
            } => self.joined(&room, peer, members, waiting, out),
            M::Left { room } => {
                self.rooms.remove(&room);
                if let Some(me) = self.me {
                    event("leaved", [raw(&room), raw(&me)], out);
                }
                Waiting::done(waiting, &[("room", raw(&room))], out);
            }
            M::PeerJoined { room, member } => self.came(&room, member, out),
            M::PeerLeft { room, peer, reason } => self.went(&room, peer, reason, out),
            M::Signal { room, from, signal } => {
                // What cannot be read would be of no use to the page either.
                if let Ok(signal) = Signal::from_raw(&signal) {
                    self.signal(&room, from, signal, out);
                }
            }
            M::Message { room, from, data } => {
                self.announce(&room, from, out);
                event("message", [raw(&room), Some(data), raw(&from)], out);
            }
            M::Ring { call, room, .. } => self.ring(call, &room, out),
            M::Muted {
                room,
                peer,
                kind,
                by,
            } => self.muted(&room, peer, kind, by, true, out),
            M::Unmuted {
                room,
                peer,
                kind,
                by,
            } => self.muted(&room, peer, kind, by, false, out),
            M::Kicked { room, by, reason } => {
                self.rooms.remove(&room);
                event(
                    "kicked",
                    [raw(&room), raw(&self.me), raw(&by), raw(&reason)],
                    out,
                );
            }
            M::Granted {
                room,
                peer,
                right,
                by,
            } => {
                self.granted(&room, peer);
                event(
                    "granted",
                    [raw(&room), raw(&peer), raw(&right), raw(&by)],
                    out,
                );
            }
            M::Broadcast { data } => event("broadcast", [Some(data)], out),
            M::GoAway {
                reason,
                reconnect_ms,
                url,
            } => {
                let drain = Drain {
                    reason,
                    reconnect_ms,
                    url,
                };
                event("drain", [raw(&drain)], out);
            }
            M::Ack {} => self.acknowledged(waiting, out),
            M::Error { code, message } => self.turned_down(waiting, code, &message, out),
            // Calls are made by other dialects, heartbeats are the transport's.
            M::Ringing { .. }
            | M::Found { .. }
            | M::Accepted { .. }
            | M::Refused { .. }
            | M::HungUp { .. }
            | M::Ping { .. }
            | M::Pong { .. } => {}
        }
    }
}

impl SocketIoTranslator for Conference {
    fn dialect(&self) -> Dialect {
        Dialect::Conference
    }

    fn refused(&mut self, said: Option<Event>, code: ErrorCode, message: &str, out: &mut Out) {
        match said {
            Some(Event { name, ack, .. }) => Waiting::of(&name, ack).refuse(code, message, out),
            None => out.push(Step::Page(Emit::error(code, message))),
        }
    }
}

impl Conference {
    /// Whether an event is one that only pages of this kind say.
    #[must_use]
    pub fn knows(event: &str) -> bool {
        event != "message" && requests::EVENTS.contains(&event)
    }

    fn joined(
        &mut self,
        room: &RoomId,
        me: PeerId,
        members: Vec<Member>,
        waiting: Option<Waiting>,
        out: &mut Out,
    ) {
        self.me = Some(me);
        let list: Vec<Entry<'_>> = members.iter().map(Entry::from).collect();
        let list = raw(&list);
        event("joined", [raw(room), raw(&me), list.clone()], out);
        let more = [("room", raw(room)), ("id", raw(&me)), ("members", list)];
        Waiting::done(waiting, &more, out);
        let inside = Inside::of(members);
        let foreign = inside
            .others
            .values()
            .filter(|other| !other.is_conference());
        let foreign: Vec<PeerId> = foreign.map(|other| other.member.peer).collect();
        self.rooms.insert(room.clone(), inside);
        for peer in foreign {
            // The page waits for the offers of those inside, and is ready for them now.
            self.send_signal(room, peer, &Signal::Restart, Waiting::Nobody, out);
        }
    }

    fn came(&mut self, room: &RoomId, member: Member, out: &mut Out) {
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        let peer = member.peer;
        let ready = matches!(member.dialect, None | Some(Dialect::Conference));
        inside.enter(member, Stage::Hidden);
        if ready {
            self.announce(room, peer, out);
        }
    }

    /// Tells the page of a member that it does not know yet. One that it shall offer to is told by `otherjoin`; one that
    /// comes with an offer in hand is told as if it had been inside before the page, as the page leaves the offer to those.
    /// Else both would offer, and Chromium (156) never finds a candidate again for a first offer that it took back.
    fn announce(&mut self, room: &RoomId, peer: PeerId, out: &mut Out) {
        let other = self
            .rooms
            .get_mut(room)
            .and_then(|i| i.others.get_mut(&peer));
        let Some(other) = other.filter(|other| other.stage == Stage::Hidden) else {
            return;
        };
        if other.is_caller() {
            other.stage = Stage::Met;
            return self.list(room, out);
        }
        other.stage = Stage::Asked;
        let Member { name, muted, .. } = &other.member;
        event("otherjoin", [raw(room), raw(&peer), raw(name)], out);
        for kind in muted {
            event("muted", [raw(room), raw(&peer), raw(kind), None], out);
        }
    }

    /// Tells the page anew who is inside: all whom it may know of.
    fn list(&self, room: &RoomId, out: &mut Out) {
        let (Some(me), Some(inside)) = (self.me, self.rooms.get(room)) else {
            return;
        };
        let known = inside.others.values();
        let known = known.filter(|other| other.stage != Stage::Hidden);
        let list: Vec<Entry<'_>> = known.map(|other| Entry::from(&other.member)).collect();
        event("joined", [raw(room), raw(&me), raw(&list)], out);
    }

    fn went(&mut self, room: &RoomId, peer: PeerId, reason: LeaveReason, out: &mut Out) {
        let gone = self
            .rooms
            .get_mut(room)
            .and_then(|inside| inside.exit(peer));
        if gone.is_none_or(|other| other.stage == Stage::Hidden) {
            return;
        }
        if reason == LeaveReason::Kicked {
            event("kicked", [raw(room), raw(&peer)], out);
        }
        event("bye", [raw(room), raw(&peer)], out);
    }

    fn muted(
        &mut self,
        room: &RoomId,
        peer: PeerId,
        kind: Kind,
        by: PeerId,
        muted: bool,
        out: &mut Out,
    ) {
        let other = self
            .rooms
            .get_mut(room)
            .and_then(|i| i.others.get_mut(&peer));
        if let Some(other) = other {
            other.mute(kind, muted);
            if other.stage == Stage::Hidden {
                return;
            }
        }
        let name = if muted { "muted" } else { "unmuted" };
        event(name, [raw(room), raw(&peer), raw(&kind), raw(&by)], out);
    }

    fn granted(&mut self, room: &RoomId, peer: PeerId) {
        let other = self
            .rooms
            .get_mut(room)
            .and_then(|i| i.others.get_mut(&peer));
        if let Some(other) = other {
            other.member.role = Role::Moderator;
        }
    }

    /// Somebody of a dialect with calls wants in on a room. A page that is in it has no say; into another it does not go.
    fn ring(&mut self, call: CallId, room: &RoomId, out: &mut Out) {
        let message = if self.rooms.contains_key(room) {
            ClientMessage::Accept { call }
        } else {
            ClientMessage::Refuse {
                call,
                code: None,
                reason: Some("this page takes calls only in the rooms that it is in".into()),
            }
        };
        self.ask(message, Waiting::Nobody, out);
    }

    fn signal(&mut self, room: &RoomId, from: PeerId, signal: Signal, out: &mut Out) {
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(other) = inside.others.get_mut(&from) else {
            return;
        };
        match signal {
            Signal::Restart => match other.stage {
                Stage::Hidden => self.announce(room, from, out),
                // The page is about to offer.
                Stage::Asked => {}
                Stage::Met => {
                    other.renew(Stage::Hidden);
                    event("bye", [raw(room), raw(&from)], out);
                    self.announce(room, from, out);
                }
            },
            Signal::Description(description) => {
                self.announce(room, from, out);
                self.description(room, from, &description, out);
            }
            Signal::Candidate(candidate) => {
                if other.described {
                    let data = data::candidate_for_page(&candidate);
                    event("message", [raw(room), data, raw(&from)], out);
                } else {
                    other.hold(candidate);
                }
            }
            // Pages of this kind were written before candidates had an end.
            Signal::EndOfCandidates => {}
        }
    }

    fn description(
        &mut self,
        room: &RoomId,
        from: PeerId,
        description: &Description,
        out: &mut Out,
    ) {
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        let Some(other) = inside.others.get_mut(&from) else {
            return;
        };
        other.stage = Stage::Met;
        other.described = true;
        let held = other.take_held();
        inside.partner = Some(from);
        if description.kind == SdpType::Offer {
            inside.offered = Some(from);
        }
        event("message", [raw(room), raw(description), raw(&from)], out);
        for candidate in held {
            let data = data::candidate_for_page(&candidate);
            event("message", [raw(room), data, raw(&from)], out);
        }
    }

    // --- to the room core ---

    /// Asks the room core for something; who waits for it hears when it answers.
    fn ask(&mut self, message: ClientMessage, waiting: Waiting, out: &mut Out) {
        self.last_request += 1;
        self.open.insert(self.last_request, waiting);
        out.push(Step::Core(ClientFrame {
            id: Some(self.last_request),
            message,
        }));
    }

    fn send_signal(
        &mut self,
        room: &RoomId,
        to: PeerId,
        signal: &Signal,
        waiting: Waiting,
        out: &mut Out,
    ) {
        // Text, numbers: there is no signal that cannot be written.
        let Ok(signal) = signal.to_raw() else { return };
        let message = ClientMessage::Signal {
            room: room.clone(),
            to: Some(to),
            signal,
        };
        self.ask(message, waiting, out);
    }
}

/// Writes an argument down; what cannot be written is null to the page.
fn raw<T: Serialize + ?Sized>(value: &T) -> Option<Raw> {
    Raw::of(value).ok()
}

fn null() -> Option<Raw> {
    Raw::parse("null").ok()
}

fn event<const N: usize>(name: &'static str, args: [Option<Raw>; N], out: &mut Out) {
    let args = args.into_iter().filter_map(|arg| arg.or_else(null));
    out.push(Step::Page(Emit::Event {
        name: Cow::Borrowed(name),
        args: args.collect(),
    }));
}
