//! The opening handshake of every WebSocket, checked as RFC 6455 section 4.2 asks, and refused in words.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;

/// What one WebSocket reads into, there for every idle peer too; the library's own default is 128 KiB. A larger message
/// gets its memory when its length is known, for as long as it lasts.
const READ_BUFFER: usize = 1024;

/// Bytes that are collected before they are written, where more is to come; nothing is held for it in advance.
const WRITE_BUFFER: usize = 4 * 1024;

/// A request that asks for a WebSocket and does it right. No extension is taken up, whatever is offered: a message has
/// one size, and what is compressed is a broken frame (section 5.2, RSV1).
#[derive(Debug)]
pub(crate) struct Handshake(pub(crate) WebSocketUpgrade);

impl<S: Send + Sync> FromRequestParts<S> for Handshake {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let key_is_right = one(&parts.headers, SEC_WEBSOCKET_KEY).is_some_and(is_key);
        match WebSocketUpgrade::from_request_parts(parts, state).await {
            Ok(upgrade) if key_is_right => Ok(Self(upgrade)),
            Ok(_) => Err(refuse(
                StatusCode::BAD_REQUEST,
                "one Sec-WebSocket-Key of 16 bytes in base64 is needed\n",
                &[],
            )),
            Err(rejection) => Err(refused(rejection)),
        }
    }
}

/// Holds a WebSocket to messages of this size and to small buffers.
pub(crate) fn sized(upgrade: WebSocketUpgrade, message_bytes: usize) -> WebSocketUpgrade {
    upgrade
        .max_message_size(message_bytes)
        .max_frame_size(message_bytes)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(message_bytes * 2 + WRITE_BUFFER)
}

fn refused(rejection: WebSocketUpgradeRejection) -> Response<Body> {
    use WebSocketUpgradeRejection as R;
    let websocket = (UPGRADE, "websocket");
    match rejection {
        // Section 4.4: the client learns which version to come back with.
        R::InvalidWebSocketVersionHeader(_) => refuse(
            StatusCode::UPGRADE_REQUIRED,
            "version 13 of WebSocket is spoken here\n",
            &[websocket, (SEC_WEBSOCKET_VERSION, "13")],
        ),
        R::InvalidConnectionHeader(_)
        | R::InvalidUpgradeHeader(_)
        | R::ConnectionNotUpgradable(_) => refuse(
            StatusCode::UPGRADE_REQUIRED,
            "this is a WebSocket: connect with a WebSocket client, over HTTP/1.1\n",
            &[websocket],
        ),
        other => other.into_response(),
    }
}

fn refuse(
    status: StatusCode,
    words: &'static str,
    headers: &[(HeaderName, &'static str)],
) -> Response<Body> {
    let mut response = (status, words).into_response();
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    if status == StatusCode::UPGRADE_REQUIRED {
        // RFC 9110, section 7.8: Upgrade is of this hop, and has to be said so.
        let upgrade = HeaderValue::from_static("upgrade");
        response.headers_mut().insert(CONNECTION, upgrade);
    }
    response
}

/// The value of a header that is there once.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut all = headers.get_all(name).into_iter();
    all.next().filter(|_| all.next().is_none())
}

/// 16 bytes in base64 are 22 characters and two of padding.
fn is_key(value: &HeaderValue) -> bool {
    let of_base64 = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/');
    value
        .as_bytes()
        .split_last_chunk::<2>()
        .is_some_and(|(key, padding)| {
            key.len() == 22 && padding == b"==" && key.iter().all(of_base64)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_16_bytes_in_base64_and_there_is_one() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert!(is_key(&key));
        for bad in [
            "",
            "==",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub2*jZQ==",
        ] {
            assert!(!is_key(&HeaderValue::from_static(bad)), "{bad}");
        }
        let mut headers = HeaderMap::new();
        headers.append(SEC_WEBSOCKET_KEY, key.clone());
        assert!(one(&headers, SEC_WEBSOCKET_KEY).is_some());
        headers.append(SEC_WEBSOCKET_KEY, key);
        assert!(one(&headers, SEC_WEBSOCKET_KEY).is_none());
    }
}
