//! The one task between the hub, the links and the broker. It decides nothing: it brings what one says to the others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use rtc_protocol::RoomId;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::backplane::{Away, Backplane};
use super::links::Links;
use super::seats::{Answer, Claim, Request};
use super::words::NodeId;
use crate::hub::{Leaving, Wish};
use crate::switchboard::Switchboard;

/// Wishes of the hub that wait; more means that the broker hangs, and whoever wished is told so.
const WISHES: usize = 65_536;

/// Questions at the broker at once, beside claims that wait for it to have remembered.
const ASKED: usize = 512;

/// Of which renewals of rooms.
const RENEWED: usize = 64;

/// Claims at once, among them those that wait.
const CLAIMED: usize = 4_096;

/// How often words are looked at that may have to be said again.
const TICK: Duration = Duration::from_millis(100);

/// Between two attempts to reach a broker that is away.
const RETRY: Duration = Duration::from_millis(250);

/// Where the hub's wishes come in.
#[derive(Debug)]
pub(crate) struct Inbox(mpsc::Receiver<Wish>);

impl Inbox {
    pub(crate) fn new() -> (mpsc::Sender<Wish>, Self) {
        let (sender, receiver) = mpsc::channel(WISHES);
        (sender, Self(receiver))
    }
}

/// What came of a question.
enum Done {
    Claimed(u64, Box<Claim>, Result<Answer, Away>),
    Released(Leaving, Result<Answer, Away>),
    Renewed(RoomId, Instant, Result<Answer, Away>),
    Beat(Result<Answer, Away>),
    Asked(Result<Answer, Away>),
}

type Asked = FuturesUnordered<BoxFuture<'static, Done>>;

struct Driver {
    switchboard: Switchboard,
    plane: Arc<dyn Backplane>,
    me: NodeId,
    lease: Duration,
    links: Links,
    asked: Asked,
    /// Claims, which may have to wait for the broker.
    claimed: Asked,
    renewing: usize,
    /// Rooms whose seats are to be renewed next.
    due: VecDeque<RoomId>,
    beating: bool,
    away: bool,
    /// Since when the broker remembers.
    born: Option<u64>,
    next_beat: Instant,
    next_round: Instant,
}

/// Drives this node's part of the cluster until it is dropped.
pub(crate) async fn drive(
    switchboard: Switchboard,
    plane: Arc<dyn Backplane>,
    me: NodeId,
    lease: Duration,
    inbox: Inbox,
) {
    let now = Instant::now();
    let mut driver = Driver {
        switchboard,
        plane,
        me,
        lease,
        links: Links::new(me, lease),
        asked: Asked::new(),
        claimed: Asked::new(),
        renewing: 0,
        due: VecDeque::new(),
        beating: false,
        away: false,
        born: None,
        next_beat: now,
        next_round: now + lease / 3,
    };
    driver.run(inbox.0).await;
}

async fn collect(plane: Arc<dyn Backplane>) -> Result<Vec<Vec<u8>>, Away> {
    let found = plane.collect().await;
    if found.is_err() {
        sleep(RETRY).await;
    }
    found
}

async fn post(plane: Arc<dyn Backplane>, parcels: Vec<(NodeId, Vec<u8>)>) -> Result<(), Away> {
    plane.post(parcels).await
}

/// Returns when what is being brought has got there, or has not.
async fn posted(posting: &mut Option<BoxFuture<'static, Result<(), Away>>>) {
    match posting {
        Some(posting) => drop(posting.await),
        None => std::future::pending().await,
    }
}

impl Driver {
    async fn run(&mut self, mut wishes: mpsc::Receiver<Wish>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut collecting = Box::pin(collect(Arc::clone(&self.plane)));
        let mut posting: Option<BoxFuture<'static, Result<(), Away>>> = None;
        loop {
            if posting.is_none() {
                let parcels = self.links.parcels(Instant::now());
                if !parcels.is_empty() {
                    posting = Some(Box::pin(post(Arc::clone(&self.plane), parcels)));
                }
            }
            self.settle();
            self.renew();
            tokio::select! {
                wish = wishes.recv(), if self.has_room() => {
                    let Some(wish) = wish else { return };
                    self.wish(wish);
                    while self.has_room() {
                        let Ok(wish) = wishes.try_recv() else { break };
                        self.wish(wish);
                    }
                }
                found = &mut collecting => {
                    collecting = Box::pin(collect(Arc::clone(&self.plane)));
                    if let Ok(parcels) = found {
                        self.found(parcels);
                    }
                }
                () = posted(&mut posting) => {
                    // What did not get there is sent again for want of an answer.
                    posting = None;
                }
                Some(done) = self.asked.next(), if !self.asked.is_empty() => self.done(done),
                Some(done) = self.claimed.next(), if !self.claimed.is_empty() => self.done(done),
                _ = tick.tick() => {}
            }
            self.keep_time();
        }
    }

    fn has_room(&self) -> bool {
        self.asked.len() < ASKED && self.claimed.len() < CLAIMED
    }

    fn wish(&mut self, wish: Wish) {
        let plane = Arc::clone(&self.plane);
        match wish {
            Wish::Claim(number, claim) => {
                let patience = self.lease;
                self.claimed.push(Box::pin(async move {
                    let answer = claim_seat(&*plane, &claim, patience).await;
                    Done::Claimed(number, claim, answer)
                }));
            }
            Wish::Release(leaving) => {
                let request = Request::Release {
                    room: leaving.room.clone(),
                    peer: leaving.peer,
                    seat: leaving.seat,
                };
                self.asked.push(Box::pin(async move {
                    let answer = plane.ask(request).await;
                    Done::Released(leaving, answer)
                }));
            }
            Wish::Ask(request) => {
                self.asked.push(Box::pin(async move {
                    let answer = plane.ask(request).await;
                    Done::Asked(answer)
                }));
            }
            Wish::Sync(room) => {
                self.due.push_front(room);
            }
            Wish::Say(to, word, receipt) => {
                self.switchboard.metrics().cluster_words_sent.inc();
                self.links.say(Instant::now(), to, word, receipt);
            }
        }
    }

    fn found(&mut self, parcels: Vec<Vec<u8>>) {
        let now = Instant::now();
        for parcel in parcels {
            let Some((from, words)) = self.links.heard(now, &parcel) else {
                continue;
            };
            let metrics = self.switchboard.metrics();
            metrics.cluster_words_received.inc_by(words.len() as u64);
            self.switchboard.cluster(|hub, out| {
                for word in words {
                    hub.hear(now, from, word, out);
                }
            });
        }
    }

    fn settle(&mut self) {
        let settled = self.links.settled();
        if !settled.is_empty() {
            self.switchboard
                .cluster(|hub, out| hub.settled(settled, out));
        }
    }

    fn done(&mut self, done: Done) {
        let now = Instant::now();
        match done {
            Done::Claimed(number, claim, answer) => {
                let answer = answer.inspect_err(|error| self.failed(error)).ok();
                self.switchboard
                    .cluster(|hub, out| hub.claimed(now, number, &claim, answer, out));
            }
            Done::Released(leaving, answer) => match answer {
                Ok(Answer::Released { nodes }) => {
                    self.switchboard
                        .cluster(|hub, _| hub.released(leaving, nodes));
                }
                Ok(_) => {}
                // It runs out by itself.
                Err(error) => self.failed(&error),
            },
            Done::Renewed(room, asked, answer) => {
                self.renewing -= 1;
                match answer {
                    Ok(answer) => self
                        .switchboard
                        .cluster(|hub, out| hub.synced(now, asked, &room, answer, out)),
                    Err(error) => self.failed(&error),
                }
            }
            Done::Beat(answer) => {
                self.beating = false;
                self.beat(now, answer);
            }
            Done::Asked(Err(error)) => self.failed(&error),
            Done::Asked(Ok(_)) => {}
        }
    }

    fn failed(&self, error: &Away) {
        self.switchboard.metrics().cluster_questions_failed.inc();
        tracing::debug!("{error}");
    }

    fn beat(&mut self, now: Instant, answer: Result<Answer, Away>) {
        let metrics = self.switchboard.metrics().clone();
        match answer {
            Ok(Answer::Alive { nodes, born }) => {
                if std::mem::take(&mut self.away) {
                    tracing::info!("the broker is back");
                }
                metrics.cluster_broker_reached.set(1);
                metrics.cluster_nodes.set(nodes.len() as u64);
                self.next_beat = now + self.lease / 8;
                self.switchboard
                    .cluster(|hub, _| hub.alive(nodes.into_keys().collect()));
                if self.born.replace(born) != Some(born) {
                    // It may have forgotten what it knew, and gives no seats away until we have said what we hold.
                    self.next_round = now;
                }
            }
            Ok(other) => tracing::warn!("the broker answers {other:?}"),
            Err(error) => {
                metrics.cluster_questions_failed.inc();
                metrics.cluster_broker_reached.set(0);
                if !std::mem::replace(&mut self.away, true) {
                    tracing::warn!("{error}; rooms of this node alone go on, others wait for it");
                }
                self.born = None;
                self.next_beat = now + RETRY.min(self.lease / 8);
            }
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        if !self.beating && now >= self.next_beat {
            self.beating = true;
            let request = Request::Beat {
                node: self.me,
                lease: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
                peers: self.switchboard.counts().sessions as u64,
            };
            let plane = Arc::clone(&self.plane);
            self.asked.push(Box::pin(
                async move { Done::Beat(plane.ask(request).await) },
            ));
        }
        if now >= self.next_round {
            self.next_round = now + self.lease / 3;
            let waiting = self.links.waiting() as u64;
            self.switchboard
                .metrics()
                .cluster_words_waiting
                .set(waiting);
            self.due = self.switchboard.rooms_held().into();
        }
    }

    /// Renews the seats of the rooms that are due, a few at a time.
    fn renew(&mut self) {
        while self.renewing < RENEWED && !self.away {
            let Some(room) = self.due.pop_front() else {
                return;
            };
            let Some(sync) = self.switchboard.held(&room) else {
                continue;
            };
            self.renewing += 1;
            let plane = Arc::clone(&self.plane);
            let asked = Instant::now();
            self.asked.push(Box::pin(async move {
                let answer = plane.ask(Request::Sync(sync)).await;
                Done::Renewed(room, asked, answer)
            }));
        }
    }
}

/// Asks for a seat, and again where the broker wants to be waited for.
async fn claim_seat(
    plane: &dyn Backplane,
    claim: &Claim,
    patience: Duration,
) -> Result<Answer, Away> {
    let begun = Instant::now();
    loop {
        let answer = plane.ask(Request::Claim(claim.clone())).await?;
        let Answer::Wait { ms } = answer else {
            return Ok(answer);
        };
        let rest = Duration::from_millis(ms.max(10));
        if begun.elapsed() + rest > patience {
            return Ok(answer);
        }
        sleep(rest).await;
    }
}
