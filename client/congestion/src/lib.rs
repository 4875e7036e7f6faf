//! How fast a path may be sent to, and when each packet may leave.
//!
//! The receiver tells when each of our packets arrived (transport-wide congestion control feedback). From
//! that the [`Controller`] learns what the path carries: by the delay that builds up in front of a
//! bottleneck, by losses that a lower rate would have spared, and by short probes above the present rate. The [`Pacer`] lets
//! packets leave at that rate. The rules follow Google's congestion control (draft-ietf-rmcat-gcc-02)
//! and what libwebrtc has made of it since.
//!
//! Nothing here knows a socket or a clock: time comes in as a [`Moment`] with every call.

mod aimd;
mod allocate;
mod applimit;
mod controller;
mod flight;
mod groups;
mod history;
mod loss;
mod pacer;
mod probe;
mod queue;
mod sinking;
mod throughput;
mod trend;

pub use allocate::{Demands, Shares, share};
pub use controller::{Controller, Limits, Pictures, State};
pub use history::Arrival;
pub use pacer::{Leaves, Pacer, Priority};
pub use probe::Cluster;
pub use trend::Usage;

/// Time since a beginning that the caller chooses and keeps.
pub type Moment = std::time::Duration;

/// Milliseconds, for arithmetic that goes below zero.
fn millis(of: Moment) -> f64 {
    of.as_secs_f64() * 1000.0
}

/// Bits a second of so many bytes in so long.
fn rate(bytes: f64, seconds: f64) -> f64 {
    if seconds <= 0.0 {
        return 0.0;
    }
    bytes * 8.0 / seconds
}
