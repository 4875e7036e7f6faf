//! A browser with a page of somebody's: opened, watched, told what to do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rtc_browser::{Browser, BrowserError, ChromeOptions, FirefoxOptions, MARKS_JS, Page};
use rtc_scenario::action::PageAction;
use rtc_scenario::template::fill;
use rtc_scenario::{Engine, Seen};
use rtc_verdict::report::SamplePicture;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::observed::Observed;
use super::player::Surroundings;
use crate::load::process::processor_of_group;
use crate::media::clock::Timestamp;

const OBSERVE_JS: &str = include_str!("observe.js");

/// A page is in the call within that time, or something is wrong.
const READY: Duration = Duration::from_secs(30);

/// What a step looks for in a page is there within that time, unless the step says another.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the page has to tell is fetched this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Nothing at the end is waited for longer than that.
const GOODBYE: Duration = Duration::from_secs(10);

/// A browser that takes part, with its page or without.
pub(super) struct PagePlayer {
    name: String,
    asked: rtc_scenario::Browser,
    around: Surroundings,
    marks: bool,
    far: Option<String>,
    program: Option<PathBuf>,
    browser: Option<(Browser, Instant)>,
    page: Option<Open>,
    times: u32,
    observed: Option<Arc<Mutex<Observed>>>,
    seen: Seen,
    words: Vec<String>,
    console: Vec<String>,
}

/// A page that is open, and the task that fetches what it has to tell.
struct Open {
    page: Arc<Page>,
    looking: AbortOnDropHandle<()>,
}

impl PagePlayer {
    /// Starts the browser, which takes long.
    pub(super) async fn prepare(
        peer: usize,
        asked: rtc_scenario::Browser,
        around: Surroundings,
    ) -> Result<Self, String> {
        let scenario = &around.setting.scenario;
        let name = scenario
            .peers
            .get(peer)
            .map(|peer| peer.name.clone())
            .unwrap_or_default();
        let program = around
            .setting
            .browsers
            .iter()
            .find(|(engine, _)| *engine == asked.engine);
        let mut player = Self {
            marks: scenario.marks_for(peer),
            far: scenario.only_other(peer).map(str::to_owned),
            program: program.map(|(_, path)| path.clone()),
            name,
            asked,
            around,
            browser: None,
            page: None,
            times: 0,
            observed: None,
            seen: Seen {
                held: true,
                ..Seen::default()
            },
            words: Vec::new(),
            console: Vec::new(),
        };
        player
            .launch()
            .await
            .map_err(|error| format!("{}: {error}", player.name))?;
        Ok(player)
    }

    async fn launch(&mut self) -> Result<(), String> {
        let origin = self.url()?;
        let origin = origin.split('/').take(3).collect::<Vec<_>>().join("/");
        let started = match self.asked.engine {
            Engine::Chromium => {
                let mut flags = self.asked.args.clone();
                if self.asked.insecure {
                    flags.push(format!(
                        "--unsafely-treat-insecure-origin-as-secure={origin}"
                    ));
                }
                let options = ChromeOptions {
                    program: self.program.clone(),
                    flags,
                    ..ChromeOptions::default()
                };
                Browser::launch(&options).await
            }
            Engine::Firefox => {
                let mut preferences = Vec::new();
                if self.asked.insecure {
                    for name in [
                        "media.devices.insecure.enabled",
                        "media.getusermedia.insecure.enabled",
                    ] {
                        preferences.push((name.to_owned(), "true".to_owned()));
                    }
                }
                let options = FirefoxOptions {
                    program: self.program.clone(),
                    preferences,
                    args: self.asked.args.clone(),
                    ..FirefoxOptions::default()
                };
                Browser::firefox_with(options).await
            }
        };
        let browser = started.map_err(|error| {
            let name = self.asked.engine.name();
            format!("{error} (or with --browser {name}=PATH)")
        })?;
        self.browser = Some((browser, Instant::now()));
        Ok(())
    }

    fn url(&self) -> Result<String, String> {
        let words = self.around.setting.words(&self.around.server, &self.name);
        fill(&self.asked.url, &words, &|name| std::env::var(name).ok())
            .map_err(|error| error.to_string())
    }

    pub(super) async fn join(&mut self, began: Timestamp) -> Result<Timestamp, String> {
        if self.page.is_some() {
            self.leave(began).await?;
        }
        if self.browser.is_none() {
            self.launch().await?;
        }
        let url = self.url()?;
        let at = Timestamp::now();
        self.times += 1;
        let browser = self
            .browser
            .as_ref()
            .map(|(browser, _)| browser)
            .ok_or("there is no browser")?;
        let page = browser.blank().await.map_err(|error| format!("{error}"))?;
        let scripts = [MARKS_JS, OBSERVE_JS];
        for script in scripts.into_iter().skip(usize::from(!self.marks)) {
            page.before_load(script)
                .await
                .map_err(|error| format!("{error}"))?;
        }
        let observed = self.observed.get_or_insert_with(|| {
            let epoch = Duration::from_micros(began.as_micros());
            Arc::new(Mutex::new(Observed::new(epoch, self.far.clone())))
        });
        let page = Arc::new(page);
        let looking = look_on(Arc::clone(&page), Arc::clone(observed));
        self.page = Some(Open {
            page: Arc::clone(&page),
            looking: AbortOnDropHandle::new(tokio::spawn(looking)),
        });
        page.goto(&url)
            .await
            .map_err(|error| self.broke(format!("{error}")))?;
        self.ready(&page).await?;
        Ok(at)
    }

    /// A page that never gets into the call has broken off.
    async fn ready(&mut self, page: &Page) -> Result<(), String> {
        let Some(ready) = self.asked.ready.clone() else {
            return Ok(());
        };
        let ready = page.wait_for(&ready, READY).await;
        ready
            .map(drop)
            .map_err(|error| self.broke(format!("the page was not ready: {error}")))
    }

    pub(super) async fn act(
        &mut self,
        action: &PageAction,
        patience: Option<Duration>,
    ) -> Result<Timestamp, String> {
        let open = self.page.as_ref().ok_or("its page is not open")?;
        let page = Arc::clone(&open.page);
        let told = |error: BrowserError| error.to_string();
        match action {
            PageAction::Click(selector) => {
                let find = format!("document.querySelector({})", Value::from(selector.as_str()));
                let patience = patience.unwrap_or(PATIENCE);
                page.wait_for(&format!("!!{find}"), patience)
                    .await
                    .map_err(|_| {
                        format!("nothing in the page is {selector:?} within {patience:?}")
                    })?;
                page.eval(&format!("void {find}.click()"))
                    .await
                    .map_err(told)?;
            }
            PageAction::Fill(selector, value) => {
                let (selector, value) =
                    (Value::from(selector.as_str()), Value::from(value.as_str()));
                let script = format!(
                    "(() => {{ const field = document.querySelector({selector}); if (!field) throw new Error('nothing in the page is ' + {selector}); \
                     field.focus(); field.value = {value}; \
                     for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {{ bubbles: true }})); }})()"
                );
                page.eval(&script).await.map_err(told)?;
            }
            PageAction::Eval(script) => {
                // A statement is as welcome as an expression; what it gives may have no form in JSON.
                let script = format!(
                    "(async () => {{ await (0, eval)({}); }})()",
                    Value::from(script.as_str())
                );
                page.eval(&script).await.map_err(told)?;
            }
            PageAction::Until(condition) => {
                page.wait_for(condition, patience.unwrap_or(PATIENCE))
                    .await
                    .map_err(told)?;
            }
            PageAction::Reload => {
                fetch(&page, self.observed.as_ref()).await;
                page.reload(READY).await.map_err(told)?;
                self.ready(&page).await?;
            }
        }
        Ok(Timestamp::now())
    }

    /// Leaves by leaving the page, as most people do.
    pub(super) async fn leave(&mut self, began: Timestamp) -> Result<Timestamp, String> {
        let open = self.page.take().ok_or("its page is not open")?;
        fetch(&open.page, self.observed.as_ref()).await;
        open.looking.abort();
        // What it sees while a picture of it is taken is no part of the call: the others may be gone by then.
        let at = Timestamp::now();
        if let Some(observed) = &self.observed {
            lock(observed).gone(at.since(began));
        }
        self.keep(&open.page, began).await;
        let left = timeout(GOODBYE, open.page.goto("about:blank")).await;
        match left {
            Ok(Ok(())) => Ok(at),
            Ok(Err(error)) => Err(format!("{error}")),
            Err(_) => Err(format!(
                "the browser did not leave the page within {GOODBYE:?}"
            )),
        }
    }

    /// The browser ends as a crash ends it.
    pub(super) async fn crash(&mut self, began: Timestamp) -> Result<Timestamp, String> {
        if let Some(open) = self.page.take() {
            fetch(&open.page, self.observed.as_ref()).await;
            self.hear(&open.page);
        }
        self.count();
        self.browser = None;
        let at = Timestamp::now();
        if let Some(observed) = &self.observed {
            lock(observed).gone(at.since(began));
        }
        self.words.push("killed, as asked".into());
        Ok(at)
    }

    pub(super) async fn finish(mut self, began: Timestamp) -> Seen {
        let end = Timestamp::now().since(began);
        if self.page.is_some()
            && let Err(error) = self.leave(began).await
        {
            let _ = self.broke(error);
        }
        self.count();
        self.browser = None;
        match self.observed.take() {
            Some(observed) => self.seen.record = std::mem::take(&mut *lock(&observed)).end(end),
            None => drop(self.broke("it never joined".into())),
        }
        let console = self.around.folder.join(format!("{}.console", self.name));
        // A disk that is full costs the artefact, not the call.
        let _ = std::fs::write(console, self.console.join("\n"));
        if self.words.is_empty() {
            self.words.push("the page was open to the end".into());
        }
        self.seen.words = self.words.join("; ");
        self.seen
    }

    fn broke(&mut self, words: String) -> String {
        self.seen.held = false;
        self.words.push(words.clone());
        words
    }

    fn count(&mut self) {
        let Some((browser, since)) = &self.browser else {
            return;
        };
        if let Some(used) = processor_of_group(browser.pid()) {
            self.seen.processor = Some(used.as_secs_f64() / since.elapsed().as_secs_f64());
        }
    }

    fn hear(&mut self, page: &Page) {
        let lines = page
            .messages()
            .into_iter()
            .map(|message| format!("{}: {}", message.level, message.text));
        self.console.extend(lines);
        let complaints = page
            .complaints()
            .into_iter()
            .map(|message| format!("{}: {}", message.level, message.text));
        self.seen.complaints.extend(complaints);
    }

    /// What the page looks like and said.
    async fn keep(&mut self, page: &Page, began: Timestamp) {
        self.hear(page);
        let file = self
            .around
            .folder
            .join(format!("{}.{}.png", self.name, self.times));
        let taken = timeout(GOODBYE, page.screenshot(&file)).await;
        if let Ok(Ok(())) = taken
            && let Some(png) = read_picture(&file)
        {
            self.seen.pictures.push(SamplePicture {
                peer: self.name.clone(),
                at: Timestamp::now().since(began),
                caption: "the page when it was left".into(),
                png,
            });
        }
    }
}

/// Larger ones would make a report that nobody can send.
fn read_picture(file: &Path) -> Option<Vec<u8>> {
    const MOST: usize = 2 << 20;
    std::fs::read(file).ok().filter(|png| png.len() <= MOST)
}

/// Fetches what the page has to tell until it is closed.
async fn look_on(page: Arc<Page>, observed: Arc<Mutex<Observed>>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        fetch(&page, Some(&observed)).await;
    }
}

/// A page that is just loading has nothing to tell.
async fn fetch(page: &Page, observed: Option<&Arc<Mutex<Observed>>>) {
    let told = timeout(GOODBYE, page.eval("globalThis.rtcObserved?.take() ?? '{}'")).await;
    if let (Ok(Ok(Value::String(told))), Some(observed)) = (told, observed)
        && let Err(error) = lock(observed).take(&told)
    {
        tracing::warn!("what the page told of its connections is none: {error}");
    }
}

fn lock(observed: &Mutex<Observed>) -> MutexGuard<'_, Observed> {
    observed.lock().unwrap_or_else(PoisonError::into_inner)
}
