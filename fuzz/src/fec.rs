//! Repair packets of a far side, among what else comes.

use rtc_fec::decode::Decoder;
use rtc_fec::encode::protect;
use rtc_fec::masks::Losses;
use rtc_fec::{RTP_HEADER, red};

/// Packets behind a byte that says what they are, two for the number and one for the length: no bytes break the decoder, and what is rebuilt from
/// packets of ours is one of them.
pub fn packets(data: &[u8]) {
    let _ = red::unwrap(data);
    let mut decoder = Decoder::new(7);
    let mut rest = data;
    while let [kind, high, low, length, more @ ..] = rest {
        let (bytes, after) = more.split_at(usize::from(*length).min(more.len()));
        rest = after;
        let rebuilt = if kind % 2 == 0 {
            let mut packet = vec![0x80, 96, *high, *low];
            packet.resize(RTP_HEADER, 0);
            packet.extend_from_slice(bytes);
            decoder.media(packet)
        } else {
            decoder.repair(u16::from_be_bytes([*high, *low]), bytes)
        };
        assert!(rebuilt.iter().all(|packet| packet.len() >= RTP_HEADER));
    }
    ours(data);
}

/// One group with as many repair packets as the first byte says, without the packets whose bit in the second is set.
fn ours(data: &[u8]) {
    let [repairs, lost, rest @ ..] = data else {
        return;
    };
    let media: Vec<Vec<u8>> = (0..8_u8)
        .zip(rest.chunks(16).chain(std::iter::repeat(&[][..])))
        .map(|(number, chunk)| {
            let mut packet = vec![0x80, 96, 0xff, 0xfb_u8.wrapping_add(number)];
            if number > 4 {
                packet[2] = 0;
            }
            packet.extend_from_slice(&[number, 0, 0, 1, 0, 0, 0, 7]);
            packet.extend_from_slice(chunk);
            packet
        })
        .collect();
    let losses = if repairs & 0x80 == 0 {
        Losses::Single
    } else {
        Losses::Bursts
    };
    let mut decoder = Decoder::new(7);
    let mut rebuilt = Vec::new();
    for (bit, packet) in media.iter().enumerate() {
        if lost >> bit & 1 == 0 {
            rebuilt.extend(decoder.media(packet.clone()));
        }
    }
    let codes = protect(&media, usize::from(repairs & 7), losses);
    for (number, code) in (3_u16..).zip(&codes) {
        rebuilt.extend(decoder.repair(number, code));
    }
    assert!(rebuilt.iter().all(|packet| media.contains(packet)));
    assert!(codes.is_empty() || lost.count_ones() != 1 || rebuilt.len() == 1);
}
