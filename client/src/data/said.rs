//! What waits to be said on the channel.

use std::collections::VecDeque;

use rtc_transfer::frame::Frame;

use super::line::binary;
use crate::peer::ChannelSender;

/// Frames that wait for room on the channel. While there are as many as may wait, nothing more is heard of the far side, so what
/// answers it does not grow: who does not read is not read.
pub(super) struct Said {
    frames: VecDeque<Frame>,
    most: usize,
}

impl Said {
    /// So many may wait: more than a far side that keeps to the rules can ask for, or two sides might wait for each other.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            most,
        }
    }

    /// It is to be said after all that waits.
    pub(super) fn push(&mut self, frame: Frame) {
        self.frames.push_back(frame);
    }

    /// The channel is another, or none: what was to be said on it is of no use.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether nothing more is to be heard.
    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= self.most
    }

    /// Says the first as soon as the channel has room for it; without a channel it waits. Nothing is lost where this is given up.
    pub(super) async fn go(&mut self, channel: Option<&ChannelSender>) {
        let Some(channel) = channel else {
            return std::future::pending().await;
        };
        match channel.room().await {
            Ok(room) => {
                if let Some(frame) = self.frames.pop_front() {
                    room.send(binary(&frame));
                }
            }
            // It is closed, and that is heard of as soon as something is heard again.
            Err(_) => self.clear(),
        }
    }

    /// Says at once what there is room for: the channel is closed next.
    pub(super) fn rush(&mut self, channel: &ChannelSender) {
        let fits = |frame: &Frame| channel.try_send(binary(frame)).is_ok();
        while self.frames.pop_front().is_some_and(|frame| fits(&frame)) {}
    }

    /// All that was not said, and this behind it.
    pub(super) fn with(self, last: impl IntoIterator<Item = Frame>) -> impl Iterator<Item = Frame> {
        self.frames.into_iter().chain(last)
    }
}
