//! Where a broker is, as it is written on the command line. A password in it never shows.

use std::fmt;
use std::str::FromStr;

/// An address of a broker: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or of a Sentinel: `sentinel://HOST[:PORT]/NAME`.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    kind: Kind,
    rest: String,
}

/// What is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Redis or Valkey itself.
    Server,
    /// Somebody who knows where the primary of that name is.
    Sentinel {
        /// The name.
        master: String,
    },
}

/// A text that is no such address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give the broker's address as in redis://127.0.0.1:6379, or sentinel://127.0.0.1:26379/NAME for a Sentinel"
)]
pub struct BrokerUrlError;

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(BrokerUrlError)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let name = host.rsplit('@').next().unwrap_or_default();
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ',' | '#' | '?');
        if name.is_empty() || name.starts_with(':') || text.contains(odd) {
            return Err(BrokerUrlError);
        }
        let url = match scheme {
            "redis" | "valkey" => Self {
                kind: Kind::Server,
                rest: rest.to_owned(),
            },
            "sentinel" if !path.is_empty() => Self {
                kind: Kind::Sentinel {
                    master: path.to_owned(),
                },
                rest: if name.rsplit(']').next().unwrap_or_default().contains(':') {
                    host.to_owned()
                } else {
                    format!("{host}:26379")
                },
            },
            _ => return Err(BrokerUrlError),
        };
        match ::redis::parse_redis_url(&url.address()) {
            Some(_) if ::redis::Client::open(url.address()).is_ok() => Ok(url),
            _ => Err(BrokerUrlError),
        }
    }
}

impl BrokerUrl {
    pub(super) const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Which broker it is, without user and password: the same text however the address is written, as long as it names the
    /// same host.
    pub(in crate::cluster) fn place(&self) -> String {
        let shown = self.rest.rsplit('@').next().unwrap_or_default();
        let (host, path) = shown.split_once('/').unwrap_or((shown, ""));
        let host = host.to_ascii_lowercase();
        let has_port = host.rsplit(']').next().unwrap_or_default().contains(':');
        let port = if has_port { "" } else { ":6379" };
        match &self.kind {
            Kind::Server => {
                let database = if path.is_empty() { "0" } else { path };
                format!("redis://{host}{port}/{database}")
            }
            Kind::Sentinel { master } => format!("sentinel://{host}/{master}"),
        }
    }

    /// As the client library wants it, with the password.
    pub(super) fn address(&self) -> String {
        format!("redis://{}", self.rest)
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.rest.rsplit('@').next().unwrap_or_default();
        match &self.kind {
            Kind::Server => write!(f, "redis://{shown}"),
            Kind::Sentinel { master } => write!(f, "sentinel://{shown}/{master}"),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_the_password() {
        for (text, shown) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("valkey://h", "redis://h"),
            ("redis://ann:secret@h:1/2", "redis://h:1/2"),
            ("sentinel://:secret@h/main", "sentinel://h:26379/main"),
        ] {
            let url: BrokerUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("secret"));
        }
        for bad in [
            "",
            "h:6379",
            "http://h",
            "redis://",
            "redis://:1",
            "sentinel://h",
            "redis://h:x",
        ] {
            assert!(bad.parse::<BrokerUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_broker_is_the_same_place_however_its_address_is_written() {
        let place = |text: &str| text.parse::<BrokerUrl>().unwrap().place();
        for (one, other) in [
            ("redis://h", "valkey://ann:secret@H:6379/0"),
            ("redis://[::1]", "redis://[::1]:6379"),
            ("redis://h/", "redis://h"),
            ("sentinel://h/main", "sentinel://:secret@h:26379/main"),
        ] {
            assert_eq!(place(one), place(other));
            assert!(!place(other).contains("secret"));
        }
        for other in [
            "redis://h:6380",
            "redis://h/1",
            "redis://g",
            "sentinel://h:6379/0",
        ] {
            assert_ne!(place("redis://h"), place(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_none(text in "(redis|sentinel|valkey)?(://)?\\PC{0,30}") {
            let _ = text.parse::<BrokerUrl>();
        }
    }
}
