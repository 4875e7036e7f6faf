//! The calls into libaom, made safe: every pointer that goes in is checked against the
//! slice it came from, everything that comes out is copied before the next call.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_long, c_ulong};
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use rtc_av1_sys::aom::{self, aom_codec_ctx, aom_codec_enc_cfg, aom_codec_err_t, aom_image};

use crate::media::frame::Picture;

/// Ticks of the encoder's clock in a second.
const TICKS: u64 = 90_000;

/// What differs from one encoder to the next; everything else is the same for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) kilobits: u32,
    /// 5 to 10; higher is faster and uglier.
    pub(super) speed: u32,
    /// Largest key frame in percent of a frame's average size.
    pub(super) max_key_percent: u32,
}

/// A libaom context that is destroyed with its owner.
struct Context(Box<aom_codec_ctx>);

// SAFETY: a libaom context has no ties to the thread that made it; it must not be used by
// two threads at once, which `&mut self` on every method below ensures.
unsafe impl Send for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: a `Context` is made only after its initialisation succeeded, and nothing
        // that libaom gave out outlives the call that got it.
        unsafe {
            aom::aom_codec_destroy(&raw mut *self.0);
        }
    }
}

impl Context {
    fn check(&mut self, code: aom_codec_err_t) -> Result<(), String> {
        if code == aom::AOM_CODEC_OK {
            return Ok(());
        }
        // SAFETY: the context is initialised; the string lives in it until its next call,
        // and is copied here. It may be null.
        let detail = unsafe {
            let detail = aom::aom_codec_error_detail(&raw mut *self.0);
            (!detail.is_null()).then(|| CStr::from_ptr(detail).to_string_lossy())
        };
        Err(match detail {
            Some(detail) => format!("{}: {detail}", word(code)),
            None => word(code),
        })
    }

    fn control(&mut self, id: aom::aome_enc_control_id, value: c_int) -> Result<(), String> {
        // SAFETY: the context is an initialised encoder, and every control used here takes
        // one `int` or `unsigned int`, which variadic calls pass alike.
        let code = unsafe { aom::aom_codec_control(&raw mut *self.0, id as c_int, value) };
        self.check(code)
            .map_err(|problem| format!("control {id} to {value}: {problem}"))
    }
}

fn word(code: aom_codec_err_t) -> String {
    // SAFETY: the string is static.
    let word = unsafe { CStr::from_ptr(aom::aom_codec_err_to_string(code)) };
    word.to_string_lossy().into_owned()
}

/// An encoder.
pub(super) struct Encoder {
    context: Context,
    config: aom_codec_enc_cfg,
    ticks: u64,
}

// SAFETY: the configuration's only pointers are the two-pass statistics, null here.
unsafe impl Send for Encoder {}

impl Encoder {
    pub(super) fn new(settings: &Settings) -> Result<Self, String> {
        let sides = 1..=16_383;
        if !sides.contains(&settings.width) || !sides.contains(&settings.height) {
            return Err(format!(
                "a picture of {}x{} is outside 1 to 16383 a side",
                settings.width, settings.height
            ));
        }
        let config = configuration(settings)?;
        // SAFETY: all fields are integers and pointers, for which zero bytes are valid.
        let mut context: Box<aom_codec_ctx> =
            unsafe { Box::new(MaybeUninit::zeroed().assume_init()) };
        // SAFETY: context and configuration are valid for the call; libaom copies the
        // configuration and keeps no pointer to ours. The version is the one that the
        // declarations were made from, and is compared by libaom.
        let code = unsafe {
            aom::aom_codec_enc_init_ver(
                &raw mut *context,
                aom::aom_codec_av1_cx(),
                &raw const config,
                0,
                aom::AOM_ENCODER_ABI_VERSION as c_int,
            )
        };
        if code != aom::AOM_CODEC_OK {
            return Err(word(code));
        }
        let mut context = Context(context);
        for (id, value) in controls(settings) {
            context.control(id, value)?;
        }
        Ok(Self {
            context,
            config,
            ticks: 0,
        })
    }

    pub(super) fn set_kilobits(&mut self, kilobits: u32) -> Result<(), String> {
        let before = std::mem::replace(&mut self.config.rc_target_bitrate, kilobits);
        // SAFETY: both are valid for the call, and libaom copies the configuration.
        let code = unsafe {
            aom::aom_codec_enc_config_set(&raw mut *self.context.0, &raw const self.config)
        };
        let done = self.context.check(code);
        if done.is_err() {
            self.config.rc_target_bitrate = before;
        }
        done
    }

    /// Encodes one picture of the size that the encoder was opened with into a temporal
    /// unit; `None` where the rate control dropped it.
    pub(super) fn encode(
        &mut self,
        picture: &Picture,
        duration: Duration,
        key: bool,
    ) -> Result<Option<Vec<u8>>, String> {
        let image = self.image(picture)?;
        let duration = (duration.as_micros() as u64 * TICKS / 1_000_000).max(1);
        let flags = if key { aom::AOM_EFLAG_FORCE_KF } else { 0 };
        // SAFETY: the image's planes point into `picture`, which outlives the call and was
        // checked to hold the rows that strides and size tell; libaom reads them only (it
        // copies the picture into its own buffers before it returns).
        let code = unsafe {
            aom::aom_codec_encode(
                &raw mut *self.context.0,
                &raw const image,
                self.ticks as i64,
                duration as c_ulong,
                c_long::from(flags as c_int),
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
            // SAFETY: the iterator starts null and is only ever moved by libaom.
            let packet = unsafe {
                aom::aom_codec_get_cx_data(&raw mut *self.context.0, &raw mut iterator).as_ref()
            };
            let Some(packet) = packet else { return data };
            if packet.kind != aom::AOM_CODEC_CX_FRAME_PKT {
                continue;
            }
            // SAFETY: the kind says which member of the union is set; its buffer holds `sz`
            // bytes until the next call on this context, and is copied here.
            let bytes = unsafe {
                let frame = packet.data.frame;
                if frame.buf.is_null() || frame.sz == 0 {
                    continue;
                }
                std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz)
            };
            data.get_or_insert_default().extend_from_slice(bytes);
        }
    }

    fn image(&self, picture: &Picture) -> Result<aom_image, String> {
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
        // SAFETY: every field is an integer or a pointer.
        let mut image: aom_image = unsafe { MaybeUninit::zeroed().assume_init() };
        image.fmt = aom::AOM_IMG_FMT_I420;
        (image.w, image.h, image.d_w, image.d_h) = (width, height, width, height);
        (image.x_chroma_shift, image.y_chroma_shift) = (1, 1);
        (image.bit_depth, image.bps) = (8, 12);
        let chroma_stride = picture.chroma_stride() as c_int;
        image.stride = [width as c_int, chroma_stride, chroma_stride];
        image.planes = [
            picture.y.as_ptr().cast_mut(),
            picture.u.as_ptr().cast_mut(),
            picture.v.as_ptr().cast_mut(),
        ];
        Ok(image)
    }
}

/// What is set by controls: bits go where the eye is (the cyclic refresh of `AQ_MODE` 3);
/// tools that pay only with time to search for them, or that only film has, are off, as in
/// other encoders of calls.
fn controls(settings: &Settings) -> Vec<(aom::aome_enc_control_id, c_int)> {
    let most = c_int::try_from(settings.max_key_percent).unwrap_or(c_int::MAX);
    let mut controls = vec![
        (aom::AOME_SET_CPUUSED, settings.speed.min(10) as c_int),
        (aom::AOME_SET_MAX_INTRA_BITRATE_PCT, most),
        (aom::AV1E_SET_AQ_MODE, 3),
        // Probabilities are adapted in every frame, their costs to the encoder seldom.
        (aom::AV1E_SET_CDF_UPDATE_MODE, 1),
        (aom::AV1E_SET_COEFF_COST_UPD_FREQ, 3),
        (aom::AV1E_SET_MODE_COST_UPD_FREQ, 3),
        (aom::AV1E_SET_MV_COST_UPD_FREQ, 3),
        (aom::AV1E_SET_DISABLE_TRELLIS_QUANT, 1),
        (aom::AV1E_SET_INTRA_DEFAULT_TX_ONLY, 1),
        (aom::AV1E_SET_ENABLE_CDEF, 1),
        (aom::AV1E_SET_MAX_REFERENCE_FRAMES, 3),
    ];
    let off = [
        aom::AV1E_SET_DELTAQ_MODE,
        aom::AV1E_SET_ENABLE_TPL_MODEL,
        aom::AV1E_SET_ENABLE_ORDER_HINT,
        aom::AV1E_SET_ENABLE_OBMC,
        aom::AV1E_SET_NOISE_SENSITIVITY,
        aom::AV1E_SET_ENABLE_WARPED_MOTION,
        aom::AV1E_SET_ENABLE_GLOBAL_MOTION,
        aom::AV1E_SET_ENABLE_REF_FRAME_MVS,
        aom::AV1E_SET_ENABLE_CFL_INTRA,
        aom::AV1E_SET_ENABLE_SMOOTH_INTRA,
        aom::AV1E_SET_ENABLE_ANGLE_DELTA,
        aom::AV1E_SET_ENABLE_FILTER_INTRA,
        aom::AV1E_SET_ENABLE_DIST_WTD_COMP,
        aom::AV1E_SET_ENABLE_DIFF_WTD_COMP,
        aom::AV1E_SET_ENABLE_DUAL_FILTER,
        aom::AV1E_SET_ENABLE_INTERINTRA_COMP,
        aom::AV1E_SET_ENABLE_INTERINTRA_WEDGE,
        aom::AV1E_SET_ENABLE_INTRA_EDGE_FILTER,
        aom::AV1E_SET_ENABLE_INTRABC,
        aom::AV1E_SET_ENABLE_MASKED_COMP,
        aom::AV1E_SET_ENABLE_PAETH_INTRA,
        aom::AV1E_SET_ENABLE_QM,
        aom::AV1E_SET_ENABLE_RECT_PARTITIONS,
        aom::AV1E_SET_ENABLE_RESTORATION,
        aom::AV1E_SET_ENABLE_SMOOTH_INTERINTRA,
        aom::AV1E_SET_ENABLE_TX64,
        aom::AV1E_SET_TILE_COLUMNS,
        aom::AV1E_SET_TILE_ROWS,
        aom::AV1E_SET_ROW_MT,
    ];
    controls.extend(off.map(|id| (id, 0)));
    controls
}

/// What is asked of libvpx, too: constant rate, one pass, no lag, a buffer of a second,
/// frames dropped at 30 % of it. Key frames come where they are asked for, and no others.
fn configuration(settings: &Settings) -> Result<aom_codec_enc_cfg, String> {
    let mut config = MaybeUninit::<aom_codec_enc_cfg>::uninit();
    // SAFETY: on success libaom has written every field of its default configuration.
    let mut config = unsafe {
        let code = aom::aom_codec_enc_config_default(
            aom::aom_codec_av1_cx(),
            config.as_mut_ptr(),
            aom::AOM_USAGE_REALTIME,
        );
        if code != aom::AOM_CODEC_OK {
            return Err(format!("no settings for real time: {}", word(code)));
        }
        config.assume_init()
    };
    config.g_w = settings.width;
    config.g_h = settings.height;
    config.g_threads = 1;
    config.g_timebase = aom::aom_rational {
        num: 1,
        den: TICKS as c_int,
    };
    config.g_error_resilient = 0;
    config.g_pass = aom::AOM_RC_ONE_PASS;
    config.g_lag_in_frames = 0;
    // A rate that changes with the path would cost pictures each time; what is too much waits in the pacer, which asks for a pause
    // where that takes too long.
    config.rc_dropframe_thresh = 0;
    config.rc_resize_mode = 0;
    config.rc_end_usage = aom::AOM_CBR;
    config.rc_target_bitrate = settings.kilobits;
    config.rc_min_quantizer = 10;
    config.rc_max_quantizer = 56;
    (config.rc_undershoot_pct, config.rc_overshoot_pct) = (50, 50);
    config.rc_buf_initial_sz = 500;
    config.rc_buf_optimal_sz = 600;
    config.rc_buf_sz = 1000;
    config.kf_mode = aom::AOM_KF_DISABLED;
    Ok(config)
}
