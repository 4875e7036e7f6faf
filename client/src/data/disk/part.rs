//! Partial files. Another program may have one of the same name (browsers do), so a file of ours is known by a mark beside it, which
//! says which file it is.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rtc_transfer::name::PART;

/// What every mark begins with.
const OURS: &str = "rtc-client partial file";

/// Where a file of this name is while it is not all there.
pub(super) fn part_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{PART}"))
}

/// No file that is received is called so: no name begins with a dot ([`rtc_transfer::name::clean`]).
fn mark_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}{PART}"))
}

/// Opens ours, or makes one; nobody else writes it then.
pub(super) fn open(folder: &Path, name: &str) -> io::Result<File> {
    let (path, mark) = (part_of(folder, name), mark_of(folder, name));
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let file = match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            is_free(&mark)?;
            let file = options.create_new(true).open(&path)?;
            let marked = file
                .metadata()
                .and_then(|made| fs::write(&mark, identity(&made)));
            // One without a mark would be a stranger's next time.
            marked.inspect_err(|_| remove(folder, name))?;
            file
        }
        Err(error) => return Err(error),
        // What is no plain file may hold who opens it.
        Ok(there) if !there.is_file() => return Err(foreign()),
        Ok(_) => {
            let file = options.open(&path)?;
            if fs::read_to_string(&mark).ok() != Some(identity(&file.metadata()?)) {
                return Err(foreign());
            }
            file
        }
    };
    if file.try_lock().is_err() {
        let words = "another program is writing it; wait for it, or use another folder";
        return Err(io::Error::new(ErrorKind::ResourceBusy, words));
    }
    Ok(file)
}

/// Whether one of ours is there with something in it.
pub(super) fn is_begun(folder: &Path, name: &str) -> bool {
    let there = fs::symlink_metadata(part_of(folder, name)).ok();
    let begun = there.filter(|there| there.is_file() && there.len() > 0);
    begun.is_some_and(|there| {
        fs::read_to_string(mark_of(folder, name)).ok() == Some(identity(&there))
    })
}

/// It becomes the file itself.
pub(super) fn name(folder: &Path, name: &str) -> io::Result<()> {
    fs::rename(part_of(folder, name), folder.join(name))?;
    let _ = fs::remove_file(mark_of(folder, name));
    Ok(())
}

/// It is of no use; only for one that [`open`] gave.
pub(super) fn remove(folder: &Path, name: &str) {
    let _ = fs::remove_file(part_of(folder, name));
    let _ = fs::remove_file(mark_of(folder, name));
}

/// Which file it is: its number, which another may get when it is gone, and when it was made, where the system knows.
fn identity(there: &Metadata) -> String {
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(there);
    #[cfg(not(unix))]
    let number = 0;
    let made = there.created().ok();
    let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let made = made.unwrap_or_default().as_nanos();
    format!("{OURS} {number} {made}\n")
}

/// A mark that is left over may be replaced, and nothing else.
fn is_free(mark: &Path) -> io::Result<()> {
    match fs::read(mark) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(there) if there.starts_with(OURS.as_bytes()) => Ok(()),
        _ => Err(foreign()),
    }
}

fn foreign() -> io::Error {
    let words =
        "a file of its name is there that is not of this program; move it, or use another folder";
    io::Error::new(ErrorKind::AlreadyExists, words)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn our_own_is_opened_again_and_gone_with_its_mark() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = open(folder.path(), "a").unwrap();
        file.write_all(b"hel").unwrap();
        assert_eq!(
            open(folder.path(), "a").unwrap_err().kind(),
            ErrorKind::ResourceBusy
        );
        assert!(is_begun(folder.path(), "a") && !is_begun(folder.path(), "b"));
        drop(file);
        assert_eq!(
            open(folder.path(), "a").unwrap().metadata().unwrap().len(),
            3
        );
        name(folder.path(), "a").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"hel");
    }

    #[test]
    fn what_somebody_else_left_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.part");
        fs::write(&path, b"theirs").unwrap();
        assert!(!is_begun(folder.path(), "a"));
        let refused = |name: &str| open(folder.path(), name).unwrap_err().kind();
        assert_eq!(refused("a"), ErrorKind::AlreadyExists);
        // Also in place of one of ours, whose mark is still there.
        fs::remove_file(&path).unwrap();
        drop(open(folder.path(), "a").unwrap());
        fs::rename(&path, folder.path().join("kept")).unwrap();
        fs::write(&path, b"theirs").unwrap();
        assert_eq!(refused("a"), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        // And where a mark would be.
        fs::write(folder.path().join(".b.part"), b"theirs").unwrap();
        assert_eq!(refused("b"), ErrorKind::AlreadyExists);
        assert!(!folder.path().join("b.part").exists());
    }

    #[test]
    fn a_mark_that_is_left_over_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path(), "a").unwrap());
        fs::remove_file(folder.path().join("a.part")).unwrap();
        assert!(open(folder.path(), "a").is_ok());
    }
}
