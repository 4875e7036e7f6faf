//! What became of words, told to those who said them: no faster than a peer takes it.
//!
//! One answer of another node may settle thousands of words of one peer; all at once they would not fit into its mailbox,
//! and a peer that reads well would be closed for being slow.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rtc_protocol::PeerId;

/// Who is to be told what became of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who said it.
    pub peer: PeerId,
    /// The request that waits for an answer; otherwise nothing is said when all went well.
    pub id: Option<u64>,
}

/// For one peer in one pause; the smallest mailbox that is usual holds many times that.
const AT_ONCE: usize = 64;

/// Then the next are given.
const PAUSE: Duration = Duration::from_millis(50);

/// See the module. Bounded by what may wait for nodes, as each word has one receipt at most.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    waiting: VecDeque<(Receipt, bool)>,
    given: HashMap<PeerId, usize>,
    since: Option<Instant>,
    /// Nothing came since everything was looked at.
    stuck: bool,
}

impl Receipts {
    pub(super) fn extend(&mut self, settled: impl IntoIterator<Item = (Receipt, bool)>) {
        for one in settled {
            // Nobody hears of what went well and was no request.
            if one.0.id.is_some() || !one.1 {
                self.waiting.push_back(one);
                self.stuck = false;
            }
        }
    }

    /// Those that may be told now, in the order in which they came.
    pub(super) fn take(&mut self, now: Instant) -> Vec<(Receipt, bool)> {
        if self.since.is_none_or(|since| now >= since + PAUSE) {
            self.since = Some(now);
            self.given.clear();
            self.stuck = false;
        }
        if self.stuck || self.waiting.is_empty() {
            return Vec::new();
        }
        self.stuck = true;
        let mut taken = Vec::new();
        let given = &mut self.given;
        self.waiting.retain(|one| {
            let count = given.entry(one.0.peer).or_default();
            if *count >= AT_ONCE {
                return true;
            }
            *count += 1;
            // That something did not come is said once, where it is not said of which request.
            if one.0.id.is_some() || !taken.contains(one) {
                taken.push(*one);
            }
            false
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use rtc_protocol::Token;

    use super::*;

    fn receipt(who: u8, id: Option<u64>) -> Receipt {
        let peer = Token::from_random([who; 32]).peer_id();
        Receipt { peer, id }
    }

    #[test]
    fn who_said_a_thousand_things_is_told_of_them_a_few_at_a_time_and_others_at_once() {
        let mut now = Instant::now();
        let mut receipts = Receipts::default();
        receipts.extend((0..1_000).map(|id| (receipt(1, Some(id)), true)));
        receipts.extend([(receipt(2, Some(7)), false)]);
        let first = receipts.take(now);
        assert_eq!(first.len(), AT_ONCE + 1);
        assert!(first.contains(&(receipt(2, Some(7)), false)));
        assert!(receipts.take(now).is_empty());
        let mut told = first.len() - 1;
        let mut last = Some(AT_ONCE as u64 - 1);
        while told < 1_000 {
            now += PAUSE;
            let more = receipts.take(now);
            assert!(!more.is_empty() && more.len() <= AT_ONCE);
            for (one, _) in &more {
                assert!(one.id > last);
                last = one.id;
            }
            told += more.len();
        }
        assert!(receipts.take(now + PAUSE).is_empty());
    }

    #[test]
    fn a_thousand_lost_words_to_a_room_are_one_error() {
        let now = Instant::now();
        let mut receipts = Receipts::default();
        receipts.extend([(receipt(1, None), true), (receipt(1, None), false)]);
        receipts.extend([(receipt(1, None), false)]);
        assert_eq!(receipts.take(now), [(receipt(1, None), false)]);
    }
}
