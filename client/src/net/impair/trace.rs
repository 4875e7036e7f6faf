//! Recorded links in the format of Mahimahi (`mm-link`): each line is a time in
//! milliseconds at which the link can carry 1,500 bytes; at its end the trace starts over.

use std::time::Duration;

/// Bytes that one line of a trace carries.
pub const MTU: usize = 1_500;

/// Lines of a trace: an hour at 100 Mbit/s.
const LINES: usize = 30_000_000;

/// One recorded link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// In milliseconds, never falling, not empty, the last one above zero.
    times: Vec<u64>,
}

/// A trace that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// A line that is no number.
    #[error("line {line} is {text:?}; each line of a trace is a whole number of milliseconds")]
    Number {
        /// Counted from 1.
        line: usize,
        /// As it stands there, shortened.
        text: String,
    },
    /// Times that go back.
    #[error("line {line} is earlier than the one before; the times of a trace never fall")]
    Falls {
        /// Counted from 1.
        line: usize,
    },
    /// Nothing in it, or all of it at time zero.
    #[error("the trace has no time above zero, so that nothing would ever be carried")]
    Empty,
    /// More than anybody records.
    #[error("the trace has more than {LINES} lines; use a part of it")]
    Long,
}

impl Trace {
    /// Reads a trace; empty lines are skipped.
    ///
    /// # Errors
    /// When a line is no time, times fall, or nothing is left.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut times: Vec<u64> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), number + 1);
            if line.is_empty() {
                continue;
            }
            let time = line.parse().map_err(|_| TraceError::Number {
                line: number,
                text: line.chars().take(40).collect(),
            })?;
            if times.last().is_some_and(|last| *last > time) {
                return Err(TraceError::Falls { line: number });
            }
            if times.len() >= LINES {
                return Err(TraceError::Long);
            }
            times.push(time);
        }
        match times.last() {
            Some(1..) => Ok(Self { times }),
            _ => Err(TraceError::Empty),
        }
    }

    /// The first opportunity from number `from` on that is not before `at`, and its time.
    pub(super) fn next(&self, from: u64, at: Duration) -> (u64, Duration) {
        let millis = u64::try_from(at.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
        let first = match millis.checked_sub(1) {
            None => 0,
            // The last line of a round and a zero in the next are the same time, and both count.
            Some(before) => {
                let round = self.times.last().copied().unwrap_or(1);
                let (rounds, left) = (before / round, before % round + 1);
                let line = self.times.partition_point(|time| *time < left) as u64;
                rounds
                    .saturating_mul(self.times.len() as u64)
                    .saturating_add(line)
            }
        };
        let number = from.max(first);
        (number, self.time(number))
    }

    fn time(&self, number: u64) -> Duration {
        let count = self.times.len() as u64;
        let round = self.times.last().copied().unwrap_or(1);
        let index = usize::try_from(number % count).unwrap_or(0);
        let inside = self.times.get(index).copied().unwrap_or(0);
        Duration::from_millis(
            (number / count)
                .saturating_mul(round)
                .saturating_add(inside),
        )
    }

    /// Bits a second over the whole trace.
    #[must_use]
    pub fn mean_rate(&self) -> f64 {
        let millis = self.times.last().copied().unwrap_or(1) as f64;
        (self.times.len() * MTU * 8) as f64 / (millis / 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_trace_starts_over_at_its_end() {
        let trace = Trace::parse("1\n5\n\n5\n10\n").unwrap();
        assert_eq!(trace.next(0, ms(0)), (0, ms(1)));
        assert_eq!(trace.next(1, ms(0)), (1, ms(5)));
        assert_eq!(trace.next(0, ms(6)), (3, ms(10)));
        assert_eq!(trace.next(0, ms(10)), (3, ms(10)));
        assert_eq!(trace.next(0, ms(11)), (4, ms(11)));
        assert_eq!(trace.next(0, ms(20)), (7, ms(20)));
        assert!((trace.mean_rate() - 4_800_000.0).abs() < 1.0);
    }

    #[test]
    fn what_is_no_trace_says_where() {
        assert_eq!(
            Trace::parse("1\n-2\n"),
            Err(TraceError::Number {
                line: 2,
                text: "-2".into()
            })
        );
        assert_eq!(Trace::parse("3\n2\n"), Err(TraceError::Falls { line: 2 }));
        assert_eq!(Trace::parse("\n"), Err(TraceError::Empty));
        assert_eq!(Trace::parse("0\n0\n"), Err(TraceError::Empty));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}|[0-9\n]{0,60}") {
            let _ = Trace::parse(&text);
        }

        #[test]
        fn opportunities_are_never_early_and_never_given_twice(
            mut times in proptest::collection::vec(0_u64..50, 1..20), asks in proptest::collection::vec(0_u64..200, 1..50)
        ) {
            times.sort_unstable();
            times.push(50);
            let text: Vec<String> = times.iter().map(u64::to_string).collect();
            let trace = Trace::parse(&text.join("\n")).unwrap();
            let (mut from, mut at) = (0, 0);
            for ask in asks {
                at += ask;
                let (number, time) = trace.next(from, ms(at));
                prop_assert!(number >= from);
                prop_assert!(time >= ms(at));
                prop_assert_eq!(trace.time(number), time);
                // None between was passed over that would have served.
                if number > from {
                    prop_assert!(trace.time(number - 1) < ms(at));
                }
                from = number + 1;
            }
        }
    }
}
