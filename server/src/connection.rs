//! One WebSocket: an actor that reads, checks, writes and keeps the heart beating.

use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{
    ClientFrame, ClientMessage, ErrorCode, Rejected, ServerFrame, ServerMessage, Token, close,
    limits,
};
use tokio::time::{MissedTickBehavior, interval_at, timeout};

use crate::hub::Greeting;
use crate::metrics::{CloseReason, Limit, Metrics, Refused};
use crate::rate::Bucket;
use crate::seat::Seat;
use crate::switchboard::{Outgoing, Switchboard};

/// Messages written before the peer is listened to again.
const BATCH: usize = 64;

const TEXT_ONLY: (u16, &str) = (close::UNSUPPORTED, "text only");
const TOO_LARGE: (u16, &str) = (close::TOO_LARGE, "message too large");
const SLOW_READER: (u16, &str) = (close::SLOW_READER, "slow reader");

/// What one connection is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) heartbeat: Duration,
    pub(crate) queue: usize,
    pub(crate) message_bytes: u32,
}

/// How a connection came to its end.
enum End {
    /// By a close frame of the peer.
    Clean,
    /// By a broken socket.
    Broken,
    /// By us, with a code.
    Ours((u16, &'static str)),
}

/// Serves one connection until it ends.
pub(crate) async fn serve(mut socket: WebSocket, switchboard: Switchboard, rules: Rules) {
    let metrics = switchboard.metrics().clone();
    let patience = Duration::from_millis(limits::HELLO_MS);
    let greeting = match timeout(patience, hello(&mut socket, &metrics)).await {
        Ok(Ok(greeting)) => greeting,
        Ok(Err(Some((code, reason)))) => {
            let refused = match code {
                close::HELLO_FIRST => Refused::HelloFirst,
                _ => Refused::BadMessage,
            };
            metrics.connections_refused.inc(refused);
            return goodbye(&mut socket, code, reason).await;
        }
        Ok(Err(None)) => return metrics.connections_refused.inc(Refused::Gone),
        Err(_) => {
            metrics.connections_refused.inc(Refused::HelloTimeout);
            metrics.limits_hit.inc(Limit::HelloTime);
            return goodbye(&mut socket, close::HELLO_FIRST, "no hello in time").await;
        }
    };
    let Some(seat) = Seat::take(&switchboard, greeting, rules.queue).await else {
        return goodbye(&mut socket, close::GOING_AWAY, "going away").await;
    };
    let mut actor = Actor {
        socket,
        seat,
        metrics,
        rules,
        bucket: Bucket::new(Instant::now(), limits::RATE_PER_SECOND, limits::RATE_BURST),
        bad: 0,
        heard: Instant::now(),
        started: Instant::now(),
        round_trip: None,
    };
    let end = actor.run().await;
    let clean = match end {
        End::Clean => true,
        End::Broken => false,
        End::Ours((code, reason)) => {
            actor.seat.ends(CloseReason::of_code(code));
            goodbye(&mut actor.socket, code, reason).await;
            false
        }
    };
    actor.seat.leave(clean).await;
}

/// Reads the first message, which must be a hello; otherwise tells how to close, if anybody is there to be told.
async fn hello(
    socket: &mut WebSocket,
    metrics: &Metrics,
) -> Result<Greeting, Option<(u16, &'static str)>> {
    let text = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => break text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(Some(TEXT_ONLY)),
            Some(Err(error)) if is_too_large(&error) => {
                metrics.limits_hit.inc(Limit::MessageBytes);
                return Err(Some(TOO_LARGE));
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(None),
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
                    agent,
                },
        }) => {
            tracing::debug!(?agent, "hello");
            return Ok(Greeting {
                id,
                token: resume.unwrap_or_else(|| Token::from_random(rand::random())),
                last_seq,
                name,
                dialect: None,
            });
        }
        Ok(ClientFrame { id, .. }) => (
            id,
            ErrorCode::HelloFirst,
            "the first message must be hello".to_owned(),
        ),
        Err(Rejected { id, error }) => (id, error.code(), error.to_string()),
    };
    metrics.refused(code);
    let _ = send(socket, &error(request, code, message)).await;
    Err(Some((close::HELLO_FIRST, "hello first")))
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

/// Closes a connection that there is no room for.
pub(crate) async fn turn_away(mut socket: WebSocket) {
    goodbye(&mut socket, close::FULL, "the server is full").await;
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
    seat: Seat,
    metrics: Metrics,
    rules: Rules,
    bucket: Bucket,
    bad: u32,
    heard: Instant,
    started: Instant,
    round_trip: Option<Duration>,
}

impl Actor {
    async fn run(&mut self) -> End {
        let kill = self.seat.too_slow();
        let beat = self.rules.heartbeat;
        let mut heart = interval_at(tokio::time::Instant::now() + beat, beat);
        heart.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Not biased: neither a flood to the peer nor one from it keeps the other waiting.
            tokio::select! {
                () = kill.cancelled() => return End::Ours(SLOW_READER),
                outgoing = self.seat.hear() => {
                    let Some(outgoing) = outgoing else {
                        return End::Ours((close::GOING_AWAY, "going away"));
                    };
                    let written = timeout(beat, self.write(outgoing));
                    tokio::select! {
                        biased;
                        () = kill.cancelled() => return End::Ours(SLOW_READER),
                        end = written => match end {
                            Ok(None) => {}
                            Ok(Some(end)) => return end,
                            // What does not go out in a beat's time has nobody at its other end.
                            Err(_) => return End::Ours(SLOW_READER),
                        },
                    }
                }
                message = self.socket.next() => {
                    let end = match message {
                        Some(Ok(message)) => self.read(message).await,
                        Some(Err(error)) if is_too_large(&error) => Some(self.too_large().await),
                        Some(Err(_)) => Some(End::Broken),
                        None => Some(End::Broken),
                    };
                    if let Some(end) = end {
                        return end;
                    }
                }
                _ = heart.tick() => {
                    if self.heard.elapsed() > beat * 5 / 2 {
                        self.metrics.limits_hit.inc(Limit::Silence);
                        return End::Ours((close::SILENT, "silent"));
                    }
                    let ping = ServerMessage::Ping {
                        t: self.now_ms(),
                        rtt_ms: self.round_trip.map(|d| d.as_secs_f64() * 1000.0),
                    };
                    if let Some(end) = self.answer(&ping.into()).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Writes this and what else waits, and flushes once.
    async fn write(&mut self, first: Outgoing) -> Option<End> {
        let mut next = Some(first);
        let mut left = BATCH;
        while let Some(outgoing) = next {
            match outgoing {
                Outgoing::Line(line) => {
                    let text = Message::Text(line.text().into());
                    if self.socket.feed(text).await.is_err() {
                        return Some(End::Broken);
                    }
                }
                Outgoing::Close(code, reason) => return Some(End::Ours((code, reason))),
            }
            left -= 1;
            next = if left == 0 {
                None
            } else {
                self.seat.hear_now()
            };
        }
        self.socket.flush().await.is_err().then_some(End::Broken)
    }

    async fn read(&mut self, message: Message) -> Option<End> {
        self.heard = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Some(End::Ours(TEXT_ONLY)),
            Message::Close(frame) => {
                // Going away (1001) is what a browser says when its page is closed or loaded again.
                let clean = frame.is_none_or(|f| matches!(f.code, 1000 | 1001 | 1005));
                return Some(if clean { End::Clean } else { End::Broken });
            }
            Message::Ping(_) | Message::Pong(_) => return None,
        };
        self.seat.received_bytes(text.len());
        let frame = match ClientFrame::parse(&text) {
            Ok(frame) => frame,
            Err(Rejected { id, error: why }) => {
                self.bad += 1;
                if self.bad > limits::BAD_MESSAGES {
                    self.metrics.limits_hit.inc(Limit::BadMessages);
                    return Some(End::Ours((close::BAD_MESSAGES, "too many bad messages")));
                }
                return self.answer(&error(id, why.code(), why.to_string())).await;
            }
        };
        self.bad = 0;
        if !self.bucket.take(Instant::now()) {
            let words = format!(
                "more than {} messages a second; slow down",
                limits::RATE_PER_SECOND
            );
            return self
                .answer(&error(frame.id, ErrorCode::RateLimited, words))
                .await;
        }
        match frame.message {
            ClientMessage::Ping { t } => {
                let pong = ServerFrame {
                    seq: None,
                    id: frame.id,
                    message: ServerMessage::Pong { t },
                };
                self.answer(&pong).await
            }
            ClientMessage::Pong { t } => {
                let millis = self.now_ms() - t;
                if (0.0..600_000.0).contains(&millis) {
                    self.round_trip = Some(Duration::from_secs_f64(millis / 1000.0));
                }
                None
            }
            _ => {
                self.seat.say(frame).await;
                None
            }
        }
    }

    async fn too_large(&mut self) -> End {
        let words = format!(
            "a message may have {} bytes at most; send less at once",
            self.rules.message_bytes
        );
        let said = self.answer(&error(None, ErrorCode::TooLarge, words)).await;
        said.unwrap_or(End::Ours(TOO_LARGE))
    }

    async fn answer(&mut self, frame: &ServerFrame) -> Option<End> {
        if let ServerMessage::Error { code, .. } = &frame.message {
            self.metrics.refused(*code);
        }
        match timeout(self.rules.heartbeat, send(&mut self.socket, frame)).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) => Some(End::Broken),
            Err(_) => Some(End::Ours(SLOW_READER)),
        }
    }

    fn now_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1000.0
    }
}

/// Whether reading ended at a message or frame over the limit.
fn is_too_large(error: &axum::Error) -> bool {
    use tokio_tungstenite::tungstenite;
    let source = std::error::Error::source(error);
    source
        .and_then(|error| error.downcast_ref::<tungstenite::Error>())
        .is_some_and(|error| matches!(error, tungstenite::Error::Capacity(_)))
}
