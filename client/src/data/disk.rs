//! The threads that read and write files, and take their sums on the way.

mod part;
mod reader;
mod writer;

use std::fs::File;
use std::io::{self, Read};

use ring::digest::{Context, SHA256};
use rtc_transfer::Sum;
use rtc_transfer::frame::Status;

pub(super) use reader::{Job as ReadJob, Read as ReadDone, Reader, Source};
pub(super) use writer::{Job as WriteJob, Writer, Written as WriteDone};

/// Read at once where sums are taken.
const CHUNK: usize = 256 * 1024;

/// A SHA-256 of what was read or written so far.
#[derive(Clone)]
struct Running(Context);

impl Running {
    fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn sum(&self) -> Sum {
        let mut sum = [0; 32];
        sum.copy_from_slice(self.0.clone().finish().as_ref());
        sum
    }

    /// Of the next bytes of a file.
    fn of(file: &mut File, length: u64) -> io::Result<Self> {
        let mut running = Self::new();
        let mut chunk = vec![0; CHUNK];
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let read = file.read(&mut chunk[..most])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            running.add(&chunk[..read]);
            left -= read as u64;
        }
        Ok(running)
    }
}

/// What an error of the system means to the far side.
fn status_of(error: &io::Error) -> Status {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Status::DiskFull,
        _ => Status::Failed,
    }
}
