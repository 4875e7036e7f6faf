//! What RTCP tells us (RFC 3550, 4585, 5104): the engine keeps inbound reports and
//! requests from its own statistics and from the application, so they are read on
//! their way through.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc_congestion::Shares;
use tokio::sync::watch;

use super::event;
use super::fec::{self, Fec};
use super::resend::Forgotten;
use super::rtp_clock::{self, RtpClock};
use crate::media::clock::Timestamp;

/// Sender reports of one stream whose echo may still come.
const REPORTS: usize = 16;

/// Streams that are kept count of; a far side cannot make it more.
const STREAMS: usize = 256;

/// Requests for one stream, sent or received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    pub(super) nacks: u32,
    pub(super) plis: u32,
    pub(super) firs: u32,
}

/// What the receiver of one of our streams reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Reception {
    pub(super) packets_lost: i32,
    /// Of 256.
    pub(super) fraction_lost: u8,
    /// In RTP ticks.
    pub(super) jitter: u32,
    pub(super) round_trip: Option<Duration>,
    pub(super) total_round_trip: Duration,
    pub(super) round_trips: u64,
    pub(super) reports: u64,
}

/// What the sender of a stream reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) packets: u32,
    pub(super) octets: u32,
    pub(super) reports: u64,
    /// The clock, as the last report that knew one tells it.
    pub(super) clock: Option<event::SenderReport>,
}

/// All that RTCP told so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// By SSRC, of our streams.
    pub(super) received: HashMap<u32, Requests>,
    /// By SSRC, of the far side's streams.
    pub(super) sent: HashMap<u32, Requests>,
    /// By SSRC, of our streams.
    pub(super) receptions: HashMap<u32, Reception>,
    /// By SSRC, of the far side's streams.
    pub(super) senders: HashMap<u32, Sent>,
    /// Ticks a second by SSRC, of all streams.
    pub(super) clock_rates: HashMap<u32, u32>,
    /// What our streams tell the time by, by SSRC.
    clocks: HashMap<u32, RtpClock>,
    /// What came by repair packets, by SSRC of the stream that they repair.
    pub(super) repairs: HashMap<u32, fec::Counts>,
    /// The newest round trip that a report of any stream told.
    round_trip: Option<Duration>,
    /// How long the far side takes to send again what it is asked for, smoothed.
    answer: Option<Duration>,
    /// When our reports left, by SSRC: middle bits of their NTP time, and when.
    reports: HashMap<u32, VecDeque<(u32, Instant)>>,
    /// How we send.
    pub(super) sending: Sending,
}

/// What congestion control makes of the path to the far side.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sending {
    /// Bits a second on the wire.
    pub(super) available: Option<f64>,
    /// Share of packets that the path loses at any rate.
    pub(super) inherent: Option<f64>,
    /// Bits a second of payload that an encoder of pictures may make.
    pub(super) picture: Option<u32>,
    /// How long packets waited to be sent, all in all, by SSRC.
    pub(super) delays: HashMap<u32, Duration>,
}

/// What a packet asks us to do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Demand {
    key_frame: bool,
    bitrate: Option<f32>,
}

impl Ledger {
    fn hear(&mut self, now: Instant, packets: &[Box<dyn rtcp::Packet>]) -> Demand {
        let mut demand = Demand::default();
        for packet in packets {
            let packet = packet.as_any();
            if let Some(report) = packet.downcast_ref::<SenderReport>() {
                if let Some(sent) = entry(&mut self.senders, report.ssrc) {
                    sent.packets = report.packet_count;
                    sent.octets = report.octet_count;
                    sent.reports += 1;
                    // Zero: the sender knows no wall clock (RFC 3550 section 6.4.1).
                    if report.ntp_time != 0 {
                        sent.clock = Some(event::SenderReport {
                            wall: rtp_clock::unix_micros(report.ntp_time),
                            timestamp: report.rtp_time,
                            number: sent.reports,
                        });
                    }
                }
                self.receptions(now, &report.reports);
            } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                self.receptions(now, &report.reports);
            } else if let Some(remb) = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
                demand.bitrate = Some(remb.bitrate);
            } else {
                demand.key_frame |= count(&mut self.received, packet);
            }
        }
        demand
    }

    /// Puts the time at which the report leaves into our reports, by the clock that stamps what they are about. The engine takes
    /// a frame's departure for its capture, which is off by what encoding and queueing took, and differently for
    /// picture and sound.
    fn tell_time(&self, now: Instant, packets: &mut [Box<dyn rtcp::Packet>]) {
        let now = Timestamp::at(now);
        for packet in packets {
            let Some(report) = packet.as_any().downcast_ref::<SenderReport>() else {
                continue;
            };
            if let Some(clock) = self.clocks.get(&report.ssrc) {
                *packet = Box::new(SenderReport {
                    ntp_time: rtp_clock::ntp(now),
                    rtp_time: clock.at(now),
                    ..report.clone()
                });
            }
        }
    }

    fn say(&mut self, now: Instant, packets: &[Box<dyn rtcp::Packet>]) {
        for packet in packets {
            let packet = packet.as_any();
            if let Some(report) = packet.downcast_ref::<SenderReport>() {
                if let Some(reports) = entry(&mut self.reports, report.ssrc) {
                    if reports.len() >= REPORTS {
                        reports.pop_front();
                    }
                    reports.push_back((middle(report.ntp_time), now));
                }
            } else {
                count(&mut self.sent, packet);
            }
        }
    }

    fn receptions(&mut self, now: Instant, blocks: &[ReceptionReport]) {
        for block in blocks {
            // Reports about streams that are not ours tell nothing.
            let Some(reports) = self.reports.get(&block.ssrc) else {
                continue;
            };
            let Some(reception) = entry(&mut self.receptions, block.ssrc) else {
                continue;
            };
            reception.packets_lost = signed24(block.total_lost);
            reception.fraction_lost = block.fraction_lost;
            reception.jitter = block.jitter;
            reception.reports += 1;
            // RFC 3550 section 6.4.1: A - LSR - DLSR.
            let echoed = reports
                .iter()
                .find(|(ntp, _)| block.last_sender_report != 0 && *ntp == block.last_sender_report);
            if let Some((_, left)) = echoed {
                let held = Duration::from_micros(
                    u64::from(block.delay) * 1_000_000 / u64::from(1u32 << 16),
                );
                let round_trip = now.saturating_duration_since(*left).saturating_sub(held);
                reception.round_trip = Some(round_trip);
                self.round_trip = Some(round_trip);
                reception.total_round_trip += round_trip;
                reception.round_trips += 1;
            }
        }
    }
}

/// The entry of a stream, unless there are too many.
fn entry<T: Default>(of: &mut HashMap<u32, T>, ssrc: u32) -> Option<&mut T> {
    if of.len() >= STREAMS && !of.contains_key(&ssrc) {
        return None;
    }
    Some(of.entry(ssrc).or_default())
}

/// Counts a request; true where it asks for a key frame.
fn count(of: &mut HashMap<u32, Requests>, packet: &dyn std::any::Any) -> bool {
    if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
        if let Some(requests) = entry(of, nack.media_ssrc) {
            requests.nacks = requests.nacks.saturating_add(1);
        }
    } else if let Some(pli) = packet.downcast_ref::<PictureLossIndication>() {
        if let Some(requests) = entry(of, pli.media_ssrc) {
            requests.plis = requests.plis.saturating_add(1);
        }
        return true;
    } else if let Some(fir) = packet.downcast_ref::<FullIntraRequest>() {
        for asked in &fir.fir {
            if let Some(requests) = entry(of, asked.ssrc) {
                requests.firs = requests.firs.saturating_add(1);
            }
        }
        return true;
    }
    false
}

/// The middle 32 bits of an NTP time.
#[expect(clippy::cast_possible_truncation, reason = "the middle is wanted")]
const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// Packets lost is a signed number of 24 bits: duplicates make it negative.
#[expect(
    clippy::cast_possible_wrap,
    reason = "the sign bit is moved into place"
)]
const fn signed24(bits: u32) -> i32 {
    ((bits << 8) as i32) >> 8
}

/// What the interceptor and the actor share.
#[derive(Clone, Debug)]
pub(super) struct Feedback {
    ledger: Arc<Mutex<Ledger>>,
    /// What was agreed on about repair packets, and what came by them.
    pub(super) fec: Fec,
    /// How often a key frame was asked for.
    pub(super) key_frames: watch::Sender<u64>,
    /// What the far side thinks its path carries, bits a second.
    pub(super) bitrate: watch::Sender<u32>,
    /// What our encoders may use of the path, where its feedback tells.
    pub(super) shares: watch::Sender<Option<Shares>>,
    /// What of our streams is of no use any more.
    forgotten: Arc<Mutex<Forgotten>>,
}

impl Default for Feedback {
    fn default() -> Self {
        Self {
            ledger: Arc::default(),
            fec: Fec::default(),
            key_frames: watch::Sender::new(0),
            bitrate: watch::Sender::new(0),
            shares: watch::Sender::new(None),
            forgotten: Arc::default(),
        }
    }
}

impl Feedback {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was told so far.
    pub(super) fn ledger(&self) -> Ledger {
        let mut ledger = self.lock().clone();
        ledger.repairs = self.fec.received();
        ledger
    }

    /// How long something takes there and back, as far as anybody knows: who sends nothing gets no reports, but answers
    /// to what it asks for, and those tell of a queue that has grown since.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let ledger = self.lock();
        ledger.round_trip.max(ledger.answer)
    }

    /// Share of our packets that the path loses at any rate, where congestion control knows.
    pub(super) fn inherent_loss(&self) -> Option<f64> {
        self.lock().sending.inherent
    }

    /// Something lost was sent again so long after it was asked for.
    pub(super) fn answered(&self, took: Duration) {
        let answer = &mut self.lock().answer;
        *answer = Some(answer.map_or(took, |before| (before * 7 + took) / 8));
    }

    /// What a stream of ours sent up to this number is of no use any more.
    pub(super) fn forget(&self, ssrc: u32, up_to: u16, now: Instant) {
        let mut forgotten = self
            .forgotten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        forgotten.forget(ssrc, up_to, now);
    }

    /// Whether a packet of ours is of no use any more.
    pub(super) fn forgot(&self, ssrc: u32, number: u16, now: Instant) -> bool {
        let forgotten = self
            .forgotten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        forgotten.includes(ssrc, number, now)
    }

    /// What congestion control makes of the path now.
    pub(super) fn paced(
        &self,
        available: f64,
        inherent: f64,
        picture: u32,
        delays: &HashMap<u32, Duration>,
    ) {
        let sending = &mut self.lock().sending;
        sending.inherent = Some(inherent);
        sending.available = Some(available);
        sending.picture = Some(picture);
        sending.delays.extend(delays);
    }

    /// Nothing is known of the path: who receives tells nothing.
    pub(super) fn unpaced(&self) {
        let sending = &mut self.lock().sending;
        (sending.inherent, sending.available, sending.picture) = (None, None, None);
    }

    /// A stream of ours tells the time by this clock.
    pub(super) fn keeps_time(&self, ssrc: u32, clock: RtpClock) {
        let clocks = &mut self.lock().clocks;
        if clocks.len() < STREAMS || clocks.contains_key(&ssrc) {
            clocks.insert(ssrc, clock);
        }
    }

    /// What was told last about the clock behind a stream of the far side.
    pub(super) fn newest_report(&self, ssrc: u32) -> Option<event::SenderReport> {
        self.lock().senders.get(&ssrc)?.clock
    }
}

/// Reads RTCP both ways and passes it on.
pub(super) struct ReadRtcp {
    feedback: Feedback,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl ReadRtcp {
    pub(super) fn new(feedback: Feedback) -> Self {
        Self {
            feedback,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    fn bind(&mut self, info: &StreamInfo) {
        if let Some(rate) = entry(&mut self.feedback.lock().clock_rates, info.ssrc) {
            *rate = info.clock_rate;
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for ReadRtcp {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            let demand = self.feedback.lock().hear(message.now, packets);
            if demand.key_frame {
                self.feedback.key_frames.send_modify(|asked| *asked += 1);
            }
            if let Some(bitrate) = demand.bitrate.filter(|bitrate| *bitrate >= 1.0) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the cast saturates"
                )]
                self.feedback.bitrate.send_replace(bitrate as u32);
            }
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &mut message.message.packet {
            let mut ledger = self.feedback.lock();
            ledger.tell_time(message.now, packets);
            ledger.say(message.now, packets);
        }
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for ReadRtcp {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.bind(info);
    }

    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.bind(info);
    }

    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}

#[cfg(test)]
mod tests;
