//! Rights at the doors of rooms.

use super::*;
use crate::access::{Claims, Moment, Power, Rooms};

/// A server that asks for tokens.
fn guarded() -> World {
    let mut world = World::new();
    let config = HubConfig {
        open: false,
        ..config()
    };
    world.hub = Hub::new(config, world.now);
    world
}

/// Rights in room `r` for a time.
fn rights(world: &World, powers: &[Power], seconds: u32, name: Option<&str>) -> Pass {
    let claims = Claims {
        room: Rooms::Named([room("r")].into()),
        name: name.map(|name| Name::new(name).unwrap()),
        rights: powers.iter().copied().collect(),
        exp: f64::from(seconds),
        nbf: None,
        iat: None,
        sub: None,
        aud: None,
    };
    let now = Moment {
        unix: crate::access::SKEW.as_secs_f64(),
        steady: world.now,
    };
    Pass::Good(Rights::from_claims(&claims, now).unwrap())
}

const USUAL: &[Power] = &[Power::Join, Power::Publish];

fn inside(world: &mut World, who: char, powers: &[Power]) {
    let pass = rights(world, powers, 1000, None);
    world.hello_with(who, None, pass).unwrap();
    world.join(who, "r");
    assert!(matches!(
        world.read(who)[..],
        [M::Welcome { .. }, M::Joined { .. }, ..]
    ));
}

#[test]
fn who_was_not_looked_at_gets_into_no_room_of_a_guarded_server() {
    let mut world = guarded();
    world.hello('a', None);
    world.read_all();
    world.join('a', "r");
    assert_eq!(world.refusal('a'), ErrorCode::NotAuthorized);
    let name = Name::new("bob").unwrap();
    world.say('a', ClientMessage::Register { name });
    assert_eq!(world.refusal('a'), ErrorCode::NotAuthorized);
}

#[test]
fn a_token_lets_into_its_own_room_alone() {
    let mut world = guarded();
    inside(&mut world, 'a', USUAL);
    world.join('a', "other");
    assert_eq!(world.refusal('a'), ErrorCode::NotAllowed);
}

#[test]
fn nobody_is_rung_into_a_room_that_the_caller_may_not_enter() {
    let mut world = guarded();
    inside(&mut world, 'a', USUAL);
    inside(&mut world, 'b', USUAL);
    world.read_all();
    let ring = |name: &str| ClientMessage::Ring {
        whom: Callee::Peer(id('b')),
        room: room(name),
    };
    world.say('a', ring("other"));
    assert_eq!(world.refusal('a'), ErrorCode::NotAllowed);
    assert!(world.read('b').is_empty());
    world.say('a', ring("r"));
    assert!(matches!(world.read('a')[..], [M::Ringing { .. }]));
}

#[test]
fn a_room_is_not_told_to_who_may_not_enter_it() {
    let mut world = guarded();
    inside(&mut world, 'b', USUAL);
    world.hello('a', None);
    world.read_all();
    let whom = Callee::Name(Name::new("b").unwrap());
    let room = room("r");
    world.say('a', ClientMessage::Ring { whom, room });
    assert_eq!(world.refusal('a'), ErrorCode::NotAuthorized);
}

#[test]
fn expired_rights_hold_a_call_and_begin_none() {
    let mut world = guarded();
    let pass = rights(&world, USUAL, 10, None);
    world.hello_with('a', None, pass).unwrap();
    world.join('a', "r");
    inside(&mut world, 'b', USUAL);
    world.pass(10);
    world.read_all();
    world.signal('a', Some('b'), r#"{"restart":true}"#);
    assert!(
        matches!(world.read('b')[..], [M::Signal { .. }]),
        "the call goes on"
    );
    world.say('a', ClientMessage::Leave { room: room("r") });
    world.read_all();
    world.join('a', "r");
    assert_eq!(world.refusal('a'), ErrorCode::TokenExpired);
}

#[test]
fn who_may_moderate_does_though_another_was_first() {
    let mut world = guarded();
    inside(&mut world, 'a', USUAL);
    inside(&mut world, 'b', &[Power::Join, Power::Moderate]);
    inside(&mut world, 'c', USUAL);
    world.read_all();
    let kick = |whom| ClientMessage::Kick {
        room: room("r"),
        peer: id(whom),
        reason: None,
    };
    world.say('c', kick('a'));
    assert_eq!(world.refusal('c'), ErrorCode::NotAllowed);
    world.say('b', kick('c'));
    assert!(
        world
            .read('c')
            .iter()
            .any(|m| matches!(m, M::Kicked { .. }))
    );
}

#[test]
fn who_may_not_publish_is_muted_and_stays_so() {
    let mut world = guarded();
    inside(&mut world, 'a', USUAL);
    let pass = rights(&world, &[Power::Join], 1000, None);
    world.hello_with('b', None, pass).unwrap();
    world.join('b', "r");
    let told = world.read('b');
    assert!(
        matches!(&told[2..], [M::Muted { peer, kind: Kind::Audio, .. }, M::Muted { kind: Kind::Video, .. }] if *peer == id('b')),
        "{told:?}"
    );
    let came = world.read('a').pop();
    assert!(
        matches!(&came, Some(M::PeerJoined { member, .. }) if member.muted == [Kind::Audio, Kind::Video]),
        "{came:?}"
    );
    for by in ['b', 'a'] {
        let (room, peer, kind) = (room("r"), id('b'), Kind::Audio);
        world.say(by, ClientMessage::Unmute { room, peer, kind });
        assert_eq!(world.refusal(by), ErrorCode::NotAllowed);
    }
}

#[test]
fn the_tokens_name_goes_before_any_other() {
    let mut world = guarded();
    inside(&mut world, 'a', USUAL);
    let pass = rights(&world, USUAL, 1000, Some("Ann"));
    world.hello_with('b', None, pass).unwrap();
    world.read_all();
    world.say(
        'b',
        ClientMessage::Join {
            room: room("r"),
            name: Some(Name::new("the boss").unwrap()),
            capacity: None,
        },
    );
    let came = world.read('a').pop();
    assert!(
        matches!(&came, Some(M::PeerJoined { member, .. }) if member.name.as_str() == "Ann"),
        "{came:?}"
    );
    world.read_all();
    let name = Name::new("the boss").unwrap();
    world.say('b', ClientMessage::Register { name });
    assert_eq!(world.refusal('b'), ErrorCode::NotAllowed);
    let name = Name::new("Ann").unwrap();
    world.say('b', ClientMessage::Register { name });
    assert!(matches!(world.read('b')[..], [M::Ack {}]));
}

#[test]
fn a_session_that_stands_is_resumed_without_a_token_and_keeps_its_rights() {
    for denied in [Denied::Missing, Denied::Expired] {
        let mut world = guarded();
        inside(&mut world, 'a', USUAL);
        inside(&mut world, 'b', USUAL);
        world.gone('a', false);
        world.read_all();
        world
            .hello_with('a', Some(2), Pass::ResumeOnly(denied))
            .unwrap();
        assert!(matches!(
            world.read('a')[..],
            [M::Welcome { resumed: true, .. }]
        ));
        assert!(world.read('b').is_empty(), "nobody notices");
        world.say('a', ClientMessage::Leave { room: room("r") });
        world.read_all();
        world.join('a', "r");
        assert!(
            matches!(world.read('a')[..], [M::Joined { .. }]),
            "as it could before"
        );
    }
}

#[test]
fn a_resume_without_a_token_gets_nothing_where_there_is_no_session_to_resume() {
    let mut world = guarded();
    inside(&mut world, 'a', USUAL);
    for (last, why) in [
        (None, "beginning anew"),
        (Some(99), "a number that was never said"),
    ] {
        let again = world.hello_with('a', last, Pass::ResumeOnly(Denied::Expired));
        assert_eq!(again, Err(Denied::Expired), "{why}");
    }
    assert!(world.closed.is_empty(), "who is there is not disturbed");
    world.gone('a', false);
    world.pass(31);
    let late = world.hello_with('a', Some(2), Pass::ResumeOnly(Denied::Missing));
    assert_eq!(late, Err(Denied::Missing));
    assert_eq!(world.hub.counts().sessions, 0);
}

#[test]
fn a_resume_with_a_weaker_token_has_the_weaker_rights_and_the_rooms_it_is_in() {
    let mut world = guarded();
    inside(&mut world, 'a', USUAL);
    let weaker = rights(&world, &[Power::Publish], 1000, None);
    world.gone('a', false);
    world.hello_with('a', Some(1), weaker).unwrap();
    world.read_all();
    world.signal('a', None, r#"{"restart":true}"#);
    assert!(matches!(world.read('a')[..], [M::Ack {}]), "still inside");
    world.say('a', ClientMessage::Leave { room: room("r") });
    world.read_all();
    world.join('a', "r");
    assert_eq!(world.refusal('a'), ErrorCode::NotAllowed);
}
