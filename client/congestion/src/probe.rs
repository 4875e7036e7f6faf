//! Short bursts above the present rate, which show whether the path carries more.
//!
//! At the beginning each goes far beyond the last, so that a fast path is used after a few
//! round trips. Later a probe is sent when the application uses so little that nothing else would tell,
//! after the rate fell, to find out when the path is back, and while nobody knows where the path ends.

use std::time::Duration;

use crate::{Moment, rate};

/// How long a burst lasts, and the fewest packets that tell anything.
const LASTS: f64 = 0.015;
const PACKETS: u32 = 5;
/// Times the first rate.
const FIRST: [f64; 2] = [3.0, 6.0];
/// Times what the last probe showed, as long as that is most of what it tried.
const FURTHER: f64 = 2.0;
const MOST: f64 = 0.7;
/// A first burst that showed less than that may have met something else: it is tried again so soon, for so long.
const TRIED_AGAIN: Duration = Duration::from_millis(400);
const CLIMBS: Duration = Duration::from_millis(2_500);
/// No news of a probe for so long: it is lost.
const LOST: Duration = Duration::from_secs(1);
const LOST_AT_FIRST: Duration = Duration::from_millis(500);
/// Between probes at first, when they are more likely to find something, and at most after some in vain.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_IN_HOPE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The rate fell when it is below this share of what it was.
const FELL: f64 = 0.66;
/// The memory of what it was fades by half in so many seconds.
const FADES: f64 = 30.0;
/// Arrived packets of a burst that suffice.
const ENOUGH: f64 = 0.8;
const ENOUGH_AT_THE_END: f64 = 0.55;
/// Arriving faster than it left, a burst was held and let go at once: it tells nothing.
const SQUEEZED: f64 = 2.0;

/// One burst to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cluster {
    /// To be given back with each of its packets.
    pub id: u32,
    /// Bits a second.
    pub rate: f64,
    /// Packets at least.
    pub packets: u32,
    /// Bytes at least.
    pub bytes: usize,
}

#[derive(Debug)]
struct Running {
    cluster: Cluster,
    began: Moment,
    sent: usize,
    told: u32,
    left: Option<(Moment, Moment)>,
    /// Of the packet that left last.
    last_left: usize,
    told_bytes: usize,
    arrived: Option<(Moment, Moment)>,
    /// Of the packet that arrived first.
    first_arrived: usize,
    bytes: usize,
    packets: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// Nothing was sent yet.
    Before,
    /// The beginning: each result may call for a further probe.
    Climbs,
    Steady,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Probes {
    next: u32,
    phase: Phase,
    wanted: Vec<f64>,
    running: Vec<Running>,
    last: Moment,
    began: Moment,
    /// When a first burst is tried again, and at how many bits a second.
    again: Option<(Moment, f64)>,
    pause: Duration,
    /// What the rate was at its best lately.
    best: f64,
    seen: Moment,
}

/// What is known when a probe may be due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance {
    pub(crate) rate: f64,
    pub(crate) highest: f64,
    pub(crate) app_limited_since: Option<Moment>,
    /// Nothing has shown for long where the path ends.
    pub(crate) unknown: bool,
    /// The queue grows, or losses are being looked into.
    pub(crate) trouble: bool,
}

impl Probes {
    pub(crate) const fn new() -> Self {
        Self {
            next: 1,
            phase: Phase::Before,
            wanted: Vec::new(),
            running: Vec::new(),
            last: Duration::ZERO,
            began: Duration::ZERO,
            again: None,
            pause: PAUSE,
            best: 0.0,
            seen: Duration::ZERO,
        }
    }

    /// The next burst, if one is due.
    pub(crate) fn next(&mut self, now: Moment, chance: Chance) -> Option<Cluster> {
        let passed = now.saturating_sub(self.seen).as_secs_f64();
        self.seen = now;
        self.best = (self.best * 0.5f64.powf(passed / FADES)).max(chance.rate);
        let climbs = self.phase == Phase::Climbs;
        let patience = if climbs { LOST_AT_FIRST } else { LOST };
        let is_lost = |running: &Running| now.saturating_sub(running.began) >= patience;
        if climbs
            && let Some(lost) = self.running.iter().rfind(|running| is_lost(running))
            && now.saturating_sub(self.began) < CLIMBS
        {
            self.again = Some((now, lost.cluster.rate));
        }
        self.running.retain(|running| !is_lost(running));
        if self.phase == Phase::Before {
            self.phase = Phase::Climbs;
            self.wanted = FIRST.iter().map(|times| chance.rate * times).collect();
            self.last = now;
            self.began = now;
        }
        if let Some((_, rate)) = self.again.take_if(|(at, _)| *at <= now && !chance.trouble) {
            self.wanted.push(rate.max(chance.rate * FURTHER));
            self.last = now;
        }
        if self.again.is_none()
            && self.phase == Phase::Climbs
            && self.wanted.is_empty()
            && self.running.is_empty()
        {
            self.phase = Phase::Steady;
        }
        if self.phase == Phase::Steady && self.running.is_empty() && !chance.trouble {
            self.later(now, chance);
        }
        if self.wanted.is_empty() {
            return None;
        }
        let rate = self.wanted.remove(0).min(chance.highest);
        if rate <= chance.rate * 1.05 {
            self.wanted.clear();
            return None;
        }
        if rate >= chance.highest {
            self.wanted.clear();
        }
        Some(self.cluster(now, rate))
    }

    fn later(&mut self, now: Moment, chance: Chance) {
        let fell = chance.rate < self.best * FELL;
        let pause = if fell || chance.unknown {
            self.pause.min(PAUSE_IN_HOPE.max(self.pause / 4))
        } else {
            self.pause
        };
        if now.saturating_sub(self.last) < pause {
            return;
        }
        let idle = chance
            .app_limited_since
            .is_some_and(|since| now.saturating_sub(since) >= LOST);
        if fell || idle || chance.unknown {
            self.last = now;
            self.wanted.push(chance.rate * FURTHER);
        }
    }

    fn cluster(&mut self, now: Moment, rate: f64) -> Cluster {
        let cluster = Cluster {
            id: self.next,
            rate,
            packets: PACKETS,
            bytes: (rate * LASTS / 8.0) as usize,
        };
        self.next = self.next.wrapping_add(1);
        self.running.push(Running {
            cluster,
            began: now,
            sent: 0,
            told: 0,
            left: None,
            last_left: 0,
            told_bytes: 0,
            arrived: None,
            first_arrived: 0,
            bytes: 0,
            packets: 0,
        });
        cluster
    }

    /// The beginning, when a rate is sought.
    pub(crate) fn climbs(&self) -> bool {
        self.phase != Phase::Steady
    }

    /// The path has shrunk: it may grow again.
    pub(crate) const fn hope(&mut self) {
        self.pause = PAUSE;
        self.again = None;
    }

    /// A packet of a burst leaves.
    pub(crate) fn leaves(&mut self, id: u32, bytes: usize) {
        if let Some(running) = self.find(id) {
            running.sent += bytes;
        }
    }

    fn find(&mut self, id: u32) -> Option<&mut Running> {
        self.running.iter_mut().find(|r| r.cluster.id == id)
    }

    /// The fate of a packet of a burst, in the order of departure.
    pub(crate) fn told(&mut self, id: u32, bytes: usize, left: Moment, arrived: Option<Moment>) {
        let Some(running) = self.find(id) else { return };
        running.told += 1;
        running.told_bytes += bytes;
        let Some(arrived) = arrived else { return };
        running.packets += 1;
        running.bytes += bytes;
        running.last_left = bytes;
        let first_left = running.left.map_or(left, |(first, _)| first);
        running.left = Some((first_left, left));
        running.arrived = match running.arrived {
            None => {
                running.first_arrived = bytes;
                Some((arrived, arrived))
            }
            Some((first, last)) => Some((first.min(arrived), last.max(arrived))),
        };
    }

    /// What the path carries, where a burst has shown it; `present` is what it is thought to be.
    pub(crate) fn result(&mut self, present: f64, highest: f64) -> Option<f64> {
        let mut best: Option<f64> = None;
        let mut at = 0;
        while at < self.running.len() {
            let running = &self.running[at];
            if !running.complete() {
                at += 1;
                continue;
            }
            let running = self.running.remove(at);
            let Some(shown) = running.shown() else {
                if self.phase == Phase::Climbs && self.seen.saturating_sub(self.began) < CLIMBS {
                    self.again = Some((self.seen + TRIED_AGAIN, running.cluster.rate));
                }
                continue;
            };
            best = Some(best.map_or(shown, |best| best.max(shown)));
            if self.phase == Phase::Climbs
                && shown > running.cluster.rate * MOST
                && self.wanted.is_empty()
                && self.running.is_empty()
                && running.cluster.rate < highest
            {
                self.wanted.push(shown * FURTHER);
            }
            if self.phase == Phase::Climbs
                && self.wanted.is_empty()
                && self.running.is_empty()
                && running.cluster.rate < highest
                && self.seen.saturating_sub(self.began) < CLIMBS
            {
                let at = self.seen + TRIED_AGAIN;
                self.again = Some((at, shown * FURTHER));
            }
            if self.phase == Phase::Steady {
                let gained = shown > present * 1.1;
                self.pause = if gained {
                    PAUSE
                } else {
                    (self.pause * 2).min(LONGEST_PAUSE)
                };
                if gained && shown > running.cluster.rate * MOST && shown < highest {
                    self.wanted.push(shown * FURTHER);
                } else if gained && shown < highest {
                    self.again = Some((self.seen + TRIED_AGAIN, shown * FURTHER));
                }
            }
        }
        best
    }
}

impl Running {
    fn complete(&self) -> bool {
        let share = |part: f64, of: f64| part >= of;
        let bytes = self.cluster.bytes.min(self.sent) as f64;
        let packets = f64::from(self.cluster.packets);
        let enough = |of: f64| {
            share(self.bytes as f64, bytes * of) && share(f64::from(self.packets), packets * of)
        };
        let all_sent = self.sent >= self.cluster.bytes;
        let all_told = self.told_bytes >= self.sent;
        all_sent
            && (enough(ENOUGH) && (all_told || self.told_bytes as f64 >= 0.9 * self.sent as f64)
                || all_told && enough(ENOUGH_AT_THE_END))
    }

    fn shown(&self) -> Option<f64> {
        let (first_left, last_left) = self.left?;
        let (first_arrived, last_arrived) = self.arrived?;
        let sent = (last_left.checked_sub(first_left)?).as_secs_f64();
        let taken = (last_arrived.checked_sub(first_arrived)?).as_secs_f64();
        if sent <= 0.0 || taken <= 0.0 || sent > 1.0 || taken > 1.0 {
            return None;
        }
        let left = rate(self.bytes.saturating_sub(self.last_left) as f64, sent);
        let arrived = rate(self.bytes.saturating_sub(self.first_arrived) as f64, taken);
        if arrived > left * SQUEEZED {
            return None;
        }
        // What comes slower than it left has met the bottleneck: a little less keeps its queue empty.
        let shown = if arrived < left * 0.9 {
            arrived * 0.95
        } else {
            arrived.min(left)
        };
        Some(shown)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CHANCE: Chance = Chance {
        rate: 300_000.0,
        highest: 10_000_000.0,
        app_limited_since: None,
        unknown: false,
        trouble: false,
    };

    /// Sends the burst over a path of so many bits a second; gives what the probe showed.
    fn over(probes: &mut Probes, cluster: Cluster, present: f64, carries: f64) -> Option<f64> {
        let mut left = Duration::from_secs(1);
        let mut free = Duration::ZERO;
        let mut sent = 0;
        let mut fates = Vec::new();
        while sent < cluster.bytes || fates.len() < 5 {
            probes.leaves(cluster.id, 1_000);
            free = free.max(left) + Duration::from_secs_f64(8_000.0 / carries);
            fates.push((left, free));
            left += Duration::from_secs_f64(8_000.0 / cluster.rate);
            sent += 1_000;
        }
        for (left, arrived) in fates {
            probes.told(cluster.id, 1_000, left, Some(arrived));
        }
        probes.result(present, CHANCE.highest)
    }

    #[test]
    fn a_fast_path_is_climbed_in_a_few_probes() {
        let mut probes = Probes::new();
        let first = probes.next(Duration::ZERO, CHANCE).unwrap();
        let second = probes.next(Duration::ZERO, CHANCE).unwrap();
        assert_eq!((first.rate, second.rate), (900_000.0, 1_800_000.0));
        assert_eq!(probes.next(Duration::ZERO, CHANCE), None);
        over(&mut probes, first, 300_000.0, 1e9).unwrap();
        let shown = over(&mut probes, second, 900_000.0, 1e9).unwrap();
        assert!((1_700_000.0..1_900_000.0).contains(&shown), "{shown}");
        let third = probes.next(Duration::from_millis(100), CHANCE).unwrap();
        assert!(third.rate > 3_400_000.0);
        let shown = over(&mut probes, third, 1_800_000.0, 2_500_000.0).unwrap();
        assert!(
            (2_200_000.0..2_500_000.0).contains(&shown),
            "the bottleneck: {shown}"
        );
        assert_eq!(probes.next(Duration::from_millis(200), CHANCE), None);
    }

    #[test]
    fn after_a_fall_the_path_is_asked_again_and_less_often_in_vain() {
        let mut probes = Probes::new();
        let mut now = Duration::ZERO;
        let high = Chance {
            rate: 2_000_000.0,
            ..CHANCE
        };
        while probes.next(now, high).is_some() {}
        let mut times = Vec::new();
        for _ in 0..600 {
            now += Duration::from_millis(100);
            if let Some(cluster) = probes.next(
                now,
                Chance {
                    rate: 500_000.0,
                    ..CHANCE
                },
            ) {
                times.push(now);
                over(&mut probes, cluster, 500_000.0, 500_000.0);
            }
        }
        assert!((3..15).contains(&times.len()), "{times:?}");
    }
}
