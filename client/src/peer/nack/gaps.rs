//! Which packets of one stream are missing, and when each is asked for (RFC 4585, section 6.2.1). Pure.
//!
//! A hole is asked for at once, or a little later on a path that changes the order of packets: how much later is
//! learned from packets that came late by themselves. What does not come is asked for again after a round trip, until
//! nobody waits for it any more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::media::receive::assemble::{OUTAGE, repair_patience};

/// How often one packet is asked for.
const QUESTIONS: u8 = 10;

/// Missing packets that are kept in mind, as many as libwebrtc keeps; behind a larger hole only a key frame helps.
const MISSING: usize = 1_000;

/// A round trip that nobody knows yet.
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// Questions are not asked faster than this: on a path shorter than that the far side's own clock is what takes time.
const SHORTEST: Duration = Duration::from_millis(20);

/// Disorder beyond this is not waited for; a packet that late is taken for lost, and asked for in vain.
const TOLERANCE: Duration = Duration::from_millis(60);

/// A hole that something else is known of than its number.
#[derive(Clone, Copy, Debug)]
struct Missing {
    since: Instant,
    due: Instant,
    asked: Option<Instant>,
    asked_before: Option<Instant>,
    times: u8,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// Highest sequence number, extended (RFC 3711, section 3.3.1).
    newest: Option<u64>,
    heard: Option<Instant>,
    missing: BTreeMap<u64, Missing>,
    /// How late packets come by themselves on this path.
    tolerance: Duration,
}

impl Gaps {
    /// A packet came: by itself, or `repaired` (sent again, or rebuilt). Gives how long the answer took where it
    /// answers a question.
    pub(super) fn arrived(
        &mut self,
        now: Instant,
        sequence: u16,
        repaired: bool,
        round_trip: Option<Duration>,
    ) -> Option<Duration> {
        let Some(newest) = self.newest else {
            self.newest = Some((1 << 32) | u64::from(sequence));
            self.heard = Some(now);
            return None;
        };
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
        #[expect(clippy::cast_possible_wrap, reason = "the sign tells the direction")]
        let ahead = sequence.wrapping_sub(newest as u16) as i16;
        let index = newest.saturating_add_signed(i64::from(ahead));
        if index <= newest {
            let missing = self.missing.remove(&index)?;
            return self.filled(now, missing, repaired, round_trip);
        }
        let silent = self
            .heard
            .is_some_and(|heard| now.saturating_duration_since(heard) >= OUTAGE);
        self.newest = Some(index);
        self.heard = Some(now);
        let hole = newest + 1..index;
        if silent || self.missing.len() + usize::from(ahead.unsigned_abs()) > MISSING {
            // The receiver has given up on what was before, or will: a key frame is what it waits for.
            self.missing.clear();
            return None;
        }
        for index in hole {
            let missing = Missing {
                since: now,
                due: now + self.tolerance,
                asked: None,
                asked_before: None,
                times: 0,
            };
            self.missing.insert(index, missing);
        }
        None
    }

    fn filled(
        &mut self,
        now: Instant,
        missing: Missing,
        repaired: bool,
        round_trip: Option<Duration>,
    ) -> Option<Duration> {
        if !repaired {
            // It came by itself, a quarter more is room for the next one.
            let late = now.saturating_duration_since(missing.since) * 5 / 4;
            self.tolerance = self.tolerance.max(late.min(TOLERANCE));
            return None;
        }
        // A real loss: less reason to wait for the next.
        self.tolerance = self.tolerance * 31 / 32;
        let asked = missing.asked?;
        let took = now.saturating_duration_since(asked);
        // Too early for an answer to the last question: it answers the one before.
        match missing.asked_before {
            Some(before) if took * 2 < round_trip.unwrap_or(ROUND_TRIP) => {
                Some(now.saturating_duration_since(before))
            }
            _ => Some(took),
        }
    }

    /// What is to be asked for now, in order.
    pub(super) fn questions(&mut self, now: Instant, round_trip: Option<Duration>) -> Vec<u16> {
        let patience = repair_patience(round_trip);
        let again = again_after(round_trip);
        self.missing.retain(|_, missing| {
            missing.times < QUESTIONS && now.saturating_duration_since(missing.since) < patience
        });
        let mut asked = Vec::new();
        for (index, missing) in &mut self.missing {
            if missing.due > now {
                continue;
            }
            missing.asked_before = missing.asked;
            missing.asked = Some(now);
            missing.times += 1;
            missing.due = now + again;
            #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
            asked.push(*index as u16);
        }
        asked
    }

    /// When there is something to be asked next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.due).min()
    }

    /// A key frame is asked for: nobody waits for what is missing before it.
    pub(super) fn forget(&mut self) {
        self.missing.clear();
    }
}

/// An answer needs a round trip, which varies: asked a little later, a question is not asked for nothing.
fn again_after(round_trip: Option<Duration>) -> Duration {
    let round_trip = round_trip.unwrap_or(ROUND_TRIP);
    (round_trip * 9 / 8 + Duration::from_millis(5)).max(SHORTEST)
}

#[cfg(test)]
mod tests;
