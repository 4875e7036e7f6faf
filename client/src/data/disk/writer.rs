//! Files that are received: under the name `NAME.part` until all is there and its sum is right.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rtc_transfer::Sum;
use rtc_transfer::frame::Status;
use rtc_transfer::name::PART;
use tokio::sync::mpsc;

use super::{Running, part, status_of};

/// Blocks that wait to be written: as many as may be on their way, and a job or two beside them.
const JOBS: usize = 128;

/// What is to be done with a file.
#[derive(Debug)]
pub(in super::super) enum Job {
    Find {
        file: u32,
        name: String,
        size: u64,
        /// What has that name stays, even if files may be overwritten.
        careful: bool,
    },
    Begin {
        file: u32,
        offset: u64,
    },
    Write {
        file: u32,
        bytes: Bytes,
    },
    Finish {
        file: u32,
        sum: Sum,
    },
    Leave {
        file: u32,
    },
}

/// What was done.
#[derive(Debug)]
pub(in super::super) enum Written {
    Found {
        file: u32,
        offset: u64,
        sum: Sum,
    },
    Wrote {
        file: u32,
        bytes: usize,
    },
    Finished {
        file: u32,
    },
    Failed {
        file: u32,
        status: Status,
        words: String,
    },
}

/// The thread; it ends when its handle goes, after all that waits.
pub(in super::super) struct Writer {
    jobs: mpsc::Sender<Job>,
    done: mpsc::Receiver<Written>,
    thread: std::thread::JoinHandle<()>,
}

impl Writer {
    pub(in super::super) fn start(folder: PathBuf, overwrite: bool) -> io::Result<Self> {
        let (jobs, mut asked) = mpsc::channel(JOBS);
        let (tell, done) = mpsc::channel(JOBS);
        let work = move || {
            let mut hands = Hands {
                folder,
                overwrite,
                open: HashMap::new(),
            };
            while let Some(job) = asked.blocking_recv() {
                // What was taken is written, whether or not somebody still wants to know.
                if let Some(done) = hands.work(job) {
                    let _ = tell.blocking_send(done);
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("file-out".into())
            .spawn(work)?;
        Ok(Self { jobs, done, thread })
    }

    /// A place for a job, and what was done.
    pub(in super::super) const fn ends(
        &mut self,
    ) -> (&mpsc::Sender<Job>, &mut mpsc::Receiver<Written>) {
        (&self.jobs, &mut self.done)
    }

    /// Does what is left to do, and waits until it is done.
    pub(in super::super) async fn end(self, left: impl IntoIterator<Item = Job>) {
        let Self { jobs, done, thread } = self;
        drop(done);
        for job in left {
            if jobs.send(job).await.is_err() {
                tracing::error!("the thread that writes files is gone");
            }
        }
        drop(jobs);
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

struct Hands {
    folder: PathBuf,
    overwrite: bool,
    open: HashMap<u32, Open>,
}

struct Open {
    name: String,
    size: u64,
    running: Running,
    /// Whether it may take the place of another.
    replaces: Replaces,
    /// The partial file; none while one that is there already may be the same.
    part: Option<File>,
}

/// What a file may take the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replaces {
    Nothing,
    /// And one of its name came in this run.
    NothingOfThisRun,
    Anything,
}

/// Why it is not there.
type Refused = (Status, String);

impl Hands {
    fn work(&mut self, job: Job) -> Option<Written> {
        let (file, done) = match job {
            Job::Find {
                file,
                name,
                size,
                careful,
            } => {
                let found = self.find(file, name, size, careful);
                let done = found.map(|(offset, sum)| Written::Found { file, offset, sum });
                (file, done)
            }
            Job::Begin { file, offset } => match self.begin(file, offset) {
                Ok(()) => return None,
                Err(refused) => (file, Err(refused)),
            },
            Job::Write { file, bytes } => {
                // Of a file that was given up.
                let open = self.open.get_mut(&file)?;
                let wrote = open.write(&bytes);
                let bytes = bytes.len();
                let refused = |error| refused(&open.name, &error);
                (
                    file,
                    wrote
                        .map(|()| Written::Wrote { file, bytes })
                        .map_err(refused),
                )
            }
            Job::Finish { file, sum } => {
                // It was given up, and its sender did not know yet.
                self.open.get(&file)?;
                let finished = self.finish(file, sum);
                (file, finished.map(|()| Written::Finished { file }))
            }
            Job::Leave { file } => {
                self.leave(file);
                return None;
            }
        };
        Some(done.unwrap_or_else(|(status, words)| {
            self.leave(file);
            Written::Failed {
                file,
                status,
                words,
            }
        }))
    }

    fn find(
        &mut self,
        file: u32,
        name: String,
        size: u64,
        careful: bool,
    ) -> Result<(u64, Sum), Refused> {
        let path = self.folder.join(&name);
        let mut open = Open {
            size,
            running: Running::new(),
            replaces: match careful {
                true => Replaces::NothingOfThisRun,
                false if self.overwrite => Replaces::Anything,
                false => Replaces::Nothing,
            },
            part: None,
            name,
        };
        let there = fs::symlink_metadata(&path).ok();
        if let Some(there) = &there {
            // What was begun in its place goes on: that this is another was found then.
            let begun =
                open.replaces == Replaces::Anything && part::is_begun(&self.folder, &open.name);
            if there.is_file() && there.len() == size && !begun {
                // Perhaps it is the same: its sum tells.
                let mut same = File::open(&path).map_err(|error| refused(&open.name, &error))?;
                open.running =
                    Running::of(&mut same, size).map_err(|error| refused(&open.name, &error))?;
                let sum = open.running.sum();
                self.open.insert(file, open);
                return Ok((size, sum));
            }
            if !there.is_file() || open.replaces != Replaces::Anything {
                return Err(open.exists());
            }
        }
        let have = open.take_up(&self.folder)?;
        let sum = open.running.sum();
        self.open.insert(file, open);
        Ok((have, sum))
    }

    fn begin(&mut self, file: u32, offset: u64) -> Result<(), Refused> {
        let Some(open) = self.open.get_mut(&file) else {
            return Ok(());
        };
        if open.part.is_none() {
            if offset == open.size {
                return Ok(());
            }
            // It is another of that name and length.
            if open.replaces != Replaces::Anything {
                return Err(open.exists());
            }
            open.take_up(&self.folder)?;
        }
        if offset == 0 {
            open.running = Running::new();
            let anew = open.part.as_mut().map_or(Ok(()), |part| {
                part.set_len(0)?;
                part.rewind()
            });
            anew.map_err(|error| refused(&open.name, &error))?;
        }
        Ok(())
    }

    fn finish(&mut self, file: u32, sum: Sum) -> Result<(), Refused> {
        let Some(open) = self.open.get(&file) else {
            return Err((Status::Failed, "it is not open".to_owned()));
        };
        let path = self.folder.join(&open.name);
        if open.running.sum() != sum {
            if open.part.is_some() {
                // None of it can be told to be right.
                part::remove(&self.folder, &open.name);
            }
            let words = "what arrived is not what was sent: its SHA-256 is another";
            return Err((Status::Mismatch, words.to_owned()));
        }
        if let Some(written) = &open.part {
            if open.replaces != Replaces::Anything && fs::symlink_metadata(&path).is_ok() {
                return Err(open.exists());
            }
            let named = written
                .sync_all()
                .and_then(|()| part::name(&self.folder, &open.name));
            named.map_err(|error| refused(&open.name, &error))?;
        }
        self.open.remove(&file);
        Ok(())
    }

    fn leave(&mut self, file: u32) {
        if let Some(open) = self.open.remove(&file)
            && let Some(part) = &open.part
            && part.metadata().is_ok_and(|part| part.len() == 0)
        {
            part::remove(&self.folder, &open.name);
        }
    }
}

impl Open {
    /// Another of its name is there, and stays.
    fn exists(&self) -> Refused {
        let name = &self.name;
        let words = match self.replaces {
            Replaces::NothingOfThisRun => {
                format!("{name} is the name of another file that came before it")
            }
            Replaces::Nothing | Replaces::Anything => format!(
                "{name} is there already and is another file; --overwrite puts the new one in its place"
            ),
        };
        (Status::Exists, words)
    }

    /// Opens the partial file, or makes it, and takes the sum of what is in it.
    fn take_up(&mut self, folder: &Path) -> Result<u64, Refused> {
        let taken = self.sum_up(folder);
        taken.map_err(|error| refused(&format!("{}{PART}", self.name), &error))
    }

    fn sum_up(&mut self, folder: &Path) -> io::Result<u64> {
        let mut part = part::open(folder, &self.name)?;
        let length = part.metadata()?.len();
        // More than there will be cannot be the beginning of it.
        let have = if length <= self.size { length } else { 0 };
        self.running = Running::of(&mut part, have)?;
        self.part = Some(part);
        Ok(have)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(part) = &mut self.part {
            part.write_all(bytes)?;
        }
        self.running.add(bytes);
        Ok(())
    }
}

/// The far side is told, too: by the name that it gave, as where it lies here is not its business.
fn refused(name: &str, error: &io::Error) -> Refused {
    let status = status_of(error);
    let words = match status {
        Status::DiskFull => format!(
            "{name} has no room on its disk: make some, and receive again; what is there is not sent twice"
        ),
        _ => format!("{name} cannot be written: {error}"),
    };
    (status, words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn hands(folder: &Path, overwrite: bool) -> Hands {
        Hands {
            folder: folder.to_owned(),
            overwrite,
            open: HashMap::new(),
        }
    }

    fn sum(bytes: &[u8]) -> Sum {
        let mut running = Running::new();
        running.add(bytes);
        running.sum()
    }

    fn find(hands: &mut Hands, size: u64) -> Written {
        let name = "a".to_owned();
        hands
            .work(Job::Find {
                file: 0,
                name,
                size,
                careful: false,
            })
            .unwrap()
    }

    #[test]
    fn what_is_there_of_a_file_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let mut before = hands(folder.path(), false);
        find(&mut before, 5);
        before.work(Job::Begin { file: 0, offset: 0 });
        let bytes = Bytes::from_static(b"hel");
        before.work(Job::Write { file: 0, bytes });
        drop(before);
        let mut hands = hands(folder.path(), false);
        let Written::Found {
            offset, sum: told, ..
        } = find(&mut hands, 5)
        else {
            panic!()
        };
        assert_eq!((offset, told), (3, sum(b"hel")));
        assert!(hands.work(Job::Begin { file: 0, offset: 3 }).is_none());
        let bytes = Bytes::from_static(b"lo");
        assert!(matches!(
            hands.work(Job::Write { file: 0, bytes }),
            Some(Written::Wrote { bytes: 2, .. })
        ));
        let finish = Job::Finish {
            file: 0,
            sum: sum(b"hello"),
        };
        assert!(matches!(hands.work(finish), Some(Written::Finished { .. })));
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"hello");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_partial_file_of_somebody_else_stays_and_its_place_is_nobodys_business() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = folder.path().join("a.part");
        fs::write(&theirs, b"hel").unwrap();
        for overwrite in [false, true] {
            let refused = find(&mut hands(folder.path(), overwrite), 5);
            let Written::Failed { status, words, .. } = refused else {
                panic!("{refused:?}")
            };
            assert_eq!(status, Status::Failed);
            assert!(words.starts_with("a.part cannot be written: "), "{words}");
            assert!(!words.contains(folder.path().to_str().unwrap()), "{words}");
        }
        assert_eq!(fs::read(&theirs).unwrap(), b"hel");
    }

    #[test]
    fn no_file_is_overwritten_unless_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"mine").unwrap();
        let mut careful = hands(folder.path(), false);
        let of_another_length = find(&mut careful, 9);
        assert!(
            matches!(
                &of_another_length,
                Written::Failed {
                    status: Status::Exists,
                    ..
                }
            ),
            "{of_another_length:?}"
        );
        // Of the same length it may be the same; it is not.
        assert!(matches!(
            find(&mut careful, 4),
            Written::Found { offset: 4, .. }
        ));
        let begun = careful.work(Job::Begin { file: 0, offset: 0 });
        assert!(matches!(
            begun,
            Some(Written::Failed {
                status: Status::Exists,
                ..
            })
        ));
        assert_eq!(fs::read(&path).unwrap(), b"mine");

        let mut told = hands(folder.path(), true);
        find(&mut told, 4);
        assert!(told.work(Job::Begin { file: 0, offset: 0 }).is_none());
        let bytes = Bytes::from_static(b"your");
        told.work(Job::Write { file: 0, bytes });
        let finish = Job::Finish {
            file: 0,
            sum: sum(b"your"),
        };
        assert!(matches!(told.work(finish), Some(Written::Finished { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"your");
    }

    #[test]
    fn what_takes_the_place_of_a_file_of_its_length_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"mine!").unwrap();
        let mut told_to = hands(folder.path(), true);
        find(&mut told_to, 5);
        assert!(told_to.work(Job::Begin { file: 0, offset: 0 }).is_none());
        let bytes = Bytes::from_static(b"hel");
        told_to.work(Job::Write { file: 0, bytes });
        // The channel is lost.
        told_to.work(Job::Leave { file: 0 });
        let found = find(&mut told_to, 5);
        let Written::Found {
            offset, sum: told, ..
        } = found
        else {
            panic!("{found:?}")
        };
        assert_eq!((offset, told), (3, sum(b"hel")));
        told_to.work(Job::Begin { file: 0, offset: 3 });
        let bytes = Bytes::from_static(b"lo");
        told_to.work(Job::Write { file: 0, bytes });
        let finish = Job::Finish {
            file: 0,
            sum: sum(b"hello"),
        };
        assert!(matches!(
            told_to.work(finish),
            Some(Written::Finished { .. })
        ));
        assert_eq!(fs::read(&path).unwrap(), b"hello");
    }

    #[test]
    fn what_came_in_this_run_is_not_overwritten_and_is_there_if_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"mine").unwrap();
        let mut hands = hands(folder.path(), true);
        let again = |hands: &mut Hands, size| {
            let (file, name, careful) = (0, "a".to_owned(), true);
            let find = Job::Find {
                file,
                name,
                size,
                careful,
            };
            hands.work(find).unwrap()
        };
        let stays = |done: &Written| {
            let exists = Status::Exists;
            matches!(done, Written::Failed { status, words, .. } if *status == exists && !words.contains("--overwrite"))
        };
        let found = again(&mut hands, 4);
        assert!(
            matches!(found, Written::Found { offset: 4, .. }),
            "{found:?}"
        );
        assert!(hands.work(Job::Begin { file: 0, offset: 4 }).is_none());
        let finish = Job::Finish {
            file: 0,
            sum: sum(b"mine"),
        };
        assert!(matches!(hands.work(finish), Some(Written::Finished { .. })));
        again(&mut hands, 4);
        let begun = hands.work(Job::Begin { file: 0, offset: 0 }).unwrap();
        assert!(stays(&begun), "{begun:?}");
        let longer = again(&mut hands, 9);
        assert!(stays(&longer), "{longer:?}");
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn what_is_wrong_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut hands = hands(folder.path(), false);
        find(&mut hands, 2);
        hands.work(Job::Begin { file: 0, offset: 0 });
        let bytes = Bytes::from_static(b"no");
        hands.work(Job::Write { file: 0, bytes });
        let finished = hands.work(Job::Finish {
            file: 0,
            sum: [0; 32],
        });
        assert!(matches!(
            finished,
            Some(Written::Failed {
                status: Status::Mismatch,
                ..
            })
        ));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_as_one() {
        // A device that has no room for anything.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut hands = hands(folder.path(), false);
        find(&mut hands, 2);
        hands.open.get_mut(&0).unwrap().part = Some(full);
        let bytes = Bytes::from_static(b"no");
        let written = hands.work(Job::Write { file: 0, bytes });
        assert!(
            matches!(&written, Some(Written::Failed { status: Status::DiskFull, words, .. }) if words.contains("no room")),
            "{written:?}"
        );
    }
}
