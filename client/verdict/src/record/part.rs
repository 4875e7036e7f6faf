//! Parts of records, and records put together: a peer that left and came again has one for each time, and what is expected
//! from some moment on is held to what was measured from then on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{PeerRecord, Record, Series};

impl Record {
    /// Takes in all of another record whose beginning is `later` than ours. Its peers stay apart from ours: their ids get
    /// `prefix` in front.
    pub fn absorb(&mut self, prefix: &str, other: Self, later: Duration) {
        for (id, mut peer) in other.peers {
            peer.shift(later);
            // Who did not leave was there until that record ended.
            peer.until = Some(peer.until.unwrap_or(other.end + later));
            self.peers.insert(format!("{prefix}{id}"), peer);
        }
        self.end = self.end.max(other.end + later);
    }

    /// Leaves out who is not wanted.
    pub fn keep(&mut self, wanted: impl Fn(&PeerRecord) -> bool) {
        self.peers.retain(|_, peer| wanted(peer));
    }

    /// What was measured from `from` on and before `to`, as if `from` were the moment at which each connection stood: windows
    /// of expectations are relative to it. Who had left by then is not in it; of several of one name the latest is.
    #[must_use]
    pub fn part(&self, from: Duration, to: Duration) -> Self {
        let mut latest: BTreeMap<&str, (&String, &PeerRecord)> = BTreeMap::new();
        let there =
            |peer: &PeerRecord| peer.since < to && peer.until.is_none_or(|until| until > from);
        for (id, peer) in self.peers.iter().filter(|(_, peer)| there(peer)) {
            let place = latest.entry(&peer.name).or_insert((id, peer));
            if peer.since >= place.1.since {
                *place = (id, peer);
            }
        }
        let cut = |(id, peer): (&String, &PeerRecord)| (id.clone(), peer.part(from, to));
        Self {
            peers: latest.into_values().map(cut).collect(),
            end: self.end.min(to),
            began: self.began,
        }
    }
}

impl PeerRecord {
    fn part(&self, from: Duration, to: Duration) -> Self {
        let within = |name: &String| {
            let samples = self.measured(name, from, to).unwrap_or_default();
            let part = Series {
                samples: samples.into(),
                ..Series::default()
            };
            // Kept where it is empty: of a counter that was told before, that it did not grow.
            (name.clone(), part)
        };
        let notes = self.notes.iter().filter(|(at, _)| (from..to).contains(at));
        Self {
            name: self.name.clone(),
            series: self.series.keys().map(within).collect(),
            notes: notes.cloned().collect(),
            since: self.since,
            // Who is not connected by then has no connection in this part, unless it gets one.
            connected: self.connected.filter(|at| *at < to).map(|_| from),
            until: self.until,
        }
    }

    fn shift(&mut self, later: Duration) {
        for series in self.series.values_mut() {
            for sample in &mut series.samples {
                sample.at += later;
            }
        }
        for (at, _) in &mut self.notes {
            *at += later;
        }
        self.since += later;
        self.connected = self.connected.map(|at| at + later);
        self.until = self.until.map(|at| at + later);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Expectation, judge::judge};

    const S: fn(u64) -> Duration = Duration::from_secs;

    /// Ten seconds of a peer, and no pictures from the fourth to the sixth.
    fn call() -> Record {
        let mut record = Record::default();
        let peer = record.peer("1", "bob", S(0));
        peer.once("connect", S(0), Duration::from_millis(50));
        peer.connected(S(0));
        for picture in (0..300).filter(|picture| !(120..180).contains(picture)) {
            peer.add("video.frames", S(picture) / 30, 1.0);
        }
        peer.add("video.freeze", S(4), 2_000.0);
        record.end(S(10));
        record
    }

    fn held(record: &Record, text: &str) -> bool {
        let expectation: Expectation = text.parse().unwrap();
        judge(record, &[expectation])[0].held
    }

    #[test]
    fn a_part_counts_from_its_own_beginning() {
        let record = call();
        let part = record.part(S(3), S(8));
        assert!(held(&part, "video.fps.min==0"));
        assert!(held(&part, "video.fps>=29 after 3s"));
        assert!(held(&part, "video.freeze==2s until 2s"));
        assert!(held(&record.part(S(6), S(8)), "video.freeze==0"));
        // What lasted into it is in it from its beginning on.
        assert!(held(&record.part(S(5), S(8)), "video.freeze==1s"));
        assert!(held(&record.part(S(5), S(8)), "video.freeze==0 after 1s"));
        assert!(held(&part, "network.disconnected==0"));
    }

    #[test]
    fn silence_that_began_before_a_part_is_in_it() {
        let mut record = call();
        let peer = record.peer("1", "bob", S(0));
        peer.add("audio.tone", S(9), 1.0);
        peer.add("audio.silence", S(4), 5_000.0);
        assert!(held(&record.part(S(6), S(10)), "audio.silence==3s"));
    }

    #[test]
    fn who_had_left_is_no_part_and_who_came_again_is_one() {
        let mut ours = Record::default();
        let mut first = call();
        first.peer("1", "bob", S(0)).left(S(5));
        ours.absorb("1/", first, S(0));
        ours.absorb("2/", call(), S(7));
        assert_eq!(ours.peers().count(), 2);
        assert_eq!(ours.duration(), S(17));
        let part = ours.part(S(6), S(17));
        assert_eq!(part.peers().count(), 1);
        assert!(held(&part, "connect<100ms"));
        assert!(held(&part, "video.fps.last>=29"));
        // While both are there the one that came later counts.
        assert!(held(&ours.part(S(4), S(9)), "connect<100ms"));
    }

    #[test]
    fn of_a_peer_without_a_connection_nothing_is_known() {
        let mut record = Record::default();
        let _ = record.peer("1", "bob", S(0));
        record.end(S(5));
        assert!(!held(&record.part(S(1), S(5)), "network.disconnected==0"));
    }
}
