//! Words from node to node, each once and in order, over whatever loses, repeats and delays; pure rules on `(now, input)`.
//!
//! What is said to a node is numbered, kept until that node has said that it came, and sent again until then. As much is on
//! the way to a node as its window has; what is not acknowledged in time is sent again from the first on, one parcel of
//! it, and later each time, until an answer opens the window again. A node that takes nothing for a lease, or for which more
//! waits than may, is given up: whoever said what had not come is told so, and numbers begin anew under the next run, whose
//! first word the other side takes as the beginning.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

pub use super::receipts::Receipt;
use super::receipts::Receipts;
use super::words::{NodeId, Parcel, Sealed, Word};

/// Words that may wait for one node. A room's worth of candidates for a thousand calls; more is a node that hangs.
const WAITING: usize = 16_384;

/// Bytes of them.
const WAITING_BYTES: usize = 16 << 20;

/// Words of one parcel.
const PARCEL: usize = 64;

/// Bytes of one, or one word: an entry at the broker stays that small.
const PARCEL_BYTES: usize = 128 << 10;

/// Words on their way to one node that it has not acknowledged.
const WINDOW: usize = 2_048;

/// Bytes of them.
const WINDOW_BYTES: usize = 1 << 20;

/// For an answer to come before a word is sent again: many times what a broker takes. Doubled each time.
const PATIENCE: Duration = Duration::from_millis(400);

/// At most.
const LONGEST: Duration = Duration::from_millis(3_200);

/// Who is heard of again within so long is likely to be answered soon, and to say more.
const LULL: Duration = Duration::from_millis(20);

/// Until then at most, what such a node said is acknowledged with whatever is said to it: a parcel of its own costs as much as
/// what it acknowledges (as RFC 9293, section 3.8.6.3, and for the same reason).
const DELAY: Duration = Duration::from_millis(3);

/// Nodes that are remembered after they were last heard of.
const REMEMBERED: usize = 1_024;

#[derive(Debug)]
struct Waiting {
    /// As it goes over the wire, written once.
    word: Box<RawValue>,
    receipt: Option<Receipt>,
}

impl Waiting {
    fn bytes(&self) -> usize {
        self.word.get().len()
    }
}

/// What is said to one node.
#[derive(Debug)]
struct Out {
    run: u64,
    /// The number of the first that waits.
    first: u64,
    waiting: VecDeque<Waiting>,
    /// Bytes of all that waits.
    bytes: usize,
    /// How many of them are on their way.
    sent: usize,
    /// Bytes of those.
    sent_bytes: usize,
    /// How many may be.
    window: usize,
    /// When the first of those was sent.
    sent_at: Instant,
    /// After how long they are sent again.
    patience: Duration,
    /// When this node last took something, or something was first said to it.
    moved: Instant,
}

impl Out {
    fn new(run: u64, now: Instant) -> Self {
        Self {
            run,
            first: 1,
            waiting: VecDeque::new(),
            bytes: 0,
            sent: 0,
            sent_bytes: 0,
            window: WINDOW,
            sent_at: now,
            patience: PATIENCE,
            moved: now,
        }
    }

    fn full(&self, more: usize) -> bool {
        self.waiting.len() >= WAITING || (self.bytes > 0 && self.bytes + more > WAITING_BYTES)
    }

    /// Sends from the first on again, but little, where it has not been answered for too long.
    fn look_again(&mut self, now: Instant) {
        if self.sent > 0 && now >= self.sent_at + self.patience {
            self.sent = 0;
            self.sent_bytes = 0;
            self.window = PARCEL;
            self.patience = (self.patience * 2).min(LONGEST);
        }
    }

    /// Takes out the first, which has come.
    fn came(&mut self, now: Instant) -> Option<Waiting> {
        let word = self.waiting.pop_front()?;
        self.first += 1;
        self.bytes -= word.bytes();
        if self.sent > 0 {
            self.sent -= 1;
            self.sent_bytes -= word.bytes();
        }
        self.window = (self.window + 1).min(WINDOW);
        self.patience = PATIENCE;
        self.moved = now;
        self.sent_at = now;
        Some(word)
    }

    /// The words of the next parcel, and the number of the first; none where nothing waits, or enough is on its way.
    fn next(&mut self, now: Instant) -> Option<(u64, Vec<&RawValue>)> {
        if self.sent >= self.window || self.sent_bytes >= WINDOW_BYTES {
            return None;
        }
        if self.sent == 0 {
            self.sent_at = now;
        }
        let first = self.first + self.sent as u64;
        let most = PARCEL.min(self.window - self.sent);
        let (mut words, mut bytes) = (Vec::new(), 0);
        for one in self.waiting.range(self.sent..).take(most) {
            bytes += one.bytes();
            if !words.is_empty() && bytes > PARCEL_BYTES {
                bytes -= one.bytes();
                break;
            }
            words.push(&*one.word);
        }
        self.sent += words.len();
        self.sent_bytes += bytes;
        (!words.is_empty()).then_some((first, words))
    }
}

/// What one node says.
#[derive(Debug)]
struct In {
    run: u64,
    /// The last number in order.
    last: u64,
    /// When it is to be told so, if nothing is said to it before.
    due: Option<Instant>,
    /// When it last said something.
    heard: Option<Instant>,
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
    receipts: Receipts,
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
            receipts: Receipts::default(),
        }
    }

    /// Says something to a node; [`Links::settled`] tells what became of it.
    pub fn say(&mut self, now: Instant, to: NodeId, word: Word, receipt: Option<Receipt>) {
        let word = match serde_json::value::to_raw_value(&word) {
            Ok(word) => word,
            Err(error) => {
                // Strings, numbers and checked names: there is nothing in it that cannot be written.
                tracing::error!("a word cannot be written: {error}");
                return self
                    .receipts
                    .extend(receipt.map(|receipt| (receipt, false)));
            }
        };
        let one = Waiting { word, receipt };
        if self.out.get(&to).is_some_and(|out| out.full(one.bytes())) {
            self.give_up(to);
        }
        let runs = &mut self.runs;
        let out = self.out.entry(to).or_insert_with(|| {
            *runs += 1;
            Out::new(*runs, now)
        });
        if out.waiting.is_empty() {
            out.moved = now;
        }
        out.bytes += one.bytes();
        out.waiting.push_back(one);
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
            due: None,
            heard: None,
        });
        let lull = known.heard.is_none_or(|at| now >= at + LULL);
        known.heard = Some(now);
        if parcel.run < known.run {
            return None;
        }
        if parcel.run > known.run {
            known.run = parcel.run;
            known.last = 0;
        }
        let due = if lull { now } else { now + DELAY };
        known.due = Some(known.due.map_or(due, |at| at.min(due)));
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
            let Some(word) = out.came(now) else { break };
            let receipt = word.receipt.map(|receipt| (receipt, true));
            self.receipts.extend(receipt);
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
            out.look_again(now);
            let run = out.run;
            while let Some((first, words)) = out.next(now) {
                let heard = self.heard.get_mut(to).map(|known| {
                    known.due = None;
                    (known.run, known.last)
                });
                let parcel = Sealed {
                    from: self.me,
                    run,
                    first,
                    words,
                    heard,
                };
                parcels.push((*to, parcel.write()));
            }
        }
        for (to, known) in &mut self.heard {
            if known.due.take_if(|at| now >= *at).is_some() {
                let parcel = Sealed {
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

    /// When there will be something to be brought, though nothing more is said or heard.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heard.values().filter_map(|known| known.due).min()
    }

    /// What became of words that somebody wants to know about: to each of them as much at once as it can take.
    pub fn settled(&mut self, now: Instant) -> Vec<(Receipt, bool)> {
        self.receipts.take(now)
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
        self.receipts.extend(lost.map(|receipt| (receipt, false)));
    }

    /// Lets go of who has not been heard of for longest.
    fn forget(&mut self, now: Instant) {
        if self.heard.len() <= REMEMBERED {
            return;
        }
        let lease = self.lease;
        self.heard
            .retain(|_, known| known.heard.is_some_and(|at| now < at + lease * 8));
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
        assert_eq!(links.settled(now + LEASE), [(receipt(1), false)]);
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

    #[test]
    fn what_comes_after_a_lull_is_acknowledged_at_once_and_what_follows_with_what_is_said() {
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let mut now = Instant::now();
        let (mut a, mut b) = (Links::new(one, LEASE), Links::new(two, LEASE));
        let mut number = 0;
        let mut say = |from: &mut Links, to: NodeId, at: Instant| {
            number += 1;
            from.say(at, to, word(number), None);
            from.parcels(at)
        };
        for (_, parcel) in say(&mut a, two, now) {
            b.heard(now, &parcel);
        }
        assert_eq!(b.parcels(now).len(), 1, "nobody knows whether more comes");
        now += DELAY / 2;
        for (_, parcel) in say(&mut a, two, now) {
            b.heard(now, &parcel);
        }
        assert!(b.parcels(now).is_empty());
        assert_eq!(b.next(), Some(now + DELAY));
        assert_eq!(say(&mut b, one, now).len(), 1, "both in one");
        assert_eq!(b.next(), None);
        for (_, parcel) in say(&mut a, two, now) {
            b.heard(now, &parcel);
        }
        assert_eq!(b.parcels(now + DELAY).len(), 1, "nothing was said");
        for (_, parcel) in say(&mut a, two, now + LULL * 2) {
            b.heard(now + LULL * 2, &parcel);
        }
        assert_eq!(b.parcels(now + LULL * 2).len(), 1);
    }

    fn parcels_of(links: &mut Links, now: Instant) -> (usize, usize) {
        let parcels = links.parcels(now);
        let bytes = parcels.iter().map(|(_, parcel)| parcel.len()).sum();
        (parcels.len(), bytes)
    }

    fn large(bytes: usize) -> Word {
        Word::Broadcast {
            line: "x".repeat(bytes),
            number: None,
        }
    }

    #[test]
    fn only_a_window_is_on_its_way_and_less_each_later_time_while_nothing_is_answered() {
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let mut now = Instant::now();
        let mut links = Links::new(one, LEASE * 100);
        for _ in 0..200 {
            links.say(now, two, large(60_000), None);
        }
        let (_, bytes) = parcels_of(&mut links, now);
        assert!((WINDOW_BYTES..WINDOW_BYTES + 2 * PARCEL_BYTES).contains(&bytes));
        assert_eq!(parcels_of(&mut links, now), (0, 0));
        // In the time in which it would have been sent eight times it is sent four times.
        let mut sent = 0;
        for _ in 0..8 {
            now += PATIENCE;
            sent += usize::from(parcels_of(&mut links, now).0 > 0);
        }
        assert_eq!(sent, 3);
    }

    #[test]
    fn a_node_that_takes_nothing_is_given_up_by_bytes_as_by_words() {
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        let now = Instant::now();
        let mut links = Links::new(one, LEASE);
        links.say(now, two, large(60_000), Some(receipt(1)));
        let mut settled = Vec::new();
        for _ in 0..WAITING_BYTES / 60_000 + 1 {
            links.say(now, two, large(60_000), None);
            settled.extend(links.settled(now));
        }
        assert_eq!(settled, [(receipt(1), false)]);
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
            let mut settled = Vec::new();
            for step in 0..fates.len() + 400 {
                if step >= fates.len() && a.waiting() == 0 {
                    break;
                }
                if step < fates.len() {
                    for _ in 0..burst {
                        said += 1;
                        a.say(now, two, word(said), Some(receipt(said)));
                    }
                }
                now += PATIENCE;
                settled.extend(a.settled(now));
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
            while settled.len() < said as usize {
                now += PATIENCE;
                let more = a.settled(now);
                prop_assert!(!more.is_empty());
                settled.extend(more);
            }
            prop_assert!(settled.iter().all(|(_, came)| *came));
            prop_assert_eq!(settled.len(), said as usize);
            prop_assert_eq!(a.waiting(), 0);
        }
    }
}
