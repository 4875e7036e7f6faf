//! One page and a room core that says what a test has it say.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::message::{ClientFrame, LeaveReason, Limits, Role};

/// A translator, and what it last did.
struct World {
    login: Login,
    core: Vec<ClientFrame>,
    page: Vec<Value>,
}

fn token(letter: char) -> Token {
    Token::new(&letter.to_string().repeat(43)).unwrap()
}

fn id(letter: char) -> PeerId {
    token(letter).peer_id()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn call_id() -> CallId {
    CallId::new("call-1").unwrap()
}

fn member(letter: char, dialect: Option<Dialect>) -> Member {
    Member {
        peer: id(letter),
        name: name("bob"),
        role: Role::Member,
        muted: Vec::new(),
        dialect,
    }
}

impl World {
    fn new() -> Self {
        Self {
            login: Login::new(token('s')),
            core: Vec::new(),
            page: Vec::new(),
        }
    }

    /// A page that is logged in as ann.
    fn ann() -> Self {
        let mut world = Self::new();
        world.says(json!({"type": "login", "name": "ann"}));
        let id = world.core[0].id;
        world.hears_as(id, ServerMessage::Ack {});
        assert_eq!(world.page, [json!({"type": "login", "success": true})]);
        world
    }

    /// A page that called bob and rings there; gives the room.
    fn calling() -> (Self, RoomId) {
        let mut world = Self::ann();
        world.says(json!({"type": "offer", "offer": offer(), "name": "bob"}));
        let ring = world.core.pop().unwrap();
        let ClientMessage::Ring { whom, room } = ring.message else {
            panic!("{ring:?}")
        };
        assert_eq!(whom, Callee::Name(name("bob")));
        world.hears_as(ring.id, ServerMessage::Ringing { call: call_id() });
        assert_eq!(world.page, [json!({"type": "ringing", "name": "bob"})]);
        world.joins(&room, vec![]);
        (world, room)
    }

    /// A page that bob's call rings at, whose translator is in the room with him.
    fn called(dialect: Option<Dialect>) -> (Self, RoomId) {
        let mut world = Self::ann();
        let room = RoomId::new("call-x").unwrap();
        world.hears(ServerMessage::Ring {
            call: call_id(),
            from: id('b'),
            name: name("bob"),
            room: room.clone(),
        });
        assert!(world.page.is_empty(), "the offer comes first");
        world.joins(&room, vec![member('b', dialect)]);
        (world, room)
    }

    /// Answers the join that was just asked for.
    fn joins(&mut self, room: &RoomId, members: Vec<Member>) {
        let id = match self.core.pop() {
            Some(ClientFrame {
                id,
                message: ClientMessage::Join { room: asked, .. },
            }) if asked == *room => id,
            other => panic!("{other:?}"),
        };
        self.hears_as(
            id,
            ServerMessage::Joined {
                room: room.clone(),
                peer: id_of_page(),
                role: Role::Member,
                capacity: 2,
                members,
            },
        );
    }

    fn text(&mut self, text: &str) {
        let mut out = Vec::new();
        match Said::parse(text) {
            Ok(said) => self.login.said(said, &mut out),
            Err(answer) => out.push(Step::Page(answer)),
        }
        self.take(out);
    }

    fn says(&mut self, said: Value) {
        self.text(&said.to_string());
    }

    fn hears(&mut self, message: ServerMessage) {
        self.hears_as(None, message);
    }

    fn hears_as(&mut self, id: Option<u64>, message: ServerMessage) {
        let mut out = Vec::new();
        let seq = None;
        self.login.heard(ServerFrame { seq, id, message }, &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Out) {
        self.core.clear();
        self.page.clear();
        for step in out {
            match step {
                Step::Core(frame) => {
                    assert_eq!(ClientFrame::parse(&frame.to_json()), Ok(frame.clone()));
                    self.core.push(frame);
                }
                Step::Page(text) => self.page.push(serde_json::from_str(&text).unwrap()),
                Step::Close(why) => panic!("{why}"),
            }
        }
    }

    fn core(&self) -> Vec<&ClientMessage> {
        self.core.iter().map(|frame| &frame.message).collect()
    }

    /// The signals that go to bob.
    fn signals(&self) -> Vec<Signal> {
        let signals = self.core.iter().filter_map(|frame| match &frame.message {
            ClientMessage::Signal { to, signal, .. } if *to == Some(id('b')) => {
                Some(Signal::from_raw(signal).unwrap())
            }
            _ => None,
        });
        signals.collect()
    }

    fn error(&self) -> &str {
        match &self.page[..] {
            [error] if error["type"] == "error" => error["code"].as_str().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn bob_signals(&mut self, room: &RoomId, signal: &Signal) {
        self.hears(ServerMessage::Signal {
            room: room.clone(),
            from: id('b'),
            signal: signal.to_raw().unwrap(),
        });
    }
}

fn id_of_page() -> PeerId {
    id('a')
}

fn offer() -> Value {
    json!({"type": "offer", "sdp": "v=0\r\n"})
}

fn answer() -> Value {
    json!({"type": "answer", "sdp": "v=0\r\n"})
}

fn candidate(port: u16) -> Value {
    let line = format!("candidate:1 1 UDP 1 192.0.2.1 {port} typ host");
    json!({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": null})
}

fn native(description: Value) -> Signal {
    Signal::Description(serde_json::from_value(description).unwrap())
}

#[test]
fn the_page_is_greeted_in_json_that_it_does_not_know() {
    let mut world = World::new();
    world.hears(ServerMessage::Welcome {
        peer: id('a'),
        resume: token('a'),
        resumed: false,
        resume_window_ms: 1,
        heartbeat_ms: 1,
        ice_servers: Vec::new(),
        limits: Limits {
            message_bytes: 1,
            rooms_per_peer: 1,
            room_capacity: 1,
            queue_messages: 1,
        },
        server: "rtc-server".into(),
    });
    let greeting = json!({"type": "hello", "server": "rtc-server", "iceServers": []});
    assert_eq!(world.page, [greeting]);
}

#[test]
fn a_name_that_is_taken_or_none_is_a_login_without_success() {
    let mut world = World::new();
    world.says(json!({"type": "login", "name": "bob"}));
    let id = world.core[0].id;
    let code = ErrorCode::NameTaken;
    world.hears_as(
        id,
        ServerMessage::Error {
            code,
            message: "taken".into(),
        },
    );
    assert_eq!(world.page[0]["success"], false);
    assert_eq!(world.page[0]["code"], "name-taken");
    let long = "x".repeat(10_000);
    for bad in [
        json!(""),
        json!(long),
        json!(5),
        json!(null),
        json!({"a": 1}),
        json!(["a"]),
        json!("a\nb"),
    ] {
        world.says(json!({"type": "login", "name": bad}));
        assert_eq!(world.page[0]["type"], "login");
        assert_eq!(world.page[0]["success"], false);
        assert_eq!(world.page[0]["code"], "bad-name", "{bad}");
        assert!(world.core.is_empty());
    }
    for good in ["constructor", "__proto__", "toString", "null"] {
        world.says(json!({"type": "login", "name": good}));
        let asked = world.core.remove(0);
        assert!(matches!(asked.message, ClientMessage::Register { .. }));
        world.hears_as(asked.id, ServerMessage::Ack {});
        assert_eq!(world.page, [json!({"type": "login", "success": true})]);
    }
}

#[test]
fn what_makes_no_sense_is_answered_and_changes_nothing() {
    let mut world = World::new();
    for bad in [
        "null",
        "",
        "{",
        "5",
        "[]",
        r#"["login","bob"]"#,
        "{}",
        r#"{"toString":1}"#,
        r#"{"type":5}"#,
        r#"{"type":null}"#,
        r#"{"type":"constructor"}"#,
        r#"{"type":"__proto__"}"#,
        r#"{"type":"offer","offer":{}}"#,
        r#"{"type":"offer","name":"bob"}"#,
        r#"{"type":"offer","offer":{},"name":5}"#,
        r#"{"type":"offer","offer":{},"name":""}"#,
        r#"{"type":"login","type":"leave","name":"a"}"#,
        r#"{"type":"candidate","name":"bob"}"#,
        "Hello from a page",
    ] {
        world.text(bad);
        assert_eq!(world.error(), "bad-message", "{bad}");
        assert!(world.core.is_empty());
    }
    let deep = format!(
        r#"{{"type":"offer","name":"b","offer":{}{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    world.text(&deep);
    assert_eq!(world.error(), "bad-message");
}

#[test]
fn a_stranger_can_say_nothing_into_a_call() {
    let mut world = World::new();
    for said in [
        json!({"type": "offer", "offer": offer(), "name": "bob"}),
        json!({"type": "answer", "answer": answer(), "name": "bob"}),
        json!({"type": "candidate", "candidate": candidate(1), "name": "bob"}),
        json!({"type": "accept", "name": "bob"}),
        json!({"type": "refuse", "name": "bob"}),
        json!({"type": "leave", "name": "bob"}),
        json!({"type": "leave"}),
    ] {
        world.says(said);
        assert_eq!(world.error(), "not-logged-in");
        assert!(world.core.is_empty());
    }
    let mut world = World::ann();
    for said in [
        json!({"type": "answer", "answer": answer(), "name": "constructor"}),
        json!({"type": "candidate", "candidate": candidate(1), "name": "bob"}),
        json!({"type": "leave", "name": "nobody"}),
        json!({"type": "leave"}),
    ] {
        world.says(said);
        assert_eq!(world.error(), "no-call");
        assert!(world.core.is_empty());
    }
}

#[test]
fn who_cannot_be_called_is_told() {
    let mut world = World::ann();
    world.says(json!({"type": "offer", "offer": offer(), "name": "ann"}));
    assert_eq!(world.error(), "no-such-user");
    for (code, told) in [
        (ErrorCode::NoSuchPeer, "no-such-user"),
        (ErrorCode::Busy, "busy"),
        (ErrorCode::GoingAway, "going-away"),
    ] {
        world.says(json!({"type": "offer", "offer": offer(), "name": "constructor"}));
        let id = world.core[0].id;
        let message = "no".into();
        world.hears_as(id, ServerMessage::Error { code, message });
        assert_eq!(world.error(), told);
        assert_eq!(world.page[0]["name"], "constructor");
    }
    let (mut world, room) = World::calling();
    world.says(json!({"type": "offer", "offer": offer(), "name": "carol"}));
    assert_eq!(world.error(), "in-call");
    world.hears(ServerMessage::Refused {
        call: call_id(),
        code: RefuseCode::Busy,
        reason: None,
    });
    assert_eq!(world.error(), "busy");
    assert_eq!(world.core(), [&ClientMessage::Leave { room }]);
}

#[test]
fn between_login_pages_words_go_through_as_they_are() {
    let (mut world, room) = World::calling();
    let other = Some(Dialect::Login);
    world.says(json!({"type": "candidate", "candidate": candidate(1), "name": "bob"}));
    assert!(world.core.is_empty(), "kept until bob is there");
    world.hears(ServerMessage::PeerJoined {
        room: room.clone(),
        member: member('b', other),
    });
    let data: Vec<Value> = world
        .core
        .iter()
        .map(|frame| match &frame.message {
            ClientMessage::Message { to, data, .. } if *to == Some(id('b')) => data.to().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        data,
        [
            json!({"type": "offer", "offer": offer()}),
            json!({"type": "candidate", "candidate": candidate(1)})
        ]
    );
    world.hears(ServerMessage::Accepted { call: call_id() });
    assert_eq!(world.page, [json!({"type": "accept", "name": "bob"})]);
    let data = Raw::of(&json!({"type": "answer", "answer": "any text"})).unwrap();
    world.hears(ServerMessage::Message {
        room: room.clone(),
        from: id('b'),
        data: data.clone(),
    });
    assert_eq!(
        world.page,
        [json!({"type": "answer", "answer": "any text"})]
    );
    world.hears(ServerMessage::Message {
        room,
        from: id('c'),
        data,
    });
    assert!(world.page.is_empty(), "nobody else has a say in it");
}

#[test]
fn a_called_page_is_given_the_offer_and_its_answer_takes_the_call() {
    let (mut world, room) = World::called(Some(Dialect::Login));
    assert!(
        world.core.is_empty(),
        "the caller's page has made its offer"
    );
    world.says(json!({"type": "answer", "answer": answer(), "name": "bob"}));
    assert_eq!(world.error(), "no-call", "there is nothing to answer yet");
    let data = Raw::of(&json!({"type": "offer", "offer": offer()})).unwrap();
    let from = id('b');
    world.hears(ServerMessage::Message { room, from, data });
    let told = json!({"type": "offer", "offer": offer(), "name": "bob"});
    assert_eq!(world.page, [told]);
    world.says(json!({"type": "answer", "answer": answer(), "name": "bob"}));
    let call = call_id();
    assert!(matches!(
        &world.core()[..],
        [ClientMessage::Accept { call: taken }, ClientMessage::Message { .. }] if *taken == call
    ));
    world.says(json!({"type": "answer", "answer": answer(), "name": "bob"}));
    assert_eq!(world.error(), "no-offer");
}

#[test]
fn a_native_caller_is_asked_for_its_offer_while_it_rings() {
    let (mut world, room) = World::called(None);
    assert_eq!(world.signals(), [Signal::Restart]);
    let early = Signal::Candidate(serde_json::from_value(candidate(1)).unwrap());
    world.bob_signals(&room, &early);
    assert!(
        world.page.is_empty(),
        "it belongs to an offer that is not here"
    );
    world.bob_signals(&room, &native(offer()));
    assert_eq!(
        world.page,
        [
            json!({"type": "offer", "offer": offer(), "name": "bob"}),
            json!({"type": "candidate", "candidate": candidate(1)})
        ]
    );
    world.bob_signals(&room, &Signal::EndOfCandidates);
    assert!(world.page.is_empty(), "the page has no word for it");
    world.says(json!({"type": "candidate", "candidate": candidate(2), "name": "bob"}));
    assert_eq!(world.signals().len(), 1);
    world.says(json!({"type": "accept", "name": "bob"}));
    assert!(matches!(world.core()[..], [ClientMessage::Accept { .. }]));
    world.says(json!({"type": "answer", "answer": answer(), "name": "bob"}));
    assert_eq!(world.core.len(), 1, "it is accepted once");
    assert_eq!(world.signals(), [native(answer())]);
    world.says(json!({"type": "candidate", "candidate": null, "name": "bob"}));
    assert_eq!(world.signals(), [Signal::EndOfCandidates]);
}

#[test]
fn a_called_page_can_refuse_and_the_caller_is_told_why() {
    for (said, why) in [
        (
            json!({"type": "refuse", "name": "bob", "message": "later"}),
            Some("later"),
        ),
        (json!({"type": "leave", "name": "bob"}), None),
    ] {
        let (mut world, room) = World::called(None);
        world.bob_signals(&room, &native(offer()));
        world.says(said);
        let refuse = ClientMessage::Refuse {
            call: call_id(),
            code: Some(RefuseCode::Declined),
            reason: why.map(str::to_owned),
        };
        assert_eq!(world.core(), [&refuse, &ClientMessage::Leave { room }]);
        world.says(json!({"type": "leave"}));
        assert_eq!(world.error(), "no-call");
    }
    for (code, told) in [
        (RefuseCode::Declined, "declined"),
        (RefuseCode::NoAnswer, "no-answer"),
    ] {
        let (mut world, room) = World::calling();
        let (call, reason) = (call_id(), None);
        world.hears(ServerMessage::Refused { call, code, reason });
        assert_eq!(world.page[0]["type"], "refuse");
        assert_eq!(world.page[0]["code"], told);
        assert_eq!(world.page[1], json!({"type": "leave"}));
        assert_eq!(world.core(), [&ClientMessage::Leave { room }]);
    }
}

#[test]
fn a_native_callee_gets_the_offer_when_it_comes_and_gives_way() {
    let (mut world, room) = World::calling();
    world.says(json!({"type": "candidate", "candidate": candidate(1), "name": "bob"}));
    world.hears(ServerMessage::PeerJoined {
        room: room.clone(),
        member: member('b', None),
    });
    let signals = world.signals();
    assert_eq!(signals[0], native(offer()));
    assert!(matches!(signals[1], Signal::Candidate(_)));
    world.bob_signals(&room, &native(offer()));
    assert!(world.page.is_empty(), "its offer collides with ours");
    world.bob_signals(&room, &native(answer()));
    assert_eq!(world.page, [json!({"type": "answer", "answer": answer()})]);
    world.bob_signals(&room, &native(offer()));
    assert_eq!(world.page[0]["type"], "offer", "a later one does not");
    world.hears(ServerMessage::PeerLeft {
        room: room.clone(),
        peer: id('b'),
        reason: LeaveReason::Lost,
    });
    assert_eq!(world.page, [json!({"type": "leave"})]);
    let hang_up = ClientMessage::HangUp { call: call_id() };
    assert_eq!(world.core(), [&hang_up, &ClientMessage::Leave { room }]);
}

#[test]
fn who_is_met_in_a_room_is_called_there_and_nobody_else_in_it() {
    let mut world = World::ann();
    world.says(json!({"type": "offer", "offer": offer(), "name": "bob"}));
    let request = world.core[0].id;
    let room = RoomId::new("foo").unwrap();
    let (peer, found) = (id('b'), room.clone());
    world.hears_as(request, ServerMessage::Found { peer, room: found });
    world.joins(&room, vec![member('c', None), member('b', None)]);
    assert_eq!(world.signals(), [native(offer())]);
    assert_eq!(world.core.len(), 1);
    world.hears(ServerMessage::Signal {
        room: room.clone(),
        from: id('c'),
        signal: native(offer()).to_raw().unwrap(),
    });
    assert!(world.page.is_empty());
    world.says(json!({"type": "leave", "name": "bob"}));
    assert_eq!(world.core(), [&ClientMessage::Leave { room }]);
}

#[test]
fn a_page_that_takes_no_offer_or_has_gone_cannot_be_called() {
    for (members, told) in [
        (vec![member('b', Some(Dialect::Codelab))], "cannot-answer"),
        (vec![member('b', Some(Dialect::Whip))], "cannot-answer"),
        (vec![], "no-such-user"),
    ] {
        let mut world = World::ann();
        world.says(json!({"type": "offer", "offer": offer(), "name": "bob"}));
        let (peer, room) = (id('b'), RoomId::new("foo").unwrap());
        let request = world.core[0].id;
        let found = room.clone();
        world.hears_as(request, ServerMessage::Found { peer, room: found });
        world.joins(&room, members);
        assert_eq!(world.error(), told);
        assert_eq!(world.core(), [&ClientMessage::Leave { room }]);
    }
}

#[test]
fn a_page_that_thinks_better_of_it_before_it_rings_leaves_nothing_ringing() {
    let mut world = World::ann();
    world.says(json!({"type": "offer", "offer": offer(), "name": "bob"}));
    let request = world.core[0].id;
    world.says(json!({"type": "leave", "name": "bob"}));
    assert!(world.core.is_empty(), "it has no name to end it by yet");
    world.says(json!({"type": "offer", "offer": offer(), "name": "carol"}));
    assert!(matches!(world.core()[..], [ClientMessage::Ring { .. }]));
    world.hears_as(request, ServerMessage::Ringing { call: call_id() });
    assert_eq!(world.core(), [&ClientMessage::HangUp { call: call_id() }]);
    assert!(world.page.is_empty());
}

#[test]
fn a_second_call_finds_the_page_busy_and_a_caller_that_hangs_up_first_is_told() {
    let (mut world, room) = World::called(None);
    let second = CallId::new("call-2").unwrap();
    world.hears(ServerMessage::Ring {
        call: second.clone(),
        from: id('c'),
        name: name("carol"),
        room: room.clone(),
    });
    let busy = ClientMessage::Refuse {
        call: second,
        code: Some(RefuseCode::Busy),
        reason: None,
    };
    assert_eq!(world.core(), [&busy]);
    world.says(json!({"type": "offer", "offer": offer(), "name": "bob"}));
    assert_eq!(world.error(), "in-call");
    world.hears(ServerMessage::HungUp { call: call_id() });
    assert!(world.page.is_empty(), "the page has seen nothing of it");
    let (mut world, room) = World::called(None);
    world.bob_signals(&room, &native(offer()));
    world.hears(ServerMessage::HungUp { call: call_id() });
    assert_eq!(world.page, [json!({"type": "leave"})]);
    assert_eq!(world.core(), [&ClientMessage::Leave { room }]);
}

#[test]
fn what_waits_for_the_other_side_is_bounded() {
    let (mut world, _) = World::calling();
    for port in 1..call::HELD {
        let port = u16::try_from(port).unwrap();
        world.says(json!({"type": "candidate", "candidate": candidate(port)}));
        assert!(world.page.is_empty());
    }
    world.says(json!({"type": "candidate", "candidate": candidate(0)}));
    assert_eq!(world.error(), "too-many");
    let (mut world, _) = World::calling();
    let large = "x".repeat(50_000);
    world.says(json!({"type": "candidate", "candidate": large}));
    world.says(json!({"type": "candidate", "candidate": large}));
    assert!(world.page.is_empty());
    world.says(json!({"type": "candidate", "candidate": large}));
    assert_eq!(world.error(), "too-many");
}

#[test]
fn an_offer_that_no_browser_makes_ends_the_call_with_who_needs_one() {
    for bad in [
        json!("text"),
        json!({"type": "answer", "sdp": ""}),
        json!(5),
    ] {
        let mut world = World::ann();
        world.says(json!({"type": "offer", "offer": bad, "name": "bob"}));
        let ClientMessage::Ring { room, .. } = world.core[0].message.clone() else {
            panic!()
        };
        let id = world.core[0].id;
        world.hears_as(id, ServerMessage::Ringing { call: call_id() });
        world.joins(&room, vec![member('b', None)]);
        assert_eq!(world.error(), "bad-message");
        let hang_up = ClientMessage::HangUp { call: call_id() };
        assert_eq!(world.core(), [&hang_up, &ClientMessage::Leave { room }]);
    }
}

#[test]
fn no_room_of_a_call_tells_of_the_next() {
    let mut world = World::ann();
    let mut rooms = Vec::new();
    for _ in 0..3 {
        world.says(json!({"type": "offer", "offer": offer(), "name": "bob"}));
        let ClientMessage::Ring { room, .. } = world.core[0].message.clone() else {
            panic!()
        };
        rooms.push(room);
        world.says(json!({"type": "leave"}));
    }
    rooms.dedup();
    assert_eq!(rooms.len(), 3);
    assert!(rooms.iter().all(|room| room.as_str().len() == 25));
}

fn said() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just(json!("bob")),
        Just(json!("ann")),
        Just(json!(5)),
        Just(json!(null))
    ];
    let kind = prop_oneof![
        Just("login"),
        Just("offer"),
        Just("answer"),
        Just("candidate"),
        Just("accept"),
        Just("refuse"),
        Just("leave"),
        Just("toString")
    ];
    prop_oneof![
        4 => (kind, name).prop_map(|(kind, name)| {
            json!({"type": kind, "name": name, "offer": offer(), "answer": answer(), "candidate": candidate(1)})
                .to_string()
        }),
        1 => any::<String>(),
    ]
}

fn heard() -> impl Strategy<Value = (u8, u64)> {
    (0_u8..11, 0_u64..12)
}

proptest! {
    /// Whatever comes in whatever order: every word to the page is JSON with a type, every frame to the core is one,
    /// and a page in no call is in no room.
    #[test]
    fn any_order_of_words_is_answered(steps in proptest::collection::vec((said(), heard(), any::<bool>()), 1..60)) {
        let mut world = World::new();
        let mut inside = std::collections::BTreeSet::new();
        let mut last_room = RoomId::new("call-x").unwrap();
        for (said, (what, id), page) in steps {
            if page {
                world.text(&said);
            } else {
                let dialect = (id % 2 == 0).then_some(Dialect::Login);
                let room = last_room.clone();
                let from = super::tests::id('b');
                let message = match what {
                    0 => ServerMessage::Ack {},
                    1 => ServerMessage::Error { code: ErrorCode::Busy, message: String::new() },
                    2 => ServerMessage::Ring { call: call_id(), from, name: name("bob"), room },
                    3 => ServerMessage::Ringing { call: call_id() },
                    4 => ServerMessage::Found { peer: from, room },
                    5 => ServerMessage::Joined {
                        room, peer: id_of_page(), role: Role::Member, capacity: 2, members: vec![member('b', dialect)],
                    },
                    6 => ServerMessage::PeerJoined { room, member: member('b', dialect) },
                    7 => ServerMessage::Signal { room, from, signal: native(offer()).to_raw().unwrap() },
                    8 => ServerMessage::Message { room, from, data: Raw::parse(r#"{"type":"offer","offer":1}"#).unwrap() },
                    9 => ServerMessage::HungUp { call: call_id() },
                    _ => ServerMessage::PeerLeft { room, peer: from, reason: LeaveReason::Left },
                };
                world.hears_as(Some(id), message);
            }
            for word in &world.page {
                prop_assert!(word["type"].is_string());
            }
            for message in world.core() {
                match message {
                    ClientMessage::Join { room, .. } => {
                        prop_assert!(inside.insert(room.clone()), "one join");
                        last_room = room.clone();
                    }
                    ClientMessage::Leave { room } => prop_assert!(inside.remove(room), "left what it was in"),
                    ClientMessage::Ring { room, .. } => last_room = room.clone(),
                    _ => {}
                }
            }
            prop_assert!(inside.len() <= 1);
            if world.login.call.is_none() {
                prop_assert!(inside.is_empty());
            }
        }
    }
}
