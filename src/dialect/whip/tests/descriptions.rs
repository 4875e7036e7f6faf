//! Offers and answers.

use proptest::prelude::*;

use super::super::sdp::{Answer, Credentials};
use super::super::{Flow, Offer, OfferError};
use crate::signal::Candidate;

/// Of a publisher with sound and picture in one bundle.
pub(super) const OFFER: &str = "v=0\r\no=- 52 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:zjkk\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\n\
    a=fingerprint:sha-256 DA:7B\r\na=setup:actpass\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
    a=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\na=end-of-candidates\r\n\
    m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:zjkk\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\n\
    a=fingerprint:sha-256 DA:7B\r\na=setup:actpass\r\na=mid:1\r\na=bundle-only\r\na=sendrecv\r\na=rtcp-mux\r\n\
    a=rtpmap:96 VP8/90000\r\n";

/// A member's answer to it, before its candidates.
pub(super) const ANSWER: &str = "v=0\r\no=- 16 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
    a=ice-options:trickle\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:526b\r\na=ice-pwd:2e13dde17c1cb009202f627f\r\n\
    a=fingerprint:sha-256 F7:EB\r\na=setup:active\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:526b\r\na=ice-pwd:2e13dde17c1cb009202f627f\r\n\
    a=fingerprint:sha-256 F7:EB\r\na=setup:active\r\na=mid:1\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n";

pub(super) fn offer() -> Offer {
    Offer::read(OFFER, Flow::Publish).unwrap()
}

pub(super) fn candidate(mid: Option<&str>, port: u16, ufrag: &str) -> Candidate {
    Candidate {
        candidate: format!("candidate:1 1 udp 1 192.0.2.1 {port} typ host"),
        sdp_mid: mid.map(str::to_owned),
        sdp_m_line_index: None,
        username_fragment: Some(ufrag.to_owned()),
    }
}

fn section<'a>(sdp: &'a str, kind: &str) -> &'a str {
    let from = sdp.find(&format!("m={kind}")).unwrap();
    let rest = &sdp[from + 2..];
    rest.split("m=").next().unwrap()
}

#[test]
fn a_publisher_s_offer_is_passed_on_with_nothing_to_receive() {
    let text = offer().text();
    assert_eq!(text.matches("a=sendonly\r\n").count(), 2);
    assert!(!text.contains("sendrecv"));
    assert!(text.contains("a=bundle-only"), "left as it was");
    assert_eq!(offer().credentials().ufrag, "zjkk");
}

#[test]
fn a_bundled_section_with_port_0_is_not_a_refused_one() {
    let gstreamer = OFFER.replace("a=bundle-only\r\n", "");
    let text = Offer::read(&gstreamer, Flow::Publish).unwrap().text();
    assert!(
        text.contains("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"),
        "{text}"
    );
}

#[test]
fn a_player_may_say_sendrecv_and_receives() {
    let play = OFFER.replace("a=sendonly", "a=recvonly");
    let text = Offer::read(&play, Flow::Play).unwrap().text();
    assert_eq!(text.matches("a=recvonly\r\n").count(), 2);
    let silent = play
        .replace("a=recvonly\r\n", "")
        .replace("a=sendrecv\r\n", "");
    let text = Offer::read(&silent, Flow::Play).unwrap().text();
    assert_eq!(
        text.matches("a=recvonly\r\n").count(),
        2,
        "sendrecv where nothing is said"
    );
}

#[test]
fn an_offer_that_cannot_be_answered_is_refused_with_its_reason() {
    let read = |text: &str, flow| Offer::read(text, flow).unwrap_err();
    let publish = |text: &str| read(text, Flow::Publish);
    assert!(publish("").is_syntax());
    assert!(publish("hello").is_syntax());
    assert!(publish("v=1\r\n").is_syntax());
    assert!(publish(&OFFER.replace("v=0", "")).is_syntax());
    assert!(publish("v=0\r\nfoo\r\n").is_syntax());
    assert!(publish("v=0\r\na=\u{1}\r\n").is_syntax());
    assert_eq!(publish("v=0\r\n"), OfferError::NoMedia);
    let data = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";
    assert_eq!(publish(data), OfferError::NoMedia);
    let missing = |line: &str| {
        let lines = OFFER.lines().filter(|l| !l.starts_with(line));
        publish(&lines.collect::<Vec<_>>().join("\r\n"))
    };
    assert!(matches!(missing("a=fingerprint"), OfferError::Missing(_)));
    assert!(matches!(missing("a=ice-ufrag"), OfferError::Missing(_)));
    assert!(matches!(missing("a=ice-pwd"), OfferError::Missing(_)));
    let alone = OFFER.replace("a=group:BUNDLE 0 1\r\n", "");
    let alone = alone.replace("m=video 0", "m=video 9");
    assert_eq!(publish(&alone), OfferError::NotBundled);
    let same = OFFER.replace("a=mid:1", "a=mid:0");
    assert_eq!(publish(&same), OfferError::SameMid("0".into()));
    assert!(matches!(
        read(OFFER, Flow::Play),
        OfferError::Direction { .. }
    ));
    let many = format!("{OFFER}{}", "a=x\r\n".repeat(3_000));
    assert!(matches!(publish(&many), OfferError::TooMany { .. }));
    let many = format!("{OFFER}{}", "m=video 9 RTP/AVP 0\r\n".repeat(20));
    assert!(matches!(publish(&many), OfferError::TooMany { .. }));
}

#[test]
fn a_restarted_offer_is_the_old_one_in_a_new_generation() {
    let credentials = Credentials {
        ufrag: "ysXw".into(),
        pwd: "vw5LmwG4y/e6dPP/zAP9Gp5k".into(),
    };
    let text = offer().restarted(credentials).text();
    assert_eq!(text.matches("a=ice-ufrag:ysXw\r\n").count(), 2);
    assert_eq!(
        text.matches("a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n")
            .count(),
        2
    );
    assert!(text.contains("o=- 52 3 IN IP4 127.0.0.1\r\n"), "{text}");
    assert!(!text.contains("candidate"), "{text}");
    assert!(text.contains("a=rtpmap:96 VP8/90000\r\n"));
}

#[test]
fn candidates_go_where_their_mid_or_position_says() {
    let mut answer = Answer::read(ANSWER, &offer()).unwrap();
    assert!(!answer.complete);
    let mut by_position = candidate(None, 2, "526b");
    by_position.sdp_m_line_index = Some(1);
    let mut prefixed = candidate(Some("0"), 5, "526b");
    prefixed.candidate.insert_str(0, "a=");
    let mut bad = candidate(Some("0"), 6, "526b");
    bad.candidate = "candidate:1\r\na=evil:1 1 udp 1 192.0.2.1 6 typ host".into();
    answer.finish(&[
        candidate(Some("0"), 1, "526b"),
        candidate(Some("0"), 1, "526b"),
        by_position,
        candidate(Some("unknown"), 3, "526b"),
        candidate(None, 4, "526b"),
        prefixed,
        bad,
    ]);
    let text = answer.text();
    let audio = section(&text, "audio");
    let video = section(&text, "video");
    for port in [1, 3, 4, 5] {
        assert_eq!(
            audio.matches(&format!("192.0.2.1 {port} typ")).count(),
            1,
            "{text}"
        );
    }
    assert_eq!(video.matches("192.0.2.1").count(), 1);
    assert!(audio.ends_with("a=end-of-candidates\r\n"));
    assert!(video.ends_with("a=end-of-candidates\r\n"));
    assert!(!text.contains("evil"));
}

#[test]
fn the_bundle_s_transport_is_the_one_of_its_first_mid() {
    let turned = ANSWER.replace("BUNDLE 0 1", "BUNDLE 1 0");
    let mut answer = Answer::read(&turned, &offer()).unwrap();
    answer.finish(&[candidate(None, 7, "526b")]);
    assert!(section(&answer.text(), "video").contains("192.0.2.1 7 typ"));
    let fragment = answer.fragment();
    assert_eq!(fragment.sections[0].mid.as_deref(), Some("1"));
    assert_eq!(fragment.sections[0].candidates.len(), 1);
    assert_eq!(fragment.options.as_deref(), Some("trickle"));
    assert_eq!(fragment.credentials.unwrap().ufrag, "526b");
}

#[test]
fn a_refused_section_is_seen() {
    let offer = offer();
    let refused = |answer: &str| Answer::read(answer, &offer).unwrap().refused(&offer);
    assert_eq!(refused(ANSWER), None);
    let video = ANSWER.replace("m=video 9", "m=video 0");
    assert_eq!(refused(&video).as_deref(), Some("video"));
    let inactive = ANSWER.replacen("a=recvonly", "a=inactive", 1);
    assert_eq!(refused(&inactive).as_deref(), Some("audio"));
    let all = video.replace("m=audio 9", "m=audio 0");
    assert!(Answer::read(&all, &offer).unwrap().refuses_all());
    assert!(!Answer::read(&video, &offer).unwrap().refuses_all());
}

#[test]
fn an_answer_to_something_else_is_none() {
    let one = ANSWER.split("m=video").next().unwrap();
    assert_eq!(Answer::read(one, &offer()), None);
    assert_eq!(Answer::read("", &offer()), None);
    let lines = ANSWER.lines().filter(|l| !l.starts_with("a=ice-"));
    let bare = lines.collect::<Vec<_>>().join("\r\n");
    assert_eq!(Answer::read(&bare, &offer()), None);
}

proptest! {
    #[test]
    fn any_text_is_an_offer_or_none(text in "\\PC*") {
        let _ = Offer::read(&text, Flow::Publish);
        let _ = Answer::read(&text, &offer());
    }

    /// Whatever lines of real offers stand in whatever order: what is taken can be passed on and read again.
    #[test]
    fn shuffled_lines_are_an_offer_or_none(
        picked in proptest::collection::vec(0_usize..40, 0..60),
        candidates in proptest::collection::vec(("\\PC{0,60}", proptest::option::of("[01x]"), any::<Option<u16>>()), 0..5)
    ) {
        let lines: Vec<&str> = OFFER.lines().collect();
        let chosen = picked.iter().filter_map(|at| lines.get(*at).copied());
        let text: Vec<&str> = std::iter::once("v=0").chain(chosen).collect();
        if let Ok(offer) = Offer::read(&text.join("\r\n"), Flow::Publish) {
            prop_assert_eq!(Offer::read(&offer.text(), Flow::Publish), Ok(offer.clone()));
            let again = offer.restarted(offer.credentials().clone());
            prop_assert_eq!(again.sections(), offer.sections());
            let mut answer = Answer::read(&offer.text(), &offer).unwrap();
            let candidates: Vec<Candidate> = candidates.into_iter().map(|(candidate, sdp_mid, sdp_m_line_index)| Candidate {
                candidate, sdp_mid, sdp_m_line_index, username_fragment: None,
            }).collect();
            answer.finish(&candidates);
            let _ = answer.fragment().text();
            prop_assert!(Answer::read(&answer.text(), &offer).is_some());
        }
    }
}
