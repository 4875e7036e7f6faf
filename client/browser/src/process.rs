//! The process: started with a fresh profile, found, and ended with all its children.

use std::ffi::OsString;
#[cfg(unix)]
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::error::BrowserError;
use super::{ChromeOptions, FirefoxOptions};

const START_PATIENCE: Duration = Duration::from_secs(30);

/// Silent, offline, without a GPU, and awake in every window.
const FLAGS: [&str; 13] = [
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
    "--remote-debugging-port=0",
];

/// Firefox as quiet, with a screen and a camera to itself, and host candidates as they are.
const PREFERENCES: [(&str, &str); 12] = [
    ("media.navigator.permission.disabled", "true"),
    ("media.navigator.streams.fake", "true"),
    ("media.autoplay.default", "0"),
    ("media.autoplay.blocking_policy", "0"),
    ("media.peerconnection.ice.obfuscate_host_addresses", "false"),
    ("media.peerconnection.ice.loopback", "true"),
    ("media.peerconnection.ice.default_address_only", "false"),
    ("media.gmp-manager.updateEnabled", "false"),
    ("app.update.disabledForTesting", "true"),
    ("datareporting.policy.dataSubmissionEnabled", "false"),
    ("network.captive-portal-service.enabled", "false"),
    ("network.connectivity-service.enabled", "false"),
];

pub(super) struct Process {
    name: &'static str,
    child: Child,
    profile: TempDir,
}

impl Process {
    /// Starts Chromium; gives the address of its DevTools.
    pub(super) async fn chromium(options: &ChromeOptions) -> Result<(Self, String), BrowserError> {
        let program = installed(
            "Chromium",
            "CHROMIUM",
            "chromium",
            options.program.as_deref(),
        )?;
        let profile = profile("Chromium", "rtc-chromium-")?;
        let mut command = Command::new(program);
        command
            .args(FLAGS)
            .args(media_flags(options))
            .arg(flag("--user-data-dir", profile.path()))
            .args(&options.flags)
            .arg("about:blank");
        Self::start("Chromium", command, profile, |profile| {
            let text = std::fs::read_to_string(profile.join("DevToolsActivePort")).ok()?;
            let (port, path) = text.split_once('\n').filter(|(_, path)| !path.is_empty())?;
            Some(format!("ws://127.0.0.1:{port}{}", path.trim_end()))
        })
        .await
    }

    /// Starts Firefox; gives the address at which it speaks BiDi.
    pub(super) async fn firefox(options: FirefoxOptions) -> Result<(Self, String), BrowserError> {
        let program = installed(
            "Firefox",
            "FIREFOX",
            "firefox-esr",
            options.program.as_deref(),
        )?;
        let profile = profile("Firefox", "rtc-firefox-")?;
        let line = |(name, value): (&str, &str)| format!("user_pref(\"{name}\", {value});\n");
        let more = options
            .preferences
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let lines: String = PREFERENCES.into_iter().chain(more).map(line).collect();
        std::fs::write(profile.path().join("user.js"), lines).map_err(|source| {
            BrowserError::Profile {
                name: "Firefox",
                source,
            }
        })?;
        let mut command = Command::new(program);
        command
            .args(["--headless", "--no-remote", "--remote-debugging-port=0"])
            .arg("--profile")
            .arg(profile.path())
            .args(&options.args)
            .arg("about:blank")
            .envs(options.environment)
            // Its cache and its crash reports go where they are swept up.
            .env("HOME", profile.path());
        Self::start("Firefox", command, profile, |profile| {
            let text = std::fs::read(profile.join("WebDriverBiDiServer.json")).ok()?;
            let told: serde_json::Value = serde_json::from_slice(&text).ok()?;
            Some(format!(
                "ws://127.0.0.1:{}/session",
                told["ws_port"].as_u64()?
            ))
        })
        .await
    }

    /// Starts a browser and waits until `address` finds in its profile where it listens.
    async fn start(
        name: &'static str,
        mut command: Command,
        profile: TempDir,
        address: fn(&Path) -> Option<String>,
    ) -> Result<(Self, String), BrowserError> {
        // A group of its own, so that the helpers it forks end with it.
        #[cfg(unix)]
        command.process_group(0);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| BrowserError::Start { name, source })?;
        let mut process = Self {
            name,
            child,
            profile,
        };
        let url = process.address(address).await?;
        Ok((process, url))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn address(&mut self, find: fn(&Path) -> Option<String>) -> Result<String, BrowserError> {
        let started = Instant::now();
        loop {
            if let Some(url) = find(self.profile.path()) {
                return Ok(url);
            }
            let name = self.name;
            let ended = self.child.try_wait();
            let ended = ended.map_err(|source| BrowserError::Start { name, source })?;
            if let Some(status) = ended {
                return Err(BrowserError::Ended { name, status });
            }
            if started.elapsed() > START_PATIENCE {
                return Err(BrowserError::Silent {
                    name,
                    patience: START_PATIENCE,
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn profile(name: &'static str, prefix: &str) -> Result<TempDir, BrowserError> {
    let made = tempfile::Builder::new().prefix(prefix).tempdir();
    made.map_err(|source| BrowserError::Profile { name, source })
}

/// Where a browser is: where Debian puts it, or where a variable says.
fn installed(
    name: &'static str,
    variable: &'static str,
    package: &'static str,
    told: Option<&Path>,
) -> Result<PathBuf, BrowserError> {
    let usual = || {
        std::env::var_os(variable)
            .map_or_else(|| Path::new("/usr/bin").join(package), PathBuf::from)
    };
    let program = told.map_or_else(usual, Path::to_owned);
    if !program.exists() {
        return Err(BrowserError::NotInstalled {
            name,
            program,
            package,
            variable,
        });
    }
    Ok(program)
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
        return vec!["--use-fake-ui-for-media-stream".into()];
    }
    let mut flags = vec!["--use-fake-device-for-media-stream".into()];
    if !options.without_permission {
        flags.push("--use-fake-ui-for-media-stream".into());
    }
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
