//! All that this machine can see, hear and show with, in detail.

use serde::Serialize;

use super::{Device, audio};
use crate::media::capture::camera::{self, CameraMode};
use crate::media::capture::screen::{self, ScreenInfo};

/// A camera and what it can give.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraInfo {
    /// How it is named.
    #[serde(flatten)]
    pub device: Device,
    /// What it can give.
    pub modes: Vec<CameraMode>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A microphone or a loudspeaker and how a call would open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SoundInfo {
    /// How it is named.
    #[serde(flatten)]
    pub device: Device,
    /// Samples a second; none where it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Channels; none where it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
    /// Why it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What this machine has.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inventory {
    /// Cameras.
    pub cameras: Vec<CameraInfo>,
    /// Microphones.
    pub microphones: Vec<SoundInfo>,
    /// Loudspeakers.
    pub speakers: Vec<SoundInfo>,
    /// Screens.
    pub screens: Vec<ScreenInfo>,
}

impl Inventory {
    /// Asks the system; what does not answer within seconds counts as not there.
    #[must_use]
    pub fn take() -> Self {
        Self {
            cameras: camera::describe_all(),
            microphones: audio::describe_all(audio::Kind::Microphone),
            speakers: audio::describe_all(audio::Kind::Loudspeaker),
            screens: screen::list(),
        }
    }

    /// For people: one device a line, a camera's formats below it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        section(
            &mut lines,
            "Cameras (--video camera:WHICH)",
            &self.cameras,
            camera_lines,
        );
        section(
            &mut lines,
            "Microphones (--audio mic:WHICH)",
            &self.microphones,
            sound_lines,
        );
        section(
            &mut lines,
            "Loudspeakers (--speaker speaker:WHICH)",
            &self.speakers,
            sound_lines,
        );
        section(
            &mut lines,
            "Screens (--video screen:WHICH)",
            &self.screens,
            |screen| {
                let ScreenInfo {
                    x,
                    y,
                    width,
                    height,
                    ..
                } = screen;
                vec![format!(
                    "{} {width}x{height} at {x},{y}",
                    title(&screen.device)
                )]
            },
        );
        lines.push("WHICH is a number, a path or a part of a name.".to_owned());
        lines.join("\n")
    }
}

fn section<T>(
    lines: &mut Vec<String>,
    heading: &str,
    devices: &[T],
    describe: impl Fn(&T) -> Vec<String>,
) {
    lines.push(heading.to_owned());
    if devices.is_empty() {
        lines.push("  none found".to_owned());
    }
    let described = devices.iter().flat_map(describe);
    lines.extend(described.map(|line| format!("  {line}")));
    lines.push(String::new());
}

fn title(device: &Device) -> String {
    let mark = if device.default { "*" } else { " " };
    let id = if device.id == device.name {
        String::new()
    } else {
        format!(" {}", device.id)
    };
    format!("{mark} {} \"{}\"{id}", device.index, device.name)
}

fn camera_lines(camera: &CameraInfo) -> Vec<String> {
    let mut lines = vec![title(&camera.device)];
    if let Some(problem) = &camera.problem {
        lines.push(format!("      {problem}"));
    }
    // A line a format: sizes with the same rates behind each other.
    let mut formats: Vec<(&str, bool, Vec<String>)> = Vec::new();
    for mode in &camera.modes {
        let rates: Vec<String> = mode.rates.iter().map(ToString::to_string).collect();
        let size = match rates.as_slice() {
            [] => format!("{}x{}", mode.width, mode.height),
            rates => format!("{}x{}@{}", mode.width, mode.height, rates.join("/")),
        };
        match formats.last_mut() {
            Some((format, _, sizes)) if *format == mode.format => sizes.push(size),
            _ => formats.push((&mode.format, mode.usable, vec![size])),
        }
    }
    for (format, usable, sizes) in formats {
        let note = if usable {
            ""
        } else {
            " (not read by this client)"
        };
        lines.push(format!("      {format}{note} {}", sizes.join(" ")));
    }
    lines
}

fn sound_lines(sound: &SoundInfo) -> Vec<String> {
    let mut line = title(&sound.device);
    if let (Some(rate), Some(channels)) = (sound.sample_rate, sound.channels) {
        let channels = match channels {
            1 => "mono".to_owned(),
            2 => "stereo".to_owned(),
            n => format!("{n} channels"),
        };
        line += &format!(" {rate} Hz {channels}");
    }
    let mut lines = vec![line];
    if let Some(problem) = &sound.problem {
        lines.push(format!("      {problem}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(index: usize, name: &str, id: &str) -> Device {
        Device {
            index,
            name: name.to_owned(),
            id: id.to_owned(),
            default: index == 0,
        }
    }

    #[test]
    fn each_device_is_told_with_how_to_choose_it_and_what_it_can() {
        let mode = |format: &str, width, height, rates: &[f64], usable| CameraMode {
            format: format.to_owned(),
            width,
            height,
            rates: rates.to_vec(),
            usable,
        };
        let inventory = Inventory {
            cameras: vec![CameraInfo {
                device: device(0, "Integrated Camera", "/dev/video0"),
                modes: vec![
                    mode("YUYV", 640, 480, &[30.0, 12.5], true),
                    mode("YUYV", 1280, 720, &[10.0], true),
                    mode("H264", 1280, 720, &[], false),
                ],
                problem: None,
            }],
            microphones: vec![
                SoundInfo {
                    device: device(0, "Built-in", "alsa_input.pci"),
                    sample_rate: Some(48_000),
                    channels: Some(2),
                    problem: None,
                },
                SoundInfo {
                    device: device(1, "Headset", "Headset"),
                    sample_rate: None,
                    channels: None,
                    problem: Some("busy".to_owned()),
                },
            ],
            ..Inventory::default()
        };
        let text = inventory.to_text();
        assert_eq!(
            text,
            "\
Cameras (--video camera:WHICH)
  * 0 \"Integrated Camera\" /dev/video0
        YUYV 640x480@30/12.5 1280x720@10
        H264 (not read by this client) 1280x720

Microphones (--audio mic:WHICH)
  * 0 \"Built-in\" alsa_input.pci 48000 Hz stereo
    1 \"Headset\"
        busy

Loudspeakers (--speaker speaker:WHICH)
  none found

Screens (--video screen:WHICH)
  none found

WHICH is a number, a path or a part of a name."
        );
    }
}
