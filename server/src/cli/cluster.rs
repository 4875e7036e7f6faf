//! Flags of a cluster.

use std::time::Duration;

use clap::Args;

use crate::cluster::{BrokerUrl, ClusterConfig, LEASE};

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterFlags {
    /// Be one with all servers that meet at this Redis or Valkey: redis://HOST:PORT; several are one Redis Cluster, or
    /// Sentinels: sentinel://HOST:PORT/NAME.
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    cluster: Vec<BrokerUrl>,

    /// Seconds that the places of a server's peers are kept when nothing is heard of it; the same at each.
    #[arg(long, value_name = "SECONDS", default_value_t = LEASE.as_secs(), value_parser = clap::value_parser!(u64).range(2..=300))]
    cluster_lease: u64,
}

impl ClusterFlags {
    pub(super) fn config(self) -> Option<ClusterConfig> {
        let lease = Duration::from_secs(self.cluster_lease);
        let broker = self.cluster;
        (!broker.is_empty()).then_some(ClusterConfig { broker, lease })
    }
}
