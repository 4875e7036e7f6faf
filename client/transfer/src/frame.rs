//! The messages of a channel: the first byte says which, numbers are big-endian, text is UTF-8 (docs/data.md).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{Id, Sum};

/// What HELLO says of the format.
pub const VERSION: u8 = 1;

/// The longest text in a message, in bytes; longer ones are cut.
pub const LONGEST_TEXT: usize = 1024;

/// What somebody is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// A stream of bytes each way.
    Pipe = 0,
    /// Sends files.
    Sender = 1,
    /// Receives files.
    Receiver = 2,
}

/// What became of a file, or why somebody ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// All of it is there.
    Done = 0,
    /// Another is of that name.
    Exists = 1,
    /// There is no room for it.
    DiskFull = 2,
    /// What came is not what was sent.
    Mismatch = 3,
    /// It could not be read or written.
    Failed = 4,
    /// Nobody reads any more.
    Closed = 5,
    /// Somebody else is there already.
    Busy = 6,
    /// The rules were broken.
    Protocol = 7,
}

impl Status {
    const ALL: [Self; 8] = [
        Self::Done,
        Self::Exists,
        Self::DiskFull,
        Self::Mismatch,
        Self::Failed,
        Self::Closed,
        Self::Busy,
        Self::Protocol,
    ];
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first of each side on each channel.
    Hello {
        /// What for.
        role: Role,
        /// Who says it.
        me: Id,
        /// Whom it was connected with before; zeros for nobody.
        partner: Id,
        /// How many bytes of the partner's stream it has taken.
        taken: u64,
    },
    /// Bytes of a stream, or of the file in hand.
    Data {
        /// Of the first.
        offset: u64,
        /// They.
        bytes: Bytes,
    },
    /// All before this is taken.
    Ack(u64),
    /// The stream ends here.
    End(u64),
    /// All of a stream up to its end is taken.
    Taken(u64),
    /// Everything is said and taken in both ways.
    Bye,
    /// It is over before its end.
    Stop(Status, String),
    /// A file.
    Offer {
        /// Its number, from zero.
        file: u32,
        /// How many there are.
        of: u32,
        /// Its length.
        size: u64,
        /// What it is called, without a folder.
        name: String,
    },
    /// What there is of it already.
    Have {
        /// Which file.
        file: u32,
        /// How many bytes.
        offset: u64,
        /// And of what sum.
        sum: Sum,
    },
    /// Its bytes come from here on.
    From {
        /// Which file.
        file: u32,
        /// The offset of HAVE if those bytes are the same, or zero.
        offset: u64,
    },
    /// All bytes of it were said; the sum of all of them.
    Sum {
        /// Which file.
        file: u32,
        /// Of all its bytes.
        sum: Sum,
    },
    /// What became of it, by either side.
    Result {
        /// Which file.
        file: u32,
        /// What.
        status: Status,
        /// In words, where it is not there.
        words: String,
    },
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is empty, or too short for what it is.
    #[error("it is too short")]
    Short,
    /// It goes on where it should have ended.
    #[error("it is too long")]
    Long,
    /// There is no such message.
    #[error("there is no message {0}")]
    Unknown(u8),
    /// Another version.
    #[error(
        "it speaks version {0} of the format; use the same version of rtc-client at both sides"
    )]
    Version(u8),
    /// A value that there is none of.
    #[error("a value in it is none")]
    Value,
    /// Text that is none.
    #[error("its text is not UTF-8")]
    Text,
}

impl Frame {
    /// Its name in the documentation.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "HELLO",
            Self::Data { .. } => "DATA",
            Self::Ack(_) => "ACK",
            Self::End(_) => "END",
            Self::Taken(_) => "TAKEN",
            Self::Bye => "BYE",
            Self::Stop(..) => "STOP",
            Self::Offer { .. } => "OFFER",
            Self::Have { .. } => "HAVE",
            Self::From { .. } => "FROM",
            Self::Sum { .. } => "SUM",
            Self::Result { .. } => "RESULT",
        }
    }

    /// As it goes over a channel.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Hello {
                role,
                me,
                partner,
                taken,
            } => {
                out.put_u8(1);
                out.put_u8(VERSION);
                out.put_u8(*role as u8);
                out.put_slice(me);
                out.put_slice(partner);
                out.put_u64(*taken);
            }
            Self::Data { offset, bytes } => {
                out.reserve(9 + bytes.len());
                out.put_u8(2);
                out.put_u64(*offset);
                out.put_slice(bytes);
            }
            Self::Ack(upto) => number(&mut out, 3, *upto),
            Self::End(total) => number(&mut out, 4, *total),
            Self::Taken(total) => number(&mut out, 5, *total),
            Self::Bye => out.put_u8(6),
            Self::Stop(status, words) => {
                out.put_u8(7);
                out.put_u8(*status as u8);
                out.put_slice(cut(words).as_bytes());
            }
            Self::Offer {
                file,
                of,
                size,
                name,
            } => {
                out.put_u8(16);
                out.put_u32(*file);
                out.put_u32(*of);
                out.put_u64(*size);
                out.put_slice(cut(name).as_bytes());
            }
            Self::Have { file, offset, sum } => {
                out.put_u8(17);
                out.put_u32(*file);
                out.put_u64(*offset);
                out.put_slice(sum);
            }
            Self::From { file, offset } => {
                out.put_u8(18);
                out.put_u32(*file);
                out.put_u64(*offset);
            }
            Self::Sum { file, sum } => {
                out.put_u8(19);
                out.put_u32(*file);
                out.put_slice(sum);
            }
            Self::Result {
                file,
                status,
                words,
            } => {
                out.put_u8(20);
                out.put_u32(*file);
                out.put_u8(*status as u8);
                out.put_slice(cut(words).as_bytes());
            }
        }
        out.freeze()
    }

    /// Reads a message of a channel.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(message: Bytes) -> Result<Self, FrameError> {
        let mut rest = message;
        let frame = match byte(&mut rest)? {
            1 => {
                let version = byte(&mut rest)?;
                if version != VERSION {
                    return Err(FrameError::Version(version));
                }
                Self::Hello {
                    role: match byte(&mut rest)? {
                        0 => Role::Pipe,
                        1 => Role::Sender,
                        2 => Role::Receiver,
                        _ => return Err(FrameError::Value),
                    },
                    me: array(&mut rest)?,
                    partner: array(&mut rest)?,
                    taken: long(&mut rest)?,
                }
            }
            2 => Self::Data {
                offset: long(&mut rest)?,
                bytes: std::mem::take(&mut rest),
            },
            3 => Self::Ack(long(&mut rest)?),
            4 => Self::End(long(&mut rest)?),
            5 => Self::Taken(long(&mut rest)?),
            6 => Self::Bye,
            7 => Self::Stop(status(&mut rest)?, text(&mut rest)?),
            16 => Self::Offer {
                file: int(&mut rest)?,
                of: int(&mut rest)?,
                size: long(&mut rest)?,
                name: text(&mut rest)?,
            },
            17 => Self::Have {
                file: int(&mut rest)?,
                offset: long(&mut rest)?,
                sum: array(&mut rest)?,
            },
            18 => Self::From {
                file: int(&mut rest)?,
                offset: long(&mut rest)?,
            },
            19 => Self::Sum {
                file: int(&mut rest)?,
                sum: array(&mut rest)?,
            },
            20 => Self::Result {
                file: int(&mut rest)?,
                status: status(&mut rest)?,
                words: text(&mut rest)?,
            },
            other => return Err(FrameError::Unknown(other)),
        };
        if rest.is_empty() {
            Ok(frame)
        } else {
            Err(FrameError::Long)
        }
    }
}

fn number(out: &mut BytesMut, kind: u8, number: u64) {
    out.put_u8(kind);
    out.put_u64(number);
}

/// As much of a text as one message holds.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_TEXT)]
}

fn byte(rest: &mut Bytes) -> Result<u8, FrameError> {
    rest.try_get_u8().map_err(|_| FrameError::Short)
}

fn int(rest: &mut Bytes) -> Result<u32, FrameError> {
    rest.try_get_u32().map_err(|_| FrameError::Short)
}

fn long(rest: &mut Bytes) -> Result<u64, FrameError> {
    rest.try_get_u64().map_err(|_| FrameError::Short)
}

fn array<const N: usize>(rest: &mut Bytes) -> Result<[u8; N], FrameError> {
    let mut array = [0; N];
    rest.try_copy_to_slice(&mut array)
        .map_err(|_| FrameError::Short)?;
    Ok(array)
}

fn status(rest: &mut Bytes) -> Result<Status, FrameError> {
    let code = byte(rest)?;
    let known = Status::ALL.into_iter().find(|known| *known as u8 == code);
    known.ok_or(FrameError::Value)
}

fn text(rest: &mut Bytes) -> Result<String, FrameError> {
    let all = std::mem::take(rest);
    if all.len() > LONGEST_TEXT {
        return Err(FrameError::Long);
    }
    let text = std::str::from_utf8(&all).map_err(|_| FrameError::Text)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let words = "\\PC{0,40}";
        let status = (0..Status::ALL.len()).prop_map(|at| Status::ALL[at]);
        prop_oneof![
            (any::<Id>(), any::<Id>(), any::<u64>()).prop_map(|(me, partner, taken)| {
                let role = Role::Sender;
                Frame::Hello {
                    role,
                    me,
                    partner,
                    taken,
                }
            }),
            (any::<u64>(), any::<Vec<u8>>()).prop_map(|(offset, bytes)| Frame::Data {
                offset,
                bytes: bytes.into()
            }),
            any::<u64>().prop_map(Frame::Ack),
            any::<u64>().prop_map(Frame::End),
            any::<u64>().prop_map(Frame::Taken),
            Just(Frame::Bye),
            (status.clone(), words).prop_map(|(status, words)| Frame::Stop(status, words)),
            (any::<u32>(), any::<u32>(), any::<u64>(), words).prop_map(|(file, of, size, name)| {
                Frame::Offer {
                    file,
                    of,
                    size,
                    name,
                }
            }),
            (any::<u32>(), any::<u64>(), any::<Sum>())
                .prop_map(|(file, offset, sum)| Frame::Have { file, offset, sum }),
            (any::<u32>(), any::<u64>()).prop_map(|(file, offset)| Frame::From { file, offset }),
            (any::<u32>(), any::<Sum>()).prop_map(|(file, sum)| Frame::Sum { file, sum }),
            (any::<u32>(), status, words).prop_map(|(file, status, words)| Frame::Result {
                file,
                status,
                words
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_said_is_what_is_heard(frame in frames()) {
            prop_assert_eq!(Frame::decode(frame.encode()), Ok(frame));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
            if let Ok(frame) = Frame::decode(bytes.clone().into()) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_message_cut_short_is_refused() {
        let hello = Frame::Hello {
            role: Role::Pipe,
            me: [1; 16],
            partner: [0; 16],
            taken: 3,
        };
        let whole = hello.encode();
        for length in 0..whole.len() {
            assert_eq!(Frame::decode(whole.slice(..length)), Err(FrameError::Short));
        }
    }
}
