#![allow(clippy::unwrap_used)]
use bytes::Bytes;
use rtc::interceptor::RTCPFeedback;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::nack_pairs_from_sequence_numbers;

use super::*;

fn bound(rtx: bool) -> Resend {
    let mut resend = Resend::new(Feedback::default());
    resend.bind_local_stream(&StreamInfo {
        ssrc: 1_000,
        ssrc_rtx: rtx.then_some(2_000),
        payload_type: 96,
        payload_type_rtx: rtx.then_some(97),
        rtcp_feedback: vec![RTCPFeedback {
            typ: "nack".into(),
            parameter: String::new(),
        }],
        ..StreamInfo::default()
    });
    resend
}

fn tagged(packet: Packet) -> TaggedPacket {
    TaggedPacket {
        now: Instant::now(),
        transport: TransportContext::default(),
        message: AttributedPacket::new(packet),
    }
}

/// Sends packets 1 to 20, each with its number as payload, and gives what is sent again when these are asked for.
fn asked(resend: &mut Resend, numbers: &[u16]) -> Vec<rtp::Packet> {
    for sequence_number in 1..=20 {
        let packet = rtp::Packet {
            header: rtp::header::Header {
                version: 2,
                marker: true,
                timestamp: 77,
                ssrc: 1_000,
                payload_type: 96,
                sequence_number,
                ..Default::default()
            },
            payload: Bytes::copy_from_slice(&sequence_number.to_be_bytes()),
        };
        resend.handle_write(tagged(Packet::Rtp(packet))).unwrap();
        resend.poll_write().unwrap();
    }
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc: 1_000,
        nacks: nack_pairs_from_sequence_numbers(numbers),
    };
    resend
        .handle_read(tagged(Packet::Rtcp(vec![Box::new(nack)])))
        .unwrap();
    assert!(resend.poll_read().is_some(), "others read it too");
    std::iter::from_fn(|| resend.poll_write())
        .map(|message| {
            assert!(message.message.has(&Attribute::Retransmission));
            match message.message.packet {
                Packet::Rtp(packet) => packet,
                other => unreachable!("{other:?}"),
            }
        })
        .collect()
}

#[test]
fn what_is_asked_for_goes_by_the_stream_of_retransmissions() {
    let mut resend = bound(true);
    let again = asked(&mut resend, &[3, 4, 19, 40]);
    let originals: Vec<u16> = again
        .iter()
        .map(|packet| u16::from_be_bytes([packet.payload[0], packet.payload[1]]))
        .collect();
    assert_eq!(originals, [3, 4, 19]);
    for (packet, next) in again.iter().zip(again.iter().skip(1)) {
        assert_eq!(
            next.header.sequence_number,
            packet.header.sequence_number.wrapping_add(1)
        );
    }
    for packet in &again {
        let header = &packet.header;
        assert_eq!((header.ssrc, header.payload_type), (2_000, 97));
        assert_eq!((header.version, header.timestamp), (2, 77));
        assert!(header.marker);
        assert_eq!(packet.payload[..2], packet.payload[2..]);
    }
}

#[test]
fn without_such_a_stream_it_goes_as_it_was() {
    let again = asked(&mut bound(false), &[7]);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].header.ssrc, 1_000);
    assert_eq!(again[0].header.sequence_number, 7);
}

#[test]
fn a_stream_without_agreement_is_not_kept() {
    let mut resend = Resend::new(Feedback::default());
    resend.bind_local_stream(&StreamInfo {
        ssrc: 1_000,
        ..StreamInfo::default()
    });
    assert!(asked(&mut resend, &[7]).is_empty());
}
