//! A peer's place at the switchboard, whatever it is reached by: a WebSocket, Socket.IO, HTTP.
//!
//! What the room core says waits here in a bounded queue; a peer that does not take it is
//! told so by [`Seat::too_slow`], and must be closed.
//!
//! What a peer says may have to be waited with, so saying is async, though the room core of one process never makes
//! anybody wait.

use std::sync::Arc;

use rtc_protocol::{ClientFrame, PeerId};
use tokio_util::sync::CancellationToken;

use crate::hub::{ConnectionId, Greeting, Pass};
use crate::mailbox::{Mailbox, Outgoing};
use crate::metrics::{Account, CloseReason, Limit, Refused};
use crate::switchboard::{NotIn, Switchboard};

/// See the module. Dropped without [`Seat::leave`], the peer counts as lost and may resume.
#[derive(Debug)]
pub(crate) struct Seat {
    switchboard: Switchboard,
    connection: ConnectionId,
    peer: PeerId,
    mailbox: Arc<Mailbox>,
    account: Account,
    left: bool,
}

impl Seat {
    /// Says hello for a peer that cannot be refused, being somebody new; none when the server has ended. `queue` is how
    /// many messages may wait.
    pub(crate) async fn take(
        switchboard: &Switchboard,
        greeting: Greeting,
        queue: usize,
    ) -> Option<Self> {
        Self::ask(switchboard, greeting, queue).await.ok()
    }

    /// Says hello for a peer.
    pub(crate) async fn ask(
        switchboard: &Switchboard,
        greeting: Greeting,
        queue: usize,
    ) -> Result<Self, NotIn> {
        let dialect = greeting.dialect;
        // Who shows nothing that counts gets back into a session that is here, and ends none elsewhere.
        if greeting.returns && !matches!(greeting.pass, Pass::ResumeOnly(_)) {
            let peer = greeting.token.peer_id();
            switchboard.returns(peer, greeting.last_seq).await;
        }
        let mailbox = switchboard.mailbox(queue);
        let refused = &switchboard.metrics().connections_refused;
        let (connection, peer) =
            switchboard
                .hello(greeting, &mailbox)
                .inspect_err(|why| match why {
                    NotIn::Ended => refused.inc(Refused::GoingAway),
                    NotIn::Denied(_) => refused.inc(Refused::Unauthorized),
                })?;
        Ok(Self {
            account: Account::open(switchboard.metrics().clone(), dialect, peer),
            switchboard: switchboard.clone(),
            connection,
            peer,
            mailbox,
            left: false,
        })
    }

    /// Says something to the room core, which stamps the sender.
    pub(crate) async fn say(&self, frame: ClientFrame) {
        self.account.received();
        self.switchboard.said(self.peer, frame);
    }

    /// What the room core says next; none when it has ended. Safe to be given up while waiting.
    pub(crate) async fn hear(&mut self) -> Option<Outgoing> {
        let heard = self.mailbox.take().await;
        self.took(heard)
    }

    /// What waits already.
    pub(crate) fn hear_now(&mut self) -> Option<Outgoing> {
        let heard = self.mailbox.take_now();
        self.took(heard)
    }

    fn took(&mut self, heard: Option<Outgoing>) -> Option<Outgoing> {
        match &heard {
            Some(Outgoing::Line(line)) => self.account.sent(line.bytes()),
            Some(Outgoing::Close(code, _)) => self.account.close(CloseReason::of_code(*code)),
            None => {}
        }
        heard
    }

    /// Cancelled when the peer has not taken what was said to it.
    pub(crate) fn too_slow(&self) -> CancellationToken {
        self.mailbox.too_slow().clone()
    }

    /// So many bytes came from the peer, understood or not; for the counters.
    pub(crate) fn received_bytes(&self, bytes: usize) {
        self.account.received_bytes(bytes);
    }

    /// Tells why the connection ends, where that is known better than [`Seat::leave`] can guess.
    pub(crate) fn ends(&mut self, reason: CloseReason) {
        if reason == CloseReason::SlowReader && !self.mailbox.too_slow().is_cancelled() {
            let metrics = self.switchboard.metrics();
            metrics.slow_readers.inc();
            metrics.limits_hit.inc(Limit::Queue);
        }
        self.account.close(reason);
    }

    /// Gives the place up; `clean` tells that the peer went on purpose and will not come back.
    pub(crate) async fn leave(mut self, clean: bool) {
        self.left = true;
        self.account.close(match clean {
            _ if self.mailbox.too_slow().is_cancelled() => CloseReason::SlowReader,
            true => CloseReason::Left,
            false => CloseReason::Lost,
        });
        self.switchboard.gone(self.peer, self.connection, clean);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.left {
            self.switchboard.gone(self.peer, self.connection, false);
        }
    }
}
