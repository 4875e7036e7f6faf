//! What the engine is told in place of servers that it cannot reach by itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::url::{Server, Transport};
use crate::trust::Trust;

/// More servers than anybody has; what is beyond them is left to the engine, which leaves it out.
const MOST: usize = 250;

/// A name that resolves nowhere (RFC 6761, section 6.4).
const SUFFIX: &str = ".turn.invalid";

/// The servers that are reached by streams, each known to the engine by another name and address.
#[derive(Debug, Default)]
pub(crate) struct StandIns {
    servers: Vec<(Server, String)>,
    /// Drawn anew each time: no far side can send us to a server of ours by a candidate with its address.
    port: u16,
    trust: Trust,
}

impl StandIns {
    /// None so far; `trust` says which servers are believed by TLS.
    pub(crate) fn new(trust: Trust) -> Self {
        Self {
            servers: Vec::new(),
            port: rand::random_range(1024..=u16::MAX),
            trust,
        }
    }

    /// The URL that the engine gets for this one: another where a stream is needed, else the same.
    pub(crate) fn url_for_engine(&mut self, url: &str) -> String {
        let Some(server) = Server::parse(url).filter(|s| s.transport != Transport::Udp) else {
            return url.to_owned();
        };
        if self.servers.len() >= MOST {
            return url.to_owned();
        }
        let number = match self.servers.iter().position(|(known, _)| *known == server) {
            Some(number) => number,
            None => {
                self.servers.push((server, url.to_owned()));
                self.servers.len() - 1
            }
        };
        format!("turn:{number}{SUFFIX}:{}?transport=udp", self.port)
    }

    /// Where the engine finds it, if this (`HOST:PORT`) is one of ours.
    pub(crate) fn resolve(&self, host: &str) -> Option<Vec<SocketAddr>> {
        let (name, _) = host.rsplit_once(':')?;
        let number: usize = name.strip_suffix(SUFFIX)?.parse().ok()?;
        self.servers.get(number)?;
        let number = u8::try_from(number).ok()?;
        let four = Ipv4Addr::new(192, 0, 2, number + 1);
        let six = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number) + 1);
        let both = [IpAddr::from(four), IpAddr::from(six)];
        Some(both.map(|ip| SocketAddr::new(ip, self.port)).to_vec())
    }

    /// The server that stands behind an address.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<&Server> {
        if address.port() != self.port {
            return None;
        }
        let number = match address.ip() {
            IpAddr::V4(ip) => match ip.octets() {
                [192, 0, 2, number] => usize::from(number),
                _ => return None,
            },
            IpAddr::V6(ip) => match ip.segments() {
                [0x2001, 0xdb8, 0, 0, 0, 0, 0, number] => usize::from(number),
                _ => return None,
            },
        };
        let (server, _) = self.servers.get(number.checked_sub(1)?)?;
        Some(server)
    }

    /// What was asked for, for a URL of the engine's, and how that is reached.
    pub(crate) fn original(&self, url: &str) -> Option<(String, Transport)> {
        let server = Server::parse(url)?;
        let number = server.host.strip_suffix(SUFFIX);
        match number.and_then(|number| number.parse::<usize>().ok()) {
            Some(number) => {
                let (server, url) = self.servers.get(number)?;
                Some((url.clone(), server.transport))
            }
            None => Some((url.to_owned(), server.transport)),
        }
    }

    /// Which servers are believed.
    pub(crate) const fn trust(&self) -> &Trust {
        &self.trust
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_streams_get_another_name_and_it_leads_back() {
        let mut all = StandIns::new(Trust::default());
        for same in [
            "stun:a:1",
            "turn:a:1",
            "turn:a:1?transport=udp",
            "turns:a?transport=udp",
            "x",
        ] {
            assert_eq!(all.url_for_engine(same), same);
        }
        let asked = [
            "turn:a:1?transport=tcp",
            "turns:a:2",
            "turn:a:1?transport=tcp",
        ];
        let told = asked.map(|url| all.url_for_engine(url));
        assert_eq!(told[0], told[2]);
        assert_ne!(told[0], told[1]);
        for (asked, told) in asked.iter().zip(&told) {
            let server = Server::parse(asked).unwrap();
            assert_eq!(
                all.original(told),
                Some(((*asked).to_owned(), server.transport))
            );
            let place = told
                .strip_prefix("turn:")
                .unwrap()
                .split('?')
                .next()
                .unwrap();
            let addresses = all.resolve(place).unwrap();
            assert_eq!(
                addresses
                    .iter()
                    .map(SocketAddr::is_ipv4)
                    .collect::<Vec<_>>(),
                [true, false]
            );
            for address in addresses {
                assert_eq!(all.at(address), Some(&server));
                assert_eq!(all.at(SocketAddr::new(address.ip(), all.port - 1)), None);
            }
        }
        let udp = "turn:a:1?transport=udp";
        assert_eq!(all.original(udp), Some((udp.to_owned(), Transport::Udp)));
    }

    #[test]
    fn nobody_elses_names_and_addresses_are_ours() {
        let mut all = StandIns::new(Trust::default());
        all.url_for_engine("turns:a");
        for host in [
            "a:3478",
            "1.turn.invalid:5",
            "x.turn.invalid:5",
            ".turn.invalid:5",
            "0.turn.invalid",
        ] {
            assert_eq!(all.resolve(host), None, "{host}");
        }
        for ip in [
            "192.0.2.0",
            "192.0.2.2",
            "192.0.3.1",
            "2001:db8::",
            "2001:db8::2",
            "2001:db8:1::1",
        ] {
            let address = SocketAddr::new(ip.parse().unwrap(), all.port);
            assert_eq!(all.at(address), None, "{ip}");
        }
    }
}
