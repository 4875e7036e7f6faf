//! The process: started with a fresh profile, found, and ended with all its children.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::ChromeOptions;

const CHROMIUM: &str = "/usr/bin/chromium";
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Silent, offline, without a GPU, and awake in every window.
const FLAGS: [&str; 14] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-port=0",
];

pub(super) struct Process {
    child: Child,
    profile: TempDir,
}

impl Process {
    /// Starts Chromium; gives the address of its DevTools.
    pub(super) async fn start(options: &ChromeOptions) -> anyhow::Result<(Self, String)> {
        let program = std::env::var_os("CHROMIUM").unwrap_or_else(|| CHROMIUM.into());
        if !Path::new(&program).exists() {
            bail!(
                "Chromium is not installed at {}: run `apt-get install chromium`, or name another with CHROMIUM=PATH",
                Path::new(&program).display()
            );
        }
        let profile = tempfile::Builder::new().prefix("rtc-chromium-").tempdir()?;
        let child = Command::new(&program)
            .args(FLAGS)
            .args(media_flags(options))
            .arg(flag("--user-data-dir", profile.path()))
            .args(&options.flags)
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, so that the helpers it forks end with it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("could not start {}", Path::new(&program).display()))?;
        let mut process = Self { child, profile };
        let url = process.devtools().await?;
        Ok((process, url))
    }

    async fn devtools(&mut self) -> anyhow::Result<String> {
        let file = self.profile.path().join("DevToolsActivePort");
        let started = Instant::now();
        loop {
            if let Ok(text) = std::fs::read_to_string(&file)
                && let Some((port, path)) = text.split_once('\n')
                && !path.is_empty()
            {
                return Ok(format!("ws://127.0.0.1:{port}{}", path.trim_end()));
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("Chromium ended at once with {status}");
            }
            if started.elapsed() > START_PATIENCE {
                bail!("Chromium did not open its DevTools within {START_PATIENCE:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn media_flags(options: &ChromeOptions) -> Vec<OsString> {
    if options.without_devices {
        return Vec::new();
    }
    let mut flags = vec!["--use-fake-device-for-media-stream".into()];
    if let Some(file) = &options.camera {
        flags.push(flag("--use-file-for-fake-video-capture", file));
    }
    if let Some(file) = &options.microphone {
        flags.push(flag("--use-file-for-fake-audio-capture", file));
    }
    flags
}

fn flag(name: &str, path: &Path) -> OsString {
    let mut flag = OsString::from(name);
    flag.push("=");
    flag.push(path);
    flag
}
