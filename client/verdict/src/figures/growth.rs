//! What statistics grew by from one report to the next, each stream for itself: one that ends takes nothing away from the others.

use std::collections::BTreeMap;

use serde_json::Value;

use super::dictionaries;

/// Streams that are remembered; of more, the one that was told the longest ago is forgotten.
const STREAMS: usize = 1_000;

/// What was told last of each stream, by its id.
#[derive(Debug, Default)]
pub(super) struct Streams {
    reports: u64,
    told: BTreeMap<String, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Which report told it last.
    report: Option<u64>,
    values: BTreeMap<String, f64>,
}

/// What statistics grew by, by their names as quantities, those of several streams of a kind together.
#[derive(Debug, Default)]
pub struct Growth(BTreeMap<String, Grown>);

#[derive(Debug, Default)]
struct Grown {
    /// Since each stream was told last, or began.
    whole: f64,
    /// Since the report before, of the streams that are in that one, too.
    lately: Option<f64>,
}

impl Growth {
    /// What it grew by since it was told last; all of it where it was not.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<f64> {
        self.0.get(name).map(|grown| grown.whole)
    }

    /// What it grew by since the report before, which rates need.
    pub(super) fn lately(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.lately
    }
}

impl Streams {
    pub(super) fn take(&mut self, report: &Value) -> Growth {
        let mut growth = Growth::default();
        for (id, prefix, members) in dictionaries(report) {
            let numbers = members.iter();
            let numbers =
                numbers.filter_map(|(member, value)| Some((member.clone(), value.as_f64()?)));
            let now: BTreeMap<String, f64> = numbers.collect();
            let stream = self.told.entry(id.clone()).or_default();
            let told_lately = stream.report.replace(self.reports + 1) == Some(self.reports);
            for (member, value) in &now {
                let by = stream.grown(member, *value, &now);
                let place = growth.0.entry(format!("{prefix}.{member}")).or_default();
                place.whole += by;
                if told_lately {
                    *place.lately.get_or_insert(0.0) += by;
                }
            }
            stream.values.extend(now);
        }
        self.reports += 1;
        while self.told.len() > STREAMS {
            let oldest = self.told.iter().min_by_key(|(_, stream)| stream.report);
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else {
                break;
            };
            self.told.remove(&oldest);
        }
        growth
    }
}

impl Stream {
    /// A counter that stands lower than before began anew. Packets lost may become fewer, by those that come late or twice
    /// (RFC 3550 section 6.4.1), as long as those received do not.
    fn grown(&self, member: &str, value: f64, now: &BTreeMap<String, f64>) -> f64 {
        let fell = |member: &str, value: f64| {
            let before = self.values.get(member);
            before.is_some_and(|before| value < *before)
        };
        let is_new = match member {
            "packetsLost" => {
                let received = now.get("packetsReceived");
                received.is_some_and(|received| fell("packetsReceived", *received))
            }
            _ => fell(member, value),
        };
        let before = self.values.get(member).filter(|_| !is_new);
        value - before.copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    /// What a counter grew by, and how much of that since the report before, by report; each has values of some streams.
    fn grown(member: &str, reports: &[&[(&str, f64, f64)]]) -> Vec<(f64, Option<f64>)> {
        let mut streams = Streams::default();
        let each = reports.iter().map(|told| {
            let mut report = json!({});
            for (id, received, value) in *told {
                report[*id] =
                    json!({ "type": "inbound-rtp", "kind": "video", "packetsReceived": received });
                report[*id][member] = json!(value);
            }
            let name = format!("inbound-rtp.video.{member}");
            let growth = streams.take(&report);
            (growth.of(&name).unwrap_or_default(), growth.lately(&name))
        });
        each.collect()
    }

    #[test]
    fn a_stream_that_ends_takes_nothing_away_and_one_that_is_back_goes_on() {
        let told: [&[_]; 5] = [
            &[("A", 1.0, 1_000.0), ("B", 1.0, 500.0)],
            &[("A", 2.0, 1_015.0), ("B", 2.0, 515.0)],
            &[("A", 3.0, 1_030.0)],
            &[("A", 4.0, 1_045.0), ("B", 3.0, 520.0)],
            &[("A", 5.0, 1_060.0), ("C", 1.0, 7.0)],
        ];
        let expected = [
            (1_500.0, None),
            (30.0, Some(30.0)),
            (15.0, Some(15.0)),
            (20.0, Some(15.0)),
            (22.0, Some(15.0)),
        ];
        assert_eq!(grown("framesDecoded", &told), expected);
    }

    #[test]
    fn a_counter_that_begins_anew_goes_on_counting() {
        let told: [&[_]; 4] = [
            &[("A", 1.0, 5.0)],
            &[("A", 2.0, 9.0)],
            &[("A", 3.0, 9.0)],
            &[("A", 4.0, 2.0)],
        ];
        let grown: Vec<f64> = grown("bytesReceived", &told)
            .iter()
            .map(|(whole, _)| *whole)
            .collect();
        assert_eq!(grown, [5.0, 4.0, 0.0, 2.0]);
    }

    #[test]
    fn packets_that_come_late_are_lost_no_more() {
        let told: [&[_]; 4] = [
            &[("A", 1_000.0, 50.0)],
            &[("A", 1_100.0, 49.0)],
            &[("A", 1_200.0, 51.0)],
            // Another connection.
            &[("A", 30.0, 3.0)],
        ];
        let grown: Vec<f64> = grown("packetsLost", &told)
            .iter()
            .map(|(whole, _)| *whole)
            .collect();
        assert_eq!(grown, [50.0, -1.0, 2.0, 3.0]);
    }

    #[test]
    fn streams_that_ended_long_ago_are_forgotten() {
        let mut streams = Streams::default();
        for number in 0..2 * STREAMS {
            let mut report =
                json!({ "A": { "type": "inbound-rtp", "kind": "video", "nackCount": number } });
            report[format!("{number:04}")] =
                json!({ "type": "inbound-rtp", "kind": "audio", "nackCount": 1 });
            streams.take(&report);
        }
        assert_eq!(streams.told.len(), STREAMS);
        assert!(streams.told.contains_key("A"));
    }
}
