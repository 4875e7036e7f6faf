//! A WebSocket of `rtc.v1`: its hello, and how it speaks. What all WebSockets have in common is in [`actor`].

mod actor;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use rtc_protocol::{
    AuthToken, ClientFrame, ClientMessage, ErrorCode, Rejected, ServerFrame, ServerMessage, Token,
    close,
};
use tokio::time::timeout;

use crate::access::{Denied, Moment};
use crate::config::Config;
use crate::hub::{Greeting, Line, Pass};
use crate::metrics::{Limit, Metrics, Refused};
use crate::rate::Share;
use crate::seat::Seat;
use crate::socket::{Reason, TOO_LARGE, goodbye};
use crate::switchboard::{NotIn, Switchboard};

pub(crate) use actor::{GOING_AWAY, Place, Rules, Tongue, Turn, hold};

use actor::{End, TEXT_ONLY};

const NOT_AUTHORIZED: Reason = (close::NOT_AUTHORIZED, "not authorized");
const NO_HELLO: Reason = (close::HELLO_FIRST, "no hello in time");

/// What a peer is let in by.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) config: Arc<Config>,
    /// The token that came with the request; one in the hello goes before it.
    pub(crate) bearer: Option<AuthToken>,
}

/// Serves one connection until it ends; `share` is what its address may say, where that is bounded.
///
/// What only the beginning needs is in a future of its own, which is gone when the long part begins.
pub(crate) async fn serve(
    socket: Box<WebSocket>,
    switchboard: Switchboard,
    rules: Rules,
    gate: Gate,
    share: Option<Arc<Share>>,
) {
    let begun = Box::pin(begin(socket, switchboard, rules, gate, share)).await;
    if let Some((socket, place)) = begun {
        Box::pin(hold(socket, place, Native::new())).await;
    }
}

/// From the first message to a place, or to the end.
async fn begin(
    mut socket: Box<WebSocket>,
    switchboard: Switchboard,
    rules: Rules,
    gate: Gate,
    share: Option<Arc<Share>>,
) -> Option<(Box<WebSocket>, Place)> {
    let metrics = switchboard.metrics().clone();
    let (greeting, bytes) = match timeout(rules.hello, hello(&mut socket, &metrics, &gate)).await {
        Ok(Ok(heard)) => heard,
        Ok(Err(end)) => {
            metrics.connections_refused.inc(match end {
                End::Closed { .. } | End::Broken => Refused::Gone,
                End::Ours((close::HELLO_FIRST, _)) => Refused::HelloFirst,
                End::Ours(NOT_AUTHORIZED) => Refused::Unauthorized,
                End::Ours(_) => Refused::BadMessage,
            });
            end.part(&mut socket).await;
            return None;
        }
        Err(_) => {
            metrics.connections_refused.inc(Refused::HelloTimeout);
            metrics.limits_hit.inc(Limit::HelloTime);
            goodbye(&mut socket, NO_HELLO).await;
            return None;
        }
    };
    drop(gate);
    let request = greeting.id;
    let seat = match Seat::ask(&switchboard, greeting, rules.queue).await {
        Ok(seat) => seat,
        Err(NotIn::Denied(denied)) => {
            let _ = send(&mut socket, &refusal(request, &denied, &metrics)).await;
            goodbye(&mut socket, NOT_AUTHORIZED).await;
            return None;
        }
        Err(NotIn::Ended) => {
            goodbye(&mut socket, GOING_AWAY).await;
            return None;
        }
    };
    seat.received_bytes(bytes);
    let place = Place {
        seat,
        rules,
        share,
        metrics,
    };
    Some((socket, place))
}

/// Reads the first message, which must be a hello, and how many bytes it has; otherwise tells how it ends.
async fn hello(
    socket: &mut WebSocket,
    metrics: &Metrics,
    gate: &Gate,
) -> Result<(Greeting, usize), End> {
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
            let greeting = Greeting {
                id,
                returns: resume.is_some(),
                token: resume.unwrap_or_else(|| Token::from_random(rand::random())),
                last_seq,
                name,
                dialect: None,
                pass,
            };
            return Ok((greeting, text.len()));
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
pub(crate) async fn turn_away(mut socket: Box<WebSocket>) {
    goodbye(&mut socket, (close::FULL, "the server is full")).await;
}

/// How `rtc.v1` is spoken: the room core's own words, and heartbeats that measure the round trip.
#[derive(Debug)]
struct Native {
    started: Instant,
    round_trip: Option<Duration>,
}

impl Native {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            round_trip: None,
        }
    }

    fn now_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1000.0
    }
}

impl Tongue for Native {
    type Said = ClientFrame;

    const RESUMES: bool = true;

    fn read(&mut self, text: &str) -> Result<ClientFrame, (ErrorCode, String)> {
        ClientFrame::parse(text).map_err(|Rejected { id, error: why }| {
            let answer = error(id, why.code(), why.to_string());
            (why.code(), answer.to_json())
        })
    }

    fn refusal(&self, said: Option<&ClientFrame>, code: ErrorCode, words: String) -> String {
        error(said.and_then(|frame| frame.id), code, words).to_json()
    }

    fn said(&mut self, frame: ClientFrame, turn: &mut Turn) {
        match frame.message {
            ClientMessage::Ping { t } => {
                let pong = ServerFrame {
                    seq: None,
                    id: frame.id,
                    message: ServerMessage::Pong { t },
                };
                turn.peer.push(pong.to_json());
            }
            ClientMessage::Pong { t } => {
                let millis = self.now_ms() - t;
                if (0.0..600_000.0).contains(&millis) {
                    self.round_trip = Some(Duration::from_secs_f64(millis / 1000.0));
                }
            }
            _ => turn.core.push(frame),
        }
    }

    fn heard(&mut self, line: &Line, turn: &mut Turn) {
        turn.peer.push(line.text());
    }

    fn beat(&mut self) -> Message {
        let ping = ServerMessage::Ping {
            t: self.now_ms(),
            rtt_ms: self.round_trip.map(|d| d.as_secs_f64() * 1000.0),
        };
        Message::Text(ServerFrame::from(ping).to_json().into())
    }
}
