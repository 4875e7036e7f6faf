//! The rules of a session on virtual time.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::session::PartnerNotice;
use super::super::{
    Flow, Fragment, Input, Output, Partners, Patience, Plan, Precondition, Refusal, Reply, Session,
};
use super::descriptions::{ANSWER, candidate, offer};
use crate::id::{Name, PeerId, RoomId, Token};
use crate::message::{
    ClientMessage, Dialect, ErrorCode, LeaveReason, Member, Right, Role, ServerFrame, ServerMessage,
};
use crate::raw::Raw;
use crate::signal::{Description, SdpType, Signal};

const RESTART: &str = "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n";

fn id(who: char) -> PeerId {
    Token::new(&who.to_string().repeat(24)).unwrap().peer_id()
}

fn room() -> RoomId {
    RoomId::new("r").unwrap()
}

fn member(who: char, dialect: Option<Dialect>) -> Member {
    Member {
        peer: id(who),
        name: Name::new(&who.to_string()).unwrap(),
        role: Role::Member,
        muted: Vec::new(),
        dialect,
    }
}

struct Bench {
    session: Session,
    partners: Partners,
    now: Instant,
    out: Vec<Output>,
}

impl Bench {
    fn new(flow: Flow) -> Self {
        Self::wanting(flow, None)
    }

    fn wanting(flow: Flow, wanted: Option<&str>) -> Self {
        let now = Instant::now();
        let mut out = Vec::new();
        let plan = Plan {
            flow,
            room: room(),
            name: None,
            wanted: wanted.map(str::to_owned),
            offer: offer(),
            patience: Patience::default(),
        };
        let session = Session::new(now, plan, &mut out);
        assert!(
            matches!(&out[..], [Output::Core(frame)] if matches!(frame.message, ClientMessage::Join { .. }))
        );
        Self {
            session,
            partners: Partners::new(),
            now,
            out: Vec::new(),
        }
    }

    /// A session in a room with these others.
    fn inside(flow: Flow, members: Vec<Member>) -> Self {
        let mut bench = Self::new(flow);
        bench.joined(Role::Member, members);
        bench
    }

    /// A session that stands, with `a` as its partner.
    fn standing() -> Self {
        let mut bench = Self::inside(Flow::Publish, vec![member('a', None)]);
        bench.answer('a', ANSWER);
        bench.signal('a', &Signal::EndOfCandidates);
        let replies = bench.replies();
        assert!(
            matches!(&replies[..], [(0, Reply::Created { .. })]),
            "{replies:?}"
        );
        bench
    }

    fn step(&mut self, input: Input) {
        self.session
            .step(self.now, input, &mut self.partners, &mut self.out);
    }

    fn heard(&mut self, message: ServerMessage) {
        self.step(Input::Heard(ServerFrame {
            seq: None,
            id: None,
            message,
        }));
    }

    fn joined(&mut self, role: Role, members: Vec<Member>) {
        self.heard(ServerMessage::Joined {
            room: room(),
            peer: id('w'),
            role,
            capacity: 6,
            members,
        });
    }

    fn came(&mut self, member: Member) {
        let room = room();
        self.heard(ServerMessage::PeerJoined { room, member });
    }

    fn left(&mut self, who: char) {
        self.heard(ServerMessage::PeerLeft {
            room: room(),
            peer: id(who),
            reason: LeaveReason::Left,
        });
    }

    fn signal(&mut self, from: char, signal: &Signal) {
        self.heard(ServerMessage::Signal {
            room: room(),
            from: id(from),
            signal: signal.to_raw().unwrap(),
        });
    }

    fn answer(&mut self, from: char, sdp: &str) {
        let (kind, sdp) = (SdpType::Answer, sdp.to_owned());
        self.signal(from, &Signal::Description(Description { kind, sdp }));
    }

    fn patch(&mut self, request: u64, precondition: &str, body: &str) {
        self.step(Input::Patch {
            request,
            precondition: Precondition::read((!precondition.is_empty()).then_some(precondition)),
            fragment: Fragment::read(body).unwrap(),
        });
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.step(Input::Tick);
    }

    fn replies(&mut self) -> Vec<(u64, Reply)> {
        let out = std::mem::take(&mut self.out);
        let replies = out.into_iter().filter_map(|output| match output {
            Output::Reply(request, reply) => Some((request, reply)),
            _ => None,
        });
        replies.collect()
    }

    fn refusal(&mut self) -> Refusal {
        match self.replies().pop() {
            Some((_, Reply::Refused(refusal))) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// What was said to whom.
    fn signals(&mut self) -> Vec<(PeerId, Signal)> {
        let out = std::mem::take(&mut self.out);
        let signals = out.into_iter().filter_map(|output| match output {
            Output::Core(frame) => match frame.message {
                ClientMessage::Signal { to, signal, .. } => {
                    Some((to.unwrap(), Signal::from_raw(&signal).unwrap()))
                }
                _ => None,
            },
            _ => None,
        });
        signals.collect()
    }

    fn granted(&mut self) -> Vec<PeerId> {
        let out = std::mem::take(&mut self.out);
        let grants = out.into_iter().filter_map(|output| match output {
            Output::Core(frame) => match frame.message {
                ClientMessage::Grant {
                    peer,
                    right: Right::Moderator,
                    ..
                } => Some(peer),
                _ => None,
            },
            _ => None,
        });
        grants.collect()
    }
}

#[test]
fn the_offer_goes_to_a_member_and_its_answer_comes_back_with_its_candidates() {
    let mut bench = Bench::inside(Flow::Publish, vec![member('a', None), member('b', None)]);
    let signals = bench.signals();
    let [(to, Signal::Description(sent))] = &signals[..] else {
        panic!("{signals:?}");
    };
    assert_eq!((*to, sent.kind), (id('a'), SdpType::Offer));
    assert_eq!(sent.sdp, offer().text());
    bench.answer('b', ANSWER);
    bench.signal('b', &Signal::EndOfCandidates);
    assert_eq!(bench.out, [], "only the partner is listened to");
    bench.answer('a', ANSWER);
    bench.signal('a', &Signal::Candidate(candidate(Some("0"), 1, "526b")));
    bench.signal('a', &Signal::Candidate(candidate(Some("0"), 2, "old")));
    assert_eq!(bench.out, [], "there may be more candidates");
    bench.signal('a', &Signal::EndOfCandidates);
    let replies = bench.replies();
    let [(0, Reply::Created { answer, etag, .. })] = &replies[..] else {
        panic!("{replies:?}");
    };
    assert_eq!(etag, "\"1\"");
    assert!(
        answer.contains("a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n"),
        "{answer}"
    );
    assert!(!answer.contains("192.0.2.1 2 typ"), "of another generation");
    assert!(answer.contains("a=end-of-candidates"));
}

#[test]
fn candidates_are_waited_for_only_so_long() {
    let mut bench = Bench::inside(Flow::Publish, vec![member('a', None)]);
    bench.signals();
    bench.pass(1_000);
    bench.answer('a', ANSWER);
    bench.pass(2_400);
    assert_eq!(bench.out, []);
    bench.pass(200);
    assert!(matches!(&bench.replies()[..], [(0, Reply::Created { .. })]));
}

#[test]
fn an_answer_that_holds_its_candidates_is_not_waited_with() {
    let mut bench = Bench::inside(Flow::Publish, vec![member('a', None)]);
    bench.answer('a', &format!("{ANSWER}a=end-of-candidates\r\n"));
    assert!(matches!(&bench.replies()[..], [(0, Reply::Created { .. })]));
}

#[test]
fn somebody_who_comes_in_time_is_asked() {
    let mut bench = Bench::inside(Flow::Publish, vec![member('c', Some(Dialect::Codelab))]);
    bench.pass(1_500);
    assert_eq!(bench.out, []);
    bench.came(member('a', None));
    assert!(matches!(&bench.signals()[..], [(to, Signal::Description(_))] if *to == id('a')));
}

#[test]
fn nobody_in_time_is_a_refusal_that_says_so() {
    let mut bench = Bench::inside(Flow::Publish, vec![member('c', Some(Dialect::Codelab))]);
    bench.pass(1_900);
    assert_eq!(bench.out, []);
    bench.pass(200);
    assert!(matches!(bench.refusal(), Refusal::Nobody { .. }));
    assert!(bench.session.is_over());
    let mut bench = Bench::wanting(Flow::Play, Some("zoe"));
    bench.joined(Role::Member, vec![member('a', None)]);
    bench.pass(2_100);
    assert!(matches!(bench.refusal(), Refusal::NotThere { wanted, .. } if wanted == "zoe"));
}

#[test]
fn a_partner_that_says_nothing_or_nonsense_is_told_apart() {
    let mut bench = Bench::inside(Flow::Publish, vec![member('a', None)]);
    bench.pass(3_100);
    assert_eq!(bench.refusal(), Refusal::NoAnswer);
    assert!(bench.partners.is_empty());
    let mut bench = Bench::inside(Flow::Publish, vec![member('a', None)]);
    bench.answer('a', "v=0\r\n");
    assert_eq!(bench.refusal(), Refusal::BadAnswer);
    let mut bench = Bench::inside(Flow::Publish, vec![member('a', None)]);
    bench.answer('a', &ANSWER.replace("m=video 9", "m=video 0"));
    bench.signal('a', &Signal::EndOfCandidates);
    assert_eq!(bench.refusal(), Refusal::Unwanted("video".into()));
    assert!(bench.session.is_over() && bench.partners.is_empty());
}

#[test]
fn when_the_partner_leaves_before_its_answer_another_is_asked() {
    let mut bench = Bench::inside(Flow::Publish, vec![member('a', None), member('b', None)]);
    bench.signals();
    bench.left('a');
    assert!(matches!(&bench.signals()[..], [(to, _)] if *to == id('b')));
    bench.left('b');
    assert_eq!(bench.out, []);
    bench.came(member('d', None));
    assert!(matches!(&bench.signals()[..], [(to, _)] if *to == id('d')));
    bench.pass(2_500);
    bench.left('d');
    assert!(matches!(bench.refusal(), Refusal::Nobody { .. }));
}

#[test]
fn the_room_s_own_refusals_are_passed_on() {
    for (code, full) in [(ErrorCode::RoomFull, true), (ErrorCode::NotAllowed, false)] {
        let mut bench = Bench::new(Flow::Publish);
        let message = "no".to_owned();
        bench.heard(ServerMessage::Error { code, message });
        let refusal = bench.refusal();
        assert_eq!(matches!(refusal, Refusal::Full(_)), full, "{refusal:?}");
    }
}

#[test]
fn candidates_of_the_publisher_go_to_its_partner() {
    let mut bench = Bench::standing();
    let body = "m=video 9 RTP/AVP 0\r\na=mid:1\r\na=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n\
        m=audio 9 RTP/AVP 0\r\na=mid:nowhere\r\na=candidate:1 1 udp 1 192.0.2.8 9 typ host\r\na=end-of-candidates\r\n";
    bench.patch(1, "\"1\"", body);
    assert!(matches!(
        &bench.out[..],
        [.., Output::Reply(1, Reply::Trickled)]
    ));
    let signals = bench.signals();
    let [(to, Signal::Candidate(one)), (_, Signal::EndOfCandidates)] = &signals[..] else {
        panic!("{signals:?}");
    };
    assert_eq!(*to, id('a'));
    assert_eq!(one.candidate, "candidate:1 1 udp 1 192.0.2.7 9 typ host");
    assert_eq!(one.sdp_mid.as_deref(), Some("1"));
    assert_eq!(one.sdp_m_line_index, Some(1));
    assert_eq!(one.username_fragment.as_deref(), Some("zjkk"));
}

#[test]
fn a_patch_without_the_current_tag_changes_nothing() {
    let mut bench = Bench::standing();
    bench.patch(1, "", RESTART);
    assert_eq!(bench.refusal(), Refusal::PreconditionMissing);
    for other in ["\"0\"", "\"2\"", "W/\"1\"", "1", "\"a\", \"b\""] {
        bench.patch(2, other, RESTART);
        let refusal = bench.refusal();
        assert!(
            matches!(refusal, Refusal::PreconditionFailed { .. }),
            "{other}: {refusal:?}"
        );
    }
    bench.patch(3, "\"x\", \"1\"", "a=end-of-candidates");
    assert!(matches!(&bench.replies()[..], [(3, Reply::Trickled)]));
}

#[test]
fn new_credentials_restart_ice_and_change_the_tag() {
    for tag in ["*", "\"*\"", "\"1\""] {
        let mut bench = Bench::standing();
        let candidates =
            "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n";
        bench.patch(1, tag, &format!("{RESTART}{candidates}"));
        let signals = bench.signals();
        let [(_, Signal::Description(sent)), (_, Signal::Candidate(one))] = &signals[..] else {
            panic!("{signals:?}");
        };
        assert!(sent.sdp.contains("a=ice-ufrag:ysXw\r\n"));
        assert_eq!(one.username_fragment.as_deref(), Some("ysXw"));
        bench.patch(
            2,
            "*",
            "a=ice-ufrag:third\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n",
        );
        assert_eq!(bench.refusal(), Refusal::Restarting);
        // The old generation's end is not the new one's.
        bench.signal('a', &Signal::EndOfCandidates);
        bench.answer('a', &ANSWER.replace("526b", "new1"));
        bench.signal('a', &Signal::Candidate(candidate(Some("0"), 3, "new1")));
        bench.signal('a', &Signal::Candidate(candidate(Some("0"), 4, "526b")));
        assert_eq!(bench.out, []);
        bench.signal('a', &Signal::EndOfCandidates);
        let replies = bench.replies();
        let [(1, Reply::Restarted { fragment, etag })] = &replies[..] else {
            panic!("{replies:?}");
        };
        assert_eq!(etag, "\"2\"");
        let fragment = Fragment::read(fragment).unwrap();
        assert_eq!(fragment.credentials.unwrap().ufrag, "new1");
        assert_eq!(fragment.sections[0].candidates.len(), 1);
        bench.patch(3, "\"1\"", "a=end-of-candidates");
        assert!(
            matches!(bench.refusal(), Refusal::PreconditionFailed { current } if current == "\"2\"")
        );
        bench.patch(4, "\"2\"", "a=end-of-candidates");
        assert!(matches!(&bench.replies()[..], [(4, Reply::Trickled)]));
    }
}

#[test]
fn a_restart_that_is_not_answered_leaves_the_session_as_it_was() {
    let mut bench = Bench::standing();
    bench.patch(1, "*", RESTART);
    bench.signals();
    bench.pass(3_100);
    assert!(matches!(
        &bench.replies()[..],
        [(1, Reply::Refused(Refusal::NoAnswer))]
    ));
    assert_eq!(bench.session.etag(), "\"1\"");
    bench.answer('a', ANSWER);
    assert_eq!(bench.out, [], "too late");
    bench.patch(2, "*", RESTART);
    assert_eq!(bench.signals().len(), 1, "it may be tried again");
}

#[test]
fn a_session_ends_with_its_partner_by_its_word_by_a_moderator_and_by_delete() {
    let endings: [fn(&mut Bench); 6] = [
        |bench| bench.left('a'),
        |bench| {
            let data = Raw::try_from(PartnerNotice::LOST).unwrap();
            assert_eq!(data.get(), r#"{"connection":"lost"}"#);
            let (room, from) = (room(), id('a'));
            bench.heard(ServerMessage::Message { room, from, data });
        },
        |bench| {
            bench.heard(ServerMessage::Kicked {
                room: room(),
                by: id('a'),
                reason: None,
            });
        },
        |bench| bench.step(Input::Delete),
        |bench| bench.pass(24 * 60 * 60 * 1_000),
        |bench| {
            bench.heard(ServerMessage::GoAway {
                reason: String::new(),
                reconnect_ms: None,
                url: None,
            });
        },
    ];
    for ending in endings {
        let mut bench = Bench::standing();
        bench.came(member('b', None));
        bench.patch(1, "*", RESTART);
        bench.out.clear();
        ending(&mut bench);
        bench.pass(24 * 60 * 60 * 1_000);
        assert!(bench.session.is_over());
        assert!(bench.partners.is_empty());
        let open = bench.replies();
        assert!(matches!(&open[..], [(1, Reply::Refused(_))]), "{open:?}");
        bench.patch(2, "*", RESTART);
        assert_eq!(bench.refusal(), Refusal::Ended);
        assert_eq!(bench.session.due(), None);
    }
}

#[test]
fn others_cannot_end_a_session() {
    let mut bench = Bench::standing();
    bench.came(member('b', None));
    let data = Raw::try_from(PartnerNotice::LOST).unwrap();
    let (room, from) = (room(), id('b'));
    bench.heard(ServerMessage::Message { room, from, data });
    bench.left('b');
    let chat = Raw::parse(r#"{"connection":"fine"}"#).unwrap();
    let (room, from) = (super::sessions::room(), id('a'));
    bench.heard(ServerMessage::Message {
        room,
        from,
        data: chat,
    });
    assert!(!bench.session.is_over());
}

#[test]
fn what_the_partner_starts_by_itself_goes_nowhere() {
    let mut bench = Bench::standing();
    bench.signal('a', &Signal::Restart);
    bench.signal('a', &Signal::Candidate(candidate(Some("0"), 9, "526b")));
    let (kind, sdp) = (SdpType::Offer, ANSWER.to_owned());
    bench.signal('a', &Signal::Description(Description { kind, sdp }));
    assert_eq!(bench.out, []);
}

#[test]
fn the_right_to_moderate_is_handed_on() {
    let mut bench = Bench::new(Flow::Publish);
    bench.joined(Role::Moderator, Vec::new());
    assert_eq!(bench.granted(), []);
    bench.came(member('p', Some(Dialect::Whip)));
    bench.came(member('a', None));
    assert_eq!(bench.granted(), [id('a')]);
    bench.heard(ServerMessage::Granted {
        room: room(),
        peer: id('a'),
        right: Right::Moderator,
        by: id('w'),
    });
    bench.came(member('b', None));
    assert_eq!(bench.granted(), [], "there is one");
}

proptest! {
    /// Whatever comes in whatever order: each request is answered at most once, nothing comes after the end, and no
    /// partner stays taken.
    #[test]
    fn the_books_balance(steps in proptest::collection::vec((0_u8..14, 0_usize..3), 0..40), play in any::<bool>()) {
        let mut bench = Bench::new(if play { Flow::Play } else { Flow::Publish });
        let who = ['a', 'b', 'c'];
        let mut answered = std::collections::BTreeSet::new();
        for (request, (what, at)) in steps.into_iter().enumerate() {
            let from = who[at];
            let over = bench.session.is_over();
            match what {
                0 => bench.joined(Role::Member, vec![member(from, None)]),
                1 => bench.came(member(from, (at == 2).then_some(Dialect::Codelab))),
                2 => bench.left(from),
                3 | 4 => bench.answer(from, ANSWER),
                5 => bench.answer(from, "v=0"),
                6 => bench.signal(from, &Signal::EndOfCandidates),
                7 => bench.signal(from, &Signal::Candidate(candidate(None, 1, "526b"))),
                8 => bench.patch(request as u64 + 1, "*", RESTART),
                9 => bench.patch(request as u64 + 1, "\"1\"", "a=end-of-candidates"),
                10 => bench.pass(900),
                11 => bench.pass(3_000),
                12 => bench.heard(ServerMessage::Error { code: ErrorCode::Busy, message: String::new() }),
                _ => if at == 0 { bench.step(Input::Delete) },
            }
            let created = bench.out.iter().any(|o| matches!(o, Output::Reply(0, _)));
            prop_assert!(!(over && created));
            for output in bench.out.drain(..) {
                if let Output::Reply(request, _) = output {
                    prop_assert!(answered.insert(request), "{request} twice");
                }
            }
            prop_assert_eq!(bench.session.is_over(), bench.session.due().is_none());
        }
        bench.step(Input::Delete);
        prop_assert!(bench.partners.is_empty());
        prop_assert!(bench.session.is_over());
    }
}
