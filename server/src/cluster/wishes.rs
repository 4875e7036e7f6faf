//! The queue from the hub to the driver: bounded in number and in bytes. What does not fit is refused, and whoever wished is
//! told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use crate::hub::Wish;

/// Wishes that wait; more means that the broker hangs.
const WISHES: usize = 65_536;

/// Bytes of what is to be said.
const BYTES: usize = 32 << 20;

/// Where the hub's wishes go.
#[derive(Debug)]
pub(crate) struct Wishes {
    sender: mpsc::Sender<Wish>,
    bytes: Arc<AtomicUsize>,
}

/// Where they come in.
#[derive(Debug)]
pub(crate) struct Inbox {
    receiver: mpsc::Receiver<Wish>,
    bytes: Arc<AtomicUsize>,
}

impl Inbox {
    pub(super) fn new() -> (Wishes, Self) {
        let (sender, receiver) = mpsc::channel(WISHES);
        let bytes = Arc::new(AtomicUsize::new(0));
        let wishes = Wishes {
            sender,
            bytes: Arc::clone(&bytes),
        };
        (wishes, Self { receiver, bytes })
    }

    pub(super) async fn recv(&mut self) -> Option<Wish> {
        let wish = self.receiver.recv().await;
        wish.inspect(|wish| self.took(wish))
    }

    pub(super) fn try_recv(&mut self) -> Option<Wish> {
        let wish = self.receiver.try_recv().ok();
        wish.inspect(|wish| self.took(wish))
    }

    fn took(&self, wish: &Wish) {
        self.bytes.fetch_sub(weight(wish), Ordering::Relaxed);
    }
}

impl Wishes {
    /// Gives back what does not fit.
    pub(crate) fn put(&self, wish: Wish) -> Option<Wish> {
        let bytes = weight(&wish);
        // Only one puts at a time, under the hub's lock: what waits is never more than this and one wish.
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) > BYTES {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Some(wish);
        }
        let refused = self.sender.try_send(wish).err()?;
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(refused.into_inner())
    }
}

fn weight(wish: &Wish) -> usize {
    match wish {
        Wish::Say(_, word, _) => word.weight(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{NodeId, Word};

    #[test]
    fn what_waits_is_bounded_in_bytes_and_taking_makes_place() {
        let (wishes, mut inbox) = Inbox::new();
        let say = || {
            let line = "x".repeat(1 << 20);
            let number = None;
            Wish::Say(NodeId::new(1), Word::Broadcast { line, number }, None)
        };
        let fit = (0..1_000).take_while(|_| wishes.put(say()).is_none());
        assert!((32..=33).contains(&fit.count()));
        assert!(inbox.try_recv().is_some());
        assert!(inbox.try_recv().is_some());
        assert!(wishes.put(say()).is_none());
    }
}
