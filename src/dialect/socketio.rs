//! What all dialects over Socket.IO share: what a page says and is sent, and which translator is for whom.
//!
//! One Socket.IO connection is one page. Nobody says which kind of page it is: the first event that it says does
//! ([`translator`]). The text of packets is in [`wire`]; the sockets are the server's business.

pub mod wire;

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde::Serialize;

use super::conference::Conference;
use super::pair::Pair;
use super::{Step, Translator};
use crate::message::{Dialect, ErrorCode};
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

impl Emit {
    /// An event.
    #[must_use]
    pub fn event(name: impl Into<Cow<'static, str>>, args: Vec<Raw>) -> Self {
        Self::Event {
            name: name.into(),
            args,
        }
    }

    /// What a refused event is answered with where its dialect has no form of its own: the event `error` with one object.
    #[must_use]
    pub fn error(code: ErrorCode, message: &str) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            code: ErrorCode,
            message: &'a str,
        }
        // A code and a text: there is nothing in it that cannot be written.
        let body = Raw::of(&Body { code, message });
        Self::event("error", body.into_iter().collect())
    }
}

/// A translator for pages that speak Socket.IO.
pub trait SocketIoTranslator: Translator<Said = Event, Page = Emit> + Send {
    /// What the page is, as the members of its room are told.
    fn dialect(&self) -> Dialect;

    /// Something that the page said was not taken, and changed nothing: too fast, too large, no Socket.IO. The event is
    /// there where it could be read.
    fn refused(
        &mut self,
        said: Option<Event>,
        code: ErrorCode,
        message: &str,
        out: &mut Vec<Step<Emit>>,
    ) {
        drop(said);
        out.push(Step::Page(Emit::error(code, message)));
    }
}

/// What a translator may tell its page of the outside.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The id of the Socket.IO connection, which its page knows as `socket.id`.
    pub socket: String,
    /// Where the server can be reached: its IPv4 addresses that are not loopback.
    pub addresses: Arc<[Ipv4Addr]>,
}

/// The translator for a page whose first event is this; none where no dialect has such an event.
#[must_use]
pub fn translator(first: &str, setting: &Setting) -> Option<Box<dyn SocketIoTranslator>> {
    match first {
        // Both kinds say `message`, in a room; who says it first of all is told that it is in none.
        name if Pair::knows(name) => Some(Box::new(Pair::new(setting.clone()))),
        name if Conference::knows(name) => Some(Box::new(Conference::default())),
        _ => None,
    }
}
