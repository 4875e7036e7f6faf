//! What a broker must do, held against each: the one in memory, and Redis.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rtc_protocol::{Member, Name, PeerId, Role, RoomId, Token, limits};
use tokio::time::{sleep, timeout};

use super::backplane::memory::{Broker, Memory};
use super::driver::Part;
use super::reach::Deaf;
use super::redis::Redis;
use super::regions::Regions;
use super::seats::{Answer, Claim, Held, Request, Sync};
use super::{Backplane, NodeId, Word};
use crate::hub::Wish;
use crate::metrics::Metrics;
use crate::switchboard::Switchboard;

/// As long as a busy machine may keep a test from renewing.
const LEASE: u64 = 3_000;
const PATIENCE: Duration = Duration::from_secs(30);
const ONE: NodeId = NodeId::new(1);
const TWO: NodeId = NodeId::new(0xfedc_ba98_7654_3210);

/// The two nodes' ways to one broker.
type Planes = [Arc<dyn Backplane>; 2];

fn peer(number: u8) -> PeerId {
    Token::from_random([number; 32]).peer_id()
}

fn member(number: u8) -> Member {
    Member {
        peer: peer(number),
        name: Name::new("an \"odd\" {name} \\ é").unwrap(),
        role: Role::Member,
        muted: Vec::new(),
        dialect: None,
    }
}

fn claim(room: &str, node: NodeId, number: u8, turn: u64) -> Claim {
    Claim {
        room: RoomId::new(room).unwrap(),
        node,
        turn,
        lease: LEASE,
        capacity: 2,
        peer: peer(number),
        member: member(number),
    }
}

/// The answer, when the broker has remembered for long enough to give one.
async fn asked(plane: &dyn Backplane, request: Request) -> Answer {
    timeout(PATIENCE, async {
        loop {
            match plane.ask(request.clone()).await.unwrap() {
                Answer::Wait { ms } => sleep(Duration::from_millis(ms)).await,
                answer => return answer,
            }
        }
    })
    .await
    .unwrap()
}

async fn seated(plane: &dyn Backplane, claim: Claim) -> (u64, bool, Vec<PeerId>) {
    match asked(plane, Request::Claim(claim)).await {
        Answer::Seated {
            seat,
            capacity: 2,
            first,
            others,
        } => (seat, first, others.into_keys().collect()),
        other => panic!("{other:?}"),
    }
}

async fn seats_are_counted([one, two]: &Planes) {
    let room = "a b}{%\"é";
    let (first, alone, others) = seated(&**one, claim(room, ONE, 1, 0)).await;
    assert!(alone && others.is_empty());
    let (second, alone, others) = seated(&**two, claim(room, TWO, 2, 0)).await;
    assert!(!alone && second > first);
    assert_eq!(others, [peer(1)]);
    let full = Request::Claim(claim(room, TWO, 3, 0));
    assert_eq!(
        asked(&**two, full.clone()).await,
        Answer::Full { capacity: 2 }
    );
    // Another room is another matter.
    seated(&**one, claim("elsewhere", ONE, 3, 0)).await;
    let release = |seat| Request::Release {
        room: RoomId::new(room).unwrap(),
        peer: peer(1),
        seat,
    };
    let both = asked(&**one, release(first - 1)).await;
    assert!(matches!(both, Answer::Released { nodes } if nodes.len() == 2));
    let left = asked(&**one, release(first)).await;
    assert_eq!(left, Answer::Released { nodes: vec![TWO] });
    assert!(matches!(asked(&**two, full).await, Answer::Seated { .. }));
}

async fn a_room_of_two_never_has_three_whoever_comes_at_once([one, two]: &Planes) {
    seated(&**one, claim("warm", ONE, 0, 0)).await;
    let claims = (0..100).map(|number| {
        let (plane, node) = if number % 2 == 0 {
            (one, ONE)
        } else {
            (two, TWO)
        };
        plane.ask(Request::Claim(claim("race", node, number, 0)))
    });
    let answers = join_all(claims).await;
    let inside = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Answer::Seated { .. })));
    assert_eq!(inside.count(), 2);
    let full = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Answer::Full { .. })));
    assert_eq!(full.count(), 98);
}

async fn the_later_hello_has_the_seat([one, two]: &Planes) {
    let turn = |plane: &Arc<dyn Backplane>, node| {
        let plane = Arc::clone(plane);
        let peer = peer(7);
        async move {
            match plane.ask(Request::Turn { peer, node }).await.unwrap() {
                Answer::Turn { turn, before } => (turn, before),
                other => panic!("{other:?}"),
            }
        }
    };
    let (earlier, nowhere) = turn(one, ONE).await;
    let (later, before) = turn(two, TWO).await;
    assert!(later > earlier);
    assert_eq!(
        (nowhere, before),
        (None, Some(ONE)),
        "each learns of the one before"
    );
    let (old, ..) = seated(&**one, claim("turns", ONE, 7, earlier)).await;
    seated(&**one, claim("turns", ONE, 8, 0)).await;
    // It takes no second place.
    let (new, ..) = seated(&**two, claim("turns", TWO, 7, later)).await;
    assert!(new > old);
    let back = Request::Claim(claim("turns", ONE, 7, earlier));
    assert_eq!(asked(&**one, back).await, Answer::Superseded);
    let answer = asked(&**one, held("turns", ONE, &[(7, old, earlier)])).await;
    let Answer::Synced { superseded, .. } = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(superseded, [peer(7)]);
}

fn held(room: &str, node: NodeId, seats: &[(u8, u64, u64)]) -> Request {
    let seats = seats.iter().map(|(number, seat, turn)| {
        let held = Held {
            seat: *seat,
            turn: *turn,
            member: member(*number),
        };
        (peer(*number), held)
    });
    Request::Sync(Sync {
        room: RoomId::new(room).unwrap(),
        node,
        lease: LEASE,
        capacity: 2,
        seats: seats.collect(),
    })
}

async fn what_is_renewed_stays_and_the_rest_runs_out([one, two]: &Planes) {
    let (kept, ..) = seated(&**one, claim("lease", ONE, 1, 0)).await;
    seated(&**two, claim("lease", TWO, 2, 0)).await;
    let wanted = timeout(PATIENCE, async {
        loop {
            let answer = asked(&**one, held("lease", ONE, &[(1, kept, 0)])).await;
            match answer {
                Answer::Synced { others, .. } if others.is_empty() => return,
                Answer::Synced { lost, .. } => assert_eq!(lost, []),
                other => panic!("{other:?}"),
            }
            sleep(Duration::from_millis(LEASE / 10)).await;
        }
    });
    wanted.await.unwrap();
    seated(&**two, claim("lease", TWO, 3, 0)).await;
    // Who was not heard of for a lease comes too late.
    let answer = asked(&**two, held("lease", TWO, &[(2, kept + 1, 0)])).await;
    let Answer::Synced { lost, .. } = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(lost, [peer(2)]);
}

async fn who_was_put_out_stays_out([one, two]: &Planes) {
    seated(&**one, claim("kick", ONE, 1, 0)).await;
    let out = Request::PutOut {
        room: RoomId::new("kick").unwrap(),
        peer: peer(2),
        ms: limits::PUT_OUT_MS,
    };
    assert_eq!(asked(&**one, out).await, Answer::Done);
    let answer = asked(&**two, Request::Claim(claim("kick", TWO, 2, 0))).await;
    assert!(
        matches!(answer, Answer::Out { ms } if ms <= limits::PUT_OUT_MS),
        "{answer:?}"
    );
}

async fn a_name_is_one_peers_alone([one, two]: &Planes) {
    let named = || Name::new("ann {x}").unwrap();
    let name = |number, node| Request::Name {
        name: named(),
        peer: peer(number),
        node,
        lease: LEASE,
        fresh: true,
    };
    let whose = || Request::Whose { name: named() };
    assert_eq!(asked(&**two, whose()).await, Answer::Nobody);
    assert_eq!(asked(&**one, name(1, ONE)).await, Answer::Done);
    let taken = Answer::Taken {
        peer: peer(1),
        node: ONE,
    };
    assert_eq!(asked(&**two, name(2, TWO)).await, taken);
    assert_eq!(asked(&**two, whose()).await, taken);
    let back = |node| Request::Unname {
        name: named(),
        peer: peer(1),
        node,
    };
    assert_eq!(asked(&**one, back(TWO)).await, Answer::Done);
    assert_eq!(asked(&**two, name(2, TWO)).await, taken, "it was not there");
    assert_eq!(asked(&**one, back(ONE)).await, Answer::Done);
    assert_eq!(asked(&**two, name(2, TWO)).await, Answer::Done);
    // Nobody renews it.
    let free = timeout(PATIENCE, async {
        while asked(&**one, name(1, ONE)).await != Answer::Done {
            sleep(Duration::from_millis(LEASE / 10)).await;
        }
    });
    free.await.unwrap();
}

async fn of_a_hundred_that_want_a_name_at_once_one_gets_it([one, two]: &Planes) {
    let name = |number: u8| Request::Name {
        name: Name::new("wanted").unwrap(),
        peer: peer(number),
        node: if number < 50 { ONE } else { TWO },
        lease: LEASE * 100,
        fresh: false,
    };
    let plane = |number: u8| if number < 50 { one } else { two };
    let answers = join_all((0..100).map(|number| plane(number).ask(name(number)))).await;
    let got = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Answer::Done)));
    assert_eq!(got.count(), 1);
}

async fn where_a_peer_is_is_known_by_its_latest_hello([one, two]: &Planes) {
    let peer = peer(9);
    let locate = || Request::Where { peer };
    let there = |node| Answer::Taken { peer, node };
    let here = |node, turn| Request::Here { peer, node, turn };
    assert_eq!(asked(&**one, locate()).await, Answer::Nobody);
    asked(&**one, here(ONE, 0)).await;
    assert_eq!(asked(&**two, locate()).await, there(ONE));
    let answer = asked(&**two, Request::Turn { peer, node: TWO }).await;
    assert!(
        matches!(
            answer,
            Answer::Turn {
                before: Some(ONE),
                ..
            }
        ),
        "{answer:?}"
    );
    // What was said first came last.
    asked(&**one, here(ONE, 0)).await;
    asked(&**one, Request::Gone { peer, node: ONE }).await;
    assert_eq!(asked(&**one, locate()).await, there(TWO));
    asked(&**two, Request::Gone { peer, node: TWO }).await;
    assert_eq!(asked(&**one, locate()).await, Answer::Nobody);
}

async fn a_turn_is_above_one_of_another_region_whose_clock_is_ahead([one, two]: &Planes) {
    let peer = peer(8);
    let ahead = 1 << 42;
    let here = Request::Here {
        peer,
        node: TWO,
        turn: ahead,
    };
    assert_eq!(asked(&**two, here).await, Answer::Done);
    let wanted = Answer::Turn {
        turn: ahead + 1,
        before: Some(TWO),
    };
    let turn = Request::Turn { peer, node: ONE };
    assert_eq!(asked(&**one, turn).await, wanted);
}

async fn nodes_know_each_other_and_parcels_come_in_order([one, two]: &Planes) {
    for (plane, node, peers) in [(one, ONE, 3), (two, TWO, 4)] {
        let lease = LEASE * 100;
        asked(&**plane, Request::Beat { node, lease, peers }).await;
    }
    let answer = asked(
        &**one,
        Request::Beat {
            node: ONE,
            lease: LEASE,
            peers: 5,
        },
    )
    .await;
    let Answer::Alive { nodes, .. } = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(nodes, BTreeMap::from([(ONE, 5), (TWO, 4)]));
    let parcel = |number: u32| (TWO, number.to_be_bytes().to_vec());
    for lot in 0..10 {
        let parcels = (lot * 100..lot * 100 + 100).map(parcel);
        one.post(parcels.collect()).await.unwrap();
    }
    let mut came = Vec::new();
    while came.len() < 1_000 {
        let more = timeout(PATIENCE, two.collect()).await.unwrap();
        came.extend(more.unwrap());
    }
    let wanted: Vec<Vec<u8>> = (0..1_000).map(|number| parcel(number).1).collect();
    assert_eq!(came, wanted);
}

async fn a_silence_of_all_nodes_is_as_if_all_was_forgotten([one, two]: &Planes) {
    let beat = |lease| {
        let (node, peers) = (ONE, 1);
        Request::Beat { node, lease, peers }
    };
    let born = |answer| match answer {
        Answer::Alive { born, .. } => born,
        other => panic!("{other:?}"),
    };
    let claims = || Request::Claim(claim("silence", TWO, 1, 0));
    let before = born(asked(&**one, beat(LEASE * 10)).await);
    // What came before this may have been a silence itself.
    let answer = asked(&**two, claims()).await;
    assert!(matches!(answer, Answer::Seated { .. }), "{answer:?}");
    asked(&**one, beat(20)).await;
    sleep(Duration::from_millis(30)).await;
    let answer = two.ask(claims()).await.unwrap();
    assert!(matches!(answer, Answer::Wait { .. }), "{answer:?}");
    let after = born(asked(&**one, beat(LEASE * 10)).await);
    assert!(after > before);
    assert_eq!(
        born(asked(&**one, beat(LEASE * 10)).await),
        after,
        "it is told once"
    );
}

async fn does_all_of_it(planes: Planes) {
    seats_are_counted(&planes).await;
    a_room_of_two_never_has_three_whoever_comes_at_once(&planes).await;
    the_later_hello_has_the_seat(&planes).await;
    what_is_renewed_stays_and_the_rest_runs_out(&planes).await;
    who_was_put_out_stays_out(&planes).await;
    a_name_is_one_peers_alone(&planes).await;
    of_a_hundred_that_want_a_name_at_once_one_gets_it(&planes).await;
    where_a_peer_is_is_known_by_its_latest_hello(&planes).await;
    a_turn_is_above_one_of_another_region_whose_clock_is_ahead(&planes).await;
    nodes_know_each_other_and_parcels_come_in_order(&planes).await;
    a_silence_of_all_nodes_is_as_if_all_was_forgotten(&planes).await;
}

#[tokio::test]
async fn the_broker_in_memory_does_what_a_broker_must() {
    let broker = Broker::new();
    let plane = |me| -> Arc<dyn Backplane> {
        let broker = Arc::clone(&broker);
        Arc::new(Memory { me, broker })
    };
    does_all_of_it([plane(ONE), plane(TWO)]).await;
}

mod crowd;

/// Ends with the test.
struct Server {
    child: Child,
    port: u16,
    password: String,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server at a port that was free a moment ago, with these lines in its configuration beside its own; none when somebody
/// else was there first.
async fn started(
    arguments: &[&str],
    password: String,
    lines: &str,
    url: impl FnOnce(&str) -> String,
) -> Option<(Server, super::BrokerUrl)> {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let port = port.unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let own = format!("port {port}\nbind 127.0.0.1\nrequirepass {password}\ndir {at}\n");
    let file = folder.path().join("conf");
    std::fs::write(&file, own + lines).unwrap();
    let child = Command::new("redis-server")
        .arg(&file)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn();
    let child = child.unwrap_or_else(|error| {
        panic!("redis-server is needed, which scripts/setup test installs: {error}")
    });
    let url = url(&format!(":{password}@127.0.0.1:{port}"));
    let url: super::BrokerUrl = url.parse().unwrap();
    let mut server = Server {
        child,
        port,
        password,
        _folder: folder,
    };
    let plane = Redis::new(ONE, vec![url.clone()]);
    while plane.ask(Request::Where { peer: peer(0) }).await.is_err() {
        if server.child.try_wait().unwrap().is_some() {
            return None;
        }
        sleep(Duration::from_millis(10)).await;
    }
    Some((server, url))
}

async fn redis() -> Option<(Server, super::BrokerUrl)> {
    // Another test of this process may start one at the same port in the same moment.
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let started_before = STARTED.fetch_add(1, Ordering::Relaxed);
    let password = format!("of-this-test-{}-{started_before}", std::process::id());
    let lines = "save \"\"\nappendonly no\n";
    started(&[], password, lines, |at| format!("redis://{at}")).await
}

#[tokio::test]
async fn sentinels_and_their_primary_are_shown_one_password() {
    let found = timeout(PATIENCE, async {
        let primary = loop {
            if let Some((primary, _)) = redis().await {
                break primary;
            }
        };
        let Server { port, password, .. } = &primary;
        let lines = format!(
            "sentinel monitor main 127.0.0.1 {port} 1\nsentinel auth-pass main {password}\n"
        );
        loop {
            let url = |at: &str| format!("sentinel://{at}/main");
            if let Some(found) = started(&["--sentinel"], password.clone(), &lines, url).await {
                return (primary, found);
            }
        }
    });
    let (_primary, (_sentinel, url)) = found.await.unwrap();
    let plane = Redis::new(TWO, vec![url]);
    assert_eq!(
        asked(&plane, Request::Where { peer: peer(1) }).await,
        Answer::Nobody
    );
}

#[tokio::test]
async fn what_is_said_does_not_wait_for_a_crowd_that_wants_seats() {
    let broker = Broker::new();
    let plane = |me| -> Arc<dyn Backplane> {
        let broker = Arc::clone(&broker);
        Arc::new(Memory { me, broker })
    };
    let (hub, metrics) = (crate::testing::config().hub(), Metrics::default());
    let (switchboard, _task) = Switchboard::new(hub, 1 << 20, metrics, None);
    let regions = Regions::default();
    let (wishes, mut inboxes) = super::Exits::new(regions.clone());
    for number in 0..10_000 {
        // The broker, which has just begun, lets everybody wait.
        let claim = Claim {
            lease: 1_000 * LEASE,
            ..claim("r", ONE, 0, number)
        };
        assert_eq!(wishes.put(Wish::Claim(number, Box::new(claim))), None);
    }
    let word = Word::Broadcast {
        line: "{}".into(),
        number: None,
    };
    assert_eq!(wishes.put(Wish::Say(TWO, word, None)), None);
    let lease = Duration::from_millis(1_000 * LEASE);
    let part = Part {
        region: regions.own(),
        plane: plane(ONE),
        inbox: inboxes.remove(0),
        deaf: Deaf::default(),
    };
    let driven = super::drive(switchboard, part, regions, ONE, lease);
    let other = plane(TWO);
    tokio::select! {
        () = driven => panic!("it has ended"),
        found = timeout(PATIENCE, other.collect()) => drop(found.unwrap().unwrap()),
    }
}

/// What a clock that is set back does to keys: they stay for longer than they were to.
async fn keys_stay(server: &Server) {
    let Server { port, password, .. } = server;
    let client = ::redis::Client::open(format!("redis://:{password}@127.0.0.1:{port}")).unwrap();
    let mut itself = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = ::redis::cmd("KEYS")
        .arg("*:name:*")
        .query_async(&mut itself)
        .await
        .unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let mut persist = ::redis::cmd("PERSIST");
        persist.arg(key).exec_async(&mut itself).await.unwrap();
    }
}

#[tokio::test]
async fn a_name_runs_out_by_the_rules_clock_and_not_by_the_systems() {
    let (server, url) = timeout(PATIENCE, async {
        loop {
            if let Some(found) = redis().await {
                return found;
            }
        }
    })
    .await
    .unwrap();
    let plane = Redis::new(ONE, vec![url]);
    let named = || Name::new("ann").unwrap();
    let name = |number, lease| Request::Name {
        name: named(),
        peer: peer(number),
        node: ONE,
        lease,
        fresh: false,
    };
    assert_eq!(asked(&plane, name(1, 50)).await, Answer::Done);
    keys_stay(&server).await;
    let whose = || Request::Whose { name: named() };
    let free = timeout(PATIENCE, async {
        while asked(&plane, whose()).await != Answer::Nobody {
            sleep(Duration::from_millis(10)).await;
        }
    });
    free.await.unwrap();
    assert_eq!(asked(&plane, name(2, LEASE)).await, Answer::Done);
}

#[tokio::test]
async fn what_comes_by_two_regions_that_share_a_broker_is_heard_once() {
    let names = ["a", "b"].map(|name| name.parse().unwrap());
    let [here, there] = [0, 1].map(|own: usize| Regions::new(&names[own], names.clone()).unwrap());
    let (me, other) = (here.node(1 << 32), there.node(2 << 32));
    let (hub, metrics) = (crate::testing::config().hub(), Metrics::default());
    let (switchboard, _task) = Switchboard::new(hub, 1 << 20, metrics.clone(), None);
    let (_wishes, inboxes) = super::Exits::new(here.clone());
    let mut driven = tokio::task::JoinSet::new();
    for (region, inbox) in here.all().zip(inboxes) {
        // Only one may collect at a time from the broker in memory, which keeps nothing; so each has its own, and is brought
        // the same.
        let broker = Broker::new();
        let mut links = super::links::Links::new(other, Duration::from_millis(LEASE));
        let line = "{}".into();
        let number = None;
        let now = std::time::Instant::now();
        links.say(now, me, Word::Broadcast { line, number }, None);
        let plane = |me| -> Arc<dyn Backplane> {
            let broker = Arc::clone(&broker);
            Arc::new(Memory { me, broker })
        };
        plane(other).post(links.parcels(now)).await.unwrap();
        let part = Part {
            region,
            plane: plane(me),
            inbox,
            deaf: Deaf::default(),
        };
        let lease = Duration::from_millis(LEASE);
        driven.spawn(super::drive(
            switchboard.clone(),
            part,
            here.clone(),
            me,
            lease,
        ));
        // Either has answered that it came.
        let answered = timeout(PATIENCE, plane(other).collect()).await;
        assert!(!answered.unwrap().unwrap().is_empty());
    }
    assert_eq!(metrics.cluster_words_received.get(), 1);
}

#[tokio::test]
async fn redis_does_what_a_broker_must() {
    let (_server, url) = timeout(PATIENCE, async {
        loop {
            if let Some(found) = redis().await {
                return found;
            }
        }
    })
    .await
    .unwrap();
    let plane = |me| -> Arc<dyn Backplane> { Arc::new(Redis::new(me, vec![url.clone()])) };
    let planes = [plane(ONE), plane(TWO)];
    does_all_of_it(planes).await;
}

#[test]
fn regions_with_one_broker_are_refused_however_its_address_is_written() {
    let brokers = [("a", "redis://h"), ("b", "redis://:secret@H:6379/0")];
    let own: super::regions::RegionName = brokers[0].0.parse().unwrap();
    let brokers = brokers.map(|(name, url)| (name.parse().unwrap(), vec![url.parse().unwrap()]));
    let lease = Duration::from_millis(LEASE);
    let refused = super::ClusterConfig::of_regions(&own, brokers.into(), lease).unwrap_err();
    let told = refused.to_string();
    assert!(
        told.contains("a and b") && !told.contains("secret"),
        "{told}"
    );
}
