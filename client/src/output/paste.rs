//! Where the other side's text is pasted into standard input.

use std::io;

use tokio::sync::mpsc;

use super::{Action, OutputError, View, prompt};
use crate::event::Event;

/// A view beside which lines are pasted. The terminal is as it was when this goes.
pub struct Pasting {
    view: Box<dyn View>,
    _lines: LongLines,
}

impl Pasting {
    /// From now on each line of standard input is text of the other side.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn beside(view: Box<dyn View>, actions: mpsc::Sender<Action>) -> io::Result<Self> {
        let lines = LongLines::begin();
        prompt::listen(actions, |line| Some(Action::Paste(line.to_owned())))?;
        Ok(Self {
            view,
            _lines: lines,
        })
    }
}

impl View for Pasting {
    fn event(&mut self, event: &Event) -> Result<(), OutputError> {
        self.view.event(event)
    }
}

/// A terminal that puts lines together for editing keeps 4,095 bytes of each, which is less than an offer has. While this lives, it
/// passes on what comes as it comes.
struct LongLines {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl LongLines {
    #[cfg(unix)]
    fn begin() -> Self {
        use rustix::termios::{
            LocalModes, OptionalActions, SpecialCodeIndex, isatty, tcgetattr, tcsetattr,
        };
        let stdin = io::stdin();
        let before = isatty(&stdin).then(|| tcgetattr(&stdin).ok()).flatten();
        if let Some(before) = &before {
            let mut now = before.clone();
            now.local_modes.remove(LocalModes::ICANON);
            now.special_codes[SpecialCodeIndex::VMIN] = 1;
            now.special_codes[SpecialCodeIndex::VTIME] = 0;
            if let Err(error) = tcsetattr(&stdin, OptionalActions::Now, &now) {
                tracing::warn!("the terminal may cut long lines off: {error}");
            }
        }
        Self { before }
    }

    #[cfg(not(unix))]
    const fn begin() -> Self {
        Self {}
    }
}

#[cfg(unix)]
impl Drop for LongLines {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(before) = &self.before
            && let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, before)
        {
            tracing::warn!("the terminal is not as it was: {error}");
        }
    }
}
