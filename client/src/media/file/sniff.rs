//! What a file is, by its first bytes.

use std::fmt;

use super::input::{Input, Problem};

/// The containers that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Matroska,
    Ivf,
    Y4m,
    Ogg,
    Wav,
    Mp4,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matroska => "WebM or MKV",
            Self::Ivf => "IVF",
            Self::Y4m => "Y4M",
            Self::Ogg => "Ogg",
            Self::Wav => "WAV",
            Self::Mp4 => "MP4",
        })
    }
}

/// Looks at the first bytes and goes back to the beginning.
pub(super) fn kind(input: &mut Input) -> Result<Kind, Problem> {
    if input.len() == 0 {
        return Err(Problem::Empty);
    }
    let head = input.take(input.len().min(16))?.unwrap_or_default();
    input.go_to(0)?;
    of(&head).ok_or_else(|| {
        Problem::unsupported(format!(
            "is {}, not WebM, MKV, MP4, IVF, Y4M, Ogg Opus or WAV; \
             convert it, for example with: ffmpeg -i FILE -c:v libvpx -c:a libopus out.webm",
            guess(&head)
        ))
    })
}

/// What begins with these bytes.
pub(super) fn of(head: &[u8]) -> Option<Kind> {
    let wave = (head.starts_with(b"RIFF") || head.starts_with(b"RF64")) && part(head, 8) == b"WAVE";
    if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        Some(Kind::Matroska)
    } else if head.starts_with(b"DKIF") {
        Some(Kind::Ivf)
    } else if head.starts_with(b"YUV4MPEG2") {
        Some(Kind::Y4m)
    } else if head.starts_with(b"OggS") {
        Some(Kind::Ogg)
    } else if wave {
        Some(Kind::Wav)
    } else if [b"ftyp", b"moov", b"styp", b"mdat", b"wide"]
        .iter()
        .any(|name| part(head, 4) == *name)
    {
        Some(Kind::Mp4)
    } else {
        None
    }
}

/// A word for what people try by mistake.
pub(super) fn guess(head: &[u8]) -> &'static str {
    if head.starts_with(b"RIFF") {
        "a RIFF file of another kind (AVI?)"
    } else if head.starts_with(b"fLaC") {
        "FLAC"
    } else if head.starts_with(b"ID3") || head.starts_with(&[0xff, 0xfb]) {
        "MP3"
    } else if head.starts_with(&[0, 0, 0, 1]) || head.starts_with(&[0, 0, 1]) {
        "a bare H.264 or MPEG stream without time stamps"
    } else if head.starts_with(b"FLV") {
        "FLV"
    } else if head.starts_with(&[0x89, b'P', b'N', b'G']) || head.starts_with(&[0xff, 0xd8]) {
        "a still picture"
    } else if head.first() == Some(&0x47) {
        "an MPEG transport stream"
    } else {
        "of an unknown kind"
    }
}

fn part(head: &[u8], at: usize) -> &[u8] {
    head.get(at..at + 4).unwrap_or_default()
}
