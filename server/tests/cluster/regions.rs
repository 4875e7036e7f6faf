//! Two regions, each with a real broker, and a way between them that is slow, cut and mended.

use std::time::{Duration, Instant};

use rtc_protocol::{ClientMessage, ErrorCode, LeaveReason, PeerId, ServerMessage};
use tokio::time::timeout;

use crate::rig::{Broker, LEASE, PATIENCE, Peer, Process, id, room, token, url_at};
use crate::way::Way;

/// Each way, as between two ends of a continent.
const DELAY: Duration = Duration::from_millis(30);

/// Two nodes in `a`, one in `b`, and the ways from each to the other's broker.
struct Regions {
    first: Process,
    second: Process,
    third: Process,
    ways: [Way; 2],
    _brokers: [Broker; 2],
}

impl Regions {
    async fn start() -> Self {
        let brokers = [Broker::start().await, Broker::start().await];
        let ways = [brokers[0].far(DELAY).await, brokers[1].far(DELAY).await];
        let at_a = format!("a={},b={}", brokers[0].url(), url_at(ways[1].port));
        let at_b = format!("a={},b={}", url_at(ways[0].port), brokers[1].url());
        let regions = Self {
            first: Process::start_in("a", &at_a),
            second: Process::start_in("a", &at_a),
            // In whatever order.
            third: Process::start_in("b", &at_b),
            ways,
            _brokers: brokers,
        };
        for node in [&regions.first, &regions.second, &regions.third] {
            node.counts("rtc_cluster_region_nodes{region=\"a\"} 2")
                .await;
            node.counts("rtc_cluster_region_nodes{region=\"b\"} 1")
                .await;
        }
        regions
    }

    async fn cut(&self) {
        self.ways.iter().for_each(Way::cut);
        for (node, far) in [(&self.first, "b"), (&self.second, "b"), (&self.third, "a")] {
            let away = format!("rtc_cluster_region_reached{{region=\"{far}\"}} 0");
            node.counts(&away).await;
        }
    }

    fn mend(&self) {
        self.ways.iter().for_each(Way::mend);
    }
}

/// How long the cut lasts: `RTC_CUT=30` for as many seconds; as long as it takes to be noticed where nothing is said.
fn cut() -> Duration {
    let wanted = std::env::var("RTC_CUT").ok();
    Duration::from_secs(wanted.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Says something and gives how long it took to be heard, and whom the hearer lost meanwhile.
async fn takes(
    from: &mut Peer,
    to: &mut Peer,
    name: &str,
    whom: (PeerId, PeerId),
    text: &str,
) -> (Duration, Vec<PeerId>) {
    let begun = Instant::now();
    from.signal(name, Some(whom.1), text).await;
    let mut lost = Vec::new();
    to.until(|message| match message {
        ServerMessage::Signal { signal, .. } => {
            let said: serde_json::Value = signal.to().unwrap();
            (said["said"] == text).then_some(())
        }
        ServerMessage::PeerLeft { peer, .. } => {
            lost.push(*peer);
            None
        }
        _ => None,
    })
    .await;
    (begun.elapsed(), lost)
}

async fn loses(peer: &mut Peer, name: &str, whom: &[char]) {
    let mut left: Vec<PeerId> = whom.iter().copied().map(id).collect();
    peer.until(|message| {
        if let ServerMessage::PeerLeft {
            room: of,
            peer,
            reason,
        } = message
            && *of == room(name)
        {
            assert_eq!(*reason, LeaveReason::Lost);
            left.retain(|one| one != peer);
        }
        left.is_empty().then_some(())
    })
    .await;
}

async fn joins_in_the_end(peer: &mut Peer, name: &str) -> Vec<PeerId> {
    peer.joins_in_the_end(name, Some(6)).await.unwrap()
}

async fn one_room(name: &str) {
    let regions = Regions::start().await;
    let (one, two, three) = (
        regions.first.address,
        regions.second.address,
        regions.third.address,
    );
    let (mut ann, _) = Peer::greeted(one, token('a'), None).await;
    let (mut bob, _) = Peer::greeted(two, token('b'), None).await;
    let (mut cyd, _) = Peer::greeted(three, token('c'), None).await;
    joins_in_the_end(&mut ann, name).await;
    joins_in_the_end(&mut bob, name).await;
    ann.sees_come(id('b')).await;
    assert_eq!(joins_in_the_end(&mut cyd, name).await.len(), 2);
    for peer in [&mut ann, &mut bob] {
        peer.sees_come(id('c')).await;
    }
    let (ab, ac) = ((id('a'), id('b')), (id('a'), id('c')));
    let (near, _) = takes(&mut ann, &mut bob, name, ab, "near").await;
    let (far, _) = takes(&mut ann, &mut cyd, name, ac, "far").await;
    assert!(far >= DELAY, "{far:?}");
    println!("{name}: within a region {near:?}, to the other {far:?}");

    let begun = Instant::now();
    regions.cut().await;
    println!("{name}: known to be away after {:?}", begun.elapsed());
    // The own region is as it was: words, joins, names, sessions, wherever the room has its home.
    let (mut slowest, mut said, mut lost) = (Duration::ZERO, 0, Vec::new());
    let mut eve = Peer::greeted(one, token('e'), None).await.0;
    joins_in_the_end(&mut eve, "own@a").await;
    eve.say(ClientMessage::Leave {
        room: room("own@a"),
    })
    .await;
    eve.until(|message| matches!(message, ServerMessage::Left { .. }).then_some(()))
        .await;
    let joining = Instant::now();
    let refused = eve.join("another@b", None).await;
    assert_eq!(refused, Err(ErrorCode::TryLater));
    println!(
        "{name}: a join beyond the cut is refused after {:?}",
        joining.elapsed()
    );
    let last = eve.last;
    drop(eve);
    let (_eve, resumed) = Peer::greeted(two, token('e'), Some(last)).await;
    assert!(resumed, "by the broker that is there");
    // None waits for the way, which is cut until all have come.
    while said < 20 || begun.elapsed() < cut() {
        let text = said.to_string();
        let (took, gone) = takes(&mut ann, &mut bob, name, ab, &text).await;
        slowest = slowest.max(took);
        lost.extend(gone);
        said += 1;
        tokio::time::sleep(LEASE / 40).await;
    }
    println!("{name}: of {said} words within the region the slowest took {slowest:?}");
    assert!(slowest < LEASE, "{slowest:?}");
    if lost.is_empty() {
        loses(&mut bob, name, &['c']).await;
    }
    loses(&mut ann, name, &['c']).await;
    loses(&mut cyd, name, &['a', 'b']).await;
    println!("{name}: lost to each other by {:?}", begun.elapsed());
    for node in [&regions.first, &regions.third] {
        assert!(node.is_ready().await, "a region alone takes peers");
        assert_eq!(node.asks("GET", "/api/rooms", "").await["partial"], true);
    }

    regions.mend();
    let mended = Instant::now();
    for peer in [&mut ann, &mut bob] {
        peer.sees_come(id('c')).await;
    }
    let mut absent = vec![id('a'), id('b')];
    cyd.until(|message| {
        if let ServerMessage::PeerJoined { member, .. } = message {
            absent.retain(|one| *one != member.peer);
        }
        absent.is_empty().then_some(())
    })
    .await;
    println!("{name}: all there again after {:?}", mended.elapsed());
    takes(&mut ann, &mut cyd, name, ac, "again").await;
    takes(&mut cyd, &mut bob, name, (id('c'), id('b')), "and back").await;
}

#[tokio::test]
async fn a_room_of_the_own_region_talks_on_while_the_other_is_cut_off_and_gets_it_back() {
    one_room("r@a").await;
}

#[tokio::test]
async fn a_room_of_the_region_beyond_the_cut_talks_on_and_gets_it_back() {
    one_room("r@b").await;
}

#[tokio::test]
async fn a_session_goes_to_another_region_and_back() {
    let regions = Regions::start().await;
    let (mut ann, _) = Peer::greeted(regions.first.address, token('a'), None).await;
    let (mut bob, _) = Peer::greeted(regions.second.address, token('b'), None).await;
    joins_in_the_end(&mut ann, "r@b").await;
    joins_in_the_end(&mut bob, "r@b").await;
    ann.sees_come(id('b')).await;
    for address in [
        regions.third.address,
        regions.second.address,
        regions.third.address,
        regions.first.address,
    ] {
        let (last, before) = (ann.last, Instant::now());
        drop(ann);
        let (again, resumed) = Peer::greeted(address, token('a'), Some(last)).await;
        println!("there after {:?}", before.elapsed());
        assert!(resumed, "at {address}");
        ann = again;
        ann.last = last;
        takes(&mut bob, &mut ann, "r@b", (id('b'), id('a')), "here?").await;
        takes(&mut ann, &mut bob, "r@b", (id('a'), id('b')), "here.").await;
    }
}

#[tokio::test]
async fn a_name_is_one_peers_in_all_regions_and_rings_from_another() {
    let regions = Regions::start().await;
    let (mut ann, _) = Peer::greeted(regions.first.address, token('a'), None).await;
    let (mut cyd, _) = Peer::greeted(regions.third.address, token('c'), None).await;
    for name in ["ann@a", "ann@b"] {
        let register = |name: &str| ClientMessage::Register {
            name: name.parse().unwrap(),
        };
        for (peer, wanted) in [(&mut ann, None), (&mut cyd, Some(ErrorCode::NameTaken))] {
            let answer = timeout(PATIENCE, async {
                loop {
                    peer.say(register(name)).await;
                    let answer = peer.until(|message| match message {
                        ServerMessage::Ack {} => Some(None),
                        ServerMessage::Error { code, .. } => Some(Some(*code)),
                        _ => None,
                    });
                    match answer.await {
                        Some(ErrorCode::TryLater) => tokio::time::sleep(LEASE / 40).await,
                        answer => return answer,
                    }
                }
            });
            assert_eq!(answer.await.unwrap(), wanted, "{name}");
        }
        let whom = rtc_protocol::Callee::Name(name.parse().unwrap());
        let ring = ClientMessage::Ring {
            whom,
            room: room("talk"),
        };
        cyd.say(ring).await;
        let call = ann.until(|message| match message {
            ServerMessage::Ring { call, .. } => Some(call.clone()),
            _ => None,
        });
        let call = call.await;
        // Before that, its own server knows of no call.
        cyd.until(|message| matches!(message, ServerMessage::Ringing { .. }).then_some(()))
            .await;
        cyd.say(ClientMessage::HangUp { call: call.clone() }).await;
        // Not to be taken for the next answer.
        cyd.until(|message| matches!(message, ServerMessage::Ack {}).then_some(()))
            .await;
        ann.until(|message| {
            matches!(message, ServerMessage::HungUp { call: one } if *one == call).then_some(())
        })
        .await;
    }
}
