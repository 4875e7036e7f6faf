//! What is known while a load runs: counted where it happens, looked at once a second, told as one line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::args::Workload;

/// Counters that all parts of a run share.
#[derive(Clone, Debug, Default)]
pub(super) struct Live(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    begun: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    sent: AtomicU64,
    heard: AtomicU64,
}

/// What was counted at one moment.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Seen {
    begun: u64,
    done: u64,
    failed: u64,
    sent: u64,
    heard: u64,
}

impl Live {
    pub(super) fn begun(&self, count: u64) {
        self.0.begun.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn done(&self, count: u64) {
        self.0.done.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, count: u64) {
        self.0.failed.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, count: u64) {
        self.0.sent.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn heard(&self, count: u64) {
        self.0.heard.fetch_add(count, Ordering::Relaxed);
    }

    /// What others have counted.
    pub(super) fn set(&self, seen: Seen) {
        let set = |counter: &AtomicU64, to| counter.store(to, Ordering::Relaxed);
        set(&self.0.begun, seen.begun);
        set(&self.0.done, seen.done);
        set(&self.0.failed, seen.failed);
        set(&self.0.sent, seen.sent);
        set(&self.0.heard, seen.heard);
    }

    pub(super) fn seen(&self) -> Seen {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Seen {
            begun: now(&self.0.begun),
            done: now(&self.0.done),
            failed: now(&self.0.failed),
            sent: now(&self.0.sent),
            heard: now(&self.0.heard),
        }
    }
}

impl std::iter::Sum for Seen {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            begun: a.begun + b.begun,
            done: a.done + b.done,
            failed: a.failed + b.failed,
            sent: a.sent + b.sent,
            heard: a.heard + b.heard,
        })
    }
}

/// What was seen so far, told from one look to the next.
#[derive(Debug)]
pub(super) struct View {
    workload: Workload,
    last: (Seen, Duration),
}

impl View {
    pub(super) fn new(workload: Workload) -> Self {
        Self {
            workload,
            last: (Seen::default(), Duration::ZERO),
        }
    }

    /// One line, so long after the start.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn line(&mut self, seen: Seen, after: Duration) -> String {
        let (before, at) = std::mem::replace(&mut self.last, (seen, after));
        let seconds = after.saturating_sub(at).as_secs_f64().max(1e-3);
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let unit = match self.workload {
            Workload::Call => "calls",
            Workload::Relay => "rooms",
            _ => "peers",
        };
        let Seen {
            begun,
            done,
            failed,
            sent,
            heard,
        } = seen;
        let mut line = format!("{:>5.0} s  {begun} {unit} begun", after.as_secs_f64());
        if self.workload != Workload::Relay {
            let speed = rate(done, before.done);
            line += &format!(", {done} done ({speed:.0} a second)");
        }
        if failed > 0 {
            line += &format!(", {failed} FAILED");
        }
        if sent > 0 {
            let speed = rate(heard, before.heard);
            line += &format!("; {sent} messages said, {heard} heard ({speed:.0} a second)");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_there_is_and_how_fast_it_came() {
        let live = Live::default();
        let mut view = View::new(Workload::Rooms);
        live.begun(64);
        live.done(50);
        let line = view.line(live.seen(), Duration::from_secs(1));
        assert_eq!(line, "    1 s  64 peers begun, 50 done (50 a second)");
        live.done(14);
        live.failed(1);
        live.sent(9);
        live.heard(8);
        let line = view.line(live.seen(), Duration::from_secs(3));
        assert_eq!(
            line,
            "    3 s  64 peers begun, 64 done (7 a second), 1 FAILED; 9 messages said, 8 heard (4 a second)"
        );
    }

    #[test]
    fn parts_add_up() {
        let live = Live::default();
        live.begun(2);
        live.heard(3);
        let both: Seen = [live.seen(), live.seen()].into_iter().sum();
        assert_eq!((both.begun, both.heard, both.done), (4, 6, 0));
    }
}
