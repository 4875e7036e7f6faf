//! Allocations, permissions and channels (RFC 8656). Pure: datagrams, time and what became of sockets come in; what is to
//! be sent, opened and closed comes out.

mod allocation;
mod message;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use stun_types::attribute::ErrorCode;
use stun_types::message::{Message, MessageClass};
use turn_types::channel::ChannelData;
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

use super::nonce::Nonces;
use super::{TurnConfig, framing};
use crate::cluster::holdings::heaviest;
use crate::cluster::holdings::told::Key;
use allocation::{Allocation, State};
use message::{Problem, Request};

/// Lifetime of an allocation that asks for none, and the least (RFC 8656, section 7.2).
const LIFETIME: Duration = Duration::from_secs(600);

/// The most that an allocation gets at once.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long the second port of a pair is kept for who asked for it (RFC 8656, section 7.2).
const RESERVED: Duration = Duration::from_secs(30);

/// When something happens: by the clock that never steps back, and by the calendar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) instant: Instant,
    /// Since 1970.
    pub(super) unix: Duration,
}

/// What a client's messages come over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Carrier {
    Udp,
    Tcp,
    Tls,
}

/// A client, as RFC 8656 section 2.2 tells it from others: the 5-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path {
    pub(super) carrier: Carrier,
    pub(super) server: SocketAddr,
    pub(super) client: SocketAddr,
}

/// An allocation, for as long as it lasts; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u64);

/// Which port a new socket shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Any,
    Even,
    /// An even one, and the one after it kept.
    Pair,
    /// The one that was kept under this token.
    Kept(u64),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Send this back.
    Answer(Vec<u8>),
    /// Send this back, and close the socket.
    Farewell(Vec<u8>, Id),
    /// Open a socket, and say by [`Rules::opened`] how that went.
    Open { id: Id, ipv6: bool, port: Port },
    /// Send this part of what came to a peer.
    Relay {
        id: Id,
        to: SocketAddr,
        data: Range<usize>,
    },
}

/// What came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Allocation(Id),
    Reservation(u64),
}

/// A socket for an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// By which address the world knows it.
    pub(super) relayed: SocketAddr,
    /// The token under which the port after it is kept.
    pub(super) token: Option<u64>,
}

/// What is counted; only ever written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) opened: u64,
    pub(super) ended: u64,
    pub(super) refused: u64,
    /// From clients to peers.
    pub(super) bytes_out: u64,
    /// From peers to clients.
    pub(super) bytes_in: u64,
    /// Not relayed: no permission, or more than the rate.
    pub(super) dropped: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Rules {
    config: TurnConfig,
    nonces: Nonces,
    paths: HashMap<Path, Id>,
    allocations: HashMap<Id, Allocation>,
    /// Allocations by name.
    users: HashMap<String, usize>,
    /// Those at other servers of a cluster.
    elsewhere: HashMap<Key, usize>,
    /// Which of them end, and when.
    ends: BTreeSet<(Instant, Id)>,
    reservations: HashMap<u64, Reservation>,
    last: u64,
    pub(super) counts: Counts,
}

#[derive(Debug)]
struct Reservation {
    user: String,
    until: Instant,
}

impl Rules {
    /// For nobody yet.
    pub(super) fn new(config: TurnConfig, nonces: Nonces) -> Self {
        Self {
            config,
            nonces,
            paths: HashMap::new(),
            allocations: HashMap::new(),
            users: HashMap::new(),
            elsewhere: HashMap::new(),
            ends: BTreeSet::new(),
            reservations: HashMap::new(),
            last: 0,
            counts: Counts::default(),
        }
    }

    /// A client said this.
    pub(super) fn said(&mut self, now: Now, path: Path, bytes: &[u8]) -> Option<Output> {
        match bytes.first()? >> 6 {
            0b00 => {
                // The proof covers what the length covers, so nothing may come after it.
                framing::first(bytes)
                    .ok()
                    .flatten()
                    .filter(|(_, length)| *length == bytes.len())?;
                let message = Message::from_bytes(bytes).ok()?;
                match message.class() {
                    MessageClass::Request => self.asked(now, path, &message),
                    MessageClass::Indication => self.indicated(now, path, &message),
                    MessageClass::Success | MessageClass::Error => None,
                }
            }
            0b01 => {
                let channel = ChannelData::parse(bytes).ok()?;
                let (number, length) = (channel.id(), channel.data().len());
                let id = *self.paths.get(&path)?;
                let allocation = self.allocations.get_mut(&id)?;
                let to = allocation.behind(number, now.instant);
                self.relay(now, id, to, 4..4 + length)
            }
            _ => None,
        }
    }

    /// A peer said this to an allocation's socket: where to send it, and `out` is what.
    pub(super) fn heard(
        &mut self,
        now: Now,
        id: Id,
        peer: SocketAddr,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Path> {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let allocation = self.allocations.get_mut(&id)?;
        if !allocation.permits(peer.ip(), now.instant)
            || !allocation.affords(data.len(), now.instant)
        {
            self.counts.dropped += 1;
            return None;
        }
        self.counts.bytes_in += data.len() as u64;
        out.clear();
        match allocation.channel_of(peer, now.instant) {
            Some(number) => message::channel(number, data, allocation.path.carrier, out),
            None => message::indication(peer, data, out)?,
        }
        Some(allocation.path)
    }

    /// The socket that [`Output::Open`] asked for is there, or could not be had. Gives what the client is told.
    pub(super) fn opened(
        &mut self,
        now: Now,
        id: Id,
        socket: Option<Opened>,
    ) -> Option<(Path, Vec<u8>)> {
        let allocation = self.allocations.get_mut(&id)?;
        let path = allocation.path;
        let Some(opened) = socket else {
            let full = Problem::Code(ErrorCode::INSUFFICIENT_CAPACITY);
            let answer = message::refused(&allocation.request, &full);
            self.counts.refused += 1;
            self.remove(id);
            return Some((path, answer));
        };
        let lifetime = allocation.until.saturating_duration_since(now.instant);
        let answer = message::allocated(&allocation.request, opened, lifetime, path.client);
        allocation.state = State::Open {
            answer: answer.clone(),
        };
        allocation.ipv6 = opened.relayed.is_ipv6();
        self.counts.opened += 1;
        if let Some(token) = opened.token {
            let user = allocation.user.clone();
            let until = now.instant + RESERVED;
            self.reservations.insert(token, Reservation { user, until });
        }
        Some((path, answer))
    }

    /// A stream ended: what was allocated over it ends too.
    pub(super) fn gone(&mut self, path: Path) -> Option<Id> {
        let id = *self.paths.get(&path)?;
        self.remove(id);
        Some(id)
    }

    /// Lets time pass.
    pub(super) fn tick(&mut self, now: Now) -> Vec<Ended> {
        let mut ended = Vec::new();
        while let Some(&(until, id)) = self.ends.first()
            && until <= now.instant
        {
            self.remove(id);
            ended.push(Ended::Allocation(id));
        }
        self.reservations.retain(|&token, reservation| {
            let stays = reservation.until > now.instant;
            if !stays {
                ended.push(Ended::Reservation(token));
            }
            stays
        });
        ended
    }

    /// What credentials have at other servers of a cluster.
    pub(super) fn elsewhere(&mut self, elsewhere: HashMap<Key, usize>) {
        self.elsewhere = elsewhere;
    }

    /// The credentials that have so many allocations, those with the most first, and no more than so many of them.
    pub(super) fn heaviest(&self, least: usize, most: usize) -> Vec<(Key, usize)> {
        let all = self.users.iter().map(|(user, held)| (user, *held));
        let heavy = heaviest(all, least, most).into_iter();
        heavy.map(|(user, held)| (Key::of(user), held)).collect()
    }

    /// Whether there is an allocation for this path.
    pub(super) fn knows(&self, path: Path) -> bool {
        self.paths.contains_key(&path)
    }

    /// Allocations there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.allocations.len()
    }

    fn asked(&mut self, now: Now, path: Path, message: &Message<'_>) -> Option<Output> {
        if message.has_method(stun_types::message::BINDING) {
            return Some(Output::Answer(message::binding(message, path.client)));
        }
        let answered = match self.authenticated(now, path, message) {
            Ok(request) => {
                let done = match message.method() {
                    ALLOCATE => self.allocate(now, path, message, &request),
                    REFRESH => self.refresh(now, path, message, &request),
                    CREATE_PERMISSION => self.permit(now, path, message, &request),
                    CHANNEL_BIND => self.bind(now, path, message, &request),
                    _ => Err(Problem::Code(ErrorCode::BAD_REQUEST)),
                };
                done.map_err(|problem| message::refused(&request, &problem))
            }
            Err(answer) => Err(answer),
        };
        answered.unwrap_or_else(|answer| {
            self.counts.refused += 1;
            Some(Output::Answer(answer))
        })
    }

    /// RFC 8489, section 9.2.4, with SHA-1: no security feature is offered that would let clients choose another.
    fn authenticated(
        &self,
        now: Now,
        path: Path,
        message: &Message<'_>,
    ) -> Result<Request, Vec<u8>> {
        let nonce = || self.nonces.make(now.unix, path.client.ip());
        let challenge = |code| message::challenge(message, code, &self.config.realm, &nonce());
        let Some(claim) = message::claim(message) else {
            return Err(challenge(ErrorCode::UNAUTHORIZED));
        };
        let claim = claim.map_err(|_| message::unsigned(message, ErrorCode::BAD_REQUEST))?;
        if !self.nonces.serves(now.unix, path.client.ip(), &claim.nonce) {
            return Err(challenge(ErrorCode::STALE_NONCE));
        }
        if claim.realm != self.config.realm {
            return Err(challenge(ErrorCode::UNAUTHORIZED));
        }
        let password = self.config.keys.password(now.unix, &claim.user);
        let request = password.and_then(|password| claim.proven(message, password));
        request.ok_or_else(|| challenge(ErrorCode::UNAUTHORIZED))
    }

    fn allocate(
        &mut self,
        now: Now,
        path: Path,
        message: &Message<'_>,
        request: &Request,
    ) -> Result<Option<Output>, Problem> {
        if let Some(allocation) = self
            .paths
            .get(&path)
            .and_then(|id| self.allocations.get(id))
        {
            if allocation.request.transaction != request.transaction {
                return Err(Problem::Code(ErrorCode::ALLOCATION_MISMATCH));
            }
            // The same request again: its answer was lost, or is not there yet.
            return Ok(match &allocation.state {
                State::Open { answer } => Some(Output::Answer(answer.clone())),
                State::Opening => None,
            });
        }
        let wish = message::wish(message)?;
        let ipv6 = wish.ipv6;
        if !self.config.relay.iter().any(|own| own.is_ipv6() == ipv6) {
            return Err(Problem::Code(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED));
        }
        if self.held(&request.user) >= self.config.per_user {
            return Err(Problem::Code(ErrorCode::ALLOCATION_QUOTA_REACHED));
        }
        if self.allocations.len() >= self.config.allocations {
            return Err(Problem::Code(ErrorCode::INSUFFICIENT_CAPACITY));
        }
        if let Port::Kept(token) = wish.port {
            // A token of somebody else is as good as none, and stays theirs.
            let kept = self.reservations.get(&token);
            if kept.is_none_or(|kept| kept.user != request.user) {
                return Err(Problem::Code(ErrorCode::INSUFFICIENT_CAPACITY));
            }
            self.reservations.remove(&token);
        }
        self.last += 1;
        let id = Id(self.last);
        let until = now.instant + span(wish.lifetime);
        let allocation = Allocation::new(
            path,
            request.clone(),
            ipv6,
            until,
            self.config.rate,
            now.instant,
        );
        *self.users.entry(request.user.clone()).or_default() += 1;
        self.paths.insert(path, id);
        self.ends.insert((until, id));
        self.allocations.insert(id, allocation);
        Ok(Some(Output::Open {
            id,
            ipv6,
            port: wish.port,
        }))
    }

    /// Allocations of one credential, here and elsewhere.
    fn held(&self, user: &str) -> usize {
        let mine = self.users.get(user).copied().unwrap_or(0);
        if self.elsewhere.is_empty() {
            return mine;
        }
        let elsewhere = self.elsewhere.get(&Key::of(user)).copied();
        mine.saturating_add(elsewhere.unwrap_or(0))
    }

    fn refresh(
        &mut self,
        now: Now,
        path: Path,
        message: &Message<'_>,
        request: &Request,
    ) -> Result<Option<Output>, Problem> {
        let id = self.owned(path, request)?;
        let wish = message::lifetime(message)?;
        let Some(allocation) = self.allocations.get_mut(&id) else {
            return Err(Problem::Code(ErrorCode::ALLOCATION_MISMATCH));
        };
        if wish.ipv6.is_some_and(|ipv6| ipv6 != allocation.ipv6) {
            return Err(Problem::Code(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH));
        }
        if wish.lifetime == Some(Duration::ZERO) {
            self.remove(id);
            return Ok(Some(Output::Farewell(
                message::refreshed(request, Duration::ZERO),
                id,
            )));
        }
        let lifetime = span(wish.lifetime);
        self.ends.remove(&(allocation.until, id));
        allocation.until = now.instant + lifetime;
        self.ends.insert((allocation.until, id));
        Ok(Some(Output::Answer(message::refreshed(request, lifetime))))
    }

    fn permit(
        &mut self,
        now: Now,
        path: Path,
        message: &Message<'_>,
        request: &Request,
    ) -> Result<Option<Output>, Problem> {
        let id = self.owned(path, request)?;
        let peers = message::peers(message)?;
        for peer in &peers {
            self.may(id, peer.ip())?;
        }
        if let Some(allocation) = self.allocations.get_mut(&id) {
            for peer in peers {
                if !allocation.permit(peer.ip(), now.instant) {
                    return Err(Problem::Code(ErrorCode::INSUFFICIENT_CAPACITY));
                }
            }
        }
        Ok(Some(Output::Answer(message::done(request))))
    }

    fn bind(
        &mut self,
        now: Now,
        path: Path,
        message: &Message<'_>,
        request: &Request,
    ) -> Result<Option<Output>, Problem> {
        let id = self.owned(path, request)?;
        let (number, peer) = message::binding_of(message)?;
        self.may(id, peer.ip())?;
        if let Some(allocation) = self.allocations.get_mut(&id) {
            allocation.bind(number, peer, now.instant)?;
        }
        Ok(Some(Output::Answer(message::done(request))))
    }

    fn indicated(&mut self, now: Now, path: Path, message: &Message<'_>) -> Option<Output> {
        if !message.has_method(SEND) {
            return None;
        }
        let (peer, data) = message::send(message)?;
        let id = *self.paths.get(&path)?;
        self.relay(now, id, Some(peer), data)
    }

    fn relay(
        &mut self,
        now: Now,
        id: Id,
        to: Option<SocketAddr>,
        data: Range<usize>,
    ) -> Option<Output> {
        let allocation = self.allocations.get_mut(&id)?;
        let open = matches!(allocation.state, State::Open { .. });
        let Some(to) = to.filter(|to| open && allocation.permits(to.ip(), now.instant)) else {
            self.counts.dropped += 1;
            return None;
        };
        if !allocation.affords(data.len(), now.instant) {
            self.counts.dropped += 1;
            return None;
        }
        self.counts.bytes_out += data.len() as u64;
        Some(Output::Relay { id, to, data })
    }

    /// The allocation of a path, which must be the asker's (RFC 8656, section 5).
    fn owned(&self, path: Path, request: &Request) -> Result<Id, Problem> {
        let id = self.paths.get(&path).copied();
        let Some((id, allocation)) = id.and_then(|id| Some((id, self.allocations.get(&id)?)))
        else {
            return Err(Problem::Code(ErrorCode::ALLOCATION_MISMATCH));
        };
        if allocation.user != request.user {
            return Err(Problem::Code(ErrorCode::WRONG_CREDENTIALS));
        }
        Ok(id)
    }

    /// Whether an allocation may have to do with this peer.
    fn may(&self, id: Id, peer: IpAddr) -> Result<(), Problem> {
        let ipv6 = self
            .allocations
            .get(&id)
            .is_some_and(|allocation| allocation.ipv6);
        if peer.is_ipv6() != ipv6 {
            return Err(Problem::Code(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH));
        }
        if !self.config.peers.may(peer) {
            return Err(Problem::Code(ErrorCode::FORBIDDEN));
        }
        Ok(())
    }

    fn remove(&mut self, id: Id) {
        let Some(allocation) = self.allocations.remove(&id) else {
            return;
        };
        self.paths.remove(&allocation.path);
        self.ends.remove(&(allocation.until, id));
        if matches!(allocation.state, State::Open { .. }) {
            self.counts.ended += 1;
        }
        if let Some(count) = self.users.get_mut(&allocation.user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(&allocation.user);
            }
        }
    }
}

/// What is granted of what was asked.
fn span(asked: Option<Duration>) -> Duration {
    asked.map_or(LIFETIME, |asked| asked.clamp(LIFETIME, LONGEST))
}
