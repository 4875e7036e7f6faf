//! Links that break, and sessions that go on.

use super::*;

#[test]
fn a_clean_end_is_told_at_once_and_a_broken_link_after_the_window() {
    let mut world = World::with("abc");
    world.gone('b', true);
    assert!(matches!(
        world.read('a')[..],
        [M::PeerLeft { reason: LeaveReason::Left, peer, .. }] if peer == id('b')
    ));
    world.gone('c', false);
    world.pass(29);
    assert!(world.read('a').is_empty());
    world.pass(1);
    assert!(matches!(
        world.read('a')[..],
        [M::PeerLeft { reason: LeaveReason::Lost, peer, .. }] if peer == id('c')
    ));
    assert_eq!(world.hub.counts().sessions, 1);
}

#[test]
fn a_resumed_session_hears_what_it_missed_in_order_and_the_room_nothing() {
    let mut world = World::with("ab");
    world.signal('a', Some('b'), "1");
    let last = world.frames('b').pop().unwrap().seq.unwrap();
    world.gone('b', false);
    world.signal('a', Some('b'), "2");
    world.signal('a', Some('b'), "3");
    world.pass(20);
    world.read_all();
    world.hello('b', Some(last));
    let frames = world.frames('b');
    assert!(matches!(
        frames[0].message,
        M::Welcome { resumed: true, .. }
    ));
    let missed: Vec<_> = frames[1..].iter().map(|f| f.seq.unwrap() - last).collect();
    assert_eq!(missed, [1, 2]);
    let texts: Vec<_> = frames[1..]
        .iter()
        .map(|frame| match &frame.message {
            M::Signal { signal, .. } => signal.get().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["2", "3"]);
    assert!(world.read('a').is_empty());
    world.pass(60);
    assert!(world.read('a').is_empty(), "it is back for good");
    world.signal('b', Some('a'), "4");
    assert_eq!(world.read('a').len(), 1);
}

#[test]
fn a_session_that_missed_more_than_is_kept_begins_anew_and_the_room_is_told() {
    let mut world = World::with("ab");
    let last = 1;
    world.gone('b', false);
    for _ in 0..9 {
        world.signal('a', Some('b'), "{}");
    }
    world.read_all();
    world.hello('b', Some(last));
    assert!(matches!(
        world.read('b')[..],
        [M::Welcome { resumed: false, .. }]
    ));
    assert!(matches!(
        world.read('a')[..],
        [M::PeerLeft {
            reason: LeaveReason::Lost,
            ..
        }]
    ));
}

#[test]
fn what_is_kept_is_bounded_in_bytes() {
    let mut world = World::with("ab");
    world.gone('b', false);
    let large = format!("\"{}\"", "x".repeat(2000));
    for _ in 0..3 {
        world.signal('a', Some('b'), &large);
    }
    let session = &world.hub.sessions[&id('b')];
    assert!(session.can_resume(3) && !session.can_resume(1));
}

#[test]
fn a_number_that_was_never_given_cannot_be_resumed_from() {
    let mut world = World::with("ab");
    world.gone('b', false);
    world.hello('b', Some(1_000));
    assert!(matches!(
        world.read('b')[..],
        [M::Welcome { resumed: false, .. }]
    ));
}

#[test]
fn what_a_live_connection_has_long_had_is_forgotten() {
    let mut world = World::with("ab");
    world.signal('a', Some('b'), "{}");
    let newest = world.frames('b').pop().unwrap().seq.unwrap();
    world.pass(59);
    assert!(world.hub.sessions[&id('b')].can_resume(newest - 1));
    world.pass(2);
    assert!(!world.hub.sessions[&id('b')].can_resume(newest - 1));
    assert!(world.hub.sessions[&id('b')].can_resume(newest));
}

#[test]
fn an_unknown_secret_gets_a_new_session_under_the_same_id() {
    let mut world = World::with("ab");
    world.gone('b', false);
    world.pass(31);
    world.read_all();
    world.hello('b', Some(1));
    let frames = world.frames('b');
    assert!(
        matches!(frames[..], [ServerFrame { id: Some(1), seq: None, message: M::Welcome { resumed: false, peer, .. } }] if peer == id('b'))
    );
    world.join('b', "r");
    assert_eq!(
        world.frames('b')[0].seq,
        Some(1),
        "numbers begin from 1 again"
    );
}

#[test]
fn a_second_connection_takes_the_session_over() {
    let mut world = World::with("ab");
    let old = world.links[&'b'];
    world.hello('b', Some(1));
    assert_eq!(world.closed[&old], close::TAKEN_OVER);
    assert!(world.read('a').is_empty());
    // The end of the old connection is no end of the session.
    let mut out = Vec::new();
    world.hub.gone(world.now, id('b'), old, true, &mut out);
    world.perform(out);
    world.pass(31);
    assert!(world.read('a').is_empty());
    world.signal('a', Some('b'), "{}");
    assert!(!world.read('b').is_empty());
}

#[test]
fn a_peer_that_begins_anew_leaves_its_rooms_first() {
    let mut world = World::with("ab");
    let old = world.links[&'b'];
    world.hello('b', None);
    assert_eq!(world.closed[&old], close::TAKEN_OVER);
    assert!(matches!(
        world.read('a')[..],
        [M::PeerLeft {
            reason: LeaveReason::Left,
            ..
        }]
    ));
    world.read_all();
    world.signal('b', Some('a'), "{}");
    assert_eq!(world.refusal('b'), ErrorCode::NotJoined);
}

#[test]
fn a_lost_member_keeps_its_place_in_a_full_room() {
    let mut world = World::with("abc");
    world.gone('c', false);
    world.hello('d', None);
    world.read_all();
    world.join('d', "r");
    assert_eq!(world.refusal('d'), ErrorCode::RoomFull);
    world.pass(31);
    world.read_all();
    world.join('d', "r");
    assert!(matches!(world.read('d')[..], [M::Joined { .. }]));
}
