//! What a cluster needs of whatever its nodes meet at.

use std::fmt;

use futures_util::future::BoxFuture;

use super::seats::{Answer, Request};
use super::words::NodeId;

/// The broker cannot be reached, or gave no answer; what was asked may have been done.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the broker cannot be reached: {0}")]
pub(crate) struct Away(pub(crate) String);

/// A place to meet, as one node sees it. Three verbs: everything else is the nodes' own.
pub(crate) trait Backplane: fmt::Debug + Send + Sync + 'static {
    /// Asks the ledger; each request is one atomic step.
    fn ask(&self, request: Request) -> BoxFuture<'_, Result<Answer, Away>>;

    /// Brings parcels into the inboxes of nodes, in this order. They may get lost, and may come twice.
    fn post(&self, parcels: Vec<(NodeId, Vec<u8>)>) -> BoxFuture<'_, Result<(), Away>>;

    /// Waits for parcels in this node's own inbox; after an error, some may come again. Only one may wait at a time.
    fn collect(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>, Away>>;
}

#[cfg(test)]
pub(crate) mod memory {
    //! A broker in memory, for tests of several nodes in one process.

    use std::collections::HashMap;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::time::Instant;

    use tokio::sync::Notify;

    use super::super::seats::Ledger;
    use super::*;

    #[derive(Debug)]
    struct Inside {
        ledger: Ledger,
        inboxes: HashMap<NodeId, Vec<Vec<u8>>>,
    }

    #[derive(Debug)]
    pub(crate) struct Broker {
        inside: Mutex<Inside>,
        came: Notify,
        begun: Instant,
    }

    impl Broker {
        pub(crate) fn new() -> Arc<Self> {
            Arc::new(Self {
                inside: Mutex::new(Inside {
                    ledger: Ledger::new(1),
                    inboxes: HashMap::new(),
                }),
                came: Notify::new(),
                begun: Instant::now(),
            })
        }

        fn now(&self) -> u64 {
            1 + u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
        }

        /// Whether parcels wait for a node.
        pub(crate) fn has_for(&self, node: NodeId) -> bool {
            self.inside().inboxes.contains_key(&node)
        }

        fn inside(&self) -> MutexGuard<'_, Inside> {
            self.inside.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// One node's way to it.
    #[derive(Debug)]
    pub(crate) struct Memory {
        pub(crate) me: NodeId,
        pub(crate) broker: Arc<Broker>,
    }

    impl Backplane for Memory {
        fn ask(&self, request: Request) -> BoxFuture<'_, Result<Answer, Away>> {
            let now = self.broker.now();
            let answer = self.broker.inside().ledger.ask(now, request);
            Box::pin(async move { Ok(answer) })
        }

        fn post(&self, parcels: Vec<(NodeId, Vec<u8>)>) -> BoxFuture<'_, Result<(), Away>> {
            let mut inside = self.broker.inside();
            for (to, parcel) in parcels {
                inside.inboxes.entry(to).or_default().push(parcel);
            }
            drop(inside);
            self.broker.came.notify_waiters();
            Box::pin(async { Ok(()) })
        }

        fn collect(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>, Away>> {
            Box::pin(async {
                loop {
                    let came = self.broker.came.notified();
                    let found = self.broker.inside().inboxes.remove(&self.me);
                    if let Some(found) = found.filter(|found| !found.is_empty()) {
                        return Ok(found);
                    }
                    came.await;
                }
            })
        }
    }
}
