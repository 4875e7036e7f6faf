#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::encode::protect;
use crate::masks::Losses;

const SSRC: u32 = 0x1234_5678;

fn packet(sequence: u16, time: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x90, if marker { 0x80 } else { 0 } | 96];
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&time.to_be_bytes());
    bytes.extend_from_slice(&SSRC.to_be_bytes());
    // A header extension: it is protected as the payload is.
    bytes.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x51, 0, 0, 0]);
    bytes.extend_from_slice(payload);
    bytes
}

fn stream(first: u16, count: u16) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| {
            let payload = vec![n as u8; 20 + usize::from(n) * 37 % 1_100];
            packet(
                first.wrapping_add(n),
                u32::from(n / 5) * 3_000,
                n % 5 == 4,
                &payload,
            )
        })
        .collect()
}

#[test]
fn one_lost_packet_is_rebuilt_to_the_byte() {
    for lost in 0..10 {
        let media = stream(65_530, 10);
        let repairs = protect(&media, 1, Losses::Single);
        let mut decoder = Decoder::new(SSRC);
        for (n, packet) in media.iter().enumerate() {
            if n != lost {
                assert!(decoder.media(packet.clone()).is_empty());
            }
        }
        assert_eq!(decoder.repair(4, &repairs[0]), [media[lost].clone()]);
        assert_eq!(decoder.discarded(), 0);
    }
}

#[test]
fn a_repair_packet_waits_for_the_packet_that_it_needs() {
    let media = stream(100, 6);
    let repairs = protect(&media, 1, Losses::Single);
    let mut decoder = Decoder::new(SSRC);
    for packet in &media[..4] {
        decoder.media(packet.clone());
    }
    assert!(decoder.repair(106, &repairs[0]).is_empty());
    assert_eq!(decoder.media(media[5].clone()), [media[4].clone()]);
}

#[test]
fn one_rebuilt_packet_helps_to_rebuild_the_next() {
    let media = stream(0, 12);
    let repairs = protect(&media, 2, Losses::Single);
    let mut decoder = Decoder::new(SSRC);
    // The first is covered by one repair packet, the third by both.
    for (n, packet) in media.iter().enumerate() {
        if n != 0 && n != 2 {
            decoder.media(packet.clone());
        }
    }
    assert!(decoder.repair(12, &repairs[0]).is_empty());
    let mut rebuilt = decoder.repair(13, &repairs[1]);
    rebuilt.sort();
    assert_eq!(rebuilt, [media[0].clone(), media[2].clone()]);
}

#[test]
fn repair_packets_that_nobody_needs_are_counted() {
    let media = stream(0, 5);
    let repairs = protect(&media, 1, Losses::Single);
    let mut decoder = Decoder::new(SSRC);
    for packet in &media {
        decoder.media(packet.clone());
    }
    assert!(decoder.repair(5, &repairs[0]).is_empty());
    assert_eq!(decoder.discarded(), 1);
}

proptest! {
    /// Whatever is lost: what is rebuilt is what was sent, and nothing is rebuilt that came.
    #[test]
    fn what_is_rebuilt_is_what_was_sent(
        first in any::<u16>(),
        sizes in prop::collection::vec(0usize..1_200, 1..=48),
        repairs in 1usize..12,
        bursts in any::<bool>(),
        lost in prop::collection::vec(any::<bool>(), 60),
    ) {
        let media: Vec<Vec<u8>> = (0..).zip(&sizes).map(|(n, size)| {
            let payload: Vec<u8> = (0..*size).map(|byte| (byte * 7 + usize::from(n)) as u8).collect();
            packet(first.wrapping_add(n), u32::from(n) * 11, n % 3 == 0, &payload)
        }).collect();
        let losses = if bursts { Losses::Bursts } else { Losses::Single };
        let codes = protect(&media, repairs, losses);
        let mut decoder = Decoder::new(SSRC);
        let mut rebuilt = Vec::new();
        for (n, packet) in media.iter().enumerate() {
            if !lost[n] {
                rebuilt.extend(decoder.media(packet.clone()));
            }
        }
        for (n, code) in codes.iter().enumerate() {
            if !lost[48 + n] {
                let sequence = first.wrapping_add((media.len() + n) as u16);
                rebuilt.extend(decoder.repair(sequence, code));
            }
        }
        for packet in rebuilt {
            let n = media.iter().position(|sent| *sent == packet);
            prop_assert!(n.is_some_and(|n| lost[n]));
        }
    }

    #[test]
    fn whatever_comes_memory_is_bounded(
        input in prop::collection::vec((any::<bool>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..80)), 0..400)
    ) {
        let mut decoder = Decoder::new(SSRC);
        for (media, sequence, bytes) in input {
            let rebuilt = if media {
                decoder.media(packet(sequence, 0, false, &bytes))
            } else {
                decoder.repair(sequence, &bytes)
            };
            prop_assert!(rebuilt.iter().all(|packet| packet.len() >= RTP_HEADER));
            prop_assert!(decoder.media.len() <= MEDIA && decoder.repairs.len() <= REPAIRS);
        }
    }
}
