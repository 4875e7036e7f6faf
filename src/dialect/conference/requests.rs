//! What pages ask for, checked, and who waits for the answer.

use std::collections::BTreeMap;

use super::inside::{Inside, Meant, Stage};
use super::{Conference, Out, data, event, raw};
use crate::dialect::Step;
use crate::dialect::socketio::Emit;
use crate::id::{Name, NameError, PeerId, RoomId};
use crate::limits;
use crate::message::{ClientMessage, ErrorCode, Kind, Right};
use crate::raw::Raw;
use crate::signal::{Description, SdpType, Signal};

/// The events that pages of this kind say.
pub(super) const EVENTS: [&str; 9] = [
    "join",
    "message",
    "leave",
    "mute",
    "unmute",
    "kick",
    "grant",
    "broadcast",
    "drain",
];

/// A code and words for people.
type Refusal = (ErrorCode, String);

/// A request of a page.
#[derive(Debug)]
pub(super) enum Request {
    Join(RoomId, Option<Name>),
    Message(RoomId, Raw, Option<PeerId>),
    Leave(RoomId),
    Mute(RoomId, PeerId, Kind),
    Unmute(RoomId, PeerId, Kind),
    Kick(RoomId, PeerId, Option<String>),
    Grant(RoomId, PeerId, Right),
    Broadcast(Raw),
    Drain,
}

impl Request {
    /// Checks an event; arguments past the known ones are skipped, as Socket.IO's own handlers would.
    pub(super) fn read(event: &str, args: Vec<Raw>) -> Result<Self, Refusal> {
        let mut args = Args {
            event,
            args: args.into_iter(),
        };
        Ok(match event {
            "join" => Self::Join(args.room()?, args.maybe("name", Name::new)?),
            "message" => Self::Message(args.room()?, args.data()?, args.maybe("to", PeerId::new)?),
            "leave" => Self::Leave(args.room()?),
            "mute" => Self::Mute(args.room()?, args.id()?, args.kind()?),
            "unmute" => Self::Unmute(args.room()?, args.id()?, args.kind()?),
            "kick" => Self::Kick(args.room()?, args.id()?, args.reason()?),
            "grant" => Self::Grant(args.room()?, args.id()?, args.right()?),
            "broadcast" => Self::Broadcast(args.data()?),
            "drain" => Self::Drain,
            _ => {
                let shown: String = event.chars().take(64).collect();
                let words = format!(
                    "the event {shown:?} is not known; send one of {}",
                    EVENTS.join(", ")
                );
                return Err((ErrorCode::BadMessage, words));
            }
        })
    }
}

/// The arguments of one event, taken in order.
struct Args<'a> {
    event: &'a str,
    args: std::vec::IntoIter<Raw>,
}

impl Args<'_> {
    fn bad(&self, what: &str, form: &str) -> Refusal {
        let words = format!("{}: the argument {what:?} must be {form}", self.event);
        (ErrorCode::BadMessage, words)
    }

    /// The next argument as text; none where it is absent or null, which is how `undefined` arrives.
    fn text(&mut self, what: &str) -> Result<Option<String>, Refusal> {
        let Some(arg) = self.args.next() else {
            return Ok(None);
        };
        let text: Result<Option<String>, _> = arg.to();
        text.map_err(|_| self.bad(what, "a string"))
    }

    fn maybe<T>(
        &mut self,
        what: &str,
        check: impl Fn(&str) -> Result<T, NameError>,
    ) -> Result<Option<T>, Refusal> {
        let text = self.text(what)?;
        let checked = text.as_deref().map(check).transpose();
        checked.map_err(|error| (ErrorCode::BadName, error.to_string()))
    }

    fn need<T>(
        &mut self,
        what: &str,
        check: impl Fn(&str) -> Result<T, NameError>,
    ) -> Result<T, Refusal> {
        self.maybe(what, check)?
            .ok_or_else(|| self.bad(what, "there, as a string"))
    }

    fn room(&mut self) -> Result<RoomId, Refusal> {
        self.need("room", RoomId::new)
    }

    fn id(&mut self) -> Result<PeerId, Refusal> {
        self.need("id", PeerId::new)
    }

    fn kind(&mut self) -> Result<Kind, Refusal> {
        match self.text("kind")?.as_deref() {
            Some("audio") => Ok(Kind::Audio),
            Some("video") => Ok(Kind::Video),
            _ => Err(self.bad("kind", "audio or video")),
        }
    }

    fn right(&mut self) -> Result<Right, Refusal> {
        match self.text("right")?.as_deref() {
            Some("moderator") => Ok(Right::Moderator),
            _ => Err(self.bad("right", "moderator")),
        }
    }

    fn reason(&mut self) -> Result<Option<String>, Refusal> {
        let reason = self.text("reason")?;
        let long = |text: &String| text.chars().count() > limits::REASON_CHARS;
        if reason.as_ref().is_some_and(long) {
            return Err(self.bad("reason", "at most 256 characters"));
        }
        Ok(reason)
    }

    fn data(&mut self) -> Result<Raw, Refusal> {
        match self.args.next() {
            Some(data) if data.is_deeper_than(limits::NESTING) => {
                Err(self.bad("data", "nested at most 64 levels deep"))
            }
            Some(data) => Ok(data),
            None => Err(self.bad("data", "there; any JSON will do")),
        }
    }
}

/// Who waits for an answer of the room core.
#[derive(Debug)]
pub(super) enum Waiting {
    /// Nobody: the translator asked by itself.
    Nobody,
    /// The page, with its callback if it gave one.
    Page {
        event: String,
        ack: Option<u64>,
        done: Done,
    },
}

/// What the page is told beside the acknowledgement.
#[derive(Debug)]
pub(super) enum Done {
    /// Nothing more.
    Quiet,
    /// It wanted into this room, and there may be no place.
    Join(RoomId),
    /// Its message went to several; that one of them has just left is no failure.
    Several,
    /// What the room core tells all but the one who asked.
    Muted(RoomId, PeerId, Kind, bool),
}

impl Waiting {
    pub(super) fn of(event: &str, ack: Option<u64>) -> Self {
        let event = event.chars().take(64).collect();
        let done = Done::Quiet;
        Self::Page { event, ack, done }
    }

    fn then(self, done: Done) -> Self {
        match self {
            Self::Page { event, ack, .. } => Self::Page { event, ack, done },
            Self::Nobody => Self::Nobody,
        }
    }

    /// Acknowledges.
    pub(super) fn done(waiting: Option<Self>, more: &[(&str, Option<Raw>)], out: &mut Out) {
        if let Some(Self::Page { ack: Some(ack), .. }) = waiting {
            let mut answer: BTreeMap<&str, Option<Raw>> = more.iter().cloned().collect();
            answer.insert("ok", raw(&true));
            acknowledge(ack, &answer, out);
        }
    }

    /// Refuses in the callback, or by an `error` event where there is none.
    pub(super) fn refuse(self, code: ErrorCode, words: &str, out: &mut Out) {
        let Self::Page {
            event: name, ack, ..
        } = self
        else {
            return;
        };
        let mut answer = BTreeMap::from([("code", raw(code.as_str())), ("message", raw(words))]);
        if let Some(ack) = ack {
            answer.insert("ok", raw(&false));
            acknowledge(ack, &answer, out);
        } else {
            answer.insert("event", raw(&name));
            event("error", [raw(&answer)], out);
        }
    }
}

fn acknowledge(ack: u64, answer: &BTreeMap<&str, Option<Raw>>, out: &mut Out) {
    let args = raw(answer).into_iter().collect();
    out.push(Step::Page(Emit::Ack { ack, args }));
}

impl Conference {
    pub(super) fn request(&mut self, request: Request, waiting: Waiting, out: &mut Out) {
        match request {
            Request::Join(room, name) => {
                let waiting = waiting.then(Done::Join(room.clone()));
                let capacity = Some(self.capacity.unwrap_or(limits::ROOM_CAPACITY));
                let message = ClientMessage::Join {
                    room,
                    name,
                    capacity,
                };
                self.ask(message, waiting, out);
            }
            Request::Message(room, data, to) => self.message(room, data, to, waiting, out),
            Request::Leave(room) => self.ask(ClientMessage::Leave { room }, waiting, out),
            Request::Mute(room, peer, kind) => {
                let waiting = waiting.then(Done::Muted(room.clone(), peer, kind, true));
                self.ask(ClientMessage::Mute { room, peer, kind }, waiting, out);
            }
            Request::Unmute(room, peer, kind) => {
                let waiting = waiting.then(Done::Muted(room.clone(), peer, kind, false));
                self.ask(ClientMessage::Unmute { room, peer, kind }, waiting, out);
            }
            Request::Kick(room, peer, reason) => {
                self.ask(ClientMessage::Kick { room, peer, reason }, waiting, out);
            }
            Request::Grant(room, peer, right) => {
                self.ask(ClientMessage::Grant { room, peer, right }, waiting, out);
            }
            Request::Broadcast(data) => {
                self.ask(ClientMessage::Broadcast { data }, waiting, out);
            }
            Request::Drain => self.ask(ClientMessage::Drain {}, waiting, out),
        }
    }

    fn message(
        &mut self,
        room: RoomId,
        data: Raw,
        to: Option<PeerId>,
        waiting: Waiting,
        out: &mut Out,
    ) {
        let foreign = match (self.rooms.get(&room), to) {
            (Some(inside), Some(to)) => {
                let other = inside.others.get(&to);
                other.is_some_and(|other| !other.is_conference())
            }
            (Some(inside), None) => !inside.pages_only(),
            // The room core knows how to refuse this.
            (None, _) => false,
        };
        // Between pages of this dialect nobody looks into what they say.
        let signal = if foreign { data::read(&data) } else { None };
        let Some(signal) = signal else {
            return self.ask(ClientMessage::Message { room, to, data }, waiting, out);
        };
        let Some(inside) = self.rooms.get_mut(&room) else {
            return;
        };
        let meant = to.map_or_else(|| meant(inside, &signal), Meant::One);
        match meant {
            Meant::One(peer) => {
                if let Signal::Description(description) = &signal
                    && !describe(inside, peer, description)
                {
                    return Waiting::done(Some(waiting), &[], out);
                }
                self.send_signal(&room, peer, &signal, waiting, out);
            }
            Meant::Pages => {
                let pages: Vec<PeerId> = inside.pages().collect();
                self.message_to(&room, &pages, &data, waiting, out);
            }
            Meant::Unclear => {
                let words = "message: several members could be meant, and a description or candidate is for one; say its id in the argument \"to\"";
                waiting.refuse(ErrorCode::BadMessage, words, out);
            }
        }
    }

    /// Says the same to several; the page hears how it went once, after the last.
    fn message_to(
        &mut self,
        room: &RoomId,
        to: &[PeerId],
        data: &Raw,
        waiting: Waiting,
        out: &mut Out,
    ) {
        let mut waiting = Some(waiting.then(Done::Several));
        for (index, peer) in to.iter().enumerate() {
            let last = index + 1 == to.len();
            let message = ClientMessage::Message {
                room: room.clone(),
                to: Some(*peer),
                data: data.clone(),
            };
            let waiting = waiting.take_if(|_| last).unwrap_or(Waiting::Nobody);
            self.ask(message, waiting, out);
        }
    }

    /// The room core did what was asked.
    pub(super) fn acknowledged(&mut self, waiting: Option<Waiting>, out: &mut Out) {
        let told = match &waiting {
            Some(Waiting::Page {
                done: Done::Muted(room, peer, kind, muted),
                ..
            }) => Some((room.clone(), *peer, *kind, *muted)),
            _ => None,
        };
        if let (Some((room, peer, kind, muted)), Some(me)) = (told, self.me) {
            self.muted(&room, peer, kind, me, muted, out);
        }
        Waiting::done(waiting, &[], out);
    }

    /// The room core refused what was asked; or, where nobody waits, what the translator asked by itself.
    pub(super) fn turned_down(
        &mut self,
        waiting: Option<Waiting>,
        code: ErrorCode,
        words: &str,
        out: &mut Out,
    ) {
        let Some(waiting) = waiting else { return };
        if let Waiting::Page { done, .. } = &waiting {
            match (done, code) {
                (Done::Join(room), ErrorCode::RoomFull) => {
                    event("full", [raw(room), raw(&self.me)], out);
                    if matches!(waiting, Waiting::Page { ack: None, .. }) {
                        return;
                    }
                }
                (Done::Several, ErrorCode::NoSuchPeer) => {
                    return Waiting::done(Some(waiting), &[], out);
                }
                _ => {}
            }
        }
        waiting.refuse(code, words, out);
    }
}

fn meant(inside: &Inside, signal: &Signal) -> Meant {
    match signal {
        Signal::Description(description) if description.kind == SdpType::Offer => {
            inside.meant_by_offer()
        }
        Signal::Description(_) => inside.meant_by_answer(),
        Signal::Candidate(_) | Signal::EndOfCandidates | Signal::Restart => {
            inside.meant_by_candidate()
        }
    }
}

/// The page sends a description to a member of another dialect. False where it must not arrive: the page offers to a
/// caller whose own offer is on its way to it. The page takes its own back (implicit rollback, W3C webrtc-pc section
/// 4.4.1.6) and answers next.
fn describe(inside: &mut Inside, peer: PeerId, description: &Description) -> bool {
    let Some(other) = inside.others.get_mut(&peer) else {
        return true;
    };
    let answers = inside.offered == Some(peer);
    if description.kind == SdpType::Offer {
        if answers && other.is_caller() {
            return false;
        }
        // What comes next belongs to the answer.
        other.renew(Stage::Met);
    }
    inside.partner = Some(peer);
    if answers {
        inside.offered = None;
    }
    true
}
