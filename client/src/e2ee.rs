//! End-to-end encryption of picture and sound by `SFrame` (RFC 9605), as docs/e2ee.md describes it.
//!
//! A [`RoomSecret`] is what was typed; with the room's name it becomes a [`RoomKey`]. A [`Sealer`] encrypts what one
//! of our encoders makes, an [`Opener`] decrypts what one far peer sends, and [`Watch`] says when that is hopeless.

pub mod incoming;
pub mod key;
pub mod layout;
pub mod open;
pub mod seal;
pub mod watch;

pub use incoming::Incoming;
pub use key::{KeyError, RoomKey, RoomSecret};
pub use layout::Medium;
pub use open::{OpenError, Opener};
pub use seal::{SealError, Sealer};
pub use watch::Watch;

#[cfg(test)]
mod tests;
