//! What the engine is told in place of servers that it cannot reach by itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::url::{Server, Transport};
use crate::trust::Trust;

/// More servers than anybody has; what is beyond them is left to the engine, which leaves it out.
const MOST: usize = 250;

/// The dummy address of IPv4 (RFC 7600, section 4.8), and one of the block of IPv6 that is thrown away (RFC 6666).
const NOBODY_4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
const NOBODY_6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8);

/// A name that resolves nowhere (RFC 6761, section 6.4).
const SUFFIX: &str = ".turn.invalid";

/// The servers that are reached by streams, each known to the engine by another name and address.
#[derive(Debug, Default)]
pub(crate) struct StandIns {
    servers: Vec<(Server, String)>,
    /// Drawn anew each time: no far side can send us to a server of ours by a candidate with its address.
    first_port: u16,
    trust: Trust,
}

impl StandIns {
    /// None so far; `trust` says which servers are believed by TLS.
    pub(crate) fn new(trust: Trust) -> Self {
        Self {
            servers: Vec::new(),
            first_port: rand::random_range(1024..=u16::MAX - 250),
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
        format!("turn:{number}{SUFFIX}:{}?transport=udp", self.first_port)
    }

    /// The server that the engine means by this (`HOST:PORT`), and where it is to find it, if it is one of ours.
    pub(crate) fn resolve(&self, host: &str) -> Option<(Server, [SocketAddr; 2])> {
        let (name, _) = host.rsplit_once(':')?;
        let number: usize = name.strip_suffix(SUFFIX)?.parse().ok()?;
        let (server, _) = self.servers.get(number)?;
        let port = self.first_port.checked_add(u16::try_from(number).ok()?)?;
        let places =
            [IpAddr::V4(NOBODY_4), IpAddr::V6(NOBODY_6)].map(|ip| SocketAddr::new(ip, port));
        Some((server.clone(), places))
    }

    /// The server that stands behind an address.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<&Server> {
        if address.ip() != NOBODY_4 && address.ip() != NOBODY_6 {
            return None;
        }
        let number = address.port().checked_sub(self.first_port)?;
        let (server, _) = self.servers.get(usize::from(number))?;
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
            let (found, addresses) = all.resolve(place).unwrap();
            assert_eq!(found, server);
            assert_eq!(addresses.map(|a| a.is_ipv4()), [true, false]);
            for address in addresses {
                assert_eq!(all.at(address), Some(&server));
                assert_eq!(
                    all.at(SocketAddr::new([192, 0, 2, 1].into(), address.port())),
                    None
                );
            }
        }
        let ports = told.map(|url| all.resolve(&url[5..url.len() - 14]).unwrap().1[0].port());
        assert_ne!(ports[0], ports[1]);
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
        for port in [all.first_port - 1, all.first_port + 1] {
            assert_eq!(
                all.at(SocketAddr::new(NOBODY_4.into(), port)),
                None,
                "{port}"
            );
        }
    }
}
