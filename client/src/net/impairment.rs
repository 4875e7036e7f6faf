//! How bad a path is made, for trying out calls over bad paths.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Loses datagrams on their way out by chance; equal seeds lose alike. Cheap to clone,
/// and can be changed while a call runs.
#[derive(Clone, Debug)]
pub struct Impairment(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    chance: StdRng,
    loss: f64,
    lost: u64,
    passed: u64,
}

impl Impairment {
    /// A path that loses nothing yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            chance: StdRng::seed_from_u64(seed),
            loss: 0.0,
            lost: 0,
            passed: 0,
        })))
    }

    /// Loses this share of datagrams from now on, 0 to 1; what lies outside is moved inside.
    pub fn set_loss(&self, share: f64) {
        self.with(|state| state.loss = share.clamp(0.0, 1.0));
    }

    /// How many datagrams were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.with(|state| state.lost)
    }

    /// How many datagrams were sent.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.with(|state| state.passed)
    }

    /// Decides about one datagram.
    pub(super) fn loses(&self) -> bool {
        self.with(|state| {
            let lost = state.loss > 0.0 && state.chance.random_bool(state.loss);
            state.lost += u64::from(lost);
            state.passed += u64::from(!lost);
            lost
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_path_loses_nothing() {
        let path = Impairment::new(1);
        assert!((0..1000).all(|_| !path.loses()));
        assert_eq!((path.lost(), path.passed()), (0, 1000));
    }

    #[test]
    fn the_share_asked_for_is_lost_and_alike_for_equal_seeds() {
        let fates = |seed| {
            let path = Impairment::new(seed);
            path.set_loss(0.25);
            let fates: Vec<bool> = (0..10_000).map(|_| path.loses()).collect();
            assert_eq!(path.lost() + path.passed(), 10_000);
            assert!((2_300..2_700).contains(&path.lost()), "{}", path.lost());
            fates
        };
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    #[test]
    fn a_share_beyond_everything_loses_everything() {
        let path = Impairment::new(1);
        path.set_loss(7.0);
        assert!((0..100).all(|_| path.loses()));
    }
}
