#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const SESSION: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n";

fn section(kind: &str, port: u16, mid: &str, direction: &str, track: bool) -> String {
    let track = if track {
        "a=msid:stream track\r\na=ssrc-group:FID 7 8\r\na=ssrc:7 cname:x\r\n"
    } else {
        ""
    };
    format!(
        "m={kind} {port} UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na={direction}\r\n{track}a=rtpmap:96 VP8/90000\r\n"
    )
}

fn directions(sdp: &str) -> Vec<&str> {
    let all = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    sdp.lines().filter(|line| all.contains(line)).collect()
}

const fn both(_: Kind) -> Flow {
    Flow::BOTH
}

#[test]
fn an_offer_says_what_is_wanted_and_names_tracks_that_are_held() {
    let engine = format!(
        "{SESSION}{}{}",
        section("audio", 9, "0", "sendrecv", true),
        section("video", 9, "1", "recvonly", false)
    );
    assert_eq!(
        directions(&offer(&engine, both, 2)),
        ["a=sendrecv", "a=recvonly"]
    );
    let held = offer(&engine, |_| Flow::NONE, 2);
    assert_eq!(directions(&held), ["a=inactive", "a=inactive"]);
    assert!(held.contains("a=msid:") && held.contains("a=ssrc"));
    let deaf = |kind| Flow {
        send: true,
        receive: kind == Kind::Video,
    };
    assert_eq!(
        directions(&offer(&engine, deaf, 2)),
        ["a=sendonly", "a=recvonly"]
    );
}

#[test]
fn an_answer_never_goes_where_the_offer_does_not() {
    for (asked, answered) in [
        ("sendrecv", "a=sendrecv"),
        ("sendonly", "a=recvonly"),
        ("recvonly", "a=sendonly"),
        ("inactive", "a=inactive"),
    ] {
        let asked = format!("{SESSION}{}", section("video", 9, "0", asked, true));
        let ours = format!("{SESSION}{}", section("video", 9, "0", "sendrecv", true));
        assert_eq!(directions(&answer(&ours, &asked, both)), [answered]);
    }
}

#[test]
fn what_the_far_side_ended_is_refused_and_leaves_the_bundle() {
    let asked = format!(
        "{SESSION}{}{}",
        section("audio", 9, "0", "sendrecv", true),
        section("video", 0, "1", "inactive", false)
    );
    let ours = format!(
        "{SESSION}{}{}",
        section("audio", 9, "0", "sendrecv", true),
        section("video", 9, "1", "inactive", true)
    );
    let answered = answer(&ours, &asked, both);
    assert!(answered.contains("m=video 0 "), "{answered}");
    assert!(answered.contains("a=group:BUNDLE 0 2\r\n"), "{answered}");
    let next = offer(&ours, both, 2);
    assert!(next.contains("m=video 0 "), "{next}");
    // Its place was given to another: the engine would put it behind.
    let behind = offer(&ours, both, 1);
    assert!(!behind.contains("m=video"), "{behind}");
}

#[test]
fn the_engine_never_learns_that_something_is_held() {
    let asked = format!("{SESSION}{}", section("video", 9, "0", "inactive", true));
    let known = ["0".to_owned()];
    let told = for_the_engine(&asked, &known, Vec::new());
    assert_eq!(directions(&told), ["a=sendrecv"]);
    assert!(!told.contains("a=ssrc"), "nothing is sent: {told}");
    let ended = format!("{SESSION}{}", section("video", 0, "0", "sendrecv", true));
    let told = for_the_engine(&ended, &known, Vec::new());
    assert_eq!(directions(&told), ["a=inactive"]);
}

#[test]
fn a_new_section_that_takes_finds_our_track() {
    let asked = format!("{SESSION}{}", section("video", 9, "0", "recvonly", false));
    let with = for_the_engine(&asked, &[], vec![Kind::Video]);
    assert_eq!(directions(&with), ["a=recvonly"]);
    let without = for_the_engine(&asked, &[], Vec::new());
    assert_eq!(directions(&without), ["a=sendrecv"]);
}

#[test]
fn a_direction_of_the_session_is_that_of_sections_without_one() {
    let text = format!("{SESSION}a=sendonly\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n");
    let found = flow(&text, Kind::Audio, Some("0"));
    assert!(found.send && !found.receive);
    assert_eq!(flow(&text, Kind::Audio, Some("1")), Flow::NONE);
    assert_eq!(mids(&text), ["0"]);
}

#[test]
fn media_go_the_ways_that_a_description_says() {
    let ways = |sdp: &str, kind| {
        let flow = flow(sdp, kind, None);
        (flow.send, flow.receive)
    };
    let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/SAVPF 0\r\n\
        m=video 9 RTP/SAVPF 96\r\na=ice-ufrag:two\r\n";
    assert_eq!(
        ways(offer, Kind::Audio),
        (true, true),
        "where nothing is said"
    );
    let session = offer.replace("t=0 0\r\n", "t=0 0\r\na=recvonly\r\n");
    assert_eq!(ways(&session, Kind::Video), (false, true));
    for (line, expected) in [
        ("a=sendrecv", (true, true)),
        ("a=sendonly", (true, false)),
        ("a=recvonly", (false, true)),
        ("a=inactive", (false, false)),
    ] {
        let own = session.replace("a=ice-ufrag:two", line);
        assert_eq!(ways(&own, Kind::Video), expected, "{line}");
        assert_eq!(ways(&own, Kind::Audio), (false, true), "{line}");
    }
    let refused = offer.replace("m=video 9", "m=video 0");
    assert_eq!(ways(&refused, Kind::Video), (false, false));
    let bundled = refused.replace("a=ice-ufrag:two", "a=bundle-only");
    assert_eq!(ways(&bundled, Kind::Video), (true, true));
}

#[test]
fn one_section_can_be_looked_at_alone() {
    let text = format!(
        "{SESSION}{}{}",
        section("video", 9, "0", "inactive", false),
        section("video", 9, "1", "sendrecv", true)
    );
    assert_eq!(mids(&only(&text, "1")), ["1"]);
    assert_eq!(only(&text, "7"), text);
}

proptest! {
    #[test]
    fn nothing_breaks_it(text in "(v=0|m=|audio|video| 0| 9|a=mid:|a=sendonly|a=inactive|a=group:BUNDLE|\r\n|\n|[ -~]){0,80}") {
        let known = mids(&text);
        let told = for_the_engine(&text, &known, vec![Kind::Audio]);
        prop_assert_eq!(mids(&told).len(), known.len());
        let answered = answer(&told, &text, both);
        prop_assert_eq!(mids(&answered).len(), known.len());
        let _ = offer(&answered, both, 0);
    }
}
