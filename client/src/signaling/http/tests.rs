#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// Answers each connection with the next of these, and gives what was asked.
struct Server {
    url: Url,
    asked: tokio::sync::mpsc::Receiver<String>,
    _task: JoinSet<()>,
}

async fn server(answers: impl IntoIterator<Item = String>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let (tell, asked) = tokio::sync::mpsc::channel(16);
    let answers: Vec<String> = answers.into_iter().collect();
    let mut task = JoinSet::new();
    task.spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) {
                let mut part = [0; 4096];
                match stream.read(&mut part).await.unwrap() {
                    0 => break,
                    more => request.extend_from_slice(&part[..more]),
                }
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.ok();
            tell.send(String::from_utf8(request).unwrap())
                .await
                .unwrap();
        }
    });
    Server {
        url: url.parse().unwrap(),
        asked,
        _task: task,
    }
}

/// Whether the head and as much of a body as it says are there.
fn is_whole(request: &[u8]) -> bool {
    // A handshake of TLS.
    if request.first() == Some(&0x16) {
        return true;
    }
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

fn http() -> Http {
    Http {
        trust: Trust::default(),
        token: Some(AuthToken::new("secret")),
        agent: "test/1".to_owned(),
        patience: Duration::from_secs(10),
    }
}

fn post(url: &Url) -> Ask {
    let mut ask = Ask::new(Method::POST, url.clone());
    ask.body = Some(("application/sdp", "v=0\r\n".to_owned()));
    ask
}

#[tokio::test]
async fn a_request_has_its_token_type_and_body() {
    let answer = "HTTP/1.1 201 Created\r\nLocation: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nv=0\r\n0\r\n\r\n";
    let mut server = server([answer.to_owned()]).await;
    let mut ask = post(&server.url);
    ask.if_match = Some("\"1\"".to_owned());
    let reply = http().ask(ask).await.unwrap();
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (StatusCode::CREATED, "v=0")
    );
    assert_eq!(reply.header(&LOCATION), Some("s"));
    let asked = server.asked.recv().await.unwrap();
    assert!(asked.starts_with("POST /a HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\nv=0\r\n"), "{asked}");
    let asked = asked.to_lowercase();
    for header in [
        "authorization: bearer secret",
        "content-type: application/sdp",
        "if-match: \"1\"",
        "content-length: 5",
        "user-agent: test/1",
        "host: 127.0.0.1:",
    ] {
        assert!(asked.contains(header), "{header}: {asked}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_with_method_and_body_and_without_the_token_of_another() {
    for status in ["307 Temporary Redirect", "308 Permanent Redirect"] {
        let done = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let mut there = server([done.to_owned(), done.to_owned()]).await;
        let to = &there.url;
        let further = format!("HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        let near = format!("HTTP/1.1 {status}\r\nLocation: /b?c=d\r\nContent-Length: 0\r\n\r\n");
        let mut here = server([near, further]).await;
        let reply = http().ask(post(&here.url)).await.unwrap();
        assert_eq!(reply.url, there.url);
        assert!(reply.without_token);
        here.asked.recv().await.unwrap();
        let near = here.asked.recv().await.unwrap();
        assert!(
            near.starts_with("POST /b?c=d HTTP/1.1") && near.contains("secret"),
            "{near}"
        );
        let asked = there.asked.recv().await.unwrap();
        assert!(
            asked.starts_with("POST /a ") && asked.ends_with("v=0\r\n"),
            "{asked}"
        );
        assert!(!asked.contains("secret"), "{asked}");
        // Nor what it names itself, asked for straight away.
        let mut delete = Ask::new(Method::DELETE, there.url.clone());
        delete.without_token = true;
        assert!(http().ask(delete).await.unwrap().without_token);
        let asked = there.asked.recv().await.unwrap();
        assert!(asked.starts_with("DELETE /a "), "{asked}");
        assert!(!asked.contains("secret"), "{asked}");
    }
}

#[tokio::test]
async fn redirects_that_do_not_end_are_given_up() {
    let again = "HTTP/1.1 307 Again\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n";
    let server = server(vec![again.to_owned(); 10]).await;
    let error = http().ask(post(&server.url)).await.unwrap_err();
    assert!(matches!(error, HttpError::Redirects { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_http_or_too_much_is_an_error_with_advice() {
    let long = "x".repeat(BODY + 1);
    let huge = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}",
        long.len()
    );
    for answer in ["SSH-2.0-OpenSSH_9\r\n\r\n".to_owned(), String::new(), huge] {
        let server = server([answer]).await;
        let error = http().ask(post(&server.url)).await.unwrap_err();
        assert!(matches!(error, HttpError::Broken { .. }), "{error}");
    }
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{closed}/").parse().unwrap();
    let error = http().ask(post(&url)).await.unwrap_err().to_string();
    assert!(error.contains("nobody listens there"), "{error}");
}

#[tokio::test]
async fn who_is_asked_by_tls_and_speaks_none_is_told_of() {
    let server = server(["HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()]).await;
    let url: Url = server
        .url
        .as_str()
        .replace("http:", "https:")
        .parse()
        .unwrap();
    let error = http().ask(post(&url)).await.unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error}");
}

#[test]
fn a_reference_is_resolved_and_never_less_safe() {
    let base: Url = "https://example.org/whip/a?b#c".parse().unwrap();
    let resolved = |to| resolve(&base, to).map(String::from);
    assert_eq!(
        resolved("s/1"),
        Ok("https://example.org/whip/s/1".to_owned())
    );
    assert_eq!(resolved("/s?t#u"), Ok("https://example.org/s?t".to_owned()));
    assert_eq!(resolved("//x.org/s"), Ok("https://x.org/s".to_owned()));
    assert_eq!(
        resolved("https://x.org:8443/s"),
        Ok("https://x.org:8443/s".to_owned())
    );
    assert_eq!(resolved(""), Ok("https://example.org/whip/a?b".to_owned()));
    for bad in [
        "http://example.org/s",
        "ftp://x/",
        "data:,x",
        "https://",
        "https://a:b@x.org/",
    ] {
        assert!(resolved(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn whatever_is_resolved_is_an_address_of_http(to in ".{0,80}") {
        let base: Url = "https://example.org/whip/a".parse().unwrap();
        if let Ok(url) = resolve(&base, &to) {
            prop_assert_eq!(url.scheme(), "https");
            prop_assert!(url.host().is_some() && url.fragment().is_none());
            prop_assert_eq!(resolve(&base, url.as_str()), Ok(url));
        }
    }
}
