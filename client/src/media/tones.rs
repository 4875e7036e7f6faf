//! Keys of a telephone as events in RTP (DTMF; RFC 4733).

mod key;
pub mod receive;
pub mod send;

pub use key::{DialError, MOST, Report, Step, Tone, dialled};
