//! A camera, by `nokhwa`.
//!
//! Its handle blocks for as long as the driver likes, so a thread of its own owns it and keeps
//! the newest picture only.

mod choice;
mod modes;
mod settle;
mod words;

use std::sync::Arc;
use std::time::Duration;

use nokhwa::Buffer;
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType,
};

use super::latest::{CaptureStats, Ending, Latest};
use super::{SourceError, VideoItem, VideoSource};
use crate::media::clock::Timestamp;
use crate::media::convert::{PixelFormat, to_picture};
use crate::media::devices::inventory::CameraInfo;
use crate::media::devices::{Device, Held, OPEN_LIMIT, choices, find, matching};
use crate::media::frame::Picture;
pub use choice::CameraWish;
use choice::{FORMATS, in_order};
pub use modes::CameraMode;

/// A picture said to be older than this has a clock of its own and is stamped on arrival.
const OLDEST: Duration = Duration::from_millis(500);

/// A driver may give up a picture or two without being at its end: so many in a row are counted as broken.
const TOLERATED: u32 = 3;

/// An open camera. [`VideoSource::next`] gives the newest picture; what nobody fetched in time
/// is replaced and counted.
pub struct Camera {
    latest: Arc<Latest>,
    label: String,
    format: CameraFormat,
    _held: Held,
}

impl Camera {
    /// Opens the camera that `which` means (its number, path, or a part of its name), or the
    /// first that works, with what it has nearest to `wish`, and starts it.
    ///
    /// # Errors
    /// When there is none, it is busy or denied, or does not answer within seconds.
    pub fn open(which: Option<&str>, wish: CameraWish) -> Result<Self, SourceError> {
        let latest = Arc::new(Latest::default());
        let filling = Arc::clone(&latest);
        let wanted = which.map(str::to_owned);
        let opened = Held::open("camera", OPEN_LIMIT, move |opened, stop| {
            let (mut camera, label) = match start(wanted.as_deref(), wish) {
                Ok(started) => started,
                Err(error) => {
                    let _ = opened.tell(Err(error));
                    return;
                }
            };
            if !opened.tell(Ok((label, camera.camera_format()))) {
                return;
            }
            let ending = Ending(filling);
            let mut failed = 0;
            while !stop.requested() {
                match camera.frame() {
                    Ok(buffer) => {
                        failed = 0;
                        ending.0.put(picture(&buffer));
                    }
                    Err(error) if failed < TOLERATED => {
                        tracing::debug!("camera: {error}");
                        failed += 1;
                        ending.0.put(None);
                    }
                    Err(error) => {
                        ending.0.fail(error.to_string());
                        break;
                    }
                }
            }
        });
        let (held, opened) = opened.ok_or_else(words::silent)?;
        let (label, format) = opened?;
        Ok(Self {
            latest,
            label,
            format,
            _held: held,
        })
    }

    /// Columns and rows of its pictures.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.format.width(), self.format.height())
    }
}

impl VideoSource for Camera {
    fn next(&mut self) -> Result<Option<VideoItem>, SourceError> {
        match self.latest.fetch() {
            Ok(Some(picture)) => Ok(Some(VideoItem::Raw(picture))),
            Ok(None) => Ok(Some(VideoItem::Nothing)),
            Err(problem) => Err(words::trouble(&self.label, &problem)),
        }
    }

    fn stats(&self) -> CaptureStats {
        self.latest.stats()
    }

    fn describe(&self) -> String {
        let format = self.format;
        format!(
            "{} {}x{} at {} fps {}",
            self.label,
            format.width(),
            format.height(),
            format.frame_rate(),
            format.format()
        )
    }
}

/// The cameras of this machine and what each can give, bounded in time.
pub(crate) fn describe_all() -> Vec<CameraInfo> {
    let listed = Held::open("ask-cameras", OPEN_LIMIT, |opened, _stop| {
        let (devices, _indices) = query();
        let mut cameras = Vec::new();
        for (place, device) in devices.into_iter().enumerate() {
            #[cfg(target_os = "linux")]
            let modes = modes::modes(&device.id);
            #[cfg(not(target_os = "linux"))]
            let modes = modes::modes(&_indices[place]);
            let _ = place;
            let (modes, problem) = match modes {
                Ok(modes) => (modes, None),
                Err(error) => {
                    let label = format!("camera \"{}\"", device.name);
                    let told = words::trouble(&label, &error.to_string());
                    (Vec::new(), Some(told.to_string()))
                }
            };
            cameras.push(CameraInfo {
                device,
                modes,
                problem,
            });
        }
        let _ = opened.tell(cameras);
    });
    listed.map(|(_held, cameras)| cameras).unwrap_or_default()
}

fn query() -> (Vec<Device>, Vec<CameraIndex>) {
    let mut found = nokhwa::query(ApiBackend::Auto).unwrap_or_default();
    found.sort_by_key(|info| info.index().as_index().unwrap_or(u32::MAX));
    let devices = found.iter().enumerate().map(|(place, info)| {
        let number = info.index().as_index();
        Device {
            index: number.as_ref().map_or(place, |&n| n as usize),
            name: info.human_name(),
            id: match number {
                Ok(number) if cfg!(target_os = "linux") => format!("/dev/video{number}"),
                _ => info.index().as_string(),
            },
            default: place == 0,
        }
    });
    let indices = found.iter().map(|info| info.index().clone());
    (devices.collect(), indices.collect())
}

/// Finds, opens and starts; on the thread that will hold the camera.
fn start(which: Option<&str>, wish: CameraWish) -> Result<(nokhwa::Camera, String), SourceError> {
    if !allowed() {
        return Err(words::trouble("camera", "permission denied by the system"));
    }
    let (devices, indices) = query();
    let candidates: Vec<usize> = match which {
        Some(which) => find(&devices, &real_path(which)).into_iter().collect(),
        None => (0..devices.len()).collect(),
    };
    // One piece of hardware may have several nodes, some of which give no pictures: the first
    // trouble is told only if no other works.
    let mut first_trouble = None;
    for place in candidates {
        let label = format!("camera \"{}\"", devices[place].name);
        match open(&indices[place], wish) {
            Ok(camera) => return Ok((camera, label)),
            Err(error) => {
                first_trouble.get_or_insert(words::trouble(&label, &error.to_string()));
            }
        }
    }
    Err(first_trouble.unwrap_or_else(|| SourceError::NoDevice {
        kind: "camera",
        which: matching(which),
        hint: words::none_found(&choices(&devices)),
    }))
}

/// Opens a camera and sets it to what it really has nearest to `wish`.
///
/// What `nokhwa` lists cannot be trusted (it takes a rate of 25/2 for 25), nor can its own choice of
/// the closest: offers are tried in our order until the device confirms one.
fn open(index: &CameraIndex, wish: CameraWish) -> Result<nokhwa::Camera, nokhwa::NokhwaError> {
    let any = || RequestedFormat::with_formats(RequestedFormatType::None, &FORMATS);
    let mut camera = nokhwa::Camera::new(index.clone(), any()).or_else(|error| {
        // It refuses a camera that another program left in a format or at a rate it does not know.
        settle::settle(index).map_err(|_| error)?;
        nokhwa::Camera::new(index.clone(), any())
    })?;
    let mut refused = None;
    for format in in_order(&camera.compatible_camera_formats()?, wish) {
        let formats = [format.format()];
        let exact = RequestedFormat::with_formats(RequestedFormatType::Exact(format), &formats);
        match camera.set_camera_requset(exact) {
            Ok(_) if camera.camera_format() == format => {
                camera.open_stream()?;
                return Ok(camera);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!("camera: {format} was refused: {error}");
                refused = Some(error);
            }
        }
    }
    let nothing = || nokhwa::NokhwaError::OpenStreamError("it offers no usable format".to_owned());
    Err(refused.unwrap_or_else(nothing))
}

/// Whether the system lets us; macOS asks the person, which may take as long as they like.
fn allowed() -> bool {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    nokhwa::nokhwa_initialize(move |granted| {
        let _ = tell.try_send(granted);
    });
    told.recv_timeout(OPEN_LIMIT).unwrap_or(false)
}

/// Paths like `/dev/v4l/by-id/...` lead to the node that carries the number.
fn real_path(which: &str) -> String {
    if !which.starts_with('/') {
        return which.to_owned();
    }
    std::fs::canonicalize(which)
        .ok()
        .and_then(|path| path.to_str().map(str::to_owned))
        .unwrap_or_else(|| which.to_owned())
}

/// What a frame shows; none where it cannot be read.
fn picture(buffer: &Buffer) -> Option<Picture> {
    let at = stamp(buffer.capture_timestamp(), Timestamp::now());
    let (format, size) = (pixels(buffer.source_frame_format())?, buffer.resolution());
    to_picture(format, size.width(), size.height(), buffer.buffer(), at)
        .inspect_err(|error| tracing::debug!("camera: {error}"))
        .ok()
}

/// When a picture was taken: as the driver says, if that can be believed.
fn stamp(driver: Option<Duration>, now: Timestamp) -> Timestamp {
    let said = driver.and_then(|since_epoch| u64::try_from(since_epoch.as_micros()).ok());
    said.map(Timestamp::from_micros)
        .filter(|&at| at <= now && now.since(at) <= OLDEST)
        .unwrap_or(now)
}

const fn pixels(format: FrameFormat) -> Option<PixelFormat> {
    match format {
        FrameFormat::NV12 => Some(PixelFormat::Nv12),
        FrameFormat::YUYV => Some(PixelFormat::Yuyv),
        FrameFormat::MJPEG => Some(PixelFormat::Mjpeg),
        FrameFormat::RAWRGB => Some(PixelFormat::Rgb),
        FrameFormat::GRAY | FrameFormat::RAWBGR => None,
    }
}

#[cfg(test)]
mod tests;
