//! Sends as fast as the path takes it: numbers every packet transport-wide, hears when each arrived, lets
//! the pacer decide when the next may leave, and tells the encoders what they may use.
//!
//! The rules are in the crate `rtc-congestion`; here is their place in the engine's chain, where the
//! engine's own pacer, tagger and history would be. The first can neither probe nor tell sound from picture; the second leaves
//! retransmissions out.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc::interceptor::{
    Attribute, AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket, convert_twcc,
};
use rtc::rtcp;
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;
use rtc_congestion::{
    Arrival, Controller, Leaves, Limits, Moment, Pacer, Pictures, Priority, Shares,
};

use super::fec;
use super::rtcp::Feedback;

mod again;
mod dark;
mod meter;
mod padding;

use again::Again;
use dark::Dark;
use meter::Meter;
use padding::Padding;

/// draft-holmer-rmcat-transport-wide-cc-extensions-01.
pub(super) const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Headers of IPv4 and UDP, what SRTP adds (RFC 7714), and the number that is written on a packet as it leaves.
const OVERHEAD: usize = 28 + 16 + 8;

/// Bits a second: the least that makes sense, and what is begun with.
const LEAST: f64 = 40_000.0;
const FIRST: f64 = 300_000.0;

/// Seconds of what waits from which on no picture is encoded, and until which: what is not made cannot be late.
const PAUSE: f64 = 0.25;
const RESUME: f64 = 0.2;

/// Seconds of what waits, and how long nothing may leave, from which on no picture is encoded either.
const PATIENCE: f64 = 0.03;
const FULL: Duration = Duration::from_millis(70);

/// A key frame at fewer bits a second than this shows nothing.
const LEAST_IN_THE_DARK: u32 = 250_000;

/// Of its share, what a picture gets so soon after the rate fell.
const SMALL: f64 = 0.6;
const SMALL_FOR: Duration = Duration::from_millis(200);

/// How often time alone is looked at, and the encoders are told.
const TICK: Duration = Duration::from_millis(50);

/// The first probes have told what they can.
const SETTLED: Duration = Duration::from_millis(1_500);

/// A far side that negotiated feedback and sends none in this time will never do.
const DEAF: Duration = Duration::from_secs(3);

/// One of our streams.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// Where the number goes.
    extension: u8,
    video: bool,
    /// Counted for this stream: itself, or the one that it repairs.
    of: u32,
    repairs: bool,
}

/// See the module.
pub(super) struct Pace {
    feedback: Feedback,
    /// Where time begins.
    epoch: Instant,
    /// Time never goes back, whatever the engine stamps.
    now: Moment,
    controller: Controller,
    /// More than the encoders would ever use is not looked for.
    most: f64,
    pacer: Pacer<TaggedPacket>,
    meter: Meter,
    padding: Padding,
    again: Again,
    dark: Dark,
    /// The newest number of each stream of pictures.
    newest: HashMap<u32, u16>,
    /// When what waited was thrown away last.
    anew: Option<Moment>,
    /// A key frame is to be made.
    wants_key: bool,
    /// Nothing but sound may leave since then.
    closed: Option<Moment>,
    /// So much waits that no picture is encoded.
    paused: bool,
    streams: HashMap<u32, Stream>,
    /// Of each stream of retransmissions: those asked for and those that pad are numbered together.
    numbers: HashMap<u32, u16>,
    first_left: Option<Moment>,
    heard: bool,
    /// When time alone is looked at next; `None` while nothing is sent.
    tick: Option<Moment>,
    last_left: Moment,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Pace {
    /// `most` is what the encoders would ever use, in bits a second.
    pub(super) fn new(feedback: Feedback, most: u32) -> Self {
        // Room for sound, headers and retransmissions.
        let most = (f64::from(most) * 2.0 + 200_000.0).max(FIRST);
        Self {
            feedback,
            epoch: Instant::now(),
            now: Moment::ZERO,
            controller: Controller::new(Limits {
                least: LEAST,
                first: FIRST,
                most,
            }),
            most,
            pacer: Pacer::new(FIRST),
            meter: Meter::default(),
            padding: Padding::default(),
            again: Again::default(),
            dark: Dark::default(),
            newest: HashMap::new(),
            anew: None,
            wants_key: false,
            closed: None,
            paused: false,
            streams: HashMap::new(),
            numbers: HashMap::new(),
            first_left: None,
            heard: false,
            tick: None,
            last_left: Moment::ZERO,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    fn moment(&mut self, now: Instant) -> Moment {
        self.now = self.now.max(now.saturating_duration_since(self.epoch));
        self.now
    }

    /// The first key frame waits because little is dared, not because the path carries little: the first probes are yet to tell.
    fn settled(&self) -> bool {
        self.first_left
            .is_some_and(|first| self.now.saturating_sub(first) > SETTLED)
    }

    /// Negotiated, and nothing came of it.
    fn deaf(&self) -> bool {
        !self.heard
            && self
                .first_left
                .is_some_and(|first| self.now.saturating_sub(first) > DEAF)
    }

    fn queue(&mut self, message: TaggedPacket) {
        let now = self.moment(message.now);
        let Packet::Rtp(packet) = &message.message.packet else {
            // Requests and reports are small, and no use when they are late.
            self.writes.push_back(message);
            return;
        };
        let Some(stream) = self.streams.get(&packet.header.ssrc).copied() else {
            self.writes.push_back(message);
            return;
        };
        let again = stream.repairs
            || message
                .message
                .attributes
                .iter()
                .any(|a| matches!(a, Attribute::Retransmission));
        let bytes = packet.marshal_size() + OVERHEAD;
        let marker = packet.header.marker;
        if stream.video && !again {
            self.newest
                .insert(packet.header.ssrc, packet.header.sequence_number);
            // The stream of retransmissions is for what is in RED; repair packets take from the picture as those do.
            match fec::unpacked(packet, self.feedback.fec.sending()) {
                Some(packet) => {
                    self.meter.picture(now, packet.payload.len(), bytes);
                    self.padding.keep(packet);
                }
                None => self.meter.again(now, bytes),
            }
        } else if again {
            let round_trip = self.controller.round_trip();
            if stream.repairs && !self.again.asked(now, round_trip, packet) {
                return;
            }
            self.meter.again(now, bytes);
        } else {
            self.meter.sound(now, bytes);
        }
        self.first_left.get_or_insert(now);
        self.tick.get_or_insert(now);
        let priority = match (stream.video, again) {
            (_, true) => Priority::Again,
            (false, false) => Priority::Sound,
            (true, false) => Priority::Picture,
        };
        if self.pacer.push(now, priority, bytes, message).is_err() {
            tracing::debug!("a packet is dropped: too many wait to be sent");
        }
        if priority == Priority::Picture && marker && self.dark.made(now) {
            self.adjust(now);
        }
        self.release(now);
    }

    /// Lets go what may leave now.
    fn release(&mut self, now: Moment) {
        let deaf = self.deaf();
        if deaf {
            self.pacer.set_rate(now, f64::from(u32::MAX));
        }
        let has_room = deaf || self.controller.has_room(now);
        if has_room {
            self.closed = None;
        } else {
            self.closed.get_or_insert(now);
        }
        self.pacer.close(!has_room);
        while let Some(leaves) = self.pacer.next(now) {
            match leaves {
                Leaves::Packet {
                    packet,
                    bytes,
                    probe,
                    waited,
                } => self.leaves(now, packet, bytes, probe, waited),
                Leaves::Padding { bytes, probe } => {
                    let Some(packet) = self.padding.packet(bytes) else {
                        continue;
                    };
                    let bytes = packet.marshal_size() + OVERHEAD;
                    let message = TaggedPacket {
                        now: self.epoch + now,
                        transport: TransportContext::default(),
                        message: AttributedPacket::new(Packet::Rtp(packet))
                            .with(Attribute::Retransmission),
                    };
                    self.leaves(now, message, bytes, Some(probe), Duration::ZERO);
                }
            }
        }
    }

    fn leaves(
        &mut self,
        now: Moment,
        mut message: TaggedPacket,
        bytes: usize,
        probe: Option<u32>,
        waited: Duration,
    ) {
        self.last_left = now;
        message.now = self.epoch + now;
        if let Packet::Rtp(packet) = &mut message.message.packet
            && let Some(stream) = self.streams.get(&packet.header.ssrc)
        {
            if stream.repairs {
                self.again.left(now, packet);
                let next = self.numbers.entry(packet.header.ssrc).or_default();
                packet.header.sequence_number = *next;
                *next = next.wrapping_add(1);
            }
            let number = self.controller.leaves(now, bytes, probe);
            let written = packet.header.set_extension(
                stream.extension,
                Bytes::copy_from_slice(&number.to_be_bytes()),
            );
            if let Err(error) = written {
                tracing::debug!("a packet leaves without its number: {error}");
            }
            self.meter.waited(stream.of, waited);
        }
        self.writes.push_back(message);
    }

    fn hear(&mut self, now: Moment, packets: &[Box<dyn rtcp::Packet>]) {
        for packet in packets {
            let Some(feedback) = packet.as_any().downcast_ref::<TransportLayerCc>() else {
                continue;
            };
            // The last chunk may have room for more packets than the report is about.
            let arrivals: Vec<Arrival> = convert_twcc(feedback)
                .into_iter()
                .take(usize::from(feedback.packet_status_count))
                .map(|told| Arrival {
                    number: told.sequence_number,
                    at: told.arrival,
                })
                .collect();
            self.heard = true;
            self.controller.hear(now, &arrivals);
        }
        self.adjust(now);
    }

    /// Puts what is known of the path to use.
    fn adjust(&mut self, now: Moment) {
        let state = self.controller.state(now);
        if self.deaf() {
            let modified = self
                .feedback
                .shares
                .send_if_modified(|shares| shares.take().is_some());
            if modified {
                self.feedback.unpaced();
            }
            return;
        }
        // Pictures of a file that are sent as they are may need more than our encoders.
        let used = self.meter.pictures(now) * 1.5;
        self.controller.set_most(used.max(self.most));
        let pacing = self.controller.pacing(now);
        self.pacer.set_rate(now, pacing);
        let pictures = self.controller.pictures(now);
        if pictures == Pictures::Anew {
            self.begin_anew();
        }
        if self.padding.possible()
            && let Some(cluster) = self.controller.probe(now)
        {
            tracing::debug!(rate = cluster.rate, "a probe");
            self.pacer.probe(now, cluster);
        }
        let waiting = self.pacer.held() as f64 * 8.0 / pacing;
        let mut shares = rtc_congestion::share(self.meter.demands(now, state.target, waiting));
        self.paused = self.settled() && waiting > if self.paused { RESUME } else { PAUSE };
        let full = !state.draining
            && waiting > PATIENCE
            && self
                .closed
                .is_some_and(|since| now.saturating_sub(since) > FULL);
        // The sooner the first picture is there after the rate fell: it has to wait behind a queue.
        let lately = |at: Moment| now.saturating_sub(at) < SMALL_FOR;
        if state.draining && self.anew.is_some_and(lately) {
            shares.picture = (f64::from(shares.picture) * SMALL) as u32;
        }
        let allowed = shares.picture;
        if self.paused || full || pictures == Pictures::Wait {
            shares.picture = 0;
        }
        self.in_the_dark(now, state.dark, allowed, &mut shares);
        tracing::trace!(?state, ?shares, waiting, "the path");
        self.feedback.paced(
            state.target,
            state.inherent,
            shares.picture,
            self.meter.delays(),
        );
        self.feedback.shares.send_if_modified(|told| {
            let differs = told.is_none_or(|told| differs(told, shares));
            if differs {
                *told = Some(shares);
            }
            differs
        });
        // After the shares, so that it is of the size that they allow.
        if std::mem::take(&mut self.wants_key) {
            self.feedback.key_frames.send_modify(|asked| *asked += 1);
        }
    }
}

impl Pace {
    /// Nothing of the pictures that were made so far is of use any more: neither what waits, nor what is asked for again.
    fn begin_anew(&mut self) {
        self.anew = Some(self.now);
        self.wants_key = !self.newest.is_empty();
        tracing::debug!(pictures = self.wants_key, "what waits is thrown away");
        self.pacer.clear();
        self.again = Again::default();
        for (ssrc, newest) in &self.newest {
            self.feedback.forget(*ssrc, *newest, self.epoch + self.now);
        }
    }

    /// While nothing is heard, nothing that refers to what is lost is of use: now and then a key frame, so that the first that comes
    /// through is shown.
    fn in_the_dark(&mut self, now: Moment, dark: bool, allowed: u32, shares: &mut Shares) {
        let dark = dark && !self.newest.is_empty();
        if dark {
            self.tick = self.tick.map(|tick| tick.min(now + TICK / 2));
        }
        match self.dark.look(now, dark) {
            dark::Turn::Light => {}
            dark::Turn::Wait => shares.picture = 0,
            dark::Turn::Making => shares.picture = allowed.max(LEAST_IN_THE_DARK),
            dark::Turn::Key { first } => {
                tracing::debug!(first, "a key frame into the dark");
                shares.picture = allowed.max(LEAST_IN_THE_DARK);
                self.begin_anew();
            }
        }
    }
}

/// Not every bit is worth telling an encoder.
fn differs(told: Shares, now: Shares) -> bool {
    let far = |a: u32, b: u32| a.abs_diff(b) > a.max(b) / 33;
    far(told.picture, now.picture) || far(told.sound, now.sound)
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Pace {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            let now = self.moment(message.now);
            if packets.iter().any(|p| p.as_any().is::<TransportLayerCc>()) {
                self.hear(now, packets);
                self.release(now);
            }
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.queue(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let now = self.moment(now);
        if self.tick.is_some_and(|tick| tick <= now) {
            // Silence of ours needs no looking at.
            let idle = now.saturating_sub(self.last_left) > DEAF && self.pacer.is_empty();
            self.tick = (!idle).then(|| now + TICK);
            self.adjust(now);
        }
        self.release(now);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let due = [self.pacer.due(), self.tick];
        due.into_iter().flatten().min().map(|due| self.epoch + due)
    }
}

impl Interceptor for Pace {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        let found = info
            .rtp_header_extensions
            .iter()
            .find(|extension| extension.uri == TRANSPORT_CC_URI)
            .and_then(|extension| u8::try_from(extension.id).ok());
        let Some(extension) = found.filter(|id| *id != 0) else {
            return;
        };
        let stream = Stream {
            extension,
            video: info.mime_type.to_ascii_lowercase().starts_with("video/"),
            of: info.ssrc,
            repairs: false,
        };
        self.streams.insert(info.ssrc, stream);
        if let (Some(ssrc), Some(payload_type)) = (info.ssrc_rtx, info.payload_type_rtx) {
            let repairs = true;
            self.streams.insert(ssrc, Stream { repairs, ..stream });
            if stream.video {
                self.padding.begin(info.ssrc, ssrc, payload_type);
            }
        }
        if stream.video && self.feedback.shares.borrow().is_none() && !self.deaf() {
            let now = self.now;
            let first = self.meter.demands(now, FIRST, 0.0);
            self.feedback
                .shares
                .send_replace(Some(rtc_congestion::share(first)));
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.streams.retain(|_, stream| stream.of != info.ssrc);
        self.padding.end(info.ssrc);
    }

    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}

#[cfg(test)]
mod tests;
