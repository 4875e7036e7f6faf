//! Free ports of a range, at random, so that nobody can guess where another's allocation is (RFC 6056).

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use rand::Rng;
use tokio::net::UdpSocket;

/// Ports that are tried; with nine tenths of a range taken, one in a thousand searches fails.
const TRIES: u32 = 64;

/// A socket at a port that `step` divides.
pub(super) fn one(own: IpAddr, ports: &RangeInclusive<u16>, step: u16) -> Option<UdpSocket> {
    tries(ports, step).find_map(|port| bind(own, port))
}

/// Two sockets: an even port and the one after it.
pub(super) fn pair(own: IpAddr, ports: &RangeInclusive<u16>) -> Option<(UdpSocket, UdpSocket)> {
    let both = tries(ports, 2).filter(|port| ports.contains(&port.saturating_add(1)));
    both.filter_map(|port| Some((bind(own, port)?, bind(own, port + 1)?)))
        .next()
}

/// Ports of the range that `step` divides: some at random, or all of a small range, from a random one on.
fn tries(ports: &RangeInclusive<u16>, step: u16) -> impl Iterator<Item = u16> + use<> {
    let step = u32::from(step);
    let first = u32::from(*ports.start()).next_multiple_of(step);
    let last = u32::from(*ports.end());
    let count = if last < first {
        0
    } else {
        (last - first) / step + 1
    };
    let begin = if count == 0 {
        0
    } else {
        rand::rng().random_range(0..count)
    };
    // Steps of an odd stride would visit them all only where it shares no divisor; a small range is walked.
    let walk = count <= TRIES;
    (0..count.min(TRIES)).filter_map(move |n| {
        let place = if walk {
            (begin + n) % count
        } else {
            rand::rng().random_range(0..count)
        };
        u16::try_from(first + place * step).ok()
    })
}

fn bind(own: IpAddr, port: u16) -> Option<UdpSocket> {
    let socket = std::net::UdpSocket::bind(SocketAddr::new(own, port)).ok()?;
    socket.set_nonblocking(true).ok()?;
    UdpSocket::from_std(socket).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tries_stay_within_the_range(a in any::<u16>(), b in any::<u16>(), step in 1u16..=2) {
            let ports = a.min(b)..=a.max(b);
            for port in tries(&ports, step) {
                prop_assert!(ports.contains(&port) && port % step == 0);
            }
        }
    }

    #[test]
    fn a_small_range_is_tried_whole() {
        let mut all: Vec<u16> = tries(&(50_000..=50_009), 2).collect();
        all.sort_unstable();
        assert_eq!(all, [50_000, 50_002, 50_004, 50_006, 50_008]);
        assert_eq!(tries(&(50_001..=50_001), 2).count(), 0);
        assert_eq!(tries(&(65_535..=65_535), 1).collect::<Vec<_>>(), [65_535]);
    }
}
