//! What moderators may do: mute, kick, grant; what they decided is kept in [`super::decisions`]. And what administrators may
//! say to everybody.

use rtc_protocol::{ErrorCode, Kind, LeaveReason, PeerId, Raw, Right, RoomId, ServerMessage};

use super::decisions::Hold;
use super::line::Line;
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

    /// Mutes or unmutes one sense of a peer: its own always, another's as moderator.
    ///
    /// What a moderator muted only a moderator unmutes; what a peer muted itself only itself does, so that nobody is
    /// heard or seen against its will.
    pub(super) fn mute(
        &mut self,
        by: PeerId,
        room: RoomId,
        whose: PeerId,
        kind: Kind,
        muted: bool,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.inside(by, &room)?;
        let session = self.sessions.get(&whose);
        let silent = session.is_some_and(|one| one.is_silent());
        let inside = if by == whose {
            self.rooms.get_mut(&room)
        } else {
            Some(self.moderated(by, &room)?)
        };
        let inside = inside
            .filter(|inside| inside.has(whose))
            .ok_or_else(|| no_such_peer(whose, &room))?;
        if !muted && silent {
            return Err((
                ErrorCode::NotAllowed,
                format!("the token of {whose} does not let it send sound or picture"),
            ));
        }
        let held = inside.decisions.holds(whose, kind);
        let sense = match kind {
            Kind::Audio => "sound",
            Kind::Video => "picture",
        };
        match (by == whose, muted) {
            (true, true) if held => return Ok(()),
            (true, false) if held && !inside.moderates(by) => {
                return Err((
                    ErrorCode::NotAllowed,
                    format!("a moderator has muted your {sense}; only a moderator can unmute it"),
                ));
            }
            (false, false) if !held && inside.muted(whose, kind) => {
                return Err((
                    ErrorCode::NotAllowed,
                    format!("{whose} has muted its {sense} itself; only itself can unmute it"),
                ));
            }
            (false, true) => inside.decisions.hold(Hold {
                peer: whose,
                kind,
                by,
            }),
            (true, true) => {}
            (_, false) => inside.decisions.free(whose, kind),
        }
        inside.mute(whose, kind, muted);
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
        self.has_muted(&room, peer, by, kind, muted);
        Ok(())
    }

    /// Puts a peer out, and keeps it out for a while.
    pub(super) fn kick(
        &mut self,
        by: PeerId,
        room: &RoomId,
        whom: PeerId,
        reason: Option<String>,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let now = self.now;
        let inside = self.moderated(by, room)?;
        if !inside.has(whom) || whom == by {
            return Err((
                ErrorCode::NoSuchPeer,
                format!("there is no other peer {whom} in room {room}"),
            ));
        }
        inside.decisions.put_out(whom, now);
        let node = inside.node_of(whom);
        self.keep_out(whom, room);
        if let Some(node) = node {
            self.kick_elsewhere(node, by, room, whom, reason);
            return Ok(());
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
        self.has_granted(&room, whom, by);
        Ok(())
    }
}

impl Hub {
    pub(super) fn administrates(&self, peer: PeerId) -> Result<(), Refusal> {
        let session = self.sessions.get(&peer);
        if session.is_some_and(|one| one.rights().administrate(self.now)) {
            return Ok(());
        }
        let words = "only an administrator may do that; connect with the administrator's token";
        Err((ErrorCode::NotAllowed, words.into()))
    }

    /// Says something to every peer of the server, also to those in no room.
    pub(super) fn broadcast(
        &mut self,
        by: PeerId,
        data: Raw,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        self.administrates(by)?;
        let line = Line::new(None, ServerMessage::Broadcast { data });
        let peers: Vec<PeerId> = self.sessions.keys().copied().collect();
        for peer in peers {
            self.tell_line(peer, &line, out);
        }
        self.broadcast_elsewhere(&line);
        Ok(())
    }
}

fn no_such_peer(peer: PeerId, room: &RoomId) -> Refusal {
    (
        ErrorCode::NoSuchPeer,
        format!("there is no peer {peer} in room {room}"),
    )
}
