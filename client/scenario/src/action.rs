//! What a peer does: `mute audio`, `network lost`, `click #mute`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What one of our own peers can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NativeAction {
    /// Silence (audio) or black (video) goes out.
    Mute(Sense),
    /// No more.
    Unmute(Sense),
    /// A sense from another source.
    Source(Sense, String),
    /// A screen.
    Share,
    /// What was shown before.
    Unshare,
    /// Nothing is sent and nothing taken.
    Hold,
    /// No more.
    Unhold,
    /// A line to everybody.
    Chat(String),
    /// Keys of a telephone.
    Dial(String),
    /// New ways are sought.
    RestartIce,
    /// The network is so from now on; empty for as it is.
    Impair(String),
    /// The network is as the peer's own `impair` says.
    Mend,
}

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

impl Sense {
    fn read(word: &str) -> Option<Self> {
        match word {
            "audio" | "sound" | "microphone" => Some(Self::Audio),
            "video" | "picture" | "camera" => Some(Self::Video),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// What is done in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageAction {
    /// The first element that the selector finds is clicked.
    Click(String),
    /// It gets that value.
    Fill(String, String),
    /// JavaScript is run; a promise is waited for.
    Eval(String),
    /// JavaScript is looked at until it gives something.
    Until(String),
    /// The page is loaded again.
    Reload,
}

/// What a peer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// One of our own.
    Native(NativeAction),
    /// In a page.
    Page(PageAction),
    /// It leaves.
    Leave,
    /// It comes again.
    Rejoin,
    /// Its process is killed.
    Crash,
    /// Nothing; something is expected.
    Nothing,
}

const NATIVE: &[&str] = &[
    "mute",
    "unmute",
    "talk",
    "source",
    "share",
    "unshare",
    "hold",
    "unhold",
    "chat",
    "dial",
    "restart-ice",
    "impair",
    "network",
    "leave",
    "rejoin",
    "crash",
    "wait",
];
const PAGE: &[&str] = &[
    "click", "fill", "eval", "wait", "reload", "leave", "rejoin", "crash",
];

/// Reads what one of our own peers is to do.
///
/// # Errors
/// In words.
pub fn native(text: &str) -> Result<Action, String> {
    let (word, rest) = split(text);
    let sense = || {
        Sense::read(rest).ok_or_else(|| format!("{word} what? write {word} audio or {word} video"))
    };
    let nothing_more = |action| {
        if rest.is_empty() {
            Ok(action)
        } else {
            Err(format!(
                "{word} takes no more words, and {rest:?} stands behind it"
            ))
        }
    };
    let something = |what: &str, example: &str| {
        if rest.is_empty() {
            Err(format!("{word} needs {what}: {example}"))
        } else {
            Ok(rest.to_owned())
        }
    };
    use NativeAction as N;
    let action = match word {
        "mute" => N::Mute(sense()?),
        "unmute" => N::Unmute(sense()?),
        "talk" => return nothing_more(Action::Native(N::Unmute(Sense::Audio))),
        "source" => {
            let (which, source) = split(rest);
            match Sense::read(which).filter(|_| !source.is_empty()) {
                Some(sense) => N::Source(sense, source.to_owned()),
                None => return Err("source what? write source audio tone:660".into()),
            }
        }
        "share" if rest.is_empty() => N::Share,
        "share" => N::Source(Sense::Video, rest.to_owned()),
        "unshare" => return nothing_more(Action::Native(N::Unshare)),
        "hold" => return nothing_more(Action::Native(N::Hold)),
        "unhold" => return nothing_more(Action::Native(N::Unhold)),
        "chat" => N::Chat(something("a text", "chat hello")?),
        "dial" => N::Dial(something("keys", "dial 42#")?),
        "restart-ice" => return nothing_more(Action::Native(N::RestartIce)),
        "impair" => N::Impair(something("what is bad", "impair loss=5%")?),
        "network" => match rest {
            "lost" => N::Impair("loss=100%".into()),
            "back" => N::Mend,
            _ => return Err("the network can be lost or back: network lost".into()),
        },
        "leave" => return nothing_more(Action::Leave),
        "rejoin" => return nothing_more(Action::Rejoin),
        "crash" => return nothing_more(Action::Crash),
        _ => return Err(unknown(word, NATIVE, &[], "rtc-client")),
    };
    Ok(Action::Native(action))
}

/// Reads what a page is to do, some of it by names that the file gives to JavaScript.
///
/// # Errors
/// In words.
pub fn page(text: &str, hooks: &BTreeMap<String, String>) -> Result<Action, String> {
    let whole = text.trim();
    if let Some(script) = hooks.get(whole) {
        return Ok(Action::Page(PageAction::Eval(script.clone())));
    }
    let (word, rest) = split(whole);
    let something = |what: &str, example: &str| {
        if rest.is_empty() {
            Err(format!("{word} needs {what}: {example}"))
        } else {
            Ok(rest.to_owned())
        }
    };
    let action = match word {
        "click" => PageAction::Click(something("a selector", "click #mute")?),
        "fill" => match rest.rsplit_once(" = ") {
            Some((selector, value)) => {
                PageAction::Fill(selector.trim().into(), value.trim().into())
            }
            None => return Err("fill what? write fill #name = Ann".into()),
        },
        "eval" => PageAction::Eval(something("JavaScript", "eval app.mute()")?),
        "wait" => PageAction::Until(something("JavaScript", "wait app.calls === 1")?),
        "reload" if rest.is_empty() => PageAction::Reload,
        "leave" if rest.is_empty() => return Ok(Action::Leave),
        "rejoin" if rest.is_empty() => return Ok(Action::Rejoin),
        "crash" if rest.is_empty() => return Ok(Action::Crash),
        "network" | "impair" => {
            return Err(
                "the network of a browser is not ours; make that of a partner of kind rtc-client worse, or put rtc-client impair --turn before it (docs/impair.md)"
                    .into(),
            );
        }
        _ => {
            let hooks: Vec<&str> = hooks.keys().map(String::as_str).collect();
            return Err(unknown(whole, PAGE, &hooks, "a browser"));
        }
    };
    Ok(Action::Page(action))
}

fn unknown(word: &str, known: &[&str], more: &[&str], who: &str) -> String {
    let all = || known.iter().chain(more).copied();
    let hint = nearest(word, all()).map_or_else(
        || format!(": there are {}", all().collect::<Vec<_>>().join(", ")),
        |near| format!("; is it {near:?}?"),
    );
    format!("{who} cannot {word:?}{hint}")
}

/// The known word that is most like this one.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Two letters that changed places in a short word make it less like itself than a mistake should.
    let like = |known: &str| match strsim::osa_distance(word, known) {
        0 | 1 if word.len() > 2 => 1.0,
        _ => strsim::jaro_winkler(word, known),
    };
    known
        .map(|known| (like(known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(like, _)| *like > 0.75)
        .map(|(_, known)| known)
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (text, ""),
    }
}

impl Action {
    /// What ends it where it is to last for a while only; nothing where nothing can.
    #[must_use]
    pub fn undone(&self) -> Option<Self> {
        use NativeAction as N;
        Some(match self {
            Self::Leave | Self::Crash => Self::Rejoin,
            Self::Native(native) => Self::Native(match native {
                N::Mute(sense) => N::Unmute(*sense),
                N::Unmute(sense) => N::Mute(*sense),
                N::Source(Sense::Video, _) | N::Share => N::Unshare,
                N::Hold => N::Unhold,
                N::Impair(_) => N::Mend,
                _ => return None,
            }),
            _ => return None,
        })
    }
}

impl NativeAction {
    /// As a line of the control interface (docs/control.md). `video` is what the peer shows of itself, `impair` how its network is.
    #[must_use]
    pub fn command(&self, video: &str, impair: &str) -> Value {
        let what = |word: &str, sense: Sense| json!({ "do": word, "what": sense.name() });
        match self {
            Self::Mute(sense) => what("mute", *sense),
            Self::Unmute(sense) => what("unmute", *sense),
            Self::Source(sense, source) => {
                json!({ "do": "source", "what": sense.name(), "source": source })
            }
            Self::Share => json!({ "do": "share" }),
            // A screen or what stood in for one: both end with what was shown before.
            Self::Unshare => json!({ "do": "source", "what": "video", "source": video }),
            Self::Hold => json!({ "do": "hold" }),
            Self::Unhold => json!({ "do": "unhold" }),
            Self::Chat(text) => json!({ "do": "chat", "text": text }),
            Self::Dial(keys) => json!({ "do": "dial", "keys": keys }),
            Self::RestartIce => json!({ "do": "restart-ice" }),
            Self::Impair(spec) => json!({ "do": "impair", "spec": spec }),
            Self::Mend => json!({ "do": "impair", "spec": impair }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_become_commands() {
        for (text, command) in [
            ("mute audio", json!({"do": "mute", "what": "audio"})),
            ("talk", json!({"do": "unmute", "what": "audio"})),
            ("network lost", json!({"do": "impair", "spec": "loss=100%"})),
            ("network back", json!({"do": "impair", "spec": "delay=5ms"})),
            (
                "impair up:loss=5%",
                json!({"do": "impair", "spec": "up:loss=5%"}),
            ),
            (
                "share test",
                json!({"do": "source", "what": "video", "source": "test"}),
            ),
            ("share", json!({"do": "share"})),
            (
                "unshare",
                json!({"do": "source", "what": "video", "source": "test"}),
            ),
            (
                "chat hello  there",
                json!({"do": "chat", "text": "hello  there"}),
            ),
        ] {
            let Ok(Action::Native(action)) = native(text) else {
                panic!("{text}");
            };
            assert_eq!(action.command("test", "delay=5ms"), command, "{text}");
        }
        assert_eq!(native("leave"), Ok(Action::Leave));
    }

    #[test]
    fn pages_have_words_of_their_own_and_those_of_the_file() {
        let hooks = BTreeMap::from([("mute".to_owned(), "app.mute()".to_owned())]);
        assert_eq!(
            page("mute", &hooks),
            Ok(Action::Page(PageAction::Eval("app.mute()".into())))
        );
        assert_eq!(
            page("fill input[name=x] = Ann B", &hooks),
            Ok(Action::Page(PageAction::Fill(
                "input[name=x]".into(),
                "Ann B".into()
            )))
        );
        assert!(
            page("mite", &hooks)
                .unwrap_err()
                .contains("is it \"mute\"?")
        );
        assert!(
            page("network lost", &hooks)
                .unwrap_err()
                .contains("not ours")
        );
    }

    #[test]
    fn what_nobody_can_do_is_refused_with_what_may_be_meant() {
        for (text, told) in [
            ("mutee audio", "is it \"mute\"?"),
            ("mute", "mute audio or mute video"),
            ("leave now", "takes no more words"),
            ("chat", "chat hello"),
            ("network slow", "lost or back"),
            ("click #x", "rtc-client cannot"),
            ("", "there are mute"),
        ] {
            let error = native(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn what_lasts_for_a_while_has_an_end() {
        let undone = |text| native(text).unwrap().undone();
        assert_eq!(
            undone("network lost"),
            Some(Action::Native(NativeAction::Mend))
        );
        assert_eq!(undone("leave"), Some(Action::Rejoin));
        assert_eq!(undone("chat hello"), None);
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}") {
            let _ = native(&text);
            let _ = page(&text, &BTreeMap::new());
        }
    }
}
