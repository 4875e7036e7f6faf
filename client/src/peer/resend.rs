//! Sends again what the far side misses (RFC 4588 where it was agreed on), in the engine's place, whose responder answers
//! every question, however often and whatever the path bears.

mod forgotten;
mod history;

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::{BufMut, BytesMut};
use rtc::interceptor::{
    Attribute, AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket,
};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;

use super::fec;
use super::nack::is_repaired;
use super::rtcp::Feedback;
pub(super) use forgotten::Forgotten;
use history::History;

/// One stream of ours.
struct Stream {
    history: History,
    rtx: Option<Rtx>,
}

/// The stream that its retransmissions go by.
struct Rtx {
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
}

impl Rtx {
    /// RFC 4588, section 4: the original number before the payload, header extensions as they were.
    fn wrap(&mut self, original: &rtp::Packet) -> rtp::Packet {
        let mut payload = BytesMut::with_capacity(2 + original.payload.len());
        payload.put_u16(original.header.sequence_number);
        payload.extend_from_slice(&original.payload);
        self.sequence = self.sequence.wrapping_add(1);
        rtp::Packet {
            header: rtp::header::Header {
                ssrc: self.ssrc,
                payload_type: self.payload_type,
                sequence_number: self.sequence,
                ..original.header.clone()
            },
            payload: payload.freeze(),
        }
    }
}

/// See the module.
pub(super) struct Resend {
    feedback: Feedback,
    streams: HashMap<u32, Stream>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Resend {
    pub(super) fn new(feedback: Feedback) -> Self {
        Self {
            feedback,
            streams: HashMap::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    fn answer(&mut self, now: Instant, nack: &TransportLayerNack) {
        let Some(stream) = self.streams.get_mut(&nack.media_ssrc) else {
            return;
        };
        let round_trip = self.feedback.round_trip();
        let agreed = self.feedback.fec.sending();
        for pair in &nack.nacks {
            let following = (0..16_u16).filter(|bit| pair.lost_packets >> bit & 1 == 1);
            let asked = following.map(|bit| pair.packet_id.wrapping_add(bit + 1));
            for sequence in std::iter::once(pair.packet_id).chain(asked) {
                if self.feedback.forgot(nack.media_ssrc, sequence, now) {
                    continue;
                }
                let Some(original) = stream.history.again(now, sequence, round_trip) else {
                    continue;
                };
                // The stream of retransmissions is for what is in RED. Repair packets are not worth it.
                let Some(original) = fec::unpacked(original, agreed) else {
                    continue;
                };
                let packet = match &mut stream.rtx {
                    Some(rtx) => rtx.wrap(&original),
                    None => original,
                };
                self.writes.push_back(TaggedPacket {
                    now,
                    transport: TransportContext::default(),
                    message: AttributedPacket::new(Packet::Rtp(packet))
                        .with(Attribute::Retransmission),
                });
            }
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Resend {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            for packet in packets {
                if let Some(nack) = packet.as_any().downcast_ref::<TransportLayerNack>() {
                    self.answer(message.now, nack);
                }
            }
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &message.message.packet
            && let Some(stream) = self.streams.get_mut(&packet.header.ssrc)
        {
            stream.history.sent(packet);
        }
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for Resend {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        if !is_repaired(info) {
            return;
        }
        let rtx = match (info.ssrc_rtx, info.payload_type_rtx) {
            (Some(ssrc), Some(payload_type)) => Some(Rtx {
                ssrc,
                payload_type,
                sequence: rand::random(),
            }),
            _ => None,
        };
        let history = History::default();
        self.streams.insert(info.ssrc, Stream { history, rtx });
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
    }

    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}

#[cfg(test)]
mod tests;
