//! The channel to the far side, which may be lost and come again.

use std::time::Duration;

use bytes::Bytes;
use rtc_transfer::frame::{Frame, Status};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::args::Place;
use crate::event::{Event, PeerRef};
use crate::exit::Ending;
use crate::output::PictureBoard;
use crate::peer::{Channel, ChannelInit, ChannelMessage, ChannelSender};
use crate::session::{Action, Session};

/// Channels that wait to be looked at.
const OPENED: usize = 8;

/// What is said last has so long to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What happened on the way.
#[derive(Debug)]
pub(super) enum News {
    /// A new channel is open; nothing was said on it.
    Linked,
    /// A message came.
    Message(Bytes),
    /// The channel is gone.
    Unlinked,
    /// Who was there has left the room by itself.
    Left,
    /// Something that a person may want to know.
    Notice(String),
    /// There is no call any more.
    Over(Ending, String),
}

/// Whether another peer may take the place of one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newcomer {
    /// Who was there first stays.
    Refused,
    /// The newest counts: it may be the same program, started again.
    Counts,
}

/// The way to the far side.
pub(super) struct Line {
    session: Session,
    events: mpsc::Receiver<Event>,
    opened: mpsc::Receiver<(PeerRef, Channel)>,
    current: Option<Current>,
    newcomer: Newcomer,
}

struct Current {
    peer: PeerRef,
    sender: ChannelSender,
    incoming: mpsc::Receiver<ChannelMessage>,
    /// It has left the room; what it said before may still be heard.
    left: bool,
}

impl Line {
    /// Joins the room.
    pub(super) async fn open(
        place: Place,
        channel: ChannelInit,
        newcomer: Newcomer,
    ) -> Result<Self, (Ending, String)> {
        let (sender, opened) = mpsc::channel(OPENED);
        let options = place
            .call(channel, sender)
            .map_err(|error| (Ending::Usage, error.to_string()))?;
        let started = Session::start(options, PictureBoard::default()).await;
        let (session, events) = started.map_err(|error| (error.ending(), error.to_string()))?;
        Ok(Self {
            session,
            events,
            opened,
            current: None,
            newcomer,
        })
    }

    /// The half that sends, while there is a channel.
    pub(super) fn sender(&self) -> Option<ChannelSender> {
        self.current.as_ref().map(|current| current.sender.clone())
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> Option<&str> {
        self.current
            .as_ref()
            .map(|current| current.peer.name.as_str())
    }

    /// Closes the channel.
    pub(super) fn refuse(&mut self) {
        self.current = None;
    }

    /// What happens next. Nothing is lost where this is given up; while it is not asked, the far side has to wait.
    pub(super) async fn next(&mut self) -> News {
        loop {
            let message = async {
                match &mut self.current {
                    Some(current) => current.incoming.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    if let Some(news) = self.event(event) {
                        return news;
                    }
                }
                Some((peer, channel)) = self.opened.recv() => {
                    if self.takes(peer, channel) {
                        return News::Linked;
                    }
                }
                message = message => {
                    let Some(message) = message else {
                        let left = self.current.take().is_some_and(|current| current.left);
                        return if left { News::Left } else { News::Unlinked };
                    };
                    return News::Message(message.data);
                }
            }
        }
    }

    /// Whether a new channel takes the place of what there is.
    fn takes(&mut self, peer: PeerRef, channel: Channel) -> bool {
        let stranger = self
            .current
            .as_ref()
            .is_some_and(|current| current.peer.id != peer.id);
        if stranger && self.newcomer == Newcomer::Refused {
            let words =
                "a pipe has two ends, and this one has its other end already; use another room";
            let stop = Frame::Stop(Status::Busy, words.to_owned());
            // Who does not hear it sees the channel close.
            let _ = channel.sender().try_send(binary(&stop));
            return false;
        }
        let (sender, incoming) = channel.split();
        self.current = Some(Current {
            peer,
            sender,
            incoming,
            left: false,
        });
        true
    }

    fn event(&mut self, event: Option<Event>) -> Option<News> {
        match event {
            None => Some(News::Over(Ending::Lost, "the call is over".to_owned())),
            Some(Event::Summary(summary)) => {
                let ending = match Ending::from_code(summary.exit_code) {
                    Ending::Done => Ending::Lost,
                    other => other,
                };
                Some(News::Over(ending, summary.outcome))
            }
            Some(Event::PeerLeft { peer, reason }) => {
                let current = self.current.as_mut();
                if let Some(current) = current.filter(|current| current.peer.id == peer.id) {
                    current.left = reason != "lost";
                }
                None
            }
            Some(Event::Notice { text }) => Some(News::Notice(text)),
            Some(Event::ServerStarted { url }) => Some(News::Notice(format!(
                "no server was there: one runs here, at {url}"
            ))),
            Some(Event::SignalingLost { reason }) => {
                Some(News::Notice(format!("the server is away: {reason}")))
            }
            Some(Event::ConnectionTroubled { peer, state }) => {
                let name = peer.name;
                Some(News::Notice(format!("the connection to {name} is {state}")))
            }
            Some(_) => None,
        }
    }

    /// Says what is left to say, waits a moment until it has arrived, and leaves.
    pub(super) async fn close(mut self, last: Vec<Frame>) {
        if let Some(Current { sender, .. }) = &self.current {
            let said = async {
                for frame in &last {
                    let Ok(room) = sender.room().await else {
                        return;
                    };
                    room.send(binary(frame));
                }
                while sender.buffered().await > 0 {
                    sleep(Duration::from_millis(10)).await;
                }
            };
            let until = Instant::now() + LAST_WORDS;
            let _ = timeout(LAST_WORDS, said).await;
            tracing::debug!(left = ?until.saturating_duration_since(Instant::now()), "said all");
        }
        self.current = None;
        self.session.act(Action::HangUp).await;
        self.session.wait().await;
    }
}

/// A message as a channel takes it.
pub(super) fn binary(frame: &Frame) -> ChannelMessage {
    ChannelMessage {
        text: false,
        data: frame.encode(),
    }
}
