//! How a node stands with one region's broker: reached, away, silent, cut off. Pure rules on `(now, input)`, but for what the
//! tasks of several regions share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(crate) struct Reach {
    lease: Duration,
    /// When the broker answered last.
    answered: Instant,
    away: bool,
    /// Why, of what was told since it was reached: the first reason may not be the one that lasts.
    told: Vec<String>,
    cut: bool,
}

/// Reasons for not reaching a broker that are told while it is away.
const REASONS: usize = 8;

impl Reach {
    /// As if it had answered just now.
    pub(crate) const fn new(now: Instant, lease: Duration) -> Self {
        Self {
            lease,
            answered: now,
            away: false,
            told: Vec::new(),
            cut: false,
        }
    }

    /// A question was answered; gives whether that is news.
    pub(crate) fn answers(&mut self, now: Instant) -> bool {
        self.answered = now;
        self.told.clear();
        std::mem::take(&mut self.away)
    }

    /// A question has failed, for that reason; gives whether that is news.
    pub(crate) fn fails(&mut self, why: &str) -> bool {
        self.away = true;
        let news = self.told.len() < REASONS && !self.told.iter().any(|told| told == why);
        if news {
            self.told.push(why.to_owned());
        }
        news
    }

    pub(crate) const fn is_away(&self) -> bool {
        self.away
    }

    /// No answer for a lease. Not before a question has failed: it may be this node that stood still.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.away && now >= self.answered + self.lease
    }

    /// Whether another region is cut off from now on: its broker is silent, or this node is deaf. Who hears nothing would be
    /// heard all the same by those there, who do not see it.
    pub(crate) fn cuts(&mut self, now: Instant, deaf: bool) -> bool {
        let cut = deaf || self.is_silent(now);
        cut && !std::mem::replace(&mut self.cut, true)
    }

    /// It is one no more.
    pub(crate) const fn meets(&mut self) {
        self.cut = false;
    }
}

/// Whether a node's own broker is silent, so that nothing comes that is said to the node; one for the tasks of all regions.
#[derive(Clone, Debug, Default)]
pub(super) struct Deaf(Arc<AtomicBool>);

impl Deaf {
    pub(super) fn set(&self, deaf: bool) {
        self.0.store(deaf, Ordering::Relaxed);
    }

    pub(super) fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    #[test]
    fn a_region_is_cut_off_once_when_nothing_answered_for_a_lease_and_a_question_failed() {
        let now = Instant::now();
        let mut reach = Reach::new(now, LEASE);
        assert!(!reach.cuts(now + LEASE * 2, false), "nobody asked");
        assert!(reach.fails("refused") && !reach.fails("refused"));
        assert!(!reach.cuts(now + LEASE / 2, false));
        assert!(reach.cuts(now + LEASE, false));
        assert!(!reach.cuts(now + LEASE * 2, false));
        assert!(reach.answers(now + LEASE * 3) && !reach.answers(now + LEASE * 3));
        reach.meets();
        assert!(!reach.cuts(now + LEASE * 3, false));
    }

    #[test]
    fn each_reason_is_news_once_until_the_broker_is_reached_and_not_without_end() {
        let now = Instant::now();
        let mut reach = Reach::new(now, LEASE);
        assert!(reach.fails("refused") && reach.fails("not trusted"));
        assert!(!reach.fails("refused") && !reach.fails("not trusted"));
        reach.answers(now);
        let told = (0..100).filter(|number| reach.fails(&number.to_string()));
        assert_eq!(told.count(), REASONS);
    }

    #[test]
    fn who_is_deaf_is_cut_off_from_a_region_that_answers() {
        let now = Instant::now();
        let mut reach = Reach::new(now, LEASE);
        assert!(reach.cuts(now, true));
        assert!(!reach.cuts(now, true));
    }
}
