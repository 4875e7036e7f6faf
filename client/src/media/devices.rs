//! The cameras, microphones and loudspeakers of this machine, and what all of them need:
//! a thread that may be abandoned, and words for what went wrong.

pub(crate) mod audio;
mod held;
pub mod inventory;
pub(crate) mod samples;

use std::time::Duration;

use serde::Serialize;

pub(crate) use held::{Held, Stop};

/// How long a device may take to open or to be listed before it counts as not answering.
pub(crate) const OPEN_LIMIT: Duration = Duration::from_secs(4);

/// One device, as a person names it: by its place in the list, its id, or a part of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its place in the list, from 0.
    pub index: usize,
    /// What the system calls it, for people.
    pub name: String,
    /// What the system calls it, for programs: a path or a driver's name.
    pub id: String,
    /// Whether it is taken where none is named.
    pub default: bool,
}

/// The place of the device that `which` means: an index, an id, or a part of a name without regard to case.
pub(crate) fn find(devices: &[Device], which: &str) -> Option<usize> {
    let wanted = which.to_lowercase();
    let by_index = which
        .parse()
        .ok()
        .and_then(|index: usize| devices.iter().position(|d| d.index == index));
    by_index
        .or_else(|| devices.iter().position(|d| d.id == which))
        .or_else(|| {
            devices
                .iter()
                .position(|d| d.name.to_lowercase().contains(&wanted))
        })
}

/// ` matching "x"`, or nothing: the words of [`SourceError::NoDevice`](super::capture::SourceError).
pub(crate) fn matching(which: Option<&str>) -> String {
    which.map_or_else(String::new, |which| format!(" matching \"{which}\""))
}

/// `there is 0 "Built-in", 1 "Headset"`, for hints.
pub(crate) fn choices(devices: &[Device]) -> String {
    devices
        .iter()
        .map(|d| format!("{} \"{}\"", d.index, d.name))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices() -> Vec<Device> {
        [
            ("Integrated Camera", "/dev/video0"),
            ("USB camera 4", "/dev/video4"),
        ]
        .iter()
        .enumerate()
        .map(|(index, (name, id))| Device {
            index,
            name: (*name).into(),
            id: (*id).into(),
            default: index == 0,
        })
        .collect()
    }

    #[test]
    fn a_device_is_found_by_index_id_and_part_of_its_name() {
        let devices = devices();
        assert_eq!(find(&devices, "1"), Some(1));
        assert_eq!(find(&devices, "/dev/video4"), Some(1));
        assert_eq!(find(&devices, "usb"), Some(1));
        assert_eq!(find(&devices, "camera"), Some(0));
    }

    #[test]
    fn a_number_that_is_no_index_may_be_part_of_a_name() {
        assert_eq!(find(&devices(), "4"), Some(1));
        assert_eq!(find(&devices(), "7"), None);
    }

    #[test]
    fn hints_name_the_choices() {
        assert_eq!(
            choices(&devices()),
            "0 \"Integrated Camera\", 1 \"USB camera 4\""
        );
        assert_eq!(matching(Some("x")), " matching \"x\"");
        assert_eq!(matching(None), "");
    }
}
