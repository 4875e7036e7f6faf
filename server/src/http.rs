//! What is answered over HTTP: the page, the WebSocket, health.

mod admin;
mod health;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, HeaderMap, HeaderName,
    HeaderValue, IF_NONE_MATCH, ORIGIN, REFERRER_POLICY, UPGRADE, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, Request, Response, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use axum::{Extension, Router};
use percent_encoding::percent_decode_str;
use rtc_protocol::{AuthToken, RoomId, SUBPROTOCOL, WEBSOCKET_PATH};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::access::{self, Denied, Moment, Rights};
use crate::config::Config;
use crate::connection::{self, Gate, Rules};
use crate::handshake::{Handshake, sized};
use crate::listener::Visitor;
use crate::metrics::{Limit, Metrics, Refused};
use crate::page::{ASSETS, Asset, INDEX, SOCKET_IO};
use crate::rate::{Addresses, Rate};
use crate::redact::Redacted;
use crate::switchboard::Switchboard;
use crate::transport::login;
use crate::transport::socketio::{self, SocketIo};
use crate::transport::whip;

/// Nothing but the server's own files, no inline script or style, devices for this page alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: blob:; media-src 'self' blob: mediastream:; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Connections over the limit that are told so at once; more of them get an HTTP status.
const TURNED_AWAY: usize = 64;

const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) switchboard: Switchboard,
    pub(crate) config: Arc<Config>,
    pub(crate) connections: TaskTracker,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) metrics: Metrics,
    pub(crate) socketio: SocketIo,
    /// Where the server listens; a page that it serves at one of them may connect at another.
    pub(crate) ports: Arc<[u16]>,
    pub(crate) whip: whip::Sessions,
}

pub(crate) fn router(shared: Shared) -> Router {
    let message_bytes = shared.config.limits.message_bytes as usize;
    Router::new()
        .route(WEBSOCKET_PATH, get(websocket))
        .merge(health::routes())
        .merge(admin::routes(message_bytes))
        .route(socketio::PATH, any(socket_io))
        .route("/socket.io/socket.io.js", get(socket_io_client))
        .route("/socket.io/socket.io.min.js", get(socket_io_client))
        .route("/", get(index))
        .route("/_/{file}", get(asset))
        .route("/{room}", get(room))
        .merge(whip::router())
        .fallback(elsewhere)
        .with_state(shared)
}

/// What a request for a file says.
type Asked = (Method, Uri, HeaderMap);

/// The user's own page, or the server's; or, for who asks for a WebSocket here, the login dialect.
async fn index(
    State(shared): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    request: Asked,
    handshake: Result<Handshake, Response<Body>>,
) -> Response<Body> {
    let headers = &request.2;
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    if upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return match handshake {
            Ok(Handshake(upgrade)) => match shared.entitled(&request) {
                Ok(rights) => open(shared, visitor, headers, upgrade, Spoken::Login(rights)),
                Err(denied) => shared.not_entitled(&denied),
            },
            Err(refused) => refused,
        };
    }
    match shared.own_file(&request).await {
        Some(response) => response,
        None => file(&INDEX, headers),
    }
}

/// A file of the user's own, or the server's page in a room of that name.
async fn room(
    State(shared): State<Shared>,
    Path(room): Path<String>,
    request: Asked,
) -> Response<Body> {
    if let Some(response) = shared.own_file(&request).await {
        return response;
    }
    match RoomId::new(&room) {
        Ok(_) => file(&INDEX, &request.2),
        Err(error) => (StatusCode::NOT_FOUND, format!("{error}\n")).into_response(),
    }
}

/// A file of the user's own, or nothing.
async fn elsewhere(State(shared): State<Shared>, request: Asked) -> Response<Body> {
    match shared.own_file(&request).await {
        Some(response) => response,
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

async fn socket_io_client(headers: HeaderMap) -> Response<Body> {
    file(&SOCKET_IO, &headers)
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => file(asset, &headers),
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

fn file(asset: &Asset, request: &HeaderMap) -> Response<Body> {
    let tag = asset.etag();
    let known = request
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        asset.text.into_response()
    };
    let headers = response.headers_mut();
    let mut set = |name, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(CONTENT_TYPE, asset.content_type());
    set(CACHE_CONTROL, "no-cache");
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(REFERRER_POLICY, "no-referrer");
    set(
        PERMISSIONS,
        "camera=(self), microphone=(self), display-capture=(self)",
    );
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    response
}

async fn websocket(
    State(shared): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Handshake(upgrade): Handshake,
) -> Response<Body> {
    open(shared, visitor, &headers, upgrade, Spoken::Native)
}

/// What is spoken over a WebSocket.
enum Spoken {
    Native,
    /// Its pages have no first message to show a token in, so their rights are known before.
    Login(Rights),
}

impl Shared {
    /// What the token in a request gives: behind `?token=`, as pages cannot set headers for a WebSocket, or in
    /// `Authorization`.
    fn entitled(&self, (_, uri, headers): &Asked) -> Result<Rights, Denied> {
        let query = uri.query().unwrap_or_default().split('&');
        let shown = query.filter_map(|one| one.strip_prefix("token=")).next();
        let shown = shown.map(|text| percent_decode_str(text).decode_utf8_lossy());
        let shown = shown.as_deref().or_else(|| access::bearer(headers));
        self.config.access.check(shown, Moment::now())
    }

    fn not_entitled(&self, denied: &Denied) -> Response<Body> {
        self.metrics.refused(denied.code());
        self.metrics.connections_refused.inc(Refused::Unauthorized);
        let bearer = [(WWW_AUTHENTICATE, "Bearer")];
        let words = format!("{}: {denied}\n", denied.code().as_str());
        (StatusCode::UNAUTHORIZED, bearer, words).into_response()
    }
}

/// Opens a WebSocket, where there is a place for it.
fn open(
    shared: Shared,
    visitor: Visitor,
    headers: &HeaderMap,
    upgrade: WebSocketUpgrade,
    spoken: Spoken,
) -> Response<Body> {
    if let Some(refusal) = shared.of_another_site(headers) {
        return refusal;
    }
    let taken = shared.connections.len();
    if taken >= shared.config.connections.saturating_add(TURNED_AWAY) {
        shared.metrics.connections_refused.inc(Refused::Full);
        shared.metrics.limits_hit.inc(Limit::Connections);
        let words = "the server holds as many peers as it was told to; try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    }
    let upgrade = match spoken {
        Spoken::Native => upgrade.protocols([SUBPROTOCOL]),
        Spoken::Login(_) => upgrade,
    };
    let upgrade = sized(upgrade, shared.config.limits.message_bytes as usize);
    if matches!(spoken, Spoken::Native) && upgrade.selected_protocol().is_none() {
        shared.metrics.connections_refused.inc(Refused::Protocol);
        let words = format!("this is a WebSocket of the subprotocol {SUBPROTOCOL}; ask for it\n");
        return (StatusCode::BAD_REQUEST, words).into_response();
    }
    let rules = Rules {
        hello: shared.config.hello_timeout,
        heartbeat: shared.config.heartbeat,
        queue: shared.config.limits.queue_messages as usize,
        message_bytes: shared.config.limits.message_bytes,
        rate: Rate::bursting(shared.config.rate),
        bad_messages: shared.config.bad_messages,
    };
    let share = shared.addresses.share(Instant::now(), visitor.address.ip());
    let token = shared.connections.token();
    if taken >= shared.config.connections {
        shared.metrics.connections_refused.inc(Refused::Full);
        shared.metrics.limits_hit.inc(Limit::Connections);
        // A browser's page sees a close code, and never an HTTP status.
        return upgrade.on_upgrade(|socket| {
            let socket = Box::new(socket);
            Box::pin(async move {
                connection::turn_away(socket).await;
                drop(token);
            })
        });
    }
    let gate = Gate {
        bearer: access::bearer(headers).map(AuthToken::new),
        config: shared.config,
    };
    let span = tracing::info_span!("websocket", address = %Redacted(visitor.address.ip()));
    // The task that waits for the upgrade lasts as long as the connection: what it keeps is boxed, so that it keeps little.
    upgrade.on_upgrade(move |socket| {
        let socket = Box::new(socket);
        let served: Pin<Box<dyn Future<Output = ()> + Send>> = match spoken {
            Spoken::Native => {
                let switchboard = shared.switchboard;
                let served = connection::serve(socket, switchboard, rules, gate, share);
                Box::pin(served.instrument(span))
            }
            Spoken::Login(rights) => {
                let served = login::serve(socket, shared.switchboard, rules, rights, share);
                Box::pin(served.instrument(span))
            }
        };
        async move {
            served.await;
            drop(token);
        }
    })
}

/// Every request of a Socket.IO client: its polls, and what becomes a WebSocket.
async fn socket_io(
    State(shared): State<Shared>,
    Extension(visitor): Extension<Visitor>,
    request: Request<Body>,
) -> Response<Body> {
    if let Some(refusal) = shared.of_another_site(request.headers()) {
        return refusal;
    }
    if SocketIo::is_new(&request) && shared.connections.len() >= shared.config.connections {
        shared.metrics.connections_refused.inc(Refused::Full);
        shared.metrics.limits_hit.inc(Limit::Connections);
        let words = "the server holds as many peers as it was told to; try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    }
    if SocketIo::is_new(&request)
        && let Some(elsewhere) = shared.sent_elsewhere()
    {
        return elsewhere;
    }
    let share = shared.addresses.share(Instant::now(), visitor.address.ip());
    shared.socketio.answer(request, share).await
}

impl Shared {
    /// The answer of the user's own folder, if it has one.
    async fn own_file(&self, (method, uri, headers): &Asked) -> Option<Response<Body>> {
        let root = self.config.root.as_ref()?;
        root.answer(method, uri.path(), headers).await
    }

    /// The refusal of a page that may not connect.
    pub(crate) fn of_another_site(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        if own_page(headers, &self.config.allow_origins, &self.ports) {
            return None;
        }
        self.metrics.connections_refused.inc(Refused::Origin);
        let words = "pages of other sites may not connect here; --allow-origin lets one in\n";
        Some((StatusCode::FORBIDDEN, words).into_response())
    }
}

/// Browsers say which page asks for a WebSocket (RFC 6455, section 10.2); a page of
/// another site could otherwise speak with the rights of whoever looks at it. A page that
/// came from one port of this server is its own at every other, too.
fn own_page(headers: &HeaderMap, allowed: &[String], ports: &[u16]) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let own = headers.get(HOST).and_then(|host| host.to_str().ok());
    let of_page = origin.split_once("://").map(|(_, host)| host);
    let same = match (of_page, own) {
        (Some(page), Some(own)) => page == own || sibling(page, own, ports),
        _ => false,
    };
    same || allowed.iter().any(|one| one == "*" || one == origin)
}

/// Whether a page's host is this one at another port of ours.
fn sibling(page: &str, own: &str, ports: &[u16]) -> bool {
    let split = |host: &str| {
        let (name, port) = host.rsplit_once(':')?;
        Some((name.to_owned(), port.parse::<u16>().ok()?))
    };
    match (split(page), split(own)) {
        (Some((page, port)), Some((own, _))) => page == own && ports.contains(&port),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_servers_own_pages_and_those_allowed_may_connect() {
        let headers = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "localhost:8080".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            headers
        };
        let allowed = ["https://app.example".to_owned()];
        let own = |origin, allowed: &[String]| own_page(&headers(origin), allowed, &[8080, 9090]);
        assert!(own(None, &[]), "programs say no origin");
        assert!(own(Some("http://localhost:8080"), &[]));
        assert!(
            own(Some("http://localhost:9090"), &[]),
            "another port of ours"
        );
        assert!(!own(Some("http://evil.example"), &[]));
        assert!(!own(Some("http://evil.example:9090"), &[]));
        assert!(!own(Some("http://localhost:8081"), &[]));
        assert!(!own(Some("http://localhost"), &[]));
        assert!(!own(Some("null"), &[]));
        assert!(own(Some("https://app.example"), &allowed));
        assert!(own(Some("https://any"), &["*".to_owned()]));
    }
}
