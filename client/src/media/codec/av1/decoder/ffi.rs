//! The calls into libdav1d, made safe: what goes in is copied, what comes out is copied
//! before it is given back.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;

use rtc_av1_sys::dav1d;

use crate::media::clock::Timestamp;
use crate::media::frame::Picture;

/// One decoder, with no thread of its own. Never null.
pub(super) struct Decoder(*mut dav1d::Dav1dContext);

// SAFETY: the context has no ties to the thread that made it, and `&mut self` on every
// method lets only one thread use it at a time.
unsafe impl Send for Decoder {}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the context is from `dav1d_open` and was not closed before; the call
        // writes null into our pointer.
        unsafe { dav1d::dav1d_close(&raw mut self.0) }
    }
}

impl Decoder {
    /// Opens a decoder of pictures of at most this many pixels.
    pub(super) fn new(most_pixels: u32) -> Result<Self, String> {
        let mut settings = MaybeUninit::<dav1d::Dav1dSettings>::uninit();
        // SAFETY: the call writes every field of what the pointer points to.
        let mut settings = unsafe {
            dav1d::dav1d_default_settings(settings.as_mut_ptr());
            settings.assume_init()
        };
        settings.n_threads = 1;
        settings.max_frame_delay = 1;
        // Only the highest layer of a temporal unit.
        settings.all_layers = 0;
        settings.frame_size_limit = most_pixels;
        // It would write to standard error.
        settings.logger.callback = None;
        let mut context = ptr::null_mut();
        // SAFETY: both pointers are to values of ours that outlive the call, and the
        // settings are copied by it.
        let code = unsafe { dav1d::dav1d_open(&raw mut context, &raw const settings) };
        if code != 0 || context.is_null() {
            return Err(problem(code));
        }
        Ok(Self(context))
    }

    /// Decodes one temporal unit; of several pictures the last is given.
    pub(super) fn decode(&mut self, unit: &[u8], at: Timestamp) -> Result<Option<Picture>, String> {
        let decoded = self.feed(unit, at);
        if decoded.is_err() {
            // SAFETY: the context is open. What is left of the broken unit is forgotten.
            unsafe { dav1d::dav1d_flush(self.0) };
        }
        decoded
    }

    fn feed(&mut self, unit: &[u8], at: Timestamp) -> Result<Option<Picture>, String> {
        let mut data = Data::copy_of(unit)?;
        let mut newest = None;
        while data.0.sz > 0 {
            let before = data.0.sz;
            // SAFETY: the context is open, and the data were made by the library.
            let code = unsafe { dav1d::dav1d_send_data(self.0, &raw mut data.0) };
            if code < 0 && !is_again(code) {
                return Err(problem(code));
            }
            let mut taken = 0;
            while let Some(picture) = self.take(at)? {
                newest = Some(picture);
                taken += 1;
            }
            if taken == 0 && data.0.sz == before {
                return Err("the decoder takes no more of it".into());
            }
        }
        Ok(newest)
    }

    fn take(&mut self, at: Timestamp) -> Result<Option<Picture>, String> {
        let mut seen = Seen::empty();
        // SAFETY: the context is open; the picture is ours and empty.
        let code = unsafe { dav1d::dav1d_get_picture(self.0, &raw mut seen.0) };
        match code {
            0 => seen.copy(at).map(Some),
            code if is_again(code) => Ok(None),
            code => Err(problem(code)),
        }
    }
}

/// Bytes inside the library.
struct Data(dav1d::Dav1dData);

impl Data {
    fn copy_of(unit: &[u8]) -> Result<Self, String> {
        // SAFETY: all fields are integers and pointers; the library's own empty data are
        // zero bytes.
        let mut data = Self(unsafe { MaybeUninit::zeroed().assume_init() });
        // SAFETY: the pointer is to a value of ours; the result is null or has room for as
        // many bytes as were asked for, which are all written here.
        unsafe {
            let room = dav1d::dav1d_data_create(&raw mut data.0, unit.len());
            if room.is_null() {
                return Err(format!("no memory for {} bytes", unit.len()));
            }
            ptr::copy_nonoverlapping(unit.as_ptr(), room, unit.len());
        }
        Ok(data)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // SAFETY: what was not taken by the decoder is given back; what was, is empty.
        unsafe { dav1d::dav1d_data_unref(&raw mut self.0) }
    }
}

/// A picture inside the library.
struct Seen(dav1d::Dav1dPicture);

impl Drop for Seen {
    fn drop(&mut self) {
        // SAFETY: it was made by the library, or is empty.
        unsafe { dav1d::dav1d_picture_unref(&raw mut self.0) }
    }
}

impl Seen {
    fn empty() -> Self {
        // SAFETY: all fields are integers and pointers; zero bytes are the empty picture.
        Self(unsafe { MaybeUninit::zeroed().assume_init() })
    }

    fn copy(&self, at: Timestamp) -> Result<Picture, String> {
        let told = &self.0.p;
        let (Ok(width), Ok(height)) = (u32::try_from(told.w), u32::try_from(told.h)) else {
            return Err(format!("a picture of {}x{}", told.w, told.h));
        };
        if told.bpc != 8 {
            return Err(format!("samples of {} bits", told.bpc));
        }
        let mut picture = Picture::black(width, height, at);
        let luma = (width as usize, height as usize);
        let chroma = (picture.chroma_stride(), picture.chroma_rows());
        self.plane(0, luma, &mut picture.y)?;
        match told.layout {
            dav1d::DAV1D_PIXEL_LAYOUT_I420 => {
                self.plane(1, chroma, &mut picture.u)?;
                self.plane(2, chroma, &mut picture.v)?;
            }
            dav1d::DAV1D_PIXEL_LAYOUT_I400 => {}
            other => return Err(format!("unexpected pixel layout {other}")),
        }
        Ok(picture)
    }

    fn plane(&self, index: usize, size: (usize, usize), out: &mut [u8]) -> Result<(), String> {
        let (width, height) = size;
        let stride = usize::try_from(self.0.stride[index.min(1)]).unwrap_or(0);
        let start = self.0.data[index].cast::<u8>();
        if start.is_null() || width == 0 || stride < width {
            return Err(format!(
                "plane {index} has a stride of {stride} for {width} columns"
            ));
        }
        for (row, out) in out.chunks_exact_mut(width).take(height).enumerate() {
            // SAFETY: the library allocates `stride` bytes for each row of the picture, and
            // the width is not above the stride.
            let row = unsafe { std::slice::from_raw_parts(start.add(row * stride), width) };
            out.copy_from_slice(row);
        }
        Ok(())
    }
}

/// The library's errors are those of the system, negated.
fn is_again(code: c_int) -> bool {
    std::io::Error::from_raw_os_error(-code).kind() == std::io::ErrorKind::WouldBlock
}

fn problem(code: c_int) -> String {
    format!(
        "dav1d says {code} ({})",
        std::io::Error::from_raw_os_error(-code)
    )
}
