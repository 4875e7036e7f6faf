//! A server that is there, goes, and comes back.

use rtc_protocol::{Kind, LeaveReason, Raw, Role};

use super::proxy::Proxy;
use super::*;

#[tokio::test]
async fn two_clients_find_each_other_and_talk() {
    let (_server, url, _) = serve(0).await;
    let mut a = Guest::join(at(&url)).await;
    assert_eq!(a.members, []);
    let mut b = Guest::join(at(&url)).await;
    assert_eq!(b.members, [a.id()]);
    a.sees(b.id()).await;
    b.say(a.id(), "to a").await;
    assert_eq!(a.hears().await, (b.id(), "to a".to_owned()));
    let data = Raw::parse(r#"{"x":[1]}"#).unwrap();
    a.signaling.message(None, data.clone()).await.unwrap();
    let heard = b
        .until(|event| match event {
            SignalingEvent::Message { from, data } => Some((from, data)),
            _ => None,
        })
        .await;
    assert_eq!(heard, (a.id(), data));
    a.signaling.mute(Kind::Audio, true).await.unwrap();
    let muted = SignalingEvent::Muted {
        peer: a.id(),
        kind: Kind::Audio,
        muted: true,
        by: a.id(),
    };
    b.until(|event| (event == muted).then_some(())).await;
    b.signaling.leave().await;
    let left = SignalingEvent::PeerLeft {
        peer: b.id(),
        reason: LeaveReason::Left,
    };
    a.until(|event| (event == left).then_some(())).await;
    assert_eq!(
        b.signaling.mute(Kind::Audio, true).await,
        Err(SignalingError::Ended)
    );
    b.signaling.leave().await;
}

#[tokio::test]
async fn a_full_room_is_told_as_such() {
    let (_server, url, _) = serve(0).await;
    let mut options = at(&url);
    options.capacity = Some(2);
    let _a = Guest::join(options.clone()).await;
    let _b = Guest::join(options.clone()).await;
    let error = Guest::try_join(options).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::RoomFull);
    assert!(error.to_string().contains("`foo` is full"), "{error}");
}

#[tokio::test]
async fn a_moderator_puts_a_peer_out_and_a_member_may_not() {
    let (_server, url, _) = serve(0).await;
    let a = Guest::join(at(&url)).await;
    let mut b = Guest::join(at(&url)).await;
    b.signaling.kick(a.id(), None).await.unwrap();
    b.until(|event| matches!(event, SignalingEvent::Refused { .. }).then_some(()))
        .await;
    let why = Some("out".to_owned());
    a.signaling.kick(b.id(), why.clone()).await.unwrap();
    let kicked = SignalingEvent::Kicked {
        by: a.id(),
        reason: why,
    };
    b.until(|event| (event == kicked).then_some(())).await;
    assert_eq!(
        timeout(LONG, b.events.recv()).await.unwrap(),
        None,
        "nothing follows"
    );
}

#[tokio::test]
async fn a_server_that_died_and_came_back_finds_everybody_under_the_same_id() {
    let (server, url, port) = serve(0).await;
    let mut options = at(&url);
    options.capacity = Some(2);
    let mut a = Guest::join(options.clone()).await;
    let mut b = Guest::join(options.clone()).await;
    a.sees(b.id()).await;
    a.signaling.mute(Kind::Video, true).await.unwrap();
    drop(server);
    a.until(|event| matches!(event, SignalingEvent::Lost { .. }).then_some(()))
        .await;
    a.say(b.id(), "said while it was away").await;
    let (_server, _, _) = serve(port).await;
    let back = SignalingEvent::Back { resumed: false };
    a.until(|event| (event == back).then_some(())).await;
    a.joined().await;
    b.back().await;
    b.joined().await;
    assert_eq!(
        b.hears().await,
        (a.id(), "said while it was away".to_owned())
    );
    a.sees(b.id()).await;
    options.capacity = None;
    let error = Guest::try_join(options).await.err().unwrap();
    assert_eq!(
        error.kind(),
        ErrorKind::RoomFull,
        "the room is as large as before"
    );
}

#[tokio::test]
async fn a_cut_link_is_resumed_and_nothing_is_lost_or_out_of_order() {
    let (_server, url, port) = serve(0).await;
    let wire = Proxy::before(port).await;
    let mut a = Guest::join(at(&url)).await;
    let mut b = Guest::join(at(&wire.url())).await;
    a.sees(b.id()).await;
    // The one who hears is cut: the server sends again what was missed, each once.
    let mut heard = Vec::new();
    for round in 0..5 {
        for n in 0..20 {
            a.say(b.id(), &(round * 20 + n).to_string()).await;
            if n == 10 {
                wire.cut();
            }
        }
        assert!(b.back().await, "resumed");
        a.say(b.id(), "end of round").await;
        // Words that came before the cut were skipped by `back`; the last ones cannot have been.
        let mut last = None;
        loop {
            let (_, word) = b.hears().await;
            if word == "end of round" {
                break;
            }
            let number: u32 = word.parse().unwrap();
            assert!(
                last.is_none_or(|last| number == last + 1),
                "{last:?} {number}"
            );
            last = Some(number);
            heard.push(number);
        }
    }
    assert!(heard.windows(2).all(|pair| pair[0] < pair[1]), "{heard:?}");
}

#[tokio::test]
async fn what_the_one_who_is_cut_says_all_arrives_in_order() {
    let (_server, url, port) = serve(0).await;
    let wire = Proxy::before(port).await;
    let mut a = Guest::join(at(&wire.url())).await;
    let mut b = Guest::join(at(&url)).await;
    a.sees(b.id()).await;
    for n in 0..100_u32 {
        a.say(b.id(), &n.to_string()).await;
        if n % 25 == 12 {
            wire.cut();
            assert!(a.back().await, "resumed");
        }
    }
    let mut next = 0;
    while next < 100 {
        let (_, word) = b.hears().await;
        let number: u32 = word.parse().unwrap();
        // What was on its way when the wire was cut may come twice, but never too early.
        assert!(number <= next, "{number} came before {next}");
        next = next.max(number + 1);
    }
}

#[tokio::test]
async fn a_server_gone_silent_is_noticed_and_left_for_a_new_link() {
    let (_server, _, port) = serve_with(Config {
        heartbeat: Duration::from_millis(100),
        ..Config::localhost(0)
    })
    .await;
    let wire = Proxy::before(port).await;
    let mut a = Guest::join(at(&wire.url())).await;
    wire.hold();
    let reason = a
        .until(|event| match event {
            SignalingEvent::Lost { reason } => Some(reason),
            _ => None,
        })
        .await;
    assert!(reason.contains("silent"), "{reason}");
    wire.release();
    let back = SignalingEvent::Back { resumed: true };
    a.until(|event| (event == back).then_some(())).await;
}

#[tokio::test]
async fn a_second_client_with_our_secret_ends_the_first() {
    let (_server, url, _) = serve(0).await;
    let mut options = at(&url);
    options.token = Some(Token::from_random([7; 32]));
    let mut first = Guest::join(options.clone()).await;
    let second = Signaling::connect(options, mpsc::channel(16).0).await;
    first
        .until(|event| (event == SignalingEvent::Fatal(SignalingError::TakenOver)).then_some(()))
        .await;
    drop(second);
}

#[tokio::test]
async fn an_owner_that_takes_no_events_can_still_speak_and_leave() {
    let (_server, url, _) = serve(0).await;
    let (sender, _kept) = mpsc::channel(1);
    let a = Signaling::connect(at(&url), sender).await.unwrap();
    let mut b = Guest::join(at(&url)).await;
    for n in 0..300 {
        b.say(a.id(), &n.to_string()).await;
    }
    for n in 0..300 {
        let data = Raw::of(&n).unwrap();
        timeout(LONG, a.message(Some(b.id()), data))
            .await
            .unwrap()
            .unwrap();
    }
    timeout(LONG, a.leave()).await.unwrap();
    let left = SignalingEvent::PeerLeft {
        peer: a.id(),
        reason: LeaveReason::Left,
    };
    b.until(|event| (event == left).then_some(())).await;
}

#[tokio::test]
async fn a_dropped_handle_cuts_the_link() {
    let (_server, url, _) = serve_with(Config {
        resume_window: Duration::ZERO,
        ..Config::localhost(0)
    })
    .await;
    let a = Guest::join(at(&url)).await;
    let mut b = Guest::join(at(&url)).await;
    let gone = a.id();
    drop(a);
    b.until(|event| match event {
        SignalingEvent::PeerLeft { peer, reason } if peer == gone => Some(reason),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn the_creator_moderates_and_names_are_as_given() {
    let (_server, url, _) = serve(0).await;
    let mut options = at(&url);
    options.name = Some(Name::new("Ada").unwrap());
    let _a = Guest::join(options).await;
    let (sender, mut events) = mpsc::channel(16);
    let _b = Signaling::connect(at(&url), sender).await.unwrap();
    loop {
        let event = timeout(LONG, events.recv()).await.unwrap().unwrap();
        if let SignalingEvent::Joined { members, role, .. } = event {
            assert_eq!(role, Role::Member);
            assert_eq!(members[0].name.as_str(), "Ada");
            assert_eq!(members[0].role, Role::Moderator);
            break;
        }
    }
}

#[tokio::test]
async fn a_server_that_drains_sends_us_to_another_one() {
    let (_other, there, _) = serve(0).await;
    let config = Config {
        drain_url: Some(there.clone()),
        ..Config::localhost(0)
    };
    let server = Server::bind(config).await.unwrap();
    let here = format!("http://{}", server.local_addrs()[0]);
    let running = server.start();
    let mut a = Guest::join(at(&here)).await;
    timeout(LONG, running.drain(|_| {})).await.unwrap();
    assert!(!a.back().await, "it is another server");
    let b = Guest::join(at(&there)).await;
    assert_eq!(b.members, [a.id()]);
}

#[tokio::test]
async fn who_is_sent_where_nobody_is_comes_back() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let config = Config {
        drain_url: Some(format!("http://{}", nowhere.unwrap())),
        ..Config::localhost(0)
    };
    let server = Server::bind(config).await.unwrap();
    let address = server.local_addrs()[0];
    let running = server.start();
    let mut a = Guest::join(at(&format!("http://{address}"))).await;
    running.shutdown().await;
    let (_again, ..) = serve(address.port()).await;
    assert!(!a.back().await, "it knows nobody yet");
}

/// A server that holds one guest at the most, and that one.
async fn full_server() -> (Running, String, Guest) {
    let (server, url, _) = serve_with(Config {
        connections: 1,
        ..Config::localhost(0)
    })
    .await;
    let only = Guest::join(at(&url)).await;
    (server, url, only)
}

/// A server whose room, the one that all here join, is full with one.
async fn server_with_a_full_room() -> (Running, String, Guest) {
    let (server, url, _) = serve(0).await;
    let mut options = at(&url);
    options.capacity = Some(1);
    let only = Guest::join(options).await;
    (server, url, only)
}

/// Sends a guest from its server to that one, and waits until it is back where it began.
async fn is_sent_and_comes_back_from(there: String) {
    let port = free_port();
    let config = Config {
        drain_url: Some(there),
        ..Config::localhost(port)
    };
    let (running, here, _) = serve_with(config).await;
    let mut a = Guest::join(at(&here)).await;
    running.shutdown().await;
    let (_again, ..) = serve(port).await;
    assert!(!a.back().await, "it knows nobody yet");
    let b = Guest::join(at(&here)).await;
    assert_eq!(b.members, [a.id()], "it is back where it began");
}

#[tokio::test]
async fn who_is_sent_to_a_server_that_is_full_comes_back() {
    let (_full, there, _only) = full_server().await;
    is_sent_and_comes_back_from(there).await;
}

#[tokio::test]
async fn who_is_sent_to_a_room_that_is_full_comes_back() {
    let (_full, there, _only) = server_with_a_full_room().await;
    is_sent_and_comes_back_from(there).await;
}
