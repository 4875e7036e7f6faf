//! What of the picture is given up when the path or the processor cannot carry all of it. Pure.
//!
//! Plans stand on a ladder, the whole picture first. Bandwidth and processor each choose a
//! step for themselves, and the lower one counts. Going down takes seconds of trouble, going
//! up longer, and the longer the sooner the last step up was regretted.

use std::time::Duration;

use crate::media::clock::Timestamp;

/// What is rather kept: `RTCDegradationPreference` of W3C mst-content-hint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Degradation {
    /// Size and rate in turn.
    #[default]
    Balanced,
    /// The rate, at the cost of the size.
    MaintainFramerate,
    /// The size, at the cost of the rate.
    MaintainResolution,
}

impl Degradation {
    /// Its name in W3C, if it is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "balanced" => Some(Self::Balanced),
            "maintain-framerate" => Some(Self::MaintainFramerate),
            "maintain-resolution" => Some(Self::MaintainResolution),
            _ => None,
        }
    }

    const fn ladder(self) -> &'static [Plan] {
        match self {
            Self::Balanced => &BALANCED,
            Self::MaintainFramerate => &SMALLER,
            Self::MaintainResolution => &RARER,
        }
    }
}

const WHOLE: (u32, u32) = (1, 1);
const BALANCED: [Plan; 6] = [
    Plan::new(WHOLE, WHOLE),
    Plan::new((3, 4), WHOLE),
    Plan::new((3, 4), (2, 3)),
    Plan::new((1, 2), (2, 3)),
    Plan::new((1, 2), (1, 2)),
    Plan::new((1, 4), (1, 2)),
];
const SMALLER: [Plan; 5] = [
    Plan::new(WHOLE, WHOLE),
    Plan::new((3, 4), WHOLE),
    Plan::new((1, 2), WHOLE),
    Plan::new((3, 8), WHOLE),
    Plan::new((1, 4), WHOLE),
];
const RARER: [Plan; 5] = [
    Plan::new(WHOLE, WHOLE),
    Plan::new(WHOLE, (2, 3)),
    Plan::new(WHOLE, (1, 2)),
    Plan::new(WHOLE, (1, 3)),
    Plan::new(WHOLE, (1, 6)),
];

/// How much of the picture is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Of each side.
    pub scale: (u32, u32),
    /// Of the pictures a second.
    pub rate: (u32, u32),
}

impl Plan {
    const fn new(scale: (u32, u32), rate: (u32, u32)) -> Self {
        Self { scale, rate }
    }

    /// A picture's size by this plan: even, and never below what a mark needs to be read.
    #[must_use]
    pub fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        const SMALLEST: u32 = 160;
        let (part, of) = self.scale;
        if part == of || width.min(height) * part / of < SMALLEST / 2 {
            return (width, height);
        }
        let side = |side: u32| (side * part / of).max(2) & !1;
        (side(width), side(height))
    }

    /// The share of the whole picture's samples.
    fn cost(self) -> f64 {
        let share = |(part, of): (u32, u32)| f64::from(part) / f64::from(of);
        share(self.scale).powi(2) * share(self.rate)
    }

    /// The share of the bits: a lower rate makes pictures differ more, so it saves less.
    fn bits(self) -> f64 {
        let share = |(part, of): (u32, u32)| f64::from(part) / f64::from(of);
        share(self.scale).powi(2) * f64::midpoint(share(self.rate), 1.0)
    }
}

/// `RTCQualityLimitationReason` of W3C webrtc-stats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limitation {
    /// The whole picture is sent.
    #[default]
    None,
    /// The path.
    Bandwidth,
    /// The processor.
    Cpu,
}

impl Limitation {
    /// The W3C name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bandwidth => "bandwidth",
            Self::Cpu => "cpu",
        }
    }
}

/// What is known when a picture was encoded.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Scaling and encoding it took so long.
    pub took: Duration,
    /// Target in bits a second.
    pub bitrate: u32,
    /// Columns and rows as they came from the source.
    pub size: (u32, u32),
    /// Pictures a second that the source gives.
    pub fps: u32,
    /// Pictures that came while the encoder was busy, since the last time.
    pub dropped: u64,
}

/// Trouble lasts so long before a step down.
const PATIENCE: Duration = Duration::from_secs(3);
/// Calm lasts so long before a step up, and up to so long after steps that were regretted.
const CALM: Duration = Duration::from_secs(8);
const LONGEST_CALM: Duration = Duration::from_secs(120);
/// Of the time that the source leaves between pictures: more is too much.
const BUSY: f64 = 0.85;
/// What the next step up may take.
const ROOM: f64 = 0.6;
/// Share of pictures that come too early for the encoder: more is too much.
const DROPPED: f64 = 0.25;
/// Bits for each sample of a second at 30 pictures, as browsers begin: 640x360 at 230 kbit/s.
const BITS_PER_PIXEL: f64 = 1.0;
/// Below this share of the bits that a step wants, it is left.
const STARVED: f64 = 0.7;

/// One cause's step on the ladder.
#[derive(Debug)]
struct Step {
    at: usize,
    trouble_since: Option<Timestamp>,
    calm_since: Option<Timestamp>,
    calm: Duration,
    rose: Option<Timestamp>,
}

impl Step {
    const fn new() -> Self {
        Self {
            at: 0,
            trouble_since: None,
            calm_since: None,
            calm: CALM,
            rose: None,
        }
    }

    /// Moves by at most one; tells whether it moved.
    fn judge(&mut self, now: Timestamp, trouble: bool, room: bool, last: usize) -> bool {
        if trouble {
            self.calm_since = None;
            let since = *self.trouble_since.get_or_insert(now);
            if now.since(since) < PATIENCE || self.at == last {
                return false;
            }
            let regretted = self
                .rose
                .take()
                .is_some_and(|rose| now.since(rose) < self.calm * 2);
            self.calm = if regretted {
                (self.calm * 2).min(LONGEST_CALM)
            } else {
                CALM
            };
            self.at += 1;
        } else {
            self.trouble_since = None;
            if !room || self.at == 0 {
                self.calm_since = None;
                return false;
            }
            let since = *self.calm_since.get_or_insert(now);
            if now.since(since) < self.calm {
                return false;
            }
            self.at -= 1;
            self.rose = Some(now);
        }
        self.trouble_since = None;
        self.calm_since = None;
        true
    }
}

/// See the module.
#[derive(Debug)]
pub struct Adaptation {
    ladder: &'static [Plan],
    bandwidth: Step,
    cpu: Step,
    /// Milliseconds a picture, smoothed.
    took: Option<f64>,
    /// Share of pictures dropped, smoothed.
    dropped: f64,
}

impl Adaptation {
    /// Begins with the whole picture.
    #[must_use]
    pub fn new(preference: Degradation) -> Self {
        Self {
            ladder: preference.ladder(),
            bandwidth: Step::new(),
            cpu: Step::new(),
            took: None,
            dropped: 0.0,
        }
    }

    /// What is to be sent now.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let last = self.ladder.len() - 1;
        self.ladder[self.bandwidth.at.max(self.cpu.at).min(last)]
    }

    /// Why it is not all.
    #[must_use]
    pub const fn limitation(&self) -> Limitation {
        match (self.bandwidth.at, self.cpu.at) {
            (0, 0) => Limitation::None,
            (path, processor) if processor >= path => Limitation::Cpu,
            _ => Limitation::Bandwidth,
        }
    }

    /// Takes in one encoded picture; tells the plan from now on.
    pub fn see(&mut self, now: Timestamp, seen: Seen) -> Plan {
        let before = self.plan();
        self.follow_bandwidth(now, seen);
        self.follow_cpu(now, seen);
        let plan = self.plan();
        if plan != before {
            // Times of other sizes tell nothing of this one.
            self.took = None;
            self.dropped = 0.0;
        }
        plan
    }

    fn follow_bandwidth(&mut self, now: Timestamp, seen: Seen) {
        let pixels = f64::from(seen.size.0) * f64::from(seen.size.1);
        let rate = f64::midpoint(f64::from(seen.fps) / 30.0, 1.0);
        let wants = |at: usize| pixels * rate * BITS_PER_PIXEL * self.ladder[at].bits();
        let given = f64::from(seen.bitrate);
        let at = self.bandwidth.at;
        let starved = given < wants(at) * STARVED;
        let room = at > 0 && given >= wants(at - 1);
        let last = self.ladder.len() - 1;
        self.bandwidth.judge(now, starved, room, last);
    }

    fn follow_cpu(&mut self, now: Timestamp, seen: Seen) {
        let millis = seen.took.as_secs_f64() * 1000.0;
        let took = self
            .took
            .map_or(millis, |took| took + (millis - took) / 16.0);
        self.took = Some(took);
        let dropped = seen.dropped as f64 / (seen.dropped + 1) as f64;
        self.dropped += (dropped - self.dropped) / 16.0;
        let plan = self.plan();
        let share = |(part, of): (u32, u32)| f64::from(part) / f64::from(of);
        let load = took / 1000.0 * f64::from(seen.fps) * share(plan.rate);
        let trouble = load > BUSY || (self.dropped > DROPPED && load > BUSY / 2.0);
        let room = self
            .cpu
            .at
            .checked_sub(1)
            .is_some_and(|up| load * self.ladder[up].cost() / plan.cost() < ROOM);
        let last = self.ladder.len() - 1;
        self.cpu.judge(now, trouble, room, last);
    }
}

/// Leaves out pictures so that a share of the source's rate is kept, evenly.
#[derive(Debug, Default)]
pub struct Thinning {
    /// Parts of a picture that are owed.
    owed: u32,
}

impl Thinning {
    /// Whether the next picture of the source is to be encoded.
    pub fn takes(&mut self, (part, of): (u32, u32)) -> bool {
        if part >= of {
            self.owed = 0;
            return true;
        }
        self.owed += part;
        if self.owed >= of {
            self.owed -= of;
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests;
