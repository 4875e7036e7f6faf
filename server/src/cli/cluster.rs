//! Flags of a cluster.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::cluster::regions::RegionName;
use crate::cluster::{BrokerTls, BrokerUrl, ClusterConfig, ClusterError, LEASE};

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterFlags {
    /// Be one with all servers that meet at this Redis or Valkey: redis://HOST:PORT; several are one Redis Cluster, or
    /// Sentinels: sentinel://HOST:PORT/NAME. Over TLS: rediss:// and sentinels://.
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    cluster: Vec<BrokerUrl>,

    /// Be one with all servers of several regions, each of which has such a broker: eu=redis://HOST:PORT,us=redis://HOST:PORT;
    /// the same at each server. Needs --region; a region named twice has a Redis Cluster.
    #[arg(
        long,
        value_name = "NAME=URL",
        value_delimiter = ',',
        hide_env_values = true,
        requires = "region",
        conflicts_with = "cluster"
    )]
    regions: Vec<RegionBroker>,

    /// Which of --regions this server is in.
    #[arg(long, value_name = "NAME", requires = "regions")]
    region: Option<RegionName>,

    /// Seconds that the places of a server's peers are kept when nothing is heard of it; the same at each.
    #[arg(long, value_name = "SECONDS", default_value_t = LEASE.as_secs(), value_parser = clap::value_parser!(u64).range(2..=300))]
    cluster_lease: u64,

    /// Certificates of the authorities that vouch for brokers over TLS (PEM), instead of the system's; read again for each
    /// connection.
    #[arg(long, value_name = "FILE")]
    cluster_ca: Option<PathBuf>,

    /// Certificate that brokers over TLS are shown, and those between it and its authority (PEM); read again for each
    /// connection.
    #[arg(long, value_name = "FILE", requires = "cluster_key")]
    cluster_cert: Option<PathBuf>,

    /// That certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "cluster_cert")]
    cluster_key: Option<PathBuf>,
}

impl ClusterFlags {
    pub(super) fn config(self) -> Result<Option<ClusterConfig>, ClusterError> {
        let lease = Duration::from_secs(self.cluster_lease);
        let tls = BrokerTls::new(self.cluster_ca, self.cluster_cert.zip(self.cluster_key));
        let cluster = match self.region {
            None if self.cluster.is_empty() && tls.is_default() => return Ok(None),
            None => ClusterConfig::around(self.cluster, lease),
            Some(own) => {
                let mut brokers: BTreeMap<RegionName, Vec<BrokerUrl>> = BTreeMap::new();
                for RegionBroker { region, url } in self.regions {
                    brokers.entry(region).or_default().push(url);
                }
                ClusterConfig::of_regions(&own, brokers, lease)?
            }
        };
        Ok(Some(cluster.by(tls)?))
    }
}

/// A region's broker, or one address of it.
#[derive(Clone, Debug)]
struct RegionBroker {
    region: RegionName,
    url: BrokerUrl,
}

impl FromStr for RegionBroker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Where the name is missing, what stands there may be part of a password.
        let found = text.split_once('=');
        let found = found.and_then(|(region, url)| Some((region.parse().ok()?, url)));
        let (region, url): (RegionName, &str) = found.ok_or(
            "give each region's name, of a to z, 0 to 9 and -, and its broker, as in eu=redis://10.0.0.5:6379",
        )?;
        match url.parse() {
            Ok(url) => Ok(Self { region, url }),
            Err(error) => Err(format!("region {region}: {error}")),
        }
    }
}
