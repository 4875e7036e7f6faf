//! A broker that hangs, is far away, is killed, or has no memory left.

use std::time::Duration;

use redis::cmd;
use rtc_protocol::{ClientMessage, ErrorCode, ServerMessage};
use tokio::time::{Instant, sleep};

use crate::rig::{Broker, LEASE, Peer, Process, room, token};
use crate::talk::{hear_each_other, joins_in_the_end, pair, settled, talk};

/// What is said within a node comes as if nothing were: a busy machine's moment.
const MOMENT: Duration = Duration::from_secs(2);

async fn two_nodes(broker: &Broker) -> [Process; 2] {
    let both = [Process::start(broker), Process::start(broker)];
    for node in &both {
        node.knows(2).await;
    }
    both
}

#[tokio::test]
async fn a_broker_that_hangs_for_a_second_is_waited_for() {
    let broker = Broker::start().await;
    let [one, two] = two_nodes(&broker).await;
    let mut pairs = [pair("across", (one.address, 'a'), (two.address, 'b')).await];
    let (mut cyd, _) = Peer::greeted(one.address, token('c'), None).await;
    let joined = talk(&mut pairs, async {
        broker.stop();
        let going_on = async {
            sleep(Duration::from_secs(1)).await;
            broker.go_on();
        };
        tokio::join!(going_on, cyd.join("another", None)).1
    });
    assert_eq!(joined.await, Ok(Vec::new()));
    let [across] = &mut pairs;
    hear_each_other(across).await;
    assert_eq!(settled(across).await, 0);
    assert!(across.iter().all(|one| one.gone.is_empty()));
}

#[tokio::test]
async fn a_broker_that_hangs_for_longer_than_a_lease_costs_nobody_a_place() {
    let broker = Broker::start().await;
    let [one, two] = two_nodes(&broker).await;
    let mut pairs = [
        pair("across", (one.address, 'a'), (two.address, 'b')).await,
        pair("within", (one.address, 'c'), (one.address, 'd')).await,
    ];
    let (mut eve, _) = Peer::greeted(one.address, token('e'), None).await;
    let (mut fay, _) = Peer::greeted(two.address, token('f'), None).await;
    // Both rooms are full, and somebody wants to be in them all the time.
    let joined = talk(&mut pairs, async {
        broker.stop();
        let going_on = async {
            sleep(LEASE * 3 / 2).await;
            broker.go_on();
        };
        let eve = joins_in_the_end(&mut eve, "across", None);
        let fay = joins_in_the_end(&mut fay, "within", None);
        let (eve, fay, ()) = tokio::join!(eve, fay, going_on);
        // Everything has been renewed since.
        sleep(LEASE / 2).await;
        (eve, fay)
    });
    let full = Err(ErrorCode::RoomFull);
    assert_eq!(joined.await, (full.clone(), full));
    let [across, within] = &mut pairs;
    hear_each_other(across).await;
    settled(across).await;
    assert_eq!(settled(within).await, 0);
    for one in across.iter().chain(within.iter()) {
        assert_eq!(one.gone, [], "{one:#?}");
    }
    assert!(within.iter().all(|one| one.silence() < MOMENT));
}

#[tokio::test]
async fn a_broker_far_away_makes_nothing_but_late() {
    let broker = Broker::start().await;
    let way = broker.far(Duration::from_millis(300)).await;
    let [one, two] = [Process::start(&broker), Process::start_by(&way)];
    one.knows(2).await;
    let mut pairs = [pair("across", (one.address, 'a'), (two.address, 'b')).await];
    talk(&mut pairs, sleep(LEASE)).await;
    let [across] = &mut pairs;
    assert_eq!(settled(across).await, 0);
    assert!(across.iter().all(|one| one.gone.is_empty()));
}

#[tokio::test]
async fn a_broker_that_is_killed_under_load_leaves_rooms_as_they_are() {
    let mut broker = Broker::start().await;
    let [one, two] = two_nodes(&broker).await;
    let mut pairs = [
        pair("across", (one.address, 'a'), (two.address, 'b')).await,
        pair("within", (one.address, 'c'), (one.address, 'd')).await,
    ];
    let (mut eve, _) = Peer::greeted(two.address, token('e'), None).await;
    let joined = talk(&mut pairs, async {
        broker.kill();
        sleep(Duration::from_secs(1)).await;
        broker.come_back_empty().await;
        let joined = joins_in_the_end(&mut eve, "within", None).await;
        sleep(LEASE).await;
        joined
    });
    assert_eq!(joined.await, Err(ErrorCode::RoomFull));
    let [across, within] = &mut pairs;
    hear_each_other(across).await;
    settled(across).await;
    assert_eq!(settled(within).await, 0);
    for one in across.iter().chain(within.iter()) {
        assert_eq!(one.gone, [], "{one:#?}");
    }
    assert!(within.iter().all(|one| one.silence() < MOMENT));
}

#[tokio::test]
async fn a_broker_without_memory_lets_nobody_in_and_all_others_go_on() {
    let broker = Broker::start().await;
    let mut itself = broker.connection().await;
    for (what, value) in [("maxmemory", "64mb"), ("maxmemory-policy", "noeviction")] {
        let mut set = cmd("CONFIG");
        set.arg("SET").arg(what).arg(value);
        set.exec_async(&mut itself).await.unwrap();
    }
    let [one, two] = two_nodes(&broker).await;
    let mut pairs = [
        pair("across", (one.address, 'a'), (two.address, 'b')).await,
        pair("within", (one.address, 'c'), (one.address, 'd')).await,
    ];
    let (mut eve, _) = Peer::greeted(one.address, token('e'), None).await;
    let (mut fay, _) = Peer::greeted(two.address, token('f'), None).await;
    let joined = talk(&mut pairs, async {
        let mut fill = cmd("SETRANGE");
        fill.arg("everything else").arg(64 << 20).arg("x");
        fill.exec_async(&mut itself).await.unwrap();
        let begun = Instant::now();
        let join = ClientMessage::Join {
            room: room("another"),
            name: None,
            capacity: None,
        };
        eve.say(join).await;
        let refused = eve.until(|message| match message {
            ServerMessage::Error { code, message } => Some((*code, message.clone())),
            ServerMessage::Joined { .. } => panic!("there was memory for it"),
            _ => None,
        });
        let (code, message) = refused.await;
        assert_eq!(code, ErrorCode::TryLater);
        assert!(message.contains("another"), "{message}");
        assert!(begun.elapsed() < MOMENT, "it is told at once");
        // All would have run out by then.
        sleep(LEASE * 3 / 2).await;
        let mut free = cmd("DEL");
        free.arg("everything else");
        free.exec_async(&mut itself).await.unwrap();
        let fay = joins_in_the_end(&mut fay, "across", None).await;
        let eve = joins_in_the_end(&mut eve, "another", None).await;
        sleep(LEASE / 2).await;
        (eve, fay)
    });
    let (eve, fay) = joined.await;
    assert_eq!((eve, fay), (Ok(Vec::new()), Err(ErrorCode::RoomFull)));
    let [across, within] = &mut pairs;
    hear_each_other(across).await;
    assert_eq!(settled(across).await, 0);
    assert_eq!(settled(within).await, 0);
    for one in across.iter().chain(within.iter()) {
        assert_eq!(one.gone, [], "{one:#?}");
    }
}
