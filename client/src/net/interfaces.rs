//! The addresses of this machine, and which of them calls use.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::ops::RangeInclusive;

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// What the system calls the interface.
    pub interface: String,
    /// The address.
    pub ip: IpAddr,
}

/// What the machine has now. Link-local addresses of IPv6 are left out: they mean nothing without their scope
/// (RFC 8445, section 5.1.1.1).
///
/// # Errors
/// When the system does not say.
pub fn present() -> io::Result<Vec<Address>> {
    let all = if_addrs::get_if_addrs()?;
    let usable = all
        .into_iter()
        .filter(|one| one.is_oper_up() || one.is_loopback())
        .map(|one| Address {
            ip: one.ip(),
            interface: one.name,
        })
        .filter(|one| !one.ip.is_unspecified() && !is_link_local(one.ip));
    let mut usable: Vec<_> = usable.collect();
    usable.sort_unstable();
    usable.dedup();
    Ok(usable)
}

const fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// One of the two families of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    const fn has(self, ip: IpAddr) -> bool {
        matches!(
            (self, ip),
            (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_))
        )
    }
}

/// Which addresses and ports are used; by default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// These addresses and no others, whatever the machine has.
    pub bind: Vec<IpAddr>,
    /// Of these interfaces alone, if any are named.
    pub interfaces: Vec<String>,
    /// Of these never.
    pub without: Vec<String>,
    /// Of one family alone.
    pub family: Option<Family>,
    /// Ports of our sockets.
    pub ports: Option<RangeInclusive<u16>>,
}

impl Choice {
    /// The addresses that are used of those that there are. Loopback is used only where there is nothing else, or where
    /// it was named.
    #[must_use]
    pub fn of(&self, present: &[Address]) -> Vec<IpAddr> {
        if !self.bind.is_empty() {
            return self.bind.clone();
        }
        let named = |names: &[String], one: &Address| names.contains(&one.interface);
        let wanted = present.iter().filter(|one| {
            (self.interfaces.is_empty() || named(&self.interfaces, one))
                && !named(&self.without, one)
                && self.family.is_none_or(|family| family.has(one.ip))
        });
        let mut found: Vec<_> = wanted.map(|one| one.ip).collect();
        if found.iter().any(|ip| !ip.is_loopback()) && self.interfaces.is_empty() {
            found.retain(|ip| !ip.is_loopback());
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Where sockets of UDP are bound.
    #[must_use]
    pub fn udp(&self) -> Places {
        let (choice, stream) = (self.clone(), false);
        Places { choice, stream }
    }

    /// Where it is listened to by TCP.
    #[must_use]
    pub fn tcp(&self) -> Places {
        let (choice, stream) = (self.clone(), true);
        Places { choice, stream }
    }
}

/// Where sockets are bound at the moment of asking. The engine asks at first and at each ICE restart.
#[derive(Clone, Debug)]
pub struct Places {
    choice: Choice,
    stream: bool,
}

impl Places {
    fn now(&self) -> io::Result<Vec<SocketAddr>> {
        let mut found = self.choice.of(&present()?);
        if found.is_empty() {
            // Nothing at this moment. A connection without a socket would be over; this one waits for a network.
            found.push(match self.choice.family {
                Some(Family::V6) => Ipv6Addr::LOCALHOST.into(),
                _ => Ipv4Addr::LOCALHOST.into(),
            });
        }
        found.into_iter().map(|ip| self.place(ip)).collect()
    }

    fn place(&self, ip: IpAddr) -> io::Result<SocketAddr> {
        let Some(ports) = &self.choice.ports else {
            return Ok(SocketAddr::new(ip, 0));
        };
        let all: Vec<u16> = ports.clone().collect();
        // From anywhere in the range, so that connections that open at once do not meet at its first port.
        let start = rand::random_range(0..all.len().max(1));
        let (after, before) = (all.iter().skip(start), all.iter().take(start));
        for port in after.chain(before) {
            let place = SocketAddr::new(ip, *port);
            let free = match self.stream {
                true => TcpListener::bind(place).map(drop),
                false => UdpSocket::bind(place).map(drop),
            };
            match free {
                Ok(()) => return Ok(place),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                // The engine tries, and says why.
                Err(_) => return Ok(place),
            }
        }
        let (first, last) = (ports.start(), ports.end());
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!(
                "every port of --ports {first}-{last} is taken at {ip}; name more, one for each address and connection"
            ),
        ))
    }
}

impl ToSocketAddrs for Places {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        Ok(self.now()?.into_iter())
    }
}

/// The interfaces for people: `eth0 (192.0.2.7, 2001:db8::7), lo (127.0.0.1)`.
#[derive(Debug)]
pub struct Listed<'a>(pub &'a [Address]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<&str> = None;
        for Address { interface, ip } in self.0 {
            match before {
                Some(same) if same == interface => write!(f, ", {ip}")?,
                Some(_) => write!(f, "), {interface} ({ip}")?,
                None => write!(f, "{interface} ({ip}")?,
            }
            before = Some(interface);
        }
        f.write_str(if before.is_some() { ")" } else { "none" })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn machine() -> Vec<Address> {
        [
            ("eth0", "192.0.2.7"),
            ("eth0", "2001:db8::7"),
            ("lo", "127.0.0.1"),
            ("wlan0", "198.51.100.3"),
        ]
        .map(|(interface, ip)| Address {
            interface: interface.to_owned(),
            ip: ip.parse().unwrap(),
        })
        .to_vec()
    }

    fn used(choice: &Choice) -> Vec<String> {
        choice
            .of(&machine())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn interfaces_are_those_named_or_all_but_those_and_families_one_or_both() {
        let all = Choice::default();
        assert_eq!(used(&all), ["192.0.2.7", "198.51.100.3", "2001:db8::7"]);
        let only = |interfaces: &[&str]| Choice {
            interfaces: names(interfaces),
            ..Choice::default()
        };
        assert_eq!(used(&only(&["wlan0"])), ["198.51.100.3"]);
        assert_eq!(used(&only(&["lo", "wlan0"])), ["127.0.0.1", "198.51.100.3"]);
        assert!(used(&only(&["tun0"])).is_empty());
        let without = Choice {
            without: names(&["wlan0"]),
            family: Some(Family::V4),
            ..Choice::default()
        };
        assert_eq!(used(&without), ["192.0.2.7"]);
        let six = Choice {
            family: Some(Family::V6),
            ..Choice::default()
        };
        assert_eq!(used(&six), ["2001:db8::7"]);
        let bound = Choice {
            bind: vec![Ipv4Addr::new(10, 0, 0, 1).into()],
            ..six
        };
        assert_eq!(used(&bound), ["10.0.0.1"]);
    }

    #[test]
    fn loopback_serves_where_there_is_nothing_else() {
        let alone = &machine()[2..3];
        assert_eq!(Choice::default().of(alone), [IpAddr::from([127, 0, 0, 1])]);
    }

    #[test]
    fn ports_are_of_the_range_and_free_until_all_are_taken() {
        let held = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let choice = |ports| Choice {
            bind: vec![Ipv4Addr::LOCALHOST.into()],
            ports: Some(ports),
            ..Choice::default()
        };
        let error = choice(port..=port)
            .udp()
            .to_socket_addrs()
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("--ports {port}-{port}")), "{error}");
        drop(held);
        let free: Vec<_> = choice(port..=port)
            .udp()
            .to_socket_addrs()
            .unwrap()
            .collect();
        assert_eq!(free, [SocketAddr::from(([127, 0, 0, 1], port))]);
    }

    #[test]
    fn interfaces_are_listed_with_their_addresses() {
        let listed = Listed(&machine()).to_string();
        assert_eq!(
            listed,
            "eth0 (192.0.2.7, 2001:db8::7), lo (127.0.0.1), wlan0 (198.51.100.3)"
        );
        assert_eq!(Listed(&[]).to_string(), "none");
    }
}
