//! A camera, by `nokhwa`.
//!
//! Its handle blocks for as long as the driver likes, so a thread of its own owns it and keeps
//! the newest picture only.

mod choice;
mod settle;
mod words;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nokhwa::Buffer;
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType,
};

use super::{SourceError, VideoItem, VideoSource};
use crate::media::clock::Timestamp;
use crate::media::convert::{PixelFormat, to_picture};
use crate::media::devices::{Device, Held, OPEN_LIMIT, choices, find, matching};
use crate::media::frame::Picture;
pub use choice::CameraWish;
use choice::{FORMATS, in_order};

/// How long one call of [`Camera::next`] waits at most.
const PATIENCE: Duration = Duration::from_millis(500);
/// A picture said to be older than this has a clock of its own and is stamped on arrival.
const OLDEST: Duration = Duration::from_millis(500);

/// An open camera. [`VideoSource::next`] gives the newest picture; what nobody fetched in time
/// is replaced and counted.
pub struct Camera {
    shared: Arc<Shared>,
    label: String,
    format: CameraFormat,
    _held: Held,
}

/// What became of a camera's pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CameraStats {
    /// That the device gave.
    pub taken: u64,
    /// Replaced by a newer one before they were fetched.
    pub dropped: u64,
    /// That could not be read, such as half a JPEG.
    pub broken: u64,
}

#[derive(Default)]
struct Shared {
    slot: Mutex<Slot>,
    more: Condvar,
}

#[derive(Default)]
struct Slot {
    newest: Option<Picture>,
    failed: Option<String>,
    stats: CameraStats,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, problem: String) {
        self.lock().failed.get_or_insert(problem);
        self.more.notify_all();
    }
}

impl Camera {
    /// Opens the camera that `which` means (its number, path, or a part of its name), or the
    /// first that works, with what it has nearest to `wish`, and starts it.
    ///
    /// # Errors
    /// When there is none, it is busy or denied, or does not answer within seconds.
    pub fn open(which: Option<&str>, wish: CameraWish) -> Result<Self, SourceError> {
        let shared = Arc::new(Shared::default());
        let filling = shared.clone();
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
            while !stop.requested() {
                match camera.frame() {
                    Ok(buffer) => take(&buffer, &ending.0),
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
            shared,
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

    /// What became of its pictures so far.
    #[must_use]
    pub fn stats(&self) -> CameraStats {
        self.shared.lock().stats
    }
}

impl VideoSource for Camera {
    fn next(&mut self) -> Result<Option<VideoItem>, SourceError> {
        let deadline = Instant::now() + PATIENCE;
        let mut slot = self.shared.lock();
        loop {
            if let Some(picture) = slot.newest.take() {
                return Ok(Some(VideoItem::Raw(picture)));
            }
            if let Some(problem) = &slot.failed {
                return Err(words::trouble(&self.label, problem));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Some(VideoItem::Nothing));
            }
            let woken = self.shared.more.wait_timeout(slot, left);
            slot = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
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

/// Tells the fetcher when the thread ends for whatever reason, a panic in a driver's binding included.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fail("its driver ended".to_owned());
    }
}

/// The cameras of this machine, bounded in time.
pub(crate) fn list() -> Vec<Device> {
    let listed = Held::open("list-cameras", OPEN_LIMIT, |opened, _stop| {
        let _ = opened.tell(query().0);
    });
    listed.map(|(_held, devices)| devices).unwrap_or_default()
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

/// Converts a frame and puts it into the slot.
fn take(buffer: &Buffer, shared: &Shared) {
    let at = stamp(buffer.capture_timestamp(), Timestamp::now());
    let size = buffer.resolution();
    let picture = pixels(buffer.source_frame_format()).and_then(|format| {
        to_picture(format, size.width(), size.height(), buffer.buffer(), at)
            .inspect_err(|error| tracing::debug!("camera: {error}"))
            .ok()
    });
    let mut slot = shared.lock();
    slot.stats.taken += 1;
    match picture {
        Some(picture) => {
            slot.stats.dropped += u64::from(slot.newest.replace(picture).is_some());
            shared.more.notify_one();
        }
        None => slot.stats.broken += 1,
    }
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
