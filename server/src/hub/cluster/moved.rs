//! Who and what went to another node, for as long as something may come here that is for it there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rtc_protocol::{CallId, PeerId, RoomId};

use super::moves::HANDOVER;
use crate::cluster::NodeId;

/// Calls of which it is known where they went.
const CALLS: usize = 65_536;

/// Who has moved where, until nothing can be on its way to it here any more.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) peers: HashMap<PeerId, (NodeId, Instant)>,
    /// Rooms whose last member here went so: those there were sat elsewhere by then.
    pub(super) rooms: HashMap<RoomId, Instant>,
    /// Calls that went with one side, and where to; at most [`CALLS`], as one more is taken for over by whoever asks.
    pub(super) calls: HashMap<CallId, (NodeId, Instant)>,
    /// When a region could not be reached for the last time: who is there has not heard what moved before.
    apart: Option<Instant>,
}

impl Moved {
    pub(super) fn take_call(&mut self, call: CallId, node: NodeId, now: Instant) {
        if self.calls.len() < CALLS || self.calls.contains_key(&call) {
            self.calls.insert(call, (node, now));
        }
    }

    /// Where a call went, and whether that was so lately that it may not be there.
    pub(super) fn call(&self, call: &CallId, now: Instant) -> Option<(NodeId, bool)> {
        let (node, at) = self.calls.get(call)?;
        Some((*node, now < *at + HANDOVER))
    }

    /// Whether a peer went so lately that its new node may not have told the broker.
    pub(super) fn lately(&self, peer: PeerId, now: Instant, lease: Duration) -> bool {
        let at = self.peers.get(&peer).map(|(_, at)| *at);
        at.is_some_and(|at| now < at + lease / 2)
    }

    pub(super) fn to(&self, peer: PeerId) -> Option<NodeId> {
        self.peers.get(&peer).map(|(node, _)| *node)
    }

    /// Whether a room was given up here because its members moved, and not because they left.
    pub(super) fn has_room(&self, room: &RoomId) -> bool {
        self.rooms.contains_key(room)
    }

    /// Lets go of what went longer ago than that; of calls not before all have heard of it that could.
    pub(super) fn forget(&mut self, now: Instant, rest: Duration, apart: bool) {
        if apart {
            self.apart = Some(now);
        }
        let apart = self.apart;
        self.calls
            .retain(|_, (_, at)| now < apart.map_or(*at, |apart| apart.max(*at)) + rest);
        self.peers.retain(|_, (_, at)| now < *at + rest);
        self.rooms.retain(|_, at| now < *at + rest);
    }
}
