//! Files from the far side.

use std::collections::VecDeque;
use std::time::Instant;

use rtc_transfer::frame::{Frame, Status};
use rtc_transfer::receive::{Receiver, Todo};
use tokio::time::{MissedTickBehavior, interval};

use super::disk::{WriteDone, WriteJob, Writer};
use super::line::{Line, Newcomer, News};
use super::said::Said;
use super::{Company, SAID, TICK, args, no_signals, no_thread, outcome, random_id, status_word};
use crate::exit::Ending;
use crate::output::progress::Progress;
use crate::quit::Quit;

/// While so many wait for the disk, nothing more is heard.
const JOBS: usize = 256;

pub(super) async fn run(asked: args::Receive) -> Result<(), (Ending, String)> {
    let mut quit = Quit::listen().map_err(no_signals)?;
    let folder = asked.into;
    if !folder.is_dir() {
        let words = format!(
            "--into {}: there is no such folder; make it first",
            folder.display()
        );
        return Err((Ending::Failed, words));
    }
    let mut writer = Writer::start(folder, asked.overwrite).map_err(no_thread)?;
    let mut progress = Progress::new(asked.output.json, asked.output.quiet);
    let mut company = Company::new(&asked.place);
    let mut line = tokio::select! {
        line = Line::open(asked.place, args::file_channel(), Newcomer::Counts) => line?,
        () = quit.asked() => return Ok(()),
    };
    let mut receiver = Receiver::new(random_id());
    let mut said = Said::new(SAID);
    let mut jobs = VecDeque::new();
    // Whether it was this side that a file failed at.
    let mut own_failure = false;
    company.alone(Instant::now());
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        while let Some(todo) = receiver.todo() {
            match todo {
                Todo::Say(frame) => said.push(frame),
                Todo::Find {
                    file,
                    name,
                    size,
                    careful,
                } => jobs.push_back(WriteJob::Find {
                    file,
                    name,
                    size,
                    careful,
                }),
                Todo::Begin { file, offset } => jobs.push_back(WriteJob::Begin { file, offset }),
                Todo::Write { file, bytes } => jobs.push_back(WriteJob::Write { file, bytes }),
                Todo::Finish { file, sum } => jobs.push_back(WriteJob::Finish { file, sum }),
                Todo::Leave { file } => jobs.push_back(WriteJob::Leave { file }),
            }
        }
        while let Some(one) = receiver.noted() {
            progress.file(&one.name, one.size, status_word(one.status), &one.words);
        }
        if let Some(end) = receiver.end() {
            let missing = receiver.results().filter(|one| one.status != Status::Done);
            let words = missing.map(|one| one.words.as_str());
            let ending = match own_failure {
                true => Ending::Failed,
                false => Ending::Incomplete,
            };
            break outcome(end, words, receiver.of() as usize, ending);
        }
        let (places, done) = writer.ends();
        let channel = line.sender();
        tokio::select! {
            news = line.next(), if jobs.len() < JOBS && !said.is_full() => match news {
                News::Linked => {
                    said.clear();
                    company.came();
                    receiver.linked();
                    progress.notice(&format!("connected to {}", line.peer().unwrap_or_default()));
                }
                News::Message(message) => match Frame::decode(message) {
                    Ok(frame) => receiver.heard(frame),
                    Err(error) => {
                        let words = format!("the far side speaks something else: {error}");
                        break Err((Ending::Failed, words));
                    }
                },
                News::Unlinked | News::Left => {
                    said.clear();
                    receiver.unlinked();
                    company.alone(Instant::now());
                    progress.notice("the far side is gone; waiting for it");
                }
                News::Notice(words) => progress.notice(&words),
                News::Over(ending, words) => break Err((ending, words)),
            },
            () = said.go(channel.as_ref()), if !said.is_empty() => {}
            Ok(place) = places.reserve(), if !jobs.is_empty() => {
                if let Some(job) = jobs.pop_front() {
                    place.send(job);
                }
            }
            Some(done) = done.recv() => match done {
                WriteDone::Found { file, offset, sum } => receiver.found(file, offset, sum),
                WriteDone::Wrote { file, bytes } => receiver.wrote(file, bytes),
                WriteDone::Finished { file } => receiver.finished(file),
                WriteDone::Failed { file, status, words } => {
                    own_failure |= matches!(status, Status::DiskFull | Status::Failed);
                    receiver.failed(file, status, &words);
                }
            },
            _ = tick.tick() => {
                let now = Instant::now();
                if let Some((_, name, size, bytes)) = receiver.progress() {
                    progress.at(name, bytes, size, now);
                }
                if let Err(late) = company.too_late(now) {
                    break Err(late);
                }
            }
            () = quit.asked() => {
                said.clear();
                said.push(Frame::Stop(Status::Closed, "the receiver was interrupted; start both again to go on".to_owned()));
                break Err((Ending::Incomplete, "interrupted; what is there stays, and the same command goes on".to_owned()));
            }
        }
    };
    let last = std::iter::from_fn(|| receiver.todo()).filter_map(|todo| match todo {
        Todo::Say(frame) => Some(frame),
        _ => None,
    });
    let last = said.with(last).collect();
    line.close(last).await;
    writer.end(jobs).await;
    ended
}
