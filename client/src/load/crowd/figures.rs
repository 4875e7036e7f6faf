//! What came of a crowd: live, at the end, for people, for programs, and for a verdict.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::PoisonError;
use std::time::Duration;

use rtc_verdict::report::Report;
use rtc_verdict::{Outcome, Record};
use serde::Serialize;

use super::super::process::Usage;
use super::args::Plan;
use super::check::{Counts, Delays, Heard, REMEMBERED};
use super::pairs::{Pairs, Sense};
use super::peer::Told;
use super::sample::Sampled;
use crate::event::ExpectationSummary;
use crate::exit::Ending;
use crate::session::reports;

/// What is known of all peers, while they are there.
pub(super) struct Crowd {
    record: Record,
    /// What each had received when it was looked at last.
    before: Vec<[Heard; 2]>,
    pairs: Pairs,
    lost: u64,
    failures: BTreeMap<String, u64>,
    connect: Delays,
    /// When the connection of each peer stood that took the longest, and how long.
    slowest: Vec<Option<(Duration, Duration)>>,
    delays: [Delays; 2],
    looked: Duration,
    /// Bytes that came within the last second.
    rate: f64,
}

impl Crowd {
    pub(super) fn new(count: usize) -> Self {
        Self {
            record: Record::default(),
            before: vec![Default::default(); count],
            pairs: Pairs::default(),
            lost: 0,
            failures: BTreeMap::new(),
            connect: Delays::default(),
            slowest: vec![None; count],
            delays: Default::default(),
            looked: Duration::ZERO,
            rate: 0.0,
        }
    }

    pub(super) const fn record(&self) -> &Record {
        &self.record
    }

    /// A peer tells something.
    pub(super) fn hear(&mut self, told: Told, now: Duration) {
        match told {
            Told::Connected(number, far, after) => {
                self.pairs.stands(number, far, now);
                self.connect.add(after);
                let peer = self.record.peer(&id(number), &id(number), now);
                peer.connected(now);
                if let Some(slowest) = self.slowest.get_mut(number)
                    && slowest.is_none_or(|(_, longest)| longest < after)
                {
                    *slowest = Some((now, after));
                }
            }
            Told::Came(number, far, sense) => self.pairs.came(number, far, sense),
            Told::Lost(number, state) => {
                self.lost += 1;
                let peer = self.record.peer(&id(number), &id(number), now);
                peer.note(now, format!("the connection is {state}"));
            }
            Told::Failed(number, words) => {
                let peer = self.record.peer(&id(number), &id(number), now);
                peer.note(now, words.clone());
                *self.failures.entry(words).or_default() += 1;
            }
        }
    }

    /// Looks at what came since the last time.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn look(&mut self, counts: &[Counts], now: Duration) {
        let seconds = now.saturating_sub(self.looked).as_secs_f64().max(1e-3);
        self.looked = now;
        let mut bytes = 0;
        for (number, (counts, before)) in counts.iter().zip(&mut self.before).enumerate() {
            let peer = self.record.peer(&id(number), &id(number), now);
            let (mut packets, mut lost) = (0, 0);
            for (sense, heard) in [&counts.video, &counts.audio].into_iter().enumerate() {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                let delays = std::mem::take(&mut heard.delays);
                let heard = heard.clone();
                let was = std::mem::replace(&mut before[sense], heard.clone());
                if heard.packets == 0 {
                    continue;
                }
                let grown = |now: u64, then: u64| now.saturating_sub(then) as f64;
                packets += heard.packets - was.packets;
                lost += heard.lost - was.lost;
                bytes += heard.bytes - was.bytes;
                let bits = grown(heard.bytes, was.bytes) * 8.0 / seconds;
                for delay in delays {
                    self.delays[sense].add(Duration::from_secs_f64(delay / 1e3));
                    if sense == 0 {
                        peer.add("video.latency", now, delay);
                    }
                }
                if sense == 0 {
                    let exact = grown(heard.exact, was.exact);
                    peer.add("video.frames", now, exact);
                    peer.add("video.marked", now, exact);
                    peer.add(
                        "video.missing",
                        now,
                        heard.missing as f64 - was.missing as f64,
                    );
                    peer.add("video.unreadable", now, grown(heard.wrong, was.wrong));
                    peer.add("video.bitrate", now, bits);
                } else {
                    peer.add("audio.bitrate", now, bits);
                }
            }
            if packets + lost > 0 {
                peer.add("network.loss", now, share(lost, packets));
            }
        }
        self.rate = bytes as f64 * 8.0 / seconds;
    }

    pub(super) fn end(&mut self, counts: &[Counts], now: Duration) {
        self.look(counts, now);
        for (number, slowest) in self.slowest.iter().enumerate() {
            if let Some((at, after)) = *slowest {
                let peer = self.record.peer(&id(number), &id(number), at);
                peer.once("connect", at, after);
            }
        }
        self.record.end(now);
    }

    /// How it is now, for people.
    pub(super) fn line(&self, plan: &Plan, now: Duration) -> String {
        let all = self.sum();
        format!(
            "{:.0} s: {} of {} connections stand, {:.1} Mbit/s, {} frames exact, {} wrong, {} missing, {:.2} % lost",
            now.as_secs_f64(),
            self.pairs.standing(),
            plan.pairs(),
            self.rate / 1e6,
            all.exact,
            all.wrong,
            all.missing,
            100.0 * share(all.lost, all.packets)
        )
    }

    fn sum(&self) -> Heard {
        let mut sum = Heard::default();
        for heard in self.before.iter().flatten() {
            sum.packets += heard.packets;
            sum.lost += heard.lost;
            sum.repaired += heard.repaired;
            sum.bytes += heard.bytes;
            sum.exact += heard.exact;
            sum.wrong += heard.wrong;
            sum.missing += heard.missing;
            sum.late += heard.late;
        }
        sum
    }
}

fn id(number: usize) -> String {
    format!("p{number}")
}

#[allow(clippy::cast_precision_loss)]
fn share(lost: u64, came: u64) -> f64 {
    lost as f64 / ((lost + came).max(1)) as f64
}

/// All that is known at the end; its JSON form is what `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    media: &'static str,
    seconds: f64,
    calls: Calls,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_ms: Option<Quantiles>,
    packets: Packets,
    frames: Frames,
    /// From the handing of a frame to the peer that sends it to the taking of its last packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    picture_delay_ms: Option<Quantiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound_delay_ms: Option<Quantiles>,
    /// How long after its time a frame was handed out: what this program itself is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    behind_ms: Option<Quantiles>,
    /// Of media, that all received together, over the whole time.
    received_bits_per_second: f64,
    sampled: Sampled,
    cost: Cost,
    failures: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    expectations: Vec<ExpectationSummary>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Calls {
    /// Connections between two peers; one stood where both saw it.
    attempted: u64,
    connected: u64,
    peers: u64,
    /// Streams of connections that stood which brought no frame as it was sent, and what of the first.
    silent: u64,
    #[serde(skip)]
    first_silent: Option<(usize, usize, Sense)>,
    /// How often one that stood did not.
    lost: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Packets {
    received: u64,
    lost: u64,
    /// Of the lost ones, those that came when they were sent again.
    repaired: u64,
    loss: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Frames {
    /// The same, byte by byte, as was sent.
    exact: u64,
    wrong: u64,
    missing: u64,
    /// Of the exact ones, those that took longer than is remembered: their delay counts as 30 s.
    late: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Quantiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

/// Of this program, from the last room's opening to the end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    seconds: f64,
    cpu_seconds: f64,
    /// Of one core.
    cpu_share_per_peer: f64,
    resident_bytes: u64,
    resident_bytes_per_peer: f64,
}

impl Quantiles {
    fn of(delays: &Delays) -> Option<Self> {
        let at = |share| Some(delays.percentile(share)?.as_secs_f64() * 1e3);
        Some(Self {
            p50: at(0.5)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
        })
    }
}

impl Figures {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn new(
        plan: &Plan,
        crowd: &Crowd,
        outcomes: &[Outcome],
        usage: (Usage, (Duration, Usage, Usage)),
        sampled: Sampled,
        lasted: Duration,
    ) -> Self {
        let peers = u64::from(plan.rooms) * u64::from(plan.peers);
        let all = crowd.sum();
        let (before, (steady, first, last)) = usage;
        let seconds = steady.as_secs_f64();
        let cpu = last.processor.saturating_sub(first.processor).as_secs_f64();
        let grown = last.resident.saturating_sub(before.resident);
        let senses = &plan.media.senses;
        let senses: Vec<Sense> = [senses.video().then_some(0), senses.audio().then_some(1)]
            .into_iter()
            .flatten()
            .collect();
        let (silent, first_silent) = crowd.pairs.silent(&senses, lasted);
        Self {
            media: plan.media.senses.as_str(),
            seconds: lasted.as_secs_f64(),
            calls: Calls {
                attempted: plan.pairs(),
                connected: crowd.pairs.standing(),
                peers,
                silent,
                first_silent,
                lost: crowd.lost,
            },
            connect_ms: Quantiles::of(&crowd.connect),
            packets: Packets {
                received: all.packets,
                lost: all.lost,
                repaired: all.repaired,
                loss: share(all.lost, all.packets),
            },
            frames: Frames {
                exact: all.exact,
                wrong: all.wrong,
                missing: all.missing,
                late: all.late,
            },
            picture_delay_ms: Quantiles::of(&crowd.delays[0]),
            sound_delay_ms: Quantiles::of(&crowd.delays[1]),
            behind_ms: None,
            received_bits_per_second: all.bytes as f64 * 8.0 / lasted.as_secs_f64(),
            sampled,
            cost: Cost {
                seconds,
                cpu_seconds: cpu,
                cpu_share_per_peer: cpu / seconds.max(1e-3) / peers as f64,
                resident_bytes: last.resident,
                resident_bytes_per_peer: grown as f64 / peers as f64,
            },
            failures: crowd.failures.clone(),
            expectations: reports::summaries(outcomes),
        }
    }

    /// With how late frames were handed out.
    pub(super) fn behind(mut self, late: &Delays) -> Self {
        self.behind_ms = Quantiles::of(late);
        self
    }

    /// How it ended, and why. What was expected counts only of a crowd that came to a good end.
    pub(super) fn ending(&self, by_person: bool) -> (Ending, String) {
        let Calls {
            attempted,
            connected,
            silent,
            first_silent,
            ..
        } = self.calls;
        if connected < attempted && !by_person {
            let why = self.failures.keys().next();
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let words = format!("{connected} of {attempted} connections ever stood{why}");
            return (Ending::NeverConnected, words);
        }
        if let Some((own, far, sense)) = first_silent.filter(|_| !by_person) {
            let what = ["picture", "sound"][sense];
            let words = format!(
                "{silent} streams brought nothing, or nothing as it was sent: no {what} of p{far} came to p{own}"
            );
            return (Ending::NoMedia, words);
        }
        let broken: Vec<_> = self.expectations.iter().filter(|one| !one.held).collect();
        if let Some(first) = broken.first() {
            let (count, all) = (broken.len(), self.expectations.len());
            let words = format!(
                "{count} of {all} expectations did not hold: {}",
                first.expected
            );
            return (Ending::Unexpected, words);
        }
        (Ending::Done, format!("all {attempted} connections stood"))
    }

    pub(super) fn report<'a>(
        plan: &Plan,
        record: &'a Record,
        outcomes: &'a [Outcome],
        (ending, words): (Ending, &str),
    ) -> Report<'a> {
        let mut facts = vec![
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("rooms".to_owned(), plan.rooms.to_string()),
            ("peers in each".to_owned(), plan.peers.to_string()),
            ("media".to_owned(), plan.media.senses.as_str().to_owned()),
        ];
        if !plan.impairment_is_empty() {
            facts.push(("impairment".to_owned(), plan.verdict.impairment.clone()));
        }
        Report {
            title: format!(
                "rtc-client load calls --rooms {} --peers {}",
                plan.rooms, plan.peers
            ),
            facts,
            call_held: matches!(ending, Ending::Done | Ending::Unexpected),
            call_words: words.to_owned(),
            outcomes,
            record,
            pictures: Vec::new(),
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).map_or_else(|error| error.to_string(), |text| text + "\n")
    }

    pub(super) fn to_table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    #[allow(clippy::cast_precision_loss)]
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Calls {
            attempted,
            connected,
            peers,
            lost,
            silent,
            ..
        } = self.calls;
        writeln!(
            text,
            "connections {connected} of {attempted} stood, {lost} times one broke off, {silent} streams brought nothing; {peers} peers, {}, {:.1} s",
            self.media, self.seconds
        )?;
        for (name, quantiles) in [
            ("connect", &self.connect_ms),
            ("picture", &self.picture_delay_ms),
            ("sound", &self.sound_delay_ms),
            ("behind", &self.behind_ms),
        ] {
            if let Some(Quantiles { p50, p95, p99 }) = quantiles {
                writeln!(
                    text,
                    "{name:<12}{p50:.1} ms (p50), {p95:.1} (p95), {p99:.1} (p99)"
                )?;
            }
        }
        let Packets {
            received,
            lost,
            repaired,
            loss,
        } = self.packets;
        writeln!(
            text,
            "packets     {received} received, {lost} lost ({:.2} %), {repaired} of them repaired; {:.1} Mbit/s",
            loss * 100.0,
            self.received_bits_per_second / 1e6
        )?;
        let Frames {
            exact,
            wrong,
            missing,
            late,
        } = self.frames;
        writeln!(
            text,
            "frames      {exact} exact, {wrong} wrong, {missing} missing, {late} later than {} s",
            REMEMBERED.as_secs()
        )?;
        let sampled = &self.sampled;
        let psnr = sampled.psnr_db.zip(sampled.psnr_db_min);
        let psnr = psnr.map(|(mean, worst)| format!(", PSNR {mean:.1} dB, worst {worst:.1}"));
        writeln!(
            text,
            "decoded     {} pictures, {} unreadable{}; {} stretches of sound, {} not the tone; {} undecodable",
            sampled.pictures,
            sampled.unreadable,
            psnr.unwrap_or_default(),
            sampled.sounds,
            sampled.off_tone,
            sampled.undecodable
        )?;
        let cost = &self.cost;
        writeln!(
            text,
            "cost        {:.2} s of processor time in {:.1} s: {:.2} % of a core a peer; {:.0} KiB a peer, {:.1} MiB in all",
            cost.cpu_seconds,
            cost.seconds,
            cost.cpu_share_per_peer * 100.0,
            cost.resident_bytes_per_peer / 1024.0,
            cost.resident_bytes as f64 / 1_048_576.0
        )?;
        for (why, count) in &self.failures {
            writeln!(
                text,
                "{count:>8} failed: {}",
                crate::output::text::clean(why)
            )?;
        }
        for one in &self.expectations {
            let held = if one.held { "held" } else { "NOT HELD" };
            writeln!(text, "{held:<12}{}: {}", one.expected, worst(&one.words))?;
        }
        Ok(())
    }
}

/// Words of four hundred peers are for the report.
fn worst(words: &str) -> String {
    const SHOWN: usize = 200;
    let end = words.floor_char_boundary(SHOWN);
    let more = if end < words.len() { " …" } else { "" };
    format!("{}{more}", &words[..end])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rtc_verdict::judge::judge;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn judged(crowd: &Crowd, text: &str) -> Vec<Outcome> {
        judge(crowd.record(), &[text.parse().unwrap()])
    }

    /// Of one room of two in which what was expected did not hold.
    fn figures(crowd: &Crowd, lasted: Duration) -> Figures {
        let plan = Plan::of(&["--rooms", "1", "--peers", "2", "--media", "audio"]).unwrap();
        let outcomes = judged(crowd, "connect<10ms");
        assert!(!outcomes[0].held);
        let none = Usage::default;
        let usage = (none(), (lasted, none(), none()));
        Figures::new(&plan, crowd, &outcomes, usage, Sampled::default(), lasted)
    }

    fn ended(count: usize, told: impl IntoIterator<Item = Told>) -> Crowd {
        let mut crowd = Crowd::new(count);
        for told in told {
            crowd.hear(told, MS(7_000));
        }
        let counts: Vec<Counts> = (0..count).map(|_| Counts::default()).collect();
        crowd.end(&counts, MS(20_000));
        crowd
    }

    #[test]
    fn a_peer_is_held_to_the_slowest_of_its_connections() {
        let crowd = ended(
            1,
            [(1, 100), (2, 6_000), (3, 200)].map(|(far, after)| Told::Connected(0, far, MS(after))),
        );
        assert!(!judged(&crowd, "connect<5s")[0].held);
        assert!(judged(&crowd, "connect==6s")[0].held);
    }

    #[test]
    fn what_was_expected_counts_last() {
        let lasted = MS(20_000);
        let how = |crowd: &Crowd, by_person| figures(crowd, lasted).ending(by_person).0;
        let nobody = ended(2, []);
        assert_eq!(how(&nobody, false), Ending::NeverConnected);
        assert_eq!(how(&nobody, true), Ending::Unexpected);
        let both = || [(0, 1), (1, 0)];
        let stood = || both().map(|(own, far)| Told::Connected(own, far, MS(50)));
        assert_eq!(how(&ended(2, stood()), false), Ending::NoMedia);
        let came = both().map(|(own, far)| Told::Came(own, far, 1));
        let well = ended(2, stood().into_iter().chain(came));
        assert_eq!(how(&well, false), Ending::Unexpected);
    }
}
