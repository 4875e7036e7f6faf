//! Nodes and brokers that are killed.

use std::time::Duration;

use rtc_protocol::{ErrorCode, LeaveReason, ServerMessage};
use tokio::time::{Instant, sleep, timeout};

use crate::rig::{Broker, LONG, PATIENCE, Peer, Process, id, token};
use crate::talk::{pair, talk};

#[tokio::test]
async fn a_killed_nodes_peers_are_back_elsewhere_at_once_and_leave_no_ghosts() {
    let broker = Broker::start().await;
    let mut dying = Process::start(&broker);
    let living = Process::start(&broker);
    let (mut ann, _) = Peer::inside(living.address, 'a', "r").await;
    let (mut bob, _) = Peer::inside(dying.address, 'b', "r").await;
    let (cyd, _) = Peer::inside(dying.address, 'c', "r").await;
    ann.sees_come(id('c')).await;
    // Under load: what is on its way when it dies is lost or told.
    for number in 0..200 {
        bob.signal("r", None, &number.to_string()).await;
    }
    dying.kill();
    let killed = Instant::now();
    while bob.may_next().await.is_some() {}
    drop(cyd);
    let (mut bob, resumed) = Peer::greeted(living.address, token('b'), Some(bob.last)).await;
    assert!(!resumed, "what it had is gone");
    let members = bob.joins_in_the_end("r", None).await.unwrap();
    assert!(members.contains(&id('a')), "{members:?}");
    println!("back after {:?}", killed.elapsed());
    // The one that did not come back is gone after the lease.
    assert_eq!(ann.sees_go(id('c')).await, LeaveReason::Lost);
    bob.signal("r", Some(id('a')), "again").await;
    loop {
        if ann.hears(id('b')).await == "again" {
            break;
        }
    }
}

/// How soon: `hub/tests/cluster/moves.rs`, where time is not that of a busy machine.
#[tokio::test]
async fn all_peers_of_a_node_that_is_killed_while_they_talk_are_back_in_their_places() {
    let broker = Broker::start_for(LONG).await;
    let mut dying = Process::start(&broker);
    let others = [Process::start(&broker), Process::start(&broker)];
    for node in [&dying, &others[0], &others[1]] {
        node.knows(3).await;
    }
    let names = ["ag", "bh", "ci", "dj", "ek", "fl"];
    let mut pairs = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        let (stays, comes) = (name.as_bytes()[0].into(), name.as_bytes()[1].into());
        let living = others[at % 2].address;
        pairs.push(pair(name, (living, stays), (dying.address, comes)).await);
    }
    // How long they talk before it dies, so that it dies under load; nothing is waited for.
    talk(&mut pairs, sleep(Duration::from_secs(1))).await;
    // What they said last is on its way.
    dying.kill();
    let killed = Instant::now();
    let back = pairs
        .into_iter()
        .zip(names)
        .enumerate()
        .map(|(at, ([stays, goes], name))| {
            let address = others[(at + 1) % 2].address;
            let who: char = name.as_bytes()[1].into();
            let last = goes.peer.last;
            let said = goes.cut_off();
            async move {
                let (mut peer, resumed) = Peer::greeted(address, token(who), Some(last)).await;
                assert!(!resumed, "what it had is gone");
                let members = peer.joins_in_the_end(name, Some(2)).await.unwrap();
                let took = killed.elapsed();
                (stays, said.await, peer, members, took)
            }
        });
    let back = futures_util::future::join_all(back).await;
    for ((mut stays, mut goes, mut peer, members, took), name) in back.into_iter().zip(names) {
        println!("{name} was back after {took:?}");
        let who = name.as_bytes()[0].into();
        assert_eq!(members, [id(who)], "in its own place");
        // The other one is told, of all that it said, what has not come.
        stays.hears_what_became_of_it(&mut goes).await;
        // Its server may hear of the other one's new place later than that one does; then what is said goes to the old one.
        let again = async {
            loop {
                let whom = Some(id(name.as_bytes()[1].into()));
                stays.peer.signal(name, whom, "again").await;
                let hears = peer.hears(id(who));
                if let Ok(heard) = timeout(Duration::from_millis(500), hears).await {
                    break heard;
                }
            }
        };
        let heard = timeout(PATIENCE, again).await.expect("nobody heard");
        assert_eq!(heard, "again");
        // And nobody else is in the room: a third is refused, also after the lease.
        let (mut third, _) = Peer::greeted(others[0].address, token('z'), None).await;
        let joined = third.joins_in_the_end(name, None).await;
        assert_eq!(joined, Err(ErrorCode::RoomFull));
    }
}

#[tokio::test]
async fn calls_go_on_without_the_broker_and_membership_is_right_when_it_is_back_empty() {
    let mut broker = Broker::start().await;
    let (_one, first) = broker.node().await;
    let (_two, second) = broker.node().await;
    let (mut ann, _) = Peer::inside(first, 'a', "r").await;
    let (mut bob, _) = Peer::inside(first, 'b', "r").await;
    let (mut cyd, _) = Peer::inside(second, 'c', "r").await;
    ann.sees_come(id('c')).await;
    broker.kill();
    // Within a node nothing has happened.
    ann.signal("r", Some(id('b')), "still here").await;
    assert_eq!(bob.hears(id('a')).await, "still here");
    // What needs the broker is refused, with a code that says later.
    let (mut dan, _) = Peer::greeted(second, token('d'), None).await;
    assert_eq!(dan.join("q", None).await, Err(ErrorCode::TryLater));
    broker.come_back_empty().await;
    // What is said meanwhile may die with the broker; what is said again comes.
    let heard = async {
        loop {
            cyd.signal("r", Some(id('a')), "are you there?").await;
            let hears = ann.hears(id('c'));
            if let Ok(heard) = timeout(Duration::from_millis(500), hears).await {
                break heard;
            }
        }
    };
    let heard = timeout(PATIENCE, heard).await.expect("nobody heard cyd");
    assert_eq!(heard, "are you there?");
    // Who is in, is in: a room of three with three in it has no place for a fourth.
    let members = dan.joins_in_the_end("r", Some(6)).await.unwrap();
    for who in ['a', 'b', 'c'] {
        assert!(members.contains(&id(who)), "{members:?}");
    }
    ann.sees_come(id('d')).await;
    for peer in [&mut ann, &mut bob, &mut cyd] {
        peer.signal("r", Some(id('d')), "hello").await;
    }
    let mut silent = vec![id('a'), id('b'), id('c')];
    while !silent.is_empty() {
        dan.until(|message| match message {
            ServerMessage::Signal { from, .. } => {
                silent.retain(|one| one != from);
                Some(())
            }
            _ => None,
        })
        .await;
    }
}

#[tokio::test]
async fn of_two_that_show_one_token_the_later_has_the_session() {
    let broker = Broker::start().await;
    let (_one, first) = broker.node().await;
    let (_two, second) = broker.node().await;
    let (mut ann, _) = Peer::inside(first, 'a', "r").await;
    let (mut bob, _) = Peer::inside(second, 'b', "r").await;
    ann.sees_come(id('b')).await;
    let (mut again, _) = Peer::inside(second, 'a', "r").await;
    while ann.may_next().await.is_some() {}
    bob.signal("r", Some(id('a')), "who are you?").await;
    assert_eq!(again.hears(id('b')).await, "who are you?");
    again.signal("r", Some(id('b')), "the same").await;
    assert_eq!(bob.hears(id('a')).await, "the same");
}
