//! One page: JavaScript in, values out.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::link::Link;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The most messages of a page that are kept; the first are the ones that explain.
const MAX_MESSAGES: usize = 300;

/// Something a page said by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `log`, `warning`, `error`, …; `exception` for what nobody caught.
    pub level: String,
    /// What.
    pub text: String,
}

/// A page of a [`super::Browser`].
pub struct Page {
    link: Arc<Link>,
    session: String,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Page {
    pub(super) async fn attach(link: Arc<Link>, target: &Value) -> anyhow::Result<Self> {
        let params = json!({ "targetId": target, "flatten": true });
        let attached = link.call(None, "Target.attachToTarget", params).await?;
        let session = attached["sessionId"]
            .as_str()
            .context("Chromium attached without a session")?
            .to_owned();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&messages);
        link.listen(
            &session,
            Box::new(move |method, params| {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(message) = message(method, params)
                    && kept.len() < MAX_MESSAGES
                {
                    kept.push(message);
                }
            }),
        );
        let page = Self {
            link,
            session,
            messages,
        };
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            page.call(domain, json!({})).await?;
        }
        Ok(page)
    }

    /// Goes to `url`.
    ///
    /// # Errors
    /// The address cannot be loaded.
    pub async fn goto(&self, url: &str) -> anyhow::Result<()> {
        let answer = self.call("Page.navigate", json!({ "url": url })).await?;
        match answer["errorText"].as_str() {
            Some(text) => bail!("{url} could not be loaded: {text}"),
            None => Ok(()),
        }
    }

    /// Loads the page again and returns at once.
    ///
    /// # Errors
    /// Chromium is gone.
    pub async fn reload(&self) -> anyhow::Result<()> {
        self.call("Page.reload", json!({})).await.map(drop)
    }

    /// Makes the window `width` by `height` CSS pixels, as a phone has it if `mobile`.
    ///
    /// # Errors
    /// Chromium is gone.
    pub async fn resize(&self, width: u32, height: u32, mobile: bool) -> anyhow::Result<()> {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await
            .map(drop)
    }

    /// The value of an expression; a promise is waited for.
    ///
    /// # Errors
    /// What the expression threw, as text.
    pub async fn eval(&self, expression: &str) -> anyhow::Result<Value> {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", params).await?;
        if let Some(details) = answer.get("exceptionDetails") {
            bail!("{}, thrown by {expression}", thrown(details));
        }
        Ok(answer["result"]["value"].take())
    }

    /// Waits until an expression gives something truthy, and gives it.
    ///
    /// # Errors
    /// It did not within `patience`; the error carries what the page said.
    pub async fn wait_for(&self, condition: &str, patience: Duration) -> anyhow::Result<Value> {
        let started = Instant::now();
        loop {
            // While a page is loading there may be nothing to evaluate in.
            let seen = self.eval(condition).await;
            match &seen {
                Ok(value) if truthy(value) => return seen,
                _ if started.elapsed() > patience => {
                    let last = seen.map_or_else(|error| error.to_string(), |v| v.to_string());
                    return Err(anyhow!(
                        "not within {patience:?}: {condition}\nlast seen: {last}\n{}",
                        self.describe().await
                    ));
                }
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// What the page said so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        let messages = self.messages.lock();
        messages.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Messages that no healthy page gives: errors, uncaught exceptions, violations of the security policy.
    #[must_use]
    pub fn complaints(&self) -> Vec<Message> {
        let mut messages = self.messages();
        messages.retain(|m| matches!(m.level.as_str(), "error" | "exception"));
        messages
    }

    /// Writes what the page looks like into a PNG file.
    ///
    /// # Errors
    /// Chromium is gone, or the file cannot be written.
    pub async fn screenshot(&self, file: &Path) -> anyhow::Result<()> {
        let params = json!({ "format": "png" });
        let answer = self.call("Page.captureScreenshot", params).await?;
        let data = answer["data"]
            .as_str()
            .context("a screenshot without data")?;
        std::fs::write(file, STANDARD.decode(data)?)
            .with_context(|| format!("could not write {}", file.display()))
    }

    async fn call(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.link.call(Some(&self.session), method, params).await
    }

    async fn describe(&self) -> String {
        let url = self.eval("location.href").await.unwrap_or_default();
        let text = self
            .eval("document.body.innerText")
            .await
            .unwrap_or_default();
        let mut lines = format!("page {url} shows {text}");
        for message in self.messages() {
            let _ = write!(lines, "\n  {}: {}", message.level, message.text);
        }
        lines
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        _ => true,
    }
}

fn message(method: &str, params: &Value) -> Option<Message> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match method {
        "Runtime.consoleAPICalled" => {
            let words = params["args"].as_array()?.iter().map(|arg| {
                let value = &arg["value"];
                match value.as_str().or(arg["description"].as_str()) {
                    Some(text) => text.to_owned(),
                    None => value.to_string(),
                }
            });
            Some(Message {
                level: text(&params["type"]),
                text: words.collect::<Vec<_>>().join(" "),
            })
        }
        "Runtime.exceptionThrown" => Some(Message {
            level: "exception".into(),
            text: thrown(&params["exceptionDetails"]),
        }),
        "Log.entryAdded" => Some(Message {
            level: text(&params["entry"]["level"]),
            text: format!(
                "{} {}",
                text(&params["entry"]["text"]),
                text(&params["entry"]["url"])
            ),
        }),
        _ => None,
    }
}

fn thrown(details: &Value) -> String {
    let exception = &details["exception"];
    let text = exception["description"]
        .as_str()
        .or(details["text"].as_str());
    text.unwrap_or("an exception without text").to_owned()
}
