//! Regions that cannot be reached: who is there is gone for those here, until the way is back.
//!
//! It is decided at each side by itself, when the other region's broker has not answered for a lease. Its members are `lost`
//! to the members here then, as those of a server that died would be; seats are left to the brokers. When the broker answers
//! again, those whose seats stand are there again with the next renewal.

use std::time::Instant;

use rtc_protocol::{LeaveReason, PeerId, RoomId};

use super::super::{Effect, Hub};
use super::Cluster;
use crate::cluster::NodeId;
use crate::cluster::regions::Region;

impl Cluster {
    /// Whether a node is in a region that cannot be reached.
    pub(super) fn is_cut_off(&self, node: NodeId) -> bool {
        let region = (!self.cut.is_empty()).then(|| self.regions.of(node));
        region.flatten().is_some_and(|one| self.cut.contains(&one))
    }
}

impl Hub {
    /// Nothing has been heard of a region for a lease.
    pub fn cut_off(&mut self, now: Instant, region: Region, out: &mut Vec<Effect>) {
        self.now = now;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        if !cluster.cut.insert(region) {
            return;
        }
        let there = cluster
            .nodes
            .hide(now, |node| cluster.regions.of(node) == Some(region));
        for node in there {
            self.is_not_there(node, out);
        }
        let Some(cluster) = self.cluster.as_deref() else {
            return;
        };
        let mut gone: Vec<(RoomId, PeerId)> = Vec::new();
        for (room, inside) in &self.rooms {
            let there = |node: &NodeId| cluster.is_cut_off(*node);
            let far = inside.seated().map(|(_, place)| place);
            let far = far.filter(|place| place.node.as_ref().is_some_and(there));
            gone.extend(far.map(|place| (room.clone(), place.peer)));
        }
        for (room, peer) in gone {
            self.goes_elsewhere(peer, &room, LeaveReason::Lost, out);
        }
    }
}
