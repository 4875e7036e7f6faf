//! The `Link` header (RFC 8288, section 3), as far as it names STUN and TURN servers (RFC 9725, section 4.6). Pure.

use rtc_protocol::IceServer;

/// Servers that are taken of one answer.
const SERVERS: usize = 16;

/// Bytes of one header that are looked at.
const BYTES: usize = 16 * 1024;

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// What stands between `<` and `>`.
    pub target: String,
    /// Names in lower case, and values without quotes; the first of a name counts.
    pub parameters: Vec<(String, String)>,
}

impl Link {
    /// The value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it is of this relation: `rel` is a list of words, in any case.
    pub(crate) fn is(&self, relation: &str) -> bool {
        let rel = self.parameter("rel").unwrap_or_default();
        rel.split_ascii_whitespace()
            .any(|word| word.eq_ignore_ascii_case(relation))
    }
}

/// Reads one header. What is broken ends it; what came before counts.
#[must_use]
pub(crate) fn parse(header: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = header.get(..BYTES).unwrap_or(header);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some(open) = rest.strip_prefix('<') else {
            return links;
        };
        let Some((target, after)) = open.split_once('>') else {
            return links;
        };
        let mut link = Link {
            target: target.trim().to_owned(),
            parameters: Vec::new(),
        };
        rest = parameters(after, &mut link.parameters);
        links.push(link);
    }
}

/// Reads `;name=value` as often as it comes, and gives what is behind.
fn parameters<'a>(mut rest: &'a str, into: &mut Vec<(String, String)>) -> &'a str {
    loop {
        rest = rest.trim_start();
        let Some(after) = rest.strip_prefix(';') else {
            return rest;
        };
        let after = after.trim_start();
        let end = after
            .find(|c: char| matches!(c, '=' | ';' | ',') || c.is_whitespace())
            .unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        let (value, after) = match after.trim_start().strip_prefix('=') {
            Some(after) => value(after.trim_start()),
            None => (String::new(), after),
        };
        let name = name.to_ascii_lowercase();
        if !name.is_empty() && !into.iter().any(|(known, _)| *known == name) {
            into.push((name, value));
        }
        rest = after;
    }
}

/// A token or a quoted string (RFC 9110, section 5.6.4), and what is behind it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.trim_end().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Whether it is a server that could be asked: TURN needs somebody to be.
fn is_usable(link: &Link) -> bool {
    let is_of = |scheme: &str| {
        let host = link.target.strip_prefix(scheme);
        host.is_some_and(|host| !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic()))
    };
    let known = link.parameter("username").is_some() && link.parameter("credential").is_some();
    is_of("stun:") || known && (is_of("turn:") || is_of("turns:"))
}

/// The STUN and TURN servers that headers name.
pub(crate) fn ice_servers<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<IceServer> {
    let links = headers.into_iter().flat_map(parse);
    let named = links.filter(|link| link.is("ice-server") && is_usable(link));
    let servers = named.map(|link| IceServer {
        username: link.parameter("username").map(str::to_owned),
        credential: link.parameter("credential").map(str::to_owned),
        urls: vec![link.target],
    });
    servers.take(SERVERS).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_servers_of_the_rfc_are_read() {
        // RFC 9725, section 4.6.
        let headers = [
            r#"<stun:stun.example.net>; rel="ice-server""#,
            r#"<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="myPassword"; credential-type="password", <turns:turn.example.net?transport=tcp>; rel=ice-server; username="us\"er"; credential=myPassword"#,
            "<https://example.net/next>; rel=next",
        ];
        let servers = ice_servers(headers);
        let urls: Vec<_> = servers.iter().flat_map(|server| &server.urls).collect();
        assert_eq!(
            urls,
            [
                "stun:stun.example.net",
                "turn:turn.example.net?transport=udp",
                "turns:turn.example.net?transport=tcp"
            ]
        );
        assert_eq!(servers[0].username, None);
        assert_eq!(servers[1].username.as_deref(), Some("user"));
        assert_eq!(servers[1].credential.as_deref(), Some("myPassword"));
        assert_eq!(servers[2].username.as_deref(), Some("us\"er"));
    }

    #[test]
    fn what_is_broken_ends_a_header_and_spares_what_came_before() {
        let broken =
            r#" , <stun:a> ;; REL = "x Ice-Server" ; a , <turn:b>; rel="ice-server; username="#;
        let links = parse(broken);
        assert_eq!(links.len(), 2);
        assert!(links[0].is("ice-server"));
        assert_eq!(links[0].parameter("a"), Some(""));
        assert_eq!(ice_servers([broken]).len(), 1);
        for none in [
            "",
            "<turn:a>; rel=ice-server",
            "<stun:a b>; rel=ice-server",
            "stun:a",
            "<stun:a",
            "<>; rel=ice-server",
            "<stun:>; rel=ice-server",
        ] {
            assert!(ice_servers([none]).is_empty(), "{none}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_in_quotes_comes_back(target in "[a-z:.?=]{1,20}", value in "[ -~]{0,30}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("<{target}>; rel=x; v=\"{quoted}\", <y>");
            let links = parse(&header);
            prop_assert_eq!(links.len(), 2);
            prop_assert_eq!(&links[0].target, target.trim());
            prop_assert_eq!(links[0].parameter("v"), Some(value.as_str()));
        }

        #[test]
        fn any_text_is_read_to_its_end(header in ".{0,200}") {
            prop_assert!(parse(&header).len() <= header.matches('<').count());
        }
    }
}
