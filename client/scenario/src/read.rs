//! From the text of a file to a [`Scenario`], or to all that is wrong with it.

mod table;

use std::collections::HashSet;
use std::time::Duration;

use toml::de::DeTable;

use crate::action::{self, Action, nearest};
use crate::catalogue::measured_in_browser;
use crate::expected::{Expected, Observer, duration};
use crate::scenario::{Browser, Engine, Kind, Native, Peer, Scenario, ServerFrom, Step};
use crate::template::NAMES;
use table::{At, Table, Wrong, Wrongs};

/// Peers that take part at most: each native one is connected with each.
const PEERS: usize = 16;

/// Steps of one file.
const STEPS: usize = 10_000;

/// How long is waited after the last step, where nobody says how long it all lasts.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// And without any step.
const WITHOUT_STEPS: Duration = Duration::from_secs(10);

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub struct Fault {
    /// From 1 on.
    pub line: usize,
    /// From 1 on, in letters.
    pub column: usize,
    /// In words.
    pub why: String,
}

/// Reads a file. `stem` is the name where it has none of its own.
///
/// # Errors
/// All that is wrong, from the top.
pub fn read(text: &str, stem: &str) -> Result<Scenario, Vec<Fault>> {
    let mut wrongs = Wrongs::new();
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            wrongs.push(Wrong {
                span: error.span().unwrap_or_default(),
                why: error.message().to_owned(),
            });
            return Err(faults(text, wrongs));
        }
    };
    let scenario = scenario(table.get_ref(), stem, &mut wrongs);
    if wrongs.is_empty() {
        Ok(scenario)
    } else {
        Err(faults(text, wrongs))
    }
}

fn faults(text: &str, mut wrongs: Wrongs) -> Vec<Fault> {
    wrongs.sort_by_key(|wrong| wrong.span.start);
    let fault = |wrong: Wrong| {
        let before = text.get(..wrong.span.start).unwrap_or(text);
        Fault {
            line: before.matches('\n').count() + 1,
            column: before
                .rsplit('\n')
                .next()
                .unwrap_or_default()
                .chars()
                .count()
                + 1,
            why: wrong.why,
        }
    };
    wrongs.into_iter().map(fault).collect()
}

fn scenario(table: &DeTable<'_>, stem: &str, wrongs: &mut Wrongs) -> Scenario {
    let mut top = Table::new("the scenario", table, 0..0);
    let name = top
        .text("name", wrongs)
        .map_or_else(|| stem.to_owned(), |name| name.value);
    let room = top
        .text("room", wrongs)
        .map_or_else(|| "test-{run}".to_owned(), |room| room.value);
    let seed = top.number("seed", wrongs).unwrap_or(1);
    let root = top.text("root", wrongs);
    let server = match (top.text("server", wrongs), root) {
        (Some(at), Some(root)) if at.value != "start" => {
            wrongs.push(Wrong {
                span: root.span,
                why: "root is for a server of the run's own: server = \"start\"".into(),
            });
            ServerFrom::At(at.value)
        }
        (Some(at), None) if at.value != "start" => ServerFrom::At(at.value),
        (_, root) => ServerFrom::Start {
            root: root.map(|root| root.value),
        },
    };
    let asked = top.text("duration", wrongs);
    let asked = asked.and_then(|at| Some((time(&at, wrongs)?, at.span)));
    let mut tables = top.tables("peer", "a peer", wrongs);
    let mut places = Vec::new();
    let mut peers: Vec<Peer> = Vec::new();
    for table in &mut tables {
        if let Some((peer, spans)) = peer(table, wrongs) {
            if peers.iter().any(|other| other.name == peer.name) {
                wrongs.push(Wrong {
                    span: table.span(),
                    why: format!("there is a peer {:?} already", peer.name),
                });
            }
            peers.push(peer);
            places.push(spans);
        }
    }
    let named = tables.len() == peers.len();
    for table in tables {
        table.finish(wrongs);
    }
    if peers.is_empty() && named || peers.len() > PEERS {
        wrongs.push(Wrong {
            span: 0..0,
            why: format!(
                "a scenario has 1 to {PEERS} [[peer]], and this has {}",
                peers.len()
            ),
        });
    }
    let mut steps = Vec::new();
    let mut expectations: Vec<(Expected, std::ops::Range<usize>, Option<usize>)> = Vec::new();
    for (peer, spans) in peers.iter().zip(&places) {
        let own = peers.iter().position(|other| other.name == peer.name);
        for (expected, span) in peer.expect.iter().zip(spans) {
            expectations.push((expected.clone(), span.clone(), own));
        }
    }
    for mut table in top.tables("step", "a step", wrongs) {
        if let Some((step, spans)) = step(&mut table, &peers, named, wrongs) {
            for (expected, span) in step.expect.iter().zip(spans) {
                expectations.push((expected.clone(), span, Some(step.peer)));
            }
            steps.push(step);
        }
        table.finish(wrongs);
    }
    top.finish(wrongs);
    if steps.len() > STEPS {
        wrongs.push(Wrong {
            span: 0..0,
            why: format!("a scenario has at most {STEPS} [[step]]"),
        });
    }
    // With what it is expected to bring about: `wait` gives that ten seconds unless told.
    let end_of = |step: &Step| {
        let within = step.expect.iter().filter_map(|one| one.within).max();
        let lasts = step.lasting.max(within).unwrap_or_default();
        step.at.1.unwrap_or(step.at.0) + lasts
    };
    let last = steps
        .iter()
        .map(end_of)
        .chain(peers.iter().filter_map(|peer| peer.join))
        .max();
    let usual = if steps.is_empty() {
        WITHOUT_STEPS
    } else {
        AFTERWARDS
    };
    let duration = match (asked, last) {
        (Some((asked, span)), Some(last)) if asked <= last => {
            wrongs.push(Wrong {
                span,
                why: format!("it lasts {asked:?}, and something is to happen at {last:?}; write a longer duration"),
            });
            asked
        }
        (Some((asked, _)), _) => asked,
        (None, last) => last.unwrap_or_default() + usual,
    };
    let scenario = Scenario {
        name,
        room,
        server,
        seed,
        duration,
        peers,
        steps,
    };
    for (expected, span, own) in expectations {
        if let Err(why) = measurable(&scenario, &expected, own) {
            wrongs.push(Wrong { span, why });
        }
    }
    holes(&scenario, wrongs);
    scenario
}

fn peer(table: &mut Table<'_>, wrongs: &mut Wrongs) -> Option<(Peer, Vec<std::ops::Range<usize>>)> {
    let name = table.needed("name", "\"ann\"", wrongs);
    let kind = table.text("kind", wrongs);
    let join = table.text("join", wrongs);
    let join = match join {
        None => Some(Duration::ZERO),
        Some(at) if at.value == "never" => None,
        Some(at) => Some(time(&at, wrongs)?),
    };
    let engine = match kind.as_ref().map(|at| at.value.as_str()) {
        None | Some("rtc-client") => None,
        Some("chromium") => Some(Engine::Chromium),
        Some("firefox") => Some(Engine::Firefox),
        Some(other) => {
            let known = ["rtc-client", "chromium", "firefox"];
            let near = nearest(other, known.into_iter());
            let near = near
                .map(|near| format!("; is it {near:?}?"))
                .unwrap_or_default();
            wrongs.push(Wrong {
                span: kind.as_ref().map(|at| at.span.clone()).unwrap_or_default(),
                why: format!("there is no kind {other:?} of peer{near}; there are rtc-client, chromium and firefox"),
            });
            return None;
        }
    };
    let args = table
        .texts("args", wrongs)
        .into_iter()
        .map(|at| at.value)
        .collect();
    let kind = match engine {
        None => {
            let or = |at: Option<At<String>>, usual: &str| {
                at.map_or_else(|| usual.to_owned(), |at| at.value)
            };
            Kind::Native(Native {
                video: or(table.text("video", wrongs), "test"),
                audio: or(table.text("audio", wrongs), "tone"),
                impair: or(table.text("impair", wrongs), ""),
                args,
            })
        }
        Some(engine) => Kind::Browser(Browser {
            engine,
            url: table
                .needed("url", "\"{server}/{room}?name={peer}&autojoin=1\"", wrongs)?
                .value,
            ready: table.text("ready", wrongs).map(|at| at.value),
            hooks: table.map("do", wrongs),
            insecure: table.yes("insecure", wrongs),
            strict: table.yes("strict", wrongs),
            args,
        }),
    };
    let mut expect = Vec::new();
    let mut spans = Vec::new();
    for at in table.texts("expect", wrongs) {
        match Expected::parse(&at.value) {
            Ok(one) if one.observer != Observer::Own || one.within.is_some() => wrongs.push(Wrong {
                span: at.span,
                why: format!("{:?}: of the whole call a peer measures itself, and nothing is within a time; that is for steps", at.value),
            }),
            Ok(one) => {
                expect.push(one);
                spans.push(at.span);
            }
            Err(why) => wrongs.push(Wrong { span: at.span, why }),
        }
    }
    let name = name?;
    let fits = |letter: char| letter.is_alphanumeric() || "-_".contains(letter);
    if name.value.is_empty() || name.value == "all" || !name.value.chars().all(fits) {
        wrongs.push(Wrong {
            span: name.span,
            why: format!(
                "{:?} is no name for a peer: letters, digits, - and _, and not \"all\"",
                name.value
            ),
        });
    }
    let peer = Peer {
        name: name.value,
        join,
        kind,
        expect,
    };
    Some((peer, spans))
}

fn step(
    table: &mut Table<'_>,
    peers: &[Peer],
    all_read: bool,
    wrongs: &mut Wrongs,
) -> Option<(Step, Vec<std::ops::Range<usize>>)> {
    let at = table.needed("at", "\"5s\"", wrongs);
    let who = table.needed("peer", "\"ann\"", wrongs);
    let what = table.text("do", wrongs);
    let lasting = table.text("for", wrongs);
    let expect = table.texts("expect", wrongs);
    let (mut expected, mut spans) = (Vec::new(), Vec::new());
    for at in expect {
        match Expected::parse(&at.value) {
            Ok(one) => {
                expected.push(one);
                spans.push(at.span);
            }
            Err(why) => wrongs.push(Wrong { span: at.span, why }),
        }
    }
    let at = at.and_then(|at| match at.value.split_once("..") {
        None => Some((time(&at, wrongs)?, None)),
        Some((from, to)) => {
            let read = |text: &str| duration(text.trim());
            match (read(from), read(to)) {
                (Ok(from), Ok(to)) if from < to => Some((from, Some(to))),
                (Err(why), _) | (_, Err(why)) => {
                    wrongs.push(Wrong { span: at.span, why });
                    None
                }
                _ => {
                    wrongs.push(Wrong {
                        span: at.span,
                        why: format!("{:?}: the first time is the earlier one", at.value),
                    });
                    None
                }
            }
        }
    });
    let lasting_span = lasting.as_ref().map(|at| at.span.clone());
    let lasting = lasting.and_then(|at| time(&at, wrongs));
    let who = who?;
    let Some(peer) = peers.iter().position(|peer| peer.name == who.value) else {
        if all_read {
            let near = nearest(&who.value, peers.iter().map(|peer| peer.name.as_str()));
            let near = near
                .map(|near| format!("; is it {near:?}?"))
                .unwrap_or_default();
            wrongs.push(Wrong {
                span: who.span,
                why: format!("there is no peer {:?}{near}", who.value),
            });
        }
        return None;
    };
    let (text, span) = match &what {
        Some(what) => (what.value.clone(), what.span.clone()),
        None => (String::new(), table.span()),
    };
    let expects = !spans.is_empty();
    let mut wait = |text: &str| -> Result<Action, String> {
        // As an expectation that comes true within the time that is given.
        let whole = match lasting {
            Some(time) => format!("{text} within {}ms", time.as_millis()),
            None => format!("{text} within 10s"),
        };
        expected.push(Expected::parse(&whole)?);
        spans.push(span.clone());
        Ok(Action::Nothing)
    };
    let read = match (&what, &peers.get(peer)?.kind) {
        (None, _) if expects => Ok(Action::Nothing),
        (None, _) => Err("a step does something or expects something: do = \"mute audio\"".into()),
        (Some(_), Kind::Native(_)) => match text.trim().strip_prefix("wait ") {
            Some(rest) => wait(rest),
            None => action::native(&text),
        },
        (Some(_), Kind::Browser(browser)) => match text.trim().strip_prefix("wait ") {
            // A condition of the page's, unless it is an expectation of ours.
            Some(rest) if rest.parse::<rtc_verdict::Expectation>().is_ok() => wait(rest),
            _ => action::page(&text, &browser.hooks),
        },
    };
    let waits = text.trim().starts_with("wait ");
    let action = match read {
        Ok(action) => action,
        Err(why) => {
            wrongs.push(Wrong { span, why });
            return None;
        }
    };
    if lasting.is_some() && action.undone().is_none() && !waits {
        wrongs.push(Wrong {
            span: lasting_span.unwrap_or_default(),
            why: format!("{text:?} does not last: leave \"for\" out"),
        });
    }
    let step = Step {
        at: at?,
        peer,
        text,
        // Of what is expected within a time that time is a part already.
        lasting: lasting.filter(|_| action != Action::Nothing),
        action,
        expect: expected,
    };
    Some((step, spans))
}

fn time(at: &At<String>, wrongs: &mut Wrongs) -> Option<Duration> {
    duration(&at.value)
        .map_err(|why| {
            wrongs.push(Wrong {
                span: at.span.clone(),
                why,
            });
        })
        .ok()
}

/// Whether who is to measure something can.
fn measurable(scenario: &Scenario, expected: &Expected, own: Option<usize>) -> Result<(), String> {
    let observers: Vec<usize> = match &expected.observer {
        Observer::Own => own.into_iter().collect(),
        Observer::All => (0..scenario.peers.len()).collect(),
        Observer::Peer(name) => {
            let names = || scenario.peers.iter().map(|peer| peer.name.as_str());
            let found = names().position(|other| other == name);
            vec![found.ok_or_else(|| {
                let near = nearest(name, names()).map(|near| format!("; is it {near:?}?"));
                format!(
                    "there is no peer {name:?} to measure it{}",
                    near.unwrap_or_default()
                )
            })?]
        }
    };
    let of = expected.expectation.peer.as_deref();
    for at in observers {
        let Some(peer) = scenario.peers.get(at) else {
            continue;
        };
        if of == Some(&peer.name) {
            return Err(format!(
                "{} does not measure itself: {:?}",
                peer.name, expected.text
            ));
        }
        if matches!(peer.kind, Kind::Browser(_)) {
            measured_in_browser(&expected.expectation, scenario.marks_for(at))?;
            if of.is_some() && scenario.only_other(at) != of {
                return Err(format!(
                    "{:?}: of which peer a connection of a page is nobody can tell, unless there is but one other",
                    expected.text
                ));
            }
        }
    }
    let known: HashSet<&str> = scenario
        .peers
        .iter()
        .map(|peer| peer.name.as_str())
        .collect();
    match of {
        Some(of) if !known.contains(of) => {
            Err(format!("{:?}: there is no peer {of:?}", expected.text))
        }
        _ => Ok(()),
    }
}

/// Holes that nothing can fill are found before anybody joins; variables of the environment are looked at later.
fn holes(scenario: &Scenario, wrongs: &mut Wrongs) {
    let words = NAMES
        .iter()
        .map(|name| ((*name).to_owned(), String::new()))
        .collect();
    let mut texts = vec![&scenario.room];
    for peer in &scenario.peers {
        if let Kind::Browser(browser) = &peer.kind {
            texts.push(&browser.url);
        }
    }
    if let ServerFrom::At(url) = &scenario.server {
        texts.push(url);
    }
    for text in texts {
        if let Err(error) = crate::template::fill(text, &words, &|_| Some(String::new())) {
            wrongs.push(Wrong {
                span: 0..0,
                why: error.to_string(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
