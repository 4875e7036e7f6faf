//! A description with all candidates in it, for ways of signaling that carry one text and no more (RFC 8838, section 4: half
//! trickle). Pure.

use std::time::{Duration, Instant};

use rtc_protocol::{Candidate, Description, SdpType};

/// A STUN server that does not answer is given up by the engine after longer than anybody wants to wait.
const GATHERING: Duration = Duration::from_secs(3);

/// Candidates of one description; a laptop with five networks and two TURN servers has thirty.
const CANDIDATES: usize = 128;

/// A description of ours whose candidates come in.
#[derive(Clone, Debug)]
pub(super) struct Gathering {
    kind: SdpType,
    sdp: String,
    candidates: Vec<Candidate>,
    complete: bool,
    until: Instant,
}

impl Gathering {
    pub(super) fn new(now: Instant, description: Description) -> Self {
        let sdp = description.sdp;
        Self {
            kind: description.kind,
            complete: sdp.lines().any(|line| line == END),
            sdp,
            candidates: Vec::new(),
            until: now + GATHERING,
        }
    }

    /// As [`Self::new`], where one was given away before. Of the same ICE generation, its candidates are this one's, too.
    pub(super) fn after(now: Instant, description: Description, before: Option<&Self>) -> Self {
        let mut gathering = Self::new(now, description);
        let fragment = |sdp: &str| {
            let mut lines = sdp.lines();
            let found = lines.find_map(|line| line.strip_prefix("a=ice-ufrag:"));
            found.map(str::to_owned)
        };
        if let Some(before) = before
            && fragment(&before.sdp).is_some()
            && fragment(&before.sdp) == fragment(&gathering.sdp)
        {
            gathering.candidates.clone_from(&before.candidates);
            gathering.complete |= before.complete;
        }
        gathering
    }

    /// One more; those beyond any reason are left out.
    pub(super) fn candidate(&mut self, candidate: Candidate) {
        if self.candidates.len() < CANDIDATES {
            self.candidates.push(candidate);
        }
    }

    /// There are no more.
    pub(super) const fn end(&mut self) {
        self.complete = true;
    }

    /// Until when is waited.
    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// Whether it is as complete as it gets.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.complete || now >= self.until
    }

    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) const fn kind(&self) -> SdpType {
        self.kind
    }

    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    pub(super) fn sdp(&self) -> &str {
        &self.sdp
    }

    /// The text with its candidates.
    pub(super) fn text(&self) -> String {
        with_candidates(&self.sdp, &self.candidates, self.complete)
    }
}

const END: &str = "a=end-of-candidates";

/// The names of the media sections, in order.
pub(super) fn mids(sdp: &str) -> Vec<Option<String>> {
    let mut mids: Vec<Option<String>> = Vec::new();
    for line in sdp.lines() {
        if line.starts_with("m=") {
            mids.push(None);
        } else if let (Some(mid), Some(last)) = (line.strip_prefix("a=mid:"), mids.last_mut()) {
            last.get_or_insert_with(|| mid.trim().to_owned());
        }
    }
    mids
}

/// Which section a candidate is of: by its name, by its position, or the first.
pub(super) fn section_of(mids: &[Option<String>], candidate: &Candidate) -> usize {
    let named = candidate.sdp_mid.as_deref().filter(|mid| !mid.is_empty());
    let by_mid = named.and_then(|mid| mids.iter().position(|own| own.as_deref() == Some(mid)));
    let by_index = candidate.sdp_m_line_index.map(usize::from);
    by_mid
        .or(by_index.filter(|index| *index < mids.len()))
        .unwrap_or(0)
}

/// The attribute without `a=`; none where it could be more than one line.
pub(super) fn attribute(candidate: &Candidate) -> Option<&str> {
    let text = candidate.candidate.trim();
    let text = text.strip_prefix("a=").unwrap_or(text);
    (text.starts_with("candidate:") && !text.chars().any(char::is_control)).then_some(text)
}

/// Puts candidates into the sections that they are of (RFC 8839, section 5.1), where they are not there already.
fn with_candidates(sdp: &str, candidates: &[Candidate], complete: bool) -> String {
    let mids = mids(sdp);
    let mut blocks: Vec<Vec<String>> = vec![Vec::new()];
    for line in sdp.lines().filter(|line| !line.is_empty() && *line != END) {
        if line.starts_with("m=") {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line.to_owned());
        }
    }
    for candidate in candidates {
        let line = attribute(candidate).map(|text| format!("a={text}"));
        let block = blocks.get_mut(section_of(&mids, candidate) + 1);
        if let (Some(line), Some(block)) = (line, block)
            && !block.contains(&line)
        {
            block.push(line);
        }
    }
    if complete {
        for (index, block) in blocks.iter_mut().enumerate().skip(1) {
            // Those of a bundle that ride on the first have none of their own.
            if index == 1 || block.iter().any(|line| line.starts_with("a=candidate:")) {
                block.push(END.to_owned());
            }
        }
    }
    let mut text = String::with_capacity(sdp.len() + 128 * candidates.len());
    for line in blocks.iter().flatten() {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
        m=audio 9 X 111\r\na=mid:0\r\nm=video 9 X 96\r\na=mid:1\r\n";

    fn candidate(port: u16, mid: Option<&str>, index: Option<u16>) -> Candidate {
        Candidate {
            candidate: format!("candidate:1 1 udp 1 192.0.2.1 {port} typ host"),
            sdp_mid: mid.map(str::to_owned),
            sdp_m_line_index: index,
            username_fragment: None,
        }
    }

    fn offer(now: Instant) -> Gathering {
        let (kind, sdp) = (SdpType::Offer, SDP.to_owned());
        Gathering::new(now, Description { kind, sdp })
    }

    #[test]
    fn candidates_stand_in_the_section_that_they_are_of() {
        let now = Instant::now();
        let mut gathering = offer(now);
        gathering.candidate(candidate(1, Some("1"), Some(0)));
        gathering.candidate(candidate(2, None, Some(0)));
        gathering.candidate(candidate(2, None, Some(0)));
        gathering.candidate(candidate(3, Some("x"), None));
        assert!(!gathering.is_ready(now));
        gathering.end();
        assert!(gathering.is_ready(now));
        let text = gathering.text();
        let (audio, video) = text.split_once("m=video").unwrap();
        assert_eq!(audio.matches("a=candidate:").count(), 2, "{text}");
        assert!(audio.contains(" 2 typ") && audio.contains(" 3 typ"));
        assert!(video.contains(" 1 typ"), "{text}");
        assert_eq!(text.matches(END).count(), 2);
    }

    #[test]
    fn who_does_not_end_is_not_waited_for() {
        let now = Instant::now();
        let gathering = offer(now);
        assert!(!gathering.is_ready(now));
        assert!(gathering.is_ready(gathering.until()));
        assert_eq!(gathering.text(), SDP, "and nothing is said of an end");
    }

    proptest! {
        #[test]
        fn whatever_comes_is_lines_of_its_own(sdp in "\\PC{0,200}", texts in prop::collection::vec(".{0,80}", 0..4)) {
            let now = Instant::now();
            let mut gathering = Gathering::new(now, Description { kind: SdpType::Offer, sdp: format!("v=0\r\n{sdp}") });
            for candidate in texts {
                gathering.candidate(Candidate { candidate, ..Candidate::default() });
            }
            gathering.end();
            let text = gathering.text();
            prop_assert!(text.starts_with("v=0\r\n"));
            prop_assert!(text.lines().all(|line| !line.is_empty()));
        }
    }
}
