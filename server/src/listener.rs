//! Connections: accepted, counted, held to times and sizes, and handed to HTTP.
//!
//! One task for each address accepts; it owns the tasks of its connections, which end with
//! it. Before the first request a connection is bounded by a time, so that nobody holds one
//! by saying nothing or saying it slowly (RFC 9112, section 9.5); after an upgrade nothing
//! of HTTP is kept, and [`Wire::of`] gives the bare connection back.

mod places;
mod refusal;
mod wire;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, HOST, HeaderValue, LOCATION};
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::metrics::{Limit, Metrics, Refused};
use crate::rate::Addresses;
pub(crate) use places::{Crowded, Place, Places};
pub use places::{Network, NetworkError};
pub(crate) use wire::Wire;

/// How long nothing is accepted when the system gives no more descriptors or memory.
const PAUSE: Duration = Duration::from_millis(200);

/// Bytes of a request's line and headers together; more is answered with status 431.
/// A cookie of the largest size (4 KiB) and a token beside it fit in twice.
pub(crate) const HEADER_BYTES: usize = 16 * 1024;

/// Bytes that one connection may hold while it speaks HTTP, in either direction.
const BUFFER_BYTES: usize = 64 * 1024;

/// How long a connection may be silent before the system asks whether anybody is there: it is what ends a half-open
/// connection in HTTP. Peers are asked by heartbeats, so where those are rarer, so is this.
const SILENT: Duration = Duration::from_secs(30);

/// Between two such questions, [`QUESTIONS`] of which may stay without an answer: one may be lost on any network. What was
/// sent may wait for its acknowledgement as long as all of it takes.
const APART: Duration = Duration::from_secs(10);

/// See there.
const QUESTIONS: u32 = 3;

/// Who is at the other end of a connection; every request carries it as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visitor {
    /// Its address; an IPv4 address stands as one, even where the socket is of IPv6.
    pub(crate) address: SocketAddr,
}

/// What connections are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// For a request's line and headers to come, from the connection's begin or the last response on; so it is also
    /// how long an idle connection is kept.
    pub(crate) header_time: Duration,
    /// How often peers are asked whether they are there.
    pub(crate) heartbeat: Duration,
}

/// One address that is listened at.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) router: Router,
    pub(crate) rules: Rules,
    pub(crate) places: Arc<Places>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) metrics: Metrics,
    /// Where it is there, this address speaks TLS.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Cancelled when nobody is to be accepted any more.
    pub(crate) stop: CancellationToken,
}

impl Listener {
    /// Accepts until it is stopped, and ends when the last request then under way is answered. Dropped, it ends at once.
    pub(crate) async fn run(self) {
        let door = Arc::new(Door {
            router: TowerToHyperService::new(self.router),
            rules: self.rules,
            tls: self.tls,
            stop: self.stop.clone(),
        });
        let mut tasks = JoinSet::new();
        let mut trouble = Trouble::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    note(ended);
                    continue;
                }
                accepted = trouble.then(self.socket.accept()) => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    trouble.note(&error);
                    continue;
                }
            };
            trouble.over();
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            let from = address.ip();
            let place = match self.addresses.arrives(Instant::now(), from) {
                true => self.places.take(from),
                false => Err(Crowded::Often),
            };
            match place {
                Ok(place) => {
                    tasks.spawn(Arc::clone(&door).serve(stream, address, place));
                }
                Err(crowded) => {
                    tracing::debug!(?crowded, "a connection is turned away");
                    count(&self.metrics, crowded);
                    if let Some(place) = self.places.take_to_refuse() {
                        let (status, words) = refused(crowded);
                        tasks.spawn(refusal::refuse(stream, status, words, place));
                    }
                }
            }
        }
        // Lets go of the address while the last requests are answered.
        drop(self.socket);
        while let Some(ended) = tasks.join_next().await {
            note(ended);
        }
    }
}

fn count(metrics: &Metrics, crowded: Crowded) {
    let (refused, limit) = match crowded {
        Crowded::Address | Crowded::Everywhere | Crowded::Often => {
            (Refused::Address, Limit::ConnectionsPerAddress)
        }
        Crowded::Server => (Refused::Full, Limit::Connections),
    };
    if crowded == Crowded::Everywhere {
        metrics.cluster_limits_hit.inc();
    }
    metrics.connections_refused.inc(refused);
    metrics.limits_hit.inc(limit);
}

const fn refused(crowded: Crowded) -> (StatusCode, &'static str) {
    match crowded {
        Crowded::Address => (
            StatusCode::TOO_MANY_REQUESTS,
            "your address has as many connections here as it may; close one first",
        ),
        Crowded::Everywhere => (
            StatusCode::TOO_MANY_REQUESTS,
            "your address has as many connections as it may, at all servers here together; close one first",
        ),
        Crowded::Often => (
            StatusCode::TOO_MANY_REQUESTS,
            "your address connects more often than it may; wait some seconds",
        ),
        Crowded::Server => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the server has as many connections as it was told to take; try again later",
        ),
    }
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection's task ended in disorder: {error}");
    }
}

/// The system's refusal to give connections: said once, and waited out.
#[derive(Default)]
struct Trouble {
    told: bool,
    wait: bool,
}

impl Trouble {
    /// Waits first where the last try failed: a socket that is ready and cannot be accepted is ready at once again.
    async fn then<T>(&self, accepting: impl Future<Output = T>) -> T {
        if self.wait {
            sleep(PAUSE).await;
        }
        accepting.await
    }

    fn note(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
        ) {
            // That one peer is gone again.
            return;
        }
        self.wait = true;
        if !self.told {
            self.told = true;
            tracing::warn!(
                "no connection can be accepted: {error}; the server goes on trying. Raise the limit of open files \
                 (ulimit -n), or lower --max-connections"
            );
        }
    }

    fn over(&mut self) {
        if std::mem::take(&mut self.told) {
            tracing::warn!("connections are accepted again");
        }
        self.wait = false;
    }
}

/// What the connections of one listener share.
struct Door {
    router: TowerToHyperService<Router>,
    rules: Rules,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
}

impl Door {
    async fn serve(self: Arc<Self>, stream: TcpStream, address: SocketAddr, place: Place) {
        prepare(&stream, self.rules.heartbeat);
        let visitor = Visitor { address };
        let router = &self.router;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(visitor);
            router.call(request.map(Body::new))
        });
        let Some(tls) = &self.tls else {
            return self.drive(Wire::plain(stream, place), service).await;
        };
        // Who says nothing holds a place no longer in TLS than outside of it.
        let shaken = tokio::select! {
            shaken = timeout(self.rules.header_time, shake_hands(tls, stream)) => shaken,
            () = self.stop.cancelled() => return,
        };
        match shaken {
            Ok(Ok(Hands::Shaken(stream))) => {
                self.drive(Wire::secure(stream, place), service).await;
            }
            Ok(Ok(Hands::Plain(stream))) => {
                self.drive(Wire::plain(stream, place), service_fn(to_https))
                    .await;
            }
            Ok(Err(error)) => tracing::debug!("no TLS: {error}"),
            Err(_) => tracing::debug!("no TLS in time"),
        }
    }

    async fn drive<S>(&self, wire: Wire, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.rules.header_time)
            .max_header_size(HEADER_BYTES)
            .max_buf_size(BUFFER_BYTES);
        let connection = http
            .serve_connection(TokioIo::new(wire), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!("a connection ended: {error}");
        }
    }
}

/// What a connection turned out to be.
enum Hands {
    Shaken(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

async fn shake_hands(tls: &TlsAcceptor, stream: TcpStream) -> io::Result<Hands> {
    // A handshake begins with this byte (RFC 8446, section 5.1), and a request with a letter.
    const HANDSHAKE: u8 = 22;
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first[0].is_ascii_uppercase() && first[0] != HANDSHAKE {
        return Ok(Hands::Plain(stream));
    }
    let stream = tls.accept(stream).await?;
    Ok(Hands::Shaken(Box::new(stream)))
}

/// Browsers try http where a person types no scheme.
async fn to_https(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let words = "this address speaks https; put https:// in front\n";
    let mut response = Response::new(Body::from(words));
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let there = host.map(|host| format!("https://{host}{path}"));
    match there.and_then(|there| HeaderValue::from_str(&there).ok()) {
        Some(there) => {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
            response.headers_mut().insert(LOCATION, there);
        }
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

/// Tells the system how to treat a connection; what it does not know is left out.
fn prepare(stream: &TcpStream, heartbeat: Duration) {
    // A small message must not wait for a larger one (Nagle).
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    let socket = SockRef::from(stream);
    let silent = SILENT.max(heartbeat.saturating_mul(2));
    let probing = TcpKeepalive::new().with_time(silent).with_interval(APART);
    if let Err(error) = socket.set_tcp_keepalive(&probing) {
        tracing::debug!("SO_KEEPALIVE: {error}");
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket.set_tcp_user_timeout(Some(silent + APART * QUESTIONS)) {
        tracing::debug!("TCP_USER_TIMEOUT: {error}");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_question_that_is_lost_ends_no_connection_and_heartbeats_leave_none_to_be_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let stream = stream.await.unwrap();
        let socket = SockRef::from(&stream);
        for heartbeat in [1, 15, 240].map(Duration::from_secs) {
            prepare(&stream, heartbeat);
            assert!(socket.keepalive().unwrap());
            let (first, apart) = (
                socket.tcp_keepalive_time().unwrap(),
                socket.tcp_keepalive_interval().unwrap(),
            );
            let given_up = socket.tcp_user_timeout().unwrap().unwrap();
            assert!(first >= SILENT && first > heartbeat, "{first:?}");
            assert!(given_up >= first + apart * 3, "{first:?}, {given_up:?}");
        }
    }
}
