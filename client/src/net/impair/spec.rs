//! What `--impair` says, parsed and checked.
//!
//! `[up:|down:]KEY=VALUE,…[;TIME:KEY=VALUE,…]…`: conditions that hold from the beginning, and
//! steps that change some of them when their time comes. Without a direction both are meant.

use std::sync::Arc;
use std::time::Duration;

use super::LONGEST;
use super::trace::{Trace, TraceError};

/// Steps in one direction: more than a person writes.
const STEPS: usize = 10_000;

/// How far `reorder` holds a datagram back where nothing is said.
const REORDER_BY: Duration = Duration::from_millis(20);

/// The queue before a bottleneck where nothing is said: what a common router holds.
const QUEUE: Duration = Duration::from_millis(200);

/// Both directions and the seed of their luck.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// Out of our sockets.
    pub up: Profile,
    /// Into them.
    pub down: Profile,
    /// Equal seeds, equal luck.
    pub seed: u64,
}

/// One direction: conditions and when they begin to hold, in order; the first at zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile(Vec<(Duration, Conditions)>);

/// How a path is at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// Share of datagrams lost one by one, 0 to 1.
    pub loss: f64,
    /// Losses in bursts.
    pub burst: Option<Burst>,
    /// Time on the way.
    pub delay: Duration,
    /// Evenly spread around the delay by as much on both sides; keeps the order.
    pub jitter: Duration,
    /// What the bottleneck carries.
    pub rate: Rate,
    /// What waits before it.
    pub queue: Queue,
    /// Share of datagrams held back behind later ones.
    pub reorder: f64,
    /// For how long.
    pub reorder_by: Duration,
    /// Share of datagrams that arrive twice.
    pub duplicate: f64,
}

/// Gilbert and Elliott's model: a good and a bad state, changed by chance at each datagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// From good to bad.
    pub begin: f64,
    /// From bad to good; its inverse is the mean length of a burst.
    pub recover: f64,
    /// Share lost in the bad state.
    pub loss_in: f64,
    /// Share lost in the good one.
    pub loss_out: f64,
}

/// What a bottleneck carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Rate {
    /// Anything at once.
    Unlimited,
    /// Bits a second, headers included.
    Bits(u64),
    /// As it was recorded.
    Trace(Arc<Trace>),
}

/// How much waits before a bottleneck; what is over it is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Queue {
    /// What takes so long to send.
    Time(Duration),
    /// So many bytes.
    Bytes(u64),
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            loss: 0.0,
            burst: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate: Rate::Unlimited,
            queue: Queue::Time(QUEUE),
            reorder: 0.0,
            reorder_by: REORDER_BY,
            duplicate: 0.0,
        }
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self(vec![(Duration::ZERO, Conditions::default())])
    }
}

impl Profile {
    /// The conditions at a moment.
    #[must_use]
    pub fn at(&self, now: Duration) -> &Conditions {
        let after = self.0.partition_point(|(from, _)| *from <= now);
        // The first step is at zero, so there is always one before.
        &self.0[after.saturating_sub(1)].1
    }

    fn step(&mut self, from: Duration) -> Result<&mut Conditions, SpecError> {
        let (last, conditions) = self.0.last().cloned().unwrap_or_default();
        if from < last {
            return Err(SpecError::Order);
        }
        if from > last {
            if self.0.len() >= STEPS {
                return Err(SpecError::Steps);
            }
            self.0.push((from, conditions));
        }
        self.0.last_mut().map(|(_, c)| c).ok_or(SpecError::Order)
    }
}

/// Why an impairment cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No `=` in it.
    #[error("{0:?} says nothing; write KEY=VALUE, such as loss=5%")]
    NoValue(String),
    /// A key that does not exist.
    #[error("there is no {key:?}{hint}; there are {KEYS}")]
    Key {
        /// As it was written.
        key: String,
        /// What may have been meant.
        hint: String,
    },
    /// A value that its key does not take.
    #[error("{key}={value}: {expected}")]
    Value {
        /// Which.
        key: String,
        /// As it was written.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
    /// Steps that go back in time.
    #[error(
        "steps must come in the order of their times: 'rate=2mbit;10s:rate=500kbit;20s:rate=2mbit'"
    )]
    Order,
    /// More steps than a person writes.
    #[error("more than {STEPS} steps; record a trace instead")]
    Steps,
    /// A trace's file that cannot be read.
    #[error("trace={path}: {problem}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        problem: String,
    },
    /// A trace that cannot be used.
    #[error("trace={path}: {problem}")]
    Trace {
        /// Which.
        path: String,
        /// Why.
        problem: TraceError,
    },
}

const KEYS: &str =
    "loss, burst, delay, jitter, rate, trace, queue, reorder, reorder-by, duplicate and seed";

const SHARE: &str = "takes a share: 5%, 0.05";
const TIME: &str = "takes a time of up to 60 s with its unit: 80ms, 1.5s";

impl Spec {
    /// Reads one `--impair`; `read` gives a trace's text.
    ///
    /// # Errors
    /// When something in it cannot be understood.
    pub fn parse(
        text: &str,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, SpecError> {
        let mut spec = Self::default();
        spec.add(text, read)?;
        Ok(spec)
    }

    /// Adds another `--impair`, which changes what it names.
    ///
    /// # Errors
    /// When something in it cannot be understood.
    pub fn add(
        &mut self,
        text: &str,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<(), SpecError> {
        let (up, down, text) = match text.trim().split_once(':') {
            Some((way, rest)) if way.trim() == "up" => (true, false, rest),
            Some((way, rest)) if way.trim() == "down" => (false, true, rest),
            _ => (true, true, text.trim()),
        };
        for step in text.split(';') {
            let (from, settings) = match step.split_once(':') {
                // `burst=1%:25%` has a colon too, behind its `=`.
                Some((time, rest)) if !time.contains('=') => (moment(time)?, rest),
                _ => (Duration::ZERO, step),
            };
            for setting in settings.split(',').map(str::trim).filter(|s| !s.is_empty()) {
                let (key, value) = setting
                    .split_once('=')
                    .ok_or_else(|| SpecError::NoValue(setting.chars().take(40).collect()))?;
                let (key, value) = (key.trim(), value.trim());
                if key == "seed" {
                    self.seed = value.parse().map_err(|_| SpecError::Value {
                        key: "seed".into(),
                        value: value.into(),
                        expected: "takes a whole number",
                    })?;
                    continue;
                }
                let change = Change::parse(key, value, &read)?;
                if up {
                    change.clone().apply(self.up.step(from)?);
                }
                if down {
                    change.apply(self.down.step(from)?);
                }
            }
        }
        Ok(())
    }
}

/// One setting.
#[derive(Clone)]
enum Change {
    Loss(f64),
    Burst(Option<Burst>),
    Delay(Duration),
    Jitter(Duration),
    Rate(Rate),
    Queue(Queue),
    Reorder(f64),
    ReorderBy(Duration),
    Duplicate(f64),
}

impl Change {
    fn parse(
        key: &str,
        value: &str,
        read: impl Fn(&str) -> std::io::Result<String>,
    ) -> Result<Self, SpecError> {
        let wrong = |expected| SpecError::Value {
            key: key.into(),
            value: value.chars().take(60).collect(),
            expected,
        };
        let share = || share(value).ok_or_else(|| wrong(SHARE));
        let time = || time(value).ok_or_else(|| wrong(TIME));
        Ok(match key {
            "loss" => Self::Loss(share()?),
            "burst" => Self::Burst(burst(value).ok_or_else(|| {
                wrong("takes BEGIN:END[:LOSS-IN[:LOSS-OUT]], shares for each datagram, such as 1%:25%; or 0 for none")
            })?),
            "delay" => Self::Delay(time()?),
            "jitter" => Self::Jitter(time()?),
            "rate" => Self::Rate(rate(value).ok_or_else(|| {
                wrong("takes bits a second with their unit: 500kbit, 2.5mbit; or none")
            })?),
            "trace" => Self::Rate(Rate::Trace(Arc::new(trace(value, read)?))),
            "queue" => Self::Queue(
                queue(value).ok_or_else(|| wrong("takes a time or bytes: 200ms, 64kB"))?,
            ),
            "reorder" => Self::Reorder(share()?),
            "reorder-by" => Self::ReorderBy(time()?),
            "duplicate" => Self::Duplicate(share()?),
            _ => {
                return Err(SpecError::Key {
                    key: key.chars().take(40).collect(),
                    hint: nearest(key),
                });
            }
        })
    }

    fn apply(self, conditions: &mut Conditions) {
        match self {
            Self::Loss(share) => conditions.loss = share,
            Self::Burst(burst) => conditions.burst = burst,
            Self::Delay(time) => conditions.delay = time,
            Self::Jitter(time) => conditions.jitter = time,
            Self::Rate(rate) => conditions.rate = rate,
            Self::Queue(queue) => conditions.queue = queue,
            Self::Reorder(share) => conditions.reorder = share,
            Self::ReorderBy(time) => conditions.reorder_by = time,
            Self::Duplicate(share) => conditions.duplicate = share,
        }
    }
}

fn nearest(key: &str) -> String {
    let keys = KEYS.split([',', ' ']).filter(|k| k.len() > 3);
    let best = keys
        .map(|k| (strsim::jaro_winkler(k, key), k))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, key)) if likeness > 0.75 => format!(", did you mean {key}?"),
        _ => String::new(),
    }
}

fn moment(text: &str) -> Result<Duration, SpecError> {
    crate::cli::duration(text.trim()).map_err(|_| SpecError::Value {
        key: "step".into(),
        value: text.chars().take(40).collect(),
        expected: "begins at a time with its unit, such as 10s:rate=500kbit",
    })
}

fn share(text: &str) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

fn time(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    crate::cli::duration(text)
        .ok()
        .filter(|time| *time <= LONGEST)
}

fn burst(text: &str) -> Option<Option<Burst>> {
    if text == "0" || text == "none" {
        return Some(None);
    }
    let shares: Vec<f64> = text
        .split(':')
        .map(|s| share(s.trim()))
        .collect::<Option<_>>()?;
    let (begin, recover, loss_in, loss_out) = match shares[..] {
        [begin, recover] => (begin, recover, 1.0, 0.0),
        [begin, recover, loss_in] => (begin, recover, loss_in, 0.0),
        [begin, recover, loss_in, loss_out] => (begin, recover, loss_in, loss_out),
        _ => return None,
    };
    Some(Some(Burst {
        begin,
        recover,
        loss_in,
        loss_out,
    }))
}

fn rate(text: &str) -> Option<Rate> {
    if text == "none" {
        return Some(Rate::Unlimited);
    }
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix("/s").unwrap_or(&text);
    let (number, factor) = [("gbit", 1e9), ("mbit", 1e6), ("kbit", 1e3), ("bit", 1.0)]
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let bits = number.trim().parse::<f64>().ok()? * factor;
    // Below 1 kbit/s a single datagram takes longer than anything is held.
    (1_000.0..=1e12)
        .contains(&bits)
        .then_some(Rate::Bits(bits as u64))
}

fn queue(text: &str) -> Option<Queue> {
    if let Some(time) = time(text) {
        return Some(Queue::Time(time));
    }
    let lower = text.to_ascii_lowercase();
    let (number, factor) = [("mb", 1e6), ("kb", 1e3), ("b", 1.0)]
        .iter()
        .find_map(|(unit, factor)| Some((lower.strip_suffix(unit)?, factor)))?;
    let bytes = number.trim().parse::<f64>().ok()? * factor;
    (0.0..=1e9)
        .contains(&bytes)
        .then_some(Queue::Bytes(bytes as u64))
}

fn trace(path: &str, read: impl Fn(&str) -> std::io::Result<String>) -> Result<Trace, SpecError> {
    let text = read(path).map_err(|error| SpecError::File {
        path: path.into(),
        problem: error.to_string(),
    })?;
    Trace::parse(&text).map_err(|problem| SpecError::Trace {
        path: path.into(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Spec, SpecError> {
        Spec::parse(text, |path| match path {
            "there" => Ok("1\n2\n".into()),
            "bad" => Ok("x".into()),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        })
    }

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn everything_at_once_is_understood() {
        let spec = parse("loss=5%,delay=80ms,jitter=20ms,rate=1mbit,queue=200ms,reorder=1%,reorder-by=30ms,duplicate=0.5%,burst=1%:25%,seed=7").unwrap();
        let wanted = Conditions {
            loss: 0.05,
            burst: Some(Burst {
                begin: 0.01,
                recover: 0.25,
                loss_in: 1.0,
                loss_out: 0.0,
            }),
            delay: MS(80),
            jitter: MS(20),
            rate: Rate::Bits(1_000_000),
            queue: Queue::Time(MS(200)),
            reorder: 0.01,
            reorder_by: MS(30),
            duplicate: 0.005,
        };
        assert_eq!(spec.up.at(Duration::ZERO), &wanted);
        assert_eq!(spec.up, spec.down);
        assert_eq!(spec.seed, 7);
    }

    #[test]
    fn directions_are_told_apart_and_add_up() {
        let mut spec = parse("up:rate=500kbit,queue=64kB").unwrap();
        spec.add("down: loss=2%", |_| Ok(String::new())).unwrap();
        assert_eq!(spec.up.at(MS(0)).rate, Rate::Bits(500_000));
        assert_eq!(spec.up.at(MS(0)).queue, Queue::Bytes(64_000));
        assert_eq!(spec.down.at(MS(0)).rate, Rate::Unlimited);
        assert_eq!(
            (spec.up.at(MS(0)).loss, spec.down.at(MS(0)).loss),
            (0.0, 0.02)
        );
    }

    #[test]
    fn steps_change_only_what_they_name() {
        let spec = parse("rate=2.5mbit,delay=10ms; 10s: rate=500kbit; 1m: rate=none").unwrap();
        let at = |secs| spec.down.at(Duration::from_secs(secs)).clone();
        assert_eq!(at(9).rate, Rate::Bits(2_500_000));
        assert_eq!((at(10).rate, at(10).delay), (Rate::Bits(500_000), MS(10)));
        assert_eq!(at(3_600).rate, Rate::Unlimited);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let error = |text| parse(text).unwrap_err().to_string();
        assert!(
            error("los=5%").contains("did you mean loss?"),
            "{}",
            error("los=5%")
        );
        assert!(error("loss").contains("KEY=VALUE"));
        assert!(error("loss=120%").contains("takes a share"));
        assert!(error("delay=80").contains("with its unit"));
        assert!(error("delay=2m").contains("up to 60 s"));
        assert!(error("rate=1").contains("500kbit"));
        assert!(error("trace=gone").starts_with("trace=gone:"));
        assert!(error("trace=bad").contains("line 1"));
        assert!(error("10s:loss=1%;5s:loss=2%").contains("order"));
        assert!(error("soon:loss=1%").contains("10s:rate=500kbit"));
        assert!(error("seed=x").contains("whole number"));
    }

    proptest! {
        #[test]
        fn any_text_is_understood_or_refused(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn texts_of_its_own_words_are_understood_or_refused(
            text in "((up|down|10s|1s|loss|rate|burst|queue|delay|seed|trace)[:=;,]?(5%|1mbit|80ms|there|0|9s|:)?[,;:]?){0,8}"
        ) {
            if let Ok(spec) = parse(&text) {
                // There is always an answer, whatever the time.
                let _ = (spec.up.at(Duration::ZERO), spec.down.at(Duration::MAX));
            }
        }
    }
}
