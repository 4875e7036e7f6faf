//! One client's relayed address: whom it may hear and speak to, and by which channels.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_types::attribute::ErrorCode;

use super::Path;
use super::message::{Problem, Request};

/// RFC 8656, section 9.
const PERMISSION: Duration = Duration::from_secs(300);

/// RFC 8656, section 12.
const CHANNEL: Duration = Duration::from_secs(600);

/// Permissions that one allocation may have, and channels: no call has as many candidates.
const MOST: usize = 512;

/// What became of its socket.
#[derive(Debug)]
pub(super) enum State {
    /// Asked for.
    Opening,
    /// There; `answer` is what the client was told, should it ask again.
    Open { answer: Vec<u8> },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) path: Path,
    pub(super) user: String,
    /// The request that made it.
    pub(super) request: Request,
    pub(super) state: State,
    pub(super) ipv6: bool,
    pub(super) until: Instant,
    permissions: HashMap<IpAddr, Instant>,
    channels: HashMap<u16, (SocketAddr, Instant)>,
    numbers: HashMap<SocketAddr, u16>,
    allowance: Option<Allowance>,
}

impl Allocation {
    pub(super) fn new(
        path: Path,
        request: Request,
        ipv6: bool,
        until: Instant,
        rate: Option<u32>,
        now: Instant,
    ) -> Self {
        Self {
            path,
            user: request.user.clone(),
            request,
            state: State::Opening,
            ipv6,
            until,
            permissions: HashMap::new(),
            channels: HashMap::new(),
            numbers: HashMap::new(),
            allowance: rate.map(|rate| Allowance::new(rate, now)),
        }
    }

    /// Lets it hear this address for a while; false where it has too many already.
    pub(super) fn permit(&mut self, peer: IpAddr, now: Instant) -> bool {
        if self.permissions.len() >= MOST && !self.permissions.contains_key(&peer) {
            self.permissions.retain(|_, until| *until > now);
            if self.permissions.len() >= MOST {
                return false;
            }
        }
        self.permissions.insert(peer, now + PERMISSION);
        true
    }

    /// Whether it may have to do with this address.
    pub(super) fn permits(&self, peer: IpAddr, now: Instant) -> bool {
        self.permissions
            .get(&peer)
            .is_some_and(|until| *until > now)
    }

    /// Gives a peer a number; neither may have another (RFC 8656, section 12.2).
    pub(super) fn bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        now: Instant,
    ) -> Result<(), Problem> {
        self.channels.retain(|_, (_, until)| *until > now);
        self.numbers
            .retain(|_, number| self.channels.contains_key(number));
        let there = self
            .channels
            .get(&number)
            .is_none_or(|(bound, _)| *bound == peer);
        let here = self.numbers.get(&peer).is_none_or(|bound| *bound == number);
        if !there || !here {
            return Err(Problem::Code(ErrorCode::BAD_REQUEST));
        }
        let known = self.channels.contains_key(&number);
        if (!known && self.channels.len() >= MOST) || !self.permit(peer.ip(), now) {
            return Err(Problem::Code(ErrorCode::INSUFFICIENT_CAPACITY));
        }
        self.channels.insert(number, (peer, now + CHANNEL));
        self.numbers.insert(peer, number);
        Ok(())
    }

    /// Who is behind a number.
    pub(super) fn behind(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        let (peer, until) = self.channels.get(&number)?;
        (*until > now).then_some(*peer)
    }

    /// The number of a peer.
    pub(super) fn channel_of(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        let number = *self.numbers.get(&peer)?;
        self.behind(number, now).map(|_| number)
    }

    /// Whether so many bytes may be relayed now; they count if so.
    pub(super) fn affords(&mut self, bytes: usize, now: Instant) -> bool {
        self.allowance
            .as_mut()
            .is_none_or(|allowance| allowance.take(bytes, now))
    }
}

/// Bytes that may be relayed: so many a second, a second's worth at once.
#[derive(Debug)]
struct Allowance {
    rate: f64,
    left: f64,
    filled: Instant,
}

impl Allowance {
    fn new(rate: u32, now: Instant) -> Self {
        let rate = f64::from(rate);
        Self {
            rate,
            left: rate,
            filled: now,
        }
    }

    fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.left = (self.left + passed * self.rate).min(self.rate);
        let enough = self.left >= bytes as f64;
        if enough {
            self.left -= bytes as f64;
        }
        enough
    }
}
