//! What is traced: a span for each connection and one for each call, for who wants to see them in time.
//!
//! They are spans of `tracing` under a target of their own, which the log leaves out. Nothing takes them up, and they cost
//! a look at a flag, unless the program was built with the feature `otel` and told where to send them. They say which
//! dialect, how many, why it ended; rooms are pseudonyms, and names, tokens, addresses and what is said are nowhere.

use std::collections::BTreeSet;

use rtc_protocol::RoomId;
use tracing::Span;
use tracing::field::Empty;

use crate::redact::Redacted;

/// The target of every span that is traced, and of nothing else.
pub const TARGET: &str = "rtc_server::spans";

/// A connection, from its greeting to its end.
pub(crate) fn connection(dialect: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        parent: None,
        "connection",
        rtc.dialect = dialect,
        rtc.reason = Empty,
        rtc.messages.received = Empty,
        rtc.messages.sent = Empty,
    )
}

/// A call: from the moment when a second member is in a room to the one when fewer than two are.
#[derive(Debug)]
pub(crate) struct Call {
    span: Span,
    dialects: BTreeSet<&'static str>,
    most: usize,
}

impl Call {
    /// Begins.
    pub(crate) fn begun(room: &RoomId) -> Self {
        let span = tracing::info_span!(
            target: TARGET,
            parent: None,
            "call",
            rtc.room = %Redacted(room.as_str()),
            rtc.dialects = Empty,
            rtc.members = Empty,
        );
        Self {
            span,
            dialects: BTreeSet::new(),
            most: 0,
        }
    }

    /// So many are in it now, and these are their dialects.
    pub(crate) fn held(&mut self, dialects: impl ExactSizeIterator<Item = &'static str>) {
        if self.span.is_disabled() {
            return;
        }
        self.most = self.most.max(dialects.len());
        self.dialects.extend(dialects);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.span.is_disabled() {
            return;
        }
        let dialects: Vec<_> = self.dialects.iter().copied().collect();
        self.span.record("rtc.dialects", dialects.join(","));
        self.span.record("rtc.members", self.most);
    }
}
