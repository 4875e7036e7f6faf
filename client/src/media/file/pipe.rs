//! What another program writes: standard input, an inherited descriptor, a FIFO.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::media::devices::Stop;

/// How long a reader sleeps before it looks whether it is still wanted.
#[cfg(unix)]
const LOOK: std::time::Duration = std::time::Duration::from_millis(100);

/// Where bytes come from while they are being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PipeFrom {
    /// Standard input.
    Standard,
    /// A descriptor that was open when the program began.
    Descriptor(u32),
    /// A FIFO, or whatever else has a name and is read from its beginning to its end.
    Path(PathBuf),
}

impl fmt::Display for PipeFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => f.write_str("standard input"),
            Self::Descriptor(number) => write!(f, "pipe {number}"),
            Self::Path(path) => write!(f, "pipe {}", path.display()),
        }
    }
}

impl PipeFrom {
    /// Opens it for reading, without waiting for somebody to write.
    ///
    /// # Errors
    /// When it is not there, is not to be read, or is a terminal.
    pub(super) fn open(&self) -> io::Result<File> {
        let file = match self {
            Self::Standard => standard()?,
            Self::Descriptor(number) => named(&PathBuf::from(format!("/dev/fd/{number}")))?,
            Self::Path(path) => named(path)?,
        };
        if std::io::IsTerminal::is_terminal(&file) {
            return Err(io::Error::other("it is a terminal, not a pipe"));
        }
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(io::Error::other("it is a folder"));
        }
        Ok(file)
    }

    /// What to do when it cannot be opened.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Standard => "write into it: ffmpeg … - | rtc-client join …".into(),
            Self::Descriptor(number) => {
                format!("open it for the program: rtc-client join … {number}< <(ffmpeg … -)")
            }
            Self::Path(path) => format!("make it first: mkfifo {}", path.display()),
        }
    }
}

#[cfg(unix)]
fn standard() -> io::Result<File> {
    use std::os::fd::AsFd;
    let own = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    if !std::io::IsTerminal::is_terminal(&own) {
        // The source has the only handle: when it is over, its writer is told so and does not wait for ever.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    }
    Ok(own)
}

#[cfg(windows)]
fn standard() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}

#[cfg(unix)]
fn named(path: &std::path::Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    // A FIFO opened otherwise waits for its writer, and nothing ends that wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
fn named(path: &std::path::Path) -> io::Result<File> {
    File::open(path)
}

/// Reads until the writer closes it or nobody wants it any more.
pub(super) struct Reading {
    file: File,
    stop: Stop,
}

impl Reading {
    pub(super) const fn new(file: File, stop: Stop) -> Self {
        Self { file, stop }
    }
}

impl Read for Reading {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.requested() {
                return Err(io::Error::other("nobody wants it any more"));
            }
            if !ready(&self.file)? {
                continue;
            }
            match self.file.read(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// Whether a read will not wait; it is asked for a moment.
#[cfg(unix)]
fn ready(file: &File) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: LOOK.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&limit)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Elsewhere a read waits for as long as the writer likes, and the thread is left to that.
#[cfg(not(unix))]
fn ready(_: &File) -> io::Result<bool> {
    Ok(true)
}
