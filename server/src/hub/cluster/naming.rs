//! Names that are one peer's alone in the whole cluster: a seat each at the broker, given in one step and renewed as rooms are.

use std::time::Instant;

use rtc_protocol::{ErrorCode, Name, PeerId, ServerMessage};

use super::super::names::{Answered, taken};
use super::super::{Effect, Hub, Refusal};
use super::{Cluster, Wish};
use crate::cluster::seats::{Answer, Request};

/// Names that a peer may have asked for: it has one, and may ask again when its link breaks before the answer.
const ASKED: usize = 4;

/// A name that the broker has not given yet.
#[derive(Debug)]
pub(super) struct Naming {
    pub(super) peer: PeerId,
    /// The request's id.
    id: Option<u64>,
    name: Name,
}

impl Cluster {
    fn request(&self, name: Name, peer: PeerId, fresh: bool) -> Request {
        Request::Name {
            name,
            peer,
            node: self.me,
            lease: self.lease(),
            fresh,
        }
    }

    /// A peer of ours does not have this name any more.
    pub(in crate::hub) fn unname(&mut self, name: Name, peer: PeerId) {
        let node = self.me;
        self.wishes
            .push(Wish::Ask(Request::Unname { name, peer, node }));
    }
}

impl Hub {
    /// Asks the broker for a name, if there is one to ask.
    pub(in crate::hub) fn ask_name(
        &mut self,
        peer: PeerId,
        id: Option<u64>,
        name: &Name,
    ) -> Result<Answered, Refusal> {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return Ok(Answered::Now);
        };
        let own = cluster.naming.values().filter(|one| one.peer == peer);
        if own.count() >= ASKED {
            return Err((
                ErrorCode::TryLater,
                format!(
                    "{ASKED} names that you asked for are not answered yet; wait for that before you ask for {:?}",
                    name.as_str()
                ),
            ));
        }
        cluster.number += 1;
        let request = cluster.request(name.clone(), peer, true);
        let name = name.clone();
        cluster
            .naming
            .insert(cluster.number, Naming { peer, id, name });
        cluster.wishes.push(Wish::Name(cluster.number, request));
        Ok(Answered::Later)
    }

    /// The broker has answered for a name; none when it cannot be reached.
    pub fn named(
        &mut self,
        now: Instant,
        number: u64,
        answer: Option<Answer>,
        out: &mut Vec<Effect>,
    ) {
        self.now = now;
        let naming = self.cluster.as_deref_mut();
        let Some(Naming { peer, id, name }) =
            naming.and_then(|cluster| cluster.naming.remove(&number))
        else {
            return;
        };
        let done = match answer {
            Some(Answer::Done) => self.has_name(peer, name),
            Some(Answer::Taken { .. }) => Err(taken(&name)),
            _ => Err((
                ErrorCode::TryLater,
                format!(
                    "whether the name {:?} is free cannot be found out just now; try again in a few seconds",
                    name.as_str()
                ),
            )),
        };
        let answer = match done {
            Ok(()) if id.is_none() => return,
            Ok(()) => ServerMessage::Ack {},
            Err((code, message)) => ServerMessage::Error { code, message },
        };
        self.answer(peer, id, answer, out);
    }

    /// The broker has given a peer a name.
    fn has_name(&mut self, peer: PeerId, name: Name) -> Result<(), Refusal> {
        if !self.names.take(&name, peer) {
            // The other one's lease had run out at the broker; it is still here, and renews it.
            if let Some(cluster) = self.cluster.as_deref_mut() {
                cluster.unname(name.clone(), peer);
            }
            return Err(taken(&name));
        }
        self.wear(peer, name);
        Ok(())
    }

    /// A name comes with the peer that has it.
    pub(super) fn brings_name(&mut self, peer: PeerId, name: Name) {
        if !self.names.take(&name, peer) {
            return;
        }
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.register(name.clone());
        }
        if let Some(cluster) = self.cluster.as_deref_mut() {
            let request = cluster.request(name, peer, false);
            cluster.wishes.push(Wish::Ask(request));
        }
    }

    /// Names that sessions here have.
    pub fn names_held(&self) -> impl Iterator<Item = &Name> {
        self.names.registered()
    }

    /// One of them, for another lease.
    #[must_use]
    pub fn name_held(&self, name: &Name) -> Option<Request> {
        let cluster = self.cluster.as_deref()?;
        let peer = self.names.owner(name)?;
        Some(cluster.request(name.clone(), peer, false))
    }

    /// The broker has renewed a name, or has it as somebody else's by now.
    pub fn renewed(&mut self, now: Instant, name: &Name, answer: &Answer, out: &mut Vec<Effect>) {
        self.now = now;
        let Some(peer) = self.names.owner(name) else {
            return;
        };
        if !matches!(answer, Answer::Taken { peer: other, .. } if *other != peer) {
            return;
        }
        self.names.give_back(name, peer);
        if let Some(session) = self.sessions.get_mut(&peer) {
            session.unregister();
        }
        let message = format!(
            "the name {:?} was given to another peer while this server was cut off; register another one",
            name.as_str()
        );
        let code = ErrorCode::NameTaken;
        self.answer(peer, None, ServerMessage::Error { code, message }, out);
    }
}
