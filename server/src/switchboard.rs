//! Where connections meet the hub, and its effects become messages in their mailboxes.
//!
//! The hub stands behind a lock that is held for one input and never over an await: a step of it takes about a
//! microsecond, less than handing it to another task would. What a connection has to write waits in its bounded
//! [`Mailbox`], which is filled under the same lock, in the hub's order; so nobody ever waits for a slow reader.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rtc_protocol::{ClientFrame, Name, PeerId, Raw, RoomId};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::access::Denied;
use crate::cluster::seats::{Request, Sync};
use crate::cluster::{Exits, Planes};
use crate::hub::{
    Cluster, ConnectionId, Effect, Finding, Greeting, HANDOVER, Hub, HubConfig, HubCounts, Survey,
};
pub(crate) use crate::mailbox::Outgoing;
use crate::mailbox::{Bounds, Mailbox, Put};
use crate::metrics::{Limit, Metrics};

/// How often sessions are looked at whose window may have passed.
const TICK: Duration = Duration::from_millis(250);

/// For what was said last to other nodes to come there.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a peer that says hello is not let in.
#[derive(Debug)]
pub(crate) enum NotIn {
    /// The server has ended.
    Ended,
    /// It showed no token that counts.
    Denied(Denied),
}

/// Speaks to the hub; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Switchboard(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    core: Mutex<Core>,
    /// Bytes that may wait for one peer.
    queue_bytes: usize,
    metrics: Metrics,
    connections: AtomicU64,
    /// Cancelled when the hub drains, whoever asked it to.
    draining: CancellationToken,
    /// What is shared with other nodes; none on a server that stands alone.
    planes: Option<Planes>,
}

/// What a node of a cluster has beside what every server has.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) cluster: Cluster,
    pub(crate) planes: Planes,
    /// Where the hub's wishes go.
    pub(crate) wishes: Exits,
}

#[derive(Debug)]
struct Core {
    hub: Hub,
    mailboxes: HashMap<ConnectionId, Arc<Mailbox>>,
    /// Empty between two inputs; kept for its memory.
    effects: Vec<Effect>,
    /// Who waits for the end of a drain.
    drained: Vec<oneshot::Sender<()>>,
    ended: bool,
    /// Where what the hub wishes of other nodes goes.
    wishes: Option<Exits>,
    /// Connections that wait for a session of another node.
    waiters: HashMap<u64, oneshot::Sender<()>>,
    waiter: u64,
}

impl Switchboard {
    /// The handle, and the task that tells it the time. When that task ends, so does every connection.
    pub(crate) fn new(
        config: HubConfig,
        queue_bytes: usize,
        metrics: Metrics,
        node: Option<Node>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let mut hub = Hub::new(config, Instant::now()).counting(metrics.clone());
        let (mut planes, mut wishes) = (None, None);
        if let Some(node) = node {
            hub = hub.clustered(node.cluster);
            planes = Some(node.planes);
            wishes = Some(node.wishes);
        }
        let switchboard = Self(Arc::new(Shared {
            core: Mutex::new(Core {
                hub,
                mailboxes: HashMap::new(),
                effects: Vec::new(),
                drained: Vec::new(),
                ended: false,
                wishes,
                waiters: HashMap::new(),
                waiter: 0,
            }),
            queue_bytes,
            metrics,
            connections: AtomicU64::new(0),
            draining: CancellationToken::new(),
            planes,
        }));
        let end = EndOnDrop(switchboard.clone());
        (switchboard, end.tick())
    }

    /// A mailbox for a connection, in which so many messages may wait.
    pub(crate) fn mailbox(&self, messages: usize) -> Arc<Mailbox> {
        Arc::new(Mailbox::new(Bounds {
            messages,
            bytes: self.0.queue_bytes,
        }))
    }

    /// A peer says hello from a new connection.
    pub(crate) fn hello(
        &self,
        greeting: Greeting,
        mailbox: &Arc<Mailbox>,
    ) -> Result<(ConnectionId, PeerId), NotIn> {
        let connection = ConnectionId(self.0.connections.fetch_add(1, Ordering::Relaxed));
        let peer = self.input(|core| {
            if core.ended {
                return Err(NotIn::Ended);
            }
            let now = Instant::now();
            let known = core.hub.hello(now, connection, greeting, &mut core.effects);
            let peer = known.map_err(NotIn::Denied)?;
            // Before the effects are performed, and only for a peer that is in.
            core.mailboxes.insert(connection, Arc::clone(mailbox));
            Ok(peer)
        });
        peer.map(|peer| (connection, peer))
    }

    /// To be waited for before a peer says hello that was here or at another node before, and had this message last: its
    /// session comes here, or ends.
    pub(crate) async fn returns(&self, peer: PeerId, last: Option<u64>) {
        let Some(planes) = &self.0.planes else { return };
        let Some(node) = self.core().hub.node() else {
            return;
        };
        if self.core().hub.knows(peer) {
            return;
        }
        let turn = match planes.turn(peer, node).await {
            Ok(turn) => turn,
            // Should it be elsewhere, too, the broker says so when it asks for a seat, or those are renewed.
            Err(error) => return tracing::debug!("{error}"),
        };
        let (arrived, here) = oneshot::channel();
        let waiter = self.input(|core| {
            core.waiter += 1;
            let waiter = core.waiter;
            let waits = core.hub.fetch(Instant::now(), peer, turn, last, waiter);
            waits.then(|| {
                core.waiters.insert(waiter, arrived);
                waiter
            })
        });
        if let Some(waiter) = waiter
            && timeout(HANDOVER * 2, here).await.is_err()
        {
            self.core().waiters.remove(&waiter);
        }
    }

    /// Returns when other nodes have had what was said to them last, and what was on its way from them has come; soon.
    pub(crate) async fn said_all(&self) {
        if self.0.planes.is_none() {
            return;
        }
        let said = async {
            while self.0.metrics.cluster_words_waiting.get() > 0 {
                sleep(TICK / 10).await;
            }
        };
        // What waits is looked at first, and counted then.
        sleep(TICK).await;
        let _ = timeout(LAST_WORDS, said).await;
        sleep(TICK).await;
    }

    /// Another node or the broker has said something.
    pub(crate) fn cluster<T>(&self, step: impl FnOnce(&mut Hub, &mut Vec<Effect>) -> T) -> T {
        self.input(|core| step(&mut core.hub, &mut core.effects))
    }

    /// A name that is held.
    pub(crate) fn name_held(&self, name: &Name) -> Option<Request> {
        self.core().hub.name_held(name)
    }

    /// What is held in one.
    pub(crate) fn held(&self, room: &RoomId) -> Option<Sync> {
        self.core().hub.held(room)
    }

    /// A peer said something.
    pub(crate) fn said(&self, peer: PeerId, frame: ClientFrame) {
        self.input(|core| core.hub.say(Instant::now(), peer, frame, &mut core.effects));
    }

    /// A connection is gone.
    pub(crate) fn gone(&self, peer: PeerId, connection: ConnectionId, clean: bool) {
        self.input(|core| {
            core.mailboxes.remove(&connection);
            let now = Instant::now();
            core.hub
                .gone(now, peer, connection, clean, &mut core.effects);
        });
    }

    /// What is there.
    pub(crate) fn counts(&self) -> HubCounts {
        self.core().hub.counts()
    }

    /// Part of the list of rooms, of all nodes.
    pub(crate) async fn rooms(&self, after: Option<&str>, limit: usize) -> Survey {
        if self.0.planes.is_some() {
            return self
                .survey(|hub, waiter, out| hub.survey(Instant::now(), after, limit, waiter, out))
                .await;
        }
        // One more than is wanted tells whether there are more.
        let mut rooms = self.core().hub.rooms(Instant::now(), after, limit + 1);
        let more = rooms.len() > limit;
        rooms.truncate(limit);
        Survey {
            finding: Finding {
                rooms,
                more,
                told: 0,
            },
            partial: false,
        }
    }

    /// Says something to everybody; gives how many that are.
    pub(crate) async fn broadcast(&self, data: Raw) -> Survey {
        if self.0.planes.is_some() {
            return self
                .survey(|hub, waiter, out| {
                    hub.announce_and_count(Instant::now(), data, waiter, out);
                })
                .await;
        }
        let told = self.input(|core| core.hub.announce(data, &mut core.effects));
        Survey {
            finding: Finding {
                told,
                ..Finding::default()
            },
            partial: false,
        }
    }

    async fn survey(&self, ask: impl FnOnce(&mut Hub, u64, &mut Vec<Effect>)) -> Survey {
        let (arrived, answered) = oneshot::channel();
        let waiter = self.input(|core| {
            core.waiter += 1;
            core.waiters.insert(core.waiter, arrived);
            ask(&mut core.hub, core.waiter, &mut core.effects);
            core.waiter
        });
        let _ = answered.await;
        self.input(|core| core.hub.surveyed(waiter))
    }

    /// Connections closed because they did not read what was sent to them.
    pub(crate) fn slow_readers(&self) -> u64 {
        self.0.metrics.slow_readers.get()
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Cancelled when nothing new begins here any more.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.0.draining
    }

    /// Lets what is in progress end and nothing new begin.
    pub(crate) fn begin_drain(&self) {
        self.input(|core| core.hub.drain(&mut core.effects));
    }

    /// Begins a drain, if none has begun; returns when nobody is left, or the server has ended.
    pub(crate) async fn drain(&self) {
        let (done, drained) = oneshot::channel();
        self.input(|core| {
            core.hub.drain(&mut core.effects);
            core.drained.push(done);
        });
        let _ = drained.await;
    }

    /// Tells everybody that the server stops, and lets nobody in any more.
    pub(crate) fn stop(&self, reason: &str) {
        self.input(|core| core.hub.stop(reason, &mut core.effects));
    }

    /// One step of the hub and all that comes of it, in one go: what two inputs cause reaches each connection in the
    /// order in which the hub took them.
    fn input<T>(&self, step: impl FnOnce(&mut Core) -> T) -> T {
        self.0.metrics.core_inputs.inc();
        let mut core = self.core();
        let result = step(&mut core);
        // Before anybody is told.
        if core.hub.draining() && !self.0.draining.is_cancelled() {
            self.0.draining.cancel();
        }
        core.perform(&self.0.metrics);
        result
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // The hub does not panic; should it, one peer's step is lost and the others go on.
        self.0.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Gives what the hub wishes to the task that sees to it. Where that hangs, whoever wished hears of it.
    fn pass_on(&mut self) {
        let Some(wishes) = &self.wishes else { return };
        let now = Instant::now();
        for wish in self.hub.wishes() {
            if let Some(wish) = wishes.put(wish) {
                self.hub.refused(now, wish, &mut self.effects);
            }
        }
    }

    fn perform(&mut self, metrics: &Metrics) {
        self.pass_on();
        self.put(metrics);
        if !self.drained.is_empty() && self.hub.drained() {
            for done in self.drained.drain(..) {
                let _ = done.send(());
            }
        }
    }

    fn put(&mut self, metrics: &Metrics) {
        for effect in self.effects.drain(..) {
            let (connection, outgoing) = match effect {
                Effect::Send(connection, line) => (connection, Outgoing::Line(line)),
                Effect::Close(connection, code, reason) => {
                    (connection, Outgoing::Close(code, reason))
                }
                Effect::Arrived(waiter) => {
                    if let Some(waiter) = self.waiters.remove(&waiter) {
                        let _ = waiter.send(());
                    }
                    continue;
                }
            };
            let Some(mailbox) = self.mailboxes.get(&connection) else {
                continue;
            };
            match mailbox.put(outgoing) {
                Put::Waits(bytes) => metrics.peer_queue_highest_bytes.seen(bytes),
                Put::TooMuch => {
                    metrics.slow_readers.inc();
                    metrics.limits_hit.inc(Limit::Queue);
                    tracing::info!("a peer does not read what is sent to it and is closed");
                }
                // A connection that is ending by itself reads nothing on purpose.
                Put::Closed => {}
            }
        }
    }
}

/// Ends the hub when the server goes: nobody gets in, and everybody hears that nothing comes any more.
struct EndOnDrop(Switchboard);

impl EndOnDrop {
    async fn tick(self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let mut core = self.0.core();
            let core = &mut *core;
            core.hub.tick(Instant::now(), &mut core.effects);
            core.perform(self.0.metrics());
        }
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let mut core = self.0.core();
        core.ended = true;
        core.drained.clear();
        core.waiters.clear();
        for (_, mailbox) in core.mailboxes.drain() {
            mailbox.close();
        }
    }
}
