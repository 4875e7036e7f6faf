//! What a camera can give: formats, sizes, rates.

use serde::Serialize;

/// One format in one size.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CameraMode {
    /// The four letters of the format: `NV12`, `YUYV`, `MJPG`.
    pub format: String,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pictures a second, the fastest first.
    pub rates: Vec<f64>,
    /// Whether this client can convert the format.
    pub usable: bool,
}

/// Sizes listed of a camera that takes any within limits: what people ask for, and its limits.
#[cfg(target_os = "linux")]
const COMMON: [(u32, u32); 6] = [
    (320, 240),
    (640, 360),
    (640, 480),
    (1280, 720),
    (1920, 1080),
    (3840, 2160),
];

/// Rates listed where any is taken.
#[cfg(target_os = "linux")]
const RATES: [f64; 4] = [60.0, 30.0, 15.0, 5.0];

/// Asks the driver, which answers also while another program uses the camera.
#[cfg(target_os = "linux")]
pub(super) fn modes(path: &str) -> std::io::Result<Vec<CameraMode>> {
    use v4l::Device;
    use v4l::framesize::FrameSizeEnum;
    use v4l::video::Capture;

    let device = Device::with_path(path)?;
    let mut modes = Vec::new();
    for format in device.enum_formats()? {
        let fourcc = format.fourcc;
        let mut sizes = Vec::new();
        for size in device.enum_framesizes(fourcc)? {
            match size.size {
                FrameSizeEnum::Discrete(size) => sizes.push((size.width, size.height)),
                FrameSizeEnum::Stepwise(range) => {
                    let inside = |&(width, height): &(u32, u32)| {
                        (range.min_width..=range.max_width).contains(&width)
                            && (range.min_height..=range.max_height).contains(&height)
                    };
                    sizes.push((range.min_width, range.min_height));
                    sizes.extend(COMMON.into_iter().filter(inside));
                    sizes.push((range.max_width, range.max_height));
                }
            }
        }
        sizes.sort_unstable();
        sizes.dedup();
        let known = [b"NV12", b"YUYV", b"RGB3", b"MJPG"];
        for (width, height) in sizes {
            modes.push(CameraMode {
                format: fourcc.to_string(),
                width,
                height,
                rates: rates(&device, fourcc, width, height),
                usable: known.contains(&&fourcc.repr),
            });
        }
    }
    Ok(modes)
}

/// A driver that tells no rates has one, which nobody knows.
#[cfg(target_os = "linux")]
fn rates(device: &v4l::Device, fourcc: v4l::FourCC, width: u32, height: u32) -> Vec<f64> {
    use v4l::frameinterval::FrameIntervalEnum;
    use v4l::video::Capture;

    let a_second = |interval: &v4l::Fraction| {
        (interval.numerator > 0)
            .then(|| f64::from(interval.denominator) / f64::from(interval.numerator))
    };
    let offered = device.enum_frameintervals(fourcc, width, height);
    let mut rates = Vec::new();
    for offer in offered.unwrap_or_default() {
        match offer.interval {
            FrameIntervalEnum::Discrete(interval) => rates.extend(a_second(&interval)),
            FrameIntervalEnum::Stepwise(range) => {
                let (fastest, slowest) = (a_second(&range.min), a_second(&range.max));
                let fastest = fastest.unwrap_or(f64::INFINITY);
                let slowest = slowest.unwrap_or(0.0);
                rates.extend(RATES.iter().filter(|r| (slowest..=fastest).contains(*r)));
            }
        }
    }
    // Two decimals: 29.97 is one.
    for rate in &mut rates {
        *rate = (*rate * 100.0).round() / 100.0;
    }
    rates.sort_by(|a, b| b.total_cmp(a));
    rates.dedup();
    rates
}

/// Elsewhere the camera has to be opened to be asked.
#[cfg(not(target_os = "linux"))]
pub(super) fn modes(which: &nokhwa::utils::CameraIndex) -> std::io::Result<Vec<CameraMode>> {
    use nokhwa::utils::{RequestedFormat, RequestedFormatType};

    let any = RequestedFormat::with_formats(RequestedFormatType::None, &super::FORMATS);
    let mut camera = nokhwa::Camera::new(which.clone(), any).map_err(std::io::Error::other)?;
    let offers = camera
        .compatible_camera_formats()
        .map_err(std::io::Error::other)?;
    let mut modes: Vec<CameraMode> = Vec::new();
    for offer in offers {
        let (format, size) = (offer.format().to_string(), offer.resolution());
        let rate = f64::from(offer.frame_rate());
        let same = |m: &&mut CameraMode| {
            m.format == format && (m.width, m.height) == (size.width(), size.height())
        };
        match modes.iter_mut().find(same) {
            Some(mode) => mode.rates.push(rate),
            None => modes.push(CameraMode {
                usable: super::FORMATS.contains(&offer.format()),
                format,
                width: size.width(),
                height: size.height(),
                rates: vec![rate],
            }),
        }
    }
    for mode in &mut modes {
        mode.rates.sort_by(|a, b| b.total_cmp(a));
        mode.rates.dedup();
    }
    Ok(modes)
}
