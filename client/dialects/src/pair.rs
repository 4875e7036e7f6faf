//! Rooms of two over Socket.IO: the codelab's and the book's. Pure.
//!
//! Whoever made the room offers: in the codelab when the other one says that it has its camera, in the book as soon as it comes.

use std::time::{Duration, Instant};

use rtc_protocol::dialect::conference::data;
use rtc_protocol::dialect::socketio::Event;
use rtc_protocol::{
    Description, Dialect, LeaveReason, Member, PeerId, Raw, RoomId, SdpType, Signal,
};

use crate::ids::{self, Ids};
use crate::news::{News, Out, Refusal, member};
use crate::socketio::{self, Said, quoted};

/// Some pages begin with `ready` and never say that they have their camera: they are offered to after so long.
const READY_WAIT: Duration = Duration::from_secs(5);

const READY: &str = "got user media";
const BYE: &str = "bye";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `message` as it is, and `bye`.
    Codelab,
    /// `message` and `response` that name their channel, `Bye` and `Ack`.
    Book,
}

impl Kind {
    /// Asks to be in a room.
    #[must_use]
    pub fn join(self, room: &str) -> String {
        socketio::event("create or join", &[&quoted(room)])
    }

    /// Says something to the other one; `answers` tells that it is one that answers.
    #[must_use]
    pub fn say(self, room: &str, word: &str, answers: bool) -> String {
        match self {
            Self::Codelab => socketio::event("message", &[word]),
            Self::Book => {
                let by = if answers { "response" } else { "message" };
                let wrapped = format!(r#"{{"channel":{},"message":{word}}}"#, quoted(room));
                socketio::event(by, &[&wrapped])
            }
        }
    }

    /// Says goodbye.
    #[must_use]
    pub fn leave(self, room: &str) -> String {
        match self {
            Self::Codelab => socketio::event("message", &[&quoted(BYE)]),
            Self::Book => socketio::event("Bye", &[&quoted(room)]),
        }
    }

    const fn dialect(self) -> Dialect {
        match self {
            Self::Codelab => Dialect::Codelab,
            Self::Book => Dialect::Book,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Outside,
    Joining,
    Inside { creator: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Far {
    Absent,
    /// It came, and is offered to when it has its camera, or then.
    There(Instant),
    Known {
        peer: PeerId,
        /// We are asked for an offer.
        offered: bool,
        answered: bool,
    },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Pair {
    kind: Kind,
    room: RoomId,
    ids: Ids,
    place: Place,
    far: Far,
    /// Whose connection may stand still, though nobody knows whether it is there.
    before: Option<PeerId>,
    /// The other one said goodbye: in the book that is answered.
    left_alone: bool,
}

impl Pair {
    /// For a room.
    #[must_use]
    pub const fn new(kind: Kind, room: RoomId, seed: [u8; 32]) -> Self {
        Self {
            kind,
            room,
            ids: Ids::new(seed),
            place: Place::Outside,
            far: Far::Absent,
            before: None,
            left_alone: false,
        }
    }

    pub(crate) fn connected(&mut self, out: &mut Out) {
        self.place = Place::Joining;
        out.say(self.kind.join(self.room.as_str()));
    }

    /// The link is down: the room knows nothing of us any more. The call may go on.
    pub(crate) fn down(&mut self) {
        if let Far::Known { peer, .. } = self.far {
            self.before = Some(peer);
        }
        self.place = Place::Outside;
        self.far = Far::Absent;
    }

    pub(crate) const fn is_inside(&self) -> bool {
        matches!(self.place, Place::Inside { .. })
    }

    pub(crate) fn event(
        &mut self,
        now: Instant,
        event: &Event,
        out: &mut Out,
    ) -> Result<(), Refusal> {
        // Until a server of many dialects knows which kind we are, it says things in the words of both.
        match (event.name.as_str(), self.kind) {
            ("created", _) => self.created(out),
            ("joined", _) => self.joined(out),
            ("full", _) if self.place == Place::Joining => return Err(Refusal::Full),
            ("join", Kind::Codelab) => self.came(now),
            ("remotePeerJoining", Kind::Book) => {
                self.came(now);
                self.start(out);
            }
            ("message", Kind::Codelab) | ("message" | "response", Kind::Book) => {
                if let Some(word) = event.args.first() {
                    self.word(word, out);
                }
            }
            ("Bye", Kind::Book) => self.left(out),
            ("error", _) => {
                let said = Said::read(&event.args);
                let words = said.message.or(said.code);
                let words = words.unwrap_or_else(|| "it gives no reason".to_owned());
                if self.place == Place::Joining {
                    return Err(Refusal::Said(words));
                }
                out.tell(News::Notice(format!("the server refused: {words}")));
            }
            _ => {}
        }
        Ok(())
    }

    fn created(&mut self, out: &mut Out) {
        if self.place == Place::Joining {
            out.tell(News::Inside(Vec::new()));
            self.say_ready(out);
        }
        // Who was left is told so, too, and makes the next offer.
        if self.place != Place::Outside {
            self.place = Place::Inside { creator: true };
        }
    }

    fn joined(&mut self, out: &mut Out) {
        if self.place != Place::Joining {
            return;
        }
        self.place = Place::Inside { creator: false };
        // Back in the room, the other one is taken for who it was: a connection that stands goes on.
        let peer = self.before.take().unwrap_or_else(|| self.ids.peer());
        self.know(peer);
        let far = self.member(peer, true);
        out.tell(News::Inside(far.into_iter().collect()));
        self.say_ready(out);
    }

    /// We need nothing before an offer, and pages wait for that word.
    fn say_ready(&self, out: &mut Out) {
        match (self.kind, self.place) {
            (Kind::Codelab, _) => self.say(&quoted(READY), false, out),
            // Any word will do: it shows that we listen.
            (Kind::Book, Place::Inside { creator: false }) => {
                self.say(&quoted("hello"), false, out);
            }
            (Kind::Book, _) => {}
        }
    }

    fn member(&self, peer: PeerId, offers: bool) -> Option<Member> {
        let dialect = offers.then(|| self.kind.dialect());
        let name = ids::name("other").ok()?;
        Some(member(peer, name, dialect))
    }

    const fn know(&mut self, peer: PeerId) {
        self.left_alone = false;
        self.far = Far::Known {
            peer,
            offered: false,
            answered: false,
        };
    }

    fn came(&mut self, now: Instant) {
        if !matches!(self.place, Place::Inside { .. }) {
            return;
        }
        if let Far::Known { peer, .. } = self.far {
            self.before = Some(peer);
        }
        self.place = Place::Inside { creator: true };
        self.left_alone = false;
        self.far = Far::There(now + READY_WAIT);
    }

    /// Asks for an offer to who is there.
    fn start(&mut self, out: &mut Out) {
        if matches!(self.far, Far::Absent) {
            return;
        }
        if let Far::Known { peer, .. } = self.far {
            self.before = Some(peer);
        }
        let peer = self.ids.peer();
        self.know(peer);
        if let Far::Known { offered, .. } = &mut self.far {
            *offered = true;
        }
        if let Some(far) = self.member(peer, false) {
            out.tell(News::Came(far));
        }
        // Who comes is another one, as far as anybody knows; and we are never alone in between.
        if let Some(before) = self.before.take() {
            out.tell(News::Left(before, LeaveReason::Left));
        }
        out.tell(News::Signal(peer, Signal::Restart));
    }

    fn word(&mut self, word: &Raw, out: &mut Out) {
        let Place::Inside { creator } = self.place else {
            return;
        };
        if self.kind == Kind::Codelab && word.get() == quoted(READY) {
            let starts = match self.far {
                Far::There(_) => true,
                // It came too early, or its page was loaded again.
                Far::Known {
                    offered, answered, ..
                } => offered && !answered,
                Far::Absent => false,
            };
            if creator && starts {
                self.start(out);
            }
            return;
        }
        if self.kind == Kind::Codelab && word.get() == quoted(BYE) {
            return self.left(out);
        }
        let Some(signal) = data::read(word) else {
            return;
        };
        let kind = match &signal {
            Signal::Description(said) => Some(said.kind),
            _ => None,
        };
        if !matches!(self.far, Far::Known { .. }) {
            if kind != Some(SdpType::Offer) {
                return;
            }
            // It offers by itself.
            let peer = self.ids.peer();
            self.know(peer);
            if let Some(far) = self.member(peer, true) {
                out.tell(News::Came(far));
            }
            if let Some(before) = self.before.take() {
                out.tell(News::Left(before, LeaveReason::Left));
            }
        }
        if let Far::Known { peer, answered, .. } = &mut self.far {
            *answered |= kind.is_some();
            let peer = *peer;
            out.tell(News::Signal(peer, signal));
        }
    }

    fn left(&mut self, out: &mut Out) {
        let Place::Inside { creator } = &mut self.place else {
            return;
        };
        *creator = true;
        let known = match std::mem::replace(&mut self.far, Far::Absent) {
            Far::Known { peer, .. } => Some(peer),
            Far::There(_) | Far::Absent => None,
        };
        self.left_alone = true;
        if let Some(peer) = known.or(self.before.take()) {
            out.tell(News::Left(peer, LeaveReason::Left));
        }
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.far {
            Far::There(until) => Some(until),
            _ => None,
        }
    }

    pub(crate) fn check(&mut self, now: Instant, out: &mut Out) {
        if self.deadline().is_some_and(|until| now >= until) {
            self.start(out);
        }
    }

    pub(crate) fn signal(&self, to: PeerId, signal: &Signal, out: &mut Out) {
        let Far::Known { peer, offered, .. } = self.far else {
            return;
        };
        if peer != to {
            return;
        }
        let word = match signal {
            Signal::Description(description) => word_of(description),
            Signal::Candidate(candidate) => data::candidate_for_page(candidate),
            // Pages have no words for these.
            Signal::EndOfCandidates | Signal::Restart => None,
        };
        let answers = match signal {
            Signal::Description(description) => description.kind == SdpType::Answer,
            _ => !offered,
        };
        if let Some(word) = word {
            self.say(word.get(), answers, out);
        }
    }

    fn say(&self, word: &str, answers: bool, out: &mut Out) {
        out.say(self.kind.say(self.room.as_str(), word, answers));
    }

    pub(crate) fn leave(&mut self, out: &mut Out) {
        if matches!(self.place, Place::Outside) {
            return;
        }
        out.say(match self.kind {
            Kind::Book if self.left_alone => socketio::event("Ack", &[]),
            kind => kind.leave(self.room.as_str()),
        });
        self.place = Place::Outside;
    }
}

/// A description as pages write it; none of kinds that they have no word for.
pub(crate) fn word_of(description: &Description) -> Option<Raw> {
    match description.kind {
        SdpType::Offer | SdpType::Answer => Raw::of(description).ok(),
        SdpType::Pranswer | SdpType::Rollback => None,
    }
}

#[cfg(test)]
mod tests;
