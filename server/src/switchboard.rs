//! The task that owns the hub and performs its effects.
//!
//! Connections speak to it through one bounded queue (who is faster waits); it speaks to
//! each connection through a bounded queue of its own (who does not read is closed), so
//! it never waits for anybody.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rtc_protocol::{ClientFrame, PeerId};
use tokio::runtime::Handle;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::hub::{ConnectionId, Effect, Greeting, Hub, HubConfig, HubCounts, Line};
use crate::metrics::{Limit, Metrics};

/// Inputs that wait for the hub; connections wait when there are more.
const INPUTS: usize = 1024;

/// How often sessions are looked at whose window may have passed.
const TICK: Duration = Duration::from_millis(250);

/// What a connection has to write, in order.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A message.
    Line(Line),
    /// The end.
    Close(u16, &'static str),
}

/// How a connection can be reached.
#[derive(Debug)]
pub(crate) struct Reach {
    /// Bounded; when it is full the connection is closed.
    pub(crate) outgoing: mpsc::Sender<Outgoing>,
    /// Bytes in that queue, bounded too; the connection takes off what it has written.
    pub(crate) waiting: Arc<AtomicUsize>,
    /// Ends the connection without another word.
    pub(crate) kill: CancellationToken,
}

#[derive(Debug)]
pub(crate) enum Input {
    Hello {
        connection: ConnectionId,
        reach: Reach,
        greeting: Greeting,
        peer: oneshot::Sender<PeerId>,
    },
    Said(PeerId, ClientFrame),
    Gone {
        peer: PeerId,
        connection: ConnectionId,
        clean: bool,
    },
    Counts(oneshot::Sender<HubCounts>),
    Drain(&'static str, oneshot::Sender<()>),
}

/// Speaks to the switchboard; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Switchboard {
    inputs: mpsc::Sender<Input>,
    metrics: Metrics,
    connections: Arc<AtomicU64>,
}

impl Switchboard {
    /// The handle, and the task to be run.
    pub(crate) fn new(
        config: HubConfig,
        queue_bytes: usize,
        metrics: Metrics,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (inputs, inbox) = mpsc::channel(INPUTS);
        let task = Task {
            hub: Hub::new(config, Instant::now()).counting(metrics.clone()),
            reach: HashMap::new(),
            queue_bytes,
            metrics: metrics.clone(),
        };
        (
            Self {
                inputs,
                metrics,
                connections: Arc::default(),
            },
            task.run(inbox),
        )
    }

    /// Waits for its turn; an input after the end is lost with everything else.
    pub(crate) async fn send(&self, input: Input) {
        let _ = self.inputs.send(input).await;
    }

    /// For destructors, which cannot wait: a task of its own waits where the hub is busy.
    pub(crate) fn send_later(&self, input: Input) {
        if let Err(TrySendError::Full(input)) = self.inputs.try_send(input)
            && let Ok(runtime) = Handle::try_current()
        {
            let switchboard = self.clone();
            runtime.spawn(async move { switchboard.send(input).await });
        }
    }

    /// A number that no connection had before.
    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) async fn counts(&self) -> HubCounts {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Counts(reply)).await;
        answer.await.unwrap_or_default()
    }

    /// Connections closed because they did not read what was sent to them.
    pub(crate) fn slow_readers(&self) -> u64 {
        self.metrics.slow_readers.get()
    }

    /// What is counted.
    pub(crate) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) async fn drain(&self, reason: &'static str) {
        let (done, drained) = oneshot::channel();
        self.send(Input::Drain(reason, done)).await;
        let _ = drained.await;
    }
}

struct Task {
    hub: Hub,
    reach: HashMap<ConnectionId, Reach>,
    /// Bytes that may wait for one peer.
    queue_bytes: usize,
    metrics: Metrics,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Input>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut effects = Vec::new();
        loop {
            tokio::select! {
                input = inbox.recv() => {
                    let Some(input) = input else { return };
                    self.metrics.core_inputs.inc();
                    self.metrics.core_queue_highest.seen(inbox.len());
                    self.take(input, &mut effects);
                }
                _ = tick.tick() => self.hub.tick(Instant::now(), &mut effects),
            }
            for effect in effects.drain(..) {
                self.perform(effect);
            }
        }
    }

    fn take(&mut self, input: Input, effects: &mut Vec<Effect>) {
        let now = Instant::now();
        match input {
            Input::Hello {
                connection,
                reach,
                greeting,
                peer,
            } => {
                self.reach.insert(connection, reach);
                let known = self.hub.hello(now, connection, greeting, effects);
                let _ = peer.send(known);
            }
            Input::Said(peer, frame) => self.hub.say(now, peer, frame, effects),
            Input::Gone {
                peer,
                connection,
                clean,
            } => {
                self.reach.remove(&connection);
                self.hub.gone(now, peer, connection, clean, effects);
            }
            Input::Counts(reply) => {
                let _ = reply.send(self.hub.counts());
            }
            Input::Drain(reason, done) => {
                self.hub.drain(reason, effects);
                let _ = done.send(());
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        let (connection, outgoing) = match effect {
            Effect::Send(connection, line) => (connection, Outgoing::Line(line)),
            Effect::Close(connection, code, reason) => (connection, Outgoing::Close(code, reason)),
        };
        let Some(reach) = self.reach.get(&connection) else {
            return;
        };
        let bytes = match &outgoing {
            Outgoing::Line(line) => line.bytes(),
            Outgoing::Close(..) => 0,
        };
        let waiting = reach.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.metrics.peer_queue_highest_bytes.seen(waiting);
        let fits = waiting <= self.queue_bytes && reach.outgoing.try_send(outgoing).is_ok();
        // A connection that is ending by itself has closed its queue and reads nothing on purpose.
        if !fits && !reach.kill.is_cancelled() && !reach.outgoing.is_closed() {
            self.metrics.slow_readers.inc();
            self.metrics.limits_hit.inc(Limit::Queue);
            tracing::info!("a peer does not read what is sent to it and is closed");
            reach.kill.cancel();
        }
    }
}
