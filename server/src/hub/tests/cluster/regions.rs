//! Two regions, and a way between them that takes long, is cut, and is there again. `a` and `b` are at the two nodes of one
//! region, `c` is at the one of the other.

use std::cell::RefCell;

use super::*;

/// Steps of the way between them: more than each way in life takes.
const FAR: u32 = 1;

/// Longer than a lease, and as long as an operator would not notice.
const CUT: u32 = 300;

/// Of every room here.
const PLACES: u16 = 4;

fn calm() -> Cluster {
    Cluster::of_two_regions(1, FAR).calmed()
}

impl Cluster {
    fn enters(&mut self, who: char, name: &str) -> Result<usize, ErrorCode> {
        let join = ClientMessage::Join {
            room: room(name),
            name: None,
            capacity: Some(PLACES),
        };
        self.say(who, join);
        self.until(who, |message| match message {
            M::Joined { members, .. } => Some(Ok(members.len())),
            M::Error { code, .. } => Some(Err(*code)),
            _ => None,
        })
    }

    fn says_to(&mut self, who: char, name: &str, to: Option<char>, text: &str) {
        let message = ClientMessage::Message {
            room: room(name),
            to: to.map(id),
            data: Raw::parse(text).unwrap(),
        };
        self.say(who, message);
    }

    fn is_told(&mut self, who: char, text: &str) {
        self.until(who, |message| match message {
            M::Message { data, .. } => (data.get() == text).then_some(()),
            _ => None,
        });
    }

    /// Reads on until these have gone, and nobody else has.
    fn loses(&mut self, who: char, whom: &[char]) {
        let left = RefCell::new(whom.iter().copied().map(id).collect::<BTreeSet<_>>());
        self.until(who, |message| {
            if let M::PeerLeft { peer, reason, .. } = message {
                assert!(left.borrow_mut().remove(peer), "{who} lost {peer}");
                assert_eq!(*reason, LeaveReason::Lost);
            }
            left.borrow().is_empty().then_some(())
        });
    }

    fn sees_again(&mut self, who: char, whom: &[char]) {
        let absent = RefCell::new(whom.iter().copied().map(id).collect::<BTreeSet<_>>());
        self.until(who, |message| {
            if let M::PeerJoined { member, .. } = message {
                assert!(absent.borrow_mut().remove(&member.peer));
            }
            absent.borrow().is_empty().then_some(())
        });
    }

    /// Somebody comes to this peer; gives the number of the last thing that it was told then.
    fn has_company(&mut self, who: char, name: &str) -> u64 {
        let other = if who == 'h' { 'i' } else { 'h' };
        self.enters(other, name).unwrap();
        for _ in 0..20 {
            self.step();
        }
        self.last(who)
    }

    fn mended(&mut self) {
        self.severed = 0;
    }
}

#[test]
fn members_across_a_cut_are_lost_and_come_back_while_a_region_talks_on() {
    for name in ["r@a", "r@b"] {
        let mut cluster = calm();
        for (before, who) in "abcf".chars().enumerate() {
            assert_eq!(cluster.enters(who, name), Ok(before));
        }
        for who in "abcf".chars() {
            cluster.step();
            cluster.world(who).read(who);
        }
        for _ in 0..20 {
            cluster.step();
        }
        cluster.act(Act::Sever(CUT));
        // In a region it is as it was, at once and after its end.
        for text in ["1", "2"] {
            cluster.says_to('a', name, None, text);
            cluster.is_told('b', text);
            cluster.says_to('c', name, None, text);
            cluster.is_told('f', text);
            if text == "1" {
                cluster.loses('a', &['c', 'f']);
                cluster.loses('b', &['c', 'f']);
                cluster.loses('c', &['a', 'b']);
                cluster.loses('f', &['a', 'b']);
            }
        }
        cluster.says_to('a', name, Some('c'), "3");
        cluster.until('a', |message| match message {
            // Others are told of what was said before.
            M::Error { code, .. } => (*code == ErrorCode::NoSuchPeer).then_some(()),
            _ => None,
        });
        cluster.mended();
        cluster.sees_again('a', &['c', 'f']);
        cluster.sees_again('b', &['c', 'f']);
        cluster.sees_again('c', &['a', 'b']);
        cluster.sees_again('f', &['a', 'b']);
        cluster.says_to('a', name, Some('c'), "4");
        cluster.is_told('c', "4");
        cluster.says_to('f', name, None, "5");
        for who in "abc".chars() {
            cluster.is_told(who, "5");
        }
    }
}

#[test]
fn a_short_cut_is_seen_by_nobody() {
    let mut cluster = calm();
    for who in "abc".chars() {
        cluster.enters(who, "r@b").unwrap();
    }
    // Until what each was told of the others' roles has been renewed twice.
    for _ in 0..100 {
        cluster.step();
    }
    for who in "abc".chars() {
        cluster.world(who).read(who);
    }
    cluster.act(Act::Sever(40));
    cluster.says_to('a', "r@b", Some('c'), "1");
    cluster.is_told('c', "1");
    for _ in 0..300 {
        cluster.step();
    }
    for who in "bc".chars() {
        assert_eq!(cluster.world(who).read(who), []);
    }
}

#[test]
fn who_was_told_nothing_of_a_word_across_a_cut_is_told_to_say_it_again() {
    let mut cluster = calm();
    for who in "ac".chars() {
        cluster.enters(who, "r@a").unwrap();
    }
    for _ in 0..20 {
        cluster.step();
    }
    cluster.act(Act::Sever(CUT));
    cluster.says_to('a', "r@a", Some('c'), "1");
    cluster.until('a', |message| match message {
        M::Error { code, .. } => (*code == ErrorCode::TryLater).then_some(()),
        _ => None,
    });
}

#[test]
fn a_room_is_entered_in_its_own_region_during_a_cut_and_in_another_after_it() {
    let mut cluster = calm();
    cluster.act(Act::Sever(CUT));
    assert_eq!(cluster.enters('a', "r@a"), Ok(0));
    assert_eq!(cluster.enters('b', "r@a"), Ok(1));
    assert_eq!(cluster.enters('c', "r@b"), Ok(0));
    assert_eq!(cluster.enters('c', "r@a"), Err(ErrorCode::TryLater));
    assert_eq!(cluster.enters('a', "r@b"), Err(ErrorCode::TryLater));
    assert_eq!(cluster.register('a', "ann@a"), None);
    assert_eq!(cluster.register('c', "ann@a"), Some(ErrorCode::TryLater));
    cluster.mended();
    assert_eq!(cluster.enters('c', "r@a"), Ok(2));
    assert_eq!(cluster.enters('a', "r@b"), Ok(1));
    assert_eq!(cluster.register('c', "ann@a"), Some(ErrorCode::NameTaken));
}

#[test]
fn a_place_that_was_given_away_during_a_cut_is_not_given_twice() {
    let mut cluster = calm();
    for who in "abce".chars() {
        cluster.enters(who, "r@a").unwrap();
    }
    cluster.act(Act::Sever(CUT));
    assert_eq!(cluster.enters('d', "r@a"), Err(ErrorCode::RoomFull));
    cluster.loses('a', &['c']);
    // Its seat may run out a moment later.
    for _ in 0..100 {
        cluster.step();
    }
    assert_eq!(cluster.enters('d', "r@a"), Ok(3));
    cluster.mended();
    cluster.until('c', |message| {
        matches!(message, M::Kicked { .. }).then_some(())
    });
    assert_eq!(cluster.inside(&room("r@a")).len(), usize::from(PLACES));
}

#[test]
fn a_session_moves_within_its_region_during_a_cut_wherever_its_peer_has_its_home() {
    let homes: BTreeSet<Region> = "abdeg"
        .chars()
        .map(|who| calm().nodes[0].regions.home(id(who).as_str()))
        .collect();
    assert_eq!(homes.len(), 2);
    for who in "abdeg".chars() {
        let mut cluster = calm();
        cluster.enters(who, "r@a").unwrap();
        let last = cluster.has_company(who, "r@a");
        cluster.act(Act::Sever(CUT));
        let at = PEERS.find(who).unwrap() % NODES;
        assert!(cluster.moves(who, 1 - at, Some(last)).0, "{who}");
    }
}

#[test]
fn a_session_moves_to_another_region_and_back() {
    for who in "abcdefghi".chars() {
        let mut cluster = calm();
        cluster.enters(who, "r@a").unwrap();
        let last = cluster.has_company(who, "r@a");
        let begun = PEERS.find(who).unwrap() % NODES;
        for to in [(begun + 1) % NODES, (begun + 2) % NODES, begun, 2, 0, 1] {
            if cluster.moved.get(&who).copied().unwrap_or(begun) == to {
                continue;
            }
            let (resumed, _) = cluster.moves(who, to, Some(last));
            let knows = cluster
                .nodes
                .iter()
                .map(|node| node.world.hub.knows(id(who)));
            assert!(
                resumed,
                "{who} to {to}: {:?}, home {:?}, had {last}",
                knows.collect::<Vec<_>>(),
                cluster.nodes[0].regions.home(id(who).as_str())
            );
            for _ in 0..20 {
                cluster.step();
            }
        }
        assert_eq!(cluster.inside(&room("r@a")).len(), 2);
    }
}

#[test]
fn a_call_rings_across_regions_by_name_and_by_id() {
    let mut cluster = calm();
    assert_eq!(cluster.register('b', "bob"), None);
    for whom in [Callee::Name(name("bob")), Callee::Peer(id('b'))] {
        let call = cluster.ring('c', whom).unwrap();
        assert_eq!(cluster.rung('b'), call);
        cluster.say('c', ClientMessage::HangUp { call: call.clone() });
        cluster.hung_up('b', &call);
    }
}

#[test]
fn during_a_cut_who_is_near_is_rung_and_a_call_that_was_taken_goes_on() {
    let mut cluster = calm();
    let call = cluster.ring('c', Callee::Peer(id('a'))).unwrap();
    assert_eq!(cluster.rung('a'), call);
    cluster.say('a', ClientMessage::Accept { call: call.clone() });
    cluster.until('c', |message| {
        matches!(message, M::Accepted { .. }).then_some(())
    });
    cluster.act(Act::Sever(CUT));
    for _ in 0..200 {
        cluster.step();
    }
    for who in "de".chars() {
        let near = if who == 'd' { 'e' } else { 'd' };
        let call = cluster.ring(who, Callee::Peer(id(near))).unwrap();
        cluster.say(who, ClientMessage::HangUp { call });
    }
    cluster.mended();
    for _ in 0..200 {
        cluster.step();
    }
    for who in ['a', 'c'] {
        let ended = |message: &M| matches!(message, M::HungUp { call: one } if *one == call);
        assert!(!cluster.world(who).read(who).iter().any(ended));
    }
    cluster.say('c', ClientMessage::HangUp { call: call.clone() });
    cluster.hung_up('a', &call);
}

#[test]
fn what_is_not_known_of_another_region_is_asked_there_and_missing_in_lists() {
    let mut cluster = Cluster::of_two_regions(1, FAR);
    let (now, there) = (cluster.now, cluster.nodes[2].id);
    let far = cluster.nodes[2].regions.own();
    let node = &mut cluster.nodes[0];
    let (own, mut out) = (node.regions.own(), Vec::new());
    let hub = &mut node.world.hub;
    let waits =
        |hub: &mut Hub, who, waiter| hub.fetch(now, id(who), (1, Some(there)), Some(1), waiter);
    let partial = |hub: &mut Hub, waiter| {
        hub.survey(now, None, 10, waiter, &mut Vec::new());
        hub.surveyed(waiter).partial
    };
    hub.alive(now, own, Vec::new(), &mut out);
    assert!(waits(hub, 'a', 1), "its server may live");
    assert!(partial(hub, 2));
    hub.cut_off(now, far, &mut out);
    assert!(!waits(hub, 'b', 3));
    assert!(partial(hub, 4));
    hub.alive(now, far, Vec::new(), &mut out);
    assert!(!waits(hub, 'd', 5), "it does not");
    assert!(!partial(hub, 6));
}

#[test]
fn who_drains_sends_calls_on_within_its_region_and_to_another_only_where_it_knows_an_address() {
    for (at, address, sent) in [
        (0, None, true),
        (2, None, false),
        (2, Some("wss://h"), true),
    ] {
        let mut cluster = calm();
        for who in "ac".chars() {
            cluster.enters(who, "r@a").unwrap();
        }
        for _ in 0..20 {
            cluster.step();
        }
        let world = &mut cluster.nodes[at].world;
        world.hub.config.away_url = address.map(str::to_owned);
        let mut out = Vec::new();
        world.hub.drain(&mut out);
        world.perform(out);
        let who = PEERS.chars().nth(at).unwrap();
        let away = |message: &M| matches!(message, M::GoAway { .. });
        assert_eq!(world.read(who).iter().any(away), sent, "{who} {address:?}");
    }
}

/// What a peer is told of who moderates, as somebody who comes would be.
fn moderators(cluster: &Cluster, at: usize, name: &str) -> BTreeSet<PeerId> {
    let rooms = cluster.nodes[at].world.hub.rooms(cluster.now, None, 10);
    let rooms = rooms.into_iter().filter(|report| report.room == room(name));
    let members = rooms.flat_map(|report| report.members);
    let moderators = members.filter(|member| member.role == Role::Moderator);
    moderators.map(|member| member.peer).collect()
}

#[test]
fn a_peer_that_begins_anew_beyond_a_cut_has_its_seat_when_the_way_is_back() {
    for who in "abde".chars() {
        let mut cluster = calm();
        cluster.enters(who, "r@a").unwrap();
        let last = cluster.has_company(who, "r@a");
        cluster.act(Act::Sever(CUT));
        let begun = PEERS.find(who).unwrap() % NODES;
        let before = cluster.nodes[begun].world.links[&who];
        assert!(!cluster.moves(who, 2, Some(last)).0, "{who}");
        cluster.mended();
        assert_eq!(cluster.enters(who, "r@a"), Ok(1), "the other one's");
        for _ in 0..100 {
            cluster.step();
        }
        let closed = cluster.nodes[begun].world.closed.get(&before);
        assert_eq!(closed, Some(&close::TAKEN_OVER), "{who}");
        assert!(!cluster.nodes[begun].world.hub.knows(id(who)));
        assert_eq!(cluster.inside(&room("r@a")).len(), 2);
    }
}

#[test]
fn who_moved_during_a_cut_has_one_session_after_it_wherever_it_goes() {
    for who in "abdeg".chars() {
        let mut cluster = calm();
        cluster.enters(who, "r@a").unwrap();
        let last = cluster.has_company(who, "r@a");
        cluster.act(Act::Sever(CUT));
        let near = 1 - PEERS.find(who).unwrap() % NODES;
        assert!(cluster.moves(who, near, Some(last)).0, "{who}");
        for _ in 0..200 {
            cluster.step();
        }
        cluster.mended();
        cluster.moves(who, 2, Some(last));
        cluster.enters(who, "r@a").unwrap();
        for _ in 0..100 {
            cluster.step();
        }
        let knows = cluster.nodes.iter().map(|node| &node.world.hub);
        let knows: Vec<bool> = knows.map(|hub| hub.knows(id(who))).collect();
        assert_eq!(knows, [false, false, true], "{who}");
        assert_eq!(cluster.inside(&room("r@a")).len(), 2);
    }
}

#[test]
fn a_name_that_was_given_away_during_a_cut_is_not_two_peers_after_it() {
    let mut cluster = calm();
    assert_eq!(cluster.register('c', "ann@a"), None);
    cluster.act(Act::Sever(CUT));
    assert_eq!(cluster.register('a', "ann@a"), Some(ErrorCode::NameTaken));
    for _ in 0..150 {
        cluster.step();
    }
    assert_eq!(cluster.register('a', "ann@a"), None);
    cluster.mended();
    cluster.until('c', |message| match message {
        M::Error { code, .. } => (*code == ErrorCode::NameTaken).then_some(()),
        _ => None,
    });
    let call = cluster.ring('c', Callee::Name(name("ann@a"))).unwrap();
    assert_eq!(cluster.rung('a'), call);
}

#[test]
fn who_is_beyond_a_cut_cannot_be_rung() {
    let mut cluster = calm();
    assert_eq!(cluster.register('c', "cyd@b"), None);
    cluster.act(Act::Sever(CUT));
    // Until it is known.
    for _ in 0..200 {
        cluster.step();
    }
    for whom in [Callee::Name(name("cyd@b")), Callee::Peer(id('c'))] {
        assert_eq!(cluster.ring('a', whom), Err(ErrorCode::NoSuchPeer));
    }
}

#[test]
fn both_sides_of_a_cut_are_moderated_and_both_moderate_after_it() {
    let mut cluster = calm();
    for who in "abcf".chars() {
        cluster.enters(who, "r@b").unwrap();
    }
    for _ in 0..20 {
        cluster.step();
    }
    assert_eq!(moderators(&cluster, 2, "r@b"), [id('a')].into());
    cluster.act(Act::Sever(CUT));
    for _ in 0..200 {
        cluster.step();
    }
    assert_eq!(moderators(&cluster, 1, "r@b"), [id('a')].into());
    assert_eq!(moderators(&cluster, 2, "r@b"), [id('c')].into());
    cluster.mended();
    for _ in 0..200 {
        cluster.step();
    }
    for at in 0..NODES {
        let both = [id('a'), id('c')].into();
        assert_eq!(moderators(&cluster, at, "r@b"), both, "at {at}");
    }
}

impl Cluster {
    /// A call from one to the other that was taken.
    fn call_is_held(&mut self, who: char, whom: char) -> CallId {
        let call = self.ring(who, Callee::Peer(id(whom))).unwrap();
        assert_eq!(self.rung(whom), call);
        self.say(whom, ClientMessage::Accept { call: call.clone() });
        self.until(who, |message| {
            matches!(message, M::Accepted { .. }).then_some(())
        });
        call
    }

    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.step();
        }
    }

    fn hangs_up(&mut self, who: char, call: &CallId) {
        let call = call.clone();
        self.say(who, ClientMessage::HangUp { call });
    }

    /// Nobody has a call.
    fn is_silent(&self) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.all(|node| node.world.hub.calls.is_empty())
    }
}

#[test]
fn a_call_that_ended_during_a_cut_is_over_for_the_other_side_when_the_way_is_back() {
    for (caller, callee) in [('a', 'c'), ('c', 'a')] {
        for ends in [caller, callee] {
            let mut cluster = calm();
            let call = cluster.call_is_held(caller, callee);
            cluster.act(Act::Sever(CUT));
            cluster.steps(150);
            cluster.hangs_up(ends, &call);
            // Until nothing of it is on its way any more.
            cluster.steps(140);
            assert!(!cluster.is_silent());
            cluster.mended();
            let other = if ends == caller { callee } else { caller };
            cluster.hung_up(other, &call);
            assert!(cluster.is_silent());
        }
    }
}

#[test]
fn a_call_whose_sides_moved_during_a_cut_goes_on_when_the_way_is_back() {
    for ends in ['a', 'c'] {
        let mut cluster = calm();
        cluster.enters('a', "r@a").unwrap();
        let call = cluster.call_is_held('c', 'a');
        let last = cluster.has_company('a', "r@a");
        cluster.act(Act::Sever(CUT));
        cluster.steps(120);
        assert!(cluster.moves('a', 1, Some(last)).0);
        cluster.steps(140);
        cluster.mended();
        cluster.steps(200);
        for who in ['a', 'c'] {
            let over = |message: &M| matches!(message, M::HungUp { .. });
            assert!(!cluster.world(who).read(who).iter().any(over), "{who}");
        }
        cluster.hangs_up(ends, &call);
        cluster.hung_up(if ends == 'a' { 'c' } else { 'a' }, &call);
        assert!(cluster.is_silent());
    }
}

#[test]
fn a_call_that_moved_and_ended_during_a_cut_is_over_when_the_way_is_back() {
    let mut cluster = calm();
    cluster.enters('a', "r@a").unwrap();
    let call = cluster.call_is_held('c', 'a');
    let last = cluster.has_company('a', "r@a");
    cluster.act(Act::Sever(CUT));
    cluster.steps(120);
    assert!(cluster.moves('a', 1, Some(last)).0);
    cluster.steps(20);
    cluster.hangs_up('a', &call);
    cluster.steps(140);
    cluster.mended();
    cluster.hung_up('c', &call);
    assert!(cluster.is_silent());
}

#[test]
fn a_call_that_was_taken_during_a_cut_is_taken_for_its_caller_when_the_way_is_back() {
    let mut cluster = calm();
    let call = cluster.ring('c', Callee::Peer(id('a'))).unwrap();
    assert_eq!(cluster.rung('a'), call);
    cluster.act(Act::Sever(CUT));
    cluster.steps(10);
    cluster.say('a', ClientMessage::Accept { call: call.clone() });
    cluster.steps(200);
    cluster.mended();
    cluster.until('c', |message| {
        matches!(message, M::Accepted { .. }).then_some(())
    });
    cluster.hangs_up('c', &call);
    cluster.hung_up('a', &call);
}

impl Cluster {
    /// These nodes, of the first region, do not reach its broker.
    fn lose_their_broker(&mut self, nodes: &[usize]) {
        let own = self.nodes[0].regions.own();
        self.without.extend(nodes.iter().map(|at| (*at, own)));
    }

    fn says_nothing_to(&mut self, who: char, name: &str, whom: &[char], text: &str) {
        self.says_to(who, name, None, text);
        self.steps(30);
        for other in whom {
            let hears =
                |message: &M| matches!(message, M::Message { data, .. } if data.get() == text);
            assert!(
                !self.world(*other).read(*other).iter().any(hears),
                "{other}"
            );
        }
    }
}

#[test]
fn members_of_a_region_whose_broker_died_alone_are_lost_to_the_others_and_these_to_them() {
    for name in ["r@a", "r@b"] {
        let mut cluster = calm();
        for who in "acf".chars() {
            cluster.enters(who, name).unwrap();
        }
        cluster.steps(20);
        for who in "acf".chars() {
            cluster.world(who).read(who);
        }
        cluster.lose_their_broker(&[0, 1, 2]);
        cluster.loses('a', &['c', 'f']);
        cluster.loses('c', &['a']);
        cluster.loses('f', &['a']);
        cluster.says_nothing_to('a', name, &['c', 'f'], "1");
        cluster.says_nothing_to('c', name, &['a'], "2");
        assert_eq!(cluster.enters('d', "new@b"), Err(ErrorCode::TryLater));
        // Far longer than seats are held.
        cluster.steps(200);
        cluster.without.clear();
        cluster.sees_again('a', &['c', 'f']);
        cluster.sees_again('c', &['a']);
        cluster.sees_again('f', &['a']);
        cluster.says_to('c', name, Some('a'), "3");
        cluster.is_told('a', "3");
    }
}

#[test]
fn a_node_that_lost_its_own_broker_alone_has_no_seats_elsewhere_before_it_is_back() {
    let mut cluster = calm();
    for who in "abc".chars() {
        cluster.enters(who, "r@b").unwrap();
    }
    cluster.steps(20);
    for who in "abc".chars() {
        cluster.world(who).read(who);
    }
    cluster.lose_their_broker(&[0]);
    cluster.loses('a', &['c']);
    cluster.loses('b', &['a']);
    cluster.loses('c', &['a']);
    cluster.says_nothing_to('a', "r@b", &['c'], "1");
    cluster.without.clear();
    cluster.sees_again('a', &['c']);
    cluster.sees_again('b', &['a']);
    cluster.sees_again('c', &['a']);
    cluster.says_to('b', "r@b", Some('a'), "2");
    cluster.is_told('a', "2");
}

#[test]
fn a_turn_that_was_asked_for_later_is_known_in_the_own_region_as_at_home() {
    let far = |who: &char| {
        let regions = calm().nodes[0].regions.clone();
        regions.home(id(*who).as_str()) != regions.own()
    };
    let peers: Vec<char> = "abdeg".chars().filter(far).collect();
    assert!(!peers.is_empty());
    for who in peers {
        let mut cluster = calm();
        cluster.enters(who, "r@a").unwrap();
        let last = cluster.has_company(who, "r@a");
        let begun = PEERS.find(who).unwrap() % NODES;
        assert!(cluster.moves(who, 1 - begun, Some(last)).0, "{who}");
        cluster.steps(20);
        // It comes back while no broker could say which of its hellos that is.
        cluster.moved.remove(&who);
        cluster.nodes[begun].world.hello(who, Some(last));
        while let Err(code) = cluster.enters(who, "r@a") {
            assert_eq!(code, ErrorCode::TryLater);
        }
        cluster.steps(20);
        let (peer, node, ms) = (id(who), cluster.nodes[begun].id, cluster.ms());
        for ledger in &mut cluster.ledgers {
            let there = ledger.ask(ms, Request::Where { peer });
            assert_eq!(there, Answer::Taken { peer, node }, "{who}");
        }
    }
}

/// Who came and who went, as somebody was told.
fn comings(frames: Vec<ServerFrame>) -> (Vec<PeerId>, Vec<PeerId>) {
    let (mut came, mut went) = (Vec::new(), Vec::new());
    for frame in frames {
        match frame.message {
            M::PeerJoined { member, .. } => came.push(member.peer),
            M::PeerLeft { peer, reason, .. } => {
                assert_eq!(reason, LeaveReason::Lost);
                went.push(peer);
            }
            _ => {}
        }
    }
    (came, went)
}

#[test]
fn who_moves_to_a_node_that_is_cut_off_loses_those_beyond_the_cut_and_who_moves_from_one_sees_them()
{
    // Whether somebody else is there, so that the room is known.
    for inside in ["ac", "abc"] {
        let mut cluster = calm();
        let far = cluster.nodes[2].regions.own();
        for who in inside.chars() {
            cluster.enters(who, "r@a").unwrap();
        }
        cluster.steps(20);
        let last = cluster.last('a');
        cluster.without.insert((1, far));
        cluster.steps(180);
        let (resumed, told) = cluster.moves('a', 1, Some(last));
        assert!(resumed);
        assert_eq!(comings(told), (vec![], vec![id('c')]), "{inside}");
        let seen = cluster.seen(&room("r@a"));
        let own = BTreeSet::from([id('a')]);
        let has_own = |(_, here): &&(BTreeSet<PeerId>, BTreeSet<PeerId>)| here.is_superset(&own);
        assert!(!seen.iter().find(has_own).unwrap().0.contains(&id('c')));
        // And back, to where all can be reached.
        if inside == "abc" {
            cluster.enters('d', "r@a").unwrap();
        }
        cluster.steps(20);
        let last = last + 1 + u64::from(inside == "abc");
        let (resumed, told) = cluster.moves('a', 0, Some(last));
        assert!(resumed);
        let back = if inside == "abc" {
            vec![id('c')]
        } else {
            vec![]
        };
        assert_eq!(comings(told), (back, vec![]), "{inside}");
        cluster.without.clear();
        if inside == "ac" {
            cluster.sees_again('a', &['c']);
        }
        cluster.says_to('a', "r@a", Some('c'), "1");
        cluster.is_told('c', "1");
    }
}

#[test]
fn who_was_put_out_of_a_room_whose_home_is_beyond_a_cut_stays_out_after_it() {
    // With somebody there at the home, and with nobody, so that the broker forgets the room.
    for inside in ["abc", "abd"] {
        let mut cluster = calm();
        for who in inside.chars() {
            cluster.enters(who, "r@b").unwrap();
        }
        cluster.steps(20);
        cluster.act(Act::Sever(CUT));
        cluster.steps(150);
        let kick = ClientMessage::Kick {
            room: room("r@b"),
            peer: id('b'),
            reason: None,
        };
        cluster.say('a', kick);
        cluster.until('b', |message| {
            matches!(message, M::Kicked { .. }).then_some(())
        });
        cluster.steps(100);
        cluster.mended();
        cluster.steps(100);
        // At a server that heard nothing of it.
        cluster.moved.insert('b', 2);
        cluster.nodes[2].world.hello('b', None);
        let entered = cluster.enters('b', "r@b");
        assert_eq!(entered, Err(ErrorCode::NotAllowed), "{inside}");
    }
}
