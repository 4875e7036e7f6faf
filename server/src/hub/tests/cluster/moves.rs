//! Sessions that move from node to node, and what is on its way to them meanwhile.

use super::*;
use crate::cluster::Word;

#[test]
fn a_session_moves_whole_and_nobody_else_hears_of_it() {
    let mut cluster = Cluster::with_room("abd");
    assert_eq!(cluster.register('a', "ann"), None);
    let last = {
        cluster.tells('b', "0");
        for _ in 0..10 {
            cluster.step();
        }
        cluster.last('a')
    };
    for who in ['b', 'd'] {
        cluster.world(who).read(who);
    }
    cluster.world('a').gone('a', false);
    cluster.tells('b', "1");
    cluster.tells('d', "2");
    for _ in 0..10 {
        cluster.step();
    }
    let (resumed, missed) = cluster.moves('a', 2, Some(last));
    assert!(resumed);
    let texts: Vec<_> = missed
        .iter()
        .map(|frame| match &frame.message {
            M::Message { data, .. } => (frame.seq.unwrap() - last, data.get().to_owned()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts.iter().map(|one| one.0).collect::<Vec<_>>(), [1, 2]);
    cluster.tells('b', "3");
    cluster.hears('a', "3");
    cluster.tells('a', "4");
    for who in ['b', 'd'] {
        cluster.hears(who, "4");
    }
    // For long: its seat is renewed where it is.
    for _ in 0..300 {
        cluster.step();
    }
    cluster.tells('d', "5");
    cluster.hears('a', "5");
    assert_eq!(cluster.inside(&named(0)).len(), 3);
    // Its name went with it, and rings there.
    assert_eq!(cluster.register('b', "ann"), Some(ErrorCode::NameTaken));
    let call = cluster.ring('b', Callee::Name(name("ann"))).unwrap();
    assert_eq!(cluster.rung('a'), call);
}

#[test]
fn what_is_said_while_a_session_moves_comes_after_it() {
    let mut cluster = Cluster::with_room("ab");
    cluster.tells('b', "0");
    for _ in 0..10 {
        cluster.step();
    }
    let last = cluster.last('a');
    cluster.world('b').read('b');
    let waiter = cluster.begins_to_move('a', 2, Some(last));
    for number in 1..40 {
        cluster.tells('b', &number.to_string());
        cluster.step();
    }
    cluster.may_arrive(2, waiter);
    cluster.moved.insert('a', 2);
    cluster.world('a').hello('a', Some(last));
    for _ in 0..20 {
        cluster.step();
    }
    let heard = cluster.world('a').read('a');
    assert!(
        matches!(heard[0], M::Welcome { resumed, .. } if !resumed),
        "more than is kept"
    );
    let mut cluster = Cluster::with_room("ab");
    cluster.tells('b', "0");
    for _ in 0..10 {
        cluster.step();
    }
    let last = cluster.last('a');
    let waiter = cluster.begins_to_move('a', 2, Some(last));
    for number in 1..6 {
        cluster.tells('b', &number.to_string());
        cluster.step();
    }
    cluster.may_arrive(2, waiter);
    cluster.moved.insert('a', 2);
    cluster.world('a').hello('a', Some(last));
    for _ in 0..30 {
        cluster.step();
    }
    let mut texts: Vec<String> = Vec::new();
    for message in cluster.world('a').read('a') {
        match message {
            M::Message { data, .. } => texts.push(data.get().to_owned()),
            M::Welcome { resumed, .. } => assert!(resumed),
            other => panic!("{other:?}"),
        }
    }
    texts.sort();
    assert_eq!(texts, ["1", "2", "3", "4", "5"]);
}

#[test]
fn what_is_said_by_one_at_the_node_that_a_session_moves_to_comes_too() {
    let mut cluster = Cluster::with_room("abd");
    let last = cluster.last('a');
    let waiter = cluster.begins_to_move('a', 1, Some(last));
    for number in 1..6 {
        let message = ClientMessage::Message {
            room: named(0),
            to: Some(id('a')),
            data: Raw::parse(&number.to_string()).unwrap(),
        };
        cluster.say('b', message);
        cluster.step();
    }
    cluster.may_arrive(1, waiter);
    cluster.moved.insert('a', 1);
    cluster.world('a').hello('a', Some(last));
    for _ in 0..30 {
        cluster.step();
    }
    let heard = cluster.world('a').read('a');
    let texts = heard.iter().filter_map(|message| match message {
        M::Message { data, .. } => Some(data.get()),
        _ => None,
    });
    let texts: BTreeSet<_> = texts.collect();
    assert_eq!(texts, BTreeSet::from(["1", "2", "3", "4", "5"]));
}

#[test]
fn of_two_nodes_at_which_a_peer_says_hello_exactly_one_has_it() {
    for pause in 0..12 {
        let mut cluster = Cluster::with_room("ab");
        let last = cluster.last('a');
        let first = cluster.begins_to_move('a', 1, Some(last));
        for _ in 0..pause {
            cluster.step();
        }
        let second = cluster.begins_to_move('a', 2, Some(last));
        cluster.may_arrive(1, first);
        let loser = cluster.nodes[1].world.hello('a', Some(last));
        cluster.may_arrive(2, second);
        let winner = cluster.nodes[2].world.hello('a', Some(last));
        for _ in 0..300 {
            cluster.step();
        }
        assert_eq!(
            cluster.nodes[1].world.closed.get(&loser),
            Some(&close::TAKEN_OVER)
        );
        assert_eq!(cluster.nodes[2].world.closed.get(&winner), None);
        let knows = cluster
            .nodes
            .iter()
            .map(|node| node.world.hub.knows(id('a')));
        assert_eq!(
            knows.collect::<Vec<_>>(),
            [false, false, true],
            "after {pause}"
        );
    }
}

#[test]
fn two_that_are_sent_on_to_two_nodes_do_not_lose_each_other() {
    for pause in 0..8 {
        let mut cluster = Cluster::with_room("ad");
        let lasts = [cluster.last('a'), cluster.last('d')];
        let first = cluster.begins_to_move('a', 1, Some(lasts[0]));
        for _ in 0..pause {
            cluster.step();
        }
        let second = cluster.begins_to_move('d', 2, Some(lasts[1]));
        for (who, to, waiter, last) in [('a', 1, first, lasts[0]), ('d', 2, second, lasts[1])] {
            cluster.may_arrive(to, waiter);
            cluster.moved.insert(who, to);
            cluster.world(who).hello(who, Some(last));
        }
        for _ in 0..300 {
            cluster.step();
        }
        for who in ['a', 'd'] {
            let told = cluster.world(who).read(who);
            assert!(
                matches!(told[..], [M::Welcome { resumed: true, .. }]),
                "after {pause}, {who}: {told:?}"
            );
        }
        cluster.tells('a', "1");
        cluster.hears('d', "1");
    }
}

#[test]
fn who_came_back_while_the_broker_was_away_has_its_place_in_the_end() {
    let mut cluster = Cluster::with_room("ab");
    let last = cluster.last('a');
    // The broker knows a turn of it.
    assert!(cluster.moves('a', 1, Some(last)).0);
    for _ in 0..30 {
        cluster.step();
    }
    cluster.world('a').gone('a', false);
    cluster.moved.insert('a', 2);
    let link = cluster.world('a').hello('a', Some(last));
    let mut joined = false;
    for _ in 0..20 {
        let join = ClientMessage::Join {
            room: named(0),
            name: None,
            capacity: None,
        };
        cluster.say('a', join);
        joined |= cluster.until('a', |message| match message {
            M::Joined { .. } => Some(true),
            M::Error { code, .. } => Some(*code == ErrorCode::AlreadyJoined),
            _ => None,
        });
        if joined {
            break;
        }
    }
    assert!(joined);
    for _ in 0..300 {
        cluster.step();
    }
    assert_eq!(cluster.world('a').closed.get(&link), None);
    cluster.world('b').read('b');
    cluster.tells('a', "1");
    cluster.hears('b', "1");
    let knows = cluster
        .nodes
        .iter()
        .map(|node| node.world.hub.knows(id('a')));
    assert_eq!(knows.collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn a_session_that_begins_anew_where_it_is_keeps_its_turn() {
    let mut cluster = Cluster::with_room("ab");
    let last = cluster.last('a');
    assert!(cluster.moves('a', 1, Some(last)).0);
    cluster.world('a').hello('a', None);
    let join = ClientMessage::Join {
        room: named(0),
        name: None,
        capacity: None,
    };
    cluster.say('a', join);
    cluster.until('a', |message| {
        matches!(message, M::Joined { .. }).then_some(())
    });
    let held = cluster.nodes[1].world.hub.held(&named(0)).unwrap();
    assert_ne!(held.seats[&id('a')].turn, 0);
}

#[test]
fn who_waits_for_a_session_need_not_when_another_connection_of_it_says_hello() {
    let mut cluster = Cluster::with_room("ab");
    let last = cluster.last('a');
    let waiter = cluster.begins_to_move('a', 1, Some(last)).unwrap();
    assert!(!cluster.nodes[1].world.arrived.contains(&waiter));
    // Its turn could not be asked for.
    cluster.nodes[1].world.hello('a', Some(last));
    assert!(cluster.nodes[1].world.arrived.contains(&waiter));
}

#[test]
fn who_says_hello_for_the_first_time_is_no_news_to_other_nodes() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.begins_to_move('j', 1, None), None);
    let world = &mut cluster.nodes[1].world;
    world.hello('j', None);
    let wishes = world.hub.wishes();
    let said = wishes.iter().find(|wish| matches!(wish, Wish::Say(..)));
    assert_eq!(said, None);
}

#[test]
fn a_session_ends_where_it_was_when_its_peer_begins_anew_elsewhere_even_if_that_connection_breaks()
{
    let mut cluster = Cluster::with_room("ab");
    cluster.world('b').read('b');
    assert_eq!(cluster.begins_to_move('a', 2, None), None);
    cluster.until('b', |message| match message {
        M::PeerLeft { peer, .. } => (*peer == id('a')).then_some(()),
        _ => None,
    });
    assert!(!cluster.nodes[0].world.hub.knows(id('a')));
}

#[test]
fn a_session_on_its_way_ends_where_its_peer_has_said_hello_elsewhere_meanwhile() {
    for pause in 0..8 {
        let mut cluster = Cluster::with_room("ab");
        let last = cluster.last('a');
        cluster.begins_to_move('a', 1, Some(last)).unwrap();
        // Its connection there breaks, and it begins anew at a third node.
        for _ in 0..pause {
            cluster.step();
        }
        assert_eq!(cluster.begins_to_move('a', 2, None), None);
        cluster.moved.insert('a', 2);
        let link = cluster.world('a').hello('a', None);
        for _ in 0..50 {
            cluster.step();
        }
        let knows = cluster
            .nodes
            .iter()
            .map(|node| node.world.hub.knows(id('a')));
        assert_eq!(
            knows.collect::<Vec<_>>(),
            [false, false, true],
            "after {pause}"
        );
        assert_eq!(cluster.world('a').closed.get(&link), None);
    }
}

#[test]
fn calls_move_with_their_peers_whether_they_ring_or_were_taken() {
    for caller_moves in [true, false] {
        let mut cluster = Cluster::with_room("ab");
        let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
        assert_eq!(cluster.rung('b'), call);
        let who = if caller_moves { 'a' } else { 'b' };
        cluster.say(
            who,
            ClientMessage::Mute {
                room: named(0),
                peer: id(who),
                kind: Kind::Audio,
            },
        );
        cluster.say(
            who,
            ClientMessage::Join {
                room: room("x"),
                name: None,
                capacity: None,
            },
        );
        for _ in 0..10 {
            cluster.step();
        }
        let last = cluster.last(who);
        let (resumed, _) = cluster.moves(who, 2, Some(last));
        assert!(resumed);
        cluster.say('b', ClientMessage::Accept { call: call.clone() });
        cluster.until('a', |message| {
            matches!(message, M::Accepted { .. }).then_some(())
        });
        let last = 'a' == who;
        // And on to where the other one is.
        let at = if last { 1 } else { 0 };
        for _ in 0..10 {
            cluster.step();
        }
        cluster.tells(if last { 'b' } else { 'a' }, "9");
        for _ in 0..10 {
            cluster.step();
        }
        let last = cluster.last(who);
        assert!(cluster.moves(who, at, Some(last)).0);
        cluster.say('b', ClientMessage::HangUp { call: call.clone() });
        cluster.hung_up('a', &call);
        for node in &cluster.nodes {
            assert!(node.world.hub.calls.is_empty());
        }
    }
}

#[test]
fn a_call_that_is_taken_while_its_caller_moves_to_the_callee_is_taken_for_both() {
    for pause in 0..8 {
        let mut cluster = Cluster::with_room("ab");
        let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
        assert_eq!(cluster.rung('b'), call);
        // Something with a number, so that it may be resumed.
        cluster.tells('b', "0");
        for _ in 0..10 {
            cluster.step();
        }
        let last = cluster.last('a');
        let waiter = cluster.begins_to_move('a', 1, Some(last));
        for _ in 0..pause {
            cluster.step();
        }
        cluster.say('b', ClientMessage::Accept { call: call.clone() });
        cluster.may_arrive(1, waiter);
        cluster.moved.insert('a', 1);
        cluster.world('a').hello('a', Some(last));
        cluster.until('a', |message| match message {
            M::Accepted { call: taken } => (*taken == call).then_some(()),
            _ => None,
        });
        cluster.say('a', ClientMessage::HangUp { call: call.clone() });
        cluster.hung_up('b', &call);
    }
}

#[test]
fn what_is_said_late_of_where_a_call_was_is_not_followed() {
    let mut cluster = Cluster::with_room("ab");
    let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
    assert_eq!(cluster.rung('b'), call);
    let mut first = None;
    for at in [2, 0] {
        cluster.tells('b', "0");
        for _ in 0..10 {
            cluster.step();
        }
        let last = cluster.last('a');
        assert!(cluster.moves('a', at, Some(last)).0);
        first = first.or(cluster.nodes[at].world.hub.turn_of(id('a')));
    }
    for _ in 0..20 {
        cluster.step();
    }
    let late = Word::CallMoved {
        call: call.clone(),
        rings: true,
        turn: first.unwrap(),
    };
    let (now, mut out) = (cluster.now, Vec::new());
    let hub = &mut cluster.nodes[1].world.hub;
    hub.hear(now, number(2), late, &mut out);
    assert!(out.is_empty());
    cluster.say('b', ClientMessage::Accept { call: call.clone() });
    cluster.until('a', |message| match message {
        M::Accepted { call: taken } => (*taken == call).then_some(()),
        _ => None,
    });
}

#[test]
fn who_moves_to_where_somebody_has_not_been_heard_of_yet_does_not_lose_it() {
    let mut cluster = Cluster::with_room("bc");
    // The third has just been told by the broker who is there, and is not told again before this is over.
    while cluster.nodes[2].round != cluster.now + LEASE / 3 - STEP * 6 {
        cluster.step();
    }
    for who in ['b', 'c'] {
        cluster.world(who).read(who);
    }
    // What the first node says to the third takes long.
    let mut held = Vec::new();
    let mut hold = |cluster: &mut Cluster| {
        cluster.step();
        let (late, rest) =
            std::mem::take(&mut cluster.parcels)
                .into_iter()
                .partition(|(_, to, _, bytes)| {
                    let parcel: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    parcel["from"] == number(0).to_string() && *to == number(2)
                });
        cluster.parcels = rest;
        let late: Vec<_> = late;
        held.extend(late);
    };
    cluster.act(Act::Join(0, 0));
    let last = loop {
        hold(&mut cluster);
        let frames = cluster.world('b').frames('b');
        if let Some(came) = frames.last() {
            assert!(matches!(came.message, M::PeerJoined { .. }));
            break came.seq;
        }
    };
    let seen = cluster.seen(&named(0));
    assert!(
        seen.iter().any(|(seen, _)| !seen.contains(&id('a'))),
        "the third node knows it"
    );
    let waiter = cluster.begins_to_move('b', 2, last).unwrap();
    while !cluster.nodes[2].world.arrived.contains(&waiter) {
        hold(&mut cluster);
    }
    cluster.moved.insert('b', 2);
    cluster.world('b').hello('b', last);
    assert!(!held.is_empty());
    cluster.parcels.append(&mut held);
    for _ in 0..50 {
        cluster.step();
    }
    let told = cluster.world('b').read('b');
    assert!(
        matches!(told[..], [M::Welcome { resumed: true, .. }]),
        "{told:?}"
    );
    let told = cluster.world('c').read('c');
    assert!(
        matches!(&told[..], [M::PeerJoined { member, .. }] if member.peer == id('a')),
        "{told:?}"
    );
}

#[test]
fn who_is_put_out_or_muted_while_it_moves_is() {
    for pause in 0..8 {
        for (to, kick) in [(1, true), (1, false), (2, true), (2, false)] {
            let mut cluster = Cluster::with_room("bad");
            let last = cluster.last('a');
            let waiter = cluster.begins_to_move('a', to, Some(last));
            for _ in 0..pause {
                cluster.step();
            }
            let (room, peer) = (named(0), id('a'));
            cluster.say(
                'b',
                match kick {
                    true => ClientMessage::Kick {
                        room,
                        peer,
                        reason: None,
                    },
                    false => ClientMessage::Mute {
                        room,
                        peer,
                        kind: Kind::Audio,
                    },
                },
            );
            cluster.may_arrive(to, waiter);
            cluster.moved.insert('a', to);
            cluster.world('a').hello('a', Some(last));
            for _ in 0..10 {
                cluster.step();
            }
            let told = cluster.world('a').read('a');
            let heard = told.iter().filter(|message| match message {
                M::Kicked { .. } => kick,
                M::Muted { .. } => !kick,
                _ => false,
            });
            assert_eq!(heard.count(), 1, "after {pause} to {to}: {told:?}");
        }
    }
}

#[test]
fn who_is_unmuted_while_it_moves_is_told_so_once() {
    for pause in 0..8 {
        for to in [1, 2] {
            let mut cluster = Cluster::with_room("bac");
            let (room, peer, kind) = (named(0), id('a'), Kind::Audio);
            let mute = ClientMessage::Mute { room, peer, kind };
            cluster.say('b', mute);
            for _ in 0..10 {
                cluster.step();
            }
            let last = cluster.last('a');
            let waiter = cluster.begins_to_move('a', to, Some(last));
            for _ in 0..pause {
                cluster.step();
            }
            let room = named(0);
            let unmute = ClientMessage::Unmute { room, peer, kind };
            cluster.say('b', unmute);
            cluster.may_arrive(to, waiter);
            cluster.moved.insert('a', to);
            cluster.world('a').hello('a', Some(last));
            for _ in 0..20 {
                cluster.step();
            }
            let told = cluster.world('a').read('a');
            let heard = told.iter().filter(|message| match message {
                M::Unmuted { by, .. } => *by == id('b'),
                M::Muted { .. } => panic!("{told:?}"),
                _ => false,
            });
            assert_eq!(heard.count(), 1, "after {pause} to {to}: {told:?}");
        }
    }
}

#[test]
fn a_node_that_drains_sends_everybody_on_and_keeps_their_sessions_until_they_are_fetched() {
    let mut cluster = Cluster::with_room("abd");
    let lasts = [cluster.last('a'), cluster.last('d')];
    cluster.world('b').read('b');
    let mut out = Vec::new();
    cluster.nodes[0].world.hub.drain(&mut out);
    cluster.nodes[0].world.perform(out);
    let told = cluster.world('a').read('a');
    assert!(matches!(told[..], [M::GoAway { .. }]), "{told:?}");
    for _ in 0..20 {
        cluster.step();
    }
    assert!(cluster.moves('a', 1, Some(lasts[0])).0);
    assert!(cluster.moves('d', 2, Some(lasts[1])).0);
    cluster.tells('a', "1");
    for who in ['b', 'd'] {
        cluster.hears(who, "1");
    }
    assert!(!cluster.nodes[0].world.hub.drained(), "g was in no room");
    for _ in 0..400 {
        cluster.step();
    }
    assert!(cluster.nodes[0].world.hub.drained());
}

#[test]
fn a_peer_of_a_dead_node_waits_shortly_and_begins_anew() {
    let mut cluster = Cluster::with_room("ab");
    let last = cluster.last('a');
    cluster.dead.insert(0);
    let before = cluster.now;
    let (resumed, _) = cluster.moves('a', 2, Some(last));
    assert!(!resumed);
    assert!(cluster.now - before < Duration::from_secs(3));
}

#[test]
fn all_peers_of_a_node_that_dies_are_back_in_their_places_within_three_seconds() {
    let mut cluster = Cluster::with_room("abd");
    let lasts = ['a', 'd'].map(|who| (who, cluster.last(who)));
    cluster.dead.insert(0);
    let dead = cluster.now;
    // One to each of the others, both at once; the room is full of them.
    let waiters = lasts.map(|(who, last)| {
        let to = if who == 'a' { 1 } else { 2 };
        (who, to, last, cluster.begins_to_move(who, to, Some(last)))
    });
    for (who, to, last, waiter) in waiters {
        cluster.may_arrive(to, waiter);
        cluster.moved.insert(who, to);
        cluster.world(who).hello(who, Some(last));
        let join = ClientMessage::Join {
            room: named(0),
            name: None,
            capacity: Some(CAPACITY),
        };
        cluster.say(who, join);
    }
    for who in ['a', 'd'] {
        let members = cluster.until(who, |message| match message {
            M::Joined { members, .. } => Some(members.len()),
            M::Error { .. } => panic!("{message:?}"),
            _ => None,
        });
        assert!(members >= 1, "{who} is alone");
    }
    let took = cluster.now - dead;
    assert!(
        took < Duration::from_secs(3),
        "they were back after {took:?}"
    );
    // Nobody else was given a place, and nobody has two.
    cluster.act(Act::Join(2, 0));
    let code = cluster.until('c', |message| match message {
        M::Error { code, .. } => Some(*code),
        M::Joined { .. } => panic!("there was a place"),
        _ => None,
    });
    assert_eq!(code, ErrorCode::RoomFull);
    assert_eq!(cluster.inside(&named(0)), "abd".chars().map(id).collect());
}

#[test]
fn members_at_a_node_that_is_cut_off_for_longer_than_a_lease_are_missed_once_and_miss_nobody() {
    let mut cluster = Cluster::with_room("ab");
    for who in ['a', 'b'] {
        cluster.world(who).read(who);
    }
    let steps = u32::try_from(LEASE.as_millis() * 5 / 2 / STEP.as_millis()).unwrap();
    cluster.act(Act::Cut(1, steps));
    for _ in 0..steps * 3 {
        cluster.step();
    }
    let seen = |who: char, of: char, cluster: &mut Cluster| {
        let told = cluster.world(who).read(who).into_iter();
        let told = told.filter_map(|message| match message {
            M::PeerLeft { peer, reason, .. } if peer == id(of) => Some(Some(reason)),
            M::PeerJoined { member, .. } if member.peer == id(of) => Some(None),
            M::Kicked { .. } => panic!("{message:?}"),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    let once = [Some(LeaveReason::Lost), None];
    assert_eq!(seen('a', 'b', &mut cluster), once);
    assert_eq!(seen('b', 'a', &mut cluster), []);
    assert_eq!(cluster.inside(&named(0)), "ab".chars().map(id).collect());
}
