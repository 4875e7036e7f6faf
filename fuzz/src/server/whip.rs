//! Publishers and players.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rtc_protocol::dialect::whip::{
    Flow, Fragment, FragmentError, Input, Offer, Output, Partners, Patience, Plan, Precondition,
    Reply, Session,
};
use rtc_protocol::{ClientFrame, RoomId, ServerFrame};

/// A description that is taken is the same when passed on and read again, and so are its ICE restarts.
pub fn offer(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for flow in [Flow::Publish, Flow::Play] {
        match Offer::read(text, flow) {
            Ok(offer) => {
                assert_eq!(Offer::read(&offer.text(), flow).as_ref(), Ok(&offer));
                let again = offer.restarted(offer.credentials().clone());
                assert_eq!(again.sections(), offer.sections());
                assert!(offer.locate(None).is_some());
            }
            Err(error) => assert!(error.to_string().len() < 2_000, "{error}"),
        }
    }
}

/// The same for candidates that trickle.
pub fn fragment(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Fragment::read(text) {
        Ok(fragment) => {
            let again = Fragment::read(&fragment.text());
            // One of nothing but unknown attributes writes to nothing.
            assert!(again.as_ref() == Ok(&fragment) || again == Err(FragmentError::Empty));
        }
        Err(error) => assert!(error.to_string().len() < 2_000, "{error}"),
    }
}

/// A publisher's session: each line is a frame of the room core, or, by its first letter, a `p`recondition and a
/// fragment, a `w`ait, a `d`elete. Each request is answered once, and no partner stays taken. In lines `\r` is a new line.
pub fn publisher(data: &[u8]) {
    const OFFER: &str = "v=0\r\no=- 52 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:zjkk\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\n\
        a=fingerprint:sha-256 DA:7B\r\na=mid:0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n";
    let mut now = Instant::now();
    let plan = Plan {
        flow: Flow::Publish,
        room: RoomId::new("r").expect("a room"),
        name: None,
        wanted: None,
        offer: Offer::read(OFFER, Flow::Publish).expect("an offer"),
        patience: Patience::default(),
    };
    let mut out = Vec::new();
    let mut partners = Partners::new();
    let mut session = Session::new(now, plan, &mut out);
    let mut asked = BTreeSet::from([0]);
    let mut request = 0;
    let lines = data.split(|byte| *byte == b'\n');
    for line in lines.filter_map(|line| std::str::from_utf8(line).ok()) {
        let input = match line.as_bytes().first() {
            Some(b'p') => {
                let (precondition, text) = line[1..].split_once(';').unwrap_or_default();
                let Ok(fragment) = Fragment::read(&text.replace('\r', "\r\n")) else {
                    continue;
                };
                request += 1;
                asked.insert(request);
                Input::Patch {
                    request,
                    precondition: Precondition::read(Some(precondition)),
                    fragment,
                }
            }
            Some(b'w') => {
                now += Duration::from_millis(1_000);
                Input::Tick
            }
            Some(b'd') => Input::Delete,
            _ => match ServerFrame::parse(line) {
                Ok(frame) => Input::Heard(frame),
                Err(_) => continue,
            },
        };
        session.step(now, input, &mut partners, &mut out);
        answered(&mut out, &mut asked);
        assert_eq!(session.is_over(), session.due().is_none());
    }
    session.step(now, Input::Delete, &mut partners, &mut out);
    answered(&mut out, &mut asked);
    assert!(session.is_over() && partners.is_empty());
    assert_eq!(asked, BTreeSet::new(), "all are answered in the end");
}

fn answered(out: &mut Vec<Output>, asked: &mut BTreeSet<u64>) {
    for output in out.drain(..) {
        match output {
            Output::Core(frame) => {
                ClientFrame::parse(&frame.to_json()).expect("a session speaks rtc.v1");
            }
            Output::Reply(request, reply) => {
                assert!(asked.remove(&request), "{request} is answered twice");
                if let Reply::Restarted { fragment, .. } = reply {
                    Fragment::read(&fragment).expect("a fragment can be read");
                }
            }
            Output::End(_) => {}
        }
    }
}
