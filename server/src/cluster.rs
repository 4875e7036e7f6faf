//! Several servers as one: a cluster of nodes around a broker.
//!
//! - [`words`]: what nodes say to each other
//! - [`links`]: each word once and in order, or its sender is told; pure rules
//! - `receipts`: what became of words, told no faster than a peer takes it; pure rules
//! - [`seats`]: who has a seat in which room, and what can be asked about it; pure rules
//! - `backplane`: what a broker must do, and the one in memory
//! - [`regions`]: which region's broker keeps what; pure rules
//! - `planes`: the brokers of all regions
//! - `reach`: how a node stands with one of them; pure rules
//! - [`holdings`]: limits that hold in the cluster as a whole
//! - `wishes`: the queues from the hub to the drivers
//! - `redis`: the broker on Redis or Valkey
//! - `driver`: the task between the hub, the links and a broker; one for each region
//!
//! What rooms make of it is in [`crate::hub`]. docs/cluster.md says what is guaranteed and what is not.

mod backplane;
mod driver;
pub mod holdings;
pub mod links;
mod planes;
pub(crate) mod reach;
mod receipts;
mod redis;
pub mod regions;
mod rota;
pub mod seats;
#[cfg(test)]
mod tests;
mod wishes;
pub mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

pub(crate) use backplane::Backplane;
pub(crate) use planes::Planes;
pub use redis::{BrokerTls, BrokerUrl, BrokerUrlError};
pub use words::{NodeId, Word};

use crate::hub::Cluster;
use crate::switchboard::{Node, Switchboard};
use crate::tls::TlsError;
use driver::{Part, drive};
use holdings::Holdings;
use reach::Deaf;
use redis::Redis;
use regions::{Region, RegionName, Regions, RegionsError};
pub(crate) use wishes::Exits;

/// How long a node's peers keep their places in rooms when nothing is heard of it.
pub const LEASE: Duration = Duration::from_secs(10);

/// Addresses and files for TLS that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerTlsError {
    /// What is said to some of a cluster would be read on the way, and that to others would not.
    #[error(
        "{0} and {1} are of one broker, and only the first is over TLS; write rediss:// (or sentinels://) for all of them, or for none"
    )]
    Mixed(String, String),
    /// Nothing is over TLS, though somebody expects it.
    #[error(
        "--cluster-ca, --cluster-cert and --cluster-key are for a broker over TLS, and no address is of one; write rediss:// (or sentinels://) in --cluster or --regions, or leave them out"
    )]
    Unused,
}

/// Why there can be no such cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Its regions do not fit together.
    #[error(transparent)]
    Regions(#[from] RegionsError),
    /// What is over TLS does not.
    #[error(transparent)]
    Tls(#[from] BrokerTlsError),
}

/// What a node is told about its cluster.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The broker of each region, in their order; several addresses are of one Redis Cluster, or of Sentinels.
    brokers: Vec<Vec<BrokerUrl>>,
    tls: BrokerTls,
    regions: Regions,
    /// How long seats are held when nothing is heard of their node.
    lease: Duration,
}

impl ClusterConfig {
    /// One region, whose broker is here.
    #[must_use]
    pub fn around(broker: Vec<BrokerUrl>, lease: Duration) -> Self {
        Self {
            brokers: vec![broker],
            tls: BrokerTls::default(),
            regions: Regions::default(),
            lease,
        }
    }

    /// Several regions, each with its broker, and the one that this node is in.
    ///
    /// # Errors
    /// When the own region is not among them, or two of them would be taken for one, or meet at one address.
    pub fn of_regions(
        own: &RegionName,
        brokers: BTreeMap<RegionName, Vec<BrokerUrl>>,
        lease: Duration,
    ) -> Result<Self, RegionsError> {
        let regions = Regions::new(own, brokers.keys().cloned())?;
        let mut taken: BTreeMap<String, &RegionName> = BTreeMap::new();
        for (region, addresses) in &brokers {
            for address in addresses {
                let before = taken.insert(address.place(), region);
                if let Some(before) = before.filter(|before| *before != region) {
                    let (before, region) = (before.clone(), region.clone());
                    // Without the password.
                    return Err(RegionsError::Shared(before, region, address.to_string()));
                }
            }
        }
        // Both are in the order of the names.
        let brokers = brokers.into_values().collect();
        Ok(Self {
            brokers,
            tls: BrokerTls::default(),
            regions,
            lease,
        })
    }

    /// Goes by these files with each broker whose addresses are over TLS.
    ///
    /// # Errors
    /// When only some of one broker's addresses are, or there are files and no such broker.
    pub fn by(self, tls: BrokerTls) -> Result<Self, BrokerTlsError> {
        let mut any = false;
        for broker in &self.brokers {
            let [over, beside] =
                [true, false].map(|tls| broker.iter().find(|address| address.is_tls() == tls));
            if let (Some(over), Some(beside)) = (over, beside) {
                // Without passwords.
                return Err(BrokerTlsError::Mixed(over.to_string(), beside.to_string()));
            }
            any |= over.is_some();
        }
        if !any && !tls.is_default() {
            return Err(BrokerTlsError::Unused);
        }
        Ok(Self { tls, ..self })
    }

    /// Looks whether those files are there and can be used. They are read again for each connection.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn check_files(&self) -> Result<(), TlsError> {
        self.tls.read().map(drop)
    }
}

/// This node's part in a cluster, before it begins.
pub(crate) struct Membership {
    me: NodeId,
    lease: Duration,
    regions: Regions,
    parts: Vec<Part>,
    holdings: Holdings,
}

impl Membership {
    /// Draws who this node is. Nothing is connected yet: the broker may come later than its nodes.
    pub(crate) fn begin(config: &ClusterConfig) -> (Node, Self) {
        let me = config.regions.node(rand::random());
        let plane = |region: Region| -> Arc<dyn Backplane> {
            let broker = config.brokers.get(region.index()).cloned();
            Arc::new(Redis::new(me, broker.unwrap_or_default()).by(config.tls.clone()))
        };
        Self::at(config.regions.clone(), plane, me, config.lease)
    }

    /// The same, wherever its nodes meet.
    fn at(
        regions: Regions,
        plane: impl FnMut(Region) -> Arc<dyn Backplane>,
        me: NodeId,
        lease: Duration,
    ) -> (Node, Self) {
        let planes = Planes::new(regions.clone(), plane);
        let (wishes, inboxes) = Exits::new(regions.clone());
        let deaf = Deaf::default();
        let holdings = Holdings::new(lease);
        let parts = planes.each().zip(inboxes);
        let parts = parts.map(|((region, plane), inbox)| Part {
            region,
            plane: Arc::clone(plane),
            inbox,
            deaf: deaf.clone(),
            holdings: holdings.clone(),
        });
        let member = Self {
            me,
            lease,
            parts: parts.collect(),
            regions: regions.clone(),
            holdings,
        };
        let node = Node {
            cluster: Cluster::new(me, lease).among(regions),
            planes,
            wishes,
        };
        (node, member)
    }

    /// What is held at this node and at the others, for limits that hold in all of the cluster.
    pub(crate) const fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// Takes part until it is dropped.
    pub(crate) async fn drive(self, switchboard: Switchboard) {
        // They end with this one.
        let mut drivers = JoinSet::new();
        switchboard.metrics().name_regions(&self.regions);
        for part in self.parts {
            let regions = self.regions.clone();
            drivers.spawn(drive(
                switchboard.clone(),
                part,
                regions,
                self.me,
                self.lease,
            ));
        }
        while drivers.join_next().await.is_some() {}
    }
}
