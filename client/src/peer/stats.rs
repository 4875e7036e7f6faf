//! The engine's statistics as W3C webrtc-stats dictionaries, with what RTCP told put in.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use webrtc::peer_connection::{RTCStatsReport, RTCStatsReportEntry};

use super::fec::Counts;
use super::rtcp::{Ledger, Requests, Sending};
use crate::net::turn::StandIns;

/// Every dictionary by its id.
pub(super) fn report(
    report: &RTCStatsReport,
    ledger: &Ledger,
    servers: &StandIns,
    shared: Option<u16>,
) -> Value {
    let entries = report
        .iter()
        .filter_map(|entry| {
            let mut value = dictionary(entry).ok()?;
            put_server(&mut value, servers);
            put_port(&mut value, shared);
            let id = value.get("id")?.as_str()?.to_owned();
            Some((id, value))
        })
        .collect();
    Value::Object(merge(entries, ledger))
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

/// Leads a pair to the dictionaries of its candidates: the engine names the candidates alone. It has none for those that it
/// learnt from checks, which are made here.
fn name_candidates(pair: &mut Value, ids: &HashSet<String>) -> Vec<(String, Value)> {
    let mut unknown = Vec::new();
    if pair["type"] != "candidate-pair" {
        return unknown;
    }
    for (key, prefix, kind) in [
        (
            "localCandidateId",
            "RTCLocalIceCandidate_",
            "local-candidate",
        ),
        (
            "remoteCandidateId",
            "RTCRemoteIceCandidate_",
            "remote-candidate",
        ),
    ] {
        let Some(candidate) = pair[key].as_str() else {
            continue;
        };
        let id = format!("{prefix}{candidate}");
        if !ids.contains(&id) {
            let learnt = json!({
                "id": id,
                "type": kind,
                "timestamp": pair["timestamp"],
                "transportId": pair["transportId"],
                "candidateType": "prflx",
            });
            unknown.push((id.clone(), learnt));
        }
        pair[key] = json!(id);
    }
    unknown
}

/// Names the server of one of our candidates as it was asked for, and how it is reached: the engine knows neither where
/// that is not by UDP.
fn put_server(candidate: &mut Value, servers: &StandIns) {
    if candidate["type"] != "local-candidate" || candidate["candidateType"] != "relay" {
        return;
    }
    let url = candidate["url"].as_str().unwrap_or_default();
    if let Some((url, transport)) = servers.original(url) {
        candidate["url"] = json!(url);
        candidate["relayProtocol"] = json!(transport.name());
    }
}

/// Puts in the port that connections share, where one does: the engine knows the one that it bound itself.
fn put_port(candidate: &mut Value, shared: Option<u16>) {
    let Some(port) = shared.filter(|_| candidate["type"] == "local-candidate") else {
        return;
    };
    if candidate["protocol"] != "udp" {
        return;
    }
    match candidate["candidateType"].as_str() {
        Some("host") => candidate["port"] = json!(port),
        Some("srflx" | "prflx") => candidate["relatedPort"] = json!(port),
        _ => {}
    }
}

/// Puts what RTCP told into the dictionaries, and replaces those about the far side:
/// the engine's are empty.
fn merge(mut entries: Map<String, Value>, ledger: &Ledger) -> Map<String, Value> {
    entries.retain(|_, value| {
        !matches!(
            value["type"].as_str(),
            Some("remote-inbound-rtp" | "remote-outbound-rtp")
        )
    });
    let mut far = Vec::new();
    let ids: HashSet<String> = entries.keys().cloned().collect();
    let mut unknown = Vec::new();
    for value in entries.values_mut() {
        in_milliseconds(value);
        unknown.extend(name_candidates(value, &ids));
        put_sending(value, &ledger.sending);
        let outbound = match value["type"].as_str() {
            Some("outbound-rtp") => true,
            Some("inbound-rtp") => false,
            _ => continue,
        };
        let Some(ssrc) = value["ssrc"].as_u64().and_then(|s| u32::try_from(s).ok()) else {
            continue;
        };
        let remote = if outbound {
            put_requests(value, ledger.received.get(&ssrc));
            remote_inbound(value, ssrc, ledger)
        } else {
            put_requests(value, ledger.sent.get(&ssrc));
            put_repairs(value, ledger.repairs.get(&ssrc));
            let ticks = value["jitter"].as_f64().unwrap_or_default();
            value["jitter"] = json!(seconds(ledger, ssrc, ticks));
            remote_outbound(value, ssrc, ledger)
        };
        if let Some((id, remote)) = remote {
            value["remoteId"] = json!(id);
            far.push((id, remote));
        } else if let Some(dictionary) = value.as_object_mut() {
            dictionary.remove("remoteId");
        }
    }
    entries.extend(far);
    entries.extend(unknown);
    entries
}

/// Moments are milliseconds in W3C dictionaries (`DOMHighResTimeStamp`), seconds in the engine's.
fn in_milliseconds(value: &mut Value) {
    let Some(dictionary) = value.as_object_mut() else {
        return;
    };
    for (key, moment) in dictionary {
        if (key == "timestamp" || key.ends_with("Timestamp"))
            && let Some(seconds) = moment.as_f64()
        {
            *moment = json!(seconds * 1000.0);
        }
    }
}

/// What congestion control knows and the engine does not: `availableOutgoingBitrate` of the pair in use, and how our
/// streams are sent.
fn put_sending(value: &mut Value, sending: &Sending) {
    match value["type"].as_str() {
        Some("candidate-pair") if value["nominated"] == true => {
            if let Some(available) = sending.available {
                value["availableOutgoingBitrate"] = json!(available.round());
            }
        }
        Some("outbound-rtp") => {
            let ssrc = value["ssrc"].as_u64().and_then(|s| u32::try_from(s).ok());
            if let Some(delay) = ssrc.and_then(|ssrc| sending.delays.get(&ssrc)) {
                value["totalPacketSendDelay"] = json!(delay.as_secs_f64());
            }
            if let (Some(picture), "video") =
                (sending.picture, value["kind"].as_str().unwrap_or_default())
            {
                value["targetBitrate"] = json!(picture);
            }
        }
        _ => {}
    }
}

fn put_requests(value: &mut Value, requests: Option<&Requests>) {
    let requests = requests.copied().unwrap_or_default();
    value["nackCount"] = json!(requests.nacks);
    value["pliCount"] = json!(requests.plis);
    value["firCount"] = json!(requests.firs);
}

/// What came by repair packets; the engine knows those of FlexFEC alone.
fn put_repairs(value: &mut Value, repairs: Option<&Counts>) {
    if let Some(repairs) = repairs {
        value["fecPacketsReceived"] = json!(repairs.packets);
        value["fecBytesReceived"] = json!(repairs.bytes);
        value["fecPacketsDiscarded"] = json!(repairs.discarded);
    }
}

fn remote_inbound(local: &Value, ssrc: u32, ledger: &Ledger) -> Option<(String, Value)> {
    let reception = ledger.receptions.get(&ssrc)?;
    let (id, mut remote) = remote_of(local, "remote-inbound-rtp");
    remote["packetsLost"] = json!(reception.packets_lost);
    remote["fractionLost"] = json!(f64::from(reception.fraction_lost) / 256.0);
    remote["jitter"] = json!(seconds(ledger, ssrc, f64::from(reception.jitter)));
    remote["reportsReceived"] = json!(reception.reports);
    remote["totalRoundTripTime"] = json!(reception.total_round_trip.as_secs_f64());
    remote["roundTripTimeMeasurements"] = json!(reception.round_trips);
    if let Some(round_trip) = reception.round_trip {
        remote["roundTripTime"] = json!(round_trip.as_secs_f64());
    }
    Some((id, remote))
}

fn remote_outbound(local: &Value, ssrc: u32, ledger: &Ledger) -> Option<(String, Value)> {
    let sent = ledger.senders.get(&ssrc)?;
    let (id, mut remote) = remote_of(local, "remote-outbound-rtp");
    remote["packetsSent"] = json!(sent.packets);
    remote["bytesSent"] = json!(sent.octets);
    remote["reportsSent"] = json!(sent.reports);
    if let Some(clock) = sent.clock {
        remote["remoteTimestamp"] = json!(clock.wall as f64 / 1000.0);
    }
    Some((id, remote))
}

/// A dictionary about the far end of a stream.
fn remote_of(local: &Value, kind: &str) -> (String, Value) {
    let id = format!("{kind}_{}", local["ssrc"]);
    let mut remote = json!({"id": id, "type": kind, "localId": local["id"]});
    for key in ["timestamp", "ssrc", "kind", "transportId", "codecId"] {
        remote[key] = local[key].clone();
    }
    (id, remote)
}

fn seconds(ledger: &Ledger, ssrc: u32, ticks: f64) -> f64 {
    match ledger.clock_rates.get(&ssrc) {
        Some(rate) if *rate > 0 => ticks / f64::from(*rate),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests;
