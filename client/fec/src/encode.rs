//! Repair packets from media packets (RFC 5109, section 8).

use crate::header::{FEC_HEADER, Header};
use crate::masks::{Losses, masks};
use crate::{COVERED, RTP_HEADER};

/// Payloads of `repairs` repair packets for RTP packets with consecutive numbers, the first of which counts; at most [`COVERED`] are covered.
/// What is too short to be RTP is covered by nothing.
#[must_use]
pub fn protect(packets: &[Vec<u8>], repairs: usize, losses: Losses) -> Vec<Vec<u8>> {
    let packets = packets.get(..COVERED).unwrap_or(packets);
    let Some([_, _, high, low, ..]) = packets.first().map(Vec::as_slice) else {
        return Vec::new();
    };
    let base = u16::from_be_bytes([*high, *low]);
    masks(packets.len(), repairs, losses)
        .into_iter()
        .filter_map(|mask| one(packets, base, mask))
        .collect()
}

fn one(packets: &[Vec<u8>], base: u16, mask: u64) -> Option<Vec<u8>> {
    let covered = || {
        let each = packets.iter().enumerate();
        each.filter(move |(n, _)| mask >> n & 1 == 1)
            .map(|(_, packet)| packet.as_slice())
    };
    let longest = covered().map(<[u8]>::len).max()?;
    let length = u16::try_from(longest.checked_sub(RTP_HEADER)?).ok()?;
    let (mut out, from) = Header::room(mask, length.into());
    for packet in covered() {
        mix(&mut out, from, packet)?;
    }
    Header::write(&mut out, base, mask, length);
    Some(out)
}

/// Adds a packet to a repair packet, or takes it out again, which is the same: the fields of its header to that of the repair packet, what
/// follows to the protected bytes.
pub(crate) fn mix(out: &mut [u8], from: usize, packet: &[u8]) -> Option<()> {
    let after = packet.get(RTP_HEADER..)?;
    let length = u16::try_from(after.len()).ok()?.to_be_bytes();
    let (head, body) = out.split_at_mut_checked(from)?;
    let fields = head.get_mut(..FEC_HEADER)?;
    // Flags and sources; marker and payload type; time; length. The numbers in between are nobody's to mix.
    let sources = packet.iter().take(2);
    let time = packet.get(4..8)?.iter();
    let places = [0, 1, 4, 5, 6, 7, 8, 9];
    for (place, byte) in places.iter().zip(sources.chain(time).chain(&length)) {
        *fields.get_mut(*place)? ^= byte;
    }
    for (place, byte) in body.iter_mut().zip(after) {
        *place ^= byte;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example of RFC 5109, section 10.1, with one level: four packets of 200, 140, 100 and 340 bytes.
    #[test]
    fn the_header_is_that_of_the_specification_s_example() {
        let packet = |sequence: u16, time: u32, marker: bool, payload: usize| {
            let mut bytes = vec![0x80, if marker { 0x80 } else { 0 } | 11];
            bytes.extend_from_slice(&sequence.to_be_bytes());
            bytes.extend_from_slice(&time.to_be_bytes());
            bytes.extend_from_slice(&2_u32.to_be_bytes());
            bytes.resize(RTP_HEADER + payload, 0xaa);
            bytes
        };
        let packets = [
            packet(8, 3, true, 200),
            packet(9, 5, false, 140),
            packet(10, 7, true, 100),
            packet(11, 9, false, 340),
        ];
        let repair = &protect(&packets, 1, Losses::Single)[0];
        assert_eq!(repair[0], 0, "P, X, CC of four without any");
        // Two markers and four times the same payload type cancel out.
        assert_eq!(repair[1], 0);
        assert_eq!(repair[2..4], 8_u16.to_be_bytes());
        assert_eq!(repair[4..8], (3_u32 ^ 5 ^ 7 ^ 9).to_be_bytes());
        assert_eq!(repair[8..10], (200_u16 ^ 140 ^ 100 ^ 340).to_be_bytes());
        assert_eq!(repair[10..12], 340_u16.to_be_bytes());
        assert_eq!(repair[12..14], [0b1111_0000, 0]);
        assert_eq!(repair.len(), 14 + 340);
        // As many of four bytes 0xaa as are there.
        assert_eq!(
            (repair[14], repair[14 + 120], repair[14 + 339]),
            (0, 0xaa, 0xaa)
        );
    }

    #[test]
    fn what_is_no_rtp_is_not_covered() {
        assert!(protect(&[], 1, Losses::Single).is_empty());
        assert!(protect(&[vec![1, 2, 3]], 1, Losses::Single).is_empty());
        assert!(protect(&[vec![0; 8]], 1, Losses::Single).is_empty());
    }
}
