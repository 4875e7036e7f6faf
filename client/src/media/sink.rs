//! Where pictures and sound go: terminal, window, loudspeaker, recording.

pub mod window;
pub mod speaker;
