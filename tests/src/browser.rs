//! Real browsers, as `rtc-browser` drives them, and what the tests have them play and hear.

pub mod fake;
mod watch;

pub use rtc_browser::{Browser, ChromeOptions, MARKS_JS, Message, Page};
pub use watch::watch;

/// Listens to a tone in a received track, see `tone.js`.
pub const TONE_JS: &str = include_str!("browser/tone.js");

/// Takes the place of camera and microphone in every page, see `source.js`: for browsers whose own cannot play files.
pub const SOURCE_JS: &str = include_str!("browser/source.js");
