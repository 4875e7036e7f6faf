//! A node that does not reach the broker for a while, as nothing passes between them. (Who is told of whom how often:
//! `hub/tests/cluster/moves.rs`, where no machine is busy.)

use std::time::Duration;

use rtc_protocol::ServerMessage;
use tokio::time::sleep;

use crate::rig::{Broker, LEASE, LONG, PATIENCE, Peer, Process, id, token};
use crate::talk::{hear, hear_each_other, pair, said, settled, talk};

/// What is said within a node does not wait for the broker: had it to, so much would take far longer than our patience.
const MUCH: usize = 40;

/// For how long, in seconds: `RTC_CUT=1,10,60` is the whole of it.
fn cuts() -> Vec<Duration> {
    let wanted = std::env::var("RTC_CUT").unwrap_or_else(|_| "1,10".into());
    let seconds = wanted.split(',').map(|text| text.parse().unwrap());
    seconds.map(Duration::from_secs).collect()
}

#[tokio::test]
async fn a_node_that_is_cut_off_from_the_broker_is_whole_again_when_it_is_not() {
    // Each around a broker of its own, all at once.
    futures_util::future::join_all(cuts().into_iter().map(is_cut_off)).await;
}

async fn is_cut_off(time: Duration) {
    // Either far shorter than a lease or far longer, also on a busy machine.
    let outlives = time > LEASE * 3 / 2;
    let broker = Broker::start_for(if outlives { LEASE } else { LONG }).await;
    let way = broker.far(Duration::ZERO).await;
    let [one, two] = [Process::start(&broker), Process::start_by(&way, &broker)];
    one.knows(2).await;
    two.knows(2).await;
    let (near, far) = (one.address, two.address);
    let mut pairs = [
        pair("across", (near, 'a'), (far, 'b')).await,
        pair("near", (near, 'c'), (near, 'd')).await,
        pair("far", (far, 'e'), (far, 'f')).await,
    ];
    let taken = pair("taken", (near, 'g'), (far, 'h')).await;
    let [mut gus, mut hal] = taken.map(|one| one.peer);
    let (mut ivy, _) = Peer::greeted(near, token('i'), None).await;
    way.cut();
    let since = said(&pairs);
    talk(&mut pairs, async {
        let taken = async {
            if outlives {
                // The place of somebody at a node that is not heard of is free after a lease.
                gus.sees_go(id('h')).await;
                ivy.joins_in_the_end("taken", None).await.unwrap();
            }
        };
        tokio::join!(sleep(time), taken)
    })
    .await;
    let [across, within @ ..] = &mut pairs;
    // While it is cut, all is as ever within both.
    hear(within, &since[1..], MUCH).await;
    if outlives {
        across[0].misses().await;
    }
    way.mend();
    // Who had it is told. (Nobody looks after a peer that does not read for as long as the longest cut.)
    if outlives && time < PATIENCE {
        let kicked = |message: &_| matches!(message, ServerMessage::Kicked { .. }).then_some(());
        talk(&mut pairs, hal.until(kicked)).await;
    }
    let [across, within @ ..] = &mut pairs;
    hear_each_other(across).await;
    talk(std::slice::from_mut(across), sleep(LEASE / 2)).await;
    // They are both there in the end, whatever a busy machine has held up.
    hear_each_other(across).await;
    let lost = settled(across).await;
    for both in within {
        assert_eq!(settled(both).await, 0);
        assert!(both.iter().all(|one| one.gone.is_empty()), "{both:#?}");
    }
    if !outlives {
        assert_eq!(lost, 0, "it was only late");
        assert!(across.iter().all(|one| one.gone.is_empty()), "{across:#?}");
    }
}
