//! Who may mute, put out and promote whom, and for how long that holds.

use super::*;

#[test]
fn one_mutes_oneself_and_a_moderator_everybody() {
    let mut world = World::with("abc");
    let mute = |peer: char| ClientMessage::Mute {
        room: room("r"),
        peer: id(peer),
        kind: Kind::Audio,
    };
    world.say('b', mute('b'));
    assert!(matches!(
        world.read('c')[..],
        [M::Muted { peer, by, kind: Kind::Audio, .. }] if peer == id('b') && by == id('b')
    ));
    world.read_all();
    world.say('b', mute('c'));
    assert_eq!(world.refusal('b'), ErrorCode::NotAllowed);
    world.say('a', mute('c'));
    assert!(matches!(world.read('c')[..], [M::Muted { by, .. }] if by == id('a')));
    world.read_all();
    world.say('a', mute('x'));
    assert_eq!(world.refusal('a'), ErrorCode::NoSuchPeer);
    world.say('c', ClientMessage::Leave { room: room("r") });
    world.join('c', "r");
    let told = world.read('c');
    let Some(M::Joined { members, .. }) = told.iter().find(|m| matches!(m, M::Joined { .. }))
    else {
        panic!("{told:?}")
    };
    let muted: Vec<_> = members.iter().map(|member| member.muted.len()).collect();
    assert_eq!(muted, [0, 1], "the newcomer learns who is muted");
}

fn mute(of: char, muted: bool) -> ClientMessage {
    let (room, peer, kind) = (room("r"), id(of), Kind::Audio);
    if muted {
        ClientMessage::Mute { room, peer, kind }
    } else {
        ClientMessage::Unmute { room, peer, kind }
    }
}

#[test]
fn what_a_moderator_muted_only_a_moderator_unmutes() {
    let mut world = World::with("abc");
    world.say('a', mute('b', true));
    world.read_all();
    world.say('b', mute('b', false));
    assert_eq!(world.refusal('b'), ErrorCode::NotAllowed);
    assert!(world.read('c').is_empty());
    // That the peer mutes itself as well changes nothing for the others.
    world.say('b', mute('b', true));
    assert!(matches!(world.read('b')[..], [M::Ack {}]));
    assert!(world.read('c').is_empty());
    world.say('a', mute('b', false));
    for who in ['b', 'c'] {
        assert!(
            matches!(world.read(who)[..], [M::Unmuted { peer, by, .. }] if peer == id('b') && by == id('a'))
        );
    }
    world.say('b', mute('b', true));
    world.read_all();
    world.say('b', mute('b', false));
    assert!(
        matches!(world.read('b')[..], [M::Ack {}]),
        "it is free again"
    );
}

#[test]
fn leaving_and_coming_back_does_not_undo_a_moderator_s_mute() {
    let mut world = World::with("abc");
    world.say('a', mute('b', true));
    world.say('b', ClientMessage::Leave { room: room("r") });
    world.read_all();
    world.join('b', "r");
    assert!(
        matches!(&world.read('b')[..], [M::Joined { .. }, M::Muted { peer, by, .. }] if *peer == id('b') && *by == id('a'))
    );
    assert!(
        matches!(&world.read('c')[..], [M::PeerJoined { member, .. }] if member.muted == [Kind::Audio])
    );
    world.say('b', mute('b', false));
    assert_eq!(world.refusal('b'), ErrorCode::NotAllowed);
}

#[test]
fn nobody_is_unmuted_against_its_will() {
    let mut world = World::with("ab");
    world.say('b', mute('b', true));
    world.read_all();
    world.say('a', mute('b', false));
    assert_eq!(world.refusal('a'), ErrorCode::NotAllowed);
    assert!(world.read('b').is_empty());
}

#[test]
fn a_moderator_is_not_held_by_another() {
    let mut world = World::with("ab");
    let grant = ClientMessage::Grant {
        room: room("r"),
        peer: id('b'),
        right: Right::Moderator,
    };
    world.say('a', mute('b', true));
    world.say('a', grant);
    world.read_all();
    world.say('b', mute('b', false));
    assert!(matches!(world.read('b')[..], [M::Ack {}]));
    assert!(matches!(world.read('a')[..], [M::Unmuted { .. }]));
}

#[test]
fn who_was_put_out_comes_back_after_a_while_and_not_before() {
    let mut world = World::with("abc");
    let kick = |peer: char| ClientMessage::Kick {
        room: room("r"),
        peer: id(peer),
        reason: None,
    };
    world.say('a', kick('a'));
    assert_eq!(
        world.refusal('a'),
        ErrorCode::NoSuchPeer,
        "one leaves oneself"
    );
    world.say('a', kick('b'));
    world.read_all();
    world.join('b', "r");
    assert_eq!(world.refusal('b'), ErrorCode::NotAllowed);
    world.join('b', "s");
    assert!(
        matches!(world.read('b')[..], [M::Joined { .. }]),
        "other rooms are open"
    );
    // Its session is known by its secret: coming back as the same peer does not help.
    world.hello('b', None);
    world.read_all();
    world.join('b', "r");
    assert_eq!(world.refusal('b'), ErrorCode::NotAllowed);
    let while_ = rtc_protocol::limits::PUT_OUT_MS / 1_000;
    world.pass(while_ - 1);
    world.join('b', "r");
    assert_eq!(world.refusal('b'), ErrorCode::NotAllowed);
    world.pass(1);
    world.join('b', "r");
    assert!(matches!(world.read('b')[..], [M::Joined { .. }]));
}

#[test]
fn a_moderator_puts_out_and_a_member_does_not() {
    let mut world = World::with("abc");
    let kick = |peer: char| ClientMessage::Kick {
        room: room("r"),
        peer: id(peer),
        reason: Some("noise".into()),
    };
    world.say('b', kick('a'));
    assert_eq!(world.refusal('b'), ErrorCode::NotAllowed);
    world.say('a', kick('b'));
    assert!(
        matches!(&world.read('b')[..], [M::Kicked { by, reason: Some(why), .. }] if *by == id('a') && why == "noise")
    );
    assert!(matches!(
        world.read('c')[..],
        [M::PeerLeft {
            reason: LeaveReason::Kicked,
            ..
        }]
    ));
    world.read_all();
    world.signal('b', None, "{}");
    assert_eq!(world.refusal('b'), ErrorCode::NotJoined);
}

#[test]
fn moderation_is_granted_and_never_dies_out() {
    let mut world = World::with("abc");
    let grant = |peer: char| ClientMessage::Grant {
        room: room("r"),
        peer: id(peer),
        right: Right::Moderator,
    };
    world.say('c', grant('c'));
    assert_eq!(world.refusal('c'), ErrorCode::NotAllowed);
    world.say('a', grant('c'));
    assert!(matches!(world.read('b')[..], [M::Granted { peer, .. }] if peer == id('c')));
    world.gone('a', true);
    assert!(matches!(world.read('b')[..], [M::PeerLeft { .. }]));
    world.gone('c', true);
    assert!(
        matches!(world.read('b')[..], [M::PeerLeft { .. }, M::Granted { peer, .. }] if peer == id('b')),
        "who has been there longest inherits"
    );
}

#[test]
fn what_moderators_decided_is_bounded_and_ends_with_the_room() {
    let mut decisions = super::super::decisions::Decisions::default();
    let now = Instant::now();
    let peers: Vec<PeerId> = (0..=rtc_protocol::limits::REMEMBERED)
        .map(|i| Token::new(&format!("{i:024}")).unwrap().peer_id())
        .collect();
    for peer in &peers {
        let (peer, kind, by) = (*peer, Kind::Video, id('a'));
        decisions.hold(super::super::decisions::Hold { peer, kind, by });
        decisions.put_out(peer, now);
    }
    let (first, last) = (peers[0], peers[peers.len() - 1]);
    assert!(!decisions.holds(first, Kind::Video) && decisions.holds(last, Kind::Video));
    assert!(decisions.waits(first, now).is_none() && decisions.waits(last, now).is_some());
    let mut world = World::with("ab");
    world.say('a', mute('b', true));
    for who in ['a', 'b'] {
        world.say(who, ClientMessage::Leave { room: room("r") });
    }
    world.read_all();
    world.join('b', "r");
    assert!(matches!(world.read('b')[..], [M::Joined { .. }]));
}
