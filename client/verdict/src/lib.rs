//! What a call is expected to be, and whether it was.
//!
//! An [`Expectation`] is one line of a small language (`video.fps>=25 after 2s for 95%`) over the catalogue of measured
//! [quantities](quantity::CATALOGUE). A [`Record`] keeps what was measured, by peer and time. [`judge`](judge::judge) compares the
//! two, and [`report`] tells it to machines and to people. Nothing here knows a clock, a socket or a file.

pub mod expectation;
pub mod figures;
pub mod judge;
pub mod mos;
pub mod quantity;
pub mod record;
pub mod report;
pub mod stats;
pub mod unit;

pub use expectation::Expectation;
pub use judge::{Finding, Outcome};
pub use record::Record;
