//! Which of the formats that a camera offers.

use nokhwa::utils::{CameraFormat, FrameFormat};

/// Formats that can be converted, the cheapest first.
pub(super) const FORMATS: [FrameFormat; 4] = [
    FrameFormat::NV12,
    FrameFormat::YUYV,
    FrameFormat::RAWRGB,
    FrameFormat::MJPEG,
];

/// What is wished of a camera; it gives what it has nearest to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CameraWish {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
}

/// The offers that can be converted, the best first: first the rate is kept, because a slow picture is worse than a small one, then
/// the size, then the rest.
///
/// Most cameras give large pictures raw at 5 to 10 a second and as JPEG at 30.
pub(super) fn in_order(offers: &[CameraFormat], wish: CameraWish) -> Vec<CameraFormat> {
    let cost = |offer: &CameraFormat| {
        let rank = FORMATS.iter().position(|&f| f == offer.format())?;
        let (rate, fps) = (offer.frame_rate(), wish.fps);
        // Two thirds of the rate wished still look the same.
        let slow = rate * 3 < fps * 2;
        let small = offer.width() < wish.width || offer.height() < wish.height;
        Some((
            slow,
            small,
            pixels(offer.width(), offer.height()).abs_diff(pixels(wish.width, wish.height)),
            // Of the same size the wished shape.
            shape(offer.width(), offer.height()).abs_diff(shape(wish.width, wish.height)),
            rate.abs_diff(fps),
            rank,
        ))
    };
    let mut costly: Vec<_> = offers
        .iter()
        .filter_map(|offer| Some((cost(offer)?, *offer)))
        .collect();
    costly.sort_by_key(|(cost, _)| *cost);
    costly.into_iter().map(|(_, offer)| offer).collect()
}

fn pixels(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Columns for a thousand rows.
fn shape(width: u32, height: u32) -> u64 {
    u64::from(width) * 1_000 / u64::from(height.max(1))
}
