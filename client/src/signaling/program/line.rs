//! The lines between us and a program. Pure.
//!
//! ```json
//! {"begin":true}
//! {"description":{"type":"offer","sdp":"v=0\r\n…"}}
//! {"candidate":{"candidate":"candidate:…","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"…"}}
//! {"candidate":null}
//! {"bye":true}
//! {"error":"the other side is not there"}
//! ```
//!
//! Descriptions and candidates are `RTCSessionDescriptionInit` and `RTCIceCandidateInit` of W3C webrtc-pc as they are, and `null` says that
//! there are no more candidates. Fields that are not known are passed over.

use rtc_protocol::{Raw, Signal};
use serde::{Deserialize, Serialize};

/// Bytes of one line.
pub(crate) const LONGEST: usize = 256 * 1024;

/// Characters of an error that are kept.
const WORDS: usize = 300;

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The other side is there, and we make the offer. Of the program alone.
    Begin,
    /// What the peers say to each other.
    Signal(Signal),
    /// One side has gone.
    Bye,
    /// From the program: it cannot go on. From us: a line that it wrote makes no sense.
    Error(String),
}

/// A line that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    /// More than anybody needs.
    #[error("a line has more than {LONGEST} bytes")]
    TooLong,
    /// Something else.
    #[error("{0}; a line is one JSON object with begin, description, candidate, bye or error")]
    Form(String),
}

#[derive(Default, Serialize, Deserialize)]
struct Other {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    begin: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bye: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Reads a line; nothing where it is blank.
///
/// # Errors
/// When it cannot be understood.
pub(crate) fn read(line: &str) -> Result<Option<Word>, LineError> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    if line.len() > LONGEST {
        return Err(LineError::TooLong);
    }
    let form = |error: &dyn std::fmt::Display| {
        LineError::Form(error.to_string().chars().take(WORDS).collect())
    };
    let raw = Raw::parse(line).map_err(|error| form(&error))?;
    let other: Other = raw.to().map_err(|error| form(&error))?;
    if other.begin {
        return Ok(Some(Word::Begin));
    }
    if other.bye {
        return Ok(Some(Word::Bye));
    }
    if let Some(error) = other.error {
        return Ok(Some(Word::Error(error.chars().take(WORDS).collect())));
    }
    let signal = Signal::from_raw(&raw).map_err(|error| form(&error))?;
    Ok(Some(Word::Signal(signal)))
}

/// Writes a line, without its end; none where there is no JSON of it.
#[must_use]
pub(crate) fn write(word: &Word) -> Option<String> {
    let mut other = Other::default();
    match word {
        Word::Signal(signal) => return signal.to_raw().ok().map(|raw| raw.get().to_owned()),
        Word::Begin => other.begin = true,
        Word::Bye => other.bye = true,
        Word::Error(why) => other.error = Some(why.clone()),
    }
    serde_json::to_string(&other).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rtc_protocol::{Candidate, Description, SdpType};

    use super::*;

    fn any_word() -> impl Strategy<Value = Word> {
        let kind = prop_oneof![Just(SdpType::Offer), Just(SdpType::Answer)];
        let description = (kind, ".{0,60}")
            .prop_map(|(kind, sdp)| Signal::Description(Description { kind, sdp }));
        let candidate = ("[ -~]{1,60}", any::<Option<u16>>()).prop_map(|(candidate, index)| {
            Signal::Candidate(Candidate {
                candidate,
                sdp_mid: Some("0".to_owned()),
                sdp_m_line_index: index,
                username_fragment: None,
            })
        });
        prop_oneof![
            Just(Word::Begin),
            Just(Word::Bye),
            ".{0,60}".prop_map(Word::Error),
            description.prop_map(Word::Signal),
            candidate.prop_map(Word::Signal),
            Just(Word::Signal(Signal::EndOfCandidates)),
            Just(Word::Signal(Signal::Restart)),
        ]
    }

    #[test]
    fn the_words_are_those_of_webrtc_pc() {
        let (kind, sdp) = (SdpType::Answer, "v=0\r\n".to_owned());
        let answer = Word::Signal(Signal::Description(Description { kind, sdp }));
        let text = r#"{"description":{"type":"answer","sdp":"v=0\r\n"}}"#;
        assert_eq!(write(&answer).unwrap(), text);
        assert_eq!(read(text), Ok(Some(answer)));
        assert_eq!(write(&Word::Bye).unwrap(), r#"{"bye":true}"#);
        assert_eq!(read(r#"{"begin":true,"more":1}"#), Ok(Some(Word::Begin)));
        assert_eq!(read("  \r\n"), Ok(None));
    }

    #[test]
    fn what_is_no_word_is_an_error_that_says_what_would_be() {
        for bad in [
            "hello",
            "{}",
            "[]",
            "1",
            r#"{"bye":1}"#,
            r#"{"description":{"type":"x","sdp":""}}"#,
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(
                error.contains("description, candidate, bye"),
                "{bad}: {error}"
            );
        }
        assert_eq!(read(&"x".repeat(LONGEST + 1)), Err(LineError::TooLong));
    }

    proptest! {
        #[test]
        fn every_word_comes_back_on_one_line(word in any_word()) {
            let text = write(&word).unwrap();
            prop_assert!(!text.contains('\n'));
            prop_assert_eq!(read(&text), Ok(Some(word)));
        }

        #[test]
        fn any_line_is_read(line in ".{0,200}") {
            let _ = read(&line);
        }
    }
}
