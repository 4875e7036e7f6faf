//! Data channels beside chat: those that we open, and those of the far side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use webrtc::data_channel::{
    DataChannel, DataChannelEvent, RTCDataChannelInit, RTCDataChannelState,
};

use super::PeerError;
use super::actor::News;

/// Messages each way that wait between the engine and who holds a channel; then its sender waits, and so, by SCTP's window, does the
/// far side.
const QUEUE: usize = 8;

/// What of a channel the engine holds before it is on its way; who sends waits.
pub(super) const SEND_BUFFER: usize = 512 * 1024;

/// What a channel is opened with (`RTCDataChannelInit` of W3C webrtc-pc).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelInit {
    /// Its name.
    pub label: String,
    /// Messages come in the order in which they were sent.
    #[serde(default = "yes")]
    pub ordered: bool,
    /// How often a lost message is sent again; without an end where neither this nor the next is given.
    #[serde(default)]
    pub max_retransmits: Option<u16>,
    /// For how many milliseconds one is.
    #[serde(default)]
    pub max_packet_life_time: Option<u16>,
    /// What is spoken on it, a word of the application's.
    #[serde(default)]
    pub protocol: String,
    /// Its number, where both sides open it by themselves and agreed on that before. Written down it is no `id`: a command has one
    /// of its own.
    #[serde(default, rename = "negotiatedId")]
    pub id: Option<u16>,
}

const fn yes() -> bool {
    true
}

impl ChannelInit {
    /// A reliable one in order.
    #[must_use]
    pub fn new(label: &str, protocol: &str) -> Self {
        Self {
            label: label.to_owned(),
            ordered: true,
            max_retransmits: None,
            max_packet_life_time: None,
            protocol: protocol.to_owned(),
            id: None,
        }
    }

    fn engine(&self) -> RTCDataChannelInit {
        RTCDataChannelInit {
            ordered: self.ordered,
            max_retransmits: self.max_retransmits,
            max_packet_life_time: self.max_packet_life_time,
            protocol: self.protocol.clone(),
            negotiated: self.id,
        }
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelMessage {
    /// Text is UTF-8.
    pub text: bool,
    /// What it says.
    pub data: Bytes,
}

/// An open channel. Dropping it closes it, after what was sent before.
#[derive(Debug)]
pub struct Channel {
    /// Its name.
    pub label: String,
    /// What is spoken on it.
    pub protocol: String,
    incoming: mpsc::Receiver<ChannelMessage>,
    sender: ChannelSender,
}

/// The half of a channel that sends.
#[derive(Clone)]
pub struct ChannelSender {
    outgoing: mpsc::Sender<ChannelMessage>,
    /// Bytes that wait for the engine.
    waiting: Arc<AtomicUsize>,
    engine: Arc<dyn DataChannel>,
}

impl std::fmt::Debug for ChannelSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelSender").finish_non_exhaustive()
    }
}

impl ChannelSender {
    /// Waits for a place for one message; an error where the channel is closed.
    ///
    /// # Errors
    /// When the channel is closed.
    pub async fn room(&self) -> Result<Room<'_>, PeerError> {
        let permit = self.outgoing.reserve().await;
        let permit = permit.map_err(|_| PeerError::Closed)?;
        Ok(Room {
            permit,
            waiting: &self.waiting,
        })
    }

    /// Sends a message if there is a place for it now.
    ///
    /// # Errors
    /// When there is none, or the channel is closed.
    pub fn try_send(&self, message: ChannelMessage) -> Result<(), PeerError> {
        let length = message.data.len();
        // Before it is taken from there, and taken back where it was not.
        self.waiting.fetch_add(length, Ordering::Relaxed);
        self.outgoing.try_send(message).map_err(|error| {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => PeerError::ChannelFull,
                mpsc::error::TrySendError::Closed(_) => PeerError::Closed,
            }
        })
    }

    /// Bytes that are sent and not yet known to have arrived (`bufferedAmount`, and what is on its way).
    pub async fn buffered(&self) -> usize {
        let engine = self.engine.outstanding_bytes().await.unwrap_or(0);
        engine + self.waiting.load(Ordering::Relaxed)
    }
}

/// A place for one message.
#[derive(Debug)]
pub struct Room<'a> {
    permit: mpsc::Permit<'a, ChannelMessage>,
    waiting: &'a AtomicUsize,
}

impl Room<'_> {
    /// Sends it.
    pub fn send(self, message: ChannelMessage) {
        self.waiting
            .fetch_add(message.data.len(), Ordering::Relaxed);
        self.permit.send(message);
    }
}

impl Channel {
    /// The next message; `None` once the channel is closed.
    pub async fn next(&mut self) -> Option<ChannelMessage> {
        self.incoming.recv().await
    }

    /// The half that sends.
    #[must_use]
    pub fn sender(&self) -> &ChannelSender {
        &self.sender
    }

    /// Both halves. It is closed when all that can send are dropped.
    #[must_use]
    pub fn split(self) -> (ChannelSender, mpsc::Receiver<ChannelMessage>) {
        (self.sender, self.incoming)
    }
}

/// Opens a channel in the engine.
pub(super) async fn open(
    connection: &Arc<dyn webrtc::peer_connection::PeerConnection>,
    init: &ChannelInit,
) -> webrtc::error::Result<Arc<dyn DataChannel>> {
    connection
        .create_data_channel(&init.label, Some(init.engine()))
        .await
}

/// What the engine says of a channel, and what is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is open: whoever is to hear it is told, unless that was done before.
    Open,
    /// A message is handed over, on a channel that was told of.
    Hand(ChannelMessage),
    /// Nothing.
    Pass,
    /// It is over.
    End,
}

impl Step {
    fn of(event: DataChannelEvent) -> Self {
        match event {
            DataChannelEvent::OnOpen => Self::Open,
            DataChannelEvent::OnMessage(message) => Self::Hand(ChannelMessage {
                text: message.is_string,
                data: message.data.freeze(),
            }),
            DataChannelEvent::OnClose | DataChannelEvent::OnClosing => Self::End,
            _ => Self::Pass,
        }
    }

    /// Who sends may do so as soon as it has opened the channel (RFC 8832 section 6), so a message may be told before the channel's
    /// opening: it is open then.
    const fn opens(&self) -> bool {
        matches!(self, Self::Open | Self::Hand(_))
    }
}

/// Carries a channel's messages both ways, and tells of it when it is open. Its `place` is free again when both ways are at their ends.
pub(super) fn carry(
    engine: Arc<dyn DataChannel>,
    place: OwnedSemaphorePermit,
    tasks: &mut JoinSet<()>,
    news: mpsc::Sender<News>,
) {
    let (outgoing, to_send) = mpsc::channel(QUEUE);
    let (came, incoming) = mpsc::channel(QUEUE);
    let waiting = Arc::new(AtomicUsize::new(0));
    let place = Arc::new(place);
    let (sending, own_place) = (
        send_all(engine.clone(), to_send, waiting.clone()),
        place.clone(),
    );
    tasks.spawn(async move {
        sending.await;
        drop(own_place);
    });
    tasks.spawn(async move {
        let _place = place;
        let (Ok(label), Ok(protocol)) = (engine.label().await, engine.protocol().await) else {
            return;
        };
        let mut channel = Some(Channel {
            label,
            protocol,
            incoming,
            sender: ChannelSender {
                outgoing,
                waiting,
                engine: engine.clone(),
            },
        });
        loop {
            // A channel of a connection that stands may be open before the engine knows whom to tell.
            let event = tokio::select! {
                event = engine.poll() => event,
                () = tokio::time::sleep(DRAIN), if channel.is_some() => {
                    if !matches!(engine.ready_state().await, Ok(RTCDataChannelState::Open)) {
                        continue;
                    }
                    Some(DataChannelEvent::OnOpen)
                }
            };
            let Some(step) = event.map(Step::of) else {
                return;
            };
            if step.opens()
                && let Some(channel) = channel.take()
                && news.send(News::Channel(channel)).await.is_err()
            {
                return;
            }
            match step {
                Step::Hand(message) => {
                    if came.send(message).await.is_err() {
                        return;
                    }
                }
                Step::End => return,
                Step::Open | Step::Pass => {}
            }
        }
    });
}

async fn send_all(
    engine: Arc<dyn DataChannel>,
    mut to_send: mpsc::Receiver<ChannelMessage>,
    waiting: Arc<AtomicUsize>,
) {
    while let Some(message) = to_send.recv().await {
        let sent = match message.text {
            true => match std::str::from_utf8(&message.data) {
                Ok(text) => engine.send_text(text).await,
                Err(_) => Ok(()),
            },
            false => engine.send(BytesMut::from(&message.data[..])).await,
        };
        waiting.fetch_sub(message.data.len(), Ordering::Relaxed);
        if let Err(error) = sent {
            tracing::debug!("a channel takes no more: {error}");
            return;
        }
    }
    // What was sent last is still on its way.
    while engine.outstanding_bytes().await.is_ok_and(|left| left > 0) {
        tokio::time::sleep(DRAIN).await;
    }
    if let Err(error) = engine.close().await {
        tracing::debug!("a channel was closed already: {error}");
    }
}

/// How often a channel that is to be closed is looked at, whether all has arrived.
const DRAIN: std::time::Duration = std::time::Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use webrtc::data_channel::RTCDataChannelMessage;

    use super::*;

    #[test]
    fn a_message_opens_the_channel_it_comes_on() {
        let message = RTCDataChannelMessage {
            is_string: true,
            data: BytesMut::from("hello"),
        };
        let step = Step::of(DataChannelEvent::OnMessage(message));
        assert!(step.opens() && Step::of(DataChannelEvent::OnOpen).opens());
        let message = ChannelMessage {
            text: true,
            data: "hello".into(),
        };
        assert_eq!(step, Step::Hand(message));
        assert!(!Step::of(DataChannelEvent::OnClose).opens());
    }
}
