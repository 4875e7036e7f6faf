//! RFC 8840's fragments.

use proptest::prelude::*;

use super::super::fragment::{FRAGMENT_BYTES, FragmentSection};
use super::super::sdp::Credentials;
use super::super::{Fragment, FragmentError};

/// As RFC 9725 shows one.
const TRICKLE: &str = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
    a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
    a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
    a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0\r\n\
    a=end-of-candidates\r\n";

#[test]
fn the_rfc_s_own_example_is_read() {
    let fragment = Fragment::read(TRICKLE).unwrap();
    let credentials = fragment.credentials.unwrap();
    assert_eq!(credentials.ufrag, "EsAw");
    assert_eq!(credentials.pwd, "P2uYro0UCOQ4zxjKXaWCBui1");
    assert_eq!(fragment.bundle, ["0", "1"]);
    let [section] = &fragment.sections[..] else {
        panic!("{:?}", fragment.sections);
    };
    assert_eq!(section.mid.as_deref(), Some("0"));
    assert_eq!(section.candidates.len(), 2);
    assert!(section.candidates[1].contains("tcptype active"));
    assert!(section.ended);
}

#[test]
fn credentials_may_stand_alone_above_the_sections_or_in_each_of_them() {
    let pair = "a=ice-ufrag:ysXw\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\n";
    assert!(Fragment::read(pair).unwrap().credentials.is_some());
    let each = format!("m=audio 9 RTP/AVP 0\na=mid:a\n{pair}m=video 9 RTP/AVP 0\na=mid:v\n{pair}");
    let fragment = Fragment::read(&each).unwrap();
    assert_eq!(fragment.sections.len(), 2);
    assert!(fragment.credentials.is_some());
}

#[test]
fn what_is_no_fragment_is_refused() {
    let ufrag = "a=ice-ufrag:ysXw\n";
    let long = "x".repeat(300);
    for (bad, why) in [
        ("", FragmentError::Empty),
        ("\r\n\r\n", FragmentError::Empty),
        (ufrag, FragmentError::Credentials),
        (
            "a=ice-ufrag:a b c\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k",
            FragmentError::Credentials,
        ),
        (
            "a=ice-ufrag:ysXw\na=ice-pwd:short",
            FragmentError::Credentials,
        ),
        (
            "a=ice-ufrag:ysXw\na=ice-ufrag:other\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k",
            FragmentError::Credentials,
        ),
        ("a=mid:0\na=candidate:1 1 udp", FragmentError::Candidate(2)),
        (
            &format!("a=candidate:1 1 udp 1 {long}{long} 9 typ host"),
            FragmentError::Candidate(1),
        ),
    ] {
        assert_eq!(Fragment::read(bad), Err(why), "{bad:?}");
    }
    for bad in ["v=0", "hello", "{}", "a=mid:0\u{0}"] {
        assert!(
            matches!(
                Fragment::read(bad),
                Err(FragmentError::Line { line: 1, .. })
            ),
            "{bad:?}"
        );
    }
    let many = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\n".repeat(129);
    assert!(matches!(
        Fragment::read(&many),
        Err(FragmentError::TooMany { .. })
    ));
    assert!(many.len() < FRAGMENT_BYTES, "the limits fit each other");
}

fn any_fragment() -> impl Strategy<Value = Fragment> {
    let word = "[a-z0-9]{1,8}";
    let candidate = "candidate:[0-9]{1,9} 1 udp [0-9]{1,9} 192\\.0\\.2\\.[0-9] [0-9]{1,5} typ (host|srflx)( ufrag [a-z]{4})?";
    let section = (
        prop_oneof!["audio 9 UDP/TLS/RTP/SAVPF 111", "video 9 RTP/AVP 0"],
        proptest::option::of(word),
        proptest::collection::vec(candidate, 0..4),
        any::<bool>(),
    )
        .prop_map(|(line, mid, candidates, ended)| FragmentSection {
            line,
            mid,
            candidates,
            ended,
        });
    (
        any::<bool>(),
        proptest::option::of("trickle( ice2)?"),
        proptest::collection::vec(word, 0..3),
        proptest::option::of(("[A-Za-z0-9+/]{4,32}", "[A-Za-z0-9+/]{22,40}")),
        proptest::collection::vec(section, 1..5),
    )
        .prop_map(|(lite, options, bundle, credentials, sections)| Fragment {
            lite,
            options,
            bundle,
            credentials: credentials.map(|(ufrag, pwd)| Credentials { ufrag, pwd }),
            sections,
        })
}

proptest! {
    #[test]
    fn every_fragment_comes_back(fragment in any_fragment()) {
        prop_assert_eq!(Fragment::read(&fragment.text()), Ok(fragment));
    }

    #[test]
    fn any_text_is_a_fragment_or_none(text in "\\PC*") {
        let _ = Fragment::read(&text);
    }

    #[test]
    fn lines_in_any_order_are_a_fragment_or_none(
        lines in proptest::collection::vec(prop_oneof![
            Just("a=ice-ufrag:ysXw"), Just("a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k"), Just("m=audio 9 RTP/AVP 0"),
            Just("a=mid:0"), Just("a=candidate:1 1 udp 1 192.0.2.1 9 typ host"), Just("a=end-of-candidates"),
            Just("a=ice-lite"), Just("a=x"), Just("m="), Just("a=mid:"), Just(""),
        ], 0..24)
    ) {
        if let Ok(fragment) = Fragment::read(&lines.join("\r\n")) {
            prop_assert!(fragment.sections.len() <= 24);
            let again = Fragment::read(&fragment.text());
            // A fragment of nothing but unknown attributes writes to nothing.
            prop_assert!(again == Ok(fragment.clone()) || again == Err(FragmentError::Empty));
        }
    }
}
