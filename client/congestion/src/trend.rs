//! Whether the queue in front of the bottleneck grows: the slope of the delay, against a
//! threshold that adapts (draft-ietf-rmcat-gcc-02, sections 5.3 and 5.4, with libwebrtc's line through the
//! last groups in place of the Kalman filter).

use std::collections::VecDeque;

use crate::groups::Distance;
use crate::millis;

/// Groups that the line goes through.
const WINDOW: usize = 20;
/// Share of the old in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// What makes a slope comparable with the threshold.
const GAIN: f64 = 4.0;
/// Groups beyond which more of them make no surer.
const MOST_GROUPS: f64 = 60.0;
/// The threshold at first and its bounds, in milliseconds.
const THRESHOLD: f64 = 12.5;
const LOWEST: f64 = 6.0;
const HIGHEST: f64 = 600.0;
/// How fast the threshold follows, up and down, each millisecond.
const UP: f64 = 0.0087;
const DOWN: f64 = 0.039;
/// Slopes further than this beyond the threshold do not raise it: they are no cross traffic to live with.
const BEYOND: f64 = 15.0;
/// Growth must last so long, in milliseconds.
const LASTING: f64 = 10.0;

/// What the queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// It stays as it is.
    #[default]
    Normal,
    /// It grows.
    Over,
    /// It drains.
    Under,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Trend {
    groups: f64,
    accumulated: f64,
    smoothed: f64,
    /// Arrival and smoothed delay, in milliseconds.
    line: VecDeque<(f64, f64)>,
    threshold: f64,
    updated: Option<f64>,
    before: f64,
    over_for: Option<f64>,
    overs: u32,
    usage: Usage,
}

impl Trend {
    pub(crate) fn new() -> Self {
        Self {
            groups: 0.0,
            accumulated: 0.0,
            smoothed: 0.0,
            line: VecDeque::with_capacity(WINDOW + 1),
            threshold: THRESHOLD,
            updated: None,
            before: 0.0,
            over_for: None,
            overs: 0,
            usage: Usage::Normal,
        }
    }

    pub(crate) const fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes in the distance of two groups.
    pub(crate) fn see(&mut self, distance: Distance) {
        let grew = distance.arrived - distance.left;
        self.groups = (self.groups + 1.0).min(MOST_GROUPS);
        self.accumulated += grew;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        let at = millis(distance.at);
        self.line.push_back((at, self.smoothed));
        if self.line.len() > WINDOW {
            self.line.pop_front();
        }
        let slope = if self.line.len() == WINDOW {
            slope(&self.line).unwrap_or(self.before)
        } else {
            0.0
        };
        self.judge(slope, distance.left, at);
        self.before = slope;
    }

    fn judge(&mut self, slope: f64, since: f64, at: f64) {
        let strength = self.groups * slope * GAIN;
        if strength > self.threshold {
            let over_for = self.over_for.map_or(since / 2.0, |over| over + since);
            self.over_for = Some(over_for);
            self.overs += 1;
            if over_for > LASTING && self.overs > 1 && slope >= self.before {
                self.over_for = Some(0.0);
                self.overs = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_for = None;
            self.overs = 0;
            self.usage = if strength < -self.threshold {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.adapt(strength.abs(), at);
    }

    fn adapt(&mut self, strength: f64, at: f64) {
        let passed = at - self.updated.replace(at).unwrap_or(at);
        if strength > self.threshold + BEYOND {
            return;
        }
        let speed = if strength < self.threshold { DOWN } else { UP };
        let moved = speed * (strength - self.threshold) * passed.clamp(0.0, 100.0);
        self.threshold = (self.threshold + moved).clamp(LOWEST, HIGHEST);
    }
}

/// Least squares; `None` where everything arrived at once.
fn slope(line: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = line.len() as f64;
    let (x, y) = line.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0, y + p.1));
    let (x, y) = (x / count, y / count);
    let above: f64 = line.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let below: f64 = line.iter().map(|p| (p.0 - x).powi(2)).sum();
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Groups every 30 ms whose delay changes by `grows(n)` milliseconds each.
    fn after(trend: &mut Trend, groups: u64, grows: impl Fn(u64) -> f64) -> Vec<Usage> {
        let mut at = 1_000.0;
        let mut seen = Vec::new();
        for n in 0..groups {
            let arrived = 30.0 + grows(n);
            at += arrived;
            trend.see(Distance {
                left: 30.0,
                arrived,
                at: Duration::from_secs_f64(at / 1000.0),
            });
            seen.push(trend.usage());
        }
        seen
    }

    #[test]
    fn a_queue_that_grows_is_seen_and_one_that_drains_too() {
        let seen = after(&mut Trend::new(), 60, |_| 5.0);
        assert!(seen.contains(&Usage::Over));
        let seen = after(&mut Trend::new(), 60, |_| -5.0);
        assert!(seen.contains(&Usage::Under) && !seen.contains(&Usage::Over));
    }

    #[test]
    fn delay_that_comes_and_goes_is_no_queue() {
        let seen = after(&mut Trend::new(), 500, |n| {
            if n % 2 == 0 { 15.0 } else { -15.0 }
        });
        assert!(!seen.contains(&Usage::Over));
    }
}
