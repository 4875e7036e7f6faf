//! Rooms that spread over the nodes of a cluster: what this node knows of the others, and what it wants of them.
//!
//! Each node holds the rooms in which it has members, with everybody in them, and is the truth about its own. A seat is
//! claimed at the broker, in one step with the counting, before anybody is in; what happens in a room is told to the nodes that
//! have members there as facts, which they apply by the same rules and tell their own members. What got lost on the way
//! is mended when seats are renewed: a node says what it holds and is told what the others do.
//!
//! Nothing here waits: the hub says what it wishes ([`Wish`]), and is told what came of it.

mod baggage;
mod claims;
mod cuts;
mod facts;
mod healing;
mod hears;
mod moved;
mod moves;
mod naming;
mod nodes;
mod owed;
mod reunion;
mod rings;
mod survey;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rtc_protocol::{CallId, PeerId, RoomId};

use super::{Effect, Hub};
use crate::cluster::links::Receipt;
use crate::cluster::regions::{Region, Regions};
use crate::cluster::seats::{Claim, Request};
use crate::cluster::{NodeId, Word};
pub use baggage::Baggage;
pub(super) use baggage::CarriedCall;
pub use claims::Leaving;
pub(super) use claims::NewMember;
use claims::{Early, Pending};
use moved::Moved;
use moves::Arriving;
pub(crate) use moves::HANDOVER;
use naming::Naming;
use nodes::Nodes;
use owed::Owed;
pub(super) use rings::Seek;
use rings::Seeking;
use survey::Surveys;
pub use survey::{Finding, Survey};

/// What the hub wants of the broker and of other nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// A seat; answered by [`Hub::claimed`] with the same number.
    Claim(u64, Box<Claim>),
    /// A seat is free; answered by [`Hub::released`].
    Release(Leaving),
    /// Something that needs no answer.
    Ask(Request),
    /// A name; answered by [`Hub::named`] with the same number.
    Name(u64, Request),
    /// Where who is called is; answered by [`Hub::located`] with the same call.
    Locate(CallId, Request),
    /// Which of its hellos this peer's was; answered by [`Hub::turned`].
    Turn(PeerId),
    /// Say what we hold in this room soon: it has changed.
    Sync(RoomId),
    /// Say this to a node; the receipt goes to [`Hub::settled`].
    Say(NodeId, Word, Option<Receipt>),
}

/// What there is of other nodes.
#[derive(Debug)]
pub struct Cluster {
    me: NodeId,
    lease: Duration,
    regions: Regions,
    /// Regions of which nothing has been heard for a lease.
    cut: BTreeSet<Region>,
    /// Other nodes.
    nodes: Nodes,
    wishes: Vec<Wish>,
    /// Claims that the broker has not answered.
    pending: HashMap<PeerId, Vec<Pending>>,
    /// Names that the broker has not given yet, by the number of the question.
    naming: HashMap<u64, Naming>,
    /// Calls for which somebody is looked for.
    seeking: HashMap<CallId, Seeking>,
    number: u64,
    /// What was said of rooms that somebody here is about to enter first.
    early: HashMap<RoomId, Early>,
    /// Which of its hellos it was, of peers that were elsewhere before; 0 where the broker could not be asked.
    turns: HashMap<PeerId, u64>,
    /// Peers whose sessions are on their way here, for seconds.
    arriving: HashMap<PeerId, Arriving>,
    /// Those of them that are wanted elsewhere already: by whom, with which turn, from which number on.
    onward: HashMap<PeerId, (NodeId, u64, u64)>,
    moved: Moved,
    /// Calls of which the other side is to hear that they stand: no more than there are.
    telling: BTreeSet<CallId>,
    /// What brokers have not been told.
    owed: Vec<Owed>,
    /// Questions of the administrator that not all nodes have answered, for seconds.
    surveys: Surveys,
}

impl Cluster {
    /// Of this node, whose seats are held for a lease.
    #[must_use]
    pub fn new(me: NodeId, lease: Duration) -> Self {
        Self {
            me,
            lease,
            regions: Regions::default(),
            cut: BTreeSet::new(),
            nodes: Nodes::default(),
            wishes: Vec::new(),
            pending: HashMap::new(),
            naming: HashMap::new(),
            seeking: HashMap::new(),
            number: 0,
            early: HashMap::new(),
            turns: HashMap::new(),
            arriving: HashMap::new(),
            onward: HashMap::new(),
            moved: Moved::default(),
            telling: BTreeSet::new(),
            owed: Vec::new(),
            surveys: Surveys::default(),
        }
    }

    /// In one of several regions.
    #[must_use]
    pub fn among(mut self, regions: Regions) -> Self {
        self.regions = regions;
        self
    }

    fn lease(&self) -> u64 {
        super::millis(self.lease)
    }

    fn turn(&self, peer: PeerId) -> u64 {
        self.turns.get(&peer).copied().unwrap_or(0)
    }

    fn say(&mut self, to: NodeId, word: Word) {
        self.wishes.push(Wish::Say(to, word, None));
    }

    fn say_each(&mut self, to: impl IntoIterator<Item = NodeId>, word: &Word) {
        for node in to {
            self.say(node, word.clone());
        }
    }
}

impl Hub {
    /// What is wished since the last look.
    pub fn wishes(&mut self) -> Vec<Wish> {
        let cluster = self.cluster.as_deref_mut();
        cluster.map_or_else(Vec::new, |cluster| std::mem::take(&mut cluster.wishes))
    }

    /// Rooms in which seats are held.
    pub fn rooms_held(&self) -> impl Iterator<Item = &RoomId> {
        self.rooms.keys()
    }

    /// Whether a peer has a session here.
    #[must_use]
    pub fn knows(&self, peer: PeerId) -> bool {
        self.sessions.contains_key(&peer)
    }

    /// Nobody sees to this wish: whoever it was for hears of it, as far as it does not mend itself.
    pub fn refused(&mut self, now: Instant, wish: Wish, out: &mut Vec<Effect>) {
        match wish {
            Wish::Claim(number, claim) => self.claimed(now, number, &claim, None, out),
            Wish::Name(number, _) => self.named(now, number, None, out),
            Wish::Locate(call, _) => self.located(now, &call, None, out),
            Wish::Say(_, _, Some(receipt)) => self.receipt(receipt, false, out),
            Wish::Ask(request) => self.not_asked(now, request),
            _ => {}
        }
    }

    /// What became of something that was said to another node.
    pub fn settled(&mut self, receipts: Vec<(Receipt, bool)>, out: &mut Vec<Effect>) {
        for (receipt, came) in receipts {
            self.receipt(receipt, came, out);
        }
    }
}
