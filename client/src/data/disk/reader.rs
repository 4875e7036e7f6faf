//! Files that are sent.

use std::fs::File;
use std::io::{self, Read as _, Seek};
use std::path::PathBuf;

use bytes::Bytes;
use rtc_transfer::Sum;
use tokio::sync::mpsc;

use super::Running;

/// Jobs that wait: the rules ask for one after the other, and forget what belonged to a channel that was lost.
const JOBS: usize = 64;

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
    pub(in super::super) fn start(files: Vec<PathBuf>) -> io::Result<Self> {
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
    files: Vec<PathBuf>,
    open: Option<(u32, File, Running)>,
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
            Job::Whole { file } => {
                let open = self.open.as_ref().filter(|open| open.0 == file);
                let sum = open
                    .map(|(_, _, running)| running.sum())
                    .unwrap_or_default();
                Read::Whole { file, sum }
            }
        }
    }

    fn prefix(&mut self, file: u32, upto: u64) -> io::Result<Sum> {
        let path = self.files.get(file as usize);
        let path = path.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let mut open = match self.open.take() {
            Some((number, open, _)) if number == file => open,
            _ => File::open(path)?,
        };
        open.rewind()?;
        let running = Running::of(&mut open, upto)?;
        let sum = running.sum();
        self.open = Some((file, open, running));
        Ok(sum)
    }

    fn read(&mut self, file: u32, length: usize) -> io::Result<Bytes> {
        let Some((_, open, running)) = self.open.as_mut().filter(|open| open.0 == file) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut block = Vec::with_capacity(length);
        open.take(length as u64).read_to_end(&mut block)?;
        running.add(&block);
        Ok(block.into())
    }

    fn failed(&self, file: u32, error: &io::Error) -> Read {
        let path = self.files.get(file as usize).cloned().unwrap_or_default();
        // The far side is told, too: where it lies here is not its business.
        let name = path.file_name().unwrap_or_default();
        let words = format!("{} cannot be read: {error}", name.display());
        Read::Failed { file, words }
    }
}
