//! What holders have at the other nodes, as those have told, and what of one's own is worth telling them. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::super::regions::Region;
use super::super::seats::GRACE;
use super::told::{Key, Kind, MOST, Told};

/// One in how many of a limit a holder may have at all other nodes together without their telling.
const UNTOLD: usize = 8;

/// Holders of one limit that all nodes together tell of, so that a list of many nodes stays as short as one of few.
const TOGETHER: usize = 2_048;

/// Holders that a node may tell of, however many nodes there are.
const LEAST_MANY: usize = 16;

/// From how much on a holder is told of: what so many other nodes leave untold is that part of the limit at most.
pub(super) const fn worth_telling(limit: usize, others: usize) -> usize {
    // Where there are no others, whoever comes next is the only one.
    let others = if others == 0 { 1 } else { others };
    limit / (UNTOLD * others) + 1
}

/// How many holders of one limit a node tells of.
pub(super) fn how_many(others: usize) -> usize {
    (TOGETHER / (others + 1)).clamp(LEAST_MANY, MOST)
}

/// Who has so much, the heaviest first, and no more than so many of them.
pub(crate) fn heaviest<T>(
    all: impl Iterator<Item = (T, usize)>,
    least: usize,
    most: usize,
) -> Vec<(T, usize)> {
    let mut heavy: Vec<_> = all.filter(|(_, held)| *held >= least).collect();
    heavy.sort_unstable_by_key(|(_, held)| Reverse(*held));
    heavy.truncate(most);
    heavy
}

/// What the nodes of one region told last.
#[derive(Debug)]
struct Heard {
    until: Instant,
    nodes: usize,
    held: HashMap<(Kind, Key), usize>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// How long what was heard counts. The broker passes on for as long what a node said, so that a node that is silent for a
    /// lease counts no more, even if the broker is silent since.
    counts: Duration,
    regions: BTreeMap<Region, Heard>,
}

impl Elsewhere {
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            counts: lease / u32::try_from(GRACE).unwrap_or(1),
            regions: BTreeMap::new(),
        }
    }

    /// So many other nodes live in a region, and those of them that have something to tell tell this.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        region: Region,
        nodes: usize,
        told: impl IntoIterator<Item = Told>,
    ) {
        let mut held: HashMap<_, usize> = HashMap::new();
        for told in told {
            for (kind, key, more) in told.holders() {
                let all = held.entry((kind, key)).or_default();
                *all = all.saturating_add(more);
            }
        }
        let until = now + self.counts;
        self.regions.insert(region, Heard { until, nodes, held });
    }

    fn counted(&self, now: Instant) -> impl Iterator<Item = &Heard> {
        self.regions.values().filter(move |heard| heard.until > now)
    }

    /// Other nodes that live.
    pub(super) fn others(&self, now: Instant) -> usize {
        self.counted(now).map(|heard| heard.nodes).sum()
    }

    /// Holders that they told of.
    pub(super) fn holders(&self, now: Instant) -> usize {
        self.counted(now).map(|heard| heard.held.len()).sum()
    }

    /// How much one has there; who it is, is asked only if anybody has something.
    pub(super) fn held(&self, now: Instant, kind: Kind, key: impl FnOnce() -> Key) -> usize {
        let mut heard = self.counted(now).filter(|heard| !heard.held.is_empty());
        let Some(first) = heard.next() else { return 0 };
        let key = (kind, key());
        let all = std::iter::once(first).chain(heard);
        all.filter_map(|heard| heard.held.get(&key))
            .fold(0, |sum, held| sum.saturating_add(*held))
    }

    /// How much everybody has there.
    pub(super) fn all(&self, now: Instant, kind: Kind) -> HashMap<Key, usize> {
        let mut all: HashMap<_, usize> = HashMap::new();
        for ((of, key), held) in self.counted(now).flat_map(|heard| &heard.held) {
            if *of == kind {
                let sum = all.entry(*key).or_default();
                *sum = sum.saturating_add(*held);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::super::super::NodeId;
    use super::super::super::seats::{Answer, Ledger, Request};
    use super::*;

    const LEASE: Duration = Duration::from_secs(8);
    const KIND: Kind = Kind::Connections;

    fn told(holders: &[(&str, usize)]) -> Told {
        let mut told = Told::default();
        told.add(
            KIND,
            holders.iter().map(|(who, held)| (Key::of(who), *held)),
        );
        told
    }

    fn here() -> Region {
        Region::default()
    }

    #[test]
    fn what_others_told_is_added_up_until_they_are_silent() {
        let start = Instant::now();
        let mut elsewhere = Elsewhere::new(LEASE);
        let ann = |elsewhere: &Elsewhere, now| elsewhere.held(now, KIND, || Key::of("ann"));
        assert_eq!(ann(&elsewhere, start), 0);
        let both = [told(&[("ann", 3), ("bob", 1)]), told(&[("ann", 4)])];
        elsewhere.heard(start, here(), 2, both);
        assert_eq!(ann(&elsewhere, start), 7);
        assert_eq!(elsewhere.held(start, Kind::Sessions, || Key::of("ann")), 0);
        assert_eq!((elsewhere.others(start), elsewhere.holders(start)), (2, 2));
        assert_eq!(elsewhere.all(start, KIND).len(), 2);
        let half = start + LEASE / 2;
        assert_eq!(ann(&elsewhere, half - Duration::from_millis(1)), 7);
        assert_eq!(ann(&elsewhere, half), 0);
        assert_eq!((elsewhere.others(half), elsewhere.holders(half)), (0, 0));
        // What is told next stands for itself.
        elsewhere.heard(half, here(), 1, [told(&[("ann", 2)])]);
        assert_eq!(ann(&elsewhere, half), 2);
    }

    #[test]
    fn nobody_is_asked_who_he_is_while_nobody_tells_of_anybody() {
        let now = Instant::now();
        let mut elsewhere = Elsewhere::new(LEASE);
        elsewhere.heard(now, here(), 9, [Told::default()]);
        assert_eq!(elsewhere.held(now, KIND, || panic!("asked")), 0);
    }

    #[test]
    fn what_is_not_told_is_an_eighth_of_the_limit_at_most() {
        for limit in [0, 1, 2, 7, 16, 64, 256, 10_000] {
            for others in 1..300 {
                let untold = others * (worth_telling(limit, others) - 1);
                assert!(untold <= limit / UNTOLD, "{limit} at {others}");
            }
        }
        assert_eq!(worth_telling(256, 2), 17);
        assert_eq!(worth_telling(256, 0), 33);
    }

    #[test]
    fn the_heaviest_are_told_of_and_fewer_by_each_of_many() {
        let all = [("a", 1), ("b", 5), ("c", 3), ("d", 2)];
        let heavy = heaviest(all.into_iter(), 2, 2);
        assert_eq!(heavy, [("b", 5), ("c", 3)]);
        let many = [0, 2, 7, 8, 31, 127, 1_999].map(how_many);
        assert_eq!(many, [256, 256, 256, 227, 64, 16, 16]);
    }

    const NODES: usize = 3;
    const HOLDERS: usize = 2;
    const LIMIT: usize = 32;
    const STEP: Duration = Duration::from_millis(100);
    const BEAT: u32 = 10;

    #[derive(Clone, Debug)]
    enum Act {
        /// Somebody wants so many at a node.
        Take(usize, usize, usize),
        /// Somebody gives so many back.
        Drop(usize, usize, usize),
        /// The broker forgets everything.
        Forget,
        /// A node does not reach the broker for so many steps.
        Cut(usize, u32),
        Pass(u32),
    }

    fn act() -> impl Strategy<Value = Act> {
        let which = || (0..NODES, 0..HOLDERS, 1..LIMIT);
        prop_oneof![
            6 => which().prop_map(|(node, who, many)| Act::Take(node, who, many)),
            4 => which().prop_map(|(node, who, many)| Act::Drop(node, who, many)),
            1 => Just(Act::Forget),
            1 => (0..NODES, 1..200u32).prop_map(|(node, steps)| Act::Cut(node, steps)),
            6 => (1..30u32).prop_map(Act::Pass),
        ]
    }

    struct Node {
        elsewhere: Elsewhere,
        held: [usize; HOLDERS],
        next: u32,
        cut_until: u32,
    }

    /// Nodes around a ledger, with a time that passes in steps.
    struct World {
        start: Instant,
        step: u32,
        ledger: Ledger,
        nodes: Vec<Node>,
        /// What each holder had at each node, at each step.
        had: Vec<[[usize; HOLDERS]; NODES]>,
        /// When the last node was cut off, or the broker forgot.
        troubled: u32,
    }

    impl World {
        fn new() -> Self {
            let node = |number: usize| Node {
                elsewhere: Elsewhere::new(LEASE),
                held: [0; HOLDERS],
                next: u32::try_from(number).unwrap() * 3,
                cut_until: 0,
            };
            Self {
                start: Instant::now(),
                step: 0,
                ledger: Ledger::new(1),
                nodes: (0..NODES).map(node).collect(),
                had: Vec::new(),
                troubled: 0,
            }
        }

        fn now(&self) -> Instant {
            self.start + STEP * self.step
        }

        fn beat(&mut self, number: usize) {
            let (now, me) = (self.now(), NodeId::new(number as u64));
            let node = &mut self.nodes[number];
            let others = node.elsewhere.others(now);
            let mut told = Told::default();
            let mine = (0..HOLDERS).map(|who| (Key::of(&who.to_string()), node.held[who]));
            let heavy = heaviest(mine, worth_telling(LIMIT, others), how_many(others));
            told.add(KIND, heavy);
            let request = Request::Beat {
                node: me,
                lease: u64::try_from(LEASE.as_millis()).unwrap(),
                peers: 0,
                held: Some(told.write()).filter(|text| !text.is_empty()),
            };
            let Answer::Alive { nodes, held, .. } =
                self.ledger.ask(1 + u64::from(self.step) * 100, request)
            else {
                panic!("no answer to a beat");
            };
            let told = held.into_iter().filter(|(from, _)| *from != me);
            let told = told.map(|(_, text)| Told::read(&text).unwrap());
            node.elsewhere.heard(now, here(), nodes.len() - 1, told);
        }

        fn all(&self, who: usize) -> usize {
            self.nodes.iter().map(|node| node.held[who]).sum()
        }

        fn pass(&mut self, steps: u32) {
            for _ in 0..steps {
                for number in 0..NODES {
                    let node = &self.nodes[number];
                    if self.step >= node.next && self.step >= node.cut_until {
                        self.beat(number);
                        self.nodes[number].next = self.step + BEAT;
                    }
                }
                let now = std::array::from_fn(|number| self.nodes[number].held);
                self.had.push(now);
                self.step += 1;
            }
        }

        /// The most that one had at each node within a lease, added up.
        fn most_within_a_lease(&self, who: usize) -> usize {
            let lease = usize::try_from(LEASE.as_millis() / STEP.as_millis()).unwrap();
            let lately = &self.had[self.had.len().saturating_sub(lease)..];
            let most = |number: usize| {
                let had = lately.iter().map(|had| had[number][who]);
                had.chain([self.nodes[number].held[who]]).max().unwrap()
            };
            (0..NODES).map(most).sum()
        }

        fn take(&mut self, number: usize, who: usize, many: usize) {
            let now = self.now();
            for _ in 0..many {
                let node = &self.nodes[number];
                let key = || Key::of(&who.to_string());
                let known = node.held[who] + node.elsewhere.held(now, KIND, key);
                if known < LIMIT {
                    self.nodes[number].held[who] += 1;
                    continue;
                }
                let most = self.most_within_a_lease(who);
                assert!(
                    most >= LIMIT,
                    "refused, and had no more than {most} of late"
                );
            }
        }

        fn act(&mut self, act: &Act) {
            match *act {
                Act::Take(node, who, many) => self.take(node, who, many),
                Act::Drop(node, who, many) => {
                    let held = &mut self.nodes[node].held[who];
                    *held = held.saturating_sub(many);
                }
                Act::Forget => {
                    self.ledger = Ledger::new(1 + u64::from(self.step) * 100);
                    self.troubled = self.troubled.max(self.step);
                }
                Act::Cut(node, steps) => {
                    self.nodes[node].cut_until = self.step + steps;
                    self.troubled = self.troubled.max(self.step + steps);
                }
                Act::Pass(steps) => self.pass(steps),
            }
        }

        /// All cuts are over, and everybody has told and heard.
        fn settle(&mut self) {
            let rest = self.troubled.saturating_sub(self.step);
            // To know of the others, to tell what is much among so many, and to hear it.
            self.pass(rest + 4 * BEAT);
        }
    }

    proptest! {
        #[test]
        fn who_has_his_fill_in_all_gets_nothing_more_and_who_has_not_gets_it(
            acts in proptest::collection::vec(act(), 1..60),
            who in 0..HOLDERS,
            at in 0..NODES,
        ) {
            let mut world = World::new();
            world.pass(3 * BEAT);
            for act in &acts {
                world.act(act);
            }
            world.settle();
            let before = world.all(who);
            let now = world.now();
            world.take(at, who, LIMIT);
            let after = world.all(who);
            // What is below the share is not told.
            let most = LIMIT + LIMIT / UNTOLD;
            prop_assert!(after <= before.max(most), "{before} became {after}");
            prop_assert!(after >= LIMIT, "{before} became no more than {after}");
            // And a lease after the others were heard last, a node counts for itself.
            let late = now + LEASE;
            let node = &world.nodes[at];
            prop_assert_eq!(node.elsewhere.held(late, KIND, || Key::of(&who.to_string())), 0);
        }
    }
}
