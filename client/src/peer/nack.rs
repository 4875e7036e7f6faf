//! Asks for packets that did not come (RFC 4585, section 6.2.1), in the engine's place, whose generator knows neither
//! the round trip nor when nobody waits any more.

mod gaps;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

use rtc::interceptor::{
    Attribute, AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket,
};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;

use super::rtcp::Feedback;
use gaps::Gaps;

/// Streams that are watched; a far side cannot make it more.
const STREAMS: usize = 64;

/// Whether retransmissions of the stream were agreed on. What comes as RED has no feedback of its own, what is in it has.
pub(super) fn is_repaired(info: &StreamInfo) -> bool {
    info.mime_type.eq_ignore_ascii_case("video/red")
        || info
            .rtcp_feedback
            .iter()
            .any(|feedback| feedback.typ == "nack" && feedback.parameter.is_empty())
}

/// See the module.
pub(super) struct AskForLost {
    feedback: Feedback,
    /// Who asks; no stream of ours, which RFC 4585 leaves open.
    ssrc: u32,
    streams: HashMap<u32, Gaps>,
    /// Streams of retransmissions: the engine binds them as if they were streams of their own, but what is missing of them
    /// is asked for by its own number.
    repairs: HashSet<u32>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl AskForLost {
    pub(super) fn new(feedback: Feedback) -> Self {
        Self {
            feedback,
            ssrc: rand::random(),
            streams: HashMap::new(),
            repairs: HashSet::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    fn ask(&mut self, now: Instant) {
        if self
            .streams
            .values()
            .all(|gaps| gaps.due().is_none_or(|due| due > now))
        {
            return;
        }
        let round_trip = self.feedback.round_trip();
        for (ssrc, gaps) in &mut self.streams {
            let asked = gaps.questions(now, round_trip);
            if asked.is_empty() {
                continue;
            }
            let nack = TransportLayerNack {
                sender_ssrc: self.ssrc,
                media_ssrc: *ssrc,
                nacks: nack_pairs_from_sequence_numbers(&asked),
            };
            self.writes.push_back(TaggedPacket {
                now,
                transport: TransportContext::default(),
                message: AttributedPacket::new(Packet::Rtcp(vec![Box::new(nack)])),
            });
        }
    }

    /// With a key frame asked for, nothing before it is.
    fn said(&mut self, packets: &[Box<dyn rtcp::Packet>]) {
        for packet in packets {
            let packet = packet.as_any();
            if let Some(pli) = packet.downcast_ref::<PictureLossIndication>() {
                self.forget(pli.media_ssrc);
            } else if let Some(fir) = packet.downcast_ref::<FullIntraRequest>() {
                for asked in &fir.fir {
                    self.forget(asked.ssrc);
                }
            }
        }
    }

    fn forget(&mut self, ssrc: u32) {
        if let Some(gaps) = self.streams.get_mut(&ssrc) {
            gaps.forget();
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for AskForLost {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &message.message.packet
            && let Some(gaps) = self.streams.get_mut(&packet.header.ssrc)
        {
            let repaired = message.message.has(&Attribute::Retransmission)
                || message.message.has(&Attribute::RecoveredByFec);
            let round_trip = self.feedback.round_trip();
            let answer = gaps.arrived(
                message.now,
                packet.header.sequence_number,
                repaired,
                round_trip,
            );
            if let Some(took) = answer {
                self.feedback.answered(took);
            }
            self.ask(message.now);
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            self.said(packets);
        }
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.ask(now);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.streams.values().filter_map(Gaps::due).min()
    }
}

impl Interceptor for AskForLost {
    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if self.streams.len() >= STREAMS || self.repairs.contains(&info.ssrc) {
            return;
        }
        if is_repaired(info) {
            self.streams.entry(info.ssrc).or_default();
            self.repairs.extend(info.ssrc_rtx);
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
        if let Some(ssrc) = info.ssrc_rtx {
            self.repairs.remove(&ssrc);
        }
    }

    fn bind_local_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
}

#[cfg(test)]
mod tests;
