//! One page: JavaScript in, values out.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::error::BrowserError;
use super::{bidi, cdp};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The most messages of a page that are kept, of complaints and of others each; the first are the ones that explain.
const MAX_MESSAGES: usize = 300;

/// Something a page said by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `log`, `warning`, `error`, …; `exception` for what nobody caught.
    pub level: String,
    /// What.
    pub text: String,
}

impl Message {
    /// No healthy page gives it: an error, an uncaught exception, a violation of the security policy.
    fn is_complaint(&self) -> bool {
        matches!(self.level.as_str(), "error" | "exception")
    }
}

/// A page of a [`super::Browser`].
pub struct Page {
    tab: Tab,
    messages: Messages,
}

/// The page as its browser's protocol has it.
pub(super) enum Tab {
    Chromium(cdp::Tab),
    Firefox(bidi::Tab),
}

/// What a page said, as it comes.
#[derive(Clone, Default)]
pub(super) struct Messages(Arc<Mutex<Vec<Message>>>);

impl Messages {
    pub(super) fn push(&self, message: Message) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // However much a page says, what it complains of has a place.
        let kind = message.is_complaint();
        let alike = kept.iter().filter(|one| one.is_complaint() == kind);
        if alike.count() < MAX_MESSAGES {
            kept.push(message);
        }
    }

    fn all(&self) -> Vec<Message> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    fn complaints(&self) -> Vec<Message> {
        let mut messages = self.all();
        messages.retain(Message::is_complaint);
        messages
    }
}

impl Page {
    pub(super) fn new(tab: Tab, messages: Messages) -> Self {
        Self { tab, messages }
    }

    /// Goes to `url`.
    ///
    /// # Errors
    /// The address cannot be loaded.
    pub async fn goto(&self, url: &str) -> Result<(), BrowserError> {
        match &self.tab {
            Tab::Chromium(tab) => tab.goto(url).await,
            Tab::Firefox(tab) => tab.goto(url).await,
        }
    }

    /// Has `script` run in every document from the next one on, before the page's own.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn before_load(&self, script: &str) -> Result<(), BrowserError> {
        match &self.tab {
            Tab::Chromium(tab) => tab.before_load(script).await,
            Tab::Firefox(tab) => tab.before_load(script).await,
        }
    }

    /// Loads the page again, and returns as soon as the new document is there: whatever is asked then is asked of that one.
    ///
    /// # Errors
    /// The browser is gone, or goes on showing the old document.
    pub async fn reload(&self, patience: Duration) -> Result<(), BrowserError> {
        // No two documents of a page have one time origin (HR-TIME section 4), and no script can change it.
        let old = self.eval("String(performance.timeOrigin)").await?;
        match &self.tab {
            Tab::Chromium(tab) => tab.reload().await?,
            Tab::Firefox(tab) => tab.reload().await?,
        }
        let is_new = format!("String(performance.timeOrigin) !== {old}");
        self.wait_for(&is_new, patience).await.map(drop)
    }

    /// Makes the window `width` by `height` CSS pixels, in Chromium as a phone has it if `mobile`.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn resize(&self, width: u32, height: u32, mobile: bool) -> Result<(), BrowserError> {
        match &self.tab {
            Tab::Chromium(tab) => tab.resize(width, height, mobile).await,
            Tab::Firefox(tab) => tab.resize(width, height).await,
        }
    }

    /// The value of an expression; a promise is waited for.
    ///
    /// # Errors
    /// What the expression threw, as text.
    pub async fn eval(&self, expression: &str) -> Result<Value, BrowserError> {
        match &self.tab {
            Tab::Chromium(tab) => tab.eval(expression).await,
            Tab::Firefox(tab) => tab.eval(expression).await,
        }
    }

    /// Waits until an expression gives something truthy, and gives it.
    ///
    /// # Errors
    /// It did not within `patience`; the error carries what the page said.
    pub async fn wait_for(
        &self,
        condition: &str,
        patience: Duration,
    ) -> Result<Value, BrowserError> {
        let started = Instant::now();
        loop {
            // While a page is loading there may be nothing to evaluate in.
            let seen = self.eval(condition).await;
            match &seen {
                Ok(value) if truthy(value) => return seen,
                _ if started.elapsed() > patience => {
                    let last = seen.map_or_else(|error| error.to_string(), |v| v.to_string());
                    return Err(BrowserError::NotYet {
                        patience,
                        condition: condition.to_owned(),
                        last,
                        page: self.describe().await,
                    });
                }
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// What the page said so far.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.messages.all()
    }

    /// Messages that no healthy page gives: errors, uncaught exceptions, violations of the security policy.
    #[must_use]
    pub fn complaints(&self) -> Vec<Message> {
        self.messages.complaints()
    }

    /// Writes what the page looks like into a PNG file.
    ///
    /// # Errors
    /// The browser is gone, or the file cannot be written.
    pub async fn screenshot(&self, file: &Path) -> Result<(), BrowserError> {
        let data = match &self.tab {
            Tab::Chromium(tab) => tab.screenshot().await?,
            Tab::Firefox(tab) => tab.screenshot().await?,
        };
        let written = STANDARD.decode(data).map_err(|error| error.to_string());
        let written =
            written.and_then(|png| std::fs::write(file, png).map_err(|error| error.to_string()));
        written.map_err(|why| BrowserError::Screenshot {
            file: file.to_owned(),
            why,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_talkative_page_complains_of_is_kept() {
        let messages = Messages::default();
        let say = |level: &str, text: usize| {
            messages.push(Message {
                level: level.into(),
                text: text.to_string(),
            });
        };
        for text in 0..2 * MAX_MESSAGES {
            say("log", text);
        }
        for text in 0..2 * MAX_MESSAGES {
            say(["error", "exception"][text % 2], text);
        }
        say("warning", 0);
        assert_eq!(messages.all().len(), 2 * MAX_MESSAGES);
        let complaints = messages.complaints();
        assert_eq!(complaints.len(), MAX_MESSAGES);
        assert_eq!(complaints[0].text, "0");
    }
}
