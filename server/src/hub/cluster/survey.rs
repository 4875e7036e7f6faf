//! What the administrator asks of all nodes: they are asked by their inboxes, and who does not answer in time is missing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rtc_protocol::{Raw, RoomId, ServerMessage};
use serde::{Deserialize, Serialize};

use super::super::report::RoomReport;
use super::super::{Effect, Hub, Line};
use crate::cluster::{NodeId, Word};

/// For an answer to come; many times what it takes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of the rooms of one node's answer, about; the list goes on from there.
const ANSWER: usize = 512 << 10;

/// About what a member takes there.
const MEMBER: usize = 160;

/// What one node says: its part of the list, or how many it told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Rooms in which it has members, in the order of their names.
    #[serde(default)]
    pub(crate) rooms: Vec<RoomReport>,
    /// It has more, after these.
    #[serde(default)]
    pub(crate) more: bool,
    /// Peers that were told something.
    #[serde(default)]
    pub(crate) told: usize,
}

impl Finding {
    pub(crate) fn weight(&self) -> usize {
        let members: usize = self.rooms.iter().map(|room| room.members.len() + 1).sum();
        members * MEMBER
    }
}

/// What all of them said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// All together.
    pub finding: Finding,
    /// A node did not answer.
    pub partial: bool,
}

/// A question that is not answered by all.
#[derive(Debug)]
struct Open {
    asked: BTreeSet<NodeId>,
    findings: Vec<Finding>,
    limit: usize,
    until: Instant,
    /// There are regions that could not be asked.
    cut: bool,
}

/// All of these, by whom they are for.
#[derive(Debug, Default)]
pub(super) struct Surveys(HashMap<u64, Open>);

/// One list of several: each complete up to its last room, so no further than the shortest goes.
fn together(findings: Vec<Finding>, limit: usize) -> Finding {
    let ends = findings.iter().filter(|one| one.more);
    let ends = ends.filter_map(|one| one.rooms.last().map(|last| last.room.clone()));
    let horizon = ends.min_by(|a, b| a.as_str().cmp(b.as_str()));
    let mut more = horizon.is_some();
    let told = findings.iter().map(|one| one.told).sum();
    let mut rooms: BTreeMap<String, RoomReport> = BTreeMap::new();
    for room in findings.into_iter().flat_map(|one| one.rooms) {
        let within = |horizon: &RoomId| room.room.as_str() <= horizon.as_str();
        if !horizon.as_ref().is_none_or(within) {
            continue;
        }
        // Everybody who has members there knows all of them; who has had some for longest knows since when.
        let known = rooms.entry(room.room.as_str().to_owned());
        let known = known.or_insert_with(|| room.clone());
        known.age_seconds = known.age_seconds.max(room.age_seconds);
    }
    let mut rooms: Vec<RoomReport> = rooms.into_values().collect();
    if rooms.len() > limit {
        rooms.truncate(limit);
        more = true;
    }
    Finding { rooms, more, told }
}

impl Hub {
    /// Part of this node's list.
    fn part(&self, now: Instant, after: Option<&str>, limit: usize) -> Finding {
        let mut rooms = self.rooms(now, after, limit + 1);
        let mut more = rooms.len() > limit;
        rooms.truncate(limit);
        let mut bytes = 0;
        let fit = rooms.iter().take_while(|room| {
            let fits = bytes < ANSWER;
            bytes += (room.members.len() + 1) * MEMBER;
            fits
        });
        let fit = fit.count();
        more |= fit < rooms.len();
        rooms.truncate(fit);
        Finding {
            rooms,
            more,
            told: 0,
        }
    }

    /// Begins to ask all nodes for their part of the list of rooms; `waiter` is told by [`Effect::Arrived`] when
    /// [`Hub::surveyed`] has it.
    pub fn survey(
        &mut self,
        now: Instant,
        after: Option<&str>,
        limit: usize,
        waiter: u64,
        out: &mut Vec<Effect>,
    ) {
        self.now = now;
        let own = self.part(now, after, limit);
        let word = Word::Survey {
            number: waiter,
            after: after.map(str::to_owned),
            limit,
        };
        self.open(own, limit, waiter, &word, out);
    }

    /// Says something to everybody, everywhere, and asks how many they are; as [`Hub::survey`].
    pub fn announce_and_count(
        &mut self,
        now: Instant,
        data: Raw,
        waiter: u64,
        out: &mut Vec<Effect>,
    ) {
        self.now = now;
        let line = Line::new(None, ServerMessage::Broadcast { data });
        let told = self.tell_all(&line, out);
        let own = Finding {
            told,
            ..Finding::default()
        };
        let word = Word::Broadcast {
            line: line.text(),
            number: Some(waiter),
        };
        self.open(own, 0, waiter, &word, out);
    }

    fn open(
        &mut self,
        own: Finding,
        limit: usize,
        waiter: u64,
        word: &Word,
        out: &mut Vec<Effect>,
    ) {
        let until = self.now + PATIENCE;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        let nodes = cluster.nodes.alive();
        let open = Open {
            asked: nodes.iter().copied().collect(),
            findings: vec![own],
            limit,
            until,
            cut: cluster.misses_regions(),
        };
        if open.asked.is_empty() {
            out.push(Effect::Arrived(waiter));
        }
        cluster.surveys.0.insert(waiter, open);
        cluster.say_each(nodes, word);
    }

    /// Another node asks.
    pub(super) fn is_surveyed(
        &mut self,
        by: NodeId,
        number: u64,
        after: Option<&str>,
        limit: usize,
    ) {
        let finding = self.part(self.now, after, limit.min(1_000));
        self.tell_node(by, Word::Surveyed { number, finding });
    }

    /// Another node answers.
    pub(super) fn finds(
        &mut self,
        by: NodeId,
        number: u64,
        finding: Finding,
        out: &mut Vec<Effect>,
    ) {
        let cluster = self.cluster.as_deref_mut();
        let Some(open) = cluster.and_then(|cluster| cluster.surveys.0.get_mut(&number)) else {
            return;
        };
        if open.asked.remove(&by) {
            open.findings.push(finding);
            if open.asked.is_empty() {
                out.push(Effect::Arrived(number));
            }
        }
    }

    /// What came of a question, by now.
    pub fn surveyed(&mut self, waiter: u64) -> Survey {
        let cluster = self.cluster.as_deref_mut();
        let open = cluster.and_then(|cluster| cluster.surveys.0.remove(&waiter));
        open.map_or_else(Survey::default, |open| Survey {
            partial: open.cut || !open.asked.is_empty(),
            finding: together(open.findings, open.limit),
        })
    }

    /// Who has not answered by now is not waited for.
    pub(in crate::hub) fn end_surveys(&mut self, out: &mut Vec<Effect>) {
        let now = self.now;
        let Some(cluster) = self.cluster.as_deref_mut() else {
            return;
        };
        cluster.surveys.0.retain(|waiter, open| {
            if now >= open.until {
                out.push(Effect::Arrived(*waiter));
            }
            // Whoever asked takes it then, unless it is gone.
            now < open.until + PATIENCE
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn finding(names: &[&str], more: bool) -> Finding {
        let room = |name: &&str| RoomReport {
            room: RoomId::new(name).unwrap(),
            age_seconds: 1,
            capacity: 2,
            members: Vec::new(),
        };
        Finding {
            rooms: names.iter().map(room).collect(),
            more,
            told: 1,
        }
    }

    fn names(finding: &Finding) -> Vec<&str> {
        finding
            .rooms
            .iter()
            .map(|room| room.room.as_str())
            .collect()
    }

    #[test]
    fn lists_of_several_nodes_are_one_that_leaves_nothing_out() {
        let whole = together(
            vec![finding(&["a", "c"], false), finding(&["a", "b"], false)],
            9,
        );
        assert_eq!(
            (names(&whole), whole.more, whole.told),
            (vec!["a", "b", "c"], false, 2)
        );
        // One has more after b, which may lie before c.
        let part = together(
            vec![finding(&["a", "c"], false), finding(&["a", "b"], true)],
            9,
        );
        assert_eq!((names(&part), part.more), (vec!["a", "b"], true));
        let short = together(vec![finding(&["a", "c"], false), finding(&["b"], false)], 2);
        assert_eq!((names(&short), short.more), (vec!["a", "b"], true));
    }
}
