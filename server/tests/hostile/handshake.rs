//! The opening handshake (RFC 6455, section 4), and HTTP requests that are none.

use rtc_protocol::ServerMessage;

use crate::rig::*;

/// What a changed handshake is answered with: the status line and the headers.
async fn answer(changes: &[(&str, &str)]) -> String {
    let (_running, address) = server().await;
    let mut wire = Wire::connect(address).await;
    wire.ask(&handshake(address, changes)).await
}

#[tokio::test]
async fn a_right_handshake_is_answered_as_the_rfc_computes_it() {
    for changes in [
        &[][..],
        &[("connection", "keep-alive, Upgrade")],
        &[("upgrade", "WebSocket")],
        &[("sec-websocket-protocol", "other, rtc.v1")],
    ] {
        let head = answer(changes).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let lower = head.to_lowercase();
        // The example of section 1.3.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert!(lower.contains("\r\nupgrade: websocket\r\n"), "{head}");
        assert!(lower.contains("\r\nconnection: upgrade\r\n"), "{head}");
        assert!(
            lower.contains("\r\nsec-websocket-protocol: rtc.v1\r\n"),
            "{head}"
        );
    }
}

#[tokio::test]
async fn an_extension_on_offer_is_not_taken_up() {
    for offer in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate, x-webkit-deflate-frame",
        "nonsense; a=\"b\"",
    ] {
        let head = answer(&[("sec-websocket-extensions", offer)]).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(!head.to_lowercase().contains("extensions"), "{head}");
    }
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_refused_with_the_right_status() {
    let upgrade_needed = [
        ("upgrade", ""),
        ("upgrade", "h2c"),
        ("connection", ""),
        ("connection", "keep-alive"),
    ];
    for change in upgrade_needed {
        let head = answer(&[change]).await;
        assert!(head.starts_with("HTTP/1.1 426 "), "{change:?}: {head}");
        assert!(
            head.to_lowercase().contains("\r\nupgrade: websocket\r\n"),
            "{head}"
        );
    }
    for version in ["", "8", "12", "14", "x"] {
        let head = answer(&[("sec-websocket-version", version)]).await;
        assert!(head.starts_with("HTTP/1.1 426 "), "{version:?}: {head}");
        let told = "\r\nsec-websocket-version: 13\r\n";
        assert!(head.to_lowercase().contains(told), "{version:?}: {head}");
    }
    for change in [
        ("sec-websocket-key", ""),
        ("sec-websocket-key", "short"),
        (
            "sec-websocket-key",
            "dGhlIHNhbXBsZSBub25jZQdGhlIHNhbXBsZSBub25jZQ==",
        ),
        ("sec-websocket-protocol", ""),
        ("sec-websocket-protocol", "rtc.v2"),
    ] {
        let head = answer(&[change]).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{change:?}: {head}");
    }
}

#[tokio::test]
async fn other_methods_and_versions_of_http_open_nothing() {
    let (_running, address) = server().await;
    let right = handshake(address, &[]);
    for (from, to, status) in [
        ("GET ", "POST ", "405"),
        ("GET ", "PUT ", "405"),
        ("HTTP/1.1", "HTTP/1.0", "426"),
        ("HTTP/1.1", "HTTP/0.9", "400"),
        ("HTTP/1.1", "HTTP/3.0", "400"),
        ("GET ", "get ", "405"),
    ] {
        let mut wire = Wire::connect(address).await;
        let head = wire.ask(&right.replacen(from, to, 1)).await;
        let line = head.lines().next().unwrap_or_default();
        assert!(line.contains(&format!(" {status} ")), "{to}: {head}");
    }
}

#[tokio::test]
async fn requests_that_are_no_http_are_refused_and_the_server_goes_on() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    for request in [
        &b"\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /ws\r\n\r\n",
        b"GET  /ws  HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", // TLS where none is spoken
        b"GET /ws HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nhost: a\r\n: none\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nhost: a\0b\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
    ] {
        use tokio::io::AsyncWriteExt as _;
        let mut wire = Wire::connect(address).await;
        wire.try_write(request).await;
        let _ = wire.stream.shutdown().await;
        let head = wire.head().await;
        let refused = head.is_empty() || head.starts_with("HTTP/1.1 4") || head.starts_with("HTTP/1.0 4");
        assert!(refused, "{}: {head}", request.escape_ascii());
        watch.all_is_well().await;
    }
}

#[tokio::test]
async fn headers_without_measure_are_refused() {
    let (_running, address) = server().await;
    let mut watch = Watch::over(address).await;
    let many: Vec<_> = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    for headers in [many.concat(), long] {
        let mut wire = Wire::connect(address).await;
        let request = format!("GET /ws HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        wire.try_write(request.as_bytes()).await;
        let head = wire.head().await;
        assert!(
            head.is_empty() || head.starts_with("HTTP/1.1 431 "),
            "{head}"
        );
        watch.all_is_well().await;
    }
    let mut wire = Wire::connect(address).await;
    let path = "x".repeat(100_000);
    wire.try_write(format!("GET /{path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
        .await;
    let head = wire.head().await;
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 4"), "{head}");
    watch.all_is_well().await;
}

#[tokio::test]
async fn what_comes_right_behind_the_handshake_is_not_lost() {
    let (_running, address) = server().await;
    let mut wire = Wire::connect(address).await;
    let hello = br#"{"type":"hello"}"#;
    let bytes = [
        handshake(address, &[]).into_bytes(),
        frame(FIN | TEXT, hello),
    ]
    .concat();
    wire.write(&bytes).await;
    let head = wire.head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let welcome = wire.message().await;
    assert!(
        matches!(welcome, ServerMessage::Welcome { .. }),
        "{welcome:?}"
    );
}

#[tokio::test]
async fn a_compressed_body_is_read_as_it_is() {
    let (_running, address) = server().await;
    // "v=0" as gzip; what says that it is compressed is not inflated, so there is no bomb.
    let body = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x2b\xb3\x35\x00\x00\x9e\x8d\x0f\x5b\x03\x00\x00\x00";
    let mut wire = Wire::connect(address).await;
    let head = format!(
        "POST /whip/r HTTP/1.1\r\nhost: a\r\ncontent-type: application/sdp\r\n\
         content-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    wire.write(&[head.as_bytes(), body].concat()).await;
    let answer = wire.head().await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}
