//! Where the members of a room are, when it spreads over the nodes of a cluster. Empty on a server that stands alone.

use std::time::Instant;

use rtc_protocol::{Member, PeerId};

use super::Room;
use crate::cluster::NodeId;

/// Seats that are remembered as left, so that what was said of them before does not bring them back.
const DEPARTED: usize = 64;

/// Where one member is.
#[derive(Clone, Copy, Debug)]
pub(in crate::hub) struct Place {
    pub(in crate::hub) peer: PeerId,
    /// The order of the members, in the whole cluster.
    pub(in crate::hub) seat: u64,
    /// None: here.
    pub(in crate::hub) node: Option<NodeId>,
    /// Since when that is known.
    pub(in crate::hub) since: Instant,
    /// What its node told the broker of it was not what is known here, when that was last looked at.
    pub(in crate::hub) differs: bool,
}

impl Room {
    /// Takes a member in, in the order of seats.
    pub(in crate::hub) fn seat(&mut self, member: Member, place: Place) {
        let at = self.places.partition_point(|one| one.seat < place.seat);
        let at = at.min(self.members.len());
        self.members.insert(at, member);
        self.places.insert(at, place);
        self.trace();
    }

    pub(in crate::hub) fn place(&self, peer: PeerId) -> Option<&Place> {
        self.places.iter().find(|place| place.peer == peer)
    }

    pub(in crate::hub) fn place_mut(&mut self, peer: PeerId) -> Option<&mut Place> {
        self.places.iter_mut().find(|place| place.peer == peer)
    }

    /// The node that a member of another one is reached by.
    pub(in crate::hub) fn node_of(&self, peer: PeerId) -> Option<NodeId> {
        self.place(peer).and_then(|place| place.node)
    }

    /// Every other node that has members here.
    pub(in crate::hub) fn nodes(&self) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = self.places.iter().filter_map(|place| place.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// The members of one other node.
    pub(in crate::hub) fn at(&self, node: NodeId) -> Vec<PeerId> {
        let there = self.places.iter().filter(|place| place.node == Some(node));
        there.map(|place| place.peer).collect()
    }

    /// Whether nobody of this node is left.
    pub(in crate::hub) fn deserted(&self) -> bool {
        let here = |member: &Member| self.node_of(member.peer).is_none();
        !self.members.iter().any(here)
    }

    /// All members, and where they are.
    pub(in crate::hub) fn seated(&self) -> impl Iterator<Item = (&Member, &Place)> {
        self.members.iter().zip(&self.places)
    }

    pub(in crate::hub) fn departed(&mut self, peer: PeerId, seat: u64) {
        if self.departed.len() >= DEPARTED {
            self.departed.remove(0);
        }
        self.departed.push((peer, seat));
    }

    /// Whether this seat was left already.
    pub(in crate::hub) fn has_departed(&self, peer: PeerId, seat: u64) -> bool {
        let mut left = self.departed.iter();
        left.any(|(one, last)| *one == peer && *last >= seat)
    }

    /// What a member is to others, changed.
    pub(in crate::hub) fn member_mut(&mut self, peer: PeerId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.peer == peer)
    }

    pub(in crate::hub) fn set_capacity(&mut self, capacity: u16) {
        self.capacity = capacity;
    }

    pub(in crate::hub) fn one(&self, peer: PeerId) -> Option<Member> {
        self.member(peer).cloned()
    }
}
