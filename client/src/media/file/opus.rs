//! What an Opus packet tells without decoding (RFC 6716, section 3), and the
//! header that containers carry (RFC 7845, section 5.1).

use std::time::Duration;

/// The longest packet that the format allows.
const LONGEST: u32 = 5_760;

/// How many samples at 48 kHz a packet holds; `None` where it is malformed.
pub(crate) fn samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (1..=LONGEST).contains(&samples).then_some(samples)
}

/// How long a packet sounds.
pub(crate) fn duration(packet: &[u8]) -> Option<Duration> {
    samples(packet).map(time)
}

/// Samples at 48 kHz as time.
pub(crate) fn time(samples: impl Into<u64>) -> Duration {
    let samples = samples.into();
    let rest = (samples % 48_000) * 1_000_000 / 48_000;
    Duration::from_secs(samples / 48_000) + Duration::from_micros(rest)
}

/// The identification header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// How many channels come out.
    pub(crate) channels: u8,
    /// Samples at 48 kHz to leave out at the beginning.
    pub(crate) pre_skip: u16,
}

impl Head {
    /// Reads it; `None` where it is no such header.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"OpusHead")?;
        let [version, channels, skip0, skip1, ..] = *rest else {
            return None;
        };
        // The high half of the version is the incompatible part.
        (version >> 4 == 0 && channels > 0 && rest.len() >= 11).then(|| Self {
            channels,
            pre_skip: u16::from_le_bytes([skip0, skip1]),
        })
    }

    /// The bytes of a header for one stream of one or two channels at 48 kHz.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let mut out = b"OpusHead\x01".to_vec();
        out.push(self.channels);
        out.extend_from_slice(&self.pre_skip.to_le_bytes());
        out.extend_from_slice(&48_000_u32.to_le_bytes());
        out.extend_from_slice(&[0, 0, 0]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_table_of_contents() {
        assert_eq!(samples(&[0x78]), Some(960)); // hybrid 20 ms
        assert_eq!(samples(&[0xfc]), Some(960)); // CELT 20 ms
        assert_eq!(samples(&[0x80]), Some(120)); // CELT 2.5 ms
        assert_eq!(samples(&[0x18]), Some(2_880)); // SILK 60 ms
        assert_eq!(samples(&[0xf9]), Some(1_920)); // two frames
        assert_eq!(samples(&[0xfb, 0x03]), Some(2_880)); // three frames
        assert_eq!(samples(&[0xfb]), None);
        assert_eq!(samples(&[0xfb, 0x3f]), None); // more than 120 ms
        assert_eq!(samples(&[]), None);
        assert_eq!(duration(&[0xfc]), Some(Duration::from_millis(20)));
    }

    #[test]
    fn the_header_survives_a_round_trip() {
        let head = Head {
            channels: 2,
            pre_skip: 312,
        };
        assert_eq!(Head::parse(&head.bytes()), Some(head));
        assert_eq!(head.bytes().len(), 19);
        assert_eq!(Head::parse(b"OpusTags"), None);
        assert_eq!(Head::parse(b"OpusHead\x01\x02"), None);
    }
}
