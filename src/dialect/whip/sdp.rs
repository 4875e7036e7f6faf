//! What is read from descriptions and written into them; no media is understood here, only ICE and directions.

use std::collections::BTreeSet;

use super::Flow;
use crate::signal::Candidate;

/// Bytes of an offer: OBS sends 2 KB, a browser with every codec 8 KB, and as JSON it must fit into one message.
pub const OFFER_BYTES: usize = 32 * 1024;

/// Lines of one description.
const LINES: usize = 2_048;

/// Media sections of one description; WHIP has two.
const SECTIONS: usize = 16;

/// Characters of an ICE username fragment or password (RFC 8839 section 5.4).
const CREDENTIAL: usize = 256;

/// Characters of one candidate: RFC 8839's fields with a domain name and extensions.
pub(super) const CANDIDATE: usize = 512;

/// Why an offer is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// No SDP at all.
    #[error("line {line} of the offer is no SDP (RFC 8866): it begins with {found:?}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Its beginning.
        found: String,
    },
    /// More than anybody needs.
    #[error("the offer has more than {most} {what}; send fewer")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// Nothing to send or to receive.
    #[error("the offer has no media section; add audio or video")]
    NoMedia,
    /// Something that every WebRTC offer has.
    #[error("the offer has no {0}; make it with a WebRTC stack (RFC 9429)")]
    Missing(&'static str),
    /// Two sections of one name.
    #[error("the offer has two media sections with a=mid:{0}; each needs a name of its own")]
    SameMid(String),
    /// Sections that would each have a transport of their own.
    #[error(
        "the offer does not bundle its media sections (RFC 9725 section 4.4.1); set the bundle policy to max-bundle"
    )]
    NotBundled,
    /// The wrong protocol, as a rule.
    #[error("the {kind} section of the offer is {found}; {hint}")]
    Direction {
        /// `audio` or `video`.
        kind: String,
        /// What it says.
        found: String,
        /// What to do.
        hint: &'static str,
    },
}

impl OfferError {
    /// Whether it is no SDP at all, rather than SDP that cannot be used.
    #[must_use]
    pub const fn is_syntax(&self) -> bool {
        matches!(self, Self::Syntax { .. })
    }
}

/// ICE's username fragment and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub pwd: String,
}

impl Credentials {
    /// Checks both (RFC 8839 section 5.4: ice-chars of at least 4 and 22).
    pub(super) fn check(ufrag: &str, pwd: &str) -> Option<Self> {
        let fits = |text: &str, least: usize| {
            (least..=CREDENTIAL).contains(&text.len())
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        };
        (fits(ufrag, 4) && fits(pwd, 22)).then(|| Self {
            ufrag: ufrag.to_owned(),
            pwd: pwd.to_owned(),
        })
    }
}

/// One media section: its `m=` line first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    lines: Vec<String>,
}

impl Section {
    fn words(&self) -> impl Iterator<Item = &str> {
        let line = self.lines.first().map_or("", String::as_str);
        line.strip_prefix("m=").unwrap_or_default().split(' ')
    }

    fn kind(&self) -> &str {
        self.words().next().unwrap_or_default()
    }

    fn is_media(&self) -> bool {
        matches!(self.kind(), "audio" | "video")
    }

    fn port(&self) -> &str {
        self.words().nth(1).unwrap_or_default()
    }

    fn set_port(&mut self, port: &str) {
        let line: Vec<&str> = self.words().collect();
        let line = match line.as_slice() {
            [kind, _, rest @ ..] => [&[*kind, port], rest].concat().join(" "),
            _ => return,
        };
        if let Some(first) = self.lines.first_mut() {
            *first = format!("m={line}");
        }
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        attribute(&self.lines, name)
    }

    fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|own| own == line)
    }

    fn mid(&self) -> Option<&str> {
        self.attribute("mid").map(str::trim)
    }

    fn direction(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| direction(line))
    }
}

fn attribute<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| {
        line.strip_prefix("a=")?
            .strip_prefix(name)?
            .strip_prefix(':')
    })
}

fn direction(line: &str) -> Option<&str> {
    let word = line.strip_prefix("a=")?;
    matches!(word, "sendrecv" | "sendonly" | "recvonly" | "inactive").then_some(word)
}

/// A description in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    head: Vec<String>,
    sections: Vec<Section>,
}

impl Parts {
    fn read(sdp: &str) -> Result<Self, OfferError> {
        let mut parts = Self {
            head: Vec::new(),
            sections: Vec::new(),
        };
        for (index, line) in sdp.lines().enumerate() {
            if line.is_empty() {
                continue;
            }
            if index >= LINES {
                let (what, most) = ("lines", LINES);
                return Err(OfferError::TooMany { what, most });
            }
            let shape = line.as_bytes();
            let typed = shape.len() >= 2 && shape[0].is_ascii_lowercase() && shape[1] == b'=';
            let begun = !parts.head.is_empty() || line == "v=0";
            if !typed || !begun || line.chars().any(|c| c.is_control() && c != '\t') {
                let found = line.chars().take(32).collect();
                let line = index + 1;
                return Err(OfferError::Syntax { line, found });
            }
            let line = line.to_owned();
            if line.starts_with("m=") {
                if parts.sections.len() == SECTIONS {
                    let (what, most) = ("media sections", SECTIONS);
                    return Err(OfferError::TooMany { what, most });
                }
                parts.sections.push(Section { lines: vec![line] });
            } else if let Some(section) = parts.sections.last_mut() {
                section.lines.push(line);
            } else {
                parts.head.push(line);
            }
        }
        if parts.head.is_empty() {
            let (line, found) = (1, String::new());
            return Err(OfferError::Syntax { line, found });
        }
        Ok(parts)
    }

    fn write(&self) -> String {
        let lines = self.sections.iter().flat_map(|section| &section.lines);
        let mut text = String::new();
        for line in self.head.iter().chain(lines) {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text
    }

    /// The mids of the first BUNDLE group; the first of them is the one whose transport is used (RFC 9143).
    fn bundle(&self) -> Vec<&str> {
        let group = self.head.iter().find_map(|line| {
            let mids = line.strip_prefix("a=group:BUNDLE")?;
            Some(mids.split_ascii_whitespace().collect())
        });
        group.unwrap_or_default()
    }

    /// An attribute of the session, or else of the first section that has it.
    fn anywhere(&self, name: &str) -> Option<&str> {
        attribute(&self.head, name)
            .or_else(|| self.sections.iter().find_map(|s| s.attribute(name)))
            .map(str::trim)
    }

    fn credentials(&self) -> Option<Credentials> {
        Credentials::check(self.anywhere("ice-ufrag")?, self.anywhere("ice-pwd")?)
    }

    /// The section whose transport is used: the tagged one of the bundle, or the first.
    fn tagged(&self) -> usize {
        let tag = self.bundle().first().copied();
        let found = self
            .sections
            .iter()
            .position(|s| tag.is_some() && s.mid() == tag);
        found.unwrap_or(0)
    }

    /// Where a candidate belongs: by mid, by position, or to the transport that is used.
    fn place(&self, mid: Option<&str>, index: Option<u16>) -> usize {
        let by_mid = mid.and_then(|mid| self.sections.iter().position(|s| s.mid() == Some(mid)));
        let by_index = index
            .map(usize::from)
            .filter(|index| *index < self.sections.len());
        by_mid.or(by_index).unwrap_or_else(|| self.tagged())
    }
}

/// A publisher's or player's offer, checked and brought to the one direction that its protocol has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    parts: Parts,
    credentials: Credentials,
}

impl Offer {
    /// Checks an offer, and makes it one that a member answers the right way.
    ///
    /// `sendrecv` becomes `sendonly` for a publisher and `recvonly` for a player, so that the answer is what RFC 9725
    /// section 4.2 wants without the member's knowing of it.
    ///
    /// # Errors
    /// When it cannot be answered.
    pub fn read(sdp: &str, flow: Flow) -> Result<Self, OfferError> {
        let mut parts = Parts::read(sdp)?;
        if parts.sections.is_empty() {
            return Err(OfferError::NoMedia);
        }
        let mut mids = BTreeSet::new();
        for mid in parts.sections.iter().filter_map(Section::mid) {
            if !mids.insert(mid) {
                return Err(OfferError::SameMid(mid.chars().take(32).collect()));
            }
        }
        let bundled: BTreeSet<String> = parts.bundle().into_iter().map(str::to_owned).collect();
        let in_bundle = |s: &Section| s.mid().is_some_and(|mid| bundled.contains(mid));
        let live = |s: &Section| s.port() != "0" || in_bundle(s);
        if parts.sections.iter().filter(|s| live(s)).count() > 1
            && !parts.sections.iter().filter(|s| live(s)).all(in_bundle)
        {
            return Err(OfferError::NotBundled);
        }
        if !parts.sections.iter().any(|s| s.is_media() && live(s)) {
            return Err(OfferError::NoMedia);
        }
        if parts.anywhere("fingerprint").is_none() {
            return Err(OfferError::Missing("a=fingerprint"));
        }
        let credentials = parts
            .credentials()
            .ok_or(OfferError::Missing("usable a=ice-ufrag and a=ice-pwd"))?;
        let session = parts.head.iter().find_map(|line| direction(line));
        let default = session.unwrap_or("sendrecv").to_owned();
        parts.head.retain(|line| direction(line).is_none());
        for section in &mut parts.sections {
            let bundled = in_bundle(section);
            if section.port() == "0" && bundled && !section.has("a=bundle-only") {
                // GStreamer writes it so; to others it means that the section is refused (RFC 3264 section 6).
                section.set_port("9");
            }
            if !section.is_media() || !(section.port() != "0" || bundled) {
                continue;
            }
            let found = section.direction().unwrap_or(&default);
            if found != "sendrecv" && found != flow.direction() {
                return Err(OfferError::Direction {
                    kind: section.kind().to_owned(),
                    found: found.to_owned(),
                    hint: match flow {
                        Flow::Publish => "a publisher sends; to receive, use /whep",
                        Flow::Play => "a player receives; to send, use /whip",
                    },
                });
            }
            section.lines.retain(|line| direction(line).is_none());
            section.lines.push(format!("a={}", flow.direction()));
        }
        Ok(Self { parts, credentials })
    }

    /// The text to pass on.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts.write()
    }

    /// ICE's username fragment and password.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// How many media sections it has.
    #[must_use]
    pub fn sections(&self) -> usize {
        self.parts.sections.len()
    }

    /// The position and name of the section that a fragment's candidates belong to; none where there is no such one.
    #[must_use]
    pub fn locate(&self, mid: Option<&str>) -> Option<(u16, Option<String>)> {
        let index = match mid {
            Some(mid) => self
                .parts
                .sections
                .iter()
                .position(|s| s.mid() == Some(mid))?,
            None => self.parts.tagged(),
        };
        let mid = self.parts.sections.get(index)?.mid().map(str::to_owned);
        Some((u16::try_from(index).ok()?, mid))
    }

    /// The same offer in a new ICE generation: other credentials, no candidates, the next version in its `o=` line.
    #[must_use]
    pub fn restarted(&self, credentials: Credentials) -> Self {
        let mut parts = self.parts.clone();
        let stale =
            |line: &String| line.starts_with("a=candidate:") || line == "a=end-of-candidates";
        let renew = |lines: &mut Vec<String>| {
            lines.retain(|line| !stale(line));
            for line in lines {
                if line.starts_with("a=ice-ufrag:") {
                    *line = format!("a=ice-ufrag:{}", credentials.ufrag);
                } else if line.starts_with("a=ice-pwd:") {
                    *line = format!("a=ice-pwd:{}", credentials.pwd);
                } else if let Some(next) = next_version(line) {
                    *line = next;
                }
            }
        };
        renew(&mut parts.head);
        for section in &mut parts.sections {
            renew(&mut section.lines);
        }
        Self { parts, credentials }
    }
}

/// An `o=` line with the version after its own (RFC 8866 section 5.2).
fn next_version(line: &str) -> Option<String> {
    let mut words: Vec<String> = line
        .strip_prefix("o=")?
        .split(' ')
        .map(str::to_owned)
        .collect();
    let version = words.get_mut(2)?;
    *version = version.parse::<u64>().ok()?.saturating_add(1).to_string();
    Some(format!("o={}", words.join(" ")))
}

/// A member's answer, to which its candidates are added as they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    parts: Parts,
    pub(super) credentials: Credentials,
    /// It says itself that it holds every candidate.
    pub(super) complete: bool,
}

impl Answer {
    /// Reads an answer to an offer; none where it cannot be one.
    pub(super) fn read(sdp: &str, offer: &Offer) -> Option<Self> {
        let parts = Parts::read(sdp).ok()?;
        let credentials = parts.credentials()?;
        let complete = parts.sections.iter().any(|s| s.has("a=end-of-candidates"))
            || parts.head.iter().any(|line| line == "a=end-of-candidates");
        (parts.sections.len() == offer.sections()).then_some(Self {
            parts,
            credentials,
            complete,
        })
    }

    /// What the member does not take, of what is offered.
    pub(super) fn refused(&self, offer: &Offer) -> Option<String> {
        let both = offer.parts.sections.iter().zip(&self.parts.sections);
        both.filter(|(offered, _)| offered.is_media() && offered.direction().is_some())
            .find(|(_, answered)| {
                answered.port() == "0" && !answered.has("a=bundle-only")
                    || answered.direction() == Some("inactive")
            })
            .map(|(offered, _)| offered.kind().to_owned())
    }

    /// Whether it takes nothing at all.
    pub(super) fn refuses_all(&self) -> bool {
        !self.parts.sections.iter().any(|s| {
            s.is_media()
                && (s.port() != "0" || s.has("a=bundle-only"))
                && s.direction() != Some("inactive")
        })
    }

    /// Adds candidates, and says that there will be no more: they could not reach the HTTP side.
    pub(super) fn finish(&mut self, candidates: &[Candidate]) {
        for candidate in candidates {
            let place = self
                .parts
                .place(candidate.sdp_mid.as_deref(), candidate.sdp_m_line_index);
            let Some(line) = candidate_line(&candidate.candidate) else {
                continue;
            };
            if let Some(section) = self.parts.sections.get_mut(place)
                && !section.has(&line)
            {
                section.lines.push(line);
            }
        }
        let last = "a=end-of-candidates";
        let tagged = self.parts.tagged();
        for (index, section) in self.parts.sections.iter_mut().enumerate() {
            section.lines.retain(|line| line != last);
            if index == tagged || section.attribute("candidate").is_some() {
                section.lines.push(last.to_owned());
            }
        }
    }

    pub(super) fn text(&self) -> String {
        self.parts.write()
    }

    /// What an ICE restart is answered with (RFC 9725 section 4.3.3).
    pub(super) fn fragment(&self) -> super::Fragment {
        let tagged = self.parts.sections.get(self.parts.tagged());
        let line = tagged.and_then(|s| s.lines.first()?.strip_prefix("m=").map(str::to_owned));
        let mid = tagged.and_then(|s| s.mid().map(str::to_owned));
        let own = |prefix: &str| {
            let lines = tagged.map(|s| s.lines.as_slice()).unwrap_or_default();
            let lines = self.parts.head.iter().chain(lines);
            let found = lines.filter_map(|line| line.strip_prefix(prefix));
            found.map(str::to_owned).collect::<Vec<_>>()
        };
        super::Fragment {
            lite: self.parts.head.iter().any(|line| line == "a=ice-lite"),
            options: own("a=ice-options:").into_iter().next(),
            bundle: self.parts.bundle().into_iter().map(str::to_owned).collect(),
            credentials: Some(self.credentials.clone()),
            sections: vec![super::fragment::FragmentSection {
                line: line.unwrap_or_else(|| "audio 9 RTP/AVP 0".to_owned()),
                mid,
                candidates: own("a=candidate:")
                    .into_iter()
                    .map(|rest| format!("candidate:{rest}"))
                    .collect(),
                ended: true,
            }],
        }
    }
}

/// A candidate as a line of SDP; none where it is none.
fn candidate_line(candidate: &str) -> Option<String> {
    let text = candidate.trim();
    let text = text.strip_prefix("a=").unwrap_or(text);
    is_candidate(text).then(|| format!("a={text}"))
}

/// Whether a text is a candidate attribute, as far as it can do no harm where it is passed on.
pub(super) fn is_candidate(text: &str) -> bool {
    text.len() <= CANDIDATE
        && text
            .strip_prefix("candidate:")
            .is_some_and(|rest| rest.split(' ').filter(|word| !word.is_empty()).count() >= 8)
        && !text.chars().any(char::is_control)
}
