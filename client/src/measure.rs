//! Measures taken from the media itself: marks, PSNR, tone. Pure, but for VMAF, which another program tells.

pub mod audio;
pub mod histogram;
pub mod lips;
pub mod marks;
pub mod quality;
pub mod speech;
pub mod tone;
pub mod video;
pub mod vmaf;
