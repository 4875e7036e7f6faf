//! Forward error correction of RTP packets: ULPFEC (RFC 5109), one level, inside RED (RFC 2198), as browsers speak it for video.
//!
//! - [`red`]: the byte that tells a media packet from a repair packet
//! - [`masks`]: which repair packet covers which media packets
//! - [`encode`]: repair packets from media packets
//! - [`decode`]: media packets from repair packets and what else came
//! - [`protect`]: how much of it there shall be
//!
//! All of it is pure: bytes and times come in, bytes come out. A packet is the bytes of a whole RTP packet, with its media's payload
//! type, not RED's, and with zeros in header extensions that are written after protection (transport-wide sequence numbers, send
//! times): who receives it puts zeros there as well.

pub mod decode;
pub mod encode;
pub mod header;
pub mod masks;
pub mod protect;
pub mod red;

/// Bytes of an RTP header without contributing sources (RFC 3550, section 5.1).
pub const RTP_HEADER: usize = 12;

/// Media packets that one repair packet can cover: the bits of the long mask (RFC 5109, section 7.4).
pub const COVERED: usize = 48;
