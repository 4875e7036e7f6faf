//! A network on virtual time: one bottleneck with a drop-tail queue that several flows share, with loss,
//! jitter and cuts, and senders as the client is one: an encoder, a pacer, a controller.
#![allow(unreachable_pub, clippy::cast_possible_truncation)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rtc_congestion::{Arrival, Controller, Leaves, Limits, Moment, Pacer, Pictures, Priority};

mod tcp;
pub use tcp::Tcp;

/// IPv4, UDP, RTP and what authenticates it.
const OVERHEAD: usize = 64;
const STEP: Duration = Duration::from_millis(1);
/// A key frame, in pictures of the same rate.
const KEY: f64 = 3.75;
/// While nothing is heard a key frame is made so often, and nothing else.
const KEYS_IN_THE_DARK: Duration = Duration::from_millis(100);

/// The path from all senders to all receivers.
#[derive(Clone, Debug)]
pub struct Path {
    /// Bits a second from each moment on.
    pub rates: Vec<(Duration, f64)>,
    /// The longest that the queue holds, in time at the present rate.
    pub queue: Duration,
    /// One way; the way back takes as long.
    pub delay: Duration,
    pub jitter: Duration,
    pub loss: f64,
    /// How often the receiver tells what arrived.
    pub feedback: Duration,
    /// Nothing passes, either way, in these times.
    pub cuts: Vec<(Duration, Duration)>,
}

impl Path {
    pub fn of(rate: f64) -> Self {
        Self {
            rates: vec![(Duration::ZERO, rate)],
            queue: Duration::from_millis(200),
            delay: Duration::from_millis(25),
            jitter: Duration::ZERO,
            loss: 0.0,
            feedback: Duration::from_millis(50),
            cuts: Vec::new(),
        }
    }

    fn rate(&self, now: Moment) -> f64 {
        let reached = self.rates.iter().rfind(|(from, _)| *from <= now);
        reached.map_or(1.0, |(_, rate)| *rate)
    }

    fn cut(&self, now: Moment) -> bool {
        self.cuts.iter().any(|(from, to)| *from <= now && now < *to)
    }
}

/// The bottleneck, shared.
pub struct Link {
    path: Path,
    chance: StdRng,
    free: Moment,
    newest: Moment,
}

impl Link {
    /// When a packet arrives, if it does.
    pub fn pass(&mut self, now: Moment, bytes: usize) -> Option<Moment> {
        let [luck, jitter]: [f64; 2] = self.chance.random();
        if self.path.cut(now) || luck < self.path.loss {
            return None;
        }
        let start = self.free.max(now);
        if start - now > self.path.queue {
            return None;
        }
        let took = Duration::from_secs_f64(bytes as f64 * 8.0 / self.path.rate(now));
        self.free = start + took;
        let arrives = self.free + self.path.delay + self.path.jitter.mul_f64(jitter);
        self.newest = self.newest.max(arrives);
        Some(self.newest)
    }

    pub fn back(&self, now: Moment) -> Option<Moment> {
        (!self.path.cut(now)).then(|| now + self.path.delay)
    }
}

/// What was seen of a sender in each tenth of a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub sent: usize,
    pub arrived: usize,
    pub target: f64,
    pub by_loss: f64,
    pub inherent: f64,
    /// The longest that a packet of it took in the bottleneck and behind.
    pub slowest: Duration,
    /// The longest in the pacer.
    pub held: Duration,
}

/// A packet of a picture.
#[derive(Clone, Copy, Debug)]
struct Piece {
    bytes: usize,
    picture: u64,
}

/// What is missing of a picture.
#[derive(Debug)]
struct Made {
    pieces: usize,
    key: bool,
}

/// A sender of ours.
pub struct Flow {
    controller: Controller,
    pacer: Pacer<Piece>,
    made: BTreeMap<u64, Made>,
    wants_key: bool,
    next_key: Moment,
    /// The last that was shown, and when each was.
    last_shown: Option<u64>,
    pub shown: Vec<Moment>,
    begins: Moment,
    /// Of the target, what the encoder makes of it.
    appetite: f64,
    next_picture: Moment,
    pictures: u64,
    next_feedback: Moment,
    /// Arrived and not told yet, by number unwrapped.
    arrived: BTreeMap<u64, Moment>,
    on_the_way: VecDeque<(Moment, u64, Piece, Moment)>,
    told_to: u64,
    number: u64,
    feedback: VecDeque<(Moment, Vec<Arrival>)>,
    pub seen: Vec<Seen>,
}

impl Flow {
    pub fn new(most: f64) -> Self {
        let first = 300_000.0;
        Self {
            controller: Controller::new(Limits {
                least: 30_000.0,
                first,
                most,
            }),
            pacer: Pacer::new(first * 1.5),
            made: BTreeMap::new(),
            wants_key: true,
            next_key: Moment::ZERO,
            last_shown: None,
            shown: Vec::new(),
            begins: Moment::ZERO,
            appetite: 1.0,
            next_picture: Moment::ZERO,
            pictures: 0,
            next_feedback: Moment::ZERO,
            arrived: BTreeMap::new(),
            on_the_way: VecDeque::new(),
            told_to: 0,
            number: 0,
            feedback: VecDeque::new(),
            seen: Vec::new(),
        }
    }

    pub fn from(mut self, begins: Moment) -> Self {
        self.begins = begins;
        self
    }

    pub fn appetite(mut self, share: f64) -> Self {
        self.appetite = share;
        self
    }

    fn seen(&mut self, now: Moment) -> &mut Seen {
        let tenth = (now.as_millis() / 100) as usize;
        if self.seen.len() <= tenth {
            self.seen.resize(tenth + 1, Seen::default());
        }
        &mut self.seen[tenth]
    }

    fn step(&mut self, now: Moment, link: &mut Link) {
        if now < self.begins {
            return;
        }
        while let Some((_, arrivals)) = self.feedback.pop_front_if(|(at, _)| *at <= now) {
            self.controller.hear(now, &arrivals);
        }
        let state = self.controller.state(now);
        let seen = self.seen(now);
        seen.target = state.target;
        seen.by_loss = state.by_loss.unwrap_or_default();
        seen.inherent = state.inherent;
        self.pacer.set_rate(now, self.controller.pacing(now));
        let fate = self.controller.pictures(now);
        if fate == Pictures::Anew {
            self.pacer.clear();
            self.wants_key = true;
        }
        self.pacer
            .close(fate == Pictures::Wait || !self.controller.has_room(now));
        if state.dark && now >= self.next_key {
            self.pacer.clear();
            self.wants_key = true;
        }
        if now >= self.next_picture
            && fate != Pictures::Wait
            && (!state.dark || now >= self.next_key)
        {
            self.next_key = now + KEYS_IN_THE_DARK;
            self.picture(now, state.target, link);
        }
        if self.pictures > 0
            && let Some(cluster) = self.controller.probe(now)
        {
            self.pacer.probe(now, cluster);
        }
        while let Some(leaves) = self.pacer.next(now) {
            let (piece, probe, waited) = match leaves {
                Leaves::Packet {
                    packet,
                    probe,
                    waited,
                    ..
                } => (packet, probe, waited),
                Leaves::Padding { bytes, probe } => {
                    let picture = u64::MAX;
                    (Piece { bytes, picture }, Some(probe), Duration::ZERO)
                }
            };
            let bytes = piece.bytes;
            self.controller.leaves(now, bytes, probe);
            let number = self.number;
            self.number += 1;
            let seen = self.seen(now);
            seen.sent += bytes;
            seen.held = seen.held.max(waited);
            if let Some(at) = link.pass(now, bytes) {
                self.on_the_way.push_back((at, number, piece, now));
            }
        }
        self.receive(now, link);
    }

    fn picture(&mut self, now: Moment, target: f64, link: &mut Link) {
        let every = Duration::from_micros(33_333);
        self.next_picture = self.next_picture.max(now) + every;
        // No picture is as large as it should be.
        let key = std::mem::take(&mut self.wants_key);
        let size = if key {
            KEY
        } else {
            link.chance.random_range(0.7..1.3)
        };
        self.pictures += 1;
        let share = 1.0 - OVERHEAD as f64 / 1_264.0;
        let mut bytes = (target * share * self.appetite * size / 30.0 / 8.0) as usize;
        let picture = self.pictures;
        let mut pieces = 0;
        while bytes > 0 {
            let payload = bytes.min(1_200);
            bytes -= payload;
            pieces += 1;
            let piece = Piece {
                bytes: payload + OVERHEAD,
                picture,
            };
            let _ = self.pacer.push(now, Priority::Picture, piece.bytes, piece);
        }
        self.made.insert(picture, Made { pieces, key });
    }

    fn receive(&mut self, now: Moment, link: &Link) {
        while let Some((at, number, piece, left)) = self.on_the_way.pop_front_if(|p| p.0 <= now) {
            self.arrived.insert(number, at);
            let seen = self.seen(now);
            seen.arrived += piece.bytes;
            seen.slowest = seen.slowest.max(at - left);
            self.piece(at, piece.picture);
        }
        if now < self.next_feedback || self.arrived.is_empty() {
            return;
        }
        self.next_feedback = now + link.path.feedback;
        let arrived = std::mem::take(&mut self.arrived);
        let last = arrived.keys().next_back().copied().unwrap_or_default();
        let arrivals = (self.told_to..=last)
            .map(|number| Arrival {
                number: number as u16,
                at: arrived.get(&number).copied(),
            })
            .collect();
        self.told_to = last + 1;
        if let Some(at) = link.back(now) {
            self.feedback.push_back((at, arrivals));
        }
    }

    /// A picture is shown when it is whole, and the one before it was shown or it needs none.
    fn piece(&mut self, at: Moment, picture: u64) {
        let Some(made) = self.made.get_mut(&picture) else {
            return;
        };
        made.pieces -= 1;
        if made.pieces > 0 {
            return;
        }
        let follows = self.last_shown.map(|last| last + 1) == Some(picture);
        if made.key || follows {
            self.last_shown = Some(picture);
            self.shown.push(at);
        }
    }

    /// The longest that a picture stood still between two moments, and where nothing came that is repaired by asking again.
    pub fn frozen(&self, from: f64, to: f64) -> Duration {
        let within = |at: &&Moment| (from..to).contains(&at.as_secs_f64());
        let shown: Vec<_> = self.shown.iter().filter(within).collect();
        let gaps = shown.windows(2).map(|pair| *pair[1] - *pair[0]);
        gaps.max().unwrap_or(Duration::MAX)
    }

    /// Bits a second that arrived between two moments, headers and all.
    pub fn carried(&self, from: f64, to: f64) -> f64 {
        let range = (from * 10.0) as usize..((to * 10.0) as usize).min(self.seen.len());
        let count = range.len();
        let bytes: usize = self.seen[range].iter().map(|seen| seen.arrived).sum();
        bytes as f64 * 8.0 * 10.0 / count.max(1) as f64
    }

    /// The longest that a packet took between two moments.
    pub fn slowest(&self, from: f64, to: f64) -> Duration {
        let range = (from * 10.0) as usize..((to * 10.0) as usize).min(self.seen.len());
        let slowest = self.seen[range].iter().map(|seen| seen.slowest + seen.held);
        slowest.max().unwrap_or_default()
    }

    /// When the target is first at least this after a moment.
    pub fn reaches(&self, target: f64, after: f64) -> f64 {
        let from = (after * 10.0) as usize;
        let found = self.seen[from..]
            .iter()
            .position(|seen| seen.target >= target);
        found.map_or(f64::INFINITY, |n| n as f64 / 10.0)
    }

    /// When the target is first at most this after a moment.
    pub fn falls(&self, target: f64, after: f64) -> f64 {
        let from = (after * 10.0) as usize;
        let found = self.seen[from..]
            .iter()
            .position(|seen| seen.target <= target);
        found.map_or(f64::INFINITY, |n| n as f64 / 10.0)
    }

    /// The targets, for a message when something fails.
    pub fn story(&self) -> String {
        let mut story = String::new();
        for (n, seen) in self.seen.iter().enumerate().step_by(2) {
            story += &format!(
                "{:.1}:{:.0}/{:.0}/{}ms/{:.0}/{:.2} ",
                n as f64 / 10.0,
                seen.target / 1000.0,
                seen.arrived as f64 * 80.0 / 1000.0,
                seen.slowest.as_millis(),
                seen.by_loss / 1000.0,
                seen.inherent
            );
        }
        story
    }
}

/// Runs senders, and a TCP connection if there is one, over the path for so many seconds.
pub fn run(path: Path, seed: u64, seconds: u64, flows: &mut [Flow], mut tcp: Option<&mut Tcp>) {
    let mut link = Link {
        path,
        chance: StdRng::seed_from_u64(seed),
        free: Moment::ZERO,
        newest: Moment::ZERO,
    };
    // Zero would be before everything.
    let mut now = STEP;
    while now < Duration::from_secs(seconds) {
        for flow in &mut *flows {
            flow.step(now, &mut link);
        }
        if let Some(tcp) = &mut tcp {
            tcp.step(now, &mut link);
        }
        now += STEP;
    }
}
