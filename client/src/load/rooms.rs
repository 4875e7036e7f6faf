//! Rooms that fill, stay, talk a little, and are counted in the end: is everybody told of just the other one, and did each
//! message come once and in order? The peers of a room may be at different nodes.
//!
//! A task holds one room. It is small, as there may be ten thousand in a process: what joining needs is given back when both
//! are in, and all that is measured goes into one tally.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::idle::AT_A_TIME;
use super::order::{Came, Order};
use super::pacer::pace;
use super::peer::{Peer, Trouble, within};
use super::schedule::Schedule;
use super::speech::{Heard, Side, Stamp, What};
use super::tally::Tally;
use super::{Outcome, Run};

/// What the rooms share.
struct Floor {
    run: Run,
    tally: Mutex<Tally>,
    /// True when all has been said.
    over: watch::Receiver<bool>,
}

pub(super) async fn run(run: &Run) -> Result<Outcome, Trouble> {
    let mut looks = vec![run.look().await?];
    let start = Instant::now();
    let (end, over) = watch::channel(false);
    let floor = Arc::new(Floor {
        run: run.clone(),
        tally: Mutex::default(),
        over,
    });
    let (bells, mut rooms) = fill(&floor).await;
    // All are in, or have failed.
    looks.push(run.look().await?);
    talk(&floor, &bells).await;
    looks.push(run.look().await?);
    let _ = end.send(true);
    while rooms.join_next().await.is_some() {}
    let tally = std::mem::take(&mut *floor.tally());
    Ok(Outcome {
        tally,
        lasted: start.elapsed(),
        looks,
    })
}

/// Opens the rooms, and is back when nobody is on its way any more.
async fn fill(floor: &Arc<Floor>) -> (Vec<Arc<Bell>>, JoinSet<()>) {
    let plan = &floor.run.plan;
    let count = plan.rooms;
    let mut due = plan.ramp.map(|rate| {
        let all = Schedule::new(rate, Some(count.into()), None);
        pace(floor.run.begin(1.0 / rate), all)
    });
    let doors = Arc::new(Semaphore::new(AT_A_TIME));
    let mut bells = Vec::with_capacity(count as usize);
    let mut rooms = JoinSet::new();
    for number in 0..count {
        let at = match &mut due {
            Some(due) => due.recv().await,
            None => None,
        };
        let Ok(door) = Arc::clone(&doors).acquire_owned().await else {
            break;
        };
        let bell = Arc::new(Bell::default());
        bells.push(Arc::clone(&bell));
        let floor = Arc::clone(floor);
        let at = at.unwrap_or_else(Instant::now);
        rooms.spawn(async move {
            // Boxed: a handshake is ten times as large as what stays.
            let pair = Box::pin(Pair::open(&floor, number, at)).await;
            drop(door);
            if let Some(mut pair) = pair {
                bell.there.store(true, Ordering::Relaxed);
                pair.live(&floor, &bell).await;
            }
        });
    }
    let all = u32::try_from(AT_A_TIME).unwrap_or(u32::MAX);
    let _ = doors.acquire_many(all).await;
    (bells, rooms)
}

/// Lets each peer say something once in a time, all of them evenly spread, until the time is over.
async fn talk(floor: &Floor, bells: &[Arc<Bell>]) {
    let plan = &floor.run.plan;
    let duration = plan.duration.unwrap_or(Duration::ZERO);
    let end = Instant::now() + duration;
    #[allow(clippy::cast_precision_loss)]
    let rate = bells.len() as f64 * 2.0 / plan.every.as_secs_f64();
    if rate > 0.0 {
        let all = Schedule::new(rate, None, Some(duration));
        let mut due = pace(floor.run.begin(1.0 / rate), all);
        let mut sides = [Side::First, Side::Second].into_iter().cycle();
        let mut side = Side::Second;
        let mut next = 0;
        while let Some(at) = due.recv().await {
            if next == 0 {
                side = sides.next().unwrap_or(Side::First);
            }
            let bell = &bells[next];
            next = (next + 1) % bells.len();
            if !bell.there.load(Ordering::Relaxed) {
                continue;
            }
            // What is due late, as where this process was kept from running, is said one after the other, and counts from
            // when it was due.
            let rung = bell.ring(side, floor.run.micros(at));
            if timeout(plan.patience, rung).await.is_err() {
                floor
                    .tally()
                    .fail("a peer could not say what it should: the word before was not out yet");
                // It is not waited for again.
                bell.there.store(false, Ordering::Relaxed);
            }
        }
    }
    sleep_until(end.into()).await;
}

impl Floor {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, trouble: &Trouble) {
        self.run.live.failed(1);
        self.tally().fail(&trouble.to_string());
    }
}

/// Tells a room that one of its peers is to say something. One word waits at most.
#[derive(Debug, Default)]
struct Bell {
    /// Whether both are in the room.
    there: AtomicBool,
    /// When it is due, times four; and who, and whether it is at all.
    word: AtomicU64,
    rung: Notify,
    /// The word was taken, or nobody is there any more to take it.
    free: Notify,
}

impl Bell {
    /// Rings as soon as the word before was taken, unless the room has ended by then.
    async fn ring(&self, side: Side, due: u64) {
        while self.there.load(Ordering::Relaxed) && !self.put(side, due) {
            self.free.notified().await;
        }
    }

    /// Whether the word before was taken.
    fn put(&self, side: Side, due: u64) -> bool {
        let word = due << 2 | u64::from(side == Side::Second) << 1 | 1;
        let free = self
            .word
            .compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        self.rung.notify_one();
        free
    }

    /// Nobody is there any more.
    fn close(&self) {
        self.there.store(false, Ordering::Relaxed);
        self.free.notify_one();
    }

    fn take(&self) -> Option<(Side, u64)> {
        let word = self.word.swap(0, Ordering::Relaxed);
        let second = word & 2 != 0;
        let side = if second { Side::Second } else { Side::First };
        self.free.notify_one();
        (word & 1 != 0).then_some((side, word >> 2))
    }
}

/// The two of a room, and what they said to each other.
struct Pair {
    first: Peer,
    second: Peer,
    /// How much each has said.
    said: [u32; 2],
    /// How much of that the other has heard, each once.
    heard: [u32; 2],
    order: [Order; 2],
}

impl Pair {
    /// Both, in their room; or nobody, which is counted.
    async fn open(floor: &Floor, number: u32, due: Instant) -> Option<Box<Self>> {
        let run = &floor.run;
        floor.tally().rooms += 1;
        let room = run.room(&number.to_string());
        let join = async |side, due: Instant| {
            floor.tally().begun += 1;
            run.live.begun(1);
            floor.tally().own_delay.record(due, Instant::now());
            let peer = Peer::open(&run.door, &room, number.into(), side);
            let peer = within(run.plan.patience, "a place in a room", peer).await;
            match peer {
                Ok(peer) => {
                    floor.tally().whole.record(due, Instant::now());
                    run.live.done(1);
                    Some(peer)
                }
                Err(trouble) => {
                    floor.lost(&trouble);
                    None
                }
            }
        };
        let first = join(Side::First, due).await?;
        let second = join(Side::Second, Instant::now()).await?;
        let mut pair = Box::new(Self {
            first,
            second,
            said: [0; 2],
            heard: [0; 2],
            order: Default::default(),
        });
        // What is said to a room is for those who are in it by the speaker's own node, which may hear of a join later.
        match pair.settle(floor).await {
            Ok(()) => Some(pair),
            Err(trouble) => {
                floor.lost(&trouble);
                None
            }
        }
    }

    /// Until all is over and counted.
    async fn live(&mut self, floor: &Floor, bell: &Bell) {
        let mut over = floor.over.clone();
        let stayed = self.stay(floor, bell, &mut over).await;
        bell.close();
        let settled = match stayed {
            // Boxed, as most of the time it is not there.
            Ok(()) => Box::pin(self.settle(floor)).await,
            Err(trouble) => Err(trouble),
        };
        match settled {
            Ok(()) => {
                let exact = self.is_exact();
                let mut tally = floor.tally();
                tally.done += 2;
                tally.exact += u64::from(exact);
            }
            Err(trouble) => floor.lost(&trouble),
        }
    }

    async fn stay(
        &mut self,
        floor: &Floor,
        bell: &Bell,
        over: &mut watch::Receiver<bool>,
    ) -> Result<(), Trouble> {
        loop {
            tokio::select! {
                // What was to be said is said before what came is heard, and both before the end, however late all that is.
                biased;
                () = bell.rung.notified() => {
                    while let Some((side, due)) = bell.take() {
                        self.say(floor, side, due).await?;
                    }
                }
                heard = self.first.hear() => self.take(floor, Side::First, heard?)?,
                heard = self.second.hear() => self.take(floor, Side::Second, heard?)?,
                _ = over.changed() => return Ok(()),
            }
        }
    }

    async fn say(&mut self, floor: &Floor, side: Side, due: u64) -> Result<(), Trouble> {
        let run = &floor.run;
        floor
            .tally()
            .own_delay
            .record(run.time_of(due), Instant::now());
        let number = &mut self.said[side as usize];
        let stamp = Stamp {
            due,
            number: *number,
        };
        *number += 1;
        floor.tally().sent += 1;
        run.live.sent(1);
        let peer = match side {
            Side::First => &mut self.first,
            Side::Second => &mut self.second,
        };
        peer.say(What::Small, stamp).await
    }

    /// What came to one of them.
    fn take(&mut self, floor: &Floor, to: Side, heard: Heard) -> Result<(), Trouble> {
        match heard {
            Heard::Said(stamp) => {
                let from = 1 - to as usize;
                let came = self.order[from].take(stamp.number);
                let mut tally = floor.tally();
                tally.came(came);
                if came != Came::Again {
                    self.heard[from] += 1;
                    floor.run.live.heard(1);
                }
                tally
                    .message
                    .record(floor.run.time_of(stamp.due), Instant::now());
                Ok(())
            }
            Heard::Refused(why) => Err(Trouble::Refused(why)),
            _ => Ok(()),
        }
    }

    /// Waits for what is still on its way. Who or what does not come in time is missing, which the tally shows by itself.
    async fn settle(&mut self, floor: &Floor) -> Result<(), Trouble> {
        let all = async {
            while self.heard != self.said || !self.is_exact() {
                tokio::select! {
                    heard = self.first.hear() => self.take(floor, Side::First, heard?)?,
                    heard = self.second.hear() => self.take(floor, Side::Second, heard?)?,
                }
            }
            Ok(())
        };
        timeout(floor.run.plan.patience, all)
            .await
            .unwrap_or(Ok(()))
    }

    /// Whether each was told of just the other.
    fn is_exact(&self) -> bool {
        self.first.is_alone_with(&self.second) && self.second.is_alone_with(&self.first)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_word_waits_until_the_one_before_is_out_or_nobody_is_there() {
        let bell = Bell::default();
        bell.there.store(true, Ordering::Relaxed);
        bell.ring(Side::First, 1).await;
        let mut next = Box::pin(bell.ring(Side::Second, 2));
        assert!((&mut next).now_or_never().is_none(), "one waits");
        assert_eq!(bell.take(), Some((Side::First, 1)));
        next.await;
        let mut last = Box::pin(bell.ring(Side::First, 3));
        assert!((&mut last).now_or_never().is_none());
        bell.close();
        last.await;
        assert_eq!(bell.take(), Some((Side::Second, 2)));
        assert_eq!(bell.take(), None, "what nobody can say is no word");
    }

    #[test]
    fn a_bell_keeps_one_word_until_it_is_taken() {
        let bell = Bell::default();
        assert_eq!(bell.take(), None);
        assert!(bell.put(Side::Second, 0));
        assert!(!bell.put(Side::First, 7), "one waits");
        assert_eq!(bell.take(), Some((Side::Second, 0)));
        assert!(bell.put(Side::First, 1 << 50));
        assert_eq!(bell.take(), Some((Side::First, 1 << 50)));
        assert_eq!(bell.take(), None);
    }
}
