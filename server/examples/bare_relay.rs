//! The least that a relay over WebSocket can be, to compare `rtc-server` with: no check, no resume, no heartbeat.
//!
//! The first text of a connection names its room; all others go to the other one in it, as they are.
//!
//! ```sh
//! cargo run --release -p rtc-server --example bare_relay 127.0.0.1:9000
//! rtc-client load signaling --dialect bare --server http://127.0.0.1:9000
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

const BUFFER: usize = 4 * 1024;
const QUEUE: usize = 512;

/// The members of each room.
type Rooms = Arc<Mutex<HashMap<Utf8Bytes, Vec<mpsc::Sender<Utf8Bytes>>>>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9000").parse()?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener: TcpListener = socket.listen(4096)?;
    eprintln!("listening at {}", listener.local_addr()?);
    let rooms = Rooms::default();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let rooms = Arc::clone(&rooms);
        tokio::spawn(async move {
            // Whatever ends a connection, it is over.
            let _ = serve(stream, &rooms).await;
        });
    }
}

async fn serve(stream: TcpStream, rooms: &Rooms) -> anyhow::Result<()> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER);
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    let Some(Ok(Message::Text(room))) = socket.next().await else {
        return Ok(());
    };
    let (own, mut queue) = mpsc::channel(QUEUE);
    let other = |all: &[mpsc::Sender<Utf8Bytes>]| {
        let other = all.iter().find(|one| !one.same_channel(&own));
        other.cloned()
    };
    {
        let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let members = rooms.entry(room.clone()).or_default();
        if let Some(other) = members.first() {
            let _ = other.try_send("came".into());
        }
        members.push(own.clone());
    }
    let result = async {
        socket.send(Message::text("joined")).await?;
        let mut to = None;
        loop {
            tokio::select! {
                text = queue.recv() => {
                    let Some(text) = text else { return Ok(()) };
                    socket.feed(Message::Text(text)).await?;
                    while let Ok(text) = queue.try_recv() {
                        socket.feed(Message::Text(text)).await?;
                    }
                    socket.flush().await?;
                }
                message = socket.next() => {
                    let Some(message) = message else { return Ok(()) };
                    let Message::Text(text) = message? else { continue };
                    if to.is_none() {
                        let rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
                        to = rooms.get(&room).and_then(|members| other(members));
                    }
                    if let Some(to) = &to {
                        to.send(text).await?;
                    }
                }
            }
        }
    }
    .await;
    let mut rooms = rooms.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(members) = rooms.get_mut(&room) {
        members.retain(|one| !one.same_channel(&own));
        if members.is_empty() {
            rooms.remove(&room);
        }
    }
    result
}
