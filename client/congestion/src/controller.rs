//! All rules together: what left and what arrived go in, the rate comes out.

use std::time::Duration;

use crate::Moment;
use crate::aimd::{Aimd, Input};
use crate::applimit::AppLimit;
use crate::flight::{Flight, Reach};
use crate::groups::Groups;
use crate::history::{Arrival, Fate, History};
use crate::loss::Loss;
use crate::probe::{Chance, Cluster, Probes};
use crate::queue::Queue;
use crate::sinking::Sinking;
use crate::throughput::Throughput;
use crate::trend::{Trend, Usage};

/// What arrived is averaged over this time, and over the other when the queue grows.
const AVERAGED: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_millis(250);
/// No feedback for so long, or for two round trips: the path may be cut, and filling its queues helps nobody.
const SILENCE: Duration = Duration::from_millis(350);
/// The rate is not halved more often than so many times within the first seconds of a silence: most are over by then.
const HALVED: f64 = 3.0;
const LONG_SILENCE: Duration = Duration::from_secs(4);
/// A round trip before one was measured.
const ROUND_TRIP: Duration = Duration::from_millis(100);
/// The rate fell far when it is below this share of what it was, which fades by half in a second.
const FAR: f64 = 0.55;
/// How far it falls is known after so long: the first feedback is about the time before, too.
const SURE: Duration = Duration::from_millis(60);
/// Between two such falls.
const FALLS: Duration = Duration::from_secs(1);
/// So long, at most, the queue that built up meanwhile is emptied, until nobody waits longer than this in it (milliseconds).
const DRAINING: Duration = Duration::from_millis(1_500);
const DRAINED: f64 = 30.0;
/// Times the rate: pictures leave faster than they are made, so that each is whole before the next, but not into a queue.
const PACING: f64 = 1.5;
const PACING_INTO_A_QUEUE: f64 = 1.05;
const PACING_IN_THE_DARK: f64 = 0.5;
/// So long after the path was dark nothing is dared.
const RETURNED: Duration = Duration::from_millis(700);
/// Milliseconds that make a queue.
const QUEUE: f64 = 60.0;

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
    /// Milliseconds that packets wait at the bottleneck.
    pub queue: Option<f64>,
    /// Bytes on their way, and how many may be.
    pub on_the_way: usize,
    /// See [`Controller::has_room`].
    pub most_on_the_way: usize,
    /// Nothing is heard, so long that nothing sent may arrive.
    pub dark: bool,
    /// The rate fell far, and the queue that built up meanwhile is emptied.
    pub draining: bool,
}

/// What is to be done with pictures that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pictures {
    /// They are sent.
    Go,
    /// The rate falls, nobody knows yet how far: none are made, and none sent.
    Wait,
    /// None that were made so far are of use: a key frame of the size that fits now comes sooner.
    Anew,
}

/// A rate that falls far.
#[derive(Clone, Copy, Debug)]
struct Fall {
    began: Moment,
    /// How far is known, and pictures have begun anew.
    sure: bool,
    drained: bool,
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
    sinking: Sinking,
    aimd: Aimd,
    loss: Loss,
    probes: Probes,
    app_limit: AppLimit,
    flight: Flight,
    fall: Option<Fall>,
    /// What the rate was, fading, and when that was.
    peak: (Moment, f64),
    /// The path was dark until this feedback, and when that was last.
    returns: bool,
    returned: Option<Moment>,
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
            sinking: Sinking::default(),
            aimd: Aimd::new(limits.first),
            loss: Loss::default(),
            probes: Probes::new(),
            app_limit: AppLimit::default(),
            flight: Flight::default(),
            fall: None,
            peak: (Moment::ZERO, limits.first),
            returns: false,
            returned: None,
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
        let dark = self.dark();
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
        if dark {
            self.returns = true;
            self.returned = Some(now);
        }
        self.flight.heard(now);
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
            self.sinking.clear();
        }
        let Some(arrived) = fate.arrived else { return };
        self.throughput.see(arrived, fate.bytes);
        self.queue.see(fate.left, arrived);
        self.sinking.see(fate.left, arrived, fate.bytes);
        if let Some(distance) = self.groups.see(fate.left, arrived) {
            self.trend.see(distance);
        }
    }

    fn decide(&mut self, now: Moment) {
        // What the path loses anyway was sent and got in nobody's way.
        let whole = |arrived: f64| arrived / (1.0 - self.loss.inherent());
        // A queue that has been there is others', who come and go.
        let far = match self.queue.waits() {
            _ if self.falls(now) => 1.0,
            Some(waits) if waits > QUEUE => 0.0,
            _ => FAR,
        };
        let sunk = self.sinking.to().filter(|to| *to < self.estimate() * far);
        let latest = match self.throughput.urgent() {
            Some(urgent) if self.falls(now) => Some(urgent),
            _ => self.throughput.within(LATEST),
        };
        let latest = sunk.or(latest);
        let input = Input {
            usage: sunk.map_or(self.trend.usage(), |_| Usage::Over),
            throughput: self.throughput.within(AVERAGED).map(whole),
            latest: latest.map(whole),
            round_trip: self.round_trip.unwrap_or(ROUND_TRIP),
            sunk: sunk.is_some(),
            falls: self.falls(now),
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
        self.watch_falls(now, sunk.is_some());
        let rate = self.estimate();
        let queued = self.queue.waits().is_some_and(|waits| waits > QUEUE);
        self.loss.judge(now, rate, input.latest, queued);
        self.loss.forget_cap_above(self.aimd.rate());
    }

    fn watch_falls(&mut self, now: Moment, sunk: bool) {
        let rate = self.aimd.rate();
        let (seen, peak) = self.peak;
        let passed = now.saturating_sub(seen).as_secs_f64();
        let peak = (peak * 0.5f64.powf(passed)).max(rate);
        self.peak = (now, peak);
        if let Some(fall) = &mut self.fall {
            fall.drained |= fall.sure && self.queue.waits().is_none_or(|waits| waits < DRAINED);
        }
        let since = self.fall.map(|fall| now.saturating_sub(fall.began));
        let deep = rate < peak * FAR && self.aimd.decreased() == Some(now);
        if deep && since.is_none_or(|since| since > FALLS) {
            self.probes.hope();
            if sunk {
                self.loss.forgive(now);
            }
            self.fall = Some(Fall {
                began: now,
                sure: false,
                drained: false,
            });
        }
    }

    /// The rate falls far, just now.
    fn falls(&self, now: Moment) -> bool {
        self.fall
            .is_some_and(|fall| now.saturating_sub(fall.began) < FALLS / 2)
    }

    fn draining(&self, now: Moment) -> bool {
        self.fall
            .is_some_and(|fall| !fall.drained && now.saturating_sub(fall.began) < DRAINING)
    }

    /// What becomes of pictures now; that they begin anew is told once.
    pub fn pictures(&mut self, now: Moment) -> Pictures {
        self.now = now;
        if std::mem::take(&mut self.returns) {
            return Pictures::Anew;
        }
        match &mut self.fall {
            Some(fall) if !fall.sure && now.saturating_sub(fall.began) < SURE => Pictures::Wait,
            Some(fall) if !fall.sure => {
                fall.sure = true;
                self.peak = (now, self.estimate());
                Pictures::Anew
            }
            _ => Pictures::Go,
        }
    }

    /// Bits a second at which what waits may leave.
    #[must_use]
    pub fn pacing(&self, now: Moment) -> f64 {
        // At more than the rate a backlog would keep the queue full for as long as it lasts.
        let queued = self.queue.waits().is_some_and(|waits| waits > QUEUE);
        let returned = self
            .returned
            .is_some_and(|at| now.saturating_sub(at) < RETURNED);
        if self.dark() {
            // What is lost does no harm, and what arrives is to be whole soon.
            return self.estimate() * PACING_IN_THE_DARK;
        }
        let times = if self.draining(now) || queued || returned {
            PACING_INTO_A_QUEUE
        } else {
            PACING
        };
        self.target() * times
    }

    /// Nothing is heard of what was sent, for so long that the path may be cut.
    fn dark(&self) -> bool {
        self.silence() < 1.0
    }

    fn reach(&self, now: Moment) -> Reach {
        let queue = self.queue.waits().unwrap_or_default().max(0.0) / 1000.0;
        Reach {
            rate: self.estimate(),
            round_trip: self.round_trip(),
            queue: Duration::from_secs_f64(queue),
            draining: self.draining(now),
        }
    }

    /// Bytes on their way, and how many may be.
    fn on_the_way(&self, now: Moment) -> (usize, usize) {
        let reach = self.reach(now);
        let since = now.saturating_sub(self.flight.longest(reach));
        (self.history.on_the_way(since), self.flight.most(reach))
    }

    /// Whether anything more than sound may be on its way: beyond that it would wait in the bottleneck's queue, or be dropped.
    #[must_use]
    pub fn has_room(&self, now: Moment) -> bool {
        let (on_the_way, most) = self.on_the_way(now);
        self.heard.is_none() || self.probes.climbs() || self.dark() || on_the_way < most
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
                || self.dark()
                || self.draining(now)
                || recently(self.returned),
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
        let trip = self.round_trip.unwrap_or(ROUND_TRIP);
        let patience = SILENCE.max(trip * 2 + self.flight.interval());
        let silent = self.now.saturating_sub(since.max(heard));
        match silent.checked_sub(patience) {
            None => 1.0,
            Some(beyond) => {
                let times = 1.0 + (beyond.as_secs_f64() / SILENCE.as_secs_f64()).floor();
                let most = if beyond < LONG_SILENCE {
                    HALVED
                } else {
                    f64::INFINITY
                };
                0.5f64.powf(times.min(most))
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
        let (on_the_way, most_on_the_way) = self.on_the_way(now);
        State {
            target: self.target(),
            estimate: self.estimate(),
            by_delay: self.aimd.rate(),
            by_loss: self.loss.cap(),
            lost: self.loss.lately(),
            inherent: self.loss.inherent(),
            round_trip: self.round_trip,
            arrived: self.throughput.within(AVERAGED),
            queue: self.queue.waits(),
            on_the_way,
            most_on_the_way,
            dark: self.dark(),
            draining: self.draining(now),
        }
    }
}
