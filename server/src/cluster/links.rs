//! Words from node to node, each once and in order, over whatever loses, repeats and delays; pure rules on `(now, input)`.
//!
//! What is said to a node is numbered, kept until that node has said that it came, and sent again until then. A node that
//! takes nothing for a lease, or for which more waits than may, is given up: whoever said what had not come is told so, and
//! numbers begin anew under the next run, whose first word the other side takes as the beginning.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rtc_protocol::PeerId;

use super::words::{NodeId, Parcel, Word};

/// Words that may wait for one node. A room's worth of candidates for a thousand calls; more is a node that hangs.
const WAITING: usize = 16_384;

/// Words of one parcel; an entry at the broker stays below a few hundred kilobytes.
const PARCEL: usize = 64;

/// For an answer to come before a word is sent again: many times what a broker takes.
const PATIENCE: Duration = Duration::from_millis(400);

/// Nodes that are remembered after they were last heard of.
const REMEMBERED: usize = 1_024;

/// Who is to be told what became of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who said it.
    pub peer: PeerId,
    /// The request that waits for an answer; otherwise nothing is said when all went well.
    pub id: Option<u64>,
}

#[derive(Debug)]
struct Waiting {
    word: Word,
    receipt: Option<Receipt>,
}

/// What is said to one node.
#[derive(Debug)]
struct Out {
    run: u64,
    /// The number of the first that waits.
    first: u64,
    waiting: VecDeque<Waiting>,
    /// How many of them were sent at least once since the last repetition.
    sent: usize,
    /// When the first of those was.
    sent_at: Instant,
    /// When this node last took something, or something was first said to it.
    moved: Instant,
}

/// What one node says.
#[derive(Debug)]
struct In {
    run: u64,
    /// The last number in order.
    last: u64,
    /// It is to be told so.
    due: bool,
    heard: Instant,
}

/// See the module.
#[derive(Debug)]
pub struct Links {
    me: NodeId,
    /// Without a word taken for so long a node is given up.
    lease: Duration,
    runs: u64,
    out: HashMap<NodeId, Out>,
    heard: HashMap<NodeId, In>,
    settled: Vec<(Receipt, bool)>,
}

impl Links {
    /// Of this node.
    #[must_use]
    pub fn new(me: NodeId, lease: Duration) -> Self {
        Self {
            me,
            lease,
            runs: 0,
            out: HashMap::new(),
            heard: HashMap::new(),
            settled: Vec::new(),
        }
    }

    /// Says something to a node; [`Links::settled`] tells what became of it.
    pub fn say(&mut self, now: Instant, to: NodeId, word: Word, receipt: Option<Receipt>) {
        if self
            .out
            .get(&to)
            .is_some_and(|out| out.waiting.len() >= WAITING)
        {
            self.give_up(to);
        }
        let runs = &mut self.runs;
        let out = self.out.entry(to).or_insert_with(|| {
            *runs += 1;
            Out {
                run: *runs,
                first: 1,
                waiting: VecDeque::new(),
                sent: 0,
                sent_at: now,
                moved: now,
            }
        });
        if out.waiting.is_empty() {
            out.moved = now;
        }
        out.waiting.push_back(Waiting { word, receipt });
    }

    /// A parcel came; gives what is new in it, in order.
    pub fn heard(&mut self, now: Instant, bytes: &[u8]) -> Option<(NodeId, Vec<Word>)> {
        let parcel = match Parcel::read(bytes) {
            Ok(parcel) if parcel.from != self.me => parcel,
            Ok(_) => return None,
            Err(error) => {
                tracing::warn!("a parcel of another node cannot be read and is dropped: {error}");
                return None;
            }
        };
        let from = parcel.from;
        if let Some((run, upto)) = parcel.heard {
            self.taken(now, from, run, upto);
        }
        if parcel.words.is_empty() {
            return None;
        }
        let known = self.heard.entry(from).or_insert(In {
            run: 0,
            last: 0,
            due: false,
            heard: now,
        });
        known.heard = now;
        if parcel.run < known.run {
            return None;
        }
        if parcel.run > known.run {
            known.run = parcel.run;
            known.last = 0;
        }
        known.due = true;
        // A gap: what is missing will be sent again, and this with it.
        if parcel.first > known.last + 1 {
            return None;
        }
        let old = usize::try_from(known.last + 1 - parcel.first).unwrap_or(usize::MAX);
        let new: Vec<Word> = parcel.words.into_iter().skip(old).collect();
        known.last += new.len() as u64;
        self.forget(now);
        (!new.is_empty()).then_some((from, new))
    }

    fn taken(&mut self, now: Instant, by: NodeId, run: u64, upto: u64) {
        let Some(out) = self.out.get_mut(&by).filter(|out| out.run == run) else {
            return;
        };
        while out.first <= upto {
            let Some(word) = out.waiting.pop_front() else {
                break;
            };
            out.first += 1;
            out.sent = out.sent.saturating_sub(1);
            out.moved = now;
            out.sent_at = now;
            self.settled
                .extend(word.receipt.map(|receipt| (receipt, true)));
        }
    }

    /// What is to be brought to which node now.
    pub fn parcels(&mut self, now: Instant) -> Vec<(NodeId, Vec<u8>)> {
        let late: Vec<NodeId> = self
            .out
            .iter()
            .filter(|(_, out)| !out.waiting.is_empty() && now >= out.moved + self.lease)
            .map(|(node, _)| *node)
            .collect();
        for node in late {
            self.give_up(node);
        }
        let rest = self.lease * 8;
        self.out
            .retain(|_, out| !out.waiting.is_empty() || now < out.moved + rest);
        let mut parcels = Vec::new();
        for (to, out) in &mut self.out {
            if out.sent > 0 && now >= out.sent_at + PATIENCE {
                out.sent = 0;
            }
            while out.sent < out.waiting.len() {
                let words = out.waiting.range(out.sent..).take(PARCEL);
                let words: Vec<Word> = words.map(|one| one.word.clone()).collect();
                if out.sent == 0 {
                    out.sent_at = now;
                }
                let first = out.first + out.sent as u64;
                out.sent += words.len();
                let heard = self.heard.get_mut(to).map(|known| {
                    known.due = false;
                    (known.run, known.last)
                });
                let parcel = Parcel {
                    from: self.me,
                    run: out.run,
                    first,
                    words,
                    heard,
                };
                parcels.push((*to, parcel.write()));
            }
        }
        for (to, known) in &mut self.heard {
            if std::mem::take(&mut known.due) {
                let parcel = Parcel {
                    from: self.me,
                    run: 0,
                    first: 0,
                    words: Vec::new(),
                    heard: Some((known.run, known.last)),
                };
                parcels.push((*to, parcel.write()));
            }
        }
        parcels
    }

    /// What became of words that somebody wants to know about.
    pub fn settled(&mut self) -> Vec<(Receipt, bool)> {
        std::mem::take(&mut self.settled)
    }

    /// Words that wait for any node.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.out.values().map(|out| out.waiting.len()).sum()
    }

    /// Nothing more is to be hoped of this node.
    pub fn give_up(&mut self, node: NodeId) {
        let Some(out) = self.out.remove(&node) else {
            return;
        };
        let lost = out.waiting.into_iter().filter_map(|one| one.receipt);
        self.settled.extend(lost.map(|receipt| (receipt, false)));
    }

    /// Lets go of who has not been heard of for longest.
    fn forget(&mut self, now: Instant) {
        if self.heard.len() <= REMEMBERED {
            return;
        }
        let lease = self.lease;
        self.heard.retain(|_, known| now < known.heard + lease * 8);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rtc_protocol::{RoomId, Token};

    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn word(number: u32) -> Word {
        Word::Nobody {
            room: RoomId::new(&number.to_string()).unwrap(),
        }
    }

    fn receipt(number: u32) -> Receipt {
        Receipt {
            peer: Token::from_random([1; 32]).peer_id(),
            id: Some(number.into()),
        }
    }

    #[test]
    fn who_takes_nothing_for_a_lease_is_given_up_and_the_sender_told() {
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let now = Instant::now();
        let mut links = Links::new(one, LEASE);
        links.say(now, two, word(1), Some(receipt(1)));
        assert_eq!(links.parcels(now).len(), 1);
        assert!(links.parcels(now).is_empty(), "sent once");
        assert_eq!(links.parcels(now + PATIENCE).len(), 1, "and again");
        assert!(links.parcels(now + LEASE).is_empty());
        assert_eq!(links.settled(), [(receipt(1), false)]);
    }

    #[test]
    fn who_was_given_up_and_lives_hears_what_is_said_from_then_on() {
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let now = Instant::now();
        let (mut a, mut b) = (Links::new(one, LEASE), Links::new(two, LEASE));
        a.say(now, two, word(1), None);
        a.say(now, two, word(2), None);
        let old = a.parcels(now);
        a.give_up(two);
        a.say(now, two, word(3), None);
        let new = a.parcels(now);
        assert_eq!(b.heard(now, &new[0].1), Some((one, vec![word(3)])));
        assert_eq!(b.heard(now, &old[0].1), None, "what came too late");
    }

    /// What happens to one parcel after another.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Comes,
        Lost,
        Twice,
        Later,
    }

    proptest! {
        #[test]
        fn each_word_comes_once_and_in_order_however_parcels_travel(
            fates in proptest::collection::vec(prop_oneof![
                3 => Just(Fate::Comes), 1 => Just(Fate::Lost), 1 => Just(Fate::Twice), 1 => Just(Fate::Later)
            ], 1..60),
            burst in 1u32..150,
        ) {
            let (one, two) = (NodeId::new(1), NodeId::new(2));
            let mut now = Instant::now();
            let (mut a, mut b) = (Links::new(one, LEASE * 100), Links::new(two, LEASE * 100));
            let (mut said, mut came) = (0, Vec::new());
            let mut fate = fates.iter().copied().chain(std::iter::repeat(Fate::Comes));
            let mut on_the_way: Vec<(NodeId, Vec<u8>)> = Vec::new();
            for step in 0..fates.len() + 8 {
                if step < fates.len() {
                    for _ in 0..burst {
                        said += 1;
                        a.say(now, two, word(said), Some(receipt(said)));
                    }
                }
                now += PATIENCE;
                let mut travelling = std::mem::take(&mut on_the_way);
                for parcel in a.parcels(now).into_iter().chain(b.parcels(now)) {
                    match fate.next().unwrap() {
                        Fate::Comes => travelling.push(parcel),
                        Fate::Lost => {}
                        Fate::Twice => travelling.extend([parcel.clone(), parcel]),
                        Fate::Later => on_the_way.push(parcel),
                    }
                }
                for (to, bytes) in travelling {
                    let links = if to == one { &mut a } else { &mut b };
                    if let Some((from, words)) = links.heard(now, &bytes) {
                        prop_assert_eq!(from, one);
                        came.extend(words);
                    }
                }
            }
            let wanted: Vec<Word> = (1..=said).map(word).collect();
            prop_assert_eq!(came, wanted);
            let settled = a.settled();
            prop_assert!(settled.iter().all(|(_, came)| *came));
            prop_assert_eq!(settled.len(), said as usize);
            prop_assert_eq!(a.waiting(), 0);
        }
    }
}
