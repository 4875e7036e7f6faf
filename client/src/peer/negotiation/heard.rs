//! Which descriptions of the far side were heard before, and what they mean then. Pure.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Descriptions that are remembered: a link that comes back says again only what was on its way.
const REMEMBERED: usize = 64;

/// What an offer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Not heard before.
    New,
    /// The last one that we answered, and nothing was agreed on since: the answer may not have arrived.
    Answered,
    /// Heard before, and either taken back or followed by others.
    Void,
}

/// Descriptions of the far side, oldest first.
#[derive(Debug, Default)]
pub(super) struct Heard {
    offers: VecDeque<u64>,
    answers: VecDeque<u64>,
    /// The offer that is being answered, or was answered last.
    current: Option<u64>,
    /// Whether our answer to it is the newest agreement.
    answered: bool,
}

impl Heard {
    /// Takes an offer in; `ignored` is one that gives way to ours, so its maker takes it back (W3C webrtc-pc 10.7).
    pub(super) fn offer(&mut self, sdp: &str, ignored: bool) -> Offer {
        let mark = digest(sdp);
        if self.offers.contains(&mark) {
            let last = self.current == Some(mark) && self.answered;
            return if last { Offer::Answered } else { Offer::Void };
        }
        remember(&mut self.offers, mark);
        if !ignored {
            self.current = Some(mark);
            self.answered = false;
        }
        Offer::New
    }

    /// The offer last taken in is answered.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// An offer of ours is answered by this.
    pub(super) fn agreed(&mut self, answer: &str) {
        remember(&mut self.answers, digest(answer));
        self.answered = false;
    }

    /// Whether an answer was set before: it answers an earlier offer of ours.
    pub(super) fn is_old_answer(&self, sdp: &str) -> bool {
        self.answers.contains(&digest(sdp))
    }
}

fn remember(marks: &mut VecDeque<u64>, mark: u64) {
    if marks.len() >= REMEMBERED {
        marks.pop_front();
    }
    marks.push_back(mark);
}

/// The same for a description that is said again, though candidates may have been found in between. Its maker counts
/// descriptions up in the `o=` line (RFC 3264 section 8), so another one differs at least there.
fn digest(sdp: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let of_candidates = ["a=candidate:", "a=end-of-candidates", "c=", "a=rtcp:"];
    for line in sdp.lines() {
        if of_candidates.iter().any(|prefix| line.starts_with(prefix)) {
            continue;
        }
        // m=<media> <port> ...: the port is the default candidate's, but 0 refuses.
        match line.strip_prefix("m=").map(|m| m.splitn(3, ' ')) {
            Some(mut words) => {
                let (media, port, rest) = (words.next(), words.next(), words.next());
                (media, port == Some("0"), rest).hash(&mut hasher);
            }
            None => line.hash(&mut hasher),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_that_were_found_in_between_make_no_other_description() {
        let first =
            "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\nm=audio 9 RTP 0\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n";
        let later = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\nm=audio 5000 RTP 0\r\nc=IN IP4 192.0.2.1\r\n\
            a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\na=mid:0\r\na=end-of-candidates\r\n";
        assert_eq!(digest(first), digest(later));
        assert_ne!(digest(first), digest(&first.replace(" 2 IN", " 3 IN")));
        assert_ne!(digest(first), digest(&first.replace("audio 9", "audio 0")));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut heard = Heard::default();
        for number in 0..1_000 {
            assert_eq!(heard.offer(&number.to_string(), false), Offer::New);
            heard.agreed(&number.to_string());
        }
        assert_eq!(heard.offers.len(), REMEMBERED);
        assert_eq!(heard.answers.len(), REMEMBERED);
    }
}
