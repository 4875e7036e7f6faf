//! What processes use: the server's time and memory, our own file descriptors.

use std::time::Duration;

use super::peer::Trouble;

/// Files that are open beside the sockets: the runtime's, standard streams, shared libraries.
const OTHER_FILES: u64 = 64;

/// What a process has used, and holds, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Processor time of all its threads, in its own code and in the kernel's.
    pub(super) processor: Duration,
    /// Bytes of memory that are resident.
    pub(super) resident: u64,
}

impl Usage {
    /// Reads `/proc` (proc(5)), which only Linux has.
    pub(super) fn of(pid: u32) -> Result<Self, Trouble> {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|error| {
                Trouble::Process(format!(
                    "--server-pid: process {pid} cannot be looked at: {error}"
                ))
            })
        };
        let usage = Self {
            processor: processor(&read("stat")?).unwrap_or_default(),
            resident: resident(&read("status")?).unwrap_or_default(),
        };
        Ok(usage)
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            processor: self.processor + other.processor,
            resident: self.resident + other.resident,
        }
    }
}

/// Processor time that a process has used, where the system tells.
pub(crate) fn processor_of(pid: u32) -> Option<Duration> {
    Usage::of(pid).ok().map(|usage| usage.processor)
}

/// As [`processor_of`], of all processes of a group that live: a browser is many.
pub(crate) fn processor_of_group(group: u32) -> Option<Duration> {
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let stats = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let used = stats
        .filter(|stat| group_of(stat) == Some(group))
        .filter_map(|stat| processor(&stat));
    used.reduce(|a, b| a + b)
}

/// Field 5.
fn group_of(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}

/// Fields 14 and 15, counted from behind the program's name, which may hold anything.
fn processor(stat: &str) -> Option<Duration> {
    /// `USER_HZ`: 100 on every Linux whose `/proc` is read by programs.
    const TICKS: u64 = 100;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS))
}

fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Sockets that one process may have open at a time, where there is such a limit.
#[cfg(unix)]
pub(super) fn sockets_allowed() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    most.map(|most| most.saturating_sub(OTHER_FILES))
}

/// Other systems have no such limit.
#[cfg(not(unix))]
pub(super) fn sockets_allowed() -> Option<u64> {
    None
}

/// Sees to it that so many sockets can be open at a time, or says how many can.
#[cfg(unix)]
pub(super) fn allow_files(sockets: u64) -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = sockets + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= needed) {
        return Ok(());
    }
    if limit.maximum.is_none_or(|most| most >= needed) {
        let raised = Rlimit {
            current: Some(needed),
            maximum: limit.maximum,
        };
        return setrlimit(Resource::Nofile, raised)
            .map_err(|error| format!("the limit of open files cannot be raised: {error}"));
    }
    let most = limit.maximum.unwrap_or(u64::MAX);
    Err(format!(
        "{sockets} sockets at a time need {needed} open files, and this system allows a process {most} (ulimit -Hn); \
         ask for at most {} peers, or spread them with --processes",
        most.saturating_sub(OTHER_FILES)
    ))
}

/// Other systems have no such limit.
#[cfg(not(unix))]
pub(super) fn allow_files(_: u64) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let stat = "12 (a) b (c d) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 99";
        assert_eq!(processor(stat), Some(Duration::from_secs(3)));
        assert_eq!(processor("12 (x"), None);
        assert_eq!((group_of(stat), group_of("12 (x")), (Some(2), None));
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(resident(status), Some(12 * 1024));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_there_and_number_zero_is_not() {
        assert!(Usage::of(std::process::id()).unwrap().resident > 0);
        let error = Usage::of(0).unwrap_err().to_string();
        assert!(error.contains("--server-pid"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn more_sockets_than_the_system_has_are_refused_with_a_number() {
        assert_eq!(allow_files(1), Ok(()));
        // No system of today allows that many; one without any limit does.
        if let Err(error) = allow_files(1 << 40) {
            assert!(error.contains("at most"), "{error}");
        }
    }
}
