//! When each packet leaves: at a steady rate, sound first.
//!
//! A picture is a burst of packets; sent at once, it fills the bottleneck's queue, delays the sound
//! and looks like congestion. Probes leave through here too, at their own rate, with packets that
//! wait anyway or, where none do, with padding.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Moment;
use crate::probe::Cluster;

/// What leaves in one go, to spare wake-ups.
const BURST: f64 = 0.005;
/// Seconds of lateness that are made up for.
const CATCH_UP: f64 = 0.05;
/// What is held leaves within this time, even if the rate has to be exceeded for it.
const LONGEST_QUEUE: f64 = 2.0;
/// Packets held; newer ones are refused.
const PACKETS: usize = 4_096;
/// Bytes of a packet of padding.
const PADDING: usize = 1_200;
/// A burst at a probe's rate is not finer than this.
const PROBE_STEP: f64 = 0.001;
/// Retransmissions that leave for each packet of a picture that waits.
const AGAIN: u32 = 2;
/// A probe that could not leave for so long is given up.
const STALE: Duration = Duration::from_secs(1);

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// At once.
    Sound,
    /// What was lost before: two for each packet of a picture.
    Again,
    /// In turn.
    Picture,
}

/// What is to be sent now.
#[derive(Debug, PartialEq)]
pub enum Leaves<T> {
    /// A packet.
    Packet {
        /// As it was given.
        packet: T,
        /// On the wire.
        bytes: usize,
        /// It is part of this burst.
        probe: Option<u32>,
        /// It was held so long.
        waited: Duration,
    },
    /// A probe needs this many bytes more, of whatever kind.
    Padding {
        /// On the wire.
        bytes: usize,
        /// It is part of this burst.
        probe: u32,
    },
}

#[derive(Debug)]
struct Held<T> {
    since: Moment,
    bytes: usize,
    packet: T,
}

#[derive(Debug)]
struct Probing {
    cluster: Cluster,
    asked: Moment,
    began: Option<Moment>,
    packets: u32,
    bytes: usize,
}

impl Probing {
    /// When its next packet may leave.
    fn due(&self) -> Moment {
        match self.began {
            None => Duration::ZERO,
            Some(began) => {
                began + Duration::from_secs_f64(self.bytes as f64 * 8.0 / self.cluster.rate)
            }
        }
    }

    fn over(&self) -> bool {
        self.packets >= self.cluster.packets && self.bytes >= self.cluster.bytes
    }
}

/// See the module.
#[derive(Debug)]
pub struct Pacer<T> {
    sound: VecDeque<Held<T>>,
    again: VecDeque<Held<T>>,
    picture: VecDeque<Held<T>>,
    /// Bytes in the two that are paced.
    held: usize,
    rate: f64,
    /// Bytes that left and that the rate has not paid for.
    debt: f64,
    updated: Moment,
    probes: VecDeque<Probing>,
    /// Retransmissions that left since the last packet of a picture.
    turn: u32,
    /// Nothing but sound and probes leaves.
    closed: bool,
}

impl<T> Pacer<T> {
    /// Empty, at so many bits a second.
    #[must_use]
    pub const fn new(rate: f64) -> Self {
        Self {
            sound: VecDeque::new(),
            again: VecDeque::new(),
            picture: VecDeque::new(),
            held: 0,
            rate,
            debt: 0.0,
            updated: Duration::ZERO,
            probes: VecDeque::new(),
            turn: 0,
            closed: false,
        }
    }

    /// Nothing but sound and probes leaves, until it is opened again.
    pub const fn close(&mut self, closed: bool) {
        self.closed = closed;
    }

    /// Throws away all that waits, but sound.
    pub fn clear(&mut self) {
        self.again.clear();
        self.picture.clear();
        self.held = 0;
        self.debt = self.debt.min(0.0);
    }

    /// Another rate from now on.
    pub fn set_rate(&mut self, now: Moment, rate: f64) {
        self.pay(now);
        self.rate = rate.max(1.0);
    }

    /// Sends this burst as soon as the ones before it are over.
    pub fn probe(&mut self, now: Moment, cluster: Cluster) {
        self.probes.push_back(Probing {
            cluster,
            asked: now,
            began: None,
            packets: 0,
            bytes: 0,
        });
    }

    /// Takes a packet in, unless too many are held: the caller drops it.
    ///
    /// # Errors
    /// Gives the packet back.
    pub fn push(
        &mut self,
        now: Moment,
        priority: Priority,
        bytes: usize,
        packet: T,
    ) -> Result<(), T> {
        if self.len() >= PACKETS {
            return Err(packet);
        }
        self.pay(now);
        let held = Held {
            since: now,
            bytes,
            packet,
        };
        match priority {
            Priority::Sound => self.sound.push_back(held),
            Priority::Again => {
                self.held += bytes;
                self.again.push_back(held);
            }
            Priority::Picture => {
                self.held += bytes;
                self.picture.push_back(held);
            }
        }
        Ok(())
    }

    /// Packets held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sound.len() + self.again.len() + self.picture.len()
    }

    /// Nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of pictures that are held.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// The next thing that may leave now.
    pub fn next(&mut self, now: Moment) -> Option<Leaves<T>> {
        self.pay(now);
        if let Some(held) = self.sound.pop_front() {
            self.debt += held.bytes as f64;
            return Some(held.leaves(now, None));
        }
        while let Some(probing) = self.probes.front() {
            if probing.began.is_some() || now.saturating_sub(probing.asked) < STALE {
                return self.next_of_probe(now);
            }
            self.probes.pop_front();
        }
        if self.closed || self.debt > self.speed() * BURST / 8.0 {
            return None;
        }
        let held = self.pop()?;
        self.debt += held.bytes as f64;
        Some(held.leaves(now, None))
    }

    fn next_of_probe(&mut self, now: Moment) -> Option<Leaves<T>> {
        let due = self.probes.front()?.due();
        if due > now + Duration::from_secs_f64(PROBE_STEP / 2.0) {
            return None;
        }
        let held = self.pop();
        let probing = self.probes.front_mut()?;
        let id = probing.cluster.id;
        let left = probing.cluster.bytes.saturating_sub(probing.bytes);
        let padding = left.clamp(200, PADDING);
        let bytes = held.as_ref().map_or(padding, |held| held.bytes);
        probing.began.get_or_insert(now);
        probing.packets += 1;
        probing.bytes += bytes;
        if probing.over() {
            self.probes.pop_front();
        }
        self.debt += bytes as f64;
        Some(match held {
            Some(held) => held.leaves(now, Some(id)),
            None => Leaves::Padding { bytes, probe: id },
        })
    }

    fn pop(&mut self) -> Option<Held<T>> {
        // Many losses must not keep everything new from being sent.
        let turn = self.turn < AGAIN || self.picture.is_empty();
        let held = match self.again.pop_front_if(|_| turn) {
            Some(held) => {
                self.turn += 1;
                held
            }
            None => {
                self.turn = 0;
                self.picture.pop_front()?
            }
        };
        self.held -= held.bytes;
        Some(held)
    }

    /// When something more may leave; `None` while nothing is held, or may not leave.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        if !self.sound.is_empty() {
            return Some(self.updated);
        }
        if let Some(probing) = self.probes.front() {
            return Some(probing.due().max(self.updated));
        }
        if self.closed || self.again.is_empty() && self.picture.is_empty() {
            return None;
        }
        let wait = if self.debt > self.speed() * BURST / 8.0 {
            (self.debt * 8.0 / self.speed()).max(0.0)
        } else {
            0.0
        };
        Some(self.updated + Duration::from_secs_f64(wait))
    }

    /// Bits a second, more where too much is held.
    fn speed(&self) -> f64 {
        self.rate.max(self.held as f64 * 8.0 / LONGEST_QUEUE)
    }

    fn pay(&mut self, now: Moment) {
        let passed = now.saturating_sub(self.updated).as_secs_f64();
        self.updated = self.updated.max(now);
        // Who is woken late catches up on what waited meanwhile; time in which nothing waited is gone.
        let credit = if self.held > 0 { CATCH_UP } else { 0.0 };
        let least = -self.speed() * credit / 8.0;
        // Debt of bursts beyond the rate, as probes make, is forgiven after a while.
        let most = self.speed() * 0.5 / 8.0;
        self.debt = (self.debt.min(most) - self.speed() * passed / 8.0).max(least);
    }
}

impl<T> Held<T> {
    fn leaves(self, now: Moment, probe: Option<u32>) -> Leaves<T> {
        Leaves::Packet {
            packet: self.packet,
            bytes: self.bytes,
            probe,
            waited: now.saturating_sub(self.since),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// All that leaves until nothing is held, with when.
    fn all(pacer: &mut Pacer<u32>, mut now: Moment) -> Vec<(Moment, Option<u32>, usize)> {
        let mut left = Vec::new();
        loop {
            while let Some(leaves) = pacer.next(now) {
                left.push(match leaves {
                    Leaves::Packet { packet, bytes, .. } => (now, Some(packet), bytes),
                    Leaves::Padding { bytes, .. } => (now, None, bytes),
                });
            }
            match pacer.due() {
                Some(due) => now = due.max(now + Duration::from_micros(100)),
                None => return left,
            }
        }
    }

    #[test]
    fn a_picture_leaves_at_the_rate_and_sound_at_once() {
        let mut pacer = Pacer::new(1_000_000.0);
        for n in 0..50 {
            pacer
                .push(Moment::ZERO, Priority::Picture, 1_250, n)
                .unwrap();
        }
        pacer
            .push(Moment::ZERO, Priority::Again, 1_250, 90)
            .unwrap();
        pacer.push(Moment::ZERO, Priority::Sound, 100, 99).unwrap();
        let left = all(&mut pacer, Moment::ZERO);
        assert_eq!(left[0].1, Some(99));
        assert_eq!(left[1].1, Some(90));
        let took = left.last().unwrap().0;
        assert!(
            (Duration::from_millis(460)..Duration::from_millis(540)).contains(&took),
            "{took:?}"
        );
    }

    #[test]
    fn waking_late_costs_no_rate_and_idle_time_gives_none() {
        let mut pacer = Pacer::new(1_000_000.0);
        let late = Duration::from_millis(40);
        for n in 0..100 {
            pacer.push(late * 10, Priority::Picture, 1_250, n).unwrap();
        }
        let mut left = Vec::new();
        for wake in 10..22 {
            let mut count = 0;
            while pacer.next(late * wake).is_some() {
                count += 1;
            }
            left.push(count);
        }
        assert!(left[0] <= 2, "{left:?}");
        assert!((42..=48).contains(&left.iter().sum::<i32>()), "{left:?}");
    }

    #[test]
    fn more_than_two_seconds_are_never_held_back() {
        let mut pacer = Pacer::new(100_000.0);
        for n in 0..100 {
            pacer
                .push(Moment::ZERO, Priority::Picture, 1_250, n)
                .unwrap();
        }
        let took = all(&mut pacer, Moment::ZERO).last().unwrap().0;
        assert!(
            took < Duration::from_secs(6),
            "{took:?} instead of ten seconds"
        );
    }

    #[test]
    fn closed_it_lets_sound_pass_alone_and_what_is_thrown_away_never_leaves() {
        let mut pacer = Pacer::new(1_000_000.0);
        pacer.close(true);
        pacer
            .push(Moment::ZERO, Priority::Picture, 1_000, 1)
            .unwrap();
        pacer.push(Moment::ZERO, Priority::Again, 1_000, 2).unwrap();
        pacer.push(Moment::ZERO, Priority::Sound, 100, 3).unwrap();
        let left = all(&mut pacer, Moment::ZERO);
        assert_eq!(left.iter().map(|l| l.1).collect::<Vec<_>>(), [Some(3)]);
        assert_eq!((pacer.due(), pacer.held()), (None, 2_000));
        pacer.clear();
        pacer.close(false);
        pacer
            .push(Moment::ZERO, Priority::Picture, 1_000, 4)
            .unwrap();
        let left = all(&mut pacer, Moment::ZERO);
        assert_eq!(left.iter().map(|l| l.1).collect::<Vec<_>>(), [Some(4)]);
    }

    #[test]
    fn a_probe_leaves_at_its_own_rate_with_padding_where_nothing_waits() {
        let mut pacer = Pacer::new(300_000.0);
        pacer
            .push(Moment::ZERO, Priority::Picture, 1_000, 1)
            .unwrap();
        let cluster = Cluster {
            id: 1,
            rate: 4_000_000.0,
            packets: 5,
            bytes: 7_500,
        };
        pacer.probe(Moment::ZERO, cluster);
        let left = all(&mut pacer, Moment::ZERO);
        assert_eq!(left[0].1, Some(1));
        assert!(left[1..].iter().all(|(_, packet, _)| packet.is_none()));
        let bytes: usize = left.iter().map(|(_, _, bytes)| bytes).sum();
        assert!((7_500..9_000).contains(&bytes));
        let took = left.last().unwrap().0;
        assert!(
            (Duration::from_millis(8)..Duration::from_millis(18)).contains(&took),
            "{took:?}"
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_in_leaves_once_and_in_order(sizes in prop::collection::vec((0u8..3, 1usize..1_500), 0..200)) {
            let mut pacer = Pacer::new(500_000.0);
            for (n, (kind, bytes)) in sizes.iter().enumerate() {
                let priority = [Priority::Sound, Priority::Again, Priority::Picture][usize::from(*kind)];
                pacer.push(Duration::from_millis(n as u64), priority, *bytes, n as u32).unwrap();
            }
            let left = all(&mut pacer, Duration::from_millis(200));
            prop_assert_eq!(left.len(), sizes.len());
            for kind in 0..3 {
                let of_kind: Vec<u32> = left.iter().filter_map(|(_, p, _)| *p)
                    .filter(|p| sizes[*p as usize].0 == kind).collect();
                prop_assert!(of_kind.is_sorted());
            }
            prop_assert_eq!(pacer.held(), 0);
        }
    }
}
