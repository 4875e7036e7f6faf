//! What was measured in a call, by peer and time.

mod form;
mod part;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(crate) use form::write;
pub use form::{FormError, Told};

/// Values that are kept of one quantity of one peer: nine hours of thirty a second. The oldest make room, and that is counted.
const VALUES: usize = 1 << 20;

/// Things that happened to one peer, for people to read; more are not kept.
const NOTES: usize = 10_000;

/// Quantities whose values are how long something lasted from their time on, in milliseconds.
const LASTING: [&str; 3] = ["video.freeze", "audio.silence", "network.disconnected"];

/// A value, and when in the call it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Since the beginning of the record.
    pub at: Duration,
    /// In the unit of its quantity.
    pub value: f64,
}

impl Sample {
    /// What is left from `from` on of something that lasted.
    fn lasting_from(self, from: Duration) -> Option<Self> {
        let gone = from.saturating_sub(self.at).as_secs_f64() * 1e3;
        let left = Self {
            at: self.at.max(from),
            value: self.value - gone,
        };
        (self.at >= from || left.value > 0.0).then_some(left)
    }
}

/// The values of one quantity, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
    dropped: u64,
}

impl Series {
    fn push(&mut self, at: Duration, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.samples.len() == VALUES {
            self.samples.pop_front();
            self.dropped += 1;
        }
        // Measured on several threads: a little out of order is put in its place.
        let place = self.samples.iter().rev().take_while(|s| s.at > at).count();
        let place = self.samples.len() - place;
        self.samples.insert(place, Sample { at, value });
    }

    /// All that are kept.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = Sample> + '_ {
        self.samples.iter().copied()
    }

    /// Those from `from` on and before `to`.
    pub fn within(&self, from: Duration, to: Duration) -> impl Iterator<Item = Sample> + '_ {
        let first = self.samples.partition_point(|sample| sample.at < from);
        let rest = self.samples.range(first..).copied();
        rest.take_while(move |sample| sample.at < to)
    }

    /// How many of the oldest had to make room.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// What was measured of one peer.
#[derive(Clone, Debug, Default)]
pub struct PeerRecord {
    /// The name it goes by.
    pub name: String,
    series: BTreeMap<String, Series>,
    notes: Vec<(Duration, String)>,
    since: Duration,
    connected: Option<Duration>,
    until: Option<Duration>,
}

impl PeerRecord {
    /// A value was measured, or so many things happened.
    pub fn add(&mut self, quantity: &str, at: Duration, value: f64) {
        self.series(quantity).push(at, value);
    }

    /// Something happened once, `after` so long; only the first time counts.
    pub fn once(&mut self, quantity: &str, at: Duration, after: Duration) {
        if !self.series.contains_key(quantity) {
            self.add(quantity, at, after.as_secs_f64() * 1e3);
        }
    }

    /// The connection to it stands. Only the first time counts.
    pub fn connected(&mut self, at: Duration) {
        self.connected.get_or_insert(at);
    }

    /// It left. It may come again.
    pub fn left(&mut self, at: Duration) {
        self.until = Some(at);
    }

    /// It is back.
    pub fn back(&mut self) {
        self.until = None;
    }

    /// Something that people want to know beside the figures: the network changed, the connection broke off.
    pub fn note(&mut self, at: Duration, text: impl Into<String>) {
        if self.notes.len() < NOTES {
            self.notes.push((at, text.into()));
        }
    }

    /// What was measured of a quantity from `from` on and before `to`. Of what began before and lasted until then it is what was
    /// left of it. Nothing where the quantity was never measured.
    pub(crate) fn measured(
        &self,
        quantity: &str,
        from: Duration,
        to: Duration,
    ) -> Option<Vec<Sample>> {
        let series = self.series.get(quantity)?;
        Some(if LASTING.contains(&quantity) {
            let all = series.within(Duration::ZERO, to);
            all.filter_map(|sample| sample.lasting_from(from)).collect()
        } else {
            series.within(from, to).collect()
        })
    }

    /// The values of a quantity, if there are any.
    #[must_use]
    pub fn get(&self, quantity: &str) -> Option<&Series> {
        self.series.get(quantity)
    }

    /// All that was measured.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Series)> {
        self.series
            .iter()
            .map(|(name, series)| (name.as_str(), series))
    }

    /// What happened to it.
    #[must_use]
    pub fn notes(&self) -> &[(Duration, String)] {
        &self.notes
    }

    /// What its expectations count from: the connection, or its coming where there was none.
    #[must_use]
    pub fn begin(&self) -> Duration {
        self.connected.unwrap_or(self.since)
    }

    /// When the connection to it stood first.
    #[must_use]
    pub const fn connected_at(&self) -> Option<Duration> {
        self.connected
    }

    fn series(&mut self, quantity: &str) -> &mut Series {
        if !self.series.contains_key(quantity) {
            self.series.insert(quantity.to_owned(), Series::default());
        }
        self.series.entry(quantity.to_owned()).or_default()
    }
}

/// What was measured in one call.
#[derive(Clone, Debug, Default)]
pub struct Record {
    peers: BTreeMap<String, PeerRecord>,
    end: Duration,
    began: Duration,
}

impl Record {
    /// The record of a peer, which begins now where there is none yet.
    pub fn peer(&mut self, id: &str, name: &str, now: Duration) -> &mut PeerRecord {
        let peer = self
            .peers
            .entry(id.to_owned())
            .or_insert_with(|| PeerRecord {
                since: now,
                ..PeerRecord::default()
            });
        if !name.is_empty() && peer.name != name {
            name.clone_into(&mut peer.name);
        }
        peer
    }

    /// When it began, since the Unix epoch: what times of several records are compared by.
    pub fn begin_at(&mut self, began: Duration) {
        self.began = began;
    }

    /// When it began, since the Unix epoch; zero where nobody said.
    #[must_use]
    pub const fn began(&self) -> Duration {
        self.began
    }

    /// The call is over.
    pub fn end(&mut self, now: Duration) {
        self.end = now;
    }

    /// Everybody.
    pub fn peers(&self) -> impl Iterator<Item = &PeerRecord> {
        self.peers.values()
    }

    /// How long it lasted.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.end
    }

    /// When a peer's time was over: its leaving, or the end.
    #[must_use]
    pub fn end_of(&self, peer: &PeerRecord) -> Duration {
        peer.until.map_or(self.end, |until| until.min(self.end))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn values_stand_in_the_order_of_their_times() {
        let mut record = Record::default();
        let peer = record.peer("1", "bob", MS(0));
        for at in [10, 30, 20, 40, 5] {
            peer.add("video.latency", MS(at), at as f64);
        }
        peer.add("video.latency", MS(50), f64::NAN);
        let series = peer.get("video.latency").unwrap();
        let times: Vec<f64> = series.samples().map(|s| s.value).collect();
        assert_eq!(times, [5.0, 10.0, 20.0, 30.0, 40.0]);
        let some: Vec<f64> = series.within(MS(10), MS(30)).map(|s| s.value).collect();
        assert_eq!(some, [10.0, 20.0]);
    }

    #[test]
    fn what_happens_once_is_told_once() {
        let mut record = Record::default();
        let peer = record.peer("1", "bob", MS(0));
        peer.once("connect", MS(20), MS(15));
        peer.once("connect", MS(900), MS(700));
        peer.connected(MS(20));
        peer.connected(MS(900));
        assert_eq!(peer.get("connect").unwrap().samples().count(), 1);
        assert_eq!(peer.begin(), MS(20));
    }

    #[test]
    fn a_peer_that_left_ends_there_unless_it_comes_back() {
        let mut record = Record::default();
        record.peer("1", "bob", MS(0)).left(MS(500));
        record.end(MS(1_000));
        assert_eq!(
            record.peers().map(|p| record.end_of(p)).next(),
            Some(MS(500))
        );
        record.peer("1", "bob", MS(0)).back();
        assert_eq!(
            record.peers().map(|p| record.end_of(p)).next(),
            Some(MS(1_000))
        );
    }
}
