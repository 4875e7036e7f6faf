//! One WebSocket to the browser: commands with answers, and what pages report by themselves.
//!
//! The DevTools protocol and WebDriver BiDi (W3C) differ in what they call things, not in how they say them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::error::BrowserError;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Answer = Result<Value, String>;
type Listener = Box<dyn Fn(&str, &Value) + Send>;

/// No command takes as long as this; a page that hangs should fail and say where.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Link {
    sink: tokio::sync::Mutex<SplitSink<Socket, Frame>>,
    shared: Arc<Shared>,
    next: AtomicU64,
    reader: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    listeners: Mutex<HashMap<String, Listener>>,
}

impl Link {
    pub(super) async fn connect(url: &str) -> Result<Self, BrowserError> {
        let connected = tokio_tungstenite::connect_async(url).await;
        let (socket, _) = connected.map_err(|error| BrowserError::Unreachable {
            url: url.to_owned(),
            why: error.to_string(),
        })?;
        let (sink, stream) = socket.split();
        let shared = Arc::new(Shared::default());
        Ok(Self {
            sink: tokio::sync::Mutex::new(sink),
            next: AtomicU64::new(1),
            reader: tokio::spawn(read(stream, Arc::clone(&shared))),
            shared,
        })
    }

    /// Calls `method`, in a page of Chromium's if `session` says which.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, BrowserError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let (tell, told) = oneshot::channel();
        lock(&self.shared.waiting).insert(id, tell);
        let frame = Frame::text(command.to_string());
        let method = method.to_owned();
        if self.sink.lock().await.send(frame).await.is_err() {
            return Err(BrowserError::Gone { method });
        }
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(Ok(result))) => Ok(result),
            Ok(Ok(Err(why))) => Err(BrowserError::Refused { method, why }),
            Ok(Err(_)) => Err(BrowserError::Gone { method }),
            Err(_) => Err(BrowserError::Unanswered {
                method,
                patience: PATIENCE,
            }),
        }
    }

    /// Has `listener` called with every event of a page: method and parameters.
    pub(super) fn listen(&self, page: &str, listener: Listener) {
        lock(&self.shared.listeners).insert(page.to_owned(), listener);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(mut stream: SplitStream<Socket>, shared: Arc<Shared>) {
    while let Some(Ok(frame)) = stream.next().await {
        let Ok(text) = frame.to_text() else { continue };
        let Ok(mut message) = serde_json::from_str::<Value>(text) else {
            continue;
        };
        if let Some(id) = message["id"].as_u64() {
            let answer = match problem_of(&message) {
                Some(text) => Err(text),
                None => Ok(message["result"].take()),
            };
            if let Some(tell) = lock(&shared.waiting).remove(&id) {
                let _ = tell.send(answer);
            }
        } else if let (Some(page), Some(method)) = (page_of(&message), message["method"].as_str())
            && let Some(listener) = lock(&shared.listeners).get(page)
        {
            listener(method, &message["params"]);
        }
    }
    // Nobody will be answered any more.
    lock(&shared.waiting).clear();
}

/// Why a command failed, where each of the protocols says so.
fn problem_of(answer: &Value) -> Option<String> {
    let text = answer["error"]["message"].as_str();
    text.or(answer["message"].as_str()).map(str::to_owned)
}

/// Which page an event is of: its session with the one protocol, its context with the other.
fn page_of(event: &Value) -> Option<&str> {
    let source = &event["params"]["source"]["context"];
    event["sessionId"].as_str().or(source.as_str())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
