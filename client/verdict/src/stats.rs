//! The statistics of W3C webrtc-stats as quantities: `TYPE.MEMBER`, and `TYPE.KIND.MEMBER` where there is one for each kind.
//!
//! A counter is asked for what it grew by; what else there is has a value in each second.

use crate::expectation::Statistic;
use crate::quantity::{Kind, Quantity};
use crate::unit::Unit;

/// A member of a dictionary: its name, and what it counts where it is a counter.
struct Member(&'static str, Unit, bool);

const fn counter(name: &'static str) -> Member {
    Member(name, Unit::Count, true)
}
const fn gauge(name: &'static str, unit: Unit) -> Member {
    Member(name, unit, false)
}
const fn bytes(name: &'static str) -> Member {
    Member(name, Unit::Bytes, true)
}

/// Dictionaries with a kind, audio or video.
const STREAMS: &[(&str, &[Member])] = &[
    ("inbound-rtp", INBOUND),
    ("outbound-rtp", OUTBOUND),
    ("remote-inbound-rtp", REMOTE_INBOUND),
    ("remote-outbound-rtp", REMOTE_OUTBOUND),
];

/// Those without.
const OTHERS: &[(&str, &[Member])] = &[
    ("candidate-pair", PAIR),
    ("transport", TRANSPORT),
    ("data-channel", CHANNEL),
];

const INBOUND: &[Member] = &[
    counter("packetsReceived"),
    counter("packetsLost"),
    counter("packetsDiscarded"),
    bytes("bytesReceived"),
    bytes("headerBytesReceived"),
    gauge("jitter", Unit::Score),
    counter("retransmittedPacketsReceived"),
    counter("fecPacketsReceived"),
    counter("fecPacketsDiscarded"),
    counter("framesReceived"),
    counter("framesDecoded"),
    counter("framesDropped"),
    counter("keyFramesDecoded"),
    gauge("framesPerSecond", Unit::PerSecond),
    gauge("frameWidth", Unit::Pixels),
    gauge("frameHeight", Unit::Pixels),
    counter("freezeCount"),
    counter("totalFreezesDuration"),
    counter("nackCount"),
    counter("pliCount"),
    counter("firCount"),
    counter("jitterBufferDelay"),
    counter("jitterBufferEmittedCount"),
    counter("totalSamplesReceived"),
    counter("concealedSamples"),
    counter("silentConcealedSamples"),
    counter("concealmentEvents"),
    counter("insertedSamplesForDeceleration"),
    counter("removedSamplesForAcceleration"),
    gauge("audioLevel", Unit::Score),
    counter("framesUndecryptable"),
];

const OUTBOUND: &[Member] = &[
    counter("packetsSent"),
    bytes("bytesSent"),
    counter("retransmittedPacketsSent"),
    bytes("retransmittedBytesSent"),
    counter("framesSent"),
    counter("framesEncoded"),
    counter("keyFramesEncoded"),
    gauge("framesPerSecond", Unit::PerSecond),
    gauge("frameWidth", Unit::Pixels),
    gauge("frameHeight", Unit::Pixels),
    gauge("targetBitrate", Unit::Bitrate),
    counter("totalPacketSendDelay"),
    counter("nackCount"),
    counter("pliCount"),
    counter("firCount"),
];

const REMOTE_INBOUND: &[Member] = &[
    counter("packetsLost"),
    gauge("jitter", Unit::Score),
    gauge("fractionLost", Unit::Share),
    gauge("roundTripTime", Unit::Score),
];

const REMOTE_OUTBOUND: &[Member] = &[
    counter("packetsSent"),
    bytes("bytesSent"),
    counter("reportsSent"),
];

const PAIR: &[Member] = &[
    gauge("currentRoundTripTime", Unit::Score),
    gauge("availableOutgoingBitrate", Unit::Bitrate),
    counter("packetsSent"),
    counter("packetsReceived"),
    bytes("bytesSent"),
    bytes("bytesReceived"),
    counter("requestsSent"),
    counter("responsesReceived"),
    counter("consentRequestsSent"),
];

const TRANSPORT: &[Member] = &[
    bytes("bytesSent"),
    bytes("bytesReceived"),
    counter("packetsSent"),
    counter("packetsReceived"),
    counter("selectedCandidatePairChanges"),
];

const CHANNEL: &[Member] = &[
    counter("messagesSent"),
    counter("messagesReceived"),
    bytes("bytesSent"),
    bytes("bytesReceived"),
];

/// The quantity of such a name.
#[must_use]
pub fn find(name: &str) -> Option<Quantity> {
    let path: Vec<&str> = name.split('.').collect();
    let (members, last) = match path[..] {
        [of, "audio" | "video", member] => (of_type(STREAMS, of)?, member),
        [of, member] => (of_type(OTHERS, of)?, member),
        _ => return None,
    };
    let Member(known, unit, counts) = members.iter().find(|member| member.0 == last)?;
    Some(Quantity {
        name: known,
        unit: *unit,
        kind: if *counts {
            Kind::Counter
        } else {
            Kind::Samples
        },
        usual: if *counts {
            Statistic::Total
        } else {
            Statistic::Mean
        },
        zero_with: None,
        what: "of W3C webrtc-stats; durations in seconds",
    })
}

fn of_type(all: &'static [(&str, &'static [Member])], name: &str) -> Option<&'static [Member]> {
    let (_, members) = all.iter().find(|(of, _)| *of == name)?;
    Some(members)
}

/// All such names.
pub fn names() -> impl Iterator<Item = String> {
    let streams = STREAMS.iter().flat_map(|(of, members)| {
        members.iter().flat_map(move |member| {
            ["audio", "video"].map(|kind| format!("{of}.{kind}.{}", member.0))
        })
    });
    let others = OTHERS.iter().flat_map(|(of, members)| {
        members
            .iter()
            .map(move |member| format!("{of}.{}", member.0))
    });
    streams.chain(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_told_is_found() {
        for name in names() {
            assert!(find(&name).is_some(), "{name}");
        }
        for unknown in [
            "inbound-rtp.packetsLost",
            "inbound-rtp.video.x",
            "x.y",
            "transport",
        ] {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }
}
