#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rtc_protocol::{Candidate, RoomId};

use super::*;
use crate::ids::Ids;

const PATIENCE: Duration = Duration::from_secs(5);

fn peer(dialect: Dialect, errand: Errand) -> Peer {
    Peer::new(Identity {
        dialect,
        room: RoomId::new("foo").unwrap(),
        name: Name::new("Ann").unwrap(),
        errand,
        token: None,
        me: Ids::new([8; 32]).peer(),
        seed: [9; 32],
        patience: PATIENCE,
    })
}

fn texts(peer: &mut Peer) -> Vec<String> {
    std::iter::from_fn(|| peer.next_text()).collect()
}

const OPEN: &str = r#"0{"sid":"a","pingInterval":25000,"pingTimeout":20000,"maxPayload":9}"#;

#[test]
fn a_peer_over_socket_io_joins_as_soon_as_it_is_let_in() {
    let now = Instant::now();
    for dialect in [Dialect::Codelab, Dialect::Book, Dialect::Conference] {
        let mut peer = peer(dialect, Errand::Join);
        peer.link_up(now, Revision::Four);
        assert_eq!(texts(&mut peer), [""; 0]);
        peer.hear(now, OPEN).unwrap();
        assert_eq!(texts(&mut peer), ["40"]);
        peer.hear(now, r#"40{"sid":"b"}"#).unwrap();
        let said = texts(&mut peer);
        assert!(
            said[0].contains("join") && said[0].contains("foo"),
            "{said:?}"
        );
        assert!(!peer.is_inside());
        peer.hear(now, r#"42["joined","foo","x",[]]"#).unwrap();
        assert!(peer.is_inside(), "{dialect:?}");
        assert!(matches!(peer.next_news(), Some(News::Inside(_))));
        // Heartbeats go on below.
        texts(&mut peer);
        peer.hear(now, "2").unwrap();
        assert_eq!(texts(&mut peer), ["3"]);
        peer.link_down();
        assert!(!peer.is_inside() && peer.mends());
    }
}

#[test]
fn a_server_that_does_not_go_on_is_given_up_in_time() {
    let now = Instant::now();
    let mut silent = peer(Dialect::Codelab, Errand::Join);
    silent.link_up(now, Revision::Four);
    silent.hear(now, OPEN).unwrap();
    silent.hear(now, r#"40{"sid":"b"}"#).unwrap();
    assert_eq!(silent.deadline(), Some(now + PATIENCE));
    assert_eq!(silent.check(now + PATIENCE), Err(Broken::Mute));
    let mut login = peer(Dialect::Login, Errand::Join);
    login.link_up(now, Revision::Four);
    assert_eq!(texts(&mut login), [r#"{"type":"login","name":"Ann"}"#]);
    assert_eq!(login.check(now + PATIENCE), Err(Broken::Mute));
    assert_eq!(login.hear(now, "hello"), Err(Broken::Nonsense));
}

#[test]
fn what_was_to_be_said_on_a_broken_link_is_not_said_on_the_next() {
    let now = Instant::now();
    let mut peer = peer(Dialect::Codelab, Errand::Join);
    peer.link_up(now, Revision::Three);
    peer.hear(now, OPEN).unwrap();
    peer.hear(now, "40").unwrap();
    assert_eq!(peer.texts(), 1);
    peer.link_down();
    peer.link_up(now, Revision::Three);
    assert_eq!(peer.texts(), 0);
}

fn word() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just(OPEN.to_owned()),
        Just(r#"40{"sid":"b"}"#.to_owned()),
        Just("40".to_owned()),
        Just("2".to_owned()),
        Just(r#"{"type":"login","success":true}"#.to_owned()),
        Just(r#"{"type":"offer","name":"b","offer":{"type":"offer","sdp":""}}"#.to_owned()),
        Just(r#"{"type":"answer","answer":{"type":"answer","sdp":""}}"#.to_owned()),
        Just(r#"{"type":"leave"}"#.to_owned()),
        Just(r#"42["message",{"type":"offer","sdp":""}]"#.to_owned()),
        Just(r#"42["message","got user media"]"#.to_owned()),
        Just(r#"42["message","foo",{"candidate":"x"},"b"]"#.to_owned()),
        Just(r#"431[{"ok":false}]"#.to_owned()),
    ];
    let events = [
        "created",
        "joined",
        "join",
        "full",
        "bye",
        "Bye",
        "remotePeerJoining",
        "otherjoin",
        "kicked",
        "muted",
    ];
    let event = prop::sample::select(events.to_vec())
        .prop_map(|name| format!(r#"42["{name}","foo","b",[{{"id":"c"}}]]"#));
    prop_oneof![3 => word, 3 => event, 1 => ".{0,40}"]
}

proptest! {
    /// Whatever a server says: nobody is told of who is not there, and what waits is bounded by what came.
    #[test]
    fn news_make_sense_whatever_comes(
        dialect in prop::sample::select(&Dialect::ALL[..]),
        calls in any::<bool>(),
        words in prop::collection::vec(word(), 0..60),
    ) {
        let now = Instant::now();
        let errand = if calls { Errand::Call(Name::new("b").unwrap()) } else { Errand::Join };
        let mut peer = peer(dialect, errand);
        peer.link_up(now, Revision::Four);
        let mut present = Vec::new();
        for word in words {
            if peer.hear(now, &word).is_err() {
                peer.link_down();
                peer.link_up(now, Revision::Four);
            }
            peer.check(now).ok();
            while let Some(news) = peer.next_news() {
                match news {
                    News::Inside(members) => {
                        present.retain(|known| {
                            // Who is not in the list may be away for a while only.
                            members.iter().all(|member| member.peer != *known)
                        });
                        present.extend(members.iter().map(|member| member.peer));
                    }
                    News::Came(member) => {
                        prop_assert!(!present.contains(&member.peer));
                        present.push(member.peer);
                    }
                    News::Left(who, _) => {
                        prop_assert!(present.contains(&who) || dialect == Dialect::Login);
                        present.retain(|known| *known != who);
                    }
                    News::Signal(from, _) => {
                        prop_assert!(present.contains(&from));
                        peer.signal(now, from, &Signal::Candidate(Candidate::default()));
                    }
                    News::Rung(call, ..) => peer.accept(&call),
                    _ => {}
                }
            }
            prop_assert!(peer.texts() < 400);
        }
    }
}
