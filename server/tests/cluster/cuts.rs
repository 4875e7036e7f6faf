//! A node that does not reach the broker for a while, as nothing passes between them.

use std::time::Duration;

use rtc_protocol::ServerMessage;
use tokio::time::sleep;

use crate::rig::{Broker, LEASE, PATIENCE, Peer, Process, id, token};
use crate::talk::{hear_each_other, pair, settled, talk};

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
    let broker = Broker::start().await;
    let way = broker.far(Duration::ZERO).await;
    let [one, two] = [Process::start(&broker), Process::start_by(&way)];
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
    let outlives = time > LEASE * 3 / 2;
    talk(&mut pairs, async {
        way.cut();
        let taken = async {
            if outlives {
                // The place of somebody at a node that is not heard of is free after a lease.
                gus.sees_go(id('h')).await;
                ivy.join("taken", None).await.unwrap();
            }
        };
        tokio::join!(sleep(time), taken);
        way.mend();
        // Who had it is told. (Nobody looks after a peer that does not read for as long as the longest cut.)
        if outlives && time < PATIENCE {
            let kicked =
                |message: &_| matches!(message, ServerMessage::Kicked { .. }).then_some(());
            hal.until(kicked).await;
        }
    })
    .await;
    let [across, near, far] = &mut pairs;
    hear_each_other(across).await;
    talk(std::slice::from_mut(across), sleep(LEASE / 2)).await;
    let lost = settled(across).await;
    for within in [near, far] {
        assert_eq!(settled(within).await, 0);
        assert!(within.iter().all(|one| one.gone.is_empty()));
        assert!(within.iter().all(|one| one.silence() < time.max(LEASE) / 2));
    }
    let [ann, bob] = &*across;
    if outlives {
        // It was missed after a lease, and not twice.
        assert_eq!((&*ann.gone, &*bob.gone), (&[id('b')][..], &[][..]));
    } else if time < LEASE / 3 {
        assert_eq!(lost, 0, "it was only late");
        assert!(across.iter().all(|one| one.gone.is_empty()));
    }
}
