//! The call driven by another program: commands as JSON lines in, an answer to each as an event out (docs/control.md).

pub(crate) mod reader;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Kind;
use crate::peer::ChannelInit;

/// The longest line that is read; a longer one is answered with an error and left out.
pub const LONGEST: usize = 1 << 20;

/// One line: what is to be done, and what its answer is known by.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Line {
    /// Given back in the answer as it is.
    #[serde(default)]
    pub id: Value,
    /// What.
    #[serde(flatten)]
    pub command: Command,
}

/// What a program may ask of a call.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Command {
    /// Silence or black goes out.
    Mute {
        /// Which sense.
        what: Kind,
    },
    /// No more.
    Unmute {
        /// Which sense.
        what: Kind,
    },
    /// A sense is taken from another source; the answer comes at once, and `source-changed` when it is there.
    Source {
        /// Which sense.
        what: Kind,
        /// As `--video` and `--audio` name it; `none` sends nothing.
        source: String,
    },
    /// A screen is shown instead of the picture.
    Share {
        /// Which, as `screen:WHICH`; the primary one without a word.
        #[serde(default)]
        which: Option<String>,
    },
    /// What was shown before is shown again.
    Unshare,
    /// Nothing is sent and nothing taken.
    Hold,
    /// No more.
    Unhold,
    /// A line of chat to everybody.
    Chat {
        /// It.
        text: String,
    },
    /// A data channel to everybody who is connected, or to one; `channel-opened` tells when it is open.
    OpenChannel {
        /// The id or name of one of them.
        #[serde(default)]
        peer: Option<String>,
        /// As `RTCDataChannelInit` has it; its `id` is `negotiatedId` here.
        #[serde(flatten)]
        init: ChannelInit,
    },
    /// A message on a channel.
    Send {
        /// Which, as `channel-opened` numbered it.
        channel: u64,
        /// Text.
        #[serde(default)]
        text: Option<String>,
        /// Or bytes, in base64.
        #[serde(default)]
        data: Option<String>,
    },
    /// The channels that are open.
    Channels,
    /// A channel is closed.
    CloseChannel {
        /// Which.
        channel: u64,
    },
    /// Keys of a telephone.
    Dial {
        /// `0` to `9`, `*`, `#`, `A` to `D`, and commas for pauses.
        keys: String,
    },
    /// The newest statistics of every connection, by peer.
    Stats,
    /// Take the call that rings.
    Accept,
    /// Do not take it.
    Decline,
    /// New ways are sought to every peer.
    RestartIce,
    /// The network gets worse or better.
    Impair {
        /// As `--impair`; empty for as good as it is.
        spec: String,
    },
    /// What came of the call so far, held to these.
    Check {
        /// As `--expect`.
        expect: Vec<String>,
    },
    /// Nothing, for so long: so that a script can be written down line by line.
    Wait {
        /// Seconds.
        seconds: f64,
    },
    /// The end.
    HangUp {
        /// The exit code tells what came of the call, as it does when `--duration` is over; otherwise who asked has seen enough.
        #[serde(default)]
        judged: bool,
    },
}

/// The names of all commands, for who mistypes one.
pub const NAMES: [&str; 21] = [
    "mute",
    "unmute",
    "source",
    "share",
    "unshare",
    "hold",
    "unhold",
    "chat",
    "open-channel",
    "send",
    "channels",
    "close-channel",
    "dial",
    "stats",
    "accept",
    "decline",
    "restart-ice",
    "impair",
    "check",
    "wait",
    "hang-up",
];

/// Why a line was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is none.
    #[error("this is no JSON object with a member \"do\": {0}")]
    NoCommand(String),
    /// There is no such command.
    #[error("there is no {name:?}{}", nearest.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default())]
    Unknown {
        /// As it was written.
        name: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// A member is missing or of another form.
    #[error("{name}: {why}")]
    Members {
        /// Of which command.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// More than can be read.
    #[error("a line has at most {LONGEST} bytes")]
    TooLong,
}

/// Reads a line. With an error comes the id, where one could be read.
///
/// # Errors
/// When it is no command.
pub fn parse(line: &str) -> Result<Line, (Value, LineError)> {
    let value: Value = serde_json::from_str(line)
        .map_err(|error| (Value::Null, LineError::NoCommand(error.to_string())))?;
    let id = value.get("id").cloned().unwrap_or_default();
    let Some(name) = value.get("do").and_then(Value::as_str).map(str::to_owned) else {
        let told = LineError::NoCommand("it has no such member, or it is no text".to_owned());
        return Err((id, told));
    };
    if !NAMES.contains(&name.as_str()) {
        let like = |known: &&str| strsim::jaro_winkler(known, &name);
        let nearest = NAMES.into_iter().max_by(|a, b| like(a).total_cmp(&like(b)));
        let nearest = nearest.filter(|known| like(known) > 0.7);
        return Err((id, LineError::Unknown { name, nearest }));
    }
    let members = |error: serde_json::Error| LineError::Members {
        name: name.clone(),
        why: error.to_string(),
    };
    let line: Line = serde_json::from_value(value).map_err(|e| (id.clone(), members(e)))?;
    if let Command::Wait { seconds } = line.command
        && Duration::try_from_secs_f64(seconds).is_err()
    {
        let why = format!("{seconds} is no number of seconds");
        return Err((id, LineError::Members { name, why }));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_read_with_their_ids() {
        for (text, id, command) in [
            (
                r#"{"id":1,"do":"mute","what":"audio"}"#,
                Value::from(1),
                Command::Mute { what: Kind::Audio },
            ),
            (
                r#"{"do":"hang-up"}"#,
                Value::Null,
                Command::HangUp { judged: false },
            ),
            (
                r#"{"do":"hang-up","judged":true}"#,
                Value::Null,
                Command::HangUp { judged: true },
            ),
            (
                r#"{"id":"x","do":"impair","spec":"loss=5%"}"#,
                Value::from("x"),
                Command::Impair {
                    spec: "loss=5%".into(),
                },
            ),
            (
                r#"{"do":"wait","seconds":1.5}"#,
                Value::Null,
                Command::Wait { seconds: 1.5 },
            ),
            (
                r#"{"id":9,"do":"open-channel","label":"game","negotiatedId":7}"#,
                Value::from(9),
                Command::OpenChannel {
                    peer: None,
                    init: ChannelInit {
                        id: Some(7),
                        ..ChannelInit::new("game", "")
                    },
                },
            ),
            (
                r#"{"id":9,"do":"open-channel","label":"game"}"#,
                Value::from(9),
                Command::OpenChannel {
                    peer: None,
                    init: ChannelInit::new("game", ""),
                },
            ),
        ] {
            assert_eq!(parse(text), Ok(Line { id, command }), "{text}");
        }
    }

    #[test]
    fn what_is_no_command_is_answered_in_words_and_by_its_id() {
        for (text, id, told) in [
            (
                "mute",
                Value::Null,
                "this is no JSON object with a member \"do\": expected value at line 1 column 1",
            ),
            (
                r#"{"id":4}"#,
                Value::from(4),
                "this is no JSON object with a member \"do\": it has no such member, or it is no text",
            ),
            (
                r#"{"id":4,"do":"mutee"}"#,
                Value::from(4),
                "there is no \"mutee\"; did you mean \"mute\"?",
            ),
            (
                r#"{"id":4,"do":"zzz"}"#,
                Value::from(4),
                "there is no \"zzz\"",
            ),
            (
                r#"{"id":4,"do":"mute"}"#,
                Value::from(4),
                "mute: missing field `what`",
            ),
            (
                r#"{"id":4,"do":"wait","seconds":-1}"#,
                Value::from(4),
                "wait: -1 is no number of seconds",
            ),
        ] {
            let (got, error) = parse(text).unwrap_err();
            assert_eq!((got, error.to_string()), (id, told.to_owned()), "{text}");
        }
    }

    #[test]
    fn every_name_is_a_command() {
        for name in NAMES {
            let error = parse(&format!(
                r#"{{"do":"{name}","what":0,"text":0,"keys":0,"spec":0,"expect":0,"seconds":"x"}}"#
            ));
            if let Err((_, error)) = error {
                assert!(
                    matches!(error, LineError::Members { .. }),
                    "{name}: {error}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }
    }
}
