//! The one task between the hub, the links and the broker. It decides nothing: it brings what one says to the others.
//!
//! Where a cluster has several regions, there is one of it for each region's broker, with links and queues of its own: a node
//! is a member everywhere, and a region that hangs holds up nothing but what is for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use rtc_protocol::{CallId, PeerId};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};

use super::backplane::{Away, Backplane};
use super::holdings::Holdings;
use super::links::Links;
use super::reach::{Deaf, Reach};
use super::regions::{Region, Regions};
use super::rota::{Due, Rota};
use super::seats::{Answer, Claim, Request};
use super::wishes::Inbox;
use super::words::NodeId;
use crate::hub::{Leaving, Wish};
use crate::switchboard::Switchboard;

/// Questions at the broker at once, beside claims that wait for it to have remembered.
const ASKED: usize = 512;

/// Of which renewals.
const RENEWED: usize = 256;

/// Claims at once, among them those that wait.
const CLAIMED: usize = 4_096;

/// Claims that wait for those to be answered, so that all else goes on; what is over it is refused.
const CROWD: usize = 65_536;

/// How often words are looked at that may have to be said again.
const TICK: Duration = Duration::from_millis(100);

/// Between two attempts to reach a broker that is away.
const RETRY: Duration = Duration::from_millis(250);

/// What came of a question.
enum Done {
    Claimed(u64, Box<Claim>, Result<Answer, Away>),
    Released(Leaving, Result<Answer, Away>),
    Renewed(Due, Instant, Result<Answer, Away>),
    Named(u64, Result<Answer, Away>),
    Located(CallId, Result<Answer, Away>),
    Turned(PeerId, Result<Answer, Away>),
    Beat(Result<Answer, Away>),
    Asked(Request, Result<Answer, Away>),
}

type Asked = FuturesUnordered<BoxFuture<'static, Done>>;

/// What a node needs to take part in what one region's broker holds together.
pub(super) struct Part {
    pub(super) region: Region,
    pub(super) plane: Arc<dyn Backplane>,
    pub(super) inbox: Inbox,
    /// Set by the part of the node's own region, and heeded by the others.
    pub(super) deaf: Deaf,
    pub(super) holdings: Holdings,
}

struct Driver {
    switchboard: Switchboard,
    /// Whose broker this is.
    region: Region,
    regions: Regions,
    plane: Arc<dyn Backplane>,
    me: NodeId,
    lease: Duration,
    links: Links,
    asked: Asked,
    /// Claims, which may have to wait for the broker.
    claimed: Asked,
    /// Further ones.
    crowd: VecDeque<Wish>,
    renewing: usize,
    rota: Rota,
    /// When all was renewed at once for the last time, as something had been forgotten.
    prompted: Option<Instant>,
    beating: bool,
    reach: Reach,
    deaf: Deaf,
    holdings: Holdings,
    /// The others have been told that this node drains, so that nothing is held at it.
    hushed: bool,
    /// Since when the broker remembers.
    born: Option<u64>,
    next_beat: Instant,
    /// Words that waited when they were last counted.
    waiting: u64,
    /// It is told that this region's broker is the own region's, too.
    told_shared: bool,
}

/// Drives this node's part of the cluster until it is dropped.
pub(crate) async fn drive(
    switchboard: Switchboard,
    part: Part,
    regions: Regions,
    me: NodeId,
    lease: Duration,
) {
    let now = Instant::now();
    let mut driver = Driver {
        switchboard,
        region: part.region,
        regions,
        plane: part.plane,
        me,
        lease,
        links: Links::new(me, lease),
        asked: Asked::new(),
        claimed: Asked::new(),
        crowd: VecDeque::new(),
        renewing: 0,
        rota: Rota::new(now, lease),
        prompted: None,
        beating: false,
        reach: Reach::new(now, lease),
        deaf: part.deaf,
        holdings: part.holdings,
        hushed: false,
        born: None,
        next_beat: now,
        waiting: 0,
        told_shared: false,
    };
    driver.run(part.inbox).await;
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

/// Returns at that time, and never where there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Returns when what is being brought has got there, or has not.
async fn posted(posting: &mut Option<BoxFuture<'static, Result<(), Away>>>) {
    match posting {
        Some(posting) => drop(posting.await),
        None => std::future::pending().await,
    }
}

impl Driver {
    async fn run(&mut self, mut wishes: Inbox) {
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
            self.admit();
            self.renew();
            self.count_waiting();
            let due = self.links.next().filter(|_| posting.is_none());
            tokio::select! {
                wish = wishes.recv(), if self.has_room() => {
                    let Some(wish) = wish else { return };
                    self.wish(wish);
                    while self.has_room() {
                        let Some(wish) = wishes.try_recv() else { break };
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
                () = at(due) => {}
                _ = tick.tick() => {}
            }
            self.keep_time();
        }
    }

    fn count_waiting(&mut self) {
        let waiting = self.links.waiting() as u64;
        let metrics = self.switchboard.metrics();
        let before = std::mem::replace(&mut self.waiting, waiting);
        metrics.cluster_words_waiting.change(before, waiting);
        let here = &metrics.cluster_region_words_waiting;
        here.set(self.region.index(), waiting);
    }

    fn has_room(&self) -> bool {
        self.asked.len() < ASKED
    }

    /// Asks for those that have waited for longest.
    fn admit(&mut self) {
        while self.claimed.len() < CLAIMED {
            let Some(wish) = self.crowd.pop_front() else {
                return;
            };
            self.wish(wish);
        }
    }

    fn wait(&mut self, wish: Wish) {
        if self.crowd.len() < CROWD {
            return self.crowd.push_back(wish);
        }
        self.refuse(wish);
    }

    fn refuse(&self, wish: Wish) {
        let now = Instant::now();
        self.switchboard
            .cluster(|hub, out| hub.refused(now, wish, out));
    }

    fn wish(&mut self, wish: Wish) {
        let plane = Arc::clone(&self.plane);
        match wish {
            // Nobody there would be heard by who is let in now.
            Wish::Claim(..) | Wish::Name(..) if self.is_deaf() => self.refuse(wish),
            Wish::Claim(..) | Wish::Name(..) if self.claimed.len() >= CLAIMED => self.wait(wish),
            Wish::Claim(number, claim) => {
                let patience = self.lease;
                self.claimed.push(Box::pin(async move {
                    let request = Request::Claim((*claim).clone());
                    let answer = ask_until(&*plane, &request, patience).await;
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
                    let answer = plane.ask(request.clone()).await;
                    Done::Asked(request, answer)
                }));
            }
            Wish::Name(number, request) => {
                let patience = self.lease;
                self.claimed.push(Box::pin(async move {
                    Done::Named(number, ask_until(&*plane, &request, patience).await)
                }));
            }
            // Those who are asked instead need not wait for a region that is known to be away.
            Wish::Locate(call, _) if self.reach.is_away() && self.is_far() => {
                let now = Instant::now();
                self.switchboard
                    .cluster(|hub, out| hub.located(now, &call, None, out));
            }
            Wish::Locate(call, request) => {
                self.asked.push(Box::pin(async move {
                    Done::Located(call, plane.ask(request).await)
                }));
            }
            Wish::Turn(peer) => {
                let request = Request::Turn {
                    peer,
                    node: self.me,
                };
                self.asked.push(Box::pin(async move {
                    Done::Turned(peer, plane.ask(request).await)
                }));
            }
            Wish::Sync(room) => self.rota.changes(room),
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
            if self.is_far() {
                // What is said to this node is said by its own region's broker, and would be heard twice.
                self.links.unheard(from);
                self.tell_shared(from);
                continue;
            }
            let metrics = self.switchboard.metrics();
            metrics.cluster_words_received.inc_by(words.len() as u64);
            self.switchboard.cluster(|hub, out| {
                for word in words {
                    hub.hear(now, from, word, out);
                }
            });
        }
    }

    /// Other regions' brokers bring acknowledgements and no words, unless they are this one's own by another address.
    fn tell_shared(&mut self, from: NodeId) {
        if std::mem::replace(&mut self.told_shared, true) {
            return;
        }
        let name = |region| self.regions.name(region).unwrap_or_default();
        let (own, region) = (name(self.regions.own()), name(self.region));
        tracing::error!(
            "node {from} says something to this server, of region {own}, by the broker of region {region}: either both have one broker, by two addresses (give each region one of its own), or that node does not know of {own} (--regions is the same at every server); it is not heard. Then start all servers anew"
        );
    }

    fn settle(&mut self) {
        let settled = self.links.settled(Instant::now());
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
            Done::Renewed(due, asked, answer) => {
                self.renewing -= 1;
                match answer {
                    Ok(answer) => self.renewed(now, due, asked, answer),
                    // The next round, of which a lease has three, asks again. A round that waited for this one would keep
                    // others from being renewed, whose shard is there.
                    Err(error) => self.failed(&error),
                }
            }
            Done::Named(number, answer) => {
                let answer = answer.inspect_err(|error| self.failed(error)).ok();
                self.switchboard
                    .cluster(|hub, out| hub.named(now, number, answer, out));
            }
            Done::Located(call, answer) => {
                let answer = answer.inspect_err(|error| self.failed(error)).ok();
                self.switchboard
                    .cluster(|hub, out| hub.located(now, &call, answer, out));
            }
            Done::Turned(peer, answer) => match answer {
                Ok(answer) => self
                    .switchboard
                    .cluster(|hub, _| hub.turned(now, peer, &answer)),
                // It is asked for again when the broker has another one's seat once more.
                Err(error) => self.failed(&error),
            },
            Done::Beat(answer) => {
                self.beating = false;
                self.beat(now, answer);
            }
            Done::Asked(request, Err(error)) => {
                self.failed(&error);
                self.switchboard
                    .cluster(|hub, _| hub.not_asked(now, request));
            }
            Done::Asked(_, Ok(_)) => {}
        }
    }

    fn renewed(&mut self, now: Instant, due: Due, asked: Instant, answer: Answer) {
        let forgot = matches!(answer, Answer::Synced { settled: false, .. });
        self.switchboard.cluster(|hub, out| match &due {
            Due::Room(room) => hub.synced(now, asked, room, answer, out),
            Due::Name(name) => hub.renewed(now, name, &answer, out),
        });
        if forgot && self.prompted.is_none_or(|at| now >= at + self.lease) {
            // Part of the broker forgot, and gives no seats away until we have said what we hold.
            self.say_all(now);
        }
    }

    /// The broker is told without delay what is held.
    fn say_all(&mut self, now: Instant) {
        self.prompted = Some(now);
        let held = self.held(|_| true);
        self.rota.all_at_once(now, held);
    }

    /// What is held and has its home here, of that which is wanted.
    fn held(&self, wanted: impl Fn(&str) -> bool) -> Vec<Due> {
        let home = |text: &str| self.regions.home(text) == self.region && wanted(text);
        self.switchboard.cluster(|hub, _| {
            let rooms = hub.rooms_held().filter(|room| home(room.as_str()));
            let names = hub.names_held().filter(|name| home(name.as_str()));
            let rooms = rooms.cloned().map(Due::Room);
            rooms.chain(names.cloned().map(Due::Name)).collect()
        })
    }

    fn failed(&self, error: &Away) {
        self.switchboard.metrics().cluster_questions_failed.inc();
        tracing::debug!("{error}");
    }

    fn beat(&mut self, now: Instant, answer: Result<Answer, Away>) {
        let metrics = self.switchboard.metrics().clone();
        match answer {
            Ok(Answer::Alive { nodes, born, held }) => {
                if self.reach.answers(now) {
                    tracing::info!(
                        region = self.regions.name(self.region),
                        "the broker is back"
                    );
                }
                let region = self.region;
                let of_it = |node: &NodeId| self.regions.of(*node) == Some(region);
                let nodes: Vec<NodeId> = nodes.into_keys().filter(of_it).collect();
                let count = nodes.len() as u64;
                if region == self.regions.own() {
                    metrics.cluster_broker_reached.set(1);
                    metrics.cluster_nodes.set(count);
                }
                metrics.cluster_region_reached.set(region.index(), 1);
                metrics.cluster_region_nodes.set(region.index(), count);
                self.hear_holdings(now, &nodes, held);
                self.next_beat = now + self.lease / 8;
                if self.is_deaf() {
                    // All is said there again once this node hears what it is told.
                    self.born = None;
                    return;
                }
                self.reach.meets();
                self.switchboard
                    .cluster(|hub, out| hub.alive(now, region, nodes, out));
                if self.born.replace(born) != Some(born) {
                    // It may have forgotten what it knew, and gives no seats away until we have said what we hold.
                    self.say_all(now);
                }
            }
            Ok(other) => tracing::warn!("the broker answers {other:?}"),
            Err(error) => {
                metrics.cluster_questions_failed.inc();
                let region = self.region;
                if region == self.regions.own() {
                    metrics.cluster_broker_reached.set(0);
                }
                metrics.cluster_region_reached.set(region.index(), 0);
                if self.reach.fails(&error.to_string()) {
                    let region = self.regions.name(region);
                    tracing::warn!(
                        region,
                        "{error}; rooms of this node alone go on, others wait for it"
                    );
                }
                self.born = None;
                self.next_beat = now + RETRY.min(self.lease / 8);
            }
        }
    }

    fn keep_time(&mut self) {
        let now = Instant::now();
        if !self.beating && (now >= self.next_beat || self.drains() && !self.hushed) {
            self.beating = true;
            let request = Request::Beat {
                node: self.me,
                lease: u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX),
                peers: self.switchboard.counts().sessions as u64,
                held: self.tell_holdings(now),
            };
            let plane = Arc::clone(&self.plane);
            self.asked.push(Box::pin(
                async move { Done::Beat(plane.ask(request).await) },
            ));
        }
        if !self.is_far() {
            self.deaf.set(self.reach.is_silent(now));
        } else if self.reach.cuts(now, self.deaf.is()) {
            let region = self.region;
            self.switchboard
                .cluster(|hub, out| hub.cut_off(now, region, out));
        }
        if self.rota.is_due(now) {
            let part = self.rota.part();
            let held = self.held(|text| part.has(text));
            self.rota.begin(now, held);
        }
    }

    fn is_far(&self) -> bool {
        self.region != self.regions.own()
    }

    /// What is said in this region to this node does not come, though its own words would.
    fn is_deaf(&self) -> bool {
        self.is_far() && self.deaf.is()
    }

    fn drains(&self) -> bool {
        self.switchboard.draining().is_cancelled()
    }

    /// Who holds much here, for the others: told in the own region, where they all read it. Who drains sends everybody
    /// elsewhere, where it is not to be counted twice.
    fn tell_holdings(&mut self, now: Instant) -> Option<String> {
        self.hushed = self.drains();
        if self.region != self.regions.own() {
            return None;
        }
        let (text, holders) = match self.hushed {
            true => (None, 0),
            false => self.holdings.tell(now),
        };
        let told = &self.switchboard.metrics().cluster_holders_told;
        told.set(holders as u64);
        text
    }

    /// The same of the others, of this region.
    fn hear_holdings(&self, now: Instant, nodes: &[NodeId], mut held: BTreeMap<NodeId, String>) {
        let others = nodes.iter().filter(|node| **node != self.me);
        let texts: Vec<_> = others
            .clone()
            .filter_map(|node| held.remove(node))
            .collect();
        let holders = self
            .holdings
            .hear(now, self.region, others.count(), texts.into_iter());
        let heard = &self.switchboard.metrics().cluster_holders_heard;
        heard.set(holders as u64);
    }

    /// Renews what is due, a few at a time; also while the beat is not answered, as that may be at another shard.
    fn renew(&mut self) {
        if self.is_deaf() {
            // Seats and names that it has here run out, so that it is gone for others as they are for it.
            self.born = None;
            return self.rota.clear();
        }
        let asked = Instant::now();
        while self.renewing < RENEWED {
            let Some(due) = self.rota.take(asked) else {
                return;
            };
            let request = match &due {
                Due::Room(room) => self.switchboard.held(room).map(Request::Sync),
                Due::Name(name) => self.switchboard.name_held(name),
            };
            let Some(request) = request else {
                continue;
            };
            self.renewing += 1;
            let plane = Arc::clone(&self.plane);
            self.asked.push(Box::pin(async move {
                let answer = plane.ask(request).await;
                Done::Renewed(due, asked, answer)
            }));
        }
    }
}

/// Asks, and again where the broker wants to be waited for.
async fn ask_until(
    plane: &dyn Backplane,
    request: &Request,
    patience: Duration,
) -> Result<Answer, Away> {
    let begun = Instant::now();
    loop {
        let answer = plane.ask(request.clone()).await?;
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
