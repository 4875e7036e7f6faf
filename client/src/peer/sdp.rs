//! What is read from and mended in session descriptions before and after the engine.

use std::collections::BTreeSet;

use super::tone_names::{TONES, TONES_OF_OPUS, from_the_engine};
use crate::media::frame::VideoCodec;

/// Larger descriptions are refused; Chromium's with five tracks has 30 KB.
const MAX_BYTES: usize = 256 * 1024;

/// More media sections are refused: each costs the engine a transceiver for good.
const MAX_SECTIONS: usize = 64;

/// More lines in one description are refused.
const MAX_LINES: usize = 8192;

/// Why a description is not given to the engine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the far side's description has {0} bytes, more than {MAX_BYTES}; it was not used")]
    TooLarge(usize),
    #[error("the far side's description has {0} lines, more than {MAX_LINES}; it was not used")]
    TooManyLines(usize),
    #[error(
        "the far side's description has {0} media sections, more than {MAX_SECTIONS}; it was not used"
    )]
    TooManySections(usize),
    #[error("the far side's description does not begin with v=0; it was not used")]
    NotADescription,
    #[error("the far side's description has two media sections named {0:?}; it was not used")]
    SameMid(String),
    #[error(
        "the far side's description has other media sections than the one before; it was not used"
    )]
    OtherSections,
}

/// Refuses descriptions that the engine should not see: too large ones, and those that
/// do not go on from the media sections `before` (RFC 3264 section 8: their number never
/// decreases; RFC 9143 section 5.2: each has a name of its own). One that has ended may become anything (RFC 9429 section
/// 5.2.2); it is an empty string among `before`.
pub(super) fn check(sdp: &str, before: &[String]) -> Result<(), Refused> {
    if sdp.len() > MAX_BYTES {
        return Err(Refused::TooLarge(sdp.len()));
    }
    if !sdp.starts_with("v=0") {
        return Err(Refused::NotADescription);
    }
    let lines = sdp.lines().count();
    if lines > MAX_LINES {
        return Err(Refused::TooManyLines(lines));
    }
    let sections = sdp.lines().filter(|line| line.starts_with("m=")).count();
    if sections > MAX_SECTIONS {
        return Err(Refused::TooManySections(sections));
    }
    let mut mids = BTreeSet::new();
    for mid in sdp.lines().filter_map(|line| line.strip_prefix("a=mid:")) {
        if !mids.insert(mid) {
            return Err(Refused::SameMid(mid.chars().take(32).collect()));
        }
    }
    let now = section_kinds(sdp);
    let other = |(now, before): (&String, &String)| !before.is_empty() && now != before;
    if now.len() < before.len() || now.iter().zip(before).any(other) {
        return Err(Refused::OtherSections);
    }
    Ok(())
}

/// What each media section is of: `audio`, `video`, `application`.
pub(super) fn section_kinds(sdp: &str) -> Vec<String> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("m="))
        .map(|rest| rest.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

/// Every ICE username fragment that a description names.
pub(super) fn username_fragments(sdp: &str) -> Vec<String> {
    let found: BTreeSet<&str> = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .map(str::trim)
        .collect();
    found.into_iter().map(str::to_owned).collect()
}

/// One codec of a media section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) payload_type: u8,
    /// `VP8`, `H264`, `opus`, `rtx`, in the description's own case.
    pub(super) name: String,
    /// Ticks of its clock a second.
    pub(super) clock: u32,
    /// Format parameters, RFC 8866 section 6.15.
    pub(super) parameters: String,
}

impl Format {
    /// The value of one parameter.
    pub(super) fn parameter(&self, key: &str) -> Option<&str> {
        self.parameters.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case(key)
                .then_some(value.trim())
        })
    }

    /// Whether a format is of profile 0, as what tells none is: VP9 by RFC 9628 section 6.1,
    /// AV1 by section 7.2 of its payload format.
    fn is_first_profile(&self) -> bool {
        ["profile-id", "profile"]
            .iter()
            .all(|key| self.parameter(key).unwrap_or("0") == "0")
    }

    /// The video codec, where we have it.
    pub(super) fn video_codec(&self) -> Option<VideoCodec> {
        if self.name.eq_ignore_ascii_case("VP8") {
            Some(VideoCodec::Vp8)
        } else if self.name.eq_ignore_ascii_case("H264") {
            Some(VideoCodec::H264)
        } else if self.name.eq_ignore_ascii_case("VP9") && self.is_first_profile() {
            Some(VideoCodec::Vp9)
        } else if self.name.eq_ignore_ascii_case("AV1") && self.is_first_profile() {
            Some(VideoCodec::Av1)
        } else {
            None
        }
    }

    /// Whether another description's format is of the same codec, as far as its name tells.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name) && self.clock == other.clock
    }

    /// Whether it is the keys of a telephone (RFC 4733).
    pub(super) fn is_tones(&self) -> bool {
        [TONES, TONES_OF_OPUS]
            .iter()
            .any(|name| self.name.eq_ignore_ascii_case(name))
    }
}

/// The codecs that the first usable section of a kind names, in its order.
pub(super) fn formats(sdp: &str, kind: &str) -> Vec<Format> {
    section_of(sdp, kind)
        .map(|section| section_formats(&section))
        .unwrap_or_default()
}

/// The payload types that repair packets go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    /// Of what holds a media packet or a repair packet (RFC 2198).
    pub(super) red: u8,
    /// Of repair packets within (RFC 5109).
    pub(super) ulpfec: u8,
}

/// The payload types of RED and of the repair packets in it, where a description has both for pictures.
pub(super) fn repairs(sdp: &str) -> Option<Agreed> {
    let formats = formats(sdp, "video");
    let of = |name: &str| {
        let found = formats.iter().find(|f| f.name.eq_ignore_ascii_case(name))?;
        Some(found.payload_type)
    };
    Some(Agreed {
        red: of("red")?,
        ulpfec: of("ulpfec")?,
    })
}

/// Payload types of retransmissions of pictures, and of what they repair (RFC 4588, section 8.1).
pub(super) fn retransmissions(sdp: &str) -> Vec<(u8, u8)> {
    let formats = formats(sdp, "video");
    let repairs = formats
        .iter()
        .filter(|f| f.name.eq_ignore_ascii_case("rtx"));
    repairs
        .filter_map(|f| Some((f.payload_type, f.parameter("apt")?.parse().ok()?)))
        .collect()
}

/// The id of a header extension in the first usable section of a kind (RFC 8285 section 5).
pub(super) fn extension(sdp: &str, kind: &str, uri: &str) -> Option<u8> {
    section_of(sdp, kind)?
        .iter()
        .filter_map(|line| line.strip_prefix("a=extmap:"))
        .find_map(|line| {
            let mut words = line.split(' ');
            let id = words.next()?.split('/').next()?;
            (words.next()? == uri).then(|| id.parse().ok())?
        })
}

/// Who the maker of an answer is in DTLS (RFC 8842, section 5.3).
pub(super) fn role(sdp: &str) -> Option<&'static str> {
    sdp.lines().find_map(|line| match line.trim() {
        "a=setup:active" => Some("active"),
        "a=setup:passive" => Some("passive"),
        _ => None,
    })
}

/// The answer of one who is this in DTLS.
pub(super) fn with_role(sdp: &str, role: &str) -> String {
    ["active", "passive"]
        .iter()
        .fold(sdp.to_owned(), |sdp, other| {
            sdp.replace(
                &format!("a=setup:{other}\r\n"),
                &format!("a=setup:{role}\r\n"),
            )
        })
}

/// Begins the line by which an answer names its offer; others pass over it (RFC 8866 section 5.13).
const ANSWERS: &str = "a=x-answers:";

/// Which description of its maker's it is: id and version of the session, in the `o=` line.
pub(super) fn version(sdp: &str) -> Option<String> {
    let origin = sdp.lines().find_map(|line| line.strip_prefix("o="))?;
    let mut words = origin.split_ascii_whitespace().skip(1);
    Some(format!("{} {}", words.next()?, words.next()?))
}

/// Counts descriptions up (RFC 3264 section 8), which the engine does not.
pub(super) fn with_version(sdp: &str, version: u64) -> String {
    with_session_line(sdp, "o=", |origin| {
        let mut words: Vec<String> = origin.split(' ').map(str::to_owned).collect();
        if let Some(word) = words.get_mut(2) {
            *word = version.to_string();
        }
        vec![words.join(" ")]
    })
}

/// An answer that names its offer, where the offer has a version.
pub(super) fn answering(sdp: &str, offer: &str) -> String {
    match version(offer) {
        Some(version) => with_session_line(sdp, "t=", |time| {
            vec![time.to_owned(), format!("{ANSWERS}{version}")]
        }),
        None => sdp.to_owned(),
    }
}

/// The offer that an answer names.
pub(super) fn answered(sdp: &str) -> Option<String> {
    sdp.lines()
        .take_while(|line| !line.starts_with("m="))
        .find_map(|line| line.strip_prefix(ANSWERS))
        .map(|version| version.trim().to_owned())
}

/// A description with its first line of a kind replaced by others.
fn with_session_line(sdp: &str, prefix: &str, replace: impl Fn(&str) -> Vec<String>) -> String {
    let mut found = false;
    let mut text = String::with_capacity(sdp.len() + 64);
    for line in sdp.lines() {
        let lines = if !found && line.starts_with(prefix) {
            found = true;
            replace(line)
        } else {
            vec![line.to_owned()]
        };
        for line in lines {
            text.push_str(&line);
            text.push_str("\r\n");
        }
    }
    text
}

fn section_of<'a>(sdp: &'a str, kind: &str) -> Option<Vec<&'a str>> {
    sections(sdp).into_iter().find(|section| {
        section[0]
            .strip_prefix("m=")
            .and_then(|line| line.strip_prefix(kind))
            .is_some_and(|rest| rest.starts_with(' '))
            && !section.contains(&"a=inactive")
    })
}

fn section_formats(section: &[&str]) -> Vec<Format> {
    let mut formats: Vec<Format> = section[0]
        .split_ascii_whitespace()
        .skip(3)
        .filter_map(|word| word.parse().ok())
        .map(|payload_type| Format {
            payload_type,
            ..Format::default()
        })
        .collect();
    for line in section {
        let Some((payload_type, rest)) = line
            .strip_prefix("a=rtpmap:")
            .or_else(|| line.strip_prefix("a=fmtp:"))
            .and_then(|rest| rest.split_once(' '))
        else {
            continue;
        };
        let Some(format) = formats
            .iter_mut()
            .find(|format| payload_type.parse() == Ok(format.payload_type))
        else {
            continue;
        };
        // The first meaning counts, here as in the engine.
        if line.starts_with("a=rtpmap:") {
            if format.name.is_empty() {
                let mut words = rest.trim().split('/');
                format.name = words.next().unwrap_or_default().to_owned();
                format.clock = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
            }
        } else if format.parameters.is_empty() {
            format.parameters = rest.trim().to_owned();
        }
    }
    formats.retain(|format| !format.name.is_empty());
    formats
}

/// Whether a format is the codec in the given packetization.
pub(super) fn is_video(format: &Format, codec: VideoCodec, single_nal: bool) -> bool {
    format.video_codec() == Some(codec)
        && match codec {
            VideoCodec::Vp8 | VideoCodec::Vp9 | VideoCodec::Av1 => !single_nal,
            // Absent means 0, RFC 6184 section 8.1. Profiles above baseline decode it too.
            VideoCodec::H264 => match format.parameter("packetization-mode").unwrap_or("0") {
                "0" => single_nal,
                "1" => !single_nal,
                _ => false,
            },
        }
}

/// Which codec to send, by our own preference, and whether as single NAL units only.
pub(super) fn choose_video(
    formats: &[Format],
    preferred: &[VideoCodec],
) -> Option<(VideoCodec, bool)> {
    preferred
        .iter()
        .flat_map(|codec| [(*codec, false), (*codec, true)])
        .find(|(codec, single_nal)| formats.iter().any(|f| is_video(f, *codec, *single_nal)))
}

/// Mends what the engine writes: gives codecs their names outside, tells that candidates trickle (RFC 8840 section 4.1.1),
/// and gives each payload type one meaning (RFC 8866 section 5.14).
pub(super) fn mend(sdp: &str) -> String {
    let mut mended = String::with_capacity(sdp.len() + 64);
    let mut push = |line: &str| {
        mended.push_str(line);
        mended.push_str("\r\n");
    };
    let trickles = sdp.lines().any(|line| line.starts_with("a=ice-options:"));
    for line in sdp.lines().take_while(|line| !line.starts_with("m=")) {
        push(line);
    }
    if !trickles {
        push("a=ice-options:trickle");
    }
    for section in sections(sdp) {
        for line in mend_section(&section) {
            push(&line);
        }
    }
    from_the_engine(&mended)
}

fn mend_section(section: &[&str]) -> Vec<String> {
    let is_media = section[0].contains("RTP/");
    if !is_media {
        return section.iter().map(|line| (*line).to_owned()).collect();
    }
    let words: Vec<&str> = section[0].split_ascii_whitespace().collect();
    let (head, listed) = words.split_at(words.len().min(3));
    let orphans: Vec<String> = section_formats(section)
        .iter()
        .filter(|format| format.name.eq_ignore_ascii_case("rtx"))
        .filter(|format| {
            !format
                .parameter("apt")
                .is_some_and(|apt| listed.contains(&apt))
        })
        .map(|format| format.payload_type.to_string())
        .collect();
    let mut seen = BTreeSet::new();
    let kept: Vec<&str> = listed
        .iter()
        .copied()
        .filter(|word| !orphans.iter().any(|orphan| orphan == word) && seen.insert(*word))
        .collect();
    let mut lines = vec![[head, &kept].concat().join(" ")];
    let mut attributes = BTreeSet::new();
    for line in &section[1..] {
        let about = ["a=rtpmap:", "a=fmtp:"]
            .iter()
            .find_map(|prefix| Some((*prefix, line.strip_prefix(prefix)?)))
            .and_then(|(prefix, rest)| Some((prefix, rest.split(' ').next()?)));
        if let Some((prefix, payload_type)) = about {
            // The first meaning is the one that the engine uses.
            if !kept.contains(&payload_type) || !attributes.insert((prefix, payload_type)) {
                continue;
            }
        } else if let Some(rest) = line.strip_prefix("a=rtcp-fb:") {
            let payload_type = rest.split(' ').next().unwrap_or_default();
            if (payload_type != "*" && !kept.contains(&payload_type))
                || !attributes.insert(("a=rtcp-fb:", rest))
            {
                continue;
            }
        }
        lines.push((*line).to_owned());
    }
    lines
}

/// The lines of each media section, its `m=` line first.
pub(super) fn sections(sdp: &str) -> Vec<Vec<&str>> {
    let mut sections: Vec<Vec<&str>> = Vec::new();
    for line in sdp.lines() {
        if line.starts_with("m=") {
            sections.push(vec![line]);
        } else if let Some(section) = sections.last_mut() {
            section.push(line);
        }
    }
    sections
}

#[cfg(test)]
mod tests;
