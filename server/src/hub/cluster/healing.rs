//! Seats renewed, and what got lost on the way mended by it.

use std::time::Instant;

use rtc_protocol::{LeaveReason, PeerId, RoomId, ServerMessage};

use super::super::{Effect, Hub};
use crate::cluster::seats::{Answer, Held, Sync};

impl Hub {
    /// All that is held in a room, for another lease.
    #[must_use]
    pub fn held(&self, room: &RoomId) -> Option<Sync> {
        let cluster = self.cluster.as_deref()?;
        let inside = self.rooms.get(room)?;
        let ours = inside.seated().filter(|(_, place)| place.node.is_none());
        let seats = ours.map(|(member, place)| {
            let held = Held {
                seat: place.seat,
                turn: cluster.turn(place.peer),
                member: member.clone(),
            };
            (place.peer, held)
        });
        Some(Sync {
            room: room.clone(),
            node: cluster.me,
            lease: cluster.lease(),
            capacity: inside.capacity(),
            seats: seats.collect(),
        })
    }

    /// The broker has renewed our seats in a room, and says what others hold; it was asked then.
    pub fn synced(
        &mut self,
        now: Instant,
        asked: Instant,
        room: &RoomId,
        answer: Answer,
        out: &mut Vec<Effect>,
    ) {
        self.now = now;
        let Answer::Synced {
            capacity,
            settled,
            lost,
            superseded,
            others,
        } = answer
        else {
            return;
        };
        self.pays_room(room);
        for peer in superseded {
            let place = self.rooms.get(room).and_then(|inside| inside.place(peer));
            if place.is_some_and(|place| place.since >= asked) {
                // It was asked for another turn of it.
                continue;
            }
            if !self.asks_for_its_turn(peer) {
                self.is_elsewhere(peer, out);
            }
        }
        for peer in lost {
            self.loses_seat(peer, room, out);
        }
        let Some(inside) = self.rooms.get_mut(room) else {
            return;
        };
        inside.set_capacity(capacity);
        // While nodes still say what they hold, who is not among it may be yet to come.
        let Some(cluster) = self.cluster.as_deref() else {
            return;
        };
        let gone: Vec<PeerId> = inside
            .seated()
            .map(|(_, place)| place)
            .filter(|place| settled && place.node.is_some() && place.since < asked)
            .filter(|place| !others.contains_key(&place.peer))
            .filter(|place| !cluster.moved.lately(place.peer, now, cluster.lease))
            .map(|place| place.peer)
            .collect();
        for peer in gone {
            self.goes_elsewhere(peer, room, LeaveReason::Lost, out);
        }
        for (peer, seat) in others {
            let known = self.rooms.get_mut(room).and_then(|inside| {
                let member = inside.one(peer)?;
                let place = inside.place_mut(peer)?;
                if place.node.is_none() || place.seat != seat.held.seat {
                    return None;
                }
                let differs = member != seat.held.member;
                let before = std::mem::replace(&mut place.differs, differs);
                place.node = Some(seat.node);
                // Twice in a row: what is on its way has come by then.
                Some(differs && before)
            });
            match known {
                None => self.is_there(room, peer, seat, out),
                Some(true) => self.becomes(room, seat.held.member, out),
                Some(false) => {}
            }
        }
    }

    /// While we could not be heard, somebody else was given the place.
    fn loses_seat(&mut self, peer: PeerId, room: &RoomId, out: &mut Vec<Effect>) {
        let place = self.rooms.get(room).and_then(|inside| inside.place(peer));
        if place.is_none_or(|place| place.node.is_some()) {
            return;
        }
        self.remove(peer, room, LeaveReason::Lost, out);
        let kicked = ServerMessage::Kicked {
            room: room.clone(),
            by: peer,
            reason: Some(
                "the room was filled while this server was cut off from the others".into(),
            ),
        };
        self.tell(peer, kicked, out);
    }
}
