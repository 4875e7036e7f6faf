//! The full-screen view in a terminal: pictures, members, chat, keys.
//!
//! Pure parts: [`model`] (events and keys to state), [`layout`], [`view`] (state to
//! cells). Thin parts: [`terminal`] (takes it over and gives it back), [`graphics`]
//! (asks what it can), and two threads here, one for keys and one that draws.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use self::blocks::Colours;
pub use self::graphics::Graphics;
use self::model::ScreenModel;
use self::paint::Painter;
use self::terminal::{FrameWriter, TerminalGuard};
use super::{Action, OutputError, PictureBoard, View};
use crate::event::Event;
use crate::media::clock::Timestamp;

pub mod blocks;
pub mod graphics;
pub mod layout;
pub mod line;
pub mod model;
pub mod paint;
pub mod terminal;
pub mod view;

/// Least time from one drawing to the next: 30 a second, with some room for pictures that come early.
const FRAME: Duration = Duration::from_millis(30);

/// Longest time without drawing: the clock in the status line goes on.
const TICK: Duration = Duration::from_secs(1);

/// How often the keys' thread looks whether it shall end.
const KEY_WAIT: Duration = Duration::from_millis(50);

/// How long the threads get to end.
const JOIN_WITHIN: Duration = Duration::from_secs(1);

/// How the screen shall be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScreenOptions {
    /// How pictures are drawn.
    pub graphics: Graphics,
}

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// The standard input or output is a pipe or file.
    #[error("the full screen needs a terminal on standard input and output; use --plain or --json")]
    NotATerminal,
    /// The terminal does not do what is asked of it.
    #[error("cannot take over the terminal: {0}; use --plain")]
    Terminal(#[from] io::Error),
}

/// The running screen. Dropped, it gives the terminal back as it was.
#[derive(Debug)]
pub struct Screen {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    _terminal: TerminalGuard,
}

#[derive(Debug)]
struct Shared {
    /// Copied on write: drawing takes the current one and holds nobody up.
    model: Mutex<Arc<ScreenModel>>,
    stop: AtomicBool,
    board: PictureBoard,
    actions: mpsc::Sender<Action>,
}

impl Screen {
    /// Takes over the terminal and shows the call until dropped.
    ///
    /// What the user asks for is sent to `actions`; if it is full, the keys wait. While the
    /// screen is up nothing else may write to the terminal, logging included.
    ///
    /// # Errors
    /// When there is no terminal, or it refuses.
    pub fn start(
        options: ScreenOptions,
        pictures: PictureBoard,
        actions: mpsc::Sender<Action>,
    ) -> Result<Self, ScreenError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(ScreenError::NotATerminal);
        }
        let variable = |key: &str| std::env::var(key).ok();
        let guard = TerminalGuard::enter()?;
        // Pictures are colour: NO_COLOR is about text.
        crossterm::style::force_color_output(true);
        let means = graphics::choose(options.graphics, variable, cell_size(), graphics::ask);
        let painter = Painter::new(means, Colours::from_environment(variable));
        let writer = FrameWriter::default();
        let mut terminal = Terminal::new(CrosstermBackend::new(writer.clone()))?;
        wipe(&mut terminal)?;

        let shared = Arc::new(Shared {
            model: Mutex::default(),
            stop: AtomicBool::new(false),
            board: pictures,
            actions,
        });
        let mut screen = Self {
            shared,
            threads: Vec::new(),
            _terminal: guard,
        };
        let shared = Arc::clone(&screen.shared);
        screen.spawn("screen-draw", move || {
            draw_loop(&shared, terminal, &writer, painter);
        })?;
        let shared = Arc::clone(&screen.shared);
        screen.spawn("screen-keys", move || key_loop(&shared))?;
        Ok(screen)
    }

    /// Shows an event.
    pub fn event(&self, event: &Event) {
        self.shared
            .change(|model| model.event(Timestamp::now(), event));
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.into()).spawn(body)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl View for Screen {
    fn event(&mut self, event: &Event) -> Result<(), OutputError> {
        Self::event(self, event);
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.board.touch();
        let deadline = Instant::now() + JOIN_WITHIN;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(2));
            }
            // A thread stuck in writing to a terminal that takes nothing is left behind:
            // hanging up must not wait for a dead line.
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut ScreenModel) -> T) -> T {
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(Arc::make_mut(&mut model));
        drop(model);
        self.board.touch();
        result
    }

    fn model(&self) -> Arc<ScreenModel> {
        Arc::clone(&self.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Hands an action over, waiting where the session is busy.
    fn act(&self, mut action: Action) {
        while !self.stopped() {
            match self.actions.try_send(action) {
                Ok(()) | Err(TrySendError::Closed(_)) => return,
                Err(TrySendError::Full(back)) => {
                    action = back;
                    thread::sleep(Duration::from_millis(10));
                }
            }
        }
    }
}

fn key_loop(shared: &Shared) {
    while !shared.stopped() {
        let input = match crossterm::event::poll(KEY_WAIT) {
            Ok(false) => continue,
            Ok(true) => crossterm::event::read(),
            Err(error) => Err(error),
        };
        let Ok(input) = input else {
            // The terminal is gone, and with it the person.
            shared.act(Action::HangUp);
            return;
        };
        if let Some(action) = shared.change(|model| model.input(&input)) {
            shared.act(action);
        }
    }
}

fn draw_loop(
    shared: &Shared,
    mut terminal: Terminal<CrosstermBackend<FrameWriter>>,
    writer: &FrameWriter,
    mut painter: Painter,
) {
    let mut version = 0;
    let mut due = Instant::now();
    while !shared.stopped() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        let snapshot = shared.board.snapshot();
        version = snapshot.version.max(version);
        let model = shared.model();
        let drawn = terminal.draw(|frame| {
            let buffer = frame.buffer_mut();
            let cursor = view::draw(&model, &snapshot, Timestamp::now(), &mut painter, buffer);
            if let Some(cursor) = cursor {
                frame.set_cursor_position(cursor);
            }
        });
        let drawn = drawn.is_ok();
        drop(model);
        if painter.sweep() {
            // Pixels of a picture that is gone stay until wiped.
            let _ = wipe(&mut terminal);
            shared.board.touch();
        }
        if !drawn || writer.send().is_err() {
            shared.act(Action::HangUp);
            return;
        }
        // A terminal or protocol that takes long gets fewer frames, not a processor.
        due = began + (began.elapsed() * 2).clamp(FRAME, TICK);
        let _ = shared.board.wait(version, TICK);
    }
}

/// Clears the terminal and draws everything anew next time.
///
/// `Terminal::clear` would first ask where the cursor is: two seconds and an error on a
/// terminal that does not answer, and a race with the keys' thread on one that does.
fn wipe(terminal: &mut Terminal<CrosstermBackend<FrameWriter>>) -> io::Result<()> {
    let size = terminal.size()?;
    terminal.resize(Rect::from((Position::ORIGIN, size)))
}

/// Pixels of a cell, where the terminal's driver knows.
fn cell_size() -> Option<(u16, u16)> {
    let size = crossterm::terminal::window_size().ok()?;
    let width = size.width.checked_div(size.columns)?;
    let height = size.height.checked_div(size.rows)?;
    (width > 0 && height > 0).then_some((width, height))
}
