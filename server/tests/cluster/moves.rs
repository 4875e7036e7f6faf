//! Sessions that go on at another node than they began.

use std::time::Duration;

use rtc_protocol::{ClientMessage, ServerMessage};
use tokio::time::timeout;

use crate::rig::{Broker, PATIENCE, Peer, Process, id, room, token};

/// Nodes that know of each other.
async fn nodes<const N: usize>(broker: &Broker, more: &[&str]) -> [Process; N] {
    let nodes = std::array::from_fn(|_| Process::start_with(broker, more));
    // A node that nobody has heard of is asked by nobody; that is heard of at every beat.
    for node in &nodes {
        node.knows(N).await;
    }
    nodes
}

#[tokio::test]
async fn a_peer_that_comes_back_at_another_node_misses_nothing_and_nobody_hears_of_it() {
    let broker = Broker::start().await;
    let [one, two, three] = nodes(&broker, &[]).await;
    let (mut ann, _) = Peer::inside(one.address, 'a', "r").await;
    let (mut bob, _) = Peer::inside(two.address, 'b', "r").await;
    ann.sees_come(id('b')).await;
    let name = rtc_protocol::Name::new("ann").unwrap();
    ann.say(ClientMessage::Register { name }).await;
    ann.until(|message| matches!(message, ServerMessage::Ack {}).then_some(()))
        .await;
    let last = ann.last;
    drop(ann);
    for number in 0..20 {
        bob.signal("r", Some(id('a')), &number.to_string()).await;
    }
    let (mut ann, resumed) = Peer::greeted(three.address, token('a'), Some(last)).await;
    assert!(resumed);
    ann.last = last;
    for number in 20..40 {
        bob.signal("r", Some(id('a')), &number.to_string()).await;
    }
    let mut heard = Vec::new();
    for _ in 0..40 {
        heard.push(ann.hears(id('b')).await.parse::<u32>().unwrap());
    }
    heard.sort_unstable();
    assert_eq!(heard, (0..40).collect::<Vec<_>>());
    // It is in the room, and was all the time.
    ann.signal("r", None, "here").await;
    let came = bob.until(|message| match message {
        ServerMessage::Signal { .. } => Some(true),
        ServerMessage::PeerLeft { .. } | ServerMessage::PeerJoined { .. } => Some(false),
        _ => None,
    });
    assert!(came.await, "nobody came or went");
    // To be called by its name.
    let whom = rtc_protocol::Callee::Name(rtc_protocol::Name::new("ann").unwrap());
    bob.say(ClientMessage::Ring {
        whom,
        room: room("talk"),
    })
    .await;
    ann.until(|message| matches!(message, ServerMessage::Ring { .. }).then_some(()))
        .await;
}

#[tokio::test]
async fn a_node_that_drains_hands_its_sessions_on() {
    let broker = Broker::start().await;
    let [mut one, two] = nodes(&broker, &["--drain-deadline", "30"]).await;
    let (mut ann, _) = Peer::inside(one.address, 'a', "r").await;
    let (mut bob, _) = Peer::inside(two.address, 'b', "r").await;
    ann.sees_come(id('b')).await;
    one.terminate();
    ann.until(|message| matches!(message, ServerMessage::GoAway { .. }).then_some(()))
        .await;
    while ann.may_next().await.is_some() {}
    bob.signal("r", Some(id('a')), "on your way").await;
    let last = ann.last;
    let (mut ann, resumed) = Peer::greeted(two.address, token('a'), Some(last)).await;
    assert!(resumed);
    ann.last = last;
    assert_eq!(ann.hears(id('b')).await, "on your way");
    assert_eq!(one.ended().await, Some(0));
    ann.signal("r", Some(id('b')), "here").await;
    let came = bob.until(|message| match message {
        ServerMessage::Signal { .. } => Some(true),
        ServerMessage::PeerLeft { .. } | ServerMessage::PeerJoined { .. } => Some(false),
        _ => None,
    });
    assert!(came.await, "nobody came or went");
}

#[tokio::test]
async fn of_two_nodes_that_claim_one_session_at_once_one_has_it() {
    let broker = Broker::start().await;
    let [one, two, three] = nodes(&broker, &[]).await;
    let (ann, _) = Peer::inside(one.address, 'a', "r").await;
    let (mut bob, _) = Peer::inside(one.address, 'b', "r").await;
    let last = ann.last;
    drop(ann);
    let (first, second) = tokio::join!(
        Peer::greeted(two.address, token('a'), Some(last)),
        Peer::greeted(three.address, token('a'), Some(last)),
    );
    let (mut first, mut second) = (first.0, second.0);
    (first.last, second.last) = (last, last);
    let ended = async |peer: &mut Peer| while peer.may_next_of_any_number().await.is_some() {};
    let winner = tokio::select! {
        () = ended(&mut first) => &mut second,
        () = ended(&mut second) => &mut first,
    };
    // Whoever has it is in the room, or is let in.
    winner.anew = true;
    winner
        .say(ClientMessage::Join {
            room: room("r"),
            name: None,
            capacity: None,
        })
        .await;
    winner
        .until(|message| match message {
            ServerMessage::Joined { .. } => Some(()),
            ServerMessage::Error { .. } => Some(()),
            _ => None,
        })
        .await;
    // Where its session was not resumed, bob's server hears of its new seat later than it does.
    let heard = async {
        loop {
            bob.signal("r", Some(id('a')), "are you the one?").await;
            let hears = winner.hears(id('b'));
            if let Ok(heard) = timeout(Duration::from_millis(100), hears).await {
                break heard;
            }
        }
    };
    let heard = timeout(PATIENCE, heard).await.expect("nobody heard bob");
    assert_eq!(heard, "are you the one?");
}

#[tokio::test]
async fn the_administrator_sees_and_reaches_all_nodes() {
    let broker = Broker::start().await;
    let admin = ["--admin-token", "env:RTC_TEST_ADMIN"];
    let [mut one, two] = nodes(&broker, &admin).await;
    let (_ann, _) = Peer::inside(one.address, 'a', "at-one").await;
    let (mut bob, _) = Peer::inside(two.address, 'b', "at-two").await;
    let (_cyd, _) = Peer::inside(one.address, 'c', "at-two").await;
    bob.sees_come(id('c')).await;
    let answer = two.asks("GET", "/api/rooms", "").await;
    let names: Vec<&str> = answer["rooms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|room| room["room"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["at-one", "at-two"]);
    assert_eq!(answer["rooms"][1]["members"].as_array().unwrap().len(), 2);
    assert!(answer["partial"].is_null());
    let told = two.asks("POST", "/api/broadcast", "1").await;
    assert_eq!(told, serde_json::json!({ "told": 3 }));
    // One that does not answer.
    one.stop();
    let answer = two.asks("GET", "/api/rooms", "").await;
    assert_eq!(answer["partial"], true, "{answer}");
}
