//! Pictures kept for what takes too long while a call runs: their VMAF, told at its end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use crate::measure::marks::Mark;
use crate::measure::vmaf::{FRAME, Vmaf, VmafError, header};
use crate::media::frame::Picture;

/// Pictures that wait for the disk; what comes then is left out.
const QUEUE: usize = 32;

/// Of so many pictures the first [`RUN`] are kept: libvmaf looks at what moves, so they have to follow each other.
const EVERY: u64 = 40;
const RUN: u64 = 10;

/// More than this is not kept, in bytes.
const MOST: usize = 1 << 30;

struct Kept {
    peer: String,
    at: Duration,
    mark: Mark,
    picture: Arc<Picture>,
}

/// The scores of one peer's pictures, each with its time in the call.
pub(super) type Scores = Vec<(String, Vec<(Duration, f64)>)>;

/// Writes pictures into files of a folder of its own, which goes with it.
pub(in crate::session) struct KeptPictures {
    vmaf: Vmaf,
    queue: Option<SyncSender<Kept>>,
    writer: Option<JoinHandle<io::Result<Shelf>>>,
    folder: TempDir,
    seen: HashMap<String, u64>,
}

/// Pictures of one peer in one size.
struct Pile {
    file: BufWriter<File>,
    path: PathBuf,
    shown: Vec<(Duration, Mark)>,
}

#[derive(Default)]
struct Shelf {
    piles: HashMap<(String, u32, u32), Pile>,
    bytes: usize,
}

impl KeptPictures {
    /// # Errors
    /// When there is no place or no thread for them.
    pub(in crate::session) fn begin(vmaf: Vmaf) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("rtc-client-pictures-")
            .tempdir()?;
        let (queue, come) = sync_channel(QUEUE);
        let path = folder.path().to_owned();
        let writer = std::thread::Builder::new()
            .name("kept pictures".into())
            .spawn(move || write(&come, &path))?;
        Ok(Self {
            vmaf,
            queue: Some(queue),
            writer: Some(writer),
            folder,
            seen: HashMap::new(),
        })
    }

    /// Keeps a picture if it is one of those that are.
    pub(super) fn show(&mut self, peer: &str, at: Duration, mark: Mark, picture: &Arc<Picture>) {
        let seen = self.seen.entry(peer.to_owned()).or_default();
        *seen += 1;
        if (*seen - 1) % EVERY >= RUN {
            return;
        }
        let kept = Kept {
            peer: peer.to_owned(),
            at,
            mark,
            picture: Arc::clone(picture),
        };
        let queue = self.queue.as_ref();
        if let Some(Err(TrySendError::Disconnected(_))) = queue.map(|queue| queue.try_send(kept)) {
            // What went wrong with the writer is told at the end.
            self.queue = None;
        }
    }

    /// Judges what was kept.
    ///
    /// # Errors
    /// When they could not be kept, or not judged.
    pub(in crate::session) async fn scores(mut self) -> Result<Scores, String> {
        self.queue = None;
        let Some(writer) = self.writer.take() else {
            return Ok(Vec::new());
        };
        let shelf = tokio::task::spawn_blocking(move || writer.join())
            .await
            .map_err(|error| error.to_string())?
            .map_err(|_| "the thread that keeps pictures ended".to_owned())?
            .map_err(|error| {
                let folder = self.folder.path().display();
                format!("pictures for their VMAF could not be kept in {folder}: {error}; TMPDIR names another folder")
            })?;
        let mut scores = Vec::new();
        for ((peer, width, height), pile) in shelf.piles {
            drop(pile.file);
            let (times, marks): (Vec<_>, Vec<_>) = pile.shown.into_iter().unzip();
            let judged = self.vmaf.judge(&pile.path, (width, height), &marks).await;
            let judged = judged.map_err(|error: VmafError| error.to_string())?;
            scores.push((peer, times.into_iter().zip(judged).collect()));
        }
        Ok(scores)
    }
}

fn write(come: &Receiver<Kept>, folder: &std::path::Path) -> io::Result<Shelf> {
    let mut shelf = Shelf::default();
    for kept in come {
        shelf.put(kept, folder)?;
    }
    for pile in shelf.piles.values_mut() {
        pile.file.flush()?;
    }
    Ok(shelf)
}

impl Shelf {
    fn put(&mut self, kept: Kept, folder: &std::path::Path) -> io::Result<()> {
        let Picture {
            width,
            height,
            y,
            u,
            v,
            ..
        } = &*kept.picture;
        if self.bytes > MOST {
            return Ok(());
        }
        let number = self.piles.len();
        let pile = match self.piles.entry((kept.peer, *width, *height)) {
            std::collections::hash_map::Entry::Occupied(pile) => pile.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let path = folder.join(format!("{number}.y4m"));
                let mut file = BufWriter::new(File::create(&path)?);
                file.write_all(header(*width, *height).as_bytes())?;
                place.insert(Pile {
                    file,
                    path,
                    shown: Vec::new(),
                })
            }
        };
        for part in [FRAME, y, u, v] {
            pile.file.write_all(part)?;
            self.bytes += part.len();
        }
        pile.shown.push((kept.at, kept.mark));
        Ok(())
    }
}
