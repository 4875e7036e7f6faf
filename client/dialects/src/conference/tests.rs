#![allow(clippy::unwrap_used, clippy::panic)]

use rtc_protocol::{Description, SdpType};

use super::*;
use crate::socketio::Packet;

const ME: &str = "yq4ezfkqv7ccu4xlv4xa";
const BOB: &str = "2aaer7aqsyc4l36sqqyu";

struct Page {
    conference: Conference,
    out: Out,
}

impl Page {
    fn new() -> Self {
        let me = Ids::new([1; 32]).peer();
        let (room, name) = (RoomId::new("foo").unwrap(), Name::new("Ann").unwrap());
        let mut page = Self {
            conference: Conference::new(room, name, me, [2; 32]),
            out: Out::default(),
        };
        page.conference.connected(&mut page.out);
        assert_eq!(page.said(), [r#"421["join","foo","Ann"]"#]);
        page
    }

    /// In the room, with Bob.
    fn inside() -> Self {
        let mut page = Self::new();
        page.hear(&format!(
            r#"2["joined","foo","{ME}",[{{"id":"{BOB}","name":"Bob","role":"moderator","muted":["audio"]}}]]"#
        ));
        page
    }

    fn said(&mut self) -> Vec<String> {
        self.out.texts.drain(..).collect()
    }

    fn try_hear(&mut self, packet: &str) -> Result<Vec<News>, Refusal> {
        match crate::socketio::read(packet) {
            Packet::Event(event) => self.conference.event(&event, &mut self.out)?,
            Packet::Ack { number, args } => self.conference.ack(number, &args, &mut self.out)?,
            other => panic!("{other:?}"),
        }
        Ok(self.out.news.drain(..).collect())
    }

    fn hear(&mut self, packet: &str) -> Vec<News> {
        self.try_hear(packet).unwrap()
    }
}

fn bob() -> PeerId {
    PeerId::new(BOB).unwrap()
}

#[test]
fn who_is_there_already_offers_and_who_comes_is_offered_to() {
    let mut page = Page::new();
    let news = page.hear(&format!(
        r#"2["joined","foo","{ME}",[{{"id":"{BOB}","name":"Bob","muted":["audio"]}},{{"id":"{ME}"}}]]"#
    ));
    let [News::Inside(members)] = &news[..] else {
        panic!("{news:?}")
    };
    assert_eq!(members.len(), 1, "we are not among the others");
    assert_eq!(members[0].peer, bob());
    assert_eq!(members[0].muted, [Kind::Audio]);
    assert!(members[0].dialect.is_some(), "waited for");
    assert_eq!(page.hear(r#"31[{"ok":true,"room":"foo"}]"#), []);

    let news = page.hear(r#"2["otherjoin","foo","third","Carl"]"#);
    let [News::Came(carl), News::Signal(from, Signal::Restart)] = &news[..] else {
        panic!("{news:?}")
    };
    assert_eq!((carl.peer, carl.dialect), (*from, None));
    assert_eq!(carl.name.as_str(), "Carl");
    let again = page.hear(r#"2["otherjoin","foo","third","Carl"]"#);
    assert_eq!(again, [], "once");
}

#[test]
fn who_offers_by_itself_is_waited_for() {
    let mut page = Page::inside();
    let news = page.hear(&format!(
        r#"2["joined","foo","{ME}",[{{"id":"{BOB}","name":"Bob"}},{{"id":"x","name":"alice"}}]]"#
    ));
    let [News::Came(alice)] = &news[..] else {
        panic!("{news:?}")
    };
    assert!(alice.dialect.is_some() && alice.name.as_str() == "alice");
}

#[test]
fn signals_go_to_one_and_come_from_one() {
    let mut page = Page::inside();
    let (kind, sdp) = (SdpType::Offer, "v=0".to_owned());
    let offer = Signal::Description(Description { kind, sdp });
    page.conference.signal(bob(), &offer, &mut page.out);
    let expected = format!(r#"42["message","foo",{{"type":"offer","sdp":"v=0"}},"{BOB}"]"#);
    assert_eq!(page.said(), [expected]);
    let heard = page.hear(&format!(
        r#"2["message","foo",{{"type":"offer","sdp":"v=0"}},"{BOB}"]"#
    ));
    assert_eq!(heard, [News::Signal(bob(), offer.clone())]);
    for strange in [
        r#"2["message","foo",{"type":"offer","sdp":"v=0"},"nobody"]"#,
        r#"2["message","bar",{"type":"offer","sdp":"v=0"},"2aaer7aqsyc4l36sqqyu"]"#,
        r#"2["message","foo","hand up","2aaer7aqsyc4l36sqqyu"]"#,
        r#"2["message","foo"]"#,
        r#"2["bye"]"#,
    ] {
        assert_eq!(page.hear(strange), [], "{strange}");
    }
    let left = page.hear(&format!(r#"2["bye","foo","{BOB}"]"#));
    assert_eq!(left, [News::Left(bob(), LeaveReason::Left)]);
    page.conference.signal(bob(), &offer, &mut page.out);
    assert_eq!(page.said(), [""; 0]);
}

#[test]
fn muting_and_putting_out_are_told_and_asked_for() {
    let mut page = Page::inside();
    let me = page.conference.me;
    let muted = page.hear(&format!(r#"2["muted","foo","{ME}","audio","{BOB}"]"#));
    assert_eq!(muted, [News::Muted(me, Kind::Audio, true, bob())]);
    let unmuted = page.hear(&format!(r#"2["unmuted","foo","{BOB}","video",null]"#));
    assert_eq!(unmuted, [News::Muted(bob(), Kind::Video, false, bob())]);
    page.conference.mute(Kind::Video, true, &mut page.out);
    let mute = format!(r#"42["mute","foo","{ME}","video"]"#);
    assert_eq!(page.said(), std::slice::from_ref(&mute));
    let echo = page.hear(&format!(r#"2["muted","foo","{ME}","video","{ME}"]"#));
    assert_eq!(echo, []);
    page.conference.kick(bob(), Some("noise"), &mut page.out);
    assert_eq!(
        page.said(),
        [format!(r#"42["kick","foo","{BOB}","noise"]"#)]
    );
    let kicked = page.hear(&format!(r#"2["kicked","foo","{ME}","{BOB}","noise"]"#));
    assert_eq!(kicked, [News::Kicked(bob(), Some("noise".to_owned()))]);

    // On another link it is said again, in the name of who we are there.
    page.conference.down();
    page.conference.connected(&mut page.out);
    page.said();
    page.hear(r#"2["joined","foo","another",[]]"#);
    assert_eq!(page.said(), [mute.replace(ME, "another")]);
}

#[test]
fn a_full_room_and_a_refusal_are_the_end_of_a_join() {
    let full = format!(r#"2["full","foo","{ME}"]"#);
    assert_eq!(Page::new().try_hear(&full), Err(Refusal::Full));
    let full = r#"31[{"ok":false,"code":"room-full","message":"x"}]"#;
    assert_eq!(Page::new().try_hear(full), Err(Refusal::Full));
    let barred = r#"31[{"ok":false,"code":"not-allowed","message":"put out"}]"#;
    let said = Refusal::Said("put out".to_owned());
    assert_eq!(Page::new().try_hear(barred), Err(said));
    let later = Page::inside().hear(r#"2["error",{"event":"mute","message":"no"}]"#);
    assert!(matches!(later[..], [News::Notice(_)]), "{later:?}");
}

#[test]
fn who_was_there_before_a_broken_link_is_the_same_one_still() {
    let mut page = Page::new();
    let joined = |own: &str| format!(r#"2["joined","foo","{own}",[{{"id":"b","name":"Bob"}}]]"#);
    let who = |news: &[News]| match news {
        [News::Inside(members)] => members[0].peer,
        other => panic!("{other:?}"),
    };
    let before = who(&page.hear(&joined("a")));
    page.conference.down();
    page.conference.connected(&mut page.out);
    assert_eq!(who(&page.hear(&joined("c"))), before);
    page.said();
    page.conference.leave(&mut page.out);
    assert_eq!(page.said(), [r#"423["leave","foo"]"#]);
}

#[test]
fn a_server_that_closes_says_so() {
    let news = Page::inside().hear(r#"2["drain",{"reason":"update","reconnectMs":100}]"#);
    assert_eq!(news, [News::GoAway("update".to_owned())]);
}
