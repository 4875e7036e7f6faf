#![allow(clippy::unwrap_used, clippy::panic)]

use rtc_protocol::Candidate;
use rtc_protocol::dialect::socketio::wire::Incoming;

use super::*;

struct Page {
    pair: Pair,
    now: Instant,
    out: Out,
}

impl Page {
    fn new(kind: Kind) -> Self {
        let mut page = Self {
            pair: Pair::new(kind, RoomId::new("foo").unwrap(), [3; 32]),
            now: Instant::now(),
            out: Out::default(),
        };
        page.pair.connected(&mut page.out);
        assert_eq!(page.said(), [r#"42["create or join","foo"]"#]);
        page
    }

    fn said(&mut self) -> Vec<String> {
        self.out.texts.drain(..).collect()
    }

    fn news(&mut self) -> Vec<News> {
        self.out.news.drain(..).collect()
    }

    fn try_hear(&mut self, packet: &str) -> Result<Vec<News>, Refusal> {
        let Ok(Incoming::Event(event)) = Incoming::parse(packet) else {
            panic!("{packet}")
        };
        self.pair.event(self.now, &event, &mut self.out)?;
        Ok(self.news())
    }

    fn hear(&mut self, packet: &str) -> Vec<News> {
        self.try_hear(packet).unwrap()
    }

    /// In the room, as the first or the second.
    fn inside(kind: Kind, first: bool) -> Self {
        let mut page = Self::new(kind);
        let word = if first { "created" } else { "joined" };
        page.hear(&format!(r#"2["{word}","foo","id"]"#));
        page.said();
        page
    }

    fn say(&mut self, to: PeerId, signal: &Signal) -> Vec<String> {
        self.pair.signal(to, signal, &mut self.out);
        self.said()
    }
}

fn description(kind: SdpType) -> Signal {
    let sdp = "v=0\r\n".to_owned();
    Signal::Description(Description { kind, sdp })
}

fn candidate() -> Signal {
    Signal::Candidate(Candidate {
        candidate: "candidate:1".to_owned(),
        sdp_mid: Some("0".to_owned()),
        sdp_m_line_index: Some(0),
        username_fragment: None,
    })
}

/// Who came, where somebody did and we are asked for an offer.
fn asked_to_offer(news: &[News]) -> PeerId {
    match news {
        [News::Came(member), .., News::Signal(from, Signal::Restart)] => {
            assert_eq!((member.peer, member.dialect), (*from, None));
            *from
        }
        other => panic!("{other:?}"),
    }
}

/// Who is there, where somebody is that offers to us.
fn waited_for(news: &[News]) -> PeerId {
    match news {
        [News::Inside(members)] => {
            assert!(members[0].dialect.is_some(), "it is not offered to");
            members[0].peer
        }
        other => panic!("{other:?}"),
    }
}

const OFFER: &str = r#"2["message",{"type":"offer","sdp":"v=0\r\n"}]"#;
const READY_WORD: &str = r#"2["message","got user media"]"#;

#[test]
fn who_made_the_room_offers_when_the_other_one_has_its_camera() {
    let mut page = Page::new(Kind::Codelab);
    let news = page.hear(r#"2["created","foo","id"]"#);
    assert_eq!(news, [News::Inside(vec![])]);
    assert_eq!(page.said(), [r#"42["message","got user media"]"#]);
    assert_eq!(page.hear(r#"2["join","foo"]"#), []);
    assert_eq!(page.hear(r#"2["ready"]"#), []);
    let far = asked_to_offer(&page.hear(READY_WORD));
    let said = page.say(far, &description(SdpType::Offer));
    assert_eq!(said, [r#"42["message",{"type":"offer","sdp":"v=0\r\n"}]"#]);
    let said = page.say(far, &candidate());
    for field in [
        r#""type":"candidate""#,
        r#""label":0"#,
        r#""id":"0""#,
        r#""candidate":"candidate:1""#,
    ] {
        assert!(said[0].contains(field), "{said:?}");
    }
    assert_eq!(page.say(far, &Signal::EndOfCandidates), [""; 0]);
    let answer = page.hear(r#"2["message",{"type":"answer","sdp":"v=0\r\n"}]"#);
    assert_eq!(answer, [News::Signal(far, description(SdpType::Answer))]);
    assert_eq!(page.hear(READY_WORD), [], "it is answered already");
}

#[test]
fn who_comes_second_waits_for_the_offer() {
    let mut page = Page::new(Kind::Codelab);
    let far = waited_for(&page.hear(r#"2["joined","foo","id"]"#));
    assert_eq!(page.said(), [r#"42["message","got user media"]"#]);
    assert_eq!(page.hear(r#"2["ready"]"#), []);
    assert_eq!(page.hear(READY_WORD), [], "the other one offers");
    let offer = [News::Signal(far, description(SdpType::Offer))];
    assert_eq!(page.hear(OFFER), offer);
    let said = page.say(far, &description(SdpType::Answer));
    assert_eq!(said, [r#"42["message",{"type":"answer","sdp":"v=0\r\n"}]"#]);
}

#[test]
fn a_page_that_never_speaks_of_its_camera_is_offered_to_after_a_while() {
    let mut page = Page::inside(Kind::Codelab, true);
    page.hear(r#"2["join","foo"]"#);
    let until = page.pair.deadline().unwrap();
    page.pair
        .check(until - Duration::from_millis(1), &mut page.out);
    assert_eq!(page.news(), []);
    page.pair.check(until, &mut page.out);
    let far = asked_to_offer(&page.news());
    assert_eq!(page.pair.deadline(), None);
    // It was too early: the page speaks of it now, and gets another offer by another connection.
    let news = page.hear(READY_WORD);
    assert!(
        news.contains(&News::Left(far, LeaveReason::Left)),
        "{news:?}"
    );
    assert_ne!(asked_to_offer(&news), far);
}

#[test]
fn who_is_left_offers_to_who_comes_next() {
    for first in [true, false] {
        let mut page = Page::inside(Kind::Codelab, first);
        if first {
            page.hear(r#"2["join","foo"]"#);
            page.hear(READY_WORD);
        }
        let left = page.hear(r#"2["message","bye"]"#);
        assert!(matches!(left[..], [News::Left(..)]), "{left:?}");
        assert_eq!(page.hear(r#"2["message","bye"]"#), [], "once");
        page.hear(r#"2["created","foo","id"]"#);
        page.hear(r#"2["join","foo"]"#);
        asked_to_offer(&page.hear(READY_WORD));
    }
}

#[test]
fn after_a_broken_link_the_other_one_is_taken_for_who_it_was() {
    let mut page = Page::new(Kind::Codelab);
    let far = waited_for(&page.hear(r#"2["joined","foo","id"]"#));
    page.pair.down();
    page.pair.connected(&mut page.out);
    assert_eq!(waited_for(&page.hear(r#"2["joined","foo","id2"]"#)), far);
}

#[test]
fn who_comes_back_first_offers_anew_and_is_never_alone() {
    let mut page = Page::inside(Kind::Codelab, true);
    page.hear(r#"2["join","foo"]"#);
    let before = asked_to_offer(&page.hear(READY_WORD));
    page.pair.down();
    page.pair.connected(&mut page.out);
    let news = page.hear(r#"2["created","foo","id"]"#);
    assert_eq!(news, [News::Inside(vec![])]);
    page.hear(r#"2["join","foo"]"#);
    let news = page.hear(READY_WORD);
    assert_ne!(asked_to_offer(&news), before);
    assert_eq!(news[1], News::Left(before, LeaveReason::Left));
}

#[test]
fn a_full_room_and_a_refusal_are_the_end_of_a_join() {
    for kind in [Kind::Codelab, Kind::Book] {
        let full = Page::new(kind).try_hear(r#"2["full","foo"]"#);
        assert_eq!(full, Err(Refusal::Full));
        let error = r#"2["error",{"code":"bad-name","message":"no"}]"#;
        let refused = Page::new(kind).try_hear(error);
        assert_eq!(refused, Err(Refusal::Said("no".to_owned())));
        let later = Page::inside(kind, true).hear(error);
        assert!(matches!(later[..], [News::Notice(_)]), "{later:?}");
    }
}

#[test]
fn in_the_book_words_name_their_channel_and_answers_are_responses() {
    let mut first = Page::new(Kind::Book);
    first.hear(r#"2["created","foo"]"#);
    assert_eq!(first.said(), [""; 0]);
    let far = asked_to_offer(&first.hear(r#"2["remotePeerJoining","foo"]"#));
    let said = first.say(far, &description(SdpType::Offer));
    let wrapped = r#"{"channel":"foo","message":{"type":"offer","sdp":"v=0\r\n"}}"#;
    assert_eq!(said, [format!(r#"42["message",{wrapped}]"#)]);
    assert!(first.say(far, &candidate())[0].starts_with(r#"42["message""#));
    let news = first.hear(r#"2["response",{"type":"answer","sdp":"v=0\r\n"}]"#);
    assert_eq!(news, [News::Signal(far, description(SdpType::Answer))]);

    let mut second = Page::new(Kind::Book);
    let far = waited_for(&second.hear(r#"2["joined","foo"]"#));
    let hello = r#"42["message",{"channel":"foo","message":"hello"}]"#;
    assert_eq!(second.said(), [hello]);
    let offer = [News::Signal(far, description(SdpType::Offer))];
    assert_eq!(second.hear(OFFER), offer);
    for signal in [description(SdpType::Answer), candidate()] {
        assert!(second.say(far, &signal)[0].starts_with(r#"42["response""#));
    }
    assert_eq!(second.hear(r#"2["join","foo"]"#), [], "not of the book");
}

#[test]
fn each_kind_says_goodbye_in_its_own_words() {
    let leave = |page: &mut Page| {
        page.pair.leave(&mut page.out);
        page.said()
    };
    let mut page = Page::inside(Kind::Codelab, true);
    assert_eq!(leave(&mut page), [r#"42["message","bye"]"#]);
    assert_eq!(leave(&mut page), [""; 0]);
    let mut page = Page::inside(Kind::Book, false);
    assert_eq!(leave(&mut page), [r#"42["Bye","foo"]"#]);
    let mut page = Page::inside(Kind::Book, false);
    let left = page.hear(r#"2["Bye"]"#);
    assert!(matches!(left[..], [News::Left(..)]), "{left:?}");
    assert_eq!(leave(&mut page), [r#"42["Ack"]"#]);
}

#[test]
fn words_of_strangers_and_for_them_go_nowhere() {
    let mut page = Page::new(Kind::Codelab);
    // Some servers tell everybody on the site what anybody says.
    for word in [
        OFFER,
        READY_WORD,
        r#"2["message","bye"]"#,
        r#"2["log",["a"]]"#,
    ] {
        assert_eq!(page.hear(word), [], "outside");
    }
    page.hear(r#"2["created","foo","id"]"#);
    page.said();
    assert_eq!(page.hear(r#"2["message",{"type":"answer","sdp":""}]"#), []);
    assert_eq!(page.hear(r#"2["message"]"#), []);
    let stranger = Ids::new([9; 32]).peer();
    assert_eq!(page.say(stranger, &candidate()), [""; 0]);
}
