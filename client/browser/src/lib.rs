//! A real headless Chromium, driven over the DevTools protocol, or Firefox, over WebDriver BiDi.
//!
//! Only what a judge of calls needs: open a page, run JavaScript in it, wait until
//! something holds there, look at it, and tell what its console said when it fails.

mod bidi;
mod cdp;
mod error;
mod link;
mod page;
mod process;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

pub use error::BrowserError;
use link::Link;
pub use page::{Message, Page};
use page::{Messages, Tab};
use process::Process;

/// Reads the marks of a test picture out of a received track, see `marks.js`.
pub const MARKS_JS: &str = include_str!("marks.js");

/// How Chromium is to be started.
#[derive(Clone, Debug, Default)]
pub struct ChromeOptions {
    /// The program; where Debian puts it, or where the variable CHROMIUM says, without one.
    pub program: Option<PathBuf>,
    /// What its camera shows: a Y4M or MJPEG file, looped; otherwise Chromium's own moving picture.
    pub camera: Option<PathBuf>,
    /// What its microphone hears: a WAV file, looped; otherwise Chromium's own beeps.
    pub microphone: Option<PathBuf>,
    /// Whether it has neither camera nor microphone.
    pub without_devices: bool,
    /// Whether pages may not use them; then its candidates have names in place of addresses.
    pub without_permission: bool,
    /// More flags.
    pub flags: Vec<String>,
}

/// How Firefox is to be started.
#[derive(Clone, Debug, Default)]
pub struct FirefoxOptions {
    /// The program; where Debian puts it, or where the variable FIREFOX says, without one.
    pub program: Option<PathBuf>,
    /// What its environment has beside ours. Its Web Audio stands still without a loudspeaker: it is told here which one.
    pub environment: Vec<(&'static str, OsString)>,
    /// More preferences, with values as `user.js` has them.
    pub preferences: Vec<(String, String)>,
    /// More arguments.
    pub args: Vec<String>,
}

/// A running browser; it and its profile are gone when this is dropped.
pub struct Browser {
    engine: Engine,
    link: Arc<Link>,
    // Dropped after the link, so that the reader does not see a torn connection first.
    process: Process,
}

#[derive(Clone, Copy)]
enum Engine {
    Chromium,
    Firefox,
}

impl Browser {
    /// Starts Chromium with a profile of its own and connects to it.
    ///
    /// # Errors
    /// Chromium is not installed, or does not come up.
    pub async fn launch(options: &ChromeOptions) -> Result<Self, BrowserError> {
        let started = Process::chromium(options).await?;
        Self::connect(Engine::Chromium, started).await
    }

    /// Starts Firefox with a profile of its own and connects to it. Its Web Audio stands still without a loudspeaker:
    /// `environment` tells which one.
    ///
    /// # Errors
    /// Firefox is not installed, or does not come up.
    pub async fn firefox(environment: Vec<(&'static str, OsString)>) -> Result<Self, BrowserError> {
        Self::firefox_with(FirefoxOptions {
            environment,
            ..FirefoxOptions::default()
        })
        .await
    }

    /// As [`Self::firefox`], with all that can be told.
    ///
    /// # Errors
    /// Firefox is not installed, or does not come up.
    pub async fn firefox_with(options: FirefoxOptions) -> Result<Self, BrowserError> {
        let started = Process::firefox(options).await?;
        let browser = Self::connect(Engine::Firefox, started).await?;
        bidi::begin(&browser.link).await?;
        Ok(browser)
    }

    async fn connect(
        engine: Engine,
        (process, url): (Process, String),
    ) -> Result<Self, BrowserError> {
        let link = Link::connect(&url).await?;
        Ok(Self {
            engine,
            link: Arc::new(link),
            process,
        })
    }

    /// The number of its process, and of the group of all that it starts.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Opens `url` in a window of its own that shares no storage with other pages.
    ///
    /// # Errors
    /// The browser is gone, or the address cannot be loaded.
    pub async fn open(&self, url: &str) -> Result<Page, BrowserError> {
        let page = self.blank().await?;
        page.goto(url).await?;
        Ok(page)
    }

    /// Opens an empty page, to be set up before it goes anywhere.
    ///
    /// # Errors
    /// The browser is gone.
    pub async fn blank(&self) -> Result<Page, BrowserError> {
        let (link, messages) = (Arc::clone(&self.link), Messages::default());
        let tab = match self.engine {
            Engine::Chromium => Tab::Chromium(cdp::Tab::open(link, messages.clone()).await?),
            Engine::Firefox => Tab::Firefox(bidi::Tab::open(link, messages.clone()).await?),
        };
        Ok(Page::new(tab, messages))
    }
}
