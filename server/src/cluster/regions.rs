//! Regions of a cluster: whose broker keeps what, and where a node is. Pure, and the same at every node that was given the same
//! names in whatever order.
//!
//! A room, a name and a peer have a home each, by rendezvous hashing (Thaler and Ravishankar, 1998) of their text among the
//! regions' names, so that one region more takes its share from all others and moves nothing between them; or the one that
//! stands behind the last `@` of it. A node's own id tells its region, so nobody has to be asked where it is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ring::digest::{SHA256, digest};

use super::seats::Request;
use super::words::NodeId;
use crate::hub::Wish;

/// Signs of a region's name at most.
const LONGEST: usize = 32;

/// A text that is no region's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a region: give it 1 to {LONGEST} signs of a to z, 0 to 9 and -, as in eu-west"
)]
pub struct RegionNameError(String);

/// Regions that cannot be told apart, or are not those that they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionsError {
    /// The own one has no broker.
    #[error("--region {0} is none of --regions; give its broker there, too: {0}=redis://HOST:PORT")]
    Missing(RegionName),
    /// Nodes of these two would have ids alike.
    #[error(
        "the regions {0} and {1} cannot be told apart by their nodes' ids; call one of them otherwise"
    )]
    Alike(RegionName, RegionName),
    /// What nodes say to each other would come twice.
    #[error(
        "the regions {0} and {1} have the same broker, {2}; give each one of its own, or make one region of them"
    )]
    Shared(RegionName, RegionName, String),
}

/// What a region is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegionName(String);

impl RegionName {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RegionName {
    type Err = RegionNameError;

    fn from_str(text: &str) -> Result<Self, RegionNameError> {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(fits) {
            return Err(RegionNameError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One of the regions, in the order of their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(usize);

impl Region {
    /// Its place in the order.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

#[derive(Debug)]
struct Known {
    name: RegionName,
    /// How the ids of its nodes begin.
    mark: u16,
    /// What it is told apart by where homes are chosen.
    seed: u64,
}

/// All of them, and which is this node's own; cheap to clone. Without a name there is one, which is all.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    known: Arc<[Known]>,
    own: Region,
}

/// Bytes of the hash of a text, as numbers: one to be known by, and one to choose by.
fn numbers(text: &str) -> (u16, u64) {
    let hash = digest(&SHA256, text.as_bytes());
    let bytes = hash.as_ref().iter();
    let number = |skip: usize, take: usize| {
        let part = bytes.clone().skip(skip).take(take);
        part.fold(0_u64, |all, byte| (all << 8) | u64::from(*byte))
    };
    (u16::try_from(number(0, 2)).unwrap_or(0), number(8, 8))
}

/// The end of SplitMix64 (Steele, Lea and Flood, 2014): each bit of the sum changes half of the result.
const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Regions {
    /// These, among them the own one.
    ///
    /// # Errors
    /// When the own one is not among them, or two of them would be taken for one.
    pub fn new(
        own: &RegionName,
        names: impl IntoIterator<Item = RegionName>,
    ) -> Result<Self, RegionsError> {
        let mut marks: BTreeMap<u16, RegionName> = BTreeMap::new();
        let mut known = BTreeMap::new();
        for name in names {
            let (mark, seed) = numbers(&name.0);
            let before = marks.insert(mark, name.clone());
            if let Some(before) = before.filter(|before| *before != name) {
                return Err(RegionsError::Alike(before, name));
            }
            known.insert(name.clone(), Known { name, mark, seed });
        }
        let at = known.keys().position(|name| name == own);
        let own = at.ok_or_else(|| RegionsError::Missing(own.clone()))?;
        Ok(Self {
            known: known.into_values().collect(),
            own: Region(own),
        })
    }

    /// Whether there are others than the own one.
    #[must_use]
    pub fn are_several(&self) -> bool {
        self.known.len() > 1
    }

    /// The own one.
    #[must_use]
    pub const fn own(&self) -> Region {
        self.own
    }

    /// Each of them, and what it is called; nothing where regions have no names.
    pub fn named(&self) -> impl Iterator<Item = (Region, &RegionName)> {
        let known = self.known.iter().enumerate();
        known.map(|(at, one)| (Region(at), &one.name))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Region> + use<> {
        (0..self.known.len().max(1)).map(Region)
    }

    /// What one is called; nothing where there is one without a name.
    #[must_use]
    pub fn name(&self, region: Region) -> Option<&str> {
        self.known.get(region.0).map(|one| one.name.as_str())
    }

    /// The home of a room, a name or a peer.
    #[must_use]
    pub fn home(&self, text: &str) -> Region {
        if !self.are_several() {
            return self.own;
        }
        if let Some((_, behind)) = text.rsplit_once('@')
            && let Some(at) = self.known.iter().position(|one| one.name.0 == behind)
        {
            return Region(at);
        }
        let (_, key) = numbers(text);
        let known = self.known.iter().enumerate();
        let highest = known.max_by_key(|(_, one)| mixed(one.seed ^ key));
        highest.map_or(self.own, |(at, _)| Region(at))
    }

    /// The id of a node of the own region, from a number that the caller drew at random.
    #[must_use]
    pub fn node(&self, drawn: u64) -> NodeId {
        let own = self.known.get(self.own.0);
        NodeId::new(own.map_or(drawn, |own| (u64::from(own.mark) << 48) | (drawn >> 16)))
    }

    /// Where a node is; none for one of a region that is not known here.
    #[must_use]
    pub fn of(&self, node: NodeId) -> Option<Region> {
        if self.known.is_empty() {
            return Some(self.own);
        }
        let mark = node.mark();
        let at = self.known.iter().position(|one| one.mark == mark);
        at.map(Region)
    }

    /// Which region's broker sees to a wish: that of what is asked about, or of the node that is spoken to.
    #[must_use]
    pub fn seeing_to(&self, wish: &Wish) -> Region {
        if !self.are_several() {
            return self.own;
        }
        match wish {
            Wish::Claim(_, claim) => self.home(claim.room.as_str()),
            Wish::Release(leaving) => self.home(leaving.room.as_str()),
            Wish::Sync(room) => self.home(room.as_str()),
            Wish::Turn(peer) => self.home(peer.as_str()),
            Wish::Ask(request) | Wish::Name(_, request) | Wish::Locate(_, request) => {
                self.knowing(request)
            }
            Wish::Say(node, ..) => self.of(*node).unwrap_or(self.own),
        }
    }

    fn knowing(&self, request: &Request) -> Region {
        match request {
            Request::Claim(claim) => self.home(claim.room.as_str()),
            Request::Sync(sync) => self.home(sync.room.as_str()),
            Request::Release { room, .. } | Request::PutOut { room, .. } => {
                self.home(room.as_str())
            }
            Request::Turn { peer, .. }
            | Request::Here { peer, .. }
            | Request::Gone { peer, .. }
            | Request::Where { peer } => self.home(peer.as_str()),
            Request::Name { name, .. } | Request::Unname { name, .. } | Request::Whose { name } => {
                self.home(name.as_str())
            }
            Request::Beat { .. } => self.own,
        }
    }

    /// Where a peer is, the broker of the region in which it says so knows, too: who comes back there is found without
    /// another region's help.
    #[must_use]
    pub fn noted_here(&self, wish: &Wish) -> Option<Wish> {
        let noted = matches!(wish, Wish::Ask(Request::Here { .. } | Request::Gone { .. }));
        let elsewhere = self.are_several() && noted && self.seeing_to(wish) != self.own;
        elsewhere.then(|| wish.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> RegionName {
        text.parse().unwrap()
    }

    fn regions(own: &str, names: &[&str]) -> Regions {
        Regions::new(&name(own), names.iter().map(|one| name(one))).unwrap()
    }

    #[test]
    fn homes_stay_as_they_are_for_ever() {
        // What nodes of two versions have to agree on; not to be changed.
        let regions = regions("beijing", &["shanghai", "beijing"]);
        let rooms = ["lobby", "a", "b", "c", "d", "e", "f", "g"];
        let homes = rooms.map(|room| regions.name(regions.home(room)).unwrap());
        let wanted = "shanghai beijing shanghai beijing shanghai shanghai beijing beijing";
        assert_eq!(homes.join(" "), wanted);
        let node = regions.node(0x0123_4567_89ab_cdef);
        assert_eq!(node.to_string(), "cc490123456789ab");
    }

    #[test]
    fn the_region_behind_the_last_at_is_the_home() {
        let regions = regions("eu", &["eu", "us", "asia"]);
        for (text, home) in [("r@us", "us"), ("ann@us@asia", "asia"), ("@eu", "eu")] {
            assert_eq!(regions.name(regions.home(text)), Some(home), "{text}");
        }
        // Any other sign of it is part of the name.
        let homes: std::collections::BTreeSet<_> = (0..100)
            .map(|number| regions.home(&format!("r{number}@elsewhere")))
            .collect();
        assert_eq!(homes.len(), 3);
    }

    #[test]
    fn a_region_more_takes_its_share_and_moves_nothing_else() {
        let before = regions("a", &["a", "b", "c"]);
        let after = regions("a", &["a", "b", "c", "d"]);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for number in 0..8_000 {
            let room = format!("room {number}");
            let (was, is) = (before.home(&room), after.home(&room));
            let (was, is) = (before.name(was).unwrap(), after.name(is).unwrap());
            assert!(was == is || is == "d", "{room} went from {was} to {is}");
            *counts.entry(is.to_owned()).or_default() += 1;
        }
        assert!(
            counts.values().all(|count| (1_800..2_200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn without_names_everything_is_here() {
        let regions = Regions::default();
        assert!(!regions.are_several());
        assert_eq!(regions.home("r@us"), regions.own());
        assert_eq!(regions.of(NodeId::new(7)), Some(regions.own()));
        assert_eq!(regions.node(7), NodeId::new(7));
        assert_eq!(regions.all().count(), 1);
    }

    #[test]
    fn the_own_region_must_be_among_them() {
        let missing = Regions::new(&name("mars"), [name("eu")]);
        assert_eq!(missing.unwrap_err(), RegionsError::Missing(name("mars")));
        for bad in ["", "EU", "a b", "a=b", "a,b", "é", &"x".repeat(33)] {
            assert!(bad.parse::<RegionName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn all_nodes_agree_on_homes_and_on_where_each_of_them_is(
            text in "\\PC{0,40}",
            drawn in any::<u64>(),
        ) {
            let here = regions("a", &["a", "b", "c"]);
            let there = regions("c", &["c", "b", "a"]);
            prop_assert_eq!(here.home(&text), there.home(&text));
            prop_assert_eq!(there.of(here.node(drawn)), Some(here.own()));
            prop_assert_eq!(here.of(there.node(drawn)), Some(there.own()));
        }
    }
}
