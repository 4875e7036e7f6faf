//! Which pairs of peers stood, and whether anything came through them. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

/// A connection that stood shorter than this is not blamed for having brought nothing yet.
const TIME_TO_MEDIA: Duration = Duration::from_secs(3);

/// A picture, or a sound, by its place.
pub(super) type Sense = usize;

/// Every connection, seen from each of its ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs {
    ends: BTreeMap<(usize, usize), End>,
}

/// What one peer knows of its connection to another.
#[derive(Clone, Debug, Default)]
struct End {
    stood: Option<Duration>,
    /// Of each sense, whether a frame came as it was sent.
    came: [bool; 2],
}

impl Pairs {
    /// It stands, as `own` sees it. One that stands again is no other.
    pub(super) fn stands(&mut self, own: usize, far: usize, now: Duration) {
        let end = self.ends.entry((own, far)).or_default();
        end.stood.get_or_insert(now);
    }

    /// What `far` sent came to `own` as it was sent.
    pub(super) fn came(&mut self, own: usize, far: usize, sense: Sense) {
        self.ends.entry((own, far)).or_default().came[sense] = true;
    }

    /// Pairs that stood, as both of them saw it.
    pub(super) fn standing(&self) -> u64 {
        let both = |(own, far): &(usize, usize)| {
            let back = self.ends.get(&(*far, *own));
            own < far && back.is_some_and(|end| end.stood.is_some())
        };
        let stood = self.ends.iter().filter(|(_, end)| end.stood.is_some());
        stood.filter(|(ends, _)| both(ends)).count() as u64
    }

    /// Streams of these senses that never brought a frame though their connection stood long enough: how many, and the first one's
    /// receiver, sender and sense.
    pub(super) fn silent(
        &self,
        senses: &[Sense],
        now: Duration,
    ) -> (u64, Option<(usize, usize, Sense)>) {
        let old = |end: &End| {
            end.stood
                .is_some_and(|stood| now.saturating_sub(stood) >= TIME_TO_MEDIA)
        };
        let mut silent =
            self.ends
                .iter()
                .filter(|(_, end)| old(end))
                .flat_map(|((own, far), end)| {
                    let none = senses.iter().filter(|sense| !end.came[**sense]);
                    none.map(|sense| (*own, *far, *sense))
                });
        let first = silent.next();
        (u64::from(first.is_some()) + silent.count() as u64, first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_pair_stands_where_both_saw_it_and_counts_once() {
        let mut pairs = Pairs::default();
        pairs.stands(0, 1, S(1));
        // Once more is no second pair: two ends of one are not two halves of two.
        pairs.stands(0, 1, S(2));
        assert_eq!(pairs.standing(), 0);
        pairs.stands(1, 0, S(1));
        pairs.stands(2, 3, S(1));
        assert_eq!(pairs.standing(), 1);
    }

    #[test]
    fn what_stood_and_brought_nothing_is_told() {
        let mut pairs = Pairs::default();
        pairs.stands(0, 1, S(1));
        pairs.stands(1, 0, S(1));
        pairs.stands(4, 5, S(9));
        pairs.came(0, 1, 0);
        pairs.came(1, 0, 0);
        pairs.came(1, 0, 1);
        assert_eq!(pairs.silent(&[0, 1], S(10)), (1, Some((0, 1, 1))));
        assert_eq!(pairs.silent(&[0], S(10)), (0, None));
        assert_eq!(pairs.silent(&[0], S(12)).0, 1);
    }
}
