#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use hyper::header::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use rtc_protocol::dialect::whip::Fragment;

use super::super::super::error::ErrorKind;
use super::*;

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:ours\r\na=ice-pwd:oursoursoursoursoursou\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=ice-ufrag:ours\r\na=ice-pwd:oursoursoursoursoursou\r\n";

const ANSWER: &str = "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=x-answers:1 1\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:them\r\na=ice-pwd:themthemthemthemthemth\r\n\
    a=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\na=end-of-candidates\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=ice-ufrag:them\r\na=ice-pwd:themthemthemthemthemth\r\n";

struct Rig {
    session: Session,
    now: Instant,
}

impl Rig {
    fn new(flow: Flow) -> Self {
        let endpoint = "https://example.org/whip/a?b=c".parse().unwrap();
        Self {
            session: Session::new(flow, endpoint, Vec::new()),
            now: Instant::now(),
        }
    }

    fn offer(&mut self) {
        let (kind, sdp) = (SdpType::Offer, OFFER.to_owned());
        let offer = Signal::Description(Description { kind, sdp });
        self.session.signal(self.now, offer);
    }

    fn candidate(&mut self, port: u16) {
        let candidate = Signal::Candidate(Candidate {
            candidate: format!("candidate:1 1 udp 1 192.0.2.1 {port} typ host"),
            sdp_mid: Some("0".to_owned()),
            ..Candidate::default()
        });
        self.session.signal(self.now, candidate);
    }

    fn whole_offer(&mut self) {
        self.offer();
        self.candidate(1);
        self.session.signal(self.now, Signal::EndOfCandidates);
    }

    fn asked(&mut self, method: Method) -> Ask {
        let ask = self.session.next_request().expect("nothing is asked");
        assert_eq!(ask.method, method);
        assert_eq!(self.session.next_request(), None, "one at a time");
        ask
    }

    fn answered(&mut self, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let reply = reply("https://example.org/whip/a?b=c", status, headers, body);
        self.session.answered(self.now, Ok(reply));
    }

    /// As somebody answers whom a redirect led to: without the token.
    fn answered_elsewhere(&mut self, headers: &[(&'static str, &str)], body: &str) {
        let mut reply = reply("https://other.example/b", 201, headers, body);
        reply.without_token = true;
        self.session.answered(self.now, Ok(reply));
    }

    fn created(&mut self, more: &[(&'static str, &str)]) {
        let mut headers = vec![
            ("location", "/session/1"),
            ("etag", "\"1\""),
            ("accept-patch", "text/x, application/trickle-ice-sdpfrag"),
        ];
        headers.extend(more);
        self.answered(201, &headers, ANSWER);
    }

    fn stands(flow: Flow) -> Self {
        let mut rig = Self::new(flow);
        rig.whole_offer();
        rig.asked(Method::POST);
        rig.created(&[]);
        assert_eq!(rig.answer(), ANSWER);
        rig
    }

    fn answer(&mut self) -> String {
        match self.session.next_told() {
            Some(Told::Signal(Signal::Description(answer))) => {
                assert_eq!(answer.kind, SdpType::Answer);
                answer.sdp
            }
            told => panic!("{told:?}"),
        }
    }
}

fn reply(url: &str, status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    Reply {
        url: url.parse().unwrap(),
        status: StatusCode::from_u16(status).unwrap(),
        headers: map,
        body: body.to_owned(),
        without_token: false,
    }
}

#[test]
fn an_offer_goes_out_with_its_candidates_and_ends_with_the_session() {
    let mut rig = Rig::new(Flow::Publish);
    rig.offer();
    assert_eq!(
        rig.session.next_request(),
        None,
        "candidates are waited for"
    );
    rig.candidate(5);
    rig.session.signal(rig.now, Signal::EndOfCandidates);
    let ask = rig.asked(Method::POST);
    assert_eq!(ask.url.as_str(), "https://example.org/whip/a?b=c");
    let (media_type, body) = ask.body.unwrap();
    assert_eq!(media_type, "application/sdp");
    assert!(body.contains(" 5 typ host\r\n") && body.contains("a=end-of-candidates"));
    rig.created(&[]);
    assert_eq!(rig.answer(), ANSWER);
    assert_eq!(rig.session.next_request(), None);
    rig.session.leave();
    let url = rig.asked(Method::DELETE).url;
    assert_eq!(url.as_str(), "https://example.org/session/1");
    rig.answered(200, &[], "");
    assert_eq!(rig.session.next_request(), None);
}

#[test]
fn candidates_that_come_late_follow_where_the_server_takes_them() {
    let mut rig = Rig::new(Flow::Publish);
    rig.offer();
    rig.now = rig.session.deadline().unwrap();
    rig.session.check(rig.now);
    let (_, body) = rig.asked(Method::POST).body.unwrap();
    assert!(!body.contains("a=candidate:") && !body.contains("a=end-of"));
    rig.candidate(7);
    rig.created(&[]);
    let ask = rig.asked(Method::PATCH);
    assert_eq!(ask.if_match.as_deref(), Some("\"1\""));
    let (media_type, body) = ask.body.unwrap();
    assert_eq!(media_type, MEDIA_TYPE);
    let fragment = Fragment::read(&body).unwrap();
    assert_eq!(fragment.credentials.unwrap().ufrag, "ours");
    assert_eq!(fragment.sections[0].mid.as_deref(), Some("0"));
    assert_eq!(fragment.sections[0].line, "audio 9 UDP/TLS/RTP/SAVPF 111");
    assert!(fragment.sections[0].candidates[0].contains(" 7 typ"));
    rig.answered(405, &[], "");
    rig.candidate(8);
    assert_eq!(rig.session.next_request(), None, "it takes none");
}

#[test]
fn a_restart_is_a_patch_of_any_generation_and_its_fragment_an_answer() {
    let mut rig = Rig::stands(Flow::Publish);
    rig.whole_offer();
    let ask = rig.asked(Method::PATCH);
    assert_eq!(ask.if_match.as_deref(), Some("*"));
    let (_, body) = ask.body.unwrap();
    assert!(Fragment::read(&body).unwrap().sections[0].ended);
    let fragment = "a=ice-ufrag:next\r\na=ice-pwd:nextnextnextnextnextne\r\n\
        m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:2 1 udp 1 192.0.2.10 9 typ host\r\n";
    rig.answered(200, &[("etag", "\"2\"")], fragment);
    let answer = rig.answer();
    assert_eq!(answer.matches("a=ice-ufrag:next").count(), 2, "{answer}");
    assert!(
        !answer.contains("them") && !answer.contains("192.0.2.9") && !answer.contains("x-answers")
    );
    assert!(answer.contains("o=- 7 2 IN") && answer.contains("192.0.2.10"));
    rig.candidate(9);
    assert_eq!(rig.asked(Method::PATCH).if_match.as_deref(), Some("\"2\""));
}

#[test]
fn a_server_that_restarts_nothing_ends_nothing() {
    for (status, body) in [(405, ""), (204, ""), (200, "nonsense")] {
        let mut rig = Rig::stands(Flow::Play);
        rig.whole_offer();
        rig.asked(Method::PATCH);
        rig.answered(status, &[], body);
        assert!(matches!(rig.session.next_told(), Some(Told::Notice(_))));
        assert_eq!(rig.session.take_failure(), None);
    }
}

#[test]
fn turn_servers_that_come_with_the_answer_begin_it_again_once() {
    let turn = [(
        "link",
        "<turn:t.example.org>; rel=ice-server; username=u; credential=c",
    )];
    let mut rig = Rig::new(Flow::Publish);
    rig.whole_offer();
    rig.asked(Method::POST);
    rig.created(&turn);
    assert!(matches!(rig.session.next_told(), Some(Told::Again(servers)) if servers.len() == 1));
    rig.whole_offer();
    rig.asked(Method::DELETE);
    rig.answered(200, &[], "");
    rig.asked(Method::POST);
    rig.created(&[(
        "link",
        "<turn:u.example.org>; rel=ice-server; username=u; credential=c",
    )]);
    assert_eq!(rig.answer(), ANSWER, "once is enough");
}

#[test]
fn stun_servers_that_come_with_the_answer_change_nothing() {
    let mut rig = Rig::new(Flow::Publish);
    rig.whole_offer();
    rig.asked(Method::POST);
    rig.created(&[("link", "<stun:s.example.org>; rel=ice-server")]);
    assert_eq!(rig.answer(), ANSWER);
}

#[test]
fn who_leaves_while_the_answer_is_out_still_ends_the_session() {
    let mut rig = Rig::new(Flow::Publish);
    rig.whole_offer();
    rig.asked(Method::POST);
    rig.session.leave();
    rig.created(&[(
        "link",
        "<turn:t.example.org>; rel=ice-server; username=u; credential=c",
    )]);
    rig.asked(Method::DELETE);
}

#[test]
fn a_success_without_an_answer_is_none_and_is_ended_all_the_same() {
    for (status, body) in [(201, "<html>"), (200, ""), (201, "{\"sdp\":\"v=0\"}")] {
        let mut rig = Rig::new(Flow::Publish);
        rig.whole_offer();
        rig.asked(Method::POST);
        rig.answered(status, &[("location", "s")], body);
        let error = rig.session.take_failure().unwrap();
        assert_eq!(error.kind(), ErrorKind::NoServer);
        assert!(error.to_string().contains("no SDP"), "{error}");
        rig.session.leave();
        let url = rig.asked(Method::DELETE).url;
        assert_eq!(url.as_str(), "https://example.org/whip/s");
    }
}

#[test]
fn who_was_not_shown_the_token_is_not_shown_it_later() {
    let elsewhere = [
        ("location", "/s"),
        ("accept-patch", "application/trickle-ice-sdpfrag"),
    ];
    // Candidates, a restart, the end.
    let mut rig = Rig::new(Flow::Publish);
    rig.whole_offer();
    assert!(!rig.asked(Method::POST).without_token);
    rig.answered_elsewhere(&elsewhere, ANSWER);
    rig.answer();
    rig.candidate(7);
    let told = |ask: Ask| (ask.url.to_string(), ask.without_token);
    let there = ("https://other.example/s".to_owned(), true);
    assert_eq!(told(rig.asked(Method::PATCH)), there);
    rig.answered(204, &[], "");
    rig.whole_offer();
    assert_eq!(told(rig.asked(Method::PATCH)), there);
    rig.answered(204, &[], "");
    rig.session.leave();
    assert_eq!(told(rig.asked(Method::DELETE)), there);
    // One that is ended because it is of no use.
    let mut rig = Rig::new(Flow::Publish);
    rig.whole_offer();
    rig.asked(Method::POST);
    rig.answered_elsewhere(&elsewhere, "<html>");
    assert_eq!(told(rig.asked(Method::DELETE)), there);
    // The endpoint itself may see it, whoever named it.
    let mut rig = Rig::new(Flow::Publish);
    rig.whole_offer();
    rig.asked(Method::POST);
    rig.answered_elsewhere(&[("location", "https://example.org/s")], ANSWER);
    rig.session.leave();
    assert!(!rig.asked(Method::DELETE).without_token);
}

#[test]
fn a_refusal_is_the_end_and_leaves_nothing_behind() {
    let mut rig = Rig::new(Flow::Play);
    rig.whole_offer();
    rig.asked(Method::POST);
    rig.answered(401, &[], "no token");
    let error = rig.session.take_failure().unwrap();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("no token"), "{error}");
    rig.session.leave();
    assert_eq!(rig.session.next_request(), None);
}

#[test]
fn a_session_without_an_address_stands_and_says_so() {
    for location in [
        None,
        Some("http://elsewhere.example.org/"),
        Some("mailto:x"),
    ] {
        let mut rig = Rig::new(Flow::Publish);
        rig.whole_offer();
        rig.asked(Method::POST);
        let headers = location.map(|to| ("location", to));
        rig.answered(201, headers.as_slice(), ANSWER);
        assert!(matches!(rig.session.next_told(), Some(Told::Notice(_))));
        assert_eq!(rig.answer(), ANSWER);
        rig.session.leave();
        assert_eq!(rig.session.next_request(), None);
    }
}

proptest! {
    #[test]
    fn whatever_a_server_says_each_request_has_an_end(
        replies in prop::collection::vec((100..600_u16, ".{0,60}", prop::option::of("[ -~]{0,30}")), 1..6)
    ) {
        let mut rig = Rig::new(Flow::Publish);
        rig.whole_offer();
        for (status, body, location) in replies {
            if rig.session.next_request().is_none() {
                rig.whole_offer();
                continue;
            }
            let location = location.as_deref().map(|to| ("location", to));
            rig.answered(status, location.as_slice(), &body);
            while rig.session.next_told().is_some() {}
        }
        rig.session.leave();
        let mut asked = 0;
        while rig.session.next_request().is_some() || asked == 0 {
            rig.answered(200, &[], "");
            asked += 1;
            prop_assert!(asked < 5);
        }
    }

    #[test]
    fn any_fragment_makes_a_description_of_lines(answer in ".{0,200}", text in ".{0,200}") {
        let credentials = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdabcdabcdabcdabcdab";
        if let Ok(fragment) = Fragment::read(&format!("{credentials}\r\n{text}"))
            && let Some(renewed) = renewed(&answer, &fragment)
        {
            prop_assert!(renewed.is_empty() || renewed.ends_with("\r\n"));
        }
    }
}
