//! What waits for one connection, in order: bounded in messages and bytes, so that a peer that does not read is noticed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio_util::sync::CancellationToken;

use crate::hub::Line;

/// Places that an empty queue keeps; a burst's memory is given back when it is over.
const SPARE: usize = 4;

/// What a connection has to write.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// A message.
    Line(Line),
    /// The end.
    Close(u16, &'static str),
}

impl Outgoing {
    fn bytes(&self) -> usize {
        match self {
            Self::Line(line) => line.bytes(),
            Self::Close(..) => 0,
        }
    }
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// What became of something put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It waits, with so many bytes in all.
    Waits(usize),
    /// It did not fit: the peer is too slow, and this is the first time.
    TooMuch,
    /// Nobody takes anything out any more.
    Closed,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Mailbox {
    bounds: Bounds,
    inside: Mutex<Inside>,
    too_slow: CancellationToken,
}

#[derive(Debug, Default)]
struct Inside {
    queue: VecDeque<Outgoing>,
    bytes: usize,
    closed: bool,
    /// Of the one that waits for something to come.
    waker: Option<Waker>,
}

impl Mailbox {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            inside: Mutex::default(),
            too_slow: CancellationToken::new(),
        }
    }

    /// Cancelled when something did not fit.
    pub(crate) const fn too_slow(&self) -> &CancellationToken {
        &self.too_slow
    }

    /// Adds something, and wakes who waits for it.
    pub(crate) fn put(&self, outgoing: Outgoing) -> Put {
        let mut inside = self.inside();
        if inside.closed {
            return Put::Closed;
        }
        let bytes = inside.bytes + outgoing.bytes();
        if bytes > self.bounds.bytes || inside.queue.len() >= self.bounds.messages {
            inside.closed = true;
            drop(inside);
            self.too_slow.cancel();
            return Put::TooMuch;
        }
        inside.bytes = bytes;
        inside.queue.push_back(outgoing);
        let waker = inside.waker.take();
        drop(inside);
        if let Some(waker) = waker {
            waker.wake();
        }
        Put::Waits(bytes)
    }

    /// Nothing comes in any more; what waits can still be taken.
    pub(crate) fn close(&self) {
        let mut inside = self.inside();
        inside.closed = true;
        let waker = inside.waker.take();
        drop(inside);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What comes next; none when nothing waits and nothing will. Safe to be given up while waiting.
    pub(crate) async fn take(&self) -> Option<Outgoing> {
        poll_fn(|context| self.poll(context)).await
    }

    /// What waits already.
    pub(crate) fn take_now(&self) -> Option<Outgoing> {
        self.inside().pop()
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<Outgoing>> {
        let mut inside = self.inside();
        if let Some(outgoing) = inside.pop() {
            return Poll::Ready(Some(outgoing));
        }
        if inside.closed {
            return Poll::Ready(None);
        }
        inside.queue.shrink_to(SPARE);
        match &mut inside.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// A panic elsewhere leaves no half-done change behind: each is one step.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn pop(&mut self) -> Option<Outgoing> {
        let outgoing = self.queue.pop_front()?;
        self.bytes -= outgoing.bytes();
        Some(outgoing)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const END: Outgoing = Outgoing::Close(1000, "");

    fn mailbox(messages: usize) -> Mailbox {
        Mailbox::new(Bounds {
            messages,
            bytes: 100,
        })
    }

    #[test]
    fn what_does_not_fit_is_noticed_once() {
        let mailbox = mailbox(2);
        assert_eq!(mailbox.put(END), Put::Waits(0));
        assert_eq!(mailbox.put(END), Put::Waits(0));
        assert!(!mailbox.too_slow().is_cancelled());
        assert_eq!(mailbox.put(END), Put::TooMuch);
        assert!(mailbox.too_slow().is_cancelled());
        assert_eq!(mailbox.put(END), Put::Closed);
    }

    #[test]
    fn taking_makes_place() {
        let mailbox = mailbox(1);
        for _ in 0..3 {
            assert_eq!(mailbox.put(END), Put::Waits(0));
            assert!(mailbox.take_now().is_some());
        }
        assert!(mailbox.take_now().is_none());
    }

    #[tokio::test]
    async fn who_waits_is_woken_and_hears_of_the_end_last() {
        let mailbox = Arc::new(mailbox(8));
        let taker = tokio::spawn({
            let mailbox = Arc::clone(&mailbox);
            async move {
                let mut taken = 0;
                while mailbox.take().await.is_some() {
                    taken += 1;
                }
                taken
            }
        });
        tokio::task::yield_now().await;
        mailbox.put(END);
        mailbox.put(END);
        mailbox.close();
        assert_eq!(taker.await.ok(), Some(2));
    }
}
