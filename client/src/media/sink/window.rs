//! Remote pictures in a window: `--display window`.
//!
//! A window system wants its events taken on one thread. On Linux and Windows that is a
//! thread of the window's own ([`Window::start`]); macOS allows only the process's main
//! thread, so there `main` runs the session on another thread and gives its own away with
//! [`run_on_main`], which works everywhere.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use softbuffer::{Context, Surface};
use tokio::sync::mpsc;
use winit::application::ApplicationHandler;
use winit::dpi::LogicalSize;
use winit::event::{ElementState, KeyEvent, WindowEvent};
use winit::event_loop::{
    ActiveEventLoop, ControlFlow, EventLoop, EventLoopProxy, OwnedDisplayHandle,
};
use winit::keyboard::{Key, NamedKey};
use winit::window::{Fullscreen, Window as NativeWindow, WindowId};

use self::canvas::Canvas;
use crate::event::Event;
use crate::media::clock::Timestamp;
use crate::output::screen::model::ScreenModel;
use crate::output::{Action, OutputError, PictureBoard, View};

mod canvas;
mod text;

/// How often the board is looked at for something new.
const LOOK: Duration = Duration::from_millis(16);

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// There is no display to open it on, or it refuses.
    #[error(
        "cannot open a window: {0}; start from a desktop, set DISPLAY or WAYLAND_DISPLAY, or use --display terminal or none"
    )]
    NoDisplay(String),
    /// The thread cannot be made.
    #[error("cannot start the window's thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// An open window. Dropped, it is closed.
#[derive(Debug)]
pub struct Window {
    shared: Arc<Mutex<ScreenModel>>,
    proxy: EventLoopProxy<Wake>,
    drawn: Arc<AtomicU64>,
    /// None where the loop runs on the main thread, which ends it by itself.
    thread: Option<JoinHandle<()>>,
}

/// What other threads tell the loop.
#[derive(Clone, Copy, Debug)]
enum Wake {
    Retitle,
    Close,
}

impl Window {
    /// Opens a window on a thread of its own and shows the board until dropped.
    ///
    /// Keys: `m` mute, `v` camera, `p` the own picture, `f` full screen, which Escape leaves; `q` or Escape hang up.
    /// Closing the window hangs up as well. A process can do this once. On macOS use [`run_on_main`].
    ///
    /// # Errors
    /// When there is no display, and always on macOS.
    pub fn start(
        pictures: PictureBoard,
        actions: mpsc::Sender<Action>,
        fullscreen: bool,
    ) -> Result<Self, WindowError> {
        let (opened, answer) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("window".into())
            .spawn(move || run(pictures, actions, fullscreen, true, &opened))?;
        match answer.recv() {
            Ok(Ok(mut window)) => {
                window.thread = Some(thread);
                Ok(window)
            }
            Ok(Err(error)) => {
                let _ = thread.join();
                Err(error)
            }
            Err(_) => {
                let _ = thread.join();
                Err(WindowError::NoDisplay("the window system failed".into()))
            }
        }
    }

    /// How often it has been drawn.
    #[must_use]
    pub fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// Shows an event: in the title, and on the pictures.
    pub fn event(&self, event: &Event) {
        let mut model = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        // What changes in every second is drawn with the pictures.
        let quiet = matches!(event, Event::Stats { .. });
        model.event(Timestamp::now(), event);
        if !quiet {
            let _ = self.proxy.send_event(Wake::Retitle);
        }
    }
}

impl View for Window {
    fn event(&mut self, event: &Event) -> Result<(), OutputError> {
        Self::event(self, event);
        Ok(())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.proxy.send_event(Wake::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs the window on this thread, which must be the process's first on macOS, until the [`Window`] is dropped.
///
/// The window, or why there is none, is handed over through `opened` (a channel with room
/// for one) to the thread that runs the session.
pub fn run_on_main(
    pictures: PictureBoard,
    actions: mpsc::Sender<Action>,
    fullscreen: bool,
    opened: &SyncSender<Result<Window, WindowError>>,
) {
    run(pictures, actions, fullscreen, false, opened);
}

fn run(
    pictures: PictureBoard,
    actions: mpsc::Sender<Action>,
    fullscreen: bool,
    any_thread: bool,
    opened: &SyncSender<Result<Window, WindowError>>,
) {
    let event_loop = match event_loop(any_thread) {
        Ok(event_loop) => event_loop,
        Err(error) => {
            let _ = opened.try_send(Err(error));
            return;
        }
    };
    let context = match Context::new(event_loop.owned_display_handle()) {
        Ok(context) => context,
        Err(error) => {
            let _ = opened.try_send(Err(no_display(&error)));
            return;
        }
    };
    let mut app = App {
        proxy: event_loop.create_proxy(),
        opened,
        context,
        shown: None,
        shared: Arc::default(),
        board: pictures,
        version: 0,
        actions,
        fullscreen,
        drawn: Arc::default(),
        canvas: Canvas::default(),
    };
    if let Err(error) = event_loop.run_app(&mut app) {
        // Lost in the middle (the X server went): nothing to show any more.
        tracing::warn!("the window ended: {error}");
        app.act(Action::HangUp);
    }
}

fn event_loop(any_thread: bool) -> Result<EventLoop<Wake>, WindowError> {
    let mut builder = EventLoop::<Wake>::with_user_event();
    #[cfg(all(unix, not(target_os = "macos")))]
    if any_thread {
        use winit::platform::{wayland, x11};
        x11::EventLoopBuilderExtX11::with_any_thread(&mut builder, true);
        wayland::EventLoopBuilderExtWayland::with_any_thread(&mut builder, true);
    }
    #[cfg(windows)]
    if any_thread {
        use winit::platform::windows::EventLoopBuilderExtWindows as _;
        builder.with_any_thread(true);
    }
    #[cfg(target_os = "macos")]
    if any_thread {
        return Err(WindowError::NoDisplay(
            "macOS wants windows on the main thread".into(),
        ));
    }
    builder.build().map_err(|error| no_display(&error))
}

/// Says what a window system says, without the place in the library's source where it says it.
fn no_display(error: &impl std::fmt::Display) -> WindowError {
    let text = error.to_string();
    let words = text
        .strip_prefix("os error at ")
        .and_then(|rest| rest.split_once(": "))
        .map_or(text.as_str(), |(_, words)| words);
    WindowError::NoDisplay(words.trim_end_matches('.').to_owned())
}

type Pixels = Surface<OwnedDisplayHandle, Rc<NativeWindow>>;

struct App<'a> {
    proxy: EventLoopProxy<Wake>,
    opened: &'a SyncSender<Result<Window, WindowError>>,
    context: Context<OwnedDisplayHandle>,
    shown: Option<(Rc<NativeWindow>, Pixels)>,
    shared: Arc<Mutex<ScreenModel>>,
    board: PictureBoard,
    version: u64,
    actions: mpsc::Sender<Action>,
    fullscreen: bool,
    drawn: Arc<AtomicU64>,
    canvas: Canvas,
}

impl App<'_> {
    fn open(
        &self,
        event_loop: &ActiveEventLoop,
    ) -> Result<(Rc<NativeWindow>, Pixels), WindowError> {
        let attributes = NativeWindow::default_attributes()
            .with_title("rtc-client")
            .with_inner_size(LogicalSize::new(960.0, 540.0))
            .with_min_inner_size(LogicalSize::new(160.0, 90.0))
            .with_fullscreen(self.fullscreen.then_some(Fullscreen::Borderless(None)));
        let window = event_loop
            .create_window(attributes)
            .map(Rc::new)
            .map_err(|error| no_display(&error))?;
        let surface =
            Surface::new(&self.context, Rc::clone(&window)).map_err(|error| no_display(&error))?;
        Ok((window, surface))
    }

    /// Hands an action over; one that the session has no room for is dropped, the key can be pressed again.
    fn act(&self, action: Action) {
        if self.actions.try_send(action).is_err() {
            tracing::debug!("the session is busy or over: a key was dropped");
        }
    }

    fn fill_screen(&mut self, fill: bool) {
        self.fullscreen = fill;
        if let Some((window, _)) = &self.shown {
            window.set_fullscreen(fill.then_some(Fullscreen::Borderless(None)));
        }
    }

    fn toggle_own(&self) {
        let mut model = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        model.own_hidden = !model.own_hidden;
        if let Some((window, _)) = &self.shown {
            window.request_redraw();
        }
    }

    fn key(&mut self, event: &KeyEvent) {
        if event.state != ElementState::Pressed || event.repeat {
            return;
        }
        match &event.logical_key {
            Key::Named(NamedKey::Escape) if self.fullscreen => self.fill_screen(false),
            Key::Named(NamedKey::Escape) => self.act(Action::HangUp),
            Key::Character(c) => match c.as_str() {
                "m" => self.act(Action::ToggleMute),
                "v" => self.act(Action::ToggleCamera),
                "q" => self.act(Action::HangUp),
                "p" => self.toggle_own(),
                "f" => self.fill_screen(!self.fullscreen),
                _ => {}
            },
            _ => {}
        }
    }

    fn draw(&mut self) {
        let Some((window, surface)) = &mut self.shown else {
            return;
        };
        let size = window.inner_size();
        let (Some(width), Some(height)) =
            (NonZeroU32::new(size.width), NonZeroU32::new(size.height))
        else {
            return;
        };
        let snapshot = self.board.snapshot();
        self.version = snapshot.version;
        let model = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = surface.resize(width, height).and_then(|()| {
            let mut pixels = surface.buffer_mut()?;
            let stride = size.width as usize;
            self.canvas.draw(&model, &snapshot, &mut pixels, stride);
            window.pre_present_notify();
            pixels.present()
        });
        match drawn {
            Ok(()) => {
                self.drawn.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => tracing::debug!("a picture was not drawn: {error}"),
        }
    }
}

impl ApplicationHandler<Wake> for App<'_> {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.shown.is_some() {
            return;
        }
        match self.open(event_loop) {
            Ok(shown) => {
                self.shown = Some(shown);
                let window = Window {
                    shared: Arc::clone(&self.shared),
                    proxy: self.proxy.clone(),
                    drawn: Arc::clone(&self.drawn),
                    thread: None,
                };
                if self.opened.try_send(Ok(window)).is_err() {
                    event_loop.exit();
                }
            }
            Err(error) => {
                let _ = self.opened.try_send(Err(error));
                event_loop.exit();
            }
        }
    }

    fn user_event(&mut self, event_loop: &ActiveEventLoop, event: Wake) {
        match event {
            Wake::Retitle => {
                let model = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((window, _)) = &self.shown {
                    window.set_title(&model.title());
                    window.request_redraw();
                }
            }
            Wake::Close => event_loop.exit(),
        }
    }

    fn window_event(&mut self, _: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        match event {
            // The window stays until the session has hung up and dropped it.
            WindowEvent::CloseRequested => self.act(Action::HangUp),
            WindowEvent::KeyboardInput { event, .. } => self.key(&event),
            WindowEvent::RedrawRequested => self.draw(),
            WindowEvent::Resized(_) => {
                if let Some((window, _)) = &self.shown {
                    window.request_redraw();
                }
            }
            _ => {}
        }
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        if self.board.version() != self.version
            && let Some((window, _)) = &self.shown
        {
            window.request_redraw();
        }
        event_loop.set_control_flow(ControlFlow::WaitUntil(Instant::now() + LOOK));
    }

    fn exiting(&mut self, _: &ActiveEventLoop) {
        // The surface goes before the connection to the display.
        self.shown = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_carries_no_source_path() {
        let said = "os error at /src/mod.rs:765: neither WAYLAND_DISPLAY nor DISPLAY is set.";
        assert_eq!(
            no_display(&said).to_string(),
            "cannot open a window: neither WAYLAND_DISPLAY nor DISPLAY is set; start from a desktop, \
             set DISPLAY or WAYLAND_DISPLAY, or use --display terminal or none"
        );
    }
}
