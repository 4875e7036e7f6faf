//! What a service says where it does not take an offer, and what to do about it. Pure.

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use rtc_protocol::dialect::whip::Flow;
use serde_json::Value;

use super::super::error::ErrorKind;
use super::super::http::{Reply, origin};

/// Characters that are repeated of a service's own words.
const WORDS: usize = 300;

/// Why there is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{server} does not take the offer: {why}{words}; {advice}")]
pub struct Refusal {
    /// Who.
    pub server: String,
    /// The status, or what is wrong with the answer.
    pub why: String,
    /// The service's own words, behind a colon; or nothing.
    pub words: String,
    /// What to do next.
    pub advice: String,
    /// Sorted.
    pub kind: ErrorKind,
}

impl Refusal {
    /// Of an answer that is no success.
    pub(super) fn of(flow: Flow, reply: &Reply) -> Self {
        let status = reply.status;
        let name = match flow {
            Flow::Publish => "WHIP",
            Flow::Play => "WHEP",
        };
        let refused = ErrorKind::Refused;
        let (advice, kind) = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if reply.without_token => (
                format!(
                    "it redirected to {}, which was not shown the token; if that is right, give the address there",
                    origin(&reply.url)
                ),
                refused,
            ),
            StatusCode::UNAUTHORIZED => (
                "give the token that it wants with --token (or RTC_TOKEN)".to_owned(),
                refused,
            ),
            StatusCode::FORBIDDEN => (
                "the token does not allow this; ask for another one".to_owned(),
                refused,
            ),
            StatusCode::NOT_FOUND
            | StatusCode::GONE
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => (
                format!("there is no {name} endpoint at this address; check the path"),
                ErrorKind::NoServer,
            ),
            StatusCode::NOT_ACCEPTABLE => (
                "it wants to offer itself (a counter-offer), which is not supported; use a service that answers offers"
                    .to_owned(),
                refused,
            ),
            StatusCode::BAD_REQUEST
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::UNSUPPORTED_MEDIA_TYPE => (
                "try with fewer codecs, such as --codec h264, or without sound or picture"
                    .to_owned(),
                refused,
            ),
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => (again(reply), refused),
            status if status.is_server_error() => (again(reply), refused),
            status if status.is_redirection() => (
                "a redirect of this kind makes another request of an offer; give the address where it leads".to_owned(),
                ErrorKind::NoServer,
            ),
            _ => ("look at what it expects".to_owned(), refused),
        };
        Self {
            server: origin(&reply.url),
            why: format!("HTTP status {status}"),
            words: words(reply).map_or_else(String::new, |words| format!(": {words}")),
            advice,
            kind,
        }
    }

    /// Of a success without an answer in it.
    pub(super) fn without_answer(reply: &Reply) -> Self {
        let found = reply.header(&CONTENT_TYPE).unwrap_or("nothing said of it");
        Self {
            server: origin(&reply.url),
            why: format!(
                "it answers with HTTP status {} and no SDP (Content-Type: {})",
                reply.status,
                clean(found)
            ),
            words: String::new(),
            advice: "check that the address is of an endpoint for WHIP or WHEP, and not of a page"
                .to_owned(),
            kind: ErrorKind::NoServer,
        }
    }
}

/// When to come back: seconds or a date (RFC 9110, section 10.2.3).
fn again(reply: &Reply) -> String {
    match reply.header(&RETRY_AFTER).map(str::trim) {
        Some(seconds) if seconds.parse::<u32>().is_ok() => format!("try again in {seconds} s"),
        Some(date) if !date.is_empty() => format!("try again after {}", clean(date)),
        _ => "try again later".to_owned(),
    }
}

/// What the service says for people: plain text, or the words of a problem in JSON (RFC 9457).
fn words(reply: &Reply) -> Option<String> {
    let media_type = reply.header(&CONTENT_TYPE).unwrap_or_default();
    let text = if media_type.contains("html") {
        return None;
    } else if let Ok(Value::Object(problem)) = serde_json::from_str(&reply.body) {
        let known = ["detail", "title", "message", "error", "reason"];
        let found = known.iter().find_map(|key| problem.get(*key)?.as_str());
        found?.to_owned()
    } else {
        reply.body.clone()
    };
    let text = clean(&text);
    (!text.is_empty()).then_some(text)
}

/// On one line, and not at length.
fn clean(text: &str) -> String {
    let one: Vec<&str> = text.split_whitespace().collect();
    let one = one.join(" ");
    let harmless = one.chars().filter(|c| !c.is_control());
    harmless.take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn reply(status: u16, headers: &[(HeaderName, &'static str)], body: &str) -> Reply {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        Reply {
            url: "https://example.org/whip/secret".parse().unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: body.to_owned(),
            without_token: false,
        }
    }

    fn told(
        status: u16,
        headers: &[(HeaderName, &'static str)],
        body: &str,
    ) -> (String, ErrorKind) {
        let refusal = Refusal::of(Flow::Publish, &reply(status, headers, body));
        (refusal.to_string(), refusal.kind)
    }

    #[test]
    fn each_status_says_what_to_do_next() {
        let (text, kind) = told(401, &[], "who are you?\n");
        assert!(
            text.contains("401 Unauthorized: who are you?; give the token")
                && text.contains("--token"),
            "{text}"
        );
        assert!(!text.contains("secret"), "a path may be a secret: {text}");
        assert_eq!(kind, ErrorKind::Refused);
        let (text, kind) = told(404, &[(CONTENT_TYPE, "text/html")], "<h1>404</h1>");
        assert!(
            text.contains("no WHIP endpoint") && !text.contains("<h1>"),
            "{text}"
        );
        assert_eq!(kind, ErrorKind::NoServer);
        let (text, _) = told(503, &[(RETRY_AFTER, "7")], "");
        assert!(text.ends_with("try again in 7 s"), "{text}");
        let (text, _) = told(429, &[(RETRY_AFTER, "Fri, 31 Dec 1999 23:59:59 GMT")], "");
        assert!(
            text.ends_with("after Fri, 31 Dec 1999 23:59:59 GMT"),
            "{text}"
        );
        let (text, _) = told(406, &[], "v=0");
        assert!(text.contains("counter-offer"), "{text}");
        let problem = r#"{"title":"Bad","detail":"no\u001b[2J codec","status":422}"#;
        let (text, _) = told(422, &[(CONTENT_TYPE, "application/problem+json")], problem);
        assert!(text.contains("no[2J codec; try with fewer"), "{text}");
    }

    #[test]
    fn a_token_that_was_kept_back_is_told_of() {
        let mut redirected = reply(401, &[], "");
        redirected.without_token = true;
        let text = Refusal::of(Flow::Play, &redirected).to_string();
        assert!(text.contains("not shown the token"), "{text}");
    }
}
