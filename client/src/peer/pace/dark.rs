//! What is sent of pictures while nothing is heard of the far side. Pure.

use std::time::Duration;

use rtc_congestion::Moment;

/// A key frame so often.
const EVERY: Duration = Duration::from_millis(100);
/// One that is asked for and does not come is asked for again.
const SLOW: Duration = Duration::from_millis(300);

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing special.
    Light,
    /// A key frame is due.
    Key {
        /// Of this silence.
        first: bool,
    },
    /// It is being made.
    Making,
    /// No picture is made.
    Wait,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Making(Moment),
    Waits(Moment),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Dark {
    phase: Option<Phase>,
}

impl Dark {
    /// Time passes, `dark` or not.
    pub(super) fn look(&mut self, now: Moment, dark: bool) -> Turn {
        if !dark {
            self.phase = None;
            return Turn::Light;
        }
        match self.phase {
            Some(Phase::Waits(since)) if now.saturating_sub(since) < EVERY => Turn::Wait,
            Some(Phase::Making(since)) if now.saturating_sub(since) < SLOW => Turn::Making,
            before => {
                self.phase = Some(Phase::Making(now));
                let first = before.is_none();
                Turn::Key { first }
            }
        }
    }

    /// A whole picture was made. True where no other shall be for now.
    pub(super) fn made(&mut self, now: Moment) -> bool {
        let making = matches!(self.phase, Some(Phase::Making(_)));
        if making {
            self.phase = Some(Phase::Waits(now));
        }
        making
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_dark_one_picture_is_made_now_and_then_and_it_is_a_key_frame() {
        let mut dark = Dark::default();
        let ms = Duration::from_millis;
        assert_eq!(dark.look(ms(0), false), Turn::Light);
        assert!(!dark.made(ms(10)));
        assert_eq!(dark.look(ms(50), true), Turn::Key { first: true });
        assert_eq!(dark.look(ms(60), true), Turn::Making);
        assert!(dark.made(ms(70)));
        assert!(!dark.made(ms(75)), "a straggler");
        assert_eq!(dark.look(ms(100), true), Turn::Wait);
        assert_eq!(dark.look(ms(170), true), Turn::Key { first: false });
        assert_eq!(dark.look(ms(470), true), Turn::Key { first: false });
        assert_eq!(dark.look(ms(500), false), Turn::Light);
    }
}
