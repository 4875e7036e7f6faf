//! VMAF of received pictures by an ffmpeg that has libvmaf.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::marks::{self, Mark};
use crate::media::capture::test_picture::render;
use crate::media::frame::Picture;

/// It tells its filters within this.
const ASKED: Duration = Duration::from_secs(30);

/// It judges pictures within this: some minutes of them, on a slow machine.
const JUDGED: Duration = Duration::from_secs(600);

/// Where it writes what it found, beside the pictures.
const SCORES: &str = "scores.json";

/// The header of pictures in the format of mjpegtools; their rate means nothing here.
#[must_use]
pub fn header(width: u32, height: u32) -> String {
    format!("YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg\n")
}

/// Before each picture.
pub const FRAME: &[u8] = b"FRAME\n";

/// Why there is no VMAF.
#[derive(Debug, thiserror::Error)]
pub enum VmafError {
    /// There is no such program.
    #[error(
        "video.vmaf is expected, and {program} cannot be run ({source}): install ffmpeg, or name it with --ffmpeg PATH"
    )]
    Missing {
        /// As it was named.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It was made without libvmaf.
    #[error(
        "video.vmaf is expected, and {program} was built without libvmaf (Debian's is): name one that has it with --ffmpeg PATH; \
         `pip install imageio-ffmpeg` brings one"
    )]
    NoLibrary {
        /// As it was named.
        program: String,
    },
    /// It failed, or took too long.
    #[error("{program} could not tell the VMAF of the pictures: {why}")]
    Failed {
        /// As it was named.
        program: String,
        /// What it said.
        why: String,
    },
}

/// An ffmpeg that has libvmaf.
#[derive(Clone, Debug)]
pub struct Vmaf {
    program: PathBuf,
}

#[derive(Deserialize)]
struct Scores {
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    metrics: Metrics,
}

#[derive(Deserialize)]
struct Metrics {
    vmaf: f64,
}

impl Vmaf {
    /// Asks the program whether it can do it.
    ///
    /// # Errors
    /// When it is not there, or cannot.
    pub async fn find(program: &Path) -> Result<Self, VmafError> {
        let name = || program.display().to_string();
        let asked = Command::new(program)
            .args(["-hide_banner", "-filters"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let told = timeout(ASKED, asked)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| VmafError::Missing {
                program: name(),
                source,
            })?;
        let filters = String::from_utf8_lossy(&told.stdout);
        let has = |line: &str| line.split_whitespace().nth(1) == Some("libvmaf");
        match filters.lines().any(has) {
            true => Ok(Self {
                program: program.to_owned(),
            }),
            false => Err(VmafError::NoLibrary { program: name() }),
        }
    }

    /// The score, 0 to 100, of each picture in the file, which shows what `marks` says, in this order.
    ///
    /// # Errors
    /// When it fails, or tells something else than a score for each.
    pub async fn judge(
        &self,
        file: &Path,
        size: (u32, u32),
        marks: &[Mark],
    ) -> Result<Vec<f64>, VmafError> {
        self.run(file, size, marks)
            .await
            .map_err(|why| VmafError::Failed {
                program: self.program.display().to_string(),
                why,
            })
    }

    async fn run(
        &self,
        file: &Path,
        (width, height): (u32, u32),
        marks: &[Mark],
    ) -> Result<Vec<f64>, String> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let filter = format!(
            "[0:v]setpts=N[seen];[1:v]setpts=N[known];[seen][known]libvmaf=log_fmt=json:log_path={SCORES}:n_threads=2"
        );
        let mut running = Command::new(&self.program)
            .current_dir(folder)
            .args(["-nostdin", "-v", "error", "-f", "yuv4mpegpipe", "-i"])
            .arg(file.file_name().unwrap_or_default())
            .args(["-f", "yuv4mpegpipe", "-i", "pipe:0"])
            .args(["-lavfi", &filter, "-f", "null", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        let known = running.stdin.take();
        let show = async {
            let mut known = known.ok_or(io::ErrorKind::BrokenPipe)?;
            known.write_all(header(width, height).as_bytes()).await?;
            for mark in marks {
                let Picture { y, u, v, .. } = &known_picture(*mark, width, height);
                for part in [FRAME, y, u, v] {
                    known.write_all(part).await?;
                }
            }
            known.shutdown().await
        };
        // What it complains of says more than that it takes no more pictures.
        let done = timeout(JUDGED, async {
            let (_, done) = tokio::join!(show, running.wait_with_output());
            done
        });
        let done = done
            .await
            .map_err(|_| format!("it took longer than {} s", JUDGED.as_secs()))?
            .map_err(|error| error.to_string())?;
        let scores = read(&done, &folder.join(SCORES))?;
        match scores.len() == marks.len() {
            true => Ok(scores),
            false => Err(format!(
                "{} pictures were judged of {}",
                scores.len(),
                marks.len()
            )),
        }
    }
}

/// What the picture was before it was coded, with its mark.
fn known_picture(mark: Mark, width: u32, height: u32) -> Picture {
    let mut picture = render(mark.number, width, height);
    marks::stamp(&mut picture, mark);
    picture
}

fn read(done: &Output, file: &Path) -> Result<Vec<f64>, String> {
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(format!("{last} ({})", done.status));
    }
    let text = std::fs::read(file).map_err(|error| format!("it wrote no scores: {error}"))?;
    let scores: Scores =
        serde_json::from_slice(&text).map_err(|error| format!("its scores: {error}"))?;
    let scores = scores.frames.iter().map(|frame| frame.metrics.vmaf);
    Ok(scores.collect())
}
