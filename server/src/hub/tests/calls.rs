//! Calls and the names that they are made by.

use rtc_protocol::{CallId, RefuseCode};

use super::*;

pub(super) fn call(world: &mut World, from: char, whom: Callee) {
    let room = room("r");
    world.say(from, ClientMessage::Ring { whom, room });
}

/// Rings and gives the call.
fn ring(world: &mut World, from: char, to: char) -> CallId {
    call(world, from, Callee::Peer(id(to)));
    match world.read(from).pop() {
        Some(M::Ringing { call }) => call,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_rings_and_is_accepted_and_ended() {
    let mut world = World::with("ab");
    let call = ring(&mut world, 'a', 'b');
    assert!(
        matches!(&world.read('b')[..], [M::Ring { call: c, from, .. }] if *c == call && *from == id('a'))
    );
    world.say('a', ClientMessage::Accept { call: call.clone() });
    assert_eq!(
        world.refusal('a'),
        ErrorCode::NoSuchRoom,
        "only the callee accepts"
    );
    world.say('b', ClientMessage::Accept { call: call.clone() });
    assert!(matches!(world.read('b')[..], [M::Ack {}]));
    assert!(matches!(world.read('a')[..], [M::Accepted { .. }]));
    world.say('b', ClientMessage::HangUp { call: call.clone() });
    assert!(matches!(world.read('a')[..], [M::HungUp { .. }]));
    world.read_all();
    world.say('a', ClientMessage::HangUp { call });
    assert_eq!(world.refusal('a'), ErrorCode::NoSuchRoom);
}

#[test]
fn a_call_is_refused_with_its_reason_and_strangers_have_no_say() {
    let mut world = World::with("abc");
    let call = ring(&mut world, 'a', 'b');
    world.say('c', ClientMessage::HangUp { call: call.clone() });
    assert_eq!(world.refusal('c'), ErrorCode::NoSuchRoom);
    let reason = Some("later".to_owned());
    world.say(
        'b',
        ClientMessage::Refuse {
            call,
            code: None,
            reason,
        },
    );
    assert!(
        matches!(&world.read('a')[..], [M::Refused { code: RefuseCode::Declined, reason: Some(why), .. }] if why == "later")
    );
    assert!(world.hub.calls.is_empty());
}

#[test]
fn who_cannot_be_rung_is_told_and_leaves_nothing() {
    let mut world = World::with("abc");
    world.gone('c', false);
    for to in ['a', 'c', 'x'] {
        call(&mut world, 'a', Callee::Peer(id(to)));
        assert_eq!(world.refusal('a'), ErrorCode::NoSuchPeer);
    }
    ring(&mut world, 'a', 'b');
    ring(&mut world, 'a', 'b');
    call(&mut world, 'a', Callee::Peer(id('b')));
    assert_eq!(world.refusal('a'), ErrorCode::Busy);
    world.gone('b', true);
    let told = world.read('a');
    let ended = told.iter().filter(|m| matches!(m, M::HungUp { .. }));
    assert_eq!(ended.count(), 2);
    assert!(world.hub.calls.is_empty());
}

#[test]
fn taken_calls_are_bounded() {
    let mut world = World::with("ab");
    for _ in 0..4 {
        let call = ring(&mut world, 'a', 'b');
        world.say('b', ClientMessage::Accept { call });
    }
    world.read_all();
    call(&mut world, 'a', Callee::Peer(id('b')));
    assert_eq!(world.refusal('a'), ErrorCode::Busy);
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn register(world: &mut World, who: char, text: &str) {
    world.say(who, ClientMessage::Register { name: name(text) });
}

#[test]
fn a_name_belongs_to_one_session_until_it_ends() {
    let mut world = World::with("ab");
    for odd in ["constructor", "__proto__", "toString", "bob"] {
        register(&mut world, 'b', odd);
        assert!(matches!(world.read('b')[..], [M::Ack {}]));
        register(&mut world, 'a', odd);
        assert_eq!(world.refusal('a'), ErrorCode::NameTaken);
    }
    register(&mut world, 'b', "bob");
    assert!(matches!(world.read('b')[..], [M::Ack {}]), "its own again");
    register(&mut world, 'a', "constructor");
    assert!(
        matches!(world.read('a')[..], [M::Ack {}]),
        "a session has one name; the earlier ones are free"
    );
    world.gone('b', false);
    register(&mut world, 'a', "bob");
    assert_eq!(
        world.refusal('a'),
        ErrorCode::NameTaken,
        "its owner may come back"
    );
    world.pass(31);
    world.read_all();
    register(&mut world, 'a', "bob");
    assert!(matches!(world.read('a')[..], [M::Ack {}]));
    world.gone('a', true);
    assert!(world.hub.names.is_empty());
}

#[test]
fn twenty_thousand_names_asked_for_by_one_peer_are_one_name() {
    let mut world = World::with("a");
    for n in 0..20_000 {
        register(&mut world, 'a', &n.to_string());
        world.read_all();
    }
    world.hello('b', None);
    world.read_all();
    register(&mut world, 'b', "19998");
    assert!(matches!(world.read('b')[..], [M::Ack {}]));
    register(&mut world, 'b', "19999");
    assert_eq!(world.refusal('b'), ErrorCode::NameTaken);
}

#[test]
fn a_registered_name_is_rung_and_shown() {
    let mut world = World::with("ab");
    register(&mut world, 'b', "bob");
    register(&mut world, 'a', "ann");
    world.read_all();
    call(&mut world, 'a', Callee::Name(name("bob")));
    assert!(matches!(world.read('a')[..], [M::Ringing { .. }]));
    assert!(
        matches!(&world.read('b')[..], [M::Ring { from, name, .. }] if *from == id('a') && name.as_str() == "ann")
    );
    for nobody in ["ann", "carol", "constructor"] {
        call(&mut world, 'a', Callee::Name(name(nobody)));
        assert_eq!(world.refusal('a'), ErrorCode::NoSuchPeer, "{nobody}");
    }
}

#[test]
fn who_goes_by_a_name_in_a_room_is_met_there_unless_there_are_two() {
    let mut world = World::with("ab");
    world.hello('c', None);
    world.read_all();
    call(&mut world, 'c', Callee::Name(name("b")));
    assert!(
        matches!(&world.read('c')[..], [M::Found { peer, room: found }] if *peer == id('b') && *found == room("r"))
    );
    assert!(world.read('b').is_empty(), "nobody is rung");
    let join = ClientMessage::Join {
        room: room("s"),
        name: Some(name("b")),
        capacity: None,
    };
    world.say('a', join);
    call(&mut world, 'c', Callee::Name(name("b")));
    assert_eq!(world.refusal('c'), ErrorCode::NoSuchPeer);
    world.gone('a', true);
    world.read_all();
    call(&mut world, 'c', Callee::Name(name("b")));
    assert!(matches!(world.read('c')[..], [M::Found { .. }]));
    register(&mut world, 'c', "b");
    world.read_all();
    world.hello('d', None);
    world.read_all();
    call(&mut world, 'd', Callee::Name(name("b")));
    assert!(
        matches!(world.read('c')[..], [M::Ring { .. }]),
        "who registered it comes first"
    );
}

#[test]
fn a_call_that_nobody_answers_ends_for_both() {
    let mut world = World::with("ab");
    let first = ring(&mut world, 'a', 'b');
    world.pass(30);
    let second = ring(&mut world, 'a', 'b');
    world.say('b', ClientMessage::Accept { call: second });
    world.read_all();
    world.pass(29);
    assert!(world.read('a').is_empty());
    world.pass(1);
    assert!(
        matches!(&world.read('a')[..], [M::Refused { call, code: RefuseCode::NoAnswer, .. }] if *call == first)
    );
    assert!(matches!(&world.read('b')[..], [M::HungUp { call }] if *call == first));
    world.pass(60);
    assert!(
        world.read('a').is_empty(),
        "a call that was taken goes on for as long as it likes"
    );
}

#[test]
fn a_callee_that_is_busy_says_so() {
    let mut world = World::with("ab");
    let call = ring(&mut world, 'a', 'b');
    world.say(
        'b',
        ClientMessage::Refuse {
            call,
            code: Some(RefuseCode::Busy),
            reason: None,
        },
    );
    assert!(matches!(
        world.read('a')[..],
        [M::Refused {
            code: RefuseCode::Busy,
            ..
        }]
    ));
}

#[test]
fn a_caller_that_thinks_better_of_it_or_vanishes_stops_the_ringing() {
    let mut world = World::with("abc");
    let call = ring(&mut world, 'a', 'b');
    world.read_all();
    world.say('a', ClientMessage::HangUp { call: call.clone() });
    assert!(matches!(&world.read('b')[..], [M::HungUp { call: c }] if *c == call));
    world.say('b', ClientMessage::Accept { call });
    assert_eq!(world.refusal('b'), ErrorCode::NoSuchRoom);
    let call = ring(&mut world, 'c', 'b');
    world.read_all();
    world.gone('c', true);
    let told = world.read('b');
    assert!(
        told.iter()
            .any(|m| matches!(m, M::HungUp { call: c } if *c == call)),
        "{told:?}"
    );
    assert!(world.hub.calls.is_empty());
}
