//! Whether a long call stays as it was: its memory, its lip sync, its pictures. Pure.

/// Of the run, this share is warming up: buffers grow to what the call needs.
const WARM_UP: f64 = 0.25;
/// And never less than this, seconds, ...
const WARM_UP_LEAST: f64 = 60.0;
/// ... nor more than half of a short run.
const WARM_UP_MOST: f64 = 0.5;

/// Memory may grow this fast after that, KiB a minute, ...
const SLOPE_KIB: f64 = 256.0;
/// ... or by this much in all, KiB: what an allocator keeps at times. A leak of one packet a second is found in ten minutes.
const GROWTH_KIB: f64 = 2_048.0;

/// Picture and sound may be this far apart, milliseconds, ...
const APART_MS: f64 = 40.0;
/// ... in all seconds but so many of a hundred, in which the machine may have done something else.
const APART_OFTEN: f64 = 0.10;

/// Of a hundred pictures so many may be missing: an encoder leaves some out on a busy machine.
const MISSING: f64 = 0.10;

/// What was seen of one client.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// When, in seconds from the beginning, and its memory then, KiB.
    pub memory: Vec<(f64, f64)>,
    /// When, and how far apart picture and sound were, milliseconds.
    pub apart: Vec<(f64, f64)>,
    /// Pictures whose mark was read.
    pub read: u64,
    /// Pictures whose mark was not.
    pub unreadable: u64,
    /// Numbers never seen.
    pub missing: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// KiB a minute, after warming up.
    pub slope: f64,
    /// KiB, from the first third after warming up to the last.
    pub growth: f64,
    /// The median of how far apart picture and sound were.
    pub apart_median: f64,
    /// The furthest from zero.
    pub apart_worst: f64,
    /// What is wrong, in words.
    pub faults: Vec<String>,
}

/// Judges a run of so many seconds.
#[must_use]
pub fn judge(seconds: f64, watched: &Watched) -> Verdict {
    let warm = (seconds * WARM_UP)
        .max(WARM_UP_LEAST)
        .min(seconds * WARM_UP_MOST);
    let after = |series: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let kept = series.iter().filter(|(at, _)| *at >= warm);
        kept.copied().collect()
    };
    let (memory, apart) = (after(&watched.memory), after(&watched.apart));
    let mut verdict = Verdict {
        slope: slope(&memory) * 60.0,
        growth: growth(&memory),
        apart_median: median(apart.iter().map(|(_, apart)| *apart)),
        ..Verdict::default()
    };
    for (_, apart) in &apart {
        if apart.abs() > verdict.apart_worst.abs() {
            verdict.apart_worst = *apart;
        }
    }
    if memory.len() < 10 {
        verdict.faults.push(format!(
            "its memory was seen {} times only; run it for longer",
            memory.len()
        ));
    }
    if verdict.slope > SLOPE_KIB && verdict.growth > GROWTH_KIB {
        verdict.faults.push(format!(
            "its memory grows: {:.0} KiB a minute, {:.0} KiB in all; {SLOPE_KIB} and {GROWTH_KIB} are allowed",
            verdict.slope, verdict.growth
        ));
    }
    let expected = (seconds - warm) / 4.0;
    if (apart.len() as f64) < expected {
        verdict.faults.push(format!(
            "lip sync was measured {} times, in {:.0} seconds; the tone was broken",
            apart.len(),
            seconds - warm
        ));
    }
    let often = apart.iter().filter(|(_, apart)| apart.abs() > APART_MS);
    let share = often.count() as f64 / apart.len().max(1) as f64;
    if verdict.apart_median.abs() > APART_MS || share > APART_OFTEN {
        verdict.faults.push(format!(
            "sound is {:.0} ms from its picture, more than {APART_MS} ms in {:.1} % of the seconds",
            verdict.apart_median,
            share * 100.0
        ));
    }
    let missing = watched.missing as f64 / (watched.read + watched.missing).max(1) as f64;
    if watched.read == 0 || watched.unreadable > 0 || missing > MISSING {
        verdict.faults.push(format!(
            "of its pictures' marks {} were read, {} not, {} are missing",
            watched.read, watched.unreadable, watched.missing
        ));
    }
    verdict
}

/// The line through all of them by least squares: how much it rises with each second.
fn slope(series: &[(f64, f64)]) -> f64 {
    let n = series.len().max(1) as f64;
    let (at, value) = series
        .iter()
        .fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
    let (at, value) = (at / n, value / n);
    let products = series.iter().fold((0.0, 0.0), |s, p| {
        let (x, y) = (p.0 - at, p.1 - value);
        (s.0 + x * y, s.1 + x * x)
    });
    if products.1 > 0.0 {
        products.0 / products.1
    } else {
        0.0
    }
}

/// From the median of the first third to that of the last.
fn growth(series: &[(f64, f64)]) -> f64 {
    let third = series.len() / 3;
    let values = |part: &[(f64, f64)]| median(part.iter().map(|(_, value)| *value));
    values(&series[series.len() - third..]) - values(&series[..third])
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten minutes, a sample each second.
    fn run(memory: impl Fn(f64) -> f64, apart: impl Fn(f64) -> f64) -> Verdict {
        let seconds = || (0..600).map(f64::from);
        judge(
            600.0,
            &Watched {
                memory: seconds().map(|at| (at, memory(at))).collect(),
                apart: seconds().map(|at| (at, apart(at))).collect(),
                read: 18_000,
                unreadable: 0,
                missing: 100,
            },
        )
    }

    #[test]
    fn a_call_that_warms_up_and_stays_so_is_well() {
        let warming = |at: f64| 40_000.0 + 30_000.0 * (at / 100.0).min(1.0) + at % 13.0 * 50.0;
        let verdict = run(warming, |at| 12.0 + at % 5.0);
        assert_eq!(verdict.faults, [""; 0], "{verdict:?}");
        assert!(verdict.slope.abs() < 20.0, "{verdict:?}");
    }

    #[test]
    fn a_leak_of_a_packet_a_second_is_found_and_a_step_is_not_one() {
        // 8 KiB a second: a frame.
        let verdict = run(|at| 60_000.0 + at * 8.0, |_| 0.0);
        assert_eq!(verdict.faults.len(), 1, "{verdict:?}");
        let step = |at: f64| if at < 400.0 { 60_000.0 } else { 61_500.0 };
        assert_eq!(run(step, |_| 0.0).faults, [""; 0]);
    }

    #[test]
    fn sound_that_is_late_is_a_fault_and_a_bad_second_is_not() {
        assert_eq!(run(|_| 1.0, |_| 60.0).faults.len(), 1);
        assert_eq!(run(|_| 1.0, |_| -60.0).faults.len(), 1);
        let late_at_times = |at: f64| if at % 5.0 < 1.0 { 100.0 } else { 0.0 };
        assert_eq!(run(|_| 1.0, late_at_times).faults.len(), 1);
        let once = |at: f64| if at > 300.0 && at < 303.0 { 300.0 } else { 5.0 };
        assert_eq!(run(|_| 1.0, once).faults, [""; 0]);
    }

    #[test]
    fn nothing_measured_is_a_fault() {
        let verdict = judge(600.0, &Watched::default());
        assert_eq!(verdict.faults.len(), 3, "{verdict:?}");
    }
}
