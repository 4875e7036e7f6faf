//! Several hubs on virtual time, around a broker that delays, loses, repeats, forgets and is cut off.

mod regions;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::cluster::NodeId;
use crate::cluster::links::Links;
use crate::cluster::regions::{Region, RegionName, Regions};
use crate::cluster::seats::{Answer, Claim, Ledger, Request};
use rtc_protocol::{CallId, RefuseCode};

const NODES: usize = 3;
const PEERS: &str = "abcdefghi";
const LEASE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(100);
const CAPACITY: u16 = 3;

#[derive(Clone, Debug)]
enum Act {
    /// A peer, which is always at the same node, enters a room.
    Join(usize, usize),
    Leave(usize, usize),
    /// It says something to everybody in it.
    Tell(usize, usize),
    /// Its socket is closed, and it says hello again.
    Again(usize),
    /// The broker forgets everything.
    Forget,
    /// This node cannot reach it for so many steps.
    Cut(usize, u32),
    /// The way between the regions is cut for so many steps.
    Sever(u32),
    Pass(u32),
}

fn act() -> impl Strategy<Value = Act> {
    let peer = || 0..PEERS.len();
    prop_oneof![
        6 => (peer(), 0..2usize).prop_map(|(peer, room)| Act::Join(peer, room)),
        3 => (peer(), 0..2usize).prop_map(|(peer, room)| Act::Leave(peer, room)),
        3 => (peer(), 0..2usize).prop_map(|(peer, room)| Act::Tell(peer, room)),
        1 => peer().prop_map(Act::Again),
        1 => Just(Act::Forget),
        1 => (0..NODES, 1..200u32).prop_map(|(node, steps)| Act::Cut(node, steps)),
        6 => (1..20u32).prop_map(Act::Pass),
    ]
}

/// Something on its way to the broker.
enum Ask {
    Claim(u64, Box<Claim>, Instant),
    Release(Leaving),
    Sync(Instant, Request, RoomId),
    Name(u64, Request, Instant),
    Keep(Name, Request),
    Locate(CallId, Request),
    Turn(PeerId),
    Other(Request),
}

struct Node {
    id: NodeId,
    regions: Regions,
    world: World,
    /// By region, as the driver of each has its own.
    links: Vec<Links>,
    asks: Vec<(u32, Region, Ask)>,
    cut: u32,
    round: Instant,
    /// When each region's broker was reached last.
    reached: Vec<Instant>,
}

impl Node {
    fn new(id: NodeId, regions: &Regions, now: Instant) -> Self {
        let mut world = World::new();
        world.now = now;
        let part = super::super::Cluster::new(id, LEASE).among(regions.clone());
        world.hub = Hub::new(config(), now).clustered(part);
        Self {
            id,
            world,
            links: regions.all().map(|_| Links::new(id, LEASE)).collect(),
            asks: Vec::new(),
            cut: 0,
            round: now,
            reached: regions.all().map(|_| now).collect(),
            regions: regions.clone(),
        }
    }
}

struct Cluster {
    nodes: Vec<Node>,
    /// By region.
    ledgers: Vec<Ledger>,
    begun: Instant,
    now: Instant,
    parcels: Vec<(u32, NodeId, Region, Vec<u8>)>,
    /// For so many steps the way between the regions is cut.
    severed: u32,
    /// Steps that this way takes.
    far: u32,
    chance: u64,
    /// Nothing is lost or repeated any more.
    calm: bool,
    /// Nodes that were killed.
    dead: BTreeSet<usize>,
    /// Peers that are not where they began.
    moved: BTreeMap<char, usize>,
}

fn number(node: usize) -> NodeId {
    NodeId::new(node as u64 + 1)
}

fn letter(peer: usize) -> char {
    char::from(PEERS.as_bytes()[peer])
}

fn named(room_number: usize) -> RoomId {
    room(&format!("r{room_number}"))
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let regions = Regions::default();
        let now = Instant::now();
        let nodes = (0..NODES).map(|node| Node::new(number(node), &regions, now));
        Self::of(nodes.collect(), now, seed)
    }

    /// The last node is in another region than the others, a way of so many steps off.
    fn of_two_regions(seed: u64, far: u32) -> Self {
        let names: [RegionName; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        let now = Instant::now();
        let nodes = (0..NODES).map(|node| {
            let own = usize::from(node == NODES - 1);
            let regions = Regions::new(&names[own], names.clone()).unwrap();
            let id = regions.node((node as u64 + 1) << 32);
            Node::new(id, &regions, now)
        });
        let mut cluster = Self::of(nodes.collect(), now, seed);
        cluster.far = far;
        cluster
    }

    fn of(nodes: Vec<Node>, now: Instant, seed: u64) -> Self {
        let ledgers = nodes[0].regions.all().map(|_| Ledger::new(1));
        let mut cluster = Self {
            ledgers: ledgers.collect(),
            nodes,
            begun: now,
            now,
            parcels: Vec::new(),
            severed: 0,
            far: 0,
            chance: seed | 1,
            calm: false,
            dead: BTreeSet::new(),
            moved: BTreeMap::new(),
        };
        for (peer, who) in PEERS.chars().enumerate() {
            cluster.nodes[peer % NODES].world.hello(who, None);
        }
        cluster
    }

    fn chance(&mut self, of: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance % of
    }

    fn ms(&self) -> u64 {
        1 + u64::try_from((self.now - self.begun).as_millis()).unwrap()
    }

    /// Whether a node reaches a region's broker.
    fn reaches(&self, at: usize, region: Region) -> bool {
        let node = &self.nodes[at];
        node.cut == 0 && (self.severed == 0 || node.regions.own() == region)
    }

    /// Who lives, as the brokers that are reached say.
    fn tell_who_lives(&mut self, at: usize) {
        let now = self.now;
        for region in self.nodes[at].regions.all() {
            let own = self.nodes[at].regions.own() == region;
            let mut out = Vec::new();
            if own || self.reaches(at, region) {
                let living = (0..NODES).filter(|at| !self.dead.contains(at));
                let living = living.map(|at| self.nodes[at].id);
                let regions = &self.nodes[at].regions;
                let living = living.filter(|node| regions.of(*node) == Some(region));
                let living: Vec<NodeId> = living.collect();
                let node = &mut self.nodes[at];
                node.reached[region.index()] = now;
                node.world.hub.alive(now, region, living, &mut out);
            } else if now >= self.nodes[at].reached[region.index()] + LEASE {
                self.nodes[at].world.hub.cut_off(now, region, &mut out);
            }
            self.nodes[at].world.perform(out);
        }
    }

    fn step(&mut self) {
        self.now += STEP;
        self.severed = self.severed.saturating_sub(1);
        for at in (0..NODES)
            .filter(|at| !self.dead.contains(at))
            .collect::<Vec<_>>()
        {
            self.collect(at);
            self.ask(at);
        }
        self.bring();
    }

    fn collect(&mut self, at: usize) {
        let delay = u32::try_from(self.chance(4)).unwrap();
        let now = self.now;
        let node = &mut self.nodes[at];
        node.world.now = now;
        node.cut = node.cut.saturating_sub(1);
        let mut out = Vec::new();
        node.world.hub.tick(now, &mut out);
        node.world.perform(out);
        let mut wanted = Vec::new();
        let (own, far) = (node.regions.own(), self.far);
        let way = |region| delay + if region == own { 0 } else { far };
        for wish in node.world.hub.wishes() {
            if let Some(Wish::Ask(request)) = node.regions.noted_here(&wish) {
                node.asks.push((delay, own, Ask::Other(request)));
            }
            let region = node.regions.seeing_to(&wish);
            let ask = match wish {
                Wish::Claim(number, claim) => Ask::Claim(number, claim, now),
                Wish::Release(leaving) => Ask::Release(leaving),
                Wish::Ask(request) => Ask::Other(request),
                Wish::Name(number, request) => Ask::Name(number, request, now),
                Wish::Locate(call, request) => Ask::Locate(call, request),
                Wish::Turn(peer) => Ask::Turn(peer),
                Wish::Sync(room) => {
                    wanted.push(room);
                    continue;
                }
                Wish::Say(to, word, receipt) => {
                    node.links[region.index()].say(now, to, word, receipt);
                    continue;
                }
            };
            node.asks.push((way(region), region, ask));
        }
        if now >= node.round {
            node.round = now + LEASE / 3;
            wanted.extend(node.world.hub.rooms_held());
            for name in node.world.hub.names_held() {
                let region = node.regions.home(name.as_str());
                let request = node.world.hub.name_held(&name);
                let ask = request.map(|request| Ask::Keep(name, request));
                node.asks.extend(ask.map(|ask| (way(region), region, ask)));
            }
            self.tell_who_lives(at);
        }
        let node = &mut self.nodes[at];
        for room in wanted {
            let region = node.regions.home(room.as_str());
            if let Some(sync) = node.world.hub.held(&room) {
                let ask = Ask::Sync(now, Request::Sync(sync), room);
                node.asks.push((way(region), region, ask));
            }
        }
        for region in self.nodes[at].regions.all() {
            let parcels = self.nodes[at].links[region.index()].parcels(now);
            for (to, parcel) in parcels {
                let cut = !self.reaches(at, region);
                let fate = if self.calm { 9 } else { self.chance(10) };
                let later = way(region) - delay + u32::try_from(self.chance(3)).unwrap();
                if cut || fate == 0 {
                    continue;
                }
                if fate == 1 {
                    self.parcels.push((later + 3, to, region, parcel.clone()));
                }
                self.parcels.push((later, to, region, parcel));
            }
        }
        self.settle(at);
    }

    fn settle(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let mut out = Vec::new();
        for links in &mut node.links {
            let settled = links.settled(self.now);
            node.world.hub.settled(settled, &mut out);
        }
        node.world.perform(out);
    }

    fn ask(&mut self, at: usize) {
        let mut waiting = Vec::new();
        let asks = std::mem::take(&mut self.nodes[at].asks);
        for (delay, region, ask) in asks {
            if delay > 0 {
                waiting.push((delay - 1, region, ask));
                continue;
            }
            let fate = if self.calm { 9 } else { self.chance(16) };
            // Away; or it did as it was asked, and nobody hears of it.
            let (reached, heard) = (self.reaches(at, region) && fate != 0, fate != 1);
            let (ms, now) = (self.ms(), self.now);
            let mut answer = |request| {
                let ledger = &mut self.ledgers[region.index()];
                let answer = reached.then(|| ledger.ask(ms, request));
                answer.filter(|_| heard)
            };
            let mut out = Vec::new();
            match ask {
                Ask::Claim(number, claim, since) => {
                    let answer = answer(Request::Claim((*claim).clone()));
                    match answer {
                        Some(Answer::Wait { .. }) if now < since + LEASE => {
                            waiting.push((1, region, Ask::Claim(number, claim, since)));
                        }
                        answer => {
                            let hub = &mut self.nodes[at].world.hub;
                            hub.claimed(now, number, &claim, answer, &mut out);
                        }
                    }
                }
                Ask::Release(leaving) => {
                    let request = Request::Release {
                        room: leaving.room.clone(),
                        peer: leaving.peer,
                        seat: leaving.seat,
                    };
                    if let Some(Answer::Released { nodes }) = answer(request) {
                        self.nodes[at].world.hub.released(leaving, nodes);
                    }
                }
                Ask::Sync(asked, request, room) => {
                    if let Some(answer) = answer(request) {
                        let hub = &mut self.nodes[at].world.hub;
                        hub.synced(now, asked, &room, answer, &mut out);
                    }
                }
                Ask::Name(number, request, since) => match answer(request.clone()) {
                    Some(Answer::Wait { .. }) if now < since + LEASE => {
                        waiting.push((1, region, Ask::Name(number, request, since)));
                    }
                    answer => {
                        let hub = &mut self.nodes[at].world.hub;
                        hub.named(now, number, answer, &mut out);
                    }
                },
                Ask::Keep(name, request) => {
                    if let Some(answer) = answer(request) {
                        let hub = &mut self.nodes[at].world.hub;
                        hub.renewed(now, &name, &answer, &mut out);
                    }
                }
                Ask::Locate(call, request) => {
                    let answer = answer(request);
                    let hub = &mut self.nodes[at].world.hub;
                    hub.located(now, &call, answer, &mut out);
                }
                Ask::Turn(peer) => {
                    let node = self.nodes[at].id;
                    if let Some(answer) = answer(Request::Turn { peer, node }) {
                        self.nodes[at].world.hub.turned(now, peer, &answer);
                    }
                }
                Ask::Other(request) => drop(answer(request)),
            }
            self.nodes[at].world.perform(out);
        }
        self.nodes[at].asks.extend(waiting);
    }

    fn bring(&mut self) {
        let mut later = Vec::new();
        for (delay, to, region, parcel) in std::mem::take(&mut self.parcels) {
            if delay > 0 {
                later.push((delay - 1, to, region, parcel));
                continue;
            }
            let at = self.nodes.iter().position(|node| node.id == to).unwrap();
            if self.severed > 0 && self.nodes[at].regions.own() != region {
                // It lies there until it is fetched.
                later.push((0, to, region, parcel));
                continue;
            }
            let node = &mut self.nodes[at];
            if node.cut > 0 || self.dead.contains(&at) {
                continue;
            }
            let mut out = Vec::new();
            let links = &mut node.links[region.index()];
            if let Some((from, words)) = links.heard(self.now, &parcel) {
                for word in words {
                    node.world.hub.hear(self.now, from, word, &mut out);
                }
            }
            node.world.perform(out);
            self.settle(at);
        }
        self.parcels.extend(later);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Join(peer, number) => {
                let (room, capacity) = (named(number), Some(CAPACITY));
                let join = ClientMessage::Join {
                    room,
                    name: None,
                    capacity,
                };
                self.nodes[peer % NODES].world.say(letter(peer), join);
            }
            Act::Leave(peer, number) => {
                let leave = ClientMessage::Leave {
                    room: named(number),
                };
                self.nodes[peer % NODES].world.say(letter(peer), leave);
            }
            Act::Tell(peer, number) => {
                let message = ClientMessage::Message {
                    room: named(number),
                    to: None,
                    data: Raw::parse("1").unwrap(),
                };
                self.nodes[peer % NODES].world.say(letter(peer), message);
            }
            Act::Again(peer) => {
                let world = &mut self.nodes[peer % NODES].world;
                world.gone(letter(peer), true);
                world.hello(letter(peer), None);
            }
            Act::Forget => {
                let ms = self.ms();
                let which = usize::try_from(self.chance(self.ledgers.len() as u64)).unwrap();
                self.ledgers[which] = Ledger::new(ms);
            }
            Act::Sever(steps) => self.severed = steps,
            Act::Cut(node, steps) => self.nodes[node].cut = steps,
            Act::Pass(steps) => (0..steps).for_each(|_| self.step()),
        }
    }

    fn world(&mut self, who: char) -> &mut World {
        let peer = PEERS.find(who).unwrap();
        let at = self.moved.get(&who).copied().unwrap_or(peer % NODES);
        &mut self.nodes[at].world
    }

    /// A peer connects to another node; gives whom to wait for before it says hello.
    fn begins_to_move(&mut self, who: char, to: usize, last: Option<u64>) -> Option<u64> {
        let now = self.now;
        let own = self.nodes[to].regions.own();
        let home = self.nodes[to].regions.home(id(who).as_str());
        let (mut turn, mut before) = self.turn(who, to, own);
        // As `Planes::turn` does.
        let regions = &self.nodes[to].regions;
        let here = before.is_some_and(|node| regions.of(node) == Some(own));
        if !here && home != own && self.reaches(to, home) {
            let far = self.turn(who, to, home);
            (turn, before) = (turn.max(far.0), far.1.or(before));
        }
        let hub = &mut self.nodes[to].world.hub;
        let waits = hub.fetch(now, id(who), (turn, before), last, turn);
        waits.then_some(turn)
    }

    fn turn(&mut self, who: char, to: usize, region: Region) -> (u64, Option<NodeId>) {
        let ms = self.ms();
        let node = self.nodes[to].id;
        let peer = id(who);
        let ledger = &mut self.ledgers[region.index()];
        match ledger.ask(ms, Request::Turn { peer, node }) {
            Answer::Turn { turn, before } => (turn, before),
            other => panic!("{other:?}"),
        }
    }

    fn may_arrive(&mut self, to: usize, waiter: Option<u64>) {
        for _ in 0..100 {
            if waiter.is_none_or(|waiter| self.nodes[to].world.arrived.contains(&waiter)) {
                return;
            }
            self.step();
        }
        panic!("it waits for ever");
    }

    /// A peer comes back at another node; gives whether its session was resumed there, and what it was told then.
    fn moves(&mut self, who: char, to: usize, last: Option<u64>) -> (bool, Vec<ServerFrame>) {
        let waiter = self.begins_to_move(who, to, last);
        self.may_arrive(to, waiter);
        self.moved.insert(who, to);
        self.nodes[to].world.hello(who, last);
        let mut frames = self.nodes[to].world.frames(who);
        let M::Welcome { resumed, .. } = frames.remove(0).message else {
            panic!("no welcome");
        };
        (resumed, frames)
    }

    /// The number of the last thing that a peer was told; it is all read then.
    fn last(&mut self, who: char) -> u64 {
        let frames = self.world(who).frames(who);
        frames.iter().filter_map(|frame| frame.seq).max().unwrap()
    }

    fn tells(&mut self, who: char, text: &str) {
        let message = ClientMessage::Message {
            room: named(0),
            to: None,
            data: Raw::parse(text).unwrap(),
        };
        self.say(who, message);
    }

    fn hears(&mut self, who: char, text: &str) {
        self.until(who, |message| match message {
            M::Message { data, .. } => (data.get() == text).then_some(()),
            M::PeerJoined { .. } | M::PeerLeft { .. } => panic!("{message:?}"),
            _ => None,
        });
    }

    /// These are in the first room, and have read all.
    fn with_room(peers: &str) -> Self {
        Self::settled().having_in_room(peers)
    }

    fn having_in_room(self, peers: &str) -> Self {
        let mut cluster = self;
        for who in peers.chars() {
            cluster.act(Act::Join(PEERS.find(who).unwrap(), 0));
            for _ in 0..10 {
                cluster.step();
            }
        }
        cluster
    }

    fn say(&mut self, who: char, message: ClientMessage) {
        self.world(who).say(who, message);
    }

    /// Steps until this peer was told something of which that is true.
    fn until<T>(&mut self, who: char, wanted: impl Fn(&M) -> Option<T>) -> T {
        for _ in 0..1_200 {
            for message in self.world(who).read(who) {
                if let Some(found) = wanted(&message) {
                    return found;
                }
            }
            self.step();
        }
        panic!("{who} was not told");
    }

    fn register(&mut self, who: char, text: &str) -> Option<ErrorCode> {
        self.say(who, ClientMessage::Register { name: name(text) });
        self.until(who, |message| match message {
            M::Ack {} => Some(None),
            M::Error { code, .. } => Some(Some(*code)),
            _ => None,
        })
    }

    /// Rings and gives the call, or why not.
    fn ring(&mut self, who: char, whom: Callee) -> Result<CallId, ErrorCode> {
        let room = room("talk");
        self.say(who, ClientMessage::Ring { whom, room });
        self.until(who, |message| match message {
            M::Ringing { call } => Some(Ok(call.clone())),
            M::Error { code, .. } => Some(Err(*code)),
            _ => None,
        })
    }

    fn rung(&mut self, who: char) -> CallId {
        self.until(who, |message| match message {
            M::Ring { call, .. } => Some(call.clone()),
            _ => None,
        })
    }

    fn hung_up(&mut self, who: char, wanted: &CallId) {
        self.until(who, |message| match message {
            M::HungUp { call } => (call == wanted).then_some(()),
            _ => None,
        });
    }

    /// One whose broker answers everything, with its grace behind it.
    fn settled() -> Self {
        Self::new(1).calmed()
    }

    fn calmed(mut self) -> Self {
        self.calm = true;
        for _ in 0..100 {
            self.step();
        }
        self
    }

    /// Who is in a room, as each node that has members there sees it, and those members.
    fn seen(&self, room: &RoomId) -> Vec<(BTreeSet<PeerId>, BTreeSet<PeerId>)> {
        let nodes = self.nodes.iter().filter_map(|node| {
            let held = node.world.hub.held(room)?;
            let report = node.world.hub.rooms(self.now, None, 10);
            let report = report.into_iter().find(|report| report.room == *room)?;
            let seen = report.members.iter().map(|member| member.peer).collect();
            Some((seen, held.seats.into_keys().collect()))
        });
        nodes.collect()
    }

    fn inside(&self, room: &RoomId) -> BTreeSet<PeerId> {
        self.seen(room)
            .into_iter()
            .flat_map(|(_, own)| own)
            .collect()
    }

    /// What every peer was told of who is in a room, from its own coming on.
    fn told(&self, room: &RoomId) -> BTreeMap<char, BTreeSet<PeerId>> {
        let mut told = BTreeMap::new();
        for (peer, who) in PEERS.chars().enumerate() {
            let world = &self.nodes[peer % NODES].world;
            let link = world.links[&who];
            let mut inside: Option<BTreeSet<PeerId>> = None;
            for frame in world.sent.get(&link).into_iter().flatten() {
                match &frame.message {
                    M::Joined {
                        room: which,
                        members,
                        ..
                    } if which == room => {
                        inside = Some(members.iter().map(|member| member.peer).collect());
                    }
                    M::PeerJoined {
                        room: which,
                        member,
                    } if which == room => {
                        let new = inside.as_mut().map(|all| all.insert(member.peer));
                        assert_ne!(new, Some(false), "{who} was told twice of {member:?}");
                    }
                    M::PeerLeft {
                        room: which, peer, ..
                    } if which == room => {
                        let known = inside.as_mut().map(|all| all.remove(peer));
                        assert_ne!(
                            known,
                            Some(false),
                            "{who} was told of {peer} that it did not know"
                        );
                    }
                    M::Left { room: which } if which == room => inside = None,
                    M::Kicked { room: which, .. } if which == room => inside = None,
                    _ => {}
                }
            }
            told.extend(inside.map(|inside| (who, inside)));
        }
        told
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_all_nodes_agree_on_who_is_in_after_a_while(
        acts in proptest::collection::vec(act(), 1..60),
        seed in any::<u64>(),
    ) {
        all_agree_in_the_end(Cluster::new(seed), acts)?;
    }

    #[test]
    fn whatever_happens_between_two_regions_all_nodes_agree_on_who_is_in_after_a_while(
        acts in proptest::collection::vec(act_among_regions(), 1..60),
        seed in any::<u64>(),
        far in 0..5u32,
    ) {
        all_agree_in_the_end(Cluster::of_two_regions(seed, far), acts)?;
    }
}

fn act_among_regions() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => act(),
        1 => (1..300u32).prop_map(Act::Sever),
    ]
}

fn all_agree_in_the_end(mut cluster: Cluster, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let mut sound = true;
    for act in acts {
        // A broker that forgets while a node cannot say what it holds may give a seat twice, until the node is back.
        sound &= !matches!(act, Act::Forget | Act::Cut(..) | Act::Sever(_));
        cluster.act(act);
        for number in 0..2 {
            let inside = cluster.inside(&named(number)).len();
            prop_assert!(
                !sound || inside <= usize::from(CAPACITY),
                "{} in room {}",
                inside,
                number
            );
        }
    }
    cluster.calm = true;
    cluster.severed = 0;
    for node in &mut cluster.nodes {
        node.cut = 0;
    }
    // Links that were given up, seats of nobody and renewals: each is over within a lease or two.
    for _ in 0..500 {
        cluster.step();
    }
    for number in 0..2 {
        let room = named(number);
        let inside = cluster.inside(&room);
        prop_assert!(inside.len() <= usize::from(CAPACITY), "{:?}", inside);
        for (seen, _) in cluster.seen(&room) {
            prop_assert_eq!(&seen, &inside, "in room {}", number);
        }
        for (who, others) in cluster.told(&room) {
            let mut all = others;
            all.insert(id(who));
            prop_assert_eq!(&all, &inside, "as {} was told of room {}", who, number);
        }
    }
    Ok(())
}

#[test]
fn a_name_is_one_peers_in_the_whole_cluster_and_free_when_its_session_ends() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.register('a', "ann"), None);
    assert_eq!(cluster.register('b', "ann"), Some(ErrorCode::NameTaken));
    assert_eq!(
        cluster.register('d', "ann"),
        Some(ErrorCode::NameTaken),
        "at its own node"
    );
    // For as long as it likes.
    for _ in 0..400 {
        cluster.step();
    }
    assert_eq!(cluster.register('b', "ann"), Some(ErrorCode::NameTaken));
    assert_eq!(cluster.register('a', "anna"), None);
    for _ in 0..5 {
        cluster.step();
    }
    assert_eq!(
        cluster.register('b', "ann"),
        None,
        "who takes another gives it back"
    );
    cluster.world('b').gone('b', true);
    for _ in 0..5 {
        cluster.step();
    }
    assert_eq!(cluster.register('c', "ann"), None);
}

#[test]
fn a_name_outlives_a_broker_that_forgets() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.register('a', "ann"), None);
    cluster.act(Act::Forget);
    assert_eq!(cluster.register('b', "ann"), Some(ErrorCode::NameTaken));
}

#[test]
fn a_call_to_another_node_rings_is_taken_and_ends() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.register('b', "bob"), None);
    for whom in [Callee::Name(name("bob")), Callee::Peer(id('b'))] {
        let call = cluster.ring('a', whom).unwrap();
        assert_eq!(cluster.rung('b'), call);
        cluster.say('b', ClientMessage::Accept { call: call.clone() });
        cluster.until('a', |message| match message {
            M::Accepted { call: taken } => (*taken == call).then_some(()),
            _ => None,
        });
        cluster.say('a', ClientMessage::HangUp { call: call.clone() });
        cluster.hung_up('b', &call);
    }
    for who in ['a', 'b'] {
        assert!(cluster.world(who).hub.calls.is_empty());
    }
}

#[test]
fn a_call_to_another_node_is_refused_cancelled_or_not_answered() {
    let mut cluster = Cluster::settled();
    let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
    cluster.rung('b');
    let refuse = ClientMessage::Refuse {
        call,
        code: None,
        reason: Some("later".into()),
    };
    cluster.say('b', refuse);
    cluster.until('a', |message| match message {
        M::Refused { reason, .. } => (reason.as_deref() == Some("later")).then_some(()),
        _ => None,
    });
    let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
    cluster.rung('b');
    cluster.say('a', ClientMessage::HangUp { call: call.clone() });
    cluster.hung_up('b', &call);
    cluster.say('b', ClientMessage::Accept { call });
    cluster.until('b', |message| match message {
        M::Error { code, .. } => (*code == ErrorCode::NoSuchRoom).then_some(()),
        _ => None,
    });
    let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
    cluster.until('a', |message| match message {
        M::Refused { code, .. } => (*code == RefuseCode::NoAnswer).then_some(()),
        _ => None,
    });
    cluster.hung_up('b', &call);
}

#[test]
fn who_is_nowhere_or_busy_cannot_be_rung_from_another_node() {
    let mut cluster = Cluster::settled();
    let nobody = Callee::Name(name("nobody"));
    assert_eq!(cluster.ring('a', nobody), Err(ErrorCode::NoSuchPeer));
    assert_eq!(
        cluster.ring('a', Callee::Peer(id('x'))),
        Err(ErrorCode::NoSuchPeer)
    );
    cluster.ring('a', Callee::Peer(id('b'))).unwrap();
    cluster.ring('c', Callee::Peer(id('b'))).unwrap();
    assert_eq!(
        cluster.ring('d', Callee::Peer(id('b'))),
        Err(ErrorCode::Busy)
    );
}

#[test]
fn who_goes_by_a_name_in_a_room_of_another_node_is_met_there() {
    let mut cluster = Cluster::settled();
    cluster.act(Act::Join(1, 0));
    cluster.until('b', |message| {
        matches!(message, M::Joined { .. }).then_some(())
    });
    let whom = Callee::Name(name("b"));
    let ring = |whom| ClientMessage::Ring {
        whom,
        room: room("talk"),
    };
    cluster.say('a', ring(whom.clone()));
    let met = cluster.until('a', |message| match message {
        M::Found { peer, room } => Some((*peer, room.clone())),
        _ => None,
    });
    assert_eq!(met, (id('b'), named(0)));
    // Two that go by it, at two nodes.
    let join = ClientMessage::Join {
        room: room("other"),
        name: Some(name("b")),
        capacity: None,
    };
    cluster.say('c', join);
    cluster.until('c', |message| {
        matches!(message, M::Joined { .. }).then_some(())
    });
    assert_eq!(cluster.ring('a', whom), Err(ErrorCode::NoSuchPeer));
}

#[test]
fn calls_of_a_node_that_dies_end_for_the_other_side() {
    let mut cluster = Cluster::settled();
    let rings = cluster.ring('b', Callee::Peer(id('a'))).unwrap();
    let taken = cluster.ring('c', Callee::Peer(id('b'))).unwrap();
    cluster.rung('b');
    cluster.say(
        'b',
        ClientMessage::Accept {
            call: taken.clone(),
        },
    );
    cluster.until('c', |message| {
        matches!(message, M::Accepted { .. }).then_some(())
    });
    cluster.dead.insert(1);
    cluster.hung_up('a', &rings);
    cluster.hung_up('c', &taken);
    assert_eq!(
        cluster.ring('a', Callee::Peer(id('b'))),
        Err(ErrorCode::NoSuchPeer)
    );
}

#[test]
fn a_session_moves_whole_and_nobody_else_hears_of_it() {
    let mut cluster = Cluster::with_room("abd");
    assert_eq!(cluster.register('a', "ann"), None);
    let last = {
        cluster.tells('b', "0");
        for _ in 0..10 {
            cluster.step();
        }
        cluster.last('a')
    };
    for who in ['b', 'd'] {
        cluster.world(who).read(who);
    }
    cluster.world('a').gone('a', false);
    cluster.tells('b', "1");
    cluster.tells('d', "2");
    for _ in 0..10 {
        cluster.step();
    }
    let (resumed, missed) = cluster.moves('a', 2, Some(last));
    assert!(resumed);
    let texts: Vec<_> = missed
        .iter()
        .map(|frame| match &frame.message {
            M::Message { data, .. } => (frame.seq.unwrap() - last, data.get().to_owned()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts.iter().map(|one| one.0).collect::<Vec<_>>(), [1, 2]);
    cluster.tells('b', "3");
    cluster.hears('a', "3");
    cluster.tells('a', "4");
    for who in ['b', 'd'] {
        cluster.hears(who, "4");
    }
    // For long: its seat is renewed where it is.
    for _ in 0..300 {
        cluster.step();
    }
    cluster.tells('d', "5");
    cluster.hears('a', "5");
    assert_eq!(cluster.inside(&named(0)).len(), 3);
    // Its name went with it, and rings there.
    assert_eq!(cluster.register('b', "ann"), Some(ErrorCode::NameTaken));
    let call = cluster.ring('b', Callee::Name(name("ann"))).unwrap();
    assert_eq!(cluster.rung('a'), call);
}

#[test]
fn what_is_said_while_a_session_moves_comes_after_it() {
    let mut cluster = Cluster::with_room("ab");
    cluster.tells('b', "0");
    for _ in 0..10 {
        cluster.step();
    }
    let last = cluster.last('a');
    cluster.world('b').read('b');
    let waiter = cluster.begins_to_move('a', 2, Some(last));
    for number in 1..40 {
        cluster.tells('b', &number.to_string());
        cluster.step();
    }
    cluster.may_arrive(2, waiter);
    cluster.moved.insert('a', 2);
    cluster.world('a').hello('a', Some(last));
    for _ in 0..20 {
        cluster.step();
    }
    let heard = cluster.world('a').read('a');
    assert!(
        matches!(heard[0], M::Welcome { resumed, .. } if !resumed),
        "more than is kept"
    );
    let mut cluster = Cluster::with_room("ab");
    cluster.tells('b', "0");
    for _ in 0..10 {
        cluster.step();
    }
    let last = cluster.last('a');
    let waiter = cluster.begins_to_move('a', 2, Some(last));
    for number in 1..6 {
        cluster.tells('b', &number.to_string());
        cluster.step();
    }
    cluster.may_arrive(2, waiter);
    cluster.moved.insert('a', 2);
    cluster.world('a').hello('a', Some(last));
    for _ in 0..30 {
        cluster.step();
    }
    let mut texts: Vec<String> = Vec::new();
    for message in cluster.world('a').read('a') {
        match message {
            M::Message { data, .. } => texts.push(data.get().to_owned()),
            M::Welcome { resumed, .. } => assert!(resumed),
            other => panic!("{other:?}"),
        }
    }
    texts.sort();
    assert_eq!(texts, ["1", "2", "3", "4", "5"]);
}

#[test]
fn what_is_said_by_one_at_the_node_that_a_session_moves_to_comes_too() {
    let mut cluster = Cluster::with_room("abd");
    let last = cluster.last('a');
    let waiter = cluster.begins_to_move('a', 1, Some(last));
    for number in 1..6 {
        let message = ClientMessage::Message {
            room: named(0),
            to: Some(id('a')),
            data: Raw::parse(&number.to_string()).unwrap(),
        };
        cluster.say('b', message);
        cluster.step();
    }
    cluster.may_arrive(1, waiter);
    cluster.moved.insert('a', 1);
    cluster.world('a').hello('a', Some(last));
    for _ in 0..30 {
        cluster.step();
    }
    let heard = cluster.world('a').read('a');
    let texts = heard.iter().filter_map(|message| match message {
        M::Message { data, .. } => Some(data.get()),
        _ => None,
    });
    let texts: BTreeSet<_> = texts.collect();
    assert_eq!(texts, BTreeSet::from(["1", "2", "3", "4", "5"]));
}

#[test]
fn of_two_nodes_at_which_a_peer_says_hello_exactly_one_has_it() {
    for pause in 0..12 {
        let mut cluster = Cluster::with_room("ab");
        let last = cluster.last('a');
        let first = cluster.begins_to_move('a', 1, Some(last));
        for _ in 0..pause {
            cluster.step();
        }
        let second = cluster.begins_to_move('a', 2, Some(last));
        cluster.may_arrive(1, first);
        let loser = cluster.nodes[1].world.hello('a', Some(last));
        cluster.may_arrive(2, second);
        let winner = cluster.nodes[2].world.hello('a', Some(last));
        for _ in 0..300 {
            cluster.step();
        }
        assert_eq!(
            cluster.nodes[1].world.closed.get(&loser),
            Some(&close::TAKEN_OVER)
        );
        assert_eq!(cluster.nodes[2].world.closed.get(&winner), None);
        let knows = cluster
            .nodes
            .iter()
            .map(|node| node.world.hub.knows(id('a')));
        assert_eq!(
            knows.collect::<Vec<_>>(),
            [false, false, true],
            "after {pause}"
        );
    }
}

#[test]
fn two_that_are_sent_on_to_two_nodes_do_not_lose_each_other() {
    for pause in 0..8 {
        let mut cluster = Cluster::with_room("ad");
        let lasts = [cluster.last('a'), cluster.last('d')];
        let first = cluster.begins_to_move('a', 1, Some(lasts[0]));
        for _ in 0..pause {
            cluster.step();
        }
        let second = cluster.begins_to_move('d', 2, Some(lasts[1]));
        for (who, to, waiter, last) in [('a', 1, first, lasts[0]), ('d', 2, second, lasts[1])] {
            cluster.may_arrive(to, waiter);
            cluster.moved.insert(who, to);
            cluster.world(who).hello(who, Some(last));
        }
        for _ in 0..300 {
            cluster.step();
        }
        for who in ['a', 'd'] {
            let told = cluster.world(who).read(who);
            assert!(
                matches!(told[..], [M::Welcome { resumed: true, .. }]),
                "after {pause}, {who}: {told:?}"
            );
        }
        cluster.tells('a', "1");
        cluster.hears('d', "1");
    }
}

#[test]
fn who_came_back_while_the_broker_was_away_has_its_place_in_the_end() {
    let mut cluster = Cluster::with_room("ab");
    let last = cluster.last('a');
    // The broker knows a turn of it.
    assert!(cluster.moves('a', 1, Some(last)).0);
    for _ in 0..30 {
        cluster.step();
    }
    cluster.world('a').gone('a', false);
    cluster.moved.insert('a', 2);
    let link = cluster.world('a').hello('a', Some(last));
    let mut joined = false;
    for _ in 0..20 {
        let join = ClientMessage::Join {
            room: named(0),
            name: None,
            capacity: None,
        };
        cluster.say('a', join);
        joined |= cluster.until('a', |message| match message {
            M::Joined { .. } => Some(true),
            M::Error { code, .. } => Some(*code == ErrorCode::AlreadyJoined),
            _ => None,
        });
        if joined {
            break;
        }
    }
    assert!(joined);
    for _ in 0..300 {
        cluster.step();
    }
    assert_eq!(cluster.world('a').closed.get(&link), None);
    cluster.world('b').read('b');
    cluster.tells('a', "1");
    cluster.hears('b', "1");
    let knows = cluster
        .nodes
        .iter()
        .map(|node| node.world.hub.knows(id('a')));
    assert_eq!(knows.collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn a_session_that_begins_anew_where_it_is_keeps_its_turn() {
    let mut cluster = Cluster::with_room("ab");
    let last = cluster.last('a');
    assert!(cluster.moves('a', 1, Some(last)).0);
    cluster.world('a').hello('a', None);
    let join = ClientMessage::Join {
        room: named(0),
        name: None,
        capacity: None,
    };
    cluster.say('a', join);
    cluster.until('a', |message| {
        matches!(message, M::Joined { .. }).then_some(())
    });
    let held = cluster.nodes[1].world.hub.held(&named(0)).unwrap();
    assert_ne!(held.seats[&id('a')].turn, 0);
}

#[test]
fn who_waits_for_a_session_need_not_when_another_connection_of_it_says_hello() {
    let mut cluster = Cluster::with_room("ab");
    let last = cluster.last('a');
    let waiter = cluster.begins_to_move('a', 1, Some(last)).unwrap();
    assert!(!cluster.nodes[1].world.arrived.contains(&waiter));
    // Its turn could not be asked for.
    cluster.nodes[1].world.hello('a', Some(last));
    assert!(cluster.nodes[1].world.arrived.contains(&waiter));
}

#[test]
fn a_session_on_its_way_ends_where_its_peer_has_said_hello_elsewhere_meanwhile() {
    for pause in 0..8 {
        let mut cluster = Cluster::with_room("ab");
        let last = cluster.last('a');
        cluster.begins_to_move('a', 1, Some(last)).unwrap();
        // Its connection there breaks, and it begins anew at a third node.
        for _ in 0..pause {
            cluster.step();
        }
        assert_eq!(cluster.begins_to_move('a', 2, None), None);
        cluster.moved.insert('a', 2);
        let link = cluster.world('a').hello('a', None);
        for _ in 0..50 {
            cluster.step();
        }
        let knows = cluster
            .nodes
            .iter()
            .map(|node| node.world.hub.knows(id('a')));
        assert_eq!(
            knows.collect::<Vec<_>>(),
            [false, false, true],
            "after {pause}"
        );
        assert_eq!(cluster.world('a').closed.get(&link), None);
    }
}

#[test]
fn calls_move_with_their_peers_whether_they_ring_or_were_taken() {
    for caller_moves in [true, false] {
        let mut cluster = Cluster::with_room("ab");
        let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
        assert_eq!(cluster.rung('b'), call);
        let who = if caller_moves { 'a' } else { 'b' };
        cluster.say(
            who,
            ClientMessage::Mute {
                room: named(0),
                peer: id(who),
                kind: Kind::Audio,
            },
        );
        cluster.say(
            who,
            ClientMessage::Join {
                room: room("x"),
                name: None,
                capacity: None,
            },
        );
        for _ in 0..10 {
            cluster.step();
        }
        let last = cluster.last(who);
        let (resumed, _) = cluster.moves(who, 2, Some(last));
        assert!(resumed);
        cluster.say('b', ClientMessage::Accept { call: call.clone() });
        cluster.until('a', |message| {
            matches!(message, M::Accepted { .. }).then_some(())
        });
        let last = 'a' == who;
        // And on to where the other one is.
        let at = if last { 1 } else { 0 };
        for _ in 0..10 {
            cluster.step();
        }
        cluster.tells(if last { 'b' } else { 'a' }, "9");
        for _ in 0..10 {
            cluster.step();
        }
        let last = cluster.last(who);
        assert!(cluster.moves(who, at, Some(last)).0);
        cluster.say('b', ClientMessage::HangUp { call: call.clone() });
        cluster.hung_up('a', &call);
        for node in &cluster.nodes {
            assert!(node.world.hub.calls.is_empty());
        }
    }
}

#[test]
fn a_call_that_is_taken_while_its_caller_moves_to_the_callee_is_taken_for_both() {
    for pause in 0..8 {
        let mut cluster = Cluster::with_room("ab");
        let call = cluster.ring('a', Callee::Peer(id('b'))).unwrap();
        assert_eq!(cluster.rung('b'), call);
        // Something with a number, so that it may be resumed.
        cluster.tells('b', "0");
        for _ in 0..10 {
            cluster.step();
        }
        let last = cluster.last('a');
        let waiter = cluster.begins_to_move('a', 1, Some(last));
        for _ in 0..pause {
            cluster.step();
        }
        cluster.say('b', ClientMessage::Accept { call: call.clone() });
        cluster.may_arrive(1, waiter);
        cluster.moved.insert('a', 1);
        cluster.world('a').hello('a', Some(last));
        cluster.until('a', |message| match message {
            M::Accepted { call: taken } => (*taken == call).then_some(()),
            _ => None,
        });
        cluster.say('a', ClientMessage::HangUp { call: call.clone() });
        cluster.hung_up('b', &call);
    }
}

#[test]
fn who_is_put_out_or_muted_while_it_moves_is() {
    for pause in 0..8 {
        for (to, kick) in [(1, true), (2, true), (2, false)] {
            let mut cluster = Cluster::with_room("bad");
            let last = cluster.last('a');
            let waiter = cluster.begins_to_move('a', to, Some(last));
            for _ in 0..pause {
                cluster.step();
            }
            let (room, peer) = (named(0), id('a'));
            cluster.say(
                'b',
                match kick {
                    true => ClientMessage::Kick {
                        room,
                        peer,
                        reason: None,
                    },
                    false => ClientMessage::Mute {
                        room,
                        peer,
                        kind: Kind::Audio,
                    },
                },
            );
            cluster.may_arrive(to, waiter);
            cluster.moved.insert('a', to);
            cluster.world('a').hello('a', Some(last));
            for _ in 0..10 {
                cluster.step();
            }
            let told = cluster.world('a').read('a');
            let heard = told.iter().filter(|message| match message {
                M::Kicked { .. } => kick,
                M::Muted { .. } => !kick,
                _ => false,
            });
            assert_eq!(heard.count(), 1, "after {pause} to {to}: {told:?}");
        }
    }
}

#[test]
fn a_node_that_drains_sends_everybody_on_and_keeps_their_sessions_until_they_are_fetched() {
    let mut cluster = Cluster::with_room("abd");
    let lasts = [cluster.last('a'), cluster.last('d')];
    cluster.world('b').read('b');
    let mut out = Vec::new();
    cluster.nodes[0].world.hub.drain(&mut out);
    cluster.nodes[0].world.perform(out);
    let told = cluster.world('a').read('a');
    assert!(matches!(told[..], [M::GoAway { .. }]), "{told:?}");
    for _ in 0..20 {
        cluster.step();
    }
    assert!(cluster.moves('a', 1, Some(lasts[0])).0);
    assert!(cluster.moves('d', 2, Some(lasts[1])).0);
    cluster.tells('a', "1");
    for who in ['b', 'd'] {
        cluster.hears(who, "1");
    }
    assert!(!cluster.nodes[0].world.hub.drained(), "g was in no room");
    for _ in 0..400 {
        cluster.step();
    }
    assert!(cluster.nodes[0].world.hub.drained());
}

#[test]
fn a_peer_of_a_dead_node_waits_shortly_and_begins_anew() {
    let mut cluster = Cluster::with_room("ab");
    let last = cluster.last('a');
    cluster.dead.insert(0);
    let before = cluster.now;
    let (resumed, _) = cluster.moves('a', 2, Some(last));
    assert!(!resumed);
    assert!(cluster.now - before < Duration::from_secs(3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn two_nodes_never_both_give_a_name_and_no_call_rings_for_ever(
        acts in proptest::collection::vec((0..PEERS.len(), 0..PEERS.len(), 0..5u8, 1..12u32), 1..40),
        seed in any::<u64>(),
    ) {
        let mut cluster = Cluster::new(seed);
        for (peer, other, what, steps) in acts {
            let who = letter(peer);
            match what {
                0 | 1 => cluster.say(who, ClientMessage::Register { name: name(&format!("n{}", other % 2)) }),
                2 => cluster.act(Act::Again(peer)),
                3 => cluster.say(who, ClientMessage::Ring { whom: Callee::Peer(id(letter(other))), room: room("r") }),
                _ => cluster.say(who, ClientMessage::Ring { whom: Callee::Name(name(&format!("n{}", other % 2))), room: room("r") }),
            }
            cluster.act(Act::Pass(steps));
            let held: Vec<Name> = cluster.nodes.iter().flat_map(|node| node.world.hub.names_held()).collect();
            let different: std::collections::HashSet<&Name> = held.iter().collect();
            prop_assert_eq!(held.len(), different.len(), "{:?}", held);
        }
        cluster.calm = true;
        for _ in 0..1_000 {
            cluster.step();
        }
        for node in &cluster.nodes {
            prop_assert!(node.world.hub.calls.is_empty());
        }
    }
}
