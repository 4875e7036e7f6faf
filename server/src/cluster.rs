//! Several servers as one: a cluster of nodes around a broker.
//!
//! - [`words`]: what nodes say to each other
//! - [`links`]: each word once and in order, or its sender is told; pure rules
//! - `receipts`: what became of words, told no faster than a peer takes it; pure rules
//! - [`seats`]: who has a seat in which room, and what can be asked about it; pure rules
//! - `backplane`: what a broker must do, and the one in memory
//! - `wishes`: the queue from the hub to the driver
//! - `redis`: the broker on Redis or Valkey
//! - `driver`: the task between the hub, the links and the broker
//!
//! What rooms make of it is in [`crate::hub`]. docs/cluster.md says what is guaranteed and what is not.

mod backplane;
mod driver;
pub mod links;
mod receipts;
mod redis;
pub mod seats;
#[cfg(test)]
mod tests;
mod wishes;
pub mod words;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use backplane::Backplane;
pub use redis::{BrokerUrl, BrokerUrlError};
pub use words::{NodeId, Word};

use crate::hub::Cluster;
use crate::switchboard::{Node, Switchboard};
use driver::drive;
use redis::Redis;
use wishes::Inbox;
pub(crate) use wishes::Wishes;

/// How long a node's peers keep their places in rooms when nothing is heard of it.
pub const LEASE: Duration = Duration::from_secs(10);

/// What a node is told about its cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The broker; several addresses are of one Redis Cluster, or of Sentinels.
    pub broker: Vec<BrokerUrl>,
    /// How long seats are held when nothing is heard of their node.
    pub lease: Duration,
}

/// This node's part in a cluster, before it begins.
pub(crate) struct Membership {
    plane: Arc<dyn Backplane>,
    me: NodeId,
    lease: Duration,
    inbox: Inbox,
}

impl Membership {
    /// Draws who this node is. Nothing is connected yet: the broker may come later than its nodes.
    pub(crate) fn begin(config: &ClusterConfig) -> (Node, Self) {
        let me = NodeId::new(rand::random());
        Self::at(
            Arc::new(Redis::new(me, config.broker.clone())),
            me,
            config.lease,
        )
    }

    /// The same, wherever its nodes meet.
    fn at(plane: Arc<dyn Backplane>, me: NodeId, lease: Duration) -> (Node, Self) {
        let (wishes, inbox) = Inbox::new();
        let node = Node {
            cluster: Cluster::new(me, lease),
            plane: Arc::clone(&plane),
            wishes,
        };
        let member = Self {
            plane,
            me,
            lease,
            inbox,
        };
        (node, member)
    }

    /// Takes part until it is dropped.
    pub(crate) async fn drive(self, switchboard: Switchboard) {
        drive(switchboard, self.plane, self.me, self.lease, self.inbox).await;
    }
}
