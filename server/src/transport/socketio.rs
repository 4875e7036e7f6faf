//! Socket.IO, websocket and long-polling, clients of 1.x to 4.x, at `/socket.io/`.
//!
//! The transport is `engineioxide`, the engine of the socketioxide project: sessions, both revisions of Engine.IO,
//! upgrades, heartbeats. The layer of events above it is not socketioxide's own but the room core's: a page's events go
//! in order to its translator, its arguments stay text, and what the engine would drop silently or keep for ever is
//! bounded here ([`tether`], [`window`]).
//!
//! One connection is one page: an actor ([`page`]) with an inbox, a translator and, from its first event on, a seat.

mod addresses;
mod engine;
mod page;
mod tether;
mod window;

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CONNECTION, CONTENT_TYPE,
    HeaderMap, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE, VARY,
};
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use engineioxide::config::EngineIoConfig;
use engineioxide::service::EngineIoService;
use engineioxide::socket::Sid;
use hyper::service::Service;
use percent_encoding::percent_decode_str;
use rtc_protocol::AuthToken;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::listener::Wire;
use crate::rate::Share;
use crate::switchboard::Switchboard;
use engine::{Guest, Handler};
pub(crate) use page::Rules;
use tether::{Tether, Tethered};

/// Where Socket.IO's clients connect unless they are told otherwise.
pub(crate) const PATH: &str = "/socket.io/";

/// The most bytes that are read from a WebSocket at once, and kept for an idle one.
const READ_BUFFER: usize = 1024;

/// The server's door for Socket.IO; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SocketIo {
    service: EngineIoService<Handler>,
    handler: Arc<Handler>,
}

impl SocketIo {
    /// `pages` counts those that are there; all of them end when `stop` is cancelled or the switchboard has ended.
    pub(crate) fn new(
        switchboard: Switchboard,
        rules: Rules,
        access: Access,
        pages: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        // Twice of what a message may be is read, to be refused in words; beyond it the connection ends.
        let most = rules.message_bytes as usize * 2;
        let config = EngineIoConfig::builder()
            .req_path(PATH)
            .ping_interval(rules.heartbeat)
            .ping_timeout(rules.heartbeat * 3 / 2)
            .upgrade_timeout(rules.hello)
            .max_buffer_size(window::QUEUE)
            .max_payload(most as u64)
            .ws_read_buffer_size(READ_BUFFER)
            .ws_max_message_size(most)
            .ws_max_frame_size(most)
            .build();
        let handler = Arc::new(Handler::new(switchboard, rules, access, pages, stop));
        Self {
            service: EngineIoService::with_config(Arc::clone(&handler), config),
            handler,
        }
    }

    /// Whether a request wants to open a connection, rather than go on with one.
    pub(crate) fn is_new<B>(request: &Request<B>) -> bool {
        parameter(request, "sid").is_none()
    }

    /// Answers a request of a client.
    ///
    /// `share` is what the client's address may say, where that is bounded.
    pub(crate) async fn answer(
        &self,
        request: Request<Body>,
        share: Option<Arc<Share>>,
    ) -> Response<Body> {
        let origin = request.headers().get(ORIGIN).cloned();
        let response = if parameter(&request, "transport") == Some("websocket") {
            self.upgrade(request, share)
        } else {
            self.poll(request, share).await
        };
        allow(response, origin)
    }

    async fn poll(&self, request: Request<Body>, share: Option<Arc<Share>>) -> Response<Body> {
        let tether = parameter(&request, "sid")
            .and_then(|sid| sid.parse().ok())
            .and_then(|sid| self.handler.tether(sid));
        let response = if request.method() == Method::POST {
            let answer = async {
                if let Some(tether) = &tether {
                    tether.relieved().await;
                }
                self.service.call(request).await
            };
            // A body that comes slowly holds a connection, as does one for a page that has ended and takes nothing up
            // any more; the engine itself would wait for ever.
            match timeout(self.handler.rules.heartbeat, answer).await {
                Ok(answer) => answer,
                Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
            }
        } else {
            let guest = Guest {
                tether: tether.clone().unwrap_or_default(),
                share,
                token: token(&request),
            };
            let bare = bare(&request, guest);
            self.service.call(bare).await
        };
        let Ok(response) = response;
        let response = response.map(Body::new);
        if let Some(tether) = tether {
            use axum::body::HttpBody;
            let bytes = response.body().size_hint().lower();
            tether.wrote(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        response
    }

    fn upgrade(&self, mut request: Request<Body>, share: Option<Arc<Share>>) -> Response<Body> {
        let wanted = request.headers().get(UPGRADE);
        let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
        let (true, Some(key)) = (
            wanted.is_some_and(|wanted| wanted.as_bytes().eq_ignore_ascii_case(b"websocket")),
            key,
        ) else {
            let words = "this is a WebSocket of Socket.IO: connect with a Socket.IO client\n";
            return (StatusCode::BAD_REQUEST, words).into_response();
        };
        let sid = match parameter(&request, "sid").map(str::parse::<Sid>) {
            None => None,
            Some(Ok(sid)) => Some(sid),
            Some(Err(_)) => return no_such_session(),
        };
        let tether = match sid.map(|sid| self.handler.tether(sid)) {
            None => Arc::new(Tether::default()),
            Some(Some(tether)) => tether,
            Some(None) => return no_such_session(),
        };
        let service = self.service.clone();
        let patience = self.handler.rules.heartbeat;
        let upgrade = hyper::upgrade::on(&mut request);
        let guest = Guest {
            tether: Arc::clone(&tether),
            share,
            token: token(&request),
        };
        let bare = bare(&request, guest).map(drop);
        // Ends with the connection, as soon as hyper has written the answer or has failed to.
        tokio::spawn(async move {
            let Ok(upgraded) = upgrade.await else { return };
            let Ok((wire, early)) = Wire::of(upgraded) else {
                tracing::error!("a connection that the server did not accept itself");
                return;
            };
            let tethered = Tethered::new(wire, &early, tether, patience);
            drop(early);
            if let Err(error) = service.call((tethered, bare)).await {
                tracing::debug!("a Socket.IO connection was refused: {error}");
            }
        });
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        response
    }
}

/// As much of a request as the engine looks at. It keeps a connection's first request for as long as the connection is
/// there, and with its headers the buffer that they were read into.
fn bare(request: &Request<Body>, guest: Guest) -> Request<Body> {
    let mut bare = Request::new(Body::empty());
    bare.method_mut().clone_from(request.method());
    let uri = request.uri().to_string();
    if let Ok(uri) = uri.parse() {
        *bare.uri_mut() = uri;
    }
    bare.extensions_mut().insert(guest);
    bare
}

fn parameter<'a, B>(request: &'a Request<B>, name: &str) -> Option<&'a str> {
    let mut all = request.uri().query()?.split('&');
    all.find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
}

fn token(request: &Request<Body>) -> Option<AuthToken> {
    let shown = percent_decode_str(parameter(request, "token")?).decode_utf8_lossy();
    Some(AuthToken::new(&shown))
}

fn no_such_session() -> Response<Body> {
    let words = r#"{"code":"1","message":"Session ID unknown"}"#;
    let json = [(CONTENT_TYPE, "application/json")];
    (StatusCode::BAD_REQUEST, json, words).into_response()
}

/// Lets the page of another origin read the answer; whether it may ask at all was decided before.
fn allow(mut response: Response<Body>, origin: Option<HeaderValue>) -> Response<Body> {
    if let Some(origin) = origin {
        let headers: &mut HeaderMap = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        // Clients of 1.x and 2.x send their polls with credentials, though nobody looks at them.
        let yes = HeaderValue::from_static("true");
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }
    response
}
