//! Media packets from repair packets and what else came (RFC 5109, section 9).

use std::collections::{BTreeMap, VecDeque};

use crate::RTP_HEADER;
use crate::encode::mix;
use crate::header::{FEC_HEADER, Header};

/// Media packets that are kept: what repair packets that may still come cover.
const MEDIA: usize = 192;

/// Repair packets that wait for one more media packet; the oldest goes.
const REPAIRS: usize = 48;

/// A repair packet, by extended numbers.
#[derive(Debug)]
struct Repair {
    base: u64,
    header: Header,
    bytes: Vec<u8>,
}

/// See the module. One for each stream.
#[derive(Debug, Default)]
pub struct Decoder {
    ssrc: u32,
    newest: Option<u64>,
    media: BTreeMap<u64, Vec<u8>>,
    repairs: VecDeque<Repair>,
    /// Repair packets that helped nobody: everything they cover had come, or too little of it.
    discarded: u64,
}

impl Decoder {
    /// For the stream of this source.
    #[must_use]
    pub fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            ..Self::default()
        }
    }

    /// Repair packets so far that were of no use.
    #[must_use]
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    /// A media packet came, as [the crate](crate) has it. Gives others that can be rebuilt now.
    pub fn media(&mut self, packet: Vec<u8>) -> Vec<Vec<u8>> {
        let Some([_, _, high, low, ..]) = packet.get(..RTP_HEADER) else {
            return Vec::new();
        };
        let index = self.extend(u16::from_be_bytes([*high, *low]));
        self.keep(index, packet);
        self.rebuild()
    }

    /// A repair packet came: its payload without RED's byte. Gives what can be rebuilt now.
    pub fn repair(&mut self, sequence: u16, payload: &[u8]) -> Vec<Vec<u8>> {
        // It is a packet of the stream as well.
        let newest = self.extend(sequence);
        let Some(header) = Header::read(payload) else {
            self.discarded += 1;
            return Vec::new();
        };
        let base = near(newest, header.base);
        if self.repairs.len() >= REPAIRS {
            self.repairs.pop_front();
            self.discarded += 1;
        }
        self.repairs.push_back(Repair {
            base,
            header,
            bytes: payload.to_vec(),
        });
        self.rebuild()
    }

    fn extend(&mut self, sequence: u16) -> u64 {
        let index = near(
            self.newest.unwrap_or(1 << 32 | u64::from(sequence)),
            sequence,
        );
        self.newest = Some(self.newest.map_or(index, |newest| newest.max(index)));
        index
    }

    fn keep(&mut self, index: u64, packet: Vec<u8>) {
        self.media.insert(index, packet);
        while self.media.len() > MEDIA {
            self.media.pop_first();
        }
    }

    /// Rebuilds until nothing more can be: one that is rebuilt may be what another repair packet waits for.
    fn rebuild(&mut self) -> Vec<Vec<u8>> {
        let mut rebuilt = Vec::new();
        let oldest = self.newest.unwrap_or_default().saturating_sub(MEDIA as u64);
        let mut again = true;
        while again {
            again = false;
            let mut waiting = VecDeque::new();
            while let Some(repair) = self.repairs.pop_front() {
                let covered = || (0..48).filter(|bit| repair.header.mask >> bit & 1 == 1);
                let mut missing = covered()
                    .map(|bit| repair.base + bit)
                    .filter(|index| !self.media.contains_key(index));
                match (missing.next(), missing.next()) {
                    (None, _) => self.discarded += 1,
                    // What it covers is forgotten already.
                    (Some(index), _) if index < oldest => self.discarded += 1,
                    (Some(index), None) => match self.solve(&repair, index) {
                        Some(packet) => {
                            self.keep(index, packet.clone());
                            rebuilt.push(packet);
                            again = true;
                        }
                        None => self.discarded += 1,
                    },
                    _ => waiting.push_back(repair),
                }
            }
            self.repairs = waiting;
        }
        rebuilt
    }

    /// The one packet that a repair packet misses.
    fn solve(&self, repair: &Repair, missing: u64) -> Option<Vec<u8>> {
        let Header {
            mask, from, length, ..
        } = repair.header;
        let mut bytes = repair.bytes.clone();
        bytes.truncate(from + length);
        for index in (0..48).filter(|bit| mask >> bit & 1 == 1) {
            if let Some(packet) = self.media.get(&(repair.base + index)) {
                mix(&mut bytes, from, packet)?;
            }
        }
        let field = |at: usize| bytes.get(at).copied();
        let after = usize::from(u16::from_be_bytes([field(8)?, field(9)?]));
        if after > length {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
        let sequence = missing as u16;
        let mut packet = vec![field(0)? & 0x3f | 0x80, field(1)?];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(bytes.get(4..8)?);
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(bytes.get(from..from + after)?);
        debug_assert!(from >= FEC_HEADER);
        Some(packet)
    }
}

/// The extended number that `sequence` most likely is.
fn near(newest: u64, sequence: u16) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
    #[expect(clippy::cast_possible_wrap, reason = "the sign tells the direction")]
    let ahead = sequence.wrapping_sub(newest as u16) as i16;
    newest.saturating_add_signed(i64::from(ahead))
}

#[cfg(test)]
mod tests;
