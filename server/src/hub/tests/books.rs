//! Whatever peers do, the hub's own accounts agree.

use super::*;

proptest! {
    /// Whatever peers do, rooms hold no more than they may, nobody is in two minds about where it is, and every
    /// request has exactly one answer.
    #[test]
    fn the_books_balance(steps in proptest::collection::vec((0_usize..5, 0_u8..12, 0_usize..3, 0_usize..5), 1..80)) {
        let mut world = World::new();
        let peers = ['a', 'b', 'c', 'd', 'e'];
        let rooms = ["r", "s", "t"];
        for (who, what, place, other) in steps {
            let (who, place, other) = (peers[who], rooms[place], peers[other]);
            let known = world.hub.sessions.get(&id(who)).is_some_and(|s| s.connection().is_some());
            if !known {
                world.hello(who, (what > 4).then_some(0));
                continue;
            }
            world.read_all();
            match what {
                0..3 => world.join(who, place),
                3 => world.say(who, ClientMessage::Leave { room: room(place) }),
                4 => world.say(who, ClientMessage::Kick { room: room(place), peer: id(other), reason: None }),
                5 => world.signal(who, Some(other), "{}"),
                6 => call(&mut world, who, Callee::Peer(id(other))),
                8 => world.say(who, ClientMessage::Register { name: name(place) }),
                9 => call(&mut world, who, Callee::Name(name(place))),
                10 => {
                    let heard = world.hub.calls.ringing_now(id(who));
                    let Some(call) = heard else { continue };
                    world.say(who, ClientMessage::Accept { call });
                }
                7 => { world.gone(who, place == "r"); continue }
                _ => { world.pass(16); continue }
            }
            let answers = world.frames(who).iter().filter(|frame| frame.id == Some(7)).count();
            prop_assert_eq!(answers, 1);
            for (name, inside) in &world.hub.rooms {
                prop_assert!(!inside.deserted());
                prop_assert!(inside.members().len() <= usize::from(inside.capacity()));
                prop_assert!(inside.members().iter().any(|member| member.role == Role::Moderator));
                for peer in inside.peers() {
                    prop_assert!(world.hub.sessions[&peer].rooms().contains(name));
                }
            }
            for (peer, session) in &world.hub.sessions {
                for name in session.rooms() {
                    prop_assert!(world.hub.rooms[&name].has(*peer));
                }
            }
            for peer in world.hub.calls.peers() {
                prop_assert!(world.hub.sessions.contains_key(&peer));
            }
            for place in rooms {
                if let Some(owner) = world.hub.names.owner(&name(place)) {
                    let known = world.hub.sessions[&owner].registered();
                    prop_assert_eq!(known, Some(&name(place)));
                }
            }
        }
        world.pass(61);
        for who in peers {
            if world.hub.sessions.contains_key(&id(who)) {
                world.gone(who, true);
            }
        }
        world.pass(61);
        prop_assert!(world.hub.sessions.is_empty() && world.hub.rooms.is_empty());
        prop_assert!(world.hub.calls.is_empty() && world.hub.names.is_empty());
    }
}
