use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::rtcp::{Ledger, Reception, Requests, Sent};
use super::{merge, put_server};
use crate::net::turn::StandIns;
use crate::trust::Trust;

fn entries() -> Map<String, Value> {
    let Value::Object(entries) = json!({
        "O": {"id": "O", "type": "outbound-rtp", "ssrc": 7, "kind": "video", "timestamp": 5.0,
              "transportId": "T", "codecId": "C", "nackCount": 0, "remoteId": "gone"},
        "I": {"id": "I", "type": "inbound-rtp", "ssrc": 8, "kind": "audio", "timestamp": 5.0,
              "transportId": "T", "codecId": "D", "jitter": 480.0, "remoteId": "gone"},
        "X": {"id": "X", "type": "remote-inbound-rtp", "ssrc": 7},
        "T": {"id": "T", "type": "transport", "timestamp": 5.0, "lastPacketSentTimestamp": 6.5},
    }) else {
        unreachable!()
    };
    entries
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.clock_rates.extend([(7, 90_000), (8, 48_000)]);
    ledger.received.insert(
        7,
        Requests {
            nacks: 3,
            plis: 2,
            firs: 1,
        },
    );
    ledger.sent.insert(
        8,
        Requests {
            nacks: 4,
            plis: 0,
            firs: 0,
        },
    );
    ledger.receptions.insert(
        7,
        Reception {
            packets_lost: -2,
            fraction_lost: 64,
            jitter: 900,
            round_trip: Some(Duration::from_millis(20)),
            total_round_trip: Duration::from_millis(50),
            round_trips: 2,
            reports: 3,
        },
    );
    ledger.senders.insert(
        8,
        Sent {
            packets: 10,
            octets: 800,
            reports: 1,
            clock: None,
        },
    );
    ledger
}

#[test]
fn what_rtcp_told_is_in_the_dictionaries_under_w3c_names() {
    let merged = merge(entries(), &ledger());
    assert_eq!(merged["O"]["nackCount"], 3);
    assert_eq!(merged["O"]["pliCount"], 2);
    assert_eq!(merged["O"]["firCount"], 1);
    assert_eq!(merged["O"]["remoteId"], "remote-inbound-rtp_7");
    assert_eq!(
        merged["remote-inbound-rtp_7"],
        json!({
            "id": "remote-inbound-rtp_7", "type": "remote-inbound-rtp", "localId": "O",
            "timestamp": 5000.0, "ssrc": 7, "kind": "video", "transportId": "T", "codecId": "C",
            "packetsLost": -2, "fractionLost": 0.25, "jitter": 0.01, "reportsReceived": 3,
            "totalRoundTripTime": 0.05, "roundTripTimeMeasurements": 2, "roundTripTime": 0.02,
        })
    );
    assert_eq!(merged["I"]["nackCount"], 4);
    assert_eq!(merged["I"]["jitter"], 0.01);
    assert_eq!(
        merged["remote-outbound-rtp_8"],
        json!({
            "id": "remote-outbound-rtp_8", "type": "remote-outbound-rtp", "localId": "I",
            "timestamp": 5000.0, "ssrc": 8, "kind": "audio", "transportId": "T", "codecId": "D",
            "packetsSent": 10, "bytesSent": 800, "reportsSent": 1,
        })
    );
    assert!(!merged.contains_key("X"));
    assert_eq!(
        merged["T"],
        json!({"id": "T", "type": "transport", "timestamp": 5000.0, "lastPacketSentTimestamp": 6500.0})
    );
}

#[test]
fn what_congestion_control_knows_is_in_the_dictionaries() {
    let mut ledger = ledger();
    ledger.sending.available = Some(812_345.6);
    ledger.sending.picture = Some(700_000);
    ledger
        .sending
        .delays
        .insert(7, Duration::from_millis(1_500));
    let mut entries = entries();
    for (id, nominated) in [("P", true), ("Q", false)] {
        let pair = json!({"id": id, "type": "candidate-pair", "nominated": nominated});
        entries.insert(id.to_owned(), pair);
    }
    let merged = merge(entries, &ledger);
    assert_eq!(merged["P"]["availableOutgoingBitrate"], 812_346.0);
    assert!(merged["Q"].get("availableOutgoingBitrate").is_none());
    assert_eq!(merged["O"]["targetBitrate"], 700_000);
    assert_eq!(merged["O"]["totalPacketSendDelay"], 1.5);
    assert!(merged["I"].get("targetBitrate").is_none());
}

#[test]
fn without_reports_there_is_nothing_about_the_far_side() {
    let merged = merge(entries(), &Ledger::default());
    assert_eq!(merged.len(), 3);
    assert_eq!(merged["O"]["nackCount"], 0);
    assert!(merged["O"].get("remoteId").is_none());
    assert_eq!(merged["I"]["jitter"], 0.0);
}

#[test]
fn a_relayed_candidate_names_its_server_as_it_was_asked_for() {
    let mut servers = StandIns::new(Trust::default());
    for (asked, protocol) in [
        ("turn:example.org:3478?transport=udp", "udp"),
        ("turn:example.org:3478?transport=tcp", "tcp"),
        ("turns:example.org", "tls"),
    ] {
        let url = servers.url_for_engine(asked);
        let mut candidate =
            json!({"type": "local-candidate", "candidateType": "relay", "url": url});
        put_server(&mut candidate, &servers);
        assert_eq!(candidate["url"], asked);
        assert_eq!(candidate["relayProtocol"], protocol);
    }
    let mut host = json!({"type": "local-candidate", "candidateType": "host", "url": ""});
    put_server(&mut host, &servers);
    assert_eq!(host.get("relayProtocol"), None);
}

#[test]
fn a_pair_leads_to_the_dictionaries_of_its_candidates() {
    let Value::Object(entries) = json!({
        "RTCLocalIceCandidate_a": {"type": "local-candidate"},
        "RTCRemoteIceCandidate_b": {"type": "remote-candidate"},
        "P": {"type": "candidate-pair", "localCandidateId": "a", "remoteCandidateId": "b"},
        "Q": {"type": "candidate-pair", "localCandidateId": "a", "remoteCandidateId": "c"},
    }) else {
        unreachable!()
    };
    let merged = merge(entries, &Ledger::default());
    assert_eq!(merged["P"]["localCandidateId"], "RTCLocalIceCandidate_a");
    assert_eq!(merged["P"]["remoteCandidateId"], "RTCRemoteIceCandidate_b");
    let learnt = &merged[merged["Q"]["remoteCandidateId"]
        .as_str()
        .unwrap_or_default()];
    assert_eq!(learnt["type"], "remote-candidate");
    assert_eq!(learnt["candidateType"], "prflx");
}
