#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use rtc::rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

use super::super::rtp_clock::{self, RtpClock};
use super::{Feedback, Ledger, Reception, Requests, STREAMS};
use crate::media::clock::Timestamp;

fn our_report(ssrc: u32, ntp_time: u64) -> Box<SenderReport> {
    Box::new(SenderReport {
        ssrc,
        ntp_time,
        ..SenderReport::default()
    })
}

fn their_report(report: ReceptionReport) -> Box<ReceiverReport> {
    Box::new(ReceiverReport {
        reports: vec![report],
        ..ReceiverReport::default()
    })
}

#[test]
fn the_round_trip_is_what_passed_without_the_time_the_report_was_held() {
    let mut ledger = Ledger::default();
    let start = Instant::now();
    ledger.say(start, &[our_report(7, 0x1111_2222_3333_4444)]);
    let report = ReceptionReport {
        ssrc: 7,
        fraction_lost: 64,
        total_lost: 0x00ff_fffe,
        jitter: 90,
        last_sender_report: 0x2222_3333,
        delay: 1 << 15,
        ..ReceptionReport::default()
    };
    ledger.hear(
        start + Duration::from_millis(520),
        &[their_report(report.clone())],
    );
    let mut expected = Reception {
        packets_lost: -2,
        fraction_lost: 64,
        jitter: 90,
        round_trip: Some(Duration::from_millis(20)),
        total_round_trip: Duration::from_millis(20),
        round_trips: 1,
        reports: 1,
    };
    assert_eq!(ledger.receptions[&7], expected);

    // A clock that holds longer than what passed gives no negative time.
    ledger.hear(
        start + Duration::from_millis(400),
        &[their_report(report.clone())],
    );
    expected.round_trip = Some(Duration::ZERO);
    expected.round_trips = 2;
    expected.reports = 2;
    assert_eq!(ledger.receptions[&7], expected);

    // No sender report of ours was heard yet.
    ledger.hear(
        start,
        &[their_report(ReceptionReport {
            last_sender_report: 0,
            ..report
        })],
    );
    expected.reports = 3;
    assert_eq!(ledger.receptions[&7], expected);
}

#[test]
fn reports_about_streams_that_are_not_ours_tell_nothing() {
    let mut ledger = Ledger::default();
    ledger.hear(
        Instant::now(),
        &[their_report(ReceptionReport {
            ssrc: 9,
            ..ReceptionReport::default()
        })],
    );
    assert!(ledger.receptions.is_empty());
}

#[test]
fn requests_are_counted_by_stream_and_direction() {
    let mut ledger = Ledger::default();
    let now = Instant::now();
    let nack = TransportLayerNack {
        media_ssrc: 7,
        ..TransportLayerNack::default()
    };
    let pli = PictureLossIndication {
        media_ssrc: 7,
        ..PictureLossIndication::default()
    };
    let fir = FullIntraRequest {
        fir: vec![FirEntry {
            ssrc: 7,
            ..FirEntry::default()
        }],
        ..FullIntraRequest::default()
    };
    assert!(!ledger.hear(now, &[Box::new(nack.clone())]).key_frame);
    assert!(ledger.hear(now, &[Box::new(pli)]).key_frame);
    assert!(ledger.hear(now, &[Box::new(fir)]).key_frame);
    ledger.say(now, &[Box::new(nack)]);
    assert_eq!(
        ledger.received[&7],
        Requests {
            nacks: 1,
            plis: 1,
            firs: 1
        }
    );
    assert_eq!(
        ledger.sent[&7],
        Requests {
            nacks: 1,
            plis: 0,
            firs: 0
        }
    );
}

#[test]
fn a_far_side_cannot_make_the_books_grow_without_end() {
    let mut ledger = Ledger::default();
    for media_ssrc in 0..10_000 {
        let pli = PictureLossIndication {
            media_ssrc,
            ..PictureLossIndication::default()
        };
        ledger.hear(Instant::now(), &[Box::new(pli)]);
    }
    assert_eq!(ledger.received.len(), STREAMS);
}

#[test]
fn our_reports_tell_the_capture_clock_of_both_streams_at_one_moment() {
    let feedback = Feedback::default();
    let (sound, pictures) = (RtpClock::new(48_000), RtpClock::new(90_000));
    feedback.keeps_time(7, sound);
    feedback.keeps_time(8, pictures);
    let now = Instant::now();
    let unknown = our_report(9, 5);
    let mut packets: Vec<Box<dyn rtc::rtcp::Packet>> =
        vec![our_report(7, 1), our_report(8, 2), unknown.clone()];
    feedback.lock().tell_time(now, &mut packets);
    let told = |n: usize| -> SenderReport {
        packets[n]
            .as_any()
            .downcast_ref::<SenderReport>()
            .unwrap()
            .clone()
    };
    let moment = Timestamp::at(now);
    assert_eq!(told(0).rtp_time, sound.at(moment));
    assert_eq!(told(1).rtp_time, pictures.at(moment));
    assert_eq!(told(0).ntp_time, told(1).ntp_time);
    assert_eq!(told(0).ntp_time, rtp_clock::ntp(moment));
    assert_eq!(told(2), *unknown, "not ours to tell");
}

#[test]
fn the_newest_report_that_knows_a_clock_is_kept() {
    let feedback = Feedback::default();
    assert_eq!(feedback.newest_report(7), None);
    let moment = Timestamp::from_micros(1_790_000_000_123_456);
    let mut report = our_report(7, rtp_clock::ntp(moment));
    report.rtp_time = 960;
    let now = Instant::now();
    feedback.lock().hear(now, &[report]);
    feedback.lock().hear(now, &[our_report(7, 0)]);
    let newest = feedback.newest_report(7).expect("a report");
    assert_eq!(newest.wall, 1_790_000_000_123_456);
    assert_eq!((newest.timestamp, newest.number), (960, 1));
}
