//! The hub against a model that is too simple to be wrong, through any sequence of what peers may do.

use std::collections::{BTreeMap, VecDeque};

use super::*;

const PEERS: &str = "abcde";
const ROOMS: usize = 3;

type Who = usize;

#[derive(Clone, Debug)]
enum Act {
    /// Says hello: anew, from the last number that was heard, or from one that is off by so much.
    Hello(Who, Option<i8>),
    Join(Who, usize, Option<u16>),
    Leave(Who, usize),
    Tell(Who, usize, Option<Who>),
    Kick(Who, usize, Who),
    Grant(Who, usize, Who),
    Mute(Who, usize, Who),
    Ring(Who, Who),
    Answer(Who, usize, u8),
    Cut(Who),
    Bye(Who),
    /// A connection that was replaced or ended long ago is reported gone, once more.
    Echo(Who),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let who = || 0..PEERS.len();
    let room = || 0..ROOMS;
    prop_oneof![
        3 => (who(), proptest::option::weighted(0.7, prop_oneof![4 => Just(0i8), 1 => -3..4i8]))
            .prop_map(|(a, b)| Act::Hello(a, b)),
        6 => (who(), room(), proptest::option::of(0..6u16)).prop_map(|(a, b, c)| Act::Join(a, b, c)),
        2 => (who(), room()).prop_map(|(a, b)| Act::Leave(a, b)),
        8 => (who(), room(), proptest::option::of(who())).prop_map(|(a, b, c)| Act::Tell(a, b, c)),
        1 => (who(), room(), who()).prop_map(|(a, b, c)| Act::Kick(a, b, c)),
        1 => (who(), room(), who()).prop_map(|(a, b, c)| Act::Grant(a, b, c)),
        1 => (who(), room(), who()).prop_map(|(a, b, c)| Act::Mute(a, b, c)),
        1 => (who(), who()).prop_map(|(a, b)| Act::Ring(a, b)),
        1 => (who(), 0..4usize, 0..3u8).prop_map(|(a, b, c)| Act::Answer(a, b, c)),
        2 => who().prop_map(Act::Cut),
        1 => who().prop_map(Act::Bye),
        1 => who().prop_map(Act::Echo),
        2 => (0..40u64).prop_map(Act::Pass),
    ]
}

/// One peer as it sees itself.
#[derive(Default)]
struct View {
    /// Whether the server knows it, connected or not.
    known: bool,
    connected: bool,
    lost_at: Option<Instant>,
    /// The last number that it heard.
    heard: u64,
    /// What was said to it and not yet heard, in order.
    due: VecDeque<u64>,
    /// Calls that it was told of.
    calls: Vec<rtc_protocol::CallId>,
}

#[derive(Default)]
struct Inside {
    capacity: usize,
    members: Vec<(Who, bool)>,
    /// Who was put out, and when.
    out: BTreeMap<Who, Instant>,
}

struct Model {
    world: World,
    peers: Vec<View>,
    rooms: BTreeMap<usize, Inside>,
    said: u64,
}

fn letter(who: Who) -> char {
    char::from(PEERS.as_bytes()[who])
}

fn named(number: usize) -> RoomId {
    room(&number.to_string())
}

impl Model {
    fn new() -> Self {
        Self {
            world: World::new(),
            peers: PEERS.chars().map(|_| View::default()).collect(),
            rooms: BTreeMap::new(),
            said: 0,
        }
    }

    fn is_in(&self, who: Who, room: usize) -> bool {
        self.rooms
            .get(&room)
            .is_some_and(|inside| inside.members.iter().any(|(one, _)| *one == who))
    }

    fn moderates(&self, who: Who, room: usize) -> bool {
        self.rooms
            .get(&room)
            .is_some_and(|inside| inside.members.contains(&(who, true)))
    }

    fn goes_out(&mut self, who: Who, room: usize) {
        let Some(inside) = self.rooms.get_mut(&room) else {
            return;
        };
        inside.members.retain(|(one, _)| *one != who);
        if inside.members.is_empty() {
            self.rooms.remove(&room);
        } else if !inside.members.iter().any(|(_, moderates)| *moderates) {
            inside.members[0].1 = true;
        }
    }

    fn ends(&mut self, who: Who) {
        for room in 0..ROOMS {
            self.goes_out(who, room);
        }
        self.peers[who] = View::default();
    }

    fn act(&mut self, act: Act) {
        let says = match &act {
            Act::Join(who, ..)
            | Act::Leave(who, ..)
            | Act::Tell(who, ..)
            | Act::Kick(who, ..)
            | Act::Grant(who, ..)
            | Act::Mute(who, ..)
            | Act::Ring(who, ..)
            | Act::Answer(who, ..)
            | Act::Cut(who)
            | Act::Bye(who) => Some(*who),
            _ => None,
        };
        if says.is_some_and(|who| !self.peers[who].connected) {
            return;
        }
        match act {
            Act::Hello(who, last) => self.hello(who, last),
            Act::Join(who, number, capacity) => {
                let rooms = (0..ROOMS).filter(|room| self.is_in(who, *room)).count();
                let full = self
                    .rooms
                    .get(&number)
                    .is_some_and(|inside| inside.members.len() >= inside.capacity);
                let pause = Duration::from_millis(rtc_protocol::limits::PUT_OUT_MS);
                let out = self.rooms.get(&number).is_some_and(|inside| {
                    let at = inside.out.get(&who);
                    at.is_some_and(|at| self.world.now.duration_since(*at) < pause)
                });
                if !self.is_in(who, number) && !full && !out && rooms < 2 {
                    let inside = self.rooms.entry(number).or_insert_with(|| Inside {
                        capacity: capacity.unwrap_or(3).clamp(1, 4).into(),
                        ..Inside::default()
                    });
                    let first = inside.members.is_empty();
                    inside.members.push((who, first));
                }
                self.world
                    .join_with(letter(who), &number.to_string(), capacity);
            }
            Act::Leave(who, number) => {
                if self.is_in(who, number) {
                    self.goes_out(who, number);
                }
                let room = named(number);
                self.world.say(letter(who), ClientMessage::Leave { room });
            }
            Act::Tell(who, number, to) => {
                self.said += 1;
                for other in 0..PEERS.len() {
                    let meant = to.is_none_or(|to| to == other) && other != who;
                    if meant && self.is_in(who, number) && self.is_in(other, number) {
                        self.peers[other].due.push_back(self.said);
                    }
                }
                let data = rtc_protocol::Raw::parse(&self.said.to_string()).unwrap();
                let (room, to) = (named(number), to.map(|to| id(letter(to))));
                let message = ClientMessage::Message { room, to, data };
                self.world.say(letter(who), message);
            }
            Act::Kick(who, number, whom) => {
                if self.moderates(who, number) && self.is_in(whom, number) && who != whom {
                    self.goes_out(whom, number);
                    if let Some(inside) = self.rooms.get_mut(&number) {
                        inside.out.insert(whom, self.world.now);
                    }
                }
                let (room, peer) = (named(number), id(letter(whom)));
                let reason = None;
                let kick = ClientMessage::Kick { room, peer, reason };
                self.world.say(letter(who), kick);
            }
            Act::Grant(who, number, whom) => {
                if self.moderates(who, number)
                    && let Some(inside) = self.rooms.get_mut(&number)
                {
                    for member in &mut inside.members {
                        member.1 |= member.0 == whom;
                    }
                }
                let (room, peer, right) = (named(number), id(letter(whom)), Right::Moderator);
                let grant = ClientMessage::Grant { room, peer, right };
                self.world.say(letter(who), grant);
            }
            Act::Mute(who, number, whose) => {
                let (room, peer, kind) = (named(number), id(letter(whose)), Kind::Audio);
                let mute = ClientMessage::Mute { room, peer, kind };
                self.world.say(letter(who), mute);
            }
            Act::Ring(who, whom) => {
                let whom = Callee::Peer(id(letter(whom)));
                let ring = ClientMessage::Ring {
                    whom,
                    room: named(0),
                };
                self.world.say(letter(who), ring);
            }
            Act::Answer(who, which, how) => {
                let Some(call) = self.peers[who].calls.get(which).cloned() else {
                    return;
                };
                let answer = match how {
                    0 => ClientMessage::Accept { call },
                    1 => ClientMessage::Refuse {
                        call,
                        code: None,
                        reason: None,
                    },
                    _ => ClientMessage::HangUp { call },
                };
                self.world.say(letter(who), answer);
            }
            Act::Cut(who) => {
                self.peers[who].connected = false;
                self.peers[who].lost_at = Some(self.world.now);
                self.world.gone(letter(who), false);
            }
            Act::Bye(who) => {
                self.ends(who);
                self.world.gone(letter(who), true);
            }
            Act::Echo(who) => {
                let mut out = Vec::new();
                let (now, old) = (self.world.now, ConnectionId(u64::MAX));
                let hub = &mut self.world.hub;
                hub.gone(now, id(letter(who)), old, true, &mut out);
                assert!(out.is_empty());
            }
            Act::Pass(seconds) => {
                self.world.pass(seconds);
                for who in 0..PEERS.len() {
                    let lost = self.peers[who].lost_at;
                    let window = Duration::from_secs(30);
                    if lost.is_some_and(|at| self.world.now.duration_since(at) >= window) {
                        self.ends(who);
                    }
                }
            }
        }
        self.hear();
        self.check();
    }

    fn hello(&mut self, who: Who, last: Option<i8>) {
        let heard = self.peers[who].heard;
        let last = last.map(|off| heard.saturating_add_signed(off.into()));
        let old = self.world.links.get(&letter(who)).copied();
        let was_connected = self.peers[who].connected;
        let link = self.world.hello(letter(who), last);
        if was_connected {
            let closed = old.and_then(|old| self.world.closed.get(&old));
            assert_eq!(closed, Some(&close::TAKEN_OVER));
        }
        let sent = self.world.sent.get(&link).unwrap();
        let M::Welcome { resumed, .. } = sent[0].message else {
            panic!("{:?}", sent[0])
        };
        if resumed {
            assert!(self.peers[who].known, "only what was there is resumed");
            let last = last.unwrap();
            // Who asks for what it has heard already is sent it again; who skips, skips.
            if last != heard {
                self.peers[who].due.clear();
                let again = sent.iter().filter_map(|frame| match &frame.message {
                    M::Message { data, .. } => Some(data.get().parse().unwrap()),
                    _ => None,
                });
                self.peers[who].due = again.collect();
                self.peers[who].heard = last;
            }
        } else if self.peers[who].known {
            self.ends(who);
        }
        self.peers[who].known = true;
        self.peers[who].connected = true;
        self.peers[who].lost_at = None;
    }

    /// Everybody reads everything that was sent to its connection.
    fn hear(&mut self) {
        for who in 0..PEERS.len() {
            if !self.peers[who].connected {
                continue;
            }
            for frame in self.world.frames(letter(who)) {
                let peer = &mut self.peers[who];
                if let Some(seq) = frame.seq {
                    assert_eq!(seq, peer.heard + 1, "no gap, no repetition: {frame:?}");
                    peer.heard = seq;
                }
                match frame.message {
                    M::Message { data, .. } => {
                        let data: u64 = data.get().parse().unwrap();
                        assert_eq!(peer.due.pop_front(), Some(data), "for {}", letter(who));
                    }
                    M::Ring { call, .. } | M::Ringing { call } => {
                        peer.calls.insert(0, call);
                        peer.calls.truncate(4);
                    }
                    _ => {}
                }
            }
            assert!(
                self.peers[who].due.is_empty(),
                "{} missed something",
                letter(who)
            );
        }
    }

    fn check(&self) {
        let hub = &self.world.hub;
        assert_eq!(hub.rooms.len(), self.rooms.len(), "empty rooms are gone");
        for (number, inside) in &self.rooms {
            let room = hub.rooms.get(&named(*number)).unwrap();
            let members = room.members();
            let members: Vec<_> = members
                .iter()
                .map(|member| (member.peer, member.role == Role::Moderator))
                .collect();
            let modelled: Vec<_> = inside
                .members
                .iter()
                .map(|(who, moderates)| (id(letter(*who)), *moderates))
                .collect();
            assert_eq!(members, modelled, "room {number}");
            assert!(members.len() <= usize::from(room.capacity()));
        }
        let known = self.peers.iter().filter(|peer| peer.known).count();
        assert_eq!(hub.counts().sessions, known);
        for session in hub.sessions.values() {
            for room in session.rooms() {
                assert!(
                    hub.rooms.contains_key(&room),
                    "no session is in a room that is not"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_peers_do_the_hub_does_what_the_model_does(
        acts in proptest::collection::vec(act(), 1..120),
    ) {
        let mut model = Model::new();
        for act in acts {
            model.act(act);
        }
        // And when all are gone, nothing is left.
        for who in 0..PEERS.len() {
            model.act(Act::Cut(who));
        }
        model.act(Act::Pass(1_000));
        prop_assert_eq!(model.world.hub.counts(), HubCounts::default());
    }
}
