//! How fast one address may come and speak: two buckets for each, in a bounded table.
//!
//! An address is one of IPv4, or a /64 of IPv6, as [`Places`](crate::listener::Places) counts them, and the same networks
//! are exempt. Connections hold on to their address's buckets, so speaking takes no lock that others wait for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Bucket, Rate};
use crate::listener::Network;

/// Addresses that are remembered without a connection. A bucket of either kind is full again within ten seconds, so
/// forgetting one early gives nothing away that waiting would not; a table of this size takes two megabytes.
const REMEMBERED: usize = 16_384;

/// What one address has left.
#[derive(Debug)]
pub(crate) struct Share {
    arrivals: Mutex<Bucket>,
    messages: Mutex<Bucket>,
}

impl Share {
    fn new(now: Instant, rates: Rates) -> Self {
        Self {
            arrivals: Mutex::new(Bucket::new(now, rates.arrivals)),
            messages: Mutex::new(Bucket::new(now, rates.messages)),
        }
    }

    /// One more message, if it may be.
    pub(crate) fn speaks(&self, now: Instant) -> bool {
        locked(&self.messages).take(now)
    }

    /// What it may say.
    pub(crate) fn rate(&self) -> Rate {
        locked(&self.messages).rate
    }

    fn arrives(&self, now: Instant) -> bool {
        locked(&self.arrivals).take(now)
    }

    /// Whether it has as much left as one that was never here.
    fn is_rested(&self, now: Instant) -> bool {
        locked(&self.arrivals).is_full(now) && locked(&self.messages).is_full(now)
    }
}

/// What an address is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Connections, of any kind.
    pub(crate) arrivals: Rate,
    /// Messages, of all its connections together.
    pub(crate) messages: Rate,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Addresses {
    rates: Rates,
    exempt: Vec<Network>,
    remembered: usize,
    shares: Mutex<HashMap<Network, Arc<Share>>>,
}

impl Addresses {
    pub(crate) fn new(rates: Rates, exempt: Vec<Network>) -> Arc<Self> {
        Arc::new(Self {
            rates,
            exempt,
            remembered: REMEMBERED,
            shares: Mutex::default(),
        })
    }

    /// Another connection from there, if it may be.
    pub(crate) fn arrives(&self, now: Instant, from: IpAddr) -> bool {
        self.share(now, from).is_none_or(|share| share.arrives(now))
    }

    /// What the connections of an address share; none where it is exempt.
    pub(crate) fn share(&self, now: Instant, from: IpAddr) -> Option<Arc<Share>> {
        let whose = Network::of_one(from);
        if self.exempt.iter().any(|network| network.holds(from)) {
            return None;
        }
        let mut shares = locked(&self.shares);
        if let Some(share) = shares.get(&whose) {
            return Some(Arc::clone(share));
        }
        if shares.len() >= self.remembered {
            make_room(&mut shares, now);
        }
        let share = Arc::new(Share::new(now, self.rates));
        shares.insert(whose, Arc::clone(&share));
        Some(share)
    }
}

/// Forgets whom it costs nothing to forget, and half of the others, so that the work is shared by many newcomers.
/// Who has a connection stays; those are bounded by the places there are.
fn make_room(shares: &mut HashMap<Network, Arc<Share>>, now: Instant) {
    let before = shares.len();
    shares.retain(|_, share| Arc::strong_count(share) > 1 || !share.is_rested(now));
    if shares.len() > before / 2 {
        let mut keep = false;
        shares.retain(|_, share| {
            keep = !keep;
            keep || Arc::strong_count(share) > 1
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn addresses(remembered: usize) -> Addresses {
        Addresses {
            rates: Rates {
                arrivals: Rate::of(1, 3),
                messages: Rate::of(10, 5),
            },
            exempt: Network::LOOPBACK.to_vec(),
            remembered,
            shares: Mutex::default(),
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn an_address_may_come_in_a_burst_and_then_at_its_rate() {
        let addresses = addresses(10);
        let now = Instant::now();
        let came = |at, from| (0..10).filter(|_| addresses.arrives(at, ip(from))).count();
        assert_eq!(came(now, "192.0.2.1"), 3);
        assert_eq!(came(now, "192.0.2.2"), 3, "another one has its own");
        assert_eq!(came(now + Duration::from_secs(2), "192.0.2.1"), 2);
        assert_eq!(came(now, "2001:db8:0:1::1"), 3);
        assert_eq!(came(now, "2001:db8:0:1:ffff::2"), 0, "a /64 is one");
        assert_eq!(came(now, "127.0.0.1"), 10, "exempt");
    }

    #[test]
    fn the_connections_of_an_address_speak_out_of_one_bucket() {
        let addresses = addresses(10);
        let now = Instant::now();
        let one = addresses.share(now, ip("192.0.2.1")).unwrap();
        let other = addresses.share(now, ip("192.0.2.1")).unwrap();
        let said = (0..10)
            .filter(|n| [&one, &other][n % 2].speaks(now))
            .count();
        assert_eq!(said, 5);
    }

    #[test]
    fn the_table_is_bounded_and_who_is_connected_is_not_forgotten() {
        let addresses = addresses(100);
        let now = Instant::now();
        let held = addresses.share(now, v4(0)).unwrap();
        while held.speaks(now) {}
        for number in 1..100_000 {
            assert!(addresses.arrives(now, v4(number)));
        }
        assert!(locked(&addresses.shares).len() <= 100);
        let again = addresses.share(now, v4(0)).unwrap();
        assert!(!again.speaks(now), "no new bucket by flooding the table");
    }

    #[test]
    fn who_has_rested_is_forgotten_before_who_has_not() {
        let addresses = addresses(100);
        let start = Instant::now();
        for number in 0..99 {
            addresses.arrives(start, v4(number));
        }
        let later = start + Duration::from_secs(60);
        while addresses.arrives(later, v4(99)) {}
        addresses.arrives(later, v4(100));
        assert!(!addresses.arrives(later, v4(99)));
        assert_eq!(locked(&addresses.shares).len(), 2);
    }

    proptest! {
        #[test]
        fn nobody_comes_more_often_than_burst_and_rate_together(
            gaps in proptest::collection::vec(0u64..3_000, 0..100),
        ) {
            let addresses = addresses(4);
            let start = Instant::now();
            let mut now = start;
            let mut came = 0;
            for gap in gaps {
                now += Duration::from_millis(gap);
                came += usize::from(addresses.arrives(now, v4(7)));
                let most = 3.0 + now.duration_since(start).as_secs_f64();
                prop_assert!(came as f64 <= most + 1e-6);
            }
        }
    }
}
