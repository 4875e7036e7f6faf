//! Puts retransmissions back into the stream they repair (RFC 4588) before the engine
//! looks for losses. The engine does so behind its NACK generator, which therefore
//! never sees a loss repaired and asks again and again. What had arrived before is emptied: senders fill
//! their probes for bandwidth with such packets; feedback has to tell that they came, and nobody else needs them.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use rtc::interceptor::{Attribute, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

use super::fec::Fec;

mod seen;

use seen::Seen;

/// What a repair stream repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Repaired {
    ssrc: u32,
    payload_type: u8,
    repair_payload_type: u8,
}

/// Undoes RTX on received packets.
pub(super) struct UndoRtx {
    fec: Fec,
    streams: HashMap<u32, Repaired>,
    /// What arrived of each stream that is repaired.
    seen: HashMap<u32, Seen>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl UndoRtx {
    pub(super) fn new(fec: Fec) -> Self {
        Self {
            fec,
            streams: HashMap::new(),
            seen: HashMap::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    /// Rewrites a retransmission in place. Packets of padding alone, which probe for
    /// bandwidth, stay as they are: feedback must tell that they arrived.
    ///
    /// True where it was one.
    fn undo(&mut self, packet: &mut rtp::Packet) -> bool {
        if let Some(seen) = self.seen.get_mut(&packet.header.ssrc) {
            seen.arrives(packet.header.sequence_number);
        }
        let Some(repaired) = self.streams.get(&packet.header.ssrc) else {
            return false;
        };
        // A stream that goes by more than one payload type is repaired by as many; the engine knows of the first.
        let known = self.fec.repaired_by(packet.header.payload_type);
        let first = packet.header.payload_type == repaired.repair_payload_type;
        let Some(payload_type) = known.or_else(|| first.then_some(repaired.payload_type)) else {
            return false;
        };
        if packet.payload.len() <= 2 {
            return false;
        }
        let original = packet.payload.split_to(2);
        let number = u16::from_be_bytes([original[0], original[1]]);
        let seen = self.seen.get_mut(&repaired.ssrc);
        if seen.is_some_and(|seen| !seen.arrives(number)) {
            packet.payload.clear();
            return false;
        }
        packet.header.sequence_number = number;
        packet.header.ssrc = repaired.ssrc;
        packet.header.payload_type = payload_type;
        true
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for UndoRtx {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &mut message.message.packet
            && self.undo(packet)
        {
            message.message.add(Attribute::Retransmission);
        }
        self.reads.push_back(message);
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

impl Interceptor for UndoRtx {
    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if let (Some(ssrc), Some(repair_payload_type)) = (info.ssrc_rtx, info.payload_type_rtx) {
            self.seen.entry(info.ssrc).or_default();
            self.streams.insert(
                ssrc,
                Repaired {
                    ssrc: info.ssrc,
                    payload_type: info.payload_type,
                    repair_payload_type,
                },
            );
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        if let Some(ssrc) = info.ssrc_rtx {
            self.streams.remove(&ssrc);
            self.seen.remove(&info.ssrc);
        }
    }

    fn bind_local_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;
    use rtc::interceptor::AttributedPacket;
    use rtc::shared::TransportContext;

    use super::*;

    fn through(undo: &mut UndoRtx, ssrc: u32, payload_type: u8, payload: &[u8]) -> rtp::Packet {
        let packet = rtp::Packet {
            header: rtp::header::Header {
                version: 2,
                marker: true,
                sequence_number: 9,
                timestamp: 7,
                ssrc,
                payload_type,
                ..Default::default()
            },
            payload: Bytes::copy_from_slice(payload),
        };
        undo.handle_read(TaggedPacket {
            now: Instant::now(),
            transport: TransportContext::default(),
            message: AttributedPacket::new(Packet::Rtp(packet)),
        })
        .unwrap();
        match undo.poll_read().unwrap().message.packet {
            Packet::Rtp(packet) => packet,
            other => unreachable!("{other:?}"),
        }
    }

    fn bound() -> UndoRtx {
        let mut undo = UndoRtx::new(Fec::default());
        undo.bind_remote_stream(&StreamInfo {
            ssrc: 1000,
            payload_type: 96,
            ssrc_rtx: Some(2000),
            payload_type_rtx: Some(97),
            ..StreamInfo::default()
        });
        undo
    }

    #[test]
    fn a_retransmission_becomes_the_packet_that_was_lost() {
        let packet = through(&mut bound(), 2000, 97, &[0x12, 0x34, 5, 6]);
        assert_eq!(packet.header.ssrc, 1000);
        assert_eq!(packet.header.payload_type, 96);
        assert_eq!(packet.header.sequence_number, 0x1234);
        assert_eq!(packet.header.timestamp, 7);
        assert!(packet.header.marker);
        assert_eq!(packet.payload.as_ref(), [5, 6]);
    }

    #[test]
    fn everything_else_passes_untouched() {
        for (ssrc, payload_type, payload) in [
            (1000, 96, &[0x12, 0x34, 5, 6][..]),
            (3000, 97, &[0x12, 0x34, 5, 6]),
            (2000, 103, &[0x12, 0x34, 5, 6]),
            (2000, 97, &[]),
            (2000, 97, &[1]),
            (2000, 97, &[1, 2]),
        ] {
            let packet = through(&mut bound(), ssrc, payload_type, payload);
            assert_eq!(packet.header.ssrc, ssrc);
            assert_eq!(packet.header.payload_type, payload_type);
            assert_eq!(packet.header.sequence_number, 9);
            assert_eq!(packet.payload.as_ref(), payload);
        }
    }

    #[test]
    fn a_stream_by_two_payload_types_is_repaired_by_two() {
        let mut undo = bound();
        undo.fec.agree(None, None, vec![(97, 96), (115, 114)]);
        for (repair, original) in [(97, 96), (115, 114)] {
            let packet = through(&mut undo, 2000, repair, &[0x12, repair, 5, 6]);
            assert_eq!(packet.header.ssrc, 1000);
            assert_eq!(packet.header.payload_type, original);
            let number = 0x1200 + u16::from(repair);
            assert_eq!(packet.header.sequence_number, number);
        }
    }

    #[test]
    fn what_arrived_before_is_emptied() {
        let mut undo = bound();
        let first = through(&mut undo, 2000, 97, &[0, 8, 5, 6]);
        assert_eq!((first.header.ssrc, first.payload.len()), (1000, 2));
        let again = through(&mut undo, 2000, 97, &[0, 8, 5, 6]);
        assert_eq!((again.header.ssrc, again.payload.len()), (2000, 0));
        through(&mut undo, 1000, 96, &[1]);
        let again = through(&mut undo, 2000, 97, &[0, 9, 5, 6]);
        assert_eq!((again.header.ssrc, again.payload.len()), (2000, 0));
    }

    #[test]
    fn an_unbound_stream_is_forgotten() {
        let mut undo = bound();
        undo.unbind_remote_stream(&StreamInfo {
            ssrc: 1000,
            ssrc_rtx: Some(2000),
            ..StreamInfo::default()
        });
        let packet = through(&mut undo, 2000, 97, &[0x12, 0x34, 5, 6]);
        assert_eq!(packet.header.ssrc, 2000);
    }
}
