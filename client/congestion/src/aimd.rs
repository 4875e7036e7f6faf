//! The rate that follows the delay: up while the queue does not grow, down below what arrived when it does
//! (draft-ietf-rmcat-gcc-02, section 5.5).

use std::time::Duration;

use crate::Moment;
use crate::trend::Usage;

/// Of what arrived, when the queue grows.
const DECREASE: f64 = 0.85;
/// Each second while nothing is known of the path's capacity.
const INCREASE: f64 = 1.08;
/// Not more than this beyond what arrives.
const BEYOND: f64 = 1.5;
const BEYOND_BITS: f64 = 10_000.0;
/// So many decreases, in so long at least, that leave this share of the queue are in vain.
const VAIN: u32 = 2;
const VAIN_FOR: Duration = Duration::from_secs(1);
const PERSISTS: f64 = 0.7;
/// A queue that has fallen to this share was ours, and one so short, in milliseconds, hurts nobody.
const SUCCESS: f64 = 0.3;
const SHORT: f64 = 60.0;
/// Then giving way is tried again.
const TRIED_AGAIN: Duration = Duration::from_secs(15);
/// A packet in bits, for the steps near the capacity.
const PACKET: f64 = 1_200.0 * 8.0;
const PICTURES_A_SECOND: f64 = 30.0;
/// What an overuse is noticed within, beyond the round trip.
const NOTICED: f64 = 0.1;
/// What the path carried so long ago may be so no more.
const FORGOTTEN: Duration = Duration::from_secs(3);
/// Below this share of the known capacity, steps are larger by so many times.
const NEAR: f64 = 0.95;
const SOONER: f64 = 4.0;
/// Steps near the capacity are not smaller than this, in bits a second each second.
const SMALLEST_STEP: f64 = 4_000.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Hold,
    Increase,
}

/// What arrived whenever the queue grew: the path's capacity, with how sure that is.
#[derive(Clone, Copy, Debug)]
struct Capacity {
    estimate: f64,
    /// Of its square root, in kbit/s.
    deviation: f64,
}

impl Capacity {
    fn see(known: Option<Self>, sample: f64, weight: f64) -> Self {
        let Some(Self {
            estimate,
            deviation,
        }) = known
        else {
            return Self {
                estimate: sample,
                deviation: 0.4,
            };
        };
        let estimate = (1.0 - weight) * estimate + weight * sample;
        let error = (estimate - sample) / 1000.0;
        let norm = (estimate / 1000.0).max(1.0);
        let deviation = (1.0 - weight) * deviation + weight * error * error / norm;
        Self {
            estimate,
            deviation: deviation.clamp(0.4, 2.5),
        }
    }

    fn spread(self) -> f64 {
        3.0 * (self.deviation * self.estimate / 1000.0).sqrt() * 1000.0
    }
}

/// How much giving way has helped.
#[derive(Clone, Copy, Debug)]
struct Effort {
    began: Moment,
    /// Milliseconds then.
    queue: f64,
    decreases: u32,
}

/// What is known when feedback came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    pub(crate) usage: Usage,
    /// Bits a second that arrived over half a second, losses that no rate would spare added.
    pub(crate) throughput: Option<f64>,
    /// The same over the last moment.
    pub(crate) latest: Option<f64>,
    pub(crate) round_trip: Duration,
    /// It carries far less all of a sudden.
    pub(crate) sunk: bool,
    /// The path shrinks: each word of it counts.
    pub(crate) falls: bool,
    /// Less is sent than would be allowed.
    pub(crate) app_limited: bool,
    /// Milliseconds that packets wait at the bottleneck.
    pub(crate) queue: Option<f64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Aimd {
    rate: f64,
    phase: Phase,
    changed: Option<Moment>,
    decreased: Option<Moment>,
    capacity: Option<Capacity>,
    effort: Option<Effort>,
}

impl Aimd {
    pub(crate) const fn new(rate: f64) -> Self {
        Self {
            rate,
            phase: Phase::Hold,
            changed: None,
            decreased: None,
            capacity: None,
            effort: None,
        }
    }

    pub(crate) const fn rate(&self) -> f64 {
        self.rate
    }

    /// When the queue last made the rate fall.
    pub(crate) const fn decreased(&self) -> Option<Moment> {
        self.decreased
    }

    /// The path has not been found to carry too little for long.
    pub(crate) fn unknown(&self, now: Moment) -> bool {
        self.decreased
            .is_none_or(|before| now.saturating_sub(before) > FORGOTTEN)
    }

    /// A probe has shown what the path carries.
    pub(crate) fn probed(&mut self, now: Moment, rate: f64) {
        self.rate = rate;
        self.changed = Some(now);
        self.capacity = self
            .capacity
            .map(|known| Capacity::see(Some(known), rate, 0.5));
    }

    /// Never beyond what is of use.
    pub(crate) const fn bound(&mut self, lowest: f64, highest: f64) {
        self.rate = self.rate.clamp(lowest, highest);
    }

    pub(crate) fn update(&mut self, now: Moment, input: Input) {
        if let Some(effort) = self.effort
            && input
                .queue
                .is_none_or(|queue| queue < effort.queue * SUCCESS)
        {
            self.effort = None;
        }
        match input.usage {
            Usage::Over if self.in_vain(now) => self.changed = Some(now),
            Usage::Over => self.decrease(now, input),
            Usage::Under => self.phase = Phase::Hold,
            Usage::Normal if self.phase == Phase::Hold => {
                self.phase = Phase::Increase;
                self.changed = Some(now);
            }
            Usage::Normal => self.increase(now, input),
        }
    }

    /// Giving way has not shortened the queue: others fill it, and would have it all.
    fn in_vain(&self, now: Moment) -> bool {
        self.effort.is_some_and(|effort| {
            let tried = now.saturating_sub(effort.began);
            effort.decreases >= VAIN && (VAIN_FOR..TRIED_AGAIN).contains(&tried)
        })
    }

    fn increase(&mut self, now: Moment, input: Input) {
        let passed = now
            .saturating_sub(self.changed.replace(now).unwrap_or(now))
            .as_secs_f64()
            .min(1.0);
        let Some(throughput) = input.throughput else {
            return;
        };
        if let Some(known) = self.capacity
            && throughput > known.estimate + known.spread()
        {
            self.capacity = None;
        }
        let most = throughput * BEYOND + BEYOND_BITS;
        if input.app_limited || self.rate >= most {
            return;
        }
        let raised = if let Some(known) = self.capacity {
            // What the path has carried before is taken back sooner than what it has not.
            let sooner = if self.rate < known.estimate * NEAR {
                SOONER
            } else {
                1.0
            };
            self.rate + self.step(input.round_trip) * sooner * passed
        } else {
            (self.rate * INCREASE.powf(passed)).max(self.rate + 1_000.0 * passed)
        };
        self.rate = raised.min(most);
    }

    fn try_hard(&mut self, now: Moment, input: Input) {
        let Some(queue) = input.queue.filter(|queue| *queue > SHORT) else {
            return;
        };
        match &mut self.effort {
            Some(effort)
                if queue > effort.queue * PERSISTS
                    && now.saturating_sub(effort.began) < TRIED_AGAIN =>
            {
                effort.decreases += 1;
            }
            _ => {
                self.effort = Some(Effort {
                    began: now,
                    queue,
                    decreases: 1,
                });
            }
        }
    }

    /// Bits a second each second: about a packet in the time that it takes to notice too much.
    fn step(&self, round_trip: Duration) -> f64 {
        let noticed = 2.0 * (round_trip.as_secs_f64() + NOTICED);
        let picture = self.rate / PICTURES_A_SECOND;
        let packet = picture / (picture / PACKET).ceil().max(1.0);
        (packet / noticed).max(SMALLEST_STEP)
    }

    fn decrease(&mut self, now: Moment, input: Input) {
        let latest = input.latest.or(input.throughput);
        let pause = input
            .round_trip
            .clamp(Duration::from_millis(10), Duration::from_millis(200));
        let far_below = latest.is_some_and(|latest| latest < self.rate / 2.0);
        let just_now = self
            .decreased
            .is_some_and(|before| now.saturating_sub(before) < pause);
        if just_now && !far_below && !input.falls {
            return;
        }
        let arrived = match latest {
            Some(arrived) => arrived,
            // Too much although hardly anything arrives.
            None if !just_now => self.rate / 2.0 / DECREASE,
            None => return,
        };
        let mut lowered = arrived * DECREASE;
        if lowered > self.rate
            && let Some(known) = self.capacity
        {
            lowered = known.estimate * DECREASE;
        }
        if let Some(known) = self.capacity
            && arrived < known.estimate - known.spread()
        {
            self.capacity = None;
        }
        self.capacity = Some(Capacity::see(self.capacity, arrived, 0.05));
        self.rate = self.rate.min(lowered);
        if !input.sunk {
            self.try_hard(now, input);
        }
        self.phase = Phase::Hold;
        self.changed = Some(now);
        self.decreased = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(usage: Usage, throughput: f64) -> Input {
        Input {
            usage,
            throughput: Some(throughput),
            latest: Some(throughput),
            round_trip: Duration::from_millis(50),
            sunk: false,
            falls: false,
            app_limited: false,
            queue: None,
        }
    }

    #[test]
    fn eight_per_cent_a_second_until_the_queue_grows_then_below_what_arrived() {
        let mut aimd = Aimd::new(1_000_000.0);
        for n in 0..=10u32 {
            let now = Duration::from_millis(100) * n;
            aimd.update(now, input(Usage::Normal, aimd.rate()));
        }
        assert!(
            (1_060_000.0..1_090_000.0).contains(&aimd.rate()),
            "{}",
            aimd.rate()
        );
        aimd.update(Duration::from_secs(2), input(Usage::Over, 900_000.0));
        assert!((aimd.rate() - 765_000.0).abs() < 1.0);
        let lowered = aimd.rate();
        for n in 0..10u32 {
            let now = Duration::from_secs(3) + Duration::from_millis(100) * n;
            aimd.update(now, input(Usage::Normal, 765_000.0));
        }
        let step = aimd.rate() - lowered;
        assert!(
            (1_000.0..100_000.0).contains(&step),
            "near the capacity in small steps: {step}"
        );
    }

    #[test]
    fn what_an_application_does_not_use_does_not_grow() {
        let mut aimd = Aimd::new(1_000_000.0);
        for n in 0..100u32 {
            let mut input = input(Usage::Normal, 300_000.0);
            input.app_limited = true;
            aimd.update(Duration::from_millis(100) * n, input);
        }
        assert!((aimd.rate() - 1_000_000.0).abs() < 1.0);
    }
}
