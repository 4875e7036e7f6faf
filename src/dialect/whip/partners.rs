//! Who answers publishers and players: as few as possible by the same member.

use std::collections::HashMap;

use super::Flow;
use crate::id::{PeerId, RoomId};
use crate::message::{Dialect, Kind, Member};

/// How many sessions each member of each room answers for. One book for all sessions of a server.
#[derive(Debug, Default)]
pub struct Partners {
    taken: HashMap<(RoomId, PeerId), usize>,
}

impl Partners {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Picks who is to answer, and notes it.
    ///
    /// Native members come before conference pages; then, for a player, members that send a picture before those that
    /// muted it; then those that answer for the fewest sessions; then those that came first. `wanted` is a peer's id or
    /// name, and leaves only the members that go by it.
    pub fn pick(
        &mut self,
        room: &RoomId,
        members: &[Member],
        flow: Flow,
        wanted: Option<&str>,
    ) -> Option<PeerId> {
        let named = |member: &&Member| {
            wanted.is_none_or(|who| member.peer.as_str() == who || member.name.as_str() == who)
        };
        let (_, partner) = members
            .iter()
            .filter(named)
            .filter_map(|member| {
                let dark = flow == Flow::Play && member.muted.contains(&Kind::Video);
                let load = self.load(room, member.peer);
                Some(((rank(member.dialect)?, dark, load), member.peer))
            })
            .min_by_key(|(order, _)| *order)?;
        *self.taken.entry((room.clone(), partner)).or_default() += 1;
        Some(partner)
    }

    /// A session that this member answered for is over.
    pub fn release(&mut self, room: &RoomId, partner: PeerId) {
        let key = (room.clone(), partner);
        if let Some(count) = self.taken.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.taken.remove(&key);
            }
        }
    }

    /// How many sessions a member answers for.
    #[must_use]
    pub fn load(&self, room: &RoomId, peer: PeerId) -> usize {
        self.taken.get(&(room.clone(), peer)).copied().unwrap_or(0)
    }

    /// Whether nobody answers for anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

/// How well a member can answer an offer that it did not ask for; none where it cannot.
///
/// Pages of the codelab, the book and the login tutorial have one connection for their whole life, and it belongs to
/// whom they were opened for; their creators cannot answer at all. Publishers and players offer and never answer.
const fn rank(dialect: Option<Dialect>) -> Option<u8> {
    match dialect {
        None => Some(0),
        Some(Dialect::Conference) => Some(1),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::id::{Name, Token};
    use crate::message::Role;

    fn member(who: char, dialect: Option<Dialect>) -> Member {
        Member {
            peer: id(who),
            name: Name::new(&who.to_string()).unwrap(),
            role: Role::Member,
            muted: Vec::new(),
            dialect,
        }
    }

    fn id(who: char) -> PeerId {
        Token::new(&who.to_string().repeat(24)).unwrap().peer_id()
    }

    fn room() -> RoomId {
        RoomId::new("r").unwrap()
    }

    #[test]
    fn publishers_spread_over_the_native_members() {
        let mut partners = Partners::new();
        let members = [member('a', None), member('b', None)];
        let mut pick = || partners.pick(&room(), &members, Flow::Publish, None);
        assert_eq!(pick(), Some(id('a')));
        assert_eq!(pick(), Some(id('b')));
        assert_eq!(pick(), Some(id('a')));
        partners.release(&room(), id('b'));
        assert_eq!(
            partners.pick(&room(), &members, Flow::Publish, None),
            Some(id('b'))
        );
    }

    #[test]
    fn pages_that_cannot_answer_an_unasked_offer_are_never_picked() {
        let mut partners = Partners::new();
        for dialect in [
            Dialect::Codelab,
            Dialect::Book,
            Dialect::Login,
            Dialect::Whip,
            Dialect::Whep,
            Dialect::Unknown,
        ] {
            let members = [member('a', Some(dialect))];
            let picked = partners.pick(&room(), &members, Flow::Play, None);
            assert_eq!(picked, None, "{dialect:?}");
        }
        let members = [member('a', Some(Dialect::Conference)), member('b', None)];
        let mut pick = |members: &[Member]| partners.pick(&room(), members, Flow::Play, None);
        assert_eq!(pick(&members), Some(id('b')));
        assert_eq!(pick(&members[..1]), Some(id('a')));
    }

    #[test]
    fn a_player_gets_a_member_whose_picture_is_on() {
        let mut partners = Partners::new();
        let mut dark = member('a', None);
        dark.muted.push(Kind::Video);
        let members = [dark, member('b', None)];
        let mut pick = |flow| partners.pick(&room(), &members, flow, None);
        assert_eq!(pick(Flow::Play), Some(id('b')));
        assert_eq!(pick(Flow::Play), Some(id('b')));
        assert_eq!(pick(Flow::Publish), Some(id('a')));
    }

    #[test]
    fn a_partner_can_be_asked_for_by_name_or_id() {
        let mut partners = Partners::new();
        let members = [member('a', None), member('b', None)];
        let mut pick = |who: &str| partners.pick(&room(), &members, Flow::Play, Some(who));
        assert_eq!(pick("b"), Some(id('b')));
        assert_eq!(pick(id('b').as_str()), Some(id('b')));
        assert_eq!(pick("c"), None);
        for _ in 0..2 {
            partners.release(&room(), id('b'));
        }
        assert!(partners.is_empty());
        partners.release(&room(), id('b'));
    }
}
