//! What is to be renewed, and when: everything once in a third of a lease, each at a time of its own in it, so that the broker is
//! not asked for all at once by all nodes while others wait for it; and at once what has changed, or all where the broker
//! has forgotten.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use rtc_protocol::{Name, RoomId};

/// A round is done in so many parts; what comes to be held is in one of them soon enough to be renewed before a broker that
/// forgot gives its place away, which is half a lease.
const PARTS: u32 = 4;

/// Things to be renewed beside those of a round; what is over it, the next round renews.
const CHANGED: usize = 65_536;

/// Where a room is looked for that has changed once more.
const SOON: usize = 64;

/// Something that is held for a lease and has to be renewed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Due {
    Room(RoomId),
    Name(Name),
}

impl Due {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Room(room) => room.as_str(),
            Self::Name(name) => name.as_str(),
        }
    }
}

/// Which part of a round comes next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part(u32);

impl Part {
    /// Whether this is renewed in it; always in the same one.
    pub(super) fn has(self, text: &str) -> bool {
        let place = place(text) >> 32;
        (place * u64::from(PARTS)) >> 32 == u64::from(self.0)
    }
}

/// Where in a round something has its time.
fn place(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// See the module.
#[derive(Debug)]
pub(super) struct Rota {
    /// Of one part.
    time: Duration,
    part: Part,
    changed: VecDeque<Due>,
    /// What is left of the part. One that takes longer than it should is ended before the next one begins, so that nothing
    /// is always the last.
    rest: VecDeque<Due>,
    /// When it began, and how much it had then.
    begun: Instant,
    count: usize,
    /// How long it is to take.
    spread: Duration,
    next: Instant,
}

impl Rota {
    pub(super) fn new(now: Instant, lease: Duration) -> Self {
        let time = lease / 3 / PARTS;
        Self {
            time,
            part: Part(0),
            changed: VecDeque::new(),
            rest: VecDeque::new(),
            begun: now,
            count: 0,
            spread: Duration::ZERO,
            next: now + time,
        }
    }

    /// Whether the next part may begin.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next && self.rest.is_empty()
    }

    /// Which that is.
    pub(super) const fn part(&self) -> Part {
        self.part
    }

    /// It begins, with what is held of it.
    pub(super) fn begin(&mut self, now: Instant, mut held: Vec<Due>) {
        held.sort_by_cached_key(|due| place(due.text()));
        self.part = Part((self.part.0 + 1) % PARTS);
        self.next = now + self.time;
        // Somewhat less than its time, as clocks tick and answers take theirs.
        self.takes(now, self.time * 3 / 4, held);
    }

    /// All that is held is renewed without a pause; rounds go on as they would have.
    pub(super) fn all_at_once(&mut self, now: Instant, held: Vec<Due>) {
        self.takes(now, Duration::ZERO, held);
    }

    fn takes(&mut self, now: Instant, spread: Duration, held: Vec<Due>) {
        self.rest = held.into();
        self.count = self.rest.len();
        self.begun = now;
        self.spread = spread;
    }

    /// This room is to be renewed without waiting for its time.
    pub(super) fn changes(&mut self, room: RoomId) {
        let room = Due::Room(room);
        let soon = self.changed.iter().rev().take(SOON).any(|one| *one == room);
        if !soon && self.changed.len() < CHANGED {
            self.changed.push_back(room);
        }
    }

    /// What to renew now.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        let changed = self.changed.pop_front();
        changed.or_else(|| {
            let taken = self.count - self.rest.len();
            if taken < self.due_by(now) {
                self.rest.pop_front()
            } else {
                None
            }
        })
    }

    /// How much of the part is to be renewed by then.
    fn due_by(&self, now: Instant) -> usize {
        let gone = now.saturating_duration_since(self.begun).as_nanos();
        let spread = self.spread.as_nanos();
        if gone >= spread {
            return self.count;
        }
        let due = (self.count as u128 * gone).div_ceil(spread);
        usize::try_from(due).unwrap_or(self.count)
    }

    /// Nothing is to be renewed any more, until the next part.
    pub(super) fn clear(&mut self) {
        self.changed.clear();
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashMap;

    use super::super::seats::GRACE;
    use super::*;

    const LEASE: Duration = Duration::from_secs(60);
    const TICK: Duration = Duration::from_millis(100);

    fn room(number: usize) -> RoomId {
        RoomId::new(&format!("r{number}")).unwrap()
    }

    fn rooms(count: usize) -> Vec<Due> {
        (0..count).map(|number| Due::Room(room(number))).collect()
    }

    fn take_all(rota: &mut Rota, now: Instant) -> Vec<Due> {
        std::iter::from_fn(|| rota.take(now)).collect()
    }

    /// What is renewed at each tick, of these and of those that come to be held at that time.
    fn run(count: usize, late: (Duration, &Due), ticks: u32) -> Vec<(Duration, Vec<Due>)> {
        let begun = Instant::now();
        let mut rota = Rota::new(begun, LEASE);
        let at = (0..ticks).map(|tick| TICK * tick);
        let taken = at.map(|at| {
            let now = begun + at;
            if rota.is_due(now) {
                let mut held = rooms(count);
                held.extend((at > late.0).then(|| late.1.clone()));
                let part = rota.part();
                held.retain(|due| part.has(due.text()));
                rota.begin(now, held);
            }
            (at, take_all(&mut rota, now))
        });
        taken.collect()
    }

    #[test]
    fn rounds_are_spread_evenly_and_each_thing_has_its_time_in_them() {
        let never = (LEASE * 10, &Due::Room(room(0)));
        let taken = run(10_000, never, 1_800);
        // 10,000 in 20 s are 50 at a tick; pauses between parts and their uneven numbers make it some more.
        assert!(taken.iter().all(|(_, now)| now.len() < 80));
        let mut times: HashMap<String, Vec<Duration>> = HashMap::new();
        for (at, now) in &taken {
            for due in now {
                times.entry(due.text().to_owned()).or_default().push(*at);
            }
        }
        assert_eq!(times.len(), 10_000);
        for (text, times) in times {
            assert!(times.len() >= 8, "{text}: {times:?}");
            for two in times.windows(2) {
                assert!(two[1] - two[0] < LEASE / 3 + TICK * 8, "{text}: {times:?}");
            }
        }
    }

    #[test]
    fn what_comes_to_be_held_is_renewed_before_a_broker_that_forgot_gives_its_place_away() {
        for number in 0..50 {
            let late = Due::Room(room(1_000 + number));
            let at = LEASE + TICK * u32::try_from(number).unwrap() * 7;
            let taken = run(100, (at, &late), 1_800);
            let mut renewed = taken.iter().filter(|(_, now)| now.contains(&late));
            let first = renewed.next().unwrap().0;
            assert!(first - at < LEASE / u32::try_from(GRACE).unwrap() - TICK * 20);
        }
    }

    #[test]
    fn a_part_that_took_too_long_is_ended_before_the_next() {
        let begun = Instant::now();
        let mut rota = Rota::new(begun, LEASE);
        rota.begin(begun, rooms(3));
        let late = begun + LEASE;
        assert!(!rota.is_due(late));
        assert_eq!(take_all(&mut rota, late).len(), 3);
        assert!(rota.is_due(late));
    }

    #[test]
    fn what_has_changed_is_renewed_at_once_and_once() {
        let now = Instant::now();
        let mut rota = Rota::new(now, LEASE);
        rota.begin(now, rooms(10));
        rota.changes(room(7));
        rota.changes(room(7));
        assert_eq!(rota.take(now), Some(Due::Room(room(7))));
        assert_eq!(rota.take(now), None);
    }

    #[test]
    fn what_a_broker_forgot_is_said_at_once() {
        let now = Instant::now();
        let mut rota = Rota::new(now, LEASE);
        rota.begin(now, rooms(10));
        rota.all_at_once(now, rooms(10));
        assert_eq!(take_all(&mut rota, now).len(), 10);
        rota.all_at_once(now, rooms(10));
        rota.changes(room(3));
        rota.clear();
        assert_eq!(take_all(&mut rota, now), []);
    }
}
