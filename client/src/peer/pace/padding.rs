//! What a probe is filled with where no picture waits: packets that were sent lately, as retransmissions nobody asked
//! for (RFC 4588). A receiver that has them drops them; one that missed them is glad.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use rtc::rtp;

/// Packets that are kept.
const KEPT: usize = 64;

/// A stream of retransmissions.
#[derive(Debug)]
struct Repairs {
    of: u32,
    ssrc: u32,
    payload_type: u8,
    kept: VecDeque<rtp::Packet>,
    /// The next to be sent.
    turn: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Padding {
    repairs: Option<Repairs>,
}

impl Padding {
    pub(super) fn begin(&mut self, of: u32, ssrc: u32, payload_type: u8) {
        match &mut self.repairs {
            Some(known) if known.ssrc == ssrc => known.payload_type = payload_type,
            _ => {
                self.repairs = Some(Repairs {
                    of,
                    ssrc,
                    payload_type,
                    kept: VecDeque::new(),
                    turn: 0,
                });
            }
        }
    }

    pub(super) fn end(&mut self, of: u32) {
        if self.repairs.as_ref().is_some_and(|known| known.of == of) {
            self.repairs = None;
        }
    }

    /// A packet of a picture is sent, as its own codec has it.
    pub(super) fn keep(&mut self, packet: rtp::Packet) {
        let Some(repairs) = &mut self.repairs else {
            return;
        };
        if packet.header.ssrc != repairs.of {
            return;
        }
        if repairs.kept.len() >= KEPT {
            repairs.kept.pop_front();
        }
        repairs.kept.push_back(packet);
    }

    pub(super) fn possible(&self) -> bool {
        self.repairs.as_ref().is_some_and(|r| !r.kept.is_empty())
    }

    /// Something to send of about so many bytes, without a number: of the packets that are not larger, each in turn.
    pub(super) fn packet(&mut self, bytes: usize) -> Option<rtp::Packet> {
        let repairs = self.repairs.as_mut()?;
        let count = repairs.kept.len();
        let fits = |at: &usize| repairs.kept[*at].payload.len() <= bytes;
        let turn = repairs.turn;
        let mut places = (0..count).map(|n| (turn + n) % count);
        let at = places.clone().find(fits).or_else(|| places.next())?;
        repairs.turn = (at + 1) % count;
        let original = &repairs.kept[at];
        let mut payload = BytesMut::with_capacity(original.payload.len() + 2);
        payload.put_u16(original.header.sequence_number);
        payload.put_slice(&original.payload);
        Some(rtp::Packet {
            header: rtp::header::Header {
                version: 2,
                marker: original.header.marker,
                payload_type: repairs.payload_type,
                timestamp: original.header.timestamp,
                ssrc: repairs.ssrc,
                ..Default::default()
            },
            payload: payload.freeze(),
        })
    }
}
