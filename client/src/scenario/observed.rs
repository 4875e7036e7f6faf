//! From what a page tells of its connections to a record. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use rtc_verdict::figures::{Growth, Totals};
use rtc_verdict::record::{PeerRecord, Record};
use serde::Deserialize;
use serde_json::Value;

/// A picture that stands still for longer than that at the end of a connection is a freeze without an end, which no statistic tells.
const STILL: Duration = Duration::from_millis(1_500);

/// Pictures, or freezes, that are believed between two looks: no page shows more.
const MOST: f64 = 1_000.0;

/// Silence, which has no level.
const SILENT_DBFS: f64 = -100.0;

/// What is known of a page's connections.
#[derive(Debug, Default)]
pub(super) struct Observed {
    record: Record,
    /// Whom they are to, where that is known.
    far: Option<String>,
    /// The scenario's beginning, milliseconds since the Unix epoch.
    began_ms: f64,
    /// How many documents told something.
    loads: u32,
    /// Which one does (its time origin, HR-TIME section 4), and which one did before.
    document: Option<f64>,
    before: Option<f64>,
    connections: BTreeMap<u64, Connection>,
    /// Connections so far.
    count: u64,
}

/// What `rtcObserved.take()` gives; a page that is just loading gives nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    /// `performance.timeOrigin`: no two documents of a page have one.
    origin: Option<f64>,
    entries: Vec<Value>,
}

#[derive(Debug, Default)]
struct Connection {
    id: String,
    name: String,
    made: Duration,
    totals: Totals,
    told_at: Option<Duration>,
    /// When its pictures last moved on.
    moved: Option<Duration>,
    troubled: Option<Duration>,
    /// The highest number of a mark, and the last one.
    marks: Option<(u64, u64)>,
    over: bool,
}

impl Observed {
    /// Nothing yet.
    pub(super) fn new(began: Duration, far: Option<String>) -> Self {
        Self {
            began_ms: began.as_secs_f64() * 1e3,
            far,
            ..Self::default()
        }
    }

    /// Another document tells: the connections of the one before are gone, and numbers begin again.
    fn loaded(&mut self, origin: f64) {
        self.gone(self.since_began(origin));
        self.loads += 1;
        self.before = self.document.replace(origin);
    }

    fn since_began(&self, at_ms: f64) -> Duration {
        Duration::try_from_secs_f64((at_ms - self.began_ms) / 1e3).unwrap_or_default()
    }

    /// The page is gone.
    pub(super) fn gone(&mut self, at: Duration) {
        for (_, mut connection) in std::mem::take(&mut self.connections) {
            let peer = self.record.peer(&connection.id, "", at);
            connection.over(peer, at);
        }
    }

    /// Takes what the page told since the last time, as `rtcObserved.take()` gives it.
    ///
    /// # Errors
    /// When it is none of that.
    pub(super) fn take(&mut self, told: &str) -> Result<(), serde_json::Error> {
        let Told { origin, entries } = serde_json::from_str(told)?;
        match origin {
            Some(_) if origin == self.document => {}
            // What was asked of it before it went, and is heard after its successor.
            Some(_) if origin == self.before => return Ok(()),
            Some(origin) => self.loaded(origin),
            None => return Ok(()),
        }
        for entry in &entries {
            self.entry(entry);
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Value) {
        let (Some(number), Some(at)) = (entry["id"].as_u64(), entry["at"].as_f64()) else {
            return;
        };
        let at = self.since_began(at);
        let connection = self.connections.entry(number).or_insert_with(|| {
            self.count += 1;
            Connection {
                id: format!("{}/{number:06}", self.loads),
                name: self
                    .far
                    .clone()
                    .unwrap_or_else(|| format!("connection {}", self.count)),
                made: at,
                ..Connection::default()
            }
        });
        let peer = self.record.peer(&connection.id, &connection.name, at);
        match entry["what"].as_str() {
            Some("state") => {
                connection.state(peer, at, entry["state"].as_str().unwrap_or_default())
            }
            Some("stats") => connection.stats(peer, at, &entry["report"]),
            Some("picture") => {
                connection.picture(peer, at, entry["number"].as_u64(), entry["age"].as_f64())
            }
            _ => {}
        }
    }

    /// It is over: the record. Connections that nothing ever came through are none that anything is expected of, where others are.
    pub(super) fn end(mut self, at: Duration) -> Record {
        self.gone(at);
        let mut record = self.record;
        record.end(at);
        let receives = |peer: &PeerRecord| {
            peer.get("inbound-rtp.video.packetsReceived").is_some()
                || peer.get("inbound-rtp.audio.packetsReceived").is_some()
        };
        if record.peers().any(receives) {
            record.keep(receives);
        }
        record
    }
}

impl Connection {
    fn state(&mut self, peer: &mut PeerRecord, at: Duration, state: &str) {
        match state {
            "connected" => {
                peer.once("connect", at, at.saturating_sub(self.made));
                peer.connected(at);
                if let Some(since) = self.troubled.take() {
                    peer.add(
                        "network.disconnected",
                        since,
                        millis(at.saturating_sub(since)),
                    );
                    peer.note(at, "the connection is back");
                }
            }
            "disconnected" | "failed" => {
                self.troubled.get_or_insert(at);
                peer.note(at, format!("the connection is {state}"));
            }
            "closed" => self.over(peer, at),
            _ => {}
        }
    }

    fn over(&mut self, peer: &mut PeerRecord, at: Duration) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        peer.left(at);
        if let Some(since) = self.troubled.take() {
            peer.add(
                "network.disconnected",
                since,
                millis(at.saturating_sub(since)),
            );
        }
        if let Some(since) = self.moved.filter(|since| at.saturating_sub(*since) > STILL) {
            peer.add("video.freeze", since, millis(at.saturating_sub(since)));
        }
    }

    fn stats(&mut self, peer: &mut PeerRecord, at: Duration, report: &Value) {
        if self.over {
            return;
        }
        let growth = self.totals.take(peer, at, report, None);
        let sum = |kind: &str, member: &str| {
            let all = report.as_object().into_iter().flatten().map(|(_, one)| one);
            let all = all.filter(|one| one["type"] == "inbound-rtp" && one["kind"] == kind);
            all.filter_map(|one| one[member].as_f64())
                .reduce(|a, b| a + b)
        };
        let before = self.told_at.replace(at);
        self.pictures(peer, before, at, &growth);
        for (name, member) in [
            ("video.width", "frameWidth"),
            ("video.height", "frameHeight"),
        ] {
            if let Some(value) = sum("video", member).filter(|value| *value > 0.0) {
                peer.add(name, at, value);
            }
        }
        let packets = sum("audio", "packetsReceived").unwrap_or_default();
        if packets > 0.0 {
            self.sound(peer, at, &growth);
        }
    }

    fn pictures(
        &mut self,
        peer: &mut PeerRecord,
        before: Option<Duration>,
        at: Duration,
        growth: &Growth,
    ) {
        let of_video = |member: &str| growth.of(&format!("inbound-rtp.video.{member}"));
        let Some(grown) = of_video("framesDecoded") else {
            return;
        };
        let grown = grown.clamp(0.0, MOST);
        let stood = self.moved;
        if grown > 0.0 {
            peer.once("video.first", at, at.saturating_sub(self.made));
            self.moved = Some(at);
            // Spread over the time in which they came: when each of them did nobody tells.
            let from = before.unwrap_or(self.made).min(at);
            for picture in 0..grown as u32 {
                let share = (f64::from(picture) + 0.5) / grown;
                peer.add("video.frames", from + (at - from).mul_f64(share), 1.0);
            }
        }
        match (of_video("freezeCount"), of_video("totalFreezesDuration")) {
            (Some(count), Some(seconds)) => {
                for _ in 0..count.clamp(0.0, MOST) as u32 {
                    let each = Duration::try_from_secs_f64(seconds / count).unwrap_or_default();
                    peer.add("video.freeze", at.saturating_sub(each), millis(each));
                }
            }
            // A browser that does not count them: what stood from one look to the next, at least.
            _ => {
                if let Some(since) =
                    stood.filter(|since| grown > 0.0 && at.saturating_sub(*since) > STILL)
                {
                    peer.add("video.freeze", since, millis(at.saturating_sub(since)));
                }
            }
        }
    }

    fn sound(&self, peer: &mut PeerRecord, at: Duration, growth: &Growth) {
        peer.once("audio.first", at, at.saturating_sub(self.made));
        let of_audio = |member: &str| growth.of(&format!("inbound-rtp.audio.{member}"));
        let seconds = of_audio("totalSamplesDuration")
            .or_else(|| of_audio("totalSamplesReceived").map(|samples| samples / 48_000.0));
        let Some(seconds) = seconds.filter(|seconds| *seconds > 0.0) else {
            return;
        };
        peer.add("audio.seconds", at, seconds);
        if let Some(energy) = of_audio("totalAudioEnergy") {
            // W3C webrtc-stats, totalAudioEnergy: its root over time is the level.
            let level = (energy / seconds).sqrt();
            peer.add("audio.level", at, (20.0 * level.log10()).max(SILENT_DBFS));
        }
    }

    fn picture(
        &mut self,
        peer: &mut PeerRecord,
        at: Duration,
        number: Option<u64>,
        age: Option<f64>,
    ) {
        if self.over {
            return;
        }
        let (Some(number), Some(age)) = (number, age) else {
            peer.add("video.unreadable", at, 1.0);
            return;
        };
        peer.add("video.marked", at, 1.0);
        peer.add("video.latency", at, age);
        match self.marks {
            Some((_, last)) if number == last => peer.add("video.repeated", at, 1.0),
            Some((highest, _)) if number < highest => peer.add("video.late", at, 1.0),
            Some((highest, _)) if number > highest + 1 => {
                peer.add("video.missing", at, (number - highest - 1) as f64)
            }
            _ => {}
        }
        let highest = self
            .marks
            .map_or(number, |(highest, _)| highest.max(number));
        self.marks = Some((highest, number));
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rtc_verdict::{Expectation, judge::judge};
    use serde_json::json;

    use super::*;

    fn stats(at: u64, frames: u64, freezes: (u64, f64), energy: f64) -> Value {
        json!({ "id": 1, "at": 1_000_000 + at, "what": "stats", "report": {
            "V": { "type": "inbound-rtp", "kind": "video", "framesDecoded": frames, "packetsReceived": frames, "frameWidth": 640, "frameHeight": 360,
                   "bytesReceived": frames * 5_000, "freezeCount": freezes.0, "totalFreezesDuration": freezes.1 },
            "A": { "type": "inbound-rtp", "kind": "audio", "packetsReceived": at / 20, "totalSamplesReceived": at * 48, "concealedSamples": 0,
                   "totalSamplesDuration": at as f64 / 1e3, "totalAudioEnergy": energy },
        }})
    }

    /// Ten seconds of thirty pictures each, none from the fourth to the sixth.
    fn told() -> Vec<Value> {
        let mut told = vec![
            json!({ "id": 1, "at": 1_000_000, "what": "made" }),
            json!({ "id": 1, "at": 1_000_300, "what": "state", "state": "connected" }),
            json!({ "id": 2, "at": 1_000_300, "what": "made" }),
            json!({ "id": 1, "at": 1_000_500, "what": "picture", "number": 3, "age": 40.0 }),
            json!({ "id": 1, "at": 1_000_533, "what": "picture", "number": 5, "age": 60.0 }),
            json!({ "id": 1, "at": 1_000_566, "what": "picture", "number": null, "age": null }),
        ];
        for half in 1..=20_u64 {
            let frames = if half <= 8 {
                half * 15
            } else if half <= 12 {
                120
            } else {
                (half - 4) * 15
            };
            let freezes = if half > 12 { (1, 2.0) } else { (0, 0.0) };
            told.push(stats(half * 500, frames, freezes, half as f64 * 0.005));
        }
        told
    }

    fn judged(told: &[Value], end: u64, texts: &[&str]) -> Vec<(String, bool)> {
        let mut observed = Observed::new(Duration::from_secs(1_000), Some("ann".into()));
        observed
            .take(&json!({ "origin": 999_000.5, "entries": told }).to_string())
            .unwrap();
        let record = observed.end(Duration::from_secs(end));
        let texts: Vec<Expectation> = texts.iter().map(|text| text.parse().unwrap()).collect();
        judge(&record, &texts)
            .into_iter()
            .map(|outcome| (outcome.words, outcome.held))
            .collect()
    }

    #[test]
    fn statistics_become_the_quantities_of_our_own_peers() {
        for (words, held) in judged(
            &told(),
            10,
            &[
                "connect==300ms of ann",
                "video.fps>=29 after 6s",
                "video.fps.max<=31",
                "video.freeze==2s",
                "video.freeze.count==1",
                "video.width==640",
                "video.bitrate.max==1200kbit",
                "audio.level>=-21dBFS",
                "audio.level<=-19dBFS",
                "audio.seconds>=9",
                "video.latency==50ms",
                "video.missing==1",
                "video.unreadable==1",
                "inbound-rtp.video.freezeCount==1",
                "network.disconnected==0",
            ],
        ) {
            assert!(held, "{words}");
        }
    }

    #[test]
    fn a_picture_that_stands_still_at_the_end_is_a_freeze() {
        for (words, held) in judged(&told(), 14, &["video.freeze>=3.9s"]) {
            assert!(held, "{words}");
        }
    }

    #[test]
    fn a_second_picture_that_ends_brings_no_pictures() {
        let mut told = told();
        for (half, entry) in told
            .iter_mut()
            .filter(|one| one["what"] == "stats")
            .enumerate()
        {
            // Beside the first for five seconds, in which it stood still once.
            if half < 10 {
                let frames = 15 * (half + 1);
                entry["report"]["W"] = json!({ "type": "inbound-rtp", "kind": "video", "framesDecoded": frames,
                    "freezeCount": 1, "totalFreezesDuration": 0.9 });
            }
        }
        for (words, held) in judged(
            &told,
            10,
            &[
                "video.fps.max<=61",
                "video.fps.max<=31 after 6s",
                "video.freeze.count==2",
                "video.freeze==2s",
            ],
        ) {
            assert!(held, "{words}");
        }
    }

    #[test]
    fn a_page_that_is_loaded_again_has_other_connections() {
        let mut observed = Observed::new(Duration::from_secs(1_000), None);
        let old = json!({ "origin": 999_000.5, "entries": told() }).to_string();
        observed.take(&old).unwrap();
        observed.take("{}").unwrap();
        let new = old
            .replace("10000", "10120")
            .replace("999000.5", "1010500.25");
        observed.take(&new).unwrap();
        // The old document's last words are heard after the new one's first.
        observed.take(&old).unwrap();
        let record = observed.end(Duration::from_secs(25));
        let peers: Vec<_> = record
            .peers()
            .map(|peer| (peer.name.as_str(), record.end_of(peer)))
            .collect();
        let ends = [10_500_250, 25_000_000].map(Duration::from_micros);
        assert_eq!(
            peers,
            [("connection 1", ends[0]), ("connection 3", ends[1])]
        );
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,80}") {
            let _ = Observed::default().take(&text);
        }

        #[test]
        fn nothing_that_a_page_tells_is_too_strange(at in -1e12..1e12_f64, frames in -10.0..1e4_f64, number in any::<u64>()) {
            let told = json!([
                { "id": 1, "at": at, "what": "stats", "report": { "V": { "type": "inbound-rtp", "kind": "video", "framesDecoded": frames, "freezeCount": frames, "totalFreezesDuration": at } } },
                { "id": 1, "at": at, "what": "picture", "number": number, "age": at },
                { "id": 1, "at": at, "what": "picture", "number": 0, "age": at },
                { "id": 1, "at": at, "what": "state", "state": "closed" },
            ]);
            let mut observed = Observed::default();
            observed.take(&json!({ "origin": at, "entries": told }).to_string()).unwrap();
            let _ = observed.end(Duration::from_secs(1));
        }
    }
}
