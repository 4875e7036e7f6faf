//! A peer that said hello, and what it must not miss.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtc_protocol::{Dialect, Name, PeerId, RoomId};

use super::ConnectionId;
use super::line::Line;
use crate::access::Rights;

/// How much is kept for a resume; what is over it goes, oldest first, and the session cannot be resumed from before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// When things are over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// How long a session waits for its peer.
    pub(super) window: Duration,
    /// After how long what was said on a live connection has arrived.
    pub(super) delivered: Duration,
}

#[derive(Debug)]
pub(super) struct Session {
    connection: Option<ConnectionId>,
    lost_at: Option<Instant>,
    name: Option<Name>,
    /// The name that is its alone.
    registered: Option<Name>,
    /// Spoken with by a translator; none where it speaks `rtc.v1`.
    dialect: Option<Dialect>,
    rights: Rights,
    /// Its peer has said hello here, so that its rights are known.
    greeted: bool,
    /// A few at most, see `rooms_per_peer`; in the order in which they were entered.
    rooms: Vec<RoomId>,
    /// Those of them in which it was when it came from another node, until it asks for them.
    brought: Vec<RoomId>,
    /// The number of the newest message.
    seq: u64,
    /// The newest numbered messages without a gap, and when each was said.
    backlog: VecDeque<(Instant, Line)>,
    backlog_bytes: usize,
    /// When somebody will look what is over; earlier promises of the kind are void.
    look_at: Option<Instant>,
}

impl Session {
    pub(super) const fn new(
        connection: ConnectionId,
        name: Option<Name>,
        dialect: Option<Dialect>,
    ) -> Self {
        Self {
            connection: Some(connection),
            lost_at: None,
            name,
            registered: None,
            dialect,
            rights: Rights::open(),
            greeted: true,
            rooms: Vec::new(),
            brought: Vec::new(),
            seq: 0,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            look_at: None,
        }
    }

    /// One that was at another node until now, with what its peer may have missed; its link is lost.
    pub(super) fn carried(now: Instant, name: Option<Name>, seq: u64, lines: Vec<Line>) -> Self {
        let first = seq.saturating_sub(lines.len() as u64);
        let numbered = lines.iter().zip(first + 1..);
        let backlog: VecDeque<(Instant, Line)> = numbered
            .map(|(line, seq)| (now, line.numbered(seq)))
            .collect();
        Self {
            connection: None,
            lost_at: Some(now),
            name,
            registered: None,
            dialect: None,
            // Its peer shows a token before it is let in.
            rights: Rights::none(),
            greeted: false,
            rooms: Vec::new(),
            brought: Vec::new(),
            seq,
            backlog_bytes: backlog.iter().map(|(_, line)| line.bytes()).sum(),
            backlog,
            look_at: None,
        }
    }

    /// It was in this room when it came from another node.
    pub(super) fn comes_with(&mut self, room: RoomId) {
        self.brought.push(room);
    }

    /// Whether this is the first that its peer says of a room that it brought: it may have been sent here, and ask again.
    pub(super) fn asks_again(&mut self, room: &RoomId) -> bool {
        let before = self.brought.len();
        self.brought.retain(|one| one != room);
        self.brought.len() < before
    }

    /// The name that it said hello with.
    pub(super) const fn own_name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) const fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    /// Gives the connection that it had until now.
    pub(super) const fn connect(&mut self, connection: ConnectionId) -> Option<ConnectionId> {
        self.lost_at = None;
        self.greeted = true;
        self.connection.replace(connection)
    }

    pub(super) const fn disconnect(&mut self, now: Instant) -> Option<ConnectionId> {
        self.lost_at = Some(now);
        self.connection.take()
    }

    pub(super) fn lost(&self, now: Instant, terms: Terms) -> bool {
        self.lost_at
            .is_some_and(|at| now.saturating_duration_since(at) >= terms.window)
    }

    /// A time at which to look again, where none as early is promised yet.
    pub(super) fn promise_a_look(&mut self, terms: Terms) -> Option<Instant> {
        let over = match self.lost_at {
            Some(at) => at + terms.window,
            None => self.backlog.front()?.0 + terms.delivered,
        };
        if self.look_at.is_some_and(|promised| promised <= over) {
            return None;
        }
        self.look_at = Some(over);
        self.look_at
    }

    /// Whether this is the look that was promised last.
    pub(super) fn looked_at(&mut self, when: Instant) -> bool {
        self.look_at.take_if(|promised| *promised == when).is_some()
    }

    /// The name that it goes by: the one it registered, the one it said hello with, or the beginning of its id.
    pub(super) fn name(&self, peer: PeerId) -> Name {
        let own = self.rights.name();
        let own = own.or(self.registered.as_ref()).or(self.name.as_ref());
        own.cloned().unwrap_or_else(|| peer.short_name())
    }

    /// Gives the name that it had registered until now.
    pub(super) const fn register(&mut self, name: Name) -> Option<Name> {
        self.registered.replace(name)
    }

    /// It has lost it.
    pub(super) fn unregister(&mut self) {
        self.registered = None;
    }

    pub(super) const fn registered(&self) -> Option<&Name> {
        self.registered.as_ref()
    }

    pub(super) const fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// Gives it rights instead of those that it has.
    pub(super) fn entitle(&mut self, rights: Rights) {
        self.rights = rights;
    }

    /// Whether it is known not to send sound or picture.
    pub(super) fn is_silent(&self) -> bool {
        self.greeted && !self.rights.publish()
    }

    pub(super) const fn rights(&self) -> &Rights {
        &self.rights
    }

    pub(super) fn enter(&mut self, room: RoomId) {
        self.rooms.reserve_exact(1);
        self.rooms.push(room);
    }

    pub(super) fn exit(&mut self, room: &RoomId) {
        self.rooms.retain(|one| one != room);
    }

    pub(super) fn rooms(&self) -> Vec<RoomId> {
        self.rooms.clone()
    }

    pub(super) fn rooms_entered(&self) -> usize {
        self.rooms.len()
    }

    /// Gives a message its number and keeps it.
    pub(super) fn number(&mut self, now: Instant, line: &Line, keep: Keep) -> Line {
        self.seq += 1;
        let line = line.numbered(self.seq);
        self.backlog_bytes += line.bytes();
        self.backlog.push_back((now, line.clone()));
        while self.backlog.len() > keep.messages || self.backlog_bytes > keep.bytes {
            self.forget_oldest();
        }
        line
    }

    /// Lets go of what a live connection has long delivered.
    pub(super) fn forget_delivered(&mut self, now: Instant, terms: Terms) {
        if self.connection.is_none() {
            return;
        }
        let old = |at: &Instant| now.saturating_duration_since(*at) >= terms.delivered;
        while self.backlog.front().is_some_and(|(at, _)| old(at)) {
            self.forget_oldest();
        }
        if self.backlog.is_empty() {
            // An idle peer costs nothing but its place.
            self.backlog.shrink_to_fit();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, line)) = self.backlog.pop_front() {
            self.backlog_bytes -= line.bytes();
        }
    }

    /// Whether everything after this number is still here.
    pub(super) fn can_resume(&self, last: u64) -> bool {
        let forgotten = self.seq - self.backlog.len() as u64;
        (forgotten..=self.seq).contains(&last)
    }

    /// What was said after this number.
    pub(super) fn after(&self, last: u64) -> impl Iterator<Item = &Line> {
        let lines = self.backlog.iter().map(|(_, line)| line);
        lines.filter(move |line| line.seq().is_some_and(|seq| seq > last))
    }
}
