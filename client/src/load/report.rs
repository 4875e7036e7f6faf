//! The figures, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::Outcome;
use super::args::{Plan, Workload};
use super::tally::Latency;

/// All that is known at the end; its JSON form is what `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    #[serde(skip)]
    as_json: bool,
    workload: &'static str,
    dialect: &'static str,
    server: String,
    /// A rate that was asked for; none in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    seconds: f64,
    /// Calls, rooms of `relay`, or peers of `idle` and `reconnect`.
    calls: Count,
    messages: Messages,
    /// Calls from when they were due to their end; joins of `idle`; returns of `reconnect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    whole_ms: Option<Quantiles>,
    /// Messages from when they were due until they were heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_ms: Option<Quantiles>,
    /// How late this program was with what was due; the latencies hold it, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_delay_ms: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_process: Option<Process>,
    failures: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Count {
    begun: u64,
    done: u64,
    failed: u64,
    per_second: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Messages {
    sent: u64,
    heard: u64,
    per_second: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quantiles {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    cpu_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_seconds_per_thousand_calls: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_micros_per_message: Option<f64>,
    resident_bytes_before: u64,
    resident_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes_per_peer: Option<f64>,
}

impl Quantiles {
    fn of(latency: &Latency) -> Option<Self> {
        (latency.count() > 0).then(|| Self {
            p50: latency.at(0.5),
            p90: latency.at(0.9),
            p99: latency.at(0.99),
            p999: latency.at(0.999),
            max: latency.max(),
        })
    }
}

#[allow(clippy::cast_precision_loss)]
fn ratio(what: u64, by: f64) -> f64 {
    if by > 0.0 { what as f64 / by } else { 0.0 }
}

#[allow(clippy::cast_precision_loss)]
fn each(total: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| total / count as f64)
}

impl Report {
    pub(super) fn new(plan: &Plan, outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        let seconds = outcome.lasted.as_secs_f64();
        let server_process = outcome.usage.map(|(before, after)| {
            let used = after.processor.saturating_sub(before.processor);
            let cpu = used.as_secs_f64();
            let calls = plan.workload == Workload::Call;
            let relay = plan.workload == Workload::Relay;
            let idle = plan.workload == Workload::Idle;
            #[allow(clippy::cast_precision_loss)]
            let grown = after.resident as f64 - before.resident as f64;
            Process {
                cpu_seconds: cpu,
                cpu_seconds_per_thousand_calls: each(cpu * 1e3, tally.done).filter(|_| calls),
                cpu_micros_per_message: each(cpu * 1e6, tally.heard).filter(|_| relay),
                resident_bytes_before: before.resident,
                resident_bytes: after.resident,
                resident_bytes_per_peer: each(grown, tally.done).filter(|_| idle),
            }
        });
        Self {
            as_json: plan.json,
            workload: plan.workload.as_str(),
            dialect: plan.dialect.as_str(),
            server: plan.server.home_url(),
            rate: plan.rate,
            seconds,
            calls: Count {
                begun: tally.begun,
                done: tally.done,
                failed: tally.begun - tally.done,
                per_second: ratio(tally.done, seconds),
            },
            messages: Messages {
                sent: tally.sent,
                heard: tally.heard,
                per_second: ratio(tally.heard, seconds),
            },
            whole_ms: Quantiles::of(&tally.whole),
            message_ms: Quantiles::of(&tally.message),
            own_delay_ms: Quantiles::of(&tally.own_delay),
            server_process,
            failures: tally.failures.clone(),
        }
    }

    pub(super) const fn json(&self) -> bool {
        self.as_json
    }

    pub(super) fn to_json(&self) -> String {
        // Numbers and strings: there is nothing in it that cannot be written.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// What is wrong with this load, if anything is.
    pub(super) fn complaint(&self) -> Option<String> {
        let Count { begun, failed, .. } = self.calls;
        let what = self.unit();
        if failed > 0 {
            let most = self.failures.iter().max_by_key(|(_, count)| **count);
            let why = most.map_or("the reasons are above", |(why, _)| why);
            return Some(format!(
                "{failed} of {begun} {what} failed; most often: {why}"
            ));
        }
        if self.messages.heard != self.messages.sent {
            return Some(format!(
                "{} messages were sent and {} arrived",
                self.messages.sent, self.messages.heard
            ));
        }
        (begun == 0).then(|| format!("there were no {what} at all: give them more time"))
    }

    fn unit(&self) -> &'static str {
        match self.workload {
            "call" => "calls",
            "relay" => "rooms",
            _ => "peers",
        }
    }

    pub(super) fn to_table(&self) -> String {
        let mut text = String::new();
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let pace = self.rate.map_or_else(
            || "closed loop".to_owned(),
            |rate| format!("{rate} a second"),
        );
        let paced = matches!(self.workload, "call" | "relay");
        let pace = if paced {
            format!(", {pace}")
        } else {
            String::new()
        };
        writeln!(
            text,
            "{} of {} at {}{pace}, {:.2} s",
            self.workload, self.dialect, self.server, self.seconds
        )?;
        let Count {
            begun,
            done,
            failed,
            per_second,
        } = self.calls;
        let unit = self.unit();
        write!(
            text,
            "{unit:<12}{begun:>12} begun{done:>12} done{failed:>12} failed"
        )?;
        if self.workload == "call" {
            write!(text, "{per_second:>12.0} a second")?;
        }
        writeln!(text)?;
        if self.messages.sent > 0 {
            let Messages {
                sent,
                heard,
                per_second,
            } = self.messages;
            writeln!(
                text,
                "{:<12}{sent:>12} sent {heard:>12} heard{per_second:>19.0} a second",
                "messages"
            )?;
        }
        let whole = match self.workload {
            "call" => "a call",
            "idle" => "a join",
            _ => "a return",
        };
        let rows = [
            (whole, &self.whole_ms),
            ("a message", &self.message_ms),
            ("own delay", &self.own_delay_ms),
        ];
        if rows.iter().any(|(_, all)| all.is_some()) {
            let [p50, p90, p99, p999, max] = ["p50", "p90", "p99", "p99.9", "max"];
            writeln!(
                text,
                "{:<12}{p50:>12}{p90:>12}{p99:>12}{p999:>12}{max:>12}",
                "ms"
            )?;
        }
        for (name, all) in rows {
            if let Some(q) = all {
                writeln!(
                    text,
                    "{name:<12}{:>12.2}{:>12.2}{:>12.2}{:>12.2}{:>12.2}",
                    q.p50, q.p90, q.p99, q.p999, q.max
                )?;
            }
        }
        if let Some(process) = &self.server_process {
            writeln!(text, "{}", process.line())?;
        }
        for (why, count) in &self.failures {
            writeln!(
                text,
                "{count:>8} failed: {}",
                crate::output::text::clean(why)
            )?;
        }
        Ok(())
    }
}

impl Process {
    fn line(&self) -> String {
        #[allow(clippy::cast_precision_loss)]
        let resident = self.resident_bytes as f64 / 1048576.0;
        let mut line = format!(
            "server      {:.2} s of processor time, {resident:.1} MiB resident",
            self.cpu_seconds
        );
        if let Some(seconds) = self.cpu_seconds_per_thousand_calls {
            line += &format!("; {seconds:.3} s for 1,000 calls");
        }
        if let Some(micros) = self.cpu_micros_per_message {
            line += &format!("; {micros:.2} us a message");
        }
        if let Some(bytes) = self.resident_bytes_per_peer {
            line += &format!("; {:.2} KiB a peer", bytes / 1024.0);
        }
        line
    }
}
