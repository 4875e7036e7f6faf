//! Units: how a value is written, and how it is told.

use serde::Serialize;

/// What a number is a number of. Values are kept in the unit named first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Milliseconds.
    Time,
    /// Decibels, as of a signal against its noise.
    Decibel,
    /// Decibels of full scale.
    Level,
    /// Just a number of things.
    Count,
    /// Things a second.
    PerSecond,
    /// Bits a second.
    Bitrate,
    /// Bytes.
    Bytes,
    /// A share, 0 to 1.
    Share,
    /// Hertz.
    Frequency,
    /// A mark on a scale, such as MOS.
    Score,
    /// Pixels.
    Pixels,
}

/// Why a value is none of its unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// There is no number.
    #[error("{0:?} is no number")]
    NoNumber(String),
    /// It needs a unit and has none.
    #[error("{value:?} has no unit: write {example}")]
    NoUnit {
        /// As it was written.
        value: String,
        /// How it could be written.
        example: &'static str,
    },
    /// Its unit is another quantity's.
    #[error("{unit:?} is no unit of this: write {example}")]
    OtherUnit {
        /// As it was written.
        unit: String,
        /// How it could be written.
        example: &'static str,
    },
}

impl Unit {
    /// Suffixes and what they multiply by, in small letters; the first is the one that is told.
    const fn suffixes(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Time => &[
                ("ms", 1.0),
                ("us", 1e-3),
                ("µs", 1e-3),
                ("s", 1e3),
                ("min", 6e4),
            ],
            Self::Decibel => &[("db", 1.0)],
            Self::Level => &[("dbfs", 1.0), ("db", 1.0)],
            Self::Count => &[],
            Self::PerSecond => &[("/s", 1.0), ("fps", 1.0)],
            Self::Bitrate => &[
                ("bit/s", 1.0),
                ("bps", 1.0),
                ("bit", 1.0),
                ("kbit/s", 1e3),
                ("kbps", 1e3),
                ("kbit", 1e3),
                ("mbit/s", 1e6),
                ("mbps", 1e6),
                ("mbit", 1e6),
            ],
            Self::Bytes => &[("b", 1.0), ("kb", 1e3), ("mb", 1e6), ("gb", 1e9)],
            Self::Share => &[("%", 0.01)],
            Self::Frequency => &[("hz", 1.0), ("khz", 1e3)],
            Self::Score => &[],
            Self::Pixels => &[("px", 1.0)],
        }
    }

    /// Whether a bare number is clear enough.
    const fn is_clear_without(self) -> bool {
        !matches!(self, Self::Time | Self::Bitrate | Self::Share)
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Time => "200ms or 1.5s",
            Self::Decibel => "32dB",
            Self::Level => "-20dBFS",
            Self::Count => "3",
            Self::PerSecond => "25",
            Self::Bitrate => "500kbit/s",
            Self::Bytes => "10kB",
            Self::Share => "2%",
            Self::Frequency => "440Hz",
            Self::Score => "3.5",
            Self::Pixels => "640",
        }
    }

    /// Reads a value with its unit.
    ///
    /// # Errors
    /// When it is no number, or of another unit. Zero needs no unit.
    pub fn parse(self, text: &str) -> Result<f64, ValueError> {
        let text = text.trim();
        let end = number_end(text);
        let (number, suffix) = text.split_at(end);
        let number: f64 = number
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| ValueError::NoNumber(text.to_owned()))?;
        let suffix = suffix.trim();
        if suffix.is_empty() {
            if number == 0.0 || self.is_clear_without() {
                return Ok(number);
            }
            return Err(ValueError::NoUnit {
                value: text.to_owned(),
                example: self.example(),
            });
        }
        let small = suffix.to_lowercase();
        let known = self.suffixes().iter().find(|(name, _)| *name == small);
        known
            // A hundredth is none of binary fractions; a hundred is.
            .map(|(_, factor)| match factor {
                small if *small < 1.0 => number / (1.0 / small).round(),
                factor => number * factor,
            })
            .ok_or_else(|| ValueError::OtherUnit {
                unit: suffix.to_owned(),
                example: self.example(),
            })
    }

    /// The value as people read it.
    #[must_use]
    pub fn tell(self, value: f64) -> String {
        match self {
            Self::Time if value.abs() >= 10_000.0 => format!("{} s", short(value / 1e3)),
            Self::Time => format!("{} ms", short(value)),
            Self::Decibel => format!("{} dB", short(value)),
            Self::Level => format!("{} dBFS", short(value)),
            Self::Count | Self::Score => short(value),
            Self::PerSecond => format!("{}/s", short(value)),
            Self::Bitrate if value.abs() >= 1e6 => format!("{} Mbit/s", short(value / 1e6)),
            Self::Bitrate if value.abs() >= 1e3 => format!("{} kbit/s", short(value / 1e3)),
            Self::Bitrate => format!("{} bit/s", short(value)),
            Self::Bytes if value.abs() >= 1e6 => format!("{} MB", short(value / 1e6)),
            Self::Bytes if value.abs() >= 1e3 => format!("{} kB", short(value / 1e3)),
            Self::Bytes => format!("{} B", short(value)),
            Self::Share => format!("{} %", short(value * 100.0)),
            Self::Frequency => format!("{} Hz", short(value)),
            Self::Pixels => format!("{} px", short(value)),
        }
    }
}

/// Three digits or so, and no zeros behind the point.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// Where the number at the beginning of a text ends.
fn number_end(text: &str) -> usize {
    let sign = usize::from(text.starts_with(['-', '+']));
    let rest = &text[sign..];
    let digits = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    sign + digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_each_of_their_units() {
        for (unit, text, value) in [
            (Unit::Time, "200ms", 200.0),
            (Unit::Time, "1.5s", 1_500.0),
            (Unit::Time, "2 min", 120_000.0),
            (Unit::Time, "250us", 0.25),
            (Unit::Time, "0", 0.0),
            (Unit::Decibel, "32dB", 32.0),
            (Unit::Decibel, "32", 32.0),
            (Unit::Level, "-20dBFS", -20.0),
            (Unit::Count, "3", 3.0),
            (Unit::PerSecond, "25fps", 25.0),
            (Unit::Bitrate, "500kbit/s", 500_000.0),
            (Unit::Bitrate, "2.5Mbit", 2_500_000.0),
            (Unit::Share, "2%", 0.02),
            (Unit::Frequency, "1kHz", 1_000.0),
            (Unit::Score, "3.5", 3.5),
        ] {
            let read = unit.parse(text);
            assert!(
                read.as_ref().is_ok_and(|got| (got - value).abs() < 1e-9),
                "{text}: {read:?}"
            );
        }
    }

    #[test]
    fn a_value_of_another_unit_is_refused_with_an_example() {
        let told = |unit: Unit, text| unit.parse(text).map_err(|e| e.to_string());
        assert_eq!(
            told(Unit::Time, "200"),
            Err("\"200\" has no unit: write 200ms or 1.5s".into())
        );
        assert_eq!(
            told(Unit::Time, "3dB"),
            Err("\"dB\" is no unit of this: write 200ms or 1.5s".into())
        );
        assert_eq!(told(Unit::Count, "x"), Err("\"x\" is no number".into()));
        assert_eq!(
            told(Unit::Count, "1..2"),
            Err("\"1..2\" is no number".into())
        );
        assert!(told(Unit::Share, "0.5").is_err());
        assert!(told(Unit::Count, "").is_err());
    }

    #[test]
    fn values_are_told_shortly() {
        for (unit, value, told) in [
            (Unit::Time, 23.456, "23.5 ms"),
            (Unit::Time, 1_530.4, "1530 ms"),
            (Unit::Time, 61_530.4, "61.5 s"),
            (Unit::Decibel, 32.0, "32 dB"),
            (Unit::Bitrate, 1_250_000.0, "1.25 Mbit/s"),
            (Unit::Share, 0.017, "1.7 %"),
            (Unit::Count, 0.0, "0"),
            (Unit::Count, -0.000_01, "0"),
            (Unit::PerSecond, 29.97, "30/s"),
        ] {
            assert_eq!(unit.tell(value), told);
        }
    }
}
