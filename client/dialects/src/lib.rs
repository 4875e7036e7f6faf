//! The client's side of the dialects that other signaling servers speak, as pure machines: time and texts go in, texts and news
//! come out. No sockets, tasks or clocks.
//!
//! [`engine`] and [`socketio`] have the packets, [`link`] keeps one connection alive; `pair`, `conference` and `login` know what is
//! said when in each dialect, and [`peer`] brings them together. What the servers say is of others: nothing of it is believed
//! before it is read, and what makes no sense is passed over.

pub mod conference;
pub mod engine;
pub mod ids;
pub mod link;
pub mod login;
pub mod news;
pub mod pair;
pub mod peer;
pub mod socketio;

pub use engine::Revision;
pub use news::{News, Refusal};
pub use peer::{Broken, Dialect, Errand, Identity, Peer};
