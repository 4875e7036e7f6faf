//! One direction of a path, as a pure machine: for each datagram, whether and when it arrives.
//!
//! In this order, as on a real path: chance takes some (single losses, bursts), then the
//! bottleneck's queue takes those that find it full and delays the others by what lies before
//! them, then the way itself takes its time, with jitter.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::LONGEST;
use super::spec::{Conditions, Profile, Queue, Rate};
use super::trace::MTU;

/// IPv4 and UDP headers: the bottleneck carries them too.
const HEADERS: usize = 28;

/// What becomes of a datagram. Times count from the path's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives then.
    Arrives(Duration),
    /// It arrives twice.
    Twice(Duration, Duration),
}

/// What became of the datagrams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them; the others add up to it, but for `doubled` and `reordered`, which also arrived.
    pub seen: u64,
    /// Lost by chance, single or in bursts.
    pub lost: u64,
    /// Lost because the bottleneck's queue was full.
    pub overflowed: u64,
    /// Arrived, or will.
    pub passed: u64,
    /// Arrived twice.
    pub doubled: u64,
    /// Held back behind later ones.
    pub reordered: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Path {
    profile: Profile,
    chance: StdRng,
    /// In the bad state of the burst model.
    bad: bool,
    /// When the bottleneck has sent what it holds.
    free: Duration,
    /// The next line of the trace that nobody has used, and what is left of the one in use.
    line: u64,
    left: usize,
    /// The latest arrival, for the order.
    newest: Duration,
    /// Where the profile's steps count from.
    base: Duration,
    counts: Counts,
}

impl Path {
    /// A path whose luck follows from the seed.
    #[must_use]
    pub fn new(profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            chance: StdRng::seed_from_u64(seed),
            bad: false,
            free: Duration::ZERO,
            line: 0,
            left: 0,
            newest: Duration::ZERO,
            base: Duration::ZERO,
            counts: Counts::default(),
        }
    }

    /// Other conditions from now on.
    pub fn change(&mut self, now: Duration, profile: Profile) {
        self.profile = profile;
        self.base = now;
        self.line = 0;
        self.left = 0;
    }

    /// What became of the datagrams so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Decides about one datagram of so many bytes that is sent now.
    pub fn pass(&mut self, now: Duration, bytes: usize) -> Fate {
        self.counts.seen += 1;
        let at = now.saturating_sub(self.base);
        let conditions = self.profile.at(at).clone();
        // Every draw is made for every datagram: one more loss does not change the others' luck.
        let draws: [f64; 6] = self.chance.random();
        let [flip, burst, single, late, double, jitter] = draws;
        if self.takes(&conditions, flip, burst, single) {
            self.counts.lost += 1;
            return Fate::Lost;
        }
        let Some(sent) = self.through_bottleneck(&conditions, now, bytes) else {
            self.counts.overflowed += 1;
            return Fate::Lost;
        };
        let spread = conditions.jitter.mul_f64(jitter * 2.0);
        let way = (conditions.delay + spread).saturating_sub(conditions.jitter);
        let mut arrival = sent + way;
        if late < conditions.reorder {
            self.counts.reordered += 1;
            arrival += conditions.reorder_by;
        } else {
            arrival = arrival.max(self.newest);
            self.newest = arrival;
        }
        if arrival.saturating_sub(now) > LONGEST {
            self.counts.overflowed += 1;
            return Fate::Lost;
        }
        self.counts.passed += 1;
        if double < conditions.duplicate {
            self.counts.doubled += 1;
            return Fate::Twice(arrival, arrival);
        }
        Fate::Arrives(arrival)
    }

    /// Whether chance takes it: Gilbert and Elliott's two states for bursts, a coin for the rest.
    fn takes(&mut self, conditions: &Conditions, flip: f64, burst: f64, single: f64) -> bool {
        let in_burst = conditions.burst.is_some_and(|model| {
            let turns = if self.bad { model.recover } else { model.begin };
            if flip < turns {
                self.bad = !self.bad;
            }
            burst
                < if self.bad {
                    model.loss_in
                } else {
                    model.loss_out
                }
        });
        in_burst || single < conditions.loss
    }

    /// When the bottleneck has sent it; none where the queue before it is full.
    fn through_bottleneck(
        &mut self,
        conditions: &Conditions,
        now: Duration,
        bytes: usize,
    ) -> Option<Duration> {
        let bytes = bytes + HEADERS;
        match &conditions.rate {
            Rate::Unlimited => Some(now),
            Rate::Bits(rate) => {
                let waits = self.free.saturating_sub(now);
                let held = waits.as_secs_f64() * *rate as f64 / 8.0;
                if !conditions.queue.takes(waits, held, bytes) {
                    return None;
                }
                let takes = Duration::from_secs_f64(bytes as f64 * 8.0 / *rate as f64);
                self.free = self.free.max(now) + takes;
                Some(self.free)
            }
            Rate::Trace(trace) => {
                let waits = self.free.saturating_sub(now);
                let held = waits.as_secs_f64() * trace.mean_rate() / 8.0;
                if !conditions.queue.takes(waits, held, bytes) {
                    return None;
                }
                // What was not used of a line when nothing waited is gone.
                if self.free < now {
                    self.left = 0;
                }
                let mut sent = self.free.max(now);
                let mut need = bytes;
                while need > self.left {
                    need -= self.left;
                    let from = sent.saturating_sub(self.base);
                    let (line, time) = trace.next(self.line, from);
                    self.line = line + 1;
                    self.left = MTU;
                    sent = self.base + time;
                }
                self.left -= need;
                self.free = sent;
                Some(sent)
            }
        }
    }
}

impl Queue {
    /// Whether a datagram finds room behind what waits already. One is always sent, however small the queue.
    fn takes(self, waits: Duration, held: f64, bytes: usize) -> bool {
        match self {
            Self::Time(most) => waits <= most,
            Self::Bytes(most) => waits.is_zero() || held + bytes as f64 <= most as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::spec::Spec;
    use super::*;

    fn path(text: &str) -> Path {
        let spec = Spec::parse(text, |_| Ok(String::new())).unwrap();
        Path::new(spec.up, spec.seed)
    }

    /// Sends a datagram every so often for a minute and gives the fates.
    fn minute(path: &mut Path, every: Duration, bytes: usize) -> Vec<(Duration, Fate)> {
        let mut now = Duration::ZERO;
        let mut fates = Vec::new();
        while now < Duration::from_secs(60) {
            fates.push((now, path.pass(now, bytes)));
            now += every;
        }
        fates
    }

    fn delays(fates: &[(Duration, Fate)]) -> Vec<f64> {
        let each = fates.iter().filter_map(|(sent, fate)| match fate {
            Fate::Arrives(at) => Some((*at - *sent).as_secs_f64() * 1_000.0),
            _ => None,
        });
        each.collect()
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_asked_changes_nothing() {
        let mut path = path("");
        let fates = minute(&mut path, MS, 1_200);
        assert!(fates.iter().all(|(at, fate)| *fate == Fate::Arrives(*at)));
    }

    #[test]
    fn loss_delay_and_jitter_are_within_two_percent_of_what_was_asked() {
        let mut path = path("loss=5%,delay=80ms,jitter=20ms,seed=7");
        let fates = minute(&mut path, MS, 1_200);
        let counts = path.counts();
        let loss = counts.lost as f64 / counts.seen as f64;
        assert!((loss / 0.05 - 1.0).abs() < 0.02, "{loss}");
        let delays = delays(&fates);
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        // The order is kept, so that a late datagram holds those behind it.
        assert!(mean > 80.0 && mean < 101.0, "{mean}");
        assert!(delays.iter().all(|delay| (60.0..=100.0).contains(delay)));
    }

    #[test]
    fn delay_alone_is_exact() {
        let mut path = path("delay=80ms");
        let fates = minute(&mut path, MS, 100);
        assert!(
            delays(&fates)
                .iter()
                .all(|delay| (delay - 80.0).abs() < 1e-6)
        );
    }

    #[test]
    fn a_rate_is_kept_and_its_queue_drops_what_does_not_fit() {
        let mut path = path("rate=1mbit,queue=200ms");
        // Two and a half times as much as fits.
        let fates = minute(&mut path, Duration::from_micros(3_931), 1_200);
        let counts = path.counts();
        let carried = counts.passed as f64 * 1_228.0 * 8.0 / 60.2;
        assert!((carried / 1e6 - 1.0).abs() < 0.02, "{carried}");
        let longest = delays(&fates).into_iter().fold(0.0, f64::max);
        assert!((200.0..=210.0).contains(&longest), "{longest}");
    }

    #[test]
    fn a_queue_in_bytes_holds_so_many() {
        let mut path = path("rate=1mbit,queue=10kB");
        let fates: Vec<Fate> = (0..20).map(|_| path.pass(Duration::ZERO, 972)).collect();
        let passed = fates.iter().filter(|fate| **fate != Fate::Lost).count();
        assert_eq!(passed, 10);
    }

    #[test]
    fn bursts_come_as_often_and_last_as_long_as_asked() {
        let mut path = path("burst=1%:25%,seed=3");
        let fates = minute(&mut path, MS, 100);
        let lost: Vec<bool> = fates.iter().map(|(_, f)| *f == Fate::Lost).collect();
        let share = lost.iter().filter(|l| **l).count() as f64 / lost.len() as f64;
        let bursts = lost.windows(2).filter(|w| !w[0] && w[1]).count() as f64;
        let length = share * lost.len() as f64 / bursts;
        // Stationary share p/(p+r), mean length 1/r.
        assert!((share / (0.01 / 0.26) - 1.0).abs() < 0.1, "{share}");
        assert!((length / 4.0 - 1.0).abs() < 0.1, "{length}");
    }

    #[test]
    fn only_those_that_are_picked_come_out_of_order() {
        let mut path = path("delay=50ms,jitter=40ms,reorder=1%,seed=5");
        let fates = minute(&mut path, MS, 100);
        let mut newest = Duration::ZERO;
        let mut late = 0;
        for (_, fate) in &fates {
            let Fate::Arrives(at) = fate else {
                panic!("{fate:?}")
            };
            late += u64::from(*at < newest);
            newest = newest.max(*at);
        }
        let picked = path.counts().reordered;
        assert!(late > 0 && late <= fates.len() as u64 / 10);
        assert!((picked as f64 / 600.0 - 1.0).abs() < 0.15, "{picked}");
    }

    #[test]
    fn steps_change_the_path_when_their_time_comes() {
        let mut path = path("delay=10ms;1s:delay=100ms,loss=0;2s:loss=100%;2500ms:loss=0");
        let at = |millis| Duration::from_millis(millis);
        assert_eq!(path.pass(at(999), 10), Fate::Arrives(at(1_009)));
        assert_eq!(path.pass(at(1_000), 10), Fate::Arrives(at(1_100)));
        assert_eq!(path.pass(at(2_400), 10), Fate::Lost);
        assert_eq!(path.pass(at(2_500), 10), Fate::Arrives(at(2_600)));
    }

    #[test]
    fn a_trace_carries_what_its_lines_say() {
        // Two MTUs every 10 ms: 2.4 Mbit/s.
        let spec = Spec::parse("trace=link,queue=100ms", |_| Ok("5\n10\n".into())).unwrap();
        let mut path = Path::new(spec.up, 1);
        minute(&mut path, MS, 1_472);
        let carried = path.counts().passed as f64 * 1_500.0 * 8.0 / 60.1;
        assert!((carried / 2.4e6 - 1.0).abs() < 0.02, "{carried}");
    }

    #[test]
    fn equal_seeds_have_equal_luck_and_others_do_not() {
        let text =
            |seed| format!("loss=10%,jitter=5ms,delay=20ms,duplicate=2%,reorder=2%,seed={seed}");
        let fates = |seed| minute(&mut path(&text(seed)), MS * 10, 500);
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    #[test]
    fn one_more_kind_of_harm_does_not_change_the_luck_of_the_others() {
        let lost = |text| {
            let fates = minute(&mut path(text), MS * 10, 500);
            fates
                .into_iter()
                .map(|(_, f)| f == Fate::Lost)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lost("loss=5%,seed=9"),
            lost("loss=5%,jitter=3ms,delay=9ms,duplicate=5%,seed=9")
        );
    }
}
