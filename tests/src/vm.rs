//! A machine with a camera and a sound card, on a machine that has neither: a Linux in qemu with
//! the kernel's own test drivers (`vivid`, `snd-aloop`) and our programs in its initial ram disk.
//!
//! It needs no virtualisation of the processor, no network and no image; what it downloads, the
//! kernel's package, is kept in `target/rig`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// What is to be installed on Debian.
const PACKAGES: &str = "qemu-system-x86 busybox-static kmod cpio alsa-utils";
/// Drivers, with their parameters.
const MODULES: [(&str, &str); 2] = [
    (
        "vivid",
        "n_devs=1 node_types=0x1 input_types=0x0 num_inputs=1 vid_cap_nr=0",
    ),
    ("snd-aloop", "pcm_substreams=2"),
];
/// How long all checks together may take, starting included.
const LIMIT: Duration = Duration::from_secs(300);

/// Something to be run inside.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Its name, without blanks.
    pub name: &'static str,
    /// A line of shell.
    pub shell: &'static str,
    /// Seconds after which it is ended.
    pub seconds: u32,
}

/// What came of a [`Task`].
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The JSON objects among its lines.
    pub objects: Vec<Value>,
    /// All its other lines.
    pub text: String,
    /// Its exit code; none where it never ended.
    pub code: Option<i32>,
    /// How long it took, as seen from outside.
    pub took: Duration,
}

/// Runs `tasks` one after the other in a fresh machine whose `/bin` also has `programs`.
///
/// # Errors
/// When a tool is missing, the kernel cannot be had, or the machine does not start.
pub fn run(dir: &Path, programs: &[PathBuf], tasks: &[Task]) -> anyhow::Result<Vec<Outcome>> {
    fs::create_dir_all(dir)?;
    let kernel = Kernel::prepare(dir)?;
    let disk = ram_disk(dir, &kernel, programs, tasks)?;
    let mut machine = Machine::start(&kernel, &disk)?;
    let log = fs::File::create(dir.join("serial.log"))?;
    machine.watch(tasks, log)
}

struct Kernel {
    image: PathBuf,
    /// In the order of loading, the drivers with their parameters.
    modules: Vec<(PathBuf, String)>,
}

impl Kernel {
    /// Downloads and unpacks Debian's newest kernel, once.
    fn prepare(dir: &Path) -> anyhow::Result<Self> {
        let root = dir.join("kernel");
        if !root.join("done").exists() {
            let _ = fs::remove_dir_all(&root);
            fs::create_dir_all(&root)?;
            let package = kernel_package()?;
            // As root, apt would fetch as a user who may not write here.
            let unconfined = ["-o", "APT::Sandbox::User=root", "download", &package];
            output(Command::new("apt-get").args(unconfined).current_dir(&root))?;
            let deb = newest(&root, ".deb")?;
            output(Command::new("dpkg").arg("-x").arg(&deb).arg(&root))?;
            fs::remove_file(deb)?;
            output(
                Command::new("depmod")
                    .arg("-b")
                    .arg(&root)
                    .arg(version(&root)?),
            )?;
            fs::write(root.join("done"), "")?;
        }
        let version = version(&root)?;
        let mut modules: Vec<(PathBuf, String)> = Vec::new();
        for (module, parameters) in MODULES {
            let mut modprobe = Command::new("modprobe");
            modprobe.arg("-d").arg(&root).args(["-S", &version]);
            let listed = output(modprobe.args(["--show-depends", module]))?;
            let paths = listed
                .lines()
                .filter_map(|line| line.strip_prefix("insmod "));
            for path in paths {
                let path = PathBuf::from(path.trim());
                if modules.iter().all(|(known, _)| *known != path) {
                    modules.push((path, String::new()));
                }
            }
            let (_, last) = modules.last_mut().context("no modules")?;
            *last = parameters.to_owned();
        }
        Ok(Self {
            image: root.join(format!("boot/vmlinuz-{version}")),
            modules,
        })
    }
}

/// The package that Debian's `linux-image-amd64` stands for at present.
fn kernel_package() -> anyhow::Result<String> {
    let depends = output(Command::new("apt-cache").args(["depends", "linux-image-amd64"]))?;
    depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .map(str::to_owned)
        .context("no kernel package is known; run apt-get update")
}

fn version(root: &Path) -> anyhow::Result<String> {
    let modules = newest(&root.join("lib/modules"), "")?;
    let name = modules.file_name().and_then(|name| name.to_str());
    Ok(name.context("a kernel without a version")?.to_owned())
}

fn newest(dir: &Path, suffix: &str) -> anyhow::Result<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(suffix)))
        .collect();
    entries.sort();
    let none = || format!("nothing like *{suffix} in {}", dir.display());
    entries.pop().with_context(none)
}

/// Packs everything the machine has.
fn ram_disk(
    dir: &Path,
    kernel: &Kernel,
    programs: &[PathBuf],
    tasks: &[Task],
) -> anyhow::Result<PathBuf> {
    let root = dir.join("root");
    let _ = fs::remove_dir_all(&root);
    for folder in [
        "bin",
        "modules",
        "etc",
        "proc",
        "sys",
        "dev",
        "tmp",
        "usr/share",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::write(
        root.join("etc/group"),
        "root:x:0:\naudio:x:29:root\nvideo:x:44:root\n",
    )?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    copy("/bin/busybox".as_ref(), &root.join("bin/busybox"))?;
    let alsa = ["-a", "/usr/share/alsa"];
    output(Command::new("cp").args(alsa).arg(root.join("usr/share")))?;
    let tools = ["/usr/bin/aplay", "/usr/bin/arecord"].map(PathBuf::from);
    for program in programs.iter().chain(&tools) {
        let name = program.file_name().context("a program without a name")?;
        let inside = root.join("bin").join(name);
        copy(program, &inside)?;
        // Half of a debug binary is symbols that nobody reads in there.
        output(Command::new("strip").arg(&inside))?;
        for library in libraries(program)? {
            let inside = root.join(library.strip_prefix("/")?);
            if !inside.exists() {
                copy(&library, &inside)?;
            }
        }
    }
    let mut loading = String::new();
    for (module, parameters) in &kernel.modules {
        let name = module.file_name().context("a module without a name")?;
        copy(module, &root.join("modules").join(name))?;
        loading += &format!("insmod /modules/{} {parameters}\n", name.display());
    }
    let init = root.join("init");
    fs::write(&init, script(&loading, tasks))?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let disk = dir.join("root.gz");
    let pack = "find . | cpio --quiet -o -H newc | gzip -1";
    let packed = Command::new("sh")
        .args(["-c", pack])
        .current_dir(&root)
        .stdout(fs::File::create(&disk)?)
        .status()?;
    ensure!(packed.success(), "{pack}: {packed}; install {PACKAGES}");
    Ok(disk)
}

/// The first process: mounts, loads, runs the tasks between marks, switches off.
fn script(loading: &str, tasks: &[Task]) -> String {
    let tasks: String = tasks
        .iter()
        .map(|Task { name, shell, seconds }| {
            format!(
                "echo '@@ begin {name}'\ntimeout {seconds} sh -c '{shell}'\necho \"@@ end {name} $?\"\n"
            )
        })
        .collect();
    format!(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         export PATH=/bin HOME=/tmp\n\
         mount -t proc none /proc\nmount -t sysfs none /sys\nmount -t devtmpfs none /dev\n\
         mkdir -p /dev/shm\nmount -t tmpfs none /dev/shm\nmount -t tmpfs none /tmp\n\
         ip link set lo up 2>/dev/null\n\
         {loading}{tasks}echo '@@ over'\npoweroff -f\n"
    )
}

fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = output(Command::new("ldd").arg(program))?;
    ensure!(
        !listed.contains("not found"),
        "libraries are missing: {listed}"
    );
    Ok(listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    let failed = || format!("{} is missing; install {PACKAGES}", from.display());
    fs::copy(from, to).with_context(failed)?;
    Ok(())
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let failed = format!("{command:?}; to install: {PACKAGES}");
    let output = command.output().with_context(|| failed.clone())?;
    if !output.status.success() {
        bail!("{failed}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A running qemu, killed when dropped.
struct Machine(Child);

impl Machine {
    fn start(kernel: &Kernel, disk: &Path) -> anyhow::Result<Self> {
        let child = Command::new("qemu-system-x86_64")
            .args("-accel tcg,thread=multi -cpu max -m 1024 -smp 1 -nic none".split(' '))
            .args("-display none -serial stdio -monitor none -no-reboot".split(' '))
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(disk)
            .args(["-append", "console=ttyS0 quiet panic=-1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("qemu-system-x86_64; install {PACKAGES}"))?;
        Ok(Self(child))
    }

    /// Sorts what comes over the serial line to the tasks it belongs to.
    fn watch(&mut self, tasks: &[Task], mut log: fs::File) -> anyhow::Result<Vec<Outcome>> {
        use std::io::Write as _;
        let serial = BufReader::new(self.0.stdout.take().context("qemu has no output")?);
        let (lines_in, lines) = std::sync::mpsc::sync_channel(256);
        // Ends with qemu, which this machine's `Drop` ends.
        std::thread::spawn(move || {
            for line in serial.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if lines_in.send(line).is_err() {
                    break;
                }
            }
        });
        let deadline = Instant::now() + LIMIT;
        let mut outcomes = vec![Outcome::default(); tasks.len()];
        let mut current: Option<(usize, Instant)> = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(left) else {
                return Ok(outcomes);
            };
            writeln!(log, "{line}")?;
            if let Some(name) = line.strip_prefix("@@ begin ") {
                let place = tasks.iter().position(|task| task.name == name);
                current = place.map(|place| (place, Instant::now()));
            } else if let Some(ended) = line.strip_prefix("@@ end ") {
                if let Some((place, begun)) = current.take() {
                    let code = ended.rsplit(' ').next().and_then(|code| code.parse().ok());
                    outcomes[place].code = code;
                    outcomes[place].took = begun.elapsed();
                }
            } else if line == "@@ over" {
                return Ok(outcomes);
            } else if let Some((place, _)) = current {
                match serde_json::from_str::<Value>(&line) {
                    Ok(value) if value.is_object() => outcomes[place].objects.push(value),
                    _ => outcomes[place].text += &format!("{line}\n"),
                }
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only where it has ended and been waited for already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
