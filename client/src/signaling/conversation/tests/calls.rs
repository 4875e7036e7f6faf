//! Calls by name, ours and those that ring here.

use rtc_protocol::{CallId, RefuseCode};

use super::*;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn call(text: &str) -> CallId {
    CallId::new(text).unwrap()
}

/// The one thing that was asked, and its request's id.
fn asked(bench: &mut Bench) -> (Value, u64) {
    let mut sent = bench.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let id = sent[0]["id"].as_u64().unwrap();
    (sent.remove(0), id)
}

/// Waiting to be called as alice.
fn waiting() -> Bench {
    let mut bench = Bench::on(Errand::Wait(name("alice")));
    bench.link();
    bench.welcome(false);
    let (register, id) = asked(&mut bench);
    assert_eq!(
        (&register["type"], &register["name"]),
        (&json!("register"), &json!("alice"))
    );
    assert!(!bench.talk.is_settled());
    bench.hear(&json!({"type": "ack", "id": id}));
    assert!(bench.talk.is_settled());
    let events = bench.events();
    assert!(matches!(
        &events[..],
        [
            SignalingEvent::Welcome { .. },
            SignalingEvent::Waiting { .. }
        ]
    ));
    bench
}

fn ring(bench: &mut Bench, seq: u64, text: &str) {
    bench.hear(&json!({
        "type": "ring", "seq": seq, "call": text, "from": peer(2), "name": "bob", "room": "room of bob",
    }));
}

#[test]
fn who_waits_takes_a_call_and_follows_it_into_its_room() {
    let mut bench = waiting();
    ring(&mut bench, 1, "c1");
    assert!(matches!(&bench.events()[..], [SignalingEvent::Rung { .. }]));
    bench.talk.accept(bench.now, &call("c1"));
    let sent = bench.sent();
    assert_eq!(
        (&sent[0]["type"], &sent[1]["type"]),
        (&json!("accept"), &json!("join"))
    );
    assert_eq!(sent[1]["room"], "room of bob");
    bench.hear(&json!({
        "type": "joined", "seq": 2, "id": sent[1]["id"], "room": "room of bob", "peer": peer(0), "role": "member", "capacity": 2, "members": [],
    }));
    let events = bench.events();
    assert!(
        matches!(&events[..], [SignalingEvent::Joined { .. }]),
        "{events:?}"
    );
    bench.hear(&json!({"type": "hung-up", "seq": 3, "call": "c1"}));
    assert_eq!(
        bench.events(),
        [SignalingEvent::HungUp { call: call("c1") }]
    );
}

#[test]
fn a_call_that_ends_while_it_is_taken_is_no_failure() {
    let mut bench = waiting();
    ring(&mut bench, 1, "c1");
    bench.talk.accept(bench.now, &call("c1"));
    let accept = bench.sent()[0]["id"].as_u64();
    bench.hear(&json!({"type": "hung-up", "seq": 2, "call": "c1"}));
    bench.hear(&json!({"type": "error", "id": accept, "code": "no-such-room", "message": ""}));
    let events = bench.events();
    assert!(events.contains(&SignalingEvent::HungUp { call: call("c1") }));
}

#[test]
fn a_refusal_is_said_and_a_call_that_is_not_there_can_be_neither_taken_nor_refused() {
    let mut bench = waiting();
    ring(&mut bench, 1, "c1");
    bench.talk.refuse(&call("c1"), RefuseCode::Declined);
    let sent = bench.sent();
    assert_eq!(
        (&sent[0]["type"], &sent[0]["code"]),
        (&json!("refuse"), &json!("declined"))
    );
    bench.talk.refuse(&call("c1"), RefuseCode::Declined);
    bench.talk.accept(bench.now, &call("c2"));
    assert!(bench.sent().is_empty());
}

#[test]
fn the_name_is_kept_over_a_resume_and_registered_again_at_a_server_that_forgot() {
    let mut bench = waiting();
    ring(&mut bench, 1, "c1");
    bench.events();
    bench.talk.link_down("cut");
    assert!(matches!(&bench.events()[..], [SignalingEvent::Lost { .. }]));
    assert_eq!(bench.link()["lastSeq"], 1);
    bench.welcome(true);
    assert!(bench.sent().is_empty());
    assert!(bench.talk.is_settled());
    bench.talk.link_down("cut");
    bench.link();
    bench.welcome(false);
    let (register, id) = asked(&mut bench);
    assert_eq!(register["type"], "register");
    bench.events();
    bench.hear(&json!({"type": "ack", "id": id}));
    let events = bench.events();
    assert!(matches!(
        &events[..],
        [
            SignalingEvent::HungUp { .. },
            SignalingEvent::Back { resumed: false }
        ]
    ));
}

#[test]
fn a_caller_joins_while_it_rings_and_is_told_what_becomes_of_it() {
    let mut bench = Bench::on(Errand::Call(name("alice")));
    bench.link();
    bench.welcome(false);
    let (ring, id) = asked(&mut bench);
    assert_eq!(
        (&ring["type"], &ring["name"], &ring["room"]),
        (&json!("ring"), &json!("alice"), &json!("foo"))
    );
    bench.hear(&json!({"type": "ringing", "seq": 1, "id": id, "call": "c1"}));
    assert_eq!(asked(&mut bench).0["type"], "join");
    bench.joined(2, &[]);
    bench.events();
    let reason = Some("later".to_owned());
    bench.hear(
        &json!({"type": "refused", "seq": 3, "call": "c9", "code": "declined", "reason": "later"}),
    );
    assert!(bench.events().is_empty(), "another call");
    bench.hear(
        &json!({"type": "refused", "seq": 4, "call": "c1", "code": "declined", "reason": "later"}),
    );
    let code = RefuseCode::Declined;
    assert_eq!(bench.events(), [SignalingEvent::NotTaken { code, reason }]);
}

#[test]
fn who_is_met_in_a_room_is_followed_there() {
    let mut bench = Bench::on(Errand::Call(name("alice")));
    bench.link();
    bench.welcome(false);
    let (_, id) = asked(&mut bench);
    bench.hear(&json!({"type": "found", "seq": 1, "id": id, "peer": peer(1), "room": "bar"}));
    let (join, _) = asked(&mut bench);
    assert_eq!(
        (&join["type"], &join["room"]),
        (&json!("join"), &json!("bar"))
    );
    assert_eq!(join.get("capacity"), None);
}

#[test]
fn nobody_of_that_name_and_a_busy_line_end_it() {
    for code in ["no-such-peer", "busy"] {
        let mut bench = Bench::on(Errand::Call(name("alice")));
        bench.link();
        bench.welcome(false);
        let (_, id) = asked(&mut bench);
        let answer = json!({"type": "error", "id": id, "code": code, "message": "no"});
        let Err(Ending::Final(error)) = bench.try_hear(&answer) else {
            panic!("{code} is no end")
        };
        assert!(matches!(
            (code, error),
            ("busy", SignalingError::Busy { .. })
                | ("no-such-peer", SignalingError::NoSuchPeer { .. })
        ));
    }
}

#[test]
fn who_is_in_a_room_is_busy_for_callers() {
    let mut bench = Bench::inside();
    ring(&mut bench, 2, "c1");
    let sent = bench.sent();
    assert_eq!(
        (&sent[0]["type"], &sent[0]["code"]),
        (&json!("refuse"), &json!("busy"))
    );
    assert!(bench.events().is_empty());
}
