//! Measures taken from the media itself: marks, PSNR, tone. Pure.

pub mod marks;
pub mod quality;
