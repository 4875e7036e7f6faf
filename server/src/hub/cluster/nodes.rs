//! Which other nodes live, and which have gone for good.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::{Effect, Hub};
use crate::cluster::NodeId;

/// Nodes that were heard of, and since when they are not; the broker's list is what counts.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: BTreeMap<NodeId, Option<Instant>>,
    /// The broker has said once who lives.
    heard: bool,
}

impl Nodes {
    /// Other nodes that live, as far as is known.
    pub(super) fn alive(&self) -> Vec<NodeId> {
        let here = self.known.iter().filter(|(_, missing)| missing.is_none());
        here.map(|(node, _)| *node).collect()
    }

    pub(super) fn lives(&self, node: NodeId) -> bool {
        self.known.get(&node).is_some_and(Option::is_none)
    }

    /// The same, where nobody knows yet who does.
    pub(super) fn may_live(&self, node: NodeId) -> bool {
        !self.heard || self.lives(node)
    }

    /// The broker says that these live; gives those that have been missing for so long.
    ///
    /// A broker that was started anew knows only those that have said so since, so none is gone at once.
    fn are(&mut self, now: Instant, nodes: &[NodeId], patience: Duration) -> Vec<NodeId> {
        for node in nodes {
            self.known.insert(*node, None);
        }
        self.heard = true;
        let mut gone = Vec::new();
        self.known.retain(|node, missing| {
            if nodes.contains(node) {
                return true;
            }
            let since = *missing.get_or_insert(now);
            let stays = now < since + patience;
            if !stays {
                gone.push(*node);
            }
            stays
        });
        gone
    }
}

impl Hub {
    /// These nodes live: who has been missing for half a lease after its own has run out is gone, and its calls with it.
    pub fn alive(&mut self, now: Instant, mut nodes: Vec<NodeId>, out: &mut Vec<Effect>) {
        self.now = now;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        nodes.retain(|node| *node != cluster.me);
        for node in cluster.nodes.are(now, &nodes, cluster.lease / 2) {
            self.end_calls_with(node, out);
            self.is_not_there(node, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_missing_is_gone_after_a_while_and_none_is_when_a_broker_forgets() {
        let patience = Duration::from_secs(5);
        let later = |seconds| Duration::from_secs(seconds);
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let now = Instant::now();
        let mut nodes = Nodes::default();
        assert_eq!(nodes.are(now, &[one, two], patience), []);
        assert_eq!(nodes.are(now, &[], patience), []);
        assert_eq!(nodes.alive(), []);
        assert_eq!(nodes.are(now + later(1), &[one], patience), []);
        assert!(nodes.lives(one) && !nodes.lives(two));
        assert_eq!(nodes.are(now + later(5), &[one], patience), [two]);
        assert_eq!(nodes.are(now + later(99), &[one], patience), []);
    }
}
