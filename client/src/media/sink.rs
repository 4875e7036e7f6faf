//! Where pictures and sound go: terminal, window, loudspeaker, recording.

pub mod record;
pub mod speaker;
pub mod wav;
pub mod window;
