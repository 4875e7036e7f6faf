//! Takes the terminal over and gives it back as it was, on every way out.
//!
//! There is one terminal, so its state is one static: whoever restores it first, the
//! owner or the panic hook, does it for all, and nothing is drawn afterwards.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::style::ResetColor;
use crossterm::terminal::{
    BeginSynchronizedUpdate, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};

/// Whether the terminal is ours; held while writing to it.
static OURS: Mutex<bool> = Mutex::new(false);

/// How long a writer stuck in a terminal that takes nothing is waited for.
const STUCK: Duration = Duration::from_secs(1);

/// Has the terminal until dropped.
#[derive(Debug)]
pub struct TerminalGuard(());

impl TerminalGuard {
    /// Enters raw mode and the alternate screen, with bracketed paste and without a cursor.
    ///
    /// Lines do not wrap there: a frame drawn for the size of a moment ago would otherwise scroll a
    /// window that has become smaller, and push pieces of pictures into the history that the shell has.
    ///
    /// # Errors
    /// When the terminal refuses, or is ours already.
    pub fn enter() -> io::Result<Self> {
        let mut ours = lock();
        if *ours {
            return Err(io::Error::other(
                "the terminal is already in use by a screen",
            ));
        }
        restore_on_panic();
        enable_raw_mode()?;
        // From here on there is something to restore, even if the rest fails.
        *ours = true;
        let entered = execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            DisableLineWrap,
            Hide
        );
        drop(ours);
        let guard = Self(());
        entered.map(|()| guard)
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if it is ours.
pub fn restore() {
    let deadline = Instant::now() + STUCK;
    let mut ours = loop {
        match OURS.try_lock() {
            Ok(ours) => break ours,
            Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                // A terminal that takes no output can at least be given its modes back.
                let _ = disable_raw_mode();
                return;
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if std::mem::take(&mut *ours) {
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            ResetColor,
            EnableLineWrap,
            DisableBracketedPaste,
            Show,
            LeaveAlternateScreen
        );
        let _ = disable_raw_mode();
    }
}

/// A panic's message shall be readable, and the shell after it usable.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}

fn lock() -> MutexGuard<'static, bool> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Collects a frame, to be sent in one piece. Cloning shares.
#[derive(Clone, Debug, Default)]
pub struct FrameWriter {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl FrameWriter {
    /// Sends what was collected to the terminal, as one update; nothing if it is no longer ours.
    ///
    /// # Errors
    /// When the terminal is gone or was given back.
    pub fn send(&self) -> io::Result<()> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.is_empty() {
            return Ok(());
        }
        let mut frame = Vec::with_capacity(bytes.len() + 32);
        queue!(frame, BeginSynchronizedUpdate)?;
        frame.append(&mut bytes);
        queue!(frame, EndSynchronizedUpdate)?;
        let ours = lock();
        if !*ours {
            return Err(io::Error::other("the terminal was given back"));
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(&frame)?;
        stdout.flush()
    }
}

impl Write for FrameWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Waits for [`FrameWriter::send`]: half a frame is not shown.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
