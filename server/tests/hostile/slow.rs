//! A hundred megabytes to somebody who does not read: the server's memory hardly grows, that one is closed and counted, and
//! nobody else is delayed. In every dialect.

use rtc_protocol::{ClientMessage, PeerId, Raw, ServerMessage};

use crate::login::LoginPage;
use crate::page::*;
use crate::program::Program;
use crate::rig::*;

/// Of 65,000 bytes each.
const MESSAGES: usize = 1_600;

/// What may be held for a sleeper at the most.
const COST: usize = 1_000_000;

fn tell(whom: PeerId) -> ClientMessage {
    ClientMessage::Message {
        room: room("r"),
        to: Some(whom),
        data: Raw::parse(&format!("\"{}\"", "x".repeat(65_000))).unwrap(),
    }
}

/// A server with a talker in room `r`.
struct Stage {
    program: Program,
    address: std::net::SocketAddr,
    watch: Watch,
    talker: Wire,
}

impl Stage {
    async fn new() -> Self {
        let (program, address) = Program::start(&["--rate", "1000000", "--heartbeat", "300"]);
        Self {
            program,
            address,
            watch: Watch::over(address).await,
            talker: Wire::inside(address, "talker", "r").await,
        }
    }

    /// What the talker hears next; that pages ask it for offers does not matter here.
    async fn hears(&mut self) -> ServerMessage {
        loop {
            match self.talker.message().await {
                ServerMessage::Signal { .. } => {}
                message => return message,
            }
        }
    }

    /// Who comes next into the room.
    async fn newcomer(&mut self) -> PeerId {
        match self.hears().await {
            ServerMessage::PeerJoined { member, .. } => member.peer,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until somebody has left it.
    async fn left(&mut self, who: PeerId) {
        match self.hears().await {
            ServerMessage::PeerLeft { peer, .. } => assert_eq!(peer, who),
            other => panic!("{other:?}"),
        }
    }

    /// Says one message to somebody who reads.
    async fn tells(&mut self, whom: PeerId) {
        self.talker.say(tell(whom)).await;
        assert_eq!(self.hears().await, ServerMessage::Ack {});
    }

    /// Sends everything to a sleeper that is not kept once it is closed; the rest of the room is told of its end, and of nothing else.
    async fn wears_out(&mut self, sleeper: PeerId) {
        let before = self.program.resident();
        let (mut most, mut left) = (before, 0);
        for number in 0..MESSAGES {
            self.talker.say(tell(sleeper)).await;
            loop {
                match self.hears().await {
                    ServerMessage::Ack {} => break,
                    ServerMessage::Error { .. } => break,
                    ServerMessage::PeerLeft { peer, .. } if peer == sleeper => left += 1,
                    other => panic!("{other:?}"),
                }
            }
            if number % 20 == 0 {
                self.watch.all_is_well().await;
                most = most.max(self.program.resident());
            }
        }
        self.watch.nobody_was_delayed();
        let cost = most - before;
        println!("a sleeping page cost {cost} bytes of {before}");
        assert!(cost < COST, "{cost} bytes more than {before}");
        assert_eq!(left, 1, "it was given up while it was spoken to");
        assert_eq!(health(self.address).await["slowReadersClosed"], 1);
        assert_eq!(self.closed_as_slow().await, 1, "and why is counted, too");
    }

    /// How many connections were closed because nobody read at their other end, by the metrics.
    async fn closed_as_slow(&self) -> u64 {
        let mut wire = Wire::connect(self.address).await;
        let request = b"GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
        wire.write(request).await;
        let (status, text) = answer(&mut wire).await;
        assert_eq!(status, 200);
        let closed = text.lines().filter(|line| {
            line.starts_with("rtc_connections_closed_total{")
                && line.contains(r#"reason="slow-reader""#)
        });
        let counts = closed.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        counts.sum()
    }
}

#[tokio::test]
async fn a_page_that_never_polls() {
    let mut stage = Stage::new().await;
    // What talking to somebody who reads takes is not what we measure.
    let reader = Poller::connected(stage.address).await;
    reader.say(r#"42["join","r"]"#).await;
    let whom = stage.newcomer().await;
    reader.until("joined").await;
    for _ in 0..100 {
        stage.tells(whom).await;
        reader.until("xxx").await;
    }
    reader.say("41").await;
    stage.left(whom).await;
    let sleeper = Poller::connected(stage.address).await;
    sleeper.say(r#"42["join","r"]"#).await;
    let whom = stage.newcomer().await;
    stage.wears_out(whom).await;
    // Its session is over when it wakes up.
    while sleeper.poll().await.0 == 200 {}
}

#[tokio::test]
async fn a_page_with_a_websocket_that_never_reads() {
    let mut stage = Stage::new().await;
    let (mut reader, _) = Page::of_many(stage.address, "r").await;
    let whom = stage.newcomer().await;
    for _ in 0..100 {
        stage.tells(whom).await;
        reader.until("xxx").await;
    }
    reader.wire.write(&close_frame(1000, b"")).await;
    stage.left(whom).await;
    let (mut sleeper, _) = Page::of_many(stage.address, "r").await;
    let whom = stage.newcomer().await;
    stage.wears_out(whom).await;
    // Awake at last, it finds what the system's own buffers held, and the end.
    let mut rest = Vec::new();
    let stream = &mut sleeper.wire.stream;
    let read = tokio::io::AsyncReadExt::read_to_end(stream, &mut rest);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("closed");
}

#[tokio::test]
async fn a_page_for_two_that_never_reads() {
    let mut stage = Stage::new().await;
    let address = stage.address;
    let words = format!(r#"42["message","{}"]"#, "x".repeat(60_000));
    let mut ann = Page::of_a_pair(address, "two").await;
    let mut reader = Page::of_a_pair(address, "two").await;
    // What only a codelab's page says: now the server knows its kind.
    ann.say(r#"42["message","got user media"]"#).await;
    for _ in 0..100 {
        ann.say(&words).await;
        reader.until("xxx").await;
    }
    reader.wire.write(&close_frame(1000, b"")).await;
    ann.until(r#"["message","bye"]"#).await;
    let mut sleeper = Page::of_a_pair(address, "two").await;
    let before = stage.program.resident();
    let mut most = before;
    for number in 0..MESSAGES {
        ann.say(&words).await;
        if number % 20 == 0 {
            ann.say(r#"42["create or join","two"]"#).await;
            ann.until("already-joined").await;
            stage.watch.all_is_well().await;
            most = most.max(stage.program.resident());
        }
    }
    stage.watch.nobody_was_delayed();
    let cost = most - before;
    println!("a sleeping page for two cost {cost} bytes of {before}");
    assert!(cost < COST, "{cost} bytes more than {before}");
    assert_eq!(health(address).await["slowReadersClosed"], 1);
    assert_eq!(stage.closed_as_slow().await, 1, "and why is counted, too");
    // Its place is free, and it finds the end when it wakes up.
    Page::of_a_pair(address, "two").await;
    let mut rest = Vec::new();
    let stream = &mut sleeper.wire.stream;
    let read = tokio::io::AsyncReadExt::read_to_end(stream, &mut rest);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("closed");
}

#[tokio::test]
async fn a_native_peer_that_never_reads() {
    let mut stage = Stage::new().await;
    let mut reader = Wire::inside(stage.address, "reader", "r").await;
    let whom = stage.newcomer().await;
    for _ in 0..200 {
        stage.tells(whom).await;
        let told = reader.message().await;
        assert!(matches!(told, ServerMessage::Message { .. }), "{told:?}");
    }
    let mut sleeper = Wire::inside(stage.address, "sleeper", "r").await;
    let whom = stage.newcomer().await;
    let before = stage.program.resident();
    let mut most = before;
    for number in 0..MESSAGES {
        // It may come back: until then what is said to it is kept, as far as the backlog goes.
        stage.tells(whom).await;
        if number % 20 == 0 {
            stage.watch.all_is_well().await;
            most = most.max(stage.program.resident());
        }
    }
    stage.watch.nobody_was_delayed();
    let cost = most - before;
    println!("a sleeping peer cost {cost} bytes of {before}");
    assert!(cost < COST, "{cost} bytes more than {before}");
    assert_eq!(health(stage.address).await["slowReadersClosed"], 1);
    assert_eq!(stage.closed_as_slow().await, 1, "and why is counted, too");
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut sleeper.stream, &mut rest);
    let _ = tokio::time::timeout(PATIENCE, read).await.expect("closed");
}

#[tokio::test]
async fn a_login_page_that_never_reads() {
    let mut stage = Stage::new().await;
    let address = stage.address;
    let candidate = format!(
        r#"{{"type":"candidate","candidate":"{}","name":"bob"}}"#,
        "x".repeat(60_000)
    );
    let mut ann = LoginPage::of(address, "ann").await;
    let mut bob = LoginPage::of(address, "bob").await;
    ann.says(r#"{"type":"offer","offer":1,"name":"bob"}"#).await;
    bob.until(r#""offer""#).await;
    bob.says(r#"{"type":"answer","answer":1,"name":"ann"}"#)
        .await;
    ann.until(r#""answer""#).await;
    for _ in 0..100 {
        ann.says(&candidate).await;
        bob.until("xxx").await;
    }
    let before = stage.program.resident();
    let mut most = before;
    for number in 0..MESSAGES {
        ann.says(&candidate).await;
        if number % 20 == 0 {
            ann.round_trip().await;
            stage.watch.all_is_well().await;
            most = most.max(stage.program.resident());
        }
    }
    stage.watch.nobody_was_delayed();
    let cost = most - before;
    println!("a sleeping login page cost {cost} bytes of {before}");
    assert!(cost < COST, "{cost} bytes more than {before}");
    assert_eq!(health(address).await["slowReadersClosed"], 1);
    assert_eq!(stage.closed_as_slow().await, 1, "and why is counted, too");
    // Its name is free at once.
    LoginPage::of(address, "bob").await;
}
