//! One peer at a server of another kind, over as many links as it takes. Pure.
//!
//! A driver opens a WebSocket at [`Peer::path`], tells that it stands, hands over what comes and writes what there is to say. A link
//! that breaks is made anew as long as [`Peer::mends`]; the peer then joins again, since none of these servers keeps a place.

use std::time::{Duration, Instant};

use rtc_protocol::{CallId, Kind, Name, PeerId, Raw, RoomId, Signal};

use crate::conference::Conference;
use crate::engine::Revision;
use crate::link::{Heard, Link, LinkError};
use crate::login::{Login, Told};
use crate::news::{News, Out, Refusal};
use crate::pair::{self, Pair};

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Rooms of two over Socket.IO: `create or join`, `message`.
    Codelab,
    /// Channels of two over Socket.IO: `message`, `response`.
    Book,
    /// A name calls a name, over a WebSocket.
    Login,
    /// Rooms of many over Socket.IO.
    Conference,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Codelab, Self::Book, Self::Login, Self::Conference];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Codelab => "codelab",
            Self::Book => "book",
            Self::Login => "login",
            Self::Conference => "conference",
        }
    }

    /// Whether it is spoken over Socket.IO.
    #[must_use]
    pub const fn is_over_socketio(self) -> bool {
        !matches!(self, Self::Login)
    }
}

/// What we are there for, where a name can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// To be in the room, or to be called.
    Join,
    /// To call a name.
    Call(Name),
}

/// Who we are there.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What is spoken there.
    pub dialect: Dialect,
    /// The room; of no account where names call names.
    pub room: RoomId,
    /// The name we go by.
    pub name: Name,
    /// What we are there for.
    pub errand: Errand,
    /// What the server wants to see.
    pub token: Option<String>,
    /// Who we are to our own side.
    pub me: PeerId,
    /// Random, for the ids of others.
    pub seed: [u8; 32],
    /// How long a server may take to let us in.
    pub patience: Duration,
}

/// Why a link is of no more use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// What carries the words.
    Link(LinkError),
    /// The server does not do what we are there for.
    Refused(Refusal),
    /// It took us up to the door of the room, and says no more.
    Mute,
    /// What it sends is no word of this dialect's.
    Nonsense,
}

impl From<LinkError> for Broken {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[derive(Clone, Debug)]
enum Speech {
    Pair(Pair),
    Conference(Conference),
    Login(Login),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Peer {
    dialect: Dialect,
    token: Option<String>,
    patience: Duration,
    speech: Speech,
    /// What Socket.IO has between a WebSocket and the dialect.
    link: Option<Link>,
    /// Until when the server has to let us in.
    until: Option<Instant>,
    out: Out,
}

impl Peer {
    /// Before the first link.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let Identity {
            dialect,
            room,
            name,
            errand,
            token,
            me,
            seed,
            patience,
        } = identity;
        let speech = match dialect {
            Dialect::Codelab => Speech::Pair(Pair::new(pair::Kind::Codelab, room, seed)),
            Dialect::Book => Speech::Pair(Pair::new(pair::Kind::Book, room, seed)),
            Dialect::Conference => Speech::Conference(Conference::new(room, name, me, seed)),
            Dialect::Login => {
                let callee = match errand {
                    Errand::Join => None,
                    Errand::Call(callee) => Some(callee),
                };
                Speech::Login(Login::new(name, callee, seed))
            }
        };
        Self {
            dialect,
            token,
            patience,
            speech,
            link: None,
            until: None,
            out: Out::default(),
        }
    }

    /// Where the WebSocket is, below the server's address.
    #[must_use]
    pub const fn path(dialect: Dialect, revision: Revision) -> &'static str {
        if dialect.is_over_socketio() {
            revision.path()
        } else {
            "/"
        }
    }

    /// A WebSocket stands, opened as of this revision of Engine.IO where that matters.
    pub fn link_up(&mut self, now: Instant, revision: Revision) {
        self.until = Some(now + self.patience);
        self.out.texts.clear();
        if self.dialect.is_over_socketio() {
            self.link = Some(Link::new(now, revision, self.token.clone(), self.patience));
        } else {
            self.connected();
        }
    }

    fn connected(&mut self) {
        match &mut self.speech {
            Speech::Pair(pair) => pair.connected(&mut self.out),
            Speech::Conference(conference) => conference.connected(&mut self.out),
            Speech::Login(login) => login.connected(&mut self.out),
        }
    }

    /// It does not stand any more; what was to be said on it is void.
    pub fn link_down(&mut self) {
        self.link = None;
        self.until = None;
        self.out.texts.clear();
        match &mut self.speech {
            Speech::Pair(pair) => pair.down(),
            Speech::Conference(conference) => conference.down(),
            Speech::Login(login) => login.down(&mut self.out),
        }
    }

    /// Takes what came.
    ///
    /// # Errors
    /// When this link is of no more use.
    pub fn hear(&mut self, now: Instant, text: &str) -> Result<(), Broken> {
        let heard = self.take(now, text);
        if self.is_inside() {
            self.until = None;
        }
        heard
    }

    fn take(&mut self, now: Instant, text: &str) -> Result<(), Broken> {
        if let Speech::Login(login) = &mut self.speech {
            return match Told::read(text) {
                Some(told) => Ok(login.hear(&told, &mut self.out)?),
                None if login.is_inside() => Ok(()),
                None => Err(Broken::Nonsense),
            };
        }
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let mut texts = Vec::new();
        let heard = link.hear(now, text, &mut texts);
        self.out.texts.extend(texts);
        let heard = heard?;
        if heard == Heard::Connected {
            self.connected();
            return Ok(());
        }
        match (heard, &mut self.speech) {
            (Heard::Event(event), Speech::Pair(pair)) => {
                pair.event(now, &event, &mut self.out)?;
            }
            (Heard::Event(event), Speech::Conference(conference)) => {
                conference.event(&event, &mut self.out)?;
            }
            (Heard::Ack { number, args }, Speech::Conference(conference)) => {
                conference.ack(number, &args, &mut self.out)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// When [`Self::check`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let speech = match &self.speech {
            Speech::Pair(pair) => pair.deadline(),
            Speech::Conference(_) => None,
            Speech::Login(login) => login.deadline(),
        };
        let link = self.link.as_ref().map(Link::deadline);
        [speech, link, self.until].into_iter().flatten().min()
    }

    /// Does what it is time for.
    ///
    /// # Errors
    /// As [`Self::hear`].
    pub fn check(&mut self, now: Instant) -> Result<(), Broken> {
        match &mut self.speech {
            Speech::Pair(pair) => pair.check(now, &mut self.out),
            Speech::Conference(_) => {}
            Speech::Login(login) => login.check(now, &mut self.out),
        }
        if let Some(link) = &mut self.link {
            let mut texts = Vec::new();
            let checked = link.check(now, &mut texts);
            self.out.texts.extend(texts);
            checked?;
        }
        if self.until.is_some_and(|until| now >= until) {
            return Err(Broken::Mute);
        }
        Ok(())
    }

    /// Nothing was read for a while, as nobody could take more.
    pub const fn was_not_listening(&mut self, now: Instant) {
        if let Some(link) = &mut self.link {
            link.was_not_listening(now);
        }
    }

    /// Whether the server has let us in, on this link.
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        match &self.speech {
            Speech::Pair(pair) => pair.is_inside(),
            Speech::Conference(conference) => conference.is_inside(),
            Speech::Login(login) => login.is_inside(),
        }
    }

    /// Whether another link is of any use where this one breaks: a call by name ends with it.
    #[must_use]
    pub const fn mends(&self) -> bool {
        match &self.speech {
            Speech::Pair(_) | Speech::Conference(_) => true,
            Speech::Login(login) => login.mends(),
        }
    }

    /// Tells somebody how to connect. Where no link stands nobody hears it; who comes back begins anew.
    pub fn signal(&mut self, now: Instant, to: PeerId, signal: &Signal) {
        match &mut self.speech {
            Speech::Pair(pair) => pair.signal(to, signal, &mut self.out),
            Speech::Conference(conference) => conference.signal(to, signal, &mut self.out),
            Speech::Login(login) => login.signal(now, to, signal, &mut self.out),
        }
    }

    /// Says an application's words, where the dialect has a way for them.
    pub fn message(&mut self, to: Option<PeerId>, data: &Raw) {
        if let Speech::Conference(conference) = &self.speech {
            conference.message(to, data, &mut self.out);
        }
    }

    /// Our sound or picture is off or on; only conferences have a word for it.
    pub fn mute(&mut self, kind: Kind, muted: bool) {
        if let Speech::Conference(conference) = &mut self.speech {
            conference.mute(kind, muted, &mut self.out);
        }
    }

    /// Puts somebody out, as moderator.
    pub fn kick(&mut self, peer: PeerId, reason: Option<&str>) {
        if let Speech::Conference(conference) = &self.speech {
            conference.kick(peer, reason, &mut self.out);
        }
    }

    /// Takes a call that rings here.
    pub fn accept(&mut self, call: &CallId) {
        if let Speech::Login(login) = &mut self.speech {
            login.accept(call, &mut self.out);
        }
    }

    /// Does not take it.
    pub fn refuse(&mut self, call: &CallId) {
        if let Speech::Login(login) = &mut self.speech {
            login.refuse(call, &mut self.out);
        }
    }

    /// Says goodbye.
    pub fn leave(&mut self) {
        match &mut self.speech {
            Speech::Pair(pair) => pair.leave(&mut self.out),
            Speech::Conference(conference) => conference.leave(&mut self.out),
            Speech::Login(login) => login.leave(&mut self.out),
        }
    }

    /// The next text for the server.
    pub fn next_text(&mut self) -> Option<String> {
        self.out.texts.pop_front()
    }

    /// How many there are.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.out.texts.len()
    }

    /// The next thing that happened.
    pub fn next_news(&mut self) -> Option<News> {
        self.out.news.pop_front()
    }
}

#[cfg(test)]
mod tests;
