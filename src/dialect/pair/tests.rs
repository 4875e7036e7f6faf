#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::id::{Name, Token};
use crate::message::{ClientFrame, LeaveReason, Role};
use crate::signal::{Candidate, Description};

const ROOM: &str = "foo";
/// The first request of a page.
const JOIN: u64 = 1;

fn room() -> RoomId {
    RoomId::new(ROOM).unwrap()
}

fn peer(who: u8) -> PeerId {
    Token::from_random([who; 32]).peer_id()
}

fn member(who: u8, dialect: Option<Dialect>) -> Member {
    Member {
        peer: peer(who),
        name: Name::new("x").unwrap(),
        role: Role::Member,
        muted: Vec::new(),
        dialect,
    }
}

fn raw_of(text: &str) -> Raw {
    Raw::parse(text).unwrap()
}

/// A translator, and what it did since it was last looked at.
struct Rig {
    pair: Pair,
    out: Out,
}

impl Rig {
    fn new() -> Self {
        let setting = Setting {
            socket: "sid".into(),
            addresses: [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)].into(),
        };
        Self {
            pair: Pair::new(setting),
            out: Vec::new(),
        }
    }

    /// Of a page that is in the room, with these others.
    fn inside(others: &[Member]) -> Self {
        let mut rig = Self::new();
        rig.say("create or join", &[r#""foo""#]);
        rig.hear(Some(JOIN), joined(others));
        rig.done();
        rig
    }

    fn say(&mut self, name: &str, args: &[&str]) {
        let event = Event {
            name: name.into(),
            args: args.iter().map(|arg| raw_of(arg)).collect(),
            ack: None,
        };
        self.pair.said(event, &mut self.out);
    }

    fn hear(&mut self, id: Option<u64>, message: ServerMessage) {
        let frame = ServerFrame {
            seq: None,
            id,
            message,
        };
        self.pair.heard(frame, &mut self.out);
    }

    fn hear_signal(&mut self, from: u8, signal: &Signal) {
        let message = ServerMessage::Signal {
            room: room(),
            from: peer(from),
            signal: signal.to_raw().unwrap(),
        };
        self.hear(None, message);
    }

    fn hear_word(&mut self, from: u8, data: &str) {
        let message = ServerMessage::Message {
            room: room(),
            from: peer(from),
            data: raw_of(data),
        };
        self.hear(None, message);
    }

    /// What was done, each step as a line; traces for the console left out.
    fn done(&mut self) -> Vec<String> {
        let lines = self.out.drain(..).map(|step| match step {
            Step::Page(emit) => emit.to_text(),
            Step::Core(ClientFrame { message, .. }) => match message {
                ClientMessage::Join { room, capacity, .. } => {
                    format!("join {room} {capacity:?}")
                }
                ClientMessage::Leave { room } => format!("leave {room}"),
                ClientMessage::Message { to, data, .. } => {
                    assert_eq!(to, Some(peer(1)), "to the other one alone");
                    format!("tell {}", data.get())
                }
                ClientMessage::Signal { to, signal, .. } => {
                    assert_eq!(to, Some(peer(1)), "to the other one alone");
                    format!("signal {}", signal.get())
                }
                other => panic!("{other:?}"),
            },
            Step::Close(why) => format!("close {why}"),
        });
        lines
            .filter(|line| !line.starts_with(r#"2["log""#))
            .collect()
    }
}

fn joined(others: &[Member]) -> ServerMessage {
    ServerMessage::Joined {
        room: room(),
        peer: peer(0),
        role: Role::Member,
        capacity: 2,
        members: others.to_vec(),
    }
}

fn came(who: u8, dialect: Option<Dialect>) -> ServerMessage {
    ServerMessage::PeerJoined {
        room: room(),
        member: member(who, dialect),
    }
}

fn went(who: u8) -> ServerMessage {
    ServerMessage::PeerLeft {
        room: room(),
        peer: peer(who),
        reason: LeaveReason::Left,
    }
}

const OFFER: &str = r#"{"type":"offer","sdp":"v=0"}"#;
const CODELAB: Option<Dialect> = Some(Dialect::Codelab);

fn description(kind: SdpType) -> Signal {
    Signal::Description(Description {
        kind,
        sdp: "v=0".into(),
    })
}

#[test]
fn the_first_creates_and_the_second_joins() {
    let mut rig = Rig::new();
    rig.say("create or join", &[r#""foo""#]);
    assert_eq!(rig.done(), ["join foo Some(2)"]);
    rig.hear(Some(JOIN), joined(&[]));
    assert_eq!(rig.done(), [r#"2["created","foo","sid"]"#]);
    let mut rig = Rig::new();
    rig.say("create or join", &[r#""foo""#]);
    rig.done();
    rig.hear(Some(JOIN), joined(&[member(1, CODELAB)]));
    assert_eq!(rig.done(), [r#"2["joined","foo","sid"]"#, r#"2["ready"]"#]);
}

#[test]
fn a_page_of_unknown_kind_is_told_in_the_words_of_both() {
    let mut rig = Rig::inside(&[]);
    rig.hear(None, came(1, CODELAB));
    assert_eq!(
        rig.done(),
        [
            r#"2["join","foo"]"#,
            r#"2["remotePeerJoining","foo"]"#,
            r#"2["broadcast: joined","somebody has joined channel foo"]"#,
            r#"2["ready"]"#,
        ]
    );
    rig.hear(None, went(1));
    assert_eq!(rig.done(), [r#"2["message","bye"]"#, r#"2["Bye"]"#]);
}

#[test]
fn the_first_word_that_only_one_kind_has_decides() {
    let mut codelab = Rig::inside(&[]);
    codelab.say("message", &[r#""got user media""#]);
    codelab.hear(None, came(1, CODELAB));
    assert_eq!(codelab.done(), [r#"2["join","foo"]"#, r#"2["ready"]"#]);
    let mut book = Rig::inside(&[]);
    book.say("response", &[r#"{"channel":"foo","message":1}"#]);
    book.hear(None, came(1, CODELAB));
    assert_eq!(book.done().len(), 2);
    book.hear(None, went(1));
    assert_eq!(book.done(), [r#"2["Bye"]"#]);
}

#[test]
fn pages_hear_each_other_s_words_as_they_were_written() {
    for word in [
        r#"{"b" :1,"a":[null]}"#,
        OFFER,
        "null",
        "1e3",
        r#""\u00e9""#,
    ] {
        let mut one = Rig::inside(&[member(1, CODELAB)]);
        one.say("message", &[word]);
        let told = one.done();
        assert_eq!(told, [format!("tell {word}")]);
        let mut other = Rig::inside(&[member(1, CODELAB)]);
        other.hear_word(1, word);
        assert_eq!(other.done(), [format!(r#"2["message",{word}]"#)]);
    }
}

#[test]
fn words_of_the_book_keep_their_event() {
    for by in ["message", "response"] {
        let mut one = Rig::inside(&[member(1, CODELAB)]);
        one.say(by, &[r#"{"channel":"foo","message":{"x":[1]}}"#]);
        let told = one.done().remove(0);
        let data = told.strip_prefix("tell ").unwrap();
        let mut other = Rig::inside(&[member(1, CODELAB)]);
        other.hear_word(1, data);
        assert_eq!(other.done(), [format!(r#"2["{by}",{{"x":[1]}}]"#)]);
    }
}

#[test]
fn no_word_of_a_codelab_page_is_taken_for_one_of_the_book() {
    let forged = r#"{"book":"response","data":"x"}"#;
    let mut one = Rig::inside(&[member(1, CODELAB)]);
    one.say("message", &[forged]);
    let told = one.done().remove(0);
    let mut other = Rig::inside(&[member(1, CODELAB)]);
    other.hear_word(1, told.strip_prefix("tell ").unwrap());
    assert_eq!(other.done(), [format!(r#"2["message",{forged}]"#)]);
}

#[test]
fn a_native_newcomer_makes_the_page_offer() {
    let mut rig = Rig::inside(&[]);
    rig.say("message", &[r#""got user media""#]);
    assert!(rig.done().is_empty(), "nobody is there to hear it");
    rig.hear(None, came(1, None));
    assert_eq!(
        rig.done(),
        [
            r#"2["join","foo"]"#,
            r#"2["ready"]"#,
            r#"2["message","got user media"]"#
        ]
    );
    rig.say("message", &[OFFER]);
    assert_eq!(rig.done(), [format!(r#"signal {{"description":{OFFER}}}"#)]);
    rig.hear_signal(1, &Signal::Restart);
    assert!(rig.done().is_empty(), "one offer in a call");
    let candidate = Candidate {
        candidate: "candidate:1".into(),
        sdp_mid: Some("0".into()),
        sdp_m_line_index: Some(0),
        username_fragment: None,
    };
    rig.hear_signal(1, &Signal::Candidate(candidate));
    assert!(rig.done().is_empty(), "held back until the answer is there");
    rig.hear_signal(1, &description(SdpType::Answer));
    let told = rig.done();
    assert_eq!(told[0], r#"2["message",{"type":"answer","sdp":"v=0"}]"#);
    assert!(told[1].contains(r#""type":"candidate","label":0,"id":"0","candidate":"candidate:1""#));
    assert_eq!(told.len(), 2);
}

#[test]
fn a_page_that_comes_to_a_native_peer_asks_for_an_offer_once_its_camera_is_open() {
    let mut rig = Rig::inside(&[member(1, None)]);
    rig.say("message", &[r#""got user media""#]);
    assert_eq!(rig.done(), [r#"signal {"restart":true}"#]);
    rig.hear_signal(1, &description(SdpType::Offer));
    assert_eq!(rig.done(), [format!(r#"2["message",{OFFER}]"#)]);
    rig.say(
        "message",
        &[r#"{"type":"candidate","label":1,"id":"v","candidate":"c"}"#],
    );
    let told = rig.done().remove(0);
    assert!(
        told.contains(r#""candidate":"c","sdpMid":"v","sdpMLineIndex":1"#),
        "{told}"
    );
    rig.say("message", &[r#""bye""#]);
    assert_eq!(rig.done(), ["leave foo"]);
}

#[test]
fn a_page_of_the_book_asks_for_an_offer_with_its_first_word() {
    let mut rig = Rig::inside(&[member(1, None)]);
    rig.say("message", &[r#"{"channel":"foo","message":"hello"}"#]);
    assert_eq!(
        rig.done(),
        [r#"signal {"restart":true}"#, r#"tell "hello""#]
    );
    rig.hear_signal(1, &description(SdpType::Offer));
    assert_eq!(rig.done(), [format!(r#"2["message",{OFFER}]"#)]);
    let answer = r#"{"channel":"foo","message":{"type":"answer","sdp":"v=0"}}"#;
    rig.say("response", &[answer]);
    assert_eq!(
        rig.done(),
        [r#"signal {"description":{"type":"answer","sdp":"v=0"}}"#]
    );
}

#[test]
fn a_foreign_page_is_offered_to_when_it_asks() {
    let mut rig = Rig::inside(&[]);
    rig.say("message", &[r#""got user media""#]);
    rig.hear(None, came(1, Some(Dialect::Conference)));
    rig.done();
    rig.hear_signal(1, &Signal::Restart);
    assert_eq!(rig.done(), [r#"2["message","got user media"]"#]);
}

#[test]
fn who_calls_by_itself_is_not_shown_to_a_page_that_cannot_answer() {
    let mut rig = Rig::inside(&[]);
    for (who, dialect) in [(1, Dialect::Login), (2, Dialect::Whip), (3, Dialect::Whep)] {
        rig.hear(None, came(who, Some(dialect)));
    }
    rig.hear_signal(1, &description(SdpType::Offer));
    rig.hear(None, went(2));
    assert!(rig.done().is_empty());
}

#[test]
fn a_page_that_was_left_can_be_called_again() {
    let mut rig = Rig::inside(&[member(2, CODELAB)]);
    rig.say("message", &[r#""got user media""#]);
    rig.out.clear();
    rig.hear(None, went(2));
    assert_eq!(rig.done(), [r#"2["message","bye"]"#]);
    rig.hear(None, came(1, CODELAB));
    assert_eq!(
        rig.done(),
        [
            r#"2["created","foo","sid"]"#,
            r#"2["join","foo"]"#,
            r#"2["ready"]"#
        ]
    );
}

#[test]
fn goodbye_is_heard_once() {
    let mut rig = Rig::inside(&[member(1, CODELAB)]);
    rig.say("ipaddr", &[]);
    assert_eq!(
        rig.done(),
        [r#"2["ipaddr","10.0.0.1"]"#, r#"2["ipaddr","10.0.0.2"]"#]
    );
    rig.hear_word(1, r#""bye""#);
    assert_eq!(rig.done(), [r#"2["message","bye"]"#]);
    rig.hear(None, went(1));
    assert!(rig.done().is_empty());
}

#[test]
fn bye_frees_the_room_and_goodbye_of_the_book_ends_the_connection() {
    let mut rig = Rig::inside(&[]);
    rig.say("bye", &[r#""foo""#]);
    assert_eq!(rig.done(), ["leave foo"]);
    rig.say("bye", &[]);
    assert!(rig.done()[0].contains("not-joined"));
    for word in ["Bye", "Ack"] {
        let mut rig = Rig::inside(&[]);
        rig.say(word, &[r#""foo""#]);
        assert_eq!(rig.done(), ["leave foo", "close it said goodbye"]);
    }
}

#[test]
fn a_room_of_two_is_full_with_two() {
    let mut rig = Rig::new();
    rig.say("create or join", &[r#""foo""#]);
    rig.done();
    let full = ServerMessage::Error {
        code: ErrorCode::RoomFull,
        message: "full".into(),
    };
    rig.hear(Some(JOIN), full);
    assert_eq!(rig.done(), [r#"2["full","foo"]"#]);
    rig.say("message", &["1"]);
    assert!(rig.done()[0].contains("not-joined"));
    // A room that a native peer made for six.
    rig.say("create or join", &[r#""foo""#]);
    rig.done();
    rig.hear(Some(JOIN + 1), joined(&[member(1, None), member(2, None)]));
    assert_eq!(rig.done(), ["leave foo", r#"2["full","foo"]"#]);
    rig.hear_word(1, "1");
    assert!(rig.done().is_empty(), "who was told full does not hear");
}

#[test]
fn a_page_is_in_one_room_once() {
    let mut rig = Rig::inside(&[]);
    for name in [r#""foo""#, r#""bar""#] {
        rig.say("create or join", &[name]);
        assert!(rig.done()[0].contains("already-joined"), "{name}");
    }
}

#[test]
fn a_page_that_leaves_before_it_is_in_is_in_the_room_it_asked_for_last() {
    let mut rig = Rig::new();
    rig.say("create or join", &[r#""foo""#]);
    rig.say("bye", &[]);
    rig.say("create or join", &[r#""bar""#]);
    rig.done();
    rig.hear(Some(JOIN), joined(&[member(1, CODELAB)]));
    assert!(rig.done().is_empty());
    rig.hear(Some(JOIN + 1), joined(&[]));
    assert_eq!(rig.done(), [r#"2["created","bar","sid"]"#]);
}

#[test]
fn names_that_are_none_are_refused() {
    let long = format!("\"{}\"", "a".repeat(129));
    for name in [
        "1",
        "null",
        r#"{"toString":1}"#,
        r#"[]"#,
        r#""""#,
        r#""a/b""#,
        r#""..""#,
        r#""\u0000""#,
        &long,
    ] {
        let mut rig = Rig::new();
        rig.say("create or join", &[name]);
        let done = rig.done();
        assert_eq!(done.len(), 1);
        assert!(
            done[0].starts_with(r#"2["error",{"code":"bad-name""#),
            "{done:?}"
        );
    }
    let mut rig = Rig::new();
    rig.say("create or join", &[]);
    assert!(rig.done()[0].contains("bad-name"));
    for name in ["__proto__", "constructor", "toString"] {
        let mut rig = Rig::new();
        rig.say("create or join", &[&format!("\"{name}\"")]);
        assert_eq!(
            rig.done(),
            [format!("join {name} Some(2)")],
            "a name like any other"
        );
    }
}

#[test]
fn what_is_said_before_the_room_is_entered_is_said_in_it() {
    let mut rig = Rig::new();
    rig.say("create or join", &[r#""foo""#]);
    rig.say("message", &["1"]);
    for _ in 0..limits::HELD_EVENTS {
        rig.say("message", &["2"]);
    }
    let done = rig.done();
    assert!(done[1].contains("rate-limited"), "{done:?}");
    rig.hear(Some(JOIN), joined(&[member(1, CODELAB)]));
    assert_eq!(rig.done()[2], "tell 1");
}

#[test]
fn a_channel_that_is_another_s_is_not_spoken_in() {
    let mut rig = Rig::inside(&[member(1, CODELAB)]);
    rig.say("message", &[r#"{"channel":"bar","message":1}"#]);
    assert!(rig.done()[0].contains("not-joined"));
    rig.say("response", &["1"]);
    assert!(rig.done()[0].contains("bad-message"));
    rig.say("message", &[]);
    assert!(rig.done()[0].contains("bad-message"));
}

fn any_word() -> impl Strategy<Value = Raw> {
    prop_oneof![
        Just(raw_of(OFFER)),
        Just(raw_of(r#""got user media""#)),
        Just(raw_of(r#""bye""#)),
        Just(raw_of(r#""foo""#)),
        Just(raw_of(
            r#"{"channel":"foo","message":{"type":"answer","sdp":""}}"#
        )),
        Just(raw_of(
            r#"{"type":"candidate","label":-1,"id":7,"candidate":{}}"#
        )),
        Just(raw_of(r#"{"book":"message","data":1}"#)),
        any::<String>().prop_map(|text| Raw::of(&text).unwrap()),
    ]
}

proptest! {
    /// Whatever comes in whatever order: no panic, nothing to anybody but the partner, no word to two rooms.
    #[test]
    fn nothing_upsets_it(steps in prop::collection::vec((0..16_usize, any_word()), 1..60)) {
        let mut rig = Rig::new();
        for (what, word) in steps {
            match what {
                0..7 => rig.say(EVENTS[what], &[word.get()]),
                7 => rig.say("nonsense", &[]),
                8 => rig.hear(Some(JOIN), joined(&[])),
                9 => rig.hear(Some(JOIN), joined(&[member(1, None)])),
                10 => rig.hear(None, came(1, CODELAB)),
                11 => rig.hear(None, went(1)),
                12 => rig.hear_word(1, word.get()),
                13 => rig.hear_signal(1, &Signal::Restart),
                14 => rig.hear_signal(1, &description(SdpType::Answer)),
                _ => rig.hear(None, ServerMessage::Kicked {
                    room: room(),
                    by: peer(1),
                    reason: None,
                }),
            }
            for line in rig.done() {
                let ours = ["join ", "leave ", "tell ", "signal ", "close ", "2["];
                prop_assert!(ours.iter().any(|known| line.starts_with(known)), "{}", line);
            }
        }
    }
}
