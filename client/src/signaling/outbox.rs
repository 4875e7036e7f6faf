//! What is to be told to the others: kept while the link is down, and until the server said it has it.
//!
//! Bounded to [`CAPACITY`]. When it is full the oldest candidate goes first, since a connection can do without one of
//! several, then the oldest of anything. What was on its way when a link broke is sent again, so a message may arrive
//! twice. Servers answer in order, so if a message ends links, it is the first one without an answer: that one is given
//! up when [`SUSPICION`] is reached. A server that closes the link speaks against it; a network that breaks says little.

use std::collections::{HashSet, VecDeque};

use rtc_protocol::{ClientFrame, ClientMessage, PeerId, Raw, RoomId, Signal};

/// Messages that wait or are not yet answered.
pub(super) const CAPACITY: usize = 256;

/// How much may speak against a message: five links that the server closed, or twenty that broke off.
const SUSPICION: u8 = 20;

/// How a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The server closed it, and may have done so over what it was told.
    Closed,
    /// It broke off.
    Broke,
}

impl End {
    const fn suspicion(self) -> u8 {
        match self {
            Self::Closed => SUSPICION / 5,
            Self::Broke => 1,
        }
    }
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Signal(Signal),
    Message(Raw),
}

#[derive(Debug)]
struct Entry {
    id: u64,
    to: Option<PeerId>,
    content: Content,
    suspicion: u8,
}

/// The messages in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Entry>,
    unanswered: VecDeque<Entry>,
    dropped: u64,
}

impl Outbox {
    /// Takes a message in; the id is one that no other message ever had.
    pub(super) fn push(&mut self, id: u64, to: Option<PeerId>, content: Content) {
        if self.waiting.len() + self.unanswered.len() >= CAPACITY {
            self.make_room();
        }
        self.waiting.push_back(Entry {
            id,
            to,
            content,
            suspicion: 0,
        });
    }

    /// Gives the next message to write, which then counts as unanswered.
    ///
    /// Messages to peers that are not `present` wait: after a server's restart they may be on their way back.
    pub(super) fn next(&mut self, room: &RoomId, present: &HashSet<PeerId>) -> Option<ClientFrame> {
        while let Some(at) = self.ready(present) {
            let entry = self.waiting.remove(at)?;
            let Some(frame) = entry.frame(room) else {
                continue;
            };
            self.unanswered.push_back(entry);
            return Some(frame);
        }
        None
    }

    /// Forgets a message: the server has it, or refused it.
    pub(super) fn answered(&mut self, id: u64) {
        self.unanswered.retain(|entry| entry.id != id);
    }

    /// Puts what was on its way back in front, in order.
    pub(super) fn link_lost(&mut self, end: End) {
        if let Some(first) = self.unanswered.front_mut() {
            first.suspicion += end.suspicion();
            if first.suspicion >= SUSPICION {
                self.unanswered.pop_front();
                self.dropped += 1;
            }
        }
        self.unanswered.append(&mut self.waiting);
        std::mem::swap(&mut self.unanswered, &mut self.waiting);
    }

    /// Forgets what was meant for a peer that is gone for good.
    pub(super) fn forget(&mut self, gone: PeerId) {
        self.waiting.retain(|entry| entry.to != Some(gone));
    }

    /// Whether [`Self::next`] would give anything.
    pub(super) fn has_next(&self, present: &HashSet<PeerId>) -> bool {
        self.ready(present).is_some()
    }

    /// Takes the number of messages given up since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    fn ready(&self, present: &HashSet<PeerId>) -> Option<usize> {
        self.waiting
            .iter()
            .position(|entry| entry.to.is_none_or(|to| present.contains(&to)))
    }

    fn make_room(&mut self) {
        let candidate = self
            .waiting
            .iter()
            .position(|entry| matches!(entry.content, Content::Signal(Signal::Candidate(_))));
        if self.waiting.remove(candidate.unwrap_or(0)).is_some() {
            self.dropped += 1;
        } else {
            // All of it has been written already: one fewer to send again after a loss.
            self.unanswered.pop_front();
        }
    }
}

impl Entry {
    fn frame(&self, room: &RoomId) -> Option<ClientFrame> {
        let (room, to) = (room.clone(), self.to);
        let message = match &self.content {
            Content::Signal(signal) => ClientMessage::Signal {
                room,
                to,
                signal: signal.to_raw().ok()?,
            },
            Content::Message(data) => ClientMessage::Message {
                room,
                to,
                data: data.clone(),
            },
        };
        Some(ClientFrame {
            id: Some(self.id),
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rtc_protocol::{Candidate, Token};

    fn room() -> RoomId {
        RoomId::new("foo").unwrap()
    }

    fn candidate() -> Content {
        Content::Signal(Signal::Candidate(Candidate::default()))
    }

    fn ids(outbox: &mut Outbox) -> Vec<u64> {
        std::iter::from_fn(|| outbox.next(&room(), &HashSet::new()))
            .filter_map(|frame| frame.id)
            .collect()
    }

    #[test]
    fn messages_leave_in_the_order_they_came_in() {
        let mut outbox = Outbox::default();
        for id in 0..5 {
            outbox.push(id, None, candidate());
        }
        assert_eq!(ids(&mut outbox), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn what_was_on_its_way_is_sent_again_before_what_waits() {
        let mut outbox = Outbox::default();
        for id in 0..4 {
            outbox.push(id, None, candidate());
        }
        for _ in 0..3 {
            outbox.next(&room(), &HashSet::new());
        }
        outbox.answered(1);
        outbox.link_lost(End::Broke);
        assert_eq!(ids(&mut outbox), [0, 2, 3]);
        assert_eq!(outbox.take_dropped(), 0);
    }

    #[test]
    fn a_message_that_ends_every_link_is_given_up_and_no_other() {
        for (end, links) in [(End::Closed, 5), (End::Broke, 20)] {
            let mut outbox = Outbox::default();
            for id in 0..4 {
                outbox.push(id, None, candidate());
            }
            for _ in 0..links {
                assert_eq!(ids(&mut outbox), [0, 1, 2, 3]);
                outbox.link_lost(end);
            }
            assert_eq!(ids(&mut outbox), [1, 2, 3]);
            assert_eq!(outbox.take_dropped(), 1);
        }
    }

    #[test]
    fn a_full_outbox_loses_its_oldest_candidate_first() {
        let mut outbox = Outbox::default();
        outbox.push(0, None, Content::Signal(Signal::Restart));
        outbox.push(1, None, candidate());
        for id in 2..256 {
            outbox.push(id, None, Content::Signal(Signal::Restart));
        }
        outbox.push(256, None, Content::Signal(Signal::Restart));
        outbox.push(257, None, candidate());
        let left = ids(&mut outbox);
        assert_eq!(left.len(), CAPACITY);
        assert_eq!((left[0], left[1], left[255]), (2, 3, 257));
        assert_eq!(outbox.take_dropped(), 2);
    }

    #[test]
    fn the_bound_counts_what_is_unanswered_too() {
        let mut outbox = Outbox::default();
        for id in 0..1000 {
            outbox.push(id, None, candidate());
            outbox.next(&room(), &HashSet::new());
        }
        outbox.link_lost(End::Broke);
        let left = ids(&mut outbox);
        assert_eq!(left.len(), CAPACITY);
        assert_eq!((left[0], left[255]), (744, 999));
    }

    #[test]
    fn messages_to_absent_peers_wait_for_them_and_go_with_them() {
        let mut outbox = Outbox::default();
        let here = Token::from_random([1; 32]).peer_id();
        let away = Token::from_random([2; 32]).peer_id();
        let gone = Token::from_random([3; 32]).peer_id();
        for (id, to) in [Some(away), Some(gone), Some(here), None, Some(away)]
            .into_iter()
            .enumerate()
        {
            outbox.push(id as u64, to, candidate());
        }
        let mut present = HashSet::from([here]);
        let ids = |outbox: &mut Outbox, present: &HashSet<PeerId>| {
            std::iter::from_fn(|| outbox.next(&room(), present))
                .filter_map(|frame| frame.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&mut outbox, &present), [2, 3]);
        assert!(!outbox.has_next(&present));
        outbox.forget(gone);
        present.extend([away, gone]);
        assert_eq!(ids(&mut outbox, &present), [0, 4]);
    }
}
