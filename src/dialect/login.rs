//! The login dialect: plain WebSocket and JSON, where a name calls a name.
//!
//! A page logs in under a name and calls another by sending it an offer. Here a call is what it is everywhere: a ring, and
//! a room that both sides enter. Between two login pages the page's own offer, answer and candidates go through as they
//! are; towards anybody else they become signals of `rtc.v1` and back. A page that calls always brings its offer; one that
//! is called is given the caller's offer while it still rings, and answers, accepts or refuses.
//!
//! `docs/protocol/login.md` has every message.

mod call;
#[cfg(test)]
mod tests;
mod words;

use crate::id::{CallId, Name, PeerId, RoomId, Token};
use crate::message::{
    Callee, ClientMessage, Dialect, ErrorCode, Member, RefuseCode, ServerFrame, ServerMessage,
};
use crate::raw::Raw;
use crate::signal::{Candidate, Description, SdpType, Signal};

use super::{Step, Translator};
use call::{Call, Other, Stage, Talk};
use words::{Passed, Word};

pub use words::{Code, Said};

/// Members of a call's room.
const TWO: u16 = 2;

/// Characters of the secret that names of rooms are made of: leaves a token's length for a number behind it.
const SECRET: usize = 40;

type Out = Vec<Step<String>>;

/// One login page's translator.
#[derive(Debug)]
pub struct Login {
    /// Names of rooms are derived from it, so that nobody can guess the next one.
    secret: Token,
    /// Of requests and of rooms.
    numbers: u64,
    name: Option<Name>,
    /// The login that is not answered yet.
    asked: Option<(u64, Name)>,
    /// Boxed: most pages are in none.
    call: Option<Box<Call>>,
}

impl Login {
    /// For a page that has just connected. The token is a secret of this translator's own, drawn by the caller.
    #[must_use]
    pub const fn new(secret: Token) -> Self {
        Self {
            secret,
            numbers: 0,
            name: None,
            asked: None,
            call: None,
        }
    }

    /// What a page is told of something that the server itself refuses, as a message that is too large.
    #[must_use]
    pub fn error(code: Code, message: &str) -> String {
        let name = None;
        Word::Error {
            code,
            message,
            name,
        }
        .json()
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn room(&mut self) -> Option<RoomId> {
        let number = self.number();
        let secret = self.secret.secret().get(..SECRET)?;
        // What the id of a peer is made by hides the secret: one room's name tells nothing of the next.
        let name = Token::new(&format!("{secret}-{number}")).ok()?.peer_id();
        RoomId::new(&format!("call-{name}")).ok()
    }

    // --- said by the page ---

    fn log_in(&mut self, name: Result<Name, crate::id::NameError>, out: &mut Out) {
        let name = match name {
            Ok(name) => name,
            Err(error) => return not_logged_in(Code::BadName, &error.to_string(), out),
        };
        if self.asked.is_some() {
            let words = "an earlier login is not answered yet; wait for its answer";
            return not_logged_in(Code::RateLimited, words, out);
        }
        let id = self.number();
        self.asked = Some((id, name.clone()));
        out.push(Step::request(id, ClientMessage::Register { name }));
    }

    fn offer(&mut self, offer: Raw, name: Name, out: &mut Out) {
        let Some(own) = &self.name else {
            return stranger(out);
        };
        match &self.call {
            Some(call) if call.who == name && call.stage != Stage::Called => {
                return self.talk(Talk::Offer(offer), out);
            }
            Some(call) => {
                let words = match call.stage {
                    Stage::Called => format!("{} is calling you; answer or refuse", call.who),
                    _ => format!("you are in a call with {}; leave it first", call.who),
                };
                return refuse(Code::InCall, &words, Some(&name), out);
            }
            None => {}
        }
        if *own == name {
            let words = "that is your own name; call somebody else";
            return refuse(Code::NoSuchUser, words, Some(&name), out);
        }
        let Some(room) = self.room() else { return };
        let id = self.number();
        let mut call = Call::outgoing(id, room.clone(), name.clone());
        call.hold(Talk::Offer(offer));
        self.call = Some(Box::new(call));
        let whom = Callee::Name(name);
        out.push(Step::request(id, ClientMessage::Ring { whom, room }));
    }

    /// The call that the page means, or an answer that there is none.
    fn meant(&mut self, name: Option<&Name>, out: &mut Out) -> Option<&mut Call> {
        if self.name.is_none() {
            stranger(out);
            return None;
        }
        let call = self.call.as_deref_mut();
        let call = call.filter(|call| call.shown && name.is_none_or(|name| *name == call.who));
        if call.is_none() {
            let words = match name {
                Some(name) => format!("you are in no call with {name}"),
                None => "you are in no call".into(),
            };
            refuse(Code::NoCall, &words, name, out);
        }
        call
    }

    fn answer(&mut self, answer: Raw, name: Option<&Name>, out: &mut Out) {
        let Some(call) = self.meant(name, out) else {
            return;
        };
        if !std::mem::replace(&mut call.owes_answer, false) {
            let words = "no offer waits for an answer";
            return refuse(Code::NoOffer, words, name, out);
        }
        accept(call, out);
        self.talk(Talk::Answer(answer), out);
    }

    fn refused_by_page(&mut self, name: Option<&Name>, words: Option<String>, out: &mut Out) {
        let Some(call) = self.meant(name, out) else {
            return;
        };
        if call.stage == Stage::Called {
            self.end(RefuseCode::Declined, words, out);
        } else {
            refuse(Code::NoCall, "no call rings here", name, out);
        }
    }

    /// Says something to the other side, or keeps it until there is one.
    fn talk(&mut self, talk: Talk, out: &mut Out) {
        let Some(call) = self.call.as_deref_mut() else {
            return;
        };
        let told = match call.other {
            Some(other) => pass_on(call, other, talk, out),
            None => call.hold(talk).then_some(()).ok_or_else(|| {
                let words = "too much was said before the other side came; this is not kept";
                (Code::TooMany, words.to_owned())
            }),
        };
        if let Err((code, words)) = told {
            refuse(code, &words, Some(&call.who), out);
        }
    }

    // --- heard from the room core ---

    fn rung(&mut self, id: CallId, from: PeerId, who: Name, room: RoomId, out: &mut Out) {
        let code = match (&self.name, &self.call) {
            (Some(_), None) => None,
            (Some(_), Some(_)) => Some(RefuseCode::Busy),
            // Somebody knows its id, and it knows no names yet.
            (None, _) => Some(RefuseCode::Declined),
        };
        if code.is_some() {
            let (call, reason) = (id, None);
            return out.push(Step::core(ClientMessage::Refuse { call, code, reason }));
        }
        self.call = Some(Box::new(Call::incoming(id, room, who, from)));
        self.enter(Some(TWO), out);
    }

    fn enter(&mut self, capacity: Option<u16>, out: &mut Out) {
        let id = self.number();
        let Some(call) = self.call.as_deref_mut() else {
            return;
        };
        call.joining = Some(id);
        let (room, name) = (call.room.clone(), None);
        let join = ClientMessage::Join {
            room,
            name,
            capacity,
        };
        out.push(Step::request(id, join));
    }

    /// It rings, or nobody had to be rung: into the room.
    fn placed(&mut self, request: Option<u64>, placed: Placed, out: &mut Out) {
        let call = self.call.as_deref_mut();
        let call = call.filter(|call| request.is_some_and(|id| call.stage == Stage::Asking(id)));
        match (call, placed) {
            (Some(call), Placed::Rings(id)) => {
                call.stage = Stage::Calling;
                call.id = Some(id);
                say(&Word::Ringing { name: &call.who }, out);
                self.enter(Some(TWO), out);
            }
            (Some(call), Placed::Met(peer, room)) => {
                call.stage = Stage::Calling;
                call.whom = Some(peer);
                call.room = room;
                self.enter(None, out);
            }
            // The page has thought better of it meanwhile.
            (None, Placed::Rings(call)) => {
                out.push(Step::core(ClientMessage::HangUp { call }));
            }
            (None, Placed::Met(..)) => {}
        }
    }

    fn joined(&mut self, room: &RoomId, members: Vec<Member>, out: &mut Out) {
        let Some(call) = self.call.as_deref_mut().filter(|call| call.room == *room) else {
            return;
        };
        call.joining = None;
        let met = call.id.is_none();
        let whom = call.whom;
        let other = members
            .into_iter()
            .find(|member| whom.is_none_or(|whom| whom == member.peer));
        match other {
            Some(member) => self.came(&member, out),
            // Who was to be met in its room has gone; somebody who is rung may still come.
            None if met => self.fail(Code::NoSuchUser, "who went by that name has just left", out),
            None => {}
        }
    }

    fn came(&mut self, member: &Member, out: &mut Out) {
        let Some(call) = self.call.as_deref_mut() else {
            return;
        };
        let meant = call.whom.is_none_or(|whom| whom == member.peer);
        if call.other.is_some() || !meant {
            return;
        }
        if let (
            Some(dialect @ (Dialect::Codelab | Dialect::Book | Dialect::Whip | Dialect::Whep)),
            false,
        ) = (member.dialect, call.stage == Stage::Called)
        {
            let words = format!(
                "{} is a {} page, which makes its own offer and takes none",
                call.who,
                dialect.as_str()
            );
            return self.fail(Code::CannotAnswer, &words, out);
        }
        let other = Other::new(member.peer, member.dialect);
        call.other = Some(other);
        if call.stage == Stage::Called && !other.alike {
            // Our page waits for an offer; the caller makes one when it is asked.
            signal(call, &Signal::Restart, out);
        }
        for talk in call.take_held() {
            if let Err((code, words)) = pass_on(call, other, talk, out) {
                return self.fail(code, &words, out);
            }
        }
    }

    fn signalled(&mut self, signal: &Raw, out: &mut Out) {
        let Some(call) = self.call.as_deref_mut() else {
            return;
        };
        match Signal::from_raw(signal) {
            Ok(Signal::Description(description)) => described(call, &description, out),
            Ok(Signal::Candidate(candidate)) => {
                let Ok(candidate) = Raw::of(&candidate) else {
                    return;
                };
                if call.described {
                    let candidate = &candidate;
                    say(&Word::Candidate { candidate }, out);
                } else if call.early.len() < call::HELD {
                    call.early.push(candidate);
                }
            }
            // A page cannot be asked for an offer, nor told that there are no more candidates: both have no word here.
            Ok(Signal::EndOfCandidates | Signal::Restart) | Err(_) => {}
        }
    }

    fn passed(&mut self, data: &Raw, out: &mut Out) {
        let call = self.call.as_deref_mut();
        let Some(call) = call.filter(|call| call.other.is_some_and(|other| other.alike)) else {
            return;
        };
        match Passed::read(data) {
            Some(Passed::Offer(offer)) => offered(call, &offer, out),
            Some(Passed::Answer(answer)) => say(&Word::Answer { answer: &answer }, out),
            Some(Passed::Candidate(candidate)) => {
                let candidate = &candidate;
                say(&Word::Candidate { candidate }, out);
            }
            None => {}
        }
    }

    fn not_taken(&mut self, code: RefuseCode, reason: Option<&str>, out: &mut Out) {
        let Some(call) = self.call.as_deref() else {
            return;
        };
        let name = &call.who;
        if code == RefuseCode::Busy {
            let words = format!("{name} is in another call; try again later");
            refuse(Code::Busy, &words, Some(name), out);
        } else {
            let (code, message) = match code {
                RefuseCode::NoAnswer => (Code::NoAnswer, "nobody answered"),
                _ => (Code::Declined, reason.unwrap_or("the call was declined")),
            };
            say(
                &Word::Refuse {
                    name,
                    code,
                    message,
                },
                out,
            );
            // A page that knows no `refuse` goes back to its beginning on this.
            say(&Word::Leave {}, out);
        }
        self.call_over(out);
    }

    fn refused_by_core(&mut self, id: Option<u64>, code: ErrorCode, words: &str, out: &mut Out) {
        let Some(id) = id else { return };
        if self.asked.as_ref().is_some_and(|(asked, _)| *asked == id) {
            self.asked = None;
            return not_logged_in(code.into(), words, out);
        }
        let Some(call) = self.call.as_deref() else {
            return;
        };
        if call.stage == Stage::Asking(id) {
            let name = call.who.clone();
            self.call = None;
            refuse(code.into(), words, Some(&name), out);
        } else if call.joining == Some(id) {
            self.fail(code.into(), words, out);
        }
    }

    // --- ends ---

    /// The call cannot be: the page is told why, the far side that it is over.
    fn fail(&mut self, code: Code, words: &str, out: &mut Out) {
        if let Some(call) = self.call.as_deref().filter(|call| call.shown) {
            refuse(code, words, Some(&call.who), out);
        }
        self.end(RefuseCode::Declined, None, out);
    }

    /// The far side ended it.
    fn ended(&mut self, out: &mut Out) {
        if self.call.as_deref().is_some_and(|call| call.shown) {
            say(&Word::Leave {}, out);
        }
        self.call_over(out);
    }

    /// Our side ends it: the far side is told.
    fn end(&mut self, code: RefuseCode, reason: Option<String>, out: &mut Out) {
        let call = self.call.as_deref();
        if let Some((call, stage)) = call.and_then(|c| c.id.clone().map(|id| (id, c.stage))) {
            let message = match (stage, Some(code)) {
                (Stage::Called, code) => ClientMessage::Refuse { call, code, reason },
                _ => ClientMessage::HangUp { call },
            };
            out.push(Step::core(message));
        }
        self.call_over(out);
    }

    fn call_over(&mut self, out: &mut Out) {
        if let Some(call) = self.call.take()
            && !matches!(call.stage, Stage::Asking(_))
        {
            let room = call.room;
            out.push(Step::core(ClientMessage::Leave { room }));
        }
    }
}

/// Where a caller is sent.
enum Placed {
    Rings(CallId),
    Met(PeerId, RoomId),
}

impl Translator for Login {
    type Said = Said;
    type Page = String;

    fn said(&mut self, said: Said, out: &mut Out) {
        match said {
            Said::Login(name) => self.log_in(name, out),
            Said::Offer { offer, name } => self.offer(offer, name, out),
            Said::Answer { answer, name } => self.answer(answer, name.as_ref(), out),
            Said::Candidate { candidate, name } => {
                if self.meant(name.as_ref(), out).is_some() {
                    self.talk(Talk::Candidate(candidate), out);
                }
            }
            Said::Accept { name } => {
                if let Some(call) = self.meant(name.as_ref(), out) {
                    accept(call, out);
                }
            }
            Said::Refuse { name, message } => self.refused_by_page(name.as_ref(), message, out),
            Said::Leave { name } => {
                if self.meant(name.as_ref(), out).is_some() {
                    self.end(RefuseCode::Declined, None, out);
                }
            }
        }
    }

    fn heard(&mut self, frame: ServerFrame, out: &mut Out) {
        use ServerMessage as M;
        let id = frame.id;
        let in_room = |login: &Self, room: &RoomId| {
            let call = login.call.as_deref();
            call.is_some_and(|call| call.room == *room)
        };
        let in_call = |login: &Self, room: &RoomId, peer: PeerId| {
            let call = login.call.as_deref();
            call.is_some_and(|call| call.is_with(room, peer))
        };
        let of_call = |login: &Self, id: &CallId| {
            let call = login.call.as_deref();
            call.is_some_and(|call| call.is(id))
        };
        match frame.message {
            M::Welcome {
                server,
                ice_servers,
                ..
            } => {
                let (server, ice_servers) = (&*server, &*ice_servers);
                say(
                    &Word::Hello {
                        server,
                        ice_servers,
                    },
                    out,
                );
            }
            M::Ack {} => {
                if let Some((_, name)) = self.asked.take_if(|(asked, _)| Some(*asked) == id) {
                    self.name = Some(name);
                    let (success, code, message) = (true, None, None);
                    say(
                        &Word::Login {
                            success,
                            code,
                            message,
                        },
                        out,
                    );
                }
            }
            M::Error { code, message } => self.refused_by_core(id, code, &message, out),
            M::Ring {
                call,
                from,
                name,
                room,
            } => self.rung(call, from, name, room, out),
            M::Ringing { call } => self.placed(id, Placed::Rings(call), out),
            M::Found { peer, room } => self.placed(id, Placed::Met(peer, room), out),
            M::Joined { room, members, .. } => self.joined(&room, members, out),
            M::PeerJoined { room, member } if in_room(self, &room) => self.came(&member, out),
            M::Signal { room, from, signal } if in_call(self, &room, from) => {
                self.signalled(&signal, out);
            }
            M::Message { room, from, data } if in_call(self, &room, from) => {
                self.passed(&data, out);
            }
            M::Accepted { call } if of_call(self, &call) => {
                if let Some(call) = self.call.as_deref_mut() {
                    call.stage = Stage::Taken;
                    say(&Word::Accept { name: &call.who }, out);
                }
            }
            M::Refused { call, code, reason } if of_call(self, &call) => {
                self.not_taken(code, reason.as_deref(), out);
            }
            M::HungUp { call } if of_call(self, &call) => self.ended(out),
            M::PeerLeft { room, peer, .. } if in_call(self, &room, peer) => {
                if self.call.as_deref().is_some_and(|call| call.shown) {
                    say(&Word::Leave {}, out);
                }
                self.end(RefuseCode::Declined, None, out);
            }
            M::Kicked { room, .. } if in_room(self, &room) => self.ended(out),
            M::GoAway { reason, .. } => refuse(Code::GoingAway, &reason, None, out),
            _ => {}
        }
    }
}

fn say(word: &Word<'_>, out: &mut Out) {
    out.push(Step::Page(word.json()));
}

fn refuse(code: Code, message: &str, name: Option<&Name>, out: &mut Out) {
    say(
        &Word::Error {
            code,
            message,
            name,
        },
        out,
    );
}

fn stranger(out: &mut Out) {
    let words = "log in first, and wait for its success";
    refuse(Code::NotLoggedIn, words, None, out);
}

fn not_logged_in(code: Code, words: &str, out: &mut Out) {
    let login = Word::Login {
        success: false,
        code: Some(code),
        message: Some(words),
    };
    say(&login, out);
}

/// A call that rings here is taken.
fn accept(call: &mut Call, out: &mut Out) {
    if call.stage == Stage::Called
        && let Some(id) = &call.id
    {
        call.stage = Stage::Taken;
        out.push(Step::core(ClientMessage::Accept { call: id.clone() }));
    }
}

/// Our page is given an offer.
fn offered(call: &mut Call, offer: &Raw, out: &mut Out) {
    call.shown = true;
    call.owes_answer = true;
    let name = Some(&call.who);
    say(&Word::Offer { offer, name }, out);
}

/// The far side, which is no login page, describes itself.
fn described(call: &mut Call, description: &Description, out: &mut Out) {
    let Ok(raw) = Raw::of(description) else {
        return;
    };
    match description.kind {
        // Our page's own offer is on its way: it cannot take another, and the far side gives way.
        SdpType::Offer if call.offered => return,
        SdpType::Offer => offered(call, &raw, out),
        SdpType::Answer | SdpType::Pranswer => {
            call.offered = description.kind == SdpType::Pranswer;
            say(&Word::Answer { answer: &raw }, out);
        }
        SdpType::Rollback => return,
    }
    call.described = true;
    for candidate in std::mem::take(&mut call.early) {
        let candidate = &candidate;
        say(&Word::Candidate { candidate }, out);
    }
}

/// Passes what our page says on to the far side, in words that it knows.
fn pass_on(call: &mut Call, other: Other, talk: Talk, out: &mut Out) -> Result<(), (Code, String)> {
    if other.alike {
        let word = match &talk {
            Talk::Offer(offer) => Word::Offer { offer, name: None },
            Talk::Answer(answer) => Word::Answer { answer },
            Talk::Candidate(candidate) => Word::Candidate { candidate },
        };
        let (room, to) = (call.room.clone(), Some(other.peer));
        if let Some(data) = word.raw() {
            out.push(Step::core(ClientMessage::Message { room, to, data }));
        }
        return Ok(());
    }
    let bad = |what: &str, why: &str| {
        let words = format!("the {what} is none that a browser makes: {why}");
        (Code::BadMessage, words)
    };
    let said = match talk {
        Talk::Offer(raw) => match raw.to::<Description>() {
            Ok(description) if description.kind == SdpType::Offer => {
                call.offered = true;
                Signal::Description(description)
            }
            Ok(_) => return Err(bad("offer", "its type is not offer")),
            Err(error) => return Err(bad("offer", &error.to_string())),
        },
        Talk::Answer(raw) => match raw.to::<Description>() {
            Ok(answer) if matches!(answer.kind, SdpType::Answer | SdpType::Pranswer) => {
                Signal::Description(answer)
            }
            Ok(_) => return Err(bad("answer", "its type is not answer")),
            Err(error) => return Err(bad("answer", &error.to_string())),
        },
        Talk::Candidate(raw) => match raw.to::<Option<Candidate>>() {
            Ok(Some(candidate)) if !candidate.candidate.is_empty() => Signal::Candidate(candidate),
            Ok(_) => Signal::EndOfCandidates,
            Err(error) => return Err(bad("candidate", &error.to_string())),
        },
    };
    signal(call, &said, out);
    Ok(())
}

fn signal(call: &Call, said: &Signal, out: &mut Out) {
    let (room, to) = (call.room.clone(), call.other.map(|other| other.peer));
    if let Ok(signal) = said.to_raw() {
        out.push(Step::core(ClientMessage::Signal { room, to, signal }));
    }
}

impl From<ErrorCode> for Code {
    /// The room core's code, in this dialect.
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::BadMessage => Self::BadMessage,
            ErrorCode::NameTaken => Self::NameTaken,
            ErrorCode::BadName => Self::BadName,
            ErrorCode::NoSuchPeer => Self::NoSuchUser,
            ErrorCode::Busy | ErrorCode::TooManyRooms => Self::Busy,
            ErrorCode::RoomFull => Self::RoomFull,
            ErrorCode::GoingAway => Self::GoingAway,
            ErrorCode::NotAllowed => Self::NotAllowed,
            ErrorCode::RateLimited => Self::RateLimited,
            ErrorCode::TooLarge => Self::TooLarge,
            _ => Self::Refused,
        }
    }
}
