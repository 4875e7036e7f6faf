//! A page of Chromium's, by the DevTools protocol.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::{BrowserError, text_of};
use super::link::Link;
use super::page::{Message, Messages};

pub(super) struct Tab {
    link: Arc<Link>,
    session: String,
}

impl Tab {
    /// Opens an empty page that shares no storage with others.
    pub(super) async fn open(link: Arc<Link>, messages: Messages) -> Result<Self, BrowserError> {
        let context = link
            .call(None, "Target.createBrowserContext", json!({}))
            .await?;
        let target = link
            .call(
                None,
                "Target.createTarget",
                json!({
                    "url": "about:blank",
                    "browserContextId": context["browserContextId"],
                    // A tab behind another one would not paint, and so not count pictures.
                    "newWindow": true,
                }),
            )
            .await?;
        let params = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = link.call(None, "Target.attachToTarget", params).await?;
        let session = text_of(&attached, "sessionId", "Target.attachToTarget")?.to_owned();
        link.listen(
            &session,
            Box::new(move |method, params| {
                if let Some(message) = message(method, params) {
                    messages.push(message);
                }
            }),
        );
        let tab = Self { link, session };
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            tab.call(domain, json!({})).await?;
        }
        Ok(tab)
    }

    pub(super) async fn goto(&self, url: &str) -> Result<(), BrowserError> {
        let answer = self.call("Page.navigate", json!({ "url": url })).await?;
        match answer["errorText"].as_str() {
            Some(why) => Err(BrowserError::NotLoaded {
                url: url.to_owned(),
                why: why.to_owned(),
            }),
            None => Ok(()),
        }
    }

    pub(super) async fn before_load(&self, script: &str) -> Result<(), BrowserError> {
        let params = json!({ "source": script });
        self.call("Page.addScriptToEvaluateOnNewDocument", params)
            .await
            .map(drop)
    }

    pub(super) async fn reload(&self) -> Result<(), BrowserError> {
        self.call("Page.reload", json!({})).await.map(drop)
    }

    pub(super) async fn resize(
        &self,
        width: u32,
        height: u32,
        mobile: bool,
    ) -> Result<(), BrowserError> {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics)
            .await
            .map(drop)
    }

    pub(super) async fn eval(&self, expression: &str) -> Result<Value, BrowserError> {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", params).await?;
        if let Some(details) = answer.get("exceptionDetails") {
            return Err(BrowserError::Thrown {
                what: thrown(details),
                script: expression.to_owned(),
            });
        }
        Ok(answer["result"]["value"].take())
    }

    /// A PNG in base 64.
    pub(super) async fn screenshot(&self) -> Result<String, BrowserError> {
        let params = json!({ "format": "png" });
        let answer = self.call("Page.captureScreenshot", params).await?;
        text_of(&answer, "data", "Page.captureScreenshot").map(str::to_owned)
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, BrowserError> {
        self.link.call(Some(&self.session), method, params).await
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
