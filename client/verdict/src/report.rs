//! What came of a call, for machines and for people.

mod chart;
pub mod html;
mod json;
mod junit;
mod tap;

use std::time::Duration;

use crate::judge::Outcome;
use crate::record::Record;

pub use chart::Mark;
pub use json::{Peer as PeerForm, VERSION, peer as peer_form};

/// A picture that was received, to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamplePicture {
    /// Whose.
    pub peer: String,
    /// When in the call.
    pub at: Duration,
    /// What it shows.
    pub caption: String,
    /// It, as a PNG file.
    pub png: Vec<u8>,
}

/// A call that was judged.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// What was run, such as `rtc-client join foo`.
    pub title: String,
    /// What else should be known to run it again, by name: room, seed, impairment, version.
    pub facts: Vec<(String, String)>,
    /// Whether the call itself came to a good end, whatever was expected of it.
    pub call_held: bool,
    /// What came of it, in words.
    pub call_words: String,
    /// What was expected, and what was.
    pub outcomes: &'a [Outcome],
    /// What was measured.
    pub record: &'a Record,
    /// Some of what was received.
    pub pictures: Vec<SamplePicture>,
}

impl Report<'_> {
    /// Whether all is as it should be.
    #[must_use]
    pub fn held(&self) -> bool {
        self.call_held && self.outcomes.iter().all(|outcome| outcome.held)
    }

    /// A test suite in the form of JUnit: the call is a test, and so is each expectation.
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

    /// All of it with every quantity second by second.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn json(&self) -> Result<String, ReportError> {
        json::write(self)
    }

    /// All of it with every single value and its time, which `record::Told` reads.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub fn values(&self) -> Result<String, ReportError> {
        let (held, words) = (self.call_held, &self.call_words);
        Ok(crate::record::write(
            held,
            words,
            self.record,
            &self.pictures,
        )?)
    }

    /// One page with time lines and pictures that needs nothing but itself.
    #[must_use]
    pub fn html(&self) -> String {
        html::write(self)
    }

    fn counts(&self) -> (usize, usize) {
        let all = self.outcomes.len() + 1;
        let failed = self.outcomes.iter().filter(|outcome| !outcome.held).count();
        (all, failed + usize::from(!self.call_held))
    }
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

#[cfg(test)]
mod tests;
