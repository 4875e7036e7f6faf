//! rtc-server
fn main() {}
