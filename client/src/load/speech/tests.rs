//! What peers of a dialect say and understand.
#![allow(clippy::unwrap_used)]

use rtc_protocol::{ClientFrame, ClientMessage};

use super::native::Native;
use super::*;

#[test]
fn a_stamp_is_found_wherever_a_server_puts_the_text() {
    let stamp = Stamp(123_456_789);
    for what in [What::Offer, What::Answer, What::Candidate, What::Small] {
        let text = stamp.text(what);
        assert_eq!(text.len(), what.bytes());
        assert_eq!(Stamp::find(&text), Some(stamp));
        assert_eq!(
            Stamp::find(&format!("{{\"data\":\"{text}\"}}")),
            Some(stamp)
        );
    }
    for none in [
        "",
        "load-stamp:",
        "load-stamp:12",
        "load-stamp:000000000000000é",
    ] {
        assert_eq!(Stamp::find(none), None, "{none}");
    }
}

#[test]
fn native_words_are_valid_and_a_second_link_resumes() {
    let mut native = Native::new([7; 32]);
    let mut out = Vec::new();
    native.greet(&mut out);
    native.join("foo", &mut out);
    for what in [What::Offer, What::Answer, What::Candidate, What::Small] {
        native.say(what, Stamp(1), &mut out);
    }
    assert_eq!(out.len(), 6);
    for text in &out {
        ClientFrame::parse(text).unwrap();
    }
    native.hear(r#"{"seq":3,"type":"left","room":"foo"}"#, &mut out);
    out.clear();
    native.greet(&mut out);
    let hello = ClientFrame::parse(&out[0]).unwrap().message;
    assert!(
        matches!(
            hello,
            ClientMessage::Hello {
                last_seq: Some(3),
                ..
            }
        ),
        "{hello:?}"
    );
}

#[test]
fn native_peers_keep_their_link_alive() {
    let mut native = Native::new([7; 32]);
    let mut out = Vec::new();
    assert_eq!(
        native.hear(r#"{"type":"ping","t":5}"#, &mut out),
        Heard::Nothing
    );
    assert!(out[0].contains("pong"), "{out:?}");
}

#[test]
fn refusals_are_heard() {
    let mut native = Native::new([7; 32]);
    let refusal = r#"{"type":"error","code":"room-full","message":"x"}"#;
    assert_eq!(
        native.hear(refusal, &mut Vec::new()),
        Heard::Refused("room-full".to_owned())
    );
}
