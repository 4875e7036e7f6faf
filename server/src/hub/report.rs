//! What the administrator sees of the hub, and says through it.

use std::time::Instant;

use rtc_protocol::{Member, PeerId, Raw, RoomId, ServerMessage};
use serde::{Deserialize, Serialize};

use super::line::Line;
use super::{Effect, Hub};

/// One room, for the administrator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomReport {
    /// Its name.
    pub room: RoomId,
    /// How long there has been somebody in it.
    pub age_seconds: u64,
    /// How many may be in it.
    pub capacity: u16,
    /// Who is, in the order in which they came; with the dialect of those that are translated.
    pub members: Vec<Member>,
}

impl Hub {
    /// The first rooms after that name, in the order of their names.
    #[must_use]
    pub fn rooms(&self, now: Instant, after: Option<&str>, limit: usize) -> Vec<RoomReport> {
        let mut names: Vec<&RoomId> = self
            .rooms
            .keys()
            .filter(|name| after.is_none_or(|after| name.as_str() > after))
            .collect();
        if names.len() > limit {
            // Only as many as are wanted are put into order.
            names.select_nth_unstable_by(limit, |a, b| a.as_str().cmp(b.as_str()));
            names.truncate(limit);
        }
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        let report = |name: &RoomId| {
            self.rooms.get(name).map(|room| RoomReport {
                room: name.clone(),
                age_seconds: now.saturating_duration_since(room.since()).as_secs(),
                capacity: room.capacity(),
                members: room.members(),
            })
        };
        names.into_iter().filter_map(report).collect()
    }

    /// Says something to everybody, those included who are about to come back; gives how many that are.
    pub fn announce(&mut self, data: Raw, out: &mut Vec<Effect>) -> usize {
        let line = Line::new(None, ServerMessage::Broadcast { data });
        let told = self.tell_all(&line, out);
        self.broadcast_elsewhere(&line);
        told
    }

    /// Says something to every peer of this node; gives how many they are.
    pub(super) fn tell_all(&mut self, line: &Line, out: &mut Vec<Effect>) -> usize {
        let peers: Vec<PeerId> = self.sessions.keys().copied().collect();
        for peer in &peers {
            self.tell_line(*peer, line, out);
        }
        peers.len()
    }
}
