//! Files that are sent.

use std::fs::File;
use std::io::{self, Read as _, Seek};
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use rtc_transfer::Sum;
use tokio::sync::mpsc;

use super::Running;

/// Jobs that wait: the rules ask for one after the other, and forget what belonged to a channel that was lost.
const JOBS: usize = 64;

/// A file that is to be sent, as it was when it was looked at.
#[derive(Clone, Debug)]
pub(in super::super) struct Source {
    pub path: PathBuf,
    pub size: u64,
}

/// What is to be read.
#[derive(Debug)]
pub(in super::super) enum Job {
    /// The sum of the first bytes; reading goes on behind them.
    Prefix { file: u32, upto: u64 },
    /// The next bytes.
    Read {
        file: u32,
        offset: u64,
        length: usize,
    },
    /// The sum of all.
    Whole { file: u32 },
}

/// What was read.
#[derive(Debug)]
pub(in super::super) enum Read {
    Prefix {
        file: u32,
        upto: u64,
        sum: Option<Sum>,
    },
    Block {
        file: u32,
        offset: u64,
        bytes: Bytes,
    },
    Whole {
        file: u32,
        sum: Sum,
    },
    Failed {
        file: u32,
        words: String,
    },
}

/// The thread; it ends when its handle goes.
pub(in super::super) struct Reader {
    jobs: mpsc::Sender<Job>,
    done: mpsc::Receiver<Read>,
}

impl Reader {
    pub(in super::super) fn start(files: Vec<Source>) -> io::Result<Self> {
        let (jobs, mut asked) = mpsc::channel(JOBS);
        let (tell, done) = mpsc::channel(JOBS);
        let work = move || {
            let mut hands = Hands { files, open: None };
            while let Some(job) = asked.blocking_recv() {
                if tell.blocking_send(hands.work(job)).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("file-in".into())
            .spawn(work)?;
        Ok(Self { jobs, done })
    }

    /// Asks for something; more than ever wait are not asked for.
    pub(in super::super) fn ask(&self, job: Job) {
        if let Err(error) = self.jobs.try_send(job) {
            tracing::error!("a file is not read on: {error}");
        }
    }

    pub(in super::super) async fn done(&mut self) -> Option<Read> {
        self.done.recv().await
    }
}

struct Hands {
    files: Vec<Source>,
    open: Option<Open>,
}

/// The file in hand.
struct Open {
    number: u32,
    file: File,
    /// When it was changed last as reading it began; none where the system does not know.
    changed: Option<SystemTime>,
    running: Running,
}

impl Hands {
    fn work(&mut self, job: Job) -> Read {
        match job {
            Job::Prefix { file, upto } => {
                let sum = self.prefix(file, upto);
                match sum {
                    Ok(sum) => Read::Prefix {
                        file,
                        upto,
                        sum: Some(sum),
                    },
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Read::Prefix {
                        file,
                        upto,
                        sum: None,
                    },
                    Err(error) => self.failed(file, &error),
                }
            }
            Job::Read {
                file,
                offset,
                length,
            } => match self.read(file, length) {
                Ok(bytes) => Read::Block {
                    file,
                    offset,
                    bytes,
                },
                Err(error) => self.failed(file, &error),
            },
            Job::Whole { file } => match self.whole(file) {
                Ok(sum) => Read::Whole { file, sum },
                Err(error) => self.failed(file, &error),
            },
        }
    }

    fn prefix(&mut self, file: u32, upto: u64) -> io::Result<Sum> {
        let source = self.files.get(file as usize);
        let source = source.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let mut open = match self.open.take() {
            Some(open) if open.number == file => open.file,
            _ => File::open(&source.path)?,
        };
        let changed = source.seen_in(&open)?;
        open.rewind()?;
        let running = Running::of(&mut open, upto)?;
        let sum = running.sum();
        self.open = Some(Open {
            number: file,
            file: open,
            changed,
            running,
        });
        Ok(sum)
    }

    fn read(&mut self, file: u32, length: usize) -> io::Result<Bytes> {
        let Some(open) = self.open.as_mut().filter(|open| open.number == file) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut block = Vec::with_capacity(length);
        let part = &mut open.file;
        part.take(length as u64).read_to_end(&mut block)?;
        open.running.add(&block);
        Ok(block.into())
    }

    /// The sum of all, where what was read is one and the same file from its beginning to its end.
    fn whole(&self, file: u32) -> io::Result<Sum> {
        let open = self.open.as_ref().filter(|open| open.number == file);
        let (Some(open), Some(source)) = (open, self.files.get(file as usize)) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if source.seen_in(&open.file)? == open.changed {
            Ok(open.running.sum())
        } else {
            Err(another())
        }
    }

    fn failed(&self, file: u32, error: &io::Error) -> Read {
        let path = self.files.get(file as usize).map(|source| &source.path);
        // The far side is told, too: where it lies here is not its business.
        let name = path.and_then(|path| path.file_name()).unwrap_or_default();
        let words = format!("{} cannot be read: {error}", name.display());
        Read::Failed { file, words }
    }
}

impl Source {
    /// When it was changed last, if it is as long as it was.
    fn seen_in(&self, open: &File) -> io::Result<Option<SystemTime>> {
        let now = open.metadata()?;
        if now.len() == self.size {
            Ok(now.modified().ok())
        } else {
            Err(another())
        }
    }
}

fn another() -> io::Error {
    io::Error::other("it changed while it waited or was sent; send it again")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    /// Hands that are to send this file.
    fn hands(path: &Path) -> Hands {
        let (path, size) = (path.to_owned(), fs::metadata(path).unwrap().len());
        Hands {
            files: vec![Source { path, size }],
            open: None,
        }
    }

    fn begin(hands: &mut Hands) -> Read {
        hands.work(Job::Prefix { file: 0, upto: 0 })
    }

    fn read_all(hands: &mut Hands) {
        let (file, offset, length) = (0, 0, 100);
        let read = hands.work(Job::Read {
            file,
            offset,
            length,
        });
        assert!(matches!(read, Read::Block { .. }), "{read:?}");
    }

    fn says_that_it_changed(read: &Read) -> bool {
        matches!(read, Read::Failed { words, .. } if words.contains("a cannot be read: it changed"))
    }

    #[test]
    fn a_file_that_stays_as_it_is_is_sent_with_its_sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"hello").unwrap();
        let mut hands = hands(&path);
        // Twice, as on another channel.
        for _ in 0..2 {
            assert!(matches!(
                begin(&mut hands),
                Read::Prefix { sum: Some(_), .. }
            ));
            read_all(&mut hands);
            let mut running = Running::new();
            running.add(b"hello");
            let Read::Whole { sum, .. } = hands.work(Job::Whole { file: 0 }) else {
                panic!()
            };
            assert_eq!(sum, running.sum());
        }
    }

    #[test]
    fn a_file_that_is_another_by_the_time_it_is_sent_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for other in [b"hello, and more".as_slice(), b"hell"] {
            fs::write(&path, b"hello").unwrap();
            let mut hands = hands(&path);
            fs::write(&path, other).unwrap();
            let begun = begin(&mut hands);
            assert!(says_that_it_changed(&begun), "{begun:?}");
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_sent_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for grows in [true, false] {
            fs::write(&path, b"hello").unwrap();
            let mut hands = hands(&path);
            begin(&mut hands);
            read_all(&mut hands);
            let mut file = File::options().append(true).open(&path).unwrap();
            if grows {
                io::Write::write_all(&mut file, b"more").unwrap();
            } else {
                // As one that is written at another time; its bytes may be others.
                let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
                file.set_modified(then).unwrap();
            }
            let whole = hands.work(Job::Whole { file: 0 });
            assert!(says_that_it_changed(&whole), "{whole:?}");
        }
    }
}
