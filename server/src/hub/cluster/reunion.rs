//! Calls after a silence between nodes: what was said of them meanwhile may not have come. Each side says which of its calls
//! stand, and asks the other side to do so; a call that one of them does not know any more is over.

use rtc_protocol::CallId;

use super::super::{Effect, Hub};
use crate::cluster::regions::Region;
use crate::cluster::{NodeId, Word};

/// Calls of which it is said at one tick that they stand, so that they do not fill a link.
const AT_ONCE: usize = 256;

impl Hub {
    /// A region is reached again, or for the first time since so long that words may have been given up.
    pub(super) fn meets_again(&mut self, region: Region) {
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let there = |node: NodeId| cluster.regions.of(node) == Some(region);
        cluster.telling.extend(self.calls.beyond(there));
        let mut nodes = cluster.nodes.alive();
        nodes.retain(|node| there(*node));
        cluster.say_each(nodes, &Word::CallsWithMe);
    }

    /// A node asks which calls with its peers stand here.
    pub(super) fn is_asked_for_calls(&mut self, by: NodeId) {
        if let Some(cluster) = self.cluster.as_deref_mut() {
            let with = self.calls.beyond(|node| node == by);
            cluster.telling.extend(with);
        }
    }

    /// Says of some calls that they stand.
    pub(in crate::hub) fn tell_calls(&mut self) {
        for _ in 0..AT_ONCE {
            let cluster = self.cluster.as_deref_mut();
            let Some(call) = cluster.and_then(|cluster| cluster.telling.pop_first()) else {
                return;
            };
            self.says_that_it_stands(call);
        }
    }

    /// Tells the other side of a call that this one is here.
    fn says_that_it_stands(&mut self, call: CallId) {
        let (Some((own, node, rings)), Some(cluster)) =
            (self.calls.stands(&call), self.cluster.as_deref_mut())
        else {
            return;
        };
        let turn = cluster.turn(own);
        cluster.say(node, Word::CallMoved { call, rings, turn });
    }

    /// The other side of a call is at that node, and came there with that turn.
    pub(super) fn call_has_moved(
        &mut self,
        call: CallId,
        (to, turn): (NodeId, u64),
        rings: bool,
        out: &mut Vec<Effect>,
    ) {
        let now = self.now;
        if self.calls.is_past(&call, turn) {
            // It was there, and this comes late.
            return;
        }
        let word = match self.calls.follow(&call, to, turn) {
            // It was taken while its caller was on its way, or beyond a cut.
            Some((true, false)) if rings => Word::Accepted { call },
            // It was taken there, which has not come.
            Some((false, true)) if !rings => return self.is_accepted(&call, to, out),
            Some(_) => return,
            None => {
                let moved = self.cluster.as_deref().map(|cluster| &cluster.moved);
                match moved.and_then(|moved| moved.call(&call, now)) {
                    // Its new node says so itself, once it has it.
                    Some((_, true)) => return,
                    Some((node, false)) => Word::CallWent { call, node },
                    // It has ended.
                    None => Word::HungUp { call },
                }
            }
        };
        self.tell_node(to, word);
    }

    /// The other side of a call went to that node, as the one says where it was.
    pub(super) fn call_went(&mut self, call: CallId, from: NodeId, node: NodeId) {
        if Some(node) == self.node() || !self.calls.rings_at(&call, from) {
            return;
        }
        self.calls.follow(&call, node, 0);
        self.says_that_it_stands(call);
    }
}
