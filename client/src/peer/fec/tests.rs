#![allow(clippy::unwrap_used)]
use std::time::{Duration, Instant};

use rtc::interceptor::{
    Attribute, AttributedPacket, Interceptor, Packet, RTPHeaderExtension, TaggedPacket,
};
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc_fec::protect::When;

use super::*;
use crate::peer::rtcp::Feedback;

const SSRC: u32 = 1_000;
const AGREED: Agreed = Agreed {
    red: 114,
    ulpfec: 116,
};

fn info() -> StreamInfo {
    StreamInfo {
        ssrc: SSRC,
        payload_type: 96,
        mime_type: "video/VP8".into(),
        rtp_header_extensions: vec![RTPHeaderExtension {
            uri: TRANSPORT_CC_URI.into(),
            id: 3,
        }],
        ..StreamInfo::default()
    }
}

fn tagged(packet: Packet) -> TaggedPacket {
    TaggedPacket {
        now: Instant::now(),
        transport: TransportContext::default(),
        message: AttributedPacket::new(packet),
    }
}

fn packet(sequence_number: u16, marker: bool) -> rtp::Packet {
    rtp::Packet {
        header: rtp::header::Header {
            version: 2,
            marker,
            payload_type: 96,
            sequence_number,
            timestamp: 77,
            ssrc: SSRC,
            ..Default::default()
        },
        payload: Bytes::from(vec![
            sequence_number as u8;
            100 + usize::from(sequence_number % 7)
        ]),
    }
}

fn sender(when: When) -> SendFec {
    let feedback = Feedback::default();
    feedback.fec.agree(None, Some(AGREED), Vec::new());
    let mut send = SendFec::new(feedback, when);
    send.bind_local_stream(&info());
    send
}

/// What goes out when pictures of five packets each are sent, with the number that is written on each as it leaves.
fn sent(send: &mut SendFec, pictures: u16) -> Vec<rtp::Packet> {
    let mut out = Vec::new();
    for number in 0..pictures * 5 {
        send.handle_write(tagged(Packet::Rtp(packet(number, number % 5 == 4))))
            .unwrap();
        while let Some(message) = send.poll_write() {
            if let Packet::Rtp(mut packet) = message.message.packet {
                let late = Bytes::copy_from_slice(&(out.len() as u16 + 1).to_be_bytes());
                packet.header.set_extension(3, late).unwrap();
                out.push(packet);
            }
        }
    }
    out
}

fn received(packets: Vec<rtp::Packet>) -> (Vec<rtp::Packet>, Counts) {
    let fec = Fec::default();
    fec.agree(Some(AGREED), None, Vec::new());
    let mut receive = ReceiveFec::new(fec.clone());
    receive.bind_remote_stream(&info());
    let mut out = Vec::new();
    for packet in packets {
        receive.handle_read(tagged(Packet::Rtp(packet))).unwrap();
        while let Some(message) = receive.poll_read() {
            if let Packet::Rtp(packet) = message.message.packet {
                out.push(packet);
            }
        }
    }
    (out, fec.received().get(&SSRC).copied().unwrap_or_default())
}

#[test]
fn every_tenth_packet_lost_comes_back_from_repair_packets() {
    let all = sent(&mut sender(When::On), 40);
    let numbers: Vec<u16> = all.iter().map(|p| p.header.sequence_number).collect();
    assert_eq!(numbers, (0..all.len() as u16).collect::<Vec<_>>());
    let repairs = all.iter().filter(|p| p.payload[0] == AGREED.ulpfec).count();
    assert!((60..90).contains(&repairs), "{repairs} for 200");
    let lost = |n: &usize| n % 10 == 3;
    let some = all.iter().enumerate().filter(|(n, _)| !lost(n));
    let (got, counts) = received(some.map(|(_, packet)| packet.clone()).collect());
    let mut pictures: Vec<_> = got.iter().filter(|p| !p.payload.is_empty()).collect();
    pictures.sort_by_key(|p| p.header.sequence_number);
    assert_eq!(pictures.len(), 200);
    for (number, packet) in (0_u16..).zip(&pictures) {
        assert_eq!(packet.header.payload_type, 96);
        assert_eq!(packet.header.marker, number % 5 == 4);
        assert_eq!(packet.payload[0], number as u8);
    }
    // Repair packets leave empty ones behind: their numbers are no holes.
    assert!(got.iter().any(|p| p.payload.is_empty()));
    assert!(counts.rebuilt > 10 && counts.packets > 50, "{counts:?}");
    assert!(counts.discarded < counts.packets, "{counts:?}");
    // What is rebuilt has no number of a journey that it did not make.
    let journeys = got.iter().filter(|p| p.header.get_extension(3).is_some());
    assert_eq!(journeys.count() as u64, got.len() as u64 - counts.rebuilt);
}

#[test]
fn without_losses_packets_stay_as_they_are() {
    let all = sent(&mut sender(When::Auto), 10);
    assert_eq!(all.len(), 50);
    assert!(all.iter().all(|packet| packet.header.payload_type == 96));
}

#[test]
fn losses_on_a_long_path_bring_repair_packets() {
    let mut send = sender(When::Auto);
    send.feedback().answered(Duration::from_millis(200));
    let report = ReceiverReport {
        reports: vec![ReceptionReport {
            ssrc: SSRC,
            fraction_lost: 26,
            ..ReceptionReport::default()
        }],
        ..ReceiverReport::default()
    };
    send.handle_read(tagged(Packet::Rtcp(vec![Box::new(report)])))
        .unwrap();
    let all = sent(&mut send, 20);
    assert!((110..130).contains(&all.len()), "{}", all.len());
}

#[test]
fn what_comes_again_in_other_words_spoils_no_repair() {
    let all = sent(&mut sender(When::On), 4);
    let fec = Fec::default();
    fec.agree(Some(AGREED), None, Vec::new());
    let mut receive = ReceiveFec::new(fec);
    receive.bind_remote_stream(&info());
    let mut payloads = Vec::new();
    for (n, packet) in all.iter().enumerate() {
        let mut message = tagged(Packet::Rtp(packet.clone()));
        if n % 3 == 0 {
            // Sent again, with a header extension of its own.
            message.message.add(Attribute::Retransmission);
            if let Packet::Rtp(packet) = &mut message.message.packet {
                let word = Bytes::from_static(b"again");
                packet.header.set_extension(9, word).unwrap();
            }
        }
        receive.handle_read(message).unwrap();
        while let Some(message) = receive.poll_read() {
            if let Packet::Rtp(packet) = message.message.packet {
                payloads.push((packet.header.sequence_number, packet.payload));
            }
        }
    }
    for (number, payload) in payloads.iter().filter(|(_, p)| !p.is_empty()) {
        let known = unpacked(&all[usize::from(*number)], Some(AGREED)).unwrap();
        assert_eq!(*payload, known.payload);
    }
}

#[test]
fn what_is_sent_again_is_what_was_in_red() {
    let all = sent(&mut sender(When::On), 4);
    let plain: Vec<_> = all
        .iter()
        .filter_map(|packet| unpacked(packet, Some(AGREED)))
        .collect();
    assert_eq!(plain.len(), 20, "no repair packets");
    for (number, packet) in (0_u16..).zip(&plain) {
        assert_eq!(packet.header.payload_type, 96);
        assert_eq!(packet.payload[0], number as u8);
    }
    assert_eq!(unpacked(&packet(1, true), None), Some(packet(1, true)));
}

#[test]
fn what_is_no_red_is_passed_on() {
    let (got, counts) = received(vec![packet(1, true)]);
    assert_eq!(got, [packet(1, true)]);
    assert_eq!(counts, Counts::default());
    let mut empty = packet(2, true);
    empty.header.payload_type = AGREED.red;
    empty.payload = Bytes::new();
    assert_eq!(received(vec![empty.clone()]).0, [empty]);
}
