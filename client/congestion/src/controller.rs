//! All rules together: what left and what arrived go in, the rate comes out.

use std::time::Duration;

use crate::Moment;
use crate::aimd::{Aimd, Input};
use crate::applimit::AppLimit;
use crate::groups::Groups;
use crate::history::{Arrival, Fate, History};
use crate::loss::Loss;
use crate::probe::{Chance, Cluster, Probes};
use crate::queue::Queue;
use crate::throughput::Throughput;
use crate::trend::{Trend, Usage};

/// What arrived is averaged over this time, and over the other when the queue grows.
const AVERAGED: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_millis(250);
/// No feedback for so long, or for two round trips: the path may be cut, and filling its queues helps nobody.
const SILENCE: Duration = Duration::from_millis(350);
/// A round trip before one was measured.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// Bits a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Never less.
    pub least: f64,
    /// At the beginning.
    pub first: f64,
    /// Never more.
    pub most: f64,
}

/// What is known of the path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// What may be sent, bits a second on the wire.
    pub target: f64,
    /// What the path is thought to carry.
    pub estimate: f64,
    /// What the delay alone would allow.
    pub by_delay: f64,
    /// What losses allow, where they limit.
    pub by_loss: Option<f64>,
    /// Share of packets lost lately.
    pub lost: f64,
    /// Share that would be lost at any rate.
    pub inherent: f64,
    /// From departure until the feedback came.
    pub round_trip: Option<Duration>,
    /// What arrived, bits a second.
    pub arrived: Option<f64>,
}

/// See the module.
#[derive(Debug)]
pub struct Controller {
    limits: Limits,
    history: History,
    groups: Groups,
    trend: Trend,
    throughput: Throughput,
    queue: Queue,
    aimd: Aimd,
    loss: Loss,
    probes: Probes,
    app_limit: AppLimit,
    round_trip: Option<Duration>,
    /// When feedback came last, and when the first packet left after that.
    heard: Option<Moment>,
    unheard_since: Option<Moment>,
    now: Moment,
}

impl Controller {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            history: History::default(),
            groups: Groups::default(),
            trend: Trend::new(),
            throughput: Throughput::default(),
            queue: Queue::default(),
            aimd: Aimd::new(limits.first),
            loss: Loss::default(),
            probes: Probes::new(),
            app_limit: AppLimit::default(),
            round_trip: None,
            heard: None,
            unheard_since: None,
            now: Moment::ZERO,
        }
    }

    /// More is of no use.
    pub fn set_most(&mut self, most: f64) {
        self.limits.most = most.max(self.limits.least);
    }

    /// A packet leaves; gives the transport-wide number to write on it.
    pub fn leaves(&mut self, now: Moment, bytes: usize, probe: Option<u32>) -> u16 {
        self.now = now;
        self.unheard_since.get_or_insert(now);
        self.app_limit.sent(now, bytes, self.target());
        if let Some(id) = probe {
            self.probes.leaves(id, bytes);
        }
        self.history.leaves(now, bytes, probe)
    }

    /// Feedback came, in the order of the numbers.
    pub fn hear(&mut self, now: Moment, arrivals: &[Arrival]) {
        self.now = now;
        let mut round_trip: Option<Duration> = None;
        let mut any = false;
        for arrival in arrivals {
            let Some(fate) = self.history.told(*arrival) else {
                continue;
            };
            any = true;
            if fate.arrived.is_some() {
                let trip = now.saturating_sub(fate.left);
                round_trip = Some(round_trip.map_or(trip, |known| known.min(trip)));
            }
            self.see(fate);
        }
        if !any {
            return;
        }
        self.heard = Some(now);
        self.unheard_since = None;
        if let Some(trip) = round_trip {
            let known = self.round_trip.unwrap_or(trip);
            self.round_trip = Some((known * 7 + trip) / 8);
        }
        self.decide(now);
    }

    fn see(&mut self, fate: Fate) {
        if let Some(id) = fate.probe {
            self.probes.told(id, fate.bytes, fate.left, fate.arrived);
        }
        let cut = self.loss.see(fate.left, fate.arrived.is_none());
        if cut {
            // What came before the cut says nothing of what comes after.
            self.groups = Groups::default();
            self.trend = Trend::new();
            self.throughput.clear();
            self.queue = Queue::default();
        }
        let Some(arrived) = fate.arrived else { return };
        self.throughput.see(arrived, fate.bytes);
        self.queue.see(fate.left, arrived);
        if let Some(distance) = self.groups.see(fate.left, arrived) {
            self.trend.see(distance);
        }
    }

    fn decide(&mut self, now: Moment) {
        // What the path loses anyway was sent and got in nobody's way.
        let whole = |arrived: f64| arrived / (1.0 - self.loss.inherent());
        let input = Input {
            usage: self.trend.usage(),
            throughput: self.throughput.within(AVERAGED).map(whole),
            latest: self.throughput.within(LATEST).map(whole),
            round_trip: self.round_trip.unwrap_or(ROUND_TRIP),
            app_limited: self.app_limit.since().is_some(),
            queue: self.queue.waits(),
        };
        let shown = self.probes.result(self.estimate(), self.limits.most);
        if let Some(shown) = shown {
            self.loss.lift(shown);
        }
        match shown {
            Some(shown) if input.usage != Usage::Over => {
                // A burst tells less than a rate that was held: it does not take back what was reached.
                if shown > self.aimd.rate() || input.usage == Usage::Normal && self.heard.is_none()
                {
                    self.aimd.probed(now, shown);
                }
            }
            _ => self.aimd.update(now, input),
        }
        self.aimd.bound(self.limits.least, self.limits.most);
        let rate = self.estimate();
        self.loss.judge(now, rate, input.latest);
        self.loss.forget_cap_above(self.aimd.rate());
    }

    /// Time passes: the burst that is to be sent now, if one is. To be called while probes can be sent.
    pub fn probe(&mut self, now: Moment) -> Option<Cluster> {
        self.now = now;
        let recently = |at: Option<Moment>| {
            at.is_some_and(|at| now.saturating_sub(at) < Duration::from_millis(700))
        };
        let chance = Chance {
            rate: self.estimate(),
            highest: self.limits.most,
            app_limited_since: self.app_limit.since(),
            unknown: self.aimd.unknown(now) && self.loss.cap().is_none(),
            trouble: self.trend.usage() == Usage::Over
                || recently(self.aimd.decreased())
                || self.loss.tries()
                || self.silence() < 1.0,
        };
        self.probes.next(now, chance)
    }

    /// What the path is thought to carry.
    fn estimate(&self) -> f64 {
        let cap = self.loss.cap().unwrap_or(f64::INFINITY);
        self.aimd
            .rate()
            .min(cap)
            .clamp(self.limits.least, self.limits.most)
    }

    /// Half as much for each such time without feedback.
    fn silence(&self) -> f64 {
        let (Some(heard), Some(since)) = (self.heard, self.unheard_since) else {
            return 1.0;
        };
        let patience = SILENCE.max(self.round_trip.unwrap_or(ROUND_TRIP) * 2);
        let silent = self.now.saturating_sub(since.max(heard));
        match silent.checked_sub(patience) {
            None => 1.0,
            Some(beyond) => {
                0.5f64.powf(1.0 + (beyond.as_secs_f64() / SILENCE.as_secs_f64()).floor())
            }
        }
    }

    fn target(&self) -> f64 {
        (self.estimate() * self.silence()).max(self.limits.least)
    }

    /// From departure until the feedback came; a guess at first.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or(ROUND_TRIP)
    }

    /// What is known of the path; to be asked after time has passed, too.
    pub fn state(&mut self, now: Moment) -> State {
        self.now = now;
        State {
            target: self.target(),
            estimate: self.estimate(),
            by_delay: self.aimd.rate(),
            by_loss: self.loss.cap(),
            lost: self.loss.lately(),
            inherent: self.loss.inherent(),
            round_trip: self.round_trip,
            arrived: self.throughput.within(AVERAGED),
        }
    }

    /// Bytes that are under way, or lost without a word, since `ago`.
    #[must_use]
    pub fn unknown(&self, now: Moment, ago: Duration) -> usize {
        self.history.unknown_since(now.saturating_sub(ago))
    }
}
