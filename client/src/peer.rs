//! One connection to one far peer: the boundary of ours around the WebRTC engine.
//!
//! Nothing outside this folder names the engine's types. A [`Peer`] is the handle of
//! one actor task that owns the engine's connection; the task closes the engine in
//! every case, also when the handle is merely dropped.
//!
//! - `negotiation`: who offers and who gives way, pure
//! - `sdp`: limits on and repairs of descriptions, pure
//! - `directions`: which way picture and sound go, in what both sides say, pure
//! - `tone_names`: names of codecs that the engine would mix up, pure
//! - `packetize`: encoded frames to RTP payloads, pure
//! - `channel`: data channels beside chat
//! - `setup`: codecs, extensions, interceptors, sockets of the engine
//! - `rtp_clock`: RTP and NTP time of what is sent, from one clock, pure
//! - `rtx`, `rtcp`, `stats`: what the engine's interceptors leave to be mended
//! - `engine`: the engine's connection and its callbacks
//! - `actor`: performs what `negotiation` says; `send` and `receive` move media

mod actor;
mod channel;
mod config;
mod dial;
mod directions;
mod engine;
mod event;
mod fec;
mod local;
mod nack;
mod negotiation;
mod pace;
mod packetize;
mod receive;
mod resend;
mod rtcp;
mod rtp_clock;
mod rtx;
mod sdp;
mod send;
mod setup;
mod stats;
mod tell;
mod tone_names;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::event::Kind;
pub use channel::{Channel, ChannelInit, ChannelMessage, ChannelSender, Room};
pub use config::{IceServer, PeerConfig, SoundOffer};
pub use event::{
    ConnectionState, Counter, KeyFrameRequest, PeerEvent, RemoteCodec, RemoteTrack, RtpPacket,
    SenderReport, SenderReports, VideoFormat,
};
pub use local::{LocalAudio, LocalVideo};
pub use packetize::MAX_PAYLOAD;
pub use rtc_protocol::{Candidate, Description, SdpType, Signal};

/// Commands that wait for the actor; who sends more waits.
const COMMANDS: usize = 64;

/// The label of the data channel that carries chat.
pub const CHAT_LABEL: &str = "chat";

/// The longest line of chat, in bytes: what every peer takes in one message (RFC 8831 section 6.6).
pub const MAX_CHAT_BYTES: usize = 16 * 1024;

/// Why something could not be done with a peer connection.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The engine would not start.
    #[error("cannot open a peer connection: {0}; check the addresses and ICE servers given")]
    Open(String),
    /// The connection is over.
    #[error("the peer connection is closed")]
    Closed,
    /// There is no chat channel (yet).
    #[error("chat with this peer is not open; wait until it is connected")]
    ChatNotOpen,
    /// One message holds less.
    #[error("the message has {0} bytes, more than {MAX_CHAT_BYTES}; send it in parts")]
    ChatTooLong(usize),
    /// The engine would not take the message.
    #[error("the message was not sent: {0}")]
    Chat(String),
    /// The engine would not open a channel.
    #[error("the channel was not opened: {0}")]
    Channel(String),
    /// What was sent before has not gone out yet.
    #[error("the channel is full: wait until what was sent before has gone out")]
    ChannelFull,
}

/// One connection to one far peer.
#[derive(Debug)]
pub struct Peer {
    commands: mpsc::Sender<Command>,
    video: LocalVideo,
    audio: LocalAudio,
    task: JoinHandle<()>,
}

/// What the handle asks of its actor.
#[derive(Debug)]
enum Command {
    Negotiate { restart: bool },
    MetAgain,
    OfferInItsPlace,
    Signal(Signal),
    Send(Kind, bool),
    Hold(bool),
    Chat(String, oneshot::Sender<Result<(), PeerError>>),
    OpenChannel(ChannelInit, oneshot::Sender<Result<(), PeerError>>),
    Stats(oneshot::Sender<serde_json::Value>),
    Close,
}

impl Peer {
    /// Opens a connection; what happens on it is told through `events`. A slow reader
    /// of `events` delays the connection's own news, never its media.
    ///
    /// # Errors
    /// When no socket could be bound.
    pub async fn start(
        config: PeerConfig,
        events: mpsc::Sender<PeerEvent>,
    ) -> Result<Self, PeerError> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let video = LocalVideo::default();
        let audio = LocalAudio::default();
        let actor = actor::Actor::open(config, events, video.clone(), audio.clone()).await?;
        Ok(Self {
            commands,
            video,
            audio,
            task: tokio::spawn(actor.run(inbox)),
        })
    }

    /// Makes an offer: the newcomer does, once. Tracks and chat are in it.
    pub async fn negotiate(&self) {
        let _ = self
            .commands
            .send(Command::Negotiate { restart: false })
            .await;
    }

    /// Both sides met again at a server that knows nothing of what was under way: an offer that is open is said again.
    pub async fn met_again(&self) {
        let _ = self.commands.send(Command::MetAgain).await;
    }

    /// Offers though that was the other side's to do, and gives way to it from now on.
    pub async fn offer_in_its_place(&self) {
        let _ = self.commands.send(Command::OfferInItsPlace).await;
    }

    /// Takes what the far side said. What is broken or hostile in it becomes [`PeerEvent::Trouble`].
    pub async fn handle_signal(&self, signal: Signal) {
        let _ = self.commands.send(Command::Signal(signal)).await;
    }

    /// Sends a sense from now on, or sends it no more; what changes is negotiated.
    pub async fn send_media(&self, kind: Kind, on: bool) {
        let _ = self.commands.send(Command::Send(kind, on)).await;
    }

    /// Holds the call: nothing is sent and nothing taken, until it is taken up again.
    pub async fn hold(&self, on: bool) {
        let _ = self.commands.send(Command::Hold(on)).await;
    }

    /// Where pictures go.
    #[must_use]
    pub fn video(&self) -> &LocalVideo {
        &self.video
    }

    /// Where sound goes.
    #[must_use]
    pub fn audio(&self) -> &LocalAudio {
        &self.audio
    }

    /// Sends a line of chat.
    ///
    /// # Errors
    /// When there is no open chat channel, or the line is too long.
    pub async fn send_chat(&self, text: &str) -> Result<(), PeerError> {
        if text.len() > MAX_CHAT_BYTES {
            return Err(PeerError::ChatTooLong(text.len()));
        }
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::Chat(text.to_owned(), reply))
            .await
            .map_err(|_| PeerError::Closed)?;
        answer.await.unwrap_or(Err(PeerError::Closed))
    }

    /// Opens a channel; [`PeerEvent::Channel`] gives it when it is open.
    ///
    /// # Errors
    /// When the engine would not.
    pub async fn open_channel(&self, init: ChannelInit) -> Result<(), PeerError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command::OpenChannel(init, reply))
            .await
            .map_err(|_| PeerError::Closed)?;
        answer.await.unwrap_or(Err(PeerError::Closed))
    }

    /// An `RTCStatsReport` of W3C webrtc-stats: id to dictionary. Empty when the connection is over.
    pub async fn stats(&self) -> serde_json::Value {
        let (reply, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Stats(reply)).await;
        answer
            .await
            .unwrap_or_else(|_| serde_json::Value::Object(serde_json::Map::new()))
    }

    /// Looks for a new path to the far side: new ICE credentials, new candidates.
    pub async fn restart_ice(&self) {
        let _ = self
            .commands
            .send(Command::Negotiate { restart: true })
            .await;
    }

    /// Ends the connection and waits until nothing of it is left.
    pub async fn close(self) {
        let _ = self.commands.send(Command::Close).await;
        let _ = self.task.await;
    }
}

#[cfg(test)]
mod tests;
