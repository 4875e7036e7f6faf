//! The end of a server, in two steps: draining, which lets calls in progress end by themselves, and stopping.
//!
//! While it drains, whoever is not in the middle of something is sent elsewhere: new peers, those in no room, and those
//! alone in one, as the other side of their call will come to the next server. Who is in a room with somebody, or rings or
//! was rung, stays, may resume, and may enter rooms that exist; nobody makes a new room or call. It is over when nobody is left.

use rtc_protocol::{ErrorCode, LeaveReason, PeerId, ServerMessage, close};

use super::line::Line;
use super::{Effect, Hub, Refusal, Session, Stage};

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
        for peer in peers {
            self.say_go_away(peer, reason, out);
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
        for peer in idle {
            self.send_on(peer, out);
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

    /// Sends a peer elsewhere; its session goes with it where it can.
    pub(super) fn send_on(&mut self, peer: PeerId, out: &mut Vec<Effect>) {
        if self.stage == Stage::Stopping || !self.moves(peer) {
            return self.send_away(peer, out);
        }
        self.say_go_away(peer, "the server drains", out);
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

    /// Ends a peer's session, and tells it where to go.
    pub(super) fn send_away(&mut self, peer: PeerId, out: &mut Vec<Effect>) {
        self.say_go_away(peer, "the server drains", out);
        self.end(peer, LeaveReason::Left, out);
    }

    fn say_go_away(&self, peer: PeerId, reason: &str, out: &mut Vec<Effect>) {
        let connection = self.session(peer).and_then(Session::connection);
        let Some(connection) = connection else {
            return;
        };
        let message = ServerMessage::GoAway {
            reason: reason.to_owned(),
            reconnect_ms: None,
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
