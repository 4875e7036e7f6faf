//! Picture and sound of one peer at times that belong together.
//!
//! Sender reports tell what the sender's one wall clock showed at an RTP time of each stream (RFC 3550, section
//! 6.4.1). So each stream knows how much later than taken it is shown or played, and the one that is earlier waits
//! for the other. Before the first reports both are shown and played as they come.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::MediaClock;
use super::delay::micros;
use crate::event::Kind;
use crate::media::clock::Timestamp;
use crate::peer::SenderReport;

mod rule;
mod sender_clock;
#[cfg(test)]
mod tests;

pub use rule::LipSync;
pub use sender_clock::{OurTime, SenderClock};

/// What the streams of one peer share; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PeerSync(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    rule: LipSync,
    ours: OurTime,
    /// The newest stream of each kind: an older one that goes on is not waited for.
    newest: [u64; 2],
    /// How much later than taken each kind is shown or played now, waiting included.
    total: [Option<i64>; 2],
}

/// One stream's part in it.
#[derive(Debug)]
pub struct Side {
    shared: PeerSync,
    kind: Kind,
    number: u64,
}

impl PeerSync {
    /// For a new stream.
    #[must_use]
    pub fn side(&self, kind: Kind) -> Side {
        let mut state = self.lock();
        let newest = &mut state.newest[index(kind)];
        *newest += 1;
        Side {
            shared: self.clone(),
            kind,
            number: *newest,
        }
    }

    /// What is shown or played now was taken then, by the sender's clock, microseconds since 1970 (`estimatedPlayoutTimestamp`).
    #[must_use]
    pub fn playout(&self, now: Timestamp, kind: Kind) -> Option<i64> {
        Some(micros(now) - self.lock().total[index(kind)]?)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Side {
    /// Tells that without waiting for the other this stream is shown so much later than taken; gives how long
    /// it is to wait.
    fn tell(&self, now: Timestamp, delay: i64) -> Duration {
        let mut state = self.shared.lock();
        let extra = if state.newest[index(self.kind)] == self.number {
            state.rule.tell(micros(now), self.kind, delay)
        } else {
            0
        };
        state.total[index(self.kind)] = Some(delay + extra);
        Duration::from_micros(extra.unsigned_abs())
    }

    /// When something was taken, on our clock.
    fn on_our_clock(&self, now: Timestamp, wall: i64, arrival: i64) -> i64 {
        let mut state = self.shared.lock();
        let follows = self.kind == Kind::Audio || !state.rule.hears(micros(now));
        let ours = &mut state.ours;
        ours.at(micros(now), wall, arrival, follows)
    }
}

const fn index(kind: Kind) -> usize {
    match kind {
        Kind::Audio => 0,
        Kind::Video => 1,
    }
}

/// One stream's clocks: by arrivals, and by sender reports once there are some.
#[derive(Debug)]
pub struct StreamClock {
    arrivals: MediaClock,
    sender: SenderClock,
    side: Side,
}

impl StreamClock {
    /// For a stream of `rate` ticks a second.
    #[must_use]
    pub const fn new(rate: u32, side: Side) -> Self {
        Self {
            arrivals: MediaClock::new(rate),
            sender: SenderClock::new(rate),
            side,
        }
    }

    /// Learns from a packet (a frame), and from the newest sender report if there is one.
    pub fn observe(&mut self, arrived: Timestamp, timestamp: u32, report: Option<SenderReport>) {
        if self.arrivals.observe(arrived, timestamp) {
            self.sender.forget();
        }
        if let Some(report) = report {
            self.sender.hear(report);
        }
    }

    /// When something was taken, on our clock and, once reports came, the same for all streams of the peer; `None`
    /// before the first packet.
    #[must_use]
    pub fn taken(&self, now: Timestamp, timestamp: u32) -> Option<Timestamp> {
        let arrival = self.arrivals.at(timestamp)?;
        let at = match self.sender.wall(timestamp) {
            Some(wall) => self.side.on_our_clock(now, wall, arrival),
            None => arrival,
        };
        Some(Timestamp::from_micros(u64::try_from(at).unwrap_or(0)))
    }

    /// Tells when something is shown or played (microseconds) if it does not wait for the other stream; gives how
    /// long it is to wait, `None` while no report tells.
    #[must_use]
    pub fn wait(&self, now: Timestamp, timestamp: u32, shown: i64) -> Option<Duration> {
        let wall = self.sender.wall(timestamp)?;
        Some(self.side.tell(now, shown - wall))
    }
}
