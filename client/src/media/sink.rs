//! Where pictures and sound go: terminal, window, loudspeaker, recording.

pub mod record;
pub mod sound_file;
pub mod speaker;
pub mod wav;
pub mod window;
