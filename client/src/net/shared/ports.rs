//! The port that candidates and descriptions show: the one that all share, in place of the one that the engine believes in.

use std::borrow::Cow;

/// A candidate (RFC 8839, section 5.1) with the port that it is really reached at. Those of TCP and of relays have sockets
/// of their own.
pub(crate) fn candidate(text: &str, port: u16) -> String {
    let mut words: Vec<Cow<'_, str>> = text.split(' ').map(Cow::Borrowed).collect();
    let udp = words.get(2).is_some_and(|t| t.eq_ignore_ascii_case("udp"));
    match words.get(7).map(|kind| &**kind) {
        Some("host") if udp => words[5] = Cow::Owned(port.to_string()),
        Some("srflx" | "prflx") if udp => {
            let at = words.iter().skip(8).position(|word| *word == "rport");
            if let Some(shown) = at.and_then(|at| words.get_mut(8 + at + 1)) {
                *shown = Cow::Owned(port.to_string());
            }
        }
        _ => {}
    }
    words.join(" ")
}

/// A description with the same done to the candidates in it.
pub(crate) fn description(text: &str, port: u16) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive("\r\n") {
        match line.strip_prefix("a=") {
            Some(known) if known.starts_with("candidate:") => {
                shown.push_str("a=");
                shown.push_str(&candidate(known.trim_end_matches("\r\n"), port));
                shown.push_str("\r\n");
            }
            _ => shown.push_str(line),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_port_of_what_goes_by_the_shared_socket_is_its_port() {
        for (text, shown) in [
            (
                "candidate:1 1 udp 9 192.0.2.1 5000 typ host",
                "candidate:1 1 udp 9 192.0.2.1 40000 typ host",
            ),
            (
                "candidate:1 1 UDP 9 2001:db8::1 5000 typ host ufrag rport",
                "candidate:1 1 UDP 9 2001:db8::1 40000 typ host ufrag rport",
            ),
            (
                "candidate:1 1 tcp 9 192.0.2.1 5000 typ host tcptype passive",
                "candidate:1 1 tcp 9 192.0.2.1 5000 typ host tcptype passive",
            ),
            (
                "candidate:1 1 udp 9 198.51.100.1 6000 typ srflx raddr 192.0.2.1 rport 5000",
                "candidate:1 1 udp 9 198.51.100.1 6000 typ srflx raddr 192.0.2.1 rport 40000",
            ),
            (
                "candidate:1 1 udp 9 198.51.100.1 6000 typ relay raddr 192.0.2.1 rport 5000",
                "candidate:1 1 udp 9 198.51.100.1 6000 typ relay raddr 192.0.2.1 rport 5000",
            ),
            ("candidate:1 1 udp", "candidate:1 1 udp"),
            ("a b udp c d e f srflx rport", "a b udp c d e f srflx rport"),
            ("", ""),
        ] {
            assert_eq!(candidate(text, 40_000), shown);
        }
        let whole = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=candidate:1 1 udp 9 192.0.2.1 5000 typ host\r\na=mid:0\r\n";
        assert_eq!(description(whole, 7), whole.replace("5000", "7"));
    }

    proptest! {
        #[test]
        fn no_other_word_changes(words in proptest::collection::vec("[a-z0-9.:]{0,5}|udp|host|srflx|rport", 0..14)) {
            let text = words.join(" ");
            let shown = candidate(&text, 40_000);
            let pairs: Vec<_> = text.split(' ').zip(shown.split(' ')).collect();
            prop_assert_eq!(pairs.len(), text.split(' ').count());
            prop_assert!(pairs.iter().filter(|(a, b)| a != b).count() <= 1);
            prop_assert_eq!(candidate(&shown, 40_000), shown);
        }
    }
}
