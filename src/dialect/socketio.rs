//! What a Socket.IO page says and is sent, without the packets it travels in.

use std::borrow::Cow;

use crate::raw::Raw;

/// An event from a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name; anything at all.
    pub name: String,
    /// Its arguments, each as the page wrote it.
    pub args: Vec<Raw>,
    /// The callback that waits for an answer, if the page gave one.
    pub ack: Option<u64>,
}

/// What is sent to a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Emit {
    /// An event.
    Event {
        /// Its name.
        name: Cow<'static, str>,
        /// Its arguments.
        args: Vec<Raw>,
    },
    /// The answer to an event that came with a callback; once each.
    Ack {
        /// The callback.
        ack: u64,
        /// What it is called with.
        args: Vec<Raw>,
    },
}
