//! One JSON object a line: the call for programs.

use std::io::{self, Write};

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::ser::{CompactFormatter, Formatter};

use super::text::is_unsafe;
use super::{OutputError, View};
use crate::event::{Event, VERSION};
use crate::media::clock::Timestamp;

/// One line of `--json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Version of this form; raised when a field changes its meaning or goes. New fields and new events do not raise it.
    pub v: u32,
    /// When it happened, in seconds since the Unix epoch.
    pub time: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// Stamps an event.
    #[must_use]
    pub const fn new(at: Timestamp, event: Event) -> Self {
        Self {
            v: VERSION,
            time: at.as_micros() as f64 / 1e6,
            event,
        }
    }

    /// Gives the line, without its end.
    ///
    /// # Errors
    /// When the event has no JSON form.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        let mut out = Vec::with_capacity(256);
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, TerminalSafe);
        self.serialize(&mut serializer)?;
        String::from_utf8(out).map_err(serde::ser::Error::custom)
    }
}

/// Gives the JSON schema of [`Record`]; `docs/events.schema.json` is this.
#[must_use]
pub fn schema() -> Schema {
    schema_for!(Record)
}

/// Writes events as JSON, one a line, each flushed.
#[derive(Debug)]
pub struct Json<W> {
    writer: W,
}

impl Json<io::Stdout> {
    /// Writes to the standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::new(io::stdout())
    }
}

impl<W: Write> Json<W> {
    /// Writes to `writer`.
    pub const fn new(writer: W) -> Self {
        Self { writer }
    }

    /// Writes one event that happened at a time.
    ///
    /// # Errors
    /// [`OutputError::Closed`] where nobody reads any more.
    pub fn event_at(&mut self, at: Timestamp, event: &Event) -> Result<(), OutputError> {
        let mut line = Record::new(at, event.clone())
            .to_line()
            .map_err(OutputError::Encode)?;
        line.push('\n');
        self.writer.write_all(line.as_bytes())?;
        Ok(self.writer.flush()?)
    }
}

impl<W: Write + Send> View for Json<W> {
    fn event(&mut self, event: &Event) -> Result<(), OutputError> {
        self.event_at(Timestamp::now(), event)
    }
}

/// Escapes also what JSON allows and a terminal acts upon: DEL, the C1 controls, directional marks.
struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            CompactFormatter.write_string_fragment(writer, &rest[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::collections::BTreeSet;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::output::testing::{every_event, peer};

    fn line_of(event: &Event) -> String {
        let mut out = Vec::new();
        Json::new(&mut out)
            .event_at(Timestamp::from_micros(1_700_000_000_250_000), event)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_chat_line_is_one_flat_object() {
        let chat = Event::Chat {
            from: peer("abc", "Bob"),
            text: "hi\nthere".into(),
            own: false,
        };
        assert_eq!(
            line_of(&chat),
            "{\"v\":1,\"time\":1700000000.25,\"event\":\"chat\",\"from\":{\"id\":\"abc\",\"name\":\"Bob\"},\
             \"text\":\"hi\\nthere\",\"own\":false}\n"
        );
    }

    #[test]
    fn every_event_reads_back_as_it_was() {
        for event in every_event("Žofie \u{1b}[2J \u{9b}1m \u{e0041} \"\\ 😀") {
            let read: Record = serde_json::from_str(&line_of(&event)).unwrap();
            assert_eq!(read.event, event);
        }
    }

    #[test]
    fn the_checked_in_schema_is_the_one_of_the_types() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.schema.json");
        let now = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == now,
            "docs/events.schema.json is not what the types say; run this test with UPDATE_SCHEMA=1 and commit the file"
        );
    }

    #[test]
    fn the_page_shows_every_event_as_it_is_written() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
        let page = std::fs::read_to_string(path).unwrap();
        let mut shown = BTreeSet::new();
        for line in page.lines().filter(|line| line.starts_with("{\"v\":")) {
            let record: Record =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(
                record.to_line().unwrap(),
                line,
                "an example has fields the types do not know"
            );
            shown.insert(tag(&record.event));
        }
        let all: BTreeSet<_> = every_event("x").iter().map(tag).collect();
        assert_eq!(shown, all);
    }

    #[test]
    fn the_sample_events_are_all_there_are() {
        let schema = serde_json::to_value(schema()).unwrap();
        let all: BTreeSet<_> = schema["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variant| {
                variant["properties"]["event"]["const"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(all, every_event("x").iter().map(tag).collect());
    }

    fn tag(event: &Event) -> String {
        let value = serde_json::to_value(event).unwrap();
        value["event"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_closed_reader_is_told_apart() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let result = Json::new(Gone).event(&Event::SignalingBack { resumed: true });
        assert!(matches!(result, Err(OutputError::Closed)));
    }

    proptest! {
        #[test]
        fn no_control_reaches_the_line(text in any::<String>()) {
            for event in every_event(&text) {
                let line = line_of(&event);
                let body = line.strip_suffix('\n').unwrap();
                prop_assert!(!body.chars().any(is_unsafe), "{body:?}");
                let read: Record = serde_json::from_str(body).unwrap();
                prop_assert_eq!(read.event, event);
            }
        }
    }
}
