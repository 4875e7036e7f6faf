//! Encoded frames to RTP payloads.

use bytes::{BufMut, Bytes, BytesMut};

use crate::media::layers::TemporalLayer;

mod av1;
mod vp9;

pub(super) use av1::av1;
pub(super) use vp9::Vp9;

/// The largest RTP payload: with IPv6, UDP, SRTP and header extensions it stays
/// under the 1280 bytes that every path carries (RFC 8200 section 5).
pub const MAX_PAYLOAD: usize = 1180;

/// Cuts VP8 frames (RFC 7741).
#[derive(Debug)]
pub(super) struct Vp8 {
    picture_id: u16,
    /// Pictures of layer 0, and key frames, as far as layers were made.
    base: u8,
    keys: u8,
}

impl Vp8 {
    /// Picture ids count from here, modulo 2^15.
    pub(super) const fn new(first_picture_id: u16) -> Self {
        Self {
            picture_id: first_picture_id & 0x7fff,
            base: 0,
            keys: 0,
        }
    }

    /// The payloads of one frame; the last one gets the marker. Its place among temporal layers is told where it has one
    /// (section 4.2).
    pub(super) fn packetize(
        &mut self,
        frame: &Bytes,
        key: bool,
        layer: Option<TemporalLayer>,
    ) -> Vec<Bytes> {
        // X | I | M, so that the picture id has 15 bits from the first one on; then L, T and K.
        const DESCRIPTOR: usize = 6;
        let id = self.picture_id;
        self.picture_id = (id + 1) & 0x7fff;
        let layers = layer.map(|layer| self.layers(key, layer));
        even_parts(frame, MAX_PAYLOAD - DESCRIPTOR)
            .into_iter()
            .enumerate()
            .map(|(index, part)| {
                let mut payload = BytesMut::with_capacity(DESCRIPTOR + part.len());
                let start = if index == 0 { 0x10 } else { 0 };
                payload.put_u8(0x80 | start);
                payload.put_u8(if layers.is_some() { 0xf0 } else { 0x80 });
                payload.put_u16(0x8000 | id);
                payload.put_slice(layers.as_ref().map_or(&[], |layers| &layers[..]));
                payload.put_slice(part);
                payload.freeze()
            })
            .collect()
    }

    /// TL0PICIDX, then TID, Y and KEYIDX.
    fn layers(&mut self, key: bool, layer: TemporalLayer) -> [u8; 2] {
        if layer.id == 0 {
            self.base = self.base.wrapping_add(1);
        }
        self.keys = self.keys.wrapping_add(u8::from(key)) & 0x1f;
        let place = layer.id.min(3) << 6 | u8::from(layer.sync) << 5;
        [self.base, place | self.keys]
    }
}

/// The payloads of one H.264 access unit in Annex B form (RFC 6184).
///
/// `single_nal` is packetization mode 0: NAL units larger than [`MAX_PAYLOAD`] cannot be
/// sent in it; they are left out and counted in the second value.
pub(super) fn h264(access_unit: &Bytes, single_nal: bool) -> (Vec<Bytes>, usize) {
    const FU_A: u8 = 28;
    const AUD: u8 = 9;
    let mut payloads = Vec::new();
    let mut unsendable = 0;
    for nal in nal_units(access_unit) {
        let Some(&header) = nal.first() else { continue };
        if header & 0x1f == AUD {
            continue;
        }
        if nal.len() <= MAX_PAYLOAD {
            payloads.push(access_unit.slice_ref(nal));
            continue;
        }
        if single_nal {
            unsendable += 1;
            continue;
        }
        let parts = even_parts(&nal[1..], MAX_PAYLOAD - 2);
        let last = parts.len() - 1;
        for (index, part) in parts.into_iter().enumerate() {
            let mut payload = BytesMut::with_capacity(2 + part.len());
            payload.put_u8(header & 0xe0 | FU_A);
            let start = if index == 0 { 0x80 } else { 0 };
            let end = if index == last { 0x40 } else { 0 };
            payload.put_u8(start | end | header & 0x1f);
            payload.put_slice(part);
            payloads.push(payload.freeze());
        }
    }
    (payloads, unsendable)
}

/// The NAL units of an Annex B byte stream, without start codes and trailing zeros.
pub(super) fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let nal = rest?;
        let end = find_start_code(nal).unwrap_or(nal.len());
        rest = after_start_code(&nal[end..]);
        let trailing = nal[..end].iter().rev().take_while(|b| **b == 0).count();
        Some(&nal[..end - trailing])
    })
    .filter(|nal| !nal.is_empty())
}

fn find_start_code(bytes: &[u8]) -> Option<usize> {
    bytes.windows(3).position(|window| window == [0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    find_start_code(bytes).map(|at| &bytes[at + 3..])
}

/// Cuts bytes into the fewest parts not above `max`, of nearly equal size: a last packet
/// of a few bytes costs as much as a full one.
fn even_parts(bytes: &[u8], max: usize) -> Vec<&[u8]> {
    let count = bytes.len().div_ceil(max).max(1);
    let size = bytes.len().div_ceil(count).max(1);
    bytes.chunks(size).collect()
}

#[cfg(test)]
mod tests;
