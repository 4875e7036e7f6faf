//! One WebSocket: an actor that reads, checks, writes and keeps the heart beating.

use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{
    ClientFrame, ClientMessage, ErrorCode, PeerId, Rejected, ServerFrame, ServerMessage, Token,
    close, limits,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::hub::ConnectionId;
use crate::rate::Bucket;
use crate::switchboard::{Input, Outgoing, Reach, Switchboard};

/// What one connection is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) heartbeat: Duration,
    pub(crate) queue: usize,
}

/// How a connection came to its end.
enum End {
    /// By a close frame of the peer.
    Clean,
    /// By a broken socket.
    Broken,
    /// By us, with a code.
    Ours(u16, &'static str),
}

/// Serves one connection until it ends.
pub(crate) async fn serve(
    mut socket: WebSocket,
    id: ConnectionId,
    switchboard: Switchboard,
    rules: Rules,
) {
    let (outgoing, queue) = mpsc::channel(rules.queue);
    let kill = CancellationToken::new();
    let reach = Reach {
        outgoing,
        kill: kill.clone(),
    };
    let hello = timeout(
        Duration::from_millis(limits::HELLO_MS),
        hello(&mut socket, id, reach, &switchboard),
    );
    let peer = match hello.await {
        Ok(Some(peer)) => peer,
        Ok(None) => return,
        Err(_) => return goodbye(&mut socket, close::HELLO_FIRST, "no hello in time").await,
    };
    let mut actor = Actor {
        socket,
        peer,
        switchboard: switchboard.clone(),
        rules,
        bucket: Bucket::new(Instant::now(), limits::RATE_PER_SECOND, limits::RATE_BURST),
        bad: 0,
        heard: Instant::now(),
        started: Instant::now(),
        round_trip: None,
    };
    let end = actor.run(queue, &kill).await;
    let clean = match end {
        End::Clean => true,
        End::Broken => false,
        End::Ours(code, reason) => {
            goodbye(&mut actor.socket, code, reason).await;
            false
        }
    };
    switchboard
        .send(Input::Gone {
            peer,
            connection: id,
            clean,
        })
        .await;
}

/// Reads the first message, which must be a hello.
async fn hello(
    socket: &mut WebSocket,
    connection: ConnectionId,
    reach: Reach,
    switchboard: &Switchboard,
) -> Option<PeerId> {
    let text = loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => break text,
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(Message::Binary(_)) => {
                goodbye(socket, close::UNSUPPORTED, "text only").await;
                return None;
            }
            Ok(Message::Close(_)) | Err(_) => return None,
        }
    };
    let (request, code, message) = match ClientFrame::parse(&text) {
        Ok(ClientFrame {
            id,
            message:
                ClientMessage::Hello {
                    resume,
                    last_seq,
                    name,
                    ..
                },
        }) => {
            let token = resume.unwrap_or_else(|| Token::from_random(rand::random()));
            let (peer, known) = oneshot::channel();
            switchboard
                .send(Input::Hello {
                    connection,
                    reach,
                    id,
                    token,
                    last_seq,
                    name,
                    peer,
                })
                .await;
            return known.await.ok();
        }
        Ok(ClientFrame { id, .. }) => (
            id,
            ErrorCode::HelloFirst,
            "the first message must be hello".to_owned(),
        ),
        Err(Rejected { id, error }) => (id, error.code(), error.to_string()),
    };
    let _ = send(socket, &error(request, code, message)).await;
    goodbye(socket, close::HELLO_FIRST, "hello first").await;
    None
}

fn error(id: Option<u64>, code: ErrorCode, message: String) -> ServerFrame {
    ServerFrame {
        seq: None,
        id,
        message: ServerMessage::Error { code, message },
    }
}

async fn send(socket: &mut WebSocket, frame: &ServerFrame) -> Result<(), axum::Error> {
    socket.send(Message::Text(frame.to_json().into())).await
}

/// Says why and closes; a peer that does not read is not waited for.
async fn goodbye(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let said = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // The peer's own close frame ends the exchange (RFC 6455, section 5.5.1).
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(Duration::from_secs(1), said).await;
}

struct Actor {
    socket: WebSocket,
    peer: PeerId,
    switchboard: Switchboard,
    rules: Rules,
    bucket: Bucket,
    bad: u32,
    heard: Instant,
    started: Instant,
    round_trip: Option<Duration>,
}

impl Actor {
    async fn run(&mut self, mut queue: mpsc::Receiver<Outgoing>, kill: &CancellationToken) -> End {
        let beat = self.rules.heartbeat;
        let mut heart = interval_at(tokio::time::Instant::now() + beat, beat);
        heart.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = kill.cancelled() => return End::Ours(close::SLOW_READER, "slow reader"),
                outgoing = queue.recv() => {
                    let Some(outgoing) = outgoing else {
                        return End::Ours(close::GOING_AWAY, "going away");
                    };
                    let written = self.write(outgoing, &mut queue);
                    tokio::select! {
                        biased;
                        () = kill.cancelled() => {
                            return End::Ours(close::SLOW_READER, "slow reader");
                        }
                        end = written => if let Some(end) = end { return end; },
                    }
                }
                message = self.socket.next() => {
                    let end = match message {
                        Some(Ok(message)) => self.read(message).await,
                        Some(Err(error)) => Some(broken(&error)),
                        None => Some(End::Broken),
                    };
                    if let Some(end) = end {
                        return end;
                    }
                }
                _ = heart.tick() => {
                    if self.heard.elapsed() > beat * 5 / 2 {
                        return End::Ours(close::SILENT, "silent");
                    }
                    let ping = ServerMessage::Ping {
                        t: self.now_ms(),
                        rtt_ms: self.round_trip.map(|d| d.as_secs_f64() * 1000.0),
                    };
                    let ping = ping.into();
                    let sent = send(&mut self.socket, &ping);
                    // A ping that does not go out in a beat's time has nobody at its other end.
                    match timeout(beat, sent).await {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return End::Broken,
                        Err(_) => return End::Ours(close::SLOW_READER, "slow reader"),
                    }
                }
            }
        }
    }

    /// Writes this and everything else that waits, and flushes once.
    async fn write(
        &mut self,
        first: Outgoing,
        queue: &mut mpsc::Receiver<Outgoing>,
    ) -> Option<End> {
        let mut next = Some(first);
        while let Some(outgoing) = next {
            match outgoing {
                Outgoing::Text(text) => {
                    if self.socket.feed(Message::Text(text.into())).await.is_err() {
                        return Some(End::Broken);
                    }
                }
                Outgoing::Close(code, reason) => return Some(End::Ours(code, reason)),
            }
            next = queue.try_recv().ok();
        }
        self.socket.flush().await.is_err().then_some(End::Broken)
    }

    async fn read(&mut self, message: Message) -> Option<End> {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Some(End::Ours(close::UNSUPPORTED, "text only")),
            Message::Close(frame) => {
                // Going away (1001) is what a browser says when its page is closed or loaded again.
                let clean = frame.is_none_or(|f| matches!(f.code, 1000 | 1001 | 1005));
                return Some(if clean { End::Clean } else { End::Broken });
            }
            Message::Ping(_) | Message::Pong(_) => return None,
        };
        let frame = match ClientFrame::parse(&text) {
            Ok(frame) => frame,
            Err(Rejected { id, error: why }) => {
                self.bad += 1;
                if self.bad > limits::BAD_MESSAGES {
                    return Some(End::Ours(close::BAD_MESSAGES, "too many bad messages"));
                }
                return self.answer(&error(id, why.code(), why.to_string())).await;
            }
        };
        match frame.message {
            ClientMessage::Ping { t } => self.answer(&ServerMessage::Pong { t }.into()).await,
            ClientMessage::Pong { t } => {
                let millis = self.now_ms() - t;
                if (0.0..600_000.0).contains(&millis) {
                    self.round_trip = Some(Duration::from_secs_f64(millis / 1000.0));
                }
                None
            }
            _ if !self.bucket.take(Instant::now()) => {
                let words = format!(
                    "more than {} messages a second; slow down",
                    limits::RATE_PER_SECOND
                );
                self.answer(&error(frame.id, ErrorCode::RateLimited, words))
                    .await
            }
            _ => {
                self.switchboard.send(Input::Said(self.peer, frame)).await;
                None
            }
        }
    }

    async fn answer(&mut self, frame: &ServerFrame) -> Option<End> {
        match timeout(self.rules.heartbeat, send(&mut self.socket, frame)).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => Some(End::Broken),
            Err(_) => Some(End::Ours(close::SLOW_READER, "slow reader")),
        }
    }

    fn now_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1000.0
    }
}

/// A message over the limit is answered by its own close code; anything else is a broken link.
fn broken(error: &axum::Error) -> End {
    let text = error.to_string();
    if text.contains("too long") || text.contains("too large") || text.contains("too big") {
        End::Ours(close::TOO_LARGE, "message too large")
    } else {
        End::Broken
    }
}
