//! Files to the far side.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rtc_transfer::End;
use rtc_transfer::frame::{Frame, Status};
use rtc_transfer::send::{File, Sender, Sent, Todo};
use tokio::time::{MissedTickBehavior, interval};

use super::disk::{ReadDone, ReadJob, Reader, Source};
use super::line::{Line, Newcomer, News};
use super::said::Said;
use super::{Company, SAID, TICK, args, no_signals, no_thread, outcome, random_id, status_word};
use crate::exit::Ending;
use crate::output::progress::Progress;
use crate::quit::Quit;

pub(super) async fn run(asked: args::Send) -> Result<(), (Ending, String)> {
    let mut quit = Quit::listen().map_err(no_signals)?;
    let (files, sources) = look_at(&asked.files)?;
    let mut reader = Reader::start(sources).map_err(no_thread)?;
    let mut progress = Progress::new(asked.output.json, asked.output.quiet);
    let mut company = Company::new(&asked.place);
    let mut line = tokio::select! {
        line = Line::open(asked.place, args::file_channel(), Newcomer::Counts) => line?,
        () = quit.asked() => return Ok(()),
    };
    let mut sender = Sender::new(random_id(), files.clone());
    let mut said = Said::new(SAID);
    company.alone(Instant::now());
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        while let Some(todo) = sender.todo() {
            match todo {
                Todo::Say(frame) => said.push(frame),
                Todo::Prefix { file, upto } => reader.ask(ReadJob::Prefix { file, upto }),
                Todo::Read {
                    file,
                    offset,
                    length,
                } => reader.ask(ReadJob::Read {
                    file,
                    offset,
                    length,
                }),
                Todo::Whole { file } => reader.ask(ReadJob::Whole { file }),
            }
        }
        while let Some((file, sent)) = sender.noted() {
            if let Some(File { name, size }) = files.get(file) {
                progress.file(name, *size, status_word(sent.status), &sent.words);
            }
        }
        if let Some(end) = sender.end() {
            break taken(end, sender.results());
        }
        let channel = line.sender();
        tokio::select! {
            news = line.next(), if !said.is_full() => match news {
                News::Linked => {
                    said.clear();
                    company.came();
                    sender.linked();
                    progress.notice(&format!("connected to {}", line.peer().unwrap_or_default()));
                }
                News::Message(message) => match Frame::decode(message) {
                    Ok(frame) => sender.heard(frame),
                    Err(error) => {
                        let words = format!("the far side speaks something else: {error}");
                        break Err((Ending::Failed, words));
                    }
                },
                News::Unlinked | News::Left => {
                    said.clear();
                    sender.unlinked();
                    if sender.results().iter().all(Option::is_some) {
                        break taken(&End::Done, sender.results());
                    }
                    company.alone(Instant::now());
                    progress.notice("the far side is gone; waiting for it");
                }
                News::Notice(words) => progress.notice(&words),
                News::Over(ending, words) => break Err((ending, words)),
            },
            () = said.go(channel.as_ref()), if !said.is_empty() => {}
            Some(done) = reader.done() => match done {
                ReadDone::Prefix { file, upto, sum } => sender.summed(file, upto, sum),
                ReadDone::Block { file, offset, bytes } => sender.read(file, offset, bytes),
                ReadDone::Whole { file, sum } => sender.whole(file, sum),
                ReadDone::Failed { file, words } => sender.fail(file, &words),
            },
            _ = tick.tick() => {
                let now = Instant::now();
                if company.met && let Some((at, bytes)) = sender.progress() && let Some(file) = files.get(at) {
                    progress.at(&file.name, bytes, file.size, now);
                }
                if let Err(late) = company.too_late(now) {
                    break Err(late);
                }
            }
            () = quit.asked() => {
                said.clear();
                said.push(Frame::Stop(Status::Closed, "the sender was interrupted; start it again to go on".to_owned()));
                break Err((Ending::Incomplete, "interrupted; the same command goes on where it was".to_owned()));
            }
        }
    };
    let last = std::iter::from_fn(|| sender.todo()).filter_map(|todo| match todo {
        Todo::Say(frame) => Some(frame),
        _ => None,
    });
    let last = said
        .with(last)
        .filter(|frame| !matches!(frame, Frame::Data { .. }));
    let last = last.collect();
    line.close(last).await;
    ended
}

/// What each is, before anybody is called.
fn look_at(paths: &[PathBuf]) -> Result<(Vec<File>, Vec<Source>), (Ending, String)> {
    let mut names = HashSet::new();
    let (mut files, mut sources) = (Vec::new(), Vec::new());
    for path in paths {
        let failed = |why: String| (Ending::Failed, format!("{}: {why}", path.display()));
        let there = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
        if !there.is_file() {
            let why = "it is no file; pack a folder: tar c FOLDER | rtc-client pipe ROOM";
            return Err(failed(why.to_owned()));
        }
        // Whether it can be read is better known now.
        std::fs::File::open(path).map_err(|error| failed(format!("it cannot be read: {error}")))?;
        let name = name_of(path);
        if !names.insert(name.clone()) {
            let why = format!("two files are called {name}; send them one after the other");
            return Err((Ending::Usage, why));
        }
        let (path, size) = (path.clone(), there.len());
        files.push(File { name, size });
        sources.push(Source { path, size });
    }
    Ok((files, sources))
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    rtc_transfer::name::clean(&name.to_string_lossy())
}

fn taken(end: &End, results: &[Option<Sent>]) -> Result<(), (Ending, String)> {
    let missing = results
        .iter()
        .flatten()
        .filter(|sent| sent.status != Status::Done);
    let words = missing.map(|sent| sent.words.as_str());
    outcome(end, words, results.len(), Ending::Incomplete)
}
