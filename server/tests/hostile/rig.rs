//! A WebSocket client that may say anything at all, and a watch over the server's health.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtc_protocol::{ClientFrame, ClientMessage, PeerId, RoomId, ServerFrame, ServerMessage, Token};
use rtc_server::{Config, Running, testing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Far more than anything here takes; only ever waited out by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A round of the watch that takes longer was delayed by somebody; alone it takes some milliseconds.
const DELAY: Duration = Duration::from_secs(1);

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
pub(crate) const FIN: u8 = 0x80;

pub(crate) async fn server() -> (Running, SocketAddr) {
    serve(calm()).await
}

pub(crate) async fn serve(config: Config) -> (Running, SocketAddr) {
    testing::start(config).await.unwrap()
}

/// No heartbeat comes between, and lost peers are gone soon.
pub(crate) fn calm() -> Config {
    Config {
        heartbeat: Duration::from_secs(600),
        ..testing::config()
    }
}

pub(crate) fn token(who: &str) -> Token {
    Token::new(&format!("{who:-<24}")).unwrap()
}

pub(crate) fn id(who: &str) -> PeerId {
    token(who).peer_id()
}

pub(crate) fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

/// One frame as a client has to send it: masked (RFC 6455, section 5.3). `first` is FIN, the reserved bits and the opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(len).unwrap().to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(b, k)| b ^ k));
    bytes
}

/// The same without its mask.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, u8::try_from(payload.len()).unwrap()];
    bytes.extend(payload);
    bytes
}

pub(crate) fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// One frame of the server.
#[derive(Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

/// How the server ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a close frame of this code, and then the end of the stream.
    Closed(u16),
    /// With a close frame without a code.
    ClosedPlainly,
    /// Without a word.
    Cut,
}

/// A raw connection.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    seq: u64,
}

impl Wire {
    /// TCP and nothing else.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            address,
            seq: 0,
        }
    }

    /// A WebSocket that has said nothing yet.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut wire = Self::connect(address).await;
        let head = wire.ask(&handshake(address, &[])).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        wire
    }

    /// A WebSocket at another path, where no subprotocol is spoken.
    pub(crate) async fn open_at(address: SocketAddr, path: &str) -> Self {
        let mut wire = Self::connect(address).await;
        let request = handshake(address, &[("sec-websocket-protocol", "")]);
        let head = wire.ask(&request.replacen("/ws", path, 1)).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        wire
    }

    /// Welcomed.
    pub(crate) async fn greeted(address: SocketAddr, who: &str) -> Self {
        let mut wire = Self::open(address).await;
        let welcome = wire.hello(who, None).await;
        assert!(
            matches!(welcome, ServerMessage::Welcome { .. }),
            "{welcome:?}"
        );
        wire
    }

    /// Welcomed and in a room.
    pub(crate) async fn inside(address: SocketAddr, who: &str, name: &str) -> Self {
        let mut wire = Self::greeted(address, who).await;
        let joined = wire.join(name).await;
        assert!(matches!(joined, ServerMessage::Joined { .. }), "{joined:?}");
        wire
    }

    pub(crate) async fn hello(&mut self, who: &str, last_seq: Option<u64>) -> ServerMessage {
        self.say(ClientMessage::Hello {
            resume: Some(token(who)),
            last_seq,
            name: None,
            auth: None,
            agent: None,
        })
        .await;
        self.message().await
    }

    pub(crate) async fn join(&mut self, name: &str) -> ServerMessage {
        self.say(ClientMessage::Join {
            room: room(name),
            name: None,
            capacity: None,
        })
        .await;
        self.message().await
    }

    pub(crate) async fn say(&mut self, message: ClientMessage) {
        let text = ClientFrame {
            id: Some(1),
            message,
        }
        .to_json();
        self.text(text.as_bytes()).await;
    }

    /// One text frame.
    pub(crate) async fn text(&mut self, text: &[u8]) {
        self.write(&frame(FIN | TEXT, text)).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        let written = timeout(PATIENCE, self.stream.write_all(bytes)).await;
        written.expect("the server reads").expect("the link stands");
    }

    /// Writes what may come after the server's close.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.stream.write_all(bytes)).await;
    }

    /// Sends a request and reads the head of its answer.
    pub(crate) async fn ask(&mut self, request: &str) -> String {
        self.write(request.as_bytes()).await;
        self.head().await
    }

    /// The head of an HTTP answer; what came of it where the server closed.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match timeout(PATIENCE, self.stream.read_u8())
                .await
                .expect("an answer")
            {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).unwrap()
    }

    /// The next frame; none where the stream ended.
    pub(crate) async fn heard(&mut self) -> Option<Heard> {
        let read = timeout(PATIENCE, self.read_frame()).await;
        read.expect("a frame or the end").ok()
    }

    async fn read_frame(&mut self) -> std::io::Result<Heard> {
        let first = self.stream.read_u8().await?;
        let len = match self.stream.read_u8().await? {
            126 => usize::from(self.stream.read_u16().await?),
            127 => usize::try_from(self.stream.read_u64().await?).unwrap(),
            len => {
                assert!(len < 126, "a server does not mask");
                usize::from(len)
            }
        };
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload).await?;
        Ok(Heard { first, payload })
    }

    /// The next message, numbered without a gap; heartbeats are answered.
    pub(crate) async fn message(&mut self) -> ServerMessage {
        loop {
            let heard = self.heard().await.expect("a message, not the end");
            assert_eq!(heard.first, FIN | TEXT, "{heard:?}");
            let text = String::from_utf8(heard.payload).unwrap();
            let frame = ServerFrame::parse(&text).unwrap();
            if let Some(seq) = frame.seq {
                assert_eq!(seq, self.seq + 1, "no gap, no repetition: {text}");
                self.seq = seq;
            }
            match frame.message {
                ServerMessage::Ping { t, .. } => self.say(ClientMessage::Pong { t }).await,
                message => return message,
            }
        }
    }

    /// Reads to the end of the stream, whatever comes before it.
    pub(crate) async fn end(&mut self) -> End {
        let mut end = End::Cut;
        while let Some(heard) = self.heard().await {
            assert_eq!(
                end,
                End::Cut,
                "nothing comes after a close frame: {heard:?}"
            );
            if heard.first == FIN | CLOSE {
                end = match heard.payload.first_chunk() {
                    Some(code) => End::Closed(u16::from_be_bytes(*code)),
                    None => End::ClosedPlainly,
                };
            }
        }
        end
    }

    /// A round trip: everything that was written before has been dealt with.
    pub(crate) async fn still_there(&mut self) {
        self.write(&frame(FIN | PING, b"still there?")).await;
        let pong = Heard {
            first: FIN | PONG,
            payload: b"still there?".into(),
        };
        assert_eq!(self.heard().await, Some(pong));
    }
}

/// The request that opens a WebSocket, with other or further headers; an empty value leaves one out.
pub(crate) fn handshake(address: SocketAddr, changes: &[(&str, &str)]) -> String {
    let host = address.to_string();
    let mut headers = vec![
        ("host", host.as_str()),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "rtc.v1"),
    ];
    for change in changes {
        headers.retain(|(name, _)| name != &change.0);
    }
    headers.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    let lines: Vec<_> = headers
        .iter()
        .map(|(n, v)| format!("{n}: {v}\r\n"))
        .collect();
    format!("GET /ws HTTP/1.1\r\n{}\r\n", lines.concat())
}

/// Two peers in a room of their own, who would notice whatever reaches it, or ails the server.
pub(crate) struct Watch {
    one: Wire,
    other: Wire,
    round: u64,
    /// How long each round took.
    took: Vec<Duration>,
}

impl Watch {
    pub(crate) async fn over(address: SocketAddr) -> Self {
        let mut one = Wire::greeted(address, "watch-one").await;
        one.say(ClientMessage::Join {
            room: room("watched"),
            name: None,
            // So nobody comes in by the door, either.
            capacity: Some(2),
        })
        .await;
        let joined = one.message().await;
        assert!(matches!(joined, ServerMessage::Joined { .. }), "{joined:?}");
        let other = Wire::inside(address, "watch-other", "watched").await;
        let came = one.message().await;
        assert!(matches!(came, ServerMessage::PeerJoined { .. }), "{came:?}");
        Self {
            one,
            other,
            round: 0,
            took: Vec::new(),
        }
    }

    /// The server is still well: it lets in, passes on and answers, and nobody here heard anything of what went on elsewhere.
    pub(crate) async fn all_is_well(&mut self) {
        self.round += 1;
        let began = Instant::now();
        let data = rtc_protocol::Raw::parse(&self.round.to_string()).unwrap();
        self.one
            .say(ClientMessage::Message {
                room: room("watched"),
                to: None,
                data: data.clone(),
            })
            .await;
        let heard = self.other.message().await;
        let said = ServerMessage::Message {
            room: room("watched"),
            from: id("watch-one"),
            data,
        };
        assert_eq!(heard, said, "and nothing came before it");
        assert_eq!(self.one.message().await, ServerMessage::Ack {});
        let mut guest = Wire::inside(self.one.address, "watch-guest", "another room").await;
        guest
            .say(ClientMessage::Leave {
                room: room("another room"),
            })
            .await;
        let left = guest.message().await;
        assert!(matches!(left, ServerMessage::Left { .. }), "{left:?}");
        guest.write(&close_frame(1000, b"")).await;
        assert_eq!(guest.end().await, End::Closed(1000));
        self.took.push(began.elapsed());
    }

    /// Whatever went on elsewhere, [`Watch::all_is_well`] was soon through, most of the time: the machine itself may be busy.
    pub(crate) fn nobody_was_delayed(&mut self) {
        self.took.sort_unstable();
        let median = self.took[self.took.len() / 2];
        println!("a round of the others took {median:?}");
        assert!(median < DELAY, "{:?}", self.took);
    }
}

/// What `/healthz` says.
pub(crate) async fn health(address: SocketAddr) -> serde_json::Value {
    let mut wire = Wire::connect(address).await;
    let request = "GET /healthz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let head = wire.ask(request).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut body = String::new();
    let read = timeout(PATIENCE, wire.stream.read_to_string(&mut body)).await;
    read.expect("the whole answer").unwrap();
    serde_json::from_str(&body).unwrap()
}
