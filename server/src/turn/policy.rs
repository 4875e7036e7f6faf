//! Whom a relay relays to. What lies behind it, such as the machine itself and its own network, is not for strangers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::listener::Network;

/// Which peers may be relayed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Networks that may be, though they would not be otherwise.
    pub allowed: Vec<Network>,
    /// Networks that may not be; these count more.
    pub denied: Vec<Network>,
}

impl Peers {
    /// Whether somebody at this address may be relayed to.
    #[must_use]
    pub fn may(&self, peer: IpAddr) -> bool {
        // ::ffff:127.0.0.1 is 127.0.0.1 by another name.
        let peer = peer.to_canonical();
        let among = |networks: &[Network]| networks.iter().any(|network| network.holds(peer));
        !among(&self.denied) && !is_nowhere(peer) && (among(&self.allowed) || is_public(peer))
    }
}

/// What no single peer is at: everybody, nobody.
fn is_nowhere(peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(four) => four.is_multicast() || four.is_broadcast() || four.octets()[0] == 0,
        IpAddr::V6(six) => six.is_multicast() || six.is_unspecified(),
    }
}

/// Global unicast, by the IANA registries of special-purpose addresses (RFC 6890).
fn is_public(peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

fn is_public_v4(four: Ipv4Addr) -> bool {
    let [a, b, c, _] = four.octets();
    let special = four.is_private()
        || four.is_loopback()
        || four.is_link_local()
        || four.is_documentation()
        || matches!((a, b), (100, 64..=127) | (198, 18..=19)) // carrier's NAT, benchmarks
        || matches!((a, b, c), (192, 0, 0) | (192, 88, 99))
        || a >= 240;
    !special
}

fn is_public_v6(six: Ipv6Addr) -> bool {
    let [a, b, ..] = six.segments();
    let inner = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match (a, b) {
        // IPv4 by way of NAT64 (RFC 6052) and 6to4 (RFC 3056): as the IPv4 address within.
        (0x64, 0xff9b) => is_public_v4(inner(six.segments()[6], six.segments()[7])),
        (0x2002, _) => is_public_v4(inner(b, six.segments()[2])),
        (0x2001, 0xdb8 | 0..=0x1ff) => false,
        _ => (0x2000..0x4000).contains(&a),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_lies_behind_the_server_is_refused_and_the_world_is_not() {
        let peers = Peers::default();
        for no in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "::127.0.0.1",
            "2001::1",
        ] {
            assert!(!peers.may(no.parse().unwrap()), "{no}");
        }
        for yes in [
            "1.1.1.1",
            "203.0.112.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "2a00::1",
        ] {
            assert!(peers.may(yes.parse().unwrap()), "{yes}");
        }
    }

    #[test]
    fn networks_are_allowed_and_denied_by_name() {
        let peers = Peers {
            allowed: vec![
                "10.0.0.0/8".parse().unwrap(),
                "127.0.0.0/8".parse().unwrap(),
            ],
            denied: vec!["10.9.0.0/16".parse().unwrap(), "1.1.1.1".parse().unwrap()],
        };
        for (address, may) in [
            ("10.1.2.3", true),
            ("127.0.0.1", true),
            ("::ffff:10.1.2.3", true),
            ("10.9.1.1", false),
            ("1.1.1.1", false),
            ("192.168.0.1", false),
        ] {
            assert_eq!(peers.may(address.parse().unwrap()), may, "{address}");
        }
        let all = Peers {
            allowed: vec!["0.0.0.0/0".parse().unwrap()],
            denied: Vec::new(),
        };
        assert!(
            !all.may("224.0.0.1".parse().unwrap()),
            "a group is nobody's peer"
        );
    }
}
