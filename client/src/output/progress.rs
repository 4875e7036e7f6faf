//! How far a transfer is: a bar on a terminal, lines elsewhere, JSON for programs.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::text::clean;

/// Lines for people come this often where nobody sees a bar move.
const EVERY: Duration = Duration::from_secs(5);

/// The rate is one of about so long.
const MEMORY: f64 = 3.0;

/// Cells of the bar.
const BAR: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Bar,
    Lines,
    Json,
    Quiet,
}

/// One line for programs.
#[derive(Debug, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub(crate) enum Line<'a> {
    /// How far a file is.
    Progress {
        /// Its name.
        name: &'a str,
        /// Bytes that are known to be there.
        bytes: u64,
        /// Of so many.
        size: u64,
        /// Bytes a second lately.
        bytes_per_second: f64,
        /// Seconds that are left at that rate.
        seconds_left: Option<f64>,
    },
    /// What became of a file.
    File {
        /// Its name.
        name: &'a str,
        /// Its length.
        size: u64,
        /// `done`, `exists`, `disk-full`, `mismatch`, `failed`.
        status: &'a str,
        /// Why it is not there.
        #[serde(skip_serializing_if = "str::is_empty")]
        words: &'a str,
    },
    /// Something a person should know.
    Notice {
        /// What.
        text: &'a str,
    },
}

/// Tells how far a transfer is.
#[derive(Debug)]
pub(crate) struct Progress {
    style: Style,
    rate: f64,
    last: Option<(Instant, String, u64)>,
    told: Option<Instant>,
    drawn: bool,
}

impl Progress {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let style = match (json, quiet) {
            (true, _) => Style::Json,
            (_, true) => Style::Quiet,
            _ if std::io::stderr().is_terminal() => Style::Bar,
            _ => Style::Lines,
        };
        Self {
            style,
            rate: 0.0,
            last: None,
            told: None,
            drawn: false,
        }
    }

    /// So much of a file is there now.
    pub(crate) fn at(&mut self, name: &str, bytes: u64, size: u64, now: Instant) {
        self.measure(name, bytes, now);
        #[allow(clippy::cast_precision_loss)]
        let left = (self.rate > 1.0).then(|| size.saturating_sub(bytes) as f64 / self.rate);
        match self.style {
            Style::Quiet => {}
            Style::Json => json(&Line::Progress {
                name,
                bytes,
                size,
                bytes_per_second: self.rate.round(),
                seconds_left: left.map(|left| (left * 10.0).round() / 10.0),
            }),
            Style::Bar => {
                let words = words(name, bytes, size, self.rate, left);
                let _ = write!(std::io::stderr(), "\r\x1b[K{} {words}", bar(bytes, size));
                self.drawn = true;
            }
            Style::Lines => {
                let due = self
                    .told
                    .is_none_or(|told| now.saturating_duration_since(told) >= EVERY);
                if due {
                    self.told = Some(now);
                    say(&words(name, bytes, size, self.rate, left));
                }
            }
        }
    }

    /// What became of a file.
    pub(crate) fn file(&mut self, name: &str, size: u64, status: &str, why: &str) {
        match self.style {
            Style::Quiet => {}
            Style::Json => json(&Line::File {
                name,
                size,
                status,
                words: why,
            }),
            _ => {
                self.wipe();
                let colon = if why.is_empty() { "" } else { ": " };
                say(&format!("{name} ({}) {status}{colon}{why}", amount(size)));
            }
        }
    }

    /// Something a person should know.
    pub(crate) fn notice(&mut self, text: &str) {
        match self.style {
            Style::Quiet => {}
            Style::Json => json(&Line::Notice { text }),
            _ => {
                self.wipe();
                say(text);
            }
        }
    }

    fn wipe(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn measure(&mut self, name: &str, bytes: u64, now: Instant) {
        if let Some((then, known, before)) = &self.last
            && known == name
            && bytes >= *before
        {
            let seconds = now.saturating_duration_since(*then).as_secs_f64();
            if seconds > 0.0 {
                let current = (bytes - before) as f64 / seconds;
                let weight = 1.0 - (-seconds / MEMORY).exp();
                self.rate = match self.rate {
                    rate if rate > 0.0 => rate + (current - rate) * weight,
                    _ => current,
                };
            }
        }
        self.last = Some((now, name.to_owned(), bytes));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.wipe();
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", clean(text));
}

fn json(line: &Line<'_>) {
    if let Ok(text) = serde_json::to_string(line) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

fn words(name: &str, bytes: u64, size: u64, rate: f64, left: Option<f64>) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rate = amount(rate as u64);
    let left = left.map(|left| format!(", {} left", time(left)));
    format!(
        "{} {} of {}, {rate}/s{}",
        clean(name),
        amount(bytes),
        amount(size),
        left.unwrap_or_default()
    )
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss
)]
fn bar(bytes: u64, size: u64) -> String {
    let share = if size == 0 {
        1.0
    } else {
        bytes as f64 / size as f64
    };
    let full = ((share * BAR as f64) as usize).min(BAR);
    format!(
        "[{}{}] {:3.0}%",
        "#".repeat(full),
        ".".repeat(BAR - full),
        share * 100.0
    )
}

#[allow(clippy::cast_precision_loss)]
fn amount(bytes: u64) -> String {
    let mut number = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if number < 1000.0 {
            let places = usize::from(unit != "B" && number < 100.0);
            return format!("{number:.places$} {unit}");
        }
        number /= 1000.0;
    }
    format!("{number:.1} TB")
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn time(seconds: f64) -> String {
    let seconds = seconds.min(1e9).ceil() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_times_are_for_people() {
        assert_eq!(amount(999), "999 B");
        assert_eq!(amount(1_500_000), "1.5 MB");
        assert_eq!(amount(150_000_000_000), "150 GB");
        assert_eq!(time(59.5), "60 s".replace("60 s", "1:00 min"));
        assert_eq!(time(3700.0), "1:01 h");
        assert_eq!(
            bar(1, 2),
            format!("[{}{}]  50%", "#".repeat(12), ".".repeat(12))
        );
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut progress = Progress::new(false, true);
        let start = Instant::now();
        for second in 0..30_u64 {
            let at = start + Duration::from_secs(second);
            progress.at("x", second * 1000, 1 << 20, at);
        }
        assert!((progress.rate - 1000.0).abs() < 1.0, "{}", progress.rate);
    }
}
