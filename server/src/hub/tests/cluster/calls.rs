//! Names and calls across nodes.

use super::*;

#[test]
fn a_name_is_one_peers_in_the_whole_cluster_and_free_when_its_session_ends() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.register('a', "ann"), None);
    assert_eq!(cluster.register('b', "ann"), Some(ErrorCode::NameTaken));
    assert_eq!(
        cluster.register('d', "ann"),
        Some(ErrorCode::NameTaken),
        "at its own node"
    );
    // For as long as it likes.
    for _ in 0..400 {
        cluster.step();
    }
    assert_eq!(cluster.register('b', "ann"), Some(ErrorCode::NameTaken));
    assert_eq!(cluster.register('a', "anna"), None);
    for _ in 0..5 {
        cluster.step();
    }
    assert_eq!(
        cluster.register('b', "ann"),
        None,
        "who takes another gives it back"
    );
    cluster.world('b').gone('b', true);
    for _ in 0..5 {
        cluster.step();
    }
    assert_eq!(cluster.register('c', "ann"), None);
}

#[test]
fn a_name_outlives_a_broker_that_forgets() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.register('a', "ann"), None);
    cluster.act(Act::Forget);
    assert_eq!(cluster.register('b', "ann"), Some(ErrorCode::NameTaken));
}

#[test]
fn a_call_to_another_node_rings_is_taken_and_ends() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.register('b', "bob"), None);
    for whom in [Callee::Name(name("bob")), Callee::Peer(id('b'))] {
        let call = cluster.ring('a', whom).unwrap();
        assert_eq!(cluster.rung('b'), call);
        cluster.say('b', ClientMessage::Accept { call: call.clone() });
        cluster.until('a', |message| match message {
            M::Accepted { call: taken } => (*taken == call).then_some(()),
            _ => None,
        });
        cluster.say('a', ClientMessage::HangUp { call: call.clone() });
        cluster.hung_up('b', &call);
    }
    for who in ['a', 'b'] {
        assert!(cluster.world(who).hub.calls.is_empty());
    }
}

#[test]
fn a_call_to_another_node_is_refused_cancelled_or_not_answered() {
    let mut cluster = Cluster::settled();
    let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
    cluster.rung('b');
    let refuse = ClientMessage::Refuse {
        call,
        code: None,
        reason: Some("later".into()),
    };
    cluster.say('b', refuse);
    cluster.until('a', |message| match message {
        M::Refused { reason, .. } => (reason.as_deref() == Some("later")).then_some(()),
        _ => None,
    });
    let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
    cluster.rung('b');
    cluster.say('a', ClientMessage::HangUp { call: call.clone() });
    cluster.hung_up('b', &call);
    cluster.say('b', ClientMessage::Accept { call });
    cluster.until('b', |message| match message {
        M::Error { code, .. } => (*code == ErrorCode::NoSuchRoom).then_some(()),
        _ => None,
    });
    let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
    cluster.until('a', |message| match message {
        M::Refused { code, .. } => (*code == RefuseCode::NoAnswer).then_some(()),
        _ => None,
    });
    cluster.hung_up('b', &call);
}

#[test]
fn who_is_nowhere_or_busy_cannot_be_rung_from_another_node() {
    let mut cluster = Cluster::settled();
    let nobody = Callee::Name(name("nobody"));
    assert_eq!(cluster.ring('a', nobody), Err(ErrorCode::NoSuchPeer));
    assert_eq!(
        cluster.ring('a', Callee::Peer(id('x'))),
        Err(ErrorCode::NoSuchPeer)
    );
    cluster.ring('a', Callee::Peer(id('b'))).unwrap();
    cluster.ring('c', Callee::Peer(id('b'))).unwrap();
    assert_eq!(
        cluster.ring('d', Callee::Peer(id('b'))),
        Err(ErrorCode::Busy)
    );
}

#[test]
fn who_goes_by_a_name_in_a_room_of_another_node_is_met_there() {
    let mut cluster = Cluster::settled();
    cluster.act(Act::Join(1, 0));
    cluster.until('b', |message| {
        matches!(message, M::Joined { .. }).then_some(())
    });
    let whom = Callee::Name(name("b"));
    let ring = |whom| ClientMessage::Ring {
        whom,
        room: room("talk"),
    };
    cluster.say('a', ring(whom.clone()));
    let met = cluster.until('a', |message| match message {
        M::Found { peer, room } => Some((*peer, room.clone())),
        _ => None,
    });
    assert_eq!(met, (id('b'), named(0)));
    // Two that go by it, at two nodes.
    let join = ClientMessage::Join {
        room: room("other"),
        name: Some(name("b")),
        capacity: None,
    };
    cluster.say('c', join);
    cluster.until('c', |message| {
        matches!(message, M::Joined { .. }).then_some(())
    });
    assert_eq!(cluster.ring('a', whom), Err(ErrorCode::NoSuchPeer));
}

#[test]
fn calls_of_a_node_that_dies_end_for_the_other_side() {
    let mut cluster = Cluster::settled();
    let rings = cluster.ring('b', Callee::Peer(id('a'))).unwrap();
    let taken = cluster.ring('c', Callee::Peer(id('b'))).unwrap();
    cluster.rung('b');
    cluster.say(
        'b',
        ClientMessage::Accept {
            call: taken.clone(),
        },
    );
    cluster.until('c', |message| {
        matches!(message, M::Accepted { .. }).then_some(())
    });
    cluster.dead.insert(1);
    cluster.hung_up('a', &rings);
    cluster.hung_up('c', &taken);
    assert_eq!(
        cluster.ring('a', Callee::Peer(id('b'))),
        Err(ErrorCode::NoSuchPeer)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn two_nodes_never_both_give_a_name_and_no_call_rings_for_ever(
        acts in proptest::collection::vec((0..PEERS.len(), 0..PEERS.len(), 0..5u8, 1..12u32), 1..40),
        seed in any::<u64>(),
    ) {
        let mut cluster = Cluster::new(seed);
        for (peer, other, what, steps) in acts {
            let who = letter(peer);
            match what {
                0 | 1 => cluster.say(who, ClientMessage::Register { name: name(&format!("n{}", other % 2)) }),
                2 => cluster.act(Act::Again(peer)),
                3 => cluster.say(who, ClientMessage::Ring { whom: Callee::Peer(id(letter(other))), room: room("r") }),
                _ => cluster.say(who, ClientMessage::Ring { whom: Callee::Name(name(&format!("n{}", other % 2))), room: room("r") }),
            }
            cluster.act(Act::Pass(steps));
            let held: Vec<&Name> = cluster.nodes.iter().flat_map(|node| node.world.hub.names_held()).collect();
            let different: std::collections::HashSet<&Name> = held.iter().copied().collect();
            prop_assert_eq!(held.len(), different.len(), "{:?}", held);
        }
        cluster.calm = true;
        for _ in 0..1_000 {
            cluster.step();
        }
        for node in &cluster.nodes {
            prop_assert!(node.world.hub.calls.is_empty());
        }
    }
}
