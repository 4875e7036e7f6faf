//! Calls of several peers as a file (docs/scenarios.md).
//!
//! A [`Scenario`] is read from TOML, and all that is wrong in it is told at once, with line and column. [`plan`](Scenario::plan)
//! makes a list of who does what when, in which equal seeds have equal luck. What came of it ([`Seen`] of each peer, [`Done`] of each
//! deed) is [judged](judge::judge), and [`report`] tells it to machines and to people. Nothing here knows a clock, a process or a file.

pub mod action;
pub mod catalogue;
pub mod expected;
pub mod judge;
pub mod plan;
pub mod read;
pub mod report;
pub mod scenario;
pub mod seed;
pub mod template;

pub use judge::{Done, Seen, Test};
pub use plan::{Deed, Plan};
pub use read::{Fault, read};
pub use scenario::{Browser, Engine, Kind, Native, Peer, Scenario, ServerFrom, Step};
