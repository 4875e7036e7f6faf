//! Pages of other dialects, and all of them at one hub.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_protocol::dialect::login::{Login, Said};
use rtc_protocol::dialect::socketio::{self, Emit, Event, Setting, SocketIoTranslator, wire};
use rtc_protocol::dialect::{Step, Translator};
use rtc_protocol::{ClientFrame, PeerId, ServerFrame, Token, limits};
use rtc_server::hub::{ConnectionId, Effect, Greeting, Hub, HubConfig};

/// Packets of Socket.IO: an event is within its bounds.
pub fn packet(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match wire::Incoming::parse(text) {
        Ok(wire::Incoming::Event(event)) => {
            assert!((1..=limits::EVENT_NAME_BYTES).contains(&event.name.len()));
            assert!(event.args.len() <= limits::EVENT_ARGS);
            let setting = setting();
            if let Some(mut page) = socketio::translator(&event.name, &setting) {
                page.said(event, &mut Vec::new());
            }
        }
        Ok(_) => {}
        Err(error) => assert!(error.to_string().len() < 2_000),
    }
}

fn setting() -> Setting {
    Setting {
        socket: "socket".into(),
        addresses: Arc::new([]),
    }
}

/// What a login page says: it is understood or answered with one short object.
pub fn login(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Said::parse(text) {
        Ok(said) => {
            let mut page = Login::new(Token::from_random([7; 32]));
            let mut steps = Vec::new();
            page.said(said, &mut steps);
            for step in steps {
                match step {
                    Step::Core(frame) => {
                        ClientFrame::parse(&frame.to_json()).expect("a translator speaks rtc.v1");
                    }
                    Step::Page(words) => word(words),
                    Step::Close(_) => {}
                }
            }
        }
        Err(answer) => {
            assert!(answer.len() < 2_000, "{answer}");
            word(answer);
        }
    }
}

fn word(words: String) {
    let word: serde_json::Value = serde_json::from_str(&words).expect("a page reads JSON");
    assert!(word["type"].is_string(), "{word}");
}

/// A page or a program at a hub.
enum Page {
    Native,
    Login(Login),
    /// The first event chooses the translator.
    SocketIo(Option<Box<dyn SocketIoTranslator>>),
}

/// Many pages of all dialects at one hub: each line of the input is said by the peer that its first byte names. Nothing
/// runs away, what pages are sent can be read, and when all have gone nothing is left.
pub fn pages(data: &[u8]) {
    const PEERS: usize = 6;
    let start = Instant::now();
    let mut hub = Hub::new(hub_config(), start);
    let mut all: Vec<Page> = Vec::new();
    let mut peers = Vec::new();
    let mut effects = Vec::new();
    for number in 0..PEERS {
        let token = Token::from_random([u8::try_from(number).unwrap_or_default(); 32]);
        all.push(match number % 3 {
            0 => Page::Native,
            1 => Page::Login(Login::new(token.clone())),
            _ => Page::SocketIo(None),
        });
        let greeting = Greeting {
            returns: false,
            id: None,
            token,
            last_seq: None,
            name: None,
            dialect: None,
            pass: rtc_server::hub::Pass::Unchecked,
        };
        let link = ConnectionId(number as u64);
        let peer = hub.hello(start, link, greeting, &mut effects);
        peers.push(peer.expect("an open hub lets everybody in"));
    }
    settle(&mut hub, start, &mut all, &peers, &mut effects);
    let mut now = start;
    for line in data.split(|byte| *byte == b'\n') {
        let Some((first, text)) = line.split_first() else {
            now += Duration::from_secs(20);
            hub.tick(now, &mut effects);
            settle(&mut hub, now, &mut all, &peers, &mut effects);
            continue;
        };
        let who = usize::from(*first) % PEERS;
        let Ok(text) = std::str::from_utf8(text) else {
            continue;
        };
        said(
            &mut hub,
            now,
            who,
            &mut all[who],
            peers[who],
            text,
            &mut effects,
        );
        settle(&mut hub, now, &mut all, &peers, &mut effects);
    }
    for (number, peer) in peers.iter().enumerate() {
        hub.gone(now, *peer, ConnectionId(number as u64), true, &mut effects);
    }
    hub.tick(now + Duration::from_secs(3_600), &mut effects);
    assert_eq!(hub.counts(), rtc_server::hub::HubCounts::default());
}

fn hub_config() -> HubConfig {
    HubConfig {
        open: true,
        away_url: None,
        limits: rtc_protocol::Limits {
            message_bytes: 65_536,
            rooms_per_peer: 3,
            room_capacity: 4,
            queue_messages: 64,
        },
        default_capacity: 3,
        resume_window: Duration::from_secs(30),
        heartbeat: Duration::from_secs(15),
        ice_servers: Vec::new(),
        relay: None,
        ring: Duration::from_secs(60),
        ringing_calls: 2,
        calls_per_peer: 4,
        backlog: 16,
        backlog_bytes: 4_096,
    }
}

fn said(
    hub: &mut Hub,
    now: Instant,
    who: usize,
    page: &mut Page,
    peer: PeerId,
    text: &str,
    effects: &mut Vec<Effect>,
) {
    match page {
        Page::Native => {
            if let Ok(frame) = ClientFrame::parse(text) {
                hub.say(now, peer, frame, effects);
            }
        }
        Page::Login(login) => {
            let mut steps = Vec::new();
            match Said::parse(text) {
                Ok(said) => login.said(said, &mut steps),
                Err(answer) => steps.push(Step::Page(answer)),
            }
            perform(hub, now, peer, steps, effects, word);
        }
        Page::SocketIo(translator) => {
            let Ok(wire::Incoming::Event(event)) = wire::Incoming::parse(text) else {
                return;
            };
            if translator.is_none() {
                *translator = socketio::translator(&event.name, &setting());
            }
            if let Some(translator) = translator {
                let mut steps = Vec::new();
                translator.said(
                    Event {
                        ack: Some(who as u64),
                        ..event
                    },
                    &mut steps,
                );
                perform(hub, now, peer, steps, effects, readable);
            }
        }
    }
}

fn readable(emit: Emit) {
    let text = emit.to_text();
    let json = text.find('[').map(|at| &text[at..]).expect("an array");
    serde_json::from_str::<serde_json::Value>(json).expect("a page reads JSON");
}

fn perform<P>(
    hub: &mut Hub,
    now: Instant,
    peer: PeerId,
    steps: Vec<Step<P>>,
    effects: &mut Vec<Effect>,
    sent: impl Fn(P),
) {
    for step in steps {
        match step {
            Step::Core(frame) => {
                // Every transport could write it down and read it.
                ClientFrame::parse(&frame.to_json()).expect("a translator speaks rtc.v1");
                hub.say(now, peer, frame, effects);
            }
            Step::Page(page) => sent(page),
            Step::Close(_) => {}
        }
    }
}

/// Passes on what the hub says until it has nothing more to say.
fn settle(
    hub: &mut Hub,
    now: Instant,
    all: &mut [Page],
    peers: &[PeerId],
    effects: &mut Vec<Effect>,
) {
    let mut queue: VecDeque<Effect> = effects.drain(..).collect();
    let mut done = 0;
    while let Some(effect) = queue.pop_front() {
        done += 1;
        assert!(done < 20_000, "what one peer says has no end");
        let Effect::Send(ConnectionId(link), line) = effect else {
            continue;
        };
        let frame = ServerFrame::parse(&line.text()).expect("the hub speaks rtc.v1");
        let number = usize::try_from(link).unwrap_or_default();
        match &mut all[number] {
            Page::Native => {}
            Page::Login(login) => {
                let mut steps = Vec::new();
                login.heard(frame, &mut steps);
                perform(hub, now, peers[number], steps, effects, word);
            }
            Page::SocketIo(Some(translator)) => {
                let mut steps = Vec::new();
                translator.heard(frame, &mut steps);
                perform(hub, now, peers[number], steps, effects, readable);
            }
            Page::SocketIo(None) => {}
        }
        queue.extend(effects.drain(..));
    }
}
