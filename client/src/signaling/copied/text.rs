//! The text that is copied: what `JSON.stringify(pc.localDescription)` gives in a page, on one line. Pure.
//!
//! ```json
//! {"type":"offer","sdp":"v=0\r\no=- …"}
//! ```
//!
//! What is read may also be that in base64, as some programs print it, and may have been broken into several lines on its way.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use rtc_protocol::{Description, SdpType};

/// Bytes of one description; one of ours has 8 KB.
pub(crate) const LONGEST: usize = 256 * 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is no description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TextError {
    /// Something else.
    #[error(
        "this is no offer and no answer ({0}); copy the whole line that begins with {{\"type\": and ends with }}"
    )]
    Form(String),
    /// Of another kind.
    #[error("this is neither an offer nor an answer; copy the line that the other side printed")]
    Kind,
    /// Without what describes media.
    #[error("there is no SDP in it: it has to begin with v=0")]
    NoSdp,
    /// Without an address to be reached at.
    #[error(
        "there is no candidate in it, so it says no way to its maker; in a page, copy pc.localDescription after icegatheringstate is complete"
    )]
    NoCandidates,
    /// More than anybody needs.
    #[error("this has more than {LONGEST} bytes; an offer has some thousands")]
    TooLong,
}

/// Writes a description.
#[must_use]
pub(crate) fn write(description: &Description) -> String {
    serde_json::to_string(description).unwrap_or_default()
}

/// Text that comes in lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pasted {
    text: String,
}

impl Pasted {
    /// Nothing yet.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self {
            text: String::new(),
        }
    }

    /// Takes a line; gives a description when it is whole, and nothing while more has to come.
    ///
    /// # Errors
    /// When it can never become one; the next line begins anew.
    pub(crate) fn line(&mut self, line: &str) -> Option<Result<Description, TextError>> {
        let line = line.trim();
        if line.is_empty() {
            // Whoever gave up in the middle begins anew.
            let begun = !std::mem::take(&mut self.text).is_empty();
            return begun.then(|| Err(TextError::Form("it is cut off".to_owned())));
        }
        if self.text.len() + line.len() > LONGEST {
            self.text.clear();
            return Some(Err(TextError::TooLong));
        }
        self.text.push_str(line);
        let read = read(&self.text)?;
        self.text.clear();
        Some(read)
    }
}

/// Reads a whole text; nothing where it is the beginning of one.
fn read(text: &str) -> Option<Result<Description, TextError>> {
    let json = if text.starts_with('{') {
        text.to_owned()
    } else {
        let encoded: String = text
            .chars()
            .map(|c| match c {
                '-' => '+',
                '_' => '/',
                c => c,
            })
            .collect();
        let decoded = BASE64.decode(encoded).ok();
        let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        match decoded.filter(|json| json.starts_with('{')) {
            Some(json) => json,
            // A base64 line that was cut may end between two characters of a byte: eyJ is {" in it.
            None if text.starts_with("eyJ") || "eyJ".starts_with(text) => return None,
            None => {
                return Some(Err(TextError::Form(
                    "it is neither JSON nor base64".to_owned(),
                )));
            }
        }
    };
    match serde_json::from_str::<Description>(&json) {
        Ok(description) => Some(check(description)),
        Err(error) if error.is_eof() => None,
        Err(error) => {
            let why: String = error.to_string().chars().take(120).collect();
            Some(Err(TextError::Form(why)))
        }
    }
}

fn check(description: Description) -> Result<Description, TextError> {
    if !matches!(description.kind, SdpType::Offer | SdpType::Answer) {
        return Err(TextError::Kind);
    }
    if !description.sdp.starts_with("v=0") {
        return Err(TextError::NoSdp);
    }
    let mut lines = description.sdp.lines();
    if !lines.any(|line| line.starts_with("a=candidate:")) {
        return Err(TextError::NoCandidates);
    }
    Ok(description)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    use super::*;

    const SDP: &str = "v=0\r\nm=audio 9 X 0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n";

    fn offer() -> Description {
        let (kind, sdp) = (SdpType::Offer, SDP.to_owned());
        Description { kind, sdp }
    }

    fn pasted(text: &str) -> Result<Description, TextError> {
        Pasted::default().line(text).unwrap()
    }

    #[test]
    fn the_form_is_a_pages_own() {
        assert_eq!(
            write(&offer()),
            r#"{"type":"offer","sdp":"v=0\r\nm=audio 9 X 0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"}"#
        );
        assert_eq!(pasted(&write(&offer())), Ok(offer()));
        assert_eq!(pasted(&format!("  {} \r", write(&offer()))), Ok(offer()));
        assert_eq!(
            pasted(&BASE64_STANDARD.encode(write(&offer()))),
            Ok(offer())
        );
    }

    #[test]
    fn what_is_no_description_says_so_and_the_next_line_begins_anew() {
        let mut pasted = Pasted::default();
        let mut refused = |line: &str| pasted.line(line).unwrap().unwrap_err();
        assert!(matches!(refused("hello"), TextError::Form(_)));
        assert!(matches!(refused(r#"{"sdp":"v=0"}"#), TextError::Form(_)));
        assert_eq!(refused(r#"{"type":"rollback"}"#), TextError::Kind);
        assert_eq!(refused(r#"{"type":"offer","sdp":"x"}"#), TextError::NoSdp);
        assert_eq!(
            refused(r#"{"type":"offer","sdp":"v=0"}"#),
            TextError::NoCandidates
        );
        assert_eq!(refused(&"a".repeat(LONGEST + 1)), TextError::TooLong);
        assert_eq!(pasted.line(r#"{"type":"#), None);
        assert!(matches!(pasted.line(""), Some(Err(TextError::Form(_)))));
        assert_eq!(pasted.line(""), None);
        assert_eq!(pasted.line(&write(&offer())), Some(Ok(offer())));
    }

    proptest! {
        #[test]
        fn lines_that_broke_on_the_way_are_put_together(cuts in prop::collection::vec(1..100_usize, 0..5), base64: bool) {
            let whole = write(&offer());
            let whole = if base64 { BASE64_STANDARD.encode(whole) } else { whole };
            // A blank at a cut would be trimmed away, as a terminal does at a line's end.
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % whole.len())
                .filter(|cut| *cut > 0 && !whole.as_bytes()[*cut].is_ascii_whitespace() && !whole.as_bytes()[*cut - 1].is_ascii_whitespace())
                .collect();
            cuts.sort_unstable();
            cuts.dedup();
            let (mut pasted, mut from) = (Pasted::default(), 0);
            for cut in cuts {
                prop_assert_eq!(pasted.line(&whole[from..cut]), None);
                from = cut;
            }
            prop_assert_eq!(pasted.line(&whole[from..]), Some(Ok(offer())));
        }

        #[test]
        fn any_lines_are_read_in_bounded_memory(lines in prop::collection::vec(".{0,80}", 0..20)) {
            let mut pasted = Pasted::default();
            for line in lines {
                let _ = pasted.line(&line);
                prop_assert!(pasted.text.len() <= LONGEST);
            }
        }
    }
}
