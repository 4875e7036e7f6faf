//! With somebody's WHIP or WHEP service: WHIP is RFC 9725, WHEP is draft-ietf-wish-whep.
//!
//! We offer in both. `session` has the rules, pure; here is the task that asks what they want asked, one request after the other.

pub(crate) mod generation;
pub(crate) mod refusal;
mod session;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::header::LINK;
use percent_encoding::percent_decode_str;
use rtc_protocol::dialect::whip::Flow;
use rtc_protocol::{AuthToken, RoomId};
use tokio::sync::mpsc;
use tokio::time::timeout;
use url::Url;

use super::error::SignalingError;
use super::event::SignalingEvent;
use super::http::{Ask, Http, HttpError, Reply, link};
use super::link::Command;
use super::pair::{GOODBYE, Owner, Pair, Turn};
use super::terms::Terms;
use super::via::{DIRECT, far_name};
use crate::trust::Trust;
use session::{Session, Told};

/// What is needed to publish or play.
#[derive(Clone, Debug)]
pub struct WhipOptions {
    /// To them, or from them.
    pub flow: Flow,
    /// The endpoint.
    pub endpoint: Url,
    /// `Authorization: Bearer`.
    pub token: Option<AuthToken>,
    /// Which servers are believed.
    pub trust: Trust,
    /// The program we are.
    pub agent: String,
    /// What connecting to the server may take, and twice that an answer.
    pub patience: Duration,
}

impl WhipOptions {
    /// Everything but the endpoint at its default.
    pub fn new(flow: Flow, endpoint: Url) -> Self {
        Self {
            flow,
            endpoint,
            token: None,
            trust: Trust::default(),
            agent: concat!("rtc-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            patience: Duration::from_secs(5),
        }
    }

    /// What can be agreed on: one exchange, and new ICE generations.
    pub(super) const fn terms(&self) -> Terms {
        Terms {
            renegotiates: false,
            restarts: true,
            channels: false,
            receives: matches!(self.flow, Flow::Play),
            pair: true,
        }
    }

    /// What the call is called: the last word of the address, which with many services is a room or stream.
    fn room(&self) -> Result<RoomId, SignalingError> {
        let segments = self.endpoint.path_segments();
        let last = segments.and_then(|all| all.rev().find(|word| !word.is_empty()));
        let last = last.and_then(|word| percent_decode_str(word).decode_utf8().ok());
        let room = last.and_then(|word| RoomId::new(&word).ok());
        match room {
            Some(room) => Ok(room),
            None => RoomId::new(DIRECT).map_err(|_| SignalingError::Ended),
        }
    }
}

/// A request under way.
type Asking = Pin<Box<dyn Future<Output = Result<Reply, HttpError>> + Send>>;

/// All that the task owns.
pub(super) struct Door {
    http: Http,
    session: Session,
    pair: Pair,
    owner: Owner,
}

impl Door {
    /// Asks the endpoint for its ICE servers, which also tells whether anybody is there: `OPTIONS` may name them before an offer
    /// is made (RFC 9725, section 4.6), and any answer will do.
    pub(super) async fn open(
        options: WhipOptions,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<SignalingEvent>,
    ) -> Result<Self, SignalingError> {
        let name = options.endpoint.host_str().unwrap_or_default();
        let name = far_name(name).map_err(|_| SignalingError::Ended)?;
        let mut pair = Pair::new(&options.room()?, &name);
        let http = Http {
            trust: options.trust,
            token: options.token,
            agent: options.agent,
            patience: options.patience,
        };
        let asked = Ask::new(Method::OPTIONS, options.endpoint.clone());
        let servers = match http.ask(asked).await {
            Ok(reply) => link::ice_servers(reply.headers(&LINK)),
            Err(error @ (HttpError::Broken { .. } | HttpError::Late { .. })) => {
                tracing::debug!("OPTIONS: {error}");
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        pair.welcome(servers.clone());
        pair.joined(true);
        Ok(Self {
            session: Session::new(options.flow, options.endpoint, servers),
            http,
            pair,
            owner: Owner::new(commands, events),
        })
    }

    pub(super) const fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Holds the session until our owner leaves or there is no point in it.
    pub(super) async fn run(mut self) {
        let mut asking: Option<Asking> = None;
        let (done, error) = loop {
            self.tell();
            if let Some(error) = self.session.take_failure() {
                break (None, Some(error));
            }
            if asking.is_none() {
                asking = self.next_request();
            }
            let deadline = self.session.deadline();
            tokio::select! {
                turn = self.owner.turn(&mut self.pair, deadline) => match turn {
                    Turn::Command(Command::Signal(_, signal)) => {
                        self.session.signal(Instant::now(), signal);
                    }
                    Turn::Leave(done) => break (done, None),
                    Turn::Time => self.session.check(Instant::now()),
                    // Nobody else is there to be told of anything.
                    Turn::Command(_) | Turn::Told => {}
                },
                reply = answer(&mut asking), if asking.is_some() => {
                    asking = None;
                    self.session.answered(Instant::now(), reply);
                }
            }
        };
        let left = match error {
            None => done,
            Some(error) => self.owner.end(&mut self.pair, Some(error)).await,
        };
        let goodbye = self.say_goodbye(asking);
        if timeout(GOODBYE, goodbye).await.is_err() {
            tracing::warn!(
                "the session could not be ended in time; the server has to find out by itself"
            );
        }
        if let Some(left) = left {
            left.send(()).ok();
        }
    }

    /// Ends the session, where there is one; or as soon as there is one.
    async fn say_goodbye(&mut self, mut asking: Option<Asking>) {
        self.session.leave();
        loop {
            if asking.is_none() {
                asking = self.next_request();
            }
            if asking.is_none() {
                return;
            }
            let reply = answer(&mut asking).await;
            asking = None;
            self.session.answered(Instant::now(), reply);
        }
    }

    fn next_request(&mut self) -> Option<Asking> {
        let ask = self.session.next_request()?;
        let http = self.http.clone();
        tracing::debug!("{} at {}", ask.method, super::http::origin(&ask.url));
        Some(Box::pin(async move { http.ask(ask).await }))
    }

    fn tell(&mut self) {
        while let Some(told) = self.session.next_told() {
            match told {
                Told::Signal(signal) => self.pair.heard(signal),
                Told::Notice(text) => self.pair.tell(SignalingEvent::Notice { text }),
                // With other servers the connection is made anew, and offered anew.
                Told::Again(servers) => {
                    self.pair.welcome(servers);
                    self.pair.joined(true);
                }
            }
        }
    }
}

/// The answer, once there is one. Nothing is lost where this is given up.
async fn answer(asking: &mut Option<Asking>) -> Result<Reply, HttpError> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}
