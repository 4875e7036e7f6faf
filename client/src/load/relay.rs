//! Small messages from one peer of each room to the other: as many as go through, or at a rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::order::Order;
use super::pacer::pace;
use super::peer::{Peer, Trouble, within};
use super::schedule::Schedule;
use super::speech::{Heard, Side, Stamp, What};
use super::tally::Tally;
use super::{Outcome, Run};

/// Messages of one room that are due and not yet sent; the rooms' common pacer waits when there are more.
const DUE: usize = 1024;

/// What a room does with its two peers.
struct Pair {
    from: Peer,
    to: Peer,
    order: Order,
    tally: Tally,
}

pub(super) async fn run(run: &Run) -> Result<Outcome, Trouble> {
    let rooms = (0..run.plan.rooms).map(|number| pair(run, number));
    let pairs: Result<Vec<Pair>, Trouble> = join_all(rooms).await.into_iter().collect();
    let pairs = pairs?;
    let before = run.look().await?;
    let start = Instant::now();
    let tally = match run.plan.rate {
        Some(rate) => paced(run, pairs, start, rate).await,
        None => saturated(run, pairs, start).await,
    };
    let lasted = start.elapsed();
    Ok(Outcome {
        tally,
        lasted,
        looks: vec![before, run.look().await?],
    })
}

async fn pair(run: &Run, number: u32) -> Result<Pair, Trouble> {
    let room = run.room(&number.to_string());
    let both = async {
        let turn = u64::from(number);
        let mut to = Peer::open(&run.door, &room, turn, Side::First).await?;
        let mut from = Peer::open(&run.door, &room, turn, Side::Second).await?;
        let called = from.call().await?;
        if to.announces() || called {
            to.until(|heard| *heard == Heard::Came).await?;
        }
        if called {
            from.until(|heard| *heard == Heard::Came).await?;
        }
        run.live.begun(1);
        Ok(Pair {
            from,
            to,
            order: Order::default(),
            tally: Tally {
                begun: 1,
                ..Tally::default()
            },
        })
    };
    within(run.plan.patience, "two peers in a room", both).await
}

/// In each room so many messages are on their way at any time.
async fn saturated(run: &Run, pairs: Vec<Pair>, start: Instant) -> Tally {
    let together = Arc::new(Barrier::new(pairs.len()));
    let mut rooms = JoinSet::new();
    for mut pair in pairs {
        let (run, together) = (run.clone(), Arc::clone(&together));
        rooms.spawn(async move {
            together.wait().await;
            let result = pair.saturate(&run, start).await;
            pair.finish(result)
        });
    }
    sum(rooms).await
}

/// Messages are due at a rate, in one room after the other.
async fn paced(run: &Run, pairs: Vec<Pair>, start: Instant, rate: f64) -> Tally {
    let mut rooms = JoinSet::new();
    let mut desks = Vec::with_capacity(pairs.len());
    for mut pair in pairs {
        let (desk, due) = mpsc::channel(DUE);
        desks.push(desk);
        let run = run.clone();
        rooms.spawn(async move {
            let result = pair.keep_pace(&run, due).await;
            pair.finish(result)
        });
    }
    let mut due = pace(start, Schedule::new(rate, None, run.plan.duration));
    let mut next = 0;
    while let Some(at) = due.recv().await {
        // A room that has failed takes no more; what was due there is counted as its failure.
        let _ = desks[next].send(at).await;
        next = (next + 1) % desks.len();
    }
    drop(desks);
    sum(rooms).await
}

async fn sum(mut rooms: JoinSet<Tally>) -> Tally {
    let mut all = Tally::default();
    while let Some(room) = rooms.join_next().await {
        if let Ok(room) = room {
            all.merge(&room);
        }
    }
    all
}

impl Pair {
    async fn saturate(&mut self, run: &Run, start: Instant) -> Result<(), Trouble> {
        let window = u64::from(run.plan.window);
        let most = run.plan.duration.unwrap_or(Duration::MAX);
        loop {
            let over = start.elapsed() >= most;
            if over && self.tally.heard == self.tally.sent {
                return Ok(());
            }
            if !over {
                let now = run.micros(Instant::now());
                while self.tally.sent - self.tally.heard < window {
                    let stamp = self.stamp(now);
                    self.from.feed(What::Small, stamp).await?;
                    self.tally.sent += 1;
                    run.live.sent(1);
                }
                self.from.flush().await?;
            }
            self.listen(run).await?;
        }
    }

    async fn keep_pace(
        &mut self,
        run: &Run,
        mut due: mpsc::Receiver<Instant>,
    ) -> Result<(), Trouble> {
        loop {
            tokio::select! {
                at = due.recv() => match at {
                    Some(at) => {
                        self.tally.own_delay.record(at, Instant::now());
                        let stamp = self.stamp(run.micros(at));
                        self.from.say(What::Small, stamp).await?;
                        self.tally.sent += 1;
                        run.live.sent(1);
                    }
                    None => break,
                },
                heard = self.to.hear() => self.take(run, heard?)?,
            }
        }
        while self.tally.heard < self.tally.sent {
            self.listen(run).await?;
        }
        Ok(())
    }

    /// Takes what comes, and what else is there.
    async fn listen(&mut self, run: &Run) -> Result<(), Trouble> {
        let Ok(heard) = timeout(run.plan.patience, self.to.hear()).await else {
            return Err(self.from.stalled("messages that were sent").await);
        };
        self.take(run, heard?)?;
        while self.tally.heard < self.tally.sent {
            let Some(heard) = self.to.hear_now().await? else {
                break;
            };
            self.take(run, heard)?;
        }
        Ok(())
    }

    /// Of the next message.
    fn stamp(&self, due: u64) -> Stamp {
        // A wrong number after 2^32 messages of one room is seen.
        let number = u32::try_from(self.tally.sent).unwrap_or(u32::MAX);
        Stamp { due, number }
    }

    fn take(&mut self, run: &Run, heard: Heard) -> Result<(), Trouble> {
        match heard {
            Heard::Said(stamp) => {
                self.tally.came(self.order.take(stamp.number));
                run.live.heard(1);
                let due = run.time_of(stamp.due);
                self.tally.message.record(due, Instant::now());
                Ok(())
            }
            Heard::Refused(why) => Err(Trouble::Refused(why)),
            _ => Ok(()),
        }
    }

    fn finish(mut self, result: Result<(), Trouble>) -> Tally {
        match result {
            Ok(()) => self.tally.done = 1,
            Err(trouble) => self.tally.fail(&trouble.to_string()),
        }
        self.tally
    }
}
