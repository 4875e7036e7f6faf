//! What a person wants to know of a connection's statistics.
//!
//! Names are those of W3C webrtc-stats; only rates, which a report does not hold,
//! are worked out from two reports.

use serde_json::Value;

use crate::event::Kind;

/// The figures that a line or a status bar has room for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// `currentRoundTripTime` of the nominated pair, milliseconds.
    pub round_trip_ms: Option<f64>,
    /// `frameWidth` and `frameHeight` received.
    pub size: Option<(u64, u64)>,
    /// `framesPerSecond` received.
    pub frames_per_second: Option<f64>,
    /// Kilobits a second received, both senses.
    pub receive_kbps: Option<f64>,
    /// Kilobits a second sent, both senses.
    pub send_kbps: Option<f64>,
    /// `packetsLost` of what is received, both senses.
    pub packets_lost: Option<i64>,
}

impl Quality {
    /// Reads a report; rates need the report before it.
    #[must_use]
    pub fn of(report: &Value, before: Option<&Value>) -> Self {
        let video = |d: &&Value| kind_of(d) == Some(Kind::Video);
        let received = of_type(report, "inbound-rtp").find(video);
        Self {
            round_trip_ms: of_type(report, "candidate-pair")
                .filter(|pair| pair["nominated"] != Value::Bool(false))
                .find_map(|pair| pair["currentRoundTripTime"].as_f64())
                .map(|seconds| seconds * 1e3),
            size: received
                .and_then(|d| Some((d["frameWidth"].as_u64()?, d["frameHeight"].as_u64()?))),
            frames_per_second: received.and_then(|d| d["framesPerSecond"].as_f64()),
            receive_kbps: rate(report, before, "inbound-rtp", "bytesReceived"),
            send_kbps: rate(report, before, "outbound-rtp", "bytesSent"),
            packets_lost: of_type(report, "inbound-rtp")
                .filter_map(|d| d["packetsLost"].as_i64())
                .reduce(i64::saturating_add),
        }
    }

    /// Says it in a few words: `640x360 30 fps, in 1200 kbit/s, out 800 kbit/s, rtt 12 ms, lost 2`.
    #[must_use]
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        match (self.size, self.frames_per_second) {
            (Some((w, h)), Some(fps)) => parts.push(format!("{w}x{h} {fps:.0} fps")),
            (Some((w, h)), None) => parts.push(format!("{w}x{h}")),
            _ => {}
        }
        parts.extend(self.receive_kbps.map(|r| format!("in {r:.0} kbit/s")));
        parts.extend(self.send_kbps.map(|r| format!("out {r:.0} kbit/s")));
        parts.extend(self.round_trip_ms.map(|ms| format!("rtt {ms:.0} ms")));
        parts.extend(self.packets_lost.map(|lost| format!("lost {lost}")));
        if parts.is_empty() {
            parts.push("no figures yet".into());
        }
        parts.join(", ")
    }
}

/// One dictionary of a report as a table: its heading, then member and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `inbound-rtp video`.
    pub heading: String,
    /// W3C member name and its value.
    pub rows: Vec<(String, String)>,
}

/// Gives a report as tables, streams first, what hardly anybody asks for last.
#[must_use]
pub fn sections(report: &Value) -> Vec<Section> {
    const ORDER: [&str; 7] = [
        "inbound-rtp",
        "outbound-rtp",
        "remote-inbound-rtp",
        "remote-outbound-rtp",
        "candidate-pair",
        "transport",
        "data-channel",
    ];
    let rank = |d: &Value| {
        let kind = d["type"].as_str().unwrap_or_default();
        ORDER.iter().position(|o| *o == kind).unwrap_or(ORDER.len())
    };
    let mut all: Vec<&Value> = dictionaries(report).collect();
    all.sort_by_key(|d| rank(d));
    all.into_iter().map(section).collect()
}

fn section(dictionary: &Value) -> Section {
    let word = |key: &str| dictionary[key].as_str().unwrap_or_default();
    let rows = dictionary
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !matches!(key.as_str(), "type" | "kind" | "timestamp"))
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect();
    Section {
        heading: format!("{} {}", word("type"), word("kind"))
            .trim()
            .to_owned(),
        rows,
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Number(n) if n.is_f64() => {
            let text = format!("{:.6}", n.as_f64().unwrap_or_default());
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        other => other.to_string(),
    }
}

/// A report is an object from id to dictionary; a list of dictionaries is read as well.
fn dictionaries(report: &Value) -> impl Iterator<Item = &Value> {
    let object = report.as_object().into_iter().flat_map(|o| o.values());
    let list = report.as_array().into_iter().flatten();
    object.chain(list).filter(|d| d.is_object())
}

fn of_type<'a>(report: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    dictionaries(report).filter(move |d| d["type"] == name)
}

fn kind_of(dictionary: &Value) -> Option<Kind> {
    match dictionary["kind"].as_str()? {
        "video" => Some(Kind::Video),
        "audio" => Some(Kind::Audio),
        _ => None,
    }
}

fn rate(now: &Value, before: Option<&Value>, kind: &str, member: &str) -> Option<f64> {
    let sum = |report: &Value| {
        let total = of_type(report, kind)
            .filter_map(|d| d[member].as_f64())
            .reduce(|a, b| a + b)?;
        let at = of_type(report, kind).find_map(|d| d["timestamp"].as_f64())?;
        Some((total, at))
    };
    let (bytes, at) = sum(now)?;
    let (bytes_before, at_before) = sum(before?)?;
    let milliseconds = at - at_before;
    // Bits in a millisecond are kilobits in a second.
    (milliseconds > 0.0).then(|| ((bytes - bytes_before) * 8.0 / milliseconds).max(0.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::testing::report;

    #[test]
    fn figures_come_from_their_w3c_members() {
        let before = report("x");
        let mut now = report("x");
        for (id, member, bytes) in [
            ("IT1", "bytesReceived", 245_000),
            ("OT1", "bytesSent", 375_000),
        ] {
            now[id][member] = json!(bytes);
        }
        for id in ["IT1", "IT2", "OT1"] {
            now[id]["timestamp"] = json!(2000.0);
        }
        let quality = Quality::of(&now, Some(&before));
        assert_eq!(quality.receive_kbps, Some(960.0));
        assert_eq!(quality.send_kbps, Some(1000.0));
        assert_eq!(
            quality.words(),
            "640x360 30 fps, in 960 kbit/s, out 1000 kbit/s, rtt 12 ms, lost 3"
        );
    }

    #[test]
    fn a_report_of_another_shape_is_no_figures() {
        for odd in [
            json!(null),
            json!(7),
            json!([1, {"type": 3}]),
            json!({"a": {"type": "inbound-rtp", "kind": 9}}),
        ] {
            assert_eq!(Quality::of(&odd, Some(&odd)).words(), "no figures yet");
            assert!(sections(&odd).len() <= 1);
        }
    }

    #[test]
    fn streams_come_before_the_rest() {
        let headings: Vec<_> = sections(&report("x"))
            .into_iter()
            .map(|s| s.heading)
            .collect();
        assert_eq!(
            headings,
            [
                "inbound-rtp video",
                "inbound-rtp audio",
                "outbound-rtp video",
                "candidate-pair",
                "codec"
            ]
        );
    }

    #[test]
    fn fractions_lose_their_noise() {
        assert_eq!(plain(&json!(0.012)), "0.012");
        assert_eq!(plain(&json!(30.0)), "30");
        assert_eq!(plain(&json!(125_000)), "125000");
    }
}
