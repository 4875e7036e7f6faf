//! What other nodes are told of what happens here.

use rtc_protocol::{ErrorCode, Kind, PeerId, RoomId, ServerMessage};

use super::super::{Effect, Hub, Line};
use super::Wish;
use crate::cluster::links::Receipt;
use crate::cluster::{NodeId, Word};

impl Hub {
    /// Brings something that a member of ours said to a member of another node.
    pub(in crate::hub) fn relay_elsewhere(
        &mut self,
        from: PeerId,
        id: Option<u64>,
        room: &RoomId,
        to: PeerId,
        node: NodeId,
        message: ServerMessage,
    ) {
        let word = Word::Deliver {
            room: room.clone(),
            to: vec![to],
            line: Line::new(None, message).text(),
        };
        let receipt = Receipt { peer: from, id };
        if let Some(cluster) = self.cluster.as_deref_mut() {
            let wish = Wish::Say(node, word, Some(receipt));
            cluster.wishes.push(wish);
        }
    }

    /// The same for all members of other nodes.
    pub(in crate::hub) fn relay_to_all_elsewhere(
        &mut self,
        from: PeerId,
        room: &RoomId,
        nodes: Vec<NodeId>,
        message: &ServerMessage,
    ) {
        let line = Line::new(None, message.clone()).text();
        let Some(inside) = self.rooms.get(room) else {
            return;
        };
        let words: Vec<(NodeId, Word)> = nodes
            .into_iter()
            .map(|node| {
                let word = Word::Deliver {
                    room: room.clone(),
                    to: inside.at(node),
                    line: line.clone(),
                };
                (node, word)
            })
            .collect();
        if let Some(cluster) = self.cluster.as_deref_mut() {
            // Its request is answered at once; it hears of those that do not get it.
            let receipt = Some(Receipt {
                peer: from,
                id: None,
            });
            let wishes = words.into_iter();
            cluster
                .wishes
                .extend(wishes.map(|(node, word)| Wish::Say(node, word, receipt)));
        }
    }

    /// What became of something that a peer of ours said.
    pub(super) fn receipt(&mut self, receipt: Receipt, came: bool, out: &mut Vec<Effect>) {
        let Receipt { peer, id } = receipt;
        if came {
            if id.is_some() {
                self.answer(peer, id, ServerMessage::Ack {}, out);
            }
            return;
        }
        let message =
            "what you said to a peer at another server may not have come; say it again".into();
        let code = ErrorCode::TryLater;
        self.answer(peer, id, ServerMessage::Error { code, message }, out);
    }

    fn fact(&mut self, room: &RoomId, word: &Word) {
        let nodes = self.rooms.get(room).map(|inside| inside.nodes());
        if let (Some(cluster), Some(nodes)) = (self.cluster.as_deref_mut(), nodes) {
            cluster.say_each(nodes, word);
        }
    }

    /// A member is not what the broker was told that it is.
    pub(in crate::hub) fn has_changed(&mut self, peer: PeerId, room: &RoomId) {
        let place = self.rooms.get(room).and_then(|inside| inside.place(peer));
        let ours = place.is_some_and(|place| place.node.is_none());
        if let (Some(cluster), true) = (self.cluster.as_deref_mut(), ours) {
            cluster.wishes.push(Wish::Sync(room.clone()));
        }
    }

    pub(in crate::hub) fn has_muted(
        &mut self,
        room: &RoomId,
        peer: PeerId,
        by: PeerId,
        kind: Kind,
        on: bool,
    ) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        cluster.decides(peer, room, (by, kind, on));
        let word = Word::Muted {
            room: room.clone(),
            peer,
            by,
            kind,
            on,
        };
        self.fact(room, &word);
        self.has_changed(peer, room);
    }

    pub(in crate::hub) fn has_granted(&mut self, room: &RoomId, peer: PeerId, by: PeerId) {
        if self.cluster.is_none() {
            return;
        }
        let word = Word::Granted {
            room: room.clone(),
            peer,
            by,
        };
        self.fact(room, &word);
        self.has_changed(peer, room);
    }

    /// Its own node puts it out, and tells everybody.
    pub(in crate::hub) fn kick_elsewhere(
        &mut self,
        node: NodeId,
        by: PeerId,
        room: &RoomId,
        peer: PeerId,
        reason: Option<String>,
    ) {
        if let Some(cluster) = self.cluster.as_deref_mut() {
            let word = Word::Kick {
                room: room.clone(),
                peer,
                by,
                reason,
            };
            cluster.say(node, word);
        }
    }

    pub(in crate::hub) fn broadcast_elsewhere(&mut self, line: &Line) {
        if let Some(cluster) = self.cluster.as_deref_mut() {
            let word = Word::Broadcast {
                line: line.text(),
                number: None,
            };
            let alive = cluster.nodes.alive();
            cluster.say_each(alive, &word);
        }
    }
}
