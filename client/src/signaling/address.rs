//! What a person types, turned into a room and the server that holds it.
//!
//! | typed | room | server |
//! | --- | --- | --- |
//! | `foo` | `foo` | the one on this machine, started if there is none |
//! | `foo` with `--server https://example.org` | `foo` | `wss://example.org/ws` |
//! | `http://example.org:8080/foo` | `foo` | `ws://example.org:8080/ws` |
//! | `wss://example.org/calls/foo` | `foo` | `wss://example.org/calls/ws` |
//! | `http://localhost:8080/foo` | `foo` | as `foo` alone, where that is this machine's door |

use std::fmt;
use std::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rtc_protocol::RoomId;
use url::Url;

/// The port of the server on this machine that everybody finds without being told.
pub const DEFAULT_PORT: u16 = 8080;

/// Where the WebSocket is, below the server's own path.
const SOCKET: &str = "ws";

/// What is wrong with what was typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The room's name breaks the rule.
    #[error("`{typed}` cannot be a room: {why}{hint}")]
    Room {
        /// What was typed.
        typed: String,
        /// The rule's own words.
        why: String,
        /// What may have been meant.
        hint: String,
    },
    /// It looks like a URL and is none.
    #[error("`{typed}` is not a URL: {why}; a room's URL looks like http://localhost:8080/foo")]
    Url {
        /// What was typed.
        typed: String,
        /// The parser's words.
        why: String,
    },
    /// A URL that no server of ours is reached by.
    #[error("`{typed}` starts with `{scheme}:`; use http:, https:, ws: or wss:")]
    Scheme {
        /// What was typed.
        typed: String,
        /// Its scheme.
        scheme: String,
    },
    /// A URL with a user or password, which would end up in logs and links.
    #[error(
        "the URL for `{host}` holds a user name or password, which is not supported; take it out"
    )]
    Credentials {
        /// The host, without the secret.
        host: String,
    },
    /// A URL of a server, but of no room in it.
    #[error("`{typed}` names no room; put its name behind the last slash, as in {example}")]
    NoRoom {
        /// What was typed.
        typed: String,
        /// How it could look.
        example: String,
    },
    /// Both the room's URL and `--server` name a server.
    #[error("`{typed}` already names a server; give the room's name alone or leave --server out")]
    ServerTwice {
        /// What was typed.
        typed: String,
    },
}

/// Characters that stay readable in a page's URL; all others are percent-encoded.
const ROOM_IN_URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A server that speaks rtc.v1: what is left of a URL that matters.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddress {
    secure: bool,
    /// As URLs write it: an IPv6 address stands in brackets.
    host: String,
    /// Where it is not the scheme's own.
    port: Option<u16>,
    /// The path above the WebSocket, with a slash at both ends.
    folder: String,
}

impl ServerAddress {
    /// Reads `--server`: http, https, ws or wss, with or without the `/ws` at its end.
    pub fn parse(typed: &str) -> Result<Self, AddressError> {
        let url = parse_url(typed)?;
        let path = url.path().trim_end_matches('/');
        Ok(Self::from_url(
            &url,
            path.strip_suffix("/ws").unwrap_or(path),
        ))
    }

    /// The server on this machine at `port`.
    pub fn local(port: u16) -> Self {
        Self {
            secure: false,
            host: "localhost".to_owned(),
            port: (port != 80).then_some(port),
            folder: "/".to_owned(),
        }
    }

    /// The WebSocket's URL: `ws` or `wss`.
    pub fn socket_url(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}{}{SOCKET}", self.authority(), self.folder)
    }

    /// The WebSocket's URL of what lies at `path`, which begins with a slash, below the server's own.
    pub(super) fn url_of(&self, path: &str) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        let above = self.folder.trim_end_matches('/');
        format!("{scheme}://{}{above}{path}", self.authority())
    }

    /// What a browser opens to join `room`.
    pub fn page_url(&self, room: &RoomId) -> String {
        let room = utf8_percent_encode(room.as_str(), ROOM_IN_URL);
        format!("{}{room}", self.home_url())
    }

    /// The server's own page, as a person would type it.
    pub fn home_url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.folder)
    }

    /// Host and, where it is not the scheme's own, port.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Whether the way there is TLS.
    pub(crate) const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether what is said to it is kept from others on the way at least as well as with `other`.
    pub(super) const fn keeps_secrets_like(&self, other: &Self) -> bool {
        self.secure || !other.secure
    }

    /// What the resolver is asked for: no brackets around an IPv6 address, and a port in any case.
    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        let port = self.port.unwrap_or(if self.secure { 443 } else { 80 });
        (self.host.trim_matches(['[', ']']), port)
    }

    /// Keeps of a URL what identifies a server whose WebSocket is below `above`.
    fn from_url(url: &Url, above: &str) -> Self {
        Self {
            secure: url.scheme() == "wss",
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port(),
            folder: format!("{above}/"),
        }
    }

    /// Whether this is the door of this machine at `port`.
    fn is_local(&self, port: u16) -> bool {
        let loopback = self.host == "localhost"
            || self
                .host
                .trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        loopback && !self.secure && self.folder == "/" && self.port.unwrap_or(80) == port
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.socket_url())
    }
}

impl fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerAddress({self})")
    }
}

/// Which server, and what to do when it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerChoice {
    /// The one on this machine at this port; whoever finds none starts it.
    Local {
        /// Its port on loopback.
        port: u16,
    },
    /// That one and no other; none is ever started.
    Given(ServerAddress),
}

impl ServerChoice {
    /// The address to try.
    pub fn address(&self) -> ServerAddress {
        match self {
            Self::Local { port } => ServerAddress::local(*port),
            Self::Given(address) => address.clone(),
        }
    }
}

/// A room, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The room.
    pub room: RoomId,
    /// Its server.
    pub server: ServerChoice,
}

impl Target {
    /// Reads what was typed as the room, together with `--server` if that was given.
    pub fn parse(typed: &str, server: Option<&str>) -> Result<Self, AddressError> {
        Self::parse_with_port(typed, server, DEFAULT_PORT)
    }

    /// The same with another port for this machine's own server.
    pub fn parse_with_port(
        typed: &str,
        server: Option<&str>,
        port: u16,
    ) -> Result<Self, AddressError> {
        let server = server.map(ServerAddress::parse).transpose()?;
        if !typed.contains("://") {
            return Ok(Self {
                room: parse_room(typed, typed)?,
                server: server.map_or(ServerChoice::Local { port }, ServerChoice::Given),
            });
        }
        if server.is_some() {
            return Err(AddressError::ServerTwice {
                typed: typed.to_owned(),
            });
        }
        let (address, room) = parse_room_url(typed)?;
        let server = if address.is_local(port) {
            ServerChoice::Local { port }
        } else {
            ServerChoice::Given(address)
        };
        Ok(Self { room, server })
    }

    /// What a browser opens to join the same room.
    pub fn page_url(&self) -> String {
        self.server.address().page_url(&self.room)
    }
}

/// Splits a room's URL at its last slash. The query and the fragment are the page's own business.
fn parse_room_url(typed: &str) -> Result<(ServerAddress, RoomId), AddressError> {
    let url = parse_url(typed)?;
    let path = url.path().trim_end_matches('/');
    let (above, last) = path.rsplit_once('/').unwrap_or(("", ""));
    if last.is_empty() || last == SOCKET {
        let address = ServerAddress::parse(typed)?;
        return Err(AddressError::NoRoom {
            typed: typed.to_owned(),
            example: format!("{}foo", address.home_url()),
        });
    }
    let room = percent_decode_str(last)
        .decode_utf8()
        .map_err(|_| AddressError::Room {
            typed: last.to_owned(),
            why: "it is not UTF-8".to_owned(),
            hint: String::new(),
        })?;
    let room = parse_room(&room, typed)?;
    Ok((ServerAddress::from_url(&url, above), room))
}

/// Reads a URL of any of the four schemes as one of a WebSocket.
fn parse_url(typed: &str) -> Result<Url, AddressError> {
    let mut url = Url::parse(typed.trim()).map_err(|error| AddressError::Url {
        typed: typed.to_owned(),
        why: error.to_string(),
    })?;
    let scheme = match url.scheme() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        other => {
            return Err(AddressError::Scheme {
                typed: typed.to_owned(),
                scheme: other.to_owned(),
            });
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials {
            host: url.host_str().unwrap_or_default().to_owned(),
        });
    }
    // All four schemes are "special" in the URL standard, so one may become another.
    url.set_scheme(scheme).map_err(|()| AddressError::Scheme {
        typed: typed.to_owned(),
        scheme: scheme.to_owned(),
    })?;
    Ok(url)
}

fn parse_room(name: &str, typed: &str) -> Result<RoomId, AddressError> {
    name.parse::<RoomId>().map_err(|error| AddressError::Room {
        typed: typed.to_owned(),
        why: error.to_string(),
        hint: match name.split_once('/') {
            Some((host, room)) if !host.is_empty() && !room.is_empty() => {
                format!("; did you mean http://{name}?")
            }
            _ => String::new(),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    fn given(typed: &str) -> (String, String) {
        match Target::parse(typed, None).unwrap() {
            Target {
                room,
                server: ServerChoice::Given(address),
            } => (room.as_str().to_owned(), address.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bare_name_is_a_room_at_this_machines_own_server() {
        let target = Target::parse("foo", None).unwrap();
        assert_eq!(target.server, ServerChoice::Local { port: 8080 });
        assert_eq!(
            target.server.address().to_string(),
            "ws://localhost:8080/ws"
        );
        assert_eq!(target.page_url(), "http://localhost:8080/foo");
    }

    #[test]
    fn a_server_is_given_by_any_of_four_schemes() {
        for (typed, socket) in [
            ("http://example.org:8080", "ws://example.org:8080/ws"),
            ("https://example.org", "wss://example.org/ws"),
            ("https://example.org/", "wss://example.org/ws"),
            ("ws://10.0.0.1:9000/ws", "ws://10.0.0.1:9000/ws"),
            ("wss://[::1]:1/calls/", "wss://[::1]:1/calls/ws"),
            (
                "wss://example.org:443/calls/ws",
                "wss://example.org/calls/ws",
            ),
        ] {
            let target = Target::parse("foo", Some(typed)).unwrap();
            assert_eq!(target.server.address().to_string(), socket, "{typed}");
            assert!(matches!(target.server, ServerChoice::Given(_)));
        }
    }

    #[test]
    fn a_rooms_url_names_both_room_and_server() {
        let pair = |room: &str, url: &str| (room.to_owned(), url.to_owned());
        assert_eq!(
            given("https://example.org/foo"),
            pair("foo", "wss://example.org/ws")
        );
        assert_eq!(
            given("ws://example.org:99/a/b/foo/?x=1#y"),
            pair("foo", "ws://example.org:99/a/b/ws")
        );
        assert_eq!(
            given("http://example.org/caf%C3%A9%20%F0%9F%98%80"),
            pair("café 😀", "ws://example.org/ws")
        );
    }

    #[test]
    fn the_link_that_the_first_client_printed_is_this_machines_own_server_too() {
        for typed in [
            "http://localhost:8080/foo",
            "ws://127.0.0.1:8080/foo",
            "http://[::1]:8080/foo",
        ] {
            let target = Target::parse(typed, None).unwrap();
            assert_eq!(target.server, ServerChoice::Local { port: 8080 }, "{typed}");
        }
        for typed in [
            "https://localhost:8080/foo",
            "http://localhost:8081/foo",
            "http://localhost:8080/x/foo",
        ] {
            let target = Target::parse(typed, None).unwrap();
            assert!(matches!(target.server, ServerChoice::Given(_)), "{typed}");
        }
        let told = Target::parse("foo", Some("http://localhost:8080")).unwrap();
        assert!(
            matches!(told.server, ServerChoice::Given(_)),
            "--server never starts one"
        );
    }

    #[test]
    fn each_mistake_gets_its_own_answer() {
        let error = |typed, server| Target::parse(typed, server).unwrap_err();
        assert!(matches!(error("", None), AddressError::Room { .. }));
        assert!(matches!(error("..", None), AddressError::Room { .. }));
        assert!(matches!(
            error("ftp://h/foo", None),
            AddressError::Scheme { .. }
        ));
        assert!(matches!(error("http://", None), AddressError::Url { .. }));
        assert!(matches!(
            error("foo", Some("example.org")),
            AddressError::Url { .. }
        ));
        assert!(matches!(
            error("foo", Some("localhost:8080")),
            AddressError::Scheme { .. }
        ));
        assert!(matches!(
            error("http://h/", None),
            AddressError::NoRoom { .. }
        ));
        assert!(matches!(
            error("ws://h/ws", None),
            AddressError::NoRoom { .. }
        ));
        assert!(matches!(
            error("http://h/a%2Fb", None),
            AddressError::Room { .. }
        ));
        assert!(matches!(
            error("http://h/%FF", None),
            AddressError::Room { .. }
        ));
        assert!(matches!(
            error("http://h/foo", Some("http://h")),
            AddressError::ServerTwice { .. }
        ));
    }

    #[test]
    fn a_url_without_its_scheme_gets_a_hint() {
        let text = Target::parse("localhost:8080/foo", None)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("did you mean http://localhost:8080/foo?"),
            "{text}"
        );
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let text = Target::parse("https://me:secret@example.org/foo", None)
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("example.org") && !text.contains("secret"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn nothing_typed_is_a_panic(typed in ".*", server in proptest::option::of(".*")) {
            let _ = Target::parse(&typed, server.as_deref());
            let _ = Target::parse(&format!("http://{typed}"), None);
            let _ = Target::parse("foo", Some(&format!("wss://{typed}")));
        }

        #[test]
        fn the_page_of_a_room_leads_back_to_the_room(
            name in "[^/?#\\pC]{1,30}",
            port in 1_u16..,
            folder in "(/[a-z]{1,5}){0,2}",
        ) {
            prop_assume!(name.parse::<RoomId>().is_ok() && name != "ws");
            let server = format!("http://example.org:{port}{folder}");
            let target = Target::parse(&name, Some(&server)).unwrap();
            prop_assert_eq!(Target::parse(&target.page_url(), None).unwrap(), target);
        }
    }
}
