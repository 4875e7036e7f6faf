//! A small HTTP/1.1 client (RFC 9112) for signaling: one request on one connection, redirects followed, everything bounded.

pub(crate) mod link;

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue,
    LOCATION, USER_AGENT,
};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rtc_protocol::AuthToken;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use url::{Host, Url};

use super::error::SignalingError;
use crate::trust::{Distrust, Trust};

/// Bytes that are read of an answer: an SDP answer has 10 KB.
const BODY: usize = 256 * 1024;

/// Bytes of an answer's headers.
const HEADERS: usize = 64 * 1024;

/// Redirects of one request.
const REDIRECTS: u32 = 5;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// `POST`, `PATCH`, `DELETE`, `OPTIONS`.
    pub method: Method,
    /// To where.
    pub url: Url,
    /// `Content-Type`, and what is in it.
    pub body: Option<(&'static str, String)>,
    /// `If-Match`.
    pub if_match: Option<String>,
    /// The token is not shown: the address comes from somebody who was not shown it either.
    pub without_token: bool,
}

impl Ask {
    /// One without a body.
    pub(crate) const fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            body: None,
            if_match: None,
            without_token: false,
        }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Who answered in the end, after redirects.
    pub url: Url,
    /// How.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// As text; what is no UTF-8 is replaced.
    pub body: String,
    /// The token was not shown to who answered: it is another than the one that was asked.
    pub without_token: bool,
}

impl Reply {
    /// A header's value, if it is text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Every value of a header.
    pub(crate) fn headers<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a str> {
        let all = self.headers.get_all(name).iter();
        all.filter_map(|value| value.to_str().ok())
    }
}

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Not reached.
    #[error("{server} cannot be reached: {why}; check the URL and the network")]
    Unreachable {
        /// Where.
        server: String,
        /// What the network said.
        why: String,
    },
    /// Its certificate is no proof.
    #[error("{server} is not trusted: {why}")]
    Untrusted {
        /// Where.
        server: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// No secure connection, for another reason.
    #[error("no secure connection to {server}: {why}; use http: if the server has no certificate")]
    Tls {
        /// Where.
        server: String,
        /// What TLS says.
        why: String,
    },
    /// Something else than HTTP, or it broke off.
    #[error("{server} does not answer as an HTTP server does: {why}; check the URL")]
    Broken {
        /// Where.
        server: String,
        /// What happened.
        why: String,
    },
    /// Too slow.
    #[error("{server} did not answer {what} within {seconds} s; try again later")]
    Late {
        /// Where.
        server: String,
        /// Which request.
        what: Method,
        /// What it was given.
        seconds: u64,
    },
    /// From one to the next.
    #[error(
        "{server} was redirected {REDIRECTS} times and more, last to {last}; give the address of the endpoint itself"
    )]
    Redirects {
        /// Where it began.
        server: String,
        /// Where it was to go on.
        last: String,
    },
    /// To nowhere, or where our secrets would be read on the way.
    #[error("{server} redirects to {to:?}, which is not followed: {why}")]
    Redirect {
        /// Who.
        server: String,
        /// Where.
        to: String,
        /// Why not.
        why: &'static str,
    },
}

impl From<HttpError> for SignalingError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Untrusted { server, why } => Self::Untrusted { server, why },
            error => Self::Http(error),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Asks.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// Whom to believe by TLS.
    pub trust: Trust,
    /// Shown to the server that was asked.
    pub token: Option<AuthToken>,
    /// The program we are.
    pub agent: String,
    /// What connecting, and answering, may take.
    pub patience: Duration,
}

impl Http {
    /// Asks once, and again where a server redirects: with the same method and body, which is what 307 and 308 are for (RFC 9110,
    /// sections 15.4.8 and 15.4.9). 301, 302 and 303 would make a `GET` of it, so they are an answer like any other.
    ///
    /// # Errors
    /// When nobody answers, or not in time.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Reply, HttpError> {
        let mut url = ask.url.clone();
        for _ in 0..=REDIRECTS {
            let same = !ask.without_token && url.origin() == ask.url.origin();
            let once = self.once(&ask, &url, same);
            let reply = match timeout(self.patience * 2, once).await {
                Ok(reply) => reply?,
                Err(_) => {
                    return Err(HttpError::Late {
                        server: origin(&url),
                        what: ask.method,
                        seconds: (self.patience * 2).as_secs(),
                    });
                }
            };
            let further = [
                StatusCode::TEMPORARY_REDIRECT,
                StatusCode::PERMANENT_REDIRECT,
            ];
            if !further.contains(&reply.status) {
                return Ok(reply);
            }
            url = further_to(&url, reply.header(&LOCATION))?;
            tracing::debug!("{} is redirected to {url}", ask.method);
        }
        Err(HttpError::Redirects {
            server: origin(&ask.url),
            last: origin(&url),
        })
    }

    async fn once(&self, ask: &Ask, url: &Url, same: bool) -> Result<Reply, HttpError> {
        let broken = |error: &dyn std::fmt::Display| HttpError::Broken {
            server: origin(url),
            why: error.to_string(),
        };
        let stream = self.connect(url).await?;
        let made = http1::Builder::new()
            .max_buf_size(HEADERS)
            .handshake(TokioIo::new(stream))
            .await;
        let (mut sender, connection) = made.map_err(|error| broken(&error))?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("an HTTP connection ended: {error}");
            }
        }));
        let request = self.request(ask, url, same);
        let request = request.map_err(|error| broken(&error))?;
        let sent = sender.send_request(request).await;
        let (head, body) = sent.map_err(|error| broken(&error))?.into_parts();
        let body = Limited::new(body, BODY).collect().await;
        let body = body.map_err(|error| broken(&error))?.to_bytes();
        Ok(Reply {
            url: url.clone(),
            status: head.status,
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            without_token: self.token.is_some() && !same,
        })
    }

    fn request(
        &self,
        ask: &Ask,
        url: &Url,
        same: bool,
    ) -> hyper::http::Result<Request<Full<Bytes>>> {
        let mut target = url.path().to_owned();
        if let Some(query) = url.query() {
            target = format!("{target}?{query}");
        }
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(target)
            .header(HOST, authority(url))
            .header(USER_AGENT, &self.agent)
            .header(
                ACCEPT,
                "application/sdp, application/trickle-ice-sdpfrag, */*;q=0.1",
            )
            .header(CONNECTION, "close");
        // An open redirect must not carry the token off.
        if let Some(token) = self.token.as_ref().filter(|_| same) {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.secret()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if let Some(tag) = &ask.if_match {
            request = request.header(hyper::header::IF_MATCH, tag);
        }
        let mut body = Bytes::new();
        if let Some((media_type, text)) = &ask.body {
            request = request.header(CONTENT_TYPE, *media_type);
            body = Bytes::from(text.clone());
        }
        request.body(Full::new(body))
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Stream>, HttpError> {
        let server = || origin(url);
        let unreachable = |error: &io::Error| HttpError::Unreachable {
            server: server(),
            why: match error.kind() {
                io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
                io::ErrorKind::TimedOut => "no answer in time".to_owned(),
                _ => error.to_string(),
            },
        };
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let port = url.port_or_known_default().unwrap_or(80);
        let host = bare_host(url);
        let found = timeout(self.patience, lookup_host((host.as_str(), port))).await;
        let found = found.map_err(|_| late()).and_then(|found| found);
        let found = found.map_err(|error| HttpError::Unreachable {
            server: server(),
            why: format!("its name cannot be resolved ({error})"),
        })?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let mut stream = None;
        for address in found {
            let tried = timeout(self.patience, TcpStream::connect(address)).await;
            match tried.map_err(|_| late()).and_then(|tried| tried) {
                Ok(open) => {
                    stream = Some(open);
                    break;
                }
                // A refusal says more than what an address family that is not there says.
                Err(error) if last.kind() != io::ErrorKind::ConnectionRefused => last = error,
                Err(_) => {}
            }
        }
        let stream = stream.ok_or_else(|| unreachable(&last))?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch Nagle's algorithm off");
        }
        if url.scheme() != "https" {
            return Ok(Box::new(stream));
        }
        let tls = |why: String| HttpError::Tls {
            server: server(),
            why,
        };
        let config = self
            .trust
            .config()
            .map_err(|error| tls(error.to_string()))?;
        let name = ServerName::try_from(host).map_err(|error| tls(error.to_string()))?;
        let shaken = TlsConnector::from(config).connect(name, stream);
        let shaken = timeout(self.patience, shaken).await.map_err(|_| late());
        match shaken.and_then(|shaken| shaken) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(match Distrust::in_error(&error) {
                Some(why) => HttpError::Untrusted {
                    server: server(),
                    why: why.to_string(),
                },
                None => tls(error.to_string()),
            }),
        }
    }
}

/// As the resolver and TLS take it: no brackets around an IPv6 address.
fn bare_host(url: &Url) -> String {
    match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => String::new(),
    }
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A server in words: nothing of the path, which may be a secret.
pub(super) fn origin(url: &Url) -> String {
    format!("{}://{}", url.scheme(), authority(url))
}

/// Where a redirect leads (RFC 9110, section 10.2.2).
fn further_to(from: &Url, to: Option<&str>) -> Result<Url, HttpError> {
    let refused = |to: &str, why| HttpError::Redirect {
        server: origin(from),
        to: to.chars().take(200).collect(),
        why,
    };
    let to = to.ok_or_else(|| refused("", "it has no Location"))?;
    resolve(from, to).map_err(|why| refused(to, why))
}

/// A reference in an answer of who is at `base`, relative or absolute (RFC 3986, section 5).
///
/// # Errors
/// Why it is not used.
pub(crate) fn resolve(base: &Url, reference: &str) -> Result<Url, &'static str> {
    let mut url = base
        .join(reference.trim())
        .map_err(|_| "it is no address")?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("it is no address of HTTP");
    }
    if base.scheme() == "https" && url.scheme() != "https" {
        return Err("the way there is not encrypted, and the way here was");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a user name or password");
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests;
