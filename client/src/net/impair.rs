//! The network as a parameter: how bad a path is made, for trying calls over bad paths.
//!
//! - [`spec`]: what `--impair` says, parsed and checked
//! - [`path`]: one direction of a path as a pure machine: `(now, bytes)` in, fate out
//! - [`trace`]: recorded links in Mahimahi's format
//! - `queue`: datagrams on their way, in the order in which they arrive
//!
//! Equal seeds give equal fates to equal datagrams at equal times. The order on the path is
//! kept, whatever the jitter, except for those datagrams that `reorder` picks.

pub mod path;
pub(crate) mod queue;
pub mod spec;
pub mod trace;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::path::{Counts, Fate, Path};
pub use self::spec::{Spec, SpecError};

/// Which way a datagram goes, as the one sees it whose sockets are impaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Out of our sockets.
    Up,
    /// Into them.
    Down,
}

/// An impaired path in both directions, shared by every socket that goes through it: they
/// compete for its rate and fill the same queue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Impairment(Arc<Mutex<Paths>>);

#[derive(Debug)]
struct Paths {
    began: Instant,
    up: Path,
    down: Path,
}

impl Impairment {
    /// A path as `spec` says; its steps in time count from `now`.
    #[must_use]
    pub fn new(spec: &Spec, now: Instant) -> Self {
        Self(Arc::new(Mutex::new(Paths {
            began: now,
            // Directions are independent of each other, whatever the traffic is.
            up: Path::new(spec.up.clone(), spec.seed),
            down: Path::new(spec.down.clone(), spec.seed.wrapping_add(1)),
        })))
    }

    /// Decides about one datagram of so many bytes.
    pub fn fate(&self, direction: Direction, now: Instant, bytes: usize) -> Fate {
        self.with(|paths| {
            let at = now.saturating_duration_since(paths.began);
            paths.one(direction).pass(at, bytes)
        })
    }

    /// The moment that a path's time counts from.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.with(|paths| paths.began)
    }

    /// Another path from now on. What is on its way arrives as it was to; equal seeds go on as they were.
    pub fn change(&self, spec: &Spec, now: Instant) {
        self.with(|paths| {
            let at = now.saturating_duration_since(paths.began);
            paths.up.change(at, spec.up.clone());
            paths.down.change(at, spec.down.clone());
        });
    }

    /// What became of the datagrams so far.
    #[must_use]
    pub fn counts(&self, direction: Direction) -> Counts {
        self.with(|paths| paths.one(direction).counts())
    }

    fn with<T>(&self, f: impl FnOnce(&mut Paths) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Paths {
    const fn one(&mut self, direction: Direction) -> &mut Path {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

/// The longest that a datagram is held: what would arrive later is of no use to anybody.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);
