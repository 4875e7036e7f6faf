//! Whole calls: two peers join, an offer, an answer, candidates each way, both leave.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::order::Order;
use super::pacer::pace;
use super::peer::{Peer, Trouble, within};
use super::schedule::Schedule;
use super::speech::{Heard, Side, Stamp, What};
use super::tally::Tally;
use super::{Outcome, Run};

/// Candidates of each peer.
const CANDIDATES: u64 = 10;

/// What each peer hears: a description and the candidates.
const EACH: u64 = 1 + CANDIDATES;

pub(super) async fn run(run: &Run) -> Result<Outcome, Trouble> {
    let before = run.look().await?;
    let start = Instant::now();
    let tally = Arc::new(Mutex::new(Tally::default()));
    match run.plan.rate {
        Some(rate) => open_loop(run, start, rate, &tally).await,
        None => closed_loop(run, start, &tally).await,
    }
    let lasted = start.elapsed();
    let looks = vec![before, run.look().await?];
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Outcome {
        tally,
        lasted,
        looks,
    })
}

/// Each of so many rooms begins its next call when the last one is over.
async fn closed_loop(run: &Run, start: Instant, tally: &Arc<Mutex<Tally>>) {
    let left = Arc::new(AtomicU64::new(run.plan.calls.unwrap_or(u64::MAX)));
    let mut rooms = JoinSet::new();
    for room in 0..run.plan.rooms {
        let (run, left, tally) = (run.clone(), Arc::clone(&left), Arc::clone(tally));
        rooms.spawn(async move {
            for number in 0_u64.. {
                let over = run
                    .plan
                    .duration
                    .is_some_and(|most| start.elapsed() >= most);
                let take = |left: u64| left.checked_sub(1);
                let none = || {
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                        .is_err()
                };
                if over || none() {
                    return;
                }
                // A name of its own for each call: nothing of the last one can be in its way.
                let name = run.room(&format!("{room}-{number}"));
                let turn = u64::from(room) + number;
                one(&run, &name, turn, Instant::now(), &tally).await;
            }
        });
    }
    while rooms.join_next().await.is_some() {}
}

/// Calls begin when they are due. Where all rooms are taken they begin later, and count from when they were due.
async fn open_loop(run: &Run, start: Instant, rate: f64, tally: &Arc<Mutex<Tally>>) {
    let mut due = pace(
        start,
        Schedule::new(rate, run.plan.calls, run.plan.duration),
    );
    let rooms = Arc::new(Semaphore::new(run.plan.rooms as usize));
    let mut calls = JoinSet::new();
    let mut number = 0_u64;
    while let Some(at) = due.recv().await {
        let Ok(room) = Arc::clone(&rooms).acquire_owned().await else {
            break;
        };
        let (run, tally) = (run.clone(), Arc::clone(tally));
        number += 1;
        calls.spawn(async move {
            let name = run.room(&number.to_string());
            one(&run, &name, number, at, &tally).await;
            drop(room);
        });
        while calls.try_join_next().is_some() {}
    }
    while calls.join_next().await.is_some() {}
}

/// One call, counted.
async fn one(run: &Run, room: &str, turn: u64, due: Instant, all: &Mutex<Tally>) {
    run.live.begun(1);
    let mut tally = Tally {
        begun: 1,
        ..Tally::default()
    };
    tally.own_delay.record(due, Instant::now());
    let call = call(run, room, turn, &mut tally);
    match within(run.plan.patience, "a whole call", call).await {
        Ok(()) => {
            tally.done = 1;
            run.live.done(1);
            tally.whole.record(due, Instant::now());
        }
        Err(trouble) => {
            run.live.failed(1);
            tally.fail(&trouble.to_string());
        }
    }
    all.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .merge(&tally);
}

async fn call(run: &Run, room: &str, turn: u64, tally: &mut Tally) -> Result<(), Trouble> {
    let mut caller = Peer::open(&run.door, room, turn, Side::First).await?;
    let mut callee = Peer::open(&run.door, room, turn, Side::Second).await?;
    if caller.announces() {
        caller.until(|heard| *heard == Heard::Came).await?;
    }
    describe(run, &mut caller, What::Offer, tally).await?;
    let (mut at_caller, mut at_callee) = (0, 0);
    let (mut from_callee, mut from_caller) = (Order::default(), Order::default());
    while at_caller < EACH || at_callee < EACH {
        tokio::select! {
            heard = caller.hear() => {
                at_caller += listen(run, heard?, &mut from_callee, tally)?;
            }
            heard = callee.hear() => {
                let news = listen(run, heard?, &mut from_caller, tally)?;
                if at_callee == 0 && news == 1 {
                    // The offer, as it was said first.
                    describe(run, &mut callee, What::Answer, tally).await?;
                }
                at_callee += news;
            }
        }
    }
    caller.leave().await?;
    callee.leave().await
}

/// Says a description and the candidates, each by itself, as a browser does when it finds them.
async fn describe(
    run: &Run,
    peer: &mut Peer,
    what: What,
    tally: &mut Tally,
) -> Result<(), Trouble> {
    let all = std::iter::once(what).chain((0..CANDIDATES).map(|_| What::Candidate));
    for (what, number) in all.zip(0..) {
        let due = run.micros(Instant::now());
        peer.say(what, Stamp { due, number }).await?;
        tally.sent += 1;
    }
    Ok(())
}

fn listen(run: &Run, heard: Heard, order: &mut Order, tally: &mut Tally) -> Result<u64, Trouble> {
    match heard {
        Heard::Said(stamp) => {
            tally.came(order.take(stamp.number));
            tally.message.record(run.time_of(stamp.due), Instant::now());
            Ok(1)
        }
        Heard::Refused(why) => Err(Trouble::Refused(why)),
        _ => Ok(0),
    }
}
