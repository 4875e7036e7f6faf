//! The queue from the hub to the driver: bounded in number and in bytes. What does not fit is refused, and whoever wished is
//! told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::regions::Regions;
use crate::hub::Wish;

/// Wishes that wait; more means that the broker hangs.
const WISHES: usize = 65_536;

/// Bytes of what is to be said.
const BYTES: usize = 32 << 20;

/// Where the hub's wishes go: to the driver of the region whose broker sees to them. Each has a queue of its own, so that a
/// region that hangs is a hindrance to what is wished of it alone.
#[derive(Debug)]
pub(crate) struct Exits {
    regions: Regions,
    /// In the order of the regions.
    to: Vec<Wishes>,
}

/// Where those of one region go.
#[derive(Debug)]
struct Wishes {
    sender: mpsc::Sender<Wish>,
    bytes: Arc<AtomicUsize>,
}

/// Where they come in.
#[derive(Debug)]
pub(crate) struct Inbox {
    receiver: mpsc::Receiver<Wish>,
    bytes: Arc<AtomicUsize>,
}

impl Exits {
    /// Those, and where it comes out of them.
    pub(super) fn new(regions: Regions) -> (Self, Vec<Inbox>) {
        let (to, inboxes) = regions.all().map(|_| Inbox::new()).unzip();
        (Self { regions, to }, inboxes)
    }

    /// Gives back what does not fit.
    pub(crate) fn put(&self, wish: Wish) -> Option<Wish> {
        if let Some(noted) = self.regions.noted_here(&wish)
            && let Some(own) = self.to.get(self.regions.own().index())
        {
            // What does not fit is missing where a peer comes back: all nodes are asked then.
            let _ = own.put(noted);
        }
        match self.to.get(self.regions.seeing_to(&wish).index()) {
            Some(wishes) => wishes.put(wish),
            None => Some(wish),
        }
    }
}

impl Inbox {
    fn new() -> (Wishes, Self) {
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
    fn put(&self, wish: Wish) -> Option<Wish> {
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cluster::seats::Request;
    use crate::cluster::{NodeId, Word};

    #[test]
    fn what_waits_is_bounded_in_bytes_and_taking_makes_place() {
        let (wishes, mut inboxes) = Exits::new(Regions::default());
        let inbox = &mut inboxes[0];
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

    #[test]
    fn a_region_whose_queue_is_full_is_the_only_one_that_takes_nothing() {
        let names = ["a", "b"].map(|name| name.parse().unwrap());
        let regions = Regions::new(&names[0], names.clone()).unwrap();
        let there = Regions::new(&names[1], names.clone()).unwrap();
        let (wishes, mut inboxes) = Exits::new(regions.clone());
        let say = |regions: &Regions| {
            let line = "x".repeat(1 << 20);
            let number = None;
            Wish::Say(regions.node(7), Word::Broadcast { line, number }, None)
        };
        while wishes.put(say(&there)).is_none() {}
        assert!(wishes.put(say(&there)).is_some());
        assert!(wishes.put(say(&regions)).is_none());
        assert!(inboxes[regions.own().index()].try_recv().is_some());
    }

    #[test]
    fn where_a_peer_is_is_noted_at_its_home_and_here() {
        let names = ["a", "b"].map(|name| name.parse().unwrap());
        let regions = Regions::new(&names[0], names.clone()).unwrap();
        let (wishes, mut inboxes) = Exits::new(regions.clone());
        let peer = (0..).find_map(|number| {
            let peer = rtc_protocol::Token::from_random([number; 32]).peer_id();
            (regions.home(peer.as_str()) != regions.own()).then_some(peer)
        });
        let (peer, node) = (peer.unwrap(), regions.node(7));
        let here = Wish::Ask(Request::Here {
            peer,
            node,
            turn: 1,
        });
        assert!(wishes.put(here.clone()).is_none());
        for inbox in &mut inboxes {
            assert_eq!(inbox.try_recv(), Some(here.clone()));
        }
        assert!(wishes.put(Wish::Turn(peer)).is_none());
        assert_eq!(inboxes[regions.own().index()].try_recv(), None);
    }
}
