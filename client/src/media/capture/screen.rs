//! A screen as a camera.
//!
//! X11's own way to read a screen (GetImage) copies it through the display's socket: 4 bytes a
//! pixel, some 3 ms for 1280x720. A thread of its own does that, because a display may hang.

#[cfg(target_os = "linux")]
mod x11;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::latest::{CaptureStats, Ending, Latest};
use super::{SourceError, VideoItem, VideoSource};
use crate::media::clock::Timestamp;
use crate::media::convert::{PixelFormat, fit, scale, to_picture};
use crate::media::devices::{Device, Held, OPEN_LIMIT, choices, find, matching};

const WITHOUT: &str = "go without by --video none, or with --video test";

/// A screen of this machine: where it lies in the whole desktop.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ScreenInfo {
    /// How it is named.
    #[serde(flatten)]
    pub device: Device,
    /// Columns from the left of the desktop.
    pub x: i16,
    /// Rows from its top.
    pub y: i16,
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// What is wished of a screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenWish {
    /// The largest picture; a larger screen is made smaller, in its own shape.
    pub size: (u32, u32),
    /// Pictures a second.
    pub fps: u32,
}

/// An open screen. [`VideoSource::next`] gives the newest picture, the pointer in it.
pub struct Screen {
    latest: Arc<Latest>,
    label: String,
    size: (u32, u32),
    fps: u32,
    _held: Held,
}

impl Screen {
    /// Opens the screen that `which` means (its number or its output's name), or the primary one.
    ///
    /// # Errors
    /// When there is no display, none matches, or it does not answer within seconds.
    pub fn open(which: Option<&str>, wish: ScreenWish) -> Result<Self, SourceError> {
        let latest = Arc::new(Latest::default());
        let filling = Arc::clone(&latest);
        let wanted = which.map(str::to_owned);
        let opened = Held::open("screen", OPEN_LIMIT, move |opened, stop| {
            let (grabber, screen) = match choose(wanted.as_deref()) {
                Ok(chosen) => chosen,
                Err(error) => {
                    let _ = opened.tell(Err(error));
                    return;
                }
            };
            if !opened.tell(Ok(screen.clone())) {
                return;
            }
            let ending = Ending(filling);
            let mut due = Instant::now();
            let interval = Duration::from_secs(1) / wish.fps.max(1);
            while !stop.requested() {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                // Late by more than a picture: that one is left out rather than given late.
                due = (due + interval).max(Instant::now());
                let at = Timestamp::now();
                match grabber.grab(&screen) {
                    Ok(pixels) => ending.0.put(picture(&screen, wish.size, &pixels, at)),
                    Err(problem) => {
                        ending.0.fail(problem);
                        break;
                    }
                }
            }
        });
        let (held, opened) =
            opened.ok_or_else(|| trouble("screen", "the display does not answer"))?;
        let screen = opened?;
        Ok(Self {
            latest,
            label: format!("screen \"{}\"", screen.device.name),
            size: shown(&screen, wish.size),
            fps: wish.fps,
            _held: held,
        })
    }
}

impl VideoSource for Screen {
    fn next(&mut self) -> Result<Option<VideoItem>, SourceError> {
        match self.latest.fetch() {
            Ok(Some(picture)) => Ok(Some(VideoItem::Raw(picture))),
            Ok(None) => Ok(Some(VideoItem::Nothing)),
            Err(problem) => Err(trouble(&self.label, &problem)),
        }
    }

    fn stats(&self) -> CaptureStats {
        self.latest.stats()
    }

    fn describe(&self) -> String {
        let (width, height) = self.size;
        format!("{} {width}x{height} at {} fps", self.label, self.fps)
    }
}

/// The screens of this machine, bounded in time; none where there is no display.
pub(crate) fn list() -> Vec<ScreenInfo> {
    let listed = Held::open("list-screens", OPEN_LIMIT, |opened, _stop| {
        let screens = Grabber::open().and_then(|grabber| grabber.screens());
        let _ = opened.tell(screens.unwrap_or_default());
    });
    listed.map(|(_held, screens)| screens).unwrap_or_default()
}

fn choose(which: Option<&str>) -> Result<(Grabber, ScreenInfo), SourceError> {
    let grabber = Grabber::open().map_err(|problem| trouble("screen", &problem))?;
    let screens = grabber
        .screens()
        .map_err(|problem| trouble("screen", &problem))?;
    let devices: Vec<Device> = screens.iter().map(|s| s.device.clone()).collect();
    let place = match which {
        Some(which) => find(&devices, which),
        None => devices.iter().position(|d| d.default).or(Some(0)),
    };
    match place.and_then(|place| screens.into_iter().nth(place)) {
        Some(screen) => Ok((grabber, screen)),
        None => Err(SourceError::NoDevice {
            kind: "screen",
            which: matching(which),
            hint: format!("there is {}; or {WITHOUT}", choices(&devices)),
        }),
    }
}

fn trouble(label: &str, problem: &str) -> SourceError {
    SourceError::Device {
        device: label.to_owned(),
        problem: problem.to_owned(),
        hint: format!("see that the desktop runs and that DISPLAY names it, or {WITHOUT}"),
    }
}

/// The size that a screen's pictures have.
fn shown(screen: &ScreenInfo, largest: (u32, u32)) -> (u32, u32) {
    let (width, height) = (u32::from(screen.width), u32::from(screen.height));
    fit((width, height), largest.0, largest.1)
}

fn picture(
    screen: &ScreenInfo,
    largest: (u32, u32),
    pixels: &[u8],
    at: Timestamp,
) -> Option<crate::media::frame::Picture> {
    let (width, height) = (u32::from(screen.width), u32::from(screen.height));
    let whole = to_picture(PixelFormat::Bgrx, width, height, pixels, at)
        .inspect_err(|error| tracing::debug!("screen: {error}"))
        .ok()?;
    let (width, height) = shown(screen, largest);
    Some(scale(&whole, width, height))
}

#[cfg(target_os = "linux")]
use x11::Grabber;

/// What other systems have; none of it is read yet.
#[cfg(not(target_os = "linux"))]
struct Grabber;

#[cfg(not(target_os = "linux"))]
impl Grabber {
    fn open() -> Result<Self, String> {
        Err("screens are read on X11 only".to_owned())
    }

    fn screens(&self) -> Result<Vec<ScreenInfo>, String> {
        Ok(Vec::new())
    }

    fn grab(&self, _screen: &ScreenInfo) -> Result<Vec<u8>, String> {
        Self::open().map(|_| Vec::new())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn screen(width: u16, height: u16) -> ScreenInfo {
        ScreenInfo {
            device: Device {
                index: 0,
                name: "HDMI-1".into(),
                id: "HDMI-1".into(),
                default: true,
            },
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    #[test]
    fn a_large_screen_is_made_smaller_in_its_own_shape_and_a_small_one_is_left() {
        assert_eq!(shown(&screen(2560, 1440), (1280, 720)), (1280, 720));
        assert_eq!(shown(&screen(1920, 1200), (1280, 720)), (1152, 720));
        assert_eq!(shown(&screen(801, 601), (1280, 720)), (800, 600));
    }

    #[test]
    fn colours_are_those_of_the_screen() {
        let red = [0, 0, 255, 0].repeat(16 * 16);
        let picture = picture(&screen(16, 16), (16, 16), &red, Timestamp::default()).unwrap();
        let is = (picture.y[0], picture.u[0], picture.v[0]);
        for (is, should) in [(is.0, 81_u8), (is.1, 90), (is.2, 240)] {
            assert!(is.abs_diff(should) <= 2, "{picture:?}");
        }
        assert_eq!(
            super::picture(&screen(16, 16), (16, 16), &red[..100], Timestamp::default()),
            None
        );
    }
}
