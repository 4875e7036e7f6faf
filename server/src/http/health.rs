//! What whoever looks after the server asks it: is it alive, is it ready for new peers, what has it counted.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;

use super::Shared;
use crate::metrics;

/// Seconds after which whoever was told that the server is not ready may look again.
const LATER: &str = "5";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
}

/// Asks the room core itself: a server whose core hangs is not alive.
async fn alive(State(shared): State<Shared>) -> impl IntoResponse {
    let counts = shared.switchboard.counts();
    let text = format!(
        "{{\"status\":\"ok\",\"peers\":{},\"rooms\":{},\"slowReadersClosed\":{}}}\n",
        counts.sessions,
        counts.rooms,
        shared.switchboard.slow_readers()
    );
    (
        [
            (CONTENT_TYPE, "application/json"),
            (CACHE_CONTROL, "no-store"),
        ],
        text,
    )
}

/// Whether new peers are welcome; a load balancer asks this.
async fn ready(State(shared): State<Shared>) -> Response<Body> {
    let full = shared.connections.len() >= shared.config.connections;
    let (status, text) = if shared.drain.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else if full {
        (StatusCode::SERVICE_UNAVAILABLE, "full\n")
    } else {
        (StatusCode::OK, "ready\n")
    };
    let mut response = (status, [(CACHE_CONTROL, "no-store")], text).into_response();
    if status != StatusCode::OK {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, axum::http::HeaderValue::from_static(LATER));
    }
    response
}

async fn scrape(State(shared): State<Shared>) -> Response<Body> {
    match shared.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!("the metrics cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
