//! One stream of events, several views: screen, lines, JSON.
