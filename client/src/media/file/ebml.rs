//! The primitives of EBML (RFC 8794): element ids, sizes, values; and the ids of
//! Matroska (RFC 9559) that are read or written.

/// A size field that says "unknown" in eight bytes (RFC 8794, section 6.2).
pub(crate) const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/// Declares element ids.
macro_rules! ids {
    ($($name:ident = $id:literal;)*) => { $(pub(crate) const $name: u32 = $id;)* };
}

/// Element ids by their names in the specification.
pub(crate) mod id {
    ids! {
        EBML = 0x1a45_dfa3;
        EBML_VERSION = 0x4286;
        EBML_READ_VERSION = 0x42f7;
        EBML_MAX_ID_LENGTH = 0x42f2;
        EBML_MAX_SIZE_LENGTH = 0x42f3;
        DOC_TYPE = 0x4282;
        DOC_TYPE_VERSION = 0x4287;
        DOC_TYPE_READ_VERSION = 0x4285;
        VOID = 0xec;
        SEGMENT = 0x1853_8067;
        SEEK_HEAD = 0x114d_9b74;
        SEEK = 0x4dbb;
        SEEK_ID = 0x53ab;
        SEEK_POSITION = 0x53ac;
        INFO = 0x1549_a966;
        TIMESTAMP_SCALE = 0x002a_d7b1;
        DURATION = 0x4489;
        MUXING_APP = 0x4d80;
        WRITING_APP = 0x5741;
        TRACKS = 0x1654_ae6b;
        TRACK_ENTRY = 0xae;
        TRACK_NUMBER = 0xd7;
        TRACK_UID = 0x73c5;
        TRACK_TYPE = 0x83;
        FLAG_LACING = 0x9c;
        TRACK_NAME = 0x536e;
        CODEC_ID = 0x86;
        CODEC_PRIVATE = 0x63a2;
        CODEC_DELAY = 0x56aa;
        SEEK_PRE_ROLL = 0x56bb;
        DEFAULT_DURATION = 0x0023_e383;
        CONTENT_ENCODINGS = 0x6d80;
        CONTENT_ENCODING = 0x6240;
        CONTENT_COMPRESSION = 0x5034;
        CONTENT_COMP_ALGO = 0x4254;
        CONTENT_COMP_SETTINGS = 0x4255;
        CONTENT_ENCRYPTION = 0x5035;
        VIDEO = 0xe0;
        PIXEL_WIDTH = 0xb0;
        PIXEL_HEIGHT = 0xba;
        AUDIO = 0xe1;
        SAMPLING_FREQUENCY = 0xb5;
        CHANNELS = 0x9f;
        BIT_DEPTH = 0x6264;
        CLUSTER = 0x1f43_b675;
        TIMESTAMP = 0xe7;
        SIMPLE_BLOCK = 0xa3;
        BLOCK_GROUP = 0xa0;
        BLOCK = 0xa1;
        BLOCK_DURATION = 0x9b;
        CUES = 0x1c53_bb6b;
        CUE_POINT = 0xbb;
        CUE_TIME = 0xb3;
        CUE_TRACK_POSITIONS = 0xb7;
        CUE_TRACK = 0xf7;
        CUE_CLUSTER_POSITION = 0xf1;
    }
}

/// How many bytes a field has whose first byte is this; `None` if it is no field.
pub(crate) const fn field_length(first: u8) -> Option<usize> {
    match first.leading_zeros() {
        8 => None,
        zeros => Some(zeros as usize + 1),
    }
}

/// The value of a size field; `None` for "unknown".
pub(crate) fn size_value(field: &[u8]) -> Option<u64> {
    let first = *field.first()?;
    let length = field_length(first)?;
    let mask = 0xff_u64 >> length;
    let value = field
        .iter()
        .skip(1)
        .fold(u64::from(first) & mask, |n, b| n << 8 | u64::from(*b));
    let all_ones = (1_u64 << (7 * length)) - 1;
    (value != all_ones).then_some(value)
}

/// An unsigned value; bytes beyond eight are an error of the file and are left out.
pub(crate) fn uint(body: &[u8]) -> u64 {
    body.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

/// A floating-point value of four or eight bytes.
pub(crate) fn float(body: &[u8]) -> Option<f64> {
    match body.len() {
        4 => Some(f64::from(f32::from_be_bytes(body.try_into().ok()?))),
        8 => Some(f64::from_be_bytes(body.try_into().ok()?)),
        _ => None,
    }
}

/// Text, up to its padding.
pub(crate) fn text(body: &[u8]) -> String {
    let end = body.iter().position(|b| *b == 0).unwrap_or(body.len());
    String::from_utf8_lossy(&body[..end]).into_owned()
}

/// The elements inside a body that is in memory; ends at the first broken one.
pub(crate) struct Elements<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let id_length = field_length(*self.0.first()?).filter(|length| *length <= 4)?;
        let (id, rest) = self.0.split_at_checked(id_length)?;
        let size_length = field_length(*rest.first()?)?;
        let (size, rest) = rest.split_at_checked(size_length)?;
        let size = usize::try_from(size_value(size)?).ok()?;
        let (body, rest) = rest.split_at_checked(size)?;
        self.0 = rest;
        Some((u32::try_from(uint(id)).ok()?, body))
    }
}

/// Writes elements one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    /// An element with these bytes.
    pub(crate) fn binary(&mut self, id: u32, body: &[u8]) -> &mut Self {
        self.header(id, body.len() as u64);
        self.0.extend_from_slice(body);
        self
    }

    /// An id and a size in its shortest form.
    pub(crate) fn header(&mut self, id: u32, size: u64) -> &mut Self {
        self.id(id);
        // All ones mean "unknown", hence the `- 1`.
        let length = (1..8)
            .find(|n| size < (1_u64 << (7 * n)) - 1)
            .unwrap_or(8_usize);
        self.0.extend_from_slice(&size_field(size, length));
        self
    }

    /// An id alone.
    pub(crate) fn id(&mut self, id: u32) -> &mut Self {
        let bytes = id.to_be_bytes();
        let from = bytes.iter().position(|b| *b != 0).unwrap_or(3);
        self.0.extend_from_slice(&bytes[from..]);
        self
    }

    /// An unsigned value in its shortest form.
    pub(crate) fn uint(&mut self, id: u32, value: u64) -> &mut Self {
        let bytes = value.to_be_bytes();
        let from = bytes.iter().position(|b| *b != 0).unwrap_or(7);
        self.binary(id, &bytes[from..])
    }

    /// An unsigned value in eight bytes, to be overwritten in place later.
    pub(crate) fn uint8(&mut self, id: u32, value: u64) -> &mut Self {
        self.binary(id, &value.to_be_bytes())
    }

    /// A floating-point value in eight bytes.
    pub(crate) fn float(&mut self, id: u32, value: f64) -> &mut Self {
        self.binary(id, &value.to_be_bytes())
    }

    /// Text.
    pub(crate) fn text(&mut self, id: u32, text: &str) -> &mut Self {
        self.binary(id, text.as_bytes())
    }

    /// An element that holds elements.
    pub(crate) fn master(&mut self, id: u32, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        fill(&mut inner);
        self.binary(id, &inner.0)
    }

    /// A void element that takes exactly `total` bytes, at least 2.
    pub(crate) fn void(&mut self, total: usize) -> &mut Self {
        self.id(id::VOID);
        // A size field of one byte for the smallest, of eight for all others.
        let length = if total < 9 { 1 } else { 8 };
        let body = total.saturating_sub(1 + length);
        self.0.extend_from_slice(&size_field(body as u64, length));
        self.0.resize(self.0.len() + body, 0);
        self
    }
}

/// A size in a field of this length.
pub(crate) fn size_field(size: u64, length: usize) -> Vec<u8> {
    let marked = size | 1_u64 << (7 * length);
    marked.to_be_bytes()[8 - length..].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_and_unknown_sizes_are_told_apart() {
        assert_eq!(size_value(&[0x81]), Some(1));
        assert_eq!(size_value(&[0x40, 0x02]), Some(2));
        assert_eq!(size_value(&[0xff]), None);
        assert_eq!(size_value(&UNKNOWN_SIZE), None);
        assert_eq!(field_length(0), None);
        assert_eq!(field_length(1), Some(8));
    }

    #[test]
    fn a_void_fills_exactly_the_space_asked_for() {
        for total in 2..40 {
            let mut out = Writer::default();
            out.void(total);
            assert_eq!(out.0.len(), total);
            let mut inside = Elements(&out.0);
            assert_eq!(inside.next().map(|(id, _)| id), Some(id::VOID));
            assert!(inside.0.is_empty(), "{total}");
        }
    }

    proptest! {
        #[test]
        fn values_survive_a_round_trip(value in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut out = Writer::default();
            out.uint(id::TIMESTAMP, value)
                .binary(id::SIMPLE_BLOCK, &bytes)
                .master(id::INFO, |info| { info.float(id::DURATION, 1.5); });
            let all: Vec<_> = Elements(&out.0).collect();
            prop_assert_eq!(all.len(), 3);
            prop_assert_eq!((all[0].0, uint(all[0].1)), (id::TIMESTAMP, value));
            prop_assert_eq!(all[1], (id::SIMPLE_BLOCK, &bytes[..]));
            let inner = Elements(all[2].1).next();
            prop_assert_eq!(inner.and_then(|(_, body)| float(body)), Some(1.5));
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Elements(&bytes).count() <= bytes.len());
        }
    }
}
