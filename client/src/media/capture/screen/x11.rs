//! Screens by the X11 protocol: RandR says where they lie, GetImage reads them, XFixes draws the pointer.

use x11rb::connection::Connection;
use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::protocol::xfixes::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat, ImageOrder};
use x11rb::rust_connection::RustConnection;

use super::ScreenInfo;
use crate::media::devices::Device;

/// A connection to a display.
pub(super) struct Grabber {
    connection: RustConnection,
    root: u32,
    /// The whole desktop's size.
    size: (u16, u16),
    pointer: bool,
}

impl Grabber {
    /// Connects to the display that `DISPLAY` names.
    pub(super) fn open() -> Result<Self, String> {
        let (connection, number) = RustConnection::connect(None).map_err(|error| {
            if std::env::var_os("WAYLAND_DISPLAY").is_some() {
                format!("{error}; Wayland shows its screens to PipeWire only, which is not read here: use an X11 session")
            } else {
                error.to_string()
            }
        })?;
        let setup = connection.setup();
        let screen = setup.roots.get(number).ok_or("it has no screen")?;
        let (root, depth) = (screen.root, screen.root_depth);
        let size = (screen.width_in_pixels, screen.height_in_pixels);
        let bits = setup
            .pixmap_formats
            .iter()
            .find(|format| format.depth == depth)
            .map_or(0, |format| format.bits_per_pixel);
        if bits != 32 || depth < 24 || setup.image_byte_order != ImageOrder::LSB_FIRST {
            return Err(format!(
                "its pixels have {depth} bits of colour in {bits}; 24 or more in 32 are needed"
            ));
        }
        let pointer = connection
            .xfixes_query_version(5, 0)
            .is_ok_and(|cookie| cookie.reply().is_ok());
        Ok(Self {
            connection,
            root,
            size,
            pointer,
        })
    }

    /// The monitors; the whole desktop where the display knows of none.
    pub(super) fn screens(&self) -> Result<Vec<ScreenInfo>, String> {
        let monitors = self
            .connection
            .randr_get_monitors(self.root, true)
            .ok()
            .and_then(|cookie| cookie.reply().ok())
            .map(|reply| reply.monitors)
            .unwrap_or_default();
        if monitors.is_empty() {
            let (width, height) = self.size;
            return Ok(vec![info(
                0,
                "desktop".to_owned(),
                true,
                (0, 0, width, height),
            )]);
        }
        let primary = monitors.iter().position(|m| m.primary).unwrap_or(0);
        let mut screens = Vec::new();
        for (index, monitor) in monitors.into_iter().enumerate() {
            let name = self
                .connection
                .get_atom_name(monitor.name)
                .map_err(|error| error.to_string())?
                .reply()
                .map_err(|error| error.to_string())?
                .name;
            let area = (monitor.x, monitor.y, monitor.width, monitor.height);
            let name = String::from_utf8_lossy(&name).into_owned();
            screens.push(info(index, name, index == primary, area));
        }
        Ok(screens)
    }

    /// Blue, green, red and nothing for every pixel of a screen.
    pub(super) fn grab(&self, screen: &ScreenInfo) -> Result<Vec<u8>, String> {
        let all = u32::MAX;
        let area = (screen.x, screen.y, screen.width, screen.height);
        let mut pixels = self
            .connection
            .get_image(
                ImageFormat::Z_PIXMAP,
                self.root,
                area.0,
                area.1,
                area.2,
                area.3,
                all,
            )
            .map_err(|error| error.to_string())?
            .reply()
            .map_err(|error| error.to_string())?
            .data;
        if self.pointer
            && let Some(pointer) = self
                .connection
                .xfixes_get_cursor_image()
                .ok()
                .and_then(|cookie| cookie.reply().ok())
        {
            draw(&pointer, area, &mut pixels);
        }
        Ok(pixels)
    }
}

fn info(index: usize, name: String, default: bool, area: (i16, i16, u16, u16)) -> ScreenInfo {
    ScreenInfo {
        device: Device {
            index,
            id: name.clone(),
            name,
            default,
        },
        x: area.0,
        y: area.1,
        width: area.2,
        height: area.3,
    }
}

/// Draws the pointer, whose pixels are 0xAARRGGBB with the colours already multiplied by alpha.
fn draw(pointer: &xfixes::GetCursorImageReply, area: (i16, i16, u16, u16), pixels: &mut [u8]) {
    let (width, height) = (i32::from(area.2), i32::from(area.3));
    let left = i32::from(pointer.x) - i32::from(pointer.xhot) - i32::from(area.0);
    let top = i32::from(pointer.y) - i32::from(pointer.yhot) - i32::from(area.1);
    let columns = usize::from(pointer.width.max(1));
    for (row, line) in (top..).zip(pointer.cursor_image.chunks(columns)) {
        for (column, pixel) in (left..).zip(line) {
            if !(0..width).contains(&column) || !(0..height).contains(&row) {
                continue;
            }
            let [blue, green, red, alpha] = pixel.to_le_bytes();
            let at = 4 * (row * width + column) as usize;
            let Some(under) = pixels.get_mut(at..at + 3) else {
                return;
            };
            for (under, over) in under.iter_mut().zip([blue, green, red]) {
                let rest = u16::from(*under) * u16::from(255 - alpha) / 255;
                *under = u16::from(over).saturating_add(rest).min(255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pointer_is_drawn_where_it_is_and_nowhere_outside() {
        let pointer = xfixes::GetCursorImageReply {
            x: 11,
            y: 20,
            width: 2,
            height: 2,
            xhot: 1,
            yhot: 0,
            // Opaque red, half a white, nothing, opaque blue.
            cursor_image: vec![0xffff_0000, 0x8080_8080, 0, 0xff00_00ff],
            ..Default::default()
        };
        let mut pixels = vec![0; 4 * 2 * 2];
        draw(&pointer, (10, 20, 2, 2), &mut pixels);
        assert_eq!(
            pixels,
            [0, 0, 255, 0, 128, 128, 128, 0, 0, 0, 0, 0, 255, 0, 0, 0]
        );
        // Half outside on the left, all outside below.
        let mut pixels = vec![0; 4 * 2 * 2];
        draw(&pointer, (11, 20, 2, 2), &mut pixels);
        assert_eq!(pixels[..4], [128, 128, 128, 0]);
        let mut pixels = vec![0; 4 * 2 * 2];
        draw(&pointer, (10, 30, 2, 2), &mut pixels);
        assert_eq!(pixels, [0; 16]);
    }
}
