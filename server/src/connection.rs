//! One WebSocket: an actor that reads, checks, writes and keeps the heart beating.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use rtc_protocol::{
    AuthToken, ClientFrame, ClientMessage, ErrorCode, Rejected, ServerFrame, ServerMessage, Token,
    close,
};
use tokio::time::{MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::access::{Denied, Moment};
use crate::config::Config;
use crate::hub::{Greeting, Pass};
use crate::mailbox::Outgoing;
use crate::metrics::{CloseReason, Limit, Metrics, Refused};
use crate::rate::{Bucket, Rate, Share};
use crate::seat::Seat;
use crate::socket::{self, Reason, TOO_LARGE, closed_by_peer, goodbye};
use crate::switchboard::{NotIn, Switchboard};

/// Messages written before the peer is listened to again.
const BATCH: usize = 64;

const TEXT_ONLY: Reason = (close::UNSUPPORTED, "text only");
const SLOW_READER: Reason = (close::SLOW_READER, "slow reader");
const GOING_AWAY: Reason = (close::GOING_AWAY, "going away");
const NOT_AUTHORIZED: Reason = (close::NOT_AUTHORIZED, "not authorized");
const NO_HELLO: Reason = (close::HELLO_FIRST, "no hello in time");

/// What one connection is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// For the first message to come.
    pub(crate) hello: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) queue: usize,
    pub(crate) message_bytes: u32,
    /// What the peer may say.
    pub(crate) rate: Rate,
    pub(crate) bad_messages: u32,
}

/// How a connection came to its end.
enum End {
    /// By a close frame of the peer; `clean` tells that it went on purpose.
    Closed { clean: bool },
    /// By a broken link.
    Broken,
    /// By us, with a code.
    Ours(Reason),
}

impl End {
    /// By a read that failed.
    fn failed(error: &axum::Error) -> Self {
        socket::fault(error).map_or(Self::Broken, Self::Ours)
    }

    /// Parts from a peer in order.
    async fn part(self, socket: WebSocket) {
        match self {
            Self::Closed { .. } => closed_by_peer(socket).await,
            Self::Ours(reason) => goodbye(socket, reason).await,
            Self::Broken => {}
        }
    }
}

/// What a peer is let in by.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) config: Arc<Config>,
    /// The token that came with the request; one in the hello goes before it.
    pub(crate) bearer: Option<AuthToken>,
}

/// Serves one connection until it ends; `share` is what its address may say, where that is bounded.
pub(crate) async fn serve(
    mut socket: WebSocket,
    switchboard: Switchboard,
    rules: Rules,
    gate: Gate,
    share: Option<Arc<Share>>,
) {
    let metrics = switchboard.metrics().clone();
    let greeting = match timeout(rules.hello, hello(&mut socket, &metrics, &gate)).await {
        Ok(Ok(greeting)) => greeting,
        Ok(Err(end)) => {
            metrics.connections_refused.inc(match end {
                End::Closed { .. } | End::Broken => Refused::Gone,
                End::Ours((close::HELLO_FIRST, _)) => Refused::HelloFirst,
                End::Ours(NOT_AUTHORIZED) => Refused::Unauthorized,
                End::Ours(_) => Refused::BadMessage,
            });
            return end.part(socket).await;
        }
        Err(_) => {
            metrics.connections_refused.inc(Refused::HelloTimeout);
            metrics.limits_hit.inc(Limit::HelloTime);
            return goodbye(socket, NO_HELLO).await;
        }
    };
    drop(gate);
    let request = greeting.id;
    let seat = match Seat::ask(&switchboard, greeting, rules.queue).await {
        Ok(seat) => seat,
        Err(NotIn::Denied(denied)) => {
            let _ = send(&mut socket, &refusal(request, &denied, &metrics)).await;
            return goodbye(socket, NOT_AUTHORIZED).await;
        }
        Err(NotIn::Ended) => return goodbye(socket, GOING_AWAY).await,
    };
    let mut actor = Actor {
        socket,
        too_slow: seat.too_slow(),
        seat,
        metrics,
        rules,
        bucket: Bucket::new(Instant::now(), rules.rate),
        share,
        rests_until: None,
        bad: 0,
        heard: Instant::now(),
        started: Instant::now(),
        round_trip: None,
    };
    let end = actor.run().await;
    let Actor {
        socket, mut seat, ..
    } = actor;
    if let End::Ours((code, _)) = end {
        seat.ends(CloseReason::of_code(code));
    }
    // First the place, and with it all that waits for the peer, then the manners.
    seat.leave(matches!(end, End::Closed { clean: true })).await;
    end.part(socket).await;
}

/// Reads the first message, which must be a hello; otherwise tells how it ends.
async fn hello(socket: &mut WebSocket, metrics: &Metrics, gate: &Gate) -> Result<Greeting, End> {
    let text = loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => break text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(End::Ours(TEXT_ONLY)),
            Some(Ok(Message::Close(_))) => return Err(End::Closed { clean: true }),
            Some(Err(error)) => {
                let end = End::failed(&error);
                if matches!(end, End::Ours(TOO_LARGE)) {
                    metrics.limits_hit.inc(Limit::MessageBytes);
                }
                return Err(end);
            }
            None => return Err(End::Broken),
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
                    auth,
                    agent,
                },
        }) => {
            tracing::debug!(?agent, "hello");
            let shown = auth.as_ref().or(gate.bearer.as_ref());
            let shown = shown.map(AuthToken::secret);
            let pass = match gate.config.access.check(shown, Moment::now()) {
                Ok(rights) => Pass::Good(rights),
                Err(denied) if resume.is_some() && denied.forgiven_on_resume() => {
                    Pass::ResumeOnly(denied)
                }
                Err(denied) => {
                    let _ = send(socket, &refusal(id, &denied, metrics)).await;
                    return Err(End::Ours(NOT_AUTHORIZED));
                }
            };
            return Ok(Greeting {
                id,
                token: resume.unwrap_or_else(|| Token::from_random(rand::random())),
                last_seq,
                name,
                dialect: None,
                pass,
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
    Err(End::Ours((close::HELLO_FIRST, "hello first")))
}

async fn rest(until: Option<Instant>) {
    if let Some(until) = until {
        sleep_until(until.into()).await;
    }
}

fn refusal(id: Option<u64>, denied: &Denied, metrics: &Metrics) -> ServerFrame {
    metrics.refused(denied.code());
    error(id, denied.code(), denied.to_string())
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
pub(crate) async fn turn_away(socket: WebSocket) {
    goodbye(socket, (close::FULL, "the server is full")).await;
}

struct Actor {
    socket: WebSocket,
    seat: Seat,
    metrics: Metrics,
    rules: Rules,
    too_slow: CancellationToken,
    bucket: Bucket,
    share: Option<Arc<Share>>,
    /// Until then nothing is read, since the peer said more than it may.
    rests_until: Option<Instant>,
    bad: u32,
    heard: Instant,
    started: Instant,
    round_trip: Option<Duration>,
}

impl Actor {
    async fn run(&mut self) -> End {
        let kill = self.too_slow.clone();
        let beat = self.rules.heartbeat;
        let mut heart = interval_at(tokio::time::Instant::now() + beat, beat);
        heart.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Not biased: neither a flood to the peer nor one from it keeps the other waiting.
            tokio::select! {
                () = kill.cancelled() => return End::Ours(SLOW_READER),
                outgoing = self.seat.hear() => {
                    let Some(outgoing) = outgoing else {
                        let slow = kill.is_cancelled();
                        return End::Ours(if slow { SLOW_READER } else { GOING_AWAY });
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
                () = rest(self.rests_until), if self.rests_until.is_some() => self.rests_until = None,
                message = self.socket.next(), if self.rests_until.is_none() => {
                    let end = match message {
                        Some(Ok(message)) => self.read(message).await,
                        Some(Err(error)) => Some(match End::failed(&error) {
                            End::Ours(TOO_LARGE) => self.too_large().await,
                            end => end,
                        }),
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
                return Some(End::Closed { clean });
            }
            // The library has answered; the work counts all the same.
            Message::Ping(_) | Message::Pong(_) => {
                self.may_say();
                return None;
            }
        };
        self.seat.received_bytes(text.len());
        let refused = self.may_say();
        let frame = match ClientFrame::parse(&text) {
            Ok(frame) => frame,
            Err(Rejected { id, error: why }) => {
                self.bad += 1;
                if self.bad > self.rules.bad_messages {
                    self.metrics.limits_hit.inc(Limit::BadMessages);
                    return Some(End::Ours((close::BAD_MESSAGES, "too many bad messages")));
                }
                return self.answer(&error(id, why.code(), why.to_string())).await;
            }
        };
        self.bad = 0;
        if let Some(words) = refused {
            let refusal = error(frame.id, ErrorCode::RateLimited, words);
            return self.answer(&refusal).await;
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

    /// Whether the peer may say one more thing; otherwise why not. Then it is not listened to for as long as one thing
    /// more takes to be allowed: who floods waits in its own socket, and costs no more than who does not.
    fn may_say(&mut self) -> Option<String> {
        let now = Instant::now();
        let (whose, rate) = if !self.bucket.take(now) {
            ("you", self.rules.rate)
        } else if let Some(share) = self.share.as_ref().filter(|share| !share.speaks(now)) {
            self.metrics.limits_hit.inc(Limit::RatePerAddress);
            ("the peers of your address", share.rate())
        } else {
            return None;
        };
        self.rests_until = Some(now + rate.gap());
        Some(format!(
            "{whose} may say {} things a second, and no more; slow down",
            rate.per_second()
        ))
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
        let written = timeout(self.rules.heartbeat, send(&mut self.socket, frame));
        tokio::select! {
            biased;
            () = self.too_slow.cancelled() => Some(End::Ours(SLOW_READER)),
            written = written => match written {
                Ok(Ok(())) => None,
                Ok(Err(_)) => Some(End::Broken),
                Err(_) => Some(End::Ours(SLOW_READER)),
            },
        }
    }

    fn now_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1000.0
    }
}
