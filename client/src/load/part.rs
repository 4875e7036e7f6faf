//! Which of several processes one is, and what of the whole is its. Pure.

use std::str::FromStr;

/// One of several, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    index: u32,
    of: u32,
}

impl Part {
    /// All of them.
    pub(super) fn all(of: u32) -> impl Iterator<Item = Self> {
        (0..of).map(move |index| Self { index, of })
    }

    pub(super) const fn is_last(self) -> bool {
        self.index + 1 == self.of
    }

    /// How far behind the first it is on its way to the last: from 0 to below 1.
    pub(super) fn phase(self) -> f64 {
        f64::from(self.index) / f64::from(self.of)
    }

    /// Its share of so many; the shares of all are just as many, and no two differ by more than one.
    pub(super) fn share<T: Into<u64> + TryFrom<u64> + Default>(self, whole: T) -> T {
        let whole = u128::from(whole.into());
        let below = |index: u32| whole * u128::from(index) / u128::from(self.of);
        let share = below(self.index + 1) - below(self.index);
        // No more than the whole, which fitted.
        u64::try_from(share)
            .ok()
            .and_then(|share| share.try_into().ok())
            .unwrap_or_default()
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not one of several, as 0/4 is");
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let (index, of) = (number(index)?, number(of)?);
        (index < of).then_some(Self { index, of }).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_are_even_and_add_up(whole in any::<u32>(), of in 1..300_u32) {
            let shares: Vec<u32> = Part::all(of).map(|part| part.share(whole)).collect();
            prop_assert_eq!(shares.iter().map(|share| u64::from(*share)).sum::<u64>(), u64::from(whole));
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }

        #[test]
        fn what_is_written_is_read(of in 1..300_u32) {
            for part in Part::all(of) {
                prop_assert_eq!(part.to_string().parse(), Ok(part));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = text.parse::<Part>();
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for text in ["", "1", "/", "4/4", "0/0", "-1/4", "a/4", "1/4/5"] {
            assert!(text.parse::<Part>().is_err(), "{text}");
        }
    }
}
