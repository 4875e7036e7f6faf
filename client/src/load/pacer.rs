//! A thread that says when things are due. A timer of the runtime rings at whole milliseconds only, and late under load.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::schedule::Schedule;

/// Due things that wait to be begun: a second of the highest useful rate. The thread waits when there are more, and
/// says them late; they still count from when they were due.
const WAITING: usize = 16_384;

/// Starts the thread; it ends with the schedule, or when nobody listens any more. Each item is when it is due.
pub(super) fn pace(start: Instant, schedule: Schedule) -> mpsc::Receiver<Instant> {
    let (say, due) = mpsc::channel(WAITING);
    thread::spawn(move || {
        for offset in schedule {
            let at = start + offset;
            let left = at.saturating_duration_since(Instant::now());
            if left > Duration::ZERO {
                thread::sleep(left);
            }
            if say.blocking_send(at).is_err() {
                return;
            }
        }
    });
    due
}
