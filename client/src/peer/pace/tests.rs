#![allow(clippy::unwrap_used)]

use rtc::interceptor::RTPHeaderExtension;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, RunLengthChunk, StatusChunkTypeTcc, SymbolTypeTcc,
};
use rtc::rtp;

use super::*;

const SOUND: u32 = 1;
const PICTURE: u32 = 2;
const REPAIR: u32 = 3;
const EXTENSION: u8 = 5;

fn bound(transport_cc: bool) -> (Pace, Feedback) {
    let feedback = Feedback::default();
    let mut pace = Pace::new(feedback.clone(), 1_500_000);
    let uri = if transport_cc {
        TRANSPORT_CC_URI
    } else {
        "urn:other"
    };
    let extensions = vec![RTPHeaderExtension {
        uri: uri.to_owned(),
        id: u16::from(EXTENSION),
    }];
    pace.bind_local_stream(&StreamInfo {
        ssrc: SOUND,
        mime_type: "audio/opus".to_owned(),
        rtp_header_extensions: extensions.clone(),
        ..StreamInfo::default()
    });
    pace.bind_local_stream(&StreamInfo {
        ssrc: PICTURE,
        ssrc_rtx: Some(REPAIR),
        payload_type_rtx: Some(97),
        mime_type: "video/VP8".to_owned(),
        rtp_header_extensions: extensions,
        ..StreamInfo::default()
    });
    (pace, feedback)
}

fn packet(now: Instant, ssrc: u32, bytes: usize) -> TaggedPacket {
    TaggedPacket {
        now,
        transport: TransportContext::default(),
        message: AttributedPacket::new(Packet::Rtp(rtp::Packet {
            header: rtp::header::Header {
                version: 2,
                ssrc,
                ..Default::default()
            },
            payload: vec![7; bytes].into(),
        })),
    }
}

/// What left: SSRC, sequence number and transport-wide number.
fn left(pace: &mut Pace) -> Vec<(u32, u16, Option<u16>)> {
    let mut left = Vec::new();
    while let Some(message) = pace.poll_write() {
        if let Packet::Rtp(packet) = message.message.packet {
            let number = packet.header.get_extension(EXTENSION);
            let number = number.map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
            left.push((packet.header.ssrc, packet.header.sequence_number, number));
        }
    }
    left
}

/// Lets so much time pass, waking when asked to.
fn passes(pace: &mut Pace, from: Instant, so_long: Duration) -> Vec<(u32, u16, Option<u16>)> {
    let end = from + so_long;
    let mut now = from;
    let mut all = Vec::new();
    while let Some(due) = pace.poll_timeout().filter(|due| *due <= end) {
        now = due.max(now + Duration::from_micros(500));
        pace.handle_timeout(now).unwrap();
        all.extend(left(pace));
    }
    all
}

/// All of them arrived, a millisecond after another, before this many milliseconds had passed.
fn feedback(base: u16, count: u16, at: u32) -> TransportLayerCc {
    let began = at - u32::from(count);
    TransportLayerCc {
        sender_ssrc: 9,
        media_ssrc: PICTURE,
        base_sequence_number: base,
        packet_status_count: count,
        reference_time: began / 64,
        fb_pkt_count: 0,
        packet_chunks: vec![PacketStatusChunk::RunLengthChunk(RunLengthChunk {
            type_tcc: StatusChunkTypeTcc::RunLengthChunk,
            packet_status_symbol: SymbolTypeTcc::PacketReceivedSmallDelta,
            run_length: count,
        })],
        recv_deltas: (0..count)
            .map(|n| RecvDelta {
                type_tcc_packet: SymbolTypeTcc::PacketReceivedSmallDelta,
                delta: if n == 0 {
                    i64::from(began % 64) * 1_000
                } else {
                    1_000
                },
            })
            .collect(),
    }
}

#[test]
fn sound_overtakes_a_large_picture_and_all_are_numbered_as_they_leave() {
    let (mut pace, _) = bound(true);
    let now = Instant::now();
    for _ in 0..30 {
        pace.handle_write(packet(now, PICTURE, 1_100)).unwrap();
    }
    pace.handle_write(packet(now, SOUND, 80)).unwrap();
    let mut all = left(&mut pace);
    assert!(all.len() < 30, "{}", all.len());
    assert_eq!(all.last().unwrap().0, SOUND);
    all.extend(passes(&mut pace, now, Duration::from_secs(3)));
    let numbers: Vec<u16> = all.iter().map(|(_, _, number)| number.unwrap()).collect();
    let expected: Vec<u16> = (0..u16::try_from(all.len()).unwrap()).collect();
    assert_eq!(numbers, expected);
    assert_eq!(all.iter().filter(|(ssrc, ..)| *ssrc == PICTURE).count(), 30);
}

#[test]
fn retransmissions_and_padding_are_numbered_together() {
    let (mut pace, _) = bound(true);
    let now = Instant::now();
    pace.handle_write(packet(now, PICTURE, 1_100)).unwrap();
    for _ in 0..3 {
        pace.handle_write(packet(now, REPAIR, 500)).unwrap();
    }
    let mut all = left(&mut pace);
    all.extend(passes(&mut pace, now, Duration::from_secs(1)));
    let repairs: Vec<u16> = all
        .iter()
        .filter(|(ssrc, ..)| *ssrc == REPAIR)
        .map(|(_, sequence, _)| *sequence)
        .collect();
    assert!(repairs.len() > 3, "a probe was padded");
    let expected: Vec<u16> = (0..u16::try_from(repairs.len()).unwrap()).collect();
    assert_eq!(repairs, expected);
}

#[test]
fn without_feedback_negotiated_nothing_is_held_or_numbered() {
    let (mut pace, feedback) = bound(false);
    let now = Instant::now();
    for _ in 0..30 {
        pace.handle_write(packet(now, PICTURE, 1_100)).unwrap();
    }
    let all = left(&mut pace);
    assert_eq!(all.len(), 30);
    assert!(all.iter().all(|(_, _, number)| number.is_none()));
    assert_eq!(*feedback.shares.borrow(), None);
    assert_eq!(pace.poll_timeout(), None);
}

#[test]
fn a_far_side_that_never_reports_holds_nothing_back_for_long() {
    let (mut pace, told) = bound(true);
    let mut now = Instant::now();
    assert!(told.shares.borrow().is_some(), "begins with little");
    for _ in 0..100 {
        pace.handle_write(packet(now, PICTURE, 1_000)).unwrap();
        passes(&mut pace, now, Duration::from_millis(50));
        now += Duration::from_millis(50);
    }
    assert_eq!(*told.shares.borrow(), None);
}

/// Two packets of a picture each 50 ms, of whose arrival is told; gives the time after.
fn goes_well(pace: &mut Pace, mut now: Instant, rounds: u32) -> Instant {
    let mut reported = 0;
    for round in 0..rounds {
        for _ in 0..2 {
            pace.handle_write(packet(now, PICTURE, 1_000)).unwrap();
        }
        let sent = left(pace);
        let later = passes(pace, now, Duration::from_millis(50));
        now += Duration::from_millis(50);
        let count = u16::try_from(sent.len() + later.len()).unwrap();
        if count == 0 {
            continue;
        }
        let report: Box<dyn rtcp::Packet> =
            Box::new(feedback(reported, count, 10_000 + round * 50));
        reported += count;
        let message = TaggedPacket {
            now,
            transport: TransportContext::default(),
            message: AttributedPacket::new(Packet::Rtcp(vec![report])),
        };
        pace.handle_read(message).unwrap();
        assert!(pace.poll_read().is_some(), "passed on");
    }
    now
}

#[test]
fn feedback_is_heard_and_the_encoder_told() {
    let (mut pace, told) = bound(true);
    let first = told.shares.borrow().unwrap().picture;
    assert!((150_000..300_000).contains(&first), "{first}");
    goes_well(&mut pace, Instant::now(), 40);
    assert!(told.shares.borrow().is_some());
    assert!(told.ledger().sending.available.unwrap() > 300_000.0);
    assert!(!told.ledger().sending.delays.is_empty());
    assert_eq!(*told.key_frames.borrow(), 0, "there was no need");
}

#[test]
fn while_nothing_is_heard_key_frames_are_wanted_now_and_then_and_nothing_older_is_sent_again() {
    let (mut pace, told) = bound(true);
    let mut now = goes_well(&mut pace, Instant::now(), 40);
    let wanted = |told: &Feedback| *told.key_frames.borrow();
    for _ in 0..6 {
        pace.handle_write(packet(now, PICTURE, 1_000)).unwrap();
        passes(&mut pace, now, Duration::from_millis(50));
        now += Duration::from_millis(50);
    }
    assert_eq!(wanted(&told), 0, "feedback may be late");
    assert!(!told.forgot(PICTURE, 0, now));
    let (mut open, mut shut) = (false, false);
    for _ in 0..20 {
        let allowed = told.shares.borrow().unwrap().picture > 0;
        open |= allowed && wanted(&told) > 0;
        shut |= !allowed;
        if allowed {
            let mut last = packet(now, PICTURE, 1_000);
            if let Packet::Rtp(packet) = &mut last.message.packet {
                packet.header.marker = true;
            }
            pace.handle_write(last).unwrap();
        }
        passes(&mut pace, now, Duration::from_millis(50));
        now += Duration::from_millis(50);
    }
    assert!((4..=10).contains(&wanted(&told)), "{}", wanted(&told));
    assert!(open && shut, "one picture at a time");
    assert!(told.forgot(PICTURE, 0, now));
}
