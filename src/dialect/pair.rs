//! Pages that hold a room of two over Socket.IO: the codelab's and the book's, which begin with the same words.
//!
//! A page is of either kind once it said something that only one of them says; until then it is told things in the words
//! of both, each of which the other kind of page has no ear for. Two such pages hear each other's words as they were
//! written. Towards peers of other dialects their words become native signals, and back.

mod inside;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::Serialize;

use super::codelab::{self, Meaning};
use super::socketio::{Emit, Event, Setting, SocketIoTranslator};
use super::{Step, Translator, book};
use crate::id::{PeerId, RoomId};
use crate::limits;
use crate::message::{ClientMessage, Dialect, ErrorCode, Member, ServerFrame, ServerMessage};
use crate::raw::Raw;
use crate::signal::{SdpType, Signal};

use book::{By, Carried, Wrapped};
use inside::{Inside, Partner};

pub(super) type Out = Vec<Step<Emit>>;

/// The events that only such pages say.
const EVENTS: [&str; 7] = [
    "create or join",
    "message",
    "response",
    "ipaddr",
    "bye",
    "Bye",
    "Ack",
];

/// Which of the two a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Codelab,
    Book,
}

/// One page's translator; see the module.
#[derive(Debug)]
pub struct Pair {
    setting: Setting,
    /// None until it shows.
    kind: Option<Kind>,
    place: Place,
    /// The request id of the last join.
    join: u64,
}

#[derive(Debug)]
enum Place {
    Outside,
    /// Asked for, with what the page said meanwhile.
    Joining(RoomId, VecDeque<Event>),
    Inside(Inside),
}

impl Pair {
    /// Of a page that has said nothing.
    #[must_use]
    pub const fn new(setting: Setting) -> Self {
        Self {
            setting,
            kind: None,
            place: Place::Outside,
            join: 0,
        }
    }

    /// Whether such pages say this.
    #[must_use]
    pub fn knows(event: &str) -> bool {
        EVENTS.contains(&event)
    }

    // --- what the page says ---

    fn enter(&mut self, args: &[Raw], out: &mut Out) {
        let words = match &self.place {
            Place::Outside => None,
            Place::Joining(room, _) => Some(room),
            Place::Inside(inside) => Some(&inside.room),
        };
        if let Some(room) = words {
            let words = format!("you are in room {room} already, and a page is in one room");
            return self.refuse(ErrorCode::AlreadyJoined, &words, out);
        }
        let room = match room_of(args) {
            Ok(room) => room,
            Err(words) => return self.refuse(ErrorCode::BadName, &words, out),
        };
        let message = ClientMessage::Join {
            room: room.clone(),
            name: None,
            capacity: Some(2),
        };
        self.join += 1;
        out.push(Step::request(self.join, message));
        self.place = Place::Joining(room, VecDeque::new());
    }

    /// `message` or `response`.
    fn word(&mut self, by: By, mut args: Vec<Raw>, out: &mut Out) {
        if args.is_empty() {
            let words = format!("the event {:?} needs what is to be said", by.event());
            return self.refuse(ErrorCode::BadMessage, &words, out);
        }
        let word = args.swap_remove(0);
        let Place::Inside(inside) = &mut self.place else {
            return self.refuse(
                ErrorCode::NotJoined,
                "you are in no room; say \"create or join\" and its name first",
                out,
            );
        };
        let wrapped = match self.kind {
            Some(Kind::Codelab) if by == By::Message => None,
            _ => Wrapped::read(&word),
        };
        let (kind, said, by) = match wrapped {
            Some(wrapped) if wrapped.channel != inside.room.as_str() => {
                let room = &inside.room;
                let words = format!("you are in channel {room}, and can be heard only there");
                return self.refuse(ErrorCode::NotJoined, &words, out);
            }
            Some(wrapped) => (Kind::Book, wrapped.message, by),
            None if by == By::Message && self.kind != Some(Kind::Book) => {
                (Kind::Codelab, word, By::Codelab)
            }
            None => {
                let words = "a word has the form {channel, message}";
                return self.refuse(ErrorCode::BadMessage, words, out);
            }
        };
        self.kind = Some(kind);
        // Nobody is there to hear it: what a page says of its camera before anybody came.
        let Some(partner) = &mut inside.partner else {
            inside.ready |= Meaning::of_word(&said) == Meaning::Ready;
            return;
        };
        if partner.is_pair() {
            let data = match by {
                By::Codelab if !Carried::looks_like(said.get()) => Some(said),
                book => raw(&Carried { book, data: said }),
            };
            tell(&inside.room, partner, data, out);
            return;
        }
        // A page of the book's kind has no word for being ready: whatever it says first shows that it is there.
        let first_of_book = kind == Kind::Book && !std::mem::replace(&mut inside.ready, true);
        if first_of_book && !inside.creator {
            signal(&inside.room, partner, &Signal::Restart, out);
        }
        match Meaning::of(&said) {
            Meaning::Ready => {
                inside.ready = true;
                if !inside.creator {
                    signal(&inside.room, partner, &Signal::Restart, out);
                }
            }
            Meaning::Bye => self.leave(out),
            Meaning::Signal(said) => {
                partner.offered |= is_description(&said);
                signal(&inside.room, partner, &said, out);
            }
            Meaning::Application => tell(&inside.room, partner, Some(said), out),
        }
    }

    /// The page goes out of its room, where it is in one.
    fn leave(&mut self, out: &mut Out) {
        match std::mem::replace(&mut self.place, Place::Outside) {
            Place::Inside(Inside { room, .. }) | Place::Joining(room, _) => {
                let words = format!("you have left room {room}");
                codelab::log(&[&words], out);
                out.push(Step::core(ClientMessage::Leave { room }));
            }
            Place::Outside => {
                self.refuse(ErrorCode::NotJoined, "you are in no room to leave", out);
            }
        }
    }

    // --- what the room core says ---

    /// What the page said while it waited for the answer to its last join; none where this answers another one, which
    /// the page has left again before it was in.
    fn answered(&mut self, id: Option<u64>) -> Option<(RoomId, VecDeque<Event>)> {
        match &mut self.place {
            Place::Joining(room, held) if id == Some(self.join) => {
                let asked = (room.clone(), std::mem::take(held));
                self.place = Place::Outside;
                Some(asked)
            }
            _ => None,
        }
    }

    fn joined(&mut self, id: Option<u64>, members: Vec<Member>, out: &mut Out) {
        let Some((room, held)) = self.answered(id) else {
            return;
        };
        if members.len() > 1 {
            // A room that somebody made for more: such a page can call one.
            out.push(Step::core(ClientMessage::Leave { room: room.clone() }));
            return self.full(&room, out);
        }
        let creator = members.is_empty();
        let partner = members.into_iter().next().map(Partner::new);
        let socket = &self.setting.socket;
        match (creator, self.kind) {
            (true, Some(Kind::Book)) => book::created(&room, out),
            (true, _) => codelab::created(&room, socket, out),
            (false, Some(Kind::Book)) => book::joined(&room, out),
            (false, _) => {
                codelab::joined(&room, socket, out);
                codelab::ready(out);
            }
        }
        let what = if creator { "created" } else { "joined" };
        codelab::log(&[&format!("you have {what} room {room}")], out);
        self.place = Place::Inside(Inside::new(room, creator, partner));
        for event in held {
            self.said(event, out);
        }
    }

    fn full(&mut self, room: &RoomId, out: &mut Out) {
        event("full", [raw(room)], out);
        codelab::log(&[&format!("room {room} is full")], out);
    }

    /// Somebody came into the page's room, or is the next to be called there.
    fn came(&mut self, member: Member, out: &mut Out) {
        let Place::Inside(inside) = &mut self.place else {
            return;
        };
        let partner = Partner::new(member);
        if inside.partner.is_some() || partner.is_caller() {
            // Who calls by itself needs somebody that can answer, and a page that was first cannot.
            inside.others.push(partner);
            return;
        }
        let room = &inside.room;
        if std::mem::replace(&mut inside.was_called, true) && self.kind != Some(Kind::Book) {
            // A page that was left takes itself for the second one, and would wait for ever.
            codelab::created(room, &self.setting.socket, out);
        }
        inside.creator = true;
        if self.kind != Some(Kind::Book) {
            codelab::join(room, out);
        }
        if self.kind != Some(Kind::Codelab) {
            book::joining(room, out);
            book::told_of_joining(room, out);
        }
        if self.kind != Some(Kind::Book) {
            codelab::ready(out);
            // Who needs no camera first does not say so.
            if partner.dialect.is_none() {
                codelab::word(codelab::READY, out);
            }
        }
        inside.partner = Some(partner);
    }

    fn went(&mut self, peer: PeerId, out: &mut Out) {
        let Place::Inside(inside) = &mut self.place else {
            return;
        };
        inside.others.retain(|other| other.peer != peer);
        let Some(partner) = inside.partner.take_if(|partner| partner.peer == peer) else {
            return;
        };
        inside.was_called = true;
        // Who said goodbye before it went is not heard saying it twice.
        if self.kind != Some(Kind::Book) && !partner.said_bye {
            codelab::word(codelab::BYE, out);
        }
        if self.kind != Some(Kind::Codelab) {
            book::bye(out);
        }
        let next = inside.others.iter().position(|other| !other.is_caller());
        if let Some(next) = next {
            let Partner { member, .. } = inside.others.remove(next);
            self.came(member, out);
        }
    }

    fn signalled(&mut self, from: PeerId, said: Signal, out: &mut Out) {
        let Place::Inside(inside) = &mut self.place else {
            return;
        };
        let (creator, book) = (inside.creator, self.kind == Some(Kind::Book));
        let Some(partner) = inside.partner.as_mut().filter(|one| one.peer == from) else {
            return;
        };
        match said {
            Signal::Restart if creator && !partner.offered && !book => {
                codelab::word(codelab::READY, out);
            }
            // A page makes one offer in its life with a peer.
            Signal::Restart | Signal::EndOfCandidates => {}
            Signal::Description(description) => {
                if creator && !partner.offered && description.kind == SdpType::Offer {
                    // It has no connection yet that could answer.
                    return;
                }
                let Some(word) = codelab::description(&description) else {
                    return;
                };
                let by = match description.kind {
                    SdpType::Answer if book => "response",
                    _ => "message",
                };
                event(by, [Some(word)], out);
                partner.described = true;
                for candidate in std::mem::take(&mut partner.held) {
                    event("message", [codelab::candidate(&candidate)], out);
                }
            }
            Signal::Candidate(candidate) if partner.described => {
                event("message", [codelab::candidate(&candidate)], out);
            }
            Signal::Candidate(candidate) => partner.hold(candidate),
        }
    }

    fn heard_word(&mut self, from: PeerId, data: Raw, out: &mut Out) {
        let Place::Inside(inside) = &mut self.place else {
            return;
        };
        let Some(partner) = inside.partner.as_mut().filter(|one| one.peer == from) else {
            return;
        };
        if !partner.is_pair() {
            return event("message", [Some(data)], out);
        }
        match Carried::read(&data) {
            Some(Carried { book, data }) => {
                let by = match self.kind {
                    Some(Kind::Codelab) => "message",
                    _ => book.event(),
                };
                event(by, [Some(data)], out);
            }
            None => {
                partner.said_bye = Meaning::of_word(&data) == Meaning::Bye;
                event("message", [Some(data)], out);
            }
        }
    }

    fn kicked(&mut self, room: &RoomId, out: &mut Out) {
        match &self.place {
            Place::Inside(inside) if inside.room == *room => {}
            _ => return,
        }
        self.place = Place::Outside;
        if self.kind != Some(Kind::Book) {
            codelab::word(codelab::BYE, out);
        }
        if self.kind != Some(Kind::Codelab) {
            book::bye(out);
        }
        codelab::log(&[&format!("you were put out of room {room}")], out);
    }

    fn turned_down(&mut self, id: Option<u64>, code: ErrorCode, message: &str, out: &mut Out) {
        if let Some((room, _)) = self.answered(id)
            && code == ErrorCode::RoomFull
        {
            return self.full(&room, out);
        }
        // A word to somebody who has just gone is lost, as it always was.
        if id.is_some() {
            self.refuse(code, message, out);
        }
    }

    fn refuse(&mut self, code: ErrorCode, message: &str, out: &mut Out) {
        out.push(Step::Page(Emit::error(code, message)));
        codelab::log(&["refused:", message], out);
    }
}

impl Translator for Pair {
    type Said = Event;
    type Page = Emit;

    fn said(&mut self, said: Event, out: &mut Out) {
        if let Place::Joining(_, held) = &mut self.place
            && !matches!(
                said.name.as_str(),
                "create or join" | "ipaddr" | "bye" | "Bye" | "Ack"
            )
        {
            if held.len() < limits::HELD_EVENTS {
                held.push_back(said);
            } else {
                let words = "too much was said before the room was entered; wait for it";
                self.refuse(ErrorCode::RateLimited, words, out);
            }
            return;
        }
        match said.name.as_str() {
            "create or join" => self.enter(&said.args, out),
            "message" => self.word(By::Message, said.args, out),
            "response" => self.word(By::Response, said.args, out),
            "ipaddr" => {
                self.kind.get_or_insert(Kind::Codelab);
                codelab::addresses(&self.setting.addresses, out);
            }
            "bye" => {
                self.kind.get_or_insert(Kind::Codelab);
                self.leave(out);
            }
            "Bye" | "Ack" => {
                self.kind.get_or_insert(Kind::Book);
                if let Place::Inside(Inside { room, .. }) | Place::Joining(room, _) =
                    std::mem::replace(&mut self.place, Place::Outside)
                {
                    out.push(Step::core(ClientMessage::Leave { room }));
                }
                out.push(Step::Close("it said goodbye"));
            }
            name => {
                let words = format!("the event {name:?} is not known to pages of this kind");
                self.refuse(ErrorCode::BadMessage, &words, out);
            }
        }
    }

    fn heard(&mut self, frame: ServerFrame, out: &mut Out) {
        use ServerMessage as M;
        match frame.message {
            M::Joined { members, .. } => self.joined(frame.id, members, out),
            M::PeerJoined { member, .. } => self.came(member, out),
            M::PeerLeft { peer, .. } => self.went(peer, out),
            M::Signal { from, signal, .. } => {
                // What cannot be read would be of no use to the page either.
                if let Ok(signal) = Signal::from_raw(&signal) {
                    self.signalled(from, signal, out);
                }
            }
            M::Message { from, data, .. } => self.heard_word(from, data, out),
            M::Kicked { room, .. } => self.kicked(&room, out),
            M::Error { code, message } => self.turned_down(frame.id, code, &message, out),
            M::GoAway { reason, .. } => codelab::log(&[&reason], out),
            _ => {}
        }
    }
}

impl SocketIoTranslator for Pair {
    /// Every such page is told of as a codelab page: when it enters its room nobody knows more.
    fn dialect(&self) -> Dialect {
        Dialect::Codelab
    }

    fn refused(&mut self, _said: Option<Event>, code: ErrorCode, message: &str, out: &mut Out) {
        self.refuse(code, message, out);
    }
}

/// The room that a page names.
fn room_of(args: &[Raw]) -> Result<RoomId, String> {
    let name = args.first().and_then(|arg| arg.to::<String>().ok());
    let Some(name) = name else {
        return Err("a room's name is a text; say \"create or join\" and a name".to_owned());
    };
    RoomId::new(&name).map_err(|error| error.to_string())
}

const fn is_description(signal: &Signal) -> bool {
    matches!(signal, Signal::Description(_))
}

fn tell(room: &RoomId, partner: &Partner, data: Option<Raw>, out: &mut Out) {
    if let Some(data) = data {
        out.push(Step::core(ClientMessage::Message {
            room: room.clone(),
            to: Some(partner.peer),
            data,
        }));
    }
}

fn signal(room: &RoomId, partner: &Partner, said: &Signal, out: &mut Out) {
    if let Ok(signal) = said.to_raw() {
        out.push(Step::core(ClientMessage::Signal {
            room: room.clone(),
            to: Some(partner.peer),
            signal,
        }));
    }
}

/// Sends an event whose arguments could be written, which all of them can.
pub(super) fn event<const N: usize>(name: &'static str, args: [Option<Raw>; N], out: &mut Out) {
    let args = args.into_iter().flatten().collect();
    out.push(Step::Page(Emit::event(name, args)));
}

pub(super) fn raw<T: Serialize + ?Sized>(value: &T) -> Option<Raw> {
    Raw::of(value).ok()
}
