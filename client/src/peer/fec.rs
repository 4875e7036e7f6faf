//! Forward error correction of pictures: the crate `rtc-fec` in the engine's chain, which has FlexFEC alone, that no browser sends.
//!
//! - [`send`]: repair packets among ours
//! - [`receive`]: what they bring back

mod receive;
mod send;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rtc::interceptor::StreamInfo;
use rtc::rtp;
use rtc::shared::marshal::Marshal;
use rtc_fec::red;

use super::sdp::Agreed;
pub(super) use receive::ReceiveFec;
pub(super) use send::SendFec;

/// Streams that are kept count of; a far side cannot make it more.
const STREAMS: usize = 64;

/// Header extensions that are written when a packet leaves, after its protection was made (draft-holmer-rmcat-transport-wide-cc-extensions-01,
/// the absolute send time of no standard, RFC 5450).
const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const WRITTEN_LATE: [&str; 3] = [
    TRANSPORT_CC_URI,
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "urn:ietf:params:rtp-hdrext:toffset",
];

/// What came by repair packets, of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// `fecPacketsReceived`, `fecBytesReceived`, `fecPacketsDiscarded`.
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) discarded: u64,
    /// Media packets that were rebuilt.
    pub(super) rebuilt: u64,
}

/// What the interceptors and the actor share.
#[derive(Clone, Debug, Default)]
pub(super) struct Fec(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    sending: Option<Agreed>,
    receiving: Option<Agreed>,
    /// Payload types of retransmissions, and of what they repair.
    repairs: Vec<(u8, u8)>,
    received: HashMap<u32, Counts>,
}

impl Fec {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was negotiated: for what the far side sends, for what we do, and by which payload type it sends again what went by
    /// which other.
    pub(super) fn agree(
        &self,
        receiving: Option<Agreed>,
        sending: Option<Agreed>,
        repairs: Vec<(u8, u8)>,
    ) {
        let mut state = self.lock();
        state.receiving = receiving;
        state.sending = sending;
        state.repairs = repairs;
    }

    /// What is sent again by this payload type.
    pub(super) fn repaired_by(&self, payload_type: u8) -> Option<u8> {
        let state = self.lock();
        let found = state.repairs.iter().find(|(by, _)| *by == payload_type)?;
        Some(found.1)
    }

    pub(super) fn sending(&self) -> Option<Agreed> {
        self.lock().sending
    }

    fn receiving(&self) -> Option<Agreed> {
        self.lock().receiving
    }

    fn count(&self, ssrc: u32, counts: Counts) {
        let received = &mut self.lock().received;
        if received.len() < STREAMS || received.contains_key(&ssrc) {
            received.insert(ssrc, counts);
        }
    }

    /// What came so far, by SSRC.
    pub(super) fn received(&self) -> HashMap<u32, Counts> {
        self.lock().received.clone()
    }
}

fn is_picture(info: &StreamInfo) -> bool {
    let kind = info.mime_type.split('/').next();
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("video"))
}

/// The ids of header extensions that are written late.
fn written_late(info: &StreamInfo) -> Vec<u8> {
    let late = info
        .rtp_header_extensions
        .iter()
        .filter(|extension| WRITTEN_LATE.contains(&extension.uri.as_str()));
    late.filter_map(|extension| u8::try_from(extension.id).ok())
        .collect()
}

/// A packet of ours as its own codec has it, where it went out as RED; none where it is a repair packet.
pub(super) fn unpacked(packet: &rtp::Packet, agreed: Option<Agreed>) -> Option<rtp::Packet> {
    let mut packet = packet.clone();
    let Some(agreed) = agreed.filter(|agreed| agreed.red == packet.header.payload_type) else {
        return Some(packet);
    };
    let (payload_type, from) = red::unwrap(&packet.payload)?;
    packet.header.payload_type = payload_type;
    packet.payload = packet.payload.slice(from..);
    (payload_type != agreed.ulpfec).then_some(packet)
}

/// The bytes that are protected: the packet as its own codec has it, and zeros where something is written late.
fn protected(packet: &rtp::Packet, late: &[u8]) -> Option<Vec<u8>> {
    let mut packet = packet.clone();
    for extension in &mut packet.header.extensions {
        if late.contains(&extension.id) {
            extension.payload = Bytes::from(vec![0; extension.payload.len()]);
        }
    }
    packet.marshal().ok().map(|bytes| bytes.to_vec())
}

#[cfg(test)]
mod tests;
