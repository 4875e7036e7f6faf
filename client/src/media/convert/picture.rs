//! Pictures of devices to I420, and I420 to what screens take.

use yuv::{
    BufferStoreMut, YuvConversionMode, YuvError, YuvPackedImage, YuvPlanarImage, YuvPlanarImageMut,
    YuvRange, YuvStandardMatrix,
};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::{ConvertError, MAX_SIDE, check_size};
use crate::media::clock::Timestamp;
use crate::media::frame::Picture;

/// How a device lays out its pixels. Rows lie one behind the other without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Planar Y, U, V, 4:2:0.
    I420,
    /// Planar Y, then U and V by turns, 4:2:0.
    Nv12,
    /// Y U Y V, 4:2:2.
    Yuyv,
    /// U Y V Y, 4:2:2.
    Uyvy,
    /// Red, green, blue, 8 bits each.
    Rgb,
    /// Blue, green, red and a byte without meaning, as screens have it.
    Bgrx,
    /// One JPEG a picture.
    Mjpeg,
}

/// Makes a picture of what a device gave. `width` and `height` are those the device was
/// set to; a JPEG tells its own, which win.
///
/// # Errors
/// When bytes are missing, the size is absurd or a JPEG is broken.
pub fn to_picture(
    format: PixelFormat,
    width: u32,
    height: u32,
    bytes: &[u8],
    at: Timestamp,
) -> Result<Picture, ConvertError> {
    if format == PixelFormat::Mjpeg {
        return from_jpeg(bytes, at);
    }
    check_size(width, height)?;
    let needed = bytes_of(format, width as usize, height as usize);
    let bytes = bytes.get(..needed).ok_or(ConvertError::TooShort {
        format,
        width,
        height,
        needed,
        given: bytes.len(),
    })?;
    let mut picture = Picture::black(width, height, at);
    match format {
        PixelFormat::I420 => {
            let (y, chroma) = bytes.split_at(picture.y.len());
            let (u, v) = chroma.split_at(picture.u.len());
            picture.y.copy_from_slice(y);
            picture.u.copy_from_slice(u);
            picture.v.copy_from_slice(v);
        }
        PixelFormat::Nv12 => {
            let (y, chroma) = bytes.split_at(picture.y.len());
            picture.y.copy_from_slice(y);
            let samples = picture.u.iter_mut().zip(&mut picture.v);
            for ((u, v), pair) in samples.zip(chroma.chunks_exact(2)) {
                (*u, *v) = (pair[0], pair[1]);
            }
        }
        PixelFormat::Yuyv => packed(&mut picture, bytes, yuv::yuyv422_to_yuv420)?,
        PixelFormat::Uyvy => packed(&mut picture, bytes, yuv::uyvy422_to_yuv420)?,
        PixelFormat::Rgb => from_rgb(&mut picture, bytes)?,
        PixelFormat::Bgrx => from_bgrx(&mut picture, bytes)?,
        PixelFormat::Mjpeg => {}
    }
    Ok(picture)
}

impl PixelFormat {
    /// The bytes of one picture; zero of a JPEG, which nobody knows before.
    pub(crate) fn bytes(self, width: u32, height: u32) -> usize {
        bytes_of(self, width as usize, height as usize)
    }
}

fn bytes_of(format: PixelFormat, width: usize, height: usize) -> usize {
    match format {
        PixelFormat::I420 | PixelFormat::Nv12 => {
            width * height + 2 * width.div_ceil(2) * height.div_ceil(2)
        }
        PixelFormat::Yuyv | PixelFormat::Uyvy => 4 * width.div_ceil(2) * height,
        PixelFormat::Rgb => 3 * width * height,
        PixelFormat::Bgrx => 4 * width * height,
        PixelFormat::Mjpeg => 0,
    }
}

type FromPacked = fn(&mut YuvPlanarImageMut<u8>, &YuvPackedImage<u8>) -> Result<(), YuvError>;

fn packed(picture: &mut Picture, bytes: &[u8], convert: FromPacked) -> Result<(), ConvertError> {
    let image = YuvPackedImage {
        yuy: bytes,
        yuy_stride: 4 * picture.width.div_ceil(2),
        width: picture.width,
        height: picture.height,
    };
    let (width, height) = (picture.width, picture.height);
    convert(&mut planes_mut(picture), &image).map_err(|e| colours(width, height, &e))
}

fn from_rgb(picture: &mut Picture, bytes: &[u8]) -> Result<(), ConvertError> {
    let (width, height) = (picture.width, picture.height);
    yuv::rgb_to_yuv420(
        &mut planes_mut(picture),
        bytes,
        3 * width,
        YuvRange::Limited,
        YuvStandardMatrix::Bt601,
        YuvConversionMode::Balanced,
    )
    .map_err(|e| colours(width, height, &e))
}

fn from_bgrx(picture: &mut Picture, bytes: &[u8]) -> Result<(), ConvertError> {
    let (width, height) = (picture.width, picture.height);
    yuv::bgra_to_yuv420(
        &mut planes_mut(picture),
        bytes,
        4 * width,
        YuvRange::Limited,
        YuvStandardMatrix::Bt601,
        YuvConversionMode::Balanced,
    )
    .map_err(|e| colours(width, height, &e))
}

fn from_jpeg(bytes: &[u8], at: Timestamp) -> Result<Picture, ConvertError> {
    let broken = |problem: String| ConvertError::Jpeg {
        size: bytes.len(),
        problem,
    };
    let options = DecoderOptions::default()
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let rgb = decoder.decode().map_err(|e| broken(format!("{e:?}")))?;
    let info = decoder
        .info()
        .ok_or_else(|| broken("it tells no size".into()))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height)?;
    if rgb.len() != 3 * width as usize * height as usize {
        return Err(broken(format!(
            "{} bytes for {width}x{height} pixels",
            rgb.len()
        )));
    }
    let mut picture = Picture::black(width, height, at);
    from_rgb(&mut picture, &rgb)?;
    Ok(picture)
}

/// The picture as red, green, blue, 8 bits each.
///
/// # Errors
/// When the picture lacks rows.
pub fn to_rgb(picture: &Picture) -> Result<Vec<u8>, ConvertError> {
    let mut rgb = vec![0; 3 * picture.width as usize * picture.height as usize];
    yuv::yuv420_to_rgb(
        &planes(picture),
        &mut rgb,
        3 * picture.width,
        YuvRange::Limited,
        YuvStandardMatrix::Bt601,
    )
    .map_err(|e| colours(picture.width, picture.height, &e))?;
    Ok(rgb)
}

/// The picture as red, green, blue and 255, 8 bits each.
///
/// # Errors
/// When the picture lacks rows.
pub fn to_rgba(picture: &Picture) -> Result<Vec<u8>, ConvertError> {
    let mut rgba = vec![0; 4 * picture.width as usize * picture.height as usize];
    yuv::yuv420_to_rgba(
        &planes(picture),
        &mut rgba,
        4 * picture.width,
        YuvRange::Limited,
        YuvStandardMatrix::Bt601,
    )
    .map_err(|e| colours(picture.width, picture.height, &e))?;
    Ok(rgba)
}

fn planes(picture: &Picture) -> YuvPlanarImage<'_, u8> {
    let chroma = picture.chroma_stride() as u32;
    YuvPlanarImage {
        y_plane: &picture.y,
        y_stride: picture.width,
        u_plane: &picture.u,
        u_stride: chroma,
        v_plane: &picture.v,
        v_stride: chroma,
        width: picture.width,
        height: picture.height,
    }
}

fn planes_mut(picture: &mut Picture) -> YuvPlanarImageMut<'_, u8> {
    let chroma = picture.chroma_stride() as u32;
    YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(&mut picture.y),
        y_stride: picture.width,
        u_plane: BufferStoreMut::Borrowed(&mut picture.u),
        u_stride: chroma,
        v_plane: BufferStoreMut::Borrowed(&mut picture.v),
        v_stride: chroma,
        width: picture.width,
        height: picture.height,
    }
}

fn colours(width: u32, height: u32, error: &YuvError) -> ConvertError {
    ConvertError::Colours {
        width,
        height,
        problem: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    const AT: Timestamp = Timestamp::from_micros(7);
    /// 16x8 pixels of (200, 60, 30), at quality 95, as one baseline JPEG.
    const ORANGE: &[u8] = include_bytes!("orange-16x8.jpg");
    /// BT.601 limited of (200, 60, 30).
    const ORANGE_YUV: (u8, u8, u8) = (101, 94, 192);

    fn picture(format: PixelFormat, width: u32, height: u32, bytes: &[u8]) -> Picture {
        to_picture(format, width, height, bytes, AT).unwrap()
    }

    #[test]
    fn planes_are_taken_apart_exactly() {
        let i420 = picture(PixelFormat::I420, 3, 1, &[1, 2, 3, 10, 11, 20, 21]);
        assert_eq!(
            (&i420.y[..], &i420.u[..], &i420.v[..]),
            (&[1, 2, 3][..], &[10, 11][..], &[20, 21][..])
        );
        let nv12 = picture(PixelFormat::Nv12, 3, 1, &[1, 2, 3, 10, 20, 11, 21, 99]);
        assert_eq!(nv12, i420);
        assert_eq!(i420.at, AT);
    }

    #[test]
    fn packed_pixels_are_taken_apart_exactly() {
        let yuyv = picture(
            PixelFormat::Yuyv,
            4,
            2,
            &[1, 50, 2, 60, 3, 70, 4, 80, 5, 50, 6, 60, 7, 70, 8, 80],
        );
        assert_eq!(
            (&yuyv.y[..], &yuyv.u[..], &yuyv.v[..]),
            (&[1, 2, 3, 4, 5, 6, 7, 8][..], &[50, 70][..], &[60, 80][..])
        );
        let uyvy = picture(
            PixelFormat::Uyvy,
            4,
            2,
            &[50, 1, 60, 2, 70, 3, 80, 4, 50, 5, 60, 6, 70, 7, 80, 8],
        );
        assert_eq!(uyvy, yuyv);
    }

    #[test]
    fn colours_follow_bt601_in_limited_range() {
        for (rgb, yuv) in [
            ([0, 0, 0], (16, 128, 128)),
            ([255, 255, 255], (235, 128, 128)),
            ([255, 0, 0], (81, 90, 240)),
            ([0, 255, 0], (145, 54, 34)),
            ([0, 0, 255], (41, 240, 110)),
            ([200, 60, 30], ORANGE_YUV),
        ] {
            let near = |a: u8, b: u8| a.abs_diff(b) <= 1;
            let made = picture(PixelFormat::Rgb, 16, 4, &rgb.repeat(64));
            assert!(
                made.y.iter().all(|&y| near(y, yuv.0)),
                "{rgb:?} {}",
                made.y[0]
            );
            assert!(
                made.u.iter().all(|&u| near(u, yuv.1)),
                "{rgb:?} {}",
                made.u[0]
            );
            assert!(
                made.v.iter().all(|&v| near(v, yuv.2)),
                "{rgb:?} {}",
                made.v[0]
            );
            let back = to_rgb(&made).unwrap();
            assert!(
                back.chunks(3)
                    .all(|p| p.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 3)),
                "{rgb:?} {:?}",
                &back[..3]
            );
            let rgba = to_rgba(&made).unwrap();
            let without: Vec<u8> = rgba.chunks(4).flat_map(|p| p[..3].to_vec()).collect();
            assert!(without == back && rgba.chunks(4).all(|p| p[3] == 255));
        }
    }

    #[test]
    fn a_jpeg_is_decoded_at_its_own_size() {
        let made = picture(PixelFormat::Mjpeg, 640, 480, ORANGE);
        assert_eq!((made.width, made.height), (16, 8));
        assert!(
            made.y.iter().all(|y| y.abs_diff(ORANGE_YUV.0) <= 3),
            "{:?}",
            made.y
        );
        assert!(
            made.u.iter().all(|u| u.abs_diff(ORANGE_YUV.1) <= 3),
            "{:?}",
            made.u
        );
        assert!(
            made.v.iter().all(|v| v.abs_diff(ORANGE_YUV.2) <= 3),
            "{:?}",
            made.v
        );
    }

    #[test]
    fn what_is_missing_or_absurd_is_an_error() {
        for format in [
            PixelFormat::I420,
            PixelFormat::Nv12,
            PixelFormat::Yuyv,
            PixelFormat::Uyvy,
            PixelFormat::Rgb,
        ] {
            let needed = bytes_of(format, 5, 3);
            assert!(
                to_picture(format, 5, 3, &vec![0; needed], AT).is_ok(),
                "{format:?}"
            );
            let error = to_picture(format, 5, 3, &vec![0; needed - 1], AT).unwrap_err();
            assert!(matches!(error, ConvertError::TooShort { .. }), "{error}");
            assert!(to_picture(format, 0, 3, &[], AT).is_err());
            assert!(to_picture(format, u32::MAX, u32::MAX, &[], AT).is_err());
        }
        for cut in [0, 2, 20, 200, ORANGE.len() / 2] {
            assert!(
                to_picture(PixelFormat::Mjpeg, 16, 8, &ORANGE[..cut], AT).is_err(),
                "{cut}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn damaged_jpegs_never_panic(damage in prop::collection::vec((0..ORANGE.len(), any::<u8>()), 0..8), cut in 0..ORANGE.len()) {
            let mut bytes = ORANGE.to_vec();
            for (at, value) in damage {
                bytes[at] = value;
            }
            let _ = to_picture(PixelFormat::Mjpeg, 16, 8, &bytes, AT);
            let _ = to_picture(PixelFormat::Mjpeg, 16, 8, &bytes[..cut], AT);
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), width in 0u32..20, height in 0u32..20) {
            for format in [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Yuyv, PixelFormat::Uyvy, PixelFormat::Rgb, PixelFormat::Mjpeg] {
                let _ = to_picture(format, width, height, &bytes, AT);
            }
        }
    }
}
