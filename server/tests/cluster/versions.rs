//! Nodes of other versions beside: one that says more than is known here, and one whose rules at the broker are others.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cmd;
use rtc_protocol::{Raw, ServerFrame, ServerMessage};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::rig::{Broker, LONG, Peer, Process, RULES, id, room};

/// Half of it is waited for by whoever wants a seat at a broker that has just begun.
const SEATED_MS: u64 = 4_000;

/// Far longer than the test takes.
const LEASE_MS: u64 = 600_000;

/// A node that somebody else wrote.
const OTHER: &str = "00000000000000aa";

/// What the library of this version is called.
pub(crate) fn numbered() -> &'static str {
    let name = RULES.lines().next().unwrap();
    name.strip_prefix("#!lua name=").unwrap()
}

/// Asks by the rules of a version, as its nodes do: again where the broker has remembered for too short a time.
async fn asks(broker: &mut MultiplexedConnection, rules: &str, of: &str, what: Value) -> Value {
    loop {
        let mut call = cmd("FCALL");
        call.arg(format!("{rules}_give")).arg(1);
        call.arg(format!("{rules}:{of}")).arg(what.to_string());
        let answer: String = call.query_async(broker).await.unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        if answer["is"] != "wait" {
            return answer;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn member(who: char) -> Value {
    json!({"peer": id(who), "name": "other", "role": "member", "muted": [], "hat": "green"})
}

fn claim(who: char) -> Value {
    json!({
        "verb": "claim", "node": OTHER, "turn": 1, "lease": SEATED_MS, "capacity": 2, "peer": id(who),
        "member": member(who).to_string(), "mood": 7,
    })
}

/// Has a seat of its peer renewed, for as long as the test takes.
fn renewed(who: char, seat: &Value) -> Value {
    let held = json!({"seat": seat, "turn": 1, "member": member(who).to_string(), "mood": 7});
    let who = id(who);
    json!({
        "verb": "sync", "node": OTHER, "lease": LEASE_MS, "capacity": 2, "seats": {who.as_str(): held},
    })
}

#[tokio::test]
async fn a_node_that_says_more_than_is_known_is_understood_as_far_as_it_can_be() {
    let broker = Broker::start_for(LONG).await;
    let node = Process::start(&broker);
    let (mut ann, _) = Peer::inside(node.address, 'a', "r").await;
    let mut itself = broker.connection().await;
    let rules = numbered();
    let beat =
        json!({"verb": "beat", "node": OTHER, "lease": LEASE_MS, "peers": 1, "colour": "red"});
    let alive = asks(&mut itself, rules, "nodes", beat).await;
    let nodes = alive["nodes"].as_object().unwrap();
    let known = nodes.keys().find(|node| *node != OTHER).unwrap().clone();
    // Its peer gets a seat beside ours, and its words come among others.
    let seated = asks(&mut itself, rules, "room:{r}", claim('b')).await;
    assert_eq!(seated["is"], "seated", "{seated}");
    let held = asks(
        &mut itself,
        rules,
        "room:{r}",
        renewed('b', &seated["seat"]),
    )
    .await;
    assert_eq!(held["is"], "synced", "{held}");
    assert_eq!(held["lost"], Value::Null, "{held}");
    let said = ServerFrame {
        seq: None,
        id: None,
        message: ServerMessage::Signal {
            room: room("r"),
            from: id('b'),
            signal: Raw::of(&json!({"said": "hello"})).unwrap(),
        },
    };
    let words = json!([
        {"t": "waltz", "room": "r", "steps": [1, 2, 3]},
        {"t": "joined", "room": "r", "seat": seated["seat"], "capacity": 2, "since": "noon",
         "member": member('b')},
        {"t": "left", "room": "r", "peer": id('a'), "seat": 1, "reason": "bored"},
        {"t": "deliver", "room": "r", "to": [id('a')], "line": said.to_json(), "loud": true},
    ]);
    let parcel = json!({"from": OTHER, "run": 1, "first": 1, "words": words, "weather": {}});
    let mut add = cmd("XADD");
    add.arg(format!("{rules}:inbox:{{{known}}}")).arg("*");
    add.arg("p").arg(parcel.to_string());
    add.exec_async(&mut itself).await.unwrap();
    ann.sees_come(id('b')).await;
    assert_eq!(ann.hears(id('b')).await, "hello");
    // What is said to its peer comes into its inbox, with a word that all of its four came.
    ann.signal("r", Some(id('b')), "welcome").await;
    let (mut from, mut heard, mut came) = (String::from("0"), Value::Null, None);
    while heard != json!([1, 4]) || came.is_none() {
        let mut read = cmd("XREAD");
        read.arg("BLOCK").arg(20_000).arg("STREAMS");
        read.arg(format!("{rules}:inbox:{{{OTHER}}}")).arg(&from);
        type Stream = Vec<(String, Vec<(String, [String; 2])>)>;
        let mut found: Stream = read.query_async(&mut itself).await.unwrap();
        for (number, [_, parcel]) in found.remove(0).1 {
            from = number;
            let parcel: Value = serde_json::from_str(&parcel).unwrap();
            if !parcel["heard"].is_null() {
                heard = parcel["heard"].clone();
            }
            let words = parcel["words"].as_array();
            let mut words = words.into_iter().flatten();
            let delivers = words.any(|word| word["t"] == "deliver");
            came = came.or(delivers.then(|| json!([parcel["run"], parcel["first"]])));
        }
    }
    // It says that this came, and ann is told so.
    let heard = json!([came.unwrap()[0], 1_000]);
    let parcel = json!({"from": OTHER, "run": 0, "first": 0, "heard": heard});
    let mut add = cmd("XADD");
    add.arg(format!("{rules}:inbox:{{{known}}}")).arg("*");
    add.arg("p").arg(parcel.to_string());
    add.exec_async(&mut itself).await.unwrap();
    ann.until(|message| matches!(message, ServerMessage::Ack {}).then_some(()))
        .await;
}

#[tokio::test]
async fn nodes_of_other_rules_at_the_same_broker_are_another_cluster() {
    let broker = Broker::start().await;
    let [one, two] = [Process::start(&broker), Process::start(&broker)];
    one.knows(2).await;
    let mut itself = broker.connection().await;
    // Their number is another one, and so are all of their keys.
    broker.goes_by(&RULES.replace(numbered(), "rtc_0")).await;
    let beat = json!({"verb": "beat", "node": OTHER, "lease": LEASE_MS, "peers": 1});
    let alive = asks(&mut itself, "rtc_0", "nodes", beat).await;
    assert_eq!(alive["nodes"], json!({OTHER: 1}), "it sees none of ours");
    let seated = asks(&mut itself, "rtc_0", "room:{r}", claim('o')).await;
    assert_eq!(seated["first"], true, "{seated}");
    let (mut ann, others) = Peer::inside(one.address, 'a', "r").await;
    assert_eq!(others, [], "and ours do not see its peers");
    let (mut bob, others) = Peer::inside(two.address, 'b', "r").await;
    assert_eq!(others, [id('a')]);
    ann.sees_come(id('b')).await;
    ann.signal("r", Some(id('b')), "hello").await;
    assert_eq!(bob.hears(id('a')).await, "hello");
    one.knows(2).await;
}
