//! Measures taken from the media itself: marks, PSNR, tone. Pure.
