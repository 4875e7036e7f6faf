//! Brings a V4L2 device into a state that `nokhwa` can open.

use std::io;

use nokhwa::utils::CameraIndex;

/// Sets a plain format and a whole rate; a device keeps what the last program set, and `nokhwa`
/// reads that before it sets anything.
#[cfg(target_os = "linux")]
pub(super) fn settle(index: &CameraIndex) -> io::Result<()> {
    use v4l::video::Capture;
    use v4l::video::capture::Parameters;
    use v4l::{Device, FourCC};

    const KNOWN: [&[u8; 4]; 4] = [b"NV12", b"YUYV", b"RGB3", b"MJPG"];

    let number = index.as_index().map_err(io::Error::other)?;
    let device = Device::new(number as usize)?;
    let offered = device.enum_formats()?;
    let known = |fourcc: &FourCC| KNOWN.contains(&&fourcc.repr);
    let fourcc = offered.iter().map(|format| format.fourcc).find(known);
    let fourcc = fourcc.ok_or_else(|| io::Error::other("no format that can be converted"))?;
    let mut format = device.format()?;
    format.fourcc = fourcc;
    // The smallest size has the most rates.
    if let Some(size) = device
        .enum_framesizes(fourcc)?
        .into_iter()
        .flat_map(|size| size.size.to_discrete())
        .min_by_key(|size| size.width * size.height)
    {
        (format.width, format.height) = (size.width, size.height);
    }
    device.set_format(&format)?;
    device.set_params(&Parameters::with_fps(30))?;
    Ok(())
}

/// Elsewhere a device keeps nothing.
#[cfg(not(target_os = "linux"))]
pub(super) fn settle(_index: &CameraIndex) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
