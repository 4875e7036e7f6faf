//! A peer that said hello, and what it must not miss.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use rtc_protocol::{Name, PeerId, RoomId, ServerFrame, ServerMessage};

use super::ConnectionId;

#[derive(Debug)]
pub(super) struct Session {
    connection: Option<ConnectionId>,
    lost_at: Option<Instant>,
    name: Option<Name>,
    rooms: BTreeSet<RoomId>,
    seq: u64,
    /// The newest numbered messages; the oldest goes first.
    backlog: VecDeque<ServerFrame>,
}

impl Session {
    pub(super) const fn new(connection: ConnectionId, name: Option<Name>) -> Self {
        Self {
            connection: Some(connection),
            lost_at: None,
            name,
            rooms: BTreeSet::new(),
            seq: 0,
            backlog: VecDeque::new(),
        }
    }

    pub(super) const fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }

    /// Gives the connection that it had until now.
    pub(super) const fn connect(&mut self, connection: ConnectionId) -> Option<ConnectionId> {
        self.lost_at = None;
        self.connection.replace(connection)
    }

    pub(super) const fn disconnect(&mut self, now: Instant) -> Option<ConnectionId> {
        self.lost_at = Some(now);
        self.connection.take()
    }

    pub(super) fn lost(&self, now: Instant, window: Duration) -> bool {
        self.lost_at
            .is_some_and(|at| now.saturating_duration_since(at) >= window)
    }

    /// The name that it goes by: its own, or the beginning of its id.
    pub(super) fn name(&self, peer: PeerId) -> Name {
        let short = || Name::new(peer.as_str().get(..6).unwrap_or("peer"));
        match &self.name {
            Some(name) => name.clone(),
            // Six letters are a name by every rule.
            None => short().unwrap_or_else(|_| unreachable!("six letters are a name")),
        }
    }

    pub(super) fn enter(&mut self, room: RoomId) {
        self.rooms.insert(room);
    }

    pub(super) fn exit(&mut self, room: &RoomId) {
        self.rooms.remove(room);
    }

    pub(super) fn rooms(&self) -> Vec<RoomId> {
        self.rooms.iter().cloned().collect()
    }

    pub(super) fn rooms_entered(&self) -> usize {
        self.rooms.len()
    }

    /// Gives a message its number and keeps it, `most` of them in all.
    pub(super) fn number(
        &mut self,
        id: Option<u64>,
        message: ServerMessage,
        most: usize,
    ) -> ServerFrame {
        self.seq += 1;
        let frame = ServerFrame {
            seq: Some(self.seq),
            id,
            message,
        };
        if self.backlog.len() >= most {
            self.backlog.pop_front();
        }
        self.backlog.push_back(frame.clone());
        frame
    }

    /// What was said after this number.
    pub(super) fn after(&self, seq: u64) -> impl Iterator<Item = &ServerFrame> {
        self.backlog
            .iter()
            .filter(move |frame| frame.seq.is_some_and(|own| own > seq))
    }
}
