//! Addresses of STUN and TURN servers (RFC 7064, RFC 7065). Pure.

use std::fmt;

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum By {
    Udp,
    Tcp,
    Tls,
}

/// One address of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct IceUrl {
    pub(super) relays: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) by: By,
}

impl IceUrl {
    /// Reads `stun:`, `stuns:`, `turn:` and `turns:`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let (relays, secure) = match scheme.to_ascii_lowercase().as_str() {
            "stun" => (false, false),
            "stuns" => (false, true),
            "turn" => (true, false),
            "turns" => (true, true),
            _ => return None,
        };
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|p| p.split_once(']')) {
            Some((six, after)) => (six, after.strip_prefix(':')),
            None => match place.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = match port.filter(|port| !port.is_empty()) {
            Some(port) => port.parse().ok()?,
            None if secure => 5349,
            None => 3478,
        };
        let by = match (secure, query.and_then(|q| q.strip_prefix("transport="))) {
            (true, _) => By::Tls,
            (false, Some("tcp")) => By::Tcp,
            (false, None | Some("udp")) => By::Udp,
            _ => return None,
        };
        (!host.is_empty()).then(|| Self {
            relays,
            host: host.to_owned(),
            port,
            by,
        })
    }
}

impl fmt::Display for IceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.relays, self.by) {
            (false, By::Tls) => "stuns",
            (false, _) => "stun",
            (true, By::Tls) => "turns",
            (true, _) => "turn",
        };
        let tcp = if self.by == By::Tcp {
            "?transport=tcp"
        } else {
            ""
        };
        if self.host.contains(':') {
            write!(f, "{scheme}:[{}]:{}{tcp}", self.host, self.port)
        } else {
            write!(f, "{scheme}:{}:{}{tcp}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_with_their_defaults() {
        for (text, shown) in [
            ("stun:example.org", "stun:example.org:3478"),
            ("turns:example.org", "turns:example.org:5349"),
            (
                "turn:192.0.2.1:80?transport=tcp",
                "turn:192.0.2.1:80?transport=tcp",
            ),
            ("turn:[2001:db8::1]:9?transport=udp", "turn:[2001:db8::1]:9"),
            ("STUN:[2001:db8::1]", "stun:[2001:db8::1]:3478"),
        ] {
            assert_eq!(IceUrl::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "http://x",
            "stun:",
            "turn:x:port",
            "turn:x?transport=sctp",
        ] {
            assert_eq!(IceUrl::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(text in "(stun|turn|turns|x):(\\[[0-9a-f:]{0,8}\\]|[a-z0-9.:]{0,12})(\\?transport=(tcp|udp))?") {
            if let Some(url) = IceUrl::parse(&text) {
                prop_assert_eq!(IceUrl::parse(&url.to_string()), Some(url));
            }
        }
    }
}
