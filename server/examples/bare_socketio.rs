//! The least that a relay on the crate `socketioxide` can be, to compare `rtc-server` with: the codelab's words, rooms of
//! two, no check, no limit; what a page says is passed on as it was written.
//!
//! ```sh
//! cargo run --release -p rtc-server --example bare_socketio 127.0.0.1:9000
//! rtc-client load signaling --dialect codelab --server http://127.0.0.1:9000
//! ```

use std::convert::Infallible;

use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use socketioxide::SocketIo;
use socketioxide::extract::{Data, SocketRef};
use tokio::net::TcpSocket;

const BUFFER: usize = 4 * 1024;

/// Where a socket is.
#[derive(Clone)]
struct Room(String);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:9000").parse()?;
    let (service, io) = SocketIo::builder()
        .ws_read_buffer_size(BUFFER)
        // What a saturated relay has on its way; what does not fit is lost.
        .max_buffer_size(1024)
        .build_svc();
    io.ns("/", connected);
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(4096)?;
    eprintln!("listening at {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = service.call(request);
                async move {
                    let Ok(response) = answer.await;
                    Ok::<_, Infallible>(response.map(Body::new))
                }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // Whatever ends a connection, it is over.
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn connected(socket: SocketRef) {
    socket.on("create or join", enter);
    socket.on("message", pass_on);
    socket.on("bye", leave);
    socket.on_disconnect(async |socket: SocketRef| {
        // Its rooms are forgotten by the library.
        socket.extensions.remove::<Room>();
    });
}

async fn enter(socket: SocketRef, Data(room): Data<String>) {
    let others = socket.within(room.clone()).sockets().len();
    socket.extensions.insert(Room(room.clone()));
    socket.join(room.clone());
    // Whatever cannot be sent is lost; the load counts it.
    if others == 0 {
        let _ = socket.emit("created", &(&room, socket.id));
        return;
    }
    let _ = socket.to(room.clone()).emit("join", &room).await;
    let _ = socket.emit("joined", &(&room, socket.id));
    let _ = socket.within(room).emit("ready", &()).await;
}

async fn pass_on(socket: SocketRef, Data(said): Data<Box<RawValue>>) {
    if let Some(Room(room)) = socket.extensions.get() {
        let _ = socket.to(room).emit("message", &said).await;
    }
}

async fn leave(socket: SocketRef) {
    if let Some(Room(room)) = socket.extensions.remove() {
        let _ = socket.to(room.clone()).emit("message", "bye").await;
        socket.leave(room);
    }
}
