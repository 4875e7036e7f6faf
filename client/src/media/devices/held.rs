//! A named thread that owns a device, because drivers block and their handles may not cross threads.

use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a hang-up waits for a device; one that holds longer is left to itself.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// The owner's end of a device thread. Dropping it ends the thread and joins it, unless the
/// driver does not come back within a second: then the thread is left behind and a warning logged.
#[derive(Debug)]
pub(crate) struct Held {
    name: String,
    stop: Option<Sender<()>>,
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// Tells the opener how opening went, once.
#[derive(Debug)]
pub(crate) struct Opened<D>(SyncSender<D>);

impl<D> Opened<D> {
    /// Whether the opener still waits: if not, the device is to be closed again.
    #[must_use]
    pub(crate) fn tell(self, outcome: D) -> bool {
        self.0.send(outcome).is_ok()
    }
}

/// The thread's end: tells when to stop.
#[derive(Debug)]
pub(crate) struct Stop(Receiver<()>);

impl Stop {
    /// Whether the owner is gone.
    #[must_use]
    pub(crate) fn requested(&self) -> bool {
        !matches!(self.0.try_recv(), Err(TryRecvError::Empty))
    }

    /// Sleeps for so long at most; whether the owner is gone.
    #[must_use]
    pub(crate) fn waited(&self, limit: Duration) -> bool {
        self.0.recv_timeout(limit) != Err(RecvTimeoutError::Timeout)
    }

    /// Sleeps until the owner is gone.
    pub(crate) fn wait(&self) {
        // Nothing is ever sent: the owner's end is dropped.
        let _ = self.0.recv();
    }
}

impl Held {
    /// Runs `body` on a thread called `name` and waits at most `limit` until it told how
    /// opening went; `None` where it did not.
    pub(crate) fn open<D: Send + 'static>(
        name: &str,
        limit: Duration,
        body: impl FnOnce(Opened<D>, Stop) + Send + 'static,
    ) -> Option<(Self, D)> {
        let (stop, stopped) = channel();
        let (end, ended) = channel::<()>();
        let (tell, told) = sync_channel(1);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _ended_when_dropped = end;
                body(Opened(tell), Stop(stopped));
            })
            .ok()?;
        let held = Self {
            name: name.to_owned(),
            stop: Some(stop),
            ended,
            thread: Some(thread),
        };
        // On a timeout `held` is dropped here, which waits for the driver one more second.
        told.recv_timeout(limit).ok().map(|outcome| (held, outcome))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else {
            return;
        };
        if thread.thread().id() == thread::current().id() {
            return;
        }
        if self.ended.recv_timeout(CLOSE_LIMIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("{}: the driver does not come back; left behind", self.name);
        } else if thread.join().is_err() {
            tracing::warn!("{}: the driver panicked", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_thread_lives_as_long_as_its_owner_and_is_joined() {
        let closed = Arc::new(AtomicBool::new(false));
        let seen = closed.clone();
        let (held, answer) = Held::open("test", OPEN, move |opened, stop| {
            assert!(!stop.requested());
            assert!(opened.tell(7));
            stop.wait();
            assert!(stop.requested());
            seen.store(true, Ordering::SeqCst);
        })
        .unwrap();
        assert_eq!(answer, 7);
        assert!(!closed.load(Ordering::SeqCst));
        drop(held);
        assert!(closed.load(Ordering::SeqCst));
    }

    #[test]
    fn a_driver_that_never_opens_does_not_hold_the_opener() {
        let (release, released) = channel::<()>();
        let started = Instant::now();
        let opened = Held::open("test", Duration::from_millis(20), move |opened, _stop| {
            let _ = released.recv();
            assert!(!opened.tell(()), "nobody waits any more");
        });
        assert!(opened.is_none());
        assert!(started.elapsed() < Duration::from_secs(2));
        drop(release);
    }

    #[test]
    fn a_driver_that_never_closes_does_not_hold_the_hang_up() {
        let (release, released) = channel::<()>();
        let (held, ()) = Held::open("test", OPEN, move |opened, _stop| {
            let _ = opened.tell(());
            let _ = released.recv();
        })
        .unwrap();
        let started = Instant::now();
        drop(held);
        assert!(started.elapsed() >= CLOSE_LIMIT);
        assert!(started.elapsed() < CLOSE_LIMIT * 2);
        drop(release);
    }

    const OPEN: Duration = Duration::from_secs(10);
}
