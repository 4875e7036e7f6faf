//! Losses that a lower rate would spare, and those that it would not.
//!
//! A full queue drops packets, and so does bad radio, which does so at any rate. Draft-ietf-rmcat-gcc-02, section 6
//! backs off from both. Here the two are told apart by trying: where more is lost than
//! was lost before, the rate goes down for a moment. If fewer packets are lost then, the queue was full, and the rate
//! goes up again slowly; if not, the loss is the path's own, and the rate goes back to where it was.

use std::collections::VecDeque;
use std::time::Duration;

use crate::{Moment, millis};

/// Packets are counted over this time, and not more than so many.
const WINDOW: Duration = Duration::from_secs(1);
const PACKETS: usize = 1_000;
/// Fewer tell nothing.
const FEWEST: usize = 30;
/// So many, or so long with the fewest, decide a trial.
const DECISIVE: usize = 80;
const LONGEST_TRIAL: Duration = Duration::from_millis(1_500);
/// What nobody cares about.
const HARMLESS: f64 = 0.02;
/// A path that carries nothing for so long, and so many packets, is cut, not full.
const CUT: Duration = Duration::from_millis(300);
const CUT_PACKETS: u32 = 10;
/// Loss of the path's own is not believed beyond this.
const MOST_INHERENT: f64 = 0.5;
/// Excess from which on what arrived is taken at its word.
const FLOOD: f64 = 0.3;
/// What is left of the rate where a little is lost, and where others fill the queue: TCP gives way as far.
const GIVES: f64 = 0.95;
const YIELDS: f64 = 0.7;
/// Each second, after the queue was found full.
const GROWTH: f64 = 1.05;
/// The share of its own loss that is learned and forgotten in a second.
const LEARNS: f64 = 0.1;
const FORGETS: f64 = 0.6;

#[derive(Clone, Copy, Debug)]
struct Trial {
    before: f64,
    excess: f64,
    began: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    first: Moment,
    last: Moment,
    packets: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    /// Lost, with nothing arrived since.
    run: Option<Run>,
    /// When it left and whether it was lost.
    counted: VecDeque<(Moment, bool)>,
    /// Only what left after this is counted.
    since: Moment,
    /// Share of the path's own.
    inherent: f64,
    cap: Option<f64>,
    trial: Option<Trial>,
    judged: Option<Moment>,
}

impl Loss {
    /// One packet's fate, in the order of departure. True where the path was cut for a while until this packet.
    pub(crate) fn see(&mut self, left: Moment, lost: bool) -> bool {
        if lost {
            let run = self.run.get_or_insert(Run {
                first: left,
                last: left,
                packets: 0,
            });
            run.last = left;
            run.packets += 1;
            return false;
        }
        let mut cut = false;
        if let Some(run) = self.run.take() {
            cut = run.last.saturating_sub(run.first) >= CUT && run.packets >= CUT_PACKETS;
            if !cut {
                for _ in 0..run.packets {
                    self.count(run.first, true);
                }
            }
        }
        self.count(left, false);
        cut
    }

    fn count(&mut self, left: Moment, lost: bool) {
        if left < self.since {
            return;
        }
        self.counted.push_back((left, lost));
        while self.counted.len() > PACKETS
            || (self.counted.len() > FEWEST
                && self
                    .counted
                    .front()
                    .is_some_and(|(at, _)| left.saturating_sub(*at) > WINDOW))
        {
            self.counted.pop_front();
        }
    }

    /// Share of the packets lost lately.
    pub(crate) fn lately(&self) -> f64 {
        let lost = self.counted.iter().filter(|(_, lost)| *lost).count();
        lost as f64 / self.counted.len().max(1) as f64
    }

    /// Share that would be lost at any rate.
    pub(crate) const fn inherent(&self) -> f64 {
        self.inherent
    }

    /// Not more than this, bits a second.
    pub(crate) const fn cap(&self) -> Option<f64> {
        self.cap
    }

    /// A lower rate is being tried.
    pub(crate) const fn tries(&self) -> bool {
        self.trial.is_some()
    }

    /// Judges what was seen; `rate` is what is sent at, `arrived` what arrived of it; packets wait long where it is `queued`.
    pub(crate) fn judge(&mut self, now: Moment, rate: f64, arrived: Option<f64>, queued: bool) {
        let passed = now.saturating_sub(self.judged.replace(now).unwrap_or(now));
        let seconds = passed.as_secs_f64().min(1.0);
        let count = self.counted.len();
        if count < FEWEST {
            return;
        }
        let lately = self.lately();
        let spread = lately.max(self.inherent).max(0.01);
        let noise = 2.0 * (spread * (1.0 - spread) / count as f64).sqrt();
        if let Some(trial) = self.trial {
            let age = millis(now) - millis(trial.began);
            if count >= DECISIVE || age >= millis(LONGEST_TRIAL) {
                self.trial = None;
                // Where others fill a queue it stays full whatever we do, and what it drops is not the path's own.
                if !queued && lately > trial.before - trial.excess / 2.0 {
                    self.inherent = lately.min(MOST_INHERENT);
                    self.cap = None;
                }
            }
            return;
        }
        if lately > self.inherent + noise + HARMLESS {
            let excess = lately - self.inherent;
            let lowered = match arrived {
                Some(arrived) if excess > FLOOD => arrived / (1.0 - self.inherent) * 0.9,
                _ if queued => rate * (YIELDS - 1.5 * excess).max(0.5),
                _ => rate * (GIVES - 1.5 * excess).max(0.5),
            };
            self.cap = Some(lowered.min(rate));
            self.trial = Some(Trial {
                before: lately,
                excess,
                began: now,
            });
            self.since = now;
            self.counted.clear();
            return;
        }
        let speed = if lately + noise < self.inherent {
            FORGETS
        } else {
            LEARNS
        };
        self.inherent += (lately - self.inherent) * (1.0 - (1.0 - speed).powf(seconds));
        if let Some(cap) = &mut self.cap {
            *cap *= GROWTH.powf(seconds);
        }
    }

    /// What was lost until now is known to be the fault of a path that has shrunk.
    pub(crate) fn forgive(&mut self, now: Moment) {
        self.since = now;
        self.counted.clear();
    }

    /// A probe has shown that the path carries this much again.
    pub(crate) fn lift(&mut self, shown: f64) {
        if self.trial.is_none() && self.lately() <= self.inherent + HARMLESS {
            self.cap = self.cap.map(|cap| cap.max(shown));
        }
    }

    /// The delay alone bounds the rate below: a cap above it is of no use.
    pub(crate) fn forget_cap_above(&mut self, rate: f64) {
        if self.trial.is_none() && self.cap.is_some_and(|cap| cap > rate) {
            self.cap = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 100 packets a second for so long over a path that loses by `luck(n, rate)`.
    fn lasts(loss: &mut Loss, seconds: u64, luck: impl Fn(u64, f64) -> bool) -> Vec<f64> {
        let mut rates = Vec::new();
        for n in 0..seconds * 100 {
            let now = Duration::from_secs(1_000) + Duration::from_millis(n * 10);
            let rate = loss.cap().unwrap_or(1_000_000.0).min(1_000_000.0);
            loss.see(now, luck(n, rate));
            if n % 10 == 9 {
                loss.judge(now, rate, Some(rate * (1.0 - loss.lately())), false);
                loss.forget_cap_above(1_000_000.0);
                rates.push(rate);
            }
        }
        rates
    }

    #[test]
    fn loss_at_any_rate_is_the_paths_own_and_costs_a_moment_only() {
        let mut loss = Loss::default();
        let rates = lasts(&mut loss, 20, |n, _| n % 10 == 3);
        let whole = rates[100..].iter().filter(|rate| **rate >= 1_000_000.0);
        assert_eq!(whole.count(), rates.len() - 100, "{rates:?}");
        assert!((0.05..0.15).contains(&loss.inherent()));
    }

    #[test]
    fn loss_that_a_lower_rate_spares_keeps_the_rate_low() {
        let mut loss = Loss::default();
        let too_much = |n: u64, rate: f64| {
            let share = ((rate - 600_000.0) / rate).max(0.0);
            ((n * 61) % 100) as f64 / 100.0 < share
        };
        let rates = lasts(&mut loss, 30, too_much);
        let mean = rates[50..].iter().sum::<f64>() / (rates.len() - 50) as f64;
        assert!((400_000.0..700_000.0).contains(&mean), "{mean}");
        assert!(loss.inherent() < 0.06, "{}", loss.inherent());
    }

    #[test]
    fn a_cut_is_no_congestion() {
        let mut loss = Loss::default();
        let rates = lasts(&mut loss, 10, |n, _| (300..500).contains(&n));
        assert!(rates.iter().all(|rate| *rate >= 1_000_000.0));
    }
}
