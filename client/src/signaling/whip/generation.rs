//! Generations of ICE between descriptions and fragments of them. Pure.

use rtc_protocol::Candidate;
use rtc_protocol::dialect::whip::Fragment;
use rtc_protocol::dialect::whip::fragment::FragmentSection;
use rtc_protocol::dialect::whip::sdp::Credentials;

use super::super::gather::{attribute, mids, section_of};

/// Candidates of an offer as RFC 8840, section 9 has them.
pub(crate) fn fragment(offer: &str, candidates: &[Candidate], complete: bool) -> Fragment {
    let mids = mids(offer);
    let line = |index: usize| {
        let mut lines = offer.lines().filter_map(|line| line.strip_prefix("m="));
        lines.nth(index).unwrap_or("audio 9 RTP/AVP 0").to_owned()
    };
    let mut sections: Vec<(usize, FragmentSection)> = Vec::new();
    let mut section = |index: usize| match sections.iter().position(|(own, _)| *own == index) {
        Some(at) => at,
        None => {
            let section = FragmentSection {
                line: line(index),
                mid: mids.get(index).cloned().flatten(),
                candidates: Vec::new(),
                ended: complete,
            };
            sections.push((index, section));
            sections.len() - 1
        }
    };
    let mut placed: Vec<(usize, String)> = Vec::new();
    for candidate in candidates {
        if let Some(text) = attribute(candidate) {
            placed.push((section(section_of(&mids, candidate)), text.to_owned()));
        }
    }
    if placed.is_empty() {
        section(0);
    }
    for (at, text) in placed {
        if let Some((_, section)) = sections.get_mut(at) {
            section.candidates.push(text);
        }
    }
    let own = |prefix: &str| {
        let found = offer.lines().find_map(|line| line.strip_prefix(prefix));
        found.map(|value| value.trim().to_owned())
    };
    let credentials = own("a=ice-ufrag:").zip(own("a=ice-pwd:"));
    Fragment {
        credentials: credentials.map(|(ufrag, pwd)| Credentials { ufrag, pwd }),
        sections: sections.into_iter().map(|(_, section)| section).collect(),
        ..Fragment::default()
    }
}

/// Lines that say of which generation a description is.
const OF_A_GENERATION: [&str; 5] = [
    "a=ice-ufrag:",
    "a=ice-pwd:",
    "a=candidate:",
    "a=end-of-candidates",
    // What our own kind adds: which offer it answers.
    "a=x-answers:",
];

/// An answer in the ICE generation that a fragment tells of: other credentials, other candidates, the next version.
pub(crate) fn renewed(answer: &str, fragment: &Fragment) -> Option<String> {
    let credentials = fragment.credentials.as_ref()?;
    let mids = mids(answer);
    let mut at = None;
    let mut text = String::with_capacity(answer.len() + 1024);
    let mut push = |line: &str| {
        text.push_str(line);
        text.push_str("\r\n");
    };
    let of = |index: usize| {
        let mid = mids.get(index).and_then(Option::as_deref);
        let own = fragment
            .sections
            .iter()
            .enumerate()
            .filter(move |(i, s)| match &s.mid {
                Some(own) => mid == Some(own),
                None => *i == index,
            });
        own.flat_map(|(_, section)| &section.candidates)
    };
    let finish = |at: Option<usize>, push: &mut dyn FnMut(&str)| {
        let Some(index) = at else { return };
        push(&format!("a=ice-ufrag:{}", credentials.ufrag));
        push(&format!("a=ice-pwd:{}", credentials.pwd));
        of(index).for_each(|candidate| push(&format!("a={candidate}")));
    };
    for line in answer.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("m=") {
            finish(at, &mut push);
            at = Some(at.map_or(0, |at: usize| at + 1));
        }
        if OF_A_GENERATION.iter().any(|of| line.starts_with(of)) {
            continue;
        }
        match next_version(line) {
            Some(line) => push(&line),
            None => push(line),
        }
    }
    finish(at, &mut push);
    Some(text)
}

/// An `o=` line with the version after its own (RFC 8866, section 5.2).
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
