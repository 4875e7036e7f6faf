//! How often a verdict is wrong: good calls that have to pass and calls with a known fault that must not, several at a time.
//!
//! `measure-verdicts RUNS LANES`; see `scripts/measure-verdicts`, which keeps the processor busy beside it.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use futures_util::stream;
use rtc_e2e::trial::{Fault, broken, faults, judged};

/// The length of each call in seconds.
const SECONDS: u64 = 9;

/// What came of calls of one kind.
#[derive(Default)]
struct Row {
    runs: usize,
    wrong: usize,
    /// How often each expectation did not hold.
    broken: BTreeMap<String, usize>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1);
    let mut number = |default: usize| numbers.next().map_or(Ok(default), |text| text.parse());
    let (runs, lanes) = (number(200).context("RUNS")?, number(3).context("LANES")?);
    let folder = tempfile::tempdir()?;
    let mut trials: Vec<Option<Fault>> = vec![None; runs];
    let mut seed = 0;
    while trials.len() < 2 * runs {
        seed += 1;
        let round = faults(folder.path(), seed)?;
        let left = 2 * runs - trials.len();
        trials.extend(round.into_iter().take(left).map(Some));
    }
    let mut out = std::io::stdout();
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let mut calls = stream::iter(trials.into_iter().enumerate())
        .map(|(number, fault)| async move {
            let flags = fault.as_ref().map_or(&[][..], |fault| &fault.far);
            let ended = judged(SECONDS, flags, &[]).await;
            (number, fault, ended)
        })
        .buffered(lanes.max(1));
    while let Some((number, fault, ended)) = calls.next().await {
        let ended = ended.with_context(|| format!("run {number}"))?;
        let broken = broken(&ended)?;
        let found = |expected: &&str| broken.iter().any(|text| text == *expected);
        let right = match &fault {
            None => ended.code == Some(0),
            Some(fault) => ended.code == Some(12) && fault.found.iter().all(found),
        };
        let row = rows
            .entry(fault.as_ref().map_or("a good call", |fault| fault.name))
            .or_default();
        row.runs += 1;
        row.wrong += usize::from(!right);
        for text in broken {
            *row.broken.entry(text).or_default() += 1;
        }
        if !right {
            let words = &ended.summary()?["outcome"];
            writeln!(
                out,
                "run {number}, {}: exit code {:?}, {words}",
                fault.map_or("a good call", |f| f.name),
                ended.code
            )?;
        }
    }
    writeln!(
        out,
        "\n| call | runs | wrong verdicts | what did not hold |\n| --- | --- | --- | --- |"
    )?;
    for (name, row) in &rows {
        let broken: Vec<String> = row
            .broken
            .iter()
            .map(|(text, n)| format!("`{text}` {n}"))
            .collect();
        writeln!(
            out,
            "| {name} | {} | {} | {} |",
            row.runs,
            row.wrong,
            broken.join(", ")
        )?;
    }
    let wrong: usize = rows.values().map(|row| row.wrong).sum();
    ensure!(wrong == 0, "{wrong} of {} verdicts are wrong", 2 * runs);
    Ok(())
}
