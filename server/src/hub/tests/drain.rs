//! The end of a server: who stays, who goes, and when it is over.

use super::*;

impl World {
    fn drain(&mut self) {
        let mut out = Vec::new();
        self.hub.drain(&mut out);
        self.perform(out);
    }

    fn away(&mut self, who: char) -> Option<Option<String>> {
        let link = self.links[&who];
        let said = self.read(who);
        let url = said.into_iter().find_map(|message| match message {
            M::GoAway { url, .. } => Some(url),
            _ => None,
        });
        assert_eq!(
            url.is_some(),
            self.closed.get(&link) == Some(&close::GOING_AWAY),
            "who is told to go is closed"
        );
        url
    }
}

#[test]
fn calls_in_progress_stay_and_everybody_else_is_sent_elsewhere() {
    let mut world = World::with("ab");
    world.hub.config.away_url = Some("https://other.example".into());
    world.hello('c', None);
    world.hello('d', None);
    world.join('d', "alone");
    world.read_all();
    world.drain();
    let there = Some(Some("https://other.example".to_owned()));
    assert_eq!(world.away('c'), there, "in no room");
    assert_eq!(world.away('d'), there, "alone in a room");
    assert_eq!(world.away('a'), None);
    assert_eq!(world.away('b'), None);
    assert!(!world.hub.drained());
    world.say(
        'a',
        ClientMessage::Message {
            room: room("r"),
            to: None,
            data: rtc_protocol::Raw::parse("1").unwrap(),
        },
    );
    assert!(matches!(&world.read('b')[..], [M::Message { .. }]));
}

#[test]
fn who_is_new_is_sent_away_and_who_lost_its_link_in_a_call_comes_back() {
    let mut world = World::with("ab");
    world.drain();
    world.hello('n', None);
    assert!(world.away('n').is_some());
    world.hello('a', Some(9));
    assert_eq!(
        world.closed.get(&world.links[&'a']),
        Some(&close::GOING_AWAY),
        "a wrong number is a new session"
    );
    let mut world = World::with("ab");
    world.gone('a', false);
    world.drain();
    // It was told that it joined, and that the other one did.
    world.hello('a', Some(2));
    assert_eq!(world.away('a'), None);
}

#[test]
fn who_is_in_a_call_may_enter_rooms_that_exist_and_make_none() {
    let mut world = World::with("ab");
    for who in ['c', 'd'] {
        world.hello(who, None);
        world.join(who, "s");
    }
    world.read_all();
    world.drain();
    world.join('a', "s");
    assert!(matches!(&world.read('a')[..], [M::Joined { .. }]));
    world.join('b', "new");
    assert_eq!(world.refusal('b'), ErrorCode::GoingAway);
    world.say(
        'b',
        ClientMessage::Ring {
            whom: rtc_protocol::Callee::Peer(id('c')),
            room: room("r"),
        },
    );
    assert_eq!(world.refusal('b'), ErrorCode::GoingAway);
}

#[test]
fn a_call_that_rings_may_be_taken_and_held_to_its_end() {
    let mut world = World::new();
    for who in ['a', 'b'] {
        world.hello(who, None);
    }
    world.say(
        'a',
        ClientMessage::Ring {
            whom: rtc_protocol::Callee::Peer(id('b')),
            room: room("c"),
        },
    );
    let call = world
        .read('a')
        .into_iter()
        .find_map(|message| match message {
            M::Ringing { call } => Some(call),
            _ => None,
        });
    world.drain();
    assert_eq!(world.away('a'), None);
    world.say(
        'b',
        ClientMessage::Accept {
            call: call.clone().unwrap(),
        },
    );
    world.join('a', "c");
    world.join('b', "c");
    assert!(
        world
            .read('b')
            .iter()
            .any(|message| matches!(message, M::Joined { .. }))
    );
    world.say(
        'a',
        ClientMessage::HangUp {
            call: call.unwrap(),
        },
    );
    world.pass(1);
    assert_eq!(world.away('a'), None, "the room stands");
    world.say('a', ClientMessage::Leave { room: room("c") });
    world.pass(1);
    assert!(world.away('a').is_some() && world.away('b').is_some());
    assert!(world.hub.drained());
}

#[test]
fn it_is_over_when_the_last_call_is_even_by_a_lost_link() {
    let mut world = World::with("ab");
    world.drain();
    world.gone('a', false);
    world.pass(29);
    assert!(!world.hub.drained(), "it may come back");
    world.pass(2);
    assert!(world.away('b').is_some(), "alone from now on");
    assert!(world.hub.drained());
}

#[test]
fn a_server_with_nobody_is_drained_at_once() {
    let mut world = World::new();
    assert!(!world.hub.drained());
    world.drain();
    assert!(world.hub.drained());
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
