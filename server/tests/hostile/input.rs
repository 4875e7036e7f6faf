//! Well-formed frames with bad words in them: what is asked for is refused, changes nothing, and is heard by nobody.

use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use rtc_protocol::{ClientMessage, ErrorCode, LeaveReason, Raw, ServerMessage};
use rtc_server::Config;

use crate::rig::*;

async fn refusal(wire: &mut Wire) -> ErrorCode {
    match wire.message().await {
        ServerMessage::Error { code, .. } => code,
        other => panic!("{other:?}"),
    }
}

/// Says each text in a room and asserts how it is refused.
async fn refused(cases: &[(&str, ErrorCode)]) {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let mut a = Wire::inside(address, "a", "r").await;
    let mut mate = Wire::inside(address, "mate", "r").await;
    let came = a.message().await;
    assert!(matches!(came, ServerMessage::PeerJoined { .. }), "{came:?}");
    for (text, code) in cases {
        a.text(text.as_bytes()).await;
        let shown: String = text.chars().take(200).collect();
        assert_eq!(refusal(&mut a).await, *code, "{shown}");
        // Sense in between, or so much nonsense would close the link.
        a.text(br#"{"type":"ping","t":1}"#).await;
        assert_eq!(a.message().await, ServerMessage::Pong { t: 1.0 }, "{shown}");
    }
    mate.still_there().await;
    watch.all_is_well().await;
}

#[tokio::test]
async fn what_is_not_of_its_kind_is_refused() {
    use ErrorCode::{BadMessage, BadName};
    refused(&[
        (r#"{"type":"join","room":7}"#, BadMessage),
        (r#"{"type":"join","room":null}"#, BadMessage),
        (r#"{"type":"join","room":["r"]}"#, BadMessage),
        (r#"{"type":"join","room":{"toString":1}}"#, BadMessage),
        (r#"{"type":"join","room":"x","name":7}"#, BadMessage),
        (r#"{"type":"join","room":"x","capacity":"3"}"#, BadMessage),
        (r#"{"type":"join","room":"x","capacity":-1}"#, BadMessage),
        (r#"{"type":"join","room":"x","capacity":0}"#, BadMessage),
        (r#"{"type":"join","room":"x","capacity":1e9}"#, BadMessage),
        (r#"{"type":"join","room":"x","capacity":65536}"#, BadMessage),
        (r#"{"id":-1,"type":"leave","room":"r"}"#, BadMessage),
        (r#"{"id":"1","type":"leave","room":"r"}"#, BadMessage),
        (r#"{"id":1.5,"type":"leave","room":"r"}"#, BadMessage),
        (
            r#"{"id":18446744073709551616,"type":"leave","room":"r"}"#,
            BadMessage,
        ),
        (
            r#"{"type":"message","room":"r","to":"nobody","data":1}"#,
            BadName,
        ),
        (
            r#"{"type":"message","room":"r","to":7,"data":1}"#,
            BadMessage,
        ),
        (r#"{"type":"ping","t":"now"}"#, BadMessage),
        (r#"{"type":"ping","t":1e999}"#, BadMessage),
        (
            r#"{"type":"mute","room":"r","peer":"x","kind":"audio"}"#,
            BadName,
        ),
        (r#"{"type":["join"],"room":"r"}"#, BadMessage),
        (r#"{"type":"join","type":"leave","room":"r"}"#, BadMessage),
        (r#"{"type":"leave","room":"r","room":"s"}"#, BadMessage),
        (r#"{"id":1,"id":2,"type":"leave","room":"r"}"#, BadMessage),
        (r#"[{"type":"leave","room":"r"}]"#, BadMessage),
        (r#""leave""#, BadMessage),
        (
            r#"{"type":"leave","room":"r"}{"type":"leave","room":"r"}"#,
            BadMessage,
        ),
        (r#"{"type":"leave","room":"\ud800"}"#, BadMessage),
    ])
    .await;
}

#[tokio::test]
async fn depth_is_refused_before_it_reaches_anybody() {
    let nested = |depth: usize, kind: &str, field: &str| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"type":"{kind}","room":"r","{field}":{open}{close}}}"#)
    };
    let objects = format!(
        r#"{{"type":"message","room":"r","data":{}1{}}}"#,
        r#"{"a":"#.repeat(5_000),
        "}".repeat(5_000)
    );
    let unclosed = format!(
        r#"{{"type":"message","room":"r","data":{}"#,
        "[".repeat(60_000)
    );
    let cases = [
        nested(65, "message", "data"),
        nested(30_000, "message", "data"),
        nested(30_000, "message", "extra"),
        nested(100, "signal", "signal"),
        objects,
        unclosed,
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|text| (text.as_str(), ErrorCode::BadMessage))
        .collect();
    refused(&cases).await;
}

#[tokio::test]
async fn who_is_not_in_a_room_can_do_nothing_to_it() {
    use ErrorCode::{NoSuchPeer, NotAllowed, NotJoined};
    let (one, other, mate) = (id("watch-one"), id("watch-other"), id("mate"));
    let cases = [
        (
            r#"{"type":"message","room":"watched","data":1}"#.to_owned(),
            NotJoined,
        ),
        (
            format!(r#"{{"type":"message","room":"watched","to":"{one}","data":1}}"#),
            NotJoined,
        ),
        (
            format!(r#"{{"type":"message","room":"r","to":"{one}","data":1}}"#),
            NoSuchPeer,
        ),
        (
            format!(
                r#"{{"type":"signal","room":"watched","to":"{other}","signal":{{"restart":true}}}}"#
            ),
            NotJoined,
        ),
        (
            format!(r#"{{"type":"signal","room":"r","to":"{other}","signal":{{"restart":true}}}}"#),
            NoSuchPeer,
        ),
        (
            format!(r#"{{"type":"kick","room":"watched","peer":"{other}"}}"#),
            NotJoined,
        ),
        (
            format!(r#"{{"type":"kick","room":"r","peer":"{other}"}}"#),
            NoSuchPeer,
        ),
        (
            format!(r#"{{"type":"mute","room":"watched","peer":"{one}","kind":"audio"}}"#),
            NotJoined,
        ),
        (
            format!(r#"{{"type":"grant","room":"watched","peer":"{one}","right":"moderator"}}"#),
            NotJoined,
        ),
        (r#"{"type":"leave","room":"watched"}"#.to_owned(), NotJoined),
        (
            r#"{"type":"leave","room":"__proto__"}"#.to_owned(),
            NotJoined,
        ),
        (
            r#"{"type":"message","room":"constructor","data":1}"#.to_owned(),
            NotJoined,
        ),
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|(text, code)| (text.as_str(), *code))
        .collect();
    refused(&cases).await;

    // In the room, and no moderator of it.
    let (_running, address) = server().await;
    let mut mate_first = Wire::inside(address, "mate", "r").await;
    let mut a = Wire::inside(address, "a", "r").await;
    for text in [
        format!(r#"{{"type":"kick","room":"r","peer":"{mate}"}}"#),
        format!(r#"{{"type":"mute","room":"r","peer":"{mate}","kind":"video"}}"#),
        format!(
            r#"{{"type":"grant","room":"r","peer":"{}","right":"moderator"}}"#,
            id("a")
        ),
    ] {
        a.text(text.as_bytes()).await;
        assert_eq!(refusal(&mut a).await, NotAllowed, "{text}");
    }
    let came = mate_first.message().await;
    assert!(matches!(came, ServerMessage::PeerJoined { .. }), "{came:?}");
    mate_first.still_there().await;
}

#[tokio::test]
async fn a_peer_that_joins_twice_is_in_once() {
    let (_running, address) = server().await;
    let mut a = Wire::greeted(address, "a").await;
    a.say(ClientMessage::Join {
        room: room("r"),
        name: None,
        capacity: Some(2),
    })
    .await;
    assert!(matches!(a.message().await, ServerMessage::Joined { .. }));
    for _ in 0..20 {
        a.say(ClientMessage::Join {
            room: room("r"),
            name: None,
            capacity: None,
        })
        .await;
        assert_eq!(refusal(&mut a).await, ErrorCode::AlreadyJoined);
    }
    let _b = Wire::inside(address, "b", "r").await;
    let mut c = Wire::greeted(address, "c").await;
    match c.join("r").await {
        ServerMessage::Error { code, .. } => assert_eq!(code, ErrorCode::RoomFull),
        other => panic!("{other:?}"),
    }
    // And who was not let in hears nothing of what is said inside.
    a.say(ClientMessage::Message {
        room: room("r"),
        to: None,
        data: Raw::parse("1").unwrap(),
    })
    .await;
    c.still_there().await;
}

#[tokio::test]
async fn a_sender_is_who_it_is_whatever_it_says() {
    let (_running, address) = server().await;
    let mut a = Wire::inside(address, "a", "r").await;
    let mut b = Wire::inside(address, "b", "r").await;
    let _ = a.message().await;
    for forged in [
        format!(
            r#"{{"type":"message","room":"r","from":"{}","data":1}}"#,
            id("a")
        ),
        format!(
            r#"{{"type":"message","room":"r","from":"{}","peer":"{}","seq":9,"data":1}}"#,
            id("c"),
            id("a")
        ),
        r#"{"type":"message","room":"r","from":"admin","data":1}"#.to_owned(),
    ] {
        b.text(forged.as_bytes()).await;
        let heard = a.message().await;
        let stamped = matches!(heard, ServerMessage::Message { from, .. } if from == id("b"));
        assert!(stamped, "{heard:?}");
    }
}

#[tokio::test]
async fn a_token_resumes_what_is_there_and_nothing_else() {
    let (_running, address) = serve(Config {
        resume_window: std::time::Duration::from_secs(60),
        ..calm()
    })
    .await;
    let resumed = |welcome| match welcome {
        ServerMessage::Welcome { resumed, .. } => resumed,
        other => panic!("{other:?}"),
    };
    let mut mate = Wire::inside(address, "mate", "r").await;
    let mut a = Wire::inside(address, "a", "r").await;
    let came = mate.message().await;
    assert!(matches!(came, ServerMessage::PeerJoined { .. }), "{came:?}");
    // A guess at the number of the last message, from the future.
    let mut guess = Wire::open(address).await;
    assert!(!resumed(guess.hello("a", Some(1_000)).await));
    assert_eq!(a.end().await, End::Closed(rtc_protocol::close::TAKEN_OVER));
    let gone = mate.message().await;
    assert!(
        matches!(
            gone,
            ServerMessage::PeerLeft {
                reason: LeaveReason::Lost,
                ..
            }
        ),
        "{gone:?}"
    );
    // Replayed after its session was closed in order, it is only a name.
    guess.write(&close_frame(1000, b"")).await;
    assert_eq!(guess.end().await, End::Closed(1000));
    let mut replay = Wire::open(address).await;
    assert!(!resumed(replay.hello("a", Some(0)).await));
    mate.say(ClientMessage::Message {
        room: room("r"),
        to: None,
        data: Raw::parse("1").unwrap(),
    })
    .await;
    replay.still_there().await;
    // A token that was never here resumes nobody.
    let mut stranger = Wire::open(address).await;
    assert!(!resumed(stranger.hello("stranger", Some(1)).await));
}

/// Anything that a frame may be, likely and not.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let kinds = [
        "hello",
        "join",
        "leave",
        "signal",
        "message",
        "ring",
        "accept",
        "refuse",
        "hang-up",
        "mute",
        "unmute",
        "kick",
        "grant",
        "ping",
        "pong",
        "broadcast",
        "__proto__",
    ];
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just("[[]]".to_owned()),
        Just("1e400".to_owned()),
        Just(r#""watched""#.to_owned()),
        Just(r#""r""#.to_owned()),
        Just(format!("\"{}\"", id("watch-one"))),
        "\"[a-z]{0,40}\"",
        any::<i64>().prop_map(|number| number.to_string()),
    ];
    let fields = [
        "id", "room", "to", "peer", "data", "signal", "kind", "call", "name", "t", "resume",
        "lastSeq",
    ];
    let likely = (
        proptest::sample::select(kinds.to_vec()),
        proptest::collection::vec((proptest::sample::select(fields.to_vec()), value), 0..6),
    )
        .prop_map(|(kind, fields)| {
            let fields: Vec<_> = fields
                .iter()
                .map(|(key, value)| format!(r#","{key}":{value}"#))
                .collect();
            format!(r#"{{"type":"{kind}"{}}}"#, fields.concat()).into_bytes()
        });
    prop_oneof![
        6 => likely.prop_map(|text| frame(FIN | TEXT, &text)),
        2 => proptest::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| frame(FIN | TEXT, &bytes)),
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..300)).prop_map(|(first, bytes)| frame(first, &bytes)),
    ]
}

#[test]
fn whatever_a_peer_says_the_server_is_well_and_other_rooms_are_left_alone() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_running, address) = runtime.block_on(server());
    let watch = tokio::sync::Mutex::new(runtime.block_on(Watch::over(address)));
    let mut runner = TestRunner::new(Cases {
        cases: 60,
        failure_persistence: None,
        ..Cases::default()
    });
    let said = proptest::collection::vec(words(), 1..30);
    let done = runner.run(&said, |all| {
        runtime.block_on(async {
            let mut a = Wire::inside(address, "a", "r").await;
            for bytes in &all {
                a.try_write(bytes).await;
            }
            drop(a);
            watch.lock().await.all_is_well().await;
        });
        Ok(())
    });
    done.unwrap();
}
