//! The manners of every WebSocket (RFC 6455): what a broken frame is answered with, and how a link is closed.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::StreamExt;
use rtc_protocol::close;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::error::ProtocolError;

/// How long the closing handshake may take; a peer that does not read is not waited for.
const PARTING: Duration = Duration::from_secs(1);

/// A close code and what it means.
pub(crate) type Reason = (u16, &'static str);

pub(crate) const TOO_LARGE: Reason = (close::TOO_LARGE, "message too large");
const BROKEN_FRAME: Reason = (close::PROTOCOL, "broken WebSocket frame");
const NOT_UTF8: Reason = (close::NOT_UTF8, "text that is not UTF-8");

/// What a failed read is answered with (RFC 6455, section 7.4.1); none where the link itself is gone.
pub(crate) fn fault(error: &axum::Error) -> Option<Reason> {
    let source = std::error::Error::source(error)?;
    match source.downcast_ref::<WsError>()? {
        WsError::Capacity(_) => Some(TOO_LARGE),
        WsError::Utf8(_) => Some(NOT_UTF8),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
        WsError::Protocol(_) => Some(BROKEN_FRAME),
        _ => None,
    }
}

/// Says why and closes.
pub(crate) async fn goodbye(socket: &mut WebSocket, (code, reason): Reason) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let said = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // The peer's own close frame ends the exchange (section 5.5.1).
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = timeout(PARTING, said).await;
}

/// Answers the close frame that was just read: the library has its echo ready, and writes it when asked for more.
pub(crate) async fn closed_by_peer(socket: &mut WebSocket) {
    let answered = async { while let Some(Ok(_)) = socket.next().await {} };
    let _ = timeout(PARTING, answered).await;
}
