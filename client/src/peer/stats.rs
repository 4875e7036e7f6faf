//! The engine's statistics as W3C webrtc-stats dictionaries.

use serde_json::{Map, Value};
use webrtc::peer_connection::{RTCStatsReport, RTCStatsReportEntry};

/// Every dictionary by its id.
pub(super) fn report(report: &RTCStatsReport) -> Value {
    let entries: Map<String, Value> = report
        .iter()
        .filter_map(|entry| {
            let value = dictionary(entry).ok()?;
            let id = value.get("id")?.as_str()?.to_owned();
            Some((id, value))
        })
        .collect();
    Value::Object(entries)
}

fn dictionary(entry: &RTCStatsReportEntry) -> serde_json::Result<Value> {
    use serde_json::to_value;
    match entry {
        RTCStatsReportEntry::PeerConnection(stats) => to_value(stats),
        RTCStatsReportEntry::Transport(stats) => to_value(stats),
        RTCStatsReportEntry::IceCandidatePair(stats) => to_value(stats),
        RTCStatsReportEntry::LocalCandidate(stats) => to_value(stats),
        RTCStatsReportEntry::RemoteCandidate(stats) => to_value(stats),
        RTCStatsReportEntry::Certificate(stats) => to_value(stats),
        RTCStatsReportEntry::Codec(stats) => to_value(stats),
        RTCStatsReportEntry::DataChannel(stats) => to_value(stats),
        RTCStatsReportEntry::InboundRtp(stats) => to_value(stats),
        RTCStatsReportEntry::OutboundRtp(stats) => to_value(stats),
        RTCStatsReportEntry::RemoteInboundRtp(stats) => to_value(stats),
        RTCStatsReportEntry::RemoteOutboundRtp(stats) => to_value(stats),
        RTCStatsReportEntry::AudioSource(stats) => to_value(stats),
        RTCStatsReportEntry::VideoSource(stats) => to_value(stats),
        RTCStatsReportEntry::AudioPlayout(stats) => to_value(stats),
        _ => Ok(Value::Null),
    }
}
