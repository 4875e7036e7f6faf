//! Names and calls between peers of different nodes.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{CallId, Callee, ClientMessage, ErrorCode, Name, ServerMessage};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::rig::{Broker, PATIENCE, Peer, Process, id, room, token};

impl Peer {
    async fn registers(&mut self, name: &str) -> Option<ErrorCode> {
        let name = Name::new(name).unwrap();
        self.say(ClientMessage::Register { name }).await;
        self.until(|message| match message {
            ServerMessage::Ack {} => Some(None),
            ServerMessage::Error { code, .. } => Some(Some(*code)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn rings(&mut self, whom: Callee) -> Result<CallId, ErrorCode> {
        let room = room("talk");
        self.say(ClientMessage::Ring { whom, room }).await;
        self.until(|message| match message {
            ServerMessage::Ringing { call } => Some(Ok(call.clone())),
            ServerMessage::Error { code, .. } => Some(Err(*code)),
            _ => None,
        })
        .await
    }

    pub(crate) async fn is_rung(&mut self) -> CallId {
        self.until(|message| match message {
            ServerMessage::Ring { call, .. } => Some(call.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn hears_the_end(&mut self) -> CallId {
        self.until(|message| match message {
            ServerMessage::HungUp { call } => Some(call.clone()),
            _ => None,
        })
        .await
    }
}

fn named(name: &str) -> Callee {
    Callee::Name(Name::new(name).unwrap())
}

#[tokio::test]
async fn a_name_is_one_peers_and_rings_wherever_that_is() {
    let broker = Broker::start().await;
    let (_one, first) = broker.node().await;
    let (_two, second) = broker.node().await;
    let (mut ann, _) = Peer::greeted(first, token('a'), None).await;
    let (mut bob, _) = Peer::greeted(second, token('b'), None).await;
    let (mut cyd, _) = Peer::greeted(first, token('c'), None).await;
    assert_eq!(bob.registers("bob").await, None);
    assert_eq!(ann.registers("bob").await, Some(ErrorCode::NameTaken));
    for whom in [named("bob"), Callee::Peer(id('b'))] {
        let call = ann.rings(whom).await.unwrap();
        assert_eq!(bob.is_rung().await, call);
        bob.say(ClientMessage::Accept { call: call.clone() }).await;
        ann.until(|message| match message {
            ServerMessage::Accepted { call: taken } => (*taken == call).then_some(()),
            _ => None,
        })
        .await;
        bob.say(ClientMessage::HangUp { call: call.clone() }).await;
        assert_eq!(ann.hears_the_end().await, call);
    }
    assert_eq!(cyd.rings(named("nobody")).await, Err(ErrorCode::NoSuchPeer));
    // Who ends gives it back.
    drop(bob);
    let (bob, _) = Peer::greeted(second, token('b'), None).await;
    let free = timeout(PATIENCE, async {
        while ann.registers("bob").await.is_some() {}
    });
    free.await.unwrap();
    drop(bob);
}

#[tokio::test]
async fn what_rings_at_a_node_that_is_killed_ends() {
    let broker = Broker::start().await;
    let mut dying = Process::start(&broker);
    let living = Process::start(&broker);
    let (mut ann, _) = Peer::greeted(living.address, token('a'), None).await;
    let (mut bob, _) = Peer::greeted(dying.address, token('b'), None).await;
    assert_eq!(bob.registers("bob").await, None);
    let to = ann.rings(named("bob")).await.unwrap();
    let from = bob.rings(Callee::Peer(id('a'))).await.unwrap();
    assert_eq!(ann.is_rung().await, from);
    dying.kill();
    let mut ended = vec![ann.hears_the_end().await, ann.hears_the_end().await];
    ended.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let mut wanted = vec![to, from];
    wanted.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    assert_eq!(ended, wanted);
    // The name is free, too.
    let free = timeout(PATIENCE, async {
        while ann.registers("bob").await.is_some() {}
    });
    free.await.unwrap();
}

/// A page of the login dialect.
struct Page(WebSocketStream<TcpStream>);

impl Page {
    async fn open(address: SocketAddr, name: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let mut page = Self(socket);
        page.says(json!({"type": "login", "name": name})).await;
        assert_eq!(page.hears("login").await["success"], true);
        page
    }

    async fn says(&mut self, said: Value) {
        let text = Message::text(said.to_string());
        self.0.send(text).await.unwrap();
    }

    async fn hears(&mut self, what: &str) -> Value {
        loop {
            let next = timeout(PATIENCE, self.0.next()).await.expect("silence");
            if let Message::Text(text) = next.expect("the end").unwrap() {
                let said: Value = serde_json::from_str(&text).unwrap();
                if said["type"] == what {
                    return said;
                }
                assert_ne!(said["type"], "error", "{said}");
            }
        }
    }
}

#[tokio::test]
async fn login_pages_of_two_nodes_call_each_other_by_name() {
    let broker = Broker::start().await;
    let (_one, first) = broker.node().await;
    let (_two, second) = broker.node().await;
    let mut ann = Page::open(first, "ann").await;
    let mut bob = Page::open(second, "bob").await;
    let offer = json!({"type": "offer", "sdp": "v=0 an offer"});
    ann.says(json!({"type": "offer", "offer": offer, "name": "bob"}))
        .await;
    let came = bob.hears("offer").await;
    assert_eq!((&came["offer"], &came["name"]), (&offer, &json!("ann")));
    let answer = json!({"type": "answer", "sdp": "v=0 an answer"});
    bob.says(json!({"type": "answer", "answer": answer, "name": "ann"}))
        .await;
    assert_eq!(ann.hears("answer").await["answer"], answer);
    ann.says(json!({"type": "leave", "name": "bob"})).await;
    bob.hears("leave").await;
}
