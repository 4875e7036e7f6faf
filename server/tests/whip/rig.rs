//! Bare HTTP and a native member.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{
    Candidate, ClientMessage, Description, Dialect, ErrorCode, Member, PeerId, Raw, RoomId,
    SdpType, ServerFrame, ServerMessage, Signal,
};
use rtc_server::{Config, Running, testing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Far more than anything here takes; only ever waited out by a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

pub(crate) const RESTART: &str = "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n";

pub(crate) const CANDIDATE: &str = "candidate:1 1 udp 2130706431 192.0.2.1 39132 typ host";

/// A description with sound and picture in one bundle.
pub(crate) fn description(ufrag: &str, direction: &str) -> String {
    let section = |kind: &str, payload: u8, mid: &str, codec: &str| {
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {payload}\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\n\
             a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\na=fingerprint:sha-256 DA:7B\r\na=setup:actpass\r\na=mid:{mid}\r\n\
             a={direction}\r\na=rtcp-mux\r\na=rtpmap:{payload} {codec}\r\n"
        )
    };
    format!(
        "v=0\r\no=- 52 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n{}{}",
        section("audio", 111, "0", "opus/48000/2"),
        section("video", 96, "1", "VP8/90000")
    )
}

pub(crate) fn offer() -> String {
    description("zjkk", "sendonly")
}

pub(crate) async fn server(config: Config) -> (Running, SocketAddr) {
    testing::start(config).await.unwrap()
}

/// Times that nothing here takes, however busy the machine is.
pub(crate) fn config() -> Config {
    let mut config = testing::config();
    config.whip.patience.partner = PATIENCE;
    config.whip.patience.answer = PATIENCE;
    config.whip.patience.gather = PATIENCE;
    config
}

/// As long as that, but for a partner, whose absence a test can wait for.
pub(crate) fn lonely() -> Config {
    let mut config = config();
    config.whip.patience.partner = Duration::from_millis(300);
    config
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: HashMap<String, Vec<String>>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> &str {
        let values = self.headers.get(name);
        values
            .and_then(|all| all.first())
            .map_or("", String::as_str)
    }

    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.headers.get(name).map_or(&[], Vec::as_slice)
    }
}

pub(crate) struct Http(pub(crate) SocketAddr);

impl Http {
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        stream
            .write_all(&Self::request(method, path, headers, body))
            .await
            .unwrap();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("an answer in time")
            .unwrap();
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let mut found: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let values = found.entry(name.to_ascii_lowercase()).or_default();
            values.push(value.to_owned());
        }
        Response {
            status: status.parse().unwrap(),
            headers: found,
            body: body.to_owned(),
        }
    }

    pub(crate) fn request(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<u8> {
        let mut text =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Content-Length") {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut request = text.into_bytes();
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        request
    }

    pub(crate) async fn post(&self, path: &str, offer: &str) -> Response {
        let headers = [("Content-Type", "application/sdp")];
        self.ask("POST", path, &headers, offer.as_bytes()).await
    }

    pub(crate) async fn patch(&self, path: &str, tag: Option<&str>, body: &str) -> Response {
        let mut headers = vec![("Content-Type", FRAGMENT)];
        headers.extend(tag.map(|tag| ("If-Match", tag)));
        self.ask("PATCH", path, &headers, body.as_bytes()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Response {
        self.ask("DELETE", path, &[], b"").await
    }
}

pub(crate) fn room() -> RoomId {
    RoomId::new("r").unwrap()
}

/// A member that speaks rtc.v1.
pub(crate) struct Native {
    socket: WebSocketStream<TcpStream>,
    pub(crate) id: PeerId,
}

impl Native {
    /// In the room.
    pub(crate) async fn inside(address: SocketAddr, name: &str) -> Self {
        Self::inside_with(address, name, None).await
    }

    pub(crate) async fn inside_with(
        address: SocketAddr,
        name: &str,
        capacity: Option<u16>,
    ) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        let protocol = "rtc.v1".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .unwrap();
        let id = PeerId::new("aaaaaaaaaaaaaaaaaaaa").unwrap();
        let mut native = Self { socket, id };
        native.write(r#"{"type":"hello"}"#).await;
        let welcome = native.next().await;
        let ServerMessage::Welcome { peer, .. } = welcome else {
            panic!("{welcome:?}");
        };
        native.id = peer;
        native
            .say(ClientMessage::Join {
                room: room(),
                name: Some(rtc_protocol::Name::new(name).unwrap()),
                capacity,
            })
            .await;
        let joined = native.next().await;
        assert!(matches!(joined, ServerMessage::Joined { .. }), "{joined:?}");
        native
    }

    async fn write(&mut self, text: &str) {
        self.socket.send(Message::Text(text.into())).await.unwrap();
    }

    pub(crate) async fn say(&mut self, message: ClientMessage) {
        let frame: rtc_protocol::ClientFrame = message.into();
        self.write(&frame.to_json()).await;
    }

    /// The next message that is no heartbeat.
    pub(crate) async fn next(&mut self) -> ServerMessage {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await;
            let Some(Ok(Message::Text(text))) = message.expect("a message in time") else {
                panic!("no message");
            };
            match ServerFrame::parse(&text).unwrap().message {
                ServerMessage::Ping { t, .. } => self.say(ClientMessage::Pong { t }).await,
                message => return message,
            }
        }
    }

    /// Somebody came. What was said to somebody who has gone is answered with an error first.
    pub(crate) async fn newcomer(&mut self) -> Member {
        loop {
            match self.next().await {
                ServerMessage::PeerJoined { member, .. } => return member,
                ServerMessage::Error {
                    code: ErrorCode::NoSuchPeer,
                    ..
                } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Somebody went.
    pub(crate) async fn leaver(&mut self) -> PeerId {
        match self.next().await {
            ServerMessage::PeerLeft { peer, .. } => peer,
            other => panic!("{other:?}"),
        }
    }

    /// Somebody signals.
    pub(crate) async fn signal(&mut self) -> (PeerId, Signal) {
        match self.next().await {
            ServerMessage::Signal { from, signal, .. } => {
                (from, Signal::from_raw(&signal).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    /// Somebody offers.
    pub(crate) async fn offered(&mut self) -> (PeerId, String) {
        match self.signal().await {
            (
                from,
                Signal::Description(Description {
                    kind: SdpType::Offer,
                    sdp,
                }),
            ) => (from, sdp),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, to: PeerId, signal: &Signal) {
        self.say(ClientMessage::Signal {
            room: room(),
            to: Some(to),
            signal: signal.to_raw().unwrap(),
        })
        .await;
    }

    /// Answers with this description, one candidate and their end.
    pub(crate) async fn answer(&mut self, to: PeerId, sdp: &str) {
        let (kind, sdp) = (SdpType::Answer, sdp.to_owned());
        self.send(to, &Signal::Description(Description { kind, sdp }))
            .await;
        let candidate = Candidate {
            candidate: CANDIDATE.to_owned(),
            sdp_mid: Some("0".to_owned()),
            sdp_m_line_index: Some(0),
            username_fragment: None,
        };
        self.send(to, &Signal::Candidate(candidate)).await;
        self.send(to, &Signal::EndOfCandidates).await;
    }

    /// Sees a publisher or player come, and answers it.
    pub(crate) async fn serve(&mut self, dialect: Dialect, direction: &str) -> Member {
        let member = self.newcomer().await;
        assert_eq!(member.dialect, Some(dialect));
        let (from, _) = self.offered().await;
        assert_eq!(from, member.peer);
        self.answer(from, &description("answ", direction)).await;
        member
    }

    pub(crate) async fn tell(&mut self, to: PeerId, data: &str) {
        self.say(ClientMessage::Message {
            room: room(),
            to: Some(to),
            data: Raw::parse(data).unwrap(),
        })
        .await;
    }

    pub(crate) async fn bye(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }
}

/// A publisher that stands, and the one that answered it.
pub(crate) struct Stage {
    pub(crate) _running: Running,
    pub(crate) http: Http,
    pub(crate) native: Native,
    pub(crate) publisher: Member,
    pub(crate) path: String,
    pub(crate) created: Response,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(config()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let (running, address) = server(config).await;
        let http = Http(address);
        let mut native = Native::inside(address, "ann").await;
        let offer = offer();
        let (created, publisher) = tokio::join!(
            http.post("/whip/r", &offer),
            native.serve(Dialect::Whip, "recvonly")
        );
        assert_eq!(created.status, 201, "{created:?}");
        Self {
            _running: running,
            path: created.header("location").to_owned(),
            http,
            native,
            publisher,
            created,
        }
    }
}
