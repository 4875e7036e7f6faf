//! The account of one connection: counted when it opens, and exactly once when it closes, however that comes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rtc_protocol::PeerId;

use super::{CloseReason, Metrics, Spoken};
use crate::spans;

/// See the module.
#[derive(Debug)]
pub(crate) struct Account {
    metrics: Metrics,
    dialect: Spoken,
    peer: PeerId,
    began: Instant,
    received: AtomicU64,
    sent: AtomicU64,
    span: tracing::Span,
    closed: bool,
}

impl Account {
    /// Of a peer that was just greeted.
    pub(crate) fn open(metrics: Metrics, dialect: Spoken, peer: PeerId) -> Self {
        use super::Label;
        metrics.connections_opened.inc(dialect);
        Self {
            metrics,
            dialect,
            peer,
            began: Instant::now(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            span: spans::connection(dialect.text()),
            closed: false,
        }
    }

    /// The peer said something to the room core.
    pub(crate) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.metrics.messages_received.inc(self.dialect);
    }

    /// So many bytes came, understood or not.
    pub(crate) fn received_bytes(&self, bytes: usize) {
        self.metrics.bytes_received.add(self.dialect, bytes as u64);
    }

    /// The room core said something to the peer.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.metrics.messages_sent.inc(self.dialect);
        self.metrics.bytes_sent.add(self.dialect, bytes as u64);
    }

    /// The connection is over; the first reason counts.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        use super::Label;
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.metrics.connections_closed.inc(self.dialect, reason);
        let (received, sent) = (
            self.received.load(Ordering::Relaxed),
            self.sent.load(Ordering::Relaxed),
        );
        let span = std::mem::replace(&mut self.span, tracing::Span::none());
        span.record("rtc.reason", reason.text());
        span.record("rtc.messages.received", received);
        span.record("rtc.messages.sent", sent);
        tracing::info!(
            dialect = self.dialect.text(),
            peer = self.peer.as_str(),
            reason = reason.text(),
            seconds = self.began.elapsed().as_secs_f64(),
            received,
            sent,
            "a connection ended"
        );
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.close(CloseReason::Dropped);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rtc_protocol::{Dialect, Token};

    use super::*;

    #[test]
    fn a_connection_is_opened_once_and_closed_once() {
        let metrics = Metrics::default();
        let peer = Token::from_random(rand::random()).peer_id();
        let spoken = Some(Dialect::Book);
        let mut account = Account::open(metrics.clone(), spoken, peer);
        account.received();
        account.sent(5);
        account.close(CloseReason::Silent);
        account.close(CloseReason::Lost);
        drop(account);
        assert_eq!(metrics.connections_opened.get(spoken), 1);
        assert_eq!(
            metrics.connections_closed.get(spoken, CloseReason::Silent),
            1
        );
        assert_eq!(metrics.connections_closed.get(spoken, CloseReason::Lost), 0);
        assert_eq!(
            metrics.connections_closed.get(spoken, CloseReason::Dropped),
            0
        );
        drop(Account::open(metrics.clone(), None, peer));
        assert_eq!(
            metrics.connections_closed.get(None, CloseReason::Dropped),
            1
        );
    }
}
