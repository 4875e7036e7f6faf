//! The language of expectations.
//!
//! ```text
//! expectation = quantity [ "." statistic ] op value { qualifier }
//! op          = "<" | "<=" | ">" | ">=" | "==" | "!="
//! statistic   = "min" | "max" | "mean" | "median" | "p0" … "p100" | "total" | "count" | "last"
//! qualifier   = "after" time | "until" time | "for" share | "of" peer
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::quantity::{self, Kind, Quantity};
use crate::unit::{Unit, ValueError};

/// What is taken of many values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// The only one.
    Value,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// Their mean.
    Mean,
    /// What so many of a hundred do not exceed.
    Percentile(f64),
    /// Their sum.
    Total,
    /// How many there are.
    Count,
    /// The newest.
    Last,
}

impl Eq for Statistic {}

impl Statistic {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "min" => Self::Min,
            "max" => Self::Max,
            "mean" => Self::Mean,
            "median" => Self::Percentile(50.0),
            "total" => Self::Total,
            "count" => Self::Count,
            "last" => Self::Last,
            _ => {
                let digits = name.strip_prefix('p')?;
                if !digits.starts_with(|c: char| c.is_ascii_digit()) {
                    return None;
                }
                let percent: f64 = digits.parse().ok()?;
                (0.0..=100.0)
                    .contains(&percent)
                    .then_some(Self::Percentile(percent))?
            }
        })
    }

    /// What it gives is a number of things, whatever they are.
    pub(crate) const fn unit(self, of: Unit) -> Unit {
        match self {
            Self::Count => Unit::Count,
            _ => of,
        }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value => f.write_str("value"),
            Self::Min => f.write_str("min"),
            Self::Max => f.write_str("max"),
            Self::Mean => f.write_str("mean"),
            Self::Percentile(50.0) => f.write_str("median"),
            Self::Percentile(percent) => write!(f, "p{percent}"),
            Self::Total => f.write_str("total"),
            Self::Count => f.write_str("count"),
            Self::Last => f.write_str("last"),
        }
    }
}

/// How the two are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
    /// `!=`
    Other,
}

impl Comparison {
    /// In the order in which they are looked for: the longer ones first.
    const ALL: [(&'static str, Self); 7] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("==", Self::Equal),
        ("!=", Self::Other),
        ("<", Self::Less),
        (">", Self::More),
        ("=", Self::Equal),
    ];

    /// Whether it holds.
    #[must_use]
    pub fn holds(self, measured: f64, asked: f64) -> bool {
        // What is measured has been through sums and divisions.
        let equal = (measured - asked).abs() <= 1e-9 * asked.abs().max(1.0);
        match self {
            Self::Less => measured < asked && !equal,
            Self::AtMost => measured < asked || equal,
            Self::More => measured > asked && !equal,
            Self::AtLeast => measured > asked || equal,
            Self::Equal => equal,
            Self::Other => !equal,
        }
    }
}

/// One thing that is expected of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// As it was written.
    pub text: String,
    /// The name of the quantity, as records have it.
    pub name: String,
    /// What is measured.
    pub quantity: Quantity,
    /// What is taken of it.
    pub statistic: Statistic,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what, in the unit of the quantity.
    pub asked: f64,
    /// What comes sooner after the connection stands does not count.
    pub after: Duration,
    /// Nor what comes later than that.
    pub until: Option<Duration>,
    /// It need not hold over the whole, but in this share of the seconds.
    pub share: Option<f64>,
    /// Of this peer alone; of each one otherwise.
    pub peer: Option<String>,
}

/// Why a text is no expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpectationError {
    /// Nothing is compared.
    #[error("{text:?} compares nothing: write, for example, video.fps>=25")]
    NoComparison {
        /// As it was written.
        text: String,
    },
    /// No quantity goes by that name.
    #[error("{name:?} is not measured{}", meant(nearest.as_deref()))]
    Unknown {
        /// As it was written.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// The quantity has no such statistic.
    #[error("{name} has no {statistic}: it has {has}")]
    NoStatistic {
        /// Of what.
        name: String,
        /// Which.
        statistic: String,
        /// What it has.
        has: &'static str,
    },
    /// What it is compared with.
    #[error("{text:?}: {error}")]
    Value {
        /// As it was written.
        text: String,
        /// What is wrong with it.
        error: ValueError,
    },
    /// A qualifier that there is not, or half of one.
    #[error("{word:?} is no qualifier: there are after 2s, until 10s, for 95% and of NAME")]
    Qualifier {
        /// As it was written.
        word: String,
    },
    /// A share that is none.
    #[error("for {share}: a share is more than 0 % and at most 100 %")]
    Share {
        /// As it was written.
        share: String,
    },
    /// What happens once is in no share of the seconds.
    #[error("for {share}: {name} happens once, and not in each second; leave \"for {share}\" out")]
    ShareOfOnce {
        /// As it was written.
        share: String,
        /// Of what.
        name: String,
    },
    /// Nothing is left of the call.
    #[error("after {after} until {until}: nothing lies between")]
    Empty {
        /// As it was read.
        after: String,
        /// As it was read.
        until: String,
    },
}

fn meant(nearest: Option<&str>) -> String {
    let list = "rtc-client expectations lists what is";
    nearest.map_or_else(
        || format!(": {list}"),
        |name| format!(". Did you mean {name}? ({list})"),
    )
}

impl FromStr for Expectation {
    type Err = ExpectationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = text.find(['<', '>', '=', '!']);
        let none = || ExpectationError::NoComparison {
            text: text.trim().to_owned(),
        };
        let (name, rest) = text.split_at(found.ok_or_else(none)?);
        let (sign, comparison) = *Comparison::ALL
            .iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(none)?;
        let (name, quantity, statistic) = measured(name.trim())?;
        let rest = &rest[sign.len()..];
        let (value, qualifiers) = split_qualifiers(rest);
        let asked = statistic.unit(quantity.unit).parse(value);
        let asked = asked.map_err(|error| ExpectationError::Value {
            text: text.trim().to_owned(),
            error,
        })?;
        let mut expectation = Self {
            text: text.trim().to_owned(),
            name,
            quantity,
            statistic,
            comparison,
            asked,
            after: Duration::ZERO,
            until: None,
            share: None,
            peer: None,
        };
        expectation.qualify(qualifiers)?;
        Ok(expectation)
    }
}

impl Expectation {
    fn qualify(&mut self, text: &str) -> Result<(), ExpectationError> {
        let time = |value: &str| {
            let millis = Unit::Time
                .parse(value)
                .map_err(|error| ExpectationError::Value {
                    text: value.to_owned(),
                    error,
                })?;
            Ok(Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default())
        };
        let mut words = text.split_whitespace();
        while let Some(word) = words.next() {
            let half = || ExpectationError::Qualifier {
                word: word.to_owned(),
            };
            let value = words.next().ok_or_else(half)?;
            match word {
                "after" => self.after = time(value)?,
                "until" => self.until = Some(time(value)?),
                "of" => self.peer = Some(value.to_owned()),
                "for" => {
                    let none = || ExpectationError::Share {
                        share: value.to_owned(),
                    };
                    let share = Unit::Share.parse(value).map_err(|_| none())?;
                    if !(share > 0.0 && share <= 1.0) {
                        return Err(none());
                    }
                    if self.quantity.kind == Kind::Once {
                        return Err(ExpectationError::ShareOfOnce {
                            share: value.to_owned(),
                            name: self.name.clone(),
                        });
                    }
                    self.share = Some(share);
                }
                _ => return Err(half()),
            }
        }
        match self.until {
            Some(until) if until <= self.after => Err(ExpectationError::Empty {
                after: Unit::Time.tell(self.after.as_secs_f64() * 1e3),
                until: Unit::Time.tell(until.as_secs_f64() * 1e3),
            }),
            _ => Ok(()),
        }
    }

    /// The unit of what is measured and asked.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        self.statistic.unit(self.quantity.unit)
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Expectation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// What a name measures: the whole is a quantity, or all but a statistic at its end.
fn measured(text: &str) -> Result<(String, Quantity, Statistic), ExpectationError> {
    let known = |name: &str| quantity::find(name).map(|found| (full_name(name), found));
    if let Some((name, quantity)) = known(text) {
        return Ok((name, quantity, quantity.usual));
    }
    let split = split_statistic(text).and_then(|(name, last)| {
        let (name, quantity) = known(name)?;
        Some((name, quantity, last))
    });
    let Some((name, quantity, last)) = split else {
        return Err(ExpectationError::Unknown {
            name: text.to_owned(),
            nearest: quantity::nearest(text),
        });
    };
    match Statistic::named(last).filter(|statistic| quantity.has(*statistic)) {
        Some(statistic) => Ok((name, quantity, statistic)),
        None => Err(ExpectationError::NoStatistic {
            name,
            statistic: last.to_owned(),
            has: has(quantity),
        }),
    }
}

/// What stands behind the last point, but a percentile may have a point of its own.
fn split_statistic(text: &str) -> Option<(&str, &str)> {
    let percentile = text.rfind(".p").filter(|at| {
        let digits = &text[at + 2..];
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
    });
    match percentile {
        Some(at) => Some((&text[..at], &text[at + 1..])),
        None => text.rsplit_once('.'),
    }
}

fn full_name(name: &str) -> String {
    let alias = quantity::ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, of)| of).to_owned()
}

const fn has(quantity: Quantity) -> &'static str {
    match quantity.kind {
        Kind::Once => "none: it happens once",
        Kind::Tally | Kind::Counter => "total, and min and max of a second",
        Kind::Rate(_) => "min, max, mean, median, p0 to p100, count and last",
        Kind::Samples => "min, max, mean, median, p0 to p100, total, count and last",
    }
}

/// The value ends where a qualifier begins: at a word of letters that is none of the value's unit.
fn split_qualifiers(text: &str) -> (&str, &str) {
    let words = ["after", "until", "for", "of"];
    let mut at = 0;
    for piece in text.split_inclusive(char::is_whitespace) {
        if words.contains(&piece.trim()) {
            return text.split_at(at);
        }
        at += piece.len();
    }
    // A word that nobody knows is told as such, not as a part of the value.
    let trimmed = text.trim_start();
    let begin = text.len() - trimmed.len();
    match trimmed.find(char::is_whitespace) {
        Some(space) if trimmed[space..].trim().len() > 7 => text.split_at(begin + space),
        _ => (text, ""),
    }
}

#[cfg(test)]
mod tests;
