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
    if shared.drain.is_cancelled() {
        elsewhere()
    } else if full {
        not_now("full\n")
    } else {
        (StatusCode::OK, [(CACHE_CONTROL, "no-store")], "ready\n").into_response()
    }
}

/// The answer to whoever is new while the server drains.
pub(super) fn elsewhere() -> Response<Body> {
    not_now("draining\n")
}

fn not_now(why: &'static str) -> Response<Body> {
    let headers = [(CACHE_CONTROL, "no-store"), (RETRY_AFTER, LATER)];
    (StatusCode::SERVICE_UNAVAILABLE, headers, why).into_response()
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
