//! From an `RTCStatsReport` to quantities.

mod growth;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::mos;
use crate::quantity::Kind;
use crate::record::PeerRecord;
use crate::stats;
pub use growth::Growth;
use growth::Streams;

/// Samples of a packet of sound: 20 ms.
const PACKET: f64 = 960.0;

/// What reports told, of which the next one is told apart.
#[derive(Debug, Default)]
pub struct Totals {
    then: Option<Duration>,
    streams: Streams,
}

impl Totals {
    /// Takes a report: its statistics, and what follows from two of them. Gives what they grew by.
    pub fn take(
        &mut self,
        peer: &mut PeerRecord,
        at: Duration,
        report: &Value,
        audio_latency: Option<f64>,
    ) -> Growth {
        let values = statistics(report);
        let growth = self.streams.take(report);
        for (name, value) in &values {
            match stats::find(name).map(|of| of.kind) {
                Some(Kind::Counter) => peer.add(name, at, growth.of(name).unwrap_or_default()),
                Some(_) => peer.add(name, at, *value),
                None => {}
            }
        }
        let rtt = round_trip(&values);
        if let Some(rtt) = rtt {
            peer.add("network.rtt", at, rtt * 1e3);
        }
        let then = self.then.replace(at).unwrap_or(at);
        let step = Step {
            seconds: at.saturating_sub(then).as_secs_f64(),
            growth: &growth,
        };
        if step.seconds > 0.0 {
            step.tell(peer, at);
            step.tell_mos(peer, at, audio_latency, rtt.unwrap_or_default());
        }
        growth
    }
}

/// By the checks of the pair in use; of a browser that does not tell them, by the far side's reports about our media.
fn round_trip(values: &BTreeMap<String, f64>) -> Option<f64> {
    [
        "candidate-pair.currentRoundTripTime",
        "remote-inbound-rtp.audio.roundTripTime",
        "remote-inbound-rtp.video.roundTripTime",
    ]
    .iter()
    .find_map(|name| values.get(*name).copied())
}

/// From one report to the next.
struct Step<'a> {
    seconds: f64,
    growth: &'a Growth,
}

impl Step<'_> {
    /// What a counter grew by; nothing where only one of the two tells it.
    fn grown(&self, name: &str) -> Option<f64> {
        self.growth.lately(name)
    }

    fn tell(&self, peer: &mut PeerRecord, at: Duration) {
        for (name, bytes) in [
            ("network.received", "candidate-pair.bytesReceived"),
            ("network.sent", "candidate-pair.bytesSent"),
            ("video.bitrate", "inbound-rtp.video.bytesReceived"),
            ("audio.bitrate", "inbound-rtp.audio.bytesReceived"),
        ] {
            if let Some(bytes) = self.grown(bytes) {
                peer.add(name, at, bytes * 8.0 / self.seconds);
            }
        }
        let both = |member| {
            let [audio, video] =
                ["audio", "video"].map(|kind| self.grown(&format!("inbound-rtp.{kind}.{member}")));
            match (audio, video) {
                (None, None) => None,
                (audio, video) => Some(audio.unwrap_or(0.0) + video.unwrap_or(0.0)),
            }
        };
        if let (Some(lost), Some(received)) = (both("packetsLost"), both("packetsReceived")) {
            // More that came late than were lost are no loss (RFC 3550 appendix A.3). What was sent again came besides: of it
            // nobody knows how much was lost.
            let lost = lost.max(0.0);
            let again = both("retransmittedPacketsReceived").unwrap_or(0.0);
            let sent = lost + (received - again).max(0.0);
            if sent > 0.0 {
                peer.add("network.loss", at, lost / sent);
            }
        }
    }

    fn concealed(&self) -> Option<f64> {
        let samples = self.grown("inbound-rtp.audio.totalSamplesReceived")?;
        let concealed = self.grown("inbound-rtp.audio.concealedSamples")?;
        // What was invented in silence is nothing that anybody misses.
        let silent = self
            .grown("inbound-rtp.audio.silentConcealedSamples")
            .unwrap_or(0.0);
        (samples > 0.0).then(|| ((concealed - silent) / samples).clamp(0.0, 1.0))
    }

    fn tell_mos(&self, peer: &mut PeerRecord, at: Duration, latency: Option<f64>, rtt: f64) {
        let Some(concealed) = self.concealed() else {
            return;
        };
        peer.add("audio.concealed", at, concealed);
        let emitted = self.grown("inbound-rtp.audio.jitterBufferEmittedCount");
        let waited = self.grown("inbound-rtp.audio.jitterBufferDelay");
        let buffer = match (waited, emitted) {
            (Some(waited), Some(emitted)) if emitted > 0.0 => waited / emitted,
            _ => 0.0,
        };
        let events = self
            .grown("inbound-rtp.audio.concealmentEvents")
            .unwrap_or(0.0);
        let lost = self
            .grown("inbound-rtp.audio.concealedSamples")
            .unwrap_or(0.0)
            / PACKET;
        let burst_ratio = if events > 0.0 {
            // By chance a loss is followed by another as often as any packet is lost.
            lost / events * (1.0 - concealed)
        } else {
            1.0
        };
        // Where the tone tells no time: half the round trip, the buffer, and a packet's length.
        let delay_ms = latency.unwrap_or((rtt / 2.0 + buffer + 0.02) * 1e3);
        let inputs = mos::Inputs {
            delay_ms,
            concealed,
            burst_ratio,
        };
        peer.add("audio.mos", at, mos::score(inputs));
    }
}

/// The dictionaries of a report that say something of the call: their ids, what the names of their members begin with, and those.
fn dictionaries(report: &Value) -> impl Iterator<Item = (&String, String, &Map<String, Value>)> {
    let all = report.as_object().into_iter().flatten();
    all.filter_map(|(id, dictionary)| {
        let of = dictionary["type"].as_str()?;
        // Of the pairs that were tried only the one in use says something of the call.
        if of == "candidate-pair" && dictionary["nominated"] != true {
            return None;
        }
        let prefix = match dictionary["kind"].as_str() {
            Some(kind) => format!("{of}.{kind}"),
            None => of.to_owned(),
        };
        Some((id, prefix, dictionary.as_object()?))
    })
}

/// All numbers of a report by their names as quantities: those of several streams of a kind together.
fn statistics(report: &Value) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for (_, prefix, members) in dictionaries(report) {
        for (member, value) in members {
            let name = format!("{prefix}.{member}");
            let (Some(value), Some(known)) = (value.as_f64(), stats::find(&name)) else {
                continue;
            };
            let place = all.entry(name).or_insert(0.0);
            *place = if known.kind == Kind::Counter {
                *place + value
            } else {
                value
            };
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Expectation, Record, judge::judge};
    use serde_json::json;

    use super::*;

    fn report(second: u32, lost: u32, concealed: u32) -> Value {
        json!({
            "V": {"type": "inbound-rtp", "kind": "video", "packetsReceived": 100 * second + lost, "packetsLost": lost,
                  "retransmittedPacketsReceived": lost, "bytesReceived": 125_000 * second},
            "A": {"type": "inbound-rtp", "kind": "audio", "packetsReceived": 50 * second, "packetsLost": 0, "totalSamplesReceived": 48_000 * second,
                  "concealedSamples": concealed, "silentConcealedSamples": 0, "concealmentEvents": concealed / 960},
            "P": {"type": "candidate-pair", "nominated": true, "currentRoundTripTime": 0.08, "bytesReceived": 130_000 * second},
            "Q": {"type": "candidate-pair", "nominated": false, "currentRoundTripTime": 5.0},
        })
    }

    fn judged(texts: &[&str]) -> Vec<(String, bool)> {
        let mut record = Record::default();
        let mut totals = Totals::default();
        for second in 1..=5_u32 {
            let at = Duration::from_secs(u64::from(second));
            let peer = record.peer("1", "bob", Duration::ZERO);
            let (lost, concealed) = if second < 5 { (0, 0) } else { (50, 9_600) };
            totals.take(peer, at, &report(second, lost, concealed), None);
        }
        record.end(Duration::from_secs(6));
        let texts: Vec<Expectation> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let outcomes = judge(&record, &texts).into_iter();
        outcomes
            .map(|outcome| (outcome.words, outcome.held))
            .collect()
    }

    #[test]
    fn what_follows_from_two_reports_is_told() {
        for (words, held) in judged(&[
            "network.received==1.04mbit",
            "video.bitrate==1mbit",
            "network.rtt==80ms",
            "network.loss.max==25%",
            "network.loss.min==0",
            "audio.concealed.max==20%",
            "audio.mos.max>=4.4",
            "audio.mos.min<3",
            "inbound-rtp.video.packetsLost==50",
            "candidate-pair.currentRoundTripTime.max==0.08",
        ]) {
            assert!(held, "{words}");
        }
    }

    #[test]
    fn packets_that_come_late_are_no_loss() {
        let mut record = Record::default();
        let mut totals = Totals::default();
        for (second, lost) in [(1, 50), (2, 50), (3, 49), (4, 49)] {
            let at = Duration::from_secs(second);
            let peer = record.peer("1", "bob", Duration::ZERO);
            let report = json!({ "V": { "type": "inbound-rtp", "kind": "video", "packetsReceived": 100 * second, "packetsLost": lost } });
            totals.take(peer, at, &report, None);
        }
        record.end(Duration::from_secs(5));
        let texts = ["inbound-rtp.video.packetsLost==49", "network.loss.max==0"];
        let texts: Vec<Expectation> = texts.iter().map(|text| text.parse().unwrap()).collect();
        for outcome in judge(&record, &texts) {
            assert!(outcome.held, "{}", outcome.words);
        }
    }

    #[test]
    fn a_round_trip_that_no_pair_tells_is_told_by_rtcp() {
        let told = |names: &[(&str, f64)]| {
            let values = names
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value));
            round_trip(&values.collect())
        };
        let pair = ("candidate-pair.currentRoundTripTime", 0.08);
        let video = ("remote-inbound-rtp.video.roundTripTime", 0.09);
        assert_eq!(told(&[pair, video]), Some(0.08));
        assert_eq!(told(&[video]), Some(0.09));
        assert_eq!(told(&[]), None);
    }
}
