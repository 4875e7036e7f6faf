//! What the administrator sees and says.

use super::*;

fn names(world: &World, after: Option<&str>, limit: usize) -> Vec<String> {
    let rooms = world.hub.rooms(world.now, after, limit);
    rooms
        .iter()
        .map(|one| one.room.as_str().to_owned())
        .collect()
}

#[test]
fn rooms_are_listed_in_parts_by_their_names() {
    let mut world = World::new();
    for (who, name) in [('a', "d"), ('b', "a"), ('c', "c"), ('d', "b")] {
        world.hello(who, None);
        world.join(who, name);
    }
    assert_eq!(names(&world, None, 3), ["a", "b", "c"]);
    assert_eq!(names(&world, Some("c"), 3), ["d"]);
    assert_eq!(names(&world, Some("d"), 3), [""; 0]);
    assert_eq!(names(&world, None, 9), ["a", "b", "c", "d"]);
}

#[test]
fn a_room_is_told_with_its_age_and_members() {
    let mut world = World::with("ab");
    world.pass(90);
    world.join('a', "later");
    let rooms = world.hub.rooms(world.now, None, 9);
    let [later, r] = &rooms[..] else {
        panic!("{rooms:?}")
    };
    assert_eq!((later.room.as_str(), later.age_seconds), ("later", 0));
    assert_eq!((r.room.as_str(), r.age_seconds, r.capacity), ("r", 90, 3));
    let members: Vec<&str> = r.members.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(members, ["a", "b"]);
}

#[test]
fn a_broadcast_reaches_everybody_and_who_comes_back() {
    let mut world = World::with("ab");
    world.hello('c', None);
    world.read_all();
    world.gone('a', false);
    let mut out = Vec::new();
    let data = rtc_protocol::Raw::parse("\"noon\"").unwrap();
    assert_eq!(world.hub.announce(data, &mut out), 3);
    world.perform(out);
    for who in ['b', 'c'] {
        assert!(
            matches!(&world.read(who)[..], [M::Broadcast { .. }]),
            "{who}"
        );
    }
    world.hello('a', Some(2));
    assert!(matches!(
        &world.read('a')[..],
        [M::Welcome { .. }, M::Broadcast { .. }]
    ));
}
