//! Which numbers of a stream have arrived, as far back as anybody would ask for them.

/// Numbers that are remembered.
const WINDOW: u16 = 2_048;
const WORDS: usize = WINDOW as usize / 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Seen {
    newest: Option<u16>,
    /// A bit for each number, by its rest.
    bits: Vec<u64>,
}

impl Seen {
    /// Takes note of a number; false where it had arrived before. What is older than the window is taken for new.
    pub(super) fn arrives(&mut self, number: u16) -> bool {
        self.bits.resize(WORDS, 0);
        let newest = *self.newest.get_or_insert(number);
        let ahead = number.wrapping_sub(newest);
        if ahead < 1 << 15 {
            // The numbers between are not there, whatever was there a window ago.
            for passed in 1..=ahead.min(WINDOW) {
                let (word, bit) =
                    place(number.wrapping_sub(ahead.min(WINDOW)).wrapping_add(passed));
                self.bits[word] &= !bit;
            }
            self.newest = Some(number);
        } else if newest.wrapping_sub(number) >= WINDOW {
            return true;
        }
        let (word, bit) = place(number);
        let before = self.bits[word] & bit != 0;
        self.bits[word] |= bit;
        !before
    }
}

const fn place(number: u16) -> (usize, u64) {
    let number = number % WINDOW;
    (number as usize / 64, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_new_once_across_the_wrap() {
        let mut seen = Seen::default();
        for number in 65_000..66_500_u32 {
            assert!(seen.arrives(number as u16), "{number}");
            assert!(!seen.arrives(number as u16), "{number}");
        }
    }

    proptest! {
        #[test]
        fn it_knows_all_within_the_window(steps in prop::collection::vec(-200_i32..300, 1..400)) {
            let mut seen = Seen::default();
            let mut known = HashSet::new();
            let mut newest = 100_000_i32;
            for step in steps {
                let number = newest + step;
                let fresh = seen.arrives(number as u16);
                if newest - number < i32::from(WINDOW) {
                    prop_assert_eq!(fresh, known.insert(number));
                }
                newest = newest.max(number);
            }
        }
    }
}
