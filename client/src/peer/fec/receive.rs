//! Takes RED off received packets, and puts packets that repair packets bring back into their stream, before anybody asks
//! for them.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;
use rtc::interceptor::{
    Attribute, AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket,
};
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::marshal::Unmarshal;
use rtc_fec::decode::Decoder;
use rtc_fec::red;

use super::{Counts, Fec, STREAMS, is_picture, protected, written_late};

/// One stream of the far side.
struct Stream {
    decoder: Decoder,
    /// Header extensions that repair packets know nothing of.
    late: Vec<u8>,
    /// What its pictures go by.
    media: Option<u8>,
    counts: Counts,
}

/// See the module.
pub(in crate::peer) struct ReceiveFec {
    fec: Fec,
    streams: HashMap<u32, Stream>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl ReceiveFec {
    pub(in crate::peer) fn new(fec: Fec) -> Self {
        Self {
            fec,
            streams: HashMap::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }
}

impl Stream {
    /// Takes RED off. A repair packet becomes an empty one: it has a number that nobody shall ask for. Gives what it brings back.
    ///
    /// What was sent `again` has other header extensions than repair packets were made of: with it they would bring back nonsense.
    fn unpack(&mut self, packet: &mut rtp::Packet, ulpfec: u8, again: bool) -> Vec<Vec<u8>> {
        let Some((payload_type, from)) = red::unwrap(&packet.payload) else {
            return Vec::new();
        };
        let payload = packet.payload.slice(from..);
        if payload_type == ulpfec {
            self.counts.packets += 1;
            self.counts.bytes += payload.len() as u64;
            packet.payload = Bytes::new();
            if let Some(media) = self.media {
                packet.header.payload_type = media;
            }
            return self.decoder.repair(packet.header.sequence_number, &payload);
        }
        self.media = Some(payload_type);
        packet.header.payload_type = payload_type;
        packet.payload = payload;
        match protected(packet, &self.late) {
            Some(bytes) if !again => self.decoder.media(bytes),
            _ => Vec::new(),
        }
    }

    fn rebuilt(&mut self, bytes: Vec<u8>) -> Option<rtp::Packet> {
        let mut packet = rtp::Packet::unmarshal(&mut Bytes::from(bytes)).ok()?;
        // Nobody shall take the zeros for what was written there.
        let header = &mut packet.header;
        for id in &self.late {
            // Where there is none there is nothing to be removed.
            let _ = header.del_extension(*id);
        }
        self.counts.rebuilt += 1;
        Some(packet)
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for ReceiveFec {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        let mut brought_back = Vec::new();
        let again = message.message.has(&Attribute::Retransmission);
        if let Packet::Rtp(packet) = &mut message.message.packet
            && let Some(stream) = self.streams.get_mut(&packet.header.ssrc)
            && let Some(agreed) = self.fec.receiving()
            && packet.header.payload_type == agreed.red
        {
            let ssrc = packet.header.ssrc;
            for bytes in stream.unpack(packet, agreed.ulpfec, again) {
                brought_back.extend(stream.rebuilt(bytes));
            }
            stream.counts.discarded = stream.decoder.discarded();
            if stream.counts.packets > 0 {
                self.fec.count(ssrc, stream.counts);
            }
        }
        let (now, transport) = (message.now, message.transport);
        self.reads.push_back(message);
        for packet in brought_back {
            self.reads.push_back(TaggedPacket {
                now,
                transport,
                message: AttributedPacket::new(Packet::Rtp(packet)).with(Attribute::RecoveredByFec),
            });
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for ReceiveFec {
    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if is_picture(info) && self.streams.len() < STREAMS {
            self.streams.insert(
                info.ssrc,
                Stream {
                    decoder: Decoder::new(info.ssrc),
                    late: written_late(info),
                    media: None,
                    counts: Counts::default(),
                },
            );
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
    }

    fn bind_local_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
}
