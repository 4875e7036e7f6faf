//! Calls to peers of other nodes. The caller's node holds a call and times it; the callee's knows it as long as it is one.
//!
//! Whom a name or an id belongs to, the broker may know; then its node alone is asked to ring. Otherwise all are: who
//! goes by a name in a room is known where it is.

use std::collections::BTreeSet;
use std::time::Instant;

use rtc_protocol::{CallId, Callee, ErrorCode, Name, PeerId, RoomId, ServerMessage};

use super::super::call::Far;
use super::super::names::Lead;
use super::super::{Effect, Hub, Refusal};
use super::Wish;
use crate::cluster::seats::{Answer, Request};
use crate::cluster::{NodeId, Word};

/// A call for which the callee is looked for.
#[derive(Debug)]
pub(super) struct Seeking {
    pub(super) caller: PeerId,
    /// The request's id.
    id: Option<u64>,
    whom: Callee,
    room: RoomId,
    /// Nodes that have not answered.
    asked: BTreeSet<NodeId>,
    /// Where who goes by the name is to be met, here or there.
    met: Option<(PeerId, RoomId)>,
    /// Why not; of several reasons the one that says most.
    refusal: Option<Refusal>,
    until: Instant,
}

/// What there is to look for.
#[derive(Debug)]
pub(in crate::hub) struct Seek {
    pub(in crate::hub) caller: PeerId,
    pub(in crate::hub) id: Option<u64>,
    pub(in crate::hub) whom: Callee,
    pub(in crate::hub) room: RoomId,
    /// Who is to be met here, where nobody has registered the name.
    pub(in crate::hub) met: Option<(PeerId, RoomId)>,
    pub(in crate::hub) refusal: Refusal,
}

impl Seeking {
    fn refuse(&mut self, (code, message): Refusal) {
        let says_more = code != ErrorCode::NoSuchPeer;
        if says_more || self.refusal.is_none() {
            self.refusal = Some((code, message));
        }
    }
}

impl Hub {
    /// Calls of a peer for which the callee is looked for.
    pub(in crate::hub) fn seeking(&self, peer: PeerId) -> usize {
        let cluster = self.cluster.as_deref();
        cluster.map_or(0, |cluster| {
            let own = cluster.seeking.values();
            own.filter(|one| one.caller == peer).count()
        })
    }

    /// Looks for a callee at other nodes.
    pub(in crate::hub) fn seek(&mut self, seek: Seek, out: &mut Vec<Effect>) {
        let Seek {
            caller,
            id,
            whom,
            room,
            met,
            refusal,
        } = seek;
        let call = self.calls.number(caller, self.node());
        let (Some(call), Some(cluster)) = (call, self.cluster.as_deref_mut()) else {
            let (code, message) = refusal;
            return self.answer(caller, id, ServerMessage::Error { code, message }, out);
        };
        let seeking = Seeking {
            caller,
            id,
            whom: whom.clone(),
            room,
            asked: BTreeSet::new(),
            met,
            refusal: Some(refusal),
            until: self.now + cluster.lease,
        };
        cluster.seeking.insert(call.clone(), seeking);
        // Whom it shares a room with, it is asked for where that one is.
        let own = self.session(caller).map(|session| session.rooms());
        let near = match whom {
            Callee::Peer(peer) => own.into_iter().flatten().find_map(|room| {
                let inside = self.rooms.get(&room)?;
                inside.node_of(peer)
            }),
            Callee::Name(_) => None,
        };
        if let Some(node) = near {
            return self.ask_to_ring(&call, vec![node], out);
        }
        let request = match whom {
            Callee::Peer(peer) => Request::Where { peer },
            Callee::Name(name) => Request::Whose { name },
        };
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.wishes.push(Wish::Locate(call, request));
        }
    }

    /// The broker says where a callee is; none when it cannot be reached.
    pub fn located(
        &mut self,
        now: Instant,
        call: &CallId,
        answer: Option<Answer>,
        out: &mut Vec<Effect>,
    ) {
        self.now = now;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let nodes = match answer {
            Some(Answer::Taken { node, .. }) if cluster.nodes.lives(node) => vec![node],
            _ => cluster.nodes.alive(),
        };
        self.ask_to_ring(call, nodes, out);
    }

    fn ask_to_ring(&mut self, call: &CallId, nodes: Vec<NodeId>, out: &mut Vec<Effect>) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let Some(seeking) = cluster.seeking.get_mut(call) else {
            return;
        };
        seeking.asked = nodes.iter().copied().collect();
        let from = seeking.caller;
        let (peer, called) = match seeking.whom.clone() {
            Callee::Peer(peer) => (Some(peer), None),
            Callee::Name(name) => (None, Some(name)),
        };
        let room = seeking.room.clone();
        let name = self.sessions.get(&from).map(|session| session.name(from));
        let word = Word::Ring {
            call: call.clone(),
            from,
            name: name.unwrap_or_else(|| from.short_name()),
            peer,
            called,
            room,
        };
        cluster.say_each(nodes, &word);
        self.conclude(call, out);
    }

    /// When all have answered that could, and none rings, the caller is told.
    fn conclude(&mut self, call: &CallId, out: &mut Vec<Effect>) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        if cluster
            .seeking
            .get(call)
            .is_none_or(|one| !one.asked.is_empty())
        {
            return;
        }
        let Some(seeking) = cluster.seeking.remove(call) else {
            return;
        };
        let Seeking {
            caller,
            id,
            met,
            refusal,
            ..
        } = seeking;
        let answer = match (met, refusal) {
            (Some((peer, room)), _) => self
                .may_enter(caller, &room)
                .map(|()| ServerMessage::Found { peer, room }),
            (None, Some(refusal)) => Err(refusal),
            (None, None) => Err(nobody_answers()),
        };
        let answer =
            answer.unwrap_or_else(|(code, message)| ServerMessage::Error { code, message });
        self.answer(caller, id, answer, out);
    }

    /// A peer of another node rings somebody who may be here.
    pub(super) fn is_rung(
        &mut self,
        from: NodeId,
        call: CallId,
        caller: (PeerId, Name),
        whom: Callee,
        room: RoomId,
        out: &mut Vec<Effect>,
    ) {
        let (peer, name) = caller;
        let rings = match self.lead(peer, whom) {
            Ok(Lead::Ring(to)) => {
                let far = Far::at(from, true);
                self.may_be_rung(to).map(|()| {
                    // Its own node says when nobody has answered for too long; should that be gone, this one does.
                    let patience = self.cluster.as_deref().map(|cluster| cluster.lease * 2);
                    let until = self.now + self.config.ring + patience.unwrap_or_default();
                    self.calls.begin(call.clone(), (peer, to), Some(far), until);
                    let ring = ServerMessage::Ring {
                        call: call.clone(),
                        from: peer,
                        name,
                        room,
                    };
                    self.tell(to, ring, out);
                    Word::Rang {
                        call: call.clone(),
                        peer: to,
                    }
                })
            }
            Ok(Lead::Room(peer, room)) => Ok(Word::Met {
                call: call.clone(),
                peer,
                room,
            }),
            Err(refusal) => Err(refusal),
        };
        let word = rings.unwrap_or_else(|(code, message)| Word::NotRung {
            call,
            code,
            message,
        });
        self.tell_node(from, word);
    }

    /// The callee was found, and its device rings.
    pub(super) fn rings_there(
        &mut self,
        from: NodeId,
        call: CallId,
        callee: PeerId,
        out: &mut Vec<Effect>,
    ) {
        let cluster = self.cluster.as_deref_mut();
        let seeking = cluster.and_then(|cluster| cluster.seeking.remove(&call));
        let Some(Seeking { caller, id, .. }) = seeking else {
            // The caller has gone meanwhile, or somebody else rings already.
            if !self.calls.rings_at(&call, from) {
                self.tell_node(from, Word::HungUp { call });
            }
            return;
        };
        let far = Far::at(from, false);
        let until = self.now + self.config.ring;
        self.calls
            .begin(call.clone(), (caller, callee), Some(far), until);
        self.metrics.calls_rung.inc();
        self.answer(caller, id, ServerMessage::Ringing { call }, out);
    }

    /// It is to be met in a room there.
    pub(super) fn is_met_there(
        &mut self,
        from: NodeId,
        call: &CallId,
        met: (PeerId, RoomId),
        out: &mut Vec<Effect>,
    ) {
        let cluster = self.cluster.as_deref_mut();
        let Some(seeking) = cluster.and_then(|cluster| cluster.seeking.get_mut(call)) else {
            return;
        };
        seeking.asked.remove(&from);
        match (&seeking.met, &seeking.whom) {
            (Some((peer, _)), Callee::Name(name)) if *peer != met.0 => {
                let words =
                    format!("several peers go by the name {name:?}; call one of them by id");
                seeking.met = None;
                seeking.refusal = Some((ErrorCode::NoSuchPeer, words));
                // No other answer changes that.
                seeking.asked.clear();
            }
            _ => seeking.met = Some(met),
        }
        self.conclude(call, out);
    }

    /// It does not ring there.
    pub(super) fn does_not_ring(
        &mut self,
        from: NodeId,
        call: &CallId,
        refusal: Refusal,
        out: &mut Vec<Effect>,
    ) {
        let cluster = self.cluster.as_deref_mut();
        let Some(seeking) = cluster.and_then(|cluster| cluster.seeking.get_mut(call)) else {
            return;
        };
        seeking.asked.remove(&from);
        seeking.refuse(refusal);
        self.conclude(call, out);
    }

    /// A node that was asked is gone.
    pub(super) fn is_not_there(&mut self, node: NodeId, out: &mut Vec<Effect>) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let mut waited: Vec<CallId> = Vec::new();
        for (call, seeking) in &mut cluster.seeking {
            if seeking.asked.remove(&node) {
                waited.push(call.clone());
            }
        }
        for call in waited {
            self.conclude(&call, out);
        }
    }

    /// Nodes that have not answered for a lease are not waited for.
    pub(in crate::hub) fn end_seeking(&mut self, out: &mut Vec<Effect>) {
        let now = self.now;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let mut late: Vec<CallId> = Vec::new();
        for (call, seeking) in &mut cluster.seeking {
            if now >= seeking.until {
                if !seeking.asked.is_empty() {
                    seeking.refuse(nobody_answers());
                }
                seeking.asked.clear();
                late.push(call.clone());
            }
        }
        for call in late {
            self.conclude(&call, out);
        }
    }

    /// Says something to another node, of which nobody needs to hear whether it came.
    pub(in crate::hub) fn tell_node(&mut self, node: NodeId, word: Word) {
        if let Some(cluster) = self.cluster.as_deref_mut() {
            cluster.say(node, word);
        }
    }

    pub(crate) fn node(&self) -> Option<NodeId> {
        self.cluster.as_deref().map(|cluster| cluster.me)
    }
}

fn nobody_answers() -> Refusal {
    let words = "not all servers answer just now where it may be; try again in a few seconds";
    (ErrorCode::TryLater, words.into())
}
