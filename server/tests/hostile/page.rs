//! A page of Socket.IO that may say anything at all, by websocket or by polling.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::rig::*;

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

/// By websocket.
pub(crate) struct Page {
    pub(crate) wire: Wire,
}

impl Page {
    /// Connected to the engine, in no namespace.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let wire = Wire::open_at(address, WEBSOCKET).await;
        let mut page = Self { wire };
        let opened = page.hear().await.expect("an opening");
        assert!(opened.starts_with("0{"), "{opened}");
        page
    }

    /// In the namespace.
    pub(crate) async fn connected(address: SocketAddr) -> Self {
        let mut page = Self::open(address).await;
        page.say("40").await;
        let entered = page.hear().await.expect("an answer");
        assert!(entered.starts_with("40{"), "{entered}");
        page
    }

    /// A page of the codelab's or the book's kind, in a room.
    pub(crate) async fn of_a_pair(address: SocketAddr, room: &str) -> Self {
        let mut page = Self::connected(address).await;
        page.say(&format!(r#"42["create or join","{room}"]"#)).await;
        page.until(&format!(r#"ed","{room}""#)).await;
        page
    }

    /// A page of the conference's kind, in a room; with its id.
    pub(crate) async fn of_many(address: SocketAddr, room: &str) -> (Self, String) {
        let mut page = Self::connected(address).await;
        let answer = page.ask(1, &format!(r#""join","{room}""#)).await;
        assert_eq!(answer["ok"], true, "{answer}");
        let id = answer["id"].as_str().unwrap().to_owned();
        (page, id)
    }

    /// One packet of the engine.
    pub(crate) async fn say(&mut self, packet: &str) {
        self.wire.text(packet.as_bytes()).await;
    }

    /// The next packet that is no heartbeat; none where the stream ended.
    pub(crate) async fn hear_all(&mut self) -> Option<String> {
        loop {
            let heard = self.wire.heard().await?;
            if heard.first == FIN | CLOSE {
                return None;
            }
            let text = String::from_utf8(heard.payload).unwrap();
            if text != "2" {
                return Some(text);
            }
            // It may have ended since.
            self.wire.try_write(&frame(FIN | TEXT, b"3")).await;
        }
    }

    /// The same without traces for the console.
    pub(crate) async fn hear(&mut self) -> Option<String> {
        loop {
            let text = self.hear_all().await?;
            if !text.starts_with(r#"42["log","#) {
                return Some(text);
            }
        }
    }

    /// The next packet with these words.
    pub(crate) async fn until(&mut self, words: &str) -> String {
        loop {
            let heard = self.hear().await.expect(words);
            if heard.contains(words) {
                return heard;
            }
        }
    }

    /// The code of the refusal that comes next.
    pub(crate) async fn refusal(&mut self) -> String {
        let heard = self.hear().await.expect("a refusal");
        let json = heard.strip_prefix("42").expect(&heard);
        let event: Value = serde_json::from_str(json).unwrap();
        assert_eq!(event[0], "error", "{event}");
        event[1]["code"].as_str().unwrap().to_owned()
    }

    /// What an event is acknowledged with; other packets are passed over.
    pub(crate) async fn ask(&mut self, number: u32, event: &str) -> Value {
        self.say(&format!("42{number}[{event}]")).await;
        let begin = format!("43{number}[");
        loop {
            let heard = self.hear().await.expect(event);
            if heard.starts_with(&begin) {
                let json: Value = serde_json::from_str(&heard[begin.len() - 1..]).unwrap();
                return json[0].clone();
            }
        }
    }

    /// Reads on until the server has ended the connection.
    pub(crate) async fn ends(&mut self) {
        while self.hear().await.is_some() {}
    }
}

/// One request on a connection of its own: its status, and what came behind the head.
pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    query: &str,
    body: &[u8],
) -> (u16, String) {
    let mut wire = Wire::connect(address).await;
    wire.write(&poll(method, query, body)).await;
    answer(&mut wire).await
}

/// The bytes of such a request.
pub(crate) fn poll(method: &str, query: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
         content-type: text/plain\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The answer to it.
pub(crate) async fn answer(wire: &mut Wire) -> (u16, String) {
    let head = wire.head().await;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, wire.stream.read_to_end(&mut rest)).await;
    let _ = read.expect("the whole answer");
    (
        status.unwrap_or_default(),
        String::from_utf8_lossy(&rest).into_owned(),
    )
}

/// By polling.
pub(crate) struct Poller {
    pub(crate) address: SocketAddr,
    /// `&sid=…`
    pub(crate) query: String,
}

impl Poller {
    /// In the namespace.
    pub(crate) async fn connected(address: SocketAddr) -> Self {
        let (status, opened) = request(address, "GET", "", b"").await;
        assert_eq!(status, 200, "{opened}");
        let sid = opened.split(r#""sid":""#).nth(1).expect(&opened);
        let sid = sid.split('"').next().unwrap();
        let poller = Self {
            address,
            query: format!("&sid={sid}"),
        };
        poller.say("40").await;
        // The first heartbeat may come before it.
        poller.until("40{").await;
        poller
    }

    /// One payload of packets.
    pub(crate) async fn say(&self, payload: &str) {
        let answer = self.post(payload.as_bytes()).await;
        assert_eq!(answer.0, 200, "{}", answer.1);
    }

    pub(crate) async fn post(&self, payload: &[u8]) -> (u16, String) {
        request(self.address, "POST", &self.query, payload).await
    }

    pub(crate) async fn poll(&self) -> (u16, String) {
        request(self.address, "GET", &self.query, b"").await
    }

    /// Polls until these words come.
    pub(crate) async fn until(&self, words: &str) -> String {
        loop {
            let (status, heard) = self.poll().await;
            assert_eq!(status, 200, "{heard}");
            if heard.contains(words) {
                return heard;
            }
        }
    }
}
