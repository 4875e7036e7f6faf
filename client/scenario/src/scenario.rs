//! What a file says, checked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::action::Action;
use crate::expected::Expected;

/// A call of several peers.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// What it goes by in reports.
    pub name: String,
    /// The room, with holes.
    pub room: String,
    /// Where the server is.
    pub server: ServerFrom,
    /// Of the luck.
    pub seed: u64,
    /// How long it lasts.
    pub duration: Duration,
    /// Who takes part, in the file's order.
    pub peers: Vec<Peer>,
    /// What is done, in the file's order.
    pub steps: Vec<Step>,
}

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrom {
    /// One of this run's own, which serves the files of that folder, too.
    Start {
        /// Relative to the file.
        root: Option<String>,
    },
    /// There, with holes.
    At(String),
}

/// Who takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// Its name, in the file and in the call.
    pub name: String,
    /// When it comes; never by itself where it is not told.
    pub join: Option<Duration>,
    /// What it is.
    pub kind: Kind,
    /// What is expected of the whole of its call.
    pub expect: Vec<Expected>,
}

/// What a peer is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// One of ours.
    Native(Native),
    /// A browser with a page.
    Browser(Browser),
}

impl Kind {
    /// As the file calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Native(_) => "rtc-client",
            Self::Browser(browser) => browser.engine.name(),
        }
    }
}

/// One of our own peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// As `--video`.
    pub video: String,
    /// As `--audio`.
    pub audio: String,
    /// As `--impair`; empty for as good as it is.
    pub impair: String,
    /// More of `rtc-client join`.
    pub args: Vec<String>,
}

/// Which browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Engine {
    /// Chromium, Chrome.
    Chromium,
    /// Firefox.
    Firefox,
}

impl Engine {
    /// As the file calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Firefox => "firefox",
        }
    }
}

/// A browser with a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    /// Which.
    pub engine: Engine,
    /// The page's address, with holes.
    pub url: String,
    /// JavaScript that gives something once the page is in the call; its joining waits for it.
    pub ready: Option<String>,
    /// JavaScript by names that steps use.
    pub hooks: BTreeMap<String, String>,
    /// More flags of the browser.
    pub args: Vec<String>,
    /// Camera and microphone are there though the page is not secure.
    pub insecure: bool,
    /// What the page complains of fails the scenario.
    pub strict: bool,
}

/// Something that is done at some time, and what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When: at a time, or by chance before another.
    pub at: (Duration, Option<Duration>),
    /// Whose, by its place in [`Scenario::peers`].
    pub peer: usize,
    /// What, as it was written.
    pub text: String,
    /// What.
    pub action: Action,
    /// For how long.
    pub lasting: Option<Duration>,
    /// What is expected from then on.
    pub expect: Vec<Expected>,
}

impl Scenario {
    /// Whether somebody else than `peer` sends the test picture, whose marks can be read.
    #[must_use]
    pub fn marks_for(&self, peer: usize) -> bool {
        let others = self.peers.iter().enumerate().filter(|(at, _)| *at != peer);
        others
            .into_iter()
            .any(|(_, other)| matches!(&other.kind, Kind::Native(native) if native.video == "test"))
    }

    /// Whether a step kills somebody: the others lose it then, and that is no fault of theirs.
    #[must_use]
    pub fn crashes(&self) -> bool {
        self.steps
            .iter()
            .any(|step| step.action == crate::action::Action::Crash)
    }

    /// Whom a connection of a page is to, where there is but one other.
    #[must_use]
    pub fn only_other(&self, peer: usize) -> Option<&str> {
        let mut others = self.peers.iter().enumerate().filter(|(at, _)| *at != peer);
        match (others.next(), others.next()) {
            (Some((_, only)), None) => Some(&only.name),
            _ => None,
        }
    }
}
