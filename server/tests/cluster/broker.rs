//! A broker that hangs, is far away, is killed, or has no memory left.

use std::time::Duration;

use redis::cmd;
use rtc_protocol::{ClientMessage, ErrorCode, ServerMessage};
use tokio::time::{Instant, sleep, timeout};

use crate::rig::{Broker, LONG, PATIENCE, Peer, Process, room, token};
use crate::talk::{Talker, hear, hear_each_other, pair, said, settled, talk};

/// For so long nodes wait for a broker's answer.
const WAITED_FOR: Duration = Duration::from_secs(2);

/// So much is said within a node while the broker is away: if any of it waited for the broker, all of it would take far
/// longer than our patience.
const MUCH: usize = 150;

async fn two_nodes(broker: &Broker) -> [Process; 2] {
    let both = [Process::start(broker), Process::start(broker)];
    for node in &both {
        node.knows(2).await;
    }
    both
}

/// What is said between these comes as if nothing were.
async fn talk_on(pairs: &mut [[Talker; 2]]) {
    let since = said(pairs);
    hear(pairs, &since, MUCH).await;
}

#[tokio::test]
async fn a_broker_that_hangs_for_a_second_is_waited_for() {
    let broker = Broker::start_for(LONG).await;
    let [one, two] = two_nodes(&broker).await;
    let mut pairs = [pair("across", (one.address, 'a'), (two.address, 'b')).await];
    let (mut cyd, _) = Peer::greeted(one.address, token('c'), None).await;
    let waited_for = talk(&mut pairs, async {
        loop {
            broker.stop();
            let hung = Instant::now();
            let joined = {
                let mut joined = std::pin::pin!(cyd.join("another", None));
                let early = tokio::select! {
                    early = &mut joined => Some(early),
                    () = sleep(WAITED_FOR / 2) => None,
                };
                broker.go_on();
                match early {
                    Some(early) => {
                        assert!(early.is_err(), "it asked nobody");
                        early
                    }
                    None => joined.await,
                }
            };
            // This machine may be so busy that the second was longer.
            match joined {
                Err(ErrorCode::TryLater) if hung.elapsed() >= WAITED_FOR => {}
                other => return other,
            }
        }
    });
    let joined = timeout(PATIENCE, waited_for).await;
    assert_eq!(joined.expect("it is never waited for"), Ok(Vec::new()));
    let [across] = &mut pairs;
    hear_each_other(across).await;
    assert_eq!(settled(across).await, 0);
    assert!(across.iter().all(|one| one.gone.is_empty()));
}

#[tokio::test]
async fn a_broker_that_hangs_for_longer_than_a_lease_costs_nobody_a_place() {
    let broker = Broker::start_for(LONG).await;
    let [one, two] = two_nodes(&broker).await;
    let mut pairs = [
        pair("across", (one.address, 'a'), (two.address, 'b')).await,
        pair("within", (one.address, 'c'), (one.address, 'd')).await,
    ];
    let (mut eve, _) = Peer::greeted(one.address, token('e'), None).await;
    let (mut fay, _) = Peer::greeted(two.address, token('f'), None).await;
    broker.stop();
    let hung = Instant::now();
    talk_on(&mut pairs[1..]).await;
    // Both rooms are full, and somebody wants to be in them all the time.
    let joined = talk(&mut pairs, async {
        let going_on = async {
            tokio::time::sleep_until(hung + LONG * 6 / 5).await;
            broker.go_on();
        };
        let eve = eve.joins_in_the_end("across", None);
        let fay = fay.joins_in_the_end("within", None);
        let (eve, fay, ()) = tokio::join!(eve, fay, going_on);
        // Everything has been renewed since.
        sleep(LONG / 2).await;
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
}

#[tokio::test]
async fn a_broker_far_away_makes_nothing_but_late() {
    let broker = Broker::start_for(LONG).await;
    let way = broker.far(Duration::from_millis(300)).await;
    let [one, two] = [Process::start(&broker), Process::start_by(&way, &broker)];
    one.knows(2).await;
    let mut pairs = [pair("across", (one.address, 'a'), (two.address, 'b')).await];
    // Everything is renewed meanwhile.
    talk(&mut pairs, sleep(LONG / 2)).await;
    let [across] = &mut pairs;
    assert_eq!(settled(across).await, 0);
    assert!(across.iter().all(|one| one.gone.is_empty()));
}

#[tokio::test]
async fn a_broker_that_is_killed_under_load_leaves_rooms_as_they_are() {
    let mut broker = Broker::start_for(LONG).await;
    let [one, two] = two_nodes(&broker).await;
    let mut pairs = [
        pair("across", (one.address, 'a'), (two.address, 'b')).await,
        pair("within", (one.address, 'c'), (one.address, 'd')).await,
    ];
    let (mut eve, _) = Peer::greeted(two.address, token('e'), None).await;
    talk(&mut pairs, async {
        sleep(Duration::from_millis(200)).await;
        broker.kill();
    })
    .await;
    talk_on(&mut pairs[1..]).await;
    let joined = talk(&mut pairs, async {
        broker.come_back_empty().await;
        let joined = eve.joins_in_the_end("within", None).await;
        // Everything has been renewed since.
        sleep(LONG / 2).await;
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
}

#[tokio::test]
async fn a_broker_without_memory_lets_nobody_in_and_all_others_go_on() {
    let broker = Broker::start_for(LONG).await;
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
        let join = ClientMessage::Join {
            room: room("another"),
            name: None,
            capacity: None,
        };
        let asked = Instant::now();
        eve.say(join).await;
        let refused = eve.until(|message| match message {
            ServerMessage::Error { code, message } => Some((*code, message.clone())),
            ServerMessage::Joined { .. } => panic!("there was memory for it"),
            _ => None,
        });
        // It is told at once: not as one who waits for a broker that has just begun, for up to a lease.
        let (code, message) = timeout(LONG, refused).await.expect("it waits");
        println!("refused after {:?}", asked.elapsed());
        assert_eq!(code, ErrorCode::TryLater);
        assert!(message.contains("another"), "{message}");
        // All would have run out by then.
        sleep(LONG * 6 / 5).await;
        let mut free = cmd("DEL");
        free.arg("everything else");
        free.exec_async(&mut itself).await.unwrap();
        let fay = fay.joins_in_the_end("across", None).await;
        let eve = eve.joins_in_the_end("another", None).await;
        sleep(LONG / 2).await;
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
