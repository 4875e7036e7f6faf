//! Where a broker is, as it is written on the command line. A password in it never shows.

use std::fmt;
use std::str::FromStr;

/// An address of a broker: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or of a Sentinel: `sentinel://HOST[:PORT]/NAME`;
/// over TLS `rediss` and `sentinels`.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    kind: Kind,
    tls: bool,
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
    "give the broker's address as in redis://127.0.0.1:6379, or sentinel://127.0.0.1:26379/NAME for a Sentinel; over TLS rediss:// and sentinels://"
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
        let tls = matches!(scheme, "rediss" | "valkeys" | "sentinels");
        let url = match scheme {
            "redis" | "valkey" | "rediss" | "valkeys" => Self {
                kind: Kind::Server,
                tls,
                rest: rest.to_owned(),
            },
            "sentinel" | "sentinels" if !path.is_empty() => Self {
                kind: Kind::Sentinel {
                    master: path.to_owned(),
                },
                tls,
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

    /// Whether it is reached over TLS; a Sentinel and the primaries that it names, both.
    pub(in crate::cluster) const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Which broker it is, without user and password: the same text however the address is written, as long as it names the
    /// same host. A port speaks TLS or does not, so whether it does is left out.
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
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.rest)
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.rest.rsplit('@').next().unwrap_or_default();
        let s = if self.tls { "s" } else { "" };
        match &self.kind {
            Kind::Server => write!(f, "redis{s}://{shown}"),
            Kind::Sentinel { master } => write!(f, "sentinel{s}://{shown}/{master}"),
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
            ("rediss://ann:secret@h:1/2", "rediss://h:1/2"),
            ("valkeys://h", "rediss://h"),
            ("sentinels://:secret@h/main", "sentinels://h:26379/main"),
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
            "redisss://h",
            "sentinels://h",
            "rediss://h#insecure",
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
            ("rediss://h", "redis://h:6379"),
            ("sentinels://h/main", "sentinel://h/main"),
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
        fn any_text_is_an_address_or_none(text in "(redis|sentinel|valkey)?s?(://)?\\PC{0,30}") {
            let _ = text.parse::<BrokerUrl>();
        }

        #[test]
        fn an_address_is_over_tls_as_its_scheme_says_and_shown_as_the_same_one(
            tls: bool,
            sentinel: bool,
            host in "[a-z][a-z0-9.]{0,20}",
            port: u16,
        ) {
            let (kind, path) = if sentinel { ("sentinel", "main") } else { ("redis", "3") };
            let s = if tls { "s" } else { "" };
            let text = format!("{kind}{s}://{host}:{port}/{path}");
            let url: BrokerUrl = text.parse().unwrap();
            prop_assert_eq!(url.is_tls(), tls);
            prop_assert_eq!(url.address().starts_with("rediss://"), tls);
            prop_assert_eq!(url.to_string(), text);
        }
    }
}
