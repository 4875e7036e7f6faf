//! Which sessions have to be looked at, and when; so that the passing of time costs nothing for all others.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use rtc_protocol::PeerId;

/// See the module. An entry is a hint: whoever looks finds out whether there is still something to do.
#[derive(Debug, Default)]
pub(super) struct Agenda(BinaryHeap<Reverse<(Instant, PeerId)>>);

impl Agenda {
    /// Look at this session then.
    pub(super) fn at(&mut self, when: Instant, peer: PeerId) {
        self.0.push(Reverse((when, peer)));
    }

    /// A session that was to be looked at by now, and when exactly.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Instant, PeerId)> {
        let Reverse((when, _)) = self.0.peek()?;
        if *when > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rtc_protocol::Token;

    use super::*;

    #[test]
    fn what_is_due_comes_first_and_the_rest_waits() {
        let [a, b, c] = [1, 2, 3].map(|n| Token::from_random([n; 32]).peer_id());
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut agenda = Agenda::default();
        agenda.at(later(2), b);
        agenda.at(later(9), c);
        agenda.at(later(1), a);
        assert_eq!(agenda.due(start), None);
        assert_eq!(agenda.due(later(5)), Some((later(1), a)));
        assert_eq!(agenda.due(later(5)), Some((later(2), b)));
        assert_eq!(agenda.due(later(5)), None);
    }
}
