//! Wire forms pinned, round trips by property, hostile input.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::id::{AuthToken, CallId, RoomId, Token};
use crate::raw::Raw;

fn code(text: &str) -> ErrorCode {
    ClientFrame::parse(text).unwrap_err().error.code()
}

#[test]
fn a_join_is_pinned() {
    let text = r#"{"id":7,"type":"join","room":"foo","name":"Ann","capacity":4}"#;
    let frame = ClientFrame::parse(text).unwrap();
    assert_eq!(
        frame,
        ClientFrame {
            id: Some(7),
            message: ClientMessage::Join {
                room: RoomId::new("foo").unwrap(),
                name: Some(Name::new("Ann").unwrap()),
                capacity: Some(4),
            }
        }
    );
    assert_eq!(frame.to_json(), text);
}

#[test]
fn server_frames_are_pinned() {
    let token = Token::new("AAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let peer = token.peer_id();
    let joined = ServerFrame {
        seq: Some(1),
        id: Some(2),
        message: ServerMessage::Joined {
            room: RoomId::new("foo").unwrap(),
            peer,
            role: Role::Member,
            capacity: 6,
            members: vec![Member {
                peer,
                name: Name::new("Ann").unwrap(),
                role: Role::Moderator,
                muted: vec![Kind::Audio],
                dialect: None,
            }],
        },
    };
    assert_eq!(
        joined.to_json(),
        format!(
            r#"{{"seq":1,"id":2,"type":"joined","room":"foo","peer":"{peer}","role":"member","capacity":6,"members":[{{"peer":"{peer}","name":"Ann","role":"moderator","muted":["audio"]}}]}}"#
        )
    );
    let ack = ServerFrame {
        seq: None,
        id: Some(3),
        message: ServerMessage::Ack {},
    };
    assert_eq!(ack.to_json(), r#"{"id":3,"type":"ack"}"#);
    let error = ServerFrame::from(ServerMessage::Error {
        code: ErrorCode::RoomFull,
        message: "full".into(),
    });
    assert_eq!(
        error.to_json(),
        r#"{"type":"error","code":"room-full","message":"full"}"#
    );
}

#[test]
fn payloads_stay_the_text_they_were() {
    let text = r#"{"type":"message","room":"r","data":{"b": 1.0e2,   "a":[null]}}"#;
    let ClientMessage::Message { data, .. } = ClientFrame::parse(text).unwrap().message else {
        panic!("another message");
    };
    assert_eq!(data.get(), r#"{"b": 1.0e2,   "a":[null]}"#);
    let null = ClientFrame::parse(r#"{"type":"message","room":"r","data":null}"#).unwrap();
    assert_eq!(
        null.to_json(),
        r#"{"type":"message","room":"r","data":null}"#
    );
}

#[test]
fn bad_messages_have_typed_errors() {
    for bad in [
        "",
        "null",
        "[]",
        "42",
        "\"join\"",
        "{",
        "{}",
        r#"{"type":null}"#,
        r#"{"type":"toString"}"#,
        r#"{"type":"__proto__"}"#,
        r#"{"type":"join"}"#,
        r#"{"type":"join","room":1}"#,
        r#"{"type":"join","room":{"toString":1}}"#,
        r#"{"type":"join","room":"a","room":"b"}"#,
        r#"{"type":"join","type":"leave","room":"a"}"#,
        r#"{"type":"join","room":"a","capacity":0}"#,
        r#"{"type":"join","room":"a","capacity":-1}"#,
        r#"{"type":"join","room":"a","id":"1"}"#,
        r#"{"type":"mute","room":"a","peer":"aaaaaaaaaaaaaaaaaaaa","kind":"smell"}"#,
        r#"{"type":"ping","t":1e999}"#,
        r#"{"type":"message","room":"a"}"#,
        r#"{"type":"ping","t":1} {"type":"ping","t":1}"#,
    ] {
        assert_eq!(code(bad), ErrorCode::BadMessage, "{bad}");
    }
    for bad in [
        r#"{"type":"join","room":""}"#,
        r#"{"type":"join","room":"a/b"}"#,
        r#"{"type":"join","room":"a","name":""}"#,
        r#"{"type":"signal","room":"a","to":"constructor","signal":{}}"#,
        r#"{"type":"hello","resume":"short"}"#,
    ] {
        assert_eq!(code(bad), ErrorCode::BadName, "{bad}");
    }
}

#[test]
fn a_refused_request_keeps_its_id() {
    let rejected = ClientFrame::parse(r#"{"id":9,"type":"join","room":"a/b"}"#).unwrap_err();
    assert_eq!(rejected.id, Some(9));
    let rejected = ClientFrame::parse(r#"{"id":9,"type":"fly"}"#).unwrap_err();
    assert_eq!(
        rejected,
        Rejected {
            id: Some(9),
            error: ParseError::UnknownType("fly".into())
        }
    );
}

#[test]
fn deep_payloads_are_refused_and_unknown_fields_skipped() {
    let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let text = |n| format!(r#"{{"type":"message","room":"a","data":{}}}"#, nest(n));
    assert!(ClientFrame::parse(&text(64)).is_ok());
    let rejected = ClientFrame::parse(&text(65)).unwrap_err();
    assert_eq!(rejected.error, ParseError::TooDeep { field: "data" });
    assert!(ClientFrame::parse(&text(100_000)).is_err());
    let extra = format!(r#"{{"type":"leave","room":"a","later":{}}}"#, nest(20_000));
    assert!(ClientFrame::parse(&extra).is_ok());
}

#[test]
fn codes_are_written_as_they_are_documented() {
    for known in [
        ErrorCode::BadMessage,
        ErrorCode::TooLarge,
        ErrorCode::NotJoined,
        ErrorCode::NoSuchPeer,
        ErrorCode::NoSuchRoom,
        ErrorCode::RoomFull,
        ErrorCode::BadName,
        ErrorCode::AlreadyJoined,
        ErrorCode::NotAllowed,
        ErrorCode::RateLimited,
        ErrorCode::TooManyRooms,
        ErrorCode::Busy,
        ErrorCode::HelloFirst,
        ErrorCode::GoingAway,
        ErrorCode::TryLater,
    ] {
        assert_eq!(
            serde_json::to_string(&known).unwrap(),
            format!("{:?}", known.as_str())
        );
    }
    let later = ServerFrame::parse(r#"{"type":"error","code":"new-code","message":""}"#).unwrap();
    assert!(matches!(
        later.message,
        ServerMessage::Error {
            code: ErrorCode::Unknown,
            ..
        }
    ));
}

prop_compose! {
    fn room()(text in "[^/?#\\p{Cc}.][^/?#\\p{Cc}]{0,20}") -> RoomId { RoomId::new(&text).unwrap() }
}
prop_compose! {
    fn name()(text in "\\P{Cc}{1,64}") -> Name { Name::new(&text).unwrap() }
}
prop_compose! {
    fn call()(text in "[a-z0-9]{1,64}") -> CallId { CallId::new(&text).unwrap() }
}
prop_compose! {
    fn token()(bytes in any::<[u8; 32]>()) -> Token { Token::from_random(bytes) }
}
prop_compose! {
    fn peer()(token in token()) -> PeerId { token.peer_id() }
}
prop_compose! {
    fn raw()(text in any::<String>(), number in any::<i64>()) -> Raw {
        Raw::of(&serde_json::json!({"a": [text, number, null]})).unwrap()
    }
}

fn callee() -> impl Strategy<Value = Callee> {
    prop_oneof![peer().prop_map(Callee::Peer), name().prop_map(Callee::Name)]
}

fn refusal() -> impl Strategy<Value = RefuseCode> {
    prop_oneof![
        Just(RefuseCode::Declined),
        Just(RefuseCode::Busy),
        Just(RefuseCode::NoAnswer)
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Audio), Just(Kind::Video)]
}

fn t() -> impl Strategy<Value = f64> {
    // Quarters below 2^40 are read back exactly by any JSON reader.
    (0_u64..1 << 40).prop_map(|t| t as f64 / 4.0)
}

fn client() -> impl Strategy<Value = ClientMessage> {
    use ClientMessage as M;
    prop_oneof![
        (
            of(token()),
            of(any::<u64>()),
            of(name()),
            of(".{0,256}"),
            of(".*")
        )
            .prop_map(|(resume, last_seq, name, agent, auth)| M::Hello {
                resume,
                last_seq,
                name,
                auth: auth.as_deref().map(AuthToken::new),
                agent
            }),
        (room(), of(name()), of(1_u16..)).prop_map(|(room, name, capacity)| M::Join {
            room,
            name,
            capacity
        }),
        room().prop_map(|room| M::Leave { room }),
        (room(), of(peer()), raw()).prop_map(|(room, to, signal)| M::Signal { room, to, signal }),
        (room(), of(peer()), raw()).prop_map(|(room, to, data)| M::Message { room, to, data }),
        name().prop_map(|name| M::Register { name }),
        (callee(), room()).prop_map(|(whom, room)| M::Ring { whom, room }),
        call().prop_map(|call| M::Accept { call }),
        (call(), of(refusal()), of(".{0,256}")).prop_map(|(call, code, reason)| M::Refuse {
            call,
            code,
            reason
        }),
        call().prop_map(|call| M::HangUp { call }),
        (room(), peer(), kind()).prop_map(|(room, peer, kind)| M::Mute { room, peer, kind }),
        (room(), peer(), kind()).prop_map(|(room, peer, kind)| M::Unmute { room, peer, kind }),
        (room(), peer(), of(".{0,256}")).prop_map(|(room, peer, reason)| M::Kick {
            room,
            peer,
            reason
        }),
        (room(), peer()).prop_map(|(room, peer)| M::Grant {
            room,
            peer,
            right: Right::Moderator
        }),
        raw().prop_map(|data| M::Broadcast { data }),
        Just(M::Drain {}),
        t().prop_map(|t| M::Ping { t }),
        t().prop_map(|t| M::Pong { t }),
    ]
}

prop_compose! {
    fn member()(
        peer in peer(), name in name(), moderator in any::<bool>(), muted in vec(kind(), 0..2),
        dialect in of(prop_oneof![Just(Dialect::Login), Just(Dialect::Whip)]),
    ) -> Member {
        let role = if moderator { Role::Moderator } else { Role::Member };
        Member { peer, name, role, muted, dialect }
    }
}

fn server() -> impl Strategy<Value = ServerMessage> {
    use ServerMessage as M;
    prop_oneof![
        (token(), any::<bool>(), of(".*"), vec(".*", 0..3)).prop_map(
            |(resume, resumed, credential, urls)| M::Welcome {
                peer: resume.peer_id(),
                resume,
                resumed,
                resume_window_ms: 1,
                heartbeat_ms: 2,
                ice_servers: vec![IceServer {
                    urls,
                    username: credential.clone(),
                    credential
                }],
                limits: Limits {
                    message_bytes: 1,
                    rooms_per_peer: 2,
                    room_capacity: 3,
                    queue_messages: 4
                },
                server: "s".into(),
            }
        ),
        (room(), peer(), any::<u16>(), vec(member(), 0..3)).prop_map(
            |(room, peer, capacity, members)| M::Joined {
                room,
                peer,
                role: Role::Member,
                capacity,
                members
            }
        ),
        room().prop_map(|room| M::Left { room }),
        (room(), member()).prop_map(|(room, member)| M::PeerJoined { room, member }),
        (
            room(),
            peer(),
            prop_oneof![
                Just(LeaveReason::Left),
                Just(LeaveReason::Lost),
                Just(LeaveReason::Kicked)
            ]
        )
            .prop_map(|(room, peer, reason)| M::PeerLeft { room, peer, reason }),
        (room(), peer(), raw()).prop_map(|(room, from, signal)| M::Signal { room, from, signal }),
        (room(), peer(), raw()).prop_map(|(room, from, data)| M::Message { room, from, data }),
        (call(), peer(), name(), room()).prop_map(|(call, from, name, room)| M::Ring {
            call,
            from,
            name,
            room
        }),
        call().prop_map(|call| M::Ringing { call }),
        raw().prop_map(|data| M::Broadcast { data }),
        call().prop_map(|call| M::Accepted { call }),
        (call(), refusal(), of(".{0,256}")).prop_map(|(call, code, reason)| M::Refused {
            call,
            code,
            reason
        }),
        (peer(), room()).prop_map(|(peer, room)| M::Found { peer, room }),
        call().prop_map(|call| M::HungUp { call }),
        (room(), peer(), kind(), peer()).prop_map(|(room, peer, kind, by)| M::Muted {
            room,
            peer,
            kind,
            by
        }),
        (room(), peer(), kind(), peer()).prop_map(|(room, peer, kind, by)| M::Unmuted {
            room,
            peer,
            kind,
            by
        }),
        (room(), peer(), of(".{0,256}")).prop_map(|(room, by, reason)| M::Kicked {
            room,
            by,
            reason
        }),
        (room(), peer(), peer()).prop_map(|(room, peer, by)| M::Granted {
            room,
            peer,
            right: Right::Moderator,
            by
        }),
        (".{0,256}", of(any::<u64>()), of(".*")).prop_map(|(reason, reconnect_ms, url)| {
            M::GoAway {
                reason,
                reconnect_ms,
                url,
            }
        }),
        (t(), of(t())).prop_map(|(t, rtt_ms)| M::Ping { t, rtt_ms }),
        t().prop_map(|t| M::Pong { t }),
        Just(M::Ack {}),
        ".*".prop_map(|message| M::Error {
            code: ErrorCode::Busy,
            message
        }),
    ]
}

proptest! {
    #[test]
    fn every_client_frame_comes_back(id in of(any::<u64>()), message in client()) {
        let frame = ClientFrame { id, message };
        prop_assert_eq!(ClientFrame::parse(&frame.to_json()), Ok(frame));
    }

    #[test]
    fn every_server_frame_comes_back(
        seq in of(any::<u64>()), id in of(any::<u64>()), message in server()
    ) {
        let frame = ServerFrame { seq, id, message };
        prop_assert_eq!(ServerFrame::parse(&frame.to_json()), Ok(frame));
    }

    /// What is put together from texts is the same as what is written field by field.
    #[test]
    fn every_server_frame_is_written_as_its_fields_say(
        seq in of(any::<u64>()), id in of(any::<u64>()), message in server()
    ) {
        let frame = ServerFrame { seq, id, message };
        prop_assert_eq!(frame.to_json(), serde_json::to_string(&frame).unwrap());
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = ClientFrame::parse(&text);
        let _ = ServerFrame::parse(&text);
    }

    #[test]
    fn damaged_frames_never_panic(message in client(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = ClientFrame::from(message).to_json().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let text = String::from_utf8_lossy(&bytes);
        let _ = ClientFrame::parse(&text);
        let _ = ServerFrame::parse(&text);
    }
}

/// The page of the dialect has an example of every message, and each is one.
#[test]
fn every_documented_example_is_understood_and_every_type_has_one() {
    let page = include_str!("../../docs/protocol/rtc.v1.md");
    let blocks: Vec<&str> = page.split("```json\n").skip(1).collect();
    assert_eq!(blocks.len(), 2, "what clients say, and what servers say");
    let examples = |block: &'static str| block.split("```").next().unwrap_or_default().lines();
    let kind = |json: &str| -> String {
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        value["type"].as_str().unwrap().to_owned()
    };
    let mut said = [Vec::new(), Vec::new()];
    for line in examples(blocks[0]) {
        assert_eq!(ClientFrame::parse(line).unwrap().to_json(), line);
        said[0].push(kind(line));
    }
    for line in examples(blocks[1]) {
        let frame = ServerFrame::parse(line).unwrap();
        assert_eq!(frame.to_json(), line);
        assert_eq!(frame.seq.is_some(), frame.message.is_sequenced(), "{line}");
        said[1].push(kind(line));
    }
    let schema = crate::schema::schema();
    for (frame, said) in ["ClientFrame", "ServerFrame"].iter().zip(said) {
        let variants = schema["$defs"][frame]["oneOf"].as_array().unwrap();
        for variant in variants {
            let kind = variant["properties"]["type"]["const"].as_str().unwrap();
            assert!(said.iter().any(|one| one == kind), "{kind} has no example");
        }
    }
}
