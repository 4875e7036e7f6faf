//! The calls into libvpx, made safe: every pointer that goes in is checked against
//! the slice it came from, everything that comes out is copied before the next call.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_long, c_ulong};
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use vpx_sys::{
    VP8_EFLAG_NO_REF_ARF, VP8_EFLAG_NO_REF_GF, VP8_EFLAG_NO_UPD_ARF, VP8_EFLAG_NO_UPD_ENTROPY,
    VP8_EFLAG_NO_UPD_GF, VP8_EFLAG_NO_UPD_LAST, VPX_DECODER_ABI_VERSION, VPX_DL_REALTIME,
    VPX_EFLAG_FORCE_KF, VPX_FRAME_IS_INVISIBLE, vp8_dec_control_id, vp8e_enc_control_id as control,
    vpx_codec_ctx, vpx_codec_cx_pkt_kind, vpx_codec_enc_cfg, vpx_codec_err_t, vpx_codec_iface_t,
    vpx_color_range, vpx_color_space, vpx_image, vpx_img_fmt,
};

use super::Kind;
use crate::media::clock::Timestamp;
use crate::media::convert::{Colours, Matrix, to_ours};
use crate::media::frame::Picture;
use crate::media::layers::{Scalability, Slot};

/// Ticks of the encoder's clock in a second.
const TICKS: u64 = 90_000;

/// What differs from one encoder to the next; everything else is the same for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) kind: Kind,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) kilobits: u32,
    /// 0 to 16 in VP8, 0 to 9 in VP9; higher is faster and uglier.
    pub(super) speed: u32,
    /// Largest key frame in percent of a frame's average size.
    pub(super) max_key_percent: u32,
    /// Layers of VP8.
    pub(super) scalability: Scalability,
}

impl Kind {
    fn encoder(self) -> *mut vpx_codec_iface_t {
        // SAFETY: both only give the address of a table that is never changed.
        unsafe {
            match self {
                Self::Vp8 => vpx_sys::vpx_codec_vp8_cx(),
                Self::Vp9 => vpx_sys::vpx_codec_vp9_cx(),
            }
        }
    }

    fn decoder(self) -> *mut vpx_codec_iface_t {
        // SAFETY: as above.
        unsafe {
            match self {
                Self::Vp8 => vpx_sys::vpx_codec_vp8_dx(),
                Self::Vp9 => vpx_sys::vpx_codec_vp9_dx(),
            }
        }
    }
}

/// A libvpx context that is destroyed with its owner.
struct Context(Box<vpx_codec_ctx>);

// SAFETY: a libvpx context has no ties to the thread that made it; it must not be
// used by two threads at once, which `&mut self` on every method below ensures.
unsafe impl Send for Context {}

impl Context {
    fn zeroed() -> Box<vpx_codec_ctx> {
        // SAFETY: all fields are pointers, integers, or the enum `vpx_codec_err_t`,
        // whose 0 is `VPX_CODEC_OK`; zero bytes are a valid value for each.
        unsafe { Box::new(MaybeUninit::zeroed().assume_init()) }
    }

    fn problem(&mut self, code: vpx_codec_err_t) -> String {
        // SAFETY: the context is initialised; both strings are static or live in it
        // until its next call, and are copied here. The detail may be null.
        unsafe {
            let short = CStr::from_ptr(vpx_sys::vpx_codec_err_to_string(code)).to_string_lossy();
            let detail = vpx_sys::vpx_codec_error_detail(&raw mut *self.0);
            if detail.is_null() {
                short.into_owned()
            } else {
                format!("{short}: {}", CStr::from_ptr(detail).to_string_lossy())
            }
        }
    }

    fn check(&mut self, code: vpx_codec_err_t) -> Result<(), String> {
        match code {
            vpx_codec_err_t::VPX_CODEC_OK => Ok(()),
            code => Err(self.problem(code)),
        }
    }

    fn control(&mut self, id: control, value: c_int) -> Result<(), String> {
        // SAFETY: the context is an initialised encoder, and every control used
        // here takes one `int` or `unsigned int`, which variadic calls pass alike.
        let code = unsafe { vpx_sys::vpx_codec_control_(&raw mut *self.0, id as c_int, value) };
        self.check(code)
            .map_err(|problem| format!("{id:?} {value}: {problem}"))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: a `Context` is made only after its initialisation succeeded, and
        // nothing that libvpx gave out outlives the call that got it.
        unsafe {
            vpx_sys::vpx_codec_destroy(&raw mut *self.0);
        }
    }
}

fn started(code: vpx_codec_err_t, context: Box<vpx_codec_ctx>) -> Result<Context, String> {
    match code {
        vpx_codec_err_t::VPX_CODEC_OK => Ok(Context(context)),
        code => {
            // SAFETY: the returned string is static.
            let word = unsafe { CStr::from_ptr(vpx_sys::vpx_codec_err_to_string(code)) };
            Err(word.to_string_lossy().into_owned())
        }
    }
}

/// An encoder.
pub(super) struct Encoder {
    context: Context,
    config: vpx_codec_enc_cfg,
    scalability: Scalability,
    ticks: u64,
}

// SAFETY: the configuration's only pointers are the two-pass statistics, null here.
unsafe impl Send for Encoder {}

impl Encoder {
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        if settings.width == 0
            || settings.height == 0
            || settings.width > 16_383
            || settings.height > 16_383
        {
            return Err(format!(
                "a picture of {}x{} is outside 1 to 16383 a side",
                settings.width, settings.height
            ));
        }
        let config = configuration(settings)?;
        let mut context = Context::zeroed();
        // SAFETY: context and configuration are valid for the call; libvpx copies the
        // configuration and keeps no pointer to ours. The version is the one that the
        // bindings were made from, and is compared by libvpx.
        let code = unsafe {
            vpx_sys::vpx_codec_enc_init_ver(
                &raw mut *context,
                settings.kind.encoder(),
                &raw const config,
                0,
                vpx_sys::VPX_ENCODER_ABI_VERSION as c_int,
            )
        };
        let mut context = started(code, context)?;
        for (id, value) in controls(settings) {
            context.control(id, value)?;
        }
        Ok(Self {
            context,
            config,
            scalability: settings.scalability,
            ticks: 0,
        })
    }

    pub(super) fn set_kilobits(&mut self, kilobits: u32) -> Result<(), String> {
        let before = self.config.rc_target_bitrate;
        set_rate(&mut self.config, self.scalability, kilobits);
        // SAFETY: both are valid for the call, and libvpx copies the configuration.
        let code = unsafe {
            vpx_sys::vpx_codec_enc_config_set(&raw mut *self.context.0, &raw const self.config)
        };
        let done = self.context.check(code);
        if done.is_err() {
            set_rate(&mut self.config, self.scalability, before);
        }
        done
    }

    /// Encodes one picture of the size that the encoder was opened with, in its place among
    /// layers; `None` where the rate control dropped it.
    pub(super) fn encode(
        &mut self,
        picture: &Picture,
        duration: Duration,
        key: bool,
        slot: Option<Slot>,
    ) -> Result<Option<Vec<u8>>, String> {
        let image = self.image(picture)?;
        let duration = (duration.as_micros() as u64 * TICKS / 1_000_000).max(1);
        let mut flags = if key { VPX_EFLAG_FORCE_KF as c_long } else { 0 };
        if let Some(slot) = slot {
            let id = c_int::from(slot.layer.id);
            self.context
                .control(control::VP8E_SET_TEMPORAL_LAYER_ID, id)?;
            // A key frame is kept wherever a picture can be.
            if !key {
                flags |= layer_flags(slot) as c_long;
            }
        }
        // SAFETY: the image's planes point into `picture`, which outlives the call and
        // was checked to hold the rows that strides and size tell; libvpx reads them
        // only (it copies the picture into its own buffers before it returns).
        let code = unsafe {
            vpx_sys::vpx_codec_encode(
                &raw mut *self.context.0,
                &raw const image,
                self.ticks as i64,
                duration as c_ulong,
                flags,
                VPX_DL_REALTIME as c_ulong,
            )
        };
        self.ticks += duration;
        self.context.check(code)?;
        Ok(self.take_packets())
    }

    fn take_packets(&mut self) -> Option<Vec<u8>> {
        let mut data: Option<Vec<u8>> = None;
        let mut iterator = ptr::null();
        loop {
            // SAFETY: the iterator starts null and is only ever moved by libvpx.
            let packet = unsafe {
                vpx_sys::vpx_codec_get_cx_data(&raw mut *self.context.0, &raw mut iterator).as_ref()
            };
            let Some(packet) = packet else { return data };
            if packet.kind != vpx_codec_cx_pkt_kind::VPX_CODEC_CX_FRAME_PKT {
                continue;
            }
            // SAFETY: the kind says which member of the union is set; its buffer holds
            // `sz` bytes until the next call on this context, and is copied here.
            let bytes = unsafe {
                let frame = packet.data.frame;
                let unseen = frame.flags & VPX_FRAME_IS_INVISIBLE != 0;
                if frame.buf.is_null() || frame.sz == 0 || unseen {
                    continue;
                }
                std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz as usize)
            };
            data.get_or_insert_default().extend_from_slice(bytes);
        }
    }

    fn image(&self, picture: &Picture) -> Result<vpx_image, String> {
        let (width, height) = (picture.width, picture.height);
        if (width, height) != (self.config.g_w, self.config.g_h) {
            return Err(format!(
                "a picture of {width}x{height} given to an encoder of {}x{}",
                self.config.g_w, self.config.g_h
            ));
        }
        let chroma = picture.chroma_stride() * picture.chroma_rows();
        if picture.y.len() < width as usize * height as usize
            || picture.u.len() < chroma
            || picture.v.len() < chroma
        {
            return Err(format!("a picture of {width}x{height} lacks rows"));
        }
        // SAFETY: every field is an integer, a pointer or an enum that has a 0.
        let mut image: vpx_image = unsafe { MaybeUninit::zeroed().assume_init() };
        image.fmt = vpx_img_fmt::VPX_IMG_FMT_I420;
        (image.w, image.h, image.d_w, image.d_h) = (width, height, width, height);
        (image.x_chroma_shift, image.y_chroma_shift) = (1, 1);
        (image.bit_depth, image.bps) = (8, 12);
        let chroma_stride = picture.chroma_stride() as c_int;
        image.stride = [width as c_int, chroma_stride, chroma_stride, 0];
        image.planes = [
            picture.y.as_ptr().cast_mut(),
            picture.u.as_ptr().cast_mut(),
            picture.v.as_ptr().cast_mut(),
            ptr::null_mut(),
        ];
        Ok(image)
    }
}

/// What is set by controls: VP9 spends its bits where the eye is (the cyclic refresh of
/// `AQ_MODE` 3) and uses neither threads within a frame nor tiles, which would need more
/// than our one core; the noise filter is off in both, for it costs a third of the time.
fn controls(settings: &Settings) -> Vec<(control, c_int)> {
    let speed = settings.speed as c_int;
    let most = c_int::try_from(settings.max_key_percent).unwrap_or(c_int::MAX);
    let mut controls = vec![
        (control::VP8E_SET_STATIC_THRESHOLD, 1),
        (control::VP8E_SET_MAX_INTRA_BITRATE_PCT, most),
    ];
    controls.extend(match settings.kind {
        Kind::Vp8 => [
            (control::VP8E_SET_CPUUSED, -speed.min(16)),
            (control::VP8E_SET_NOISE_SENSITIVITY, 0),
            (control::VP8E_SET_TOKEN_PARTITIONS, 0),
        ]
        .to_vec(),
        Kind::Vp9 => [
            (control::VP8E_SET_CPUUSED, speed.min(9)),
            (control::VP9E_SET_NOISE_SENSITIVITY, 0),
            (control::VP9E_SET_AQ_MODE, 3),
            (control::VP9E_SET_ROW_MT, 0),
            (control::VP9E_SET_TILE_COLUMNS, 0),
            (
                control::VP9E_SET_COLOR_SPACE,
                vpx_color_space::VPX_CS_BT_601 as c_int,
            ),
            (control::VP9E_SET_FRAME_PARALLEL_DECODING, 0),
        ]
        .to_vec(),
    });
    controls
}

/// Layer 0 lives in the buffer of the last picture, the middle one in the golden one; nothing
/// that may be left out changes what the entropy coder knows.
fn layer_flags(slot: Slot) -> u32 {
    let mut flags = VP8_EFLAG_NO_REF_ARF | VP8_EFLAG_NO_UPD_ARF;
    if !slot.reads_middle {
        flags |= VP8_EFLAG_NO_REF_GF;
    }
    let base = slot.layer.id == 0;
    if !base {
        flags |= VP8_EFLAG_NO_UPD_LAST | VP8_EFLAG_NO_UPD_ENTROPY;
    }
    if base || !slot.kept {
        flags |= VP8_EFLAG_NO_UPD_GF;
    }
    flags
}

fn set_rate(config: &mut vpx_codec_enc_cfg, scalability: Scalability, kilobits: u32) {
    config.rc_target_bitrate = kilobits;
    if scalability == Scalability::L1T1 {
        return;
    }
    for (rate, share) in config
        .ts_target_bitrate
        .iter_mut()
        .zip(scalability.shares())
    {
        *rate = (kilobits * share / 100).max(1);
    }
}

/// What libwebrtc asks of libvpx for a camera: constant rate, one pass, no lag, a
/// buffer of a second, frames dropped at 30 % of it. Error resilience is off: a lost frame
/// is resent or followed by a key frame, and layers keep the entropy coder out of danger.
fn configuration(settings: &Settings) -> Result<vpx_codec_enc_cfg, String> {
    let mut config = MaybeUninit::<vpx_codec_enc_cfg>::uninit();
    // SAFETY: on success libvpx has written every field of its default configuration.
    let mut config = unsafe {
        let code =
            vpx_sys::vpx_codec_enc_config_default(settings.kind.encoder(), config.as_mut_ptr(), 0);
        if code != vpx_codec_err_t::VPX_CODEC_OK {
            return Err(format!(
                "libvpx was built without its {:?} encoder",
                settings.kind
            ));
        }
        config.assume_init()
    };
    config.g_w = settings.width;
    config.g_h = settings.height;
    config.g_threads = 1;
    config.g_timebase = vpx_sys::vpx_rational {
        num: 1,
        den: TICKS as c_int,
    };
    config.g_error_resilient = 0;
    config.g_pass = vpx_sys::vpx_enc_pass::VPX_RC_ONE_PASS;
    config.g_lag_in_frames = 0;
    // A rate that changes with the path would cost pictures each time; what is too much waits in the pacer, which asks for a pause
    // where that takes too long.
    config.rc_dropframe_thresh = 0;
    config.rc_resize_allowed = 0;
    config.rc_end_usage = vpx_sys::vpx_rc_mode::VPX_CBR;
    config.rc_target_bitrate = settings.kilobits;
    config.rc_min_quantizer = 2;
    config.rc_max_quantizer = 56;
    (config.rc_undershoot_pct, config.rc_overshoot_pct) = match settings.kind {
        Kind::Vp8 => (100, 15),
        Kind::Vp9 => (50, 50),
    };
    config.rc_buf_initial_sz = 500;
    config.rc_buf_optimal_sz = 600;
    config.rc_buf_sz = 1000;
    config.kf_mode = vpx_sys::vpx_kf_mode::VPX_KF_AUTO;
    config.kf_max_dist = 3000;
    let layers = settings.scalability.shares().len() as u32;
    if layers > 1 {
        let pattern = settings.scalability.pattern();
        config.ts_number_layers = layers;
        config.ts_periodicity = pattern.len() as u32;
        for (id, slot) in config.ts_layer_id.iter_mut().zip(pattern) {
            *id = u32::from(slot.layer.id);
        }
        for (layer, part) in config
            .ts_rate_decimator
            .iter_mut()
            .take(layers as usize)
            .enumerate()
        {
            *part = 1 << (layers as usize - 1 - layer);
        }
        set_rate(&mut config, settings.scalability, settings.kilobits);
    }
    Ok(config)
}

/// A decoder.
pub(super) struct Decoder {
    context: Context,
    /// Whether the last frame said what its colours mean.
    pub(super) knows_colours: bool,
}

impl Decoder {
    pub(super) fn new(kind: Kind) -> Result<Self, String> {
        let mut context = Context::zeroed();
        let config = vpx_sys::vpx_codec_dec_cfg {
            threads: 1,
            w: 0,
            h: 0,
        };
        // SAFETY: as for the encoder; libvpx copies this configuration as well.
        let code = unsafe {
            vpx_sys::vpx_codec_dec_init_ver(
                &raw mut *context,
                kind.decoder(),
                &raw const config,
                0,
                VPX_DECODER_ABI_VERSION as c_int,
            )
        };
        Ok(Self {
            context: started(code, context)?,
            knows_colours: false,
        })
    }

    pub(super) fn decode(
        &mut self,
        frame: &[u8],
        at: Timestamp,
    ) -> Result<Option<Picture>, String> {
        let size =
            u32::try_from(frame.len()).map_err(|_| "the frame is larger than 4 GiB".to_owned())?;
        // SAFETY: pointer and size are those of one slice, which is only read, and only
        // during the call.
        let code = unsafe {
            vpx_sys::vpx_codec_decode(
                &raw mut *self.context.0,
                frame.as_ptr(),
                size,
                ptr::null_mut(),
                0,
            )
        };
        let decoded = self.context.check(code);
        // Taken even after a failure, so that it does not come out for the next frame.
        let picture = self.take_picture(at);
        decoded?;
        if self.is_corrupted() {
            return Err("parts of it could not be decoded".into());
        }
        picture
    }

    /// Whether the last picture, or one that it refers to, is not as it was encoded.
    fn is_corrupted(&mut self) -> bool {
        let mut corrupted: c_int = 0;
        // SAFETY: the context is an initialised decoder, and this control takes a pointer
        // to an `int` that it writes during the call.
        let code = unsafe {
            vpx_sys::vpx_codec_control_(
                &raw mut *self.context.0,
                vp8_dec_control_id::VP8D_GET_FRAME_CORRUPTED as c_int,
                &raw mut corrupted,
            )
        };
        // Without a picture yet there is nothing to ask about.
        code == vpx_codec_err_t::VPX_CODEC_OK && corrupted != 0
    }

    fn take_picture(&mut self, at: Timestamp) -> Result<Option<Picture>, String> {
        let mut iterator = ptr::null();
        // SAFETY: the iterator starts null; the image lives in the context until its
        // next call, and is copied before that.
        let image = unsafe {
            vpx_sys::vpx_codec_get_frame(&raw mut *self.context.0, &raw mut iterator).as_ref()
        };
        let Some(image) = image else { return Ok(None) };
        if image.fmt != vpx_img_fmt::VPX_IMG_FMT_I420 {
            return Err(format!("unexpected pixel format {:?}", image.fmt));
        }
        let (width, height) = (image.d_w, image.d_h);
        let plane = |index: usize, width: u32, height: u32| {
            copy_plane(image, index, width as usize, height as usize)
        };
        let mut picture = Picture {
            width,
            height,
            y: plane(0, width, height)?,
            u: plane(1, width.div_ceil(2), height.div_ceil(2))?,
            v: plane(2, width.div_ceil(2), height.div_ceil(2))?,
            at,
        };
        self.knows_colours = image.cs != vpx_color_space::VPX_CS_UNKNOWN;
        to_ours(&mut picture, colours(image));
        Ok(Some(picture))
    }
}

/// What a VP9 key frame says of its colours; VP8 knows BT.601 alone (RFC 6386, section 9.2).
fn colours(image: &vpx_image) -> Colours {
    Colours {
        matrix: match image.cs {
            vpx_color_space::VPX_CS_BT_709 => Matrix::Bt709,
            vpx_color_space::VPX_CS_BT_2020 => Matrix::Bt2020,
            _ => Matrix::Bt601,
        },
        full_range: image.range == vpx_color_range::VPX_CR_FULL_RANGE,
    }
}

fn copy_plane(
    image: &vpx_image,
    index: usize,
    width: usize,
    height: usize,
) -> Result<Vec<u8>, String> {
    let stride = usize::try_from(image.stride[index]).unwrap_or(0);
    let start = image.planes[index];
    if start.is_null() || stride < width {
        return Err(format!(
            "plane {index} has a stride of {stride} for {width} columns"
        ));
    }
    let mut plane = Vec::with_capacity(width * height);
    for row in 0..height {
        // SAFETY: libvpx allocates `stride` bytes for each of the displayed rows of a
        // plane, and `width` is not above the stride.
        let row = unsafe { std::slice::from_raw_parts(start.add(row * stride), width) };
        plane.extend_from_slice(row);
    }
    Ok(plane)
}
