//! Very many who want to be in one room of three real nodes at once. `RTC_CROWD=15000` makes it as many, as far as descriptors
//! go; a hundred thousand are in one process of the library's own tests.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::iter;
use rtc_protocol::{ClientMessage, ErrorCode, ServerMessage, Token};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::rig::{Broker, LONG, PATIENCE, Peer, Process, room};

const CAPACITY: u16 = 40;

/// Who say hello at once, before any of them joins.
const GREETED: usize = 64;

fn crowd() -> usize {
    let wanted = std::env::var("RTC_CROWD").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(900)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_crowd_at_three_nodes_exactly_as_many_get_in_as_fit() {
    let broker = Broker::start_for(LONG).await;
    let nodes: [Process; 3] = std::array::from_fn(|_| Process::start(&broker));
    let crowd = crowd();
    let peers = iter(0..crowd).map(|number| {
        let address = nodes[number % nodes.len()].address;
        let mut random = [0; 32];
        random[..8].copy_from_slice(&number.to_be_bytes());
        async move {
            Peer::greeted(address, Token::from_random(random), None)
                .await
                .0
        }
    });
    let peers: Vec<Peer> = peers.buffer_unordered(GREETED).collect().await;
    let all = std::sync::Arc::new(Barrier::new(crowd));
    let mut joining = JoinSet::new();
    for mut peer in peers {
        let all = all.clone();
        joining.spawn(async move {
            all.wait().await;
            let joined = peer.joins_in_the_end("everybody", Some(CAPACITY)).await;
            (peer, joined)
        });
    }
    let joined = joining.join_all().await;
    let (mut inside, mut outside): (Vec<_>, Vec<_>) =
        joined.into_iter().partition(|(_, joined)| joined.is_ok());
    assert_eq!(inside.len(), usize::from(CAPACITY));
    let refused = outside
        .iter()
        .filter_map(|(_, joined)| joined.as_ref().err());
    assert!(refused.into_iter().all(|code| *code == ErrorCode::RoomFull));
    // Who is in is so until it goes; then there is room for one, wherever it is.
    let room = room("everybody");
    let (mut first, _) = inside.swap_remove(0);
    first.say(ClientMessage::Leave { room }).await;
    let (last, _) = outside.last_mut().unwrap();
    let come = async {
        loop {
            match last.joins_in_the_end("everybody", None).await {
                // It has not left yet.
                Err(ErrorCode::RoomFull) => sleep(Duration::from_millis(20)).await,
                other => return other,
            }
        }
    };
    let members = timeout(PATIENCE, come).await.expect("there is no room");
    // Whoever went may still be among them, until its node's word of it has come.
    let mut others: BTreeSet<_> = members.unwrap().into_iter().collect();
    while others.len() >= usize::from(CAPACITY) {
        let gone = last.until(|message| match message {
            ServerMessage::PeerLeft { peer, .. } => Some(*peer),
            ServerMessage::PeerJoined { .. } => panic!("there was no more room: {message:?}"),
            _ => None,
        });
        others.remove(&gone.await);
    }
    assert_eq!(others.len(), usize::from(CAPACITY) - 1);
}
