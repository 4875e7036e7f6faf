//! Rooms: coming in, being told, speaking to one or all.

use super::*;

#[test]
fn the_first_creates_the_room_and_the_next_learns_who_is_there() {
    let mut world = World::new();
    world.hello('a', None);
    world.join('a', "r");
    let M::Joined {
        role,
        capacity,
        members,
        ..
    } = world.read('a').pop().unwrap()
    else {
        panic!("not joined")
    };
    assert_eq!((role, capacity, members.len()), (Role::Moderator, 3, 0));
    world.hello('b', None);
    world.join('b', "r");
    let frames = world.frames('b');
    assert_eq!(frames[1].id, Some(7));
    let M::Joined { role, members, .. } = &frames[1].message else {
        panic!("not joined")
    };
    assert_eq!(*role, Role::Member);
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].peer, members[0].name.as_str()), (id('a'), "a"));
    let told = world.read('a');
    assert!(
        matches!(&told[..], [M::PeerJoined { member, .. }] if member.peer == id('b')),
        "{told:?}"
    );
}

#[test]
fn a_full_room_stays_as_it_is_and_the_one_outside_hears_nothing() {
    let mut world = World::with("ab");
    world.hello('c', None);
    world.join('c', "r");
    world.hello('d', None);
    world.read_all();
    world.join('d', "r");
    assert_eq!(world.refusal('d'), ErrorCode::RoomFull);
    world.signal('a', None, "{}");
    assert!(world.read('d').is_empty());
    assert_eq!(world.read('b').len(), 1);
    world.signal('d', Some('a'), "{}");
    assert_eq!(world.refusal('d'), ErrorCode::NotJoined);
}

#[test]
fn only_the_creator_sets_the_capacity_and_never_above_the_limit() {
    let mut world = World::new();
    for who in "abc".chars() {
        world.hello(who, None);
    }
    world.join_with('a', "two", Some(2));
    world.join_with('b', "two", Some(4));
    world.read_all();
    world.join('c', "two");
    assert_eq!(world.refusal('c'), ErrorCode::RoomFull);
    world.join_with('c', "large", Some(60_000));
    assert!(matches!(
        world.read('c')[..],
        [M::Joined { capacity: 4, .. }]
    ));
}

#[test]
fn a_room_is_joined_once_and_no_more_rooms_than_allowed() {
    let mut world = World::with("a");
    world.join('a', "r");
    assert_eq!(world.refusal('a'), ErrorCode::AlreadyJoined);
    world.join('a', "s");
    world.read_all();
    world.join('a', "t");
    assert_eq!(world.refusal('a'), ErrorCode::TooManyRooms);
    assert_eq!(world.hub.counts().rooms, 2);
}

#[test]
fn an_empty_room_is_gone() {
    let mut world = World::with("a");
    world.say('a', ClientMessage::Leave { room: room("r") });
    assert!(matches!(world.read('a')[..], [M::Left { .. }]));
    assert_eq!(world.hub.counts().rooms, 0);
    world.say('a', ClientMessage::Leave { room: room("r") });
    assert_eq!(world.refusal('a'), ErrorCode::NotJoined);
}

#[test]
fn a_signal_goes_to_its_addressee_alone_with_the_true_sender_and_untouched() {
    let mut world = World::with("abc");
    world.signal('a', Some('b'), r#"{"x": 1.50,  "from":"c"}"#);
    let told = world.read('b');
    let [M::Signal { from, signal, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(*from, id('a'));
    assert_eq!(signal.get(), r#"{"x": 1.50,  "from":"c"}"#);
    assert!(world.read('c').is_empty());
    assert!(matches!(world.read('a')[..], [M::Ack {}]));
    world.signal('a', None, "{}");
    assert_eq!(world.read('b').len(), 1);
    assert_eq!(world.read('c').len(), 1);
    assert!(matches!(world.read('a')[..], [M::Ack {}]), "no echo");
}

#[test]
fn nobody_reaches_a_peer_of_another_room_or_itself() {
    let mut world = World::with("a");
    world.hello('b', None);
    world.join('b', "s");
    world.read_all();
    for to in ['b', 'a', 'x'] {
        world.signal('a', Some(to), "{}");
        assert_eq!(world.refusal('a'), ErrorCode::NoSuchPeer, "{to}");
    }
    assert!(world.read('b').is_empty());
}

#[test]
fn hello_comes_once() {
    let mut world = World::with("a");
    world.say(
        'a',
        ClientMessage::Hello {
            resume: None,
            last_seq: None,
            name: None,
            auth: None,
            agent: None,
        },
    );
    assert_eq!(world.refusal('a'), ErrorCode::HelloFirst);
}
