//! What a connection hears for which there is no place.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Place;

/// How long the peer may take to hear it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers whatever the request will be, and closes.
pub(super) async fn refuse(
    mut stream: TcpStream,
    status: StatusCode,
    words: &'static str,
    _place: Place,
) {
    let response = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\nretry-after: 5\r\ncontent-type: text/plain\r\n\
         content-length: {}\r\n\r\n{words}\n",
        words.len() + 1
    );
    let said = async {
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await?;
        // Closed with its request unread, the peer would be reset and never see the answer (RFC 9112, section 9.6).
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(PATIENCE, said).await;
}
