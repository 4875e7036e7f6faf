//! What moderators may do: mute, kick, grant.

use rtc_protocol::{ErrorCode, Kind, LeaveReason, PeerId, Right, RoomId, ServerMessage};

use super::room::Room;
use super::{Effect, Hub, Refusal};

impl Hub {
    fn moderated(&mut self, peer: PeerId, room: &RoomId) -> Result<&mut Room, Refusal> {
        self.inside(peer, room)?;
        match self.rooms.get_mut(room) {
            Some(inside) if inside.moderates(peer) => Ok(inside),
            _ => Err((
                ErrorCode::NotAllowed,
                format!("only a moderator of room {room} may do that"),
            )),
        }
    }

    pub(super) fn mute(
        &mut self,
        by: PeerId,
        room: RoomId,
        whose: PeerId,
        kind: Kind,
        muted: bool,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let session = self.sessions.get(&whose);
        let silent = session.is_some_and(|one| !one.rights().publish());
        let inside = if by == whose {
            self.inside(by, &room)?;
            self.rooms.get_mut(&room)
        } else {
            Some(self.moderated(by, &room)?)
        };
        let inside = inside.filter(|inside| inside.has(whose));
        if !muted && silent && inside.is_some() {
            return Err((
                ErrorCode::NotAllowed,
                format!("the token of {whose} does not let it send sound or picture"),
            ));
        }
        if !inside.is_some_and(|inside| inside.mute(whose, kind, muted)) {
            return Err(no_such_peer(whose, &room));
        }
        let peer = whose;
        let message = if muted {
            ServerMessage::Muted {
                room: room.clone(),
                peer,
                kind,
                by,
            }
        } else {
            ServerMessage::Unmuted {
                room: room.clone(),
                peer,
                kind,
                by,
            }
        };
        self.tell_room(&room, Some(by), message, out);
        Ok(())
    }

    pub(super) fn kick(
        &mut self,
        by: PeerId,
        room: &RoomId,
        whom: PeerId,
        reason: Option<String>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        if !self.moderated(by, room)?.has(whom) {
            return Err(no_such_peer(whom, room));
        }
        self.remove(whom, room, LeaveReason::Kicked, out);
        let kicked = ServerMessage::Kicked {
            room: room.clone(),
            by,
            reason,
        };
        self.tell(whom, kicked, out);
        Ok(())
    }

    pub(super) fn grant(
        &mut self,
        by: PeerId,
        room: RoomId,
        whom: PeerId,
        right: Right,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let Right::Moderator = right;
        if !self.moderated(by, &room)?.promote(whom) {
            return Err(no_such_peer(whom, &room));
        }
        let granted = ServerMessage::Granted {
            room: room.clone(),
            peer: whom,
            right,
            by,
        };
        self.tell_room(&room, None, granted, out);
        Ok(())
    }
}

fn no_such_peer(peer: PeerId, room: &RoomId) -> Refusal {
    (
        ErrorCode::NoSuchPeer,
        format!("there is no peer {peer} in room {room}"),
    )
}
