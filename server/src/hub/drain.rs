//! The end of a server, in two steps: draining, which lets calls in progress end by themselves, and stopping.
//!
//! While it drains, whoever is not in the middle of something is sent elsewhere: new peers, those in no room, and those
//! alone in one, as the other side of their call will come to the next server. Who is in a room with somebody, or rings or
//! was rung, stays, may resume, and may enter rooms that exist; nobody makes a new room or call. It is over when nobody is left.

use rtc_protocol::{ErrorCode, LeaveReason, PeerId, ServerMessage, close};

use std::time::Duration;

use super::line::Line;
use super::{Effect, Hub, Refusal, Session, Stage};

/// So many of those that are sent elsewhere come there at once, however many there are.
const WAVE: usize = 100;

/// The next ones come so much later: a thousand a second, which one more server has to let in beside all else.
const APART: Duration = Duration::from_millis(100);

/// After how many milliseconds the one at this place of so many is to come back. All have to be there well within the time
/// for which their sessions are kept.
fn comes_after(place: usize, of: usize, kept: Duration) -> Option<u64> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let wave = |place: usize| u64::try_from(place / WAVE).unwrap_or(u64::MAX);
    let last = wave(of.saturating_sub(1)).saturating_mul(millis(APART));
    let after = wave(place).saturating_mul(millis(APART));
    let most = millis(kept / 2);
    let after = match last > most {
        true => u64::try_from(u128::from(after) * u128::from(most) / u128::from(last)).ok()?,
        false => after,
    };
    (after > 0).then_some(after)
}

impl Hub {
    /// From now on nothing new begins here; [`Hub::drained`] tells when all of the old has ended.
    pub fn drain(&mut self, out: &mut Vec<Effect>) {
        if self.stage == Stage::Serving {
            self.stage = Stage::Draining;
        }
        self.metrics.draining.set(1);
        self.send_idle_away(out);
    }

    /// Whether nothing new begins here any more.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.stage != Stage::Serving
    }

    /// Whether a drain is over.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.draining() && self.sessions.is_empty()
    }

    /// The server stops: everybody is told, and nobody is let in any more.
    pub fn stop(&mut self, reason: &str, out: &mut Vec<Effect>) {
        self.stage = Stage::Stopping;
        self.metrics.draining.set(1);
        let peers: Vec<PeerId> = self.sessions.keys().copied().collect();
        let (all, kept) = (peers.len(), self.config.resume_window);
        for (place, peer) in peers.into_iter().enumerate() {
            self.say_go_away(peer, reason, comes_after(place, all, kept), out);
        }
    }

    /// Sends away who has nothing more to do here.
    pub(super) fn send_idle_away(&mut self, out: &mut Vec<Effect>) {
        if self.stage != Stage::Draining {
            return;
        }
        // Who goes may leave another one alone; that one's turn comes in the same pass or the next.
        let idle: Vec<PeerId> = self
            .sessions
            .keys()
            .copied()
            .filter(|peer| match self.moves(*peer) {
                true => self.session(*peer).and_then(Session::connection).is_some(),
                false => !self.busy(*peer),
            })
            .collect();
        let (all, kept) = (idle.len(), self.config.resume_window);
        for (place, peer) in idle.into_iter().enumerate() {
            self.send_on(peer, comes_after(place, all, kept), out);
        }
    }

    /// Whether a peer's session can go on at another node, calls and all.
    pub(super) fn moves(&self, peer: PeerId) -> bool {
        let others = self
            .cluster
            .as_deref()
            .is_some_and(|cluster| cluster.has_others(self.config.away_url.is_some()));
        others
            && self
                .session(peer)
                .is_some_and(|one| one.dialect().is_none())
    }

    /// Sends a peer elsewhere, where it is to be after so many milliseconds; its session goes with it where it can.
    pub(super) fn send_on(&mut self, peer: PeerId, after: Option<u64>, out: &mut Vec<Effect>) {
        self.say_go_away(peer, "the server drains", after, out);
        if self.stage == Stage::Stopping || !self.moves(peer) {
            return self.end(peer, LeaveReason::Left, out);
        }
        let now = self.now;
        if let Some(session) = self.sessions.get_mut(&peer)
            && session.connection().is_some()
        {
            session.disconnect(now);
            self.look_again(peer);
        }
    }

    /// Whether a peer is in the middle of something that would break.
    pub(super) fn busy(&self, peer: PeerId) -> bool {
        let with_others = |session: &Session| {
            session
                .rooms()
                .iter()
                .filter_map(|room| self.rooms.get(room))
                .any(|room| room.count() > 1)
        };
        self.calls.has(peer) || self.session(peer).is_some_and(with_others)
    }

    fn say_go_away(&self, peer: PeerId, reason: &str, after: Option<u64>, out: &mut Vec<Effect>) {
        let connection = self.session(peer).and_then(Session::connection);
        let Some(connection) = connection else {
            return;
        };
        let message = ServerMessage::GoAway {
            reason: reason.to_owned(),
            reconnect_ms: after,
            url: self.config.away_url.clone(),
        };
        out.push(Effect::Send(connection, Line::new(None, message)));
        out.push(Effect::Close(connection, close::GOING_AWAY, "going away"));
    }
}

pub(super) fn going_away() -> Refusal {
    (
        ErrorCode::GoingAway,
        "the server is about to stop; connect again elsewhere".into(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_few_come_at_once_and_many_a_thousand_a_second() {
        let kept = Duration::from_secs(30);
        assert_eq!(comes_after(99, 100, kept), None);
        assert_eq!(comes_after(100, 101, kept), Some(100));
        assert_eq!(comes_after(9_999, 10_000, kept), Some(9_900));
        assert_eq!(comes_after(49_999, 50_000, kept), Some(15_000));
        assert_eq!(comes_after(999, 1_000, Duration::ZERO), None);
    }

    proptest! {
        #[test]
        fn all_come_one_after_the_other_while_they_are_known(of in 1..200_000_usize, kept in 0..600_u64) {
            let kept = Duration::from_secs(kept);
            let after = |place| comes_after(place, of, kept).unwrap_or_default();
            let mut before = 0;
            for place in (0..of).step_by(97).chain([of - 1]) {
                prop_assert!((before..=kept.as_secs() * 500).contains(&after(place)));
                before = after(place);
            }
        }
    }
}
