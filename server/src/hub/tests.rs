//! The hub's rules on virtual time, seen through the messages that peers get.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;

use proptest::prelude::*;
use rtc_protocol::{Callee, Kind, Raw, Role, ServerFrame};

mod access;
mod calls;
mod drain;
mod model;
mod report;

use super::*;
use ServerMessage as M;
use calls::{call, name};

/// A hub, peers named by a letter, and what each connection was sent and not yet looked at.
struct World {
    hub: Hub,
    now: Instant,
    next: u64,
    sent: HashMap<ConnectionId, Vec<ServerFrame>>,
    closed: HashMap<ConnectionId, u16>,
    links: HashMap<char, ConnectionId>,
}

fn config() -> HubConfig {
    HubConfig {
        open: true,
        limits: Limits {
            message_bytes: 65_536,
            rooms_per_peer: 2,
            room_capacity: 4,
            queue_messages: 512,
        },
        default_capacity: 3,
        resume_window: Duration::from_secs(30),
        heartbeat: Duration::from_secs(15),
        ice_servers: Vec::new(),
        ring: Duration::from_secs(60),
        ringing_calls: 2,
        calls_per_peer: 4,
        backlog: 8,
        backlog_bytes: 4096,
        away_url: None,
    }
}

fn token(who: char) -> Token {
    Token::new(&who.to_string().repeat(24)).unwrap()
}

fn id(who: char) -> PeerId {
    token(who).peer_id()
}

fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            hub: Hub::new(config(), now),
            now,
            next: 0,
            sent: HashMap::new(),
            closed: HashMap::new(),
            links: HashMap::new(),
        }
    }

    /// A world with these peers, all of them in room `r`, nothing unread.
    fn with(peers: &str) -> Self {
        let mut world = Self::new();
        for who in peers.chars() {
            world.hello(who, None);
            world.join(who, "r");
        }
        world.read_all();
        world
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, line) => {
                    let frame = ServerFrame::parse(&line.text()).unwrap();
                    self.sent.entry(to).or_default().push(frame);
                }
                Effect::Close(link, code, _) => {
                    self.closed.insert(link, code);
                }
            }
        }
    }

    fn hello(&mut self, who: char, last: Option<u64>) -> ConnectionId {
        self.hello_with(who, last, Pass::Unchecked).unwrap()
    }

    fn hello_with(
        &mut self,
        who: char,
        last: Option<u64>,
        pass: Pass,
    ) -> Result<ConnectionId, Denied> {
        self.next += 1;
        let link = ConnectionId(self.next);
        let mut out = Vec::new();
        let name = Some(Name::new(&who.to_string()).unwrap());
        let greeting = Greeting {
            dialect: None,
            pass,
            id: Some(1),
            token: token(who),
            last_seq: last,
            name,
        };
        let known = self.hub.hello(self.now, link, greeting, &mut out);
        if known.is_ok() {
            self.links.insert(who, link);
        }
        self.perform(out);
        assert_eq!(known?, id(who));
        Ok(link)
    }

    fn say(&mut self, who: char, message: ClientMessage) {
        let mut out = Vec::new();
        let frame = ClientFrame {
            id: Some(7),
            message,
        };
        self.hub.say(self.now, id(who), frame, &mut out);
        self.perform(out);
    }

    fn join(&mut self, who: char, name: &str) {
        self.join_with(who, name, None);
    }

    fn join_with(&mut self, who: char, name: &str, capacity: Option<u16>) {
        let (room, name) = (room(name), None);
        self.say(
            who,
            ClientMessage::Join {
                room,
                name,
                capacity,
            },
        );
    }

    fn signal(&mut self, who: char, to: Option<char>, text: &str) {
        let signal = rtc_protocol::Raw::parse(text).unwrap();
        let (room, to) = (room("r"), to.map(id));
        self.say(who, ClientMessage::Signal { room, to, signal });
    }

    fn gone(&mut self, who: char, clean: bool) {
        let mut out = Vec::new();
        let link = self.links[&who];
        self.hub.gone(self.now, id(who), link, clean, &mut out);
        self.perform(out);
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        let mut out = Vec::new();
        self.hub.tick(self.now, &mut out);
        self.perform(out);
    }

    fn frames(&mut self, who: char) -> Vec<ServerFrame> {
        self.sent.remove(&self.links[&who]).unwrap_or_default()
    }

    fn read(&mut self, who: char) -> Vec<M> {
        self.frames(who).into_iter().map(|f| f.message).collect()
    }

    fn read_all(&mut self) {
        self.sent.clear();
    }

    /// The code of the one error that this peer was answered with.
    fn refusal(&mut self, who: char) -> ErrorCode {
        match self.frames(who).as_slice() {
            [
                ServerFrame {
                    seq: None,
                    id: Some(7),
                    message: M::Error { code, .. },
                },
            ] => *code,
            other => panic!("not one error: {other:?}"),
        }
    }
}

#[test]
fn the_first_creates_the_room_and_the_next_learns_who_is_there() {
    let mut world = World::new();
    world.hello('a', None);
    world.join('a', "r");
    let M::Joined {
        role,
        capacity,
        members,
        ..
    } = world.read('a').pop().unwrap()
    else {
        panic!("not joined")
    };
    assert_eq!((role, capacity, members.len()), (Role::Moderator, 3, 0));
    world.hello('b', None);
    world.join('b', "r");
    let frames = world.frames('b');
    assert_eq!(frames[1].id, Some(7));
    let M::Joined { role, members, .. } = &frames[1].message else {
        panic!("not joined")
    };
    assert_eq!(*role, Role::Member);
    assert_eq!(members.len(), 1);
    assert_eq!((members[0].peer, members[0].name.as_str()), (id('a'), "a"));
    let told = world.read('a');
    assert!(
        matches!(&told[..], [M::PeerJoined { member, .. }] if member.peer == id('b')),
        "{told:?}"
    );
}

#[test]
fn a_full_room_stays_as_it_is_and_the_one_outside_hears_nothing() {
    let mut world = World::with("ab");
    world.hello('c', None);
    world.join('c', "r");
    world.hello('d', None);
    world.read_all();
    world.join('d', "r");
    assert_eq!(world.refusal('d'), ErrorCode::RoomFull);
    world.signal('a', None, "{}");
    assert!(world.read('d').is_empty());
    assert_eq!(world.read('b').len(), 1);
    world.signal('d', Some('a'), "{}");
    assert_eq!(world.refusal('d'), ErrorCode::NotJoined);
}

#[test]
fn only_the_creator_sets_the_capacity_and_never_above_the_limit() {
    let mut world = World::new();
    for who in "abc".chars() {
        world.hello(who, None);
    }
    world.join_with('a', "two", Some(2));
    world.join_with('b', "two", Some(4));
    world.read_all();
    world.join('c', "two");
    assert_eq!(world.refusal('c'), ErrorCode::RoomFull);
    world.join_with('c', "large", Some(60_000));
    assert!(matches!(
        world.read('c')[..],
        [M::Joined { capacity: 4, .. }]
    ));
}

#[test]
fn a_room_is_joined_once_and_no_more_rooms_than_allowed() {
    let mut world = World::with("a");
    world.join('a', "r");
    assert_eq!(world.refusal('a'), ErrorCode::AlreadyJoined);
    world.join('a', "s");
    world.read_all();
    world.join('a', "t");
    assert_eq!(world.refusal('a'), ErrorCode::TooManyRooms);
    assert_eq!(world.hub.counts().rooms, 2);
}

#[test]
fn an_empty_room_is_gone() {
    let mut world = World::with("a");
    world.say('a', ClientMessage::Leave { room: room("r") });
    assert!(matches!(world.read('a')[..], [M::Left { .. }]));
    assert_eq!(world.hub.counts().rooms, 0);
    world.say('a', ClientMessage::Leave { room: room("r") });
    assert_eq!(world.refusal('a'), ErrorCode::NotJoined);
}

#[test]
fn a_signal_goes_to_its_addressee_alone_with_the_true_sender_and_untouched() {
    let mut world = World::with("abc");
    world.signal('a', Some('b'), r#"{"x": 1.50,  "from":"c"}"#);
    let told = world.read('b');
    let [M::Signal { from, signal, .. }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(*from, id('a'));
    assert_eq!(signal.get(), r#"{"x": 1.50,  "from":"c"}"#);
    assert!(world.read('c').is_empty());
    assert!(matches!(world.read('a')[..], [M::Ack {}]));
    world.signal('a', None, "{}");
    assert_eq!(world.read('b').len(), 1);
    assert_eq!(world.read('c').len(), 1);
    assert!(matches!(world.read('a')[..], [M::Ack {}]), "no echo");
}

#[test]
fn nobody_reaches_a_peer_of_another_room_or_itself() {
    let mut world = World::with("a");
    world.hello('b', None);
    world.join('b', "s");
    world.read_all();
    for to in ['b', 'a', 'x'] {
        world.signal('a', Some(to), "{}");
        assert_eq!(world.refusal('a'), ErrorCode::NoSuchPeer, "{to}");
    }
    assert!(world.read('b').is_empty());
}

#[test]
fn a_clean_end_is_told_at_once_and_a_broken_link_after_the_window() {
    let mut world = World::with("abc");
    world.gone('b', true);
    assert!(matches!(
        world.read('a')[..],
        [M::PeerLeft { reason: LeaveReason::Left, peer, .. }] if peer == id('b')
    ));
    world.gone('c', false);
    world.pass(29);
    assert!(world.read('a').is_empty());
    world.pass(1);
    assert!(matches!(
        world.read('a')[..],
        [M::PeerLeft { reason: LeaveReason::Lost, peer, .. }] if peer == id('c')
    ));
    assert_eq!(world.hub.counts().sessions, 1);
}

#[test]
fn a_resumed_session_hears_what_it_missed_in_order_and_the_room_nothing() {
    let mut world = World::with("ab");
    world.signal('a', Some('b'), "1");
    let last = world.frames('b').pop().unwrap().seq.unwrap();
    world.gone('b', false);
    world.signal('a', Some('b'), "2");
    world.signal('a', Some('b'), "3");
    world.pass(20);
    world.read_all();
    world.hello('b', Some(last));
    let frames = world.frames('b');
    assert!(matches!(
        frames[0].message,
        M::Welcome { resumed: true, .. }
    ));
    let missed: Vec<_> = frames[1..].iter().map(|f| f.seq.unwrap() - last).collect();
    assert_eq!(missed, [1, 2]);
    let texts: Vec<_> = frames[1..]
        .iter()
        .map(|frame| match &frame.message {
            M::Signal { signal, .. } => signal.get().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["2", "3"]);
    assert!(world.read('a').is_empty());
    world.pass(60);
    assert!(world.read('a').is_empty(), "it is back for good");
    world.signal('b', Some('a'), "4");
    assert_eq!(world.read('a').len(), 1);
}

#[test]
fn a_session_that_missed_more_than_is_kept_begins_anew_and_the_room_is_told() {
    let mut world = World::with("ab");
    let last = 1;
    world.gone('b', false);
    for _ in 0..9 {
        world.signal('a', Some('b'), "{}");
    }
    world.read_all();
    world.hello('b', Some(last));
    assert!(matches!(
        world.read('b')[..],
        [M::Welcome { resumed: false, .. }]
    ));
    assert!(matches!(
        world.read('a')[..],
        [M::PeerLeft {
            reason: LeaveReason::Lost,
            ..
        }]
    ));
}

#[test]
fn what_is_kept_is_bounded_in_bytes() {
    let mut world = World::with("ab");
    world.gone('b', false);
    let large = format!("\"{}\"", "x".repeat(2000));
    for _ in 0..3 {
        world.signal('a', Some('b'), &large);
    }
    let session = &world.hub.sessions[&id('b')];
    assert!(session.can_resume(3) && !session.can_resume(1));
}

#[test]
fn a_number_that_was_never_given_cannot_be_resumed_from() {
    let mut world = World::with("ab");
    world.gone('b', false);
    world.hello('b', Some(1_000));
    assert!(matches!(
        world.read('b')[..],
        [M::Welcome { resumed: false, .. }]
    ));
}

#[test]
fn what_a_live_connection_has_long_had_is_forgotten() {
    let mut world = World::with("ab");
    world.signal('a', Some('b'), "{}");
    let newest = world.frames('b').pop().unwrap().seq.unwrap();
    world.pass(59);
    assert!(world.hub.sessions[&id('b')].can_resume(newest - 1));
    world.pass(2);
    assert!(!world.hub.sessions[&id('b')].can_resume(newest - 1));
    assert!(world.hub.sessions[&id('b')].can_resume(newest));
}

#[test]
fn an_unknown_secret_gets_a_new_session_under_the_same_id() {
    let mut world = World::with("ab");
    world.gone('b', false);
    world.pass(31);
    world.read_all();
    world.hello('b', Some(1));
    let frames = world.frames('b');
    assert!(
        matches!(frames[..], [ServerFrame { id: Some(1), seq: None, message: M::Welcome { resumed: false, peer, .. } }] if peer == id('b'))
    );
    world.join('b', "r");
    assert_eq!(
        world.frames('b')[0].seq,
        Some(1),
        "numbers begin from 1 again"
    );
}

#[test]
fn a_second_connection_takes_the_session_over() {
    let mut world = World::with("ab");
    let old = world.links[&'b'];
    world.hello('b', Some(1));
    assert_eq!(world.closed[&old], close::TAKEN_OVER);
    assert!(world.read('a').is_empty());
    // The end of the old connection is no end of the session.
    let mut out = Vec::new();
    world.hub.gone(world.now, id('b'), old, true, &mut out);
    world.perform(out);
    world.pass(31);
    assert!(world.read('a').is_empty());
    world.signal('a', Some('b'), "{}");
    assert!(!world.read('b').is_empty());
}

#[test]
fn a_peer_that_begins_anew_leaves_its_rooms_first() {
    let mut world = World::with("ab");
    let old = world.links[&'b'];
    world.hello('b', None);
    assert_eq!(world.closed[&old], close::TAKEN_OVER);
    assert!(matches!(
        world.read('a')[..],
        [M::PeerLeft {
            reason: LeaveReason::Left,
            ..
        }]
    ));
    world.read_all();
    world.signal('b', Some('a'), "{}");
    assert_eq!(world.refusal('b'), ErrorCode::NotJoined);
}

#[test]
fn a_lost_member_keeps_its_place_in_a_full_room() {
    let mut world = World::with("abc");
    world.gone('c', false);
    world.hello('d', None);
    world.read_all();
    world.join('d', "r");
    assert_eq!(world.refusal('d'), ErrorCode::RoomFull);
    world.pass(31);
    world.read_all();
    world.join('d', "r");
    assert!(matches!(world.read('d')[..], [M::Joined { .. }]));
}

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
fn an_administrator_speaks_to_everybody_and_drains_and_nobody_else_does() {
    let mut world = World::with("abc");
    world.hello('d', None);
    world.read_all();
    let data = Raw::parse(r#"{"text":"soon"}"#).unwrap();
    let broadcast = ClientMessage::Broadcast { data: data.clone() };
    world.say('a', broadcast.clone());
    assert_eq!(
        world.refusal('a'),
        ErrorCode::NotAllowed,
        "not even a moderator"
    );
    world.say('a', ClientMessage::Drain {});
    assert_eq!(world.refusal('a'), ErrorCode::NotAllowed);
    assert!(world.read('d').is_empty());
    let rights = crate::access::Rights::administrator();
    let session = world.hub.sessions.get_mut(&id('d')).unwrap();
    session.entitle(rights);
    world.say('d', broadcast);
    for who in ['a', 'b', 'c'] {
        let told = world.read(who);
        assert!(
            matches!(&told[..], [M::Broadcast { data: said }] if *said == data),
            "{told:?}"
        );
    }
    assert!(matches!(
        world.read('d')[..],
        [M::Broadcast { .. }, M::Ack {}]
    ));
    world.say('d', ClientMessage::Drain {});
    assert!(matches!(world.read('d')[..], [M::Ack {}, M::GoAway { .. }]));
    assert!(world.closed.contains_key(&world.links[&'d']));
    assert!(world.read('a').is_empty(), "a call in progress goes on");
}

#[test]
fn what_moderators_decided_is_bounded_and_ends_with_the_room() {
    let mut decisions = super::decisions::Decisions::default();
    let now = Instant::now();
    let peers: Vec<PeerId> = (0..=rtc_protocol::limits::REMEMBERED)
        .map(|i| Token::new(&format!("{i:024}")).unwrap().peer_id())
        .collect();
    for peer in &peers {
        let (peer, kind, by) = (*peer, Kind::Video, id('a'));
        decisions.hold(super::decisions::Hold { peer, kind, by });
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
fn a_server_that_stops_tells_everybody_and_lets_nobody_in() {
    let mut world = World::with("ab");
    let mut out = Vec::new();
    world.hub.stop("stop", &mut out);
    world.perform(out);
    for who in ['a', 'b'] {
        assert!(matches!(&world.read(who)[..], [M::GoAway { reason, .. }] if reason == "stop"));
        assert_eq!(world.closed[&world.links[&who]], close::GOING_AWAY);
    }
    world.join('a', "s");
    assert_eq!(world.refusal('a'), ErrorCode::GoingAway);
    let late = world.hello('c', None);
    assert_eq!(world.closed[&late], close::GOING_AWAY);
}

#[test]
fn hello_comes_once() {
    let mut world = World::with("a");
    world.say(
        'a',
        ClientMessage::Hello {
            resume: None,
            last_seq: None,
            name: None,
            auth: None,
            agent: None,
        },
    );
    assert_eq!(world.refusal('a'), ErrorCode::HelloFirst);
}

proptest! {
    /// Whatever peers do, rooms hold no more than they may, nobody is in two minds about where it is, and every
    /// request has exactly one answer.
    #[test]
    fn the_books_balance(steps in proptest::collection::vec((0_usize..5, 0_u8..12, 0_usize..3, 0_usize..5), 1..80)) {
        let mut world = World::new();
        let peers = ['a', 'b', 'c', 'd', 'e'];
        let rooms = ["r", "s", "t"];
        for (who, what, place, other) in steps {
            let (who, place, other) = (peers[who], rooms[place], peers[other]);
            let known = world.hub.sessions.get(&id(who)).is_some_and(|s| s.connection().is_some());
            if !known {
                world.hello(who, (what > 4).then_some(0));
                continue;
            }
            world.read_all();
            match what {
                0..3 => world.join(who, place),
                3 => world.say(who, ClientMessage::Leave { room: room(place) }),
                4 => world.say(who, ClientMessage::Kick { room: room(place), peer: id(other), reason: None }),
                5 => world.signal(who, Some(other), "{}"),
                6 => call(&mut world, who, Callee::Peer(id(other))),
                8 => world.say(who, ClientMessage::Register { name: name(place) }),
                9 => call(&mut world, who, Callee::Name(name(place))),
                10 => {
                    let heard = world.hub.calls.ringing_now(id(who));
                    let Some(call) = heard else { continue };
                    world.say(who, ClientMessage::Accept { call });
                }
                7 => { world.gone(who, place == "r"); continue }
                _ => { world.pass(16); continue }
            }
            let answers = world.frames(who).iter().filter(|frame| frame.id == Some(7)).count();
            prop_assert_eq!(answers, 1);
            for (name, inside) in &world.hub.rooms {
                prop_assert!(!inside.is_empty());
                prop_assert!(inside.members().len() <= usize::from(inside.capacity()));
                prop_assert!(inside.members().iter().any(|member| member.role == Role::Moderator));
                for peer in inside.peers() {
                    prop_assert!(world.hub.sessions[&peer].rooms().contains(name));
                }
            }
            for (peer, session) in &world.hub.sessions {
                for name in session.rooms() {
                    prop_assert!(world.hub.rooms[&name].has(*peer));
                }
            }
            for peer in world.hub.calls.peers() {
                prop_assert!(world.hub.sessions.contains_key(&peer));
            }
            for place in rooms {
                if let Some(owner) = world.hub.names.owner(&name(place)) {
                    let known = world.hub.sessions[&owner].registered();
                    prop_assert_eq!(known, Some(&name(place)));
                }
            }
        }
        world.pass(61);
        for who in peers {
            if world.hub.sessions.contains_key(&id(who)) {
                world.gone(who, true);
            }
        }
        world.pass(61);
        prop_assert!(world.hub.sessions.is_empty() && world.hub.rooms.is_empty());
        prop_assert!(world.hub.calls.is_empty() && world.hub.names.is_empty());
    }
}
