#![allow(clippy::unwrap_used)]
use std::time::Duration;

use bytes::Bytes;
use rtc::interceptor::RTCPFeedback;
use rtc::rtp;

use super::*;

fn info(ssrc: u32, ssrc_rtx: Option<u32>) -> StreamInfo {
    StreamInfo {
        ssrc,
        ssrc_rtx,
        rtcp_feedback: vec![RTCPFeedback {
            typ: "nack".into(),
            parameter: String::new(),
        }],
        ..StreamInfo::default()
    }
}

fn bound() -> AskForLost {
    let mut ask = AskForLost::new(Feedback::default());
    ask.bind_remote_stream(&info(1_000, Some(2_000)));
    // As the engine does it.
    ask.bind_remote_stream(&info(2_000, None));
    ask
}

fn tagged(now: Instant, packet: Packet) -> TaggedPacket {
    TaggedPacket {
        now,
        transport: TransportContext::default(),
        message: AttributedPacket::new(packet),
    }
}

fn heard(ask: &mut AskForLost, now: Instant, ssrc: u32, sequence_number: u16) {
    let packet = rtp::Packet {
        header: rtp::header::Header {
            version: 2,
            ssrc,
            sequence_number,
            ..Default::default()
        },
        payload: Bytes::from_static(&[1]),
    };
    ask.handle_read(tagged(now, Packet::Rtp(packet))).unwrap();
    assert!(ask.poll_read().is_some(), "it goes on to the others");
}

fn asked(ask: &mut AskForLost) -> Vec<(u32, Vec<u16>)> {
    std::iter::from_fn(|| ask.poll_write())
        .filter_map(|message| match message.message.packet {
            Packet::Rtcp(packets) => packets[0]
                .as_any()
                .downcast_ref::<TransportLayerNack>()
                .map(|nack| {
                    let numbers = nack.nacks.iter().flat_map(|pair| pair.packet_list());
                    (nack.media_ssrc, numbers.collect())
                }),
            _ => None,
        })
        .collect()
}

#[test]
fn all_that_is_missing_is_asked_for_in_one_message() {
    let (mut ask, now) = (bound(), Instant::now());
    heard(&mut ask, now, 1_000, 1);
    heard(&mut ask, now, 1_000, 40);
    assert_eq!(asked(&mut ask), [(1_000, (2..40).collect())]);
    let again = ask.poll_timeout().unwrap();
    assert!(
        again >= now + Duration::from_millis(100),
        "a round trip later"
    );
    ask.handle_timeout(again).unwrap();
    assert_eq!(asked(&mut ask).len(), 1);
}

#[test]
fn streams_of_retransmissions_and_of_nobody_are_not_asked_about() {
    let (mut ask, now) = (bound(), Instant::now());
    for ssrc in [2_000, 3_000] {
        heard(&mut ask, now, ssrc, 1);
        heard(&mut ask, now, ssrc, 9);
    }
    assert!(asked(&mut ask).is_empty());
    assert_eq!(ask.poll_timeout(), None);
}

#[test]
fn with_a_key_frame_asked_for_nothing_else_is() {
    let (mut ask, now) = (bound(), Instant::now());
    heard(&mut ask, now, 1_000, 1);
    heard(&mut ask, now, 1_000, 9);
    asked(&mut ask);
    let pli = PictureLossIndication {
        sender_ssrc: 0,
        media_ssrc: 1_000,
    };
    ask.handle_write(tagged(now, Packet::Rtcp(vec![Box::new(pli)])))
        .unwrap();
    assert!(ask.poll_write().is_some(), "it goes out");
    assert_eq!(ask.poll_timeout(), None);
}
