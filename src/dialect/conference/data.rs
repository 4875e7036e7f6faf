//! What conference pages put into `data` to set up a connection, to and from native signals.

use serde::{Deserialize, Deserializer, Serialize};

use crate::raw::Raw;
use crate::signal::{Candidate, Description, SdpType, Signal};

/// The fields that pages are known to use, each of them as loosely as pages write it.
#[derive(Deserialize)]
struct Loose {
    #[serde(rename = "type")]
    kind: Option<String>,
    sdp: Option<Sdp>,
    #[serde(default, deserialize_with = "present")]
    candidate: Option<Option<Line>>,
    label: Option<u16>,
    #[serde(rename = "sdpMLineIndex")]
    index: Option<u16>,
    id: Option<String>,
    #[serde(rename = "sdpMid")]
    mid: Option<String>,
    #[serde(rename = "usernameFragment")]
    fragment: Option<String>,
}

/// A description's text, or the description itself once more.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sdp {
    Text(String),
    Whole(Description),
}

/// A candidate's line, or the candidate as W3C's `RTCIceCandidateInit` has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Text(String),
    Whole(Candidate),
}

/// Tells `null`, which ends the candidates, from an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Line>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Reads a description or a candidate in any of the forms that pages send; none where `data` is something else.
#[must_use]
pub fn read(data: &Raw) -> Option<Signal> {
    // Only an object can be one; a long text need not be looked at.
    if !data.get().starts_with('{') {
        return None;
    }
    let loose: Loose = data.to().ok()?;
    match (loose.kind.as_deref(), &loose.sdp, &loose.candidate) {
        (None | Some("candidate"), None, Some(_)) => Some(candidate(loose)),
        (None, Some(Sdp::Whole(_)), None) => match loose.sdp {
            Some(Sdp::Whole(description)) => Some(Signal::Description(description)),
            _ => None,
        },
        (Some(kind), _, None) => {
            let kind = match kind {
                "offer" => SdpType::Offer,
                "answer" => SdpType::Answer,
                "pranswer" => SdpType::Pranswer,
                _ => return None,
            };
            let sdp = match loose.sdp? {
                Sdp::Text(sdp) => sdp,
                Sdp::Whole(description) if description.kind == kind => description.sdp,
                Sdp::Whole(_) => return None,
            };
            Some(Signal::Description(Description { kind, sdp }))
        }
        _ => None,
    }
}

fn candidate(loose: Loose) -> Signal {
    let found = match loose.candidate {
        Some(Some(Line::Text(candidate))) => Candidate {
            candidate,
            sdp_mid: loose.mid.or(loose.id),
            sdp_m_line_index: loose.index.or(loose.label),
            username_fragment: loose.fragment,
        },
        Some(Some(Line::Whole(candidate))) => candidate,
        _ => Candidate::default(),
    };
    if found.candidate.is_empty() {
        Signal::EndOfCandidates
    } else {
        Signal::Candidate(found)
    }
}

/// A candidate in the words of the tutorials, and in W3C's beside them, so that both kinds of page find theirs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Both<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    label: Option<u16>,
    id: Option<&'a str>,
    candidate: &'a str,
    sdp_mid: Option<&'a str>,
    sdp_m_line_index: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username_fragment: Option<&'a str>,
}

/// Writes a candidate for a page.
#[must_use]
pub fn candidate_for_page(candidate: &Candidate) -> Option<Raw> {
    Raw::of(&Both {
        kind: "candidate",
        label: candidate.sdp_m_line_index,
        id: candidate.sdp_mid.as_deref(),
        candidate: &candidate.candidate,
        sdp_mid: candidate.sdp_mid.as_deref(),
        sdp_m_line_index: candidate.sdp_m_line_index,
        username_fragment: candidate.username_fragment.as_deref(),
    })
    .ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Option<Signal> {
        read(&Raw::parse(text).unwrap())
    }

    #[test]
    fn descriptions_are_known_in_the_forms_that_pages_send() {
        let offer = Signal::Description(Description {
            kind: SdpType::Offer,
            sdp: "v=0".into(),
        });
        for text in [
            r#"{"type":"offer","sdp":"v=0"}"#,
            r#"{"sdp":"v=0","type":"offer","more":[1]}"#,
            r#"{"sdp":{"type":"offer","sdp":"v=0"}}"#,
            r#"{"type":"offer","sdp":{"type":"offer","sdp":"v=0"}}"#,
        ] {
            assert_eq!(of(text), Some(offer.clone()), "{text}");
        }
    }

    #[test]
    fn candidates_are_known_in_the_forms_that_pages_send() {
        let signal = Signal::Candidate(Candidate {
            candidate: "candidate:1".into(),
            sdp_mid: Some("0".into()),
            sdp_m_line_index: Some(0),
            username_fragment: None,
        });
        for text in [
            r#"{"type":"candidate","label":0,"id":"0","candidate":"candidate:1"}"#,
            r#"{"type":"candidate","candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0}"#,
            r#"{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0}"#,
            r#"{"type":"candidate","candidate":{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0}}"#,
            r#"{"candidate":{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":null}}"#,
        ] {
            assert_eq!(of(text), Some(signal.clone()), "{text}");
        }
        for text in [
            r#"{"candidate":null}"#,
            r#"{"candidate":""}"#,
            r#"{"type":"candidate","candidate":null}"#,
            r#"{"candidate":{"candidate":"","sdpMid":"0"}}"#,
        ] {
            assert_eq!(of(text), Some(Signal::EndOfCandidates), "{text}");
        }
    }

    #[test]
    fn everything_else_is_the_application_s_own() {
        for text in [
            "null",
            "\"offer\"",
            "[]",
            "{}",
            r#"{"type":"offer"}"#,
            r#"{"type":"offer","sdp":1}"#,
            r#"{"type":"hello","sdp":"v=0"}"#,
            r#"{"type":"offer","sdp":"v=0","candidate":"c"}"#,
            r#"{"type":"offer","sdp":{"type":"answer","sdp":"v=0"}}"#,
            r#"{"type":"offer","type":"answer","sdp":"v=0"}"#,
            r#"{"sdp":"v=0"}"#,
            r#"{"type":"candidate"}"#,
            r#"{"type":"candidate","candidate":"c","label":-1}"#,
            r#"{"type":"__proto__","sdp":"","constructor":{}}"#,
            r#"{"restart":true}"#,
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_candidate_written_for_a_page_is_read_back(
            candidate in ".+", mid in any::<Option<String>>(), index in any::<Option<u16>>(), fragment in any::<Option<String>>(),
        ) {
            let candidate = Candidate {
                candidate,
                sdp_mid: mid,
                sdp_m_line_index: index,
                username_fragment: fragment,
            };
            let raw = candidate_for_page(&candidate).unwrap();
            prop_assert_eq!(read(&raw), Some(Signal::Candidate(candidate)));
        }
    }
}
