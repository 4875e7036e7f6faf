//! What came of a run of scenarios, for machines and for people.

mod html;
mod json;
mod junit;
mod tap;

use std::time::Duration;

use crate::judge::{Seen, Test};

pub use json::VERSION;

/// What came of one scenario.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Its name.
    pub name: String,
    /// What else should be known to run it again: file, room, seed, server, version.
    pub facts: Vec<(String, String)>,
    /// How long it lasted.
    pub lasted: Duration,
    /// Who took part.
    pub peers: Vec<ShownPeer>,
    /// What was done.
    pub steps: Vec<ShownStep>,
    /// What was tested.
    pub tests: Vec<Test>,
    /// Why it could not be run at all.
    pub trouble: Option<String>,
}

/// Who took part.
#[derive(Clone, Debug, Default)]
pub struct ShownPeer {
    /// Its name.
    pub name: String,
    /// What it is: `rtc-client`, `chromium`, `firefox`.
    pub kind: String,
    /// What it saw.
    pub seen: Seen,
}

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct ShownStep {
    /// Its number in the file, from 1 on.
    pub number: usize,
    /// When it was done.
    pub at: Duration,
    /// Whose.
    pub peer: String,
    /// What.
    pub text: String,
    /// Whether it ended what lasted for a while.
    pub ends: bool,
    /// Why it could not be done.
    pub trouble: Option<String>,
}

impl Scene {
    /// Whether all is as it should be. What could not be run, or tested nothing, is not.
    #[must_use]
    pub fn held(&self) -> bool {
        self.trouble.is_none() && !self.tests.is_empty() && self.tests.iter().all(|test| test.held)
    }

    fn failed(&self) -> impl Iterator<Item = &Test> {
        self.tests.iter().filter(|test| !test.held)
    }
}

/// A run: one scenario after the other, or several at a time.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// In the order of the command line.
    pub scenes: Vec<Scene>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// As JUnit.
    #[error("the report has no form in XML: {0}")]
    Junit(#[from] quick_junit::SerializeError),
    /// As JSON.
    #[error("the report has no form in JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Run {
    /// Whether all of them are as they should be.
    #[must_use]
    pub fn held(&self) -> bool {
        !self.scenes.is_empty() && self.scenes.iter().all(Scene::held)
    }

    /// A suite of tests for each scenario, in the form of JUnit.
    ///
    /// # Errors
    /// When it has no XML form.
    pub fn junit(&self) -> Result<String, ReportError> {
        junit::write(self)
    }

    /// The same in the Test Anything Protocol, version 14.
    #[must_use]
    pub fn tap(&self) -> String {
        tap::write(self)
    }

    /// All of it, every quantity second by second.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn json(&self) -> Result<String, ReportError> {
        json::write(self)
    }

    /// One page with time lines and pictures that needs nothing but itself.
    #[must_use]
    pub fn html(&self) -> String {
        html::write(self)
    }
}

#[cfg(test)]
mod tests;
