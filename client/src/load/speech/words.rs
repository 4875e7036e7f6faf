//! Descriptions and candidates as the pages of the tutorials write them: one JSON object each.

use super::{Stamp, What};

/// The text stands in JSON as it is: nothing in it is escaped.
pub(super) fn word(what: What, stamp: Stamp) -> String {
    let text = stamp.text(what);
    match what {
        What::Offer => format!(r#"{{"type":"offer","sdp":"{text}"}}"#),
        What::Answer => format!(r#"{{"type":"answer","sdp":"{text}"}}"#),
        What::Candidate => {
            format!(r#"{{"type":"candidate","label":0,"id":"0","candidate":"{text}"}}"#)
        }
        What::Small => format!(r#""{text}""#),
    }
}
