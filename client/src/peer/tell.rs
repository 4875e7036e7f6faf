//! When the far side is told which of its packets arrived: the engine knows how that is written, and does so ten times a second, whatever
//! happens. Who sends follows a path that changes the sooner, the sooner he is told.

use std::time::{Duration, Instant};

use rtc::interceptor::{
    Interceptor, Packet, StreamInfo, TaggedPacket, TwccReceiverBuilder, TwccReceiverInterceptor,
};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;

/// Not more often, and not more seldom while something arrives.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_millis(250);

/// Bits of one message with all headers, about, and the share of what arrives that they may take (RFC 3550, section 6.2).
const MESSAGE: f64 = 800.0;
const SHARE: f64 = 0.05;

/// Seconds over which what arrives is averaged.
const OVER: f64 = 1.0;

/// When there is something to be told. Pure.
#[derive(Debug, Default)]
struct Times {
    told: Option<Instant>,
    due: Option<Instant>,
    bits: f64,
    heard: Option<Instant>,
}

impl Times {
    /// A packet arrived.
    fn arrived(&mut self, now: Instant, bytes: usize) {
        let since = self.heard.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(since).as_secs_f64();
        self.bits = self.bits * (-passed / OVER).exp() + bytes as f64 * 8.0 / OVER;
        if self.due.is_none() {
            // After a silence at once.
            let due = self.told.map_or(now, |told| told + self.interval());
            self.due = Some(due.max(now));
        }
    }

    fn interval(&self) -> Duration {
        let least = self.bits * SHARE;
        if least * LONGEST.as_secs_f64() <= MESSAGE {
            return LONGEST;
        }
        Duration::from_secs_f64(MESSAGE / least).max(SHORTEST)
    }

    /// Whether it is to be told now.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.due = None;
            self.told = Some(now);
        }
        due
    }
}

/// See the module.
pub(super) struct TellArrivals {
    /// Tells whenever it is given the time.
    inner: TwccReceiverInterceptor,
    times: Times,
}

impl TellArrivals {
    pub(super) fn new() -> Self {
        Self {
            inner: TwccReceiverBuilder::new()
                .with_interval(Duration::ZERO)
                .build(),
            times: Times::default(),
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for TellArrivals {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &message.message.packet {
            self.times.arrived(message.now, packet.marshal_size());
        }
        self.inner.handle_read(message)
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inner.poll_read()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.inner.handle_write(message)
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.inner.poll_write()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.times.is_due(now) {
            return self.inner.handle_timeout(now);
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.times.due
    }
}

impl Interceptor for TellArrivals {
    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.inner.bind_remote_stream(info);
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.inner.unbind_remote_stream(info);
    }

    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.inner.bind_local_stream(info);
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.inner.unbind_local_stream(info);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it is told of packets that come so far apart, in ten seconds.
    fn told(every: Duration, bytes: usize) -> u32 {
        let (mut times, start) = (Times::default(), Instant::now());
        let mut told = 0;
        let mut next = start;
        for ms in 0..10_000 {
            let now = start + Duration::from_millis(ms);
            if now >= next {
                times.arrived(now, bytes);
                next += every;
            }
            told += u32::from(times.is_due(now));
        }
        told
    }

    #[test]
    fn a_fast_stream_is_told_of_twenty_times_a_second_and_sound_alone_less_often() {
        let pictures = told(Duration::from_millis(5), 1_200);
        assert!((180..=201).contains(&pictures), "{pictures}");
        let sound = told(Duration::from_millis(20), 90);
        assert!((36..=60).contains(&sound), "{sound}");
    }

    #[test]
    fn after_a_silence_the_first_packet_is_told_of_at_once_and_silence_is_not_told_of() {
        let (mut times, start) = (Times::default(), Instant::now());
        times.arrived(start, 100);
        assert!(times.is_due(start));
        assert_eq!(times.due, None);
        let later = start + Duration::from_secs(2);
        times.arrived(later, 100);
        assert!(times.is_due(later));
    }
}
