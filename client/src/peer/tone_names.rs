//! Telephone keys at the clock of Opus, as the engine sees them. It takes codecs of one name for one codec, whatever
//! their clocks, and would answer the one with the other; so the one at 48 kHz has another name inside.

/// The name of both in descriptions (RFC 4733, section 7.1.1).
pub(super) const TONES: &str = "telephone-event";
/// The name inside of the one at 48 kHz.
pub(super) const TONES_OF_OPUS: &str = "telephone-event-of-opus";

/// A far description as the engine is to see it.
pub(super) fn for_the_engine(sdp: &str) -> String {
    rename(sdp, TONES, TONES_OF_OPUS)
}

/// A description of the engine as the far side is to see it.
pub(super) fn from_the_engine(sdp: &str) -> String {
    rename(sdp, TONES_OF_OPUS, TONES)
}

fn rename(sdp: &str, from: &str, to: &str) -> String {
    let old = format!("{from}/48000");
    let renamed = |line: &str| -> Option<String> {
        let (head, codec) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
        let (codec, end) = codec.split_at(codec.find(['\r', '\n']).unwrap_or(codec.len()));
        let same = codec.trim_end().eq_ignore_ascii_case(&old);
        same.then(|| format!("a=rtpmap:{head} {to}/48000{end}"))
    };
    sdp.split_inclusive('\n')
        .map(|line| renamed(line).unwrap_or_else(|| line.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_one_at_48_khz_has_another_name_inside() {
        let outside = "m=audio 9 UDP/TLS/RTP/SAVPF 111 110 126\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n";
        let inside = outside.replace("event/48000", "event-of-opus/48000");
        assert_eq!(for_the_engine(outside), inside);
        assert_eq!(from_the_engine(&inside), outside);
    }

    proptest! {
        #[test]
        fn nothing_else_is_touched(text in "[a-z=:/ 0-9\r\n]{0,200}") {
            prop_assert_eq!(for_the_engine(&text), text);
        }
    }
}
