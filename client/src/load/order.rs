//! Whether what one peer says comes to another once, and one after the other. Pure.

/// Numbers that were passed over and may still come; of more it is not known any more whether they come late or again.
const PASSED: usize = 256;

/// What came of one sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// One beyond the highest, which may be `u32::MAX`.
    next: u64,
    /// Empty, and without any memory of its own, where all comes in turn.
    passed: Vec<u32>,
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// After all that were said before it, or some of them have not come.
    InTurn,
    /// After one that was said later.
    Late,
    /// Not for the first time.
    Again,
}

impl Order {
    /// Takes the number of what came next.
    pub(super) fn take(&mut self, number: u32) -> Came {
        if let Ok(next) = u32::try_from(self.next)
            && number >= next
        {
            let room = PASSED.saturating_sub(self.passed.len());
            self.passed.extend((next..number).take(room));
            self.next = u64::from(number) + 1;
            return Came::InTurn;
        }
        match self.passed.iter().position(|passed| *passed == number) {
            Some(at) => {
                self.passed.swap_remove(at);
                Came::Late
            }
            None => Came::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(numbers: &[u32]) -> Vec<Came> {
        let mut order = Order::default();
        numbers.iter().map(|number| order.take(*number)).collect()
    }

    #[test]
    fn what_comes_in_turn_costs_no_memory() {
        let mut order = Order::default();
        assert!((0..1000).all(|number| order.take(number) == Came::InTurn));
        assert_eq!(order.passed.capacity(), 0);
    }

    #[test]
    fn late_and_repeated_ones_are_told_apart() {
        use Came::{Again, InTurn, Late};
        assert_eq!(take(&[0, 2, 1, 3]), [InTurn, InTurn, Late, InTurn]);
        assert_eq!(take(&[0, 0, 1, 0]), [InTurn, Again, InTurn, Again]);
        assert_eq!(take(&[1, 0, 0]), [InTurn, Late, Again]);
        assert_eq!(take(&[u32::MAX, u32::MAX]), [InTurn, Again]);
    }

    proptest! {
        /// Each number counts as new once, however they come.
        #[test]
        fn each_message_counts_once(numbers in prop::collection::vec(0..64_u32, 0..200)) {
            let new = take(&numbers).into_iter().filter(|came| *came != Came::Again).count();
            let mut distinct = numbers.clone();
            distinct.sort_unstable();
            distinct.dedup();
            prop_assert_eq!(new, distinct.len());
        }

        #[test]
        fn all_in_turn_and_as_many_as_were_said_is_each_of_them_once(numbers in Just((0..20_u32).collect::<Vec<_>>()).prop_shuffle()) {
            let came = take(&numbers);
            let sorted = numbers.is_sorted();
            prop_assert_eq!(came.iter().all(|one| *one == Came::InTurn), sorted);
        }
    }
}
