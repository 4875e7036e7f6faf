//! Standard input to the far side, and what comes from there to standard output.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Instant;

use bytes::Bytes;
use rtc_transfer::BLOCK;
use rtc_transfer::frame::{Frame, Status};
use rtc_transfer::pipe::{End, PIECES, Pipe, Todo};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::line::{Line, Newcomer, News};
use super::said::Said;
use super::{TICK, args, no_signals, no_thread, random_id, remark};
use crate::exit::Ending;
use crate::peer::ChannelInit;
use crate::quit::Quit;

/// Blocks between the rules and the threads that read and write; then they wait.
const BLOCKS: usize = 4;

/// While so many messages wait for our reader, nothing more is heard.
const WRITES: usize = 256;

/// Messages that wait to be said: all that is kept of our stream, and as much again before nothing more is heard.
const SAID: usize = 2 * PIECES;

/// What the thread behind standard output has done.
enum Written {
    Bytes(usize),
    Closed,
    Failed(io::Error),
}

pub(super) async fn run(asked: args::Pipe) -> Result<(), (Ending, String)> {
    let mut quit = Quit::listen().map_err(no_signals)?;
    let (wait, patience) = (asked.place.wait, asked.place.patience);
    let channel = ChannelInit::new(&asked.label, &asked.protocol);
    let mut line = tokio::select! {
        line = Line::open(asked.place, channel, Newcomer::Refused) => line?,
        () = quit.asked() => return Ok(()),
    };
    let mut input = read_input().map_err(no_thread)?;
    let (output, mut written) = write_output().map_err(no_thread)?;

    let started = Instant::now();
    let mut pipe = Pipe::new(random_id(), started, patience);
    let mut said = Said::new(SAID);
    let mut writes: VecDeque<Option<Bytes>> = VecDeque::new();
    let mut input_ended = false;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ended = loop {
        while let Some(todo) = pipe.todo() {
            match todo {
                Todo::Say(frame) => said.push(frame),
                Todo::Write(bytes) => writes.push_back(Some(bytes)),
                Todo::Close => writes.push_back(None),
                Todo::Refuse => {
                    if let Some(channel) = line.sender() {
                        said.rush(&channel);
                    }
                    line.refuse();
                    said.clear();
                    pipe.unlinked(Instant::now());
                }
            }
        }
        if let Some(end) = pipe.end() {
            break outcome(end, pipe.taken());
        }
        let channel = line.sender();
        tokio::select! {
            news = line.next(), if writes.len() < WRITES && !said.is_full() => match news {
                News::Linked => {
                    said.clear();
                    pipe.linked();
                    remark(&format!("connected to {}", line.peer().unwrap_or_default()));
                }
                News::Message(message) => match Frame::decode(message) {
                    Ok(frame) => pipe.heard(frame, Instant::now()),
                    Err(error) => {
                        let words = format!("the far side speaks something else: {error}");
                        pipe.stop(Status::Protocol, &words);
                    }
                },
                News::Unlinked => {
                    said.clear();
                    pipe.unlinked(Instant::now());
                    remark("the connection is lost; waiting for it");
                }
                News::Left => pipe.gone(),
                News::Notice(words) => remark(&words),
                News::Over(ending, words) => break Err((ending, words)),
            },
            () = said.go(channel.as_ref()), if !said.is_empty() => {}
            block = input.recv(), if !input_ended && pipe.room() >= BLOCK => match block {
                Some(Ok(bytes)) => pipe.read(bytes),
                Some(Err(error)) => {
                    input_ended = true;
                    pipe.stop(Status::Failed, &format!("standard input cannot be read: {error}"));
                }
                None => {
                    input_ended = true;
                    pipe.ended();
                }
            },
            Ok(place) = output.reserve(), if !writes.is_empty() => {
                if let Some(bytes) = writes.pop_front() {
                    place.send(bytes);
                }
            }
            Some(written) = written.recv() => match written {
                Written::Bytes(bytes) => pipe.wrote(bytes),
                Written::Closed => pipe.closed(Instant::now()),
                Written::Failed(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    pipe.stop(Status::Closed, "standard output was closed before the end");
                }
                Written::Failed(error) => {
                    let words = format!("standard output cannot be written: {error}");
                    pipe.stop(Status::Failed, &words);
                }
            },
            _ = tick.tick() => {
                pipe.tick(Instant::now());
                if let Some(wait) = wait.filter(|wait| !pipe.met() && started.elapsed() >= *wait) {
                    let words = format!("nobody came to the other end within {wait:?}");
                    break Err((Ending::NeverConnected, words));
                }
            }
            () = quit.asked() => {
                let words = "it was interrupted before the end";
                pipe.stop(Status::Closed, words);
            }
        }
    };
    let last = std::iter::from_fn(|| pipe.todo()).filter_map(|todo| match todo {
        Todo::Say(frame) => Some(frame),
        _ => None,
    });
    let last: Vec<Frame> = said.with(last).collect();
    // Of data only those that are part of a good end are of use to anybody.
    let last = last
        .into_iter()
        .filter(|frame| ended.is_ok() || !matches!(frame, Frame::Data { .. }));
    line.close(last.collect()).await;
    ended
}

fn outcome(end: &End, (sent, received): (u64, u64)) -> Result<(), (Ending, String)> {
    let count = format!("{sent} bytes were taken there, {received} here");
    match end {
        End::Done => Ok(()),
        End::Lost => Err((
            Ending::Lost,
            format!("the far side is gone before the end; {count}"),
        )),
        End::Stopped(Status::Busy, words) => Err((Ending::Refused, words.clone())),
        End::Stopped(_, words) => Err((Ending::Incomplete, format!("{words}; {count}"))),
        End::Broken(broken) => Err((Ending::Failed, broken.to_string())),
    }
}

/// A thread that reads standard input. It cannot be woken while it waits for bytes, so it has no handle: it holds nothing but its
/// block, and goes with the process.
fn read_input() -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    let (give, take) = mpsc::channel(BLOCKS);
    let read = move || {
        let mut input = io::stdin().lock();
        let mut block = vec![0; BLOCK];
        loop {
            let read = match input.read(&mut block) {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(&block[..length])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if give.blocking_send(read).is_err() || failed {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("pipe-in".into())
        .spawn(read)?;
    Ok(take)
}

/// Whoever reads standard output sees its end, while standard input may go on.
#[cfg(unix)]
fn close_output() -> io::Result<()> {
    let nothing = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(nothing)?)
}

/// The end of the process is that of its output.
#[cfg(not(unix))]
fn close_output() -> io::Result<()> {
    Ok(())
}

/// And one that writes standard output, which ends when nothing more is to be written, or is stuck with its reader until the
/// process ends.
fn write_output() -> io::Result<(mpsc::Sender<Option<Bytes>>, mpsc::Receiver<Written>)> {
    let (give, mut take) = mpsc::channel::<Option<Bytes>>(BLOCKS);
    let (tell, told) = mpsc::channel(BLOCKS * 2);
    let write = move || {
        let mut output = io::stdout().lock();
        while let Some(bytes) = take.blocking_recv() {
            let done = match bytes {
                Some(bytes) => output
                    .write_all(&bytes)
                    .and_then(|()| output.flush())
                    .map(|()| Written::Bytes(bytes.len())),
                None => close_output().map(|()| Written::Closed),
            };
            let failed = done.is_err();
            let told = tell.blocking_send(done.unwrap_or_else(Written::Failed));
            if failed || told.is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("pipe-out".into())
        .spawn(write)?;
    Ok((give, told))
}
