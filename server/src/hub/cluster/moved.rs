//! Who and what went to another node, for as long as something may come here that is for it there.

use std::collections::{HashMap, VecDeque};
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
    /// Calls that went with one side, and where to; of more than [`CALLS`] the oldest are let go, as if they were over.
    calls: HashMap<CallId, (NodeId, Instant)>,
    /// In the order in which they went; one that came back meanwhile is not among those any more, or went anew.
    went: VecDeque<(Instant, CallId)>,
    /// When a region could not be reached for the last time: who is there has not heard what moved before.
    apart: Option<Instant>,
}

impl Moved {
    pub(super) fn take_call(&mut self, call: CallId, node: NodeId, now: Instant) {
        self.calls.insert(call.clone(), (node, now));
        self.went.push_back((now, call));
        while self.went.len() > CALLS {
            self.forget_oldest_call();
        }
    }

    /// A call is here again.
    pub(super) fn call_is_back(&mut self, call: &CallId) {
        self.calls.remove(call);
    }

    fn forget_oldest_call(&mut self) {
        let Some((went, call)) = self.went.pop_front() else {
            return;
        };
        if self.calls.get(&call).is_some_and(|(_, at)| *at == went) {
            self.calls.remove(&call);
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
        let over = |at: Instant| now >= apart.map_or(at, |apart| apart.max(at)) + rest;
        while self.went.front().is_some_and(|(at, _)| over(*at)) {
            self.forget_oldest_call();
        }
        self.peers.retain(|_, (_, at)| now < *at + rest);
        self.rooms.retain(|_, at| now < *at + rest);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const REST: Duration = Duration::from_secs(20);

    fn call(number: usize) -> CallId {
        CallId::new(&format!("c-{number}")).unwrap()
    }

    #[test]
    fn of_too_many_calls_the_oldest_are_let_go() {
        let (mut moved, now) = (Moved::default(), Instant::now());
        let node = NodeId::new(1);
        for number in 0..=CALLS {
            moved.take_call(call(number), node, now);
        }
        assert_eq!(moved.call(&call(0), now), None);
        assert!(moved.call(&call(1), now).is_some());
        assert!(moved.call(&call(CALLS), now).is_some());
    }

    #[test]
    fn a_call_that_came_back_and_went_again_is_known_for_as_long_as_any() {
        let (mut moved, now) = (Moved::default(), Instant::now());
        let [one, two] = [1, 2].map(NodeId::new);
        moved.take_call(call(1), one, now);
        moved.call_is_back(&call(1));
        assert_eq!(moved.call(&call(1), now), None);
        let later = now + REST / 2;
        moved.take_call(call(1), two, later);
        moved.forget(now + REST, REST, false);
        let (node, _) = moved.call(&call(1), later).unwrap();
        assert_eq!(node, two);
        moved.forget(later + REST, REST, false);
        assert_eq!(moved.call(&call(1), later), None);
    }

    #[test]
    fn while_a_region_is_cut_off_calls_are_known_on() {
        let (mut moved, now) = (Moved::default(), Instant::now());
        moved.take_call(call(1), NodeId::new(1), now);
        let end = now + REST * 5;
        moved.forget(end, REST, true);
        assert!(moved.call(&call(1), end).is_some());
        moved.forget(end + REST, REST, false);
        assert_eq!(moved.call(&call(1), end), None);
    }
}
