//! The translator between a page and a room core that answers as the real one does.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::id::{Name, Token};
use crate::message::{Limits, Right};
use ClientMessage as C;
use ServerMessage as M;

fn id(who: char) -> PeerId {
    Token::new(&who.to_string().repeat(24)).unwrap().peer_id()
}

fn room() -> RoomId {
    RoomId::new("r").unwrap()
}

fn member(who: char, dialect: Option<Dialect>) -> Member {
    Member {
        peer: id(who),
        name: Name::new(&who.to_string()).unwrap(),
        role: Role::Member,
        muted: Vec::new(),
        dialect,
    }
}

fn raw_of(value: &Value) -> Raw {
    Raw::of(value).unwrap()
}

/// A page's translator, and the ids of its requests.
struct Desk(Conference);

/// What a step was, in a form that is easily compared.
#[derive(Debug, PartialEq)]
enum Was {
    Core(Value),
    Event(String, Value),
    Ack(u64, Value),
}

impl Desk {
    /// Of the page `me`, welcomed.
    fn new() -> Self {
        let token = Token::new(&"m".repeat(24)).unwrap();
        let mut desk = Self(Conference::default());
        let welcome = M::Welcome {
            peer: token.peer_id(),
            resume: token,
            resumed: false,
            resume_window_ms: 1,
            heartbeat_ms: 1,
            ice_servers: Vec::new(),
            limits: Limits {
                message_bytes: 1,
                rooms_per_peer: 1,
                room_capacity: 40,
                queue_messages: 1,
            },
            server: String::new(),
        };
        assert_eq!(desk.hear(welcome), []);
        desk
    }

    /// In room `r` with these others, having asked them for whatever it asks.
    fn inside(members: &[(char, Option<Dialect>)]) -> Self {
        let mut desk = Self::new();
        desk.say("join", json!(["r"]), None);
        desk.answer(M::Joined {
            room: room(),
            peer: id('m'),
            role: Role::Moderator,
            capacity: 40,
            members: members.iter().map(|(who, d)| member(*who, *d)).collect(),
        });
        desk
    }

    fn steps(out: Out) -> Vec<Was> {
        let value = |raw: &Raw| raw.to::<Value>().unwrap();
        let list = |args: &[Raw]| Value::Array(args.iter().map(value).collect());
        out.into_iter()
            .map(|step| match step {
                Step::Core(frame) => core(frame.message),
                Step::Page(Emit::Event { name, args }) => Was::Event(name.into(), list(&args)),
                Step::Page(Emit::Ack { ack, args }) => Was::Ack(ack, list(&args)[0].clone()),
                Step::Close(why) => panic!("{why}"),
            })
            .collect()
    }

    fn say(&mut self, name: &str, args: Value, ack: Option<u64>) -> Vec<Was> {
        let mut out = Vec::new();
        let args = args.as_array().unwrap().iter().map(raw_of).collect();
        let name = name.to_owned();
        self.0.said(Event { name, args, ack }, &mut out);
        Self::steps(out)
    }

    fn hear(&mut self, message: ServerMessage) -> Vec<Was> {
        let mut out = Vec::new();
        self.0.heard(message.into(), &mut out);
        Self::steps(out)
    }

    /// Answers the newest request.
    fn answer(&mut self, message: ServerMessage) -> Vec<Was> {
        let mut out = Vec::new();
        let frame = ServerFrame {
            seq: None,
            id: Some(self.0.last_request),
            message,
        };
        self.0.heard(frame, &mut out);
        Self::steps(out)
    }

    fn signal(&mut self, who: char, signal: Value) -> Vec<Was> {
        self.hear(M::Signal {
            room: room(),
            from: id(who),
            signal: raw_of(&signal),
        })
    }

    fn comes(&mut self, who: char, dialect: Option<Dialect>) -> Vec<Was> {
        let member = member(who, dialect);
        self.hear(M::PeerJoined {
            room: room(),
            member,
        })
    }
}

fn core(message: ClientMessage) -> Was {
    Was::Core(serde_json::from_str(&ClientFrame::from(message).to_json()).unwrap())
}

/// The type of the only thing that was said to the room core.
fn kind_of(was: &[Was]) -> &str {
    match was {
        [Was::Core(message)] => message["type"].as_str().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn event(name: &str, args: Value) -> Was {
    Was::Event(name.into(), args)
}

fn signal_to(who: char, signal: Value) -> Was {
    core(C::Signal {
        room: room(),
        to: Some(id(who)),
        signal: raw_of(&signal),
    })
}

fn message_to(who: Option<char>, data: Value) -> Was {
    core(C::Message {
        room: room(),
        to: who.map(id),
        data: raw_of(&data),
    })
}

fn code(was: &[Was]) -> &str {
    match was {
        [Was::Ack(_, answer)] if answer["ok"] == false => answer["code"].as_str().unwrap(),
        other => panic!("{other:?}"),
    }
}

const PAGE: Option<Dialect> = Some(Dialect::Conference);

#[test]
fn a_join_is_answered_by_event_and_acknowledgement_with_the_members() {
    let mut desk = Desk::new();
    let asked = desk.say("join", json!(["r", "Ann"]), Some(4));
    let capacity = Some(40);
    let name = Some(Name::new("Ann").unwrap());
    assert_eq!(
        asked,
        [core(C::Join {
            room: room(),
            name,
            capacity
        })]
    );
    let told = desk.answer(M::Joined {
        room: room(),
        peer: id('m'),
        role: Role::Member,
        capacity: 40,
        members: vec![member('a', PAGE), member('b', None)],
    });
    let a =
        json!({"id": id('a'), "name": "a", "role": "member", "muted": [], "dialect": "conference"});
    let b = json!({"id": id('b'), "name": "b", "role": "member", "muted": []});
    assert_eq!(
        told,
        [
            event("joined", json!(["r", id('m'), [a, b]])),
            Was::Ack(
                4,
                json!({"ok": true, "room": "r", "id": id('m'), "members": [a, b]})
            ),
            // The native member inside is asked for its offer; the page makes its own.
            signal_to('b', json!({"restart": true})),
        ]
    );
}

#[test]
fn a_full_room_says_full_and_refuses_in_the_acknowledgement() {
    let mut desk = Desk::new();
    let full = || M::Error {
        code: ErrorCode::RoomFull,
        message: "full".into(),
    };
    desk.say("join", json!(["r"]), Some(1));
    let told = desk.answer(full());
    assert_eq!(told[0], event("full", json!(["r", id('m')])));
    assert_eq!(code(&told[1..]), "room-full");
    desk.say("join", json!(["r"]), None);
    assert_eq!(
        desk.answer(full()),
        [event("full", json!(["r", id('m')]))],
        "without a callback the event says it all"
    );
}

#[test]
fn pages_hear_each_other_word_for_word() {
    let mut desk = Desk::inside(&[('a', PAGE), ('b', PAGE)]);
    for data in [
        json!({"type": "offer", "sdp": "v=0"}),
        json!({"candidate": "candidate:1"}),
        json!(null),
        json!("text"),
    ] {
        let said = desk.say("message", json!(["r", data, id('a')]), None);
        assert_eq!(said, [message_to(Some('a'), data.clone())]);
        let said = desk.say("message", json!(["r", data]), None);
        assert_eq!(said, [message_to(None, data.clone())]);
        let heard = desk.hear(M::Message {
            room: room(),
            from: id('b'),
            data: raw_of(&data),
        });
        assert_eq!(heard, [event("message", json!(["r", data, id('b')]))]);
    }
}

#[test]
fn a_native_newcomer_is_offered_to_and_answers() {
    let mut desk = Desk::inside(&[]);
    let told = desk.comes('n', None);
    assert_eq!(told, [event("otherjoin", json!(["r", id('n'), "n"]))]);
    let offer = json!({"type": "offer", "sdp": "v=0"});
    let said = desk.say("message", json!(["r", offer, id('n')]), None);
    assert_eq!(said, [signal_to('n', json!({"description": offer}))]);
    let line = json!({"type": "candidate", "label": 0, "id": "0", "candidate": "c1"});
    let said = desk.say("message", json!(["r", line, id('n')]), None);
    let native = json!({"candidate": {"candidate": "c1", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": null}});
    assert_eq!(said, [signal_to('n', native)]);
    let early = json!({"candidate": {"candidate": "c2", "sdpMid": "0", "sdpMLineIndex": 0}});
    assert_eq!(desk.signal('n', early), [], "it waits for the description");
    let answer = json!({"type": "answer", "sdp": "v=1"});
    let told = desk.signal('n', json!({"description": answer}));
    let held = json!({"type": "candidate", "label": 0, "id": "0", "candidate": "c2", "sdpMid": "0", "sdpMLineIndex": 0});
    assert_eq!(
        told,
        [
            event("message", json!(["r", answer, id('n')])),
            event("message", json!(["r", held, id('n')])),
        ]
    );
    assert_eq!(desk.signal('n', json!({"candidate": null})), []);
}

#[test]
fn who_came_later_gets_the_offer_of_a_native_member_inside() {
    let mut desk = Desk::inside(&[('n', None)]);
    let offer = json!({"type": "offer", "sdp": "v=0"});
    let told = desk.signal('n', json!({"description": offer}));
    assert_eq!(told, [event("message", json!(["r", offer, id('n')]))]);
    let answer = json!({"type": "answer", "sdp": "v=1"});
    let said = desk.say("message", json!(["r", answer]), None);
    assert_eq!(
        said,
        [signal_to('n', json!({"description": answer}))],
        "without an addressee too"
    );
}

#[test]
fn a_codelab_newcomer_is_announced_when_it_is_ready_to_be_offered_to() {
    let mut desk = Desk::inside(&[]);
    assert_eq!(desk.comes('c', Some(Dialect::Codelab)), []);
    let muted = M::Muted {
        room: room(),
        peer: id('c'),
        kind: Kind::Audio,
        by: id('c'),
    };
    assert_eq!(desk.hear(muted), []);
    let told = desk.signal('c', json!({"restart": true}));
    assert_eq!(
        told,
        [
            event("otherjoin", json!(["r", id('c'), "c"])),
            event("muted", json!(["r", id('c'), "audio", null])),
        ]
    );
    let again = desk.signal('c', json!({"restart": true}));
    assert_eq!(again, [], "the page is about to offer");
}

#[test]
fn one_that_was_never_announced_goes_without_a_word() {
    let mut desk = Desk::inside(&[]);
    desk.comes('c', Some(Dialect::Book));
    let left = M::PeerLeft {
        room: room(),
        peer: id('c'),
        reason: LeaveReason::Left,
    };
    assert_eq!(desk.hear(left), []);
}

#[test]
fn a_caller_is_listed_as_one_that_was_inside_and_offers_and_a_colliding_offer_is_dropped() {
    let mut desk = Desk::inside(&[('n', None)]);
    assert_eq!(desk.comes('c', Some(Dialect::Codelab)), []);
    assert_eq!(desk.comes('l', Some(Dialect::Login)), []);
    let line = json!({"candidate": {"candidate": "c"}});
    assert_eq!(desk.signal('l', line), []);
    let offer = json!({"type": "offer", "sdp": "v=0"});
    let told = desk.signal('l', json!({"description": offer}));
    assert_eq!(told.len(), 3, "{told:?}");
    let Was::Event(name, args) = &told[0] else {
        panic!("{told:?}");
    };
    assert_eq!(name, "joined");
    assert_eq!(args[0], "r");
    let listed = args[2].as_array().unwrap().iter();
    let ids: BTreeSet<&str> = listed
        .map(|member| member["id"].as_str().unwrap())
        .collect();
    let known = [id('l'), id('n')].map(|id| id.to_string());
    assert_eq!(
        ids,
        known.iter().map(String::as_str).collect(),
        "the codelab page is not ready to be known"
    );
    assert_eq!(told[1], event("message", json!(["r", offer, id('l')])));
    let own = json!({"type": "offer", "sdp": "v=9"});
    let said = desk.say("message", json!(["r", own, id('l')]), Some(1));
    assert_eq!(said, [Was::Ack(1, json!({"ok": true}))]);
    let answer = json!({"type": "answer", "sdp": "v=1"});
    let said = desk.say("message", json!(["r", answer, id('l')]), None);
    assert_eq!(said, [signal_to('l', json!({"description": answer}))]);
    let line = desk.signal('l', json!({"candidate": {"candidate": "d"}}));
    assert_eq!(line.len(), 1, "its candidates go on after the answer");
}

#[test]
fn a_member_that_wants_a_new_offer_comes_anew() {
    let mut desk = Desk::inside(&[('b', Some(Dialect::Book))]);
    let told = desk.signal('b', json!({"restart": true}));
    assert_eq!(
        told,
        [
            event("bye", json!(["r", id('b')])),
            event("otherjoin", json!(["r", id('b'), "b"])),
        ]
    );
}

#[test]
fn an_offer_for_nobody_in_particular_goes_to_whom_it_can_mean() {
    let offer = json!({"type": "offer", "sdp": "v=0"});
    let unaddressed = json!(["r", offer]);
    // One other member: it.
    let mut desk = Desk::inside(&[('n', None)]);
    let said = desk.say("message", unaddressed.clone(), None);
    assert_eq!(said, [signal_to('n', json!({"description": offer}))]);
    // The newcomer that the page was told of just now.
    let mut desk = Desk::inside(&[('a', PAGE), ('n', None)]);
    desk.comes('o', None);
    let said = desk.say("message", unaddressed.clone(), None);
    assert_eq!(said, [signal_to('o', json!({"description": offer}))]);
    let line = json!({"type": "candidate", "candidate": "c"});
    let said = desk.say("message", json!(["r", line]), None);
    let native = json!({"candidate": {"candidate": "c", "sdpMid": null, "sdpMLineIndex": null, "usernameFragment": null}});
    assert_eq!(said, [signal_to('o', native)]);
    // No member of another dialect waits for one: the pages.
    let mut desk = Desk::inside(&[('a', PAGE), ('b', PAGE), ('n', None)]);
    let said = desk.say("message", unaddressed.clone(), Some(3));
    assert_eq!(said.len(), 2);
    assert!(said.contains(&message_to(Some('a'), offer.clone())));
    assert!(said.contains(&message_to(Some('b'), offer.clone())));
    let answered = desk.answer(M::Error {
        code: ErrorCode::NoSuchPeer,
        message: "it has just left".into(),
    });
    assert_eq!(answered, [Was::Ack(3, json!({"ok": true}))]);
    // Two natives: one description cannot be for both.
    let mut desk = Desk::inside(&[('n', None), ('o', None)]);
    let said = desk.say("message", unaddressed, Some(1));
    assert_eq!(code(&said), "bad-message");
}

#[test]
fn other_words_reach_members_of_every_dialect() {
    let mut desk = Desk::inside(&[('a', PAGE), ('n', None)]);
    let said = desk.say("message", json!(["r", {"hand": "up"}]), Some(1));
    assert_eq!(said, [message_to(None, json!({"hand": "up"}))]);
    assert_eq!(desk.answer(M::Ack {}), [Was::Ack(1, json!({"ok": true}))]);
}

#[test]
fn moderation_is_told_to_all_and_acknowledged() {
    let mut desk = Desk::inside(&[('a', PAGE)]);
    let said = desk.say("mute", json!(["r", id('a'), "audio"]), Some(1));
    let (room, peer, kind, by) = (room(), id('a'), Kind::Audio, id('m'));
    assert_eq!(
        said,
        [core(C::Mute {
            room: room.clone(),
            peer,
            kind
        })]
    );
    assert_eq!(
        desk.answer(M::Ack {}),
        [
            event("muted", json!(["r", peer, "audio", by])),
            Was::Ack(1, json!({"ok": true})),
        ]
    );
    let told = desk.hear(M::Unmuted {
        room: room.clone(),
        peer: by,
        kind,
        by: peer,
    });
    assert_eq!(told, [event("unmuted", json!(["r", by, "audio", peer]))]);
    let told = desk.hear(M::Granted {
        room: room.clone(),
        peer,
        right: Right::Moderator,
        by,
    });
    assert_eq!(
        told,
        [event("granted", json!(["r", peer, "moderator", by]))]
    );
    let told = desk.hear(M::PeerLeft {
        room: room.clone(),
        peer,
        reason: LeaveReason::Kicked,
    });
    assert_eq!(
        told,
        [
            event("kicked", json!(["r", peer])),
            event("bye", json!(["r", peer]))
        ]
    );
    let told = desk.hear(M::Kicked {
        room,
        by: peer,
        reason: Some("noise".into()),
    });
    assert_eq!(told, [event("kicked", json!(["r", by, peer, "noise"]))]);
}

#[test]
fn a_page_leaves_and_others_leave() {
    let mut desk = Desk::inside(&[('a', PAGE)]);
    let left = M::PeerLeft {
        room: room(),
        peer: id('a'),
        reason: LeaveReason::Lost,
    };
    assert_eq!(desk.hear(left), [event("bye", json!(["r", id('a')]))]);
    let said = desk.say("leave", json!(["r"]), Some(9));
    assert_eq!(said, [core(C::Leave { room: room() })]);
    assert_eq!(
        desk.answer(M::Left { room: room() }),
        [
            event("leaved", json!(["r", id('m')])),
            Was::Ack(9, json!({"ok": true, "room": "r"})),
        ]
    );
}

#[test]
fn an_administrator_s_words_and_the_server_s_end_are_passed_on() {
    let mut desk = Desk::new();
    let said = desk.say("broadcast", json!([{"text": "soon"}]), None);
    let data = raw_of(&json!({"text": "soon"}));
    assert_eq!(said, [core(C::Broadcast { data: data.clone() })]);
    let told = desk.hear(M::Broadcast { data });
    assert_eq!(told, [event("broadcast", json!([{"text": "soon"}]))]);
    let told = desk.hear(M::GoAway {
        reason: "the server stops".into(),
        reconnect_ms: Some(5),
        url: None,
    });
    assert_eq!(
        told,
        [event(
            "drain",
            json!([{"reason": "the server stops", "reconnectMs": 5}])
        )]
    );
}

#[test]
fn bad_input_is_answered_in_its_own_form_and_goes_nowhere() {
    let long = "x".repeat(10_000);
    let deep: Value = (0..100).fold(json!(1), |value, _| json!([value]));
    for (name, args, expected) in [
        ("join", json!([]), "bad-message"),
        ("join", json!([null]), "bad-message"),
        ("join", json!([{"toString": 1}]), "bad-message"),
        ("join", json!([["r"]]), "bad-message"),
        ("join", json!([""]), "bad-name"),
        ("join", json!([long]), "bad-name"),
        ("join", json!(["../x"]), "bad-name"),
        ("join", json!(["r", 5]), "bad-message"),
        ("join", json!(["r", ""]), "bad-name"),
        ("message", json!(["r"]), "bad-message"),
        ("message", json!(["r", deep]), "bad-message"),
        ("message", json!(["r", 1, "constructor"]), "bad-name"),
        ("mute", json!(["r", id('a')]), "bad-message"),
        ("mute", json!(["r", id('a'), "smell"]), "bad-message"),
        ("mute", json!(["r", "__proto__", "audio"]), "bad-name"),
        ("kick", json!(["r", id('a'), long]), "bad-message"),
        ("grant", json!(["r", id('a'), "everything"]), "bad-message"),
        ("broadcast", json!([]), "bad-message"),
        ("constructor", json!([]), "bad-message"),
        ("create or join", json!(["r"]), "bad-message"),
        (&long, json!([]), "bad-message"),
    ] {
        let mut desk = Desk::new();
        assert_eq!(code(&desk.say(name, args.clone(), Some(2))), expected);
        let told = desk.say(name, args.clone(), None);
        let [Was::Event(event, answer)] = &told[..] else {
            panic!("{name} {args}: {told:?}")
        };
        assert_eq!(event, "error");
        assert_eq!(answer[0]["code"], expected);
        assert_eq!(answer[0]["event"], name.get(..64).unwrap_or(name));
    }
    // A name that is only strange is a name.
    for strange in ["__proto__", "constructor", "null", "toString"] {
        let said = Desk::new().say("join", json!([strange]), None);
        assert_eq!(kind_of(&said), "join", "{strange}");
    }
}

#[test]
fn a_page_that_is_not_inside_is_refused_by_the_room_core() {
    let mut desk = Desk::new();
    let said = desk.say(
        "message",
        json!(["r", {"type": "offer", "sdp": ""}]),
        Some(1),
    );
    assert_eq!(kind_of(&said), "message");
    let refused = desk.answer(M::Error {
        code: ErrorCode::NotJoined,
        message: "join first".into(),
    });
    assert_eq!(code(&refused), "not-joined");
}

#[test]
fn what_the_transport_refuses_is_answered_where_the_page_waits() {
    let mut desk = Desk::new();
    let mut refuse = |said| {
        let mut out = Vec::new();
        desk.0
            .refused(said, ErrorCode::RateLimited, "slow down", &mut out);
        Desk::steps(out)
    };
    let said = |ack| Event {
        name: "message".into(),
        args: Vec::new(),
        ack,
    };
    assert_eq!(code(&refuse(Some(said(Some(1))))), "rate-limited");
    let answer = json!([{"event": "message", "code": "rate-limited", "message": "slow down"}]);
    assert_eq!(refuse(Some(said(None))), [event("error", answer)]);
    let answer = json!([{"code": "rate-limited", "message": "slow down"}]);
    assert_eq!(refuse(None), [event("error", answer)]);
}

#[test]
fn a_page_is_known_by_what_only_its_kind_says() {
    for name in ["join", "leave", "mute", "broadcast"] {
        assert!(Conference::knows(name), "{name}");
    }
    for name in ["message", "create or join", "ipaddr", "__proto__"] {
        assert!(!Conference::knows(name), "{name}");
    }
}

#[test]
fn open_requests_are_bounded() {
    let mut desk = Desk::new();
    for _ in 0..limits::OPEN_REQUESTS {
        desk.say("leave", json!(["r"]), None);
    }
    assert_eq!(
        code(&desk.say("leave", json!(["r"]), Some(1))),
        "rate-limited"
    );
}

#[test]
fn held_candidates_are_bounded() {
    let mut desk = Desk::inside(&[('n', None)]);
    for _ in 0..1_000 {
        desk.signal('n', json!({"candidate": {"candidate": "c"}}));
    }
    let told = desk.signal('n', json!({"description": {"type": "offer", "sdp": ""}}));
    assert_eq!(told.len(), 1 + limits::HELD_CANDIDATES);
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("r")),
        Just(json!("audio")),
        (0_usize..5).prop_map(|i| json!(id(['a', 'b', 'n', 'l', 'x'][i]))),
        Just(json!({"type": "offer", "sdp": "v=0"})),
        Just(json!({"type": "answer", "sdp": "v=0"})),
        Just(json!({"candidate": "candidate:1", "sdpMid": "0"})),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((".{0,8}", inner), 0..4).prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(vec![
            "join", "message", "leave", "mute", "unmute", "kick", "grant", "broadcast", "error", "__proto__",
        ]).prop_map(str::to_owned),
        1 => ".{0,80}",
    ]
}

fn core_says() -> impl Strategy<Value = ServerMessage> {
    let who = || proptest::sample::select(vec!['a', 'b', 'n', 'l', 'x']);
    let dialect = || {
        proptest::sample::select(vec![
            None,
            PAGE,
            Some(Dialect::Codelab),
            Some(Dialect::Login),
            Some(Dialect::Unknown),
        ])
    };
    prop_oneof![
        (who(), dialect()).prop_map(|(who, dialect)| M::PeerJoined {
            room: room(),
            member: member(who, dialect)
        }),
        who().prop_map(|who| M::PeerLeft {
            room: room(),
            peer: id(who),
            reason: LeaveReason::Kicked
        }),
        (who(), anything()).prop_map(|(who, signal)| M::Signal {
            room: room(),
            from: id(who),
            signal: raw_of(&signal)
        }),
        (
            who(),
            proptest::sample::select(vec![
                json!({"restart": true}),
                json!({"candidate": {"candidate": "c"}}),
                json!({"description": {"type": "offer", "sdp": ""}}),
                json!({"description": {"type": "answer", "sdp": ""}}),
            ])
        )
            .prop_map(|(who, signal)| M::Signal {
                room: room(),
                from: id(who),
                signal: raw_of(&signal)
            }),
        (who(), anything()).prop_map(|(who, data)| M::Message {
            room: room(),
            from: id(who),
            data: raw_of(&data)
        }),
        Just(M::Kicked {
            room: room(),
            by: id('a'),
            reason: None
        }),
    ]
}

proptest! {
    /// Whatever page and room core say: every callback is called once, nothing is said into a room that the page did
    /// not name or is not in, and nobody is announced twice without having gone.
    #[test]
    fn whatever_is_said_is_answered_once(
        steps in vec((name(), vec(anything(), 0..5), any::<bool>(), core_says(), any::<bool>()), 1..60),
    ) {
        let mut desk = Desk::inside(&[('a', PAGE), ('n', None)]);
        let mut called = std::collections::BTreeMap::new();
        let mut known: std::collections::BTreeSet<String> = [id('a'), id('n')].iter().map(ToString::to_string).collect();
        for (index, (name, args, with_ack, core, refuse)) in steps.into_iter().enumerate() {
            let ack = with_ack.then_some(index as u64);
            if let Some(ack) = ack {
                called.insert(ack, 0);
            }
            let first = desk.0.last_request + 1;
            let mut all = desk.say(&name, Value::Array(args.clone()), ack);
            for step in &all {
                let Was::Core(message) = step else { continue };
                if let Some(named) = message.get("room") {
                    prop_assert_eq!(Some(named), args.first());
                }
            }
            let asked: Vec<u64> = (first..=desk.0.last_request).collect();
            for request in asked {
                let message = if refuse { M::Error { code: ErrorCode::NotAllowed, message: String::new() } } else { M::Ack {} };
                let mut out = Vec::new();
                desk.0.heard(ServerFrame { seq: None, id: Some(request), message }, &mut out);
                all.extend(Desk::steps(out));
            }
            let inside = desk.0.rooms.get(&room());
            let twice = matches!(&core, M::PeerJoined { member, .. } if inside.is_some_and(|i| i.others.contains_key(&member.peer)));
            if !twice {
                all.extend(desk.hear(core));
            }
            for step in all {
                match step {
                    Was::Ack(ack, answer) => {
                        *called.get_mut(&ack).unwrap() += 1;
                        prop_assert!(answer["ok"].is_boolean());
                    }
                    Was::Event(name, args) if name == "otherjoin" => {
                        prop_assert!(known.insert(args[1].as_str().unwrap().to_owned()));
                    }
                    Was::Event(name, args) if name == "joined" => {
                        let listed = args[2].as_array().unwrap().iter();
                        known.extend(listed.map(|member| member["id"].as_str().unwrap().to_owned()));
                    }
                    Was::Event(name, args) if name == "bye" => {
                        known.remove(args[1].as_str().unwrap());
                    }
                    _ => {}
                }
            }
        }
        prop_assert!(called.values().all(|count| *count == 1), "{:?}", called);
        prop_assert!(desk.0.open.len() <= limits::OPEN_REQUESTS);
    }
}
