//! Sound without gaps from time stamps that are rounded to milliseconds.

use std::time::Duration;

/// How far a time stamp may be off and still mean "right after the last packet".
const ROUNDING: Duration = Duration::from_millis(2);

/// Places packets exactly behind one another where the file means that.
#[derive(Debug, Default)]
pub(super) struct Smooth {
    next: Option<Duration>,
}

impl Smooth {
    /// Where a packet stamped `time` that lasts `duration` belongs.
    pub(super) fn place(&mut self, time: Duration, duration: Duration) -> Duration {
        let at = self
            .next
            .filter(|next| next.abs_diff(time) <= ROUNDING)
            .unwrap_or(time);
        self.next = Some(at.saturating_add(duration));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounded_stamps_become_contiguous_and_real_gaps_stay() {
        let mut smooth = Smooth::default();
        let long = Duration::from_micros(2_500);
        let mut place = |ms| smooth.place(Duration::from_millis(ms), long).as_micros();
        assert_eq!(
            [place(0), place(3), place(5), place(8)],
            [0, 2_500, 5_000, 7_500]
        );
        assert_eq!([place(40), place(42)], [40_000, 42_500]);
    }
}
