//! Limits that hold in the cluster as a whole: how much an address or a credential has at each node, as far as that is much.
//!
//! - [`told`]: what a node tells the others
//! - `elsewhere`: what they hold, and what of one's own is worth telling; pure rules
//!
//! Nobody is asked before a place is given, and nothing waits. With each beat a node tells who holds much at it, and hears who
//! holds much at others; it adds that to its own count when it decides. docs/cluster.md says what that lets through.

mod elsewhere;
pub mod told;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::regions::Region;
pub(crate) use elsewhere::heaviest;
use elsewhere::{Elsewhere, how_many, worth_telling};
use told::{Key, Kind, Told};

/// Who counts holders of a limit at this node.
pub(crate) trait Holders: fmt::Debug + Send + Sync {
    /// Those who have so much here, the heaviest first, and no more than so many.
    fn heaviest(&self, least: usize, most: usize) -> Vec<(Key, usize)>;
}

/// One limit at this node.
#[derive(Debug)]
struct Counted {
    kind: Kind,
    limit: usize,
    by: Weak<dyn Holders>,
}

#[derive(Debug)]
struct Inside {
    elsewhere: Mutex<Elsewhere>,
    counted: Mutex<Vec<Counted>>,
}

/// See the module; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Holdings(Arc<Inside>);

impl Holdings {
    pub(crate) fn new(lease: Duration) -> Self {
        Self(Arc::new(Inside {
            elsewhere: Mutex::new(Elsewhere::new(lease)),
            counted: Mutex::default(),
        }))
    }

    /// One limit, that its places are to be held to in all of the cluster.
    pub(crate) fn common(&self, kind: Kind) -> Common {
        let holdings = self.clone();
        Common { holdings, kind }
    }

    /// What is to be told to the others, and of how many holders; nothing where nobody holds much.
    pub(crate) fn tell(&self, now: Instant) -> (Option<String>, usize) {
        // Where none is known yet, some may be a moment later.
        let others = locked(&self.0.elsewhere).others(now);
        let mut told = Told::default();
        // They lock what is theirs, and may look in here with that.
        let counted: Vec<_> = locked(&self.0.counted)
            .iter()
            .filter_map(|one| Some((one.kind, one.limit, one.by.upgrade()?)))
            .collect();
        for (kind, limit, by) in counted {
            told.add(
                kind,
                by.heaviest(worth_telling(limit, others), how_many(others)),
            );
        }
        let text = Some(told.write()).filter(|text| !text.is_empty());
        (text, told.holders().count())
    }

    /// So many other nodes live in a region, and tell this; gives how many holders others told of, in all regions.
    pub(crate) fn hear(
        &self,
        now: Instant,
        region: Region,
        nodes: usize,
        texts: impl Iterator<Item = String>,
    ) -> usize {
        let told = texts.filter_map(|text| {
            let read = Told::read(&text);
            read.inspect_err(|error| tracing::debug!("{error}")).ok()
        });
        let told: Vec<_> = told.collect();
        let mut elsewhere = locked(&self.0.elsewhere);
        elsewhere.heard(now, region, nodes, told);
        elsewhere.holders(now)
    }
}

/// One limit that holds in all of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    holdings: Holdings,
    kind: Kind,
}

impl Common {
    /// Has the others told what this one counts, for as long as it is there.
    pub(crate) fn counts<H: Holders + 'static>(&self, limit: usize, by: &Arc<H>) {
        let by: Weak<H> = Arc::downgrade(by);
        locked(&self.holdings.0.counted).push(Counted {
            kind: self.kind,
            limit,
            by,
        });
    }

    /// How much a holder has at other nodes.
    pub(crate) fn elsewhere(&self, whose: impl FnOnce() -> Key) -> usize {
        let elsewhere = locked(&self.holdings.0.elsewhere);
        elsewhere.held(Instant::now(), self.kind, whose)
    }

    /// How much all of them have there.
    pub(crate) fn all_elsewhere(&self) -> HashMap<Key, usize> {
        locked(&self.holdings.0.elsewhere).all(Instant::now(), self.kind)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::regions::{RegionName, Regions};
    use super::*;

    /// Somebody who has it all.
    #[derive(Debug)]
    struct One(&'static str, usize);

    impl Holders for One {
        fn heaviest(&self, least: usize, most: usize) -> Vec<(Key, usize)> {
            heaviest([(Key::of(self.0), self.1)].into_iter(), least, most)
        }
    }

    #[test]
    fn nodes_of_all_regions_count_and_each_for_its_own_time() {
        let lease = Duration::from_secs(8);
        let names: [RegionName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        let regions = Regions::new(&names[0], names.clone()).unwrap();
        let [a, b]: [Region; 2] = regions.all().collect::<Vec<_>>().try_into().unwrap();
        let (here, there) = (Holdings::new(lease), Holdings::new(lease));
        let held = Arc::new(One("ann", 30));
        there.common(Kind::Connections).counts(256, &held);
        let start = Instant::now();
        let text = || there.tell(start).0;
        assert_eq!(text(), None, "for one other node, this is too little");
        there.hear(start, a, 1, std::iter::empty());
        there.hear(start, b, 1, std::iter::empty());
        assert!(text().is_some(), "for two it is not");
        assert_eq!(here.hear(start, a, 2, text().into_iter()), 1);
        let later = start + lease / 4;
        assert_eq!(here.hear(later, b, 1, text().into_iter()), 2);
        let common = here.common(Kind::Connections);
        let all = |now| locked(&here.0.elsewhere).held(now, Kind::Connections, || Key::of("ann"));
        assert_eq!((all(later), common.elsewhere(|| Key::of("ann"))), (60, 60));
        assert_eq!(
            common.all_elsewhere(),
            HashMap::from([(Key::of("ann"), 60)])
        );
        assert_eq!(here.common(Kind::Sessions).elsewhere(|| Key::of("ann")), 0);
        // One region is cut off, then the other.
        assert_eq!(all(start + lease / 2), 30);
        assert_eq!(all(later + lease / 2), 0);
    }

    #[test]
    fn who_says_what_cannot_be_understood_says_nothing() {
        let (now, here) = (Instant::now(), Holdings::new(Duration::from_secs(8)));
        let texts = ["c:?", "", "s:AAAAAAAAAAEAAAAC"].map(String::from);
        assert_eq!(here.hear(now, Region::default(), 3, texts.into_iter()), 1);
    }
}
