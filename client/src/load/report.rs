//! The figures, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::args::{Plan, Workload};
use super::process::Usage;
use super::tally::Latency;
use super::{Look, Outcome};
use crate::signaling::ServerAddress;

/// All that is known at the end; its JSON form is what `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    #[serde(skip)]
    as_json: bool,
    workload: &'static str,
    dialect: &'static str,
    server: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<String>,
    processes: u32,
    /// A rate that was asked for; none in a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    seconds: f64,
    /// Calls, rooms of `relay`, or peers of `idle`, `reconnect` and `rooms`.
    calls: Count,
    messages: Messages,
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<Rooms>,
    /// Calls from when they were due to their end; joins of `idle` and `rooms`; returns of `reconnect`.
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
    /// Of the load itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    own_resident_bytes_per_peer: Option<f64>,
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
    /// Of those heard: after one that was said later.
    out_of_order: u64,
    /// Heard once more, and not among those heard.
    repeated: u64,
    per_second: f64,
}

/// Who was in the rooms.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rooms {
    counted: u64,
    /// Of them, those with just their members, as each of these was told.
    exact: u64,
    /// Until all were full.
    fill_seconds: f64,
    joins_per_second: f64,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_micros_per_join: Option<f64>,
    /// While all were there and talked: cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    cores_staying: Option<f64>,
}

impl Messages {
    /// How they came.
    fn words(&self) -> String {
        let Self {
            sent,
            heard,
            out_of_order,
            repeated,
            ..
        } = self;
        let lost = sent.saturating_sub(*heard);
        format!(
            "{heard} of {sent} messages arrived; {lost} lost, {repeated} repeated, {out_of_order} out of order"
        )
    }

    /// What is wrong with that.
    fn complaint(&self) -> Option<String> {
        let wrong = self.heard != self.sent || self.out_of_order > 0 || self.repeated > 0;
        wrong.then(|| self.words())
    }
}

/// Shares of what was measured that are told.
pub(super) const COLUMNS: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

impl Quantiles {
    const fn row(&self) -> [f64; 5] {
        [self.p50, self.p90, self.p99, self.p999, self.max]
    }

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

impl Process {
    fn of(workload: Workload, outcome: &Outcome) -> Option<Self> {
        let (first, last) = (outcome.looks.first()?, outcome.looks.last()?);
        let (before, after) = first.server.zip(last.server)?;
        let tally = &outcome.tally;
        let used = |before: Usage, after: Usage| {
            let used = after.processor.saturating_sub(before.processor);
            used.as_secs_f64()
        };
        let cpu = used(before, after);
        let full = outcome.full();
        let joining = full.and_then(|full| Some(used(before, full.server?)));
        let staying = full.and_then(|full| {
            let seconds = last.at.saturating_duration_since(full.at).as_secs_f64();
            (seconds > 0.0).then_some(used(full.server?, after) / seconds)
        });
        #[allow(clippy::cast_precision_loss)]
        let grown = after.resident as f64 - before.resident as f64;
        Some(Self {
            cpu_seconds: cpu,
            cpu_seconds_per_thousand_calls: each(cpu * 1e3, tally.done)
                .filter(|_| workload == Workload::Call),
            cpu_micros_per_message: each(cpu * 1e6, tally.heard)
                .filter(|_| workload == Workload::Relay),
            resident_bytes_before: before.resident,
            resident_bytes: after.resident,
            resident_bytes_per_peer: each(grown, tally.done).filter(|_| waits(workload)),
            cpu_micros_per_join: joining.and_then(|cpu| each(cpu * 1e6, tally.begun)),
            cores_staying: staying,
        })
    }
}

/// Whether its peers mostly wait.
const fn waits(workload: Workload) -> bool {
    matches!(workload, Workload::Idle | Workload::Rooms)
}

impl Outcome {
    /// When all rooms were full.
    fn full(&self) -> Option<&Look> {
        self.looks.get(1).filter(|_| self.looks.len() > 2)
    }

    fn rooms(&self) -> Option<Rooms> {
        let filled = self
            .full()?
            .at
            .checked_duration_since(self.looks.first()?.at)?;
        let seconds = filled.as_secs_f64();
        Some(Rooms {
            counted: self.tally.rooms,
            exact: self.tally.exact,
            fill_seconds: seconds,
            joins_per_second: ratio(self.tally.whole.count(), seconds),
        })
    }
}

impl Report {
    pub(super) fn new(plan: &Plan, outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        let seconds = outcome.lasted.as_secs_f64();
        let homes = plan.nodes.iter().map(ServerAddress::home_url);
        let homes: Vec<_> = homes.collect();
        #[allow(clippy::cast_precision_loss)]
        let grown = match &outcome.looks[..] {
            [first, .., last] => last.own as f64 - first.own as f64,
            _ => 0.0,
        };
        Self {
            as_json: plan.json,
            workload: plan.workload.as_str(),
            dialect: plan.dialect.as_str(),
            server: homes.first().cloned().unwrap_or_default(),
            nodes: if homes.len() > 1 { homes } else { Vec::new() },
            processes: plan.processes,
            rate: plan.rate,
            seconds,
            calls: Count {
                begun: tally.begun,
                done: tally.done,
                failed: tally.begun.saturating_sub(tally.done),
                per_second: ratio(tally.done, seconds),
            },
            messages: Messages {
                sent: tally.sent,
                heard: tally.heard,
                out_of_order: tally.late,
                repeated: tally.again,
                per_second: ratio(tally.heard, seconds),
            },
            rooms: outcome.rooms(),
            whole_ms: Quantiles::of(&tally.whole),
            message_ms: Quantiles::of(&tally.message),
            own_delay_ms: Quantiles::of(&tally.own_delay),
            server_process: Process::of(plan.workload, outcome),
            own_resident_bytes_per_peer: each(grown, tally.done).filter(|_| waits(plan.workload)),
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
        if let Some(rooms) = &self.rooms
            && rooms.exact != rooms.counted
        {
            return Some(format!(
                "{} of {} rooms had others in them than their members",
                rooms.counted - rooms.exact,
                rooms.counted
            ));
        }
        if let Some(words) = self.messages.complaint() {
            return Some(words);
        }
        (begun == 0).then(|| format!("there were no {what} at all: give them more time"))
    }

    /// What was to be proved, and whether it was.
    pub(super) fn proofs(&self) -> Vec<(bool, String)> {
        let mut proofs = Vec::new();
        if let Some(Rooms { counted, exact, .. }) = self.rooms {
            let words = format!("{exact} of {counted} rooms had just their members");
            proofs.push((exact == counted, words));
        }
        if self.messages.sent > 0 {
            proofs.push((self.messages.complaint().is_none(), self.messages.words()));
        }
        proofs
    }

    fn unit(&self) -> &'static str {
        match self.workload {
            "call" => "calls",
            "relay" => "rooms",
            _ => "peers",
        }
    }

    /// Where it was, in words.
    fn place(&self) -> String {
        let mut place = match self.nodes.len() {
            0 => self.server.clone(),
            nodes => format!("{nodes} nodes"),
        };
        if self.processes > 1 {
            place += &format!(" by {} processes", self.processes);
        }
        place
    }

    /// What was measured, and how it is spread.
    pub(super) fn latencies(&self) -> Vec<(&'static str, [f64; 5])> {
        let whole = match self.workload {
            "call" => "a call",
            "idle" | "rooms" => "a join",
            _ => "a return",
        };
        let rows = [
            (whole, &self.whole_ms),
            ("a message", &self.message_ms),
            ("own delay", &self.own_delay_ms),
        ];
        let rows = rows.into_iter();
        rows.filter_map(|(name, all)| all.as_ref().map(|all| (name, all.row())))
            .collect()
    }

    /// What it was, in a few words.
    pub(super) fn title(&self) -> String {
        format!(
            "rtc-client load signaling {} ({})",
            self.workload,
            self.place()
        )
    }

    pub(super) const fn failures(&self) -> &BTreeMap<String, u64> {
        &self.failures
    }

    /// How it was run and what else is known, by name.
    pub(super) fn facts(&self) -> Vec<(String, String)> {
        let servers = if self.nodes.is_empty() {
            self.server.clone()
        } else {
            self.nodes.join(", ")
        };
        let mut facts = vec![
            ("at".to_owned(), servers),
            ("peers speak".to_owned(), self.dialect.to_owned()),
            ("processes".to_owned(), self.processes.to_string()),
            ("seconds".to_owned(), format!("{:.1}", self.seconds)),
        ];
        let Count {
            begun,
            done,
            per_second,
            ..
        } = self.calls;
        let mut count = format!("{begun} begun, {done} done");
        if self.workload == "call" {
            count += &format!(", {per_second:.0} a second");
        }
        facts.push((self.unit().to_owned(), count));
        if let Some(rooms) = &self.rooms {
            let filling = format!(
                "{:.1} s, {:.0} joins a second",
                rooms.fill_seconds, rooms.joins_per_second
            );
            facts.push(("filling".to_owned(), filling));
        }
        if let Some(process) = &self.server_process {
            facts.push(("server".to_owned(), process.words()));
        }
        if let Some(bytes) = self.own_resident_bytes_per_peer {
            let words = format!("{:.2} KiB a peer", bytes / 1024.0);
            facts.push(("load itself".to_owned(), words));
        }
        facts
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
            self.workload,
            self.dialect,
            self.place(),
            self.seconds
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
                ..
            } = self.messages;
            writeln!(
                text,
                "{:<12}{sent:>12} sent {heard:>12} heard{per_second:>19.0} a second",
                "messages"
            )?;
        }
        let rows = self.latencies();
        if !rows.is_empty() {
            let [p50, p90, p99, p999, max] = COLUMNS;
            writeln!(
                text,
                "{:<12}{p50:>12}{p90:>12}{p99:>12}{p999:>12}{max:>12}",
                "ms"
            )?;
        }
        for (name, [p50, p90, p99, p999, max]) in rows {
            writeln!(
                text,
                "{name:<12}{p50:>12.2}{p90:>12.2}{p99:>12.2}{p999:>12.2}{max:>12.2}"
            )?;
        }
        if let Some(rooms) = &self.rooms {
            writeln!(
                text,
                "{:<12}{:>12.2} s until all were full, {:.0} joins a second",
                "filling", rooms.fill_seconds, rooms.joins_per_second
            )?;
        }
        if let Some(process) = &self.server_process {
            writeln!(text, "{:<12}{}", "server", process.words())?;
        }
        if let Some(bytes) = self.own_resident_bytes_per_peer {
            writeln!(
                text,
                "{:<12}{:>12.2} KiB a peer",
                "load itself",
                bytes / 1024.0
            )?;
        }
        for (held, words) in self.proofs() {
            writeln!(text, "{:<12}{words}", if held { "proved" } else { "WRONG" })?;
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
    fn words(&self) -> String {
        #[allow(clippy::cast_precision_loss)]
        let resident = self.resident_bytes as f64 / 1048576.0;
        let mut line = format!(
            "{:.2} s of processor time, {resident:.1} MiB resident",
            self.cpu_seconds
        );
        if let Some(seconds) = self.cpu_seconds_per_thousand_calls {
            line += &format!("; {seconds:.3} s for 1,000 calls");
        }
        if let Some(micros) = self.cpu_micros_per_message {
            line += &format!("; {micros:.2} us a message");
        }
        if let Some(micros) = self.cpu_micros_per_join {
            line += &format!("; {micros:.1} us a join");
        }
        if let Some(cores) = self.cores_staying {
            line += &format!("; {cores:.2} cores while all were there");
        }
        if let Some(bytes) = self.resident_bytes_per_peer {
            line += &format!("; {:.2} KiB a peer", bytes / 1024.0);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::{Duration, Instant};

    use clap::Parser;

    use super::super::args::Signaling;
    use super::super::tally::Tally;
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        signaling: Signaling,
    }

    /// Of a run of rooms by three looks.
    fn report(tally: Tally) -> Report {
        let line = Line::try_parse_from(["load", "rooms", "--json"]).unwrap();
        let plan = Plan::new(line.signaling).unwrap();
        let start = Instant::now();
        let look = |seconds, processor, resident, own| Look {
            at: start + Duration::from_secs(seconds),
            server: Some(Usage {
                processor: Duration::from_secs(processor),
                resident,
            }),
            own,
        };
        let outcome = Outcome {
            tally,
            lasted: Duration::from_secs(12),
            looks: vec![
                look(0, 1, 1000, 0),
                look(2, 2, 9000, 5000),
                look(12, 7, 11_000, 5000),
            ],
        };
        Report::new(&plan, &outcome)
    }

    fn whole() -> Tally {
        let mut tally = Tally {
            begun: 10,
            done: 10,
            sent: 20,
            heard: 20,
            rooms: 5,
            exact: 5,
            ..Tally::default()
        };
        for _ in 0..10 {
            tally.whole.add(Duration::from_millis(3));
        }
        tally
    }

    #[test]
    fn what_was_proved_is_no_complaint_and_what_it_cost_is_told() {
        let report = report(whole());
        assert_eq!(report.complaint(), None);
        assert!(report.proofs().iter().all(|(held, _)| *held));
        let all: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(all["rooms"]["joinsPerSecond"], 5.0);
        assert_eq!(all["serverProcess"]["cpuMicrosPerJoin"], 100_000.0);
        assert_eq!(all["serverProcess"]["coresStaying"], 0.5);
        assert_eq!(all["serverProcess"]["residentBytesPerPeer"], 1000.0);
        assert_eq!(all["ownResidentBytesPerPeer"], 500.0);
    }

    #[test]
    fn whatever_is_not_as_it_should_be_is_a_complaint_and_on_the_page() {
        type Spoil = fn(&mut Tally);
        let spoilt: [(&str, Spoil); 5] = [
            ("1 lost", |tally| tally.heard -= 1),
            ("2 repeated", |tally| tally.again = 2),
            ("3 out of order", |tally| tally.late = 3),
            ("1 of 5 rooms", |tally| tally.exact = 4),
            ("1 of 10 peers failed", |tally| tally.done = 9),
        ];
        for (words, spoil) in spoilt {
            let mut tally = whole();
            spoil(&mut tally);
            let report = report(tally);
            let complaint = report.complaint().unwrap();
            assert!(complaint.contains(words), "{complaint}");
            let page = super::super::page::page(&report);
            assert!(page.contains("failed: rtc-client"), "{page}");
            assert!(page.contains(&complaint), "{page}");
        }
    }
}
