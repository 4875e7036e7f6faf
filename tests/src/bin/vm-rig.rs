//! Camera, microphone and loudspeaker on the kernel's real drivers, in a virtual machine: one
//! line a check, exit code 0 if all passed. Run by `tests/rig/vm`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use rtc_e2e::vm::{self, Outcome, Task};
use serde_json::Value;

/// A task and what must have come of it: the figures to show, or what is wrong.
struct Check {
    task: Task,
    judge: fn(&Outcome) -> anyhow::Result<String>,
}

const CHECKS: [Check; 7] = [
    Check {
        task: Task {
            name: "devices-are-listed",
            shell: "device-probe list",
            seconds: 40,
        },
        judge: listed,
    },
    Check {
        task: Task {
            name: "camera-360p",
            shell: "device-probe watch 20 640 360 30",
            seconds: 60,
        },
        judge: |outcome| watched(outcome, "640x360 at 30 fps"),
    },
    Check {
        task: Task {
            // It has 720p at 12.5 a second only, which must neither be taken nor get in the way.
            name: "camera-slow-at-720p",
            shell: "device-probe watch 20 1280 720 30",
            seconds: 60,
        },
        judge: |outcome| watched(outcome, "640x480 at 25 fps"),
    },
    Check {
        task: Task {
            name: "camera-left-in-an-odd-state",
            shell: "device-probe spoil && device-probe watch 20 640 360 30",
            seconds: 60,
        },
        judge: |outcome| watched(outcome, "640x360 at 30 fps"),
    },
    Check {
        task: Task {
            name: "microphone",
            // What is played to one end of the loop is heard at the other.
            shell: "device-probe tone 440 40 >/tmp/tone; \
                    aplay -q -t raw -f S16_LE -r 48000 -c 1 -D plughw:Loopback,1,0 /tmp/tone & \
                    device-probe listen 2 plughw:CARD=Loopback,DEV=0; code=$?; kill %1; exit $code",
            seconds: 60,
        },
        judge: microphone,
    },
    Check {
        task: Task {
            name: "loudspeaker",
            shell: "device-probe play 660 25 plughw:CARD=Loopback,DEV=0 & sleep 3; \
                    arecord -q -t raw -f S16_LE -r 48000 -c 2 -d 3 -D plughw:Loopback,1,0 /tmp/heard; \
                    device-probe judge /tmp/heard; code=$?; kill %1; exit $code",
            seconds: 60,
        },
        judge: loudspeaker,
    },
    Check {
        task: Task {
            name: "no-such-devices",
            shell: "device-probe listen 1 parrot; device-probe play 440 1 parrot; exit 0",
            seconds: 40,
        },
        judge: refused,
    },
];

fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let here = std::env::current_exe()?;
    let programs = here.parent().context("no folder")?;
    let target = programs.parent().context("no target folder")?;
    let tasks: Vec<Task> = CHECKS.iter().map(|check| check.task).collect();
    let programs = [PathBuf::from(programs).join("device-probe")];
    let outcomes = vm::run(&target.join("rig"), &programs, &tasks)?;
    let mut failed = 0;
    for (check, outcome) in CHECKS.iter().zip(&outcomes) {
        let name = check.task.name;
        let took = outcome.took.as_secs_f64();
        match ended(outcome).and_then(|()| (check.judge)(outcome)) {
            Ok(figures) => println!("PASS {name} ({took:.1} s): {figures}"),
            Err(problem) => {
                failed += 1;
                println!("FAIL {name} ({took:.1} s): {problem:#}");
                println!("     {:?} {}", outcome.objects, outcome.text.trim());
            }
        }
    }
    let all = CHECKS.len();
    let took = started.elapsed().as_secs_f64();
    println!("{} of {all} checks passed in {took:.1} s", all - failed);
    std::process::exit(i32::from(failed > 0));
}

fn ended(outcome: &Outcome) -> anyhow::Result<()> {
    let code = outcome.code.context("it never ended")?;
    ensure!(code == 0, "exit code {code}");
    Ok(())
}

fn with<'a>(outcome: &'a Outcome, field: &str) -> anyhow::Result<&'a Value> {
    let found = outcome
        .objects
        .iter()
        .find(|object| object.get(field).is_some());
    found.with_context(|| format!("it told no {field}"))
}

fn number(object: &Value, field: &str) -> anyhow::Result<f64> {
    let value = object.get(field).and_then(Value::as_f64);
    value.with_context(|| format!("{field} is no number"))
}

fn listed(outcome: &Outcome) -> anyhow::Result<String> {
    let devices = with(outcome, "cameras")?;
    let mut figures = Vec::new();
    for (kind, id) in [
        ("cameras", "/dev/video0"),
        ("microphones", "plughw:CARD=Loopback,DEV=0"),
        ("speakers", "plughw:CARD=Loopback,DEV=0"),
    ] {
        let list = devices[kind].as_array().context("no list")?;
        ensure!(list.iter().any(|d| d["id"] == id), "{kind} lack {id}");
        figures.push(format!("{} {kind}", list.len()));
    }
    let modes = &devices["cameras"][0]["modes"];
    let offers = |width: u64, height: u64, rate: f64| {
        modes.as_array().into_iter().flatten().any(|mode| {
            (&mode["format"], &mode["usable"]) == (&"YUYV".into(), &true.into())
                && (&mode["width"], &mode["height"]) == (&width.into(), &height.into())
                && mode["rates"]
                    .as_array()
                    .is_some_and(|all| all.contains(&rate.into()))
        })
    };
    ensure!(
        offers(640, 360, 30.0) && offers(1280, 720, 12.5),
        "the camera offers {modes}"
    );
    Ok(figures.join(", "))
}

fn watched(outcome: &Outcome, shape: &str) -> anyhow::Result<String> {
    /// Bars of three quarters of full intensity.
    const BARS: [[u8; 3]; 8] = [
        [191, 191, 191],
        [191, 191, 0],
        [0, 191, 191],
        [0, 191, 0],
        [191, 0, 191],
        [191, 0, 0],
        [0, 0, 191],
        [0, 0, 0],
    ];
    let opened = with(outcome, "opened")?["opened"]
        .as_str()
        .context("no text")?;
    ensure!(opened.contains(shape), "opened as {opened}");
    let seen = with(outcome, "distinct")?;
    let bars: Vec<[u8; 3]> = serde_json::from_value(seen["bars"].clone())?;
    let off = bars
        .as_flattened()
        .iter()
        .zip(BARS.as_flattened())
        .map(|(&is, &should)| is.abs_diff(should))
        .max();
    let (fps, distinct) = (number(seen, "fps")?, number(seen, "distinct")?);
    let figures = format!(
        "{opened}; {distinct} distinct of {}, {fps:.1} fps, first after {} ms, bars off by {off:?}, closed in {} ms",
        seen["taken"], seen["firstMs"], seen["closeMs"]
    );
    ensure!(
        bars.len() == BARS.len() && off <= Some(30),
        "bars {bars:?}: {figures}"
    );
    ensure!(number(seen, "odd")? == 0.0, "wrong byte counts: {figures}");
    ensure!(number(seen, "broken")? == 0.0, "broken pictures: {figures}");
    ensure!(
        number(seen, "stepsBack")? == 0.0,
        "time stepped back: {figures}"
    );
    ensure!(distinct >= 18.0, "too few distinct: {figures}");
    // Of 30; an emulated processor under load loses some.
    ensure!((15.0..=33.0).contains(&fps), "rate: {figures}");
    ensure!(number(seen, "closeMs")? < 1_500.0, "closing: {figures}");
    Ok(figures)
}

fn tone(heard: &Value, hz: f64) -> anyhow::Result<String> {
    let (is, level) = (number(heard, "hz")?, number(heard, "level")?);
    let (steady, purity) = (number(heard, "steady")?, number(heard, "purity")?);
    let figures = format!("{is} Hz, steady {steady:.2}, purity {purity:.2}, level {level:.3}");
    ensure!((is - hz).abs() <= 3.0, "another tone: {figures}");
    // An emulated processor under load loses stretches of it.
    ensure!(steady > 0.5 && level > 0.08, "hardly a tone: {figures}");
    Ok(figures)
}

fn microphone(outcome: &Outcome) -> anyhow::Result<String> {
    let opened = &with(outcome, "opened")?["opened"];
    let heard = with(outcome, "hz")?;
    let figures = tone(heard, 440.0)?;
    ensure!(number(heard, "uneven")? == 0.0, "uneven blocks");
    ensure!(number(heard, "stepsBack")? == 0.0, "time stepped back");
    ensure!(number(heard, "closeMs")? < 1_500.0, "closing took too long");
    let (blocks, dropped) = (&heard["blocks"], &heard["dropped"]);
    Ok(format!(
        "{opened}; {figures}, {blocks} blocks, {dropped} frames dropped"
    ))
}

fn loudspeaker(outcome: &Outcome) -> anyhow::Result<String> {
    let opened = &with(outcome, "opened")?["opened"];
    Ok(format!("{opened}; {}", tone(with(outcome, "hz")?, 660.0)?))
}

fn refused(outcome: &Outcome) -> anyhow::Result<String> {
    let errors: Vec<&str> = outcome
        .objects
        .iter()
        .filter_map(|object| object["error"].as_str())
        .collect();
    ensure!(errors.len() == 2, "{errors:?}");
    for (error, kind) in errors.iter().zip(["microphone", "loudspeaker"]) {
        let begin = format!("no {kind} found matching \"parrot\"; there is 0 \"");
        ensure!(error.starts_with(&begin), "{error}");
    }
    Ok("both named what there is instead".to_owned())
}
