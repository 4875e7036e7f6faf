//! An X server without a screen of glass, and what a program shows on it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use rtc_client::media::clock::Timestamp;
use rtc_client::media::convert::{PixelFormat, to_picture};
use rtc_client::media::frame::Picture;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt, EventMask, ImageFormat, MapState, Window,
};
use x11rb::rust_connection::RustConnection;

/// A running X server; ended when dropped.
#[derive(Debug)]
pub struct Display {
    server: Child,
    /// What `DISPLAY` is to be.
    pub name: String,
}

impl Display {
    /// Starts one with a screen of so many columns and rows.
    ///
    /// # Errors
    /// When Xvfb is missing or does not start.
    pub fn start((width, height): (usize, usize)) -> anyhow::Result<Self> {
        let mut server = Command::new("Xvfb")
            // The server chooses a free number and tells it.
            .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0"])
            .arg(format!("{width}x{height}x24"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("Xvfb is not there: apt-get install xvfb")?;
        let told = server.stdout.take().context("no standard output")?;
        let mut number = String::new();
        BufReader::new(told).read_line(&mut number)?;
        let name = format!(":{}", number.trim());
        Ok(Self { server, name })
    }

    /// Connects to it, to look.
    ///
    /// # Errors
    /// When it does not take us.
    pub fn look(&self) -> anyhow::Result<Eye> {
        let (connection, screen) = x11rb::connect(Some(&self.name))?;
        let root = connection.setup().roots[screen].root;
        Ok(Eye { connection, root })
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Who looks at a display.
#[derive(Debug)]
pub struct Eye {
    connection: RustConnection,
    root: Window,
}

impl Eye {
    /// The window that is seen and has a title; none while there is none.
    ///
    /// # Errors
    /// When the display is gone.
    pub fn window(&self) -> anyhow::Result<Option<(Window, String)>> {
        for window in self.connection.query_tree(self.root)?.reply()?.children {
            // One that has just been closed is none.
            let Ok(attributes) = self.connection.get_window_attributes(window)?.reply() else {
                continue;
            };
            let title = self
                .connection
                .get_property(false, window, AtomEnum::WM_NAME, AtomEnum::ANY, 0, 1_024)?
                .reply();
            match title {
                Ok(title)
                    if attributes.map_state == MapState::VIEWABLE && !title.value.is_empty() =>
                {
                    let title = String::from_utf8_lossy(&title.value).into_owned();
                    return Ok(Some((window, title)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// What a window shows.
    ///
    /// # Errors
    /// When it is gone or partly outside of the screen.
    pub fn picture(&self, window: Window) -> anyhow::Result<Picture> {
        let at = self.connection.get_geometry(window)?.reply()?;
        let (width, height) = (at.width, at.height);
        let image = self
            .connection
            .get_image(ImageFormat::Z_PIXMAP, window, 0, 0, width, height, u32::MAX)?
            .reply()?;
        let (width, height) = (u32::from(width), u32::from(height));
        Ok(to_picture(
            PixelFormat::Bgrx,
            width,
            height,
            &image.data,
            Timestamp::default(),
        )?)
    }

    /// Does what a click on the cross in the title does.
    ///
    /// # Errors
    /// When the window is gone.
    pub fn close(&self, window: Window) -> anyhow::Result<()> {
        let atom = |name: &str| -> anyhow::Result<u32> {
            Ok(self
                .connection
                .intern_atom(false, name.as_bytes())?
                .reply()?
                .atom)
        };
        let (protocols, delete) = (atom("WM_PROTOCOLS")?, atom("WM_DELETE_WINDOW")?);
        if protocols == 0 || delete == 0 {
            bail!("the display knows no way of closing a window");
        }
        let message = ClientMessageEvent::new(32, window, protocols, [delete, 0, 0, 0, 0]);
        self.connection
            .send_event(false, window, EventMask::NO_EVENT, message)?;
        self.connection.flush()?;
        Ok(())
    }
}

/// A part of a picture.
#[must_use]
pub fn part(whole: &Picture, (left, top): (u32, u32), (width, height): (u32, u32)) -> Picture {
    let mut part = Picture::black(width, height, whole.at);
    for row in 0..height as usize {
        let from = (top as usize + row) * whole.width as usize + left as usize;
        let to = row * width as usize;
        if let Some(line) = whole.y.get(from..from + width as usize) {
            part.y[to..to + width as usize].copy_from_slice(line);
        }
    }
    part
}
