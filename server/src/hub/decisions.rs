//! What a room's moderators have decided about peers: it outlasts their leaving, and ends with the room.

use std::time::{Duration, Instant};

use rtc_protocol::{Kind, PeerId, limits};

/// One sense of one peer, muted by a moderator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) peer: PeerId,
    pub(super) kind: Kind,
    pub(super) by: PeerId,
}

/// Of one room; at most [`limits::REMEMBERED`] of each kind, the oldest go first.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    holds: Vec<Hold>,
    /// Who was put out, and until when.
    out: Vec<(PeerId, Instant)>,
}

impl Decisions {
    pub(super) fn hold(&mut self, hold: Hold) {
        self.free(hold.peer, hold.kind);
        remember(&mut self.holds, hold);
    }

    pub(super) fn holds(&self, peer: PeerId, kind: Kind) -> bool {
        self.holds
            .iter()
            .any(|hold| (hold.peer, hold.kind) == (peer, kind))
    }

    pub(super) fn free(&mut self, peer: PeerId, kind: Kind) {
        self.holds
            .retain(|hold| (hold.peer, hold.kind) != (peer, kind));
    }

    pub(super) fn held(&self, peer: PeerId) -> Vec<Hold> {
        let held = self.holds.iter().filter(|hold| hold.peer == peer);
        held.copied().collect()
    }

    /// All of them: whom, what, and by whom.
    pub(super) fn all_held(&self) -> Vec<(PeerId, Kind, PeerId)> {
        let held = self.holds.iter();
        held.map(|hold| (hold.peer, hold.kind, hold.by)).collect()
    }

    pub(super) fn put_out(&mut self, peer: PeerId, now: Instant) {
        self.out
            .retain(|(known, until)| *known != peer && *until > now);
        let until = now + Duration::from_millis(limits::PUT_OUT_MS);
        remember(&mut self.out, (peer, until));
    }

    /// How long a peer that was put out has still to wait.
    pub(super) fn waits(&self, peer: PeerId, now: Instant) -> Option<Duration> {
        let (_, until) = self.out.iter().find(|(known, _)| *known == peer)?;
        until.checked_duration_since(now).filter(|d| !d.is_zero())
    }
}

fn remember<T>(list: &mut Vec<T>, item: T) {
    if list.len() >= limits::REMEMBERED {
        list.remove(0);
    }
    list.push(item);
}
