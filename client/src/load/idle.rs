//! Peers that are in their rooms and say nothing but what the dialect asks of a living link.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::peer::{Peer, Trouble, within};
use super::speech::Side;
use super::tally::Tally;
use super::{Outcome, Run};

/// Peers that connect at a time: few enough for any server's queue of new connections.
pub(super) const AT_A_TIME: usize = 64;

pub(super) async fn run(run: &Run) -> Result<Outcome, Trouble> {
    let before = run.look().await?;
    let mut tally = Tally::default();
    let peers = gather(run, &mut tally).await;
    let start = Instant::now();
    let mut links = JoinSet::new();
    for (_, mut peer) in peers {
        links.spawn(async move {
            loop {
                if let Err(trouble) = peer.hear().await {
                    return trouble;
                }
            }
        });
    }
    let mut stay = std::pin::pin!(sleep(run.plan.duration.unwrap_or(Duration::ZERO)));
    loop {
        tokio::select! {
            () = &mut stay => break,
            Some(ended) = links.join_next() => {
                if let Ok(trouble) = ended {
                    tally.done -= 1;
                    tally.fail(&trouble.to_string());
                }
            }
        }
    }
    // Looked at while they all are still there.
    let lasted = start.elapsed();
    Ok(Outcome {
        tally,
        lasted,
        looks: vec![before, run.look().await?],
    })
}

/// The peers that got in, two in a room, and the rooms' names.
pub(super) async fn gather(run: &Run, tally: &mut Tally) -> Vec<(String, Peer)> {
    let rooms = stream::iter(0..run.plan.peers.div_ceil(2)).map(|number| async move {
        let room = run.room(&number.to_string());
        let mut both = Vec::with_capacity(2);
        let left = run.plan.peers - number * 2;
        for side in [Side::First, Side::Second].into_iter().take(left as usize) {
            let due = Instant::now();
            let peer = Peer::open(&run.door, &room, number.into(), side);
            let peer = within(run.plan.patience, "a place in a room", peer).await;
            both.push((room.clone(), due, Instant::now(), peer));
        }
        both
    });
    let mut rooms = std::pin::pin!(rooms.buffer_unordered(AT_A_TIME));
    let mut peers = Vec::new();
    while let Some(both) = rooms.next().await {
        for (room, due, done, peer) in both {
            tally.begun += 1;
            run.live.begun(1);
            match peer {
                Ok(peer) => {
                    tally.done += 1;
                    run.live.done(1);
                    tally.whole.record(due, done);
                    peers.push((room, peer));
                }
                Err(trouble) => {
                    run.live.failed(1);
                    tally.fail(&trouble.to_string());
                }
            }
        }
    }
    peers
}
