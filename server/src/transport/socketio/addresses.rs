//! Where this machine can be reached.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long what was seen counts: a laptop changes its network, and asking is not for every connection.
const FRESH: Duration = Duration::from_secs(30);

/// The IPv4 addresses of this machine that are not loopback, looked up now and then.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<Option<(Instant, Arc<[Ipv4Addr]>)>>);

impl Addresses {
    pub(super) fn get(&self) -> Arc<[Ipv4Addr]> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*seen {
            Some((when, all)) if when.elapsed() < FRESH => Arc::clone(all),
            _ => {
                let all = look();
                *seen = Some((Instant::now(), Arc::clone(&all)));
                all
            }
        }
    }
}

fn look() -> Arc<[Ipv4Addr]> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!("the addresses of this machine cannot be had: {error}");
        Vec::new()
    });
    let mut all: Vec<Ipv4Addr> = interfaces
        .iter()
        .filter_map(|one| match one.ip() {
            IpAddr::V4(address) if !address.is_loopback() => Some(address),
            _ => None,
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}
