//! Machines whose clocks are hours off.

use std::process::Command;

use redis::cmd;
use rtc_protocol::ErrorCode;
use tokio::time::sleep;

use crate::rig::{Broker, LONG, Peer, Process, RULES, id, token};
use crate::talk::{hear_each_other, pair, settled, talk};

/// What `faketime` would have a program run with: only what the time of day is changes, and who sleeps, sleeps for as long.
/// (The program itself would stand between us and the node.)
fn off(hours: &str) -> [(&'static str, String); 3] {
    let wrapped = Command::new("faketime")
        .args(["-f", hours, "printenv", "LD_PRELOAD"])
        .output()
        .expect("faketime is needed: scripts/setup test installs it");
    let library = String::from_utf8(wrapped.stdout).unwrap();
    [
        ("LD_PRELOAD", library.trim().to_owned()),
        ("FAKETIME", hours.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

#[tokio::test]
async fn nodes_whose_clocks_are_hours_apart_are_one() {
    let broker = Broker::start_for(LONG).await;
    let early = Process::start_within(&broker, &off("-5h"));
    let mut late = Process::start_within(&broker, &off("+7h"));
    let right = Process::start(&broker);
    for node in [&early, &late, &right] {
        node.knows(3).await;
    }
    let mut pairs = [
        pair("one", (early.address, 'a'), (late.address, 'b')).await,
        pair("two", (right.address, 'c'), (early.address, 'd')).await,
    ];
    // A session that goes from one to the other.
    let (eve, _) = Peer::inside(late.address, 'e', "three").await;
    let last = eve.last;
    drop(eve);
    let (_eve, resumed) = Peer::greeted(early.address, token('e'), Some(last)).await;
    assert!(resumed);
    // Longer than any lease.
    talk(&mut pairs, sleep(LONG * 6 / 5)).await;
    for both in &mut pairs {
        assert_eq!(settled(both).await, 0);
        assert!(both.iter().all(|one| one.gone.is_empty()));
    }
    // Who dies is missed after one.
    let [[ann, _], _] = &mut pairs;
    late.kill();
    ann.peer.sees_go(id('b')).await;
}

/// Where the rules ask for the time.
const ASKED: &str = "local t = redis.call('TIME')\n";

/// What a broker's clock is set forth by, in seconds: libfaketime and Redis do not go together.
const SET: &str = "  t[1] = t[1] + (redis.call('GET', 'clock') or 0)\n";

#[tokio::test]
async fn a_brokers_clock_that_is_set_forth_and_back_costs_nobody_a_place() {
    assert!(RULES.contains(ASKED));
    let broker = Broker::start_for(LONG).await;
    broker
        .goes_by(&RULES.replace(ASKED, &[ASKED, SET].concat()))
        .await;
    let [one, two] = [Process::start(&broker), Process::start(&broker)];
    one.knows(2).await;
    two.knows(2).await;
    let mut pairs = [pair("across", (one.address, 'a'), (two.address, 'b')).await];
    let mut itself = broker.connection().await;
    let (mut eve, _) = Peer::greeted(one.address, token('e'), None).await;
    for seconds in [18_000, -18_000] {
        let refused = talk(&mut pairs, async {
            let mut set = cmd("SET");
            set.arg("clock").arg(seconds);
            set.exec_async(&mut itself).await.unwrap();
            let refused = eve.joins_in_the_end("across", None).await;
            sleep(LONG / 2).await;
            refused
        });
        assert_eq!(refused.await, Err(ErrorCode::RoomFull));
        hear_each_other(&mut pairs[0]).await;
    }
    // Time goes on there: who dies is missed.
    let [across] = &mut pairs;
    assert_eq!(settled(across).await, 0);
    assert!(across.iter().all(|one| one.gone.is_empty()));
    drop(two);
    across[0].peer.sees_go(id('b')).await;
}
