//! When a stream that cannot be decrypted is worth a word. Pure.

/// So many frames in a row that fail are no accident: a fifth of a second of sound, a third of one of pictures.
const FRAMES: u32 = 10;

/// Counts the failures of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    in_a_row: u32,
}

impl Watch {
    /// A frame was decrypted.
    pub fn opened(&mut self) {
        self.in_a_row = 0;
    }

    /// A frame could not be decrypted; true when this is to be told, once until a frame is decrypted again.
    pub fn failed(&mut self) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.in_a_row == FRAMES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_failures_is_told_once_and_single_ones_are_not() {
        let mut watch = Watch::default();
        let told = |watch: &mut Watch, times: u32| (0..times).filter(|_| watch.failed()).count();
        for _ in 0..50 {
            assert_eq!(told(&mut watch, FRAMES - 1), 0);
            watch.opened();
        }
        assert_eq!(told(&mut watch, 1000), 1);
        watch.opened();
        assert_eq!(told(&mut watch, 1000), 1, "again after it went well");
    }
}
