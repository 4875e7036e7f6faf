//! The conversation against a scripted server, on virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calls;

use super::*;
use rtc_protocol::{Candidate, Description, LeaveReason, Member, Role, SdpType};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(5);
const BEAT: Duration = Duration::from_secs(10);

/// A conversation, and what its server would see and answer.
struct Bench {
    talk: Conversation,
    now: Instant,
}

fn peer(n: u8) -> PeerId {
    Token::from_random([n; 32]).peer_id()
}

fn member(n: u8) -> Value {
    json!({"peer": peer(n), "name": format!("peer {n}"), "role": "member", "muted": []})
}

fn candidate(line: &str) -> Signal {
    Signal::Candidate(Candidate {
        candidate: line.to_owned(),
        ..Candidate::default()
    })
}

impl Bench {
    fn new() -> Self {
        Self::on(Errand::Join)
    }

    fn on(errand: Errand) -> Self {
        let identity = Identity {
            auth: None,
            room: RoomId::new("foo").unwrap(),
            errand,
            name: Some(Name::new("me").unwrap()),
            capacity: Some(3),
            agent: "test".to_owned(),
            token: Token::from_random([0; 32]),
        };
        Self {
            talk: Conversation::new(identity, ServerAddress::local(8080), PATIENCE),
            now: Instant::now(),
        }
    }

    /// In the room with one other, all events taken.
    fn inside() -> Self {
        let mut bench = Self::new();
        bench.link();
        bench.welcome(false);
        bench.joined(1, &[member(1)]);
        bench.events();
        bench.sent();
        bench
    }

    fn link(&mut self) -> Value {
        self.talk.link_up(self.now);
        let hello = self.sent();
        assert_eq!(hello.len(), 1);
        hello[0].clone()
    }

    fn sent(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.talk.next_text())
            .map(|text| serde_json::from_str(&text).unwrap())
            .collect()
    }

    fn events(&mut self) -> Vec<SignalingEvent> {
        std::iter::from_fn(|| self.talk.next_event()).collect()
    }

    fn hear(&mut self, frame: &Value) {
        self.try_hear(frame).unwrap();
    }

    fn try_hear(&mut self, frame: &Value) -> Result<(), Ending> {
        self.talk.receive(self.now, &frame.to_string())
    }

    fn welcome(&mut self, resumed: bool) {
        self.hear(&json!({
            "type": "welcome", "peer": peer(0), "resume": Token::from_random([0; 32]), "resumed": resumed,
            "resumeWindowMs": 30_000, "heartbeatMs": BEAT.as_millis() as u64, "iceServers": [],
            "limits": {"messageBytes": 1000, "roomsPerPeer": 1, "roomCapacity": 6, "queueMessages": 9},
            "server": "test",
        }));
    }

    fn joined(&mut self, seq: u64, members: &[Value]) {
        self.hear(&json!({
            "type": "joined", "seq": seq, "room": "foo", "peer": peer(0), "role": "moderator", "capacity": 2,
            "members": members,
        }));
    }

    fn message(&mut self, seq: u64, data: u64) {
        self.hear(
            &json!({"type": "message", "seq": seq, "room": "foo", "from": peer(1), "data": data}),
        );
    }
}

/// The numbers in messages, in order.
fn numbers(events: &[SignalingEvent]) -> Vec<u64> {
    events
        .iter()
        .filter_map(|event| match event {
            SignalingEvent::Message { data, .. } => data.to().ok(),
            _ => None,
        })
        .collect()
}

#[test]
fn hello_comes_first_then_join_then_the_room() {
    let mut bench = Bench::new();
    let hello = bench.link();
    assert_eq!(hello["type"], "hello");
    assert_eq!(
        hello["resume"],
        json!(Token::from_random([0; 32]).secret()),
        "the secret makes our id"
    );
    assert_eq!(hello.get("lastSeq"), None);
    bench.welcome(false);
    let join = bench.sent();
    assert_eq!(join.len(), 1);
    assert_eq!(join[0]["type"], "join");
    assert_eq!(join[0]["capacity"], 3);
    assert!(!bench.talk.is_settled());
    bench.joined(1, &[member(1)]);
    assert!(bench.talk.is_settled());
    let events = bench.events();
    assert!(matches!(events[0], SignalingEvent::Welcome { me, .. } if me == peer(0)));
    assert!(
        matches!(&events[1], SignalingEvent::Joined { members, url, role: Role::Moderator, .. }
            if members[0].peer == peer(1) && url == "http://localhost:8080/foo")
    );
    assert_eq!(events.len(), 2);
}

#[test]
fn a_resumed_link_says_what_was_seen_and_skips_what_is_sent_twice() {
    let mut bench = Bench::inside();
    bench.message(2, 20);
    bench.message(3, 30);
    bench.talk.link_down("cut");
    assert_eq!(bench.link()["lastSeq"], 3);
    bench.welcome(true);
    assert!(bench.talk.is_settled(), "a resumed place needs no join");
    bench.message(3, 30);
    bench.message(4, 40);
    bench.message(5, 50);
    let events = bench.events();
    assert_eq!(numbers(&events), [20, 30, 40, 50]);
    assert!(events.contains(&SignalingEvent::Lost {
        reason: "cut".to_owned()
    }));
    assert!(events.contains(&SignalingEvent::Back { resumed: true }));
}

#[test]
fn a_server_that_forgot_us_is_joined_again_with_the_rooms_own_capacity() {
    let mut bench = Bench::inside();
    bench.message(7, 1);
    bench.talk.link_down("cut");
    bench.link();
    bench.welcome(false);
    let join = bench.sent();
    assert_eq!(
        (&join[0]["type"], &join[0]["capacity"]),
        (&json!("join"), &json!(2))
    );
    bench.joined(1, &[member(2)]);
    bench.message(2, 2);
    let events = bench.events();
    assert_eq!(
        numbers(&events),
        [1, 2],
        "the new server counts from one again"
    );
    let back = events
        .iter()
        .position(|e| *e == SignalingEvent::Back { resumed: false });
    let joined = events
        .iter()
        .position(|e| matches!(e, SignalingEvent::Joined { .. }));
    assert!(back.unwrap() < joined.unwrap());
}

#[test]
fn a_join_that_was_cut_off_is_asked_again() {
    let mut bench = Bench::new();
    bench.link();
    bench.welcome(false);
    bench.talk.link_down("cut");
    bench.sent();
    bench.link();
    bench.welcome(true);
    let join = bench.sent();
    assert_eq!(join[0]["type"], "join");
    // It had been heard after all: the answer is sent again, and the second join is refused.
    bench.joined(1, &[]);
    bench.hear(
        &json!({"type": "error", "id": join[0]["id"], "code": "already-joined", "message": ""}),
    );
    assert!(bench.talk.is_settled());
    let events = bench.events();
    assert!(
        matches!(
            events[..],
            [
                SignalingEvent::Welcome { .. },
                SignalingEvent::Welcome { .. },
                SignalingEvent::Joined { .. }
            ]
        ),
        "{events:?}"
    );
}

#[test]
fn what_is_said_while_the_link_is_down_is_said_afterwards_in_order() {
    let mut bench = Bench::inside();
    bench.talk.signal(Some(peer(1)), candidate("a"));
    bench.talk.signal(Some(peer(1)), candidate("b"));
    let sent = bench.sent();
    bench.hear(&json!({"type": "ack", "id": sent[0]["id"]}));
    bench.talk.link_down("cut");
    bench.talk.signal(Some(peer(1)), candidate("c"));
    assert!(!bench.talk.has_text());
    bench.link();
    bench.talk.signal(Some(peer(1)), candidate("d"));
    assert_eq!(bench.sent(), Vec::<Value>::new(), "not before we are in");
    bench.welcome(true);
    let lines: Vec<Value> = bench
        .sent()
        .iter()
        .map(|frame| frame["signal"]["candidate"]["candidate"].clone())
        .collect();
    assert_eq!(lines, ["b", "c", "d"]);
}

#[test]
fn after_a_servers_restart_a_message_waits_for_the_peer_it_is_for() {
    let mut bench = Bench::inside();
    bench.talk.link_down("cut");
    bench.talk.signal(Some(peer(1)), Signal::Restart);
    bench.link();
    bench.welcome(false);
    bench.sent();
    bench.joined(1, &[]);
    assert_eq!(bench.sent(), Vec::<Value>::new());
    bench.hear(&json!({"type": "peer-joined", "seq": 2, "room": "foo", "member": member(1)}));
    assert_eq!(bench.sent()[0]["to"], json!(peer(1)));
}

#[test]
fn mutes_are_told_at_once_and_again_to_a_server_that_may_not_know() {
    let mut bench = Bench::inside();
    bench.talk.mute(Kind::Audio, true);
    bench.talk.mute(Kind::Video, true);
    bench.talk.mute(Kind::Video, false);
    let kinds = |frames: Vec<Value>| -> Vec<String> {
        frames
            .iter()
            .map(|f| format!("{} {}", f["type"], f["kind"]).replace('"', ""))
            .collect()
    };
    assert_eq!(
        kinds(bench.sent()),
        ["mute audio", "mute video", "unmute video"]
    );
    bench.talk.link_down("cut");
    bench.link();
    bench.welcome(true);
    assert_eq!(kinds(bench.sent()), ["mute audio", "unmute video"]);
    bench.talk.link_down("cut");
    bench.talk.mute(Kind::Audio, false);
    bench.talk.mute(Kind::Video, true);
    bench.link();
    bench.welcome(false);
    bench.sent();
    bench.joined(1, &[]);
    assert_eq!(kinds(bench.sent()), ["mute video"]);
}

#[test]
fn pings_are_answered_with_their_own_time() {
    let mut bench = Bench::inside();
    bench.hear(&json!({"type": "ping", "t": 12.5}));
    assert_eq!(bench.sent(), [json!({"type": "pong", "t": 12.5})]);
}

#[test]
fn two_and_a_half_beats_of_silence_are_a_loss_and_any_word_starts_them_over() {
    let mut bench = Bench::inside();
    let start = bench.now;
    bench.now = start + BEAT * 2;
    bench.hear(&json!({"type": "ping", "t": 1}));
    bench.now = start + BEAT * 4;
    assert_eq!(bench.talk.check(bench.now), Ok(()));
    let deadline = bench.talk.deadline().unwrap();
    assert_eq!(deadline, start + BEAT * 2 + BEAT.mul_f64(2.5));
    assert!(matches!(bench.talk.check(deadline), Err(Ending::Broken(_))));
    bench.talk.was_not_listening(deadline);
    assert_eq!(bench.talk.check(deadline), Ok(()));
}

#[test]
fn a_server_that_never_answers_our_hello_speaks_another_language() {
    let mut bench = Bench::new();
    bench.link();
    assert_eq!(bench.talk.check(bench.now), Ok(()));
    assert!(matches!(
        bench.talk.check(bench.now + PATIENCE),
        Err(Ending::Final(SignalingError::Nonsense { .. }))
    ));
    let mut known = Bench::inside();
    known.talk.link_down("cut");
    known.link();
    assert!(
        matches!(
            known.talk.check(known.now + PATIENCE),
            Err(Ending::Broken(_))
        ),
        "one that once did is worth another try"
    );
}

#[test]
fn refusals_to_let_us_in_are_told_apart() {
    let refuse = |code: &str| {
        let mut bench = Bench::new();
        bench.link();
        bench.welcome(false);
        let id = bench.sent()[0]["id"].clone();
        bench
            .try_hear(&json!({"type": "error", "id": id, "code": code, "message": "words"}))
            .unwrap_err()
    };
    assert!(matches!(
        refuse("room-full"),
        Ending::Final(SignalingError::RoomFull { .. })
    ));
    assert!(matches!(
        refuse("not-allowed"),
        Ending::Final(SignalingError::Refused {
            code: ErrorCode::NotAllowed,
            ..
        })
    ));
    assert!(matches!(refuse("going-away"), Ending::Broken(_)));
    assert!(matches!(refuse("try-later"), Ending::Broken(_)));
}

#[test]
fn who_was_sent_to_a_server_that_refuses_it_may_look_elsewhere_once_it_was_inside() {
    let refused = |mut bench: Bench, code: &str| {
        bench.talk.link_down("gone");
        let there = ServerAddress::parse("http://there").unwrap();
        bench.talk.moved_to(there);
        bench.link();
        bench
            .try_hear(&json!({"type": "error", "code": code, "message": "words"}))
            .unwrap_err()
    };
    for code in ["room-full", "not-authorized", "not-allowed"] {
        let ending = refused(Bench::inside(), code);
        assert!(matches!(ending, Ending::Broken(_)), "{code}: {ending:?}");
        let ending = refused(Bench::new(), code);
        assert!(matches!(ending, Ending::Final(_)), "{code}: {ending:?}");
    }
}

#[test]
fn who_is_sent_away_stays_away_for_as_long_as_the_server_asks_and_no_longer_than_a_minute() {
    let away = |asked: Value| {
        let mut bench = Bench::inside();
        bench.hear(&json!({"type": "go-away", "reason": "drain", "reconnectMs": asked}));
        bench.talk.link_down("gone");
        let away = bench.talk.take_away();
        assert_eq!(bench.talk.take_away(), Duration::ZERO, "once");
        away
    };
    assert_eq!(away(json!(1_500)), Duration::from_millis(1_500));
    assert_eq!(away(json!(u64::MAX)), Duration::from_secs(60));
    assert_eq!(away(json!(null)), Duration::ZERO);
}

#[test]
fn a_server_that_knows_us_and_has_no_place_for_us_is_asked_for_one() {
    let mut bench = Bench::inside();
    bench.message(57, 1);
    bench.talk.link_down("gone");
    let there = ServerAddress::parse("http://there").unwrap();
    bench.talk.moved_to(there);
    assert_eq!(bench.link()["lastSeq"], 0, "the 57 were another server's");
    // As after a join that it refused.
    bench.welcome(true);
    assert_eq!(bench.sent()[0]["type"], "join");
    bench.joined(3, &[]);
    assert!(bench.talk.is_settled());
}

#[test]
fn an_error_inside_the_room_is_told_and_ends_nothing() {
    let mut bench = Bench::inside();
    bench.talk.kick(peer(1), None);
    assert_eq!(bench.sent()[0]["type"], "kick");
    bench.hear(&json!({"type": "error", "id": 4, "code": "not-allowed", "message": "no"}));
    bench.hear(&json!({"type": "error", "id": 5, "code": "no-such-peer", "message": "no"}));
    assert_eq!(
        bench.events(),
        [SignalingEvent::Refused {
            code: ErrorCode::NotAllowed,
            message: "no".to_owned()
        }]
    );
    assert!(bench.talk.is_settled());
}

#[test]
fn a_message_over_the_servers_limit_is_not_sent() {
    let mut bench = Bench::inside();
    bench.talk.signal(
        Some(peer(1)),
        Signal::Description(Description {
            kind: SdpType::Offer,
            sdp: "x".repeat(2000),
        }),
    );
    bench.talk.signal(Some(peer(1)), candidate("small"));
    let sent = bench.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["signal"]["candidate"]["candidate"], "small");
    assert!(matches!(
        bench.events()[..],
        [SignalingEvent::Refused {
            code: ErrorCode::TooLarge,
            ..
        }]
    ));
}

#[test]
fn words_of_a_later_version_are_skipped_and_endless_nonsense_is_not() {
    let mut bench = Bench::inside();
    for _ in 0..100 {
        bench.hear(&json!({"type": "sing", "song": 1}));
    }
    for _ in 0..31 {
        bench.talk.receive(bench.now, "<html>").unwrap();
    }
    bench.message(2, 1);
    for _ in 0..31 {
        bench.talk.receive(bench.now, "<html>").unwrap();
    }
    assert!(matches!(
        bench.talk.receive(bench.now, "<html>"),
        Err(Ending::Broken(_))
    ));
}

#[test]
fn nonsense_instead_of_a_welcome_ends_it() {
    for text in ["<html>", "", "{}", "[]", "null", "\u{0}"] {
        let mut bench = Bench::new();
        bench.link();
        assert!(
            matches!(
                bench.talk.receive(bench.now, text),
                Err(Ending::Final(SignalingError::Nonsense { .. }))
            ),
            "{text:?}"
        );
    }
}

#[test]
fn a_signal_that_cannot_be_understood_is_told_with_its_sender() {
    let mut bench = Bench::inside();
    bench.hear(&json!({"type": "signal", "seq": 2, "room": "foo", "from": peer(1), "signal": {"description": 1}}));
    bench.hear(&json!({"type": "signal", "seq": 3, "room": "foo", "from": peer(1), "signal": {"restart": true}}));
    let events = bench.events();
    assert!(matches!(&events[0], SignalingEvent::BadSignal { from, .. } if *from == peer(1)));
    assert_eq!(
        events[1],
        SignalingEvent::Signal {
            from: peer(1),
            signal: Signal::Restart
        }
    );
}

#[test]
fn what_is_said_in_other_rooms_is_not_for_us() {
    let mut bench = Bench::inside();
    bench.hear(&json!({"type": "message", "seq": 2, "room": "bar", "from": peer(1), "data": 1}));
    bench.hear(
        &json!({"type": "peer-left", "seq": 3, "room": "bar", "peer": peer(1), "reason": "left"}),
    );
    bench.hear(&json!({"type": "kicked", "seq": 4, "room": "bar", "by": peer(1)}));
    assert_eq!(bench.events(), []);
    assert!(bench.talk.is_settled());
}

#[test]
fn comings_and_goings_are_told() {
    let mut bench = Bench::inside();
    bench.hear(&json!({"type": "peer-joined", "seq": 2, "room": "foo", "member": member(2)}));
    bench.hear(&json!({"type": "muted", "seq": 3, "room": "foo", "peer": peer(2), "kind": "video", "by": peer(2)}));
    bench.hear(
        &json!({"type": "peer-left", "seq": 4, "room": "foo", "peer": peer(2), "reason": "lost"}),
    );
    bench.hear(&json!({"type": "kicked", "seq": 5, "room": "foo", "by": peer(1), "reason": "bye"}));
    assert_eq!(
        bench.events(),
        [
            SignalingEvent::PeerJoined {
                member: Member {
                    peer: peer(2),
                    name: Name::new("peer 2").unwrap(),
                    role: Role::Member,
                    muted: vec![],
                    dialect: None,
                }
            },
            SignalingEvent::Muted {
                peer: peer(2),
                kind: Kind::Video,
                muted: true,
                by: peer(2)
            },
            SignalingEvent::PeerLeft {
                peer: peer(2),
                reason: LeaveReason::Lost
            },
            SignalingEvent::Kicked {
                by: peer(1),
                reason: Some("bye".to_owned())
            },
        ]
    );
    assert!(bench.talk.is_outside() && !bench.talk.is_leaving());
}

#[test]
fn what_a_moderator_muted_is_not_unmuted_after_a_lost_link() {
    let mut bench = Bench::inside();
    let me = bench.talk.me();
    bench.talk.mute(Kind::Audio, false);
    bench.talk.mute(Kind::Video, false);
    bench.sent();
    bench.hear(&json!({"type": "muted", "seq": 2, "room": "foo", "peer": me, "kind": "audio", "by": peer(1)}));
    bench.talk.link_down("a cut");
    bench.link();
    bench.welcome(true);
    let told: Vec<_> = bench
        .sent()
        .into_iter()
        .filter(|m| m["type"] == "unmute")
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["kind"], "video");
}

#[test]
fn an_administrator_s_word_is_passed_on() {
    let mut bench = Bench::inside();
    bench.hear(&json!({"type": "broadcast", "seq": 2, "data": {"text": "soon"}}));
    let data = rtc_protocol::Raw::parse(r#"{"text":"soon"}"#).unwrap();
    assert_eq!(bench.events(), [SignalingEvent::Broadcast { data }]);
}

#[test]
fn leaving_waits_for_the_answer_and_not_for_more() {
    let mut bench = Bench::inside();
    assert!(bench.talk.leave(bench.now));
    let leave = bench.sent();
    assert_eq!(leave[0]["type"], "leave");
    bench.hear(&json!({"type": "ack", "id": 1}));
    assert!(bench.talk.is_leaving());
    bench.hear(&json!({"type": "left", "id": leave[0]["id"], "seq": 2, "room": "foo"}));
    assert!(!bench.talk.is_leaving());
    let mut outside = Bench::new();
    outside.link();
    assert!(!outside.talk.leave(outside.now), "nothing to leave yet");
}
