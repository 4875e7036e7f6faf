//! What the machines tell whoever drives them.

use std::collections::VecDeque;

use rtc_protocol::{
    CallId, Dialect, IceServer, Kind, LeaveReason, Member, Name, PeerId, RefuseCode, Role, Signal,
};

/// What happened, in the order in which it did.
///
/// Who offers is said in the words of rtc.v1: a member with a `dialect` is waited for, and [`Signal::Restart`] from somebody
/// asks us for an offer.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// STUN and TURN servers to use from now on.
    IceServers(Vec<IceServer>),
    /// We are in the room, with these.
    Inside(Vec<Member>),
    /// We can be called.
    Waiting,
    /// Somebody calls us.
    Rung(CallId, PeerId, Name),
    /// It rings at whom we call.
    Ringing,
    /// Whom we call takes the call.
    Accepted,
    /// Whom we call does not.
    NotTaken(RefuseCode, Option<String>),
    /// The other side has ended the call.
    HungUp(CallId),
    /// Somebody came.
    Came(Member),
    /// Somebody went.
    Left(PeerId, LeaveReason),
    /// Somebody sets up a connection.
    Signal(PeerId, Signal),
    /// Somebody's sound or picture, or ours, went off or on; and who did it.
    Muted(PeerId, Kind, bool, PeerId),
    /// A moderator put us out.
    Kicked(PeerId, Option<String>),
    /// The server is about to close.
    GoAway(String),
    /// Something was not done, and that ends nothing.
    Notice(String),
}

/// Why the server does not let us in, or does not do what we are there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The room has no place left.
    Full,
    /// Another one has our name.
    NameTaken(String),
    /// Nobody goes by the name that we call.
    NoSuchUser(String),
    /// Whom we call is in another call.
    Busy(String),
    /// Something else, in the server's words.
    Said(String),
}

/// What a machine has for the server, and for its driver.
///
/// What is in here is bounded by what came in: a driver takes nothing from outside as long as there is much of it.
#[derive(Clone, Debug, Default)]
pub struct Out {
    pub(crate) texts: VecDeque<String>,
    pub(crate) news: VecDeque<News>,
}

impl Out {
    pub(crate) fn say(&mut self, text: String) {
        self.texts.push_back(text);
    }

    pub(crate) fn tell(&mut self, news: News) {
        self.news.push_back(news);
    }
}

/// Somebody in a room, of whom nothing more is known.
pub(crate) fn member(peer: PeerId, name: Name, dialect: Option<Dialect>) -> Member {
    Member {
        peer,
        name,
        role: Role::Member,
        muted: Vec::new(),
        dialect,
    }
}
