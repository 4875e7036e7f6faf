//! A page of Firefox's, by WebDriver BiDi (W3C).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::{BrowserError, text_of};
use super::link::Link;
use super::page::{Message, Messages};

pub(super) struct Tab {
    link: Arc<Link>,
    context: String,
}

/// What a link must be told before its first page.
pub(super) async fn begin(link: &Link) -> Result<(), BrowserError> {
    let session = json!({ "capabilities": {} });
    link.call(None, "session.new", session).await?;
    let events = json!({ "events": ["log.entryAdded"] });
    link.call(None, "session.subscribe", events).await?;
    Ok(())
}

impl Tab {
    /// Opens an empty page that shares no storage with others.
    pub(super) async fn open(link: Arc<Link>, messages: Messages) -> Result<Self, BrowserError> {
        let user = link
            .call(None, "browser.createUserContext", json!({}))
            .await?;
        let params = json!({ "type": "window", "userContext": user["userContext"] });
        let made = link.call(None, "browsingContext.create", params).await?;
        let context = text_of(&made, "context", "browsingContext.create")?.to_owned();
        link.listen(
            &context,
            Box::new(move |method, params| {
                if method == "log.entryAdded" {
                    messages.push(message(params));
                }
            }),
        );
        Ok(Self { link, context })
    }

    pub(super) async fn goto(&self, url: &str) -> Result<(), BrowserError> {
        let params = json!({ "context": self.context, "url": url, "wait": "interactive" });
        self.call("browsingContext.navigate", params)
            .await
            .map(drop)
    }

    pub(super) async fn before_load(&self, script: &str) -> Result<(), BrowserError> {
        let function = format!("() => {{ {script} }}");
        let params = json!({ "functionDeclaration": function, "contexts": [self.context] });
        self.call("script.addPreloadScript", params).await.map(drop)
    }

    pub(super) async fn reload(&self) -> Result<(), BrowserError> {
        let params = json!({ "context": self.context, "wait": "none" });
        self.call("browsingContext.reload", params).await.map(drop)
    }

    pub(super) async fn resize(&self, width: u32, height: u32) -> Result<(), BrowserError> {
        let viewport = json!({ "width": width, "height": height });
        let params = json!({ "context": self.context, "viewport": viewport });
        self.call("browsingContext.setViewport", params)
            .await
            .map(drop)
    }

    pub(super) async fn eval(&self, expression: &str) -> Result<Value, BrowserError> {
        let params = json!({
            "expression": expression,
            "target": { "context": self.context },
            "awaitPromise": true,
            "userActivation": true,
        });
        let answer = self.call("script.evaluate", params).await?;
        if answer["type"] == "exception" {
            let text = answer["exceptionDetails"]["text"].as_str();
            let text = text.unwrap_or("an exception without text");
            return Err(BrowserError::Thrown {
                what: text.to_owned(),
                script: expression.to_owned(),
            });
        }
        Ok(plain(&answer["result"]))
    }

    /// A PNG in base 64.
    pub(super) async fn screenshot(&self) -> Result<String, BrowserError> {
        let params = json!({ "context": self.context });
        let answer = self
            .call("browsingContext.captureScreenshot", params)
            .await?;
        text_of(&answer, "data", "browsingContext.captureScreenshot").map(str::to_owned)
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, BrowserError> {
        self.link.call(None, method, params).await
    }
}

/// What JSON would make of a value, which comes with the kind of each part of it (section 7.6.1.2,
/// `script.RemoteValue`).
fn plain(remote: &Value) -> Value {
    let value = &remote["value"];
    let parts = || value.as_array().into_iter().flatten();
    match remote["type"].as_str() {
        Some("string" | "boolean") => value.clone(),
        // Those that JSON has no word for come as strings.
        Some("number") if value.is_number() => value.clone(),
        Some("array" | "set") => parts().map(plain).collect(),
        Some("object") => {
            let pairs = parts().filter_map(|pair| {
                let name = pair[0].as_str()?;
                Some((name.to_owned(), plain(&pair[1])))
            });
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}

fn message(entry: &Value) -> Message {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let uncaught = entry["type"] == "javascript" && entry["level"] == "error";
    Message {
        level: match entry["level"].as_str() {
            _ if uncaught => "exception".to_owned(),
            Some("warn") => "warning".to_owned(),
            _ => text(&entry["level"]),
        },
        text: text(&entry["text"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_value_is_what_json_makes_of_it() {
        let number = |n: f64| json!({ "type": "number", "value": n });
        let list = json!({ "type": "array", "value": [number(1.5), { "type": "null" }] });
        let object = json!({
            "type": "object",
            "value": [["a", list], ["b", { "type": "undefined" }], ["c", { "type": "string", "value": "x" }]],
        });
        assert_eq!(
            plain(&object),
            json!({ "a": [1.5, null], "b": null, "c": "x" })
        );
        assert_eq!(
            plain(&json!({ "type": "number", "value": "NaN" })),
            Value::Null
        );
    }
}
