//! Flags about STUN and TURN.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use crate::Network;
use crate::tls::own_addresses;
use crate::turn::{Keys, Peers, Secret, TurnConfig, User};

/// See the module. With an address, there is a relay.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "STUN and TURN")]
pub(super) struct TurnFlags {
    /// Tell peers their address and relay for them here, by UDP and TCP, as in 0.0.0.0:3478; repeatable.
    #[arg(long, value_name = "ADDR:PORT")]
    turn: Vec<SocketAddr>,

    /// As --turn, by TLS, as in 0.0.0.0:5349, with the certificate of --tls-cert or --tls-self-signed; repeatable.
    #[arg(long, value_name = "ADDR:PORT")]
    turn_tls: Vec<SocketAddr>,

    /// Host by which peers find the relay. Without it: the addresses that it listens at, or this machine's.
    #[arg(long, value_name = "HOST", value_parser = host)]
    turn_host: Option<String>,

    /// Secret that short-lived credentials are made with, as coturn's static-auth-secret; env:NAME too. Without it: one of this run.
    #[arg(long, value_name = "FILE", value_parser = Secret::read)]
    turn_secret: Option<Secret>,

    /// Somebody who may relay without a short-lived credential; repeatable.
    #[arg(long, value_name = "NAME:PASSWORD", hide_env_values = true)]
    turn_user: Vec<User>,

    /// Seconds that a credential from the welcome serves.
    #[arg(long, value_name = "SECONDS", default_value_t = 43_200, value_parser = clap::value_parser!(u64).range(60..=604_800))]
    turn_credential_lifetime: u64,

    /// What the relay calls itself to its clients.
    #[arg(long, value_name = "NAME", default_value = "rtc-server", value_parser = realm)]
    turn_realm: String,

    /// Address of this machine that relayed traffic comes from; repeatable, one of each family. Without it: as it listens.
    #[arg(long, value_name = "ADDR")]
    turn_relay_ip: Vec<IpAddr>,

    /// What --turn-relay-ip is from outside, where a NAT is between; repeatable, one of each family.
    #[arg(long, value_name = "ADDR")]
    turn_external_ip: Vec<IpAddr>,

    /// Ports of relayed addresses.
    #[arg(long, value_name = "FIRST-LAST", default_value = "49152-65535", value_parser = ports)]
    turn_ports: RangeInclusive<u16>,

    /// Network whose peers may be relayed to though it is not public, as 192.168.0.0/16; repeatable.
    #[arg(long, value_name = "ADDR[/BITS]")]
    turn_allow_peer: Vec<Network>,

    /// Network whose peers may not be relayed to, whatever is allowed; repeatable.
    #[arg(long, value_name = "ADDR[/BITS]")]
    turn_deny_peer: Vec<Network>,

    /// Allocations that one credential may have at once, at all servers of a cluster; more are refused with 486.
    #[arg(long, value_name = "N", default_value_t = 64)]
    turn_per_credential: usize,

    /// Allocations in all; more are refused with 508.
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    turn_allocations: usize,

    /// Bytes a second that one allocation may relay, both ways together; more are dropped. Without it: as many as come.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1_500..))]
    turn_rate: Option<u32>,
}

impl TurnFlags {
    /// The relay that is asked for; none without an address.
    pub(super) fn config(self) -> Option<TurnConfig> {
        if self.turn.is_empty() && self.turn_tls.is_empty() {
            return None;
        }
        let secret = self.turn_secret.or_else(|| {
            // Users of one's own make one needless; without either, there must be one.
            self.turn_user.is_empty().then(Secret::random)
        });
        let listening = self.turn.iter().chain(&self.turn_tls).map(SocketAddr::ip);
        let relay = if self.turn_relay_ip.is_empty() {
            own(listening)
        } else {
            self.turn_relay_ip
        };
        Some(TurnConfig {
            listen: self.turn,
            listen_tls: self.turn_tls,
            realm: self.turn_realm,
            keys: Keys::new(secret.as_ref(), self.turn_user),
            credential_lifetime: Duration::from_secs(self.turn_credential_lifetime),
            relay,
            external: self.turn_external_ip,
            ports: self.turn_ports,
            peers: Peers {
                allowed: self.turn_allow_peer,
                denied: self.turn_deny_peer,
            },
            per_user: self.turn_per_credential,
            allocations: self.turn_allocations,
            rate: self.turn_rate,
            host: self.turn_host,
        })
    }
}

/// The first address of each family, where all means this machine's own.
fn own(listening: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> = Vec::new();
    for address in listening {
        let mine = if address.is_unspecified() {
            let all = own_addresses();
            let same = all
                .into_iter()
                .find(|one| one.is_ipv4() == address.is_ipv4());
            same.unwrap_or(address)
        } else {
            address
        };
        if own.iter().all(|one| one.is_ipv4() != mine.is_ipv4()) {
            own.push(mine);
        }
    }
    own
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = || {
        let (first, last) = text.split_once('-')?;
        let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
        (first > 0 && first <= last).then_some(first..=last)
    };
    range().ok_or_else(|| "give the first and the last port, as in 49152-65535".to_owned())
}

fn host(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
    let six = text.contains(':');
    let bracketed = text.starts_with('[') && text.ends_with(']');
    if text.is_empty() || !text.chars().all(plain) || six != bracketed {
        return Err(
            "give a name or an address without port, as in turn.example.org or [2001:db8::1]"
                .into(),
        );
    }
    Ok(text.to_owned())
}

/// RFC 8489, section 14.9: fewer than 128 characters.
fn realm(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..128 => Ok(text.to_owned()),
        _ => Err("give a name of 1 to 127 characters".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ports_and_hosts_are_checked() {
        assert_eq!(ports("49152-65535"), Ok(49_152..=65_535));
        assert_eq!(ports("5000-5000"), Ok(5_000..=5_000));
        for bad in ["", "5000", "6000-5000", "0-10", "1-70000", "a-b"] {
            assert!(ports(bad).is_err(), "{bad}");
        }
        for good in ["turn.example.org", "192.0.2.1", "[2001:db8::1]"] {
            assert!(host(good).is_ok(), "{good}");
        }
        for bad in ["", "turn.example.org:3478", "2001:db8::1", "turn:x", "a b"] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn relayed_traffic_comes_from_where_it_is_listened_to() {
        let addresses = ["127.0.0.1", "192.0.2.1", "::1"].map(|text| text.parse().unwrap());
        assert_eq!(own(addresses.into_iter()), [addresses[0], addresses[2]]);
    }
}
