//! One page: an actor between its Socket.IO connection, its translator and the room core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engineioxide::DisconnectReason;
use rtc_protocol::dialect::Step;
use rtc_protocol::dialect::socketio::{Emit, Event, Setting, SocketIoTranslator, translator};
use rtc_protocol::{AuthToken, ErrorCode, ServerFrame, Token, limits};
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::engine::{Connection, Ended, Guest, Handler, Inbound, Said, is_old};
use super::tether::Tether;
use super::window::Window;
use crate::access::{Access, Moment};
use crate::hub::Greeting;
use crate::metrics::{CloseReason, Limit, Metrics, Refused};
use crate::rate::{Bucket, Rate, Share};
use crate::seat::Seat;
use crate::switchboard::{Outgoing, Switchboard};

/// Messages of the room core that are translated before the page is listened to again.
const BATCH: usize = 64;

/// How long the last words may take to go out.
const PARTING: Duration = Duration::from_secs(1);

/// What one page is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// For the page to enter the namespace.
    pub(crate) hello: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) queue: usize,
    pub(crate) message_bytes: u32,
    /// What it may say.
    pub(crate) rate: Rate,
}

/// See the module.
pub(super) struct Page {
    socket: Arc<Connection>,
    tether: Arc<Tether>,
    inbox: mpsc::Receiver<Box<Inbound>>,
    ended: Ended,
    setting: Setting,
    switchboard: Switchboard,
    rules: Rules,
    window: Window,
    bucket: Bucket,
    /// Bytes that came before it was known whose they are; for the counters.
    early_bytes: usize,
    share: Option<Arc<Share>>,
    /// What the page showed to be let in.
    token: Option<AuthToken>,
    access: Access,
    /// Until then nothing is taken up, since the page said more than it may.
    rests_until: Option<Instant>,
    bad: u32,
    /// There from the first event that some dialect has.
    seated: Option<Seated>,
}

struct Seated {
    seat: Seat,
    translator: Box<dyn SocketIoTranslator>,
}

/// Why it is over.
type End = CloseReason;

/// What is next.
enum Next {
    Said(Box<Inbound>),
    Heard(Outgoing),
    Over(End),
}

impl Page {
    pub(super) fn new(
        socket: Arc<Connection>,
        Guest {
            tether,
            share,
            token,
        }: Guest,
        inbox: mpsc::Receiver<Box<Inbound>>,
        ended: Ended,
        setting: Setting,
        handler: &Handler,
    ) -> Self {
        Self {
            socket,
            tether,
            inbox,
            ended,
            setting,
            switchboard: handler.switchboard.clone(),
            rules: handler.rules,
            window: Window::default(),
            bucket: Bucket::new(Instant::now(), handler.rules.rate),
            early_bytes: 0,
            share,
            token,
            access: handler.access.clone(),
            rests_until: None,
            bad: 0,
            seated: None,
        }
    }

    /// Serves the page until its connection ends, or the server.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        // What only the beginning and the end need is in futures of their own.
        let end = match Box::pin(self.enter(&stop)).await {
            Ok(()) => self.serve(&stop).await,
            Err(end) => end,
        };
        if let Some(Seated { mut seat, .. }) = self.seated.take() {
            seat.ends(end);
            // A page does not come back: whoever connects next is somebody new. So its place is free at once.
            seat.leave(true).await;
        } else {
            self.metrics().connections_refused.inc(match end {
                CloseReason::GoingAway => Refused::GoingAway,
                CloseReason::Silent => Refused::HelloTimeout,
                CloseReason::BadMessages | CloseReason::Protocol => Refused::BadMessage,
                _ => Refused::Gone,
            });
        }
        Box::pin(self.part(end)).await;
    }

    fn metrics(&self) -> &Metrics {
        self.switchboard.metrics()
    }

    /// Waits until the page is in the namespace `/`: clients of 1.x and 2.x are at once, later ones ask for it.
    async fn enter(&mut self, stop: &CancellationToken) -> Result<(), End> {
        if is_old(&self.socket) {
            return self.give("0".to_owned()).await;
        }
        let patience = self.rules.hello;
        let entered = timeout(patience, async {
            loop {
                match self.next(stop).await {
                    Next::Over(end) => return Err(end),
                    Next::Heard(_) => {}
                    Next::Said(inbound) => {
                        let Inbound { bytes, said } = *inbound;
                        self.tether.took(bytes);
                        match said {
                            Said::Connect(namespace, token) if namespace == "/" => {
                                self.token = token.or(self.token.take());
                                return Ok(());
                            }
                            Said::Connect(namespace, _) => self.no_such(&namespace).await?,
                            // Whoever says anything else speaks another protocol.
                            _ => return Err(CloseReason::Protocol),
                        }
                    }
                }
            }
        });
        match entered.await {
            Ok(Ok(())) => {
                let sid = &self.setting.socket;
                self.give(format!("0{{\"sid\":\"{sid}\"}}")).await
            }
            Ok(Err(end)) => Err(end),
            Err(_) => {
                self.metrics().limits_hit.inc(Limit::HelloTime);
                Err(CloseReason::Silent)
            }
        }
    }

    async fn serve(&mut self, stop: &CancellationToken) -> End {
        loop {
            let end = match self.next(stop).await {
                Next::Over(end) => Err(end),
                Next::Said(inbound) => self.said(*inbound).await,
                Next::Heard(outgoing) => self.heard(outgoing).await,
            };
            if let Err(end) = end {
                return end;
            }
        }
    }

    /// Not biased: neither a flood to the page nor one from it keeps the other waiting.
    async fn next(&mut self, stop: &CancellationToken) -> Next {
        let over = Self::over(&self.ended, &self.tether);
        let said = async {
            if let Some(until) = self.rests_until {
                Box::pin(sleep_until(until.into())).await;
                self.rests_until = None;
            }
            let said = self.inbox.recv().await;
            said.map_or(Next::Over(CloseReason::Lost), Next::Said)
        };
        let Some(Seated { seat, .. }) = &mut self.seated else {
            return tokio::select! {
                () = stop.cancelled() => Next::Over(CloseReason::GoingAway),
                end = over => Next::Over(end),
                said = said => said,
            };
        };
        let kill = seat.too_slow();
        tokio::select! {
            () = kill.cancelled() => Next::Over(CloseReason::SlowReader),
            end = over => Next::Over(end),
            heard = seat.hear() => heard.map_or(Next::Over(CloseReason::GoingAway), Next::Heard),
            said = said => said,
        }
    }

    /// Waits until the engine has ended the connection. One whose first words could not be written it forgets to end.
    async fn over(ended: &Ended, tether: &Tether) -> End {
        tokio::select! {
            end = ended.wait() => return end,
            () = tether.dropped() => {}
        }
        let told = Box::pin(timeout(PARTING, ended.wait())).await;
        told.unwrap_or(CloseReason::Lost)
    }

    async fn said(&mut self, Inbound { bytes, said }: Inbound) -> Result<(), End> {
        self.tether.took(bytes);
        match &self.seated {
            Some(Seated { seat, .. }) => seat.received_bytes(bytes),
            None => self.early_bytes += bytes,
        }
        let refused = self.may_say();
        match said {
            Said::Event(event) => {
                self.bad = 0;
                match refused {
                    None => self.event(event).await,
                    Some(words) => {
                        let code = ErrorCode::RateLimited;
                        self.refuse(Some(event), code, &words).await
                    }
                }
            }
            Said::Bad(event, code, words) => {
                self.bad += 1;
                if self.bad > limits::BAD_MESSAGES {
                    self.metrics().limits_hit.inc(Limit::BadMessages);
                    return Err(CloseReason::BadMessages);
                }
                self.refuse(event, code, &words).await
            }
            Said::Connect(namespace, _) if namespace == "/" => Ok(()),
            Said::Connect(namespace, _) => self.no_such(&namespace).await,
            Said::Disconnect => Err(CloseReason::Left),
            Said::Nothing => Ok(()),
        }
    }

    /// Whether the page may say one more thing; otherwise why not. Then it is not listened to for as long as one thing
    /// more takes to be allowed.
    fn may_say(&mut self) -> Option<String> {
        let now = Instant::now();
        let (whose, rate) = if !self.bucket.take(now) {
            ("you", self.rules.rate)
        } else if let Some(share) = self.share.as_ref().filter(|share| !share.speaks(now)) {
            self.metrics().limits_hit.inc(Limit::RatePerAddress);
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

    async fn event(&mut self, event: Event) -> Result<(), End> {
        if self.seated.is_none() {
            let Some(translator) = translator(&event.name, &self.setting) else {
                let words = "no dialect that is spoken here begins with this event";
                return self.refuse(Some(event), ErrorCode::BadMessage, words).await;
            };
            let shown = self.token.as_ref().map(AuthToken::secret);
            let rights = match self.access.check(shown, Moment::now()) {
                Ok(rights) => rights,
                Err(denied) => {
                    let words = denied.to_string();
                    return self.refuse(Some(event), denied.code(), &words).await;
                }
            };
            let token = Token::from_random(rand::random());
            let greeting = Greeting::translated(token, translator.dialect(), None);
            let greeting = greeting.with_rights(rights);
            let seat = Seat::take(&self.switchboard, greeting, self.rules.queue).await;
            let seat = seat.ok_or(CloseReason::GoingAway)?;
            seat.received_bytes(std::mem::take(&mut self.early_bytes));
            self.seated = Some(Seated { seat, translator });
        }
        let mut steps = Vec::new();
        if let Some(Seated { translator, .. }) = &mut self.seated {
            translator.said(event, &mut steps);
        }
        self.perform(steps).await
    }

    async fn refuse(
        &mut self,
        event: Option<Event>,
        code: ErrorCode,
        words: &str,
    ) -> Result<(), End> {
        self.metrics().refused(code);
        let mut steps = Vec::new();
        match &mut self.seated {
            Some(Seated { translator, .. }) => translator.refused(event, code, words, &mut steps),
            None => steps.push(Step::Page(Emit::error(code, words))),
        }
        self.perform(steps).await
    }

    async fn heard(&mut self, first: Outgoing) -> Result<(), End> {
        let mut next = Some(first);
        let mut left = BATCH;
        while let (Some(outgoing), Some(seated)) = (next, &mut self.seated) {
            let line = match outgoing {
                Outgoing::Line(line) => line,
                Outgoing::Close(code, _) => return Err(CloseReason::of_code(code)),
            };
            let mut steps = Vec::new();
            match ServerFrame::parse(&line.text()) {
                Ok(frame) => seated.translator.heard(frame, &mut steps),
                Err(error) => tracing::error!("the room core is not understood: {error}"),
            }
            self.perform(steps).await?;
            left -= 1;
            next = match &mut self.seated {
                Some(Seated { seat, .. }) if left > 0 => seat.hear_now(),
                _ => None,
            };
        }
        Ok(())
    }

    async fn perform(&mut self, steps: Vec<Step<Emit>>) -> Result<(), End> {
        for step in steps {
            match step {
                Step::Page(emit) => self.give(emit.to_text()).await?,
                Step::Core(frame) => {
                    if let Some(Seated { seat, .. }) = &self.seated {
                        seat.say(frame).await;
                    }
                }
                Step::Close(why) => {
                    tracing::debug!(why, "a page is ended by its translator");
                    return Err(CloseReason::Ended);
                }
            }
        }
        Ok(())
    }

    /// There is one namespace.
    async fn no_such(&mut self, namespace: &str) -> Result<(), End> {
        let Ok(namespace) = serde_json::to_string(namespace) else {
            return Ok(());
        };
        // Read as a namespace, it holds no comma; written back as JSON, nothing else of harm.
        let namespace = namespace.trim_matches('"');
        let words = r#""Invalid namespace""#;
        let text = if is_old(&self.socket) {
            format!("4{namespace},{words}")
        } else {
            format!("4{namespace},{{\"message\":{words}}}")
        };
        self.give(text).await
    }

    /// Gives a packet to the engine, as soon as what went before has gone out.
    async fn give(&mut self, packet: String) -> Result<(), End> {
        if !self.window.has_room(self.tether.written()) {
            // By itself, as it is seldom: otherwise every page would keep its memory.
            Box::pin(self.room()).await?;
        }
        self.window.give(packet.len() + 1);
        match self.socket.emit(packet) {
            Ok(()) => Ok(()),
            Err(_) if self.socket.is_closed() => Err(self.ended.wait().await),
            Err(_) => Err(CloseReason::SlowReader),
        }
    }

    /// Waits until so much has gone out that something more may be given.
    async fn room(&mut self) -> Result<(), End> {
        let kill = self.seated.as_ref().map(|seated| seated.seat.too_slow());
        let kill = kill.unwrap_or_default();
        while !self.window.has_room(self.tether.written()) {
            tokio::select! {
                () = self.tether.moved() => {}
                () = kill.cancelled() => return Err(CloseReason::SlowReader),
                end = self.ended.wait() => return Err(end),
                // What does not go out in a beat's time has nobody at its other end.
                () = sleep(self.rules.heartbeat) => return Err(CloseReason::SlowReader),
            }
        }
        Ok(())
    }

    /// Parts from the page: in order where it reads, at once where it does not.
    async fn part(mut self, end: End) {
        let polite = matches!(
            end,
            CloseReason::Ended
                | CloseReason::GoingAway
                | CloseReason::BadMessages
                | CloseReason::Protocol
        );
        if polite && self.socket.emit("1").is_ok() {
            self.window.give(2);
            let gone = async {
                while !self.window.is_empty(self.tether.written()) {
                    tokio::select! {
                        () = self.tether.moved() => {}
                        _ = self.ended.wait() => return,
                    }
                }
            };
            let _ = timeout(PARTING, gone).await;
        }
        self.socket.close(DisconnectReason::ClosingServer);
        if !polite {
            self.tether.cut();
        }
    }
}
