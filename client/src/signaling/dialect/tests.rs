#![allow(clippy::unwrap_used, clippy::panic)]

use rtc_server::{Config, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::{ErrorKind, Signaling, Via};
use super::*;

/// Far longer than anything takes.
const LONG: Duration = Duration::from_secs(30);

fn options(dialect: Dialect, url: &str) -> DialectOptions {
    let server = ServerChoice::Given(ServerAddress::parse(url).unwrap());
    let mut options = DialectOptions::new(dialect, server, RoomId::new("foo").unwrap());
    options.patience = Duration::from_secs(2);
    options
}

struct Guest {
    signaling: Signaling,
    events: mpsc::Receiver<SignalingEvent>,
}

impl Guest {
    async fn try_join(options: DialectOptions) -> Result<Self, SignalingError> {
        let (sender, events) = mpsc::channel(16);
        let via = Via::Dialect(Box::new(options));
        let signaling = timeout(LONG, Signaling::open(via, sender)).await.unwrap()?;
        Ok(Self { signaling, events })
    }

    async fn join(dialect: Dialect, url: &str) -> Self {
        Self::try_join(options(dialect, url)).await.unwrap()
    }

    async fn until<T>(&mut self, mut pick: impl FnMut(SignalingEvent) -> Option<T>) -> T {
        let mut skipped = Vec::new();
        let found = timeout(LONG, async {
            loop {
                let event = self.events.recv().await.unwrap();
                skipped.push(format!("{event:?}"));
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("it never came; what came: {skipped:#?}"),
        }
    }

    async fn asked_to_offer(&mut self) -> PeerId {
        self.until(|event| match event {
            SignalingEvent::Signal {
                from,
                signal: rtc_protocol::Signal::Restart,
            } => Some(from),
            _ => None,
        })
        .await
    }

    async fn members(&mut self) -> usize {
        self.until(|event| match event {
            SignalingEvent::Joined { members, .. } => Some(members.len()),
            _ => None,
        })
        .await
    }

    async fn offered(&mut self) -> PeerId {
        self.until(|event| match event {
            SignalingEvent::Signal {
                from,
                signal: rtc_protocol::Signal::Description(_),
            } => Some(from),
            _ => None,
        })
        .await
    }

    async fn left(&mut self) {
        self.until(|event| matches!(event, SignalingEvent::PeerLeft { .. }).then_some(()))
            .await;
    }
}

fn offer() -> rtc_protocol::Signal {
    rtc_protocol::Signal::Description(rtc_protocol::Description {
        kind: rtc_protocol::SdpType::Offer,
        sdp: "v=0\r\n".to_owned(),
    })
}

async fn serve() -> (rtc_server::Running, String) {
    let running = Server::bind(Config::localhost(0)).await.unwrap().start();
    let url = format!("http://{}", running.local_addrs()[0]);
    (running, url)
}

#[tokio::test]
async fn two_meet_at_our_server_in_each_dialect_with_rooms() {
    let (_server, url) = serve().await;
    for dialect in [Dialect::Codelab, Dialect::Book, Dialect::Conference] {
        let mut first = Guest::join(dialect, &url).await;
        assert_eq!(first.members().await, 0, "{dialect:?}");
        let mut second = Guest::join(dialect, &url).await;
        assert_eq!(second.members().await, 1, "{dialect:?}");
        let far = first.asked_to_offer().await;
        first.signaling.signal(far, offer()).await.unwrap();
        second.offered().await;
        second.signaling.leave().await;
        first.left().await;
        first.signaling.leave().await;
    }
}

#[tokio::test]
async fn a_third_one_is_told_that_the_room_is_full() {
    let (_server, url) = serve().await;
    for dialect in [Dialect::Codelab, Dialect::Book] {
        let first = Guest::join(dialect, &url).await;
        let second = Guest::join(dialect, &url).await;
        let third = Guest::try_join(options(dialect, &url)).await;
        let error = third.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::RoomFull, "{error}");
        first.signaling.leave().await;
        second.signaling.leave().await;
    }
}

fn named(url: &str, name: &str, callee: Option<&str>) -> DialectOptions {
    let mut options = options(Dialect::Login, url);
    options.name = Some(Name::new(name).unwrap());
    options.callee = callee.map(|callee| Name::new(callee).unwrap());
    options
}

#[tokio::test]
async fn a_name_calls_a_name() {
    let (_server, url) = serve().await;
    let mut bob = Guest::try_join(named(&url, "bob", None)).await.unwrap();
    bob.until(|event| matches!(event, SignalingEvent::Waiting { .. }).then_some(()))
        .await;
    let taken = Guest::try_join(named(&url, "bob", None))
        .await
        .err()
        .unwrap();
    assert_eq!(taken.kind(), ErrorKind::Refused, "{taken}");
    assert!(taken.to_string().contains("--as"), "{taken}");

    let mut ann = Guest::try_join(named(&url, "ann", Some("bob")))
        .await
        .unwrap();
    let far = ann
        .until(|event| match event {
            SignalingEvent::Joined { members, .. } => Some(members[0].peer),
            _ => None,
        })
        .await;
    ann.signaling.signal(far, offer()).await.unwrap();
    let call = bob
        .until(|event| match event {
            SignalingEvent::Rung { call, name, .. } => {
                assert_eq!(name.as_str(), "ann");
                Some(call)
            }
            _ => None,
        })
        .await;
    bob.signaling.accept(call).await.unwrap();
    bob.offered().await;
    ann.signaling.leave().await;
    bob.left().await;
}

#[tokio::test]
async fn who_is_called_and_not_there_is_an_end_of_its_own() {
    let (_server, url) = serve().await;
    let mut ann = Guest::try_join(named(&url, "ann", Some("bob")))
        .await
        .unwrap();
    let far = ann
        .until(|event| match event {
            SignalingEvent::Joined { members, .. } => Some(members[0].peer),
            _ => None,
        })
        .await;
    ann.signaling.signal(far, offer()).await.unwrap();
    let error = ann
        .until(|event| match event {
            SignalingEvent::Fatal(error) => Some(error),
            _ => None,
        })
        .await;
    assert_eq!(error.kind(), ErrorKind::NoSuchPeer, "{error}");
}

#[tokio::test]
async fn a_server_that_is_started_anew_is_joined_anew() {
    let (server, url) = serve().await;
    let port = server.local_addrs()[0].port();
    let mut guest = Guest::join(Dialect::Codelab, &url).await;
    guest.members().await;
    server.shutdown().await;
    guest
        .until(|event| matches!(event, SignalingEvent::Lost { .. }).then_some(()))
        .await;
    let again = Server::bind(Config::localhost(port)).await.unwrap().start();
    guest
        .until(|event| (event == SignalingEvent::Back { resumed: false }).then_some(()))
        .await;
    assert_eq!(guest.members().await, 0);
    guest.signaling.leave().await;
    drop(again);
}

/// Answers every request like this.
async fn canned(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

#[tokio::test]
async fn what_is_no_such_server_is_told_in_clear_words() {
    for (answer, dialect, words) in [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            Dialect::Codelab,
            "there is no Socket.IO at /socket.io/",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
            Dialect::Conference,
            "400",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            Dialect::Login,
            "there is no WebSocket",
        ),
        ("hello\r\n", Dialect::Book, "does not speak book"),
    ] {
        let url = canned(answer).await;
        let error = Guest::try_join(options(dialect, &url)).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::NoServer, "{error}");
        let said = error.to_string();
        assert!(
            said.contains(words) && said.contains("--signaling"),
            "{said}"
        );
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Guest::try_join(options(Dialect::Codelab, &url))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::NoServer, "{error}");
}

/// A server that takes nothing but revision 3, as those of Socket.IO 2.x that are strict.
#[tokio::test]
async fn revision_3_is_tried_where_4_is_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        assert!(String::from_utf8_lossy(&head[..length]).contains("EIO=4"));
        let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(refusal.as_bytes()).await.unwrap();
        drop(stream);
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        for text in [
            r#"0{"sid":"a","pingInterval":100,"pingTimeout":5000}"#,
            "40",
        ] {
            socket.send(Message::text(text)).await.unwrap();
        }
        let mut said = Vec::new();
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else {
                continue;
            };
            let text = text.as_str().to_owned();
            match text.as_str() {
                "2" => socket.send(Message::text("3")).await.unwrap(),
                r#"42["create or join","foo"]"# => {
                    let created = r#"42["created","foo","a"]"#;
                    socket.send(Message::text(created)).await.unwrap();
                }
                _ => {}
            }
            said.push(text);
            if said.iter().filter(|text| *text == "2").count() == 2 {
                break;
            }
        }
        said
    });
    let mut guest = Guest::join(Dialect::Codelab, &url).await;
    assert_eq!(guest.members().await, 0);
    let said = timeout(LONG, serving).await.unwrap().unwrap();
    assert!(!said.contains(&"40".to_owned()), "nobody asks: {said:?}");
    assert!(said.contains(&"2".to_owned()), "our pings: {said:?}");
}
