//! URLs of TURN servers (RFC 7065).

use std::fmt;

/// How a TURN server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    /// `relayProtocol` of W3C webrtc-stats.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// Where a TURN server is, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) transport: Transport,
}

impl Server {
    /// Reads `turn:` and `turns:`. Nothing where it is no URL of either, or one of a transport that nobody speaks.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once(':')?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "turn" => false,
            "turns" => true,
            _ => return None,
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let transport = match (secure, query.strip_prefix("transport=")) {
            (false, Some("udp")) => Transport::Udp,
            (false, Some("tcp")) => Transport::Tcp,
            (true, Some("tcp")) => Transport::Tls,
            (false, None) if query.is_empty() => Transport::Udp,
            (true, None) if query.is_empty() => Transport::Tls,
            _ => return None,
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(six) => {
                let (host, port) = six.split_once(']')?;
                let port = match port {
                    "" => None,
                    _ => Some(port.strip_prefix(':')?),
                };
                (host, port)
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None if secure => 5349,
            None => 3478,
        };
        let plain = !host.is_empty() && !host.contains(['/', '@', ' ', '[', ']']);
        plain.then(|| Self {
            host: host.to_owned(),
            port,
            transport,
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Tls => "turns",
            _ => "turn",
        };
        let (open, close) = match self.host.contains(':') {
            true => ("[", "]"),
            false => ("", ""),
        };
        let (host, port) = (&self.host, self.port);
        write!(f, "{scheme}:{open}{host}{close}:{port}")?;
        match self.transport {
            Transport::Tcp => f.write_str("?transport=tcp"),
            _ => Ok(()),
        }
    }
}

/// Whether this is a TURN server that is reached by UDP.
pub(crate) fn is_by_udp(url: &str) -> bool {
    Server::parse(url).is_some_and(|server| server.transport == Transport::Udp)
}

/// Why this URL of a TURN server cannot be used, if it cannot.
pub(crate) fn check(url: &str) -> Result<(), &'static str> {
    if !url.starts_with("turn") || Server::parse(url).is_some() {
        return Ok(());
    }
    if url.starts_with("turns:") && url.ends_with("?transport=udp") {
        return Err("TURN by DTLS is not spoken; leave ?transport=udp away for TLS over TCP");
    }
    Err(
        "write turn:HOST:PORT, turn:HOST:PORT?transport=tcp or turns:HOST:PORT, with brackets around an IPv6 address",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn transports_and_ports_are_those_of_the_scheme_unless_told() {
        for (url, host, port, transport) in [
            ("turn:example.org", "example.org", 3478, Transport::Udp),
            (
                "turn:192.0.2.9:99?transport=udp",
                "192.0.2.9",
                99,
                Transport::Udp,
            ),
            (
                "turn:example.org?transport=tcp",
                "example.org",
                3478,
                Transport::Tcp,
            ),
            ("TURNS:example.org", "example.org", 5349, Transport::Tls),
            (
                "turns:example.org:443?transport=tcp",
                "example.org",
                443,
                Transport::Tls,
            ),
            (
                "turns:[2001:db8::5]:443",
                "2001:db8::5",
                443,
                Transport::Tls,
            ),
            ("turn:[::1]?transport=tcp", "::1", 3478, Transport::Tcp),
        ] {
            let server = Server::parse(url).unwrap();
            assert_eq!(
                (&*server.host, server.port, server.transport),
                (host, port, transport)
            );
            assert_eq!(Server::parse(&server.to_string()), Some(server), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_used_says_what_to_write() {
        assert_eq!(check("stun:anything"), Ok(()));
        assert_eq!(check("turns:example.org"), Ok(()));
        assert!(
            check("turns:example.org?transport=udp")
                .unwrap_err()
                .contains("DTLS")
        );
        for bad in [
            "turn:",
            "turn:?transport=tcp",
            "turn:a:0",
            "turn:a:70000",
            "turn:a:b",
            "turn:[::1",
            "turn:[::1]1",
            "turn:a?transport=sctp",
            "turn:a?x=y",
            "turn://a",
            "turn:user@a",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_more_than_refused(text in ".{0,40}") {
            for scheme in ["turn:", "turns:", ""] {
                let url = format!("{scheme}{text}");
                if let Some(server) = Server::parse(&url) {
                    prop_assert_eq!(Server::parse(&server.to_string()), Some(server));
                }
            }
        }
    }
}
