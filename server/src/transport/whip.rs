//! WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) over HTTP: `/whip/{room}` and `/whep/{room}`.
//!
//! Here are requests, headers and status codes. What a session does is in [`rtc_protocol::dialect::whip`], the task that
//! performs it in [`session`].

mod cors;
mod session;

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, LINK, LOCATION,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any};
use axum::{Router, http::Method};
use rtc_protocol::dialect::whip::{
    Flow, Fragment, Offer, Patience, Plan, Precondition, Refusal, Reply, fragment, sdp,
};
use rtc_protocol::{ErrorCode, IceServer, Name, RoomId};
use serde::Deserialize;
use tokio::time::timeout;

use crate::access::{self, Denied, Moment, Rights};
use crate::http::Shared;
use crate::listener::{Crowded, Visitor};
use crate::metrics::Limit;
use cors::Origin;
pub(crate) use session::Sessions;

/// The media type of offers and answers.
const SDP: &str = "application/sdp";

/// The methods of the two kinds of resources; each also in `Allow`.
const ENDPOINT: &str = "POST, GET, HEAD, OPTIONS";
const SESSION: &str = "PATCH, DELETE, GET, HEAD, OPTIONS";

/// When to come back, in seconds: time for a person to open the room.
const RETRY_SECONDS: &str = "5";

const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// A tenth of the peers that a server takes on WebSockets.
pub(crate) const SESSIONS: usize = 1_000;

/// A studio behind one address fits in.
pub(crate) const SESSIONS_PER_ADDRESS: usize = 16;

/// What publishers and players are held to.
#[derive(Clone, Debug)]
pub struct WhipConfig {
    /// Sessions at once.
    pub sessions: usize,
    /// Sessions of one address: one of IPv4, or a /64 of IPv6; in a cluster, at all servers together.
    pub sessions_per_address: usize,
    /// How long things may take.
    pub patience: Patience,
}

impl Default for WhipConfig {
    fn default() -> Self {
        Self {
            sessions: SESSIONS,
            sessions_per_address: SESSIONS_PER_ADDRESS,
            patience: Patience::default(),
        }
    }
}

/// Both protocols' paths.
pub(crate) fn router() -> Router<Shared> {
    let endpoint = |flow| -> MethodRouter<Shared> {
        any(move |state, path, visitor, request| endpoint(flow, state, path, visitor, request))
            .layer(DefaultBodyLimit::max(sdp::OFFER_BYTES))
    };
    let session = |flow| -> MethodRouter<Shared> {
        any(move |state, path, request| session(flow, state, path, request))
            .layer(DefaultBodyLimit::max(fragment::FRAGMENT_BYTES))
    };
    Router::new()
        .route("/whip/{room}", endpoint(Flow::Publish))
        .route("/whep/{room}", endpoint(Flow::Play))
        .route("/whip/{room}/{session}", session(Flow::Publish))
        .route("/whep/{room}/{session}", session(Flow::Play))
}

/// What may stand behind the `?` of an endpoint.
#[derive(Debug, Default, Deserialize)]
struct Wishes {
    /// The name to go by.
    name: Option<String>,
    /// The member to be connected with, by name or id.
    to: Option<String>,
}

type Answer = Response<Body>;

/// A refusal: the status, and words for people.
struct Refuse {
    status: StatusCode,
    words: String,
    /// For `WWW-Authenticate`.
    challenge: Option<&'static str>,
}

impl Refuse {
    fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self {
            status,
            words: words.into(),
            challenge: None,
        }
    }
}

impl IntoResponse for Refuse {
    fn into_response(self) -> Answer {
        let mut response = (self.status, format!("{}\n", self.words)).into_response();
        let again = matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT
        );
        if again {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        if let Some(challenge) = self.challenge {
            let headers = response.headers_mut();
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

async fn endpoint(
    flow: Flow,
    State(shared): State<Shared>,
    Path(room): Path<String>,
    visitor: axum::Extension<Visitor>,
    request: Request,
) -> Answer {
    if let Some(refusal) = shared.of_another_site(request.headers()) {
        return refusal;
    }
    let origin = Origin::of(request.headers());
    let answer = match *request.method() {
        Method::POST => {
            let made = create(flow, &shared, &room, visitor.0, request).await;
            made.unwrap_or_else(Refuse::into_response)
        }
        Method::OPTIONS => options(ENDPOINT, ACCEPT_POST, SDP),
        // There is no representation of it, and none is reserved for one (RFC 9725 section 4.1).
        Method::GET | Method::HEAD => StatusCode::NO_CONTENT.into_response(),
        _ => not_allowed(ENDPOINT),
    };
    origin.dress(answer)
}

async fn session(
    flow: Flow,
    State(shared): State<Shared>,
    Path((room, id)): Path<(String, String)>,
    request: Request,
) -> Answer {
    if let Some(refusal) = shared.of_another_site(request.headers()) {
        return refusal;
    }
    let origin = Origin::of(request.headers());
    let answer = match *request.method() {
        Method::OPTIONS => options(SESSION, ACCEPT_PATCH, fragment::MEDIA_TYPE),
        Method::PATCH | Method::DELETE | Method::GET | Method::HEAD => {
            let found = admit(&shared, request.headers(), &room).and_then(|(room, _)| {
                shared
                    .whip
                    .find(flow, &room, &id)
                    .ok_or_else(no_such_session)
            });
            match found {
                Err(refused) => refused.into_response(),
                Ok(handle) => match *request.method() {
                    Method::PATCH => {
                        let done = patch(&shared, handle, request).await;
                        done.unwrap_or_else(Refuse::into_response)
                    }
                    Method::DELETE => {
                        handle.delete().await;
                        StatusCode::OK.into_response()
                    }
                    _ => StatusCode::NO_CONTENT.into_response(),
                },
            }
        }
        _ => not_allowed(SESSION),
    };
    origin.dress(answer)
}

/// Who may do this: every request but `OPTIONS` comes by here (RFC 9725 section 4.7). Gives the room, and the rights
/// that the hub asks at the join.
fn admit(shared: &Shared, headers: &HeaderMap, room: &str) -> Result<(RoomId, Rights), Refuse> {
    let shown = access::bearer(headers);
    let rights = shared.config.access.check(shown, Moment::now());
    let rights = rights.map_err(|denied| {
        shared.metrics.refused(denied.code());
        let challenge = match denied {
            // RFC 6750 section 3.1: who showed nothing is told nothing more.
            Denied::Missing => "Bearer",
            _ => "Bearer error=\"invalid_token\"",
        };
        Refuse {
            challenge: Some(challenge),
            ..Refuse::new(StatusCode::UNAUTHORIZED, denied.to_string())
        }
    })?;
    let room = RoomId::new(room);
    let room = room.map_err(|error| Refuse::new(StatusCode::NOT_FOUND, error.to_string()))?;
    let entered = rights.join(&room, Moment::now().steady);
    entered.map_err(|(code, words)| {
        shared.metrics.refused(code);
        Refuse::new(StatusCode::FORBIDDEN, words)
    })?;
    Ok((room, rights))
}

async fn create(
    flow: Flow,
    shared: &Shared,
    room: &str,
    visitor: Visitor,
    request: Request,
) -> Result<Answer, Refuse> {
    let (room, rights) = admit(shared, request.headers(), room)?;
    if let Some(elsewhere) = shared.sent_elsewhere() {
        return Ok(elsewhere);
    }
    if flow == Flow::Publish && !rights.publish() {
        shared.metrics.refused(ErrorCode::NotAllowed);
        let words = "the token does not allow to send; make one with the right `publish`";
        return Err(Refuse::new(StatusCode::FORBIDDEN, words));
    }
    let Query(wishes): Query<Wishes> = Query::try_from_uri(request.uri())
        .map_err(|error| Refuse::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let name = wishes.name.as_deref().map(Name::new).transpose();
    let name = name.map_err(|error| Refuse::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    expect_type(request.headers(), SDP)?;
    let path = request.uri().path().trim_end_matches('/').to_owned();
    let place = shared.whip.places().take(visitor.address.ip());
    let place = place.map_err(|crowded| {
        shared.metrics.limits_hit.inc(match crowded {
            Crowded::Address | Crowded::Everywhere | Crowded::Often => Limit::ConnectionsPerAddress,
            Crowded::Server => Limit::Connections,
        });
        match crowded {
            Crowded::Everywhere => {
                shared.metrics.cluster_limits_hit.inc();
                Refuse::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "your address has as many sessions as it may, at all servers here together; DELETE one first",
                )
            }
            Crowded::Address | Crowded::Often => Refuse::new(
                StatusCode::TOO_MANY_REQUESTS,
                "your address has as many sessions here as it may; DELETE one first",
            ),
            Crowded::Server => Refuse::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the server has as many sessions as it may; try again later",
            ),
        }
    })?;
    let text = text(request, shared.config.header_time, sdp::OFFER_BYTES).await?;
    let offer = Offer::read(&text, flow).map_err(|error| {
        let status = if error.is_syntax() {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        Refuse::new(status, error.to_string())
    })?;
    let plan = Plan {
        flow,
        room,
        name,
        wanted: wishes.to,
        offer,
        patience: shared.config.whip.patience,
    };
    let (id, reply) = shared
        .whip
        .open(shared, plan, rights, text.len(), place)
        .await;
    match reply {
        Reply::Created {
            answer,
            etag,
            ice_servers,
        } => {
            let mut response = (StatusCode::CREATED, answer).into_response();
            let headers = response.headers_mut();
            let mut set = |name, value: &str| {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.insert(name, value);
                }
            };
            set(CONTENT_TYPE, SDP);
            set(LOCATION, &format!("{path}/{id}"));
            set(ETAG, &etag);
            set(ACCEPT_PATCH, fragment::MEDIA_TYPE);
            set(CACHE_CONTROL, "no-store");
            for link in ice_servers.iter().flat_map(links) {
                headers.append(LINK, link);
            }
            Ok(response)
        }
        reply => Err(refuse(flow, reply)),
    }
}

async fn patch(
    shared: &Shared,
    handle: session::Handle,
    request: Request,
) -> Result<Answer, Refuse> {
    let headers = request.headers();
    expect_type(headers, fragment::MEDIA_TYPE)?;
    // Several of them are one list (RFC 9110 section 5.3).
    let matches: Vec<&str> = headers
        .get_all(IF_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let precondition = match matches.as_slice() {
        [] => Precondition::read(None),
        several => Precondition::read(Some(&several.join(","))),
    };
    let time = shared.config.header_time;
    let text = text(request, time, fragment::FRAGMENT_BYTES).await?;
    let fragment = Fragment::read(&text)
        .map_err(|error| Refuse::new(StatusCode::BAD_REQUEST, error.to_string()))?;
    match handle.patch(precondition, fragment, text.len()).await {
        Ok(Reply::Trickled) => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(Reply::Restarted { fragment, etag }) => {
            let headers = [
                (CONTENT_TYPE, fragment::MEDIA_TYPE.to_owned()),
                (ETAG, etag),
                (CACHE_CONTROL, "no-store".to_owned()),
            ];
            Ok((headers, fragment).into_response())
        }
        Ok(reply) => Err(refuse(handle.flow(), reply)),
        Err(session::TooFast) => {
            shared.metrics.limits_hit.inc(Limit::Rate);
            Err(Refuse::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too many PATCH requests; send several candidates in one",
            ))
        }
    }
}

fn no_such_session() -> Refuse {
    Refuse::new(
        StatusCode::NOT_FOUND,
        "there is no such session, or it has ended; POST a new offer",
    )
}

/// The status of each refusal.
fn refuse(flow: Flow, reply: Reply) -> Refuse {
    let Reply::Refused(refusal) = reply else {
        return Refuse::new(StatusCode::INTERNAL_SERVER_ERROR, "no answer was made");
    };
    let status = match &refusal {
        Refusal::Nobody { .. } | Refusal::NotThere { .. } => match flow {
            Flow::Publish => StatusCode::SERVICE_UNAVAILABLE,
            // As its draft says for what is not live, section "Session Management".
            Flow::Play => StatusCode::CONFLICT,
        },
        Refusal::NoAnswer => StatusCode::GATEWAY_TIMEOUT,
        Refusal::BadAnswer => StatusCode::BAD_GATEWAY,
        Refusal::Unwanted(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::Full(_) | Refusal::Restarting => StatusCode::CONFLICT,
        Refusal::Core(ErrorCode::NotAllowed, _) => StatusCode::FORBIDDEN,
        Refusal::PreconditionMissing => StatusCode::PRECONDITION_REQUIRED,
        Refusal::PreconditionFailed { .. } => StatusCode::PRECONDITION_FAILED,
        Refusal::Ended => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Refuse::new(status, refusal.to_string())
}

fn options(methods: &'static str, accept: HeaderName, media_type: &'static str) -> Answer {
    (
        StatusCode::OK,
        [
            (ALLOW, HeaderValue::from_static(methods)),
            (accept, HeaderValue::from_static(media_type)),
        ],
    )
        .into_response()
}

fn not_allowed(methods: &'static str) -> Answer {
    let words = format!("this may be asked for: {methods}\n");
    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, methods)], words).into_response()
}

/// Parameters behind the type do not count, nor does its case (RFC 9110 section 8.3.1).
fn expect_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), Refuse> {
    let found = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let found = found.and_then(|value| value.split(|b| *b == b';').next());
    let is = found.is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()));
    if is {
        return Ok(());
    }
    Err(Refuse::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        format!("the Content-Type must be {wanted}"),
    ))
}

/// The body, whole and in time.
async fn text(request: Request, time: Duration, most: usize) -> Result<String, Refuse> {
    let too_large = || {
        let words = format!("the body may have {most} bytes at most");
        Refuse::new(StatusCode::PAYLOAD_TOO_LARGE, words)
    };
    // One that says so is not read at all.
    if request.body().size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    let body = timeout(time, Bytes::from_request(request, &())).await;
    let Ok(body) = body else {
        return Err(Refuse::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time",
        ));
    };
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        status => Refuse::new(status, error.body_text()),
    })?;
    String::from_utf8(body.into())
        .map_err(|_| Refuse::new(StatusCode::BAD_REQUEST, "the body is no UTF-8; send text"))
}

/// One `Link` header for each URL (RFC 9725 section 4.6).
fn links(server: &IceServer) -> Vec<HeaderValue> {
    let one = |url: &String| {
        let mut link = format!("<{url}>; rel=\"ice-server\"");
        if let (Some(username), Some(credential)) = (&server.username, &server.credential) {
            link.push_str(&format!(
                "; username={}; credential={}; credential-type=\"password\"",
                quoted(username),
                quoted(credential)
            ));
        }
        HeaderValue::from_str(&link).ok()
    };
    server.urls.iter().filter_map(one).collect()
}

/// A quoted string (RFC 9110 section 5.6.4).
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn links_carry_credentials_in_quotes() {
        let server = IceServer {
            urls: vec!["turn:t.example:3478?transport=udp".into(), "turns:t".into()],
            username: Some("a\"b".into()),
            credential: Some("c\\d".into()),
        };
        let links = links(&server);
        assert_eq!(
            links[0].to_str().unwrap(),
            r#"<turn:t.example:3478?transport=udp>; rel="ice-server"; username="a\"b"; credential="c\\d"; credential-type="password""#
        );
        assert_eq!(links.len(), 2);
        let stun = IceServer {
            urls: vec!["stun:s".into()],
            username: None,
            credential: None,
        };
        assert_eq!(super::links(&stun)[0], r#"<stun:s>; rel="ice-server""#);
    }

    #[test]
    fn a_media_type_is_one_whatever_its_case_and_parameters() {
        let is = |value: &'static str| {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            expect_type(&headers, SDP).is_ok()
        };
        assert!(is("application/sdp") && is("Application/SDP ; charset=utf-8"));
        assert!(!is("application/sdpx") && !is("text/plain") && !is(""));
        assert!(expect_type(&HeaderMap::new(), SDP).is_err());
    }
}
