//! What whoever looks after the server asks it: is it alive, is it ready for new peers, what has it counted.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LINK, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;

use super::Shared;
use crate::metrics::{self, Refused};

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
    if shared.switchboard.draining().is_cancelled() {
        shared.elsewhere()
    } else if full {
        not_now("full\n")
    } else {
        (StatusCode::OK, [(CACHE_CONTROL, "no-store")], "ready\n").into_response()
    }
}

impl Shared {
    /// The answer to a newcomer while the server drains; none while it does not.
    pub(crate) fn sent_elsewhere(&self) -> Option<Response<Body>> {
        if !self.switchboard.draining().is_cancelled() {
            return None;
        }
        self.metrics.connections_refused.inc(Refused::GoingAway);
        Some(self.elsewhere())
    }

    /// With the other server's address, where there is one (RFC 8288; `alternate` is the closest relation that is
    /// registered).
    fn elsewhere(&self) -> Response<Body> {
        let mut response = not_now("draining\n");
        let url = self.config.drain_url.as_ref();
        let link = url.map(|url| HeaderValue::from_str(&format!("<{url}>; rel=\"alternate\"")));
        if let Some(Ok(link)) = link {
            response.headers_mut().insert(LINK, link);
        }
        response
    }
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
