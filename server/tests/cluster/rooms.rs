//! Rooms whose members are at several nodes.

use rtc_protocol::{ClientMessage, ErrorCode, Kind, LeaveReason, Right, ServerMessage, Token};

use crate::rig::{Broker, Peer, id, room};

#[tokio::test]
async fn members_at_two_nodes_meet_speak_and_part() {
    let broker = Broker::start().await;
    let (_one, first) = broker.node().await;
    let (_two, second) = broker.node().await;
    let (mut ann, members) = Peer::inside(first, 'a', "r").await;
    assert_eq!(members, []);
    let (mut bob, members) = Peer::inside(second, 'b', "r").await;
    assert_eq!(members, [id('a')]);
    ann.sees_come(id('b')).await;
    for number in 0..100 {
        ann.signal("r", Some(id('b')), &number.to_string()).await;
        bob.signal("r", None, &format!("{number}!")).await;
    }
    for number in 0..100 {
        assert_eq!(bob.hears(id('a')).await, number.to_string());
    }
    for number in 0..100 {
        assert_eq!(ann.hears(id('b')).await, format!("{number}!"));
    }
    ann.say(ClientMessage::Leave { room: room("r") }).await;
    assert_eq!(bob.sees_go(id('a')).await, LeaveReason::Left);
    // Who is left inherits the room.
    bob.until(|message| match message {
        ServerMessage::Granted { peer, right, .. } => {
            assert_eq!((*peer, *right), (id('b'), Right::Moderator));
            Some(())
        }
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn exactly_as_many_get_in_as_fit_however_many_come_at_once_from_wherever() {
    let broker = Broker::start().await;
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(broker.node().await);
    }
    for name in ["r1", "r2", "r3"] {
        let mut joins = tokio::task::JoinSet::new();
        for number in 0..120u8 {
            let address = nodes[usize::from(number) % nodes.len()].1;
            let own = Token::from_random([number; 32]);
            joins.spawn(async move {
                let (mut peer, _) = Peer::greeted(address, own, None).await;
                let joined = peer.join(name, Some(2)).await;
                (peer, joined)
            });
        }
        let came = joins.join_all().await;
        let inside = came.iter().filter(|(_, joined)| joined.is_ok()).count();
        assert_eq!(inside, 2, "room {name}");
        let others = came.iter().filter_map(|(_, joined)| joined.as_ref().err());
        assert!(others.into_iter().all(|code| *code == ErrorCode::RoomFull));
    }
}

#[tokio::test]
async fn moderators_mute_grant_and_put_out_members_of_other_nodes() {
    let broker = Broker::start().await;
    let (_one, first) = broker.node().await;
    let (_two, second) = broker.node().await;
    let (mut ann, _) = Peer::inside(first, 'a', "r").await;
    let (mut bob, _) = Peer::inside(second, 'b', "r").await;
    let (mut cyd, _) = Peer::inside(first, 'c', "r").await;
    ann.sees_come(id('b')).await;
    let kind = Kind::Audio;
    ann.say(ClientMessage::Mute {
        room: room("r"),
        peer: id('b'),
        kind,
    })
    .await;
    bob.until(|message| match message {
        ServerMessage::Muted { peer, by, .. } => (*peer == id('b') && *by == id('a')).then_some(()),
        _ => None,
    })
    .await;
    bob.say(ClientMessage::Unmute {
        room: room("r"),
        peer: id('b'),
        kind,
    })
    .await;
    let code = bob
        .until(|message| match message {
            ServerMessage::Error { code, .. } => Some(*code),
            _ => None,
        })
        .await;
    assert_eq!(code, ErrorCode::NotAllowed);
    ann.say(ClientMessage::Grant {
        room: room("r"),
        peer: id('b'),
        right: Right::Moderator,
    })
    .await;
    bob.until(|message| matches!(message, ServerMessage::Granted { .. }).then_some(()))
        .await;
    bob.say(ClientMessage::Kick {
        room: room("r"),
        peer: id('c'),
        reason: Some("noise".into()),
    })
    .await;
    cyd.until(|message| match message {
        ServerMessage::Kicked { by, reason, .. } => {
            assert_eq!((*by, reason.as_deref()), (id('b'), Some("noise")));
            Some(())
        }
        _ => None,
    })
    .await;
    assert_eq!(bob.sees_go(id('c')).await, LeaveReason::Kicked);
    assert_eq!(ann.sees_go(id('c')).await, LeaveReason::Kicked);
    // At a node that has nothing to do with it: the broker remembers.
    let (_three, third) = broker.node().await;
    let (mut cyd, _) = Peer::greeted(third, crate::rig::token('c'), None).await;
    assert_eq!(cyd.join("r", None).await, Err(ErrorCode::NotAllowed));
}

#[tokio::test]
async fn who_comes_later_is_told_what_everybody_is() {
    let broker = Broker::start().await;
    let (_one, first) = broker.node().await;
    let (_two, second) = broker.node().await;
    let (mut ann, _) = Peer::inside(first, 'a', "r").await;
    ann.say(ClientMessage::Mute {
        room: room("r"),
        peer: id('a'),
        kind: Kind::Video,
    })
    .await;
    ann.until(|message| matches!(message, ServerMessage::Ack {}).then_some(()))
        .await;
    // It is at the broker a moment later; who asks before hears it as news.
    let (mut bob, _) = Peer::inside(second, 'b', "r").await;
    ann.sees_come(id('b')).await;
    bob.signal("r", Some(id('a')), "hello").await;
    assert_eq!(ann.hears(id('b')).await, "hello");
    // What was asked for is answered when it has come.
    bob.until(|message| matches!(message, ServerMessage::Ack {}).then_some(()))
        .await;
}
