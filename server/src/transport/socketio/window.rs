//! How much the engine holds of what it was given, told from what went out. Pure.
//!
//! The engine has one queue for each peer, which drops what does not fit and ends the connection when its own ping does
//! not. So it is never given more than a window full: what waits beyond that waits at the [`crate::seat::Seat`], which
//! has bounds and a policy.

use std::collections::VecDeque;

/// Packets in the engine's queue.
pub(super) const QUEUE: usize = 64;

/// Packets that may be under way; the rest of the queue is for the engine's own.
const PACKETS: usize = QUEUE - 16;

/// Bytes that may be under way before nothing more is given; one packet more than that is.
const BYTES: u64 = 64 * 1024;

/// See the module. Counts no framing: what goes out is always more than what was given, so that the window opens early
/// rather than never, and what it is early by is forgotten whenever nothing is under way.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Where each packet under way ends, in bytes since the beginning.
    ends: VecDeque<u64>,
    given: u64,
}

impl Window {
    /// Whether one more packet may be given; `written` is what went out since the beginning.
    pub(super) fn has_room(&mut self, written: u64) -> bool {
        while self.ends.front().is_some_and(|end| *end <= written) {
            self.ends.pop_front();
        }
        if self.ends.is_empty() {
            self.given = written;
        }
        self.ends.len() < PACKETS && self.given.saturating_sub(written) < BYTES
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&mut self, written: u64) -> bool {
        self.has_room(written);
        self.ends.is_empty()
    }

    /// A packet was given.
    pub(super) fn give(&mut self, bytes: usize) {
        self.given += bytes as u64;
        self.ends.push_back(self.given);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_peer_that_reads_nothing_gets_a_window_full() {
        let mut window = Window::default();
        let mut given = 0;
        while window.has_room(0) {
            window.give(10);
            given += 1;
        }
        assert_eq!(given, PACKETS);
        let mut window = Window::default();
        while window.has_room(0) {
            window.give(60_000);
        }
        assert_eq!(window.ends.len(), 2);
        assert!(!window.has_room(54_464));
        assert!(window.has_room(54_465));
        assert!(!window.is_empty(119_999));
        assert!(window.is_empty(120_000));
    }

    proptest! {
        #[test]
        fn it_opens_again_whatever_was_written_beside(
            steps in prop::collection::vec((1_usize..70_000, 0_u64..20), 1..200),
        ) {
            let mut window = Window::default();
            let (mut written, mut under_way) = (0, 0_u64);
            for (bytes, framing) in steps {
                if !window.has_room(written) {
                    written += under_way;
                    under_way = 0;
                }
                prop_assert!(window.has_room(written));
                window.give(bytes);
                under_way += bytes as u64 + framing;
            }
        }
    }
}
