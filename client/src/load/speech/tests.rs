//! What peers of a dialect say and understand.
#![allow(clippy::unwrap_used)]

use rtc_protocol::dialect::login::Said;
use rtc_protocol::dialect::socketio::wire::Incoming;
use rtc_protocol::{ClientFrame, ClientMessage};

use super::native::Native;
use super::*;

const STAMP: Stamp = Stamp { due: 1, number: 0 };

#[test]
fn a_stamp_is_found_wherever_a_server_puts_the_text() {
    let stamp = Stamp {
        due: 123_456_789,
        number: 4_000_000_000,
    };
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
        "load-stamp:0000000000000000",
        "load-stamp:0000000000000000000000é",
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
        native.say(what, STAMP, &mut out);
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
fn native_peers_know_who_is_in_their_room() {
    let (mut native, other) = (Native::new([7; 32]), Native::new([8; 32]).own().unwrap());
    let mut hear = |line: String| {
        native.hear(&line, &mut Vec::new());
        native.others().unwrap().to_vec()
    };
    let member = format!(r#"{{"peer":"{other}","name":"Bob","role":"member","muted":[]}}"#);
    let joined = r#"{"seq":1,"type":"joined","room":"foo","peer":"yq4ezfkqv7ccu4xlv4xa","role":"moderator","capacity":6,"members":[]}"#;
    assert!(hear(joined.to_owned()).is_empty());
    let came = format!(r#"{{"seq":2,"type":"peer-joined","room":"foo","member":{member}}}"#);
    assert_eq!(hear(came), [other]);
    let went =
        format!(r#"{{"seq":3,"type":"peer-left","room":"foo","peer":"{other}","reason":"lost"}}"#);
    assert!(hear(went).is_empty());
    let again = joined.replace("[]", &format!("[{member}]"));
    assert_eq!(hear(again), [other]);
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

const SOCKET_IO: [Dialect; 3] = [Dialect::Codelab, Dialect::Book, Dialect::Conference];

/// What a peer of this dialect says from its join to its end.
fn conversation(dialect: Dialect) -> Vec<String> {
    let mut peer = speech(dialect, Side::First);
    let mut out = Vec::new();
    peer.greet(&mut out);
    peer.join("load-1", &mut out);
    for what in [What::Offer, What::Answer, What::Candidate, What::Small] {
        peer.say(what, STAMP, &mut out);
    }
    peer.leave(&mut out);
    out
}

#[test]
fn words_over_socket_io_are_events_and_hold_their_stamp() {
    for dialect in SOCKET_IO {
        let all = conversation(dialect);
        assert_eq!(all.len(), 6);
        for text in &all {
            let packet = text.strip_prefix('4').unwrap();
            let read = Incoming::parse(packet);
            assert!(matches!(read, Ok(Incoming::Event(_))), "{text}: {read:?}");
        }
        assert!(all[1..5].iter().all(|text| Stamp::find(text).is_some()));
    }
}

#[test]
fn words_of_login_pages_are_understood_and_hold_their_stamp() {
    let all = conversation(Dialect::Login);
    assert_eq!(all.len(), 6);
    for text in &all {
        Said::parse(text).unwrap();
    }
    assert!(all[1..5].iter().all(|text| Stamp::find(text).is_some()));
}

#[test]
fn a_link_over_socket_io_is_opened_and_kept_alive() {
    for dialect in SOCKET_IO {
        let mut peer = speech(dialect, Side::First);
        let mut out = Vec::new();
        assert!(peer.greet(&mut out));
        let open = r#"0{"sid":"a","pingInterval":25000,"pingTimeout":20000}"#;
        assert_eq!(peer.hear(open, &mut out), Heard::Nothing);
        let welcome = Heard::Welcome { resumed: false };
        assert_eq!(peer.hear(r#"40{"sid":"a"}"#, &mut out), welcome);
        assert_eq!(peer.hear("2", &mut out), Heard::Nothing);
        assert_eq!(out, ["40", "3"]);
    }
}

#[test]
fn each_kind_of_page_hears_its_own_words() {
    use Dialect::{Book, Codelab, Conference, Login};
    let refused = |code: &str| Heard::Refused(code.to_owned());
    for (dialect, text, heard) in [
        (Codelab, r#"42["created","load-1","x"]"#, Heard::Joined),
        (Codelab, r#"42["join","load-1"]"#, Heard::Came),
        (Codelab, r#"42["remotePeerJoining","x"]"#, Heard::Nothing),
        (Codelab, r#"42["full","load-1"]"#, refused("full")),
        (
            Codelab,
            r#"42["error",{"code":"bad-name","message":""}]"#,
            refused("bad-name"),
        ),
        (Codelab, r#"44{"message":"no"}"#, refused("no namespace")),
        (Book, r#"42["joined","load-1"]"#, Heard::Joined),
        (Book, r#"42["join","load-1"]"#, Heard::Nothing),
        (Book, r#"42["remotePeerJoining","load-1"]"#, Heard::Came),
        (Conference, r#"42["joined","load-1","x",[]]"#, Heard::Joined),
        (
            Conference,
            r#"42["otherjoin","load-1","x","y"]"#,
            Heard::Came,
        ),
        (
            Conference,
            r#"431[{"ok":true,"room":"load-1"}]"#,
            Heard::Nothing,
        ),
        (
            Conference,
            r#"431[{"ok":false,"code":"room-full","message":""}]"#,
            refused("room-full"),
        ),
        (Login, r#"{"type":"login","success":true}"#, Heard::Joined),
        (
            Login,
            r#"{"type":"login","success":false,"code":"name-taken"}"#,
            refused("name-taken"),
        ),
        (
            Login,
            r#"{"type":"ringing","name":"load-1-2"}"#,
            Heard::Nothing,
        ),
        (
            Login,
            r#"{"type":"error","code":"busy","message":""}"#,
            refused("busy"),
        ),
    ] {
        let mut peer = speech(dialect, Side::First);
        assert_eq!(peer.hear(text, &mut Vec::new()), heard, "{text}");
    }
}

#[test]
fn a_login_page_that_is_called_without_a_stamp_answers_by_itself() {
    let (mut caller, mut callee) = (
        speech(Dialect::Login, Side::First),
        speech(Dialect::Login, Side::Second),
    );
    let mut out = Vec::new();
    caller.join("load-1", &mut out);
    callee.join("load-1", &mut out);
    out.clear();
    assert!(caller.call(&mut out));
    let offer = out.remove(0);
    assert!(offer.contains("load-1-2"), "{offer}");
    assert_eq!(callee.hear(&offer, &mut out), Heard::Came);
    let answer = out.remove(0);
    assert!(answer.contains("load-1-1"), "{answer}");
    assert_eq!(caller.hear(&answer, &mut out), Heard::Came);
}
