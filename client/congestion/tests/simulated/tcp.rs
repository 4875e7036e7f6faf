//! A TCP connection that always has something to send: slow start, congestion avoidance and fast
//! recovery (RFC 5681, RFC 6582), with an acknowledgement for every segment.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rtc_congestion::Moment;

use super::Link;

const SEGMENT: usize = 1_500;

pub struct Tcp {
    window: f64,
    threshold: f64,
    next: u64,
    acked: u64,
    /// Beyond `acked`.
    held: BTreeSet<u64>,
    acks: VecDeque<(Moment, u64)>,
    recover: u64,
    outstanding: BTreeSet<u64>,
    last_progress: Moment,
    arrived: Vec<usize>,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            window: 10.0,
            threshold: f64::INFINITY,
            next: 0,
            acked: 0,
            held: BTreeSet::new(),
            acks: VecDeque::new(),
            recover: 0,
            outstanding: BTreeSet::new(),
            last_progress: Moment::ZERO,
            arrived: Vec::new(),
        }
    }
}

impl Tcp {
    pub(super) fn step(&mut self, now: Moment, link: &mut Link) {
        while let Some((_, number)) = self.acks.pop_front_if(|(at, _)| *at <= now) {
            self.last_progress = now;
            self.outstanding.remove(&number);
            self.held.insert(number);
            while self.held.remove(&self.acked) {
                self.acked += 1;
            }
            self.window += if self.window < self.threshold {
                1.0
            } else {
                1.0 / self.window
            };
            // Three later ones came: what is missing is lost (selective acknowledgements).
            let lost: Vec<u64> = self
                .outstanding
                .iter()
                .copied()
                .take_while(|n| n + 3 <= number)
                .collect();
            for missing in lost {
                if missing >= self.recover {
                    self.threshold = (self.window / 2.0).max(2.0);
                    self.window = self.threshold;
                    self.recover = self.next;
                }
                // Sent again as a new one.
                self.outstanding.remove(&missing);
                self.held.insert(missing);
            }
        }
        if now.saturating_sub(self.last_progress) > Duration::from_secs(1)
            && !self.outstanding.is_empty()
        {
            self.outstanding.clear();
            self.threshold = (self.window / 2.0).max(2.0);
            self.window = 1.0;
            self.last_progress = now;
        }
        while (self.outstanding.len() as f64) < self.window {
            let number = self.next;
            self.next += 1;
            self.outstanding.insert(number);
            if let Some(at) = link.pass(now, SEGMENT) {
                let tenth = (at.as_millis() / 100) as usize;
                if self.arrived.len() <= tenth {
                    self.arrived.resize(tenth + 1, 0);
                }
                self.arrived[tenth] += SEGMENT;
                if let Some(back) = link.back(at) {
                    self.acks.push_back((back, number));
                }
            }
        }
    }

    /// Bits a second that arrived between two moments.
    pub fn carried(&self, from: f64, to: f64) -> f64 {
        let range = (from * 10.0) as usize..((to * 10.0) as usize).min(self.arrived.len());
        let count = range.len();
        let bytes: usize = self.arrived[range].iter().sum();
        bytes as f64 * 80.0 / count.max(1) as f64
    }
}
