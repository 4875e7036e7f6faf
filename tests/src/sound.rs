//! A sound card for tests: a private PulseAudio whose microphone we feed and whose loudspeaker
//! we hear. Nothing of the machine's own sound is touched.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::tone::tone;

/// Samples a second of the rig.
pub const RATE: u32 = 48_000;

/// A running server; killed, with all who feed and hear it, when dropped.
pub struct SoundServer {
    server: Child,
    feeds: Vec<Child>,
    dir: tempfile::TempDir,
}

impl SoundServer {
    /// Starts one with a loudspeaker `spk` and a microphone `micsrc`, and waits until it answers.
    ///
    /// # Errors
    /// When PulseAudio is missing or does not come up.
    pub fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut rig = Self {
            server: launch(dir.path())?,
            feeds: Vec::new(),
            dir,
        };
        rig.ready()?;
        Ok(rig)
    }

    /// Starts another in the place of one that died; who fed the microphone has to do so again.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.die();
        self.feeds.iter_mut().for_each(end);
        self.feeds.clear();
        self.server = launch(self.dir.path())?;
        self.ready()
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.pactl(&["info"]).unwrap_or(false) {
            if let Some(status) = self.server.try_wait()? {
                bail!("pulseaudio ended at once, {status}: {}", self.log());
            }
            ensure!(
                Instant::now() < deadline,
                "pulseaudio does not answer pactl (package pulseaudio-utils): {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        ensure!(self.pactl(&["set-default-sink", "spk"])?, "no sink spk");
        ensure!(
            self.pactl(&["set-default-source", "micsrc"])?,
            "no source micsrc"
        );
        Ok(())
    }

    /// What a process must have in its environment to use this server.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, OsString)> {
        env(self.dir.path())
    }

    /// Speaks a tone into the microphone, for a minute at most.
    ///
    /// # Errors
    /// When the player cannot be started.
    pub fn speak(&mut self, hz: f64) -> anyhow::Result<()> {
        let path = self.dir.path().join(format!("tone-{hz}.raw"));
        let samples = tone(hz, RATE, RATE as usize * 60);
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        std::fs::write(&path, bytes)?;
        let child = self
            .command("paplay")
            .args(["--raw", "--format=s16le", "--rate=48000", "--channels=1"])
            .args(["-d", "mic"])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("paplay: apt-get install pulseaudio-utils")?;
        self.feeds.push(child);
        Ok(())
    }

    /// Hears `seconds` of the loudspeaker, interleaved stereo, from now on.
    ///
    /// # Errors
    /// When nothing is to be had.
    pub fn hear(&self, seconds: f64) -> anyhow::Result<Vec<i16>> {
        let mut child = self
            .command("parec")
            .args(["--raw", "--format=s16le", "--rate=48000", "--channels=2"])
            .args(["--latency-msec=20", "-d", "spk.monitor"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("parec: apt-get install pulseaudio-utils")?;
        let mut bytes = vec![0; (seconds * f64::from(RATE)) as usize * 4];
        let read = child
            .stdout
            .take()
            .context("parec has no output")?
            .read_exact(&mut bytes);
        end(&mut child);
        read.context("parec ended early")?;
        Ok(bytes
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect())
    }

    /// Dies without a word, as a server does that crashed.
    pub fn die(&mut self) {
        end(&mut self.server);
    }

    fn pactl(&self, args: &[&str]) -> anyhow::Result<bool> {
        let status = self
            .command("pactl")
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("pactl: apt-get install pulseaudio-utils")?;
        Ok(status.success())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.envs(self.env());
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        self.feeds.iter_mut().for_each(end);
        end(&mut self.server);
    }
}

/// Starts the server that keeps its socket and log in this folder.
fn launch(dir: &Path) -> anyhow::Result<Child> {
    let socket = dir.join("pulse.sock");
    let log = std::fs::File::create(dir.join("log"))?;
    let mut command = Command::new("pulseaudio");
    command
        .args("-n --daemonize=no --exit-idle-time=-1 --disable-shm=yes".split(' '))
        .args("--use-pid-file=no --realtime=no --high-priority=no".split(' '))
        .arg("-L")
        .arg(format!(
            "module-native-protocol-unix auth-anonymous=1 socket={}",
            socket.display()
        ))
        .args(["-L", "module-null-sink sink_name=spk rate=48000 channels=2"])
        .args(["-L", "module-null-sink sink_name=mic rate=48000 channels=2"])
        .args([
            "-L",
            "module-remap-source source_name=micsrc master=mic.monitor",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    for (name, value) in env(dir) {
        command.env(name, value);
    }
    command.spawn().context(
        "pulseaudio cannot be started; install it: apt-get install pulseaudio pulseaudio-utils",
    )
}

/// The environment of a server whose folder is `dir`, running or not.
#[must_use]
pub fn env(dir: &Path) -> Vec<(&'static str, OsString)> {
    let mut server = OsString::from("unix:");
    server.push(dir.join("pulse.sock"));
    vec![
        ("XDG_RUNTIME_DIR", dir.into()),
        ("HOME", dir.into()),
        ("PULSE_SERVER", server),
    ]
}

fn end(child: &mut Child) {
    // Both fail only where it has ended and been waited for already.
    let _ = child.kill();
    let _ = child.wait();
}
