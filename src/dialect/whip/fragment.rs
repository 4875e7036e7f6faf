//! `application/trickle-ice-sdpfrag` (RFC 8840 section 9): candidates and credentials without the rest of a description.

use super::sdp::{Credentials, is_candidate};

/// The media type.
pub const MEDIA_TYPE: &str = "application/trickle-ice-sdpfrag";

/// Bytes of one fragment: a hundred candidates with their media sections.
pub const FRAGMENT_BYTES: usize = 16 * 1024;

/// Lines of one fragment.
const LINES: usize = 512;

/// Candidates of one fragment; a laptop with five networks and two TURN servers has thirty.
const CANDIDATES: usize = 128;

/// Media sections of one fragment.
const SECTIONS: usize = 16;

/// Why a fragment cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// A line of another form.
    #[error("line {line} of the fragment is no attribute (RFC 8840 section 9): {found:?}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// Its beginning.
        found: String,
    },
    /// Nothing in it.
    #[error("the fragment is empty; send credentials or candidates")]
    Empty,
    /// More than anybody needs.
    #[error("the fragment has more than {most} {what}; send several PATCH requests")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// Half of the credentials, two different ones, or characters that ICE does not know.
    #[error(
        "the fragment's a=ice-ufrag and a=ice-pwd are not one usable pair (RFC 8839 section 5.4)"
    )]
    Credentials,
    /// A candidate that is none.
    #[error("line {0} of the fragment is no candidate (RFC 8839 section 5.1)")]
    Candidate(usize),
}

/// Candidates of one media section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FragmentSection {
    /// The pseudo media line without `m=`.
    pub line: String,
    /// The section's name.
    pub mid: Option<String>,
    /// `candidate:…`, without `a=`.
    pub candidates: Vec<String>,
    /// There are no more.
    pub ended: bool,
}

/// One fragment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    /// `a=ice-lite`.
    pub lite: bool,
    /// `a=ice-options`, as it stands.
    pub options: Option<String>,
    /// The BUNDLE group, if it names one.
    pub bundle: Vec<String>,
    /// The ICE generation that the candidates belong to.
    pub credentials: Option<Credentials>,
    /// Candidates. Those before the first `m=` line are in a section without a line.
    pub sections: Vec<FragmentSection>,
}

impl Fragment {
    /// Reads a fragment.
    ///
    /// Attributes that it has no use for are passed over, as RFC 8840 section 9.2 asks.
    ///
    /// # Errors
    /// When it is none, or larger than anybody needs.
    pub fn read(text: &str) -> Result<Self, FragmentError> {
        let mut fragment = Self::default();
        let (mut ufrag, mut pwd) = (None, None);
        let mut candidates = 0;
        let mut any = false;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            if number > LINES {
                let (what, most) = ("lines", LINES);
                return Err(FragmentError::TooMany { what, most });
            }
            if line.is_empty() {
                continue;
            }
            any = true;
            if line.chars().any(|c| c.is_control() && c != '\t') {
                return Err(no_attribute(number, line));
            }
            if let Some(media) = line.strip_prefix("m=") {
                if media.is_empty() {
                    return Err(no_attribute(number, line));
                }
                if fragment.sections.len() >= SECTIONS {
                    let (what, most) = ("media sections", SECTIONS);
                    return Err(FragmentError::TooMany { what, most });
                }
                fragment.sections.push(FragmentSection {
                    line: media.to_owned(),
                    ..FragmentSection::default()
                });
                continue;
            }
            let Some(attribute) = line.strip_prefix("a=") else {
                return Err(no_attribute(number, line));
            };
            if let Some(value) = attribute.strip_prefix("ice-ufrag:") {
                same(&mut ufrag, value)?;
            } else if let Some(value) = attribute.strip_prefix("ice-pwd:") {
                same(&mut pwd, value)?;
            } else if let Some(mids) = attribute.strip_prefix("group:BUNDLE") {
                fragment.bundle = mids.split_ascii_whitespace().map(str::to_owned).collect();
            } else if let Some(options) = attribute.strip_prefix("ice-options:") {
                fragment.options = Some(options.to_owned());
            } else if attribute == "ice-lite" {
                fragment.lite = true;
            } else if let Some(mid) = attribute.strip_prefix("mid:") {
                fragment.section().mid = Some(mid.trim().to_owned());
            } else if attribute == "end-of-candidates" {
                fragment.section().ended = true;
            } else if attribute.starts_with("candidate:") {
                if !is_candidate(attribute) {
                    return Err(FragmentError::Candidate(number));
                }
                candidates += 1;
                if candidates > CANDIDATES {
                    let (what, most) = ("candidates", CANDIDATES);
                    return Err(FragmentError::TooMany { what, most });
                }
                fragment.section().candidates.push(attribute.to_owned());
            }
        }
        if !any {
            return Err(FragmentError::Empty);
        }
        fragment.credentials = match (ufrag, pwd) {
            (None, None) => None,
            (Some(ufrag), Some(pwd)) => {
                let pair = Credentials::check(&ufrag, &pwd);
                Some(pair.ok_or(FragmentError::Credentials)?)
            }
            _ => return Err(FragmentError::Credentials),
        };
        Ok(fragment)
    }

    /// Writes the fragment.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut push = |line: &str| {
            text.push_str(line);
            text.push_str("\r\n");
        };
        if self.lite {
            push("a=ice-lite");
        }
        if let Some(options) = &self.options {
            push(&format!("a=ice-options:{options}"));
        }
        if !self.bundle.is_empty() {
            push(&format!("a=group:BUNDLE {}", self.bundle.join(" ")));
        }
        if let Some(credentials) = &self.credentials {
            push(&format!("a=ice-ufrag:{}", credentials.ufrag));
            push(&format!("a=ice-pwd:{}", credentials.pwd));
        }
        for section in &self.sections {
            if !section.line.is_empty() {
                push(&format!("m={}", section.line));
            }
            if let Some(mid) = &section.mid {
                push(&format!("a=mid:{mid}"));
            }
            for candidate in &section.candidates {
                push(&format!("a={candidate}"));
            }
            if section.ended {
                push("a=end-of-candidates");
            }
        }
        text
    }

    /// The section that attributes belong to now.
    fn section(&mut self) -> &mut FragmentSection {
        if self.sections.is_empty() {
            self.sections.push(FragmentSection::default());
        }
        let last = self.sections.len() - 1;
        &mut self.sections[last]
    }
}

/// Every media section of a bundle may repeat the credentials; they must be the same.
fn same(known: &mut Option<String>, value: &str) -> Result<(), FragmentError> {
    let value = value.trim();
    match known {
        Some(known) if known != value => Err(FragmentError::Credentials),
        _ => {
            *known = Some(value.to_owned());
            Ok(())
        }
    }
}

fn no_attribute(line: usize, found: &str) -> FragmentError {
    let found = found.chars().take(32).collect();
    FragmentError::Line { line, found }
}
