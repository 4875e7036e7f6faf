//! A real headless Chromium, driven over the DevTools protocol.
//!
//! Only what a test of a call needs: open a page, run JavaScript in it, wait until
//! something holds there, look at it, and tell what its console said when it fails.

pub mod fake;
mod link;
mod page;
mod process;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use link::Link;
pub use page::{Message, Page};
use process::Process;

/// Reads the marks of a test picture out of a received track, see `marks.js`.
pub const MARKS_JS: &str = include_str!("browser/marks.js");

/// Listens to a tone in a received track, see `tone.js`.
pub const TONE_JS: &str = include_str!("browser/tone.js");

/// How the browser is to be started.
#[derive(Clone, Debug, Default)]
pub struct ChromeOptions {
    /// What its camera shows: a Y4M or MJPEG file, looped; otherwise Chromium's own moving picture.
    pub camera: Option<PathBuf>,
    /// What its microphone hears: a WAV file, looped; otherwise Chromium's own beeps.
    pub microphone: Option<PathBuf>,
    /// Whether it has neither camera nor microphone.
    pub without_devices: bool,
    /// More flags.
    pub flags: Vec<String>,
}

/// A running Chromium; it and its profile are gone when this is dropped.
pub struct Browser {
    link: Arc<Link>,
    // Dropped after the link, so that the reader does not see a torn connection first.
    _process: Process,
}

impl Browser {
    /// Starts Chromium with a profile of its own and connects to it.
    ///
    /// # Errors
    /// Chromium is not installed, or does not come up.
    pub async fn launch(options: &ChromeOptions) -> anyhow::Result<Self> {
        let (process, url) = Process::start(options).await?;
        let link = Link::connect(&url)
            .await
            .with_context(|| format!("could not reach Chromium's DevTools at {url}"))?;
        Ok(Self {
            link: Arc::new(link),
            _process: process,
        })
    }

    /// Opens `url` in a window of its own that shares no storage with other pages.
    ///
    /// # Errors
    /// Chromium is gone, or the address cannot be loaded.
    pub async fn open(&self, url: &str) -> anyhow::Result<Page> {
        let page = self.blank().await?;
        page.goto(url).await?;
        Ok(page)
    }

    /// Opens an empty page, to be set up before it goes anywhere.
    ///
    /// # Errors
    /// Chromium is gone.
    pub async fn blank(&self) -> anyhow::Result<Page> {
        let context = self
            .link
            .call(None, "Target.createBrowserContext", json!({}))
            .await?;
        let target = self
            .link
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
        Page::attach(Arc::clone(&self.link), &target["targetId"]).await
    }
}
