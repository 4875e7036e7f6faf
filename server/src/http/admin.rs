//! What the administrator can do over HTTP: see the rooms, speak to everybody, let the server drain.
//!
//! A request shows the administrator's token, or a room token with the right `admin`, as `Authorization: Bearer`
//! (RFC 6750). No page can make a browser add that header by itself, so there is no forging across sites.

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Query, State};
use axum::http::header::{CACHE_CONTROL, HeaderMap, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use rtc_protocol::{Raw, RoomId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

use super::Shared;
use crate::access::{self, Moment};
use crate::hub::{Finding, RoomReport, Survey};

/// Rooms of one answer where nothing is said, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

pub(super) fn routes(message_bytes: usize) -> Router<Shared> {
    Router::new()
        .route("/api/rooms", get(rooms))
        .route("/api/drain", post(drain))
        .route("/api/broadcast", post(broadcast))
        .layer(DefaultBodyLimit::max(message_bytes))
}

/// Which part of the list is wanted.
#[derive(Debug, Deserialize)]
struct Part {
    /// The last room of the part before.
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Rooms {
    rooms: Vec<RoomReport>,
    /// To be asked for with `after`, where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<RoomId>,
    /// A server of the cluster did not answer; its rooms may be missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
}

async fn rooms(
    State(shared): State<Shared>,
    headers: HeaderMap,
    part: Result<Query<Part>, QueryRejection>,
) -> Response<Body> {
    if let Some(refusal) = refuse(&shared, &headers) {
        return refusal;
    }
    let Ok(Query(part)) = part else {
        return problem(
            StatusCode::BAD_REQUEST,
            "give after=ROOM and limit=N, or leave them out",
        );
    };
    let limit = part.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
    let Survey { finding, partial } = shared.switchboard.rooms(part.after.as_deref(), limit).await;
    let Finding { rooms, more, .. } = finding;
    let next = rooms.last().filter(|_| more).map(|room| room.room.clone());
    let rooms = Rooms {
        rooms,
        next,
        partial,
    };
    answer(StatusCode::OK, &rooms)
}

async fn drain(State(shared): State<Shared>, headers: HeaderMap) -> Response<Body> {
    if let Some(refusal) = refuse(&shared, &headers) {
        return refusal;
    }
    tracing::info!("the administrator lets the server drain");
    shared.switchboard.begin_drain();
    let peers = shared.switchboard.counts().sessions;
    answer(
        StatusCode::ACCEPTED,
        &json!({ "draining": true, "peers": peers }),
    )
}

async fn broadcast(State(shared): State<Shared>, request: Request<Body>) -> Response<Body> {
    // Before the body: nobody else holds a place with one that comes slowly.
    if let Some(refusal) = refuse(&shared, request.headers()) {
        return refusal;
    }
    let body = timeout(shared.config.header_time, Bytes::from_request(request, &())).await;
    let body = match body {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return problem(error.status(), &error.body_text()),
        Err(_) => return problem(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
    };
    let data = std::str::from_utf8(&body).ok().map(Raw::parse);
    let Some(Ok(data)) = data else {
        return problem(
            StatusCode::BAD_REQUEST,
            "the body is no JSON, or nested too deeply; send one JSON value",
        );
    };
    let Survey { finding, partial } = shared.switchboard.broadcast(data).await;
    let told = finding.told;
    tracing::info!(told, partial, "the administrator speaks to everybody");
    let mut body = json!({ "told": told });
    if partial {
        body["partial"] = true.into();
    }
    answer(StatusCode::OK, &body)
}

/// Why this request may not; none when it may.
fn refuse(shared: &Shared, headers: &HeaderMap) -> Option<Response<Body>> {
    if may_administrate(shared, headers) {
        return None;
    }
    let hint = "this is for the administrator: start the server with --admin-token, and send that token as \
        Authorization: Bearer TOKEN";
    if headers.contains_key(axum::http::header::AUTHORIZATION) {
        return Some(problem(StatusCode::FORBIDDEN, hint));
    }
    let mut response = problem(StatusCode::UNAUTHORIZED, hint);
    let bearer = HeaderValue::from_static("Bearer realm=\"rtc-server\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    Some(response)
}

fn may_administrate(shared: &Shared, headers: &HeaderMap) -> bool {
    let now = Moment::now();
    let rights = shared.config.access.check(access::bearer(headers), now);
    rights.is_ok_and(|rights| rights.administrate(now.steady))
}

fn problem(status: StatusCode, why: &str) -> Response<Body> {
    answer(status, &json!({ "error": why }))
}

fn answer(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
