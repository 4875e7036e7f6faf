//! Reading a file whose end may come anywhere.

use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;

use crate::media::capture::SourceError;

/// What is read of a pipe in one piece is not larger than this; a file's length says it of a file.
const LARGEST_PIECE: u64 = 64 << 20;

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
    #[error("was closed by who wrote into it, {0}")]
    Closed(String),
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
    /// Unknown, and so the largest number, of what comes once.
    len: u64,
    once: bool,
}

/// What comes once, such as a pipe: it goes forward only, by reading.
struct Once<R>(R);

impl<R: Read> Read for Once<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read> Seek for Once<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Current(by @ 0..) = to else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "what comes through a pipe cannot be read twice",
            ));
        };
        let skipped = (&mut self.0).take(by.unsigned_abs());
        io::copy(&mut { skipped }, &mut io::sink())
    }
}

impl Input {
    /// What comes once, without an end that is known.
    pub(super) fn once(reader: impl Read + Send + 'static) -> Self {
        Self {
            reader: BufReader::with_capacity(64 * 1024, Box::new(Once(reader))),
            at: 0,
            len: u64::MAX,
            once: true,
        }
    }

    pub(super) fn new(reader: impl ReadSeek + 'static) -> Result<Self, Problem> {
        let mut reader: Box<dyn ReadSeek> = Box::new(reader);
        let len = reader.seek(SeekFrom::End(0))?;
        reader.seek(SeekFrom::Start(0))?;
        Ok(Self {
            reader: BufReader::with_capacity(64 * 1024, reader),
            at: 0,
            len,
            once: false,
        })
    }

    /// Whether it comes once: then what has come is not to wait for what is still to come.
    pub(super) const fn comes_once(&self) -> bool {
        self.once
    }

    /// So many bytes, or fewer where it ends before them.
    pub(super) fn up_to(&mut self, n: u64) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::with_capacity(usize::try_from(n.min(LARGEST_PIECE)).unwrap_or(0));
        self.take_from(n).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn take_from(&mut self, n: u64) -> io::Take<&mut Self> {
        Read::take(self, n)
    }

    /// Whatever has come, at most so many bytes; nothing at the end.
    pub(super) fn some(&mut self, most: usize) -> Result<Vec<u8>, Problem> {
        let mut bytes = vec![0; most];
        loop {
            match self.read(&mut bytes) {
                Ok(n) => {
                    bytes.truncate(n);
                    return Ok(bytes);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
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
        if self.once && n > LARGEST_PIECE {
            return Err(self.broken(format!("a piece of {n} bytes is announced")));
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
