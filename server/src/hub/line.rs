//! One message as text, written once for all who are told it.

use std::fmt::Write;
use std::sync::Arc;

use rtc_protocol::{ServerFrame, ServerMessage};

/// A message for one peer. A room's members share its text; only the number is each one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    seq: Option<u64>,
    json: Arc<str>,
}

impl Line {
    pub(super) fn new(id: Option<u64>, message: ServerMessage) -> Self {
        let frame = ServerFrame {
            seq: None,
            id,
            message,
        };
        Self {
            seq: None,
            json: frame.to_json().into(),
        }
    }

    /// As another node wrote it; none where that cannot be a message.
    pub(super) fn written(text: &str) -> Option<Self> {
        let object = text.starts_with('{') && text.ends_with('}');
        object.then(|| Self {
            seq: None,
            json: text.into(),
        })
    }

    /// The text without its number.
    pub(super) fn unnumbered(&self) -> String {
        String::from(&*self.json)
    }

    pub(super) fn numbered(&self, seq: u64) -> Self {
        Self {
            seq: Some(seq),
            json: Arc::clone(&self.json),
        }
    }

    /// Its number in the session, if it has one.
    #[must_use]
    pub const fn seq(&self) -> Option<u64> {
        self.seq
    }

    /// Bytes that it holds on to.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.json.len()
    }

    /// The text as it goes over the wire.
    #[must_use]
    pub fn text(&self) -> String {
        match (self.seq, self.json.strip_prefix('{')) {
            (Some(seq), Some(rest)) => {
                let mut text = String::with_capacity(self.json.len() + 28);
                // Writing into a String cannot fail.
                let _ = write!(text, "{{\"seq\":{seq},");
                text.push_str(rest);
                text
            }
            _ => String::from(&*self.json),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_number_comes_in_front_and_the_text_is_shared() {
        let call = rtc_protocol::CallId::new("c").unwrap();
        let line = Line::new(Some(3), ServerMessage::Ringing { call });
        assert_eq!(line.text(), r#"{"id":3,"type":"ringing","call":"c"}"#);
        let one = line.numbered(1);
        let other = line.numbered(20);
        assert_eq!(
            one.text(),
            r#"{"seq":1,"id":3,"type":"ringing","call":"c"}"#
        );
        assert_eq!(ServerFrame::parse(&other.text()).unwrap().seq, Some(20));
        assert!(Arc::ptr_eq(&one.json, &other.json));
    }
}
