//! How many connections there are, in all and from each address.
//!
//! An address is one of IPv4, or a /64 of IPv6, which is what one customer has at least
//! (RFC 6177). Networks that are exempt count in all only: a proxy in front of the server
//! speaks for many. In a cluster, what an address has at the other servers counts as well, as they told.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cluster::holdings::told::Key;
use crate::cluster::holdings::{Common, Holders, heaviest};

/// Connections that are told at once why they are turned away; beyond, they are closed without a word.
const REFUSED_AT_ONCE: usize = 64;

/// Addresses that begin with the same bits, written as in `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

/// A text that is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no network; write an address, or one with the number of bits as in 10.0.0.0/8 or fd00::/8"
)]
pub struct NetworkError(String);

impl Network {
    /// The machine itself, in both families.
    pub const LOOPBACK: [Self; 2] = [
        Self {
            base: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            bits: 8,
        },
        Self {
            base: IpAddr::V6(Ipv6Addr::LOCALHOST),
            bits: 128,
        },
    ];

    /// The addresses that share the first `bits` with this one.
    fn of(address: IpAddr, bits: u8) -> Option<Self> {
        let base = match address {
            IpAddr::V4(four) if bits <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                Ipv4Addr::from_bits(four.to_bits() & mask).into()
            }
            IpAddr::V6(six) if bits <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                Ipv6Addr::from_bits(six.to_bits() & mask).into()
            }
            _ => return None,
        };
        Some(Self { base, bits })
    }

    /// What counts as one address: an IPv4 address, or a /64 of IPv6.
    pub(crate) fn of_one(address: IpAddr) -> Self {
        let base = address.to_canonical();
        let bits = if base.is_ipv4() { 32 } else { 64 };
        Self::of(base, bits).unwrap_or(Self { base, bits })
    }

    /// Whether an address is one of them.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        Self::of(address.to_canonical(), self.bits).is_some_and(|of| of.base == self.base)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network = || {
            let address: IpAddr = address.parse().ok()?;
            let whole = if address.is_ipv4() { 32 } else { 128 };
            Self::of(address, bits.map_or(Ok(whole), str::parse).ok()?)
        };
        network().ok_or_else(|| NetworkError(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// The address has as many as one may have.
    Address,
    /// It has with what it has at other servers of the cluster.
    Everywhere,
    /// The address connects more often than one may.
    Often,
    /// The server has.
    Server,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    refused: usize,
    by_address: HashMap<Network, usize>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    per_address: usize,
    exempt: Vec<Network>,
    counts: Mutex<Counts>,
    /// The same at the other servers of a cluster; none on a server that stands alone.
    common: Option<Common>,
}

impl Places {
    pub(crate) fn new(
        all: usize,
        per_address: usize,
        exempt: Vec<Network>,
        common: Option<Common>,
    ) -> Arc<Self> {
        let places = Arc::new(Self {
            all,
            per_address,
            exempt,
            counts: Mutex::default(),
            common,
        });
        if let Some(common) = &places.common {
            common.counts(per_address, &places);
        }
        places
    }

    /// A place for a connection from there, given back when it is dropped.
    pub(crate) fn take(self: &Arc<Self>, from: IpAddr) -> Result<Place, Crowded> {
        let whose = self.counted_as(from);
        let mut counts = self.counts();
        if counts.all >= self.all {
            return Err(Crowded::Server);
        }
        if let Some(whose) = whose {
            let had = counts.by_address.get(&whose).copied().unwrap_or(0);
            if had >= self.per_address {
                return Err(Crowded::Address);
            }
            if let Some(common) = &self.common
                && had.saturating_add(common.elsewhere(|| key(whose))) >= self.per_address
            {
                return Err(Crowded::Everywhere);
            }
            counts.by_address.insert(whose, had + 1);
        }
        counts.all += 1;
        Ok(Place {
            places: Arc::clone(self),
            held: Held::Connection(whose),
        })
    }

    /// A place among those that are told why there is none.
    pub(crate) fn take_to_refuse(self: &Arc<Self>) -> Option<Place> {
        let mut counts = self.counts();
        if counts.refused >= REFUSED_AT_ONCE {
            return None;
        }
        counts.refused += 1;
        Some(Place {
            places: Arc::clone(self),
            held: Held::Refusal,
        })
    }

    fn counted_as(&self, from: IpAddr) -> Option<Network> {
        if self.exempt.iter().any(|network| network.holds(from)) {
            return None;
        }
        Some(Network::of_one(from))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing panics while it is held.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an address is known by at other servers.
fn key(whose: Network) -> Key {
    Key::of(&whose.to_string())
}

impl Holders for Places {
    fn heaviest(&self, least: usize, most: usize) -> Vec<(Key, usize)> {
        let counts = self.counts();
        let all = counts
            .by_address
            .iter()
            .map(|(whose, held)| (*whose, *held));
        let heavy = heaviest(all, least, most);
        drop(counts);
        let heavy = heavy.into_iter();
        heavy.map(|(whose, held)| (key(whose), held)).collect()
    }
}

#[derive(Debug)]
enum Held {
    Connection(Option<Network>),
    Refusal,
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    held: Held,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.counts();
        match self.held {
            Held::Refusal => counts.refused -= 1,
            Held::Connection(whose) => {
                counts.all -= 1;
                let Some(whose) = whose else { return };
                if let Some(had) = counts.by_address.get_mut(&whose) {
                    *had -= 1;
                    if *had == 0 {
                        counts.by_address.remove(&whose);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::cluster::holdings::Holdings;
    use crate::cluster::holdings::told::Kind;
    use crate::cluster::regions::Region;

    const LEASE: Duration = Duration::from_secs(60);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let places = Places::new(100, 2, Vec::new(), None);
        let first = places.take(ip("192.0.2.1")).unwrap();
        let _second = places.take(ip("192.0.2.1")).unwrap();
        assert_eq!(places.take(ip("192.0.2.1")).unwrap_err(), Crowded::Address);
        assert!(places.take(ip("192.0.2.2")).is_ok());
        drop(first);
        assert!(places.take(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn a_64_of_ipv6_is_one_address() {
        let places = Places::new(100, 1, Vec::new(), None);
        let _held = places.take(ip("2001:db8:0:1::1")).unwrap();
        let same = places.take(ip("2001:db8:0:1:ffff::2"));
        assert_eq!(same.unwrap_err(), Crowded::Address);
        assert!(places.take(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn exempt_networks_count_in_all_alone() {
        let places = Places::new(3, 1, Network::LOOPBACK.to_vec(), None);
        let held: Vec<_> = ["127.0.0.1", "127.9.9.9", "::1"]
            .map(|from| places.take(ip(from)).unwrap())
            .into();
        assert_eq!(places.take(ip("127.0.0.1")).unwrap_err(), Crowded::Server);
        drop(held);
        assert!(places.counts().by_address.is_empty());
        assert_eq!(places.counts().all, 0);
    }

    #[test]
    fn what_an_address_has_at_other_servers_counts_until_it_is_given_back() {
        let (here, there) = (Holdings::new(LEASE), Holdings::new(LEASE));
        let places = |of: &Holdings| {
            let common = Some(of.common(Kind::Connections));
            Places::new(100, 3, Network::LOOPBACK.to_vec(), common)
        };
        let (mine, others) = (places(&here), places(&there));
        let told = || {
            let text = there.tell(Instant::now()).0.into_iter();
            here.hear(Instant::now(), Region::default(), 1, text);
        };
        let from = ["192.0.2.1", "2001:db8:0:1::1", "127.0.0.1"].map(ip);
        let mut held: Vec<_> = from.map(|from| others.take(from).unwrap()).into();
        held.extend(from.map(|from| others.take(from).unwrap()));
        told();
        let _held = from.map(|from| mine.take(from).unwrap());
        assert_eq!(mine.take(from[0]).unwrap_err(), Crowded::Everywhere);
        let same = mine.take(ip("2001:db8:0:1:ffff::2"));
        assert_eq!(same.unwrap_err(), Crowded::Everywhere, "a /64 is one");
        assert!(mine.take(from[2]).is_ok(), "exempt");
        assert!(mine.take(ip("192.0.2.2")).is_ok());
        drop(held);
        told();
        assert!(mine.take(from[0]).is_ok());
        // What is no more there is not told of.
        drop(others);
        assert_eq!(there.tell(Instant::now()), (None, 0));
    }

    #[test]
    fn those_told_why_are_bounded() {
        let places = Places::new(0, 0, Vec::new(), None);
        let told: Vec<_> = std::iter::from_fn(|| places.take_to_refuse()).collect();
        assert_eq!(told.len(), REFUSED_AT_ONCE);
        drop(told);
        assert!(places.take_to_refuse().is_some());
    }

    #[test]
    fn networks_are_read_and_written() {
        let ten: Network = "10.1.2.3/8".parse().unwrap();
        assert_eq!(ten.to_string(), "10.0.0.0/8");
        assert!(ten.holds(ip("10.255.0.1")) && ten.holds(ip("::ffff:10.0.0.1")));
        assert!(!ten.holds(ip("11.0.0.1")) && !ten.holds(ip("::1")));
        let all: Network = "::/0".parse().unwrap();
        assert!(all.holds(ip("2001:db8::1")) && !all.holds(ip("192.0.2.1")));
        assert_eq!(
            "192.0.2.7".parse::<Network>().unwrap().to_string(),
            "192.0.2.7/32"
        );
        for bad in [
            "",
            "/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "host/8",
            "10.0.0.0/",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_network_or_none(text in "\\PC*") {
            if let Ok(network) = text.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
            }
        }

        #[test]
        fn a_network_holds_the_address_it_was_made_of(bits in any::<u128>(), length in 0u8..=128) {
            let six = Ipv6Addr::from_bits(bits);
            prop_assume!(six.to_ipv4_mapped().is_none());
            prop_assert!(Network::of(six.into(), length).is_some_and(|network| network.holds(six.into())));
        }
    }
}
