//! Reading a file whose end may come anywhere.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;

use crate::media::capture::SourceError;

/// What can be read and rewound: a file, or bytes in a test.
pub(super) trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// Why a file gives nothing (more).
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is broken at byte {at}: {what}; make it anew, or play it up to there")]
    Broken { at: u64, what: String },
    #[error("{0}")]
    Unsupported(String),
    #[error("is empty; give a file that has been recorded to the end")]
    Empty,
    #[error("ends before its first whole frame; give a file that has been recorded to the end")]
    NoFrame,
}

impl Problem {
    pub(super) const fn unsupported(words: String) -> Self {
        Self::Unsupported(words)
    }

    pub(super) fn of(self, path: &Path) -> SourceError {
        SourceError::File {
            path: path.to_path_buf(),
            problem: self.to_string(),
        }
    }
}

/// A buffered reader that knows where it is and how much there is, so that a size
/// field that lies neither allocates nor reads past the end.
pub(super) struct Input {
    reader: BufReader<Box<dyn ReadSeek>>,
    at: u64,
    len: u64,
}

impl Input {
    pub(super) fn new(reader: impl ReadSeek + 'static) -> Result<Self, Problem> {
        let mut reader: Box<dyn ReadSeek> = Box::new(reader);
        let len = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        Ok(Self {
            reader: BufReader::with_capacity(64 * 1024, reader),
            at: 0,
            len,
        })
    }

    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Exactly `n` bytes, or `None` where the file ends before them.
    pub(super) fn take(&mut self, n: u64) -> Result<Option<Vec<u8>>, Problem> {
        if n > self.len.saturating_sub(self.at) {
            return Ok(None);
        }
        let Ok(n) = usize::try_from(n) else {
            return Ok(None);
        };
        let mut bytes = vec![0; n];
        match self.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// As [`Self::take`], as shared bytes.
    pub(super) fn take_bytes(&mut self, n: u64) -> Result<Option<Bytes>, Problem> {
        Ok(self.take(n)?.map(Bytes::from))
    }

    /// As [`Self::take`], for a fixed small size.
    pub(super) fn array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Problem> {
        let mut bytes = [0; N];
        match self.read_exact(&mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Moves on by `n` bytes; past the end means to the end.
    pub(super) fn skip(&mut self, n: u64) -> Result<(), Problem> {
        let to = self.at.saturating_add(n).min(self.len);
        let by = i64::try_from(to - self.at).unwrap_or(i64::MAX);
        self.reader.seek_relative(by)?;
        self.at = to;
        Ok(())
    }

    /// Goes to a place from the beginning.
    pub(super) fn go_to(&mut self, at: u64) -> Result<(), Problem> {
        if at >= self.at {
            return self.skip(at - self.at);
        }
        self.seek(SeekFrom::Start(at))?;
        Ok(())
    }

    pub(super) fn broken(&self, what: impl Into<String>) -> Problem {
        Problem::Broken {
            at: self.at,
            what: what.into(),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Input {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // The ogg reader asks for its position by seeking by nothing.
        if matches!(to, SeekFrom::Current(0)) {
            return Ok(self.at);
        }
        self.at = self.reader.seek(to)?;
        Ok(self.at)
    }
}
