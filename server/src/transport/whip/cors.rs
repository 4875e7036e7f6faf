//! Which pages may publish and play (the Fetch standard's CORS protocol).
//!
//! The rule is that of the WebSocket: the server's own pages and those of `--allow-origin`. Without it any page that
//! somebody looks at could enter rooms of a server that only that browser reaches.

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderName, HeaderValue, ORIGIN, VARY,
};
use axum::http::{HeaderMap, Response};

const EVERY: [(HeaderName, &str); 5] = [
    (
        ACCESS_CONTROL_ALLOW_METHODS,
        "POST, PATCH, DELETE, GET, HEAD, OPTIONS",
    ),
    (
        ACCESS_CONTROL_ALLOW_HEADERS,
        "Authorization, Content-Type, If-Match",
    ),
    (
        ACCESS_CONTROL_EXPOSE_HEADERS,
        "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, WWW-Authenticate",
    ),
    (ACCESS_CONTROL_MAX_AGE, "7200"),
    (VARY, "Origin"),
];

/// The page that asks, if it is one.
#[derive(Debug)]
pub(super) struct Origin(Option<HeaderValue>);

impl Origin {
    /// Of a request that `Shared::of_another_site` has let pass.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get(ORIGIN).cloned())
    }

    /// Lets the page see the answer.
    pub(super) fn dress(self, mut answer: Response<Body>) -> Response<Body> {
        if let Some(origin) = self.0 {
            let headers = answer.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            for (name, value) in EVERY {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        answer
    }
}
