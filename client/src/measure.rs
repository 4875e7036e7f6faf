//! Measures taken from the media itself: marks, PSNR, tone. Pure.

pub mod histogram;
pub mod marks;
pub mod quality;
pub mod video;
