#![allow(clippy::unwrap_used, clippy::panic)]

use rtc_protocol::dialect::login::Said;
use rtc_protocol::{Candidate, Description};

use super::*;

struct Page {
    login: Login,
    now: Instant,
    out: Out,
}

impl Page {
    fn new(callee: Option<&str>) -> Self {
        let callee = callee.map(|callee| Name::new(callee).unwrap());
        let mut page = Self {
            login: Login::new(Name::new("ann").unwrap(), callee, [4; 32]),
            now: Instant::now(),
            out: Out::default(),
        };
        page.login.connected(&mut page.out);
        assert_eq!(page.said(), [r#"{"type":"login","name":"ann"}"#]);
        page
    }

    fn waiting() -> Self {
        let mut page = Self::new(None);
        assert_eq!(page.hear(SUCCESS), [News::Waiting]);
        page
    }

    /// Bob is called, and has our offer.
    fn calling() -> (Self, PeerId) {
        let mut page = Self::new(Some("bob"));
        let news = page.hear(SUCCESS);
        let [News::Inside(members)] = &news[..] else {
            panic!("{news:?}")
        };
        assert_eq!(
            (members[0].name.as_str(), members[0].dialect),
            ("bob", None)
        );
        let bob = members[0].peer;
        let said = page.say(bob, &description(SdpType::Offer));
        let offer = r#"{"type":"offer","offer":{"type":"offer","sdp":"v=0"},"name":"bob"}"#;
        assert_eq!(said, [offer]);
        (page, bob)
    }

    /// Everything that is said is what a server reads.
    fn said(&mut self) -> Vec<String> {
        let said: Vec<String> = self.out.texts.drain(..).collect();
        for text in &said {
            Said::parse(text).unwrap();
        }
        said
    }

    fn try_hear(&mut self, text: &str) -> Result<Vec<News>, Refusal> {
        let told = Told::read(text).unwrap_or_else(|| panic!("{text}"));
        self.login.hear(&told, &mut self.out)?;
        Ok(self.news())
    }

    fn hear(&mut self, text: &str) -> Vec<News> {
        self.try_hear(text).unwrap()
    }

    fn news(&mut self) -> Vec<News> {
        self.out.news.drain(..).collect()
    }

    fn say(&mut self, to: PeerId, signal: &Signal) -> Vec<String> {
        self.login.signal(self.now, to, signal, &mut self.out);
        self.said()
    }
}

fn description(kind: SdpType) -> Signal {
    let sdp = "v=0".to_owned();
    Signal::Description(Description { kind, sdp })
}

fn candidate() -> Signal {
    Signal::Candidate(Candidate {
        candidate: "candidate:1".to_owned(),
        ..Candidate::default()
    })
}

const SUCCESS: &str = r#"{"type":"login","success":true}"#;
const OFFER: &str = r#"{"type":"offer","offer":{"type":"offer","sdp":"v=0"},"name":"bob"}"#;
const ANSWER: &str = r#"{"type":"answer","answer":{"type":"answer","sdp":"v=0"}}"#;
const CANDIDATE: &str = r#"{"type":"candidate","candidate":{"candidate":"candidate:1"}}"#;

#[test]
fn a_call_rings_is_taken_and_ends() {
    let (mut page, bob) = Page::calling();
    assert_eq!(
        page.hear(r#"{"type":"ringing","name":"bob"}"#),
        [News::Ringing]
    );
    assert_eq!(
        page.hear(r#"{"type":"accept","name":"bob"}"#),
        [News::Accepted]
    );
    let answer = News::Signal(bob, description(SdpType::Answer));
    assert_eq!(page.hear(ANSWER), [answer]);
    assert_eq!(page.hear(CANDIDATE), [News::Signal(bob, candidate())]);
    let none = r#"{"type":"candidate","candidate":null}"#;
    assert_eq!(
        page.hear(none),
        [News::Signal(bob, Signal::EndOfCandidates)]
    );
    let carried = page.say(bob, &candidate());
    assert!(
        carried[0].starts_with(r#"{"type":"candidate","candidate":{"candidate":"candidate:1""#)
    );
    assert_eq!(page.say(bob, &Signal::EndOfCandidates), [""; 0]);
    let over = page.hear(r#"{"type":"leave"}"#);
    assert_eq!(over, [News::Left(bob, LeaveReason::Left)]);
    assert_eq!(page.hear(r#"{"type":"leave"}"#), []);
}

#[test]
fn an_answer_alone_takes_the_call_as_in_the_tutorial() {
    let (mut page, bob) = Page::calling();
    let news = page.hear(ANSWER);
    let answer = News::Signal(bob, description(SdpType::Answer));
    assert_eq!(news, [News::Accepted, answer]);
}

#[test]
fn a_server_that_says_nothing_has_us_call_for_a_minute() {
    let (mut page, _) = Page::calling();
    let until = page.login.deadline().unwrap();
    assert_eq!(until, page.now + RINGING);
    page.login.check(until, &mut page.out);
    assert_eq!(page.news(), [News::NotTaken(RefuseCode::NoAnswer, None)]);
    assert_eq!(page.said(), [r#"{"type":"leave","name":"bob"}"#]);
    assert_eq!(page.login.deadline(), None);
}

#[test]
fn who_is_not_there_or_does_not_want_is_told_apart() {
    let refused = |text: &str| Page::calling().0.try_hear(text);
    let words = "nobody".to_owned();
    assert_eq!(
        refused(r#"{"type":"error","code":"no-such-user","message":"nobody"}"#),
        Err(Refusal::NoSuchUser(words.clone()))
    );
    assert_eq!(
        refused(r#"{"type":"error","code":"busy","message":"nobody"}"#),
        Err(Refusal::Busy(words.clone()))
    );
    assert_eq!(
        refused(r#"{"type":"error","code":"cannot-answer","message":"nobody"}"#),
        Ok(vec![News::NotTaken(RefuseCode::Declined, Some(words))])
    );
    // The tutorial's server says so of words that it does not know, and goes on.
    let gone = refused(r#"{"type":"leave"}"#).unwrap();
    assert!(matches!(gone[..], [News::HungUp(_)]), "{gone:?}");
    let unknown = refused(r#"{"type":"error","message":"Command not found"}"#).unwrap();
    assert!(matches!(unknown[..], [News::Notice(_)]), "{unknown:?}");
    assert_eq!(
        refused(r#"{"type":"refuse","name":"bob","code":"declined","message":"busy now"}"#),
        Ok(vec![News::NotTaken(
            RefuseCode::Declined,
            Some("busy now".to_owned())
        )])
    );
}

#[test]
fn a_name_that_is_taken_is_no_login() {
    for text in [
        r#"{"type":"login","success":false}"#,
        r#"{"type":"login","success":false,"code":"name-taken","message":"x"}"#,
    ] {
        let refused = Page::new(None).try_hear(text);
        assert!(matches!(refused, Err(Refusal::NameTaken(_))), "{refused:?}");
    }
    let text = r#"{"type":"login","success":false,"code":"bad-name"}"#;
    let refused = Page::new(None).try_hear(text);
    assert_eq!(refused, Err(Refusal::Said("bad-name".to_owned())));
}

#[test]
fn who_is_called_gets_the_offer_when_the_call_is_taken() {
    let mut page = Page::waiting();
    let news = page.hear(OFFER);
    let [News::Rung(call, bob, name)] = &news[..] else {
        panic!("{news:?}")
    };
    assert_eq!(name.as_str(), "bob");
    assert_eq!(
        page.hear(CANDIDATE),
        [],
        "it waits for the call to be taken"
    );
    page.login.accept(call, &mut page.out);
    let news = page.news();
    assert_eq!(news[0], News::Inside(vec![]));
    assert!(matches!(&news[1], News::Came(member) if member.peer == *bob));
    let offer = News::Signal(*bob, description(SdpType::Offer));
    assert_eq!(news[2..], [offer.clone(), News::Signal(*bob, candidate())]);
    let said = page.say(*bob, &description(SdpType::Answer));
    let answer = r#"{"type":"answer","answer":{"type":"answer","sdp":"v=0"},"name":"bob"}"#;
    assert_eq!(said, [answer]);
    // Anew, by the same; and by somebody else, who is told in the one word that there is.
    assert_eq!(page.hear(OFFER), [offer]);
    assert_eq!(page.hear(&OFFER.replace("bob", "eve")), []);
    assert_eq!(page.said(), [r#"{"type":"leave","name":"eve"}"#]);
    page.login.leave(&mut page.out);
    assert_eq!(page.said(), [r#"{"type":"leave","name":"bob"}"#]);
}

#[test]
fn a_call_that_is_not_taken_ends_on_either_side() {
    let rung = |page: &mut Page| match &page.hear(OFFER)[..] {
        [News::Rung(call, ..)] => call.clone(),
        other => panic!("{other:?}"),
    };
    let mut page = Page::waiting();
    let call = rung(&mut page);
    page.login.refuse(&call, &mut page.out);
    assert_eq!(page.said(), [r#"{"type":"leave","name":"bob"}"#]);
    let call = rung(&mut page);
    let ended = page.hear(r#"{"type":"leave"}"#);
    assert!(ended.contains(&News::HungUp(call)), "{ended:?}");
    let call = rung(&mut page);
    page.login.down(&mut page.out);
    assert_eq!(page.news(), [News::HungUp(call.clone())]);
    assert!(page.login.mends(), "we can be called again");
    page.login.accept(&call, &mut page.out);
    assert_eq!(page.news(), [], "it is gone");
}

#[test]
fn a_call_ends_with_its_link() {
    let (mut page, _) = Page::calling();
    page.hear(ANSWER);
    page.login.down(&mut page.out);
    assert!(!page.login.mends());
}

#[test]
fn candidates_of_a_call_that_rings_are_bounded() {
    let mut page = Page::waiting();
    page.hear(OFFER);
    for _ in 0..10 * HELD {
        page.hear(CANDIDATE);
    }
    let Call::Rings { held, .. } = &page.login.call else {
        panic!("it rings")
    };
    assert_eq!(held.len(), HELD + 1);
}

#[test]
fn servers_for_stun_and_turn_are_passed_on() {
    let hello = r#"{"type":"hello","server":"x","iceServers":[{"urls":["stun:a:1"]}]}"#;
    let news = Page::new(None).hear(hello);
    assert!(
        matches!(&news[..], [News::IceServers(all)] if all.len() == 1),
        "{news:?}"
    );
    let odd = r#"{"type":"hello","iceServers":{}}"#;
    assert_eq!(Page::new(None).hear(odd), []);
}
