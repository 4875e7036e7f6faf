//! What a server of another kind says to a client.

use std::time::{Duration, Instant};

use rtc_dialects::{Dialect, Errand, Identity, Peer, Revision, engine, socketio};
use rtc_protocol::{Candidate, Name, PeerId, RoomId, Signal, Token};

/// A dialect behind the first byte's two lowest bits, whether we call somebody behind the next, and a text in each line: no rule
/// stumbles, and what there is to say and to tell is bounded by what came.
pub fn server(data: &[u8]) {
    let Some((head, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let dialect = Dialect::ALL[usize::from(head % 4)];
    let now = Instant::now();
    let name = |name| Name::new(name).expect("a name");
    let mut peer = Peer::new(Identity {
        dialect,
        room: RoomId::new("foo").expect("a room"),
        name: name("ann"),
        errand: match head & 4 {
            0 => Errand::Join,
            _ => Errand::Call(name("bob")),
        },
        token: None,
        me: Token::from_random([1; 32]).peer_id(),
        seed: [2; 32],
        patience: Duration::from_secs(5),
    });
    peer.link_up(now, Revision::Four);
    for line in text.lines() {
        let _ = engine::read(line);
        let _ = socketio::read(line);
        let before = peer.texts();
        if peer.hear(now, line).is_err() || peer.check(now).is_err() {
            peer.link_down();
            peer.link_up(now, Revision::Three);
        }
        assert!(peer.texts() <= before + 4, "{line}");
        let mut told = 0;
        while let Some(news) = peer.next_news() {
            told += 1;
            act(&mut peer, now, news);
        }
        // A list of members is told one by one, at worst.
        assert!(told <= 4 + line.len() / 8, "{line}");
        while peer.next_text().is_some() {}
    }
    peer.leave();
}

/// What a call does with it.
fn act(peer: &mut Peer, now: Instant, news: rtc_dialects::News) {
    use rtc_dialects::News;
    let say = |peer: &mut Peer, to: PeerId| {
        peer.signal(now, to, &Signal::Candidate(Candidate::default()));
    };
    match news {
        News::Rung(call, ..) => peer.accept(&call),
        News::Signal(from, _) => say(peer, from),
        News::Came(member) => say(peer, member.peer),
        _ => {}
    }
}
