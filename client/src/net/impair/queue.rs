//! Datagrams on their way, in the order in which they arrive.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Bytes that may be on one way at once; what is over it is lost, as in any network. At
/// 100 Mbit/s and a second of delay this is five times what is there.
const ROOM: usize = 64 * 1024 * 1024;

/// Datagrams and when each arrives.
#[derive(Debug)]
pub(crate) struct OnTheWay<T> {
    heap: BinaryHeap<Item<T>>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Item<T> {
    due: Instant,
    /// Those due at once keep their order.
    number: u64,
    bytes: usize,
    datagram: T,
}

impl<T> OnTheWay<T> {
    pub(crate) const fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            bytes: 0,
            next: 0,
        }
    }

    /// False where there is no room for it.
    pub(crate) fn push(&mut self, due: Instant, bytes: usize, datagram: T) -> bool {
        if self.bytes + bytes > ROOM {
            return false;
        }
        self.bytes += bytes;
        self.next += 1;
        self.heap.push(Item {
            due,
            number: self.next,
            bytes,
            datagram,
        });
        true
    }

    /// When the next one arrives.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.heap.peek().map(|item| item.due)
    }

    /// The next one that has arrived by now.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<T> {
        if self.due()? > now {
            return None;
        }
        let item = self.heap.pop()?;
        self.bytes -= item.bytes;
        Some(item.datagram)
    }
}

impl<T> PartialEq for Item<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Item<T> {}

impl<T> PartialOrd for Item<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Item<T> {
    /// The heap gives the greatest first, which is to be the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn they_arrive_by_time_and_then_by_order() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut way = OnTheWay::new();
        for (due, name) in [(20, "c"), (10, "a"), (10, "b")] {
            assert!(way.push(at(due), 100, name));
        }
        assert_eq!(way.due(), Some(at(10)));
        assert_eq!(way.pop(at(9)), None);
        let mut got = Vec::new();
        while let Some(name) = way.pop(at(20)) {
            got.push(name);
        }
        assert_eq!(got, ["a", "b", "c"]);
        assert_eq!(way.due(), None);
    }

    #[test]
    fn what_finds_no_room_is_lost() {
        let now = Instant::now();
        let mut way = OnTheWay::new();
        assert!(way.push(now, ROOM, ()));
        assert!(!way.push(now, 1, ()));
        way.pop(now).unwrap();
        assert!(way.push(now, 1, ()));
    }
}
