//! What a typed line asks for: `/words` steer the call, anything else is chat. Pure.

use super::Action;
use crate::event::Kind;

/// What a line means; none where it is empty.
#[must_use]
pub fn said(line: &str) -> Option<Action> {
    let trimmed = line.trim();
    let (word, rest) = match trimmed.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim().to_owned()),
        None => (trimmed, String::new()),
    };
    Some(match (word, rest.as_str()) {
        ("", _) => return None,
        ("/dtmf", _) => Action::Dial(rest),
        ("/video", _) => Action::Source(Kind::Video, rest),
        ("/audio", _) => Action::Source(Kind::Audio, rest),
        ("/share", "") => Action::Share(None),
        ("/share", _) => Action::Share(Some(rest)),
        ("/unshare", "") => Action::Unshare,
        ("/hold", "") => Action::Hold(Some(true)),
        ("/unhold", "") => Action::Hold(Some(false)),
        _ => Action::Chat(line.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_steer_are_told_from_chat() {
        for (line, action) in [
            ("/dtmf 12,A#", Action::Dial("12,A#".into())),
            ("/dtmf", Action::Dial(String::new())),
            ("/video test", Action::Source(Kind::Video, "test".into())),
            (
                " /audio file:a b.wav ",
                Action::Source(Kind::Audio, "file:a b.wav".into()),
            ),
            ("/share", Action::Share(None)),
            ("/share 1", Action::Share(Some("1".into()))),
            ("/unshare", Action::Unshare),
            ("/hold", Action::Hold(Some(true))),
            ("/unhold", Action::Hold(Some(false))),
            ("/dtmfs", Action::Chat("/dtmfs".into())),
            ("/hold the line", Action::Chat("/hold the line".into())),
            ("call 911", Action::Chat("call 911".into())),
        ] {
            assert_eq!(said(line), Some(action), "{line}");
        }
        assert_eq!(said("  "), None);
    }
}
