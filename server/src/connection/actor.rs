//! One WebSocket, whatever is spoken over it: an actor that reads, checks, writes and keeps the heart beating.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, WebSocket};
use futures_util::{FutureExt, SinkExt, StreamExt};
use rtc_protocol::{ClientFrame, ErrorCode, close};
use tokio::time::{MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::hub::Line;
use crate::mailbox::Outgoing;
use crate::metrics::{CloseReason, Limit, Metrics};
use crate::rate::{Bucket, Rate, Share};
use crate::seat::Seat;
use crate::socket::{self, Reason, TOO_LARGE, closed_by_peer, goodbye};

/// Messages written before the peer is listened to again, or read before it is written to.
const BATCH: usize = 64;

pub(super) const TEXT_ONLY: Reason = (close::UNSUPPORTED, "text only");
pub(crate) const GOING_AWAY: Reason = (close::GOING_AWAY, "going away");
const SLOW_READER: Reason = (close::SLOW_READER, "slow reader");
const BAD_MESSAGES: Reason = (close::BAD_MESSAGES, "too many bad messages");

/// What a dialect makes of its peer's texts and of the room core's lines.
pub(crate) trait Tongue {
    /// What the peer said, once it is understood.
    type Said;

    /// Whether a peer whose link broke may come back to its place.
    const RESUMES: bool;

    /// Understands a text; takes any. Otherwise gives what the peer is told.
    fn read(&mut self, text: &str) -> Result<Self::Said, (ErrorCode, String)>;

    /// Words for something that is refused before it is done.
    fn refusal(&self, said: Option<&Self::Said>, code: ErrorCode, words: String) -> String;

    /// Does what the peer said.
    fn said(&mut self, said: Self::Said, turn: &mut Turn);

    /// Passes on what the room core said.
    fn heard(&mut self, line: &Line, turn: &mut Turn);

    /// The heartbeat, which the peer answers by itself.
    fn beat(&mut self) -> Message;
}

/// What is to be done next; in each of them in order.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// Write these.
    pub(crate) peer: Vec<String>,
    /// Say these to the room core.
    pub(crate) core: Vec<ClientFrame>,
    /// Close the connection then.
    pub(crate) close: Option<Reason>,
}

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
    /// In a row, before it is closed.
    pub(crate) bad_messages: u32,
}

/// How a connection came to its end.
pub(super) enum End {
    /// By a close frame of the peer; `clean` tells that it went on purpose.
    Closed { clean: bool },
    /// By a broken link.
    Broken,
    /// By us, with a code.
    Ours(Reason),
}

impl End {
    /// By a read that failed.
    pub(super) fn failed(error: &axum::Error) -> Self {
        socket::fault(error).map_or(Self::Broken, Self::Ours)
    }

    /// Parts from a peer in order.
    pub(super) async fn part(self, socket: &mut WebSocket) {
        match self {
            Self::Closed { .. } => closed_by_peer(socket).await,
            Self::Ours(reason) => goodbye(socket, reason).await,
            Self::Broken => {}
        }
    }
}

/// Where a connection has its place, and what it is held to.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) seat: Seat,
    pub(crate) rules: Rules,
    /// What its address may say, where that is bounded.
    pub(crate) share: Option<Arc<Share>>,
    pub(crate) metrics: Metrics,
}

/// Holds a connection until it ends.
///
/// All that it keeps is put together before its future is made: a future has room for each value that moves through it,
/// for as long as it lasts.
pub(crate) fn hold<T: Tongue>(
    socket: Box<WebSocket>,
    place: Place,
    tongue: T,
) -> impl Future<Output = ()> {
    let Place {
        seat,
        rules,
        share,
        metrics,
    } = place;
    let actor = Box::new(Actor {
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
        tongue,
        turn: Turn::default(),
    });
    actor.live()
}

async fn rest(until: Option<Instant>) {
    if let Some(until) = until {
        sleep_until(until.into()).await;
    }
}

struct Actor<T> {
    socket: Box<WebSocket>,
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
    tongue: T,
    /// Empty between two turns.
    turn: Turn,
}

impl<T: Tongue> Actor<T> {
    async fn live(mut self: Box<Self>) {
        let end = self.run().await;
        let Self {
            mut socket,
            mut seat,
            ..
        } = *self;
        if let End::Ours((code, _)) = end {
            seat.ends(CloseReason::of_code(code));
        }
        // First the place, and with it all that waits for the peer, then the manners.
        let clean = !T::RESUMES || matches!(end, End::Closed { clean: true });
        seat.leave(clean).await;
        Box::pin(end.part(&mut socket)).await;
    }

    async fn run(&mut self) -> End {
        let kill = self.too_slow.clone();
        let beat = self.rules.heartbeat;
        let mut heart = interval_at(tokio::time::Instant::now() + beat, beat);
        heart.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Not biased: neither a flood to the peer nor one from it keeps the other waiting.
            let outgoing = tokio::select! {
                () = kill.cancelled() => return End::Ours(SLOW_READER),
                outgoing = self.seat.hear() => {
                    if outgoing.is_none() {
                        let slow = kill.is_cancelled();
                        return End::Ours(if slow { SLOW_READER } else { GOING_AWAY });
                    }
                    outgoing
                }
                () = rest(self.rests_until), if self.rests_until.is_some() => {
                    self.rests_until = None;
                    None
                }
                message = self.socket.next(), if self.rests_until.is_none() => {
                    if let Some(end) = self.listen(message).await {
                        return end;
                    }
                    // Answers are written before more is read: who reads them never finds its queue full of them.
                    self.seat.hear_now()
                }
                due = heart.tick() => {
                    // Who slept, as a machine that was suspended or gave us no time, does not know who was silent meanwhile,
                    // and may not have read what came: it asks first, and judges at the next beat.
                    let slept = due.elapsed() > beat / 2;
                    if !slept && self.heard.elapsed() > beat * 5 / 2 {
                        self.metrics.limits_hit.inc(Limit::Silence);
                        return End::Ours((close::SILENT, "silent"));
                    }
                    let beat = self.tongue.beat();
                    if let Some(end) = self.send(beat).await {
                        return end;
                    }
                    None
                }
            };
            let Some(outgoing) = outgoing else { continue };
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
    }

    /// Takes this and what else is there already, so that a flood costs one turn of the loop for many messages.
    async fn listen(&mut self, first: Option<Result<Message, axum::Error>>) -> Option<End> {
        let mut next = first;
        // Each may be answered into our own mailbox, which is emptied only after them.
        let mut left = BATCH.min(self.rules.queue / 4).max(1);
        let end = loop {
            let end = match next {
                Some(Ok(message)) => self.read(message).await,
                Some(Err(error)) => Some(match End::failed(&error) {
                    End::Ours(TOO_LARGE) => self.too_large().await,
                    end => end,
                }),
                None => Some(End::Broken),
            };
            left -= 1;
            if left == 0 || end.is_some() || self.rests_until.is_some() {
                break end;
            }
            match self.socket.next().now_or_never() {
                Some(more) => next = more,
                // Nothing more is there, which is no end.
                None => break None,
            }
        };
        // Who says nothing for now costs no memory.
        self.turn.core = Vec::new();
        end
    }

    /// Writes this and what else waits, and flushes once.
    async fn write(&mut self, first: Outgoing) -> Option<End> {
        let mut next = Some(first);
        let mut left = BATCH;
        while let Some(outgoing) = next {
            match outgoing {
                Outgoing::Line(line) => {
                    self.tongue.heard(&line, &mut self.turn);
                    for text in self.turn.peer.drain(..) {
                        if self.socket.feed(Message::Text(text.into())).await.is_err() {
                            return Some(End::Broken);
                        }
                    }
                    self.tell_core().await;
                    if let Some(reason) = self.turn.close {
                        return Some(End::Ours(reason));
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
        let now = Instant::now();
        self.heard = now;
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
                self.may_say(now);
                return None;
            }
        };
        self.seat.received_bytes(text.len());
        let refused = self.may_say(now);
        let said = match self.tongue.read(&text) {
            Ok(said) => said,
            Err((code, answer)) => {
                self.bad += 1;
                if self.bad > self.rules.bad_messages {
                    self.metrics.limits_hit.inc(Limit::BadMessages);
                    return Some(End::Ours(BAD_MESSAGES));
                }
                return self.refuse(code, answer).await;
            }
        };
        self.bad = 0;
        if let Some(words) = refused {
            let code = ErrorCode::RateLimited;
            let answer = self.tongue.refusal(Some(&said), code, words);
            return self.refuse(code, answer).await;
        }
        self.tongue.said(said, &mut self.turn);
        self.tell_core().await;
        for text in std::mem::take(&mut self.turn.peer) {
            if let Some(end) = self.send(Message::Text(text.into())).await {
                return Some(end);
            }
        }
        self.turn.close.map(End::Ours)
    }

    async fn tell_core(&mut self) {
        for frame in self.turn.core.drain(..) {
            self.seat.say(frame).await;
        }
    }

    /// Whether the peer may say one more thing; otherwise why not. Then it is not listened to for as long as one thing
    /// more takes to be allowed: who floods waits in its own socket, and costs no more than who does not.
    fn may_say(&mut self, now: Instant) -> Option<String> {
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
        let code = ErrorCode::TooLarge;
        let answer = self.tongue.refusal(None, code, words);
        let said = self.refuse(code, answer).await;
        said.unwrap_or(End::Ours(TOO_LARGE))
    }

    async fn refuse(&mut self, code: ErrorCode, answer: String) -> Option<End> {
        self.metrics.refused(code);
        self.send(Message::Text(answer.into())).await
    }

    async fn send(&mut self, message: Message) -> Option<End> {
        let written = timeout(self.rules.heartbeat, self.socket.send(message));
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
}
