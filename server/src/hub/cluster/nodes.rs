//! Which other nodes live, and which have gone for good.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::{Effect, Hub};
use super::Cluster;
use crate::cluster::NodeId;
use crate::cluster::regions::Region;

/// Nodes that were heard of, and since when they are not; the broker's list is what counts.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    known: BTreeMap<NodeId, Option<Instant>>,
    /// When each region's broker said last who lives.
    heard: BTreeMap<Region, Instant>,
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

    /// Whether this region's broker has ever said who lives there.
    pub(super) fn has_heard_of(&self, region: Region) -> bool {
        self.heard.contains_key(&region)
    }

    /// The broker says that these live; gives those that have been missing for so long.
    ///
    /// A broker that was started anew knows only those that have said so since, so none is gone at once.
    fn are(
        &mut self,
        now: Instant,
        nodes: &[NodeId],
        patience: Duration,
        concerned: impl Fn(NodeId) -> bool,
    ) -> Vec<NodeId> {
        for node in nodes {
            self.known.insert(*node, None);
        }
        let mut gone = Vec::new();
        self.known.retain(|node, missing| {
            if nodes.contains(node) || !concerned(*node) {
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

    /// These cannot be reached: they are asked for nothing, and none of them is gone. Gives them.
    pub(super) fn hide(&mut self, now: Instant, which: impl Fn(NodeId) -> bool) -> Vec<NodeId> {
        let mut hidden = Vec::new();
        for (node, missing) in self.known.iter_mut().filter(|(node, _)| which(**node)) {
            missing.get_or_insert(now);
            hidden.push(*node);
        }
        hidden
    }

    /// They can be again: those that live will be named, and the others are missing from then on.
    fn show(&mut self, then: Instant, which: impl Fn(NodeId) -> bool) {
        for (_, missing) in self.known.iter_mut().filter(|(node, _)| which(**node)) {
            *missing = Some(then);
        }
    }
}

impl Cluster {
    /// Whether a node lives, or nobody knows yet who does where it is.
    pub(super) fn may_live(&self, node: NodeId) -> bool {
        let unheard = |region| !self.nodes.has_heard_of(region) && !self.cut.contains(&region);
        self.nodes.lives(node) || self.regions.of(node).is_some_and(unheard)
    }

    /// Whether there are regions of whose nodes nothing is known, so that what all nodes say is not all.
    pub(super) fn misses_regions(&self) -> bool {
        let own = self.regions.own();
        let unheard = |region| region != own && !self.nodes.has_heard_of(region);
        !self.cut.is_empty() || self.regions.all().any(unheard)
    }
}

impl Hub {
    /// These nodes of a region live: who has been missing for half a lease after its own has run out is gone, and its calls
    /// with it.
    pub fn alive(
        &mut self,
        now: Instant,
        region: Region,
        mut nodes: Vec<NodeId>,
        out: &mut Vec<Effect>,
    ) {
        self.now = now;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        nodes.retain(|node| *node != cluster.me);
        let regions = &cluster.regions;
        let concerned = |node| regions.of(node) == Some(region);
        let before = cluster.nodes.heard.insert(region, now);
        let patience = cluster.lease / 2;
        let was_cut = cluster.cut.remove(&region);
        if was_cut {
            // What moved beyond the cut says so, and may reach us later than we do it.
            cluster.nodes.show(now + patience, concerned);
        }
        // A word that could not be brought may have been given up, a little before a lease was over.
        // Who was cut off may have heard the region's broker all the while, and yet nothing of what was said to it.
        let apart = was_cut || before.is_some_and(|before| now >= before + patience);
        for node in cluster.nodes.are(now, &nodes, patience, concerned) {
            self.end_calls_with(node, out);
            self.is_not_there(node, out);
        }
        if apart {
            self.meets_again(region);
        }
        self.pays_region(region);
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
        assert_eq!(nodes.are(now, &[one, two], patience, |_| true), []);
        assert_eq!(nodes.are(now, &[], patience, |_| true), []);
        assert_eq!(nodes.alive(), []);
        assert_eq!(nodes.are(now + later(1), &[one], patience, |_| true), []);
        assert!(nodes.lives(one) && !nodes.lives(two));
        assert_eq!(nodes.are(now + later(5), &[one], patience, |_| true), [two]);
        assert_eq!(nodes.are(now + later(99), &[one], patience, |_| true), []);
    }

    #[test]
    fn nodes_that_cannot_be_reached_are_hidden_and_not_gone_before_others_would_be() {
        let patience = Duration::from_secs(5);
        let later = |seconds| Duration::from_secs(seconds);
        let (one, two, three) = (NodeId::new(1), NodeId::new(2), NodeId::new(3));
        let now = Instant::now();
        let mut nodes = Nodes::default();
        let far = |node| node != one;
        nodes.are(now, &[one], patience, |node| node == one);
        nodes.are(now, &[two, three], patience, far);
        assert_eq!(nodes.hide(now, far), [two, three]);
        assert_eq!(nodes.alive(), [one]);
        assert_eq!(
            nodes.are(now + later(60), &[one], patience, |node| node == one),
            []
        );
        nodes.show(now + later(60), far);
        assert_eq!(nodes.are(now + later(60), &[two], patience, far), []);
        assert_eq!(nodes.alive(), [one, two]);
        assert_eq!(nodes.are(now + later(65), &[two], patience, far), [three]);
    }
}
