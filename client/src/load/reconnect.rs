//! Peers whose links are cut all at once, and how long it takes until all are back in their rooms.

use std::time::Instant;

use tokio::task::JoinSet;

use super::idle::gather;
use super::peer::{Trouble, within};
use super::tally::Tally;
use super::{Outcome, Run};

pub(super) async fn run(run: &Run) -> Result<Outcome, Trouble> {
    let mut tally = Tally::default();
    let peers = gather(run, &mut tally).await;
    // From here on it counts who is back and when, not who came.
    tally.done = 0;
    tally.whole = Default::default();
    let before = run.look().await?;
    let absent: Vec<_> = peers
        .into_iter()
        .map(|(room, peer)| (room, peer.cut()))
        .collect();
    let start = Instant::now();
    let mut returns = JoinSet::new();
    for (room, absent) in absent {
        let run = run.clone();
        returns.spawn(async move {
            let back = absent.back(&run.door, &room);
            let back = within(run.plan.patience, "the place after a cut", back).await;
            (back, Instant::now())
        });
    }
    // Held until the last one is back, so that none makes place for another.
    let mut there = Vec::with_capacity(returns.len());
    let mut last = start;
    while let Some(back) = returns.join_next().await {
        match back {
            Ok((Ok(peer), at)) => {
                tally.done += 1;
                tally.whole.record(start, at);
                last = last.max(at);
                there.push(peer);
            }
            Ok((Err(trouble), _)) => tally.fail(&trouble.to_string()),
            Err(_) => tally.fail("a task of the load itself ended"),
        }
    }
    Ok(Outcome {
        tally,
        lasted: last - start,
        looks: vec![before, run.look().await?],
    })
}
