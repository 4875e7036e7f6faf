//! Several hubs on virtual time, around a broker that delays, loses, repeats, forgets and is cut off.

mod agreement;
mod calls;
mod moves;
mod regions;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::cluster::NodeId;
use crate::cluster::links::Links;
use crate::cluster::reach::Reach;
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
    /// By region.
    reach: Vec<Reach>,
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
            reach: regions.all().map(|_| Reach::new(now, LEASE)).collect(),
            regions: regions.clone(),
        }
    }

    /// Whether what is said to it cannot come, so that it takes no part in this region.
    fn is_deaf(&self, region: Region, now: Instant) -> bool {
        let own = self.regions.own();
        region != own && self.reach[own.index()].is_silent(now)
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
    /// Nodes that do not reach these brokers.
    without: BTreeSet<(usize, Region)>,
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
            without: BTreeSet::new(),
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
        let severed = self.severed > 0 && node.regions.own() != region;
        node.cut == 0 && !severed && !self.without.contains(&(at, region))
    }

    /// Who lives, as the brokers that are reached say.
    fn tell_who_lives(&mut self, at: usize) {
        let now = self.now;
        for region in self.nodes[at].regions.all() {
            let mut out = Vec::new();
            let reaches = self.reaches(at, region);
            let reach = &mut self.nodes[at].reach[region.index()];
            if reaches {
                reach.answers(now);
            } else {
                reach.fails("away");
            }
            let deaf = self.nodes[at].is_deaf(region, now);
            let own = self.nodes[at].regions.own() == region;
            let reach = &mut self.nodes[at].reach[region.index()];
            let cuts = !own && reach.cuts(now, deaf);
            if reaches && !deaf {
                reach.meets();
                let living = (0..NODES).filter(|at| !self.dead.contains(at));
                let living = living.map(|at| self.nodes[at].id);
                let regions = &self.nodes[at].regions;
                let living = living.filter(|node| regions.of(*node) == Some(region));
                let living: Vec<NodeId> = living.collect();
                let node = &mut self.nodes[at];
                node.world.hub.alive(now, region, living, &mut out);
            } else if cuts {
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
            let gives = matches!(wish, Wish::Claim(..) | Wish::Name(..));
            if gives && node.is_deaf(region, now) {
                let mut out = Vec::new();
                node.world.hub.refused(now, wish, &mut out);
                node.world.perform(out);
                continue;
            }
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
            wanted.extend(node.world.hub.rooms_held().cloned());
            let names: Vec<Name> = node.world.hub.names_held().cloned().collect();
            for name in names {
                let region = node.regions.home(name.as_str());
                if node.is_deaf(region, now) {
                    continue;
                }
                let request = node.world.hub.name_held(&name);
                let ask = request.map(|request| Ask::Keep(name, request));
                node.asks.extend(ask.map(|ask| (way(region), region, ask)));
            }
            self.tell_who_lives(at);
        }
        let node = &mut self.nodes[at];
        for room in wanted {
            let region = node.regions.home(room.as_str());
            let sync = node.world.hub.held(&room);
            if let Some(sync) = sync.filter(|_| !node.is_deaf(region, now)) {
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
                Ask::Other(request) => {
                    if answer(request.clone()).is_none() {
                        self.nodes[at].world.hub.not_asked(now, request);
                    }
                }
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
            let without = self.without.contains(&(at, region));
            if without || self.severed > 0 && self.nodes[at].regions.own() != region {
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
