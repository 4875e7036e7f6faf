//! Puts repair packets among ours, as many as the losses that are reported ask for.
//!
//! They take numbers of the stream that they repair, so all that follows is numbered anew.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use rtc::interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc_fec::encode::protect;
use rtc_fec::masks::Losses;
use rtc_fec::protect::{Group, Protection, When};
use rtc_fec::red;

use super::{Agreed, TRANSPORT_CC_URI, is_picture, protected, written_late};
use crate::peer::rtcp::Feedback;

/// Packets lost in a row, in the mean, that make a path one of bursts.
const BURST: f64 = 1.7;

/// What is known of the path's own losses may be too little by this.
const DOUBTED: f64 = 1.3;

/// Of each message about lost packets this much counts.
const SMOOTHING: f64 = 0.1;

/// One stream of ours.
struct Stream {
    protection: Protection,
    group: Group,
    /// How many repair packets have taken numbers so far.
    ahead: u16,
    late: Vec<u8>,
    /// Where the number goes that is written late.
    transport_cc: Option<u8>,
    /// Packets lost in a row.
    run: f64,
}

/// See the module.
pub(in crate::peer) struct SendFec {
    feedback: Feedback,
    when: When,
    streams: HashMap<u32, Stream>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl SendFec {
    pub(in crate::peer) fn new(feedback: Feedback, when: When) -> Self {
        Self {
            feedback,
            when,
            streams: HashMap::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    #[cfg(test)]
    pub(super) const fn feedback(&self) -> &Feedback {
        &self.feedback
    }

    fn told(&mut self, packets: &[Box<dyn rtcp::Packet>]) {
        for packet in packets {
            let packet = packet.as_any();
            if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                self.reported(&report.reports);
            } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
                self.reported(&report.reports);
            } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>()
                && let Some(stream) = self.streams.get_mut(&nack.media_ssrc)
            {
                stream.missed(nack);
            }
        }
    }

    fn reported(&mut self, blocks: &[ReceptionReport]) {
        for block in blocks {
            if let Some(stream) = self.streams.get_mut(&block.ssrc) {
                let round_trip = self.feedback.round_trip();
                // What a full queue drops, repair packets would only make more.
                let most = self.feedback.inherent_loss();
                let most = most.map_or(1.0, |inherent| inherent * DOUBTED);
                let loss = f64::from(block.fraction_lost) / 256.0;
                stream.protection.reported(loss.min(most), round_trip);
            }
        }
    }
}

impl Stream {
    /// How many in a row are missing.
    fn missed(&mut self, nack: &TransportLayerNack) {
        let mut numbers: Vec<u16> = nack.nacks.iter().flat_map(|p| p.packet_list()).collect();
        numbers.dedup();
        let breaks = numbers
            .windows(2)
            .filter(|pair| pair[1] != pair[0].wrapping_add(1));
        let runs = 1 + breaks.count();
        let run = numbers.len() as f64 / runs as f64;
        self.run += (run - self.run) * SMOOTHING;
    }

    /// A packet of ours goes out as RED, where there is something to be repaired. Gives the repair packets that follow it.
    fn pack(&mut self, packet: &mut rtp::Packet, agreed: Agreed) -> Vec<rtp::Packet> {
        let share = self.protection.share();
        if share <= 0.0 {
            self.group = Group::default();
            return Vec::new();
        }
        // Room for what is written late: protection must know where it will be.
        if let Some(id) = self.transport_cc
            && packet.header.get_extension(id).is_none()
            && let Err(error) = packet.header.set_extension(id, Bytes::from_static(&[0, 0]))
        {
            tracing::debug!("a packet is not protected: {error}");
            return Vec::new();
        }
        let Some(bytes) = protected(packet, &self.late) else {
            return Vec::new();
        };
        let group = self.group.add(bytes, packet.header.marker, share);
        packet.payload = red::wrap(packet.header.payload_type, &packet.payload).into();
        packet.header.payload_type = agreed.red;
        let Some((packets, repairs)) = group else {
            return Vec::new();
        };
        let losses = if self.run >= BURST {
            Losses::Bursts
        } else {
            Losses::Single
        };
        let mut number = packet.header.sequence_number;
        let repairs = protect(&packets, repairs, losses).into_iter().map(|code| {
            number = number.wrapping_add(1);
            self.ahead = self.ahead.wrapping_add(1);
            rtp::Packet {
                header: rtp::header::Header {
                    version: 2,
                    payload_type: agreed.red,
                    sequence_number: number,
                    timestamp: packet.header.timestamp,
                    ssrc: packet.header.ssrc,
                    ..Default::default()
                },
                payload: red::wrap(agreed.ulpfec, &code).into(),
            }
        });
        repairs.collect()
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for SendFec {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            self.told(packets);
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        let mut repairs = Vec::new();
        if let Packet::Rtp(packet) = &mut message.message.packet
            && let Some(stream) = self.streams.get_mut(&packet.header.ssrc)
        {
            packet.header.sequence_number =
                packet.header.sequence_number.wrapping_add(stream.ahead);
            if let Some(agreed) = self.feedback.fec.sending() {
                repairs = stream.pack(packet, agreed);
            }
        }
        let (now, transport) = (message.now, message.transport);
        self.writes.push_back(message);
        for packet in repairs {
            self.writes.push_back(TaggedPacket {
                now,
                transport,
                message: AttributedPacket::new(Packet::Rtp(packet)),
            });
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for SendFec {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        if !is_picture(info) {
            return;
        }
        let extension = |uri: &str| {
            let known = info.rtp_header_extensions.iter().find(|e| e.uri == uri)?;
            u8::try_from(known.id).ok()
        };
        let (late, transport_cc) = (written_late(info), extension(TRANSPORT_CC_URI));
        // A stream that is bound anew goes on in its numbers.
        let stream = self.streams.entry(info.ssrc).or_insert_with(|| Stream {
            protection: Protection::new(self.when),
            group: Group::default(),
            ahead: 0,
            late: Vec::new(),
            transport_cc: None,
            run: 1.0,
        });
        stream.late = late;
        stream.transport_cc = transport_cc;
    }

    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}

    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}
