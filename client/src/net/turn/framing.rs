//! Datagrams into a stream and out of it (RFC 8489, section 6.2.2; RFC 8656, section 12.5).

use rtc_server::turn::framing::{Nonsense, first};

/// The cookie of every message of STUN (RFC 8489, section 5).
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Puts a datagram behind what is in `out`, and says whether it could: only messages of STUN and of channels have a place
/// in a stream, because only they say their length. Over a stream the data of channels are padded to words of four bytes,
/// which a datagram may leave out.
pub(crate) fn put(datagram: &[u8], out: &mut Vec<u8>) -> bool {
    let Ok(Some((padded, length))) = first(datagram) else {
        return false;
    };
    if datagram.len() < length || datagram.len() > padded {
        return false;
    }
    let is_channel = datagram[0] >> 6 == 1;
    if !is_channel && datagram.get(4..8) != Some(&COOKIE) {
        return false;
    }
    out.extend_from_slice(&datagram[..length]);
    out.resize(out.len() + padded - length, 0);
    true
}

/// What of a stream has come and is no whole message yet; never more than one message and one reading.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: Vec<u8>,
    /// So many at the front are taken.
    taken: usize,
}

impl Incoming {
    /// Takes what was read.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, without its padding.
    ///
    /// # Errors
    /// When the stream holds something else: it is lost.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Nonsense> {
        let rest = &self.bytes[self.taken..];
        match first(rest)? {
            Some((padded, length)) if rest.len() >= padded => {
                self.taken += padded;
                Ok(Some(&rest[..length]))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn stun(attributes: &[u8]) -> Vec<u8> {
        let words = attributes.len() / 4 * 4;
        let mut message = vec![0, 1];
        message.extend(u16::try_from(words).unwrap().to_be_bytes());
        message.extend(COOKIE);
        message.extend([7; 12]);
        message.extend(&attributes[..words]);
        message
    }

    fn channel(data: &[u8]) -> Vec<u8> {
        let mut message = vec![0x40, 0x01];
        message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend(data);
        message
    }

    #[test]
    fn what_is_neither_stun_nor_of_a_channel_has_no_place() {
        let mut out = Vec::new();
        let mut without_cookie = stun(&[]);
        without_cookie[4] = 0;
        let mut too_long = stun(&[1; 8]);
        too_long.push(0);
        let mut too_short = channel(&[1; 8]);
        too_short.pop();
        for other in [
            &[][..],
            &[22, 254, 253, 0],      // DTLS
            &[0x80, 96, 0, 1, 0, 0], // RTP
            &without_cookie,
            &too_long,
            &too_short,
        ] {
            assert!(!put(other, &mut out), "{other:?}");
        }
        assert!(out.is_empty());
    }

    #[test]
    fn data_of_channels_are_padded_whether_they_came_so_or_not() {
        let mut out = Vec::new();
        let bare = channel(&[9; 5]);
        let mut padded = bare.clone();
        padded.extend([1, 2, 3]);
        for datagram in [&bare, &padded] {
            assert!(put(datagram, &mut out));
        }
        assert_eq!(out.len(), 24);
        assert_eq!(out[9..12], [0; 3]);
        let mut incoming = Incoming::default();
        incoming.push(&out);
        for _ in 0..2 {
            assert_eq!(incoming.next().unwrap().unwrap(), bare);
        }
        assert_eq!(incoming.next(), Ok(None));
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_stream_is_cut(
            all in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..20),
            cut in 1..700_usize,
        ) {
            let mut stream = Vec::new();
            let mut sent = Vec::new();
            for (is_stun, body) in &all {
                let message = if *is_stun { stun(body) } else { channel(body) };
                prop_assert!(put(&message, &mut stream));
                sent.push(message);
            }
            let mut incoming = Incoming::default();
            let mut came = Vec::new();
            for piece in stream.chunks(cut) {
                incoming.push(piece);
                while let Some(message) = incoming.next().unwrap() {
                    came.push(message.to_vec());
                }
                // A piece, and what is not whole yet: at most a header of 20 bytes and 296 of attributes.
                prop_assert!(incoming.bytes.len() <= 700 + 316);
            }
            prop_assert_eq!(came, sent);
        }

        #[test]
        fn any_bytes_end_or_give_messages_that_go_on_as_they_are(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut incoming = Incoming::default();
            incoming.push(&bytes);
            while let Ok(Some(message)) = incoming.next() {
                let message = message.to_vec();
                let mut out = Vec::new();
                if put(&message, &mut out) {
                    prop_assert_eq!(&out[..message.len()], &message[..]);
                    prop_assert!(out.len() % 4 == 0);
                }
            }
        }
    }
}
