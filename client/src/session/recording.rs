//! What is recorded of the others, and into which files.

use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StartError;
use crate::event::PeerRef;
use crate::media::frame::{Picture, Sound};
use crate::media::sink::record::mixed::{MixedInput, MixedRecord};
use crate::media::sink::record::{
    RecordCounts, RecordError, RecordHandle, RecordSink, Recorder, TrackId, TrackInfo, TrackKind,
};
use crate::options::{RecordLayout, RecordOption, RecordTo};
use crate::output;

/// A recording that runs as long as the call.
pub(super) struct Recording {
    kind: Kind,
    errors: SyncSender<String>,
}

enum Kind {
    /// Everybody's own tracks in one file.
    Tracks(RecordSink),
    /// A file for each.
    Files(Arc<Files>),
    /// One grid and one mix.
    Mixed(Box<MixedRecord>),
}

/// Files of peers, each made with its first frame.
struct Files {
    path: PathBuf,
    open: Mutex<Vec<(PathBuf, RecordSink)>>,
    errors: SyncSender<String>,
}

/// One peer's part in it.
pub(super) struct PeerRecording {
    name: String,
    place: Place,
    /// Made when their first frame comes; `None` where the file does not take it, which was told then.
    tracks: Vec<(TrackKind, Option<TrackId>)>,
}

enum Place {
    File(RecordHandle),
    /// Not made yet.
    OwnFile(Arc<Files>),
    Mixed(MixedInput),
    Nowhere,
}

impl Recording {
    /// Makes the file, so that what cannot be recorded fails at the start. `errors` takes what goes wrong later.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn start(
        option: &RecordOption,
        errors: SyncSender<String>,
    ) -> Result<Self, StartError> {
        let recorder = || match &option.to {
            RecordTo::File(path) => Recorder::create(path),
            RecordTo::Stdout => Ok(Recorder::stream(output::raw_stdout())),
        };
        let kind = match (option.layout, &option.to) {
            (RecordLayout::Files, RecordTo::File(path)) => Kind::Files(Arc::new(Files {
                path: path.clone(),
                open: Mutex::default(),
                errors: errors.clone(),
            })),
            (RecordLayout::Mixed, _) => {
                let mixed = MixedRecord::start(recorder()?, told(&errors))?;
                Kind::Mixed(Box::new(mixed))
            }
            _ => Kind::Tracks(RecordSink::start(recorder()?, told(&errors))?),
        };
        Ok(Self { kind, errors })
    }

    pub(super) fn for_peer(&self, who: &PeerRef) -> PeerRecording {
        PeerRecording {
            name: who.name.clone(),
            place: match &self.kind {
                Kind::Tracks(sink) => Place::File(sink.handle()),
                Kind::Files(files) => Place::OwnFile(Arc::clone(files)),
                Kind::Mixed(mixed) => Place::Mixed(mixed.input()),
            },
            tracks: Vec::new(),
        }
    }

    /// Completes files, and tells what went wrong with it. Blocks.
    pub(super) fn finish(self) -> Vec<String> {
        drop(self.errors);
        match self.kind {
            Kind::Tracks(sink) => notice(sink.finish()).into_iter().collect(),
            Kind::Mixed(mixed) => notice(mixed.finish()).into_iter().collect(),
            Kind::Files(files) => std::mem::take(&mut *lock(&files.open))
                .into_iter()
                .filter_map(|(_, sink)| notice(sink.finish()))
                .collect(),
        }
    }
}

/// Tells errors of a file without ever waiting; each comes once.
fn told(errors: &SyncSender<String>) -> impl FnMut(RecordError) + Send + 'static {
    let errors = errors.clone();
    move |error| {
        let _ = errors.try_send(format!("{error}. The call goes on"));
    }
}

fn notice(finished: Result<RecordCounts, RecordError>) -> Option<String> {
    match finished {
        Ok(counts) if counts.dropped > 0 => Some(format!(
            "{} of {} frames were left out of the recording: the disk was too slow",
            counts.dropped, counts.given
        )),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Files {
    /// Makes a peer's file.
    fn open(&self, name: &str) -> Result<RecordHandle, String> {
        let mut open = lock(&self.open);
        let taken = |path: &Path| open.iter().any(|(known, _)| known == path);
        let path = (1..)
            .map(|nth| file_of(&self.path, name, nth))
            .find(|path| !taken(path))
            .unwrap_or_default();
        let recorder = Recorder::create(&path).map_err(|error| error.to_string())?;
        let sink = RecordSink::start(recorder, told(&self.errors)).map_err(|e| e.to_string())?;
        let handle = sink.handle();
        open.push((path, sink));
        Ok(handle)
    }
}

/// The file of the peer of this name, the `nth` of that name: `call.mkv` becomes `call-bob.mkv`, `call-bob-2.mkv`. A name of a
/// peer is anybody's choice: only letters, digits and `_` of it go into the file's.
fn file_of(path: &Path, name: &str, nth: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .take(40)
        .collect();
    let nth = if nth == 1 {
        String::new()
    } else {
        format!("-{nth}")
    };
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-{plain}{nth}.{ending}"))
}

impl PeerRecording {
    /// Where a frame of this kind goes, if the file takes it. Frames are given without any lock: they may wait for
    /// a slow disk.
    pub(super) fn track(&mut self, kind: TrackKind) -> Option<(RecordHandle, TrackId)> {
        if let Place::OwnFile(files) = &self.place {
            self.place = match files.open(&self.name) {
                Ok(handle) => Place::File(handle),
                Err(error) => {
                    let _ = files.errors.try_send(format!("{error}. The call goes on"));
                    Place::Nowhere
                }
            };
        }
        let Place::File(record) = &self.place else {
            return None;
        };
        let known = self.tracks.iter().find(|(known, _)| *known == kind);
        let track = match known {
            Some((_, track)) => *track,
            None => {
                let info = TrackInfo {
                    name: self.name.clone(),
                    kind,
                };
                let track = record
                    .add_track(info)
                    .inspect_err(|error| tracing::warn!("{error}"))
                    .ok();
                self.tracks.push((kind, track));
                track
            }
        };
        Some((record.clone(), track?))
    }

    /// A picture as it is shown.
    pub(super) fn shown(&self, picture: &Arc<Picture>) {
        if let Place::Mixed(input) = &self.place {
            input.picture(picture);
        }
    }

    /// Sound as it is heard.
    pub(super) fn heard(&self, sound: &Sound) {
        if let Place::Mixed(input) = &self.place {
            input.sound(sound);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_after_peers_whose_names_cannot_lead_elsewhere() {
        let path = Path::new("/tmp/call.mp4");
        for (name, nth, file) in [
            ("bob", 1, "/tmp/call-bob.mp4"),
            ("bob", 2, "/tmp/call-bob-2.mp4"),
            ("../../etc/passwd", 1, "/tmp/call-______etc_passwd.mp4"),
            ("Übel \u{1b}[31m", 1, "/tmp/call-Übel___31m.mp4"),
            ("", 1, "/tmp/call-.mp4"),
        ] {
            assert_eq!(file_of(path, name, nth), Path::new(file));
        }
    }
}
