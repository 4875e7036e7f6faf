//! The dialects of pages that were written for other servers, each as a pure translator to and from `rtc.v1`.
//!
//! A translator stands between one page and the room core: it hears both and says what to do next. It knows no socket,
//! task or clock, and whatever it is fed it answers in the page's own form. To the room core its page is a peer like any
//! other; to the page the room core is the server it was written for.

mod book;
mod codelab;
pub mod conference;
pub mod login;
pub mod pair;
pub mod socketio;
pub mod whip;

use crate::message::{ClientFrame, ClientMessage, ServerFrame};

/// What a translator wants done; in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<P> {
    /// Say this to the room core.
    Core(ClientFrame),
    /// Send this to the page.
    Page(P),
    /// End the page's connection, after what was sent before. The text is why, for the log.
    Close(&'static str),
}

impl<P> Step<P> {
    /// Says a message that needs no answer of its own.
    #[must_use]
    pub const fn core(message: ClientMessage) -> Self {
        Self::Core(ClientFrame { id: None, message })
    }

    /// Makes a request; its answer comes back with the same id.
    #[must_use]
    pub const fn request(id: u64, message: ClientMessage) -> Self {
        Self::Core(ClientFrame {
            id: Some(id),
            message,
        })
    }
}

/// One page's translator.
pub trait Translator {
    /// What the page says.
    type Said;
    /// What is sent to it.
    type Page;

    /// The page said something; anything at all may come.
    fn said(&mut self, said: Self::Said, out: &mut Vec<Step<Self::Page>>);

    /// The room core said something.
    fn heard(&mut self, frame: ServerFrame, out: &mut Vec<Step<Self::Page>>);
}
